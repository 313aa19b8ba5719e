"""What a move asks of both ends before it begins, what becomes of it when a node is given up meanwhile or a line is slow, and a node whose
address changes. The operator's commands reach the nodes through relays (lib/wires.py)."""
import json
import os
import re
import threading
import time

import pytest

from lib.cluster import Cluster, running
from lib.heddle import has_hooks
from lib.moves import Admin, Devices, await_stopped, go_on
from lib.processes import wait_until
from lib.repeat import Standstill
from lib.storage15 import Storage15, records
from lib.wire import Connection
from lib.wires import relays

pytestmark = pytest.mark.skipif(not has_hooks(), reason="a build without test hooks")


@pytest.fixture(scope="module")
def cluster(worker):
    with running(Cluster(worker.folder / "between", worker.template, ["sqlite+memory", "sqlite+memory"]), "between") as started:
        yield started


@pytest.fixture
def wires(cluster):
    with relays(cluster) as made:
        yield made


@pytest.fixture
def admin(cluster, wires):
    """heddle-admin through the relays."""
    class Through(Admin):
        def start(self, *words, **kw):
            return super().start(*[w for wire in wires.values() for w in wire.setting()], *words, **kw)

    return Through(cluster)


def new_user(cluster, items=3, size=10):
    sub = os.urandom(16).hex()
    user = cluster.user15(sub)
    user.save_all("bookmarks", records(items, payload="p" * size))
    return sub, user, next(n for n in cluster.nodes if n is not user.server)


def says(wire, **members):
    """The node's status has these numbers, whatever it said."""
    def change(target, body):
        for name, value in members.items() if "/status" in target else ():
            assert re.search(rb'"%s":[\d.]+' % name.encode(), body), body
            body = re.sub(rb'"%s":[\d.]+' % name.encode(), b'"%s":%s' % (name.encode(), str(value).encode()), body)
        return body
    wire.on_answer = change


# -- what both ends must have --


@pytest.mark.parametrize("end", ["source", "target"])
def test_nodes_of_two_schemas_do_not_exchange_users(cluster, admin, wires, end):
    sub, user, target = new_user(cluster)
    wire = wires[(user.server if end == "source" else target).node_name]
    says(wire, schema=99)
    said = admin.run("user", "move", str(user.uid), "--to", target.node_name, expect=4)
    assert " 99" in said and "bring both to one version first" in said
    assert cluster.user15(sub).server is user.server and cluster.ask(f"accounts/{user.uid}")["intent"] is None
    assert "bring all nodes to one version" in admin.run("doctor", expect=8)


def test_a_target_whose_disk_is_too_full_takes_nobody(cluster, admin, wires):
    sub, user, target = new_user(cluster)
    says(wires[target.node_name], disk_free=1000)
    said = admin.run("user", "move", str(user.uid), "--to", target.node_name, expect=4)
    assert f"{target.node_name} has 1000 bytes of disk left" in said
    assert cluster.user15(sub).server is user.server and cluster.ask(f"accounts/{user.uid}")["intent"] is None
    says(wires[user.server.node_name], disk_free=1000)  # the source may be full: that is why he leaves
    wires[target.node_name].on_answer = lambda target, body: None
    assert admin.move(user.uid, target)["result"] == "moved"


def test_doctor_warns_of_a_database_that_is_not_durable(cluster, admin):
    node = cluster.nodes[1]
    assert "power fails" not in admin.run("doctor", expect=(0, 8))
    node.restart(store__durable="no")
    cluster.await_heard()
    try:
        said = admin.run("doctor", expect=8)
        assert f"at {node.node_name}" in said and "power fails" in said and "store.durable = yes" in said
    finally:
        node.restart(store__durable="yes")
        cluster.await_heard()
    assert "power fails" not in admin.run("doctor", expect=(0, 8))


# -- a node is given up while somebody leaves it --


@pytest.mark.parametrize("point", ["after-import_begin", "after-pass", "before-freeze", "after-freeze", "after-seal", "before-flip"])
def test_a_node_is_given_up_while_a_move_from_it_is_under_way(cluster, admin, point):
    sub, user, target = new_user(cluster)
    source = user.server
    while (late := new_user(cluster)[1]).server is not source:  # who does not come back before the node does
        pass
    child = admin.start("user", "move", str(user.uid), "--to", target.node_name, stop_at=point)
    assert await_stopped(child)
    source.kill()
    try:
        done = json.loads(admin.run("node", "recover", source.node_name, "--reassign", "--yes", "--json"))
        assert done["failed"] == 0
        fresh = cluster.user15(sub)  # at once: the mover still stands before its next step
        assert fresh.server is target and fresh.info() == {}
        fresh.save("bookmarks", "new", "uploaded again")
        go_on(child)
        code, out, err = admin.end(child)
        assert code not in (0, 1, 2), (code, out, err)
        assert fresh.item("bookmarks", "new")["payload"] == "uploaded again"
    finally:
        if child.poll() is None:
            child.kill()
            admin.end(child)
        admin.run("node", "set", source.node_name, "state=closed")  # "down" would keep it from answering at all
        source.start()
        cluster.await_heard()
        admin.run("node", "set", source.node_name, "state=open")
    admin.run("settle")
    assert cluster.ask(f"accounts/{fresh.uid}")["intent"] is None
    # it wakes, and refuses who has left; what it says before it has heard of him is that it cannot tell
    wait_until(lambda: late.get("/info/collections", expect=(401, 503)).status == 401, "refused")
    assert cluster.user15(sub).item("bookmarks", "new")["payload"] == "uploaded again"
    wait_until(lambda: " 0 errors" in " " + admin.run("doctor", "--mend", expect=None), "doctor is content", 120, 0.1)


def test_a_node_that_is_given_up_after_the_flip_keeps_nobody(cluster, admin):
    """What was decided stays decided: he is at the target with all his data."""
    sub, user, target = new_user(cluster)
    source = user.server
    child = admin.start("user", "move", str(user.uid), "--to", target.node_name, stop_at="after-flip")
    assert await_stopped(child)
    source.kill()
    try:
        assert json.loads(admin.run("node", "recover", source.node_name, "--reassign", "--yes", "--json"))["failed"] == 0
        there = cluster.user15(sub)
        assert there.server is target and len(there.ids("bookmarks")) == 3
    finally:
        child.kill()
        admin.end(child)
        admin.run("node", "set", source.node_name, "state=closed")
        source.start()
        cluster.await_heard()
        admin.run("node", "set", source.node_name, "state=open")
    admin.run("settle")
    assert cluster.ask(f"accounts/{user.uid}")["intent"] is None
    assert len(cluster.user15(sub).ids("bookmarks")) == 3


# -- slow lines, busy nodes --


def progress_of(child):
    """The events that a command with --json tells, as they come."""
    seen = []

    def read():
        for line in child.stdout:
            seen.append(json.loads(line))

    threading.Thread(target=read, daemon=True).start()
    return seen


def test_a_run_over_a_slow_line_tells_how_far_it_is_and_what_is_stuck(cluster, admin, wires):
    users = [new_user(cluster, items=20) for _ in range(4)]
    target = users[0][2]
    leaving = [u for u in users if u[1].server is not target]
    wires[target.node_name].delay_s = 0.05
    held, release = threading.Event(), threading.Event()

    def hold(path, body):
        if "/import?" in path and not held.is_set():
            held.set()
            release.wait(600)

    wires[target.node_name].on_question = hold
    child = admin.start("run", "move", *[str(u.uid) for _, u, _ in leaving], "--to", target.node_name, "--parallel", "1", "--yes", "--json")
    events = progress_of(child)
    try:
        wait_until(held.is_set, "the first page is on its way", 180)
        stuck = wait_until(lambda: next((e for e in events if e["event"] == "progress" and e["stuck"]), None), "the run says what is stuck", 180, 0.1)
        assert stuck["stuck"][0]["phase"] == "copy" and stuck["stuck"][0]["for_s"] >= 15
        assert "slow" in stuck["stuck"][0]["why"] and stuck["moving"] == 1 and stuck["moves"] == len(leaving)
    finally:
        release.set()
    assert child.wait(600) == 0
    wait_until(lambda: events and events[-1]["event"] == "end", "its last word")
    assert events[-1]["state"] == "done" and events[-1]["done"] == len(leaving)
    told = [e for e in events if e["event"] == "progress"]
    assert [e["items"] for e in told] == sorted(e["items"] for e in told)
    assert [e["done"] for e in told] == sorted(e["done"] for e in told)
    for sub, user, _ in leaving:
        assert len(cluster.user15(sub).ids("bookmarks")) == 20 and cluster.user15(sub).server is target


def test_a_run_holds_back_where_the_latency_of_a_node_rises(cluster, admin, wires):
    """The same users go there while the target is at ease, and come back while it says that its requests take long: told of each move is how long
    it was held back."""
    users = [new_user(cluster)[1] for _ in range(6)]
    here, there = cluster.nodes
    admin.run("run", "move", *[str(u.uid) for u in users], "--to", here.node_name, "--rise", "0", "--yes", expect=(0, 7))
    for wire in wires.values():
        wire.delay_s = 0.05

    def go(target, **latency):
        for wire in wires.values():
            says(wire, cores=64, latency_ms=2)
        child = admin.start("run", "move", *[str(u.uid) for u in users], "--to", target.node_name, "--parallel", "1", "--yes", "--json")
        events = progress_of(child)
        wait_until(lambda: child.poll() is not None or any(e["event"] == "moved" for e in events), "the first is there", 300, 0.02)
        says(wires[target.node_name], cores=64, **latency)
        assert child.wait(600) == 0
        wait_until(lambda: events and events[-1]["event"] == "end", "its last word")
        moved = [e["held_back_ms"] for e in events if e["event"] == "moved"]
        assert len(moved) == len(users)
        return moved

    with Standstill() as still:
        eased, braked = go(there, latency_ms=2), go(here, latency_ms=50)
    assert max(braked) >= 200, braked
    if still.longest_s < 1:  # a node that has not answered in two seconds is known to have one core, of which a run takes little
        assert eased == [0] * len(users) and braked[0] == 0, (eased, braked)


def test_somebody_who_writes_faster_than_he_is_copied_is_frozen_with_what_there_is(cluster, admin, wires):
    """Each pass finds more than the one before. Waiting would make his freeze longer, so the copy is not read again as often as it may be."""
    sub, user, target = new_user(cluster, size=100_000)  # too much for one pass
    written = []

    def write_more(path, body):
        if "/manifest?" not in path or "&after=&" not in path:
            return
        n = 150 * (1 + len(written) // 150)
        for part in range(0, n, 50):
            some = records(50, prefix=f"w{len(written)}-")
            r = user.post("/storage/history", some, expect=(200, 503))
            if r.status == 503:
                return
            written.extend(i["id"] for i in some)

    wires[user.server.node_name].on_answer = write_more
    moved = admin.move(user.uid, target)
    assert moved["result"] == "moved" and moved["passes"] <= 5, moved
    assert len(written) >= 450 and sorted(cluster.user15(sub).ids("history")) == sorted(written)


def test_rate_holds_over_the_whole_run(cluster, admin):
    here, away = cluster.nodes[0], []
    while len(away) < 2:
        away += [u for _, u, _ in [new_user(cluster, items=40, size=5000)] if u.server is not here]
    began = time.monotonic()
    admin.run("run", "move", *[str(u.uid) for u in away], "--to", here.node_name, "--rate", "150k", "--rise", "0", "--yes")
    assert time.monotonic() - began >= len(away) * 40 * 5000 / 150_000 / 2


# -- another address --


def moved_address(cluster, node, user, sub):
    """The node is reached as localhost instead of 127.0.0.1; its own URL, which is its name, stays. Gives the client at the new address."""
    new = f"http://localhost:{node.port}"
    cluster.admin("node", "set", node.node_name, f"address={new}")
    node.restart(public__url=new, node__url=node.url)
    cluster.await_heard()
    wait_until(lambda: cluster.token(sub)["api_endpoint"].startswith(new), "the directory names the new address", 120, 0.1)
    out = cluster.token(sub)
    assert out["uid"] == user.uid
    return Storage15(node, out["uid"], out["id"], out["key"], connection=Connection("localhost", node.port))


def test_a_node_whose_address_changes_keeps_everybody_and_his_data(cluster):
    sub, user, other = new_user(cluster)
    node = user.server
    user.put("/storage/history/h", {"payload": "before"})
    stamps = user.info()
    try:
        there = moved_address(cluster, node, user, sub)
        assert there.info() == stamps and len(there.ids("bookmarks")) == 3
        assert user.get("/info/collections", expect=401)  # it was signed for the old address; the client fetches a token, and goes on
        assert there.put("/storage/history/h", {"payload": "after"}).last_modified > max(stamps.values())
        old_token_new_address = Storage15(node, user.uid, user.id, user.key, connection=Connection("localhost", node.port))
        assert old_token_new_address.item("history", "h")["payload"] == "after"
        cluster.admin("user", "move", str(user.uid), "--to", other.node_name)  # and moves as before
        assert cluster.user15(sub).item("history", "h")["payload"] == "after"
    finally:
        cluster.admin("node", "set", node.node_name, f"address={node.url}")
        node.restart(public__url=node.url, node__url="")
        cluster.await_heard()
    wait_until(lambda: cluster.token(os.urandom(16).hex()), "signing in goes on")
    cluster.admin("user", "move", str(user.uid), "--to", node.node_name)
    with Devices(cluster, sub, 1) as devices:
        devices.await_work(2)
    assert cluster.user15(sub).item("history", "h")["payload"] == "after"
