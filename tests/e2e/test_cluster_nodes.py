"""A cluster of single programs: one directory, a node on SQLite and one on MySQL with Redis."""
import os
import sqlite3
import statistics
import time

import pytest

from lib import hawk
from lib.cluster import Cluster, metric, running
from lib.heddle import SECRET
from lib.processes import wait_until
from lib.storage15 import Storage15
from lib.wire import SECOND_S

TIMES = 5  # so often it is measured: the median is the node's, the longest may be the machine's


@pytest.fixture(scope="module")
def cluster(worker):
    with running(Cluster(worker.folder / "cluster", worker.template, ["sqlite+memory", "mysql+redis"]), "cluster") as started:
        yield started


@pytest.fixture
def directory_back(cluster):
    """For tests that take the directory away: it is there again afterwards."""
    yield
    cluster.directory.resume()
    if not cluster.directory.running:
        cluster.directory.start()
    cluster.await_heard()


@pytest.fixture(params=[0, 1], ids=["sqlite", "mysql"])
def node(cluster, request):
    return cluster.nodes[request.param]


def refused_after(client, began):
    """Asks until it is refused; how long after `began` that was."""
    wait_until(lambda: client.get("/info/collections", expect=(200, 401)).status == 401, "refused")
    return time.monotonic() - began


# -- both protocols --


def test_11_syncs_through_node_weave(cluster, node):
    user = cluster.user11(node)
    storage = user.at(node)
    storage.save("bookmarks", "abc", "hello")
    assert storage.item("bookmarks", "abc")["payload"] == "hello"
    assert list(storage.info()) == ["bookmarks"]


def test_15_syncs_through_the_token_endpoint(cluster):
    seen = set()
    while len(seen) < 2:  # assignment fills both nodes
        user = cluster.user15()
        seen.add(user.server.port)
        assert user.put("/storage/bookmarks/abc", {"id": "abc", "payload": "hello"}).status == 200
        assert user.get("/storage/bookmarks/abc").json()["payload"] == "hello"


def test_new_users_are_spread_over_the_nodes_by_their_seats(cluster):
    def seats():
        lines = cluster.admin("node", "list").splitlines()[1:]
        return [int(line.split()[3]) for line in lines]

    before = seats()
    for _ in range(6):
        cluster.user15()
    after = seats()
    assert sum(before) - sum(after) == 6
    taken = [b - a for a, b in zip(after, before)]
    assert abs(taken[0] - taken[1]) <= 2, taken


def test_a_closed_node_gets_nobody_and_keeps_those_it_has(cluster, node):
    old = cluster.user11(node)
    cluster.admin("node", "set", node.node_name, "state=closed")
    try:
        for _ in range(4):
            assert cluster.user11().home is not node
        assert old.home is node
        old.at(node).save("bookmarks", "abc", "hello")
    finally:
        cluster.admin("node", "set", node.node_name, "state=open")


# -- the wrong node --


def test_a_known_user_at_the_wrong_node_gets_401_and_never_an_empty_200(cluster, node):
    user = cluster.user11(node)
    user.at(node).save("bookmarks", "abc", "hello")
    wrong = user.at(cluster.other_than(node))
    for target in ("/info/collections", "/storage/bookmarks", "/storage/bookmarks/abc", "/storage/nothing"):
        wrong.get(target, expect=401)
    wrong.put("/storage/bookmarks/abc", {"payload": "lost"}, expect=401)
    wrong.delete("/storage/bookmarks", expect=401)
    assert user.at(node).item("bookmarks", "abc")["payload"] == "hello"


def test_a_token_of_one_node_opens_no_other(cluster):
    user = cluster.user15()
    user.put("/storage/bookmarks/abc", {"id": "abc", "payload": "hello"})
    wrong = Storage15(cluster.other_than(user.server), user.uid, user.id, user.key)
    assert wrong.get("/info/collections", expect=None).status == 401
    assert wrong.put("/storage/bookmarks/abc", {"id": "abc", "payload": "lost"}, expect=None).status == 401


def test_the_master_secret_itself_signs_no_token_that_a_node_takes(cluster, node):
    uid = 4242424242
    token = hawk.mint(SECRET, {"node": node.url, "fxa_kid": None, "expires": int(time.time()) + 60, "uid": uid})
    assert Storage15(node, uid, *token).get("/info/collections", expect=None).status == 401


# -- what a node hears --


def test_a_changed_password_is_refused_at_the_node_within_a_second(cluster, node):
    took = []
    for _ in range(TIMES):
        user = cluster.user11(node)
        old = user.at(node)
        old.get("/info/collections")
        user.change_password("another long password")
        took.append(refused_after(old, time.monotonic()))
        user.at(node).get("/info/collections")
    assert statistics.median(took) < SECOND_S, took


def test_a_deleted_account_is_refused_at_the_node_within_a_second(cluster, node):
    took = []
    for _ in range(TIMES):
        user = cluster.user11(node)
        storage = user.at(node)
        storage.get("/info/collections")
        user.account("DELETE", "")
        took.append(refused_after(storage, time.monotonic()))
    assert statistics.median(took) < SECOND_S, took


def renewed(cluster):
    """Two clients of one user: before and after new keys."""
    sub = os.urandom(16).hex()
    before = cluster.user15(sub, state="aaaa", k=1234)
    assert before.get("/info/collections").status == 200
    after = cluster.user15(sub, state="bbbb", k=1235)
    return before, after


def test_tokens_of_a_replaced_client_state_are_refused_within_a_second(cluster):
    took = []
    for _ in range(TIMES):
        before, after = renewed(cluster)
        took.append(refused_after(before, time.monotonic()))
        assert after.get("/info/collections").status == 200
    assert statistics.median(took) < SECOND_S, took


def test_a_refused_token_stays_refused_when_either_side_starts_anew(cluster, directory_back):
    before, _ = renewed(cluster)
    refused_after(before, time.monotonic())
    before.server.restart()
    assert before.get("/info/collections", expect=None).status == 401
    cluster.directory.restart()
    before.server.restart()
    assert before.get("/info/collections", expect=None).status == 401


# -- no directory --


def test_without_a_directory_known_users_go_on_and_unknown_ones_are_told_to_come_back(cluster, node, directory_back):
    known, unknown, young = cluster.user11(node), cluster.user11(node), cluster.user15()
    known.at(node).save("bookmarks", "abc", "hello")
    cluster.directory.kill()
    cluster.await_heard(0)
    assert known.at(node).item("bookmarks", "abc")["payload"] == "hello"
    known.at(node).save("bookmarks", "def", "more")
    assert young.get("/info/collections").status == 200, "tokens need nobody"
    unknown.at(node).get("/info/collections", expect=503)
    unknown.at(node).put("/storage/bookmarks/abc", {"payload": "x"}, expect=503)
    wrong = known.at(node)
    wrong.password = "never was right"
    wrong.get("/info/collections", expect=503)
    cluster.directory.start()
    cluster.await_heard()
    wait_until(lambda: unknown.at(node).get("/info/collections", expect=(200, 503)).status == 200, "let in again")
    wait_until(lambda: wrong.get("/info/collections", expect=(401, 503)).status == 401, "refused again")


def test_a_directory_that_hangs_holds_no_node_up(cluster, node, directory_back):
    known, unknown = cluster.user11(node), cluster.user11(node)
    known.at(node).get("/info/collections")
    cluster.directory.pause()
    cluster.await_heard(0)
    began = time.monotonic()
    for _ in range(20):
        known.at(node).get("/info/collections")
        unknown.at(node).get("/info/collections", expect=503)
    # Once in a second somebody asks it, and waits for five: what a slow machine makes more of.
    assert time.monotonic() - began < 80, "twenty who ask it and wait for an answer take a hundred seconds"


def test_a_node_that_starts_without_a_directory_serves_when_it_comes(cluster, node, directory_back):
    user = cluster.user11(node)
    cluster.directory.kill()
    node.restart()
    user.at(node).get("/info/collections", expect=503)
    cluster.directory.start()
    cluster.await_heard()
    wait_until(lambda: user.at(node).get("/info/collections", expect=(200, 503)).status == 200, "served")


# -- who has left --


def give_away(cluster, uid, owner):
    """What a move would leave in the directory, and a node that was restored from an old copy has never heard of."""
    with sqlite3.connect(cluster.folder / "directory.sqlite", timeout=20) as db:
        assert db.execute("UPDATE accounts SET node = ?, epoch = epoch + 1 WHERE uid = ?", (owner.node_name, uid)).rowcount == 1
    db.close()


def user15_at(cluster, node):
    while (user := cluster.user15()).server is not node:
        pass
    user.put("/storage/bookmarks/abc", {"id": "abc", "payload": "hello"})
    return user


def await_confirmed(node):
    """Since its last start it has asked about all whom it held then. An earlier test may have started it without a directory, and whoever
    leaves before it has heard of the rest would be found by that start's questions."""
    wait_until(lambda: "the directory has confirmed" in node.log_text().rpartition('"event":"node open"')[2], "all heads confirmed")


def test_an_old_owner_revived_refuses_all_who_left_and_serves_all_others(cluster, node):
    gone, stayed = [user15_at(cluster, node) for _ in range(4)], [user15_at(cluster, node) for _ in range(4)]
    await_confirmed(node)
    for user in gone:
        give_away(cluster, user.uid, cluster.other_than(node))
    assert gone[0].get("/storage/bookmarks/abc").status == 200, "so far it cannot know"
    node.restart()
    for user in gone:  # whether it is their turn or not; 503: no directory has answered yet
        wait_until(lambda: user.get("/storage/bookmarks/abc", expect=(401, 503)).status == 401, "refused")
        assert user.put("/storage/bookmarks/abc", {"id": "abc", "payload": "lost"}, expect=None).status == 401
    for user in stayed:
        assert user.get("/storage/bookmarks/abc").json()["payload"] == "hello"
    wait_until(lambda: metric(node, "heddle_heads_left_total") >= len(gone), "all heads confirmed")
    node.restart()  # and it has written it down
    assert gone[0].get("/storage/bookmarks/abc", expect=None).status == 401
    assert metric(node, "heddle_heads_left_total") == 0


def drop_account(cluster, uid):
    """What is left in the directory of whoever was moved away, deleted, and erased where he lived: a number that somebody had."""
    with sqlite3.connect(cluster.folder / "directory.sqlite", timeout=20) as db:
        assert db.execute("DELETE FROM accounts WHERE uid = ?", (uid,)).rowcount == 1
    db.close()


def test_an_old_owner_revived_refuses_whom_no_account_knows_any_more(cluster, node):
    gone, stayed = user15_at(cluster, node), user15_at(cluster, node)
    await_confirmed(node)
    drop_account(cluster, gone.uid)
    assert gone.get("/storage/bookmarks/abc").status == 200, "so far it cannot know"
    node.restart()
    wait_until(lambda: gone.get("/storage/bookmarks/abc", expect=(401, 503)).status == 401, "refused")
    assert gone.put("/storage/bookmarks/abc", {"id": "abc", "payload": "lost"}, expect=None).status == 401
    assert stayed.get("/storage/bookmarks/abc").json()["payload"] == "hello"
    await_confirmed(node)
    for target in ("/info/collections", "/storage/bookmarks/abc"):
        assert gone.get(target, expect=None).status == 401


def test_a_node_that_starts_without_a_directory_serves_nobody_it_is_not_sure_of(cluster, node, directory_back):
    gone, stayed = user15_at(cluster, node), user15_at(cluster, node)
    give_away(cluster, gone.uid, cluster.other_than(node))
    cluster.directory.kill()
    node.restart()
    for user in (gone, stayed):
        answer = user.get("/storage/bookmarks/abc", expect=None)
        assert answer.status == 503 and int(answer.header("Retry-After")) > 0
    cluster.directory.start()
    wait_until(lambda: stayed.get("/storage/bookmarks/abc", expect=(200, 503)).status == 200, "served again")
    wait_until(lambda: gone.get("/storage/bookmarks/abc", expect=(401, 503)).status == 401, "refused")


def test_a_lenient_node_serves_them_and_says_so(cluster, node, directory_back):
    user = user15_at(cluster, node)
    cluster.directory.kill()
    node.restart(node__confirm_heads="lenient")
    try:
        assert user.get("/storage/bookmarks/abc").json()["payload"] == "hello"
        assert "whom no directory has confirmed" in node.log_text()
    finally:
        cluster.directory.start()
        node.restart(node__confirm_heads="strict")
        cluster.await_heard()


def test_a_node_that_was_given_up_serves_nobody_when_it_comes_back(cluster, node, monkeypatch):
    def listens():
        try:
            return node.get("/__lbheartbeat__").status == 200
        except OSError:
            return False

    user = user15_at(cluster, node)
    assert node.stop() == 0
    cluster.admin("node", "set", node.node_name, "state=down")
    try:
        with monkeypatch.context() as patch:
            patch.setattr(node, "ready", listens)
            node.start()  # it hears of it before anybody can ask
        assert user.get("/storage/bookmarks/abc", expect=503).header("Retry-After")
        wait_until(lambda: node.get("/__heartbeat__").status == 503, "it has heard that it was given up")
        assert user.get("/storage/bookmarks/abc", expect=503).header("Retry-After")
    finally:
        cluster.admin("node", "set", node.node_name, "state=open")
        node.stop()
        node.start()
    cluster.await_heard()
    assert user.get("/storage/bookmarks/abc").json()["payload"] == "hello"


# -- a token of the owner before --

ASKED = 'heddle_requests_total{service="directory",route="/internal/v1/token",method="POST",status="2xx"}'


class ThroughFront(Storage15):
    """A client that knows one public address; a balancer in front has sent it to `server`."""

    def __init__(self, user, server, address):
        super().__init__(server, user.uid, user.id, user.key)
        self.address = address

    def sign(self, method, target, **fields):
        fields = {"ts": int(self.server.now()), **fields}
        return hawk.header(self.id, self.key, method, target, "127.0.0.1", self.address.port, **fields)


def move(cluster, uid, to):
    def reachable():
        return {line["node"] for line in cluster.ask("loads") if "internal" in line["loads"]} >= {n.node_name for n in cluster.nodes}

    wait_until(reachable, "the directory has heard where the nodes are")
    cluster.admin("user", "move", str(uid), "--to", to.node_name)


@pytest.fixture
def one_address(cluster, node):
    """Both nodes behind the public address of `node`: the other node, and a user of each, made while one could still see where."""
    other = cluster.other_than(node)
    users = user15_at(cluster, node), user15_at(cluster, other)
    cluster.admin("node", "set", other.node_name, f"address={node.url}")
    other.restart(public__url=node.url, node__url=other.url)
    cluster.await_heard()
    yield other, *users
    cluster.admin("node", "set", other.node_name, f"address={other.url}")
    other.restart(public__url=other.url, node__url="")
    cluster.await_heard()


def test_behind_one_address_a_token_of_the_owner_before_goes_on_after_a_move(cluster, node, one_address):
    other, user, _ = one_address
    behind = ThroughFront(user, other, node)
    assert behind.get("/storage/bookmarks/abc", expect=None).status == 401, "he does not live there yet"
    move(cluster, user.uid, other)
    before = metric(cluster.directory, ASKED) or 0
    for i in range(5):
        assert behind.get("/storage/bookmarks/abc").json()["payload"] == "hello"
        behind.put(f"/storage/bookmarks/more{i}", {"id": f"more{i}", "payload": "there"})
    assert metric(cluster.directory, ASKED) - before == 1, "asked once, then remembered"
    move(cluster, user.uid, node)
    assert behind.get("/storage/bookmarks/abc", expect=None).status == 401, "he has moved on"
    move(cluster, user.uid, other)
    assert behind.get("/storage/bookmarks/abc").json()["payload"] == "hello", "and has come back: what is remembered is of his stay before"
    assert user.get("/storage/bookmarks/abc", expect=None).status == 401, "and the old owner refuses it"
    stranger = ThroughFront(user, other, node)
    stranger.key = "x" * len(user.key)
    assert stranger.get("/storage/bookmarks/abc", expect=None).status == 401


def test_strangers_cannot_make_a_node_ask(cluster, node, one_address):
    other, _, settled = one_address
    before = metric(cluster.directory, ASKED) or 0
    forged = hawk.mint("f" * 64, {"node": node.url, "expires": int(time.time()) + 300, "uid": settled.uid, "epoch": 1})
    for uid, (id, key) in ((settled.uid, forged), (4242424242, hawk.mint("f" * 64, {"node": node.url, "expires": 2**31, "uid": 4242424242}))):
        client = Storage15(other, uid, id, key)
        assert client.get("/info/collections", expect=None).status == 401
    assert (metric(cluster.directory, ASKED) or 0) == before


def test_with_addresses_of_their_own_an_old_token_is_refused_after_a_move(cluster, node):
    user, other = user15_at(cluster, node), cluster.other_than(node)
    move(cluster, user.uid, other)
    wrong = Storage15(other, user.uid, user.id, user.key)
    assert wrong.get("/storage/bookmarks/abc", expect=None).status == 401


# -- a password's verdict of before a move --


@pytest.fixture
def hard_of_hearing(cluster):
    """Nodes hear news only every ten seconds, which is the most."""
    for n in cluster.nodes:
        n.restart(node__pulse=10000)
    cluster.await_heard()
    yield
    for n in cluster.nodes:
        n.restart(node__pulse=None)
    cluster.await_heard()


def test_who_moves_with_his_password_is_served_at_once_whatever_the_nodes_remember_of_him(cluster, node, hard_of_hearing):
    """In front of a balancer that holds him for the move, he would meet a 401 from the very place where he lives."""
    user, other = cluster.user11(node), cluster.other_than(node)
    here, there = user.at(node), user.at(other)
    here.save("bookmarks", "abc", "hello")
    there.get("/info/collections", expect=401)  # remembers that he lives at the first one, which remembers so too
    uid = cluster.ask(f"accounts/{user.name}")["uid"]
    for target, home in ((other, there), (node, here), (other, there)):
        move(cluster, uid, target)
        assert home.item("bookmarks", "abc")["payload"] == "hello"
        home.save("bookmarks", "def", "more")
        assert list(home.info()) == ["bookmarks"]
    here.get("/info/collections", expect=401)


def test_logs_of_a_cluster_hold_no_keys_and_no_passwords(cluster, node):
    user = cluster.user11(node, password="a very secret pass phrase")
    user.at(node).get("/info/collections")
    for process in (cluster.directory, *cluster.nodes):
        text = process.log_text()
        assert "a very secret" not in text and SECRET not in text and "key-of-the-node" not in text
