"""A tap between balancer and node: passes bytes on, and keeps what was asked. It reads requests by the letter of RFC 9112, so that what the
balancer sent and what a strict reader understands can be compared."""
import socket
import threading
import time


class Request:
    def __init__(self, line, headers, body):
        self.line, self.headers, self.body = line, headers, body
        self.method, _, rest = line.partition(" ")
        self.target, _, self.version = rest.rpartition(" ")

    def all(self, name):
        return [v for n, v in self.headers if n.lower() == name.lower()]

    def header(self, name):
        return (self.all(name) or [None])[0]


def read_requests(data):
    """(requests, rest): whole requests in the bytes of one connection. Raises ValueError where a strict reader would."""
    out = []
    while b"\r\n\r\n" in data:
        head, _, rest = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        if any("\n" in line or "\r" in line for line in lines):
            raise ValueError(f"a bare CR or LF in {head!r}")
        headers = []
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon or name != name.strip() or not name or line[0] in " \t":
                raise ValueError(f"a broken header line {line!r}")
            headers.append((name, value.strip(" \t")))
        r = Request(lines[0], headers, b"")
        lengths, codings = r.all("content-length"), r.all("transfer-encoding")
        if len(lengths) > 1 or (lengths and codings) or len(codings) > 1:
            raise ValueError(f"two ways to find the end in {head!r}")
        if codings:
            if codings[0].lower() != "chunked":
                raise ValueError(f"transfer-encoding {codings[0]!r}")
            body = b""
            while True:
                size, crlf, after = rest.partition(b"\r\n")
                if not crlf:
                    return out, data
                n = int(size.split(b";")[0], 16)
                if len(after) < n + 2:
                    return out, data
                if n == 0:
                    while not after.startswith(b"\r\n"):  # trailers
                        line, crlf, after = after.partition(b"\r\n")
                        if not crlf:
                            return out, data
                    rest = after[2:]
                    break
                if after[n:n + 2] != b"\r\n":
                    raise ValueError("a broken chunk")
                body, rest = body + after[:n], after[n + 2:]
            r.body = body
        elif lengths:
            n = int(lengths[0])
            if len(rest) < n:
                return out, data
            r.body, rest = rest[:n], rest[n:]
        out.append(r)
        data = rest
    return out, data


class Tap:
    """Listens on a port of its own and connects to `port` for each connection."""

    def __init__(self, port):
        self.to, self.lock = port, threading.Lock()
        self.streams = []   # bytes of each connection
        self.live = 0       # connections that may still bring something
        self.delay_s = 0    # before each piece is passed on
        self.cut = None     # bytes: a connection whose stream holds them is closed then, without an answer
        self.server = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.server.getsockname()[1]
        self.closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while not self.closed:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        try:
            node = socket.create_connection(("127.0.0.1", self.to), timeout=60)
        except OSError:
            client.close()
            return
        stream = bytearray()
        with self.lock:
            self.streams.append(stream)
            self.live += 1
        threading.Thread(target=self._pump, args=(node, client), daemon=True).start()
        try:
            while data := client.recv(65536):
                with self.lock:
                    stream += data
                if self.cut and self.cut in stream:
                    break
                if self.delay_s and b"__lbheartbeat__" not in data:
                    time.sleep(self.delay_s)
                node.sendall(data)
        except OSError:
            pass
        with self.lock:
            self.live -= 1
        for s in (client, node):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    @staticmethod
    def _pump(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        for s in (sink,):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.closed = True
        self.server.close()

    def forget(self):
        with self.lock:
            for s in self.streams:
                s.clear()

    def requests(self):
        """All requests so far, but the balancer's own checks."""
        out = []
        with self.lock:
            streams = [bytes(s) for s in self.streams]
        for s in streams:
            out += [r for r in read_requests(s)[0] if r.target != "/__lbheartbeat__"]
        return out

    def raw(self):
        with self.lock:
            return b"".join(bytes(s) for s in self.streams)
