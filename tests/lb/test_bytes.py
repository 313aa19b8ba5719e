"""What reaches a node, byte by byte: awkward URIs, forged headers, smuggled requests."""
import os
import re
import signal
import socket
import ssl
import subprocess
from collections import Counter

import pytest
from conftest import FULL
from lib import hawk
from lib.processes import wait_until
from tap import read_requests

UNRESERVED = "abcXYZ019-._~"
ODD = ["%20", "%2F", "%2f", "%25", "%3F", "%23", "%7B", "%7D", "%c3%a7", "%C3%A7", "%E2%98%83", "+", "!", "$", "&", "'", "(", ")", "*", ",", ";", "=",
       ":", "@", "%3a", "%2e", "%2E%2e", "%00x"[3:], "%5B", "%5D", "%0a"[:0] or "%09", "%7e"]


CLIMBS = re.compile(r"(\.|%2e){2}", re.IGNORECASE)


def raw(front, data, timeout_s=60):
    with socket.create_connection(("127.0.0.1", front.door.port), timeout=timeout_s) as s:
        s.sendall(data)
        out = b""
        try:
            while piece := s.recv(65536):
                out += piece
        except TimeoutError:
            pass
    return out


def piece(rnd):
    return "".join(rnd.choice(ODD) if rnd.random() < 0.4 else rnd.choice(UNRESERVED) for _ in range(rnd.randrange(1, 12)))


def awkward(rnd, base):
    """A target below a user's base, and whether it is one that nodes know."""
    if rnd.random() < 0.5:
        target, good = f"{base}/storage/{''.join(rnd.choice('abcXYZ019-_') for _ in range(8))}", True
        if rnd.random() < 0.5:
            target += "/" + piece(rnd)
            good = None  # many ids are good ones
    else:
        target, good = base + rnd.choice(["//info/collections", "/info//collections", "/info/./collections", "/info/collections/",
                                          "/info/../info/collections", "/storage/x/..", "/.", "/" + piece(rnd), "/storage//x"]), None
    if rnd.random() < 0.7:
        target += "?" + rnd.choice(["", "&", "&&a=&=b&a", "full=1", "ids=", "ids=a,b,%2c&ids=a", "a=1&a=2&a", "newer=0&older=", "x=%20+%2B", "?a=?b", "a=/../b"])
    return target, good


@pytest.mark.parametrize("mount", ["", "/sync"])
def test_awkward_uris_reach_the_node_as_they_were_sent(request, kind, rnd, mount):
    front = request.getfixturevalue("own_front")(2, base=mount, taps=True) if mount else request.getfixturevalue("front")
    users = [front.user15() for _ in range(3)]
    front.taps[0].forget(), front.taps[1].forget()
    sent, good = [], 0
    always = [f"{mount}/1.5/{users[0].uid}/{climb}" for climb in ("%2E%2e", "..", ".%2e/", "x%2F..%2f%2e%2e%2F..")]
    for i in range(500):
        u = users[i % 3]
        plain, escaped = f"{mount}/1.5/{u.uid}", f"{mount}/1.5/" + "".join(f"%3{c}" for c in str(u.uid))
        target, known = awkward(rnd, plain)
        if i % 5 == 0 and not (kind == "nginx" and CLIMBS.search(target)):  # what nginx cannot do: lb-rules/README.md
            target = target.replace(plain, escaped, 1)
        if i % 3 == 0 and always:
            target, known = always.pop(), None
        host = rnd.choice([f"127.0.0.1:{front.door.port}", f"LOCALHOST:{front.door.port}", "Sync.Example.NET", "sync.example.net:8443"])
        sign = hawk.header(u.id, u.key, "GET", target, "127.0.0.1", front.door.port, int(front.door.now()))
        answer = raw(front, f"GET {target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {sign}\r\nConnection: close\r\n\r\n".encode())
        status = int(answer.split(b" ", 2)[1])
        assert status in (200, 400, 401, 404), (target, answer[:300])  # 401: his other node, where no user was seen in it
        if known and i % 5:
            assert status in (200, 400), (target, answer[:300])
        good += status == 200
        sent.append((target, host))
    assert good > 50
    seen = [(r.target, r.header("host")) for r in front.requests()]
    assert sorted(seen) == sorted(sent)


FORGED = ["X-Heddle-Node", "X-Heddle-User", "X-Heddle-Uid", "X-Heddle-Epoch", "X-Heddle-Secret", "X-Heddle-Next", "X-Forwarded-For", "X-Forwarded-Host",
          "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Server", "X-Forwarded-Prefix", "Forwarded", "X-Real-IP", "X-Request-Id", "X-Original-URL",
          "X-Rewrite-URL", "X-HTTP-Method-Override", "X-Client-IP", "True-Client-IP", "CF-Connecting-IP", "X-Cluster-Client-Ip", "Via", "Proxy",
          "Upgrade", "HTTP2-Settings", "TE", "Trailer", "Keep-Alive", "X-Accel-Redirect", "X-Sendfile", "Range"]
PASSING = {"host", "accept", "accept-encoding", "authorization", "content-type", "content-length", "connection", "user-agent", "x-forwarded-for",
           "x-forwarded-proto", "x-request-id", "transfer-encoding"}


def disguise(rnd, name):
    how = rnd.randrange(6)
    if how == 0:
        return name.lower()
    if how == 1:
        return name.upper()
    if how == 2:
        return name.replace("-", "_")
    if how == 3:
        return "".join(c.upper() if rnd.random() < 0.5 else c.lower() for c in name)
    if how == 4:
        return name + rnd.choice(["-", "-Node", "2", "."])
    return name


def test_no_forged_header_reaches_a_node(front, rnd):
    u = front.user15()
    for tap in front.taps:
        tap.forget()
    rounds = 2000 if FULL else 150
    for _ in range(rounds):
        mark = f"forged-{os.urandom(6).hex()}"
        lines = [f"{disguise(rnd, rnd.choice(FORGED))}: {mark}" for _ in range(rnd.randrange(1, 6))]
        if rnd.random() < 0.3:
            lines.append("Connection: close, X-Forwarded-For, X-Request-Id, Authorization")
        target = f"/1.5/{u.uid}/info/collections"
        sign = hawk.header(u.id, u.key, "GET", target, "127.0.0.1", front.door.port, int(front.door.now()))
        lines.insert(rnd.randrange(len(lines) + 1), f"Authorization: {sign}")
        raw(front, f"GET {target} HTTP/1.1\r\nHost: x\r\nUser-Agent: f\r\n{chr(13) + chr(10)}".encode()[:-2] + "\r\n".join(lines).encode() + b"\r\nConnection: close\r\n\r\n")
    seen = front.requests()
    assert len(seen) > rounds * 0.9
    assert b"forged-" not in b"".join(t.raw() for t in front.taps)
    for r in seen:
        names = [n.lower() for n, _ in r.headers]
        assert set(names) <= PASSING, names
        assert r.all("x-forwarded-for") == ["127.0.0.1"] and len(r.all("x-request-id")) == 1 and r.all("x-forwarded-proto") == ["http"]


SMUGGLED = b"GET /1.5/1/storage/SMUGGLED000 HTTP/1.1\r\nHost: x\r\n\r\n"


def attacks(uid):
    """Name -> bytes of one connection. The public collections' families: CL.TE, TE.CL, TE.TE, bare LF, folding, duplicates, odd sizes."""
    post = f"POST /1.5/{uid}/storage/x HTTP/1.1\r\nHost: x\r\n".encode()
    s = SMUGGLED
    n = str(len(s)).encode()
    chunk = b"%x\r\n%s\r\n0\r\n\r\n" % (len(s), s)
    yield "CL.TE", post + b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % (5 + len(s)) + s
    yield "TE.CL", post + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk
    for te in (b"Transfer-Encoding: xchunked", b"Transfer-Encoding : chunked", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x", b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
               b"Transfer-Encoding:\tchunked", b"Transfer-Encoding:\x0bchunked", b" Transfer-Encoding: chunked", b"X: X\nTransfer-Encoding: chunked",
               b"Transfer-Encoding\r\n : chunked", b"Transfer-Encoding: chunked, identity", b"Transfer-Encoding: identity, chunked", b"Transfer-Encoding: \"chunked\"",
               b"Transfer-Encoding: CHUNKED", b"Transfer-encoding: chunked;a=b", b"Transfer_Encoding: chunked", b"Transfer-Encoding: chunked\x00", b"Transfer-Encoding: chu\nnked"):
        yield f"TE.TE {te!r}", post + b"Content-Length: %d\r\n%s\r\n\r\n0\r\n\r\n" % (5 + len(s), te) + s
        yield f"TE alone {te!r}", post + te + b"\r\n\r\n0\r\n\r\n" + s
    for cl in (b"Content-Length: 0\r\nContent-Length: " + n, b"Content-Length: " + n + b"\r\nContent-Length: 0", b"Content-Length: 0, " + n, b"Content-Length: +" + n,
               b"Content-Length: -1", b"Content-Length: 0x" + n, b"Content-Length: " + n + b"abc", b"Content-Length:", b"Content-Length: 1 2", b"Content-Length : " + n,
               b"Content-Length: 99999999999999999999", b"Content_Length: " + n, b"Content-Length\x00: " + n, b"Content-Length: 0\n", b"Content-Length: 0\r\n Content-Length: " + n):
        yield f"CL {cl!r}", post + cl + b"\r\n\r\n" + s
    yield "bare LF", b"POST /1.5/1/storage/x HTTP/1.1\nHost: x\nContent-Length: " + n + b"\n\n" + s
    yield "bare CR", b"GET /1.5/1/info/collections HTTP/1.1\r\nHost: x\r\nX: a\rGET /1.5/1/storage/SMUGGLED000 HTTP/1.1\r\n\r\n"
    yield "obs-fold", b"GET /1.5/1/info/collections HTTP/1.1\r\nHost: x\r\nX: a\r\n GET /1.5/1/storage/SMUGGLED000 HTTP/1.1\r\n\r\n"
    yield "GET with a body", b"GET /1.5/1/info/collections HTTP/1.1\r\nHost: x\r\nContent-Length: " + n + b"\r\n\r\n" + s
    yield "chunk size with a sign", post + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n" + s
    yield "chunk size too large", post + b"Transfer-Encoding: chunked\r\n\r\n1000000000000000000000\r\n" + s
    yield "chunk extension", post + b"Transfer-Encoding: chunked\r\n\r\n0;a=\nb\r\n\r\n" + s
    yield "chunk with a bare LF", post + b"Transfer-Encoding: chunked\r\n\r\n0\n\n" + s
    yield "trailer", post + b"Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: " + n + b"\r\n\r\n" + s
    yield "HTTP/0.9", b"GET /1.5/1/storage/SMUGGLED000\r\n\r\n"
    yield "HTTP/1.0 with TE", b"POST /1.5/1/storage/x HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n0\r\n\r\n" + s
    yield "two versions", b"GET /1.5/1/info HTTP/1.1 HTTP/1.1\r\nHost: x\r\n\r\n" + s
    yield "upgrade to h2c", b"GET /1.5/1/info/collections HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"
    yield "absolute target", b"GET http://evil/1.5/1/storage/SMUGGLED000 HTTP/1.1\r\nHost: x\r\n\r\n"
    yield "expect and pipeline", post + b"Expect: 100-continue\r\nContent-Length: 0\r\n\r\n"


def smuggled(front):
    """How often each of the smuggled requests (their numbers) reached a node as a request. Every byte that reached one is part of a request that a
    strict reader understands."""
    found = Counter()
    for tap in front.taps:
        with tap.lock:
            streams = [bytes(s) for s in tap.streams]
        for s in streams:
            try:
                requests, rest = read_requests(s)
            except ValueError as e:
                raise AssertionError(f"{e} in {s!r}") from None
            assert rest == b"" or b"SMUGGLED" not in rest or b"HTTP/1.1\r\n" in rest[:200], rest
            found.update(m[1] for r in requests if (m := re.search(r"SMUGGLED(\d*)", r.line)))
    return found


def end_softly(front):
    """The balancer ends what it has begun, and logs it; then nothing is on its way any more."""
    front.balancer.child.send_signal(signal.SIGUSR1 if front.kind == "haproxy" else signal.SIGQUIT)
    front.balancer.child.wait(240)
    wait_until(lambda: not any(tap.live for tap in front.taps), "the taps have seen the last byte", 60)


def test_request_smuggling(own_front):
    """What a node read as a request of its own the balancer must have read as one, too: then it is a pipeline, and went by all rules."""
    front = own_front(2, taps=True, limit_user=0, limit_address=0)
    u, names = front.user15(), {}
    for i, (name, data) in enumerate(attacks(u.uid)):
        names[f"{i:03d}"] = name
        raw(front, data.replace(b"SMUGGLED000", b"SMUGGLED%03d" % i), timeout_s=0.4)
        u.get("/info/collections")
    u.close()
    end_softly(front)
    known = Counter(m[1] for x in front.balancer.lines() if (m := re.search(r"SMUGGLED(\d+)", x["path"])))
    found = smuggled(front)
    hidden = {names[i]: (n, known[i]) for i, n in found.items() if n > known[i]}
    assert not hidden, f"requests that the balancer knows nothing of: {hidden}"
    assert found, "pipelines did reach the nodes"


def h2_frame(kind, flags, stream, payload):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def h2_headers(fields):
    """HPACK, every field a literal that is never indexed."""
    out = b""
    for name, value in fields:
        out += b"\x10" + bytes([len(name)]) + name + (bytes([len(value)]) if len(value) < 127 else b"\x7f" + bytes([len(value) - 127])) + value
    return out


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", str(folder / "key"),
                    "-out", str(folder / "cert")], check=True, capture_output=True)
    (folder / "both.pem").write_bytes((folder / "cert").read_bytes() + (folder / "key").read_bytes())
    return folder / "both.pem"


def h2(front, fields, body=b"", timeout_s=1.0):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with socket.create_connection(("127.0.0.1", front.door.port), timeout=60) as plain, context.wrap_socket(plain) as s:
        assert s.selected_alpn_protocol() == "h2"
        s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + h2_frame(4, 0, 0, b"") + h2_frame(1, 4 if body else 5, 1, h2_headers(fields)) +
                  (h2_frame(0, 1, 1, body) if body else b""))
        s.settimeout(timeout_s)
        out = b""
        try:
            while data := s.recv(65536):
                out += data
                if len(out) > 9 and b"\x00\x00\x00\x01" in out and out.count(b"\x00\x00\x00\x01") > 1:
                    break
        except (TimeoutError, OSError):
            pass
    return out


def test_h2_at_the_door_and_its_downgrade(own_front, certificate):
    front = own_front(1, taps=True, tls_cert=str(certificate))
    done = subprocess.run(["curl", "-sk", "--http2", "-o", "/dev/null", "-w", "%{http_version} %{http_code}", f"https://127.0.0.1:{front.door.port}/__heartbeat__"],
                          capture_output=True, text=True)
    assert done.stdout == "2 200", done
    base = [(b":method", b"POST"), (b":scheme", b"https"), (b":path", b"/1.5/1/storage/x"), (b":authority", b"x")]
    inject = b"x\r\n\r\n" + SMUGGLED
    for name, fields, body in [
            ("te", base + [(b"transfer-encoding", b"chunked")], b"0\r\n\r\n" + SMUGGLED),
            ("cl small", base + [(b"content-length", b"0")], SMUGGLED),
            ("cl large", base + [(b"content-length", b"500")], SMUGGLED),
            ("cl twice", base + [(b"content-length", b"0"), (b"content-length", str(len(SMUGGLED)).encode())], SMUGGLED),
            ("crlf in a value", base + [(b"x-confirm-delete", inject[:120])], b""),
            ("crlf in a name", base + [(b"accept: x\r\n\r\nGET /1.5/1/storage/SMUGGLED HTTP/1.1\r\nhost", b"x")], b""),
            ("crlf in the path", [(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/1.5/1/info HTTP/1.1\r\nHost: x\r\n\r\n" + SMUGGLED[:80]), (b":authority", b"x")], b""),
            ("space in the path", [(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/1.5/1/info HTTP/1.1"), (b":authority", b"x")], b""),
            ("crlf in the method", [(b":method", b"GET /1.5/1/storage/SMUGGLED HTTP/1.1\r\nHost: x\r\n\r\nGET"), (b":scheme", b"https"), (b":path", b"/"), (b":authority", b"x")], b""),
            ("connection header", base + [(b"connection", b"close"), (b"upgrade", b"h2c")], b""),
            ("two paths", base + [(b":path", b"/1.5/1/storage/SMUGGLED")], b"")]:
        h2(front, fields, body, timeout_s=0.4)
        assert not smuggled(front), (name, front.taps[0].raw())
    end_softly(front)
    assert not smuggled(front), front.taps[0].raw()
