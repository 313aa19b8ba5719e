"""Everybody signs up at once, through two directories, onto three nodes of which one is twice and one three times as large."""
import collections
import json
import os
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from clusters import Ask, in_the_end, node_of, register, token_of
from conftest import FULL
from lib.processes import wait_until

SEATS = [1668, 3336, 5004] if FULL else [100, 200, 300]  # 1:2:3, and as many as there are users
USERS = sum(SEATS)
TWICE = 10  # each tenth user asks both directories at the same moment
THREADS = 24
SHARE_OFF = 0.02


class Newcomer:
    """One of the 10,000: every other has an account of Sync 1.1, the others come with a token of an accounts server."""

    def __init__(self, cluster, number, salt):
        self.cluster, self.number, self.salt = cluster, number, salt
        self.access = None if number % 2 else cluster.issuer.access_token(f"sub-{salt}-{number}")

    def home(self, ask):
        """The node's address, or None while there is none for him. Anything else is wrong."""
        if self.access:
            status, body, headers = token_of(ask, self.cluster.issuer, None, access=self.access)
            if status == 200:
                return json.loads(body)["api_endpoint"].rpartition("/1.5/")[0]
        else:
            status, body, headers = node_of(ask, self.number, self.salt)
            if status == 200:
                return None if body == b"null" else body.decode().rstrip("/")
        assert status == 503 and headers.get("retry-after", "").isdigit(), (status, body)
        return None

    def sign_up(self, asks):
        """Makes the account, and asks where it is: through one directory, or through both at once."""
        first = asks[self.number // 2 % 2]
        if not self.access:
            status, body, _ = in_the_end(register, first, self.number, self.salt)
            assert status == 200 or (status, body) == (400, b"4"), (status, body)
        return self.home(first)


def test_parallel_signups_fill_the_nodes_by_their_weights_and_nobody_has_two(cluster_of):
    cluster = cluster_of(SEATS)
    salt = os.urandom(4).hex()
    users = [Newcomer(cluster, i, salt) for i in range(USERS)]
    asks = [[Ask(d) for d in cluster.directories] for _ in range(2 * THREADS)]
    shares = {}

    def work(thread):
        out = {}
        for user in users[thread::THREADS]:
            if user.number % TWICE in (0, 1):
                if not user.access:
                    register(asks[thread][0], user.number, salt)
                other = pool2.submit(user.home, asks[THREADS + thread][1])
                homes = {user.home(asks[thread][0]), other.result()} - {None}
                assert len(homes) <= 1, f"user {user.number} lives at {homes}"
                out[user.number] = homes.pop() if homes else None
            else:
                out[user.number] = user.sign_up(asks[thread])
            if thread == 0 and len(out) % 10 == 0 and len(shares) < 50:
                shares[len(shares)] = cluster.users()
        return out

    homes = {}
    with ThreadPoolExecutor(THREADS) as pool2, ThreadPoolExecutor(THREADS) as pool:
        for part in pool.map(work, range(THREADS)):
            homes |= part

    # a refusal is never for good while a seat is free
    ask = asks[0]

    def nobody_is_left():
        for n in [n for n, home in homes.items() if home is None]:
            homes[n] = users[n].home(ask[n % 2])
        return None not in homes.values()

    wait_until(nobody_is_left, "everybody has a node: somebody is refused for good, while seats are free", 120)

    # everybody has one node for ever, whomever he asks, also after both have begun a new life
    for directory in cluster.directories:
        directory.restart()
    sample = range(USERS) if not FULL else range(0, USERS, 7)
    with ThreadPoolExecutor(8) as pool:
        for at in range(2):
            fresh = [Ask(cluster.directories[at]) for _ in range(8)]
            again = pool.map(lambda k: [(n, wait_until(lambda: users[n].home(fresh[k]), "a node", 120)) for n in list(sample)[k::8]], range(8))
            for n, home in (x for part in again for x in part):
                assert home == homes[n], f"user {n}: {home} after {homes[n]}"

    # no node has more than its seats, and while there was room the shares were those of the weights
    count = collections.Counter(urlsplit(home).port for home in homes.values())
    assert [count[n.port] for n in cluster.nodes] == SEATS
    for seen in shares.values():
        total = sum(seen.values())
        if total > USERS / 10:
            for node, seats in zip(cluster.nodes, SEATS):
                off = abs(seen[node.node_name] / total - seats / USERS)
                assert off <= SHARE_OFF + THREADS / total, f"{seen} of {total}"

    # and the next one is told to come back
    late = Newcomer(cluster, USERS + 2, salt)
    assert late.home(Ask(cluster.directory)) is None
