"""Calls of the internal API as the operator makes them: signed, over the socket of an internal listener."""
import json

from . import hawk
from .wire import over_socket


def operate(process, key, method, path, body=None, expect=200):
    """One call to a directory, a node or a one box; path below /internal/v1/."""
    target, kind, data = f"/internal/v1/{path}", "", b""
    if body is not None:
        kind, data = "application/json", json.dumps(body).encode()
    sign = hawk.header("admin", key, method, target, "localhost", 80, int(process.now()), hash=hawk.payload_hash(kind, data))
    said = over_socket(process.socket, target, method, data or None, {"Authorization": sign} | ({"Content-Type": kind} if kind else {}))
    assert expect is None or said.status == expect, repr(said)
    return said
