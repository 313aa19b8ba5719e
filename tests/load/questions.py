#!/usr/bin/python3
"""./bootstrap bench --questions [NAME …]: what the table of scenarios does not show.

  growth    what a request costs as a user's collection, the users of a node, the silent connections and a batch grow
  users     A and D for 10,000 users asked in turn, to their figure for 40
  basic     Sync 1.1 with Basic, to Sync 1.5 on the same server
  slow      others' p99 while 2 % of the requests are held up for 300 ms in the database
  flood     three times the load that the node carries, the generator on a core of its own
  memory    a list of 100,000 records, and a batch of 5,000

Each answers with one JSON object; growth also gives lines for pictures (plot.py). Growth reads the node's own times from its log
(total_us), so that neither a client's time nor its speed is in them.
"""
import argparse
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent / "e2e"))

import bench  # noqa: E402
import plot  # noqa: E402
from lib import hawk  # noqa: E402
from lib.processes import wait_until  # noqa: E402
from lib.storage15 import Storage15  # noqa: E402
from lib.wire import Connection  # noqa: E402
from servers import BUILD, SECRET, Machine, NotOnDisk, Subject  # noqa: E402

ENGINES = ("mysql+memory", "sqlite+memory")
BOOKMARKS = 7  # the fixed number of the collection (node/store/head.c)
PAYLOAD = "x" * 256
ASKED = 60  # requests behind each median


def say(text):
    print(text, file=sys.stderr, flush=True)


def middle(values):
    return statistics.median(values)


# ---- one client, and what the node says of it ----

class Reader:
    """Signed requests of one user, and the times in the node's log."""

    def __init__(self, node, uid):
        self.node = node
        token, key = hawk.mint(SECRET, {"uid": uid, "node": node.url, "expires": int(time.time()) + 86400, "salt": "ab12cd",
                                        "epoch": 1, "fxa_uid": "a" * 32, "fxa_kid": "0000000001700-AAAAAAAAAAAAAAAAAAAAAA"})
        node.now = time.time
        self.user = Storage15(node, uid, token, key, connection=Connection("127.0.0.1", node.port))
        self.log = Path(node.settings["log.file"])

    def times(self, ask, asked=ASKED):
        """Median of the node's own microseconds for what `ask` does, called so many times; the first tenth does not count."""
        at = self.end_of_log()
        for i in range(asked):
            ask(i)

        def lines():
            found = lines_of(self.log, at, b'"event":"request"')
            return found if len(found) >= asked else None

        found = wait_until(lines, f"{asked} requests are in the log", 20, every_s=0.1)
        return [line["total_us"] for line in found[-asked:]][asked // 10:]

    def end_of_log(self):
        """When all that was asked before stands in it: lines of requests that went well wait for each other, but not longer than until
        one comes that did not."""
        at = self.log.stat().st_size
        asked = Connection("127.0.0.1", self.node.port)
        asked.request("GET", "/1.5/1/info/collections")
        asked.close()
        wait_until(lambda: lines_of(self.log, at, b'"status":401'), "the log is written", 20)
        return self.log.stat().st_size


def lines_of(log, at, what):
    """Whole lines of a log from there on that have this in them."""
    with open(log, "rb") as f:
        f.seek(at)
        return [json.loads(line) for line in f.read().split(b"\n") if what in line and line.endswith(b"}")]


def sqlite_files(node):
    return sorted(Path(node.settings["store.path"]).glob("node-*.sqlite"))


def in_sql(machine, node, mysql, sqlite, uid=None):
    """Fills tables directly: what is to be measured is not how they were filled. SQLite: in the file of the user, or in all."""
    if node.label.startswith("mysql"):
        with machine.mariadb.connect(node.settings["store.database"]) as c, c.cursor() as cursor:
            for statement in mysql:
                cursor.execute(statement)
            c.commit()
        return
    import sqlite3
    files = sqlite_files(node)
    for number, file in enumerate(files):
        if uid is not None and uid % len(files) != number:
            continue
        c = sqlite3.connect(file, timeout=60)
        for statement in sqlite:
            c.execute(statement.replace("FILES", str(len(files))).replace("FILE", str(number)))
        c.commit()
        c.close()


# ---- growth ----

def fill_records(machine, node, uid, have, want):
    columns = "(uid, coll, id, modified, expires, sortindex, parentid, predecessorid, payload)"
    values = f"1600000000000 + n * 10, NULL, n, NULL, NULL, '{PAYLOAD}'"
    mysql = [f"INSERT INTO items {columns} SELECT {uid}, {BOOKMARKS}, CONCAT('f', LPAD(seq, 11, '0')), {values.replace('n ', 'seq ').replace(' n,', ' seq,')}"
             f" FROM seq_{a + 1}_to_{min(a + 50000, want)}" for a in range(have, want, 50000)]
    sqlite = [f"WITH RECURSIVE s(n) AS (SELECT {have + 1} UNION ALL SELECT n + 1 FROM s WHERE n < {want})"
              f" INSERT INTO items {columns} SELECT {uid}, {BOOKMARKS}, CAST(printf('f%011d', n) AS BLOB), {values} FROM s"]
    in_sql(machine, node, mysql, sqlite, uid)


def records_grow(machine, node, most):
    """A collection of 10² to `most` records: info, what is newer (10 hits), POST of 100."""
    uid, have, rows = 7001, 0, []
    r = Reader(node, uid)
    body = json.dumps([{"id": f"new{i:09d}", "payload": PAYLOAD} for i in range(100)])
    ten = json.dumps([{"id": f"ten{i:09d}", "payload": PAYLOAD} for i in range(10)])
    r.user.post("/storage/bookmarks", body)
    for size in (10 ** k for k in range(2, 7)):
        if size > most:
            break
        if size > 100:
            fill_records(machine, node, uid, have, size - 100)
            have = size - 100
        before = r.user.get("/info/collections").last_modified
        r.user.post("/storage/bookmarks", ten)
        row = {"x": size,
               "info/collections": middle(r.times(lambda i: r.user.get("/info/collections"))),
               "GET newer, 10 hits": middle(r.times(lambda i: r.user.get(f"/storage/bookmarks?full=1&newer={before}"))),
               "POST of 100": middle(r.times(lambda i: r.user.post("/storage/bookmarks", body)))}
        say(f"{node.label} {row}")
        rows.append(row)
    return rows


def fill_users(machine, node, have, want):
    """Users like the first: a head and 20 records each."""
    head = "epoch, state, since, clock, modified, used_bytes, quota_bytes, colls"
    item = "coll, id, modified, expires, sortindex, parentid, predecessorid, payload"
    first, step = 8_000_000, 1  # uids 8,000,001 …
    mysql = []
    for a in range(have, want, 5000):
        seq = f"seq_{a + 1}_to_{min(a + 5000, want)}"
        mysql += [f"INSERT INTO heads (uid, {head}) SELECT {first} + seq, {head} FROM heads, {seq} WHERE uid = {first}",
                  f"INSERT INTO items (uid, {item}) SELECT {first} + seq, {item} FROM items, {seq} WHERE uid = {first}"]
    head_row, item_rows = template_rows(node, first, head, item) if node.label.startswith("sqlite") else (None, None)
    sqlite = []
    if head_row:
        span = f"WITH RECURSIVE s(n) AS (SELECT {have + 1} UNION ALL SELECT n + {step} FROM s WHERE n < {want})"
        sqlite.append(f"{span} INSERT INTO heads (uid, {head}) SELECT {first} + n, {head_row} FROM s WHERE ({first} + n) % FILES = FILE")
        sqlite.append(f"{span}, t({item}) AS (VALUES {item_rows}) INSERT INTO items (uid, {item}) SELECT {first} + n, {item} FROM s, t"
                      f" WHERE ({first} + n) % FILES = FILE")
    in_sql(machine, node, mysql, sqlite)


def template_rows(node, uid, head, item):
    """The first user's rows as SQL values, for the files that do not hold him."""
    import sqlite3
    files = sqlite_files(node)
    c = sqlite3.connect(files[uid % len(files)], timeout=60)

    def text(v):
        return "NULL" if v is None else str(v) if isinstance(v, int) else f"X'{v.hex()}'" if isinstance(v, bytes) else f"'{v}'"
    one = ", ".join(text(v) for v in c.execute(f"SELECT {head} FROM heads WHERE uid = {uid}").fetchone())
    many = ", ".join("(" + ", ".join(text(v) for v in row) + ")" for row in c.execute(f"SELECT {item} FROM items WHERE uid = {uid}"))
    c.close()
    return one, many


def users_grow(machine, node, most):
    """A node of 10² to `most` users: one after the other is asked."""
    first, have, rows = 8_000_000, 0, []
    Reader(node, first).user.post("/storage/bookmarks", json.dumps([{"id": f"r{i}", "payload": PAYLOAD} for i in range(20)]))
    for size in (10 ** k for k in range(2, 6)):
        if size > most:
            break
        fill_users(machine, node, have, size)
        have = size
        readers = [Reader(node, first + 1 + (i * 7919) % size) for i in range(ASKED)]
        asks = {"info/collections": lambda i: readers[i].user.get("/info/collections"),
                "GET of one": lambda i: readers[i].user.get("/storage/bookmarks/r7"),
                "PUT of one": lambda i: readers[i].user.put("/storage/bookmarks/r7", {"payload": PAYLOAD})}
        row = {"x": size, **{name: middle(readers[0].times(ask)) for name, ask in asks.items()}}
        for r in readers:
            r.user.close()
        say(f"{node.label} {row}")
        rows.append(row)
    return rows


def connections_grow(machine, node, most):
    """10 to `most` silent keep-alive connections, of which each has asked once, beside 16 that ask."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    idle, rows = [], []
    base = memory_kb(node)
    line = b"GET /__lbheartbeat__ HTTP/1.1\r\nHost: h\r\n\r\n"
    try:
        for size in (10, 100, 1000, 10000):
            if size > most or size + 100 > hard:
                break
            while len(idle) < size:
                s = socket.create_connection(("127.0.0.1", node.port))
                s.sendall(line)
                s.recv(4096)
                idle.append(s)
            run = middle([bench.measure(node, "A", 1, n, users=40, records=100)["cpu_us_all"] for n in range(3)])
            row = {"x": size, "CPU of info/collections, µs": run, "KiB each": max(0, memory_kb(node) - base) / size}
            say(f"{node.label} {row}")
            rows.append(row)
    finally:
        for s in idle:
            s.close()
    return rows


def batches_grow(machine, node):
    """1 to 10,000 records in one batch: the node's time for all its requests, for each record."""
    r, rows = Reader(node, 7002), []
    for size in (1, 10, 100, 1000, 10000):
        def whole(i, size=size):
            posts = [json.dumps([{"id": f"b{n:09d}", "payload": PAYLOAD} for n in range(a, min(a + 100, size))]) for a in range(0, size, 100)]
            if len(posts) == 1:
                r.user.post("/storage/history", posts[0])
                return
            batch = r.user.post("/storage/history?batch=true", posts[0], expect=202).json()["batch"]
            for p in posts[1:-1]:
                r.user.post(f"/storage/history?batch={batch}", p, expect=202)
            r.user.post(f"/storage/history?batch={batch}&commit=true", posts[-1])
        posts = (size + 99) // 100
        rounds = 20 if size <= 100 else 5 if size == 1000 else 2
        one = []
        for n in range(rounds):
            at = r.log.stat().st_size
            one.append(sum(log_times(r, at, lambda: whole(n), posts)))
        rows.append({"x": size, "µs a record": middle(one) / size})
        say(f"{node.label} {rows[-1]}")
    return rows


def log_times(r, at, do, n):
    do()

    def lines():
        found = lines_of(r.log, at, b'"method":"POST"')
        return found if len(found) >= n else None

    return [line["total_us"] for line in wait_until(lines, f"{n} requests are in the log", 20, every_s=0.05)[-n:]]


def growth(o):
    found = {}
    machine = Machine(say)
    try:
        for engine in ENGINES:
            node = machine.node(engine, {"limits.max_total_records": "10000", "public.connections": "12000", "public.idle": "600"})
            bench.set_up(node, 40, 100, "A")
            found[engine] = {"records": records_grow(machine, node, o.most_records), "users": users_grow(machine, node, o.most_users),
                             "connections": connections_grow(machine, node, 10000), "batch": batches_grow(machine, node)}
    finally:
        machine.close()
    return found


# ---- the other questions ----

def users(o):
    """40 users, and 10,000 asked in turn, of ten records each."""
    found = {}
    machine = Machine(say)
    try:
        for engine in ENGINES:
            node = machine.node(engine)
            say(f"{engine}: 10,000 users are set up")
            run = bench.ask(node, "S", 600, users=10000, records=10, warm=0)
            if not run["complete"]:
                raise RuntimeError(f"not set up in time: {run}")
            for scenario in "AD":
                few, many, cpu = [], [], []
                bench.ask(node, scenario, 20, users=10000, records=10)  # a hundred requests for each, so that all ten records were asked for
                for n in range(o.rounds):
                    a = bench.measure(node, scenario, o.seconds, n, users=40, records=10)
                    bench.ask(node, scenario, 2, users=10000, records=10)  # whom the first 40 have pushed out comes back
                    b = bench.measure(node, scenario, o.seconds, n, users=10000, records=10)
                    few.append(a["rps"]), many.append(b["rps"]), cpu.append(b["cpu_us_all"] / a["cpu_us_all"])
                ratios = [m / f for m, f in zip(many, few)]
                found[f"{engine} {scenario}"] = {"of 40": middle(few), "of 10,000": middle(many), "CPU": middle(cpu), "CPU spread": [min(cpu), max(cpu)],
                                                 "ratio": middle(ratios), "each": ratios}
                say(f"{engine} {scenario} {found[f'{engine} {scenario}']}")
    finally:
        machine.close()
    return found


class OneBox(Subject):
    name = "heddle"

    def __init__(self, folder, mariadb=None):
        super().__init__(folder, "one box" + (" on MariaDB" if mariadb else ""), {"mariadbd": mariadb} if mariadb else {})
        self.settings = {"data.dir": str(folder / "data"), "public.listen": f"127.0.0.1:{self.port}", "public.url": self.url,
                         "public.workers": "16", "registration.strict_usernames": "no", "tokens.secrets": SECRET, "log.file": str(folder / "requests.log")}
        if mariadb:
            mariadb.create_database("heddle_box")
            self.settings |= {"store.driver": "mysql", "store.socket": str(mariadb.socket), "store.user": "root", "store.database": "heddle_box"}

    def argv(self):
        return [str(BUILD / "heddle")] + [a for k, v in self.settings.items() for a in ("--set", f"{k}={v}")]


def sign_up(box, n):
    c = Connection("127.0.0.1", box.port)
    for i in range(1, n + 1):
        body = json.dumps({"password": "benchmarks", "email": f"load{i}@example.com"}).encode()
        r = c.request("PUT", f"/user/1.0/load{i}", [("Content-Type", "application/json")], body)
        if r.status != 200:
            raise RuntimeError(f"no account: {r!r}")


def basic(o):
    """Sync 1.1 with Basic beside Sync 1.5 with Hawk, for the same data on the same server."""
    found = {}
    machine = Machine(say)
    password = ("--password", "benchmarks")
    try:
        machine.backends(True)
        for mariadb in (machine.mariadb, None):
            box = OneBox(machine.folder / ("box-my" if mariadb else "box-lite"), mariadb)
            machine._start(box)
            sign_up(box, 40)
            for more in (password, ()):  # by their uids: whoever is put in between others lies on pages that are half empty
                run = bench.ask(box, "S", 300, warm=0, more=("--first-uid", "1" if more else "1000001", *more))
                if run["good"] != run["requests"] or not run["complete"]:
                    raise RuntimeError(f"{box.label}: not set up: {run}")
            for scenario in "ACDE":
                ratios, cpu = [], []
                for n in range(o.rounds):
                    new = bench.ask(box, scenario, o.seconds, seed=n + 1, more=("--first-uid", "1000001"))
                    old = bench.ask(box, scenario, o.seconds, seed=n + 1, more=("--first-uid", "1", *password))
                    if old["good"] != old["requests"]:
                        raise RuntimeError(f"{box.label} {scenario}: {old['status']}")
                    ratios.append(old["rps"] / new["rps"]), cpu.append(sum(old["cpu_us"].values()) / sum(new["cpu_us"].values()))
                found[f"{box.label} {scenario}"] = {"ratio": middle(ratios), "spread": [min(ratios), max(ratios)], "CPU": middle(cpu)}
                say(f"{box.label} {scenario} {found[f'{box.label} {scenario}']}")
    finally:
        machine.close()
    return found


SLOW_S, SLOW_FIRST, SLOW_USERS = 0.3, 500001, 200


def make_slow(machine, node):
    """Users each of whose writes takes so long in the database. They are many enough that one rarely waits for another."""
    bench.ask(node, "S", 60, users=SLOW_USERS, records=1, warm=0, more=("--first-uid", str(SLOW_FIRST)))
    in_sql(machine, node, [f"CREATE TRIGGER slow BEFORE UPDATE ON heads FOR EACH ROW DO IF(NEW.uid >= {SLOW_FIRST}, SLEEP({SLOW_S}), 0)"], [])


def slow(o):
    """P at a fixed rate, without and with 2 % of requests that take 300 ms in the database (they hold a worker each, six in all)."""
    machine = Machine(say)
    found = {"p99 ms normally": [], "p99 ms of the others": [], "p50 ms of the slow": []}
    try:
        node = machine.node("mysql+memory")
        bench.set_up(node, 40, 200, "P")
        make_slow(machine, node)
        rate = o.rate
        for n in range(o.rounds):
            for with_slow in (False, True):
                load = None
                if with_slow:
                    at = Path(node.settings["log.file"]).stat().st_size
                    load = subprocess.Popen([str(BUILD / "bench" / "load"), "--host", "127.0.0.1", "--port", str(node.port), "--node", node.url,
                                             "--secret", SECRET, "--scenario", "E", "--users", str(SLOW_USERS), "--first-uid", str(SLOW_FIRST),
                                             "--records", "1", "--connections", "64", "--rate", str(rate * 0.02), "--seconds", str(o.seconds + 1)],
                                            stdout=subprocess.PIPE)
                    wait_until(lambda: lines_of(node.settings["log.file"], at, b'"event":"request"'), "the slow ones are at work", 20)
                r = bench.ask(node, "P", o.seconds, seed=n + 1, more=("--first-uid", "200001", "--rate", str(rate), "--connections", "64"))
                if load:
                    slow_ms = json.loads(load.communicate(timeout=60)[0])["latency_us"]["p50"] / 1000
                    if slow_ms < SLOW_S * 1000:
                        raise RuntimeError(f"those that are to be slow took {slow_ms} ms")
                    found["p50 ms of the slow"].append(slow_ms)
                found["p99 ms of the others" if with_slow else "p99 ms normally"].append(r["latency_us"]["p99"] / 1000)
        found["rate"] = rate
        found["ratio"] = middle(found["p99 ms of the others"]) / middle(found["p99 ms normally"])
        say(str(found))
    finally:
        machine.close()
    return found


class Apart:
    """The servers that are started meanwhile leave one core to the generator: what it takes would be missing to them."""

    def __init__(self):
        self.all = sorted(os.sched_getaffinity(0))
        self.under = ["taskset", "-c", str(self.all[-1])] if len(self.all) > 1 else []

    def __enter__(self):
        os.sched_setaffinity(0, self.all[:-1] or self.all)
        return self

    def __exit__(self, *_):
        os.sched_setaffinity(0, self.all)


def flood_once(o, node, scenario, seed, under):
    best = [bench.ask(node, scenario, o.seconds, seed=seed, records=200, connections=c, under=under) for c in (16, 64)]
    peak = max(r["good"] / r["seconds"] for r in best)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    r = bench.ask(node, scenario, o.seconds * 2, seed=seed, records=200, warm=1, connections=2500, under=under, more=("--rate", str(3 * peak)))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / (o.seconds * 2 + 1)
    return {"peak": peak, "good a second": r["good"] / r["seconds"], "ratio": r["good"] / r["seconds"] / peak,
            "p50 of 503, ms": r["refused_us"]["p50"] / 1000, "p99 of 503, ms": r["refused_us"]["p99"] / 1000,
            "asked a second": r["requests"] / r["seconds"], "generator, of its core": busy, "unanswered": r["unanswered"],
            "not sent": r["not_sent"], "neither good nor 503": r["requests"] - r["good"] - r["status"].get("503", 0)}


def flood(o):
    """An open loop of three times what a closed one reached at its best, just before: of a node's day, and of writes alone, which nothing
    answers from memory."""
    found = {}
    with Apart() as apart:
        machine = Machine(say)
        try:
            for engine in o.engines:
                node = machine.node(engine)
                bench.set_up(node, 40, 200, "E")
                for scenario in "PBE":
                    runs = [flood_once(o, node, scenario, n + 1, apart.under) for n in range(o.rounds)]
                    found[f"{engine} {scenario}"] = {
                        "good answers of the peak": bench.spread([r["ratio"] for r in runs]), "each": [round(r["ratio"], 2) for r in runs],
                        **{k: middle([r[k] for r in runs]) for k in runs[0] if k != "ratio"}}
                    say(f"{engine} {scenario} {found[f'{engine} {scenario}']}")
        finally:
            machine.close()
    return found


def memory_kb(node, peak=False):
    for line in open(f"/proc/{node.pid}/status"):
        if line.startswith("VmHWM:" if peak else "VmRSS:"):
            return int(line.split()[1])
    raise RuntimeError("no such process")


def memory(o):
    """What four requests at a time add to the node's memory, for each."""
    found, together = {}, 4
    machine = Machine(say)
    try:
        for engine in ENGINES:
            node = machine.node(engine, {"limits.max_total_records": "10000"})
            readers = [Reader(node, 7100 + i) for i in range(together)]
            for i, r in enumerate(readers):
                r.user.post("/storage/bookmarks", json.dumps([{"id": "a", "payload": PAYLOAD}]))
                fill_records(machine, node, 7100 + i, 0, 100000)

            def get(r):
                assert len(r.user.get("/storage/bookmarks?full=1").body) > 30_000_000

            def post(r):
                batch = r.user.post("/storage/history?batch=true", "[]", expect=202).json()["batch"]
                for a in range(0, 5000, 100):
                    body = json.dumps([{"id": f"m{n}", "payload": PAYLOAD * 8} for n in range(a, a + 100)])
                    done = a == 4900
                    r.user.post(f"/storage/history?batch={batch}" + ("&commit=true" if done else ""), body, expect=200 if done else 202)
            for name, ask in (("GET of 100,000", get), ("POST of 5,000", post)):
                before = memory_kb(node)
                Path(f"/proc/{node.pid}/clear_refs").write_text("5")  # the peak counts anew
                threads = [threading.Thread(target=ask, args=(r,)) for r in readers]
                for t in threads:
                    t.start()
                for t in threads:
                    t.join()
                found[f"{engine} {name}"] = {"MiB each": (memory_kb(node, peak=True) - before) / together / 1024}
                say(f"{engine} {name} {found[f'{engine} {name}']}")
    finally:
        machine.close()
    return found


QUESTIONS = {"growth": growth, "users": users, "basic": basic, "slow": slow, "flood": flood, "memory": memory}

PICTURES = {
    "records": ("records-growth", "records in the collection", "the node's time, µs (median)"),
    "users": ("users-growth", "users of the node", "the node's time, µs (median)"),
    "connections": ("connections-growth", "silent connections", "µs, KiB"),
    "batch": ("batch-growth", "records in the batch", "the node's time for each record, µs"),
}


def pictures(found, folder):
    for what, (name, x, y) in PICTURES.items():
        lines = {}
        for engine, all_rows in found.items():
            for row in all_rows[what]:
                for key, value in row.items():
                    if key != "x":
                        lines.setdefault(f"{key}, {'MariaDB' if engine.startswith('mysql') else 'SQLite'}", []).append((row["x"], value))
        yield plot.write_lines(folder / f"{name}.svg", lines, x, y)


def main():
    ap = argparse.ArgumentParser(prog="./bootstrap bench --questions", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(QUESTIONS)} (default: all)")
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--seconds", type=float, default=3)
    ap.add_argument("--rate", type=float, default=1000, help="of `slow`, requests/s")
    ap.add_argument("--engines", default=",".join(ENGINES), help="of `flood`")
    ap.add_argument("--most-records", type=int, default=10 ** 6)
    ap.add_argument("--most-users", type=int, default=10 ** 5)
    ap.add_argument("--json", metavar="FILE")
    ap.add_argument("--plot", metavar="FOLDER", help="write the pictures of growth")
    o = ap.parse_args()
    o.engines = o.engines.split(",")
    if set(o.names) - set(QUESTIONS) or set(o.engines) - set(bench.ENGINES):
        ap.error("no such question or engine")
    found = {}
    try:
        for name in o.names or QUESTIONS:
            found[name] = QUESTIONS[name](o)
    except NotOnDisk as e:
        say(str(e))
        return 2
    print(json.dumps(found, indent=1, ensure_ascii=False))
    if o.json:
        Path(o.json).write_text(json.dumps(found, indent=1, ensure_ascii=False))
    if o.plot and "growth" in found:
        Path(o.plot).mkdir(parents=True, exist_ok=True)
        for path in pictures(found["growth"], Path(o.plot)):
            say(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
