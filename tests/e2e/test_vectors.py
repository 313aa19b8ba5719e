"""The published vectors (tests/data): first against the implementation in lib/hawk.py, which shares nothing with the server; then, as far
as a server with a real clock can be asked, over HTTP with equivalents minted now."""
import base64
import json
import re

import pytest

from lib import hawk, synccrypto
from lib.heddle import METRICS_KEY, SECRET
from lib.processes import ROOT
from lib.storage15 import Storage15, check_promises

TOKENS = json.loads((ROOT / "tests/data/tokens.json").read_text())
HAWK = json.loads((ROOT / "tests/data/hawk.json").read_text())


def named(vectors):
    return [pytest.param(v, id=v.get("name", str(i))) for i, v in enumerate(vectors)]


# ---- this client's own implementation ----

@pytest.mark.parametrize("v", named(TOKENS["tokens"]))
def test_token_vector(v):
    if v.get("salt_utf8"):
        assert hawk.derive_key(v["token"], v["signing_secret"], v["salt_utf8"]) == v["derived_key"]
    if v.get("signing_key_hex"):
        assert hawk.signing_key(v["signing_secret"]).hex() == v["signing_key_hex"]
    try:
        members, index, key, expired = hawk.verify_token(v["token"], v["accepted_secrets"], [v["node"]], v["now"])
    except hawk.Refused as e:
        assert v["expect"] == {"ok": False, "error": str(e)}
        return
    assert v["expect"]["ok"]
    assert (members["uid"], index, expired) == (v["expect"]["uid"], v["expect"]["secret_index"],
                                                v["expect"]["expired_grace_only"])
    assert key == v["derived_key"]


@pytest.mark.parametrize("v", named([t for t in TOKENS["tokens"] if t["expect"]["ok"]]))
def test_a_good_token_is_signed_again_to_the_same_text(v):
    assert hawk.sign_payload(v["payload_utf8"].encode(), v["signing_secret"]) == v["token"]


@pytest.mark.parametrize("v", named(TOKENS["derived_node_secrets"]))
def test_derived_node_secret(v):
    assert hawk.node_secret(v["master_secret_ascii"], v["node"]) == v["node_secret_ascii"]


@pytest.mark.parametrize("v", named(TOKENS["fxa_metrics_hashes"]))
def test_metrics_hash(v):
    assert hawk.metrics_hash(v["metrics_key"], v["fxa_uid"]) == v["hashed_fxa_uid"]
    assert hawk.metrics_device_hash(v["metrics_key"], v["hashed_fxa_uid"], v["device"]) == v["hashed_device_id"]


@pytest.mark.parametrize("v", named(TOKENS["x_keyid"]))
def test_key_id(v):
    if v.get("keys_changed_at") is None or v.get("client_state_hex") is None:
        with pytest.raises(ValueError):
            hawk.parse_key_id(v["x_keyid"])
        return
    when, state = hawk.parse_key_id(v["x_keyid"])
    assert (when, state) == (v["keys_changed_at"], v["client_state_hex"])
    if v.get("fxa_kid_in_token"):
        assert hawk.fxa_kid(when, state) == v["fxa_kid_in_token"]


@pytest.mark.parametrize("v", named(HAWK["request_vectors"]))
def test_hawk_vector(v):
    r = v["request"]
    body = r.get("body_utf8")
    try:
        attributes = hawk.parse_header(v["authorization"])
        parses = True
    except hawk.Refused:
        parses = False
    if v["name"] not in ("scheme-bearer", "scheme-lowercase"):  # they parse; it is the scheme that is wrong
        assert parses == v["header_parses"]
    if parses and v.get("normalized_string") and "ts" in attributes and "nonce" in attributes:
        host, port = hawk.split_host(r["host_header"], r["scheme"])
        text = hawk.normalized(attributes["ts"], attributes["nonce"], r["method"], r["path_and_query"], host, port,
                               attributes.get("hash"), attributes.get("ext"))
        assert text == v["normalized_string"]
        assert hawk.mac(v["key"], text) == v["computed_mac"]
    try:
        if not parses:
            raise hawk.Refused("no-credentials")
        hawk.verify_hawk(attributes, v["key"], r["method"], r["scheme"], r["host_header"], r["path_and_query"], v["now"],
                         r.get("content_type"), body.encode() if body is not None else None)
        accepted = True
    except hawk.Refused:
        accepted = False
    assert accepted == v["expect"]["accept"]


@pytest.mark.parametrize("v", named(HAWK["end_to_end_vectors"]))
def test_end_to_end_vector(v):
    r = v["request"]
    try:
        hawk.verify_request(v["authorization"], v["accepted_secrets"], v["node"], v["now"], r["method"], r["scheme"],
                            r["host_header"], r["path_and_query"])
        reason = None
    except hawk.Refused as e:
        reason = str(e)
    assert reason == v["expect"]["reason"]
    assert (reason is None) == (v["expect"]["status"] == 200)


def test_published_hawk_example():
    text = hawk.normalized(1353832234, "j4h3g2", "GET", "/resource/1?b=1&a=2", "example.com", 8000, ext="some-app-ext-data")
    assert text == ("hawk.1.header\n1353832234\nj4h3g2\nGET\n/resource/1?b=1&a=2\nexample.com\n8000\n\nsome-app-ext-data\n")
    key = "werxhqb98rpaxn39848xrunpaw3489ruxnpa98w4rxn"
    assert hawk.mac(key, text) == "6R4rV5iE+NPoym+WwjeHzjAGXUtLNIxmo1vpMofpLAE="


def test_key_bundles_of_storage_format_5():
    key = bytes(range(16))
    assert synccrypto.key_of_friendly(synccrypto.friendly_key(key)) == key
    bundle = synccrypto.KeyBundle.from_recovery_key(key, "johndoe")
    assert bundle.decrypt(bundle.encrypt({"a": "ä\n"})) == {"a": "ä\n"}
    with pytest.raises(synccrypto.BadHmac):
        synccrypto.KeyBundle.from_recovery_key(key, "janedoe").decrypt(bundle.encrypt({}))


# ---- the same things asked of a running server ----

def present(stack, uid, hawk_id, key, method="GET", target="/info/collections"):
    return Storage15(stack.heddle, uid, hawk_id, key).request(method, target, expect=None)


def members_now(stack, v):
    """The members of a vector's payload, moved to this server's name and clock."""
    m = json.loads(v["payload_utf8"])
    if isinstance(m, dict):
        if isinstance(m.get("expires"), (int, float)) and not isinstance(m.get("expires"), bool):
            left = m["expires"] - v["now"]
            m["expires"] = int(stack.heddle.now()) + (left + 60 if 0 < left < 10 else left)  # the test itself takes time
        if "node" in m and m["node"] == v["node"]:
            m["node"] = stack.url
        elif m.get("node") == v["node"] + "/":
            m["node"] = stack.url + "/"
        elif "node" in m and m["node"].split("://")[-1] == v["node"].split("://")[-1]:
            m["node"] = stack.url.replace("http:", "https:")
        if isinstance(m.get("uid"), int) and m["uid"] > 0:
            m["uid"] += 3_000_000_000
    return m


def _json_tokens():
    def is_json(v):
        try:
            return isinstance(json.loads(v["payload_utf8"]), dict)
        except ValueError:
            return False
    # `expires` equal to now is a matter of the second it arrives in; a damaged text is made below, from a good one
    skip = {"expired-exactly-now", "expired-grace-boundary", "bad-mac-last-bit", "tampered-payload-uid", "truncated-token",
            "not-base64", "old-secret-still-accepted"}  # the last needs a server with two secrets: below
    return [v for v in TOKENS["tokens"] if v.get("payload_utf8") and is_json(v) and v["name"] not in skip]


@pytest.mark.parametrize("v", named(_json_tokens()))
def test_server_judges_token_like_vector(stack, v):
    m = members_now(stack, v)
    secret = SECRET if v["signing_secret"] in v["accepted_secrets"] else v["signing_secret"]
    text = hawk.sign_payload(json.dumps(m).encode(), secret)
    uid = m["uid"] if isinstance(m.get("uid"), int) and m["uid"] >= 0 else 12345
    key = hawk.derive_key(text, secret, m.get("salt", ""))
    assert present(stack, uid, text, key).status == (200 if v["expect"]["ok"] else 401)
    strict = v["expect"]["ok"] and not v["expect"]["expired_grace_only"]
    assert present(stack, uid, text, key, target="/info/quota").status == (200 if strict else 401)


def _last_signature_bit(text):
    raw = base64.urlsafe_b64decode(text)
    return hawk.b64url(raw[:-1] + bytes([raw[-1] ^ 1]))


def _other_uid(text):
    raw = base64.urlsafe_b64decode(text)
    changed = re.sub(rb'("uid": ?)[0-9]', rb"\g<1>9", raw[:-32], count=1)
    assert changed != raw[:-32]
    return hawk.b64url(changed + raw[-32:])


@pytest.mark.parametrize("damage", [
    pytest.param(_last_signature_bit, id="bad-mac-last-bit"),
    pytest.param(_other_uid, id="tampered-payload-uid"),
    pytest.param(lambda t: t[:20], id="truncated-token"),
    pytest.param(lambda t: "@" + t[1:], id="not-base64"),
    pytest.param(lambda t: t.rstrip("="), id="padding-removed"),
    pytest.param(lambda t: "X" * 50, id="fifty-x"),
    pytest.param(lambda t: hawk.b64url(base64.urlsafe_b64decode(t)[-32:]), id="signature-only"),
    pytest.param(lambda t: hawk.sign_payload(b"NOTJSON", SECRET), id="payload-not-json"),
    pytest.param(lambda t: hawk.sign_payload(b"42", SECRET), id="payload-a-number"),
    pytest.param(lambda t: hawk.sign_payload(b"{}", SECRET), id="payload-empty"),
    pytest.param(lambda t: t.replace("-", "+").replace("_", "/") + "AAAA", id="longer-text"),
])
def test_server_refuses_damaged_token(stack, damage):
    uid = 2_000_012_345
    text = stack.mint(uid, pad="x")[0]
    while not text.endswith("="):
        text = stack.mint(uid, pad="x" + "y" * (len(text) % 7))[0]
    bad = damage(text)
    members = json.loads(base64.urlsafe_b64decode(text)[:-32])
    for signed_for in (bad, text):
        key = hawk.derive_key(signed_for, SECRET, members["salt"])
        assert present(stack, uid, bad, key).status == 401


def test_old_secret_is_still_accepted(own_stack):
    newer = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
    stack = own_stack({"tokens.secrets": f"{SECRET},{newer}"})
    uid = 2_000_012_345
    for secret, status in ((SECRET, 200), (newer, 200), (newer.upper(), 401)):
        assert present(stack, uid, *stack.mint(uid, secret=secret)).status == status
    # the key belongs to the secret that signed
    text, _ = stack.mint(uid, secret=SECRET, salt="a1b2c3")
    assert present(stack, uid, text, hawk.derive_key(text, newer, "a1b2c3")).status == 401


def test_derived_secret_is_accepted_and_the_master_is_not(own_stack):
    stack = own_stack({"tokens.derived": "yes"})
    uid = 2_000_012_345
    assert present(stack, uid, *stack.mint(uid, secret=hawk.node_secret(SECRET, stack.url))).status == 200
    assert present(stack, uid, *stack.mint(uid, secret=SECRET)).status == 401


# a server has one scheme and one name; bodies: test_server_checks_payload_hash
NOT_HERE = {"get-default-port", "http-default-port", "host-uppercase", "payload-hash-match", "payload-hash-mismatch"}


def hawk_now(stack, v, user):
    """A request vector's target and Authorization, made anew for this server, and damaged in the way of the vector."""
    name = v["name"]
    method, host, port = "GET", "127.0.0.1", stack.heddle.port
    target = f"/1.5/{user.uid}" + {"query-string": "/storage/bookmarks?full=1&newer=1767225000.12&ids=a%2Cb,c",
                                   "percent-encoding-kept": "/storage/bookmarks/%7Bb%7d"}.get(name, "/info/collections")
    now = int(stack.heddle.now())

    def sign(**kw):
        return hawk.header(user.id, user.key, **{"method": method, "target": target, "host": host, "port": port, "ts": now,
                                                 "nonce": "Kp3xQw9uRt0=", **kw})

    good = sign()
    no_hash = hawk.payload_hash("", b"")
    return target, {
        "get-explicit-port": good, "method-lowercase": good, "query-string": good, "percent-encoding-kept": good,
        "with-ext": sign(ext="some-ext"), "with-ext-quote": sign(ext='a "quoted" \\ word'),
        "bad-mac": re.sub(r'mac="(.)', lambda m: f'mac="{"B" if m[1] == "A" else "A"}', good),
        "short-mac": re.sub(r'mac="[^"]*"', 'mac="AAAA"', good),
        "wrong-key": hawk.header(user.id, user.key[::-1], method, target, host, port, now),
        "wrong-method": sign(method="DELETE"), "wrong-path": sign(target=f"/1.5/{user.uid}/info/quota"),
        "query-added": sign(target=target + "?x=1"), "wrong-host": sign(host="localhost"), "wrong-port": sign(port=port + 1),
        "wrong-scheme-port": sign(port=443), "ts-changed": good.replace(f'ts="{now}"', f'ts="{now - 1}"'),
        "nonce-changed": good.replace("Kp3x", "Kp3y"), "ext-added": good + ', ext="x"',
        "ts-5-minutes-old": sign(ts=now - 300), "ts-2-years-old": sign(ts=now - 2 * 366 * 86400),
        "ts-not-integer": sign(ts=f"{now}.5"), "missing-mac": re.sub(r', mac="[^"]*"', "", good),
        "missing-ts": re.sub(r' ts="[^"]*",', "", good), "missing-nonce": re.sub(r' nonce="[^"]*",', "", good),
        "scheme-bearer": good.replace("Hawk ", "Bearer "), "scheme-lowercase": good.replace("Hawk ", "hawk "),
        "unclosed-quote": good[:-1], "no-attributes": "Hawk", "garbage": "Hawk garbage", "empty-header": " ",
        "double-comma": good.replace(", ts", ",, ts"), "payload-hash-altered": sign(hash=no_hash).replace('hash="', 'hash="A'),
        "payload-hash-removed": re.sub(r', hash="[^"]*"', "", sign(hash=no_hash)),
    }[name]


@pytest.mark.parametrize("v", named([v for v in HAWK["request_vectors"] if v["name"] not in NOT_HERE]))
def test_server_judges_hawk_like_vector(stack, user, v):
    user.save("bookmarks", "%7Bb%7d", "x")
    target, header = hawk_now(stack, v, user)
    r = user.connection.request("GET", target, {"Authorization": header})
    check_promises(r)
    assert r.status == v["expect"]["status"], repr(r)


@pytest.mark.parametrize("claimed, sent, status", [(b"[]", b"[]", 200), (b"[ ]", b"[]", 401)])
def test_server_checks_payload_hash(stack, user, claimed, sent, status):
    target = f"/1.5/{user.uid}/storage/bookmarks"
    header = user.sign("POST", target, hash=hawk.payload_hash("Application/JSON; charset=utf-8", claimed))
    r = user.connection.request("POST", target, {"Authorization": header,
                                                 "Content-Type": "Application/JSON; charset=utf-8"}, sent)
    check_promises(r)
    assert r.status == status


@pytest.mark.parametrize("v", named(HAWK["end_to_end_vectors"]))
def test_server_judges_request_like_vector(stack, v):
    life = {"ok-expired-info-collections": -60, "ok-expired-info-collections-query": -60, "expired-other-route": -60,
            "expired-lookalike-route": -60, "expired-too-long": -86400}.get(v["name"], 3600)
    uid = 2_000_012_345
    secret = SECRET.replace("5", "6") if v["name"] == "wrong-secret" else SECRET
    changes = {"node": "https://node18.sync.example.net"} if v["name"] == "wrong-node" else {}
    text, key = stack.mint(uid, life, secret, **changes)
    salt = json.loads(base64.urlsafe_b64decode(text)[:-32])["salt"]
    if v["name"] == "key-from-other-secret":
        key = hawk.derive_key(text, SECRET.replace("5", "6"), salt)
    in_url = uid + 1 if v["name"] == "uid-mismatch" else uid
    client = Storage15(stack.heddle, in_url, text, key)
    method = v["request"]["method"]
    target = re.sub(r"^/1\.5/[0-9]+", "", v["request"]["path_and_query"])
    body = None
    if method == "POST":
        target, body = "/storage/bookmarks", []
    header = client.sign(method, client.base + target)
    if v["name"] == "raw-key-instead-of-base64":
        mac = base64.b64encode(hawk.hmac_sha256(base64.urlsafe_b64decode(key), hawk.normalized(
            int(stack.heddle.now()), "n", method, client.base + target, "127.0.0.1", stack.heddle.port).encode())).decode()
        header = f'Hawk id="{text}", ts="{int(stack.heddle.now())}", nonce="n", mac="{mac}"'
    header = {"bad-mac": header[:-6] + "AAAA=" + '"', "malformed-header": header[:40], "no-header": ""}.get(v["name"], header)
    client.request(method, target, body, authorization=header, expect=v["expect"]["status"])


def test_token_server_hands_out_what_the_rules_say(stack):
    """The server's own token opens with the rules of this file, and its key is the derived one."""
    sub = "8f3ac2b1d4e54f6789aa0b1c2d3e4f50"
    r = stack.heddle.get("/1.0/sync/1.5", {"Authorization": "Bearer " + stack.access_token(sub),
                                           "X-KeyID": "1700000000123-AQIDBAUGBwgJCgsMDQ4PEA"})
    assert r.status == 200, repr(r)
    out = r.json()
    members, _, key, _ = hawk.verify_token(out["id"], [SECRET], [stack.url], stack.heddle.now())
    assert key == out["key"]
    assert (members["uid"], members["fxa_uid"]) == (out["uid"], sub)
    assert members["fxa_kid"] == "1700000000123-AQIDBAUGBwgJCgsMDQ4PEA"
    assert members["hashed_fxa_uid"] == out["hashed_fxa_uid"] == hawk.metrics_hash(METRICS_KEY, sub)
    assert out["api_endpoint"] == f"{stack.url}/1.5/{out['uid']}"
