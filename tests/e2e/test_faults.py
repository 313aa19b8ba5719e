"""Backends that fail while clients work. What was confirmed is there, what was refused is not, and nobody is told that his data are gone."""
import contextlib
import random
import threading
from decimal import Decimal

import pymysql
import pytest

from lib.device import Account15, SyncFailed
from lib.firefox15 import Desktop
from lib.firefox15_rust import RustClient
from lib.processes import wait_until
from lib.storage15 import records


class Reader(threading.Thread):
    """Reads info/collections all the time. A write that was confirmed before a read began must show in it; times never go back."""

    def __init__(self, client, confirmed, stop):
        super().__init__()
        self.client, self.confirmed, self.stop, self.error, self.reads = client, confirmed, stop, None, 0

    def run(self):
        last = Decimal(0)
        try:
            while not self.stop.is_set():
                floor = self.confirmed[0]
                headers = self.client.changed(floor - Decimal("0.01")) if self.reads % 3 == 0 else {}
                got = self.client.get("/info/collections", headers=headers).json()["bookmarks"]
                assert got >= floor, f"read {got} after a write of {floor} was confirmed"
                assert got >= last, f"read {got} after {last}"
                last = got
                self.reads += 1
        except BaseException as e:
            self.error = e


@pytest.mark.one_engine("mysql+redis")
def test_reads_see_confirmed_writes_whatever_redis_does(own_stack):
    stack = own_stack(own_redis=True)
    writer = stack.user()
    confirmed, stop = [writer.save("bookmarks", "a", "x")], threading.Event()
    readers = [Reader(stack.again(writer), confirmed, stop) for _ in range(3)]
    for r in readers:
        r.start()
    dice = random.Random(15)
    redis = stack.redis

    def kill():
        if redis.running:
            redis.kill()

    def restart():
        kill()
        redis.start()

    faults = {
        "kill": kill, "restart": restart, "flush": lambda: redis.running and redis.flush(), "pause": lambda: redis.running and redis.pause(),
        "resume": redis.resume, "forget one": lambda: redis.running and _drop_some_keys(redis),
        "full": lambda: redis.running and redis.client().config_set("maxmemory", "1"),
        "roomy": lambda: redis.running and redis.client().config_set("maxmemory", "64mb"), "nothing": lambda: None}
    try:
        for _ in range(60):
            name = dice.choice(list(faults))
            if name != "pause":
                redis.resume()  # nobody can talk to a paused one
            faults[name]()
            for _ in range(6):
                confirmed[0] = writer.save("bookmarks", "a", "x")
            if any(r.error for r in readers):
                break
    finally:
        redis.resume()
        stop.set()
        for r in readers:
            r.join()
    for r in readers:
        if r.error:
            raise r.error
        assert r.reads > 30


def _drop_some_keys(redis):
    with redis.client() as client:
        for key in client.scan_iter(count=100):
            client.delete(key)


@pytest.mark.one_engine("mysql+redis")
@pytest.mark.parametrize("kind", [Desktop, RustClient])
@pytest.mark.parametrize("at", [1, 3, 5, 6, 8, 10, 12])
def test_a_database_that_dies_in_the_middle_of_a_sync_wipes_nobody(own_database, kind, at):
    """Trouble is 503. A 404 or an empty answer would make clients wipe the server."""
    stack, database = own_database
    account = Account15(stack)
    a, b = kind(account, "a", engines=("bookmarks", "history")), kind(account, "b", engines=("bookmarks", "history"))
    for i in range(120):
        a.records["bookmarks"].put(f"b{i:03d}", title=str(i))
    a.sync()
    b.sync()
    sync_id = a.meta["syncID"]
    for i in range(250):
        b.records["history"].put(f"h{i:03d}", title=str(i))
    b.persisted, b.meta, b.keys = None, None, None  # a device that asks for everything again
    original, count = b.request, [0]

    def request(*args, **kw):
        r = original(*args, **kw)
        count[0] += 1
        if count[0] == at:
            database.kill()
        return r

    b.request = request
    try:
        b.sync()
    except SyncFailed as e:
        assert e.reply is None or e.reply.status == 503, repr(e.reply)
    assert not any(r.startswith("DELETE") for r in b.requests)
    b.request = original
    if not database.running:
        database.start()
    wait_until(lambda: stack.heddle.get("/__heartbeat__").status == 200, "the database is back")
    b.sync()
    a.sync()
    assert not any(r.startswith("DELETE") for r in a.requests + b.requests) and b.meta["syncID"] == sync_id
    assert {n: r.items for n, r in a.records.items()} == {n: r.items for n, r in b.records.items()}
    assert len(a.records["history"].items) == 250


@pytest.mark.one_engine("mysql+redis")
def test_connections_that_the_database_closes_are_mended(stack):
    user = stack.user()
    user.save("xx", "a", "x")
    for turn in range(5):
        connection = stack.mariadb.connect()
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT id FROM information_schema.processlist WHERE db = %s AND id <> CONNECTION_ID()", (stack.database,))
            for (id,) in cursor.fetchall():
                with contextlib.suppress(pymysql.err.OperationalError):  # it has just ended
                    cursor.execute("KILL %s", (id,))
        # one request of each worker may meet its dead connection; it must then have written nothing, or all
        before = user.storage_time() if turn % 2 else None
        r = wait_until(lambda: (r := user.put("/storage/xx/a", {"payload": str(turn)}, expect=(200, 503))).status == 200 and r, "written")
        assert user.item("xx", "a") == {"id": "a", "modified": r.last_modified, "payload": str(turn)}
        assert before is None or r.last_modified > before


def test_a_kill_while_many_write_loses_nothing_that_was_confirmed(own_stack):
    stack = own_stack()
    clients = [stack.user() for _ in range(6)]
    confirmed = [{} for _ in clients]
    begun = [None] * len(clients)
    writes = threading.Semaphore(0)

    def write(n):
        turn = 0
        try:
            while True:
                turn += 1
                items = records(5, prefix=f"t{turn}-", payload=f"{n}")
                begun[n] = [i["id"] for i in items]
                confirmed[n][turn] = (clients[n].save_all("xx", items), begun[n])
                writes.release()
        except (OSError, AssertionError):
            return

    for round in range(3):
        threads = [threading.Thread(target=write, args=(n,)) for n in range(len(clients))]
        for n in range(len(clients)):
            confirmed[n].clear()
        for t in threads:
            t.start()
        for _ in range(60):
            assert writes.acquire(timeout=120)
        stack.heddle.kill()
        for t in threads:
            t.join()
        stack.heddle.start()
        for n, c in enumerate(clients):
            have = {i["id"]: i["modified"] for i in c.full("xx")}
            for time, ids in confirmed[n].values():
                assert all(have[i] == time for i in ids)
            whole = [i in have for i in begun[n]]
            assert all(whole) or not any(whole), "half of a request was written"
            newest = max(have.values(), default=Decimal(0))
            assert c.info().get("xx", Decimal(0)) == newest
            assert c.save("xx", "after", "x") > newest
            c.delete("/storage")


def test_a_disconnect_while_the_server_works_writes_all_or_nothing(own_stack):
    """The client goes away right after its request was sent."""
    import json
    import socket
    stack = own_stack()
    user = stack.user()
    for turn in range(30):
        target = user.base + "/storage/xx"
        body = json.dumps(records(50, prefix=f"t{turn:02d}-")).encode()
        head = (f"POST {target} HTTP/1.1\r\nHost: {user.connection.host_header}\r\nAuthorization: {user.sign('POST', target)}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n").encode()
        with socket.create_connection((user.connection.host, user.connection.port), timeout=120) as s:
            s.sendall(head + body)
    wait_until(lambda: len(user.ids("xx", "ids=t29-00,t29-49")) == 2, "the last request was carried out")
    have = user.ids("xx")
    assert len(have) == len(set(have)) and len(have) % 50 == 0
    for turn in range(30):
        assert sum(i.startswith(f"t{turn:02d}-") for i in have) in (0, 50)


def test_answers_to_pipelined_requests_come_in_order(user):
    import http.client
    import socket
    times = [user.save("xx", f"i{n}", "x" * n) for n in range(8)]
    targets = [f"{user.base}/storage/xx/i{n}" for n in range(8)]
    text = "".join(f"GET {t} HTTP/1.1\r\nHost: {user.connection.host_header}\r\nAuthorization: {user.sign('GET', t)}\r\n\r\n" for t in targets)
    with socket.create_connection((user.connection.host, user.connection.port), timeout=120) as s:
        s.sendall(text.encode())
        stream = s.makefile("rb")
        for n in range(8):
            answer = http.client.HTTPResponse(_Shared(stream))
            answer.begin()
            assert f'"i{n}"' in answer.read().decode() and answer.getheader("X-Last-Modified") == str(times[n])


class _Shared:
    """Lets several HTTPResponse objects read one stream, one after the other."""

    def __init__(self, stream):
        self.stream = stream

    def makefile(self, _):
        stream = self.stream

        class Open:
            def __getattr__(self, name):
                return getattr(stream, name)

            def close(self):
                pass

        return Open()


def test_slow_clients_do_not_hold_up_others(own_stack):
    """More connections that send half a request than there are workers; others go on."""
    import socket
    stack = own_stack({"public.workers": 2})
    user = stack.user()
    sockets = []
    target = user.base + "/storage/xx/a"
    try:
        for i in range(40):
            s = socket.create_connection((user.connection.host, user.connection.port), timeout=120)
            sockets.append(s)
            head = f"PUT {target} HTTP/1.1\r\nHost: {user.connection.host_header}\r\n"
            if i % 2:
                head += (f"Authorization: {user.sign('PUT', target)}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
                         '{"payload":')
            s.sendall(head.encode())
        for i in range(20):
            user.save("yy", f"i{i}", "x")
        assert user.ids("xx") == []
    finally:
        for s in sockets:
            s.close()
    stack.heddle.kill()  # what becomes of the half requests at its end is another test's matter
