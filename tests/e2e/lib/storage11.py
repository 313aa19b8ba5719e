"""A thin client of the Storage API 1.1 and of the User API 1.0, in the manner of storage15."""
import base64
import re
from decimal import Decimal
from urllib.parse import urlsplit

from .storage import Storage, check_expected
from .storage15 import encode
from .wire import JSON_STAMP, STAMP, Connection, check_prompt

STATUSES = {200, 400, 401, 404, 405, 412, 413, 503}


def check_promises(r):
    """What holds for every answer of 1.1, of the storage and of the User API."""
    check_prompt(r)
    assert r.status in STATUSES, f"a status that is never sent\n{r!r}"
    assert STAMP.fullmatch(r.header("X-Weave-Timestamp") or ""), f"no X-Weave-Timestamp\n{r!r}"
    assert not re.search(rb"[\r\n]", r.body) or r.type in ("application/newlines", "text/html", "application/whoisi"), \
        f"a newline in the body makes clients report a network error\n{r!r}"
    if r.status >= 400 and r.body:
        assert re.fullmatch(rb'\d+|"[^"]*"', r.body) and r.type == "application/json", \
            f"an error body is one JSON integer, or a JSON text for 503\n{r!r}"
    if r.status == 401:
        assert re.fullmatch(r'Basic realm="Sync".*', r.header("WWW-Authenticate") or ""), f"{r!r}"
    if r.status == 503:
        assert re.fullmatch(r"\d+", r.header("Retry-After") or ""), f"503 without Retry-After in seconds\n{r!r}"
    assert re.fullmatch(r"\d+", r.header("X-Weave-Backoff") or "0"), f"{r!r}"
    for text in JSON_STAMP.findall(r.body.decode("utf-8", "replace")):
        assert STAMP.fullmatch(text), f"a stamp without exactly two decimals: {text}\n{r!r}"
        assert Decimal(text) <= r.timestamp, f"newer than the answer's own time: {text}\n{r!r}"
    assert not r.header("Location"), f"never redirect\n{r!r}"


class Storage11(Storage):
    """One account: user name, password, and keep-alive connections to the directory and to the node."""

    def __init__(self, server, name, password, email=None):
        self.server, self.name, self.password = server, name, password
        self.email = email or f"{name}@example.com"
        self.version = "1.1"
        self.prefix = ""  # path of the server's public URL, without a slash at its end
        self._connections = {}

    def close(self):
        for c in self._connections.values():
            c.close()

    def _connection(self, url):
        at = urlsplit(url)
        key = (at.hostname, at.port)
        if key not in self._connections:
            self._connections[key] = Connection(at.hostname, at.port or 80)
        return self._connections[key]

    def authorization(self, name=None, password=None):
        pair = f"{self.name if name is None else name}:{self.password if password is None else password}"
        return "Basic " + base64.b64encode(pair.encode()).decode()

    def request(self, method, url_path, body=None, headers=None, expect=200, code=None, authorization=None, type="text/plain"):
        """A request to the server's own address. authorization: another header value, or "" for none."""
        pairs = [] if authorization == "" else [("Authorization", authorization or self.authorization())]
        if body is not None:
            body = encode(body)
            pairs.append(("Content-Type", type))
        pairs += list((headers or {}).items())
        r = self._connection(self.server.url_for(url_path)).request(method, url_path, pairs, body)
        check_promises(r)
        if r.status == 200 and method in ("POST", "DELETE") and "/user/1" in url_path:
            self.server.account_changed()
        check_expected(r, expect, code)
        return r

    # -- User API --

    def signs_in(self, password=None):
        """The node's word on these credentials."""
        r = self.get("/info/collections", authorization=self.authorization(password=password), expect=(200, 401))
        return r.status == 200

    def account(self, method, rest="", body=None, **kw):
        return self.request(method, f"{self.prefix}/user/1.0/{self.name}{rest}", body, **kw)

    def register(self, **kw):
        """PUT of the account. The name need not be made of the address when the server is not strict about it."""
        return self.account("PUT", "", {"password": self.password, "email": self.email, "captcha-challenge": "",
                                        "captcha-response": ""}, authorization="", **kw)

    def node(self, **kw):
        return self.account("GET", "/node/weave", **kw)

    # -- storage --

    def storage(self, method, target, body=None, **kw):
        """target: below /1.1/<name>."""
        return self.request(method, f"{self.prefix}/{self.version}/{self.name}{target}", body, **kw)

    def item(self, coll, id):
        return self.get(f"/storage/{coll}/{id}").json()

    def save(self, coll, id, payload=None, /, **fields):
        """PUT of one item with a payload: body, header and stored time are the same text."""
        body = {**({} if payload is None else {"payload": payload}), **fields}
        r = self.put(f"/storage/{coll}/{id}", body)
        if payload is not None:
            assert r.text == r.header("X-Weave-Timestamp"), f"{r!r}"
        return r.json()

    def upload(self, coll, items, **kw):
        r = self.post(f"/storage/{coll}", items, **kw)
        if r.status != 200:
            return r
        out = r.json()
        assert isinstance(out["success"], list) and isinstance(out["failed"], dict), f"{r!r}"
        assert all(isinstance(v, list) for v in out["failed"].values()), f"reasons are lists\n{r!r}"
        return out

    def again(self):
        """Another client (own connection) of the same account."""
        out = Storage11(self.server, self.name, self.password, self.email)
        out.version, out.prefix = self.version, self.prefix
        return out

    def missing(self, coll, id):
        """Asserts that there is no such item."""
        self.get(f"/storage/{coll}/{id}", expect=404)

    def save_all(self, coll, items, **kw):
        """POST of a list of which nothing may fail; gives the time of all of them, which header and body tell alike."""
        r = self.post(f"/storage/{coll}", items, **kw)
        out = r.json()
        assert out["failed"] == {} and out["success"] == [str(i["id"]) for i in items], f"{r!r}"
        assert out["modified"] == r.timestamp, f"clients take the time of a POST from the header\n{r!r}"
        return out["modified"]

    def stamp(self, coll):
        """The collection's time, or None when it is not listed."""
        return self.info().get(coll)
