"""Routes that change, balancers that reload and restart, nodes that die and return, users in cut-over: under traffic, nothing fails."""
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path

import pytest
from conftest import FULL
from front import ENDS_S
from lib import hawk
from lib.ops import run
from lib.processes import wait_until
from traffic import Traffic

class OtherDirectory:
    """Speaks just enough of the directory's internal API to let `lb follow` see many accounts that move about, without a database."""

    def __init__(self, nodes, address, places):
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
        self.nodes, self.news, self.lock, self.capacity = nodes, [], threading.Lock(), 1000
        self.gate, self.reached = None, threading.Event()  # a page of accounts waits at the gate, where there is one
        self.places = places
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 1 << 16  # headers and body in one packet

            def log_message(self, *_):
                pass

            def do_GET(self):
                path, _, query = self.path.removeprefix("/internal/v1/").partition("?")
                body, headers = outer.answer(path, dict(x.split("=", 1) for x in query.split("&") if "=" in x), address)
                if path == "accounts" and outer.gate:
                    outer.reached.set()
                    outer.gate.wait(120)
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
            return "".join(json.dumps({"name": n.node_name, "url": n.url, "address": address, "state": "open", "pools": "", "capacity": self.capacity}) + "\n"
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


def follow_other(front, places):
    """From now on the balancer follows a directory that has these accounts (uid: node)."""
    other = OtherDirectory(front.nodes, front.door.url, places)
    words = front.lb_words()
    i = next(i for i, w in enumerate(words) if w.startswith("admin.directory="))
    words[i] = "admin.directory=" + other.url
    front.lb_words = lambda: words
    front.follow()
    return other


def test_a_row_given_while_everything_is_read_anew_stays(own_front):
    """The follower has read where a user lives; then he is moved, and his row is pushed; then the follower puts in force what it has read."""
    front = own_front(2, limit_user=0, routes="users")
    uid = 100000
    source, target = front.nodes
    other = follow_other(front, {uid: source})
    told = "the balancer is as the directory says"

    def where():
        c = front.door.connection()
        try:
            return front.line_of(c.request("GET", f"/1.5/{uid}/info/collections"))["node"]
        finally:
            c.close()

    try:
        assert where() == source.node_name.replace(":", "_")
        other.gate = threading.Event()
        other.capacity = 2000  # another table of nodes: everything is read
        assert other.reached.wait(120)
        other.move(uid, target)
        front.lb("push", f"{uid:x}@x")
        seen = [where()]
        other.gate.set()
        wait_until(lambda: seen.append(where()) or front.follower.log_text().count(told) > 1, "everything was read", 120, every_s=0)
        seen += [where() for _ in range(20)]
        assert set(seen) == {target.node_name.replace(":", "_")}, seen
    finally:
        if other.gate:
            other.gate.set()
        other.close()


def test_ten_thousand_route_changes_under_traffic(own_front, kind):
    """Whole: 10,000 in 60 s. The changed users are others than those who sync: what is looked at is whether changing hurts anybody."""
    count, seconds = (10000, 60) if FULL else (600, 4)
    front = own_front(2, limit_user=0)
    users = [front.user15() for _ in range(4)]
    other = follow_other(front, {u.uid: front.owner(u.uid) for u in users} | {100000 + n: front.nodes[n % 2] for n in range(count)})
    try:
        with Traffic(users) as traffic:
            began = time.monotonic()
            for n in range(count):
                other.move(100000 + n, front.nodes[(n + n // 2) % 2])
                ahead = n * seconds / count - (time.monotonic() - began)
                if ahead > 0:
                    traffic.ending.wait(ahead)
            wait_until(lambda: "DIFFERENT" not in front.lb("verify", expect=None) and json_same(front), "every change is in the balancer", 240, every_s=0.5)
            traffic.await_done(100)
        assert not [x for x in front.balancer.lines() if x["status"] >= 500]
        traffic.check()
        print(f"{kind}: {count} changes in {seconds} s, {traffic.done} requests, the slowest {traffic.slowest * 1000:.0f} ms")
    finally:
        other.close()


def verified(front, **words):
    """What "lb verify" says of each map."""
    return {x["map"]: x["same"] for x in map(json.loads, front.lb("verify", "--json", **words).splitlines())}


def json_same(front):
    same = verified(front, expect=None)  # nothing where the balancer or the directory does not answer
    return bool(same) and all(same.values())


def test_verify_tells_what_differs_and_push_mends_it(lively):
    front = lively
    u = front.user15()
    target = next(n for n in front.nodes if n is not front.owner(u.uid))
    wait_until(lambda: json_same(front), "the balancer is as the directory says", 120, every_s=0.5)
    front.follower.pause()
    try:
        front.admin("user", "move", str(u.uid), "--to", target.node_name)
        assert [name for name, same in verified(front, expect=8).items() if not same] == ["users"]
    finally:
        front.follower.resume()  # it may have stood still while it wrote, and others wait
    front.lb("push")
    assert all(verified(front, expect=0).values())


def test_a_thousand_reloads_under_traffic(lively, kind):
    """Whole: a thousand in a row."""
    front = lively
    users = [front.user15() for _ in range(4)]
    count = 1000 if FULL else 6
    cfg = front.folder / "lb" / ("haproxy.cfg" if kind == "haproxy" else "nginx.conf")
    with Traffic(users) as traffic:
        for i in range(count):
            front.settings["retry_after"] = f"{16 + i % 2}s"  # something in the configuration changes
            before = cfg.read_text()
            front.lb("push")
            assert cfg.read_text() != before
        traffic.await_done(100)
    del front.settings["retry_after"]
    front.lb("push")
    traffic.check()
    print(f"{kind}: {count} reloads, {traffic.done} requests, the slowest {traffic.slowest * 1000:.0f} ms")


def test_whoever_changes_a_balancer_at_the_same_time_gets_it_done(lively, kind):
    """Pushes of everything and of one user, some with another configuration, while the follower writes too: no reload may wait for files that
    somebody else has written over."""
    front = lively
    users = [front.user15() for _ in range(4)]
    pushes = [[], [str(users[0].uid)], [], [str(users[1].uid)], [str(users[2].uid)], []]
    with Traffic(users) as traffic, ThreadPoolExecutor(len(pushes)) as pool:
        for i in range(12 if FULL else 2):
            front.settings["retry_after"] = f"{16 + i % 2}s"
            for done in [pool.submit(front.lb, "push", *words) for words in pushes]:
                done.result()
    del front.settings["retry_after"]
    front.lb("push")
    traffic.check()
    wait_until(lambda: json_same(front), "the balancer is as the directory says", 120, every_s=0.5)


def test_a_reload_that_comes_while_another_one_ends_is_done(lively, kind):
    """HAProxy's master executes itself anew in a reload and ignores signals for a moment, while its new worker answers already. Here somebody
    else's reload stands still just before that moment."""
    if kind == "nginx":
        pytest.skip("nginx's master forgets no signal")
    front, bit = lively, 1 << signal.SIGUSR2 - 1
    environment, checked = Path(f"/proc/{front.balancer.pid}/environ"), front.folder / "lb" / "check.log"

    def is_deaf():
        s = front.balancer.signals()
        return s["SigBlk"] & ~s["SigCgt"] & bit and b"HAPROXY_MWORKER_WAIT_ONLY=1" in environment.read_bytes()

    def stand_still():
        before = set(front.balancer.workers())
        front.balancer.reload_by_hand()
        while not is_deaf():
            if set(front.balancer.workers()) - before and not front.balancer.signals()["SigBlk"] & bit:
                return False  # it was a matter of milliseconds, and is over
        front.balancer.pause()
        if is_deaf():
            return True
        front.balancer.resume()
        return False

    wait_until(stand_still, "the reload stands still", 240, every_s=0)
    try:
        began = time.time()
        front.settings["retry_after"] = "17s"
        with ThreadPoolExecutor(1) as pool:
            reload = pool.submit(front.lb, "push")
            wait_until(lambda: checked.exists() and checked.stat().st_mtime > began, "the push has looked at the files", 120)
            with pytest.raises(FutureTimeout):
                reload.result(1)
            front.balancer.resume()
            reload.result(ENDS_S)
    finally:
        front.balancer.resume()
        del front.settings["retry_after"]
    front.lb("push")


@pytest.mark.parametrize("how", ["push", "follow"])
def test_what_was_only_rendered_is_put_in_force_by_whoever_comes_next(lively, how):
    """Also what a reload was told to read, and did not."""
    front = lively

    def asked():
        return front.door.get("/__heartbeat__?" + "a" * 2000).status

    front.follower.stop()
    front.settings["url_bytes"] = 1024
    try:
        front.lb("render")
        assert asked() == 200
        if how == "push":
            front.lb("push")
        else:
            front.follow()
        wait_until(lambda: asked() == 414, "the balancer has read it", 120)  # nginx's workers of before answer for a moment
    finally:
        del front.settings["url_bytes"]
        front.follower.stop()
        front.follow()
        front.lb("push")


def test_a_renewed_certificate_is_read_by_a_reload(own_front, tmp_path):
    def new(name):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                        "-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "cert")], check=True, capture_output=True)
        (tmp_path / "both.pem").write_bytes((tmp_path / "cert").read_bytes() + (tmp_path / "key").read_bytes())
        return (tmp_path / "cert").read_text()

    def shown():
        return ssl.get_server_certificate(("127.0.0.1", front.door.port), timeout=60)

    first = new("first")
    front = own_front(1, tls_cert=str(tmp_path / "both.pem"))
    assert shown() == first
    second = new("second")
    front.lb("push", "--reload")
    wait_until(lambda: shown() == second, "the new one is shown", 60)  # nginx's workers of before answer for a moment
    front.lb("push", "--reload", "42", expect=2)


@pytest.mark.skipif(not FULL, reason="each takes the minute that is waited for a reload")
def test_a_balancer_that_does_not_come_to_reload_is_an_error_after_a_minute(own_front, kind):
    front = own_front(1)
    front.balancer.pause()  # its master; workers go on
    try:
        front.settings["retry_after"] = "17s"
        began = time.monotonic()
        code, _, err = run(*front.lb_words(), "lb", "push", program="heddle-admin", timeout_s=ENDS_S)
        assert code != 0 and "has not after 60 seconds (it still runs with the old one)" in err, (code, err)
        assert time.monotonic() - began >= 59
    finally:
        front.balancer.resume()
    wait_until(lambda: front.lb("push", expect=None) and json_same(front), "it reloads now", 120, every_s=0.5)


def test_one_row_changes_within_fifty_milliseconds(lively, kind):
    if kind == "nginx":
        pytest.skip("nginx reads files; see lb-rules/README.md")
    front = lively
    u = front.user15()
    # What else the machine does makes some of them longer, and none shorter.
    times = [json.loads(front.lb("push", str(u.uid), "--json"))["took_ms"] for _ in range(9)]
    assert min(times) < 50, times


def test_a_balancer_restarted_from_its_last_maps_needs_no_directory(own_front):
    front = own_front(2, follow=True, directory_options={"assign.slots": "no"})
    users = [front.user15() for _ in range(8)] + [front.user11() for _ in range(4)]
    for u in users:
        wait_until(lambda: u.get("/info/collections", expect=None).status == 200, "his route is known", 60, every_s=0.1)
    wait_until(lambda: json_same(front), "as the directory says", 60, every_s=0.3)
    front.directory.kill()
    front.follower.stop()  # which writes what the files lack
    rows = front.rows()
    assert rows
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
        with socket.create_connection(("127.0.0.1", front.door.port), timeout=60) as s:
            if before:
                s.sendall(before.encode())
                answer = http.client.HTTPResponse(s)
                answer.begin()
                answer.read()
            s.sendall(f"{method} {whole} HTTP/1.1\r\nHost: x\r\nAuthorization: {sign}\r\nContent-Type: application/json\r\n"
                      f"Content-Length: {len(data)}\r\n\r\n".encode() + data)
            answer = b""
            while b"\r\n\r\n" not in answer and (piece := s.recv(65536)):
                answer += piece
        if answer:  # else told by the connection alone: the second request of a connection may be
            assert answer.startswith(b"HTTP/1.1 503") and b"retry-after" in answer.lower(), answer
        else:
            assert reused
        assert tap.raw().count(mark.encode()) == (2 if method == "PUT" else 1)  # a PUT has it in path and body
        tap.cut = None
        wait_until(lambda: u.get("/info/collections", expect=None).status == 200, "on it goes", 60)


def test_a_held_user_waits_and_others_do_not(lively, kind):
    if kind == "nginx":
        pytest.skip("nginx cannot hold; see lb-rules/README.md")
    front = lively  # which holds for half a minute
    u, other = front.user15(), front.user15()
    front.lb("hold", str(u.uid))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(u.get, "/info/collections")
        wait_until(lambda: u.connection.sending_s > 0, "he has asked", 60)
        for _ in range(20):
            other.get("/info/collections")
        with pytest.raises(FutureTimeout):
            waiting.result(0.5)
        front.lb("release", str(u.uid))
        held = front.line_of(waiting.result(60))
    assert held["total_ms"] > 500 and held["node_ms"] < held["total_ms"] - 400, held


def test_a_hold_that_nobody_ends_is_over_by_itself(lively, kind):
    if kind == "nginx":
        pytest.skip("nginx cannot hold; see lb-rules/README.md")
    usual = lively.settings["hold"]
    lively.settings["hold"] = "2s"
    lively.lb("push")
    try:
        u = lively.user15()
        lively.lb("hold", str(u.uid))
        held = lively.line_of(u.get("/info/collections"))
        assert held["total_ms"] >= 2000, held
    finally:
        lively.lb("release", str(u.uid))
        lively.settings["hold"] = usual
        lively.lb("push")


def test_who_was_held_by_somebody_that_died_waits_no_more(lively, kind):
    """The second in his row has come: neither his requests wait nor a reload, which forgets him."""
    if kind == "nginx":
        pytest.skip("nginx cannot hold; see lb-rules/README.md")
    front = lively  # which holds for half a minute
    u = front.user15()
    rows, over = front.folder / "lb" / "maps" / "held.map", f"15:{u.uid} {int(time.time())}"
    front.balancer.runtime(f"add map {rows} {over}")
    rows.write_text(f"{over}\n")
    assert front.line_of(u.get("/info/collections"))["total_ms"] < 30000
    front.settings["retry_after"] = "17s"
    front.lb("push")
    del front.settings["retry_after"]
    front.lb("push")
    assert rows.read_text() == "" and "15:" not in front.balancer.runtime(f"show map {rows}")


@pytest.mark.parametrize("changed", [True, False])
def test_a_reload_waits_for_who_is_held(lively, kind, changed):
    """The process that goes hears of no release any more: who waits in there would wait in vain."""
    if kind == "nginx":
        pytest.skip("nginx cannot hold; see lb-rules/README.md")
    front = lively
    u = front.user15()
    u.get("/info/collections")
    before = front.process()
    front.lb("hold", str(u.uid))
    if changed:
        front.settings["retry_after"] = "17s"
    with ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(u.get, "/info/collections")
        reload = pool.submit(front.lb, "push", *([] if changed else ["--reload"]))
        with pytest.raises(FutureTimeout):
            reload.result(1)
        front.lb("release", str(u.uid))
        assert front.line_of(waiting.result(60))["total_ms"] < 30000  # it was the release that ended his waiting
        reload.result(ENDS_S)
    wait_until(lambda: front.process() not in (before, None), "another process serves", 60)
    if changed:
        del front.settings["retry_after"]
        front.lb("push")


def test_who_is_held_stays_so_when_somebody_else_reloads(lively, kind):
    """A signal by hand: nobody waits for anybody, and the process that comes knows of him from the files."""
    if kind == "nginx":
        pytest.skip("nginx cannot hold; see lb-rules/README.md")
    front = lively
    u = front.user15()
    front.lb("hold", str(u.uid))
    before = front.process()
    front.balancer.reload_by_hand()
    wait_until(lambda: front.process() not in (before, None), "another process serves", 60)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(u.get, "/info/collections")
        with pytest.raises(FutureTimeout):
            waiting.result(1)
        front.lb("release", str(u.uid))
        assert front.line_of(waiting.result(60))["total_ms"] >= 1000


def test_who_waits_in_a_process_that_goes_writes_nothing_where_he_no_longer_lives(lively, kind):
    """It hears of no release: what waits there goes on after lb.hold, to his node of before."""
    if kind == "nginx":
        pytest.skip("nginx cannot hold; see lb-rules/README.md")
    front = lively
    usual = front.settings["hold"]
    front.settings["hold"] = "3s"
    front.lb("push")
    try:
        u = front.user15()
        target = next(n for n in front.nodes if n is not front.owner(u.uid))
        front.lb("hold", str(u.uid))
        before = front.process()
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(u.put, "/storage/xx/a", {"payload": "x"}, expect=None)
            wait_until(lambda: u.connection.sending_s > 0, "he has asked", 60)
            front.balancer.reload_by_hand()
            wait_until(lambda: front.process() not in (before, None), "another process serves", 60)
            front.admin("user", "move", str(u.uid), "--to", target.node_name)
            front.lb("release", str(u.uid))
            answer = waiting.result(120)
        assert front.owner(u.uid) is target
        assert answer.status in (200, 401, 503), repr(answer)  # 401, unless moving him took longer than his request waited
        u.close()
        again = u.get("/storage/xx/a", expect=None)
        assert again.status == (200 if answer.status == 200 else 404), (repr(answer), repr(again))
        assert front.line_of(again)["node"] == target.node_name.replace(":", "_")
    finally:
        front.settings["hold"] = usual
        front.lb("push")


def moved(front, u, traffic):
    """Moves a user under his own traffic; gives his new node."""
    who = u.uid if hasattr(u, "uid") else u.name
    source = front.owner(who)
    target = next(n for n in front.nodes if n is not source)
    wait_until(lambda: traffic.done > 5, "it syncs", 120)
    front.mover("user", "move", str(who), "--to", target.node_name)
    assert front.owner(who) is target

    def well():
        seen, bad = traffic.done, len(traffic.bad)
        wait_until(lambda: traffic.done > seen + 20, "it goes on", 120)
        return len(traffic.bad) == bad

    wait_until(well, "twenty good answers in a row", 240, every_s=0)


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


def test_a_live_move_while_somebody_reloads_shows_the_client_nothing(lively, kind):
    if kind == "nginx":
        pytest.skip("nginx cannot hold; see lb-rules/README.md")
    front, reloads = lively, 0
    for _ in range(50 if FULL else 3):
        u = front.user15()
        u.put("/storage/xx/a", {"payload": "x"})
        with Traffic([u]) as traffic, ThreadPoolExecutor(1) as pool:
            moving = pool.submit(moved, front, u, traffic)
            while not moving.done():
                reloads += 1
                front.settings["retry_after"] = f"{16 + reloads % 2}s"
                front.lb("push")
            moving.result()
        traffic.check()
    del front.settings["retry_after"]
    front.lb("push")


@pytest.mark.parametrize("dialect", ["15", "11"])
def test_a_live_move_without_hold_refuses_for_a_moment_and_loses_nothing(lively, kind, dialect):
    """nginx: 503 with Retry-After while the head is frozen, 401 until nginx has read its new files; then it goes on with the same token."""
    if kind == "haproxy":
        pytest.skip("HAProxy holds")
    u = lively.user15() if dialect == "15" else lively.user11()
    u.put("/storage/xx/r", {"id": "r", "payload": "kept"}, expect=None)
    with Traffic([u]) as traffic:
        moved(lively, u, traffic)
    assert all(" 401" in r or (" 503" in r and "Retry-After" in r) for r in traffic.bad), traffic.bad[:5]
    print(f"{traffic.done} requests, refused: {sorted(r[:60] for r in traffic.bad)}")
    assert u.get("/storage/xx/r").json()["payload"] == "kept"


def test_a_node_that_returns_is_not_trampled(own_front, kind):
    """Forty clients at once at one slow node that was away: HAProxy lets few of their requests be under way there at first, then more and more.
    What it has under way is held against what it says itself of the time since the node came back, so nothing hangs on our own speed."""
    if kind == "nginx":
        pytest.skip("nginx's open edition has no slow start; see lb-rules/README.md")
    most, seconds = 20, 10
    front = own_front(1, taps=True, node_requests=most, slowstart=f"{seconds}s", queue_wait="60s", limit_user=0)
    node, tap = front.nodes[0], front.taps[0]
    users = [front.user15() for _ in range(2 * most)]
    node.kill()
    wait_until(lambda: "DOWN" in front.server(node)["status"], "down", 60)
    tap.delay_s = 0.5  # a cold node is a slow one
    seen = []

    def all_admitted():
        rows = front.stat(node)
        server = rows["node"]
        since, admitted, waiting = int(server["lastchg"]), int(server["scur"]), int(rows["BACKEND"]["qcur"])
        if server["throttle"] and server["chkdown"] == times_down:
            seen.append((since, admitted, waiting))
        return server["status"].startswith("UP") and not server["throttle"] and admitted >= most * 0.9

    node.start()
    wait_until(lambda: front.server(node)["status"].startswith("UP"), "up again", 60, every_s=0.01)
    times_down = front.server(node)["chkdown"]  # on a machine that has much to do a check may be late, and all begins anew: only the first ramp counts
    with Traffic(users):
        wait_until(all_admitted, "the node has as many requests as before", 120, every_s=0.05)
        tap.delay_s = 0
    for since, admitted, _ in seen:  # seconds are told without their fraction
        assert admitted <= max(1, most * min(1, (since + 1) / seconds)), (since, admitted, seen)
    early = [admitted for since, admitted, waiting in seen if since < seconds * 0.5 and waiting]
    assert early and max(early) > min(early) and max(early) <= most / 2, seen
    assert not [x for x in front.balancer.lines() if x["status"] not in (200, 503)]
