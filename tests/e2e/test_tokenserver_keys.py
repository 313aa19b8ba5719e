"""The token server: where keys come from, who may sign up, events of accounts (edge cases 5 to 9, 32, 51, 64 to 68 of the protocol's
section 9). Rows that are elsewhere: see test_tokenserver_request.py."""
import json
import re

import pytest

from lib.oauth import SCOPE, Issuer, write_jwk_set
from lib.processes import wait_until
from lib.storage15 import Storage15
from lib.tokenserver import AccountsServer, TokenUser, check_promises, same_error

pytestmark = pytest.mark.one_engine("sqlite+memory")
NO_KEYS = (503, "error", "body", "", "Resource is not available")
EVENTS = "/1.0/webhooks/fxa/events"
BASE = "https://schemas.accounts.firefox.com/event/"
CLIENT = "5882386c6d801776"


@pytest.fixture
def accounts():
    server = AccountsServer()
    yield server
    server.close()


def answer(user, scope=(SCOPE,), **more):
    return 200, {"user": user.sub, "scope": list(scope), "client_id": CLIENT, **more}


def of(issuer, user, **claims):
    return issuer.access_token(user.sub, now=user.stack.heddle.now(), **claims)


# ---- keys from a file ----

def test_keys_are_chosen_by_kid_and_tried_all_without_one(own_stack):
    stack = own_stack()
    other, user = Issuer("second"), TokenUser(stack)
    write_jwk_set(stack.heddle.folder / "jwks.json", stack.issuer, other)
    stack.heddle.restart()
    uid = user.uid()
    for token in (of(other, user), of(other, user, headers={"kid": stack.issuer.kid}), of(other, user, headers={"kid": "unknown"})):
        assert user.uid(access=token) == uid
    user.refused("invalid-credentials", access=of(Issuer("second"), user))  # the right name is not enough


def test_a_key_file_is_read_again_on_reload_and_a_broken_one_changes_nothing(own_stack):
    stack = own_stack()
    user, fresh = TokenUser(stack), Issuer("fresh")
    path = stack.heddle.folder / "jwks.json"
    user.token()
    user.refused("invalid-credentials", access=of(fresh, user))
    write_jwk_set(path, fresh)
    stack.heddle.reload()
    wait_until(lambda: user.ask(access=of(fresh, user)).status == 200, "the new key is known")
    user.refused("invalid-credentials")  # the old one is gone
    for broken in ("", "{", "[]", '{"keys":[]}', '{"keys":[{"kty":"EC"}]}', '{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}'):
        path.write_text(broken)
        lines = stack.heddle.log_text().count("oauth.jwks_file gives no usable key")
        stack.heddle.reload()
        wait_until(lambda: stack.heddle.log_text().count("oauth.jwks_file gives no usable key") > lines, "the file is found useless")
        user.token(access=of(fresh, user))
    path.unlink()
    stack.heddle.reload()
    user.token(access=of(fresh, user))


def test_without_usable_keys_at_hand_it_is_503_whatever_the_token(own_stack):
    stack = own_stack({"oauth.jwks_file": "/nonexistent/jwks.json"})
    user = TokenUser(stack)
    same_error(user.ask(), *NO_KEYS)
    same_error(user.ask(access=of(Issuer(), user)), *NO_KEYS)
    user.refused("invalid-credentials", access="opaque")  # no key would make this a JWT
    assert "oauth.jwks_file gives no usable key" in stack.heddle.log_text()


def test_keys_for_other_uses_are_not_used(own_stack):
    stack = own_stack()
    user = TokenUser(stack)
    for change in ({"use": "enc"}, {"alg": "RS512"}, {"kty": "oct"}):
        (stack.heddle.folder / "jwks.json").write_text(json.dumps({"keys": [{**stack.issuer.jwk(), **change}]}))
        stack.heddle.restart()
        same_error(user.ask(), *NO_KEYS)


# ---- keys from a URL ----

def from_url(accounts, **more):
    return {"oauth.jwks_file": None, "oauth.jwks_url": accounts.url + "/jwks", **more}


def test_keys_from_a_url_are_fetched_once_and_kept_while_it_is_away(own_stack, accounts):
    stack = own_stack(from_url(accounts))
    user = TokenUser(stack)
    accounts.keys(stack.issuer)
    uid = user.uid()
    assert user.uid() == uid and len(accounts.asked("/v1/jwks")) == 1
    accounts.answers["/v1/jwks"] = (500, b"{}")
    assert user.uid() == uid


def test_05_keys_that_cannot_be_fetched_are_503_and_fetched_when_the_url_is_back(own_stack, accounts):
    stack = own_stack(from_url(accounts))
    user = TokenUser(stack)
    for trouble in ((500, b"{}"), (200, b"no json"), (200, {"keys": []}), (404, b"")):
        accounts.answers["/v1/jwks"] = trouble
        same_error(user.ask(), *NO_KEYS)
    accounts.keys(stack.issuer)
    wait_until(lambda: user.ask().status == 200, "the keys are asked for again")
    assert "the JWK set cannot be fetched" in stack.heddle.log_text()


def test_a_new_kid_is_asked_for_at_once_but_not_again_and_again(own_stack, accounts):
    stack = own_stack(from_url(accounts))
    user, rotated = TokenUser(stack), Issuer("rotated")
    accounts.keys(stack.issuer)
    user.token()
    for _ in range(5):
        user.refused("invalid-credentials", access=of(rotated, user))
    assert len(accounts.asked("/v1/jwks")) <= 2  # at most once a minute on behalf of strangers


# ---- the remote verifier ----

def test_05_a_verifier_that_is_not_reachable_is_503(own_stack, accounts):
    url = accounts.url
    accounts.close()
    stack = own_stack({"oauth.jwks_file": None, "oauth.verify_url": url})
    same_error(TokenUser(stack).ask(), *NO_KEYS)


@pytest.mark.parametrize("spelling", ["", "/verify"])
def test_06_with_no_keys_the_verifier_decides(own_stack, accounts, spelling):
    """The address may end in /v1, as other token servers have it."""
    stack = own_stack(from_url(accounts, **{"oauth.verify_url": accounts.url + spelling}))
    user = TokenUser(stack)
    accounts.answers |= {"/v1/jwks": (500, b"{}"), "/v1/verify": answer(user)}
    access = of(Issuer(), user)
    assert user.uid(access=access) == user.uid(access="opaque")
    assert json.loads(accounts.asked("/v1/verify")[0]) == {"token": access}


def test_07_a_second_key_fits_and_the_verifier_is_not_asked(own_stack, accounts):
    stack = own_stack({"oauth.verify_url": accounts.url})
    user = TokenUser(stack)
    write_jwk_set(stack.heddle.folder / "jwks.json", Issuer("first"), stack.issuer)
    stack.heddle.restart()
    user.token(headers={"kid": "neither"})
    assert accounts.calls == []


@pytest.mark.parametrize("said", [(401, b"{}"), (400, b'{"code":400}'), (500, b""), (301, b""), (200, b""), (200, b"no json"),
                                  (200, []), (200, {}), (200, {"user": 5, "scope": [SCOPE]}), (200, {"user": "x y", "scope": [SCOPE]}),
                                  (200, {"user": "abc"}), (200, {"user": "abc", "scope": SCOPE}),
                                  (200, {"user": "abc", "scope": ["profile"]}),
                                  (200, {"user": "abc", "scope": [SCOPE + ".x"]}), (200, b'{"user":"abc","scope":["' + b"x" * 100_000)],
                         ids=lambda said: repr(said)[:40])
def test_08_what_is_no_jwt_goes_to_the_verifier_and_a_useless_answer_is_401(own_stack, accounts, said):
    stack = own_stack({"oauth.verify_url": accounts.url})
    user = TokenUser(stack)
    accounts.answers["/v1/verify"] = said
    user.refused("invalid-credentials", access="opaque")
    assert len(accounts.calls) == 1
    accounts.answers["/v1/verify"] = answer(user)
    assert user.uid(access="opaque") == user.uid()


def test_08_the_generation_of_the_verifiers_answer_counts(own_stack, accounts):
    stack = own_stack({"oauth.verify_url": accounts.url})
    user = TokenUser(stack)
    accounts.answers["/v1/verify"] = answer(user, generation=2000)
    user.uid(access="opaque")
    user.refused("invalid-generation", g=1999)
    accounts.answers["/v1/verify"] = answer(user, generation="x")
    user.refused("invalid-generation", access="opaque")


def test_09_expired_or_badly_signed_tokens_are_not_sent_to_the_verifier(own_stack, accounts):
    stack = own_stack({"oauth.verify_url": accounts.url})
    user = TokenUser(stack)
    accounts.answers["/v1/verify"] = answer(user)
    for access in (of(stack.issuer, user, life_s=-1), of(Issuer(), user), of(stack.issuer, user, headers={"typ": "JWT"}),
                   of(stack.issuer, user, scope="profile")):
        user.refused("invalid-credentials", access=access)
    assert accounts.calls == []


def test_67_the_scope_and_the_issuer_can_be_set_and_an_empty_scope_is_refused_at_the_start(own_stack):
    stack = own_stack({"oauth.scope": "https://example.net/sync", "oauth.issuer": "https://accounts.example.net"})
    user = TokenUser(stack)
    user.token(scope="https://example.net/sync")
    user.refused("invalid-credentials")
    for issuer in ("https://accounts.example.net/", "https://evil.example.net", "", None):
        user.refused("invalid-credentials", scope="https://example.net/sync", iss=issuer)
    user.refused("invalid-credentials", scope="https://example.net/sync", drop=("iss",))
    empty = own_stack({"oauth.scope": ""}, start=False)
    with pytest.raises(RuntimeError, match="oauth.scope must not be empty"):
        empty.heddle.start()


# ---- who may sign up ----

def test_51_by_default_new_users_are_taken_on_loopback(own_stack):
    assert TokenUser(own_stack({"registration.mode": None})).uid() > 0


def test_51_by_default_new_users_are_not_taken_beyond_loopback(own_stack):
    stack = own_stack({"registration.mode": None, "public.url": "https://sync.example.net"})
    TokenUser(stack).refused("new-users-disabled")


def test_51_closed_for_the_new_open_for_those_who_are_here_and_the_log_says_what_to_do(own_stack):
    stack = own_stack()
    old, new = TokenUser(stack), TokenUser(stack)
    uid = old.uid()
    stack.heddle.restart(registration__mode="closed")
    assert old.uid() == uid
    assert old.uid(k=9999, state="bbbb") != uid  # a new client state is no sign-up
    new.refused("new-users-disabled")
    line = next(n for n in stack.heddle.log_text().splitlines() if new.sub in n)
    assert "registration.mode = list" in line and re.search(rf'registration\.allow\W+{new.sub}', line), line
    new.refused("invalid-credentials", scope="profile")  # a bad token comes first


def test_51_by_list_and_the_list_follows_a_reload(own_stack):
    stack = own_stack({"registration.mode": "list", "registration.allow": ["*@example.com", "0123abcd"]})
    assert TokenUser(stack, "0123abcd").uid() > 0
    new = TokenUser(stack)
    for user in (new, TokenUser(stack, "0123abc"), TokenUser(stack, "0123ABCD")):
        user.refused("new-users-disabled")
    assert f'"registration.allow":"{new.sub}"' in stack.heddle.log_text()
    stack.heddle.reload(registration__allow=["*@example.com", new.sub])
    wait_until(lambda: new.ask().status == 200, "the new list is in force")
    TokenUser(stack, "4567").refused("new-users-disabled")
    stack.heddle.reload(registration__mode="open")
    wait_until(lambda: TokenUser(stack).ask().status == 200, "the new mode is in force")
    stack.heddle.reload(registration__mode="nobody")
    wait_until(lambda: "reload refused, the old settings stay" in stack.heddle.log_text(), "a mode that does not exist is refused")
    TokenUser(stack).uid()


# ---- events of accounts ----

def with_events(own_stack, mode="on", **more):
    return own_stack({"oauth.webhook": mode, "oauth.webhook_client": CLIENT, "oauth.issuer": "https://accounts.example.net", **more})


def event(stack, sub, events, issuer=None, authorization=None, **claims):
    """Posts a security event token; `authorization` in its place."""
    token = (issuer or stack.issuer).access_token(sub, headers={"typ": "secevent+jwt"}, **{
        "aud": CLIENT, "events": events, "drop": ("exp", "scope"), **claims})
    headers = [("Authorization", authorization or "Bearer " + token)] if authorization != "" else []
    c = stack.heddle.connection()
    r = c.request("POST", EVENTS, headers, b"")
    c.close()
    if r.status != 200:
        check_promises(r, stack.heddle.now())
    return r


def genuine(*args, **kw):
    """A genuine event is answered with 200 and nothing more, whatever it says."""
    r = event(*args, **kw)
    assert r.status == 200 and r.body == b"", repr(r)


CHANGE = {BASE + "password-change": {"changeTime": 5000}}


def test_64_events_that_are_not_genuine_are_refused(own_stack):
    stack = with_events(own_stack)
    user = TokenUser(stack)
    user.uid(k=1, g=1)
    mallory = Issuer()
    for r in (event(stack, user.sub, CHANGE, authorization=""), event(stack, user.sub, CHANGE, authorization="Basic dTpw"),
              event(stack, user.sub, CHANGE, authorization="Bearer x.y.z"), event(stack, user.sub, CHANGE, issuer=mallory),
              event(stack, user.sub, CHANGE, aud="another"), event(stack, user.sub, CHANGE, aud=[]),
              event(stack, user.sub, CHANGE, iss="https://evil.example.net"), event(stack, user.sub, CHANGE, drop=("iss", "exp"))):
        same_error(r, 401, "invalid-credentials", "body", "", "Unauthorized")
    user.uid(k=1, g=2)  # nothing happened


def test_64_without_keys_an_event_is_refused(own_stack):
    stack = with_events(own_stack, **{"oauth.jwks_file": "/nonexistent"})
    assert event(stack, "abc", CHANGE).status == 401


def test_64_the_webhook_is_not_there_unless_it_is_switched_on(own_stack):
    stack = own_stack()
    assert event(stack, "abc", CHANGE).status == 404


def test_65_a_second_key_is_tried(own_stack):
    stack = with_events(own_stack)
    user = TokenUser(stack)
    write_jwk_set(stack.heddle.folder / "jwks.json", Issuer("first"), stack.issuer)
    stack.heddle.restart()
    user.uid(k=1, g=1)
    genuine(stack, user.sub, CHANGE)
    user.refused("invalid-generation", k=1, g=4998)


def test_62_and_66_a_changed_password_raises_the_generation_to_one_below(own_stack):
    stack = with_events(own_stack)
    user = TokenUser(stack)
    uid = user.uid(k=1, g=1)
    genuine(stack, user.sub, CHANGE)
    user.refused("invalid-generation", k=1, g=4998)
    assert user.uid(k=5000, g=5000, state="bbbb") != uid  # the first device with the new password passes
    genuine(stack, user.sub, {BASE + "password-change": {"changeTime": 100}})  # never down
    user.refused("invalid-generation", k=5000, g=4999, state="bbbb")


def test_61_and_66_a_deleted_account_is_retired_and_its_tokens_are_void_at_once(own_stack):
    stack = with_events(own_stack)
    user = TokenUser(stack)
    out = user.token(k=1, g=1)
    client = Storage15(stack.heddle, out["uid"], out["id"], out["key"])
    client.save("bookmarks", "a", "x")
    genuine(stack, user.sub, {BASE + "delete-user": {}})
    client.get("/info/collections", expect=401)
    for g in (1, 2**63 - 2, None):
        user.refused("invalid-generation", k=1, g=g)


def test_32_a_retired_user_is_refused_below_the_highest_generation_alone(own_stack):
    stack = with_events(own_stack)
    user = TokenUser(stack)
    uid = user.uid(k=1, g=1)
    genuine(stack, user.sub, {BASE + "delete-user": {}})
    user.refused("invalid-generation", k=1, g=2**63 - 2)
    assert user.uid(k=1, g=2**63 - 1) == uid


@pytest.mark.parametrize("events", [{}, {BASE + "profile-change": {}}, {BASE + "password-change": {}}, {BASE + "password-change": None},
                                    {BASE + "password-change": {"changeTime": "5000"}}, {BASE + "password-change": {"changeTime": 0}},
                                    {BASE + "password-change": {"changeTime": -5}}, {BASE + "password-change": {"changeTime": 1e30}},
                                    {BASE + "password-change": {"changeTime": -2**63}}, [], None, "x"], ids=str)
def test_63_and_66_events_that_are_unknown_or_broken_are_logged_and_dropped(own_stack, events):
    stack = with_events(own_stack)
    user = TokenUser(stack)
    user.uid(k=1, g=2)
    genuine(stack, user.sub, events)
    assert "account event dropped" in stack.heddle.log_text()
    user.uid(k=1, g=2)


def test_61_62_and_66_unknown_users_are_no_error_and_none_is_made(own_stack):
    stack = with_events(own_stack)
    for sub in ("abcdef", "", "x" * 300, "a b", "../x"):
        genuine(stack, sub, CHANGE)
        genuine(stack, sub, {BASE + "delete-user": {}})
    TokenUser(stack, "abcdef").uid(g=1, k=1)


def test_66_counting_alone_does_nothing_else(own_stack):
    stack = with_events(own_stack, "count")
    user = TokenUser(stack)
    user.uid(k=1, g=1)
    genuine(stack, user.sub, {BASE + "delete-user": {}})
    genuine(stack, user.sub, CHANGE)
    user.uid(k=1, g=1)
