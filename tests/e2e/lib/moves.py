"""For tests of moves: clients that write to and read from one account without pause, and hold the server to every word it gave; and the
operator's commands, whole or stopped at a point."""
import json
import os
import random
import signal
import subprocess
import threading
import time
from pathlib import Path

from .heddle import build_folder
from .processes import wait_until
from .storage15 import Storage15


class Broken(AssertionError):
    """The server broke a promise."""


class Device(threading.Thread):
    """One client of a 1.5 account. It writes items of its own and shares a collection with the others; it reads what it wrote, and what is
    newer than what it has seen."""

    def __init__(self, cluster, sub, number, seed, connection_errors=False):
        super().__init__(daemon=True)
        self.cluster, self.sub, self.number = cluster, sub, number
        self.random = random.Random(f"{seed} {number}")
        self.connection_errors = connection_errors  # whether a request may end without an answer: somebody kills nodes
        self.halt = threading.Event()
        self.failure = None
        self.acked = {}          # id -> payload, in the shared collection "history"
        self.unsure = {}         # id -> payloads of which no answer came
        self.seen = {}           # what newer= has brought
        self.newest = None
        self.last_stamp = 0
        self.refused_503, self.refused_401, self.requests, self.writes = 0, 0, 0, 0
        self.longest_503_s, self.frozen_since = 0.0, None
        self.client = None
        self.refusals_of_this_credential = 0

    def connect(self):
        """A fresh credential; the connection is a new one, too."""
        if self.client:
            self.client.close()
        out = self.cluster.token(self.sub)
        base = out["api_endpoint"].rpartition("/1.5/")[0]
        self.client = Storage15(self.cluster.node_of(base), out["uid"], out["id"], out["key"])
        self.refusals_of_this_credential = 0

    def run(self):
        try:
            self.connect()
            while not self.halt.is_set():
                self.step()
            self.look()
        except BaseException as e:
            self.failure = e

    def request(self, method, target, body=None):
        """Until it is answered with something else than "later" or "not here". None: no answer came, and it may have happened."""
        return wait_until(lambda: self._asked(method, target, body), f"{method} {target} is not put off any more", 300, every_s=0.02)[0]

    def _asked(self, method, target, body):
        """(answer,), (None,) where none came, or nothing: come again."""
        self.requests += 1
        try:
            r = self.client.request(method, target, body, expect=None)
        except OSError as e:
            if not self.connection_errors:
                raise Broken(f"no answer: {e!r}") from e
            self.reconnect()
            return (None,)
        if r.status == 503:
            if not (r.header("Retry-After") or "").isdigit():
                raise Broken(f"503 without Retry-After\n{r!r}")
            self.refused_503 += 1
            self.frozen_since = self.frozen_since or time.monotonic()
            if method != "GET" and self.connection_errors:
                return (None,)  # of a write that a dying backend cut off
            return ()
        if self.frozen_since:
            self.longest_503_s = max(self.longest_503_s, time.monotonic() - self.frozen_since)
            self.frozen_since = None
        if r.status == 401:
            self.refused_401 += 1
            self.refusals_of_this_credential += 1
            if self.refusals_of_this_credential > 1:
                raise Broken(f"a second 401 for one credential\n{r!r}")
            self.reconnect()
            return ()
        return (r,)

    def reconnect(self):
        def connected():
            try:
                self.connect()
            except (OSError, AssertionError):
                if not self.connection_errors:
                    raise
                return False
            return True

        wait_until(connected, "a new credential", 180, every_s=0.05)

    def step(self):
        dice = self.random.random()
        if dice < 0.5:
            self.write(1)
        elif dice < 0.7:
            self.write(self.random.randrange(2, 20))
        elif dice < 0.9:
            self.read_own()
        else:
            self.read_news()

    def write(self, count):
        items = {f"{self.number}-{self.random.randrange(200)}": f"{self.number} {self.writes} {i} " + "p" * 60 for i in range(count)}
        if count == 1:
            (item, payload), = items.items()
            r = self.request("PUT", f"/storage/history/{item}", {"payload": payload})
        else:
            r = self.request("POST", "/storage/history", [{"id": i, "payload": p} for i, p in items.items()])
        if r is None:
            for i, p in items.items():
                self.unsure.setdefault(i, []).append(p)
            return
        if r.status != 200:
            raise Broken(f"a write is answered {r.status}\n{r!r}")
        if not r.last_modified > self.last_stamp:
            raise Broken(f"a stamp that does not rise: {r.last_modified} after {self.last_stamp}")
        self.last_stamp = r.last_modified
        self.writes += 1
        self.acked.update(items)
        for i in items:
            self.unsure.pop(i, None)

    def check(self, item, payload):
        """What is there must be what was acknowledged last, or something later of which no answer came."""
        if payload != self.acked.get(item) and payload not in self.unsure.get(item, ()):
            raise Broken(f"{item} is {payload!r}, acknowledged was {self.acked.get(item)!r}")

    def read_own(self):
        if not self.acked:
            return
        item = self.random.choice(sorted(self.acked))
        r = self.request("GET", f"/storage/history/{item}")
        if r is None:
            return
        if r.status != 200:
            raise Broken(f"an acknowledged item is answered {r.status}\n{r!r}")
        self.check(item, r.json()["payload"])

    def read_news(self):
        query = "" if self.newest is None else f"&newer={self.newest}"
        r = self.request("GET", f"/storage/history?full=1{query}")
        if r is None:
            return
        if r.status != 200:
            raise Broken(f"newer= is answered {r.status}\n{r!r}")
        if self.newest is not None and r.last_modified < self.newest:
            raise Broken(f"the collection's time went back: {r.last_modified} after {self.newest}")
        for i in r.json():
            self.seen[i["id"]] = i["payload"]
        self.newest = r.last_modified

    def look(self):
        """Everything that was acknowledged is there."""
        r = None
        while r is None:
            r = self.request("GET", "/storage/history?full=1")
        there = {i["id"]: i["payload"] for i in r.json()}
        for item in self.acked:
            if item not in there:
                raise Broken(f"{item} was acknowledged, and is not there")
            self.check(item, there[item])


class Devices:
    """Several of them. with Devices(…) as d: …; they are stopped and judged at the end. What newer= brought, put together, is all."""

    def __init__(self, cluster, sub, count, seed=1, **options):
        self.all = [Device(cluster, sub, i, seed, **options) for i in range(count)]

    def __enter__(self):
        for d in self.all:
            d.start()
        self.await_work()
        return self

    def await_work(self, writes=3):
        """Each gets something more done."""
        before = [d.writes for d in self.all]
        wait_until(lambda: any(d.failure for d in self.all) or all(d.writes >= n + writes for d, n in zip(self.all, before)), "the devices work", 300)
        self.judge()

    def judge(self):
        for d in self.all:
            if d.failure:
                raise d.failure

    def __exit__(self, kind, *_):
        for d in self.all:
            d.halt.set()
        for d in self.all:
            d.join(400)
        if kind is None:
            self.judge()
            assert not any(d.is_alive() for d in self.all), "a device hangs"
            self.check_news()

    def check_news(self):
        """Whoever only ever asked for what is newer knows as much as who asks for everything."""
        for d in self.all:
            if d.connection_errors:
                continue
            try:
                d.read_news()
                everything = {i["id"]: i["payload"] for i in d.client.full("history")}
            finally:
                d.client.close()
            assert d.seen == everything, f"newer= missed {set(everything) ^ set(d.seen) or 'changes'}"


# -- the operator --


class Admin:
    """heddle-admin of a cluster, as a process: whole, or stopped at a point (builds with test hooks)."""

    def __init__(self, cluster, ahead_s=0):
        self.cluster, self.ahead_s = cluster, ahead_s

    def start(self, *words, stop_at=None):
        settings = [f"admin.directory={d.socket}" for d in self.cluster.directories]
        words = [w for s in settings for w in ("--set", s)] + ["--set", f"admin.key={self.cluster.admin_key}",
                                                               "--set", f"admin.dir={self.cluster.folder / 'admin'}", *words]
        clock = Path(self.cluster.folder / f"admin-clock-{self.ahead_s}")
        clock.write_text(f"{round(self.ahead_s * 1000)}\n")
        env = os.environ | {"HEDDLE_CLOCK_FILE": str(clock), "NO_COLOR": "1"}
        if stop_at:
            env["HEDDLE_MOVE_STOP"] = stop_at
        return subprocess.Popen([str(build_folder() / "heddle-admin"), *words], env=env, text=True, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, *words, expect=0):
        """stdout; expect: an exit status, several, or None for any."""
        code, out, err = self.end(self.start(*words))
        wanted = expect if isinstance(expect, tuple) else (expect,)
        assert expect is None or code in wanted, f"{words}: {code}\n{out}{err}"
        return out if code == 0 or expect is None else out + err

    @staticmethod
    def end(child, timeout_s=600):
        try:
            out, err = child.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            child.kill()
            out, err = child.communicate()
            raise AssertionError(f"it does not end:\n{out}{err}") from None
        return child.returncode, out, err

    def move(self, uid, node, *words, **kw):
        return json.loads(self.run("user", "move", str(uid), "--to", node.node_name, "--json", *words, **kw))


def await_stopped(child, timeout_s=300):
    """Until it has stopped itself; False when it ended instead."""
    def stopped():
        return Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    return wait_until(lambda: "ended" if child.poll() is not None else stopped() and "stopped", "it stops or ends", timeout_s, every_s=0.005) == "stopped"


def go_on(child):
    child.send_signal(signal.SIGCONT)
