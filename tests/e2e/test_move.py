"""One user moves between nodes of every engine, by `heddle-admin user move`, while he syncs; and what is told of moves by the operator's
other commands."""
import json
import os
import sqlite3

import pytest

from lib.cluster import Cluster, running
from lib.heddle import has_hooks
from lib.moves import Admin, Devices, await_stopped, go_on
from lib.processes import wait_until
from lib.storage15 import records

pytestmark = pytest.mark.skipif(not has_hooks(), reason="a build without test hooks")

ENGINES = ["sqlite+memory", "sqlite+memory", "mysql+redis", "mysql+redis"]
PAIRS = {"mysql-mysql": (2, 3), "sqlite-mysql": (0, 2), "mysql-sqlite": (3, 1), "sqlite-sqlite": (1, 0)}


@pytest.fixture(scope="module")
def cluster(worker):
    with running(Cluster(worker.folder / "moves", worker.template, ENGINES, directories=2), "moves") as started:
        yield started


@pytest.fixture
def admin(cluster):
    return Admin(cluster)


@pytest.fixture(params=PAIRS.values(), ids=PAIRS.keys())
def pair(cluster, request):
    return [cluster.nodes[i] for i in request.param]


def new_user(cluster, node):
    """(sub, client) of a user who lives there."""
    admin = Admin(cluster)
    sub = os.urandom(16).hex()
    user = cluster.user15(sub)
    user.save_all("clients", records(3))
    if user.server is not node:
        admin.move(user.uid, node)
        user = cluster.user15(sub)
    assert user.server is node
    return sub, user


def entry(cluster, uid):
    return cluster.ask(f"accounts/{uid}")


def head(cluster, node, uid):
    return cluster.ask(f"heads/{uid}", node) if hasattr(node, "settings") else None


# -- moving --


def test_a_user_moves_while_eight_devices_write_and_read(cluster, admin, pair):
    source, target = pair
    sub, user = new_user(cluster, source)
    user.save_all("bookmarks", records(100, payload="b" * 300))
    with Devices(cluster, sub, 8) as devices:
        result = admin.move(user.uid, target)
        assert result["result"] == "moved", result
        devices.await_work()
        assert all(d.client.server is target for d in devices.all)
        assert {d.refused_401 for d in devices.all} <= {0, 1}  # one for each credential that he had at the old node
        assert any(d.refused_401 for d in devices.all)
    now = entry(cluster, user.uid)
    assert (now["node"], now["intent"]) == (target.node_name, None)
    assert json.loads(admin.run("user", "verify", str(user.uid), "--json"))["faults"] == []
    there = cluster.user15(sub)
    assert there.server is target and len(there.ids("bookmarks")) == 100


def test_everything_comes_along(cluster, admin, pair):
    source, target = pair
    sub, user = new_user(cluster, source)
    user.save("bookmarks", "a", 'pay"load\nä€\x00', sortindex=-7)
    user.save("tabs", "short", "x", ttl=3600)
    user.save("own.Coll_1", "~!*'()[]", "odd")
    user.save("forms", "gone", "x")
    user.delete("/storage/forms/gone")
    user.save("passwords", "p", "")
    user.delete("/storage/passwords")
    before = {"info": user.info(), "usage": user.info("collection_usage"), "counts": user.info("collection_counts"),
              "time": user.storage_time(), "bookmarks": user.full("bookmarks"), "own": user.full("own.Coll_1"), "tabs": user.full("tabs")}
    admin.move(user.uid, target)
    user.get("/info/collections", expect=401)
    there = cluster.user15(sub)
    assert there.uid == user.uid
    after = {"info": there.info(), "usage": there.info("collection_usage"), "counts": there.info("collection_counts"),
             "time": there.storage_time(), "bookmarks": there.full("bookmarks"), "own": there.full("own.Coll_1"), "tabs": there.full("tabs")}
    assert after == before
    assert there.save("bookmarks", "b", "later") > before["time"]


def test_an_11_client_follows_with_its_password(cluster, admin):
    source, target = cluster.nodes[0], cluster.nodes[2]
    user = cluster.user11(source)
    user.at(source).save("bookmarks", "abc", "hello")
    uid = entry(cluster, user.name)["uid"]
    admin.move(uid, target)
    user.at(source).get("/info/collections", expect=401)
    for directory in cluster.directories:
        assert user.through(directory).home is target  # whichever is asked, at once
    assert user.at(target).item("bookmarks", "abc")["payload"] == "hello"


def test_there_and_back_again_leaves_no_trace(cluster, admin):
    sub, user = new_user(cluster, cluster.nodes[0])
    user.save("bookmarks", "a", "1")
    for payload, node in [("2", cluster.nodes[2]), ("3", cluster.nodes[0]), ("4", cluster.nodes[2])]:
        admin.move(user.uid, node)
        user = cluster.user15(sub)
        assert user.server is node
        user.save("bookmarks", "a", payload)
        user.save("bookmarks", payload, payload)
    assert sorted(user.ids("bookmarks")) == ["2", "3", "4", "a"]
    assert user.item("bookmarks", "a")["payload"] == "4"


def test_who_lives_there_already_does_not_move(cluster, admin):
    _, user = new_user(cluster, cluster.nodes[0])
    epoch = entry(cluster, user.uid)["epoch"]
    assert admin.move(user.uid, cluster.nodes[0])["result"] == "there already"
    assert entry(cluster, user.uid)["epoch"] == epoch


def test_seats_follow_the_users(cluster, admin):
    def seats():
        return {n["name"]: n["seats"] for n in cluster.ask("nodes")}

    source, target = cluster.nodes[0], cluster.nodes[2]
    _, user = new_user(cluster, source)
    before = seats()
    admin.move(user.uid, target)
    after = seats()
    assert after[source.node_name] == before[source.node_name] + 1
    assert after[target.node_name] == before[target.node_name] - 1


# -- time --


@pytest.mark.parametrize("pair", [(0, 2), (2, 1)], ids=["sqlite-mysql", "mysql-sqlite"], indirect=True)
def test_a_source_clock_five_seconds_ahead_leaves_a_floor(cluster, admin, pair):
    source, target = pair
    sub, user = new_user(cluster, source)
    source.advance(5)
    try:
        with Devices(cluster, sub, 4) as devices:  # each checks its stamps and what newer= brings
            admin.move(user.uid, target)
            devices.await_work(10)
            assert all(d.client.server is target for d in devices.all)
    finally:
        source.advance(-5)


def test_clocks_too_far_apart_are_refused(cluster, admin):
    source, target = cluster.nodes[0], cluster.nodes[2]
    sub, user = new_user(cluster, source)
    source.advance(15)
    try:
        said = admin.run("user", "move", str(user.uid), "--to", target.node_name, expect=4)
        assert "ms apart" in said
        assert cluster.user15(sub).server is source and entry(cluster, user.uid)["intent"] is None
        assert admin.move(user.uid, target, "--max-skew", "20")["result"] == "moved"
    finally:
        source.advance(-15)


# -- uploads in parts --


@pytest.mark.parametrize("pair", [(0, 2), (2, 1)], ids=["sqlite-mysql", "mysql-sqlite"], indirect=True)
def test_an_upload_under_way_is_waited_for_and_one_left_alone_is_dropped(cluster, admin, pair):
    source, target = pair
    sub, user = new_user(cluster, source)
    batch = user.upload("bookmarks", [{"id": "p1", "payload": "1"}], "batch=true", expect=202)["batch"]
    child = admin.start("user", "move", str(user.uid), "--to", target.node_name, "--json")
    for i in range(2, 5):
        user.upload("bookmarks", [{"id": f"p{i}", "payload": "x"}], f"batch={batch}", expect=202)
        assert child.poll() is None
    user.upload("bookmarks", [], f"batch={batch}&commit=true")
    code, out, err = admin.end(child)
    assert code == 0, err
    there = cluster.user15(sub)
    assert sorted(there.ids("bookmarks")) == ["p1", "p2", "p3", "p4"]

    batch = there.upload("bookmarks", [{"id": "q1", "payload": "1"}], "batch=true", expect=202)["batch"]
    admin.move(user.uid, source, "--upload-wait", "1")
    back = cluster.user15(sub)
    back.post(f"/storage/bookmarks?batch={batch}&commit=true", [], expect=400)
    assert "q1" not in back.ids("bookmarks")


# -- what is refused --


def test_a_node_that_does_not_answer_is_no_target(cluster, admin):
    source, target = cluster.nodes[0], cluster.nodes[1]
    sub, user = new_user(cluster, source)
    assert target.stop() == 0
    try:
        admin.run("user", "move", str(user.uid), "--to", target.node_name, expect=(3, 5))
        assert cluster.user15(sub).server is source and entry(cluster, user.uid)["intent"] is None
    finally:
        target.start()
        cluster.await_heard()


def test_who_would_be_over_the_quota_there_stays_unless_he_has_a_limit_of_his_own(cluster, admin):
    source, target = cluster.nodes[0], cluster.nodes[1]
    sub, user = new_user(cluster, source)
    user.save_all("bookmarks", records(20, payload="x" * 100))
    target.restart(limits__quota_bytes=1000)
    cluster.await_heard()
    try:
        said = admin.run("user", "move", str(user.uid), "--to", target.node_name, expect=4)
        assert "allows 1000" in said
        assert cluster.user15(sub).server is source and entry(cluster, user.uid)["intent"] is None
        admin.run("user", "quota", str(user.uid), "1m")
        assert admin.move(user.uid, target)["result"] == "moved"
        there = cluster.user15(sub)
        there.save_all("history", records(20, payload="x" * 100))  # his limit came along
    finally:
        target.restart(limits__quota_bytes=0)
        cluster.await_heard()


def test_a_node_marked_down_is_no_target(cluster, admin):
    source, target = cluster.nodes[0], cluster.nodes[1]
    _, user = new_user(cluster, source)
    admin.run("node", "set", target.node_name, "state=down")
    try:
        assert "marked down" in admin.run("user", "move", str(user.uid), "--to", target.node_name, expect=4)
    finally:
        admin.run("node", "set", target.node_name, "state=open")
        wait_until(lambda: target.get("/__heartbeat__").status == 200, "open again")


def test_a_directory_that_hangs_does_not_keep_the_user_waiting(cluster, admin):
    """The mover tells it the news like all others, for two seconds, and goes on; any other of its calls would wait for thirty."""
    source, target = cluster.nodes[0], cluster.nodes[2]
    sub, user = new_user(cluster, source)
    cluster.directories[1].pause()
    try:
        result = admin.move(user.uid, target)
    finally:
        cluster.directories[1].resume()
        cluster.await_heard()
    assert result["result"] == "moved" and result["frozen_ms"] < 25_000, result
    assert cluster.user15(sub).server is target


def test_names_that_nobody_has(cluster, admin):
    _, user = new_user(cluster, cluster.nodes[0])
    admin.run("user", "move", str(user.uid), "--to", "nowhere.example.net", expect=3)
    admin.run("user", "move", "nobody-of-this-name", "--to", cluster.nodes[0].node_name, expect=3)
    admin.run("user", "move", str(user.uid), expect=2)


def test_two_movers_of_one_user(cluster, admin):
    source, one, other = cluster.nodes[0], cluster.nodes[2], cluster.nodes[3]
    sub, user = new_user(cluster, source)
    first = admin.start("user", "move", str(user.uid), "--to", one.node_name, "--json", stop_at="after-freeze")
    assert await_stopped(first)
    admin.run("user", "move", str(user.uid), "--to", other.node_name, expect=4)
    go_on(first)
    assert admin.end(first)[0] == 0
    assert cluster.user15(sub).server is one


# -- undoing --


def test_ctrl_c_undoes_a_move_that_is_not_decided(cluster, admin):
    source, target = cluster.nodes[0], cluster.nodes[2]
    sub, user = new_user(cluster, source)
    for i in range(8):
        user.save_all("history", records(100, prefix=f"{i}-", payload="x" * 2000))
    child = admin.start("user", "move", str(user.uid), "--to", target.node_name, "--rate", "50k")
    lines = iter(child.stdout.readline, "")
    said = []
    while not any("copy" in l and "carried" in l and " 0 B" not in l for l in said):
        said.append(next(lines, None))
        assert said[-1] is not None, (said, child.stderr.read())
    user.save("bookmarks", "meanwhile", "1")
    child.terminate()
    code, _, err = admin.end(child)
    assert code == 5 and "cancelled" in err
    assert cluster.user15(sub).server is source and entry(cluster, user.uid)["intent"] is None
    user.save("bookmarks", "after", "1")
    assert admin.move(user.uid, target)["result"] == "moved"
    assert sorted(cluster.user15(sub).ids("bookmarks")) == ["after", "meanwhile"]


def test_settle_undoes_what_a_dead_mover_left_when_its_lease_is_over(cluster, admin):
    source, target = cluster.nodes[0], cluster.nodes[2]
    sub, user = new_user(cluster, source)
    child = admin.start("user", "move", str(user.uid), "--to", target.node_name, "--lease", "20", stop_at="after-seal")
    assert await_stopped(child)
    child.kill()
    admin.end(child)
    r = user.get("/info/collections", expect=503)
    assert r.header("Retry-After") == "10"
    early = Admin(cluster, ahead_s=-40)  # to whom the lease runs for another minute, however long we took
    assert "waits" in early.run("settle")
    user.get("/info/collections", expect=503)
    assert "would do" in admin.run("settle", "--dry-run", "--at-once")
    assert "undone" in Admin(cluster, ahead_s=40).run("settle")
    user.save("bookmarks", "a", "1")  # with the credential he had
    assert entry(cluster, user.uid)["intent"] is None
    assert admin.run("settle") == ""
    assert admin.move(user.uid, target)["result"] == "moved"
    assert cluster.user15(sub).item("bookmarks", "a")["payload"] == "1"


def test_settle_finishes_what_was_decided(cluster, admin):
    source, target = cluster.nodes[2], cluster.nodes[1]
    sub, user = new_user(cluster, source)
    child = admin.start("user", "move", str(user.uid), "--to", target.node_name, stop_at="after-flip")
    assert await_stopped(child)
    child.kill()
    admin.end(child)
    assert entry(cluster, user.uid)["intent"].startswith("retire")
    assert "finished" in admin.run("settle")
    assert entry(cluster, user.uid)["intent"] is None
    user.get("/info/collections", expect=401)
    assert len(cluster.user15(sub).ids("clients")) == 3


def test_settle_as_a_service_finishes_what_comes_and_ends_when_asked(cluster, admin):
    source, target = cluster.nodes[0], cluster.nodes[2]
    sub, user = new_user(cluster, source)
    service = admin.start("settle", "--every", "1")
    try:
        child = admin.start("user", "move", str(user.uid), "--to", target.node_name, stop_at="after-flip")
        assert await_stopped(child)
        child.kill()
        admin.end(child)
        wait_until(lambda: entry(cluster, user.uid)["intent"] is None, "settled", 120, 0.05)
        assert cluster.user15(sub).server is target
    finally:
        service.terminate()
        code, out, err = admin.end(service)
    assert code == 0 and "finished" in out, (code, out, err)


# -- looking --


def test_a_flipped_byte_is_found_by_verify(cluster, admin):
    for source, target in [(cluster.nodes[1], cluster.nodes[0]), (cluster.nodes[0], cluster.nodes[1])]:
        _, user = new_user(cluster, source)
        user.save_all("bookmarks", records(20, payload="abcdefgh"))
        admin.move(user.uid, target)
        assert json.loads(admin.run("user", "verify", str(user.uid), "--json"))["faults"] == []
        flip_byte(cluster.nodes[0], user.uid)  # once on the side he left, once on the side he came to
        found = json.loads(admin.run("user", "verify", str(user.uid), "--json", expect=8).splitlines()[0])
        assert "1 items differ" in found["faults"][0]
        assert "bookmarks/b07" in str(found["holders"])


def flip_byte(node, uid):
    for path in sorted((node.folder / "store").glob("*.sqlite*")):
        if path.suffix != ".sqlite":
            continue
        with sqlite3.connect(path, timeout=20) as db:
            if db.execute("UPDATE items SET payload = CAST('abcdeFgh' AS BLOB) WHERE uid = ? AND id = CAST('b07' AS BLOB)", (uid,)).rowcount:
                return
    raise AssertionError("no such row")


def test_doctor_finds_and_mends_a_node_that_was_set_back(cluster, admin):
    """A copy of the database from before the move, started again: its users who left are not served, and doctor says so."""
    admin.run("settle")
    assert "0 errors" in admin.run("doctor", expect=(0, 8))
    source, target = cluster.nodes[0], cluster.nodes[2]
    _, user = new_user(cluster, source)
    admin.move(user.uid, target)
    set_head(source, user.uid, state=1, epoch=entry(cluster, user.uid)["epoch"] - 1)
    said = admin.run("doctor", expect=8)
    assert f"uid {user.uid}: he lives elsewhere" in said and "--mend" in said
    admin.run("doctor", "--mend", expect=8)
    assert "he lives elsewhere" not in admin.run("doctor", expect=(0, 8))
    user.get("/info/collections", expect=401)


def set_head(node, uid, state, epoch):
    """As an old copy of its database has it."""
    for path in sorted((node.folder / "store").glob("*.sqlite")):
        with sqlite3.connect(path, timeout=20) as db:
            if db.execute("UPDATE heads SET state = ?, epoch = ? WHERE uid = ?", (state, epoch, uid)).rowcount:
                return
    raise AssertionError("no such head")


def test_what_a_deleted_account_left_is_erased_after_the_grace(cluster, admin):
    source = cluster.nodes[0]
    user = cluster.user11(source)
    user.at(source).save("bookmarks", "abc", "hello")
    uid = entry(cluster, user.name)["uid"]
    seats = {n["name"]: n["seats"] for n in cluster.ask("nodes")}
    user.account("DELETE", "")
    assert "waits" in admin.run("settle")
    assert "would do" in admin.run("settle", "--dry-run", "--grace", "0")
    assert "erased" in admin.run("settle", "--grace", "0")
    assert cluster.ask("erases") == []
    after = {n["name"]: n["seats"] for n in cluster.ask("nodes")}
    assert after[source.node_name] == seats[source.node_name] + 1
    for path in (source.folder / "store").glob("*.sqlite"):
        with sqlite3.connect(path, timeout=20) as db:
            assert db.execute("SELECT COUNT(*) FROM items WHERE uid = ?", (uid,)).fetchone() == (0,)


@pytest.mark.parametrize("point", ["after-import_begin", "after-freeze", "after-seal", "after-flip"])
def test_an_account_deleted_on_the_way_leaves_nothing_anywhere(cluster, admin, point):
    source, target = cluster.nodes[0], cluster.nodes[1]
    user = cluster.user11(source)
    user.at(source).save("bookmarks", "abc", "hello")
    uid = entry(cluster, user.name)["uid"]
    child = admin.start("user", "move", str(uid), "--to", target.node_name, "--lease", "20", stop_at=point)
    assert await_stopped(child)
    cluster.tell(f"accounts/{uid}/delete")
    go_on(child)
    code, _, err = admin.end(child)
    assert code != 0 or point == "after-flip", err
    wait_until(lambda: admin.run("settle", "--grace", "0", expect=None) == "" and cluster.ask("erases") == [], "erased", 120, 0.1)
    for node in (source, target):
        assert items_of(node, uid) == 0
        assert cluster.ask(f"heads/{uid}", node)["state"] in ("none", "gone")


def items_of(node, uid):
    n = 0
    for path in (node.folder / "store").glob("*.sqlite"):
        with sqlite3.connect(path, timeout=20) as db:
            n += db.execute("SELECT COUNT(*) FROM items WHERE uid = ?", (uid,)).fetchone()[0]
    return n


@pytest.mark.parametrize("point", ["after-freeze", "before-flip", "after-flip"])
def test_a_new_client_state_on_the_way(cluster, admin, point):
    """He reset his sync key: a new number, which begins empty at once; what the old one had is erased, on both nodes."""
    source, target = cluster.nodes[0], cluster.nodes[1]
    sub, user = new_user(cluster, source)
    child = admin.start("user", "move", str(user.uid), "--to", target.node_name, "--lease", "20", stop_at=point)
    assert await_stopped(child)
    fresh = cluster.user15(sub, state="bbbb", k=1235)
    assert fresh.uid != user.uid
    fresh.save("bookmarks", "new", "1")
    go_on(child)
    admin.end(child)
    late = Admin(cluster, ahead_s=40)
    wait_until(lambda: late.run("settle", "--grace", "0", expect=None) == "" and entry(cluster, fresh.uid)["intent"] is None, "settled", 120, 0.1)
    assert fresh.ids("bookmarks") == ["new"]
    now = entry(cluster, fresh.uid)
    assert now["erases"] == [] and now["node"] == fresh.server.node_name
    for node in (source, target):
        assert items_of(node, user.uid) == 0
        assert cluster.ask(f"heads/{user.uid}", node)["state"] in ("none", "gone")
    assert "0 errors" in admin.run("doctor", expect=(0, 8))


def test_doctor_lets_the_directory_follow_the_higher_epoch(cluster, admin):
    """The directory's backup is from before the move: both ends would refuse him for ever."""
    source, target = cluster.nodes[0], cluster.nodes[2]
    sub, user = new_user(cluster, source)
    admin.move(user.uid, target)
    before = entry(cluster, user.uid)
    with sqlite3.connect(cluster.folder / "directory.sqlite", timeout=20) as db:
        assert db.execute("UPDATE accounts SET node = ?, epoch = ? WHERE uid = ?",
                          (source.node_name, before["epoch"] - 1, user.uid)).rowcount == 1
    assert f"uid {user.uid}: the directory is behind him" in admin.run("doctor", expect=8)
    assert "mended" in admin.run("doctor", "--mend", expect=8)
    after = entry(cluster, user.uid)
    assert (after["node"], after["epoch"]) == (before["node"], before["epoch"])
    assert cluster.user15(sub).server is target and len(cluster.user15(sub).ids("clients")) == 3


def test_doctor_undoes_a_freeze_that_no_account_knows_of(cluster, admin):
    source = cluster.nodes[0]
    _, user = new_user(cluster, source)
    epoch = entry(cluster, user.uid)["epoch"]
    cluster.tell(f"heads/{user.uid}/freeze", source, move="m-lost", epoch=epoch)
    user.get("/info/collections", expect=503)
    assert f"uid {user.uid}: a move was left half done" in admin.run("doctor", expect=8)
    assert "mended" in admin.run("doctor", "--mend", expect=8)
    user.get("/info/collections")


def test_doctor_asks_for_a_settle_and_for_clocks_that_agree(cluster, admin):
    cluster.directories[0].restart()
    cluster.directories[1].restart()
    cluster.await_heard()
    wait_until(lambda: "0 errors" in admin.run("doctor", expect=(0, 8)), "doctor sees all nodes", 120, 0.1)
    said = admin.run("doctor", expect=8)
    assert "no settle has run" in said and "settle --every 30s" in said
    admin.run("settle")
    assert "settle" not in admin.run("doctor", expect=(0, 8))
    node = cluster.nodes[1]
    node.advance(5)
    try:
        assert f"at {node.node_name}" in (said := admin.run("doctor", expect=8)) and "ms apart" in said
    finally:
        node.advance(-5)
    assert "ms apart" not in admin.run("doctor", expect=(0, 8))
