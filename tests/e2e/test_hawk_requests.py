"""Hawk signatures as storage nodes judge them: edge cases 22 to 40 of "Tokens and Hawk" section 6, the rows about requests of its
section 7, base paths, strict mode, and what the log tells the operator. Rows that are elsewhere: see test_hawk_tokens.py."""
import json
import re

import pytest

from lib import hawk
from lib.heddle import SECRET
from lib.ops import Refusals, log_objects, metrics
from lib.processes import wait_until
from lib.storage15 import Storage15, check_promises
from lib.tokenserver import PATH, TokenUser, ask
from lib.wire import raw_exchange

pytestmark = pytest.mark.one_engine("sqlite+memory")
UID = 2_000_000_001
HOST, NAME = "sync.example.net", "https://sync.example.net"


@pytest.fixture
def refusals(shared_stacks, engine):
    stack = shared_stacks(engine, "hawk")
    return stack, Refusals(stack.heddle)


def send(stack, header, target=f"/1.5/{UID}/info/collections", method="GET", body=None, kind=None, host=None):
    """One request with this Authorization (None: without)."""
    headers = [("Authorization", header)] if header is not None else []
    headers += [("Content-Type", kind)] if kind else []
    c = stack.heddle.connection()
    r = c.request(method, target, headers, body, host=host)
    c.close()
    check_promises(r)
    return r.status


class Signer:
    """Signs for a user of this server; anything can be signed otherwise than it is sent."""

    def __init__(self, stack, host="127.0.0.1", port=None, **members):
        self.stack, self.host, self.port = stack, host, port or stack.heddle.port
        self.id, self.key = stack.mint(UID, **members)

    def __call__(self, target=f"/1.5/{UID}/info/collections", method="GET", **fields):
        full = {"host": self.host, "port": self.port, "ts": int(self.stack.heddle.now()), **fields}
        return hawk.header(self.id, self.key, method, target, **full)


# ---- what is signed ----

def test_22_with_and_without_a_query(stack):
    sign = Signer(stack)
    for tail in ("/info/collections", "/info/collections?v=1", "/storage/bookmarks?full=1&newer=1.00&limit=5",
                 "/storage/bookmarks?ids=a%2Cb", "/storage/xxx/a%20b%7B1%7D?x", "/storage/bookmarks?&&a=&=b"):
        target = f"/1.5/{UID}{tail}"
        assert send(stack, sign(target), target) in (200, 404), tail


def test_22_a_bare_question_mark_may_have_been_lost_on_the_way(stack):
    sign, target = Signer(stack), f"/1.5/{UID}/info/collections"
    assert send(stack, sign(target), target + "?") == send(stack, sign(target + "?"), target + "?") == 200
    assert send(stack, sign(target + "?"), target) == 401
    assert send(stack, sign(target), target + "??") == 401


@pytest.mark.parametrize("header", ["True", "", " ", "Haw", "Hawk", "Hawk ", "Hawk\t", "hawk ", "HAWK x", "Bearer x", "Basic dTpw"])
def test_23_and_28_and_38_no_prefix_too_short_or_blank(refusals, header):
    stack, counted = refusals
    assert send(stack, header) == 401
    assert counted.since() == {"no-credentials": 1}


def test_28_another_scheme_or_a_missing_attribute_is_no_credentials(refusals):
    stack, counted = refusals
    good = Signer(stack)()
    bad = [re.sub(rf'{name}="[^"]*"(, )?', "", good) for name in ("id", "ts", "nonce", "mac")]
    bad += [good.replace("Hawk ", s) for s in ("hawk ", "HAWK ", "Bearer ", "Hawk2 ", "Hawk\t", "")]
    for header in bad:
        assert send(stack, header) == 401, header
    assert counted.since() == {"no-credentials": len(bad)}
    assert send(stack, good) == 200


def test_24_a_foreign_secret_and_an_altered_signature(refusals):
    stack, counted = refusals
    assert send(stack, Signer(stack, secret=SECRET[::-1])()) == 401
    sign = Signer(stack)
    sign.id = sign.id[:-3] + ("B" if sign.id[-3] != "B" else "C") + sign.id[-2:]
    assert send(stack, sign()) == 401
    seen = counted.since()
    assert seen.get("bad-signature", 0) + seen.get("malformed", 0) == 2 and seen["bad-signature"] >= 1


def test_25_every_part_of_the_request_is_signed(refusals):
    stack, counted = refusals
    sign, target, now = Signer(stack), f"/1.5/{UID}/info/collections", int(stack.heddle.now())
    good = sign(nonce="Kp3xQw9uRt0=", ts=now, ext="x")
    changed = [sign(method="POST"), sign(target.replace("collections", "quota")), sign(target + "?a=1"), sign(target + "/"),
               sign(host="127.0.0.2"), sign(host="localhost"), sign(port=stack.heddle.port + 1), sign(port=80),
               good.replace("Kp3x", "Kp3y"), good.replace(f'"{now}"', f'"{now - 1}"'), good.replace('ext="x"', 'ext="y"'),
               good.replace(', ext="x"', ""), good + ', hash="' + hawk.payload_hash("", b"") + '"']
    for header in changed:
        assert send(stack, header) == 401, header
    assert counted.since() == {"bad-mac": len(changed)}
    assert send(stack, good, target + "?a=1") == 401 and send(stack, good, target + "/") in (401, 404)
    assert send(stack, good) == 200


@pytest.mark.parametrize("url, host, port", [(NAME, HOST, 443), ("http://" + HOST, HOST, 80), (NAME + ":8443", HOST, 8443),
                                             ("https://SYNC.Example.NET", HOST, 443), ("http://[::1]:8000", "[::1]", 8000)])
def test_26_the_port_is_that_of_the_public_url_or_its_schemes(own_stack, url, host, port):
    """Whatever Host says and whatever we listen at: behind a proxy these are others."""
    stack = own_stack({"public.url": url, "registration.mode": "open"})
    sign = Signer(stack, host, port, node=url)
    assert send(stack, sign()) == send(stack, sign(), host=f"{host}:{port}") == send(stack, sign(), host="x") == 200
    for wrong in (sign(port=stack.heddle.port), sign(port=444), sign(host="127.0.0.1"), sign(host="127.0.0.1", port=stack.heddle.port)):
        assert send(stack, wrong) == 401
    out = TokenUser(stack).token()
    assert out["api_endpoint"] == f"{url}/1.5/{out['uid']}"


def test_31_a_busted_mac(refusals):
    stack, counted = refusals
    good = Signer(stack)()
    head, _, mac = good[:-1].rpartition('mac="')
    for bad, reason in ((("B" if mac[0] == "A" else "A") + mac[1:], "bad-mac"), (mac[:-1], None), (mac + "=", None), ("AAAA", None),
                        ("", None), (mac[:-2] + "B=", None), (mac.replace("=", "!"), None), ("=" * 44, None)):
        assert send(stack, f'{head}mac="{bad}"') == 401
        assert set(counted.since()) <= ({reason} if reason else {"no-credentials", "bad-mac"})


@pytest.mark.parametrize("broken", [
    'id="y", realm="x" ', 'realm="x" id="y"', 'x="unclosed', 'x=a"b', 'x="a"b', 'x="a" b', 'x="a\\"', 'x="a\\', ", x=y", "x=,", "=x",
    "x", 'x = "y"', 'x ="y"', 'x= "y"', 'app="a"', 'dlg="a"', "x=a b", "x=a/b", "x='a'", 'x="a";y="b"', 'id="twice"', 'ts="1"'])
def test_32_the_grammar_of_the_header(refusals, broken):
    stack, counted = refusals
    good = Signer(stack)()
    assert send(stack, f"{good}, {broken}") == 401
    assert counted.since() == {"no-credentials": 1}


@pytest.mark.parametrize("change", [lambda h: h.replace(", ", ","), lambda h: h.replace(", ", " ,  \t"), lambda h: h + "  ",
                                    lambda h: re.sub(r'ts="(\d+)"', r"ts=\1", h), lambda h: h + ', later="x", more=1-2_z',
                                    lambda h: "Hawk " + ", ".join(reversed(h[5:].split(", "))), lambda h: h.replace("Hawk ", "Hawk   "),
                                    lambda h: h + ', realm="a, b=\\"c\\", \\\\"', lambda h: h + ', empty=""'])
def test_32_and_37_what_the_grammar_allows(stack, change):
    assert send(stack, change(Signer(stack)())) == 200


@pytest.mark.parametrize("ext", ["", "x", 'a "quoted" word', "back\\slash", "a, b, mac=c", "e" * 1024])
def test_37_escapes_commas_and_nothing_in_a_value(stack, ext):
    assert send(stack, Signer(stack)(ext=ext)) == 200


@pytest.mark.parametrize("path", ["/__heartbeat__", "/__lbheartbeat__", "/__version__", "/user/1.0/a", "/"])
def test_33_a_hawk_header_where_none_is_needed_is_ignored(stack, path):
    for header in ("Hawk x", 'Hawk id="', Signer(stack)()):
        assert stack.heddle.get(path, {"Authorization": header}).status == 200


def test_34_head_is_signed_as_head(stack):
    sign = Signer(stack)
    assert send(stack, sign(method="HEAD"), method="HEAD") == 200
    assert send(stack, sign(method="GET"), method="HEAD") == send(stack, sign(method="HEAD")) == 401


def test_35_two_headers_are_refused_whatever_they_say(refusals):
    stack, counted = refusals
    good = Signer(stack)()
    for pair in ((good, good), (good, "Basic dTpw"), ("x", good), ("", good)):
        r = stack.heddle.get(f"/1.5/{UID}/info/collections", [("Authorization", h) for h in pair])
        assert r.status == 401
    assert counted.since() == {"two-credentials": 4}


@pytest.mark.parametrize("claimed, sent, kind, expected", [
    (b'{"payload":"x"}', b'{"payload":"x"}', "application/json", 200), (b'{"payload":"y"}', b'{"payload":"x"}', "application/json", 401),
    (b'{"payload":"x"}', b'{"payload":"x"}', "APPLICATION/JSON ; charset=utf-8", 200), (b"", b'{"payload":"x"}', "application/json", 401)])
def test_a_payload_hash_is_checked_when_there_is_one(refusals, claimed, sent, kind, expected):
    stack, counted = refusals
    target = f"/1.5/{UID}/storage/bookmarks/hashed"
    header = Signer(stack)(target, "PUT", hash=hawk.payload_hash("application/json", claimed))
    assert send(stack, header, target, "PUT", sent, kind) == expected
    assert counted.since() == ({} if expected == 200 else {"bad-payload-hash": 1})


def test_a_payload_hash_covers_the_body_before_it_is_unpacked_and_the_body_is_not_written(stack):
    target = f"/1.5/{UID}/storage/refused/a"
    header = Signer(stack)(target, "PUT", hash=hawk.payload_hash("text/plain", b'{"payload":"x"}'))
    assert send(stack, header, target, "PUT", b'{"payload":"x"}', "application/json") == 401
    assert send(stack, Signer(stack)(target), target) == 404


# ---- time ----

def test_29_and_30_and_40_by_default_clocks_may_be_wrong_and_nonces_come_again(refusals):
    stack, counted = refusals
    sign, now = Signer(stack), int(stack.heddle.now())
    for ts in (now - 1000, now + 1000, now - 86400 * 300, now + 86400 * 300):
        assert send(stack, sign(ts=ts, nonce="n")) == send(stack, sign(ts=ts, nonce="n")) == 200
    again = sign()
    assert send(stack, again) == send(stack, again) == 200
    assert counted.since() == {}
    for ts in (now - 31449600 - 30, now + 31449600 + 300, 1234, 0, 10**15 - 1):
        assert send(stack, sign(ts=ts)) == 401
    assert counted.since() == {"stale": 5}


def test_40_a_window_as_wide_as_the_world(own_stack):
    stack = own_stack({"auth.hawk_window": 3153600000})
    for ts in (1234, 0, 4_500_000_000):
        assert send(stack, Signer(stack)(ts=ts)) == 200


def test_39_strict_mode_remembers_nonces_and_refuses_what_is_a_minute_off(own_stack):
    stack = own_stack({"auth.strict": "yes"})
    counted, sign, now = Refusals(stack.heddle), Signer(stack), int(stack.heddle.now())
    assert send(stack, sign(ts=now, nonce="one")) == 200
    assert send(stack, sign(ts=now, nonce="one")) == 401
    assert counted.since() == {"replayed": 1}
    assert send(stack, sign(ts=now, nonce="two")) == send(stack, sign(ts=now - 1, nonce="one")) == 200
    assert send(stack, Signer(stack)(ts=now, nonce="one")) == 200  # another token: another memory
    now = int(stack.heddle.now())
    assert send(stack, sign(ts=now - 61)) == send(stack, sign(ts=now + 120)) == send(stack, sign(ts=now - 1000)) == 401
    assert counted.since() == {"stale": 3}
    assert send(stack, sign(ts=now - 15)) == send(stack, sign(ts=now + 55)) == 200


def test_39_a_refused_signature_uses_up_no_nonce(own_stack):
    stack = own_stack({"auth.strict": "yes", "auth.hawk_window": 300})
    sign, now = Signer(stack), int(stack.heddle.now()) - 200
    good = sign(ts=now, nonce="once")
    assert send(stack, good.replace('mac="', 'mac="A')) == send(stack, good, f"/1.5/{UID}/info/quota") == 401
    assert send(stack, good) == 200
    assert send(stack, good) == 401


# ---- bad input ----

def test_07_bad_input_a_header_above_8_kib(refusals):
    stack, _ = refusals
    good = Signer(stack)()
    for size in (8 * 1024 + 1, 9_000, 60_000):
        r = stack.heddle.get(f"/1.5/{UID}/info/collections", {"Authorization": good + ', pad="' + "x" * (size - len(good) - 8) + '"'})
        assert r.status in (401, 431), repr(r)
    assert send(stack, good + ', pad="' + "x" * (8 * 1024 - len(good) - 8) + '"') == 200


@pytest.mark.parametrize("byte", [b"\x00", b"\x01", b"\x0b", b"\x1f", b"\x7f", b"\x80", b"\xc3\xa4", b"\xff", b"\r", b"\n"])
def test_07_bad_input_control_bytes_and_bytes_outside_ascii(stack, byte):
    head = Signer(stack)(ext="abc").encode().replace(b"abc", b"a" + byte + b"c")
    lines = [f"GET /1.5/{UID}/info/collections HTTP/1.1".encode(), b"Host: x", b"Authorization: " + head, b"Connection: close"]
    r = raw_exchange("127.0.0.1", stack.heddle.port, b"\r\n".join(lines) + b"\r\n\r\n")
    assert r is None or r.status in (400, 401), repr(r)


@pytest.mark.parametrize("field, value", [
    ("ts", "+1"), ("ts", "-1"), ("ts", " 1767225600"), ("ts", "1767225600 "), ("ts", "1767225600.0"), ("ts", "0x69"), ("ts", "1e9"),
    ("ts", ""), ("ts", "1" * 16), ("ts", "\u0661"), ("nonce", ""), ("nonce", "n" * 65), ("ext", "e" * 1025)])
def test_07_bad_input_forms_of_ts_nonce_and_ext(refusals, field, value):
    stack, counted = refusals
    header = Signer(stack)(**{field: value}).encode().decode("latin-1")
    assert send(stack, header) == 401
    assert counted.since() == {"no-credentials": 1}


def test_07_bad_input_many_bad_tokens_from_one_address_are_told_to_wait(own_stack):
    """Good ones from the same address pass, other addresses are not touched, and loopback itself has no limit."""
    stack = own_stack({"public.trusted_proxies": "127.0.0.1"})
    c, target = stack.heddle.connection(), f"/1.5/{UID}/info/collections"

    def from_address(address, header):
        return c.request("GET", target, [("Authorization", header)] + ([("X-Forwarded-For", address)] if address else []))

    bad, good = Signer(stack, secret=SECRET[::-1]), Signer(stack)
    assert {from_address(None, bad()).status for _ in range(400)} == {401}
    answers = [from_address("192.0.2.1", bad()) for _ in range(400)]
    statuses = [r.status for r in answers]
    assert statuses[:200] == [401] * 200 and statuses[-1] == 503 and set(statuses) == {401, 503}
    assert int(answers[-1].header("Retry-After")) > 0
    assert from_address("192.0.2.1", good()).status == from_address("192.0.2.2", good()).status == 200
    assert from_address("192.0.2.2", bad()).status == 401
    c.close()


# ---- what the log says ----

def test_07_nothing_of_a_credential_reaches_the_log(own_stack):
    stack = own_stack()
    sign = Signer(stack, fxa_uid="f00f" * 8, fxa_kid="0000000001234-qqo")
    headers = [sign(), sign(method="PUT"), sign().replace('mac="', 'mac="A'), sign()[:-1], sign(ts=5)]
    for header in headers:
        send(stack, header)
    out = TokenUser(stack).token()
    stack.heddle.stop()
    log = stack.heddle.log_text()
    secrets = [sign.key, sign.id[8:60], sign.id[-40:], SECRET, out["key"], out["id"][8:60]]
    secrets += [hawk.parse_header(h)["mac"] for h in headers[:1] + headers[4:]]
    assert [s for s in secrets if s in log] == []


@pytest.mark.parametrize("what, fields, told", [
    ("method", {"method": "PUT"}, "method: signed PUT, checked GET"),
    ("path", {"target": f"/1.5/{UID}/info/collections/"}, f"path: signed /1.5/{UID}/info/collections/, checked "),
    ("port", {"port": 443}, "port: signed 443, checked "),
    ("host", {"host": "proxy.example.net"}, "host: signed proxy.example.net, checked 127.0.0.1"),
    ("host and port", {"host": "proxy.example.net", "port": 80}, "host: signed proxy.example.net, checked 127.0.0.1; port: signed 80")])
def test_the_log_names_what_would_have_made_a_signature_fit(shared_stacks, engine, what, fields, told):
    """At most once a second. (Host is asked for a guess only: see row 10.)"""
    stack = shared_stacks(engine, "hawk")
    event = "a signature fits another request: check public.url and the proxy in front"

    def lines():
        return [line["signed"] for line in log_objects(stack.heddle, event)]

    before = len(lines())
    header = Signer(stack)(**fields)
    wait_until(lambda: send(stack, header, host="proxy.example.net") == 401 and len(lines()) > before, f"the log names the {what}")
    assert lines()[-1].startswith(told) and ("; " in lines()[-1]) == (" and " in what)


def test_the_log_tells_a_wrong_clock(shared_stacks, engine):
    stack = shared_stacks(engine, "hawk")

    def lines():
        return log_objects(stack.heddle, "a signature's time is outside the window: check the clocks")

    before = len(lines())
    wait_until(lambda: send(stack, Signer(stack)(ts=1234)) == 401 and len(lines()) > before, "the log tells the time")
    assert lines()[-1]["signed_s"] == 1234 and abs(lines()[-1]["now_s"] - stack.heddle.now()) < 30


def test_the_log_line_of_a_refused_request_has_its_reason(own_stack):
    stack = own_stack()
    send(stack, None), send(stack, Signer(stack)(port=1)), send(stack, Signer(stack, expires_in_s=-9000)())
    wait_until(lambda: [line["reason"] for line in log_objects(stack.heddle, "request") if line["status"] == 401][-3:] ==
               ["no-credentials", "bad-mac", "expired"], "three reasons in the log")
    assert metrics(stack.heddle)['heddle_hawk_refused_total{reason="expired"}'] == 1


# ---- a public URL with a path ----

BASE = "http://sync.example.net/some/base"


def test_a_base_path_is_signed_whether_the_proxy_strips_it_or_not(own_stack):
    stack = own_stack({"public.url": BASE, "registration.mode": "open"})
    sign = Signer(stack, HOST, 80, node=BASE)
    bare = f"/1.5/{UID}/info/collections"
    full = "/some/base" + bare
    assert send(stack, sign(full), full) == send(stack, sign(full), bare) == send(stack, sign(full + "?a=b"), bare + "?a=b") == 200
    assert send(stack, sign(bare), full) == send(stack, sign("/other" + bare), bare) == send(stack, sign("/some/bas" + bare), bare) == 401
    assert send(stack, sign("/some/base/some/base" + bare), full) == 401
    assert stack.heddle.get("/some/basement" + bare).status == stack.heddle.get("/some" + bare).status == 404


def test_a_base_path_stands_in_every_address_that_is_given_out(own_stack):
    stack = own_stack({"public.url": BASE, "registration.mode": "open", "registration.strict_usernames": "no"})
    user = TokenUser(stack)
    for path in (PATH, "/some/base" + PATH):
        out = user.token(path)
        assert out["api_endpoint"] == f"{BASE}/1.5/{out['uid']}"
    client = Storage15(stack.heddle, out["uid"], out["id"], out["key"])
    target = f"/some/base/1.5/{out['uid']}/info/collections"
    header = hawk.header(out["id"], out["key"], "GET", target, HOST, 80, int(stack.heddle.now()))
    assert client.connection.request("GET", target, {"Authorization": header}).status == 200
    body = json.dumps({"email": "a@example.com", "password": "correct horse"}).encode()
    assert stack.heddle.connection().request("PUT", "/some/base/user/1.0/alice", [], body).text == "alice"
    for path in ("/user/1.0/alice/node/weave", "/some/base/user/1.0/alice/node/weave"):
        assert stack.heddle.get(path).text == BASE + "/"
    assert ask(stack, [], "/").json()["auth"] == BASE
