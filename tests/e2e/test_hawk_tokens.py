"""Tokens as storage nodes judge them: edge cases 1 to 21, 41 and 42 of "Tokens and Hawk" section 6, the rows about tokens of its section 7,
and the published vectors as they stand, byte for byte, on a server that has their name, secrets and time.

| row | where |
| --- | --- |
| 36, the published example of Hawk; 43, comparing in constant time | tests of the rooms; test_vectors.py |
| 41, secrets in files by node | there are none: a list of secrets, here |
| 27, a scheme without a port | can only be signed wrongly: common/auth/test_hawk.c |
| 22 to 40, the rest of section 7 | test_hawk_requests.py |
| tokens of the owner before | with several nodes |
"""
import base64
import json
import time

import pytest

from lib import hawk
from lib.heddle import SECRET, has_hooks
from lib.ops import Refusals
from lib.processes import ROOT
from lib.storage15 import Storage15, check_promises
from lib.tokenserver import TokenUser

pytestmark = pytest.mark.one_engine("sqlite+memory")
NEWER = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
UID = 2_000_000_001
TOKENS = json.loads((ROOT / "tests/data/tokens.json").read_text())
HAWK = json.loads((ROOT / "tests/data/hawk.json").read_text())


def status(stack, uid, token, key, target="/info/collections", method="GET", base=None):
    """What a client with this token is told."""
    client = Storage15(stack.heddle, uid, token, key, base=base)
    r = client.request(method, target, expect=None)
    client.close()
    return r.status


def signed(payload, secret=SECRET, salt="a1b2c3"):
    """(token, key) over any payload."""
    text = hawk.sign_payload(payload if isinstance(payload, bytes) else json.dumps(payload).encode(), secret)
    return text, hawk.derive_key(text, secret, salt)


def good(stack, **members):
    full = {"uid": UID, "node": stack.url, "expires": int(stack.heddle.now()) + 3600, "salt": "a1b2c3", **members}
    return {n: v for n, v in full.items() if v is not None}


@pytest.fixture
def refusals(shared_stacks, engine):
    """A server of this file, and what it counts as refused. The reasons are for the operator, never for the client."""
    stack = shared_stacks(engine, "hawk")
    return stack, Refusals(stack.heddle)


# ---- the published vectors as they stand ----

@pytest.fixture(scope="session")
def published(worker):
    """secrets, public URL -> a server with that name, at the time of the vectors."""
    if not has_hooks():
        pytest.skip("a build without test hooks has the time of today")
    running = {}

    def get(secrets, url, now):
        at = (tuple(secrets), url, now)
        if at not in running:
            stack = worker.stack("sqlite+memory", {"tokens.secrets": ",".join(secrets), "public.url": url}, start=False)
            stack.heddle.ahead_s = now - time.time()
            stack.heddle.clock_file.write_text(f"{round(stack.heddle.ahead_s * 1000)}\n")
            running[at] = stack
            stack.heddle.start()
        return running[at]

    yield get
    for stack in running.values():
        assert stack.heddle.stop() == 0, stack.heddle.log_tail()


def named(vectors):
    return [pytest.param(v, id=v["name"]) for v in vectors]


@pytest.mark.parametrize("v", named(HAWK["end_to_end_vectors"]))
def test_published_request(published, v):
    stack, r = published(v["accepted_secrets"], v["node"], v["now"]), v["request"]
    refusals = Refusals(stack.heddle)
    headers = [("Authorization", v["authorization"])] if v["authorization"] else []
    body = [("Content-Type", "application/json")] if r["method"] == "POST" else []
    reply = stack.heddle.connection().request(r["method"], r["path_and_query"], headers + body, b"[]" if body else None, r["host_header"])
    check_promises(reply)
    if v["expect"]["status"] == 200:  # a batch that nobody began is no matter of credentials
        assert reply.status == (400 if "batch=" in r["path_and_query"] else 200), repr(reply)
        assert refusals.since() == {}
    else:
        assert reply.status == 401, repr(reply)
        assert refusals.since() == {v["expect"]["reason"]: 1}


@pytest.mark.parametrize("v", named(TOKENS["tokens"]))
def test_published_token(published, v):
    good = v["expect"]["ok"] and not v["expect"]["expired_grace_only"]
    early_s = 300 if good else 0  # what is good for half a second more shall be so on a busy machine, too
    stack = published(v["accepted_secrets"], v["node"], v["now"] - early_s)
    refusals = Refusals(stack.heddle)
    key = v.get("derived_key") or "x"
    uid = v["expect"].get("uid", 12345)
    answers = []
    for target in (f"/1.5/{uid}/info/collections", f"/1.5/{uid}/info/quota"):
        header = hawk.header(v["token"], key, "GET", target, v["node"].removeprefix("https://"), 443, v["now"])
        answers.append(stack.heddle.get(target, {"Authorization": header}).status)
    if v["expect"]["ok"]:
        assert answers == [200, 401 if v["expect"]["expired_grace_only"] else 200]
    else:
        assert answers == [401, 401] and refusals.since() == {v["expect"]["error"]: 2}


@pytest.mark.parametrize("v", named([v for v in HAWK["request_vectors"] if v["mac_ok"]]))
def test_published_signature_with_a_token_of_ours(published, v):
    """The signed text is the published one; the key belongs to a token, so id and mac are ours."""
    r = v["request"]
    stack = published([SECRET], f'{r["scheme"]}://{r["host_header"].lower()}', v["now"])
    uid = int(r["path_and_query"].split("/")[2])
    token, key = stack.mint(uid, node=stack.heddle.settings["public.url"])
    header = v["authorization"].replace(hawk.parse_header(v["authorization"])["id"], token)
    header = header.replace(hawk.parse_header(v["authorization"])["mac"], hawk.mac(key, v["normalized_string"]))
    body = r.get("body_utf8", "[]" if r["method"] == "POST" else None)
    kind = [("Content-Type", r.get("content_type") or "application/json")] if body is not None else []
    reply = stack.heddle.connection().request(r["method"], r["path_and_query"], [("Authorization", header), *kind],
                                              body.encode() if body is not None else None, r["host_header"])
    admitted = reply.status not in (401, 403, 500, 503)
    if v["name"] == "method-lowercase":  # by HTTP another method, which we have not: not a matter of signatures
        assert reply.status == 405
    else:
        assert admitted == v["expect"]["accept"], repr(reply)


# ---- tokens ----

@pytest.mark.parametrize("text, reason", [
    (lambda t: "@" + t[1:], "malformed"), (lambda t: "X" * 50, "malformed"), (lambda t: "X" * 52, "bad-signature"),
    (lambda t: t[:40], "malformed"), (lambda t: t[:44], "bad-signature"), (lambda t: t.rstrip("="), "malformed"),
    (lambda t: t + "====", "malformed"), (lambda t: "=" + t, "malformed"), (lambda t: t.replace("=", ""), "malformed"),
    (lambda t: t[:20] + " " + t[20:], "malformed"), (lambda t: t[:20] + "+" + t[21:], "malformed"),
    (lambda t: t[:20] + "/" + t[21:], "malformed"), (lambda t: t[:-2] + "x=", "malformed"), (lambda t: "", "no-credentials")])
def test_01_a_token_of_a_wrong_form(refusals, text, reason):
    """The last but two: canonical means that the bits behind the last byte are zero."""
    stack, counted = refusals
    pad = 0
    while not (token := signed(good(stack, pad="x" * pad))[0]).endswith("="):
        pad += 1
    bad = text(token)
    assert status(stack, UID, bad, hawk.derive_key(bad, SECRET, "a1b2c3")) == 401
    seen = counted.since()
    assert seen == {reason: 1}, seen


def test_02_every_single_changed_byte_is_a_bad_signature(refusals):
    stack, counted = refusals
    token, key = signed(good(stack))
    raw = base64.urlsafe_b64decode(token)
    for at in (*range(0, len(raw), 7), len(raw) - 33, len(raw) - 32, len(raw) - 1):
        bad = hawk.b64url(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1:])
        assert status(stack, UID, bad, hawk.derive_key(bad, SECRET, "a1b2c3")) == 401
    assert set(counted.since()) == {"bad-signature"}


def test_03_a_token_that_expires_now_has_expired(refusals):
    stack, counted = refusals
    now = int(stack.heddle.now())
    assert status(stack, UID, *signed(good(stack, expires=now)), target="/info/quota") == 401
    assert counted.since() == {"expired": 1}
    assert status(stack, UID, *signed(good(stack, expires=now))) == 200
    assert status(stack, UID, *signed(good(stack, expires=now + 300)), target="/info/quota") == 200


def test_04_keys_differ_by_token_and_by_secret(stack):
    user = TokenUser(stack)
    one, two = user.token(), user.token()
    assert one["id"] != two["id"] and one["key"] != two["key"] and one["uid"] == two["uid"]
    assert status(stack, one["uid"], one["id"], two["key"]) == 401
    assert status(stack, one["uid"], one["id"], hawk.derive_key(one["id"], NEWER, "a1b2c3")) == 401
    assert status(stack, one["uid"], one["id"], one["key"]) == status(stack, two["uid"], two["id"], two["key"]) == 200


@pytest.mark.parametrize("payload, reason", [(b"NOTJSON", "malformed"), (b"42", "malformed"), (b"[]", "malformed"), (b'"x"', "malformed"),
                                             (b"null", "malformed"), (b"{}", "missing-field"), (b"\xff\xfe", "malformed"),
                                             (b" ", "malformed"),
                                             (b'{"uid":1', "malformed"), (b"{}{}", "malformed"), (b'{"a":"\xff"}', "malformed")])
def test_05_a_signed_payload_that_is_no_object_or_has_nothing(refusals, payload, reason):
    stack, counted = refusals
    for salt in ("", "a1b2c3"):
        assert status(stack, UID, *signed(payload, salt=salt)) == 401
    assert counted.since() == {reason: 2}


def test_06_secrets_and_salts_are_their_utf8_bytes(own_stack):
    secret = "gehëim-密码-0123456789abcdef"
    stack = own_stack({"tokens.secrets": secret})
    assert status(stack, UID, *signed(good(stack), secret)) == 200
    assert status(stack, UID, *signed(good(stack, salt="sälz"), secret, "sälz")) == 200
    out = TokenUser(stack).token()
    assert out["key"] == hawk.derive_key(out["id"], secret, json.loads(base64.urlsafe_b64decode(out["id"])[:-32])["salt"])


def test_07_token_and_key_are_plain_text(stack):
    out = TokenUser(stack).token()
    for text, size in ((out["id"], len(out["id"])), (out["key"], 44)):
        assert text.isascii() and len(text) == size and hawk.b64url(base64.urlsafe_b64decode(text)) == text


def test_08_rotation_old_and_new_verify_the_newest_signs_a_removed_one_is_out(own_stack):
    stack = own_stack()
    user = TokenUser(stack)
    first = user.token()
    stack.heddle.restart(tokens__secrets=f"{SECRET},{NEWER}")
    second = user.token()
    assert hawk.verify_token(second["id"], [SECRET, NEWER], [stack.url], stack.heddle.now())[1] == 1
    for token in (first, second):
        assert status(stack, token["uid"], token["id"], token["key"]) == 200
    stack.heddle.restart(tokens__secrets=NEWER)
    assert status(stack, second["uid"], second["id"], second["key"]) == 200
    assert status(stack, first["uid"], first["id"], first["key"]) == 401


def test_09_nodes_are_compared_byte_for_byte(refusals):
    stack, counted = refusals
    tail = stack.url.removeprefix("http:")
    others = ["https:" + tail, "HTTP:" + tail, stack.url + "/", stack.url.replace("127.0.0.1", "localhost"), "http://127.0.0.1", "", "x"]
    for node in others:
        assert status(stack, UID, *signed(good(stack, node=node))) == 401
    assert counted.since() == {"wrong-node": len(others)}


def test_09_an_earlier_name_can_be_an_alias(own_stack):
    """With a scheme's own port it is the same node, with another port another."""
    stack = own_stack({"node.aliases": ["https://old.example.net", "http://older.example.net:80"]})
    for node in (stack.url, "https://old.example.net", "https://old.example.net:443", "http://older.example.net"):
        assert status(stack, UID, *signed(good(stack, node=node))) == 200
    for node in ("https://old.example.net:80", "http://old.example.net", "https://older.example.net:80", "https://old.example.net/x"):
        assert status(stack, UID, *signed(good(stack, node=node))) == 401


def test_10_the_host_header_decides_nothing(stack):
    user = stack.user()
    target = user.base + "/info/collections"
    for host in ("evil.example.net", "[::1]:8000", "localhost", user.connection.host_header.upper(), "a" * 200, "127.0.0.1:1"):
        r = user.connection.request("GET", target, {"Authorization": user.sign("GET", target)}, host=host)
        assert r.status == 200, repr(r)


def test_11_a_token_of_another_node_of_the_cluster_is_refused(refusals):
    stack, counted = refusals
    assert status(stack, UID, *signed(good(stack, node="http://node18.example.net"))) == 401
    assert counted.since() == {"wrong-node": 1}


@pytest.mark.parametrize("members", [{}, {"fxa_uid": "f" * 32, "device_id": "d" * 32},
                                     {"fxa_uid": "f" * 32, "fxa_kid": "0000000001234-qqo", "hashed_fxa_uid": "a" * 32,
                                      "hashed_device_id": "b" * 32, "tokenserver_origin": "rust"},
                                     {"fxa_uid": "a=_-Z9", "fxa_kid": "x"}, {"tokenserver_origin": "python", "later": {"a": [1]}}], ids=str)
def test_12_all_styles_of_identifiers_are_taken(stack, members):
    assert status(stack, UID, *signed(good(stack, **members))) == 200


@pytest.mark.parametrize("members, reason", [
    ({"fxa_uid": "testuser\n", "fxa_kid": "x"}, "invalid-field"), ({"fxa_uid": "x", "fxa_kid": "invalid!kid"}, "invalid-field"),
    ({"hashed_fxa_uid": "x"}, "missing-field"), ({"hashed_fxa_uid": "x", "fxa_uid": "y"}, "missing-field"),
    ({"fxa_uid": "", "fxa_kid": "x"}, "invalid-field"), ({"fxa_uid": "x" * 65, "fxa_kid": "x"}, "invalid-field"),
    ({"fxa_uid": 5, "fxa_kid": "x"}, "invalid-field"), ({"fxa_uid": "x", "fxa_kid": "y", "hashed_device_id": "a b"}, "invalid-field")],
    ids=str)
def test_13_identifiers_outside_their_form(refusals, members, reason):
    stack, counted = refusals
    assert status(stack, UID, *signed(good(stack, **members))) == 401
    assert counted.since() == {reason: 1}


@pytest.mark.parametrize("uid", [str(UID), 2**63, -1, 1.0, 2e9, True, [UID], {}])
def test_14_a_uid_that_is_no_whole_number(refusals, uid):
    stack, counted = refusals
    assert status(stack, UID, *signed(good(stack, uid=uid))) == 401
    assert counted.since() in ({"invalid-field": 1}, {"malformed": 1})  # a number beyond all bounds is no JSON of ours


@pytest.mark.parametrize("payload", ['{"uid":%d,"uid":%d,"node":"%s","expires":9999999999,"salt":"a1b2c3"}',
                                     '{"uid":%d,"a":[[[[[%d]]]]],"node":"%s","expires":9999999999,"salt":"a1b2c3"}',
                                     '{"uid":%d,"b":%d,"node":"%s","expires":NaN,"salt":"a1b2c3"}',
                                     '{"uid":%d,"b":%d,"node":"%s","expires":-1,"salt":"a1b2c3"}',
                                     '{"uid":%d,"b":%d,"node":"%s","expires":"9999999999","salt":"a1b2c3"}'])
def test_07_bad_input_duplicates_depth_and_odd_numbers(stack, payload):
    assert status(stack, UID, *signed((payload % (UID, UID, stack.url)).encode())) == 401


@pytest.mark.parametrize("salt, expected", [("", 401), ("x" * 64, 200), ("x" * 65, 401), ("any text", 200), (5, 401)])
def test_07_bad_input_salts(stack, salt, expected):
    assert status(stack, UID, *signed(good(stack, salt=salt), salt=str(salt))) == expected


def test_15_and_16_an_expired_token_reads_info_collections_and_nothing_else(refusals):
    stack, counted = refusals
    expired = signed(good(stack, expires=int(stack.heddle.now()) - 60))
    for target in ("/info/collections", "/info/collections?v=1.2", "/info/collections?"):
        assert status(stack, UID, *expired, target=target) == status(stack, UID, *expired, target=target, method="HEAD") == 200
    assert counted.since() == {}
    others = ["/info/quota", "/info/collection_usage", "/info/collection_counts", "/info/configuration", "/storage/bookmarks",
              "/storage/info/collections", "/storage/info", "/storage/bookmarks/a"]
    for target in others:
        assert status(stack, UID, *expired, target=target) == 401
    for method, target in (("DELETE", ""), ("DELETE", "/storage"), ("DELETE", "/storage/info")):
        assert status(stack, UID, *expired, target=target, method=method) == 401
    assert counted.since() == {"expired": len(others) + 3}


def test_15_the_grace_is_two_hours_and_can_be_set(own_stack, stack):
    long_ago = int(stack.heddle.now()) - 7200
    assert status(stack, UID, *signed(good(stack, expires=long_ago))) == 401
    assert status(stack, UID, *signed(good(stack, expires=long_ago + 300))) == 200
    none = own_stack({"tokens.grace": "0"})
    assert status(none, UID, *signed(good(none, expires=int(none.heddle.now()) - 1))) == 401


def test_17_and_19_order_and_white_space_do_not_matter_and_nothing_is_kept(stack):
    members = good(stack)
    shuffled = json.dumps(dict(reversed(members.items())), indent=2).encode()
    for _ in range(2):
        compact = json.dumps(members, separators=(",", ":")).encode()
        for payload in (json.dumps(members).encode(), compact, shuffled, b" " + shuffled + b"\n"):
            assert status(stack, UID, *signed(payload)) == 200


def test_20_expires_may_be_a_fraction(stack):
    now = int(stack.heddle.now())
    assert status(stack, UID, *signed(good(stack, expires=now + 3600.5)), target="/info/quota") == 200
    assert status(stack, UID, *signed(good(stack, expires=now - 0.5)), target="/info/quota") == 401


@pytest.mark.parametrize("in_url, expected", [("2000000002", 401), ("200000000", 401), ("0", 401), ("9999999999", 401),
                                              ("20000000010", 404), ("02000000001", 404), ("2000000001x", 404), ("+2000000001", 404)])
def test_21_a_token_opens_no_other_users_door(refusals, in_url, expected):
    """A uid has at most ten digits, else there is no such place."""
    stack, counted = refusals
    assert status(stack, UID, *signed(good(stack)), base=f"/1.5/{in_url}") == expected
    assert counted.since() == ({"uid-mismatch": 1} if expected == 401 else {})


# ---- secrets ----

def test_41_and_42_derived_secrets_one_for_each_master_and_none_for_others(own_stack):
    stack = own_stack({"tokens.derived": "yes", "tokens.secrets": f"{SECRET},{NEWER}"})
    own = [hawk.node_secret(master, stack.url) for master in (SECRET, NEWER)]
    for secret in own:
        assert status(stack, UID, *signed(good(stack), secret)) == 200
    other = [hawk.node_secret(master, node) for master in (SECRET, NEWER) for node in (stack.url + "/", "http://127.0.0.1:1")]
    for secret in [SECRET, NEWER, *other]:
        assert status(stack, UID, *signed(good(stack), secret)) == 401
    out = TokenUser(stack).token()
    assert hawk.verify_token(out["id"], own, [stack.url], stack.heddle.now())[1] == 1
    assert status(stack, out["uid"], out["id"], out["key"]) == 200


def test_41_secrets_from_a_file_newest_last(own_stack):
    stack = own_stack(start=False)
    path = stack.heddle.folder / "secrets"
    path.write_text(f"{SECRET}\n\n{NEWER}\n")
    stack.heddle.settings["tokens.secrets"] = f"@{path}"
    stack.heddle.start()
    out = TokenUser(stack).token()
    assert hawk.verify_token(out["id"], [SECRET, NEWER], [stack.url], stack.heddle.now())[1] == 1
    assert status(stack, UID, *signed(good(stack), SECRET)) == 200


def test_42_a_master_whose_text_cannot_be_halved_is_refused_at_the_start(own_stack):
    stack = own_stack({"tokens.derived": "yes", "tokens.secrets": SECRET + "a"}, start=False)
    with pytest.raises(RuntimeError, match="(?i)secret"):
        stack.heddle.start()


# ---- tokens of a foreign token server ----

def test_foreign_tokens_work_for_users_never_seen(stack):
    """A fixed secret, no epoch, any uid: nobody has to be told of a user."""
    for uid in (0, 1_900_000_000, 2**31, 9_999_999_999):
        token = signed(good(stack, uid=uid))
        client = Storage15(stack.heddle, uid, *token)
        client.save("bookmarks", "a", "x")
        assert client.ids("bookmarks") == ["a"]
        client.delete("/storage")


def test_tokens_without_an_epoch_or_of_an_old_one_are_refused_once_it_is_above_one(stack):
    user = TokenUser(stack)
    user.uid(k=1, state="aa")
    out = user.token(k=2, state="bb")
    uid = out["uid"]
    Storage15(stack.heddle, uid, out["id"], out["key"]).save("bookmarks", "a", "x")
    for epoch, expected in ((None, 401), (1, 401), (2, 200), (3, 401), (0, 401), (-1, 401), ("2", 401), (2.0, 401)):
        assert status(stack, uid, *signed(good(stack, uid=uid, epoch=epoch))) == expected, epoch
