"""Two directories on two LDAP servers, of which some die, hang, restart or fall behind while people sync and sign up."""
import itertools
import json
import os
import time

import pytest
from clusters import PASSWORD, AnyOf, Ask, Load, in_the_end, name_of, node_of, register, token_of
from conftest import FULL
from lib.processes import wait_until
from lib.storage11 import Storage11

USERS = 12
OUTAGE_S = 30 if FULL else 4
RESTARTS = 20 if FULL else 6
SUCCESS = 0.999
REQUESTS = 4000  # of known users at least: of so many a few may meet a machine that stands still
BACKEND_S = 3
WORKERS = 4
OPEN_FOR_EACH = 3  # connections to LDAP that a worker may hold: provider, replica, logins


class Person:
    """An account, an access token, and where they live; what a client does with them, each once, and what it saw."""

    def __init__(self, cluster, number, salt):
        self.cluster, self.number, self.salt = cluster, number, salt
        ask = Ask(cluster.directory)
        assert in_the_end(register, ask, number, salt)[0] == 200
        self.home = in_the_end(node_of, ask, number, salt)[1]
        self.access = cluster.issuer.access_token(f"sub-{salt}-{number}")
        out = json.loads(token_of(ask, cluster.issuer, None, access=self.access)[1])
        self.endpoint, self.uid = out["api_endpoint"], out["uid"]
        self.node = cluster.node_of(self.home.decode())
        client = Storage11(self.node, name_of(number, salt), PASSWORD)
        client.save("bookmarks", "abc", "mine")
        self.authorization = client.authorization()
        self.to_node = Ask(self.node)

    def look_up(self, ask):
        """"ok", "wrong", or the status."""
        status, body, headers = node_of(ask, self.number, self.salt)
        return self._word(status, body == self.home, headers)

    def fetch_token(self, ask):
        status, body, headers = token_of(ask, self.cluster.issuer, None, access=self.access)
        return self._word(status, status == 200 and json.loads(body)["api_endpoint"] == self.endpoint, headers)

    def sync(self, _):
        status, body, headers = self.to_node("GET", f"/1.1/{name_of(self.number, self.salt)}/storage/bookmarks/abc",
                                             {"Authorization": self.authorization})
        return self._word(status, status == 200 and json.loads(body)["payload"] == "mine", headers)

    @staticmethod
    def _word(status, right, headers):
        if status == 503:
            return "503" if headers.get("retry-after", "").isdigit() else "503 without Retry-After"
        if status == 200:
            return "ok" if right else "wrong"
        return "no answer" if status == 0 else f"wrong: {status}"


@pytest.fixture
def people_of():
    def make(cluster):
        salt = os.urandom(4).hex()
        people = [Person(cluster, i, salt) for i in range(USERS)]
        wait_until(lambda: all(found_at(cluster.replica, p) for p in people), "the replica has everybody")
        return people

    return make


def found_at(server, person):
    return "dn:" in server.as_root("ldapsearch", "-LLL", "-b", server.base, f"(uid={name_of(person.number, person.salt)})", "1.1", check=False)


def load_of(people, asks):
    """Everybody does in turn all that known users do; each thread has persons of its own."""
    does = [Person.look_up, Person.fetch_token, Person.sync]

    def step(thread, count):
        mine = people[thread::len(asks)]
        return does[count % 3](mine[count // 3 % len(mine)], asks[thread])

    return Load(len(asks), step)


def asks_to(cluster, count=4):
    return [Ask(cluster.directories[i % 2]) for i in range(count)]


def assert_right(load):
    assert not [w for w in load.counts if w.startswith("wrong") or w == "503 without Retry-After"], load.counts


@pytest.mark.parametrize("how", ["kill", "pause"])
def test_without_the_provider_known_users_go_on_and_new_ones_are_told_to_come_back(cluster_of, people_of, how):
    cluster = cluster_of([1000, 1000], settings={"public.workers": WORKERS, "ldap.timeout": BACKEND_S, "ldap.connect_timeout": BACKEND_S})
    people = people_of(cluster)
    numbers, salt = itertools.count(), os.urandom(4).hex()
    refused = {}

    def sign_up(thread, count):
        number = next(numbers)
        status, body, headers = register(Ask(cluster.directories[count % 2]), number, salt)
        assert status in (200, 503), (status, body)
        if status == 503:
            assert headers["retry-after"].isdigit(), headers
            refused[number] = None
        return str(status)

    # what was asked in the moment of its death may go wrong: it is that one question in each worker at most
    with load_of(people, asks_to(cluster)) as known:
        wait_until(lambda: known.total() > 100, "the load runs", 120)
        getattr(cluster.provider, how)()
        with Load(1, sign_up) as new:
            began = known.total()
            end = time.monotonic() + OUTAGE_S
            wait_until(lambda: time.monotonic() > end and new.total() > 3 and known.total() - began > REQUESTS / 2, "the outage", 600)
            assert set(new.counts) == {"503"}, new.counts
        cluster.provider.start() if how == "kill" else cluster.provider.resume()
        back = known.total()
        wait_until(lambda: known.total() > max(back + 50, REQUESTS), "and it goes on", 300)
    assert_right(known)
    assert known.share("ok") >= SUCCESS, known.counts
    for number in list(refused)[:10]:
        ask = Ask(cluster.directories[number % 2])
        status, body, _ = in_the_end(register, ask, number, salt)
        assert status == 200 or body == b"4", (status, body)
        assert in_the_end(node_of, ask, number, salt)[0] == 200


def connections_of(process):
    """Sockets that it has open, listeners and clients' included."""
    count = 0
    for fd in os.listdir(f"/proc/{process.pid}/fd"):
        try:
            count += os.readlink(f"/proc/{process.pid}/fd/{fd}").startswith("socket:")
        except FileNotFoundError:
            pass
    return count


def test_slapd_restarted_again_and_again_gives_no_wrong_answer_and_leaves_no_connection(cluster_of, people_of, rnd):
    cluster = cluster_of([1000, 1000], settings={"public.workers": WORKERS, "internal.workers": WORKERS})
    people = people_of(cluster)
    asks = asks_to(cluster, 8)
    with load_of(people, asks) as load:
        for _ in range(RESTARTS):
            server = rnd.choice([cluster.provider, cluster.replica])
            before = load.total()
            rnd.choice([server.kill, server.stop])()
            wait_until(lambda: load.total() > before + rnd.randrange(10, 60), "the load goes on without it", 180)
            server.start()
            wait_until(lambda: load.total() > before + 100, "the load goes on", 180)
    assert_right(load)
    assert load.share("ok") > 0.99, load.counts
    for ask in asks:
        ask.close()
    for directory in cluster.directories:
        bound = 2 * WORKERS * OPEN_FOR_EACH + 16  # two kinds of workers; and what nodes and listeners have open
        wait_until(lambda: connections_of(directory) <= bound, f"{connections_of(directory)} sockets, at most {bound}", 120)
    both = 2 * 2 * WORKERS
    for server, most in ((cluster.provider, both * 2), (cluster.replica, both * 2)):
        wait_until(lambda: connections_of(server) <= most + 10, f"{connections_of(server)} connections to slapd, at most {most} of ours", 120)


def test_directories_killed_one_at_a_time_are_not_noticed(cluster_of, people_of):
    """By clients behind a balancer, which asks the next one when a connection dies."""
    cluster = cluster_of([1000, 1000], settings={"public.workers": WORKERS})
    people = people_of(cluster)
    with load_of(people, [AnyOf(cluster.directories, i) for i in range(4)]) as load:
        for directory in cluster.directories * (5 if FULL else 1):
            before = load.total()
            wait_until(lambda: load.total() > before + 60, "the load runs", 180)
            directory.kill()
            wait_until(lambda: load.total() > before + 200, "the load goes on", 180)
            directory.start()
            cluster.await_heard()
    assert set(load.counts) == {"ok"}, load.counts


# ---- a replica that is far behind ----


@pytest.mark.parametrize("lag", ["10m", "0"])
def test_with_a_replica_far_behind_nobody_is_served_by_two_nodes_or_sent_back(cluster_of, people_of, lag):
    """With the lag that replicas are configured to have, nobody who was moved through us is sent to his old node; with one that is
    far too short he may be, and is refused there."""
    cluster = cluster_of([1000, 1000], settings={"public.workers": WORKERS, "ldap.replica_lag": lag}, cut=True)
    people = people_of(cluster)
    cluster.relay.cut()
    for person in people:
        entry = cluster.account(name_of(person.number, person.salt))
        target = next(n for n in cluster.nodes if n is not person.node)
        cluster.tell(f"accounts/{entry['uid']}/cas", changes=[["syncNode", person.node.node_name, target.node_name],
                                                              ["heddleEpoch", str(entry["epoch"]), str(entry["epoch"] + 1)]])
        cluster.tell("news", cluster.directories[1], uids=[entry["uid"]], names=[entry["name"]])
        person.old, person.new = person.node, target
    wait_until(lambda: all(served(p) == {p.new.port} for p in people), "all of them at their new nodes")
    for turn in range(6):
        for person in people:
            assert served(person) == {person.new.port}
            for directory in cluster.directories:
                _, home, _ = in_the_end(node_of, Ask(directory), person.number, person.salt)
                if lag != "0":
                    assert home.decode() == person.new.url + "/", f"sent back by {directory.url} to {home}"
    assert all(str(p.old.port) in cluster.replica.as_root("ldapsearch", "-LLL", "-b", cluster.base, f"(uid={name_of(p.number, p.salt)})", "syncNode")
               for p in people), "the replica was not behind"
    cluster.relay.mend()
    wait_until(lambda: all(node_of(Ask(d), p.number, p.salt)[1].decode() == p.new.url + "/" for d in cluster.directories for p in people),
               "the replica has caught up", 180)


def served(person):
    """Ports of the nodes that take his password."""
    out = set()
    for node in person.cluster.nodes:
        status, _, _ = in_the_end(Ask(node), "GET", f"/1.1/{name_of(person.number, person.salt)}/info/collections",
                                  {"Authorization": person.authorization})
        assert status in (200, 401), status
        if status == 200:
            out.add(node.port)
    return out
