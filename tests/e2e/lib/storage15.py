"""A thin client of the Storage API 1.5. Every reply it sees must keep what the protocol promises for all of them (`check_promises`),
so each test tests those as well.

Targets are written as they stand on the request line, below /1.5/<uid>: "/storage/bookmarks?ids=a,b". Stamps are Decimal.
"""
import json
import re
from decimal import Decimal

from . import hawk
from .storage import Storage, check_expected
from .wire import JSON_STAMP, STAMP, check_prompt

STATUSES = {200, 202, 304, 400, 401, 403, 404, 405, 406, 412, 413, 415, 431, 503}
NO_TYPE = object()


def encode(value):
    """A request body: bytes stay, text becomes UTF-8, everything else JSON (with Decimal as a number)."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    return json.dumps(value, default=_decimal).encode()


def _decimal(value):
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"{value!r} is no JSON")


def check_promises(r):
    """What holds for every answer of the storage protocol, good or bad."""
    check_prompt(r)
    assert r.status in STATUSES, f"a status that is never sent\n{r!r}"
    now = r.timestamp
    if r.status < 300 or r.status in (304, 412):
        assert r.last_modified <= now, f"X-Weave-Timestamp is behind X-Last-Modified\n{r!r}"
    elif r.header("X-Last-Modified"):
        r.last_modified
    if r.status == 304:
        assert r.body == b"", f"304 with a body\n{r!r}"
    elif r.status >= 400:
        assert r.type == "application/json", f"an error that is not JSON\n{r!r}"
        if r.method != "HEAD":
            assert re.fullmatch(rb"\d+", r.body), f"an error body is one JSON integer\n{r!r}"
    elif r.method != "HEAD":
        _check_good_body(r)
    if r.status == 401:
        assert r.header("WWW-Authenticate") == "Hawk", f"{r!r}"
    if r.status == 503:
        assert re.fullmatch(r"\d+", r.header("Retry-After") or ""), f"503 without Retry-After in seconds\n{r!r}"
    assert r.header("X-Weave-Backoff") == r.header("X-Backoff"), f"the back-off headers come together\n{r!r}"
    for name in ("X-Weave-Backoff", "Retry-After"):
        assert re.fullmatch(r"\d+", r.header(name) or "0"), f"{name} must be digits\n{r!r}"
    if r.header("Location"):
        raise AssertionError(f"never redirect\n{r!r}")


def _check_good_body(r):
    if r.type == "application/newlines":
        r.lines()
    else:
        assert r.type == "application/json", f"a good answer is JSON or newlines\n{r!r}"
        r.json()
    for text in JSON_STAMP.findall(r.text):
        assert STAMP.fullmatch(text), f"a stamp without exactly two decimals: {text}\n{r!r}"
    entries = r.header("X-Weave-Records")
    if entries is not None and r.type == "application/json":
        assert int(entries) == len(r.json()), f"X-Weave-Records does not count this answer\n{r!r}"
    elif entries is not None:
        assert int(entries) == len(r.lines()), f"X-Weave-Records does not count this answer\n{r!r}"
    if r.method in ("PUT", "POST") and r.status == 200:
        assert r.timestamp == r.last_modified, f"a write has one time\n{r!r}"


class Storage15(Storage):
    """One user's client: a keep-alive connection and one token."""

    def __init__(self, server, uid, hawk_id, key, connection=None, base=None):
        self.server, self.uid, self.id, self.key = server, uid, hawk_id, key
        self.connection = connection or server.connection_for(hawk_id)
        self.base = f"/1.5/{uid}" if base is None else base
        self.skew_s = 0

    def close(self):
        self.connection.close()

    # -- requests --

    def sign(self, method, target, **hawk_fields):
        """An Authorization header for the full target (path and query)."""
        fields = {"ts": int(self.server.now()) + self.skew_s, **hawk_fields}
        return hawk.header(self.id, self.key, method, target, self.connection.host, self.connection.port, **fields)

    def request(self, method, target, body=None, headers=None, expect=200, code=None, type=None, authorization=None):
        """Sends one signed request to base + target and checks the promises. expect: a status, a tuple of them, or None for any;
        code: the integer in the body of an error; type: Content-Type (default application/json where there is a body);
        authorization: another header value, or "" for none."""
        full = self.base + target
        pairs = []
        if authorization != "":
            pairs.append(("Authorization", authorization or self.sign(method, full)))
        if body is not None:
            body = encode(body)
            if type is not NO_TYPE:
                pairs.append(("Content-Type", type or "application/json"))
        pairs += list((headers or {}).items())
        r = self.connection.request(method, full, pairs, body)
        check_promises(r)
        check_expected(r, expect, code)
        return r

    def storage(self, method, target, body=None, **kw):
        return self.request(method, target, body, **kw)

    # -- nouns --

    def limits(self):
        return self.info("configuration")

    def item(self, coll, id):
        r = self.get(f"/storage/{coll}/{id}")
        assert r.json()["modified"] == r.last_modified, f"{r!r}"
        return r.json()

    def missing(self, coll, id):
        """Asserts that there is no such item."""
        self.get(f"/storage/{coll}/{id}", expect=404, code=0)

    def save(self, coll, id, payload=None, /, **fields):
        """PUT of one item; gives T. The three places that tell T must agree."""
        body = {**({} if payload is None else {"payload": payload}), **fields}
        r = self.put(f"/storage/{coll}/{id}", body)
        assert r.text == str(r.last_modified), f"the body of PUT is the bare time\n{r!r}"
        return r.last_modified

    def upload(self, coll, items, query="", **kw):
        """POST of a list; gives the answer's object. With status 200 `modified` must be the time in the headers."""
        r = self.post(f"/storage/{coll}" + ("?" + query if query else ""), items, **kw)
        if r.status not in (200, 202):
            return r
        out = r.json()
        assert isinstance(out["success"], list) and isinstance(out["failed"], dict), f"{r!r}"
        assert all(isinstance(v, str) for v in out["failed"].values()), f"reasons are texts\n{r!r}"
        if r.status == 200:
            assert out["modified"] == r.last_modified and "batch" not in out, f"{r!r}"
        else:
            assert "modified" not in out and re.fullmatch(r"[A-Za-z0-9_=-]+", out["batch"]), f"{r!r}"
        return out

    def save_all(self, coll, items, **kw):
        """POST of a list of which nothing may fail; gives T."""
        out = self.upload(coll, items, **kw)
        assert out["failed"] == {} and out["success"] == [i["id"] for i in items], out
        return out["modified"]

    def storage_time(self):
        return self.get("/info/collections").last_modified

    def changed(self, stamp):
        """Header: X-If-Modified-Since."""
        return {"X-If-Modified-Since": str(stamp)}


def records(count, prefix="b", payload="x", **fields):
    """`count` items to upload: b00, b01, … Fields are added to each."""
    width = len(str(count))
    return [{"id": f"{prefix}{i:0{width}d}", "payload": payload, **fields} for i in range(count)]
