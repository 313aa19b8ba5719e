"""HTTP as the tests need it: exact bytes out, everything observable in.

`Connection` keeps one keep-alive connection, sends exactly the headers it is given (plus Host and Content-Length) and the target byte
for byte. `Reply` reads stamps as decimal.Decimal, so that 1767225600.10 stays what it was on the wire.
"""
import http.client
import json
import os
import re
import socket
import time
from decimal import Decimal

STAMP = re.compile(r"\d+\.\d\d")
JSON_STAMP = re.compile(r'"modified":\s*(-?[0-9.eE+]+)')


# What is refused is refused within a second. One refusal alone may have met a machine that stood still: it is given more, on slow builds more
# still. Of many, nearly all must keep to the second (`Prompt`).
PATIENCE_S = float(os.environ.get("HEDDLE_PATIENCE_S", "20"))
SECOND_S = max(1.0, PATIENCE_S / 20)


class Prompt:
    """How long refusals took in this process."""

    seen, late = 0, []

    @classmethod
    def judge(cls):
        """What is wrong with them, or nothing."""
        if len(cls.late) > 1 + cls.seen / 20:
            return [f"{len(cls.late)} of {cls.seen} refusals took over {SECOND_S} s:", *cls.late[:10]]
        return []


def check_prompt(r):
    """What is refused is refused at once."""
    if 400 <= r.status < 500:
        assert r.seconds < PATIENCE_S, f"refused only after {r.seconds:.2f} s\n{r!r}"
        Prompt.seen += 1
        if r.seconds >= SECOND_S:
            Prompt.late.append(f"{r.method} {r.target[:100]} -> {r.status} after {r.seconds:.2f} s")


class Asked:
    """Whatever gives a new `connection()` can be asked by one request."""

    def get(self, path, headers=(), method="GET"):
        c = self.connection()
        try:
            return c.request(method, path, headers)
        finally:
            c.close()


class Reply:
    """One answer. Headers are looked up in any case; `header(name)` refuses a header that was sent twice."""

    def __init__(self, method, target, status, headers, body):
        self.method, self.target = method, target
        self.status, self.headers, self.body = status, headers, body
        self.seconds = 0.0  # from the first byte sent to the last one read

    def __repr__(self):
        lines = [f"{self.method} {self.target} -> {self.status}"]
        lines += [f"  {n}: {v}" for n, v in self.headers]
        return "\n".join(lines + [f"  {self.body[:600]!r}"])

    def header(self, name, default=None):
        values = [v for n, v in self.headers if n.lower() == name.lower()]
        assert len(values) <= 1, f"{name} was sent {len(values)} times\n{self!r}"
        return values[0] if values else default

    def stamp(self, name):
        """A header that holds a stamp; it must be there and have two decimals."""
        text = self.header(name)
        assert text is not None, f"no {name}\n{self!r}"
        assert STAMP.fullmatch(text), f"{name} is no stamp with two decimals: {text!r}\n{self!r}"
        return Decimal(text)

    @property
    def timestamp(self):
        return self.stamp("X-Weave-Timestamp")

    @property
    def last_modified(self):
        return self.stamp("X-Last-Modified")

    @property
    def type(self):
        return (self.header("Content-Type") or "").partition(";")[0].strip().lower()

    @property
    def text(self):
        return self.body.decode("utf-8")

    def json(self):
        """The body; numbers with a fraction become Decimal."""
        try:
            return json.loads(self.body, parse_float=Decimal)
        except ValueError as e:
            raise AssertionError(f"body is no JSON: {e}\n{self!r}") from None

    def lines(self):
        """The records of an application/newlines body. Each must end in a newline."""
        if not self.body:
            return []
        assert self.body.endswith(b"\n"), f"the last record has no newline\n{self!r}"
        return [json.loads(line, parse_float=Decimal) for line in self.body[:-1].split(b"\n")]


def over_socket(path, target, method="GET", body=None, headers=(), timeout_s=120):
    """One request to a unix socket, on a connection of its own."""
    connection = http.client.HTTPConnection("localhost", timeout=timeout_s)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(timeout_s)
    try:
        connection.sock.connect(str(path))
        connection.request(method, target, body, dict(headers))
        answer = connection.getresponse()
        return Reply(method, target, answer.status, answer.getheaders(), answer.read())
    finally:
        connection.close()


class Connection:
    """One keep-alive connection to host:port. A server that closed it while it was idle gets a second try on a fresh one, as
    browsers do, but only if not a byte of an answer has come."""

    def __init__(self, host, port, timeout_s=120):
        self.host, self.port, self.timeout_s = host, port, timeout_s
        self._http = None
        self.sending_s = 0.0  # from dialling to the last byte of the last request

    @property
    def host_header(self):
        return f"{self.host}:{self.port}"

    def close(self):
        if self._http:
            self._http.close()
            self._http = None

    def request(self, method, target, headers=(), body=None, host=None):
        """`headers`: pairs or a dict, sent in this order; `body`: bytes, or None for none at all (then no Content-Length)."""
        pairs = list(headers.items()) if isinstance(headers, dict) else list(headers)
        fresh, begun = self._http is None, time.monotonic()
        try:
            try:
                answer = self._exchange(method, target, pairs, body, host)
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                if fresh:
                    raise
                self.close()
                answer = self._exchange(method, target, pairs, body, host)
            reply = Reply(method, target, answer.status, answer.getheaders(), answer.read())
            reply.seconds = time.monotonic() - begun
        except BaseException:
            self.close()
            raise
        if answer.will_close:
            self.close()
        return reply

    def _exchange(self, method, target, pairs, body, host):
        begun = time.monotonic()
        try:
            if self._http is None:
                self._http = http.client.HTTPConnection(self.host, self.port, timeout=self.timeout_s)
            self._send(method, target, pairs, body, host)
        finally:
            self.sending_s = time.monotonic() - begun
        return self._http.getresponse()

    def _send(self, method, target, pairs, body, host):
        h = self._http
        h._validate_path = lambda url: None  # the tests send bad targets on purpose
        h.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        h.putheader("Host", host or self.host_header)
        for name, value in pairs:
            h.putheader(name, value)
        if body is not None and not any(n.lower() in ("content-length", "transfer-encoding") for n, _ in pairs):
            h.putheader("Content-Length", str(len(body)))
        h.endheaders(body)


def raw_exchange(host, port, request, timeout_s=60):
    """Sends bytes as they are, on a connection of their own, and reads to the end of the first answer (or of the connection):
    gives a Reply, or None if the server closed without a word, or says nothing in that time."""
    begun = time.monotonic()
    with socket.create_connection((host, port), timeout=60) as s:
        try:
            s.sendall(request)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it may have answered and closed already
        s.settimeout(timeout_s)
        answer = http.client.HTTPResponse(s, method=request.split(b" ", 1)[0].decode("latin-1") or "GET")
        try:
            answer.begin()
            content = answer.read()
        except (http.client.BadStatusLine, ConnectionResetError, http.client.IncompleteRead, TimeoutError):
            return None
        reply = Reply("RAW", request[:80].decode("latin-1"), answer.status, answer.getheaders(), content)
        reply.seconds = time.monotonic() - begun
        return reply
