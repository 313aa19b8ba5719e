"""Users are moved by the operator while LDAP's replica stands still, and one of the two directories is started anew in the middle of it. The
other half of it (states of nodes, a lag that is configured too short) is in test_cluster_ldap_faults.py."""
import json
import os
import threading
import time

from clusters import PASSWORD, Ask, in_the_end, name_of, node_of, register, token_of
from conftest import FULL
from lib.heddle import DOMAIN
from lib.moves import Device
from lib.processes import wait_until
from lib.storage11 import Storage11
from lib.storage15 import Storage15

USERS = 12
STANDS_STILL_S = 600 if FULL else 0
LAG_S = 900  # ldap.replica_lag, its default: longer than it stands still, also where the last looks take their time


class Mover:
    """Somebody with an account of Sync 1.1, with an item."""

    def __init__(self, cluster, number, salt):
        self.cluster, self.number, self.name = cluster, number, name_of(number, salt)
        self.salt, self.moved = salt, threading.Event()
        ask = Ask(cluster.directories[number % 2])
        assert in_the_end(register, ask, number, salt)[0] == 200
        self.node = self.old = self.at(in_the_end(node_of, ask, number, salt)[1])
        client = Storage11(self.node, self.name, PASSWORD)
        client.save("bookmarks", "abc", f"of {self.name}")
        self.authorization = client.authorization()

    def at(self, address):
        return self.cluster.node_of(address.decode())

    def move(self):
        target = next(n for n in self.cluster.nodes if n is not self.node)
        move(self.cluster, self.name, target)
        self.node = target
        self.moved.set()

    def look_up(self, directory):
        """Who has been moved is named his new node, or is told to come back."""
        moved = self.moved.is_set()
        status, home, _ = node_of(Ask(directory), self.number, self.salt)
        assert status in (0, 200, 503), status  # 0: it is being started anew
        if status == 200 and moved:
            behind_s = time.monotonic() - self.cluster.stands_still_since
            assert behind_s > LAG_S or self.at(home) is self.node, f"{directory.url} sends {self.name} back to {home}, with a replica {behind_s:.0f} s old"

    def serving(self):
        """The nodes that serve him, each with his item."""
        out = []
        for node in self.cluster.nodes:
            status, body, _ = in_the_end(Ask(node), "GET", f"/1.1/{self.name}/storage/bookmarks/abc", {"Authorization": self.authorization})
            assert status in (200, 401), status
            if status == 200:
                assert f"of {self.name}".encode() in body
                out.append(node)
        return out


class Anywhere(Device):
    """A client of Sync 1.5 that gets its tokens from the directories in turn: it complains of a second 401 for one credential."""

    turns = 0

    def connect(self):
        out = wait_until(self.token, "a token", 180)
        if self.client:
            self.client.close()
        node = self.cluster.node_of(out["api_endpoint"].rpartition("/1.5/")[0])
        self.client = Storage15(node, out["uid"], out["id"], out["key"])
        self.refusals_of_this_credential = 0

    def token(self):
        """Of the next directory; None: it is being started anew, or busy."""
        self.turns += 1
        status, body, _ = token_of(Ask(self.cluster.directories[self.turns % 2]), self.cluster.issuer, self.sub)
        assert status in (0, 200, 503), (status, body)
        return json.loads(body) if status == 200 else None

    def move(self):
        home = self.cluster.account(f"{self.sub}@{DOMAIN}")["node"]
        move(self.cluster, f"{self.sub}@{DOMAIN}", next(n for n in self.cluster.nodes if n.node_name != home))


def move(cluster, who, target):
    """As an operator does whose admin.ini names both directories."""
    sockets = [w for d in cluster.directories for w in ("--set", f"admin.directory={d.socket}")]
    cluster.admin(*sockets[2:], "user", "move", who, "--to", target.node_name)


def test_whom_the_operator_moves_while_the_replica_stands_still_is_never_sent_back(cluster_of):
    cluster = cluster_of([1000, 1000], cut=True)
    cluster.stands_still_since = time.monotonic()
    salt = os.urandom(4).hex()
    people = [Mover(cluster, i, salt) for i in range(USERS)]
    devices = [Anywhere(cluster, f"sub{salt}{i}", i, salt) for i in range(3)]
    for device in devices:
        device.connect()
    second = cluster.directories[1]
    wait_until(lambda: all(on_replica(cluster, name) for name in [*(p.name for p in people), *(f"{d.sub}@{DOMAIN}" for d in devices)]),
               "the replica has everybody", 120)
    cluster.stands_still_since = time.monotonic()
    cluster.relay.cut()
    halt, wrong = threading.Event(), []

    def look(directory):
        while not halt.is_set():
            for person in people:
                try:
                    person.look_up(directory)
                except AssertionError as e:
                    wrong.append(str(e))
                    return

    watchers = [threading.Thread(target=look, args=(d,), daemon=True) for d in cluster.directories]
    for w in [*watchers, *devices]:
        w.start()
    try:
        for person in [*people[:USERS // 2], devices[0]]:
            person.move()
        second.kill()
        for person in [*people[USERS // 2:USERS * 3 // 4], devices[1]]:  # of these it cannot have been told
            person.move()
        second.start()
        for person in [*people[USERS * 3 // 4:], devices[2]]:
            person.move()
        cluster.await_heard()
        first_look = True
        while first_look or time.monotonic() - cluster.stands_still_since < STANDS_STILL_S and not wrong:
            first_look = False
            for person in people:
                for directory in cluster.directories:
                    person.look_up(directory)
                assert person.serving() == [person.node]
    finally:
        halt.set()
        for d in devices:
            d.halt.set()
        for w in [*watchers, *devices]:
            w.join(400)
    assert not wrong, wrong
    assert not [d.failure for d in devices if d.failure], [d.failure for d in devices]
    assert all(d.refused_401 for d in devices), "they were not moved"
    assert all(p.old.node_name in on_replica(cluster, p.name) for p in people), "the replica was not behind"

    cluster.relay.mend()
    wait_until(lambda: all(p.node.node_name in on_replica(cluster, p.name) for p in people), "the replica has caught up", 180)
    for person in people:
        for directory in cluster.directories:
            person.look_up(directory)


def on_replica(cluster, name):
    """What it knows of his home; "" if it knows nothing."""
    return cluster.replica.as_root("ldapsearch", "-LLL", "-b", cluster.base, f"(uid={name})", "syncNode", check=False)


def test_a_directory_asks_a_replica_again_when_that_has_all_from_before_its_start(cluster_of):
    """Seen by what only the provider has: somebody changed the entry behind our back."""
    cluster = cluster_of([1000, 1000], settings={"directory.remember": 0}, cut=True)
    person = Mover(cluster, 0, os.urandom(4).hex())
    other = next(n for n in cluster.nodes if n is not person.node)
    first, second = cluster.directories
    second.restart()  # it forgets that it was asked before the replica had him
    wait_until(lambda: person.node.node_name in on_replica(cluster, person.name), "the replica has him")
    wait_until(lambda: homes(person, second) == {person.node}, "he is found")
    wait_until(lambda: asked(cluster, second, person), "the replica is asked", 120)  # not at its first look, perhaps

    cluster.relay.cut()
    dn = f"uid={person.name},ou=users,{cluster.base}"
    cluster.provider.as_root("ldapmodify", stdin=f"dn: {dn}\nchangetype: modify\nreplace: syncNode\nsyncNode: {other.node_name}\n")
    assert homes(person, second) == {person.node}, "it asks the replica, which does not know it yet"
    second.restart()
    assert homes(person, second) == {other}, "who starts now asks nobody who lacks what came before"
    cluster.relay.mend()
    wait_until(lambda: other.node_name in on_replica(cluster, person.name), "the replica has caught up", 180)
    wait_until(lambda: asked(cluster, second, person), "and is asked again", 120)


def homes(person, directory):
    """What it names, asked so often that each of its workers answered."""
    return {person.at(in_the_end(node_of, Ask(directory), person.number, person.salt)[1]) for _ in range(20)}


def asked(cluster, directory, person):
    """Whether he is found without the provider."""
    cluster.provider.pause()
    try:
        status, home, _ = node_of(Ask(directory, timeout_s=1), person.number, person.salt)
    finally:
        cluster.provider.resume()
    return status == 200
