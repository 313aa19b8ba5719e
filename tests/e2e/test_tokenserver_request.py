"""The token server: what a request must bring, and every error's exact body (edge cases of the protocol's section 9, its section 10).

| rows | where |
| --- | --- |
| 1-4, 10-17, 52-54, 69, 72, section 10 | here |
| 5-9, 51, 64-68 | test_tokenserver_keys.py |
| 25-27, 30, 32-49, 55, 71 | test_tokenserver_records.py |
| 16 | there is one service, and its address is the configured one; what is left of it: no node (21) |
| 16, 18-24, 28, 29, 31-33, 56-60, 70; a node's name by hand, a node URL with a slash at its end | test_cluster_edge_cases.py |
| 61-63 | test_tokenserver_keys.py: the events of row 66, which come over HTTP alone |
| 50 | assertions of BrowserID are not taken: an unknown scheme, as in row 2 |
| a stored client state that is no hex | directory/test_token_api.c |
"""
import base64
import json

import jwt
import pytest

from lib import hawk
from lib.heddle import METRICS_KEY, SECRET
from lib.oauth import SCOPE, Issuer
from lib.storage15 import Storage15
from lib.tokenserver import PATH, TokenUser, ask, key_id, same_error
from lib.wire import raw_exchange

pytestmark = pytest.mark.one_engine("sqlite+memory")
NO_AUTH = (401, "error", "body", "", "Unauthorized")
UNSUPPORTED = (401, "error", "body", "", "Unsupported")
DENIED = (401, "invalid-credentials", "body", "", "Unauthorized")
BAD_STATE = (400, "error", "header", "X-Client-State", "Invalid client state value")
NO_KEY_ID = (401, "invalid-key-id", "header", "", "Missing X-KeyID header")
BAD_KEY_ID = (401, "invalid-key-id", "header", "", "Invalid X-KeyID header")


@pytest.fixture
def user(stack):
    return TokenUser(stack)


def with_key_id(user, text):
    return ask(user.stack, [user.headers()[0], ("X-KeyID", text)])


# ---- who ----

def test_01_without_authorization_the_body_is_exactly_that_of_the_table(stack):
    r = ask(stack, [])
    same_error(r, *NO_AUTH)
    same_error(ask(stack, {"X-KeyID": "1234-qqo"}), *NO_AUTH)


@pytest.mark.parametrize("scheme", ["Basic", "BrowserID", "Hawk", "Digest"])
def test_02_and_50_another_scheme_is_unsupported_with_or_without_a_key_id(stack, scheme):
    for more in ([], [("X-KeyID", "1234-qqo")]):
        r = ask(stack, [("Authorization", scheme + " dTpw"), *more])
        same_error(r, *UNSUPPORTED)
        assert r.header("WWW-Authenticate") == "Bearer"


def test_02_the_scheme_is_bearer_in_any_case_of_letters(user):
    (_, good), key = user.headers()
    for scheme in ("bearer", "BEARER", "bEaReR"):
        assert ask(user.stack, [("Authorization", scheme + good[6:]), key]).status == 200


def test_03_a_token_signed_by_a_foreign_key_is_refused(stack, user):
    user.refused("invalid-credentials", access=Issuer().access_token(user.sub))
    user.refused("invalid-credentials", access=Issuer("another").access_token(user.sub))


@pytest.mark.parametrize("scope", ["", "profile", "https://identity.mozilla.com/apps/lockbox", "https://identity.mozilla.com/apps",
                                   SCOPE + ".x", SCOPE + "/bookmarks", SCOPE[:-1], SCOPE.upper(), [SCOPE], None, 5])
def test_04_another_scope_is_refused(user, scope):
    user.refused("invalid-credentials", scope=scope)


@pytest.mark.parametrize("scope", [f"profile {SCOPE}", f"{SCOPE} profile", f"a,{SCOPE}", f"a, {SCOPE},b"])
def test_04_one_of_several_scopes_is_enough(user, scope):
    user.token(scope=scope)


# ---- X-KeyID, X-Client-State ----

def test_10_a_missing_key_id(user):
    same_error(ask(user.stack, user.headers()[:1]), *NO_KEY_ID)


@pytest.mark.parametrize("text", ["1234-qqo\u200b", "\u200b1234-qqo", "1234-q\u00ffo"])
def test_11_a_key_id_outside_ascii(user, text):
    same_error(with_key_id(user, text.encode()), *BAD_KEY_ID)
    same_error(with_key_id(user, b"1234-qq\xff"), *BAD_KEY_ID)


@pytest.mark.parametrize("text", ["00000000", "0000000001234-not!base64", "notanumber-qqo", "1234-state!", "1234-q", "-qqo", "1234qqo",
                                  "0000000001234-notbase64a"])
def test_12_a_key_id_of_a_wrong_form(user, text):
    same_error(with_key_id(user, text), *DENIED)


@pytest.mark.parametrize("text", ["+1234-qqo", "-1234-qqo", " 1 234-qqo", "1234 -qqo", "1234- qqo", "0x4d2-qqo", "1234.5-qqo",
                                  "9223372036854775808-qqo", "99999999999999999999999-qqo", "1234-qqo=", "1234-q+o/", "1234-qqp"])
def test_10_bad_input_numbers_and_alphabet_of_the_key_id(user, text):
    """Also `qqp`: bits behind the last byte that are not zero."""
    same_error(with_key_id(user, text), *DENIED)


def test_10_bad_input_the_largest_time_is_good(user):
    user.token(k=2**63 - 1)


@pytest.mark.parametrize("state", ["", "aa" * 17])
def test_10_bad_input_a_key_hash_that_is_empty_or_too_long(user, state):
    same_error(user.ask(state=state), *BAD_STATE)


def test_10_bad_input_two_key_ids(user):
    headers = user.headers()
    assert ask(user.stack, [*headers, headers[1]]).status == 400


@pytest.mark.parametrize("text", ["state!", "a" * 33, "aaaa,", "a/b", "st ate", "\u00e4"])
def test_13_a_client_state_header_outside_its_alphabet(user, text):
    same_error(user.ask(more=[("X-Client-State", text.encode())]), *BAD_STATE)


@pytest.mark.parametrize("text", [b"aa\taa", b"aa\raa"])
def test_13_control_bytes_in_the_client_state_header_never_pass(user, text):
    lines = [f"GET {PATH} HTTP/1.1".encode(), b"Host: x", b"Connection: close"]
    lines += [f"{n}: {v}".encode() for n, v in user.headers()] + [b"X-Client-State: " + text]
    r = raw_exchange("127.0.0.1", user.stack.heddle.port, b"\r\n".join(lines) + b"\r\n\r\n")
    assert r is None or r.status in (400, 401)


def test_14_client_state_header_and_key_id_must_agree(user):
    same_error(user.ask(more=[("X-Client-State", "bbbb")]), 401, "invalid-client-state", "body", "", "Unauthorized")
    assert user.ask(more=[("X-Client-State", "aaaa")]).status == 200


# ---- where ----

@pytest.mark.parametrize("prefix", ["", "/token", "/tokenserver"])
def test_15_unknown_applications_and_versions_are_named(user, prefix):
    for path, name, text in [("/1.0/xXx/token", "application", "Unsupported application"),
                             ("/1.0/sync/1.2", "1.2", "Unsupported application version"),
                             ("/1.0/xXx/1.5", "application", "Unsupported application")]:
        same_error(ask(user.stack, user.headers(), prefix + path), 404, "error", "url", name, text)


def test_15_the_application_is_judged_before_the_credentials(stack):
    same_error(ask(stack, [], "/1.0/xXx/1.5"), 404, "error", "url", "application", "Unsupported application")


def test_all_spellings_of_the_path_are_one_place(user):
    assert len({user.token(p + PATH)["uid"] for p in ("", "/token", "/tokenserver")}) == 1


@pytest.mark.parametrize("wrong, first", [
    (["auth", "key", "state"], NO_AUTH), (["token", "key", "state"], DENIED), (["key", "state"], NO_KEY_ID),
    (["state"], BAD_STATE)])
def test_of_several_mistakes_the_first_in_the_fixed_order_is_told(user, wrong, first):
    auth, key = user.headers(access="x.y.z" if "token" in wrong else None)
    headers = [] if "auth" in wrong else [auth]
    headers += [] if "key" in wrong else [key]
    headers += [("X-Client-State", "!")] if "state" in wrong else []
    same_error(ask(user.stack, headers), *first)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_10_bad_input_other_methods(user, method):
    r = ask(user.stack, user.headers(), method=method, body=b"{}")
    assert r.status == 405 and "GET" in r.header("Allow")


def test_10_bad_input_head_is_refused_or_served_as_get(user):
    r = user.stack.heddle.get(PATH, user.headers(), method="HEAD")
    assert r.status in (200, 405) and r.body == b""


def test_10_bad_input_a_body_on_get_is_ignored(user):
    assert ask(user.stack, user.headers(), body=b'{"x":').status == 200


@pytest.mark.parametrize("accept, status", [("text/html", 406), ("application/json;q=0", 406), ("*/*", 200), ("application/*", 200),
                                            ("application/json;q=0.1, text/html", 200)])
def test_accept_must_take_json(user, accept, status):
    assert user.ask(more=[("Accept", accept)]).status == status


# ---- the access token ----

@pytest.mark.parametrize("text", ["Bearer", "Bearer ", "Bearer  x", "Bearer x y", "Bearer  ", " "])
def test_10_bad_input_bearer_without_a_token_or_with_blanks(stack, text):
    r = ask(stack, [("Authorization", text), ("X-KeyID", "1234-qqo")])
    assert r.status == 401 and r.json()["status"] in ("error", "invalid-credentials")


def test_10_bad_input_a_huge_token_meets_the_limit_of_headers_or_is_refused(user):
    for size in (9_000, 64 * 1024):
        r = user.stack.heddle.get(PATH, [("Authorization", "Bearer " + "x" * size), ("X-KeyID", "1234-qqo")])
        assert r.status in (401, 431), repr(r)


def b64json(value):
    return hawk.b64url_nopad(json.dumps(value).encode())


def test_10_bad_input_the_algorithm_is_ours_to_choose(user, stack):
    claims = {"sub": user.sub, "scope": SCOPE, "exp": int(stack.heddle.now()) + 3600}
    for sign in ({"alg": "none"}, {"alg": "HS256"}, {"alg": "RS384"}, {"alg": "PS256"}, {"alg": ["RS256"]}, {}):
        head = {"typ": "at+jwt", "kid": stack.issuer.kid, **sign}
        signed = b64json(head) + "." + b64json(claims)
        hmac = hawk.b64url_nopad(hawk.hmac_sha256(json.dumps(stack.issuer.jwk()).encode(), signed.encode()))
        good = stack.access_token(user.sub).rpartition(".")[2]
        for signature in ("", hmac, good):
            user.refused("invalid-credentials", access=signed + "." + signature)


def test_10_bad_input_a_key_that_the_token_brings_itself_is_not_used(user):
    mallory = Issuer("mallory")
    for head in ({"jwk": mallory.jwk()}, {"jwk": mallory.jwk(), "kid": user.stack.issuer.kid}, {"jku": "http://127.0.0.1:1/"}):
        user.refused("invalid-credentials", access=mallory.access_token(user.sub, headers=head))


@pytest.mark.parametrize("typ", ["JWT", "secevent+jwt", "", "id_token", "application/jwt", None])
def test_10_bad_input_tokens_of_another_type(user, typ):
    user.refused("invalid-credentials", headers={"typ": typ})


@pytest.mark.parametrize("typ", ["AT+JWT", "application/at+jwt", "Application/AT+JWT"])
def test_10_the_type_in_other_spellings(user, typ):
    user.token(headers={"typ": typ})


@pytest.mark.parametrize("change", [{"drop": ("exp",)}, {"life_s": -1}, {"exp": "9999999999"}, {"exp": None}, {"exp": True},
                                    {"drop": ("sub",)}, {"sub": ""}, {"sub": None}, {"sub": "a b"}, {"sub": "a@b"}, {"sub": "x" * 65},
                                    {"sub": "a\u0000"}, {"sub": "\u00e4"}, {"sub": "../x"}, {"sub": 5}], ids=str)
def test_10_bad_input_claims_missing_or_of_a_wrong_kind(user, stack, change):
    """The payload is signed as it stands: the library of the tests would not write some of these."""
    claims = {"sub": user.sub, "scope": SCOPE, "exp": int(stack.heddle.now()) + change.get("life_s", 3600), **change}
    body = {n: v for n, v in claims.items() if n not in ("drop", "life_s") and n not in change.get("drop", ())}
    head = {"typ": "at+jwt", "kid": stack.issuer.kid}
    user.refused("invalid-credentials", access=jwt.api_jws.encode(json.dumps(body).encode(), stack.issuer.key, "RS256", head))


@pytest.mark.parametrize("damage", [lambda t: t[:-4] + ("AAAA" if t[-4:] != "AAAA" else "BBBB"), lambda t: t + "=", lambda t: t + ".x",
                                    lambda t: t.rpartition(".")[0], lambda t: t.rpartition(".")[0] + ".", lambda t: "." + t,
                                    lambda t: t.replace(".", "..", 1), lambda t: t[1:], lambda t: "x.y.z", lambda t: "...",
                                    lambda t: "opaque-" + "f" * 64, lambda t: t.partition(".")[2]])
def test_10_bad_input_damaged_tokens(user, stack, damage):
    user.refused("invalid-credentials", access=damage(stack.access_token(user.sub)))


# ---- the answer ----

@pytest.mark.parametrize("asked, given", [("12", 12), ("3600", 3600), ("3601", 3600), ("4000", 3600), ("lolwut", 3600), ("-1", 3600),
                                          ("0", 3600), ("", 3600), ("1.5", 3600), ("+12", 3600), ("12x", 3600), ("9" * 30, 3600)])
def test_17_duration(user, asked, given):
    out = user.token(f"{PATH}?duration={asked}")
    assert out["duration"] == given
    members = json.loads(base64.urlsafe_b64decode(out["id"])[:-32])
    assert abs(members["expires"] - user.stack.heddle.now() - given) < 60


def test_17_the_longest_duration_is_configured(own_stack):
    stack = own_stack({"tokens.life": "10m"})
    user = TokenUser(stack)
    assert user.token()["duration"] == 600 and user.token(PATH + "?duration=601")["duration"] == 600


def test_52_the_token_names_the_account_openly_to_nodes_and_hashed_for_logs(user, stack):
    out = user.token()
    members, _, key, _ = hawk.verify_token(out["id"], [SECRET], [stack.url], stack.heddle.now())
    hashed = hawk.metrics_hash(METRICS_KEY, user.sub)
    assert members == {"uid": out["uid"], "node": stack.url, "expires": members["expires"], "salt": members["salt"],
                       "epoch": members["epoch"], "fxa_uid": user.sub, "fxa_kid": "0000000001234-qqo", "hashed_fxa_uid": hashed,
                       "hashed_device_id": hawk.metrics_device_hash(METRICS_KEY, hashed)}
    assert out["hashed_fxa_uid"] == hashed != user.sub


def test_53_signature_and_key_reproduce_and_members_stand_in_the_order_of_other_issuers(user, stack):
    """`tokenserver_origin` is left out; our own `epoch` stands before the salt."""
    out = user.token()
    raw = base64.urlsafe_b64decode(out["id"])
    assert hawk.sign_payload(raw[:-32], SECRET) == out["id"] and b" " not in raw[:-32]
    members = json.loads(raw[:-32])
    assert list(members) == ["node", "fxa_kid", "fxa_uid", "hashed_device_id", "hashed_fxa_uid", "expires", "uid", "epoch", "salt"]
    assert hawk.derive_key(out["id"], SECRET, members["salt"]) == out["key"] and len(members["salt"]) == 6


def test_54_time_and_nosniff_are_on_every_answer(user):
    """`ask` looks at both, here on 200, 400, 401, 404 and 405."""
    for r in (user.ask(), user.ask(state=""), ask(user.stack, []), ask(user.stack, [], "/1.0/x/y"), ask(user.stack, [], method="PUT")):
        assert int(r.header("X-Timestamp")) > 1_700_000_000


def test_the_token_works_at_the_endpoint_it_names(user, stack):
    out = user.token()
    assert out["api_endpoint"] == f"{stack.url}/1.5/{out['uid']}"
    Storage15(stack.heddle, out["uid"], out["id"], out["key"]).save("bookmarks", "a", "x")


def test_69_the_kind_of_node_is_the_configured_one(user, own_stack):
    assert user.token()["node_type"] == "mysql"
    assert TokenUser(own_stack({"directory.node_type": "spanner"})).token()["node_type"] == "spanner"


def test_72_discovery(stack):
    r = ask(stack, {"Accept": "application/json"}, "/")
    out = r.json()
    assert out["services"] == {"sync": ["1.5"]} and out["auth"] == stack.url
    assert set(out["oauth"]) == {"default_issuer", "scope", "server_url"} and out["oauth"]["scope"] == SCOPE
    assert "browserid" in out
    page = stack.heddle.get("/", {"Accept": "text/html,*/*;q=0.8"})
    assert page.type == "text/html" and stack.url + PATH in page.text


def test_key_id_spelled_as_firefox_does(user):
    headers = [(n.replace("X-KeyID", "X-KeyId"), v) for n, v in user.headers()]
    assert ask(user.stack, headers).status == 200
    assert key_id(1234, "aaaa") == "1234-qqo"
