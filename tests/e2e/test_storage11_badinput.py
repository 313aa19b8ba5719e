"""Storage API 1.1: every row of its table of bad input, and what real clients are known to send. Never 500, never a partial write, and
the connection's next request works."""
import random
import socket

import pytest

from lib.storage11 import check_promises
from lib.wire import raw_exchange


@pytest.fixture(autouse=True)
def nothing_happened(request):
    """After each test of this file that has `kept`: its one record is still as it was, and requests work."""
    if "kept" not in request.fixturenames:
        yield
        return
    user = request.getfixturevalue("kept")
    yield
    assert user.info() == {"keep": user.written}
    assert user.item("keep", "a") == {"id": "a", "modified": user.written, "payload": "x"}


@pytest.fixture
def kept(user11):
    user11.written = user11.save("keep", "a", "x")
    return user11


# ---- parameters ----

PARAMETERS = ["older", "newer", "index_above", "index_below", "limit", "offset"]
NO_NUMBERS = ["abc", "", "1.2.3", "0x10", "1,5", "--1", "%00", "1%00", "%C3%A4", "'; --", "1_000", "1e", "e5"]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda v: v or "empty")
@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_that_is_no_number(kept, method, name, value):
    kept.storage(method, f"/storage/keep?{name}={value}", expect=400, code=0)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("value", ["NaN", "nan", "Infinity", "inf", "-inf", "-Infinity"])
@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_that_is_not_finite(kept, method, name, value):
    kept.storage(method, f"/storage/keep?{name}={value}", expect=400, code=0)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("name, value", [("index_above", "1e999"), ("index_below", "-1e999"), ("limit", "1.5"), ("offset", "1.5"), ("limit", "1e3")])
def test_a_parameter_beyond_all_numbers_or_a_fraction_of_a_count(kept, method, name, value):
    kept.storage(method, f"/storage/keep?{name}={value}", expect=400, code=0)


def test_a_time_beyond_all_times_is_a_number_still(kept):
    for query, ids in (("newer=1e999", []), ("older=-1e999", []), ("older=1e999", ["a"]), ("newer=-1e999", ["a"]), ("newer=-5", ["a"])):
        assert kept.ids("keep", query) == ids, query
    for query in ("newer=1e999", "older=-1e999"):
        kept.delete(f"/storage/keep?{query}")


@pytest.mark.parametrize("query", ["ids=%", "ids=a%4", "%zz=1", "ids=%g0", "newer=%1"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_broken_escape_in_the_query(kept, method, query):
    kept.storage(method, f"/storage/keep?{query}", expect=400, code=0)


@pytest.mark.parametrize("value", ["abc", "", "NaN", "Infinity", "1.2.3", "Sat, 21 Nov 2026 02:59:46 GMT", "0x10", "1,5"])
@pytest.mark.parametrize("method, path, body", [("PUT", "/storage/keep/a", {"payload": "y"}), ("POST", "/storage/keep", []), ("DELETE", "/storage/keep", None),
                                                ("DELETE", "/storage/keep/a", None)], ids=["put", "post", "delete-all", "delete"])
def test_a_precondition_that_is_no_number(kept, method, path, body, value):
    kept.storage(method, path, body, headers={"X-If-Unmodified-Since": value}, expect=400, code=0)


# ---- bodies ----

NOT_JSON = [b"", b" ", b"{", b"[", b"}", b"nonsense", b"{'id':'a'}", b'{"payload":"x"', b'{"payload":"x"}}', b'{"payload":"\xff\xfe"}',
            b'{"payload":"\\ud800"}', b'{"payload":"x"}\x00', b'\x00{"payload":"x"}', b'{"payload":"a\nb"}', b'{"payload":NaN}',
            b'{"sortindex":01}', b'{"sortindex":Infinity}', b'{"payload":"x",}', b'\xef\xbb\xbf{"payload":"x"}', b'{"payload":"\xc0\x80"}',
            b'{"payload":"\xed\xa0\x80"}', b'{"payload":"\xe4"}', b"\x1f\x8b\x08\x00", b"{}{}", b'{"a":1 "b":2}']


@pytest.mark.parametrize("body", NOT_JSON, ids=lambda b: repr(b[:24]))
def test_a_body_that_is_not_json(kept, body):
    kept.put("/storage/keep/a", body, expect=400, code=6)
    kept.post("/storage/keep", body, expect=400, code=6)
    kept.put("/storage/keep", body, expect=400, code=6)
    kept.post("/storage/keep", b"[" + body + b"]" if body.strip() and body != b"{}{}" else body, expect=400, code=6)


@pytest.mark.parametrize("body", ['"notawbo"', "42", "[]", "null", "true", "1.5", '[{"payload":"y"}]', '["a"]'])
def test_put_of_what_is_no_object(kept, body):
    kept.put("/storage/keep/a", body, expect=400, code=8)


@pytest.mark.parametrize("body", ['"notalist"', "42", "null", "true", "1.5", "{}", '{"payload":"no id"}', '{"id":"","payload":"y"}', '{"id":null}'])
def test_post_of_what_is_no_list(kept, body):
    kept.post("/storage/keep", body, expect=400, code=8)
    kept.put("/storage/keep", body, expect=400, code=8)


BAD_RECORDS = {
    "structured": {"id": ["1", "2"], "payload": {"3": "4"}}, "payload-object": {"payload": {"a": 1}}, "payload-list": {"payload": ["x"]},
    "unknown-list": {"payload": "y", "unknown": []}, "unknown-object": {"payload": "y", "unknown": {}}, "modified-object": {"modified": {}},
    "id-65": {"id": "x" * 65, "payload": "y"}, "id-empty": {"id": "", "payload": "y"}, "id-control": {"id": "a\nb", "payload": "y"},
    "id-non-ascii": {"id": "ä", "payload": "y"}, "id-slash": {"id": "a/b", "payload": "y"}, "id-nul": {"id": "a\0", "payload": "y"},
    "id-del": {"id": "\x7f", "payload": "y"},
    "parentid-65": {"parentid": "p" * 65, "payload": "y"}, "predecessorid-65": {"predecessorid": "p" * 65, "payload": "y"},
    "parentid-65-of-bytes": {"parentid": "é" * 33, "payload": "y"},
    "sortindex-text": {"sortindex": "abc"}, "sortindex-long": {"sortindex": 1234567890123}, "sortindex-negative": {"sortindex": -1234567890123},
    "sortindex-9999999999": {"sortindex": 9999999999}, "sortindex-edge": {"sortindex": 1000000000}, "sortindex-empty": {"sortindex": ""},
    "sortindex-nan": {"sortindex": "NaN"}, "sortindex-inf": {"sortindex": "inf"}, "sortindex-hex": {"sortindex": "0x10"},
    "sortindex-huge": {"sortindex": 10**30}, "sortindex-true": {"sortindex": True},
    "ttl-negative": {"ttl": -1}, "ttl-31537000": {"ttl": 31537000}, "ttl-31536001": {"ttl": 31536001}, "ttl-text": {"ttl": "bouh"},
    "ttl-empty": {"ttl": ""}, "ttl-huge": {"ttl": 10**40}, "ttl-true": {"ttl": True},
    "payload-number": {"payload": 42}, "payload-float": {"payload": 1.5}, "payload-bool": {"payload": True}, "payload-false": {"payload": False},
    "payload-large": {"payload": "x" * 262145},
}


@pytest.mark.parametrize("record", BAD_RECORDS.values(), ids=BAD_RECORDS)
def test_a_bad_record(kept, record):
    kept.put("/storage/keep/a", record, expect=400, code=8)
    kept.post("/storage/keep", {"id": "a", **record}, expect=400, code=8)
    kept.put("/storage/keep", {"id": "a", **record}, expect=400, code=8)
    out = kept.upload("other", [{"id": "a", **record}])
    assert out["success"] == [] and len(out["failed"]) == 1
    assert kept.ids("other") == []


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1" * 400], ids=["1e400", "-1e400", "400-digits"])
@pytest.mark.parametrize("field", ["ttl", "sortindex", "id", "unknown"])
def test_a_number_beyond_all_range(kept, field, number):
    kept.put("/storage/keep/a", f'{{"payload":"y","{field}":{number}}}', expect=400, code=8)
    out = kept.upload("other", f'[{{"payload":"y","{field}":{number}}}]')
    assert out["success"] == [] and len(out["failed"]) == 1


def test_nesting_of_33_levels(kept):
    for open, close in ((b"[", b"]"), (b'{"a":', b"}")):
        deep = open * 33 + b"1" + close * 33
        kept.put("/storage/keep/a", deep, expect=400, code=6)
        kept.post("/storage/keep", deep, expect=400, code=6)
        kept.put("/storage/keep/a", b'{"payload":"y","x":' + open * 32 + b"1" + close * 32 + b"}", expect=400, code=6)
        kept.put("/storage/keep/a", b'{"payload":"y","x":' + open * 31 + b"1" + close * 31 + b"}", expect=400, code=8)
        kept.post("/storage/keep", open * 100_000, expect=400, code=6)


def test_of_duplicate_keys_the_last_wins(user11):
    user11.put("/storage/xx/a", '{"payload":"first","payload":"last"}')
    assert user11.item("xx", "a")["payload"] == "last"
    out = user11.upload("xx", '[{"id":"x","payload":"1","id":"b"}]')
    assert out["success"] == ["b"] and user11.ids("xx") == ["a", "b"]
    user11.put("/storage/xx/a", '{"payload":1,"payload":"good"}')


# ---- names ----

@pytest.mark.parametrize("coll", ["a%20b", "a$b", "a:b", "a%C3%A4", "a@b", "%00", "a%2Fb", "{a}", "~", "%2e%2e", "."])
@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE"])
def test_a_collection_with_an_illegal_name(kept, method, coll):
    kept.storage(method, f"/storage/{coll}", {"id": "a"} if method in ("PUT", "POST") else None, expect=404)
    if method != "POST":
        kept.storage(method, f"/storage/{coll}/a", {"payload": "y"} if method == "PUT" else None, expect=404)


def test_an_empty_collection_name(kept):
    kept.put("/storage/", {"id": "a"}, expect=(404, 405))
    kept.put("/storage//a", {"payload": "y"}, expect=404)


def test_a_collection_name_of_more_than_32_bytes(kept):
    long, most = "c" * 33, "c" * 32
    kept.put(f"/storage/{long}/a", {"payload": "y"}, expect=400, code=13)
    kept.post(f"/storage/{long}", [{"id": "a"}], expect=400, code=13)
    kept.put(f"/storage/{long}", {"id": "a"}, expect=400, code=13)
    assert kept.ids(long) == [] and kept.full(long) == []
    kept.missing(long, "a")
    kept.delete(f"/storage/{long}/a")
    kept.delete(f"/storage/{long}")
    kept.save(most, "a", "y")
    assert kept.ids(most) == ["a"]
    kept.delete(f"/storage/{most}")


@pytest.mark.parametrize("id", ["%00", "a%00", "a%2Fb", "%2F", "a%0Ab", "a%7F", "a%C3%A4", "%FF", "i" * 65])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_an_illegal_id_in_the_path(kept, method, id):
    kept.storage(method, f"/storage/keep/{id}", {"payload": "y"} if method == "PUT" else None, expect=400, code=8)


@pytest.mark.parametrize("path", ["/storage/keep/%", "/storage/keep/a%4", "/storage/keep/%zz", "/storage/%g/a", "/info/%", "/storage/keep%"])
def test_a_broken_escape_in_the_path(kept, path):
    kept.get(path, expect=400, code=0)
    kept.put(path, {"payload": "y"}, expect=400, code=0)


# ---- HTTP itself ----

def exchange(user, method, extra, body=b"", target="/storage/keep", timeout_s=60, promises=True):
    head = (f"{method} /1.1/{user.name}{target} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {user.authorization()}\r\n{extra}\r\n")
    r = raw_exchange("127.0.0.1", user.server.port, head.encode() + body, timeout_s)
    if r is not None and promises:
        check_promises(r)
    return r


@pytest.mark.parametrize("method, target", [("POST", "/storage/keep"), ("PUT", "/storage/keep/a"), ("PUT", "/storage/keep")])
def test_no_body_at_all_is_an_empty_one(kept, method, target):
    r = exchange(kept, method, "", target=target)
    assert (r.status, r.body) == (400, b"6")


@pytest.mark.parametrize("length", [33554433, 10**12, 2**63])
def test_content_length_over_the_limit(kept, length):
    r = exchange(kept, "POST", f"Content-Length: {length}\r\n", b"[")
    assert (r.status, r.body, r.header("Connection", "").lower()) == (413, b"17", "close"), f"{r!r}"


def test_a_chunked_body_over_the_limit(own_stack):
    user = own_stack({"limits.legacy_request_bytes": "2m"}).user11()
    written = user.save("keep", "a", "x")
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    r = exchange(user, "POST", "Transfer-Encoding: chunked\r\n", chunk * 33 + b"0\r\n\r\n")
    assert r is None or (r.status, r.body, r.header("Connection", "").lower()) == (413, b"17", "close"), f"{r!r}"
    assert user.info() == {"keep": written}


def test_a_chunked_body_within_the_limit(user11):
    parts = [b'[{"id', b'":"a","payload"', b':"chunked"}]', b""]
    r = exchange(user11, "POST", "Transfer-Encoding: chunked\r\n", b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in parts))
    assert r.status == 200 and user11.item("keep", "a")["payload"] == "chunked"


def test_a_body_of_32_mib_is_read(user11):
    body = b'[{"id":"a","payload":"x"}]'
    user11.post("/storage/xx", body + b" " * (33554432 - len(body)))
    assert user11.ids("xx") == ["a"]
    r = exchange(user11, "POST", "Content-Length: 33554433\r\n", body + b" " * (33554433 - len(body)))
    assert r is None or (r.status, r.body) == (413, b"17"), f"{r!r}"


@pytest.mark.parametrize("extra, body", [
    ("Content-Length: 2\r\nContent-Length: 3\r\n", b"[]x"), ("Content-Length: 2\r\nContent-Length: 2\r\n", b"[]"),
    ("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"), ("Transfer-Encoding: chunked\r\nContent-Length: 2\r\n", b"2\r\n[]\r\n0\r\n\r\n"),
    ("Transfer-Encoding: chunked\r\n", b"zz\r\n[]\r\n"), ("Transfer-Encoding: gzip\r\n", b"[]"), ("Content-Length: -1\r\n", b""),
    (f"Content-Length: {2**64 - 1}\r\n", b"["), (f"Content-Length: {2**64}\r\n", b"["),
    ("Content-Length: 2x\r\n", b"[]"), ("Content-Length: 0x2\r\n", b"[]"), ("Content-Length : 2\r\n", b"[]")],
    ids=["cl-cl", "cl-cl-same", "cl-te", "te-cl", "bad-chunk", "gzip", "negative", "most", "more", "trailing", "hex", "blank"])
def test_framing_that_two_programs_may_read_in_two_ways(kept, extra, body):
    r = exchange(kept, "POST", extra, body, timeout_s=5, promises=False)  # the HTTP library answers some of them with words of its own
    assert r is None or (r.status in (400, 413) and r.header("Connection", "").lower() == "close"), f"{r!r}"


def test_a_request_without_host(kept):
    r = raw_exchange("127.0.0.1", kept.server.port, f"GET /1.1/{kept.name}/info/collections HTTP/1.1\r\nAuthorization: {kept.authorization()}\r\n\r\n".encode())
    assert r is None or r.status == 400, f"{r!r}"


@pytest.mark.parametrize("seed", range(12))
def test_random_text_as_a_request(kept, seed):
    """Bounded: 30 requests on a connection each."""
    dice = random.Random(seed)
    words = ["GET", "PUT", "POST", "DELETE", " ", "  ", "/", "/1.1/", kept.name, "/storage/", "/info/", "keep", "a", "?", "full=1", "&", "%", "%00", "%2F",
             "HTTP/1.1", "HTTP/1.0", "HTTP/9", "\r\n", "\n", "\r\n\r\n", "Host: x", "Content-Length: ", "5", "-1", "{", "}", "[]", "\0", "ä", "\"", ":",
             "Authorization: ", kept.authorization(), "Transfer-Encoding: chunked", "X-If-Unmodified-Since: ", "x" * 300]
    for _ in range(30):
        text = "".join(dice.choice(words) for _ in range(dice.randrange(1, 40)))
        if dice.random() < 0.6:
            text = f"GET /1.1/{kept.name}/" + text.replace("DELETE", "").replace("POST", "").replace("PUT", "")
        text = text.lstrip("\0\r\n") or "x"  # what is skipped before a request is no request yet
        with socket.create_connection(("127.0.0.1", kept.server.port), timeout=120) as s:
            s.sendall(text.encode() + b"\r\n\r\n")
            try:
                s.shutdown(socket.SHUT_WR)
                status = s.makefile("rb").readline().split(b" ")[1:2]
            except OSError as e:  # closed already, without a word that arrived
                assert not isinstance(e, TimeoutError)
                status = []
        assert status == [] or int(status[0]) in (200, 400, 401, 404, 405, 413, 414, 431, 501, 505), (text, status)


# ---- what real clients send ----

def test_a_record_echoed_back_is_taken(user11):
    written = user11.save("meta", "global", "{}", sortindex=1)
    echoed = user11.get("/storage/meta/global").text.replace('"{}"', '"{\\"a\\":1}"')
    later = user11.put("/storage/meta/global", echoed[:-1] + ',"username":"u","collection":"meta","depth":0}').json()
    assert later > written
    assert user11.item("meta", "global") == {"id": "global", "modified": later, "payload": '{"a":1}', "sortindex": 1}


def test_a_fractional_sortindex_of_frecency_is_truncated(user11):
    user11.save("history", "a", "x", sortindex=123.87)
    user11.save_all("history", [{"id": "b", "payload": "x", "sortindex": -0.5}])
    assert [r["sortindex"] for r in user11.full("history")] == [123, 0]


def test_a_huge_payload_fails_alone(user11):
    out = user11.upload("bookmarks", [{"id": "a", "payload": "x"}, {"id": "toolbar", "payload": "x" * 300_000}, {"id": "b", "payload": "x"}])
    assert out["success"] == ["a", "b"] and out["failed"] == {"toolbar": ["payload too large"]}
    user11.put("/storage/bookmarks/toolbar", {"payload": "x" * 300_000}, expect=400, code=8)


def test_more_than_a_hundred_ids_are_taken(user11):
    for i in range(3):
        user11.save_all("xx", [{"id": f"{{{i}-{j:02d}}}", "payload": "x"} for j in range(100)])
    ids = user11.ids("xx")
    assert user11.ids("xx", "ids=" + ",".join(ids[:250])) == ids[:250]
    user11.delete("/storage/xx?ids=" + ",".join(ids[:250]))
    assert user11.ids("xx") == ids[250:]
