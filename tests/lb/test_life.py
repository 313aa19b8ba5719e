"""Routes that change, balancers that reload and restart, nodes that die and return, users in cut-over: under traffic, nothing fails."""
import json
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout

import pytest
from conftest import FULL
from lib import hawk
from lib.processes import wait_until


class Traffic:
    """Clients that write and read all the time; every answer but 200 is kept."""

    def __init__(self, clients, make_new_connections=True):
        self.clients, self.stop = clients, threading.Event()
        self.done, self.bad, self.slowest = 0, [], 0.0
        self.threads = [threading.Thread(target=self._run, args=(u, i)) for i, u in enumerate(clients)]

    def _run(self, u, number):
        n = 0
        while not self.stop.is_set():
            n += 1
            try:
                began = time.monotonic()
                if n % 5 == 0:
                    r = u.put("/storage/xx/a", {"payload": f"{number} {n}"}, expect=None)
                else:
                    r = u.get("/info/collections", expect=None)
                self.slowest = max(self.slowest, time.monotonic() - began)
                if r.status != 200:
                    self.bad.append(repr(r)[:300])
                self.done += 1
                if n % 40 == 0:
                    u.close()
            except Exception as e:
                self.bad.append(repr(e))
                u.close()
                self.stop.wait(0.05)

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for t in self.threads:
            t.join()

    def check(self, least=20):
        assert not self.bad, self.bad[:5]
        assert self.done >= least


class OtherDirectory:
    """Speaks just enough of the directory's internal API to let `lb follow` see many accounts that move about, without a database."""

    def __init__(self, nodes, address, users):
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
        self.nodes, self.news, self.lock = nodes, [], threading.Lock()
        self.places = {uid: nodes[uid % len(nodes)] for uid in users}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 1 << 16  # headers and body in one packet

            def log_message(self, *_):
                pass

            def do_GET(self):
                path, _, query = self.path.removeprefix("/internal/v1/").partition("?")
                body, headers = outer.answer(path, dict(x.split("=", 1) for x in query.split("&") if "=" in x), address)
                self.send_response(200 if body is not None else 404)
                for name, value in headers.items():
                    self.send_header(name, value)
                data = (body if body is not None else '{"rc":"NOT_FOUND","text":""}').encode()
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def entry(self, uid):
        return json.dumps({"uid": uid, "name": f"{uid:x}@x", "node": self.places[uid].node_name, "epoch": 1})

    def answer(self, path, query, address):
        if path == "nodes":
            return "".join(json.dumps({"name": n.node_name, "url": n.url, "address": address, "state": "open", "pools": "", "capacity": 1000}) + "\n"
                           for n in self.nodes), {}
        with self.lock:
            if path == "accounts":
                uids = sorted(self.places)
                at = int(query.get("after", 0))
                page = uids[at:at + 1000]
                more = {"X-Heddle-Next": str(at + 1000)} if at + 1000 < len(uids) else {}
                return "".join(self.entry(u) + "\n" for u in page), more
            if path == "news":
                at = int(query["cursor"])
                if query["boot"] != "b":
                    return json.dumps({"boot": "b", "cursor": len(self.news), "all": True, "news": []}), {}
                items = self.news[at:at + 1000]
                out = {"boot": "b", "cursor": at + len(items), "news": [{"n": at + i + 1, "what": "forget", "name": f"{u:x}@x"} for i, u in enumerate(items)]}
                if at + len(items) < len(self.news):
                    out["more"] = True
                return json.dumps(out), {}
            if path.startswith("accounts/"):
                uid = int(path.removeprefix("accounts/").partition("%40")[0], 16)
                return (self.entry(uid) if uid in self.places else None), {}
        return None, {}

    def move(self, uid, node):
        with self.lock:
            self.places[uid] = node
            self.news.append(uid)

    def close(self):
        self.server.shutdown()


def test_ten_thousand_route_changes_under_traffic(own_front, kind):
    """Whole: 10,000 in 60 s. The changed users are others than those who sync: what is looked at is whether changing hurts anybody."""
    count, seconds = (10000, 60) if FULL else (600, 4)
    front = own_front(2, limit_user=0)
    users = [front.user15() for _ in range(4)]
    other = OtherDirectory(front.nodes, front.door.url, range(100000, 100000 + count))
    for u in users:
        other.places[u.uid] = front.owner(u.uid)
    words = front.lb_words()
    i = next(i for i, w in enumerate(words) if w.startswith("admin.directory="))
    words[i] = "admin.directory=" + other.url
    front.lb_words = lambda: words
    front.follow()
    try:
        with Traffic(users) as traffic:
            began = time.monotonic()
            for n in range(count):
                other.move(100000 + n, front.nodes[(n + n // 2) % 2])
                ahead = n * seconds / count - (time.monotonic() - began)
                if ahead > 0:
                    traffic.stop.wait(ahead)
            wait_until(lambda: "DIFFERENT" not in front.lb("verify", expect=None) and json_same(front), "every change is in the balancer", 40, every_s=0.5)
        refused = [x for x in front.balancer.lines() if x["status"] >= 500]
        assert not refused, refused[:5]
        traffic.check(least=100)
        print(f"{kind}: {count} changes in {seconds} s, {traffic.done} requests, the slowest {traffic.slowest * 1000:.0f} ms")
    finally:
        other.close()


def json_same(front):
    out = front.lb("verify", "--json", expect=None)
    return all(json.loads(line)["same"] for line in out.splitlines() if line.startswith("{"))


@pytest.mark.parametrize("part", range(5) if FULL else [0])
def test_a_thousand_reloads_under_traffic(lively, kind, part):
    """Whole: five times two hundred."""
    front = lively
    users = [front.user15() for _ in range(4)]
    count = 200 if FULL else 6
    cfg = front.folder / "lb" / ("haproxy.cfg" if kind == "haproxy" else "nginx.conf")
    with Traffic(users) as traffic:
        for i in range(count):
            front.settings["retry_after"] = f"{16 + (part + i) % 2}s"  # something in the configuration changes
            before = cfg.read_text()
            front.lb("push")
            assert cfg.read_text() != before
    del front.settings["retry_after"]
    front.lb("push")
    traffic.check()


def test_one_row_changes_within_fifty_milliseconds(lively, kind):
    if kind == "nginx":
        pytest.skip("nginx reads files; see lb-rules/README.md")
    front = lively
    u = front.user15()
    times = [json.loads(front.lb("push", str(u.uid), "--json"))["took_ms"] for _ in range(5)]
    assert sorted(times)[2] < 50, times


def test_a_balancer_restarted_from_its_last_maps_needs_no_directory(own_front):
    front = own_front(2, follow=True, directory_options={"assign.slots": "no"})
    users = [front.user15() for _ in range(8)] + [front.user11() for _ in range(4)]
    for u in users:
        wait_until(lambda: u.get("/info/collections", expect=None).status == 200, "his route is known", 10, every_s=0.1)
    wait_until(lambda: json_same(front), "as the directory says", 10, every_s=0.3)
    rows = wait_until(front.rows, "rows are in the files", 5)
    front.directory.kill()
    front.follower.stop()
    front.balancer.stop()
    front.balancer.start()
    front.await_well()
    assert front.rows() == rows
    for u in users[:8]:
        u.close()
        u.get("/info/collections")
        u.put("/storage/xx/a", {"payload": "x"})
    for u in users[8:]:
        u.get("/info/collections")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_write_whose_connection_dies_is_never_sent_twice(front, method):
    u = front.user15()
    u.get("/info/collections")
    tap = front.taps[front.nodes.index(front.owner(u.uid))]
    for reused in (False, True):
        mark = os.urandom(8).hex()
        if reused:
            u.get("/info/collections")
        tap.cut = mark.encode()
        target = f"/storage/xx?ids={mark}" if method == "DELETE" else "/storage/xx" if method == "POST" else f"/storage/xx/{mark}"
        body = None if method == "DELETE" else [{"id": "a", "payload": mark}] if method == "POST" else {"payload": mark}
        data = json.dumps(body).encode() if body is not None else b""
        whole = f"/1.5/{u.uid}{target}"
        sign = hawk.header(u.id, u.key, method, whole, "127.0.0.1", front.door.port, int(front.door.now()))
        before = f"GET /1.5/{u.uid}/info/collections HTTP/1.1\r\nHost: x\r\n\r\n" if reused else ""
        with socket.create_connection(("127.0.0.1", front.door.port), timeout=30) as s:
            if before:
                s.sendall(before.encode())
                s.recv(65536)
            s.sendall(f"{method} {whole} HTTP/1.1\r\nHost: x\r\nAuthorization: {sign}\r\nContent-Type: application/json\r\n"
                      f"Content-Length: {len(data)}\r\n\r\n".encode() + data)
            answer = s.recv(65536)
        if answer:  # else told by the connection alone: the second request of a connection may be
            assert answer.startswith(b"HTTP/1.1 503") and b"retry-after" in answer.lower(), answer
        else:
            assert reused
        assert tap.raw().count(mark.encode()) == (2 if method == "PUT" else 1)  # a PUT has it in path and body
        tap.cut = None
        wait_until(lambda: u.get("/info/collections", expect=None).status == 200, "on it goes", 10)


def test_a_held_user_waits_and_others_do_not(lively, kind):
    if kind == "nginx":
        pytest.skip("nginx cannot hold; see lb-rules/README.md")
    front = lively  # which holds for three seconds
    u, other = front.user15(), front.user15()
    front.lb("hold", str(u.uid))
    with ThreadPoolExecutor(2) as pool:
        began = time.monotonic()
        waiting = pool.submit(u.get, "/info/collections")
        for _ in range(20):
            other.get("/info/collections")
        assert time.monotonic() - began < 2 and not waiting.done()
        with pytest.raises(FutureTimeout):
            waiting.result(0.5)
        front.lb("release", str(u.uid))
        waiting.result(5)
    front.lb("hold", str(u.uid))
    began = time.monotonic()
    u.get("/info/collections")  # a hold that nobody ends is over by itself
    assert 2.5 < time.monotonic() - began < 6


def moved(front, u, traffic):
    """Moves a user under his own traffic; gives his new node."""
    who = u.uid if hasattr(u, "uid") else u.name
    source = front.owner(who)
    target = next(n for n in front.nodes if n is not source)
    wait_until(lambda: traffic.done > 5, "it syncs", 10)
    front.mover("user", "move", str(who), "--to", target.node_name)
    assert front.owner(who) is target

    def well():
        seen, bad = traffic.done, len(traffic.bad)
        wait_until(lambda: traffic.done > seen + 20, "it goes on", 20)
        return len(traffic.bad) == bad

    wait_until(well, "twenty good answers in a row", 30, every_s=0)


@pytest.mark.parametrize("dialect", ["15", "11"])
def test_a_live_move_in_held_mode_shows_the_client_nothing(lively, kind, dialect):
    if kind == "nginx":
        pytest.skip("nginx cannot hold; see lb-rules/README.md")
    u = lively.user15() if dialect == "15" else lively.user11()
    for i in range(3):
        u.put(f"/storage/xx/r{i}", {"id": f"r{i}", "payload": "x" * 1000}, expect=None)
    with Traffic([u]) as traffic:
        moved(lively, u, traffic)
    traffic.check()


@pytest.mark.parametrize("dialect", ["15", "11"])
def test_a_live_move_without_hold_refuses_for_a_moment_and_loses_nothing(lively, kind, dialect):
    """nginx: 503 with Retry-After while the head is frozen, 401 until nginx has read its new files; then it goes on with the same token."""
    if kind == "haproxy":
        pytest.skip("HAProxy holds")
    u = lively.user15() if dialect == "15" else lively.user11()
    u.put("/storage/xx/r", {"id": "r", "payload": "kept"}, expect=None)
    with Traffic([u]) as traffic:
        moved(lively, u, traffic)
    assert all(r.startswith("<") or " 401" in r or (" 503" in r and "Retry-After" in r) for r in traffic.bad), traffic.bad[:5]
    print(f"{traffic.done} requests, refused: {sorted(r[:60] for r in traffic.bad)}")
    assert u.get("/storage/xx/r").json()["payload"] == "kept"


def test_a_node_that_returns_is_not_trampled(own_front, kind):
    """Forty clients at once at one slow node that was away: HAProxy lets few of their requests be under way there at first, then more and more."""
    if kind == "nginx":
        pytest.skip("nginx's open edition has no slow start; see lb-rules/README.md")
    most, seconds = 20, 6
    front = own_front(1, taps=True, node_requests=most, slowstart=f"{seconds}s", queue_wait="5s", limit_user=0)
    node, tap = front.nodes[0], front.taps[0]
    name = f"node_{node.node_name.replace(':', '_')},node,"
    row = lambda: next(x.split(",") for x in front.balancer.runtime("show stat").splitlines() if x.startswith(name))  # noqa: E731
    users = [front.user15() for _ in range(2 * most)]
    node.kill()
    wait_until(lambda: "DOWN" in row()[17], "down", 10)
    node.start()
    tap.delay_s = 0.15  # a cold node is a slow one
    wait_until(lambda: row()[17].startswith("UP"), "up again", 10, every_s=0.01)
    began, admitted = time.monotonic(), []
    with Traffic(users) as traffic:
        while (at := time.monotonic() - began) < seconds + 2:
            admitted.append((at, int(row()[4])))
            time.sleep(0.05)
        tap.delay_s = 0
    of = lambda a, b: [n for at, n in admitted if a <= at < b]  # noqa: E731
    early, middle, late = max(of(0, 0.8)), max(of(seconds * 0.4, seconds * 0.6)), max(of(seconds + 0.5, seconds + 2))
    assert early <= most * 0.3 and early < middle <= most * 0.8 and middle < late and late >= most * 0.9, (early, middle, late)
    assert not [x for x in front.balancer.lines() if x["status"] not in (200, 503)] and traffic.done > 100
