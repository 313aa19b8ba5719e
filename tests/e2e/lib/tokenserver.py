"""A thin client of the token server; and the accounts server that it asks (key set, remote verifier) as a small HTTP server.

    user = TokenUser(stack)                       # an account nobody has seen
    uid = user.uid(k=1234, state="aa")            # asks for a token; the answer must keep every promise
    user.refused("invalid-generation", g=1)       # the error's body must be exactly the one of the table
"""
import json
import os
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from . import hawk

PATH = "/1.0/sync/1.5"
STATES = {200, 400, 401, 403, 404, 405, 406, 413, 414, 431, 500, 503}
STATE_REASON = "Unacceptable client-state value "

# status -> location, name, description: the errors that have one form
ERRORS = {
    "invalid-credentials": (401, "body", "", "Unauthorized"),
    "invalid-generation": (401, "body", "", "Unauthorized"),
    "invalid-keysChangedAt": (401, "body", "", "Unauthorized"),
    "new-users-disabled": (403, "body", "", "New users are not allowed"),
    "internal-error": (503, "internal", "", "Server error"),
}


def key_id(k, state):
    """X-KeyID: when the keys changed, and the client state (hex)."""
    return f"{k}-{hawk.b64url_nopad(bytes.fromhex(state))}"


def check_promises(r, now):
    """What holds for every answer of the token server."""
    assert r.status in STATES, repr(r)
    assert re.fullmatch(r"\d{10}", r.header("X-Timestamp") or ""), f"X-Timestamp is whole seconds, on every answer\n{r!r}"
    assert abs(int(r.header("X-Timestamp")) - now) < 30, repr(r)
    assert r.header("X-Content-Type-Options") == "nosniff", repr(r)
    assert r.type == "application/json", f"never anything but JSON\n{r!r}"
    if r.status == 200:
        return
    out = r.json()
    assert set(out) == {"status", "errors"} and isinstance(out["status"], str), repr(r)
    assert out["errors"] and all(set(e) == {"location", "name", "description"} for e in out["errors"]), repr(r)
    if r.status == 503:
        assert re.fullmatch(r"\d+", r.header("Retry-After") or ""), f"503 without Retry-After\n{r!r}"


def same_error(r, http, status, location, name, description):
    """This answer is exactly that error."""
    assert r.status == http, repr(r)
    assert r.json() == {"status": status, "errors": [{"location": location, "name": name, "description": description}]}, repr(r)


def ask(stack, headers, path=PATH, method="GET", body=None):
    """One request with exactly these headers (pairs or a dict)."""
    connection = stack.heddle.connection()
    try:
        r = connection.request(method, path, headers, body)
    finally:
        connection.close()
    check_promises(r, stack.heddle.now())
    return r


class TokenUser:
    """One account of the accounts server."""

    def __init__(self, stack, sub=None):
        self.stack, self.sub = stack, sub or os.urandom(16).hex()

    def headers(self, k=1234, state="aaaa", g=None, access=None, more=(), **claims):
        if g is not None:
            claims["fxa-generation"] = g
        access = access or self.stack.access_token(self.sub, **claims)
        return [("Authorization", "Bearer " + access), ("X-KeyID", key_id(k, state)), *more]

    def ask(self, path=PATH, **kw):
        return ask(self.stack, self.headers(**kw), path)

    def token(self, path=PATH, **kw):
        """The answer's object."""
        r = self.ask(path, **kw)
        assert r.status == 200, repr(r)
        out = r.json()
        assert set(out) == {"id", "key", "uid", "api_endpoint", "duration", "hashalg", "hashed_fxa_uid", "node_type"}, out
        assert type(out["uid"]) is int and type(out["duration"]) is int and out["hashalg"] == "sha256", out
        return out

    def uid(self, **kw):
        return self.token(**kw)["uid"]

    def refused(self, status, **kw):
        r = self.ask(**kw)
        http, *words = ERRORS[status]
        same_error(r, http, status, *words)
        return r

    def refused_state(self, reason, **kw):
        same_error(self.ask(**kw), 401, "invalid-client-state", "header", "X-Client-State", STATE_REASON + reason)


class AccountsServer:
    """GET /v1/jwks and POST /v1/verify on a port of its own. `answers`: path -> (status, body) or a function of the request's body
    that gives that; `calls`: the requests seen, as (path, body)."""

    def __init__(self):
        self.answers, self.calls = {}, []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                server.calls.append((self.path, body))
                answer = server.answers.get(self.path, (404, b"{}"))
                status, content = answer(body) if callable(answer) else answer
                content = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = _answer

            def log_message(self, *_):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/v1"
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def asked(self, path):
        """Bodies of the requests for this path."""
        return [body for at, body in self.calls if at == path]

    def keys(self, *issuers):
        self.answers["/v1/jwks"] = (200, {"keys": [i.jwk() for i in issuers]})

    def close(self):
        self._http.shutdown()
        self._http.server_close()
