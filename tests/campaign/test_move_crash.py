"""Whoever takes part in a move is killed with -9 right before or right after any of its steps: source node, target node, the mover
itself, the directory, its LDAP provider; and the same while somebody undoes a move. Then `settle` alone brings it to an end: one owner, no
acknowledged write missing, nothing left behind. By default a few cells drawn by the seed; all of them, three times each, with HEDDLE_FULL=1;
HEDDLE_CELLS=PART/PARTS takes one part of those."""
import itertools
import os
import subprocess

import pytest

from conftest import FULL
from lib.cluster import Cluster, running
from lib.heddle import has_hooks
from lib.moves import Admin, Devices, await_stopped, go_on
from lib.processes import wait_until

pytestmark = pytest.mark.skipif(not has_hooks(), reason="a build without test hooks")

STEPS = ["intend", "import_begin", "pass", "freeze", "rest", "seal", "flip", "news", "activate", "retire", "clear"]
POINTS = [f"{when}-{step}" for step in STEPS for when in ("before", "after")]
UNDOING = [f"{when}-{step}" for step in ("abort", "drop", "thaw", "clear") for when in ("before", "after")]
UNDONE_FROM = ["after-intend", "after-import_begin", "after-pass", "after-freeze", "after-rest", "after-seal", "before-flip"]
VICTIMS = ["source", "target", "admin", "directory", "ldap"]
ROUNDS = 3 if FULL else 1
CELLS = 24  # of a slice
SHARDS = 6  # so that workers can share them


@pytest.fixture
def cluster(backends):
    with running(Cluster(backends.folder / "move", backends.template, ["sqlite+memory", "mysql+redis"], accounts="ldap"), "move-crash") as started:
        yield started


def entry(cluster, uid):
    return cluster.ask(f"accounts/{uid}")


def process(cluster, victim, source, target):
    return {"source": source, "target": target, "directory": cluster.directory, "ldap": cluster.provider}[victim]


def kill_and_restart(rnd, child, victim):
    """The mover meets it dead, or back again already."""
    victim.kill()
    if rnd.random() < 0.5:
        victim.start()
        go_on(child)
    else:
        go_on(child)
        try:
            child.wait(rnd.random() * 0.5)
        except subprocess.TimeoutExpired:
            pass
        victim.start()


def settle_it(cluster, uid):
    """Settle, with nobody's lease left, until it says that there is nothing to do."""
    late = Admin(cluster, ahead_s=45)

    def settled():
        code, out, _ = late.end(late.start("settle"))  # who was just killed and started may not answer yet
        return code == 0 and out == "" and entry(cluster, uid)["intent"] is None

    wait_until(settled, "settled", 180, 0.1)


def check_ends(cluster, uid, moved_by):
    """One owner, of the directory's epoch; the other one serves nobody. doctor agrees."""
    now = entry(cluster, uid)
    owner = next(n for n in cluster.nodes if n.node_name == now["node"])
    heads = {n.node_name: head(cluster, n, uid) for n in cluster.nodes}
    mine = heads.pop(owner.node_name)
    assert (mine["state"], mine["epoch"]) == ("active", now["epoch"]), (moved_by, mine, now)
    for other in heads.values():
        assert other["state"] in ("gone", "none"), (moved_by, other, now)
    wait_until(lambda: "0 errors" in Admin(cluster).run("doctor", expect=None), "doctor is content", 120, 0.1)
    return owner


def head(cluster, node, uid):
    return cluster.ask(f"heads/{uid}", node)


def somebody(cluster):
    """A user with some data: (sub, client, the node where he lives, another one)."""
    sub = os.urandom(16).hex()
    user = cluster.user15(sub)
    user.save_all("bookmarks", [{"id": f"b{i}", "payload": "x" * 500} for i in range(30)])
    return sub, user, user.server, next(n for n in cluster.nodes if n is not user.server)


def strike(cluster, rnd, child, victim, ends, uid, why):
    """The victim dies while the command stands at its point. Gives how that ended, and where he lives when all is settled."""
    assert await_stopped(child), (why, child.communicate())
    if victim == "admin":
        child.kill()
    else:
        kill_and_restart(rnd, child, process(cluster, victim, *ends))
    end = Admin.end(child)
    settle_it(cluster, uid)
    return end, check_ends(cluster, uid, (why, end))


def one_cell(cluster, rnd, point, victim):
    sub, user, source, target = somebody(cluster)
    with Devices(cluster, sub, 2, seed=rnd.random(), connection_errors=True) as devices:
        devices.await_work(1)
        child = Admin(cluster).start("user", "move", str(user.uid), "--to", target.node_name, "--lease", "20", stop_at=point)
        end, owner = strike(cluster, rnd, child, victim, (source, target), user.uid, (point, victim))
        decided = POINTS.index(point) >= POINTS.index("after-flip")
        if victim == "admin":
            assert (owner is target) == decided, (point, owner.node_name)
        elif decided or end[0] == 0:
            assert owner is target, (point, victim, end)
        devices.await_work(2)
    assert len(cluster.user15(sub).ids("bookmarks")) == 30
    return f"{point} {victim}: exit {end[0]}, lives on the {'target' if owner is target else 'source'}"


def one_undoing(cluster, rnd, point, victim):
    """The mover died, and the settler who undoes what he left meets the same fate, or one of the others does under his hands."""
    sub, user, source, target = somebody(cluster)
    left_at = rnd.choice(UNDONE_FROM)
    with Devices(cluster, sub, 2, seed=rnd.random(), connection_errors=True) as devices:
        devices.await_work(1)
        mover = Admin(cluster).start("user", "move", str(user.uid), "--to", target.node_name, "--lease", "20", stop_at=left_at)
        assert await_stopped(mover), (left_at, mover.communicate())
        mover.kill()
        Admin.end(mover)
        child = Admin(cluster, ahead_s=45).start("settle", stop_at=point)
        end, owner = strike(cluster, rnd, child, victim, (source, target), user.uid, (point, victim, left_at))
        assert owner is source, "nobody has flipped"
        devices.await_work(2)
    assert len(cluster.user15(sub).ids("bookmarks")) == 30
    return f"{point} {victim}, undone from {left_at}: exit {end[0]}"


def cells(rnd, points=POINTS, few=CELLS):
    everything = list(itertools.product(points, VICTIMS)) * ROUNDS
    part, parts = map(int, os.environ.get("HEDDLE_CELLS", "0/1").split("/"))
    return everything[part::parts] if FULL else rnd.sample(everything, few)


@pytest.mark.parametrize("shard", range(SHARDS if FULL else 2))
def test_whoever_is_killed_at_whatever_point(cluster, rnd, shard):
    import random
    seed = os.environ.get("HEDDLE_SEED", "any")
    chosen = cells(random.Random(f"{seed}/cells"))[shard::SHARDS if FULL else 2]
    rnd.shuffle(chosen)
    for point, victim in chosen:
        print(one_cell(cluster, rnd, point, victim), flush=True)


@pytest.mark.parametrize("shard", range(SHARDS if FULL else 1))
def test_whoever_is_killed_while_a_move_is_undone(cluster, rnd, shard):
    import random
    seed = os.environ.get("HEDDLE_SEED", "any")
    chosen = cells(random.Random(f"{seed}/undoing"), UNDOING, 5)[shard::SHARDS if FULL else 1]
    rnd.shuffle(chosen)
    for point, victim in chosen:
        print(one_undoing(cluster, rnd, point, victim), flush=True)


def test_two_admins_move_the_same_user(cluster, rnd):
    """To different nodes or the same one, one of them killed or not: one of them wins, or none."""
    for i in range(12 if FULL else 3):
        sub = os.urandom(16).hex()
        user = cluster.user15(sub)
        user.save("bookmarks", "a", "x")
        target = next(n for n in cluster.nodes if n is not user.server)
        with Devices(cluster, sub, 2, seed=rnd.random()) as devices:
            first = Admin(cluster).start("user", "move", str(user.uid), "--to", target.node_name, "--lease", "20",
                                         stop_at=rnd.choice(POINTS[:14]))
            assert await_stopped(first)
            late = Admin(cluster, ahead_s=45)  # to whom the lease of the first is over: it is undone or finished, and then moved
            second = late.start("user", "move", str(user.uid), "--to", target.node_name)
            if rnd.random() < 0.5:
                late.end(second)
            go_on(first)
            if rnd.random() < 0.5:
                first.kill()
            one, two = Admin.end(first)[0], late.end(second)[0]
            settle_it(cluster, user.uid)
            owner = check_ends(cluster, user.uid, (i, one, two))
            assert owner is target or not (one == 0 or two == 0), (one, two)
            devices.await_work(2)


def test_an_old_owner_revived_from_an_old_copy_serves_nobody_who_left(cluster):
    """The copy is from before the moves: in it they are all active. Who stayed is served, and loses nothing of what the copy has."""
    import shutil
    source, target = cluster.nodes
    admin = Admin(cluster)
    users = []
    while len([u for u in users if u.server is source]) < 5:
        users.append(cluster.user15())
    users = [u for u in users if u.server is source][:5]
    for u in users:
        u.save("bookmarks", "a", "before the copy")
    assert source.stop() == 0
    shutil.copytree(source.folder / "store", source.folder / "copy")
    source.start()
    cluster.await_heard()
    for u in users[:2]:
        admin.move(u.uid, target)
    admin.move(users[4].uid, target)
    admin.run("user", "delete", str(users[4].uid), "--yes")  # erased where he lived last: nothing tells of him any more
    killed = admin.start("user", "move", str(users[2].uid), "--to", target.node_name, stop_at="after-flip")
    assert await_stopped(killed)
    killed.kill()
    admin.end(killed)
    source.kill()
    shutil.rmtree(source.folder / "store")
    (source.folder / "copy").rename(source.folder / "store")
    source.start()
    for u in [*users[:3], users[4]]:
        wait_until(lambda: u.get("/info/collections", expect=(401, 503)).status == 401, "refused")
        u.put("/storage/bookmarks/late", {"payload": "lost"}, expect=401)
    wait_until(lambda: users[3].get("/storage/bookmarks/a", expect=(200, 503)).status == 200, "served")
    admin.run("settle")
    for u in users[:3]:
        check_ends(cluster, u.uid, "revived")
