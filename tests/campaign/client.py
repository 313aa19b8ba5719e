"""A client that sends each request once, whatever happens, and says plainly how it ended."""
import http.client
import json
import os

from lib import hawk
from lib.processes import wait_until


class NoAnswer(Exception):
    """The connection died: the request may have been done or not."""


def cs(text):
    """A stamp as integer centiseconds."""
    whole, _, part = text.partition(".")
    assert len(part) == 2, text
    return int(whole) * 100 + int(part)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    @property
    def stamp(self):
        return cs(self.headers["x-last-modified"])


class Client:
    """One user over one connection, without the second try that browsers make."""

    def __init__(self, stack, uid, timeout_s=180):
        self.stack, self.uid, self.timeout_s = stack, uid, timeout_s
        self.http, self.token, self.good_until = None, None, 0

    def close(self):
        if self.http:
            self.http.close()
            self.http = None

    def request(self, method, target, body=None, headers=None):
        heddle = self.stack.heddle
        if heddle.now() > self.good_until or self.token is None:
            self.token = self.stack.mint(self.uid, 3600)
            self.good_until = heddle.now() + 3000
        full = f"/1.5/{self.uid}{target}"
        data = None if body is None else json.dumps(body).encode()
        if self.http is None:
            self.http = http.client.HTTPConnection("127.0.0.1", heddle.port, timeout=self.timeout_s)
        h = {"Authorization": hawk.header(*self.token, method, full, "127.0.0.1", heddle.port, ts=int(heddle.now())),
             **({"Content-Type": "application/json"} if data is not None else {}), **(headers or {})}
        try:
            self.http.request(method, full, data, h)
            r = self.http.getresponse()
            return Answer(r.status, {k.lower(): v for k, v in r.getheaders()}, r.read())
        except (OSError, http.client.HTTPException) as e:
            self.close()
            raise NoAnswer(repr(e)) from None

    def patiently(self, method, target, deadline_s=180):
        """A read that is asked again until the server is back."""
        def answer():
            try:
                r = self.request(method, target)
            except NoAnswer:
                return None
            return r if r.status != 503 else None

        return wait_until(answer, f"an answer to {target}", deadline_s, every_s=0.02)

    def everything(self):
        """All that the server holds of this user, in the oracle's form."""
        r = self.patiently("GET", "/info/collections")
        assert r.status == 200, (r.status, r.body)
        seen = {}
        for name, _ in r.json().items():
            c = self.patiently("GET", f"/storage/{name}?full=1")
            assert c.status == 200, (c.status, c.body)
            seen[name] = {"stamp": c.stamp,
                          "items": {i["id"]: (i["payload"], round(i["modified"] * 100)) for i in c.json()}}
        listed = {k: round(v * 100) for k, v in r.json().items()}
        for name, coll in seen.items():
            assert listed[name] == coll["stamp"], f"info says {listed[name]} of {name}, the collection {coll['stamp']}"
        return seen


def payload(size=40):
    return os.urandom(size // 2).hex()
