"""kill -9 of the server, and of MariaDB, at random moments of a write load: no acknowledged write is lost or altered, batches are whole
or absent, stamps never repeat or go back. The oracle (oracle.py) tells it from the answers alone."""
import threading

import pytest
from client import Client, NoAnswer, payload
from conftest import FULL
from lib.processes import wait_until
from oracle import Ledger, Violation, Write

KILLS = {"server-sqlite": 70 if FULL else 10, "server-mysql": 70 if FULL else 7, "mariadbd": 70 if FULL else 7}
WRITERS = 6


class Writer(threading.Thread):
    """One user, writing alone without pause; after each request without an answer he looks at everything."""

    def __init__(self, stack, uid, rnd):
        super().__init__(daemon=True)
        self.client, self.rnd, self.ledger = Client(stack, uid), rnd, Ledger(f"user {uid}")
        self.halt, self.failure, self.looks = threading.Event(), None, 0

    def run(self):
        try:
            while not self.halt.is_set():
                self.step()
            self.look()
        except BaseException as e:  # told by the main thread
            self.failure = e

    def look(self):
        self.ledger.reconcile(self.client.everything())
        self.looks += 1

    def step(self):
        coll = self.rnd.choice(["bookmarks", "history", "own.one"])
        dice = self.rnd.random()
        try:
            if dice < 0.35:
                item = f"i{self.rnd.randrange(40)}"
                self.write(Write("put", coll, {item: payload()}), "PUT", f"/storage/{coll}/{item}")
            elif dice < 0.70:
                items = {f"i{self.rnd.randrange(40)}": payload() for _ in range(self.rnd.randrange(1, 25))}
                self.write(Write("put", coll, items), "POST", f"/storage/{coll}")
            elif dice < 0.80:
                ids = [f"i{self.rnd.randrange(40)}" for _ in range(3)]
                self.write(Write("delete", coll, ids=ids), "DELETE", f"/storage/{coll}?ids={','.join(ids)}")
            elif dice < 0.83:
                self.drop(coll)
            else:
                self.batch(coll)
        except NoAnswer:
            self.ledger.unknown()
            self.look()

    def send(self, method, target, body=None):
        return self.client.request(method, target, body)

    def settle(self, r):
        if r.status == 200:
            self.ledger.acked(r.stamp)
        elif r.status == 503:
            self.ledger.unknown()  # a commit may have been cut off: the look tells
            self.look()
        else:
            raise Violation(f"status {r.status} {r.body!r} to {self.ledger.pending!r}")

    def write(self, w, method, target):
        body = None
        if method == "PUT":
            body = {"payload": next(iter(w.items.values()))}
        elif method == "POST":
            body = [{"id": i, "payload": p} for i, p in w.items.items()]
        self.ledger.attempt(w)
        self.settle(self.send(method, target, body))

    def drop(self, coll):
        if coll in self.ledger.colls:
            self.ledger.attempt(Write("drop", coll))
            self.settle(self.send("DELETE", f"/storage/{coll}"))

    def batch(self, coll):
        items, batch, parts = {}, "true", self.rnd.randrange(1, 4)
        for _ in range(parts):
            part = {f"b{self.rnd.randrange(60)}": payload() for _ in range(self.rnd.randrange(1, 30))}
            r = self.send("POST", f"/storage/{coll}?batch={batch}", [{"id": i, "payload": p} for i, p in part.items()])
            if r.status in (400, 503):
                return  # 400: it was cut off before it was kept; never committed, so nothing may show
            if r.status != 202:
                raise Violation(f"status {r.status} {r.body!r} to a part of a batch")
            batch = r.json()["batch"]
            items |= part
        last = {f"b{self.rnd.randrange(60)}": payload()}
        self.ledger.attempt(Write("put", coll, items | last))
        r = self.send("POST", f"/storage/{coll}?batch={batch}&commit=true", [{"id": i, "payload": p} for i, p in last.items()])
        if r.status == 400:
            raise Violation("a batch whose parts were answered 202 is not there for its commit")
        self.settle(r)


def await_work(writers, counts, every_s=0.005):
    """Until each of them has had so many writes acknowledged, or one has seen a promise broken."""
    def failures():
        return [w.failure for w in writers if w.failure]

    wait_until(lambda: failures() or all(w.ledger.counts["acked"] >= n for w, n in zip(writers, counts)), "the writers get on", 300, every_s)
    assert not failures(), failures()


@pytest.mark.parametrize("victim", KILLS)
def test_nothing_acknowledged_is_lost_when_it_is_killed(victim, backends, rnd):
    stack = backends.stack("sqlite+memory" if victim == "server-sqlite" else "mysql+redis")
    process = stack.mariadb if victim == "mariadbd" else stack.heddle
    writers = [Writer(stack, 3_000_000_000 + i, rnd) for i in range(WRITERS)]
    for w in writers:
        w.start()
    kills = 0
    try:
        while kills < KILLS[victim]:
            # Let every writer get something done, then strike after as much of the next work as chance will have it.
            await_work(writers, [w.ledger.counts["acked"] + 1 for w in writers])
            one = rnd.choice(writers)
            await_work([one], [one.ledger.counts["acked"] + rnd.randrange(25)], every_s=0.001)
            process.kill()
            kills += 1
            process.start()
    finally:
        for w in writers:
            w.halt.set()
        for w in writers:
            w.join(300)
    for w in writers:
        if w.failure:
            raise w.failure
        assert not w.is_alive(), "a writer hangs"
    total = {k: sum(w.ledger.counts[k] for w in writers) for k in writers[0].ledger.counts}
    print(f"{victim}: {kills} kills, {total}, {sum(w.looks for w in writers)} looks")
    assert total["done after no answer"] + total["not done after no answer"] >= kills // 2, "the kills hit no request"
