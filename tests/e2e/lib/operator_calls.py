"""Calls of the internal API as the operator makes them: signed, over the socket of an internal listener."""
import http.client
import json
import socket

from . import hawk


class Said:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.text = status, headers, body.decode()

    def json(self):
        return json.loads(self.text)

    def lines(self):
        return [json.loads(line) for line in self.text.splitlines() if line]


def operate(process, key, method, path, body=None, expect=200):
    """One call to a directory or a one box; path below /internal/v1/."""
    target, kind, data = f"/internal/v1/{path}", "", b""
    if body is not None:
        kind, data = "application/json", json.dumps(body).encode()
    sign = hawk.header("admin", key, method, target, "localhost", 80, int(process.now()), hash=hawk.payload_hash(kind, data))
    connection = http.client.HTTPConnection("localhost", timeout=30)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(30)
    try:
        connection.sock.connect(str(process.socket))
        connection.request(method, target, data, {"Authorization": sign} | ({"Content-Type": kind} if kind else {}))
        answer = connection.getresponse()
        said = Said(answer.status, answer.headers, answer.read())
    finally:
        connection.close()
    assert expect is None or said.status == expect, f"{method} {path}: {said.status} {said.text}"
    return said
