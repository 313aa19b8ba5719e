"""Direct mode: each node has a public name of its own. After a move the old one answers 401, and the client asks the directory."""
import re
import socket
from types import SimpleNamespace

import pytest
from lib.device import Account15, SyncFailed
from lib.firefox15 import Desktop
from lib.palemoon11 import PaleMoon
from lib.storage11 import Storage11
from lib.storage15 import Storage15
from lib.wire import Connection
from test_browsers import Stack, content, fill


class Watched:
    """A browser that keeps the status of every answer."""

    def request(self, *args, **kw):
        self.statuses = getattr(self, "statuses", [])
        try:
            r = super().request(*args, **kw)
        except SyncFailed as e:
            self.statuses.append(e.reply.status)
            raise
        self.statuses.append(r.status)
        return r


class WatchedDesktop(Watched, Desktop):
    pass


class WatchedPaleMoon(Watched, PaleMoon):
    pass


class Named(Connection):
    """To the balancer, with a node's name as Host: as if that name led to the balancer."""

    def __init__(self, front, node):
        super().__init__("127.0.0.1", node.port)
        self.door = front.door.port

    def _exchange(self, method, target, pairs, body, host):
        port, self.port = self.port, self.door
        try:
            return super()._exchange(method, target, pairs, body, f"{self.host}:{port}")
        finally:
            self.port = port


def move(front, who):
    source = front.owner(who)
    target = next(n for n in front.nodes if n is not source)
    front.admin("user", "move", str(who), "--to", target.node_name)
    assert front.owner(who) is target
    return source, target


def test_a_request_goes_by_the_name_that_was_called(direct):
    for node in direct.nodes:
        with socket.create_connection(("127.0.0.1", direct.door.port), timeout=60) as s:
            s.sendall(f"GET /1.5/77/info/collections HTTP/1.1\r\nHost: {node.node_name.upper()}\r\nConnection: close\r\n\r\n".encode())
            answer = s.recv(65536)
        assert b" 401 " in answer
        name = re.search(rb"(?i)x-request-id: (\S+)", answer)[1].decode()
        assert direct.line_of(SimpleNamespace(header=lambda _, name=name: name))["node"] == node.node_name.replace(":", "_")


@pytest.mark.parametrize("browser", [WatchedDesktop, WatchedPaleMoon])
def test_a_moved_browser_gets_one_401_and_syncs_on(direct, browser):
    if browser is WatchedPaleMoon:
        device = browser(Stack(direct)).create_account()
        who, other = device.username, device.another_device
    else:
        account = Account15(Stack(direct))
        device = browser(account)
        who, other = None, lambda: Desktop(account)
    fill(device, 5)
    device.sync()
    if who is None:
        who = device.credentials["uid"]
    _, target = move(direct, who)
    device.statuses.clear()
    fill(device, 9)
    device.sync()
    assert device.statuses.count(401) == 1 and set(device.statuses) <= {200, 401}, device.statuses
    assert target.url in (device.endpoint if hasattr(device, "endpoint") else device.node)
    second = other()
    second.sync()
    assert content(second) == content(device)


def test_a_move_behind_a_balancer_for_all_names(direct):
    """The old name goes on leading to the old node, whatever the route: 401, then the directory names the new one."""
    sub = "direct-sub"
    out = direct.token(sub)
    source = direct.owner(out["uid"])
    client = lambda out, node: Storage15(direct.door, out["uid"], out["id"], out["key"], connection=Named(direct, node))  # noqa: E731
    u = client(out, source)
    u.save("xx", "a", "payload")
    old = direct.user11()
    home = direct.owner(old.name)
    at = Storage11(direct.door, old.name, old.password, old.email)
    at._connections = {("127.0.0.1", direct.door.port): Named(direct, home)}
    at.save("xx", "a", "payload")
    _, target = move(direct, out["uid"])
    r = u.get("/storage/xx", expect=401)
    assert direct.line_of(r)["node"] == source.node_name.replace(":", "_") and r.body == b"0"
    fresh = direct.token(sub)
    assert fresh["uid"] == out["uid"] and fresh["api_endpoint"] == f"{target.url}/1.5/{out['uid']}"
    assert client(fresh, target).ids("xx") == ["a"]
    _, target = move(direct, old.name)
    at.get("/storage/xx", expect=401)
    assert old.node().text.rstrip("/") == target.url
