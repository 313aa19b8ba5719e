"""The rules, one by one, on both balancers."""
import json
import re
import shutil
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from lib.console import Admin, Console
from lib.ops import run
from lib.processes import ROOT, wait_until
from test_states import make


def ask(front, path, headers=(), method="GET", body=None):
    c = front.door.connection()
    try:
        return c.request(method, path, headers, body)
    finally:
        c.close()


def test_a_user_of_either_protocol_reaches_his_node(front):
    for _ in range(4):
        u = front.user15()
        t = u.save("xx", "a", "payload")
        assert u.ids("xx") == ["a"] and t
        old = front.user11()
        old.get("/info/collections")


def test_who_is_placed_by_his_slot_needs_no_row(front):
    """Three maps: the slots' nodes by the directory, by heddle-admin, and by the balancer's own arithmetic."""
    users = [front.user15() for _ in range(12)] + [front.user11() for _ in range(12)]
    for u in users:
        who = u.uid if hasattr(u, "uid") else u.name
        explained = json.loads(front.lb("explain", f"/1.5/{who}/x" if hasattr(u, "uid") else f"/1.1/{who}/x", "--json"))
        assert explained["route"] == "his slot's" and explained["node"] == front.owner(who).node_name
        u.get("/info/collections")
    assert len({front.owner(u.uid if hasattr(u, "uid") else u.name) for u in users}) == 2


def test_the_balancer_computes_slots_as_the_directory_does(front, rnd):
    """Of numbers and names that nobody has, long and short ones: the same node as heddle-admin says."""
    letters = "abcdefghijklmnopqrstuvwxyzABCXYZ0123456789._-"
    whom = [f"/1.5/{rnd.randrange(10 ** rnd.randrange(1, 11))}/info/collections" for _ in range(14)]
    whom += ["/1.1/" + "".join(rnd.choice(letters) for _ in range(n)) + "/info/collections" for n in (1, 2, 2, 3, 3, 4, 8, 32, 32, 32, 32, 32, 32, 32)]
    asked = {path: ask(front, path).header("X-Request-Id") for path in whom}
    wait_until(lambda: set(asked.values()) <= {x["id"] for x in front.balancer.lines()}, "all of them are in the log", 60)
    nodes = {x["id"]: x["node"] for x in front.balancer.lines()}
    for path, name in asked.items():
        assert json.loads(front.lb("explain", path, "--json"))["node"].replace(":", "_") == nodes[name], path
    assert len(set(nodes[n] for n in asked.values())) == 2


def test_the_balancer_and_explain_agree_on_every_class(front):
    for path, cls in [("/1.5/42/info/collections", "15"), ("/1.5/%34%32/info/collections", "15"), ("/1.1/anna/info/collections", "11"),
                      ("/1/Anna/info/collections", "11"), ("/1.0/anna/info/collections", "11"), ("/1.0/sync/1.5", "token"), ("/token/1.0/sync/1.5", "token"),
                      ("/user/1.0/anna", "user"), ("/weave-password-reset", "screen"), ("/account/sign-in", "screen"), ("/__heartbeat__", "ops"), ("/", "other"),
                      ("/internal/v1/nodes", "refused"), ("/%69nternal/v1/nodes", "refused"), ("/metrics", "refused"), ("/admin", "refused"), ("/admin/users", "refused"), ("/administrator", "other")]:
        r = ask(front, path)
        line = front.line_of(r)
        explained = json.loads(front.lb("explain", path, "--json"))
        assert line["class"] == cls and (explained["class"] == cls), (path, line, explained)
        if cls == "refused":
            assert r.status == 404, repr(r)


def test_internal_routes_and_metrics_never_leave_the_balancer(front):
    before = len(front.requests())
    for path in ("/internal/v1/nodes", "/internal", "/%69%6eternal/v1/x", "/metrics", "/%6detrics", "/__error__"):
        assert ask(front, path).status == 404
    assert len(front.requests()) == before


def test_one_request_has_one_id_everywhere(front):
    u = front.user15()
    r = u.get("/info/collections", headers={"X-Request-Id": "forged-by-the-client"})
    name = r.header("X-Request-Id")
    assert name and name != "forged-by-the-client"
    node = front.owner(u.uid)
    wait_until(lambda: name in node.log_text(), "the node's log has the id", 60)
    line = wait_until(lambda: next((x for x in front.balancer.lines(name) if x["id"] == name), None), "the balancer's line", 60)
    assert line["status"] == 200 and line["user"] == f"15:{u.uid}" and line["method"] == "GET" and line["path"].endswith("/info/collections")
    assert "Authorization" not in json.dumps(line)
    r = ask(front, "/1.0/sync/1.5")
    assert r.status == 401
    wait_until(lambda: r.header("X-Request-Id") in front.directory.log_text(), "the directory's log has the id", 60)


def test_what_is_too_large_is_refused_in_its_dialect(front):
    u = front.user15()
    for base, cls_body in ((f"/1.5/{u.uid}/storage/x", b"17"), ("/1.0/sync/1.5", b"0")):
        with socket.create_connection(("127.0.0.1", front.door.port), timeout=60) as s:
            s.sendall(f"POST {base} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n".encode())
            answer = s.recv(65536)
        assert answer.startswith(b"HTTP/1.1 413") and answer.endswith(cls_body), answer
    r = ask(front, f"/1.5/{u.uid}/storage/x?ids=" + "a" * 17000)
    assert r.status == 414, repr(r)


def test_strict_parsing(front):
    before = len(front.requests())
    for bad in (b"GET http://example.com/1.5/1/info HTTP/1.1\r\nHost: x\r\n\r\n",
                b"GET /1.5/1/info HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"GET /1.5/1/in fo HTTP/1.1\r\nHost: a\r\n\r\n",
                b"GET 1.5/1/info HTTP/1.1\r\nHost: a\r\n\r\n", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", front.door.port), timeout=60) as s:
            s.sendall(bad)
            status = s.recv(65536)[:12]
        assert status in (b"HTTP/1.1 400", b"HTTP/1.1 405"), (bad, status)
    assert len(front.requests()) == before


def test_limits_answer_in_the_dialect_with_a_jittered_retry_after(own_front):
    front = own_front(1, lb_free="", limit_user=10, limit_token=8, limit_account=8, retry_after="20s")
    u, old = front.user15(), front.user11()
    refused = [r for r in [u.get("/info/collections", expect=None) for _ in range(60)] if r.status == 503]
    assert len(refused) >= 20
    waits = {int(r.header("Retry-After")) for r in refused}
    assert all(20 <= w <= 41 for w in waits) and len(waits) > 2, waits
    assert {r.body for r in refused} == {b"0"} and all(r.header("X-Weave-Timestamp") for r in refused)
    refused = [r for r in [old.get("/info/collections", expect=None) for _ in range(60)] if r.status == 503]
    assert len(refused) >= 20 and {r.body for r in refused} == {b'"server issue: database is not healthy"'}
    assert all(20 <= int(r.header("Retry-After")) <= 41 and r.header("X-Weave-Timestamp") for r in refused)
    answers = [ask(front, "/1.0/sync/1.5") for _ in range(30)]
    refused = [r for r in answers if r.status == 503]
    assert refused and all(json.loads(r.body)["status"] == "error" and r.header("X-Timestamp") and r.header("Retry-After") for r in refused)
    answers = [ask(front, "/user/1.0/anna") for _ in range(30)]
    assert any(r.status == 503 and r.body == b"0" and r.header("Retry-After") for r in answers)
    # Pages count with them: fewer pages than their limit are asked for, and yet one is refused.
    assert 503 in [ask(front, path).status for path in 6 * (4 * ["/user/1.0/anna"] + ["/account/sign-in"])][4::5]
    front.settings |= {"limit_address": 20, "limit_user": 0}
    front.lb("push")
    answers = [ask(front, "/") for _ in range(60)]
    refused = [r for r in answers if r.status == 503]
    assert len(refused) >= 20 and all(r.body == b"0" and 20 <= int(r.header("Retry-After")) <= 41 for r in refused)
    front.settings["free"] = "127.0.0.0/8"
    front.lb("push")
    assert 503 not in {ask(front, "/").status for _ in range(60)}
    assert ask(front, "/1.0/sync/1.5").status == 401


def test_of_two_back_offs_the_larger_wins(own_front):
    front = own_front(2, node_options={"node.state": "backoff:300"})
    a, b = (make(front, "15", n) for n in front.nodes)
    assert 300 <= int(a.get("/info/collections").header("X-Weave-Backoff")) <= 320  # nodes spread their own
    front.settings["backoff"] = f"{front.nodes[0].node_name}=1800,all=60"
    front.lb("push")
    r = wait_until(lambda: (lambda r: r if r.header("X-Weave-Backoff") == "1800" else None)(a.get("/info/collections")), "1800", 60)
    assert r.header("X-Backoff") == "1800"
    r = b.get("/info/collections")
    assert 300 <= int(r.header("X-Weave-Backoff")) <= 320 and r.header("X-Backoff") == r.header("X-Weave-Backoff")
    front.nodes[0].reload(node__state="backoff:3600")
    wait_until(lambda: 3600 <= int(a.get("/info/collections").header("X-Weave-Backoff")) <= 3800, "the node's own", 60)


def test_a_canary_gets_the_same_share_of_users_always(own_front):
    from tap import Tap
    front = own_front(1)
    canary = Tap(front.nodes[0].port)
    try:
        front.settings |= {"canary": f"{front.nodes[0].node_name}=127.0.0.1:{canary.port}", "canary_percent": 50}
        front.lb("push")
        front.check_files()
        users = [front.user15() for _ in range(40)]
        for _ in range(3):
            for u in users:
                u.get("/info/collections")
        seen = [r.target for r in canary.requests()]
        chosen = {t for t in seen}
        assert 3 <= len(chosen) <= 37, len(chosen)
        assert all(seen.count(t) == 3 for t in chosen)
    finally:
        front.balancer.stop()
        canary.close()


class Echo:
    """Answers whatever it is asked, and keeps it."""

    def __init__(self):
        self.seen = seen = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                seen.append((self.command, self.path, self.headers, body))
                self.send_response(200)
                self.send_header("Set-Cookie", "s=2; Path=/admin")
                self.send_header("Content-Length", "7")
                self.end_headers()
                self.wfile.write(b"console")

            do_POST = do_GET

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def test_the_console_is_served_below_admin_and_has_a_limit_of_its_own(own_front):
    console = Echo()
    try:
        front = own_front(1, base="/sync", lb_free="", limit_console=12, limit_account=0, console=f"127.0.0.1:{console.port}")
        for path in ("/admin", "/admin/", "/sync/admin/users?q=%20a&q=b", "/%61dmin//x/..;/y"):
            r = ask(front, path, [("X-Heddle-User", "root"), ("X-Forwarded-For", "10.0.0.1"), ("Cookie", "s=1"), ("Origin", front.door.url)])
            assert (r.status, r.body) == (200, b"console") and r.header("Set-Cookie") == "s=2; Path=/admin"
            method, target, headers, _ = console.seen[-1]
            assert (method, target) == ("GET", path) and headers["X-Heddle-User"] is None and headers["X-Forwarded-For"] == "127.0.0.1"
            assert headers["Cookie"] == "s=1" and headers["Origin"] == front.door.url and headers["X-Request-Id"] == r.header("X-Request-Id")
            assert front.line_of(r)["class"] == "console"
        r = ask(front, "/admin/users", [("Content-Type", "application/x-www-form-urlencoded")], "POST", b"a=b")
        assert r.status == 200 and console.seen[-1][3] == b"a=b"
        assert json.loads(front.lb("explain", "/admin/users", "--json")) == {
            "class": "console", "limit_address": 2000, "limit_console": 12, "gets": "the console's answer"}
        answers = [ask(front, "/admin") for _ in range(40)]
        refused = [r for r in answers if r.status == 503]
        assert len(refused) >= 15 and all(r.body == b'"Please try again later."' and 15 <= int(r.header("Retry-After")) <= 31 for r in refused)
        assert ask(front, "/sync/user/1.0/anna").status == 200  # nobody else pays for it
        u = front.user15()
        u.get("/info/collections")
        console.close()
        front.settings["limit_console"] = 0
        front.lb("push")
        r = wait_until(lambda: (lambda r: r if r.status == 503 else None)(ask(front, "/admin")), "the console is away", 60)
        assert r.header("Retry-After") and r.body == b'"Please try again later."'
        del front.settings["console"]
        front.lb("push")
        wait_until(lambda: ask(front, "/admin").status == ask(front, "/sync/admin/x").status == 404, "there is none", 60)
    finally:
        console.close() if console.thread.is_alive() else None


def test_somebody_signs_in_to_the_console_through_the_balancer(lively):
    console = Console(lively.folder / "console", lively, {"console.url": lively.door.url, "console.trusted_proxies": "127.0.0.1"}).start()
    try:
        lively.settings["console"] = f"127.0.0.1:{console.port}"
        lively.lb("push")
        admin = Admin(lively.door.url)
        page = admin.sign_in("anna", console.password())
        assert page.status == 200 and page.heading == "Overview", page.html
        assert lively.nodes[0].node_name in admin.get("/admin/nodes").html
        assert admin.events("/admin/live/overview")["retry"]
    finally:
        lively.settings.pop("console", None)
        lively.lb("push")
        console.stop()
    assert ask(lively, "/admin").status == 404


NEEDED = {"haproxy": r"(?m)^ *description .*\n", "nginx": r"(?m)^.*digests\.conf.*\n"}


def test_templates_of_ones_own_must_have_what_a_push_sees_its_end_by(lively, kind, tmp_path):
    shutil.copytree(ROOT / "lb-rules" / kind, tmp_path / kind)
    template = tmp_path / kind / ("haproxy.cfg.tmpl" if kind == "haproxy" else "nginx.conf.tmpl")
    config = lively.folder / "lb" / template.name.removesuffix(".tmpl")
    whole, before = template.read_text(), config.read_bytes()
    words = [*lively.lb_words(), "--set", f"lb.templates={tmp_path}", "lb"]
    broken = [re.sub(NEEDED[kind], "", whole)]
    if kind == "haproxy":  # of a part of it, instead of the process
        broken.append(broken[0].replace("frontend door\n", "frontend door\n    description {{generation}}\n"))
    try:
        for text in broken:
            assert text != whole
            template.write_text(text)
            for verb in ("render", "push"):
                code, _, err = run(*words, verb, program="heddle-admin")
                assert code != 0 and f"{kind}/{template.name} needs the " in err, (code, err)
                assert ("description {{generation}}" if kind == "haproxy" else "include {{folder}}/maps/digests.conf;") in err, err
            assert config.read_bytes() == before
        template.write_text("# Ours.\n" + whole.replace("    description {{generation}}", "\tdescription\t{{generation}}"))
        code, _, err = run(*words, "push", program="heddle-admin")
        assert code == 0 and config.read_bytes().startswith(b"# Ours."), err
    finally:
        lively.lb("push")
    assert not config.read_bytes().startswith(b"# Ours.")
