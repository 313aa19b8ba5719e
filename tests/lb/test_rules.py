"""The rules, one by one, on both balancers."""
import json
import re
import socket
import time

import pytest
from lib.processes import wait_until


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
    wait_until(lambda: set(asked.values()) <= {x["id"] for x in front.balancer.lines()}, "all of them are in the log", 10)
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
        line = wait_until(lambda: next((x for x in front.balancer.lines() if x["id"] == r.header("X-Request-Id")), None), "the log line", 5)
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
    wait_until(lambda: name in node.log_text(), "the node's log has the id", 10)
    line = wait_until(lambda: next((x for x in front.balancer.lines() if x["id"] == name), None), "the balancer's line", 10)
    assert line["status"] == 200 and line["user"] == f"15:{u.uid}" and line["method"] == "GET" and line["path"].endswith("/info/collections")
    assert "Authorization" not in json.dumps(line)
    r = ask(front, "/1.0/sync/1.5")
    assert r.status == 401
    wait_until(lambda: r.header("X-Request-Id") in front.directory.log_text(), "the directory's log has the id", 10)


def test_what_is_too_large_is_refused_in_its_dialect(front):
    u = front.user15()
    for base, cls_body in ((f"/1.5/{u.uid}/storage/x", b"17"), ("/1.0/sync/1.5", b"0")):
        with socket.create_connection(("127.0.0.1", front.door.port), timeout=20) as s:
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
        with socket.create_connection(("127.0.0.1", front.door.port), timeout=20) as s:
            s.sendall(bad)
            status = s.recv(65536)[:12]
        assert status in (b"HTTP/1.1 400", b"HTTP/1.1 405"), (bad, status)
    assert len(front.requests()) == before


def raw(front, data, timeout_s=20):
    """All that is answered until the other side closes."""
    with socket.create_connection(("127.0.0.1", front.door.port), timeout=timeout_s) as s:
        s.sendall(data)
        out = b""
        while piece := s.recv(65536):
            out += piece
    return out


STATES = [("down", 503), ("open", 200), ("closed", 200), ("draining", 200)]


def test_a_node_that_is_decided_down_answers_in_both_dialects(own_front):
    front = own_front(follow=True)
    new, old = front.user15(), front.user11()
    for state, status in STATES:
        for node in front.nodes:
            front.admin("node", "set", node.node_name, f"state={state}")
        for u in (new, old):
            r = wait_until(lambda: (lambda r: r if r.status == status and (status == 200 or "marked" in r.text or u is new) else None)(
                u.get("/info/collections", expect=None)), f"{state}: {status}", 20, every_s=0.1)
            if status == 503:
                assert re.fullmatch(r"\d+", r.header("Retry-After")) and r.header("X-Weave-Timestamp")
                assert r.body == (b"0" if u is new else b'"server issue: database marked as down"'), repr(r)


def test_a_node_that_is_gone_is_401_and_never_somebody_elses_answer(front, kind):
    """A stale route names a node that the table does not have."""
    if kind == "nginx":
        pytest.skip("stale rows are made at run time")
    u = front.user15()
    key = f"15:{u.uid}"
    name = front.row_file(key)
    front.balancer.runtime(f"add map {name} {key} nobody_1")
    try:
        u.get("/info/collections", expect=401)
        other = next(n for n in front.nodes if n is not front.owner(u.uid))
        front.balancer.runtime(f"set map {name} {key} {other.node_name.replace(':', '_')}")
        r = u.get("/info/collections", expect=401)
        assert r.body == b"0"
    finally:
        front.balancer.runtime(f"del map {name} {key}")
    u.get("/info/collections")


def test_killing_a_node_touches_its_users_alone(own_front):
    front = own_front()
    users = [front.user15() for _ in range(16)]
    dead = front.nodes[0]
    his = [u for u in users if front.owner(u.uid) is dead]
    theirs = [u for u in users if front.owner(u.uid) is not dead]
    assert his and theirs
    old = next(u for u in iter(front.user11, None) if front.owner(u.name) is dead)
    dead.kill()
    began = time.monotonic()
    for u in his:
        r = u.get("/info/collections", expect=503)
        assert r.header("Retry-After") and r.body == b"0", repr(r)
    assert time.monotonic() - began < 2 * len(his)
    assert all(r.seconds < 2 for r in [u.get("/info/collections", expect=503) for u in his])
    r = old.get("/info/collections", expect=503)
    assert r.header("Retry-After") and r.body == b'"server issue: database is not healthy"', repr(r)
    for u in theirs:
        u.get("/info/collections")
    dead.start()
    for u in his:
        wait_until(lambda: u.get("/info/collections", expect=None).status == 200, "the node is back", 20)


def test_limits_answer_in_the_dialect_with_a_jittered_retry_after(own_front):
    front = own_front(1, lb_free="", limit_user=10, limit_token=8, limit_account=8, retry_after="20s")
    u = front.user15()
    refused = [r for r in [u.get("/info/collections", expect=None) for _ in range(60)] if r.status == 503]
    assert len(refused) >= 20
    waits = {int(r.header("Retry-After")) for r in refused}
    assert all(20 <= w <= 41 for w in waits) and len(waits) > 2, waits
    assert {r.body for r in refused} == {b"0"} and all(r.header("X-Weave-Timestamp") for r in refused)
    answers = [ask(front, "/1.0/sync/1.5") for _ in range(30)]
    refused = [r for r in answers if r.status == 503]
    assert refused and all(json.loads(r.body)["status"] == "error" and r.header("X-Timestamp") and r.header("Retry-After") for r in refused)
    answers = [ask(front, "/user/1.0/anna") for _ in range(30)]
    assert any(r.status == 503 and r.body == b"0" and r.header("Retry-After") for r in answers)


def test_of_two_back_offs_the_larger_wins(own_front):
    front = own_front(2, node_options={"node.state": "backoff:300"})
    users = {front.owner(u.uid): u for u in [front.user15() for _ in range(16)]}
    a, b = (users[n] for n in front.nodes)
    assert 300 <= int(a.get("/info/collections").header("X-Weave-Backoff")) <= 320  # nodes spread their own
    front.settings["backoff"] = f"{front.nodes[0].node_name}=1800,all=60"
    front.lb("push")
    r = wait_until(lambda: (lambda r: r if r.header("X-Weave-Backoff") == "1800" else None)(a.get("/info/collections")), "1800", 10)
    assert r.header("X-Backoff") == "1800"
    r = b.get("/info/collections")
    assert 300 <= int(r.header("X-Weave-Backoff")) <= 320 and r.header("X-Backoff") == r.header("X-Weave-Backoff")
    front.nodes[0].reload(node__state="backoff:3600")
    wait_until(lambda: 3600 <= int(a.get("/info/collections").header("X-Weave-Backoff")) <= 3800, "the node's own", 10)


def test_a_canary_gets_the_same_share_of_users_always(own_front):
    from tap import Tap
    front = own_front(1)
    canary = Tap(front.nodes[0].port)
    try:
        front.settings |= {"canary": f"{front.nodes[0].node_name}=127.0.0.1:{canary.port}", "canary_percent": 50}
        front.lb("push")
        front.check_files()
        users = [front.user15() for _ in range(24)]
        for _ in range(3):
            for u in users:
                u.get("/info/collections")
        seen = [r.target for r in canary.requests()]
        chosen = {t for t in seen}
        assert 3 <= len(chosen) <= 21, len(chosen)
        assert all(seen.count(t) == 3 for t in chosen)
    finally:
        front.balancer.stop()
        canary.close()


def test_direct_mode_goes_by_the_name_that_was_called(own_front):
    front = own_front(2, direct=True)
    for node in front.nodes:
        answer = raw(front, f"GET /1.5/77/info/collections HTTP/1.1\r\nHost: {node.node_name}\r\nConnection: close\r\n\r\n".encode())
        assert b" 401 " in answer
        name = re.search(rb"(?i)x-request-id: (\S+)", answer)[1].decode()
        line = wait_until(lambda: next((x for x in front.balancer.lines() if x["id"] == name), None), "the line", 5)
        assert line["node"] == node.node_name.replace(":", "_")
