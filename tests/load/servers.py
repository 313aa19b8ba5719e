"""The servers of a benchmark, each in one temporary folder on a disk: MariaDB and Redis, the product, and the floor."""
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent / "e2e"))

from lib import processes  # noqa: E402

SECRET = "a-secret-of-benchmarks-that-everybody-knows"
BUILD = ROOT / os.environ.get("HEDDLE_BUILD", "build/release")
FLOOR_THREADS = 16


class NotOnDisk(Exception):
    pass


def temp_folder():
    """Databases must pay for what they confirm, so a folder in memory is refused."""
    parent = os.environ.get("HEDDLE_BENCH_TMP") or ("/var/tmp" if os.access("/var/tmp", os.W_OK) else tempfile.gettempdir())
    kind = subprocess.run(["stat", "-f", "-c", "%T", parent], capture_output=True, text=True, check=True).stdout.strip()
    if kind in ("tmpfs", "ramfs"):
        raise NotOnDisk(f"{parent} is {kind}: name a folder on a disk in HEDDLE_BENCH_TMP")
    return Path(tempfile.mkdtemp(prefix="heddle-bench-", dir=parent)), kind


class MariaDB(processes.MariaDB):
    def argv(self):
        # A redo log that holds more than a run writes: where it fills up, MariaDB lets all writers wait for seconds, or minutes, until
        # pages are written back, and that is what would be measured.
        sizes = ("--innodb-buffer-pool-size=", "--innodb-log-file-size=")
        return [a for a in super().argv() if not a.startswith(sizes)] + [
            "--innodb-buffer-pool-size=512M", "--innodb-log-file-size=4G", "--max-connections=400"]


Redis = processes.Redis


def listens(port):
    with socket.socket() as s:
        s.settimeout(1)
        return s.connect_ex(("127.0.0.1", port)) == 0


class Subject(processes.Process):
    """What is measured: a process with a port, and the backends whose processor time counts with it."""

    def __init__(self, folder, label, backends):
        super().__init__(folder)
        self.label, self.backends, self.port = label, backends, processes.free_port()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def pids(self):
        return {"server": self.pid, **{name: p.pid for name, p in self.backends.items()}}

    def ready(self):
        return listens(self.port)


class Floor(Subject):
    name = "floor"

    def __init__(self, folder, engine, mariadb, redis):
        super().__init__(folder, f"floor {engine}", {"redis": redis, **({"mariadbd": mariadb} if engine == "mysql" else {})})
        self.engine, self.mariadb, self.redis = engine, mariadb, redis
        if engine == "mysql":
            mariadb.create_database("floor")

    def argv(self):
        where = f"{self.mariadb.socket}:floor" if self.engine == "mysql" else str(self.folder)
        return [str(BUILD / "bench" / "floor"), self.engine, where, str(self.redis.socket), str(self.port), SECRET,
                str(FLOOR_THREADS)]


class Node(Subject):
    name = "heddle-node"
    ours = True

    def __init__(self, folder, engine, mariadb, redis, settings=None, label=None):
        store, _, cache = engine.partition("+")
        used = ({"mariadbd": mariadb} if store == "mysql" else {}) | ({"redis": redis} if cache == "redis" else {})
        super().__init__(folder, label or engine, used)
        database = "heddle_" + "".join(c if c.isalnum() else "_" for c in self.label)
        self.settings = {"public.listen": f"127.0.0.1:{self.port}", "tokens.secrets": SECRET, "tokens.derived": "no",
                         "store.driver": store, "cache.driver": cache, "log.file": str(self.folder / "requests.log")}
        if store == "mysql":
            mariadb.create_database(database)
            self.settings |= {"store.socket": str(mariadb.socket), "store.user": "root", "store.database": database}
        else:
            self.settings["store.path"] = str(self.folder / "data")
        if cache == "redis":
            self.settings |= {"cache.redis_socket": str(redis.socket), "cache.scope": f"bench{self.port}"}
        self.settings |= settings or {}
        self.build = BUILD

    def argv(self):
        return [str(self.build / "heddle-node")] + [a for k, v in self.settings.items() for a in ("--set", f"{k}={v}")]


class Machine:
    """All servers of a run. Ends them, and removes what they wrote."""

    def __init__(self, say):
        self.folder, self.disk = temp_folder()
        self.running, self.say = [], say
        self.mariadb = self.redis = None

    def _start(self, process):
        process.start()
        self.running.append(process)
        return process

    def backends(self, mysql):
        if mysql and not self.mariadb:
            self.mariadb = self._start(MariaDB(self.folder / "my", self.folder / "template"))
        if not self.redis:
            self.redis = self._start(Redis(self.folder / "redis"))

    def floor(self, engine):
        self.backends(engine == "mysql")
        return self._start(Floor(self.folder / f"floor-{engine}", engine, self.mariadb, self.redis))

    def node(self, engine, settings=None, label=None):
        self.backends(engine.startswith("mysql"))
        return self._start(Node(self.folder / (label or engine), engine, self.mariadb, self.redis, settings, label))

    def close(self):
        bad = []
        for p in reversed(self.running):
            if isinstance(p, Node) and p.running:
                code = p.stop()
                if code != 0:
                    bad.append(f"{p.label} ended with {code}: {p.log_tail()}")
            else:
                p.kill()
            p.forget_shared_memory()
        shutil.rmtree(self.folder, ignore_errors=True)
        return bad
