"""The state of a node, as decided and as it is: what its users are told, in both protocols, and that nobody else hears of it."""
import re
import time
from concurrent.futures import ThreadPoolExecutor

from lib.processes import wait_until
from traffic import Traffic

DIALECTS = ("15", "11")
DOWN = {"15": b"0", "11": b'"server issue: database marked as down"'}
AWAY = {"15": b"0", "11": b'"server issue: database is not healthy"'}
CHALLENGE = {"15": "Hawk", "11": 'Basic realm="Sync"'}


def make(front, dialect, node=None):
    """A user, of this node."""
    while True:
        u = front.user15() if dialect == "15" else front.user11()
        if node is None or front.owner(who(u)) is node:
            return u


def who(u):
    return u.uid if hasattr(u, "uid") else u.name


def key(u):
    return f"15:{u.uid}" if hasattr(u, "uid") else f"11:{u.name}"


def asks(u, dialect):
    """One of each kind of request: reading, writing one, writing several, deleting."""
    ask = u.request if dialect == "15" else u.storage
    yield ask("GET", "/info/collections", expect=None)
    yield ask("PUT", "/storage/xx/a", {"id": "a", "payload": "x"}, expect=None)
    yield ask("POST", "/storage/xx", [{"id": "b", "payload": "x"}], expect=None)
    yield ask("DELETE", "/storage/xx/a", headers={"X-Confirm-Delete": "1"}, expect=None)


def is_later(r, body, least=15, most=31):
    """503 with all that goes with it."""
    assert r.status == 503 and r.body == body, repr(r)
    assert re.fullmatch(r"\d+", r.header("Retry-After")) and least <= int(r.header("Retry-After")) <= most, repr(r)
    assert re.fullmatch(r"\d+\.\d\d", r.header("X-Weave-Timestamp")) and r.header("Content-Type").startswith("application/json"), repr(r)


def seconds(line):
    """How long the balancer had a request, by itself."""
    return line["total_ms"] / 1000 if "total_ms" in line else line["total_s"]


def decide(front, state, node):
    front.admin("node", "set", node.node_name, f"state={state}")
    front.lb("push")


def served_again(u):
    wait_until(lambda: u.get("/info/collections", expect=None).status == 200, "it serves again", 120, every_s=0.1)


def test_who_lives_on_a_node_that_takes_no_new_users_notices_nothing(lively):
    node = lively.nodes[0]
    users = {d: make(lively, d, node) for d in DIALECTS}
    for state in ("closed", "draining", "open"):
        decide(lively, state, node)
        for dialect, u in users.items():
            for r in asks(u, dialect):
                assert r.status == 200, repr(r)
                assert not r.header("Retry-After")
            assert lively.line_of(r)["state"] == state


def test_a_node_that_is_down(lively):
    node, other = lively.nodes
    users, others = {d: make(lively, d, node) for d in DIALECTS}, {d: make(lively, d, other) for d in DIALECTS}
    decide(lively, "down", node)
    for dialect, u in users.items():
        for r in asks(u, dialect):
            is_later(r, DOWN[dialect])
            assert lively.line_of(r)["why"] == "down"
            assert r.header("X-Weave-Backoff") == ("1800" if dialect == "11" else None)
        for r in asks(others[dialect], dialect):
            assert r.status == 200, repr(r)
    decide(lively, "open", node)
    for u in users.values():
        served_again(u)


def test_a_node_under_maintenance_says_so_itself(lively):
    node, other = lively.nodes
    users, others = {d: make(lively, d, node) for d in DIALECTS}, {d: make(lively, d, other) for d in DIALECTS}
    lively.admin("node", "maintenance", node.node_name, "on", "--text", "Back at six.", "--retry-after", "10m")
    try:
        for dialect, u in users.items():
            for r in asks(u, dialect):
                is_later(r, b"0" if dialect == "15" else r.body, 600, 640)
                assert r.header("X-Weave-Alert") == "Back at six."
                assert dialect == "15" or re.fullmatch(rb'"server issue: [a-z ]+"', r.body), repr(r)
            for r in asks(others[dialect], dialect):
                assert r.status == 200, repr(r)
        lively.await_well()
    finally:
        lively.admin("node", "maintenance", node.node_name, "off")
    for u in users.values():
        u.get("/info/collections")


def test_a_node_that_is_gone_is_401_and_never_somebody_elses_answer(lively):
    """A stale route names a node that the table does not have, then one that is there and is not his."""
    node, other = lively.nodes
    users = {d: make(lively, d, node) for d in DIALECTS}
    lively.follower.pause()  # it mends such rows whenever something else makes it write all of them
    try:
        for where, why in (("nobody_1", "gone"), (other.node_name.replace(":", "_"), None)):
            lively.set_rows({key(u): where for u in users.values()})
            for dialect, u in users.items():
                wait_until(lambda u=u: lively.line_of(u.get("/info/collections", expect=None))["node"] == where, "the row is in force", 60)
                for r in asks(u, dialect):
                    assert r.status == 401 and r.body == (b"0" if why or dialect == "15" else r.body), repr(r)
                    assert r.header("WWW-Authenticate").startswith(CHALLENGE[dialect]) and r.header("X-Weave-Timestamp") and not r.header("Retry-After"), repr(r)
                    line = lively.line_of(r)
                    assert line["node"] == where and (why is None or line["why"] == why), line
    finally:
        lively.follower.resume()
        lively.lb("push")
    for u in users.values():
        u.get("/info/collections")


def test_a_node_that_the_running_configuration_lacks_is_503_and_never_somebody_elses_answer(lively, kind):
    """The maps have it already, its reload came to nothing."""
    users, states = {d: make(lively, d) for d in DIALECTS}, lively.folder / "lb" / "maps" / "states.map"
    lively.follower.pause()
    try:
        if kind == "haproxy":
            lively.balancer.runtime(f"add map {states} fresh_1 open")
        else:
            states.write_text(states.read_text() + "fresh_1 'open';\n")
        lively.set_rows({key(u): "fresh_1" for u in users.values()})
        for dialect, u in users.items():
            wait_until(lambda u=u: lively.line_of(u.get("/info/collections", expect=None))["node"] == "fresh_1", "the row is in force", 60)
            for r in asks(u, dialect):
                is_later(r, AWAY[dialect])
    finally:
        lively.follower.resume()
        lively.lb("push")
    for u in users.values():
        u.get("/info/collections")


def test_killing_a_node_touches_its_users_alone(lively):
    dead, other = lively.nodes
    his = {d: [make(lively, d, dead) for _ in range(2)] for d in DIALECTS}
    theirs = {d: make(lively, d, other) for d in DIALECTS}
    for u in [u for users in his.values() for u in users]:
        u.get("/info/collections")
    dead.kill()
    began = time.monotonic()
    while time.monotonic() - began < 2.5:  # at once, while checks find out, and after
        for dialect, users in his.items():
            for u in users:
                for r in asks(u, dialect):
                    is_later(r, AWAY[dialect])
                    assert seconds(lively.line_of(r)) < 2, repr(r)
        for dialect, u in theirs.items():
            for r in asks(u, dialect):
                assert r.status == 200, repr(r)
    dead.start()
    for u in [u for users in his.values() for u in users]:
        served_again(u)


def test_a_node_that_hangs_keeps_its_users_waiting_alone(lively, kind):
    """It takes connections and answers nothing. HAProxy's checks find out, and from then on its users hear so at once; nginx has no checks."""
    hanging, other = lively.nodes
    his = {d: [make(lively, d, hanging) for _ in range(2)] for d in DIALECTS}
    theirs = [make(lively, d, other) for d in DIALECTS]
    for u in [*theirs, *(u for users in his.values() for u in users)]:
        u.get("/info/collections")
    with ThreadPoolExecutor(len(DIALECTS)) as pool, Traffic(theirs) as traffic:
        hanging.pause()
        try:
            if kind == "haproxy":  # a process that has just begun gives nobody up sooner
                lively.settings["connections"] += 1
                lively.lb("push")
            began = time.monotonic()
            waiting = [pool.submit(users[0].get, "/info/collections", expect=None) for users in his.values()]
            if kind == "haproxy":
                row = wait_until(lambda: (lambda c: c if "DOWN" in c["status"] else None)(lively.server(hanging)), "it is taken out", 60)
                assert row["check_status"] == "L7TOUT" and int(row["check_duration"]) >= 2000 and int(row["chkfail"]) >= 2, row
                # Five seconds are documented; as many again for a machine that has more to do.
                assert time.monotonic() - began - int(row["lastchg"]) < 10
                for dialect, users in his.items():
                    for r in asks(users[1], dialect):
                        is_later(r, AWAY[dialect])
                        assert seconds(lively.line_of(r)) < 2, repr(r)
            traffic.await_done(traffic.done + 100)
            assert not any(w.done() for w in waiting)  # who asked before it was known waits for his answer
        finally:
            hanging.resume()
        assert [w.result(120).status for w in waiting] == [200, 200]
    traffic.check()
    for u in [u for users in his.values() for u in users]:
        served_again(u)
