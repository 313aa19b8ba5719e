"""Storage API 1.5: every row of the table of bad input. Never 500, never a partial write, and the connection's next request works."""
import json
import socket

import pytest

from lib.storage15 import check_promises, records
from lib.wire import raw_exchange


@pytest.fixture(autouse=True)
def nothing_happened(request):
    """After each test of this file that has a user: his one item is still as it was, and requests work."""
    if "kept" not in request.fixturenames:
        yield
        return
    user, written = request.getfixturevalue("kept")
    yield
    assert user.info() == {"keep": written}
    assert user.item("keep", "a") == {"id": "a", "modified": written, "payload": "x"}


@pytest.fixture
def kept(user):
    return user, user.save("keep", "a", "x")


# ---- who ----

@pytest.mark.parametrize("header", ["", "Hawk", "Hawk ", "True", "Basic dTpw", 'Hawk id="x"', 'Hawk id="x", ts="1", nonce="n", mac="m"',
                                    "Bearer x", 'Hawk realm="x" id="y"', "Hawk " + "x" * 7000, 'Hawk id="\\', "Hawk ,,,,"])
@pytest.mark.parametrize("method, target", [("GET", "/info/collections"), ("PUT", "/storage/keep/a"), ("DELETE", "/storage")])
def test_no_or_bad_authorization(kept, header, method, target):
    kept[0].request(method, target, {} if method == "PUT" else None, authorization=header, expect=401, code=0)


def test_two_authorization_headers(kept):
    user = kept[0]
    target = user.base + "/info/collections"
    r = user.connection.request("GET", target, [("Authorization", user.sign("GET", target))] * 2)
    check_promises(r)
    assert r.status == 401


@pytest.mark.parametrize("mac", ["", "AAAA", "x" * 44, "A" * 43 + "=", "A" * 88, "ä" * 44])
def test_mac_of_a_wrong_form(kept, mac):
    user = kept[0]
    head = user.sign("GET", user.base + "/info/collections").rpartition("mac=")[0] + f'mac="{mac}"'
    head = head.encode().decode("latin-1")
    user.get("/info/collections", authorization=head, expect=401, code=0)


@pytest.mark.parametrize("ts", ["", "-1", "+1", " 1", "1.5", "0x10", "1" * 16, "abc", "9" * 15])
def test_ts_of_a_wrong_form(kept, ts):
    user = kept[0]
    target = user.base + "/info/collections"
    user.get("/info/collections", authorization=user.sign("GET", target, ts=ts), expect=401, code=0)


@pytest.mark.parametrize("nonce", ["", "n" * 65])
def test_nonce_of_a_wrong_length(kept, nonce):
    user = kept[0]
    user.get("/info/collections", authorization=user.sign("GET", user.base + "/info/collections", nonce=nonce), expect=401)


@pytest.mark.parametrize("extra", [', app="x"', ', dlg="x"', ', ts="1"', ", ", ",", ' x="y"', ', x="y', ", x = y"])
def test_hawk_header_grammar(kept, extra):
    user = kept[0]
    user.get("/info/collections", authorization=user.sign("GET", user.base + "/info/collections") + extra, expect=401)


def test_hawk_header_with_an_unknown_attribute_or_bare_values_is_good(kept):
    user = kept[0]
    good = user.sign("GET", user.base + "/info/collections")
    user.get("/info/collections", authorization=good + ', x="y\\"z", bare=1-a_B')
    user.get("/info/collections", authorization=user.sign("GET", user.base + "/info/collections").replace(", ", " ,\t"))


MEMBERS = [{"uid": None}, {"uid": "x"}, {"uid": -1}, {"uid": 1.5}, {"uid": 2**63}, {"uid": True}, {"node": None}, {"node": 5},
           {"expires": None}, {"expires": "x"}, {"expires": -5}, {"salt": None}, {"salt": 5}, {"salt": ""}, {"salt": "x" * 65},
           {"fxa_uid": "a\nb", "fxa_kid": "1-x"}, {"fxa_kid": "invalid!kid"}, {"hashed_fxa_uid": "x"}, {"fxa_uid": ["x"]},
           {"fxa_uid": "x" * 65}, {"svc": "addons"}, {"epoch": "x"}, {"epoch": -1}, {"node": "http://127.0.0.1:1"}]


@pytest.mark.parametrize("members", MEMBERS, ids=str)
def test_tokens_with_wrong_members(kept, stack, members):
    """A member of None is absent; salt 5 is signed for with the text 5."""
    from lib import hawk
    from lib.heddle import SECRET
    from lib.storage15 import Storage15
    user = kept[0]
    full = {"node": stack.url, "expires": int(stack.heddle.now()) + 3600, "uid": user.uid, "salt": "a1b2c3", **members}
    text = hawk.sign_payload(json.dumps({k: v for k, v in full.items() if v is not None}).encode(), SECRET)
    key = hawk.derive_key(text, SECRET, str(full["salt"] or ""))
    Storage15(user.server, user.uid, text, key).get("/info/collections", expect=401, code=0)


@pytest.mark.parametrize("payload", [
    '{"uid":%d,"uid":%d,"node":"%s","expires":9999999999,"salt":"x"}',
    '{"uid":%d,"a":[[[[[%d]]]]],"node":"%s","expires":9999999999,"salt":"x"}',
    '{"uid":%d,"b":%d,"node":"%s","expires":NaN,"salt":"x"}'])
def test_tokens_with_odd_json(kept, stack, payload):
    from lib import hawk
    from lib.heddle import SECRET
    from lib.storage15 import Storage15
    user = kept[0]
    text = hawk.sign_payload((payload % (user.uid, user.uid, stack.url)).encode(), SECRET)
    Storage15(user.server, user.uid, text, hawk.derive_key(text, SECRET, "x")).get("/info/collections", expect=401, code=0)


# ---- where ----

BAD_TARGETS = ["/storage/" + "c" * 33, "/storage/a%20b", "/storage/a%2Fb", "/storage/a%00b", "/storage/%00", "/storage/a%C3%A4",
               "/storage/a:b", "/storage/keep/" + "i" * 65, "/storage/keep/a%0Ab", "/storage/keep/a%7Fb", "/storage/keep/a%C3%A4",
               "/storage/keep/a%00", "/storage/keep/a%2Fb", "/storage//a", "//storage/keep", "/storage/keep/../keep",
               "/storage/keep/%2e%2e/keep", "/storage/%zz", "/storage/keep/%4", "/storage/keep/%"]


@pytest.mark.parametrize("target", BAD_TARGETS)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_bad_names_in_the_path(kept, method, target):
    body = {"payload": "new"} if method == "PUT" else None
    # a known path that knows no such method says 405 before it looks at anything else
    good = {404} | ({405} if method == "PUT" else set()) | ({400} if target[-3:] in ("%zz", "/%4", "p/%") else set())
    kept[0].request(method, target, body, expect=tuple(good), code=0)


@pytest.mark.parametrize("uid", ["12345678901", "abc", "-1", "1.0", "", "%31", "1_000", "0x12", "99999999999999999999999"])
def test_bad_uid_in_the_path(stack, user, uid):
    bad = stack.again(user)
    bad.base = f"/1.5/{uid}"
    # %31 is the digit 1, and so another user's uid
    bad.get("/info/collections", expect=401 if uid == "%31" else 404, code=0)


# ---- parameters ----

@pytest.mark.parametrize("value", ["a", "", "-1", "-0.5", "NaN", "inf", "Infinity", "1e999", "1.2.3", "0x10", "%00", "1;2", "1%20", "%C3%A4"])
@pytest.mark.parametrize("name", ["newer", "older"])
def test_bad_bounds(kept, name, value):
    kept[0].get(f"/storage/keep?{name}={value}", expect=400, code=0)


@pytest.mark.parametrize("value", ["a", "", "-1", "1.5", "4294967296", "9" * 30, "0x10", "1e3", "%00", "%2B1"])
def test_bad_limit(kept, value):
    kept[0].get(f"/storage/keep?limit={value}", expect=400, code=0)


@pytest.mark.parametrize("value", ["a", "", "abc_1", "-1", "%00", "A" * 3000, "'; --", "%F0%9F%98%80", "99999999999999999999_1"])
@pytest.mark.parametrize("sort", ["", "&sort=oldest", "&sort=index"])
def test_bad_offset(kept, sort, value):
    kept[0].get(f"/storage/keep?limit=1{sort}&offset={value}", expect=400, code=0)


@pytest.mark.parametrize("value", ["whatever", "", "NEWEST", "newest,oldest", "%00"])
def test_bad_sort(kept, value):
    kept[0].get(f"/storage/keep?sort={value}", expect=400, code=0)


@pytest.mark.parametrize("ids", [",".join(f"i{i}" for i in range(101)), "a," + "x" * 65, "a%0Ab", "a,%C3%A4", "a%00", "a%7F"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_bad_ids(kept, method, ids):
    kept[0].request(method, f"/storage/keep?ids={ids}", expect=400, code=0)


def test_bad_accept(kept):
    kept[0].get("/storage/keep", headers={"Accept": "image/png"}, expect=406, code=0)


# ---- bodies ----

@pytest.mark.parametrize("kind", ["application/octet-stream", "text/html", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
                                  "application/javascript", "json", "x" * 300, "/"])
def test_bad_content_type(kept, kind):
    kept[0].put("/storage/keep/a", {"payload": "y"}, type=kind, expect=415, code=0)
    kept[0].post("/storage/keep", [{"id": "a", "payload": "y"}], type=kind, expect=415, code=0)


def test_a_body_above_the_limit(kept):
    user = kept[0]
    most = user.limits()["max_request_bytes"]
    big = json.dumps([{"id": "a", "payload": ""}])
    big = big.replace('"payload": ""', '"payload": "' + "x" * (most + 1 - len(big)) + '"')
    assert len(big) == most + 1
    user.post("/storage/keep", big, expect=413, code=17)
    user.put("/storage/keep/a", big[1:-1] + "  ", expect=413, code=17)


def test_a_body_of_just_the_limit_is_read(user):
    most = user.limits()["max_request_bytes"]
    items = json.dumps([{"id": "a", "payload": "x"}])
    user.post("/storage/xx", items + " " * (most - len(items)))
    assert user.ids("xx") == ["a"]


def test_content_length_above_the_limit_is_refused_before_the_body(kept):
    user = kept[0]
    target = user.base + "/storage/keep"
    head = (f"POST {target} HTTP/1.1\r\nHost: {user.connection.host_header}\r\nAuthorization: {user.sign('POST', target)}\r\n"
            f"Content-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n")
    r = raw_exchange(user.connection.host, user.connection.port, head.encode() + b"[")
    check_promises(r)
    assert (r.status, r.body) == (413, b"17")


def test_a_chunked_body_above_the_limit(kept):
    user = kept[0]
    target = user.base + "/storage/keep"
    head = (f"POST {target} HTTP/1.1\r\nHost: {user.connection.host_header}\r\nAuthorization: {user.sign('POST', target)}\r\n"
            f"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n").encode()
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    r = raw_exchange(user.connection.host, user.connection.port, head + chunk * 41 + b"0\r\n\r\n")
    assert r is None or (r.status, r.body) == (413, b"17")


def test_a_chunked_body_within_the_limit_is_read(user):
    target = user.base + "/storage/xx"
    head = (f"POST {target} HTTP/1.1\r\nHost: {user.connection.host_header}\r\nAuthorization: {user.sign('POST', target)}\r\n"
            f"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n").encode()
    parts = [b'[{"id', b'":"a","payload"', b':"chunked"}]', b""]
    body = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in parts)
    r = raw_exchange(user.connection.host, user.connection.port, head + body)
    check_promises(r)
    assert r.status == 200 and user.item("xx", "a")["payload"] == "chunked"


NOT_JSON = [b"", b" ", b"{", b"[", b"}", b"nonsense", b"{'id':'a'}", b'{"payload":"x"', b'{"payload":"x"}}', b'{"payload":"\xff\xfe"}',
            b'{"payload":"\\ud800"}', b'{"payload":"\\udc00\\ud800"}', b'{"payload":"x"}\x00', b'\x00{"payload":"x"}', b'{"payload":"a\nb"}',
            b'{"payload":NaN}', b'{"sortindex":01}', b'{"sortindex":Infinity}', b"[" * 100000, b'{"a":' * 40 + b"1" + b"}" * 40,
            b'{"payload":"x",}', b'\xef\xbb\xbf{"payload":"x"}', b'{"payload":"\xc0\x80"}', b'{"payload":"\xed\xa0\x80"}']


@pytest.mark.parametrize("body", NOT_JSON, ids=lambda b: repr(b[:24]))
def test_a_body_that_is_not_json(kept, body):
    kept[0].put("/storage/keep/a", body, expect=400, code=6)
    kept[0].post("/storage/keep", b"[" + body + b"]" if body.strip() else body, expect=400, code=6)
    kept[0].post("/storage/keep?batch=true&commit=true", body if not body.strip() else b"[" + body + b"]", expect=400, code=6)


@pytest.mark.parametrize("body", ['"notabso"', "42", "[]", "null", "true", '[{"payload":"y"}]'])
def test_put_of_what_is_no_object(kept, body):
    kept[0].put("/storage/keep/a", body, expect=400, code=8)


BAD_FIELDS = [({"payload": {"a": "b"}}, "payload not a string"), ({"payload": 42}, "payload not a string"),
              ({"payload": ["x"]}, "payload not a string"), ({"payload": True}, "payload not a string"),
              ({"sortindex": "xxx"}, "invalid sortindex"), ({"sortindex": "2.6"}, "invalid sortindex"),
              ({"sortindex": 2.6}, "invalid sortindex"), ({"sortindex": "1000000000"}, "invalid sortindex"),
              ({"sortindex": 1000000000}, "invalid sortindex"), ({"sortindex": -9999999999}, "invalid sortindex"),
              ({"sortindex": True}, "invalid sortindex"), ({"sortindex": [1]}, "invalid sortindex"),
              ({"sortindex": 10**30}, "invalid sortindex"), ({"ttl": "eh?"}, "invalid ttl"), ({"ttl": "4.2"}, "invalid ttl"),
              ({"ttl": 4.2}, "invalid ttl"), ({"ttl": -1}, "invalid ttl"), ({"ttl": 1000000000}, "invalid ttl"), ({"ttl": {}}, "invalid ttl"),
              ({"unexpected": "spanish-inquisition"}, "unknown field unexpected"), ({"parentid": "x"}, "unknown field parentid"),
              ({"Payload": "x"}, "unknown field Payload"), ({"": 1}, "unknown field ")]


@pytest.mark.parametrize("field, reason", BAD_FIELDS, ids=lambda v: str(v)[:40])
def test_a_bad_field(user, field, reason):
    written = user.save("xx", "a", "x")
    user.put("/storage/xx/a", {"payload": "new", **field}, expect=400, code=8)
    assert user.info() == {"xx": written} and user.item("xx", "a")["payload"] == "x"
    out = user.upload("xx", [{"id": "good", "payload": "x"}, {"id": "a", "payload": "new", **field}])
    assert out["success"] == ["good"] and list(out["failed"]) == ["a"]
    assert out["failed"]["a"] == reason.strip() or out["failed"]["a"] == reason
    assert user.item("xx", "a")["payload"] == "x" and sorted(user.ids("xx")) == ["a", "good"]


@pytest.mark.parametrize("id", [["a"], {"x": 1}, 42, True, "", "x" * 65, "a\nb", "ä"])
def test_put_with_a_bad_id_in_the_body(kept, id):
    kept[0].put("/storage/keep/a", {"id": id, "payload": "y"}, expect=400, code=8)


def test_put_of_a_payload_above_the_limit(own_stack):
    user = own_stack({"limits.max_record_payload_bytes": 1000}).user()
    user.put("/storage/xx/a", {"payload": "x" * 1001}, expect=400, code=8)
    assert user.info() == {}
    out = user.upload("xx", [{"id": "a", "payload": "x" * 1001}, {"id": "b", "payload": "x" * 1000}])
    assert out["success"] == ["b"] and out["failed"] == {"a": "payload too large"}


@pytest.mark.parametrize("body", ['"notalist"', "42", "{}", "null", "true", '{"id":"a","payload":"y"}'])
def test_post_of_what_is_no_list(kept, body):
    kept[0].post("/storage/keep", body, expect=400, code=8)


@pytest.mark.parametrize("bad", ["BAD", 42, None, [], ["x"], {}, {"payload": "no id"}, {"id": 42}, {"id": None}, {"id": ["a"]}, {"id": True},
                                 {"id": "good", "payload": "again"}], ids=repr)
@pytest.mark.parametrize("query", ["", "?batch=true", "?batch=true&commit=true"])
def test_post_with_an_element_that_fails_the_whole_request(kept, query, bad):
    kept[0].post(f"/storage/keep{query}", [{"id": "good", "payload": "y"}, bad], expect=400, code=8)


@pytest.mark.parametrize("id", ["A\nB", "A\n", "\nN", "A\tB", "", "X" * 65, "\x7f", "ä", "\u0000", "\U0001f600"], ids=repr)
def test_post_with_an_id_that_fails_alone(user, id):
    out = user.upload("xx", [{"id": "good", "payload": "x"}, {"id": id, "payload": "x"}])
    assert out["success"] == ["good"] and out["failed"] == {id: "invalid id"}
    assert user.ids("xx") == ["good"]


@pytest.mark.parametrize("line", ["[]", "{}", "42", '"x"', '{"payload":"no id"}'])
def test_newlines_with_a_bad_line(kept, line):
    kept[0].post("/storage/keep", '{"id":"good","payload":"y"}\n' + line + "\n", type="application/newlines", expect=400, code=8)


@pytest.mark.parametrize("body", ["\n", '\n{"id":"a"}', '{"id":"a"}\n\n{"id":"b"}', '{"id":"a"}\n\n', "nonsense", '{"id":\n"a"}',
                                  '{"id":"a"}{"id":"b"}'])
def test_newlines_with_an_empty_or_broken_line(kept, body):
    kept[0].post("/storage/keep", body, type="application/newlines", expect=400, code=6)


SIZE_HEADERS = ["X-Weave-Records", "X-Weave-Bytes", "X-Weave-Total-Records", "X-Weave-Total-Bytes"]


@pytest.mark.parametrize("value", ["abc", "-1", "1.5", "", "0x10", "1 2", "+1", "9" * 30])
@pytest.mark.parametrize("header", SIZE_HEADERS)
def test_a_size_header_that_is_no_number(kept, header, value):
    code = 17 if value == "9" * 30 else 1
    r = kept[0].post("/storage/keep?batch=true", records(1), headers={header: value}, expect=400)
    assert r.body == str(code).encode() or (code == 17 and r.body == b"1"), repr(r)


@pytest.mark.parametrize("query", ["batch=sammich", "batch=" + "A" * 24, "commit=true", "batch=true&commit=yes", "batch=a%00b", "batch=%FF"])
def test_a_batch_that_is_not_known(kept, query):
    kept[0].post(f"/storage/keep?{query}", records(1), expect=400, code=0)


def test_nesting_of_32_and_33(user):
    def nested(depth):  # the list and the object count
        return b'[{"id":"a","collection":' + b"[" * (depth - 2) + b"]" * (depth - 2) + b"}]"
    user.post("/storage/xx", nested(33), expect=400, code=6)
    user.post("/storage/xx", nested(32))


def test_duplicate_keys_the_last_wins(user):
    user.put("/storage/xx/a", '{"payload":"first","payload":"last"}')
    assert user.item("xx", "a")["payload"] == "last"
    user.post("/storage/xx", '[{"id":"x","payload":"1","id":"b"}]')
    assert sorted(user.ids("xx")) == ["a", "b"]


# ---- HTTP itself ----

def exchange(user, request):
    return raw_exchange(user.connection.host, user.connection.port, request)


@pytest.mark.parametrize("extra", [b"X-Long: " + b"x" * 17000 + b"\r\n", b"".join(b"X-%d: y\r\n" % i for i in range(3000))],
                         ids=["one-long-line", "many-lines"])
def test_a_header_block_that_is_too_large(kept, extra):
    user = kept[0]
    r = exchange(user, b"GET " + user.base.encode() + b"/info/collections HTTP/1.1\r\nHost: x\r\n" + extra + b"\r\n")
    assert r is None or r.status in (400, 431), repr(r)


@pytest.mark.parametrize("request_text", [
    b"GET\r\n\r\n", b"\x00\x01\x02\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET  /1.5/1/info/collections HTTP/1.1\r\n\r\n",
    b"POST /1.5/1/storage/xx HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n[]x",
    b"POST /1.5/1/storage/xx HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /1.5/1/storage/xx HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    b"POST /1.5/1/storage/xx HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"GET /1.5/1/info/collections HTTP/1.1\r\n\r\n",
    b"GET /1.5/1/info/collections HTTP/1.1\r\nHost: \x00\r\n\r\n"], ids=lambda b: repr(b[:60]))
def test_a_request_that_is_no_http(kept, request_text):
    r = raw_exchange(kept[0].connection.host, kept[0].connection.port, request_text, timeout_s=2)
    assert r is None or 400 <= r.status < 500 or r.status == 505, repr(r)


def test_a_client_that_leaves_in_the_middle_of_a_body(own_stack):
    """Nothing is written, and nothing of it stays: the server ends without waiting for those who have left."""
    stack = own_stack({"public.drain": 600})
    user = stack.user()
    written = user.save("keep", "a", "x")
    target = user.base + "/storage/keep/a"
    head = (f"PUT {target} HTTP/1.1\r\nHost: {user.connection.host_header}\r\nAuthorization: {user.sign('PUT', target)}\r\n"
            f"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n" + '{"payload":"half')
    for _ in range(20):
        with socket.create_connection((user.connection.host, user.connection.port), timeout=120) as s:
            s.sendall(head.encode())
    assert user.item("keep", "a") == {"id": "a", "modified": written, "payload": "x"}
    assert stack.heddle.stop() == 0


def test_a_request_line_of_12_kb_is_read(user):
    user.save("xx", "a", "x")
    ids = ",".join(["%7B" + "x" * 100 + "%7D"] * 100)[:11000]
    r = user.get("/storage/xx?blabla=" + ids, expect=200)
    assert r.json() == ["a"]


def test_no_payload_and_no_credential_is_ever_logged(own_stack):
    stack = own_stack()
    user = stack.user()
    user.put("/storage/xx/a", {"payload": "SECRETPAYLOAD"})
    user.put("/storage/xx/a", {"payload": "SECRETPAYLOAD", "bad": 1}, expect=400)
    user.post("/storage/xx", '[{"id":"a","payload":"SECRETPAYLOAD"', expect=400)
    user.get("/info/collections", authorization=user.sign("GET", "/wrong"), expect=401)
    stack.heddle.stop()
    log = stack.heddle.log_text()
    for secret in ("SECRETPAYLOAD", user.key, user.id, user.id[20:60]):
        assert secret not in log
