"""Clients that misbehave on the wire: the server answers as it says, within a second, and goes on serving everybody else."""
import json
import resource
import socket
import statistics
import time

import pytest
from lib.processes import wait_until
from lib.wire import PATIENCE_S, raw_exchange

SECOND_S = 1.0  # half of all answers of a test take less; each alone may meet a machine that stands still, and is given PATIENCE_S
WAITS_S = 120


@pytest.fixture
def stack(engine, backends):
    made = backends.stack(engine, {"public.idle": 3})
    made.took = []
    yield made
    assert not made.took or statistics.median(made.took) < SECOND_S, f"the server is slow: {made.took}"


def took(stack, started):
    stack.took.append(time.monotonic() - started)
    assert stack.took[-1] < PATIENCE_S, "the answer came late"


def serves(stack):
    started = time.monotonic()
    stack.user().info()
    took(stack, started)


def open_connections(stack):
    return stack.heddle.get("/__lbheartbeat__").json()


def raw(stack, request):
    started = time.monotonic()
    r = raw_exchange("127.0.0.1", stack.heddle.port, request, WAITS_S)
    took(stack, started)
    return r


def signed(stack, method, target, extra=()):
    u = stack.user()
    lines = [f"{method} {u.base}{target} HTTP/1.1", f"Host: 127.0.0.1:{stack.heddle.port}",
             f"Authorization: {u.sign(method, u.base + target)}", *extra]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def test_slow_loris_holds_nobody_up_and_is_cut(stack):
    slow = []
    for i in range(200):
        s = socket.create_connection(("127.0.0.1", stack.heddle.port))
        s.sendall(b"GET /1.5/1/info/collections HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        slow.append(s)
    for _ in range(20):
        for s in slow[:50]:
            try:
                s.sendall(b"a")
            except OSError:
                pass
        serves(stack)

    def all_cut():
        for s in slow:
            s.setblocking(False)
            try:
                if s.recv(65536) != b"":
                    return False
            except BlockingIOError:
                return False
            except OSError:
                pass
        return True

    for s in slow[50:]:  # the silent ones
        s.setblocking(True)
    wait_until(lambda: all_cut(), "slow clients are cut off", timeout_s=WAITS_S, every_s=0.2)
    for s in slow:
        s.close()
    serves(stack)


def test_a_thousand_idle_connections_cost_nobody_anything(stack):
    idle = []
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard != resource.RLIM_INFINITY and hard < 4096 else max(soft, 4096), hard))
    request = b"GET /__lbheartbeat__ HTTP/1.1\r\nHost: x\r\n\r\n"
    for _ in range(1000):
        s = socket.create_connection(("127.0.0.1", stack.heddle.port), timeout=WAITS_S)
        s.sendall(request)
        assert s.recv(65536).startswith(b"HTTP/1.1 200")
        idle.append(s)
    for _ in range(20):
        serves(stack)
    for s in idle:
        s.close()
    serves(stack)


def test_headers_of_64_kib_are_refused(stack):
    r = raw(stack, signed(stack, "GET", "/info/collections", ["X-Big: " + "a" * 65536]))
    assert r is None or r.status in (400, 413, 431), r
    serves(stack)


def test_many_headers_are_refused(stack):
    r = raw(stack, signed(stack, "GET", "/info/collections", [f"X-{i}: {'b' * 60}" for i in range(1000)]))
    assert r is None or r.status in (400, 413, 431), r
    serves(stack)


@pytest.mark.parametrize("text", ["[" * 10_000 + "]" * 10_000, '{"a":' * 10_000 + "1" + "}" * 10_000, "[" * 10_000],
                         ids=["lists", "objects", "unclosed"])
def test_json_ten_thousand_deep_is_400(stack, text):
    u = stack.user()
    for method, target in (("PUT", "/storage/deep/x"), ("POST", "/storage/deep")):
        u.request(method, target, text.encode(), expect=400, code=6)
    assert u.info() == {}
    serves(stack)


def test_a_body_over_the_limit_is_refused_before_it_is_sent(stack):
    r = raw(stack, signed(stack, "POST", "/storage/a", ["Content-Type: application/json", "Content-Length: 99999999999"]))
    assert r.status == 413 and r.body == b"17", r
    serves(stack)


def test_a_chunked_body_over_the_limit_is_refused(stack):
    with socket.create_connection(("127.0.0.1", stack.heddle.port), timeout=WAITS_S) as s:
        s.sendall(signed(stack, "POST", "/storage/a", ["Content-Type: application/json", "Transfer-Encoding: chunked"]))
        chunk = b"10000\r\n" + b"a" * 65536 + b"\r\n"
        try:
            for _ in range(100):
                s.sendall(chunk)
        except OSError:
            pass
        s.settimeout(WAITS_S)
        try:
            answer = s.recv(65536)
        except ConnectionResetError:
            answer = b""
    assert answer == b"" or answer.startswith(b"HTTP/1.1 413"), answer
    serves(stack)


def test_a_half_closed_connection_still_gets_its_answer(stack):
    with socket.create_connection(("127.0.0.1", stack.heddle.port), timeout=WAITS_S) as s:
        s.sendall(signed(stack, "GET", "/info/collections", ["Connection: close"]))
        s.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := s.recv(65536):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 200") or answer == b"", answer
    serves(stack)


def test_a_client_that_goes_in_the_middle_of_its_body_leaves_nothing(stack):
    u = stack.user()
    body = json.dumps([{"id": "a", "payload": "x" * 1000}]).encode()
    head = (f"POST {u.base}/storage/gone HTTP/1.1\r\nHost: 127.0.0.1:{stack.heddle.port}\r\nContent-Type: application/json\r\n"
            f"Authorization: {u.sign('POST', u.base + '/storage/gone')}\r\nContent-Length: {len(body)}\r\n\r\n").encode()
    for cut in (0, 1, len(body) // 2, len(body) - 1):
        with socket.create_connection(("127.0.0.1", stack.heddle.port), timeout=WAITS_S) as s:
            s.sendall(head + body[:cut])
    serves(stack)
    assert u.info() == {}


@pytest.mark.parametrize("extra", [["Content-Length: 2", "Content-Length: 3"], ["Content-Length: 2", "Transfer-Encoding: chunked"],
                                   ["Transfer-Encoding: chunked, chunked"], ["Content-Length: +2"], ["Content-Length: -1"],
                                   ["Content-Length: 0x2"]])
def test_ambiguous_framing_is_refused_and_closed(stack, extra):
    request = signed(stack, "PUT", "/storage/a/b", ["Content-Type: application/json", *extra]) + b"{}"
    with socket.create_connection(("127.0.0.1", stack.heddle.port), timeout=WAITS_S) as s:
        s.sendall(request + b"GET /__lbheartbeat__ HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b""
        try:
            while chunk := s.recv(65536):
                answer += chunk
        except ConnectionResetError:
            pass
    assert b"HTTP/1.1 200" not in answer and b"active_connections" not in answer, f"what followed was taken for a request: {answer}"
    assert answer == b"" or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 411", b"HTTP/1.1 413", b"HTTP/1.1 501")), answer
    serves(stack)


def test_noise_is_no_request(stack):
    for noise in (b"\0" * 300, b"\xff\xfe\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\r\n" * 1000, b"A" * 40000):
        r = raw_exchange("127.0.0.1", stack.heddle.port, noise + b"\r\n\r\n", WAITS_S)
        assert r is None or 400 <= r.status < 500 or r.status == 505, (noise[:20], r)
    serves(stack)
