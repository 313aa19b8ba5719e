"""Numbered edge cases of the token server (section 9 of its protocol) and of the User API (section 8, "U") that need nodes to choose from, an
operator, or a backend that fails; each with accounts in SQLite and in LDAP. Where other servers did something that ours does in another way,
the test's name tells ours."""
import base64
import contextlib
import fcntl
import hashlib
import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from lib import hawk
from lib.cluster import Cluster, running
from lib.processes import wait_until
from lib.storage15 import Storage15


class SmallCluster(Cluster):
    capacity = 500

    def directory_settings(self, folder):
        events = {"oauth.webhook": "on", "oauth.webhook_client": "sync", "oauth.issuer": self.issuer.url} if hasattr(self.issuer, "url") else {}
        fallback = {"directory.fallback_node": "https://fallback.example.net/"} if folder.name == "d1" else {}
        return super().directory_settings(folder) | events | fallback


@pytest.fixture(scope="module", params=["sqlite", "ldap"])
def cluster(worker, request):
    with running(SmallCluster(worker.folder / f"edge-{request.param}", worker.template, ["sqlite+memory"] * 2, 2, request.param), f"edge-{request.param}") as started:
        yield started


@pytest.fixture(autouse=True)
def as_before(cluster):
    yield
    for node in cluster.nodes:
        put(cluster, node, state="open", seats=400)


def put(cluster, node, **members):
    """Changes a node; the directory that hears it follows at once, the other one within a second: only the first is asked afterwards."""
    return cluster.operate("PUT", f"nodes/{node.node_name}", members).json()


def seats(cluster):
    return [cluster.operate("GET", f"nodes/{n.node_name}").json()["seats"] for n in cluster.nodes]


def cas(cluster, uid, *changes, expect=200):
    return cluster.operate("POST", f"accounts/{uid}/cas", {"changes": [list(c) for c in changes]}, expect)


def entry(cluster, key):
    return cluster.operate("GET", f"accounts/{key}").json()


def ask_token(cluster, sub, state="aaaa", k=1234, g=None, directory=None):
    """g: the generation."""
    claims = {} if g is None else {"fxa-generation": g}
    connection = (directory or cluster.directory).connection()
    try:
        return connection.request("GET", "/1.0/sync/1.5", [
            ("Authorization", "Bearer " + cluster.issuer.access_token(sub, **claims)),
            ("X-KeyID", f"{k}-{hawk.b64url_nopad(bytes.fromhex(state))}")])
    finally:
        connection.close()


def token(cluster, sub, **kw):
    r = ask_token(cluster, sub, **kw)
    assert r.status == 200, repr(r)
    return r.json()


def new_sub():
    return os.urandom(16).hex()


def home_of(cluster, out):
    return cluster.node_of(out["api_endpoint"].rpartition("/1.5/")[0])


def client(cluster, out):
    return Storage15(home_of(cluster, out), out["uid"], out["id"], out["key"])


def unassign(cluster, uid, erase=False):
    """As another server's unassign_node: the next request gets another data area."""
    was = entry(cluster, uid)
    changes = [("syncNode", was["node"], None), ("heddleEpoch", str(was["epoch"]), str(was["epoch"] + 1))]
    if erase:
        changes.append(("heddleErase", None, f"{was['node']} {uid} {was['epoch']} {int(cluster.directory.now() * 1000)}"))
    cas(cluster, uid, *changes)


# ---- which node ----


def test_18_a_new_user_takes_one_seat_and_his_second_request_none(cluster):
    before, sub = sum(seats(cluster)), new_sub()
    first = token(cluster, sub)
    assert sum(seats(cluster)) == before - 1
    assert token(cluster, sub)["uid"] == first["uid"]
    assert sum(seats(cluster)) == before - 1


@pytest.mark.parametrize("state", ["closed", "draining", "down"])
def test_19_nodes_that_are_not_open_are_skipped_and_the_emptier_one_gets_more(cluster, state):
    shut, left = cluster.nodes
    put(cluster, shut, state=state)
    assert all(home_of(cluster, token(cluster, new_sub())) is left for _ in range(4))
    put(cluster, shut, state="open", seats=40)
    put(cluster, left, seats=360)
    came = [home_of(cluster, token(cluster, new_sub())) for _ in range(20)]
    assert 1 <= came.count(shut) <= 3, "one in ten"


def test_20_seats_are_released_by_the_operator_alone(cluster):
    """Others release a tenth of the capacity by themselves when all is taken."""
    for node in cluster.nodes:
        put(cluster, node, seats=0)
    refused = [ask_token(cluster, new_sub()) for _ in range(3)]
    assert {r.status for r in refused} == {503}
    put(cluster, cluster.nodes[0], seats=2)
    put(cluster, cluster.nodes[1], state="down", seats=5)
    assert [home_of(cluster, token(cluster, new_sub())) for _ in range(2)] == [cluster.nodes[0]] * 2
    assert ask_token(cluster, new_sub()).status == 503, "what is down is released for nobody"
    assert seats(cluster) == [0, 5]


def test_16_and_21_without_a_node_it_is_503_and_says_no_more(cluster):
    for node in cluster.nodes:
        put(cluster, node, seats=0)
    r = ask_token(cluster, new_sub())
    assert r.status == 503 and int(r.header("Retry-After")) > 0
    assert r.json() == {"status": "internal-error", "errors": [{"location": "internal", "name": "", "description": "Server error"}]}


def test_22_a_user_can_be_given_to_a_node_by_name_and_moved_to_one(cluster):
    for wanted in cluster.nodes:
        user = cluster.user11()
        found = entry(cluster, user.name)
        assert found["node"] is None
        cas(cluster, found["uid"], ("syncNode", None, wanted.node_name), ("heddlePlaced", None, "1767225600000 by hand"))
        assert user.home is wanted
        assert entry(cluster, user.name)["uid"] == found["uid"]
    moved = token(cluster, new_sub())
    there = cluster.other_than(home_of(cluster, moved))
    was = entry(cluster, moved["uid"])
    cas(cluster, moved["uid"], ("syncNode", was["node"], there.node_name), ("heddleEpoch", str(was["epoch"]), str(was["epoch"] + 1)))
    assert entry(cluster, moved["uid"])["node"] == there.node_name


def test_23_and_57_a_deleted_account_gives_its_seat_back_and_a_changed_one_takes_none(cluster):
    before, sub = sum(seats(cluster)), new_sub()
    first = token(cluster, sub)
    assert sum(seats(cluster)) == before - 1
    second = token(cluster, sub, state="bbbb", k=1235, g=1235)
    assert second["uid"] != first["uid"] and sum(seats(cluster)) == before - 1
    cluster.operate("POST", f"accounts/{second['uid']}/delete")
    cluster.admin("settle", "--grace", "0")
    assert sum(seats(cluster)) == before, "one seat for two data areas"


def test_24_a_new_node_takes_all_of_its_capacity_and_begins_with_a_tenth_of_the_pace(cluster):
    """Others give it a tenth of its seats at first."""
    name = "node9.example.net"
    cluster.operate("PUT", f"nodes/{name}", {"url": f"https://{name}", "capacity": 400})
    try:
        assert cluster.operate("GET", f"nodes/{name}").json()["seats"] == 400
        sub = new_sub()
        told = cluster.operate("GET", f"accounts/{token(cluster, sub)['uid']}/explain").json()
        new = next(n for n in told["fresh"]["nodes"] if n["node"] == name)
        assert new["ramp"] == Decimal("0.1")
    finally:
        cluster.operate("DELETE", f"nodes/{name}")


# ---- who has no node any more ----


def test_28_who_lost_his_node_gets_a_new_uid_and_keeps_his_record(cluster):
    sub = new_sub()
    token(cluster, sub, state="aaaa", k=1230, g=1230)
    first = token(cluster, sub, state="bbbb", k=1234, g=1234)
    unassign(cluster, first["uid"])
    second = token(cluster, sub, state="bbbb", k=1234, g=1234)
    assert second["uid"] > first["uid"]
    r = ask_token(cluster, sub, state="aaaa", k=1240, g=1240)
    assert r.status == 401 and r.json()["errors"][0]["description"].endswith("stale value")
    assert ask_token(cluster, sub, state="bbbb", k=1234, g=1233).json()["status"] == "invalid-generation"
    assert client(cluster, second).get("/info/collections").json() == {}


def test_29_and_31_users_of_a_node_that_goes_are_spread_over_the_others(cluster):
    name, subs = "node8.example.net", [new_sub() for _ in range(4)]
    for node in cluster.nodes:
        put(cluster, node, state="closed")
    cluster.operate("PUT", f"nodes/{name}", {"url": f"https://{name}", "capacity": 400})
    first = [token(cluster, sub) for sub in subs]
    assert {entry(cluster, out["uid"])["node"] for out in first} == {name}
    cluster.operate("DELETE", f"nodes/{name}", expect=409)
    for out in first:
        unassign(cluster, out["uid"])
    cluster.operate("DELETE", f"nodes/{name}")
    for node in cluster.nodes:
        put(cluster, node, state="open")
    second = [token(cluster, sub) for sub in subs]
    assert {home_of(cluster, out) for out in second} == set(cluster.nodes)
    assert not {out["uid"] for out in first} & {out["uid"] for out in second}
    assert all(client(cluster, out).get("/info/collections").status == 200 for out in second)


def test_32_and_33_a_retired_user_without_a_node_gets_none_again(cluster):
    sub = new_sub()
    out = token(cluster, sub, g=1234)
    retire(cluster, entry(cluster, out["uid"])["name"])
    assert entry(cluster, out["uid"])["retired"] is True
    assert ask_token(cluster, sub, g=1234).json()["status"] == "invalid-generation"
    unassign(cluster, out["uid"])
    before = sum(seats(cluster))
    r = ask_token(cluster, sub, g=1234)
    assert r.status == 500 and r.json()["status"] == "internal-error"
    assert entry(cluster, out["uid"])["node"] is None and sum(seats(cluster)) == before


def retire(cluster, name):
    """As the accounts server's word that it was deleted there; straight in the backend, as an import would write it."""
    most = str(2**63 - 1)
    if cluster.accounts == "sqlite":
        with sqlite3.connect(cluster.folder / "directory.sqlite", timeout=120) as db:
            db.execute("UPDATE accounts SET generation = ? WHERE name = ?", (int(most), name))
        db.close()
    else:
        cluster.provider.as_root("ldapmodify", stdin=f"dn: uid={name},ou=users,{cluster.base}\nchangetype: modify\nreplace: heddleGeneration\n"
                                                     f"heddleGeneration: {most}\n")
        cluster.operate("POST", "news", {"names": [name]})


# ---- records that are old ----


def test_56_when_an_account_was_first_seen_survives_new_records(cluster):
    sub = new_sub()
    created = entry(cluster, token(cluster, sub, k=1, g=1)["uid"])["created"]
    assert abs(created / 1000 - cluster.directory.now()) < 60
    for n, state in enumerate(("bbbb", "cccc"), 2):
        out = token(cluster, sub, state=state, k=n, g=n)
    assert entry(cluster, out["uid"])["created"] == created


def test_58_and_59_data_of_old_records_go_after_the_grace_and_those_of_the_present_one_stay(cluster):
    subs, old, new = [new_sub() for _ in range(3)], [], []
    for sub in subs:
        first = client(cluster, token(cluster, sub, k=1, g=1))
        assert first.put("/storage/bookmarks/abc", {"id": "abc", "payload": "old"}).status == 200
        second = client(cluster, token(cluster, sub, state="bbbb", k=2, g=2))
        assert second.put("/storage/bookmarks/abc", {"id": "abc", "payload": "new"}).status == 200
        old.append(first.uid)
        new.append(second)
    left = lambda: sum(len(entry(cluster, s.uid)["erases"]) for s in new)
    assert left() == 3
    cluster.admin("settle")
    assert left() == 3, "the grace is a day"
    cluster.admin("settle", "--grace", "0", "--most", "1")
    assert left() >= 2, "one account in a round"
    cluster.admin("settle", "--grace", "0", "--most", "0")
    assert left() == 0
    for s in new:
        assert s.get("/storage/bookmarks/abc").json()["payload"] == "new"


def test_60_what_is_on_a_node_that_is_down_waits_until_it_is_back(cluster):
    sub = new_sub()
    out = token(cluster, sub, k=1, g=1)
    home = home_of(cluster, out)
    assert client(cluster, out).put("/storage/bookmarks/abc", {"id": "abc", "payload": "old"}).status == 200
    second = token(cluster, sub, state="bbbb", k=2, g=2)
    home.stop()
    try:
        cluster.admin("settle", "--grace", "0", "--most", "0", expect=7)
        assert len(entry(cluster, second["uid"])["erases"]) == 1
    finally:
        home.start()
        cluster.await_heard()
    cluster.admin("settle", "--grace", "0", "--most", "0")
    assert entry(cluster, second["uid"])["erases"] == []


# ---- the User API ----


def test_70_the_admin_adds_shows_changes_and_removes_nodes(cluster):
    out = cluster.admin("node", "add", "https://node9.example.net", "capacity=0", "state=closed", "address=https://s.example.net")
    assert "node9.example.net" in out and "closed" in out
    cluster.admin("node", "set", "node9.example.net", "capacity=5", "seats=3")
    shown = dict(line.split(None, 1) for line in cluster.admin("node", "show", "node9.example.net").splitlines() if " " in line.strip())
    assert (shown["capacity"], shown["seats"], shown["address"]) == ("5", "3", "https://s.example.net")
    assert len(cluster.admin("node", "list").splitlines()) == 1 + len(cluster.nodes) + 1
    assert "no users" not in cluster.admin("node", "remove", "node9.example.net", "--yes", "--dead")
    assert "404" in cluster.admin("node", "show", "node9.example.net", expect=3)
    cluster.user11(cluster.nodes[0])
    assert "live" in cluster.admin("node", "remove", cluster.nodes[0].node_name, "--yes", expect=4)
    assert "must" in cluster.admin("node", "add", "https://node9.example.net/", expect=2)
    cluster.admin("node", "add", "https://node9.example.net", "colour=red", expect=2)


def test_U2_node_weave_without_a_node_is_null_or_the_configured_fallback_verbatim(cluster):
    user = cluster.user11()
    for node in cluster.nodes:
        put(cluster, node, state="closed")
    answers = lambda: [user.through(d).node().text for d in cluster.directories]
    wait_until(lambda: answers() == ["null", "https://fallback.example.net/"], "both know that all are closed")
    put(cluster, cluster.nodes[0], state="open")
    wait_until(lambda: user.through(cluster.directories[1]).home is cluster.nodes[0], "told again")


def test_U34_each_user_takes_one_seat_and_the_last_one_is_given(cluster):
    put(cluster, cluster.nodes[0], seats=2)
    put(cluster, cluster.nodes[1], seats=1)
    users = [cluster.user11() for _ in range(5)]
    answers = [user.node().text for user in users]
    assert answers.count("null") == 2 and seats(cluster) == [0, 0]
    assert [user.node().text for user in users] == answers, "who has one keeps it, and it costs no other seat"
    put(cluster, cluster.nodes[1], seats=1)
    assert "null" in (again := [user.node().text for user in users]) and again.count("null") == 1


def test_U32_a_disabled_account_is_refused_everywhere(cluster):
    user = cluster.user11()
    storage = user.at(user.home)
    assert storage.get("/info/collections").status == 200
    uid = entry(cluster, user.name)["uid"]
    cluster.operate("POST", f"accounts/{uid}/disable")
    wait_until(lambda: storage.get("/info/collections", expect=(200, 401)).status == 401, "refused at the node")
    assert user.account("POST", "/password", "another long password", type="text/plain", expect=401).status == 401
    assert user.account("GET").text == "1", "the name stays taken"
    cluster.operate("POST", f"accounts/{uid}/enable")
    wait_until(lambda: storage.get("/info/collections", expect=(200, 401)).status == 200, "let in again")


@pytest.mark.parametrize("scheme", ["SSHA", "SSHA-256"])
def test_U27_passwords_of_mozillas_server_are_good_and_are_kept_better_after_the_first_login(cluster, scheme):
    user = cluster.user11(password="Mozilla's own password")
    salt = b"a8b1c2d3"
    digest = (hashlib.sha1 if scheme == "SSHA" else hashlib.sha256)(user.password.encode() + salt).digest()
    stored = base64.b64encode(digest + salt).decode()
    write_hash(cluster, user.name, "{SSHA256}" if scheme != "SSHA" and cluster.accounts == "ldap" else f"{{{scheme}}}", stored)
    storage = user.at(user.home)
    assert storage.get("/info/collections").status == 200
    assert read_hash(cluster, user.name).startswith("$argon2id$" if cluster.accounts == "sqlite" else "{ARGON2}$argon2id$")
    wrong = user.at(user.home)
    wrong.password = "Mozilla's other password"
    assert wrong.get("/info/collections", expect=401).status == 401


def write_hash(cluster, name, scheme, stored):
    if cluster.accounts == "sqlite":
        with sqlite3.connect(cluster.folder / "directory.sqlite", timeout=120) as db:
            db.execute("UPDATE accounts SET password = ? WHERE name = ?", (scheme + stored, name))
        db.close()
        return
    value = base64.b64encode((scheme + stored).encode()).decode()
    cluster.provider.as_root("ldapmodify", stdin=f"dn: uid={name},ou=users,{cluster.base}\nchangetype: modify\nreplace: userPassword\n"
                                                 f"userPassword:: {value}\n")


def read_hash(cluster, name):
    if cluster.accounts == "sqlite":
        db = sqlite3.connect(cluster.folder / "directory.sqlite", timeout=120)
        try:
            return db.execute("SELECT password FROM accounts WHERE name = ?", (name,)).fetchone()[0]
        finally:
            db.close()
    out = cluster.provider.as_root("ldapsearch", "-LLL", "-o", "ldif-wrap=no", "-b", f"uid={name},ou=users,{cluster.base}", "-s", "base",
                                   "userPassword")
    return base64.b64decode(out.partition("userPassword:: ")[2].split()[0]).decode()


@contextlib.contextmanager
def without_writes(cluster):
    """The backend takes no change, and lets everybody wait who wants one. It can be read."""
    if cluster.accounts == "ldap":
        cluster.provider.pause()
        try:
            yield
        finally:
            cluster.provider.resume()
        return
    with contextlib.closing(sqlite3.connect(cluster.folder / "directory.sqlite", timeout=120, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        yield


@contextlib.contextmanager
def without_answers(cluster):
    """The backend cannot be read either."""
    if cluster.accounts == "ldap":
        cluster.provider.pause()
        cluster.replica.pause()
        try:
            yield
        finally:
            cluster.provider.resume()
            cluster.replica.resume()
        return
    first, locks = 120, 8  # SQLite's own, for writing, recovering and reading (sqlite.org/walformat.html)
    with open(cluster.folder / "directory.sqlite-shm", "r+b") as index:
        def taken():
            with contextlib.suppress(BlockingIOError):
                fcntl.lockf(index, fcntl.LOCK_EX | fcntl.LOCK_NB, locks, first)
                return True
        wait_until(taken, "nobody reads")
        yield


def test_U3_and_U33_a_backend_that_does_not_answer_is_503_with_retry_after(cluster):
    known, placed, homeless = cluster.user11(), cluster.user11(), cluster.user11()
    assert known.home and (home := placed.home)
    ldap = {"ldap__timeout": 1, "ldap__connect_timeout": 1} if cluster.accounts == "ldap" else {}
    usual = {"directory__remember": None} | {key: cluster.directory.settings.get(key.replace("__", ".")) for key in ldap}
    for directory in cluster.directories:
        directory.restart(directory__remember=0, **ldap)

    def refuses(directory, user):
        r = user.through(directory).node(expect=503)
        assert int(r.header("Retry-After")) > 0

    def all_refuse(*users):
        with ThreadPoolExecutor() as pool:
            for done in [pool.submit(refuses, d, user) for d in cluster.directories for user in users]:
                done.result()

    def answers(directory, user):
        return user.through(directory).node(expect=(200, 503)).status == 200

    try:
        for directory in cluster.directories:
            wait_until(lambda: answers(directory, known), "begins to answer")
        with without_writes(cluster):
            for directory in cluster.directories:
                wait_until(lambda: answers(directory, placed), "reads")
            all_refuse(homeless)  # neither null nor the fallback, which say that there is no room
        with without_answers(cluster):
            all_refuse(placed, homeless)
    finally:
        for directory in cluster.directories:
            wait_until(lambda: answers(directory, known), "answers again")
            wait_until(lambda: cluster.operate("GET", f"accounts/{known.name}", expect=None, directory=directory).status == 200, "decides again")
            directory.restart(**usual)
        cluster.await_heard()
    wait_until(lambda: homeless.through(cluster.directory).node().text != "null", "there is room")
    assert homeless.through(cluster.directories[1]).home is homeless.through(cluster.directory).home
    assert placed.through(cluster.directory).home is home


def test_U42_whether_a_name_is_there_is_never_told_by_404(cluster):
    user = cluster.user11()
    connection = cluster.directory.connection()
    try:
        for name in (user.name, "nobody", "a", "0", "z" * 32, "x" * 100):
            r = connection.request("GET", f"/user/1.0/{name}")
            assert (r.status, r.text) == (200, "1" if name == user.name else "0")
    finally:
        connection.close()
