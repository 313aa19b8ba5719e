"""What a cluster's processes are doing: asked for in threads of their own, one for each, so that one that hangs delays no other."""
import os
import re
import threading
import time

from lib.cluster import metric
from lib.slapd import ROOT_DN, SUFFIX, Slapd

EVERY_S = 1.0
STALE_S = 5.0
PAGE = os.sysconf("SC_PAGE_SIZE")
OTHERS = {"balancer": "HAProxy", "routes": "HAProxy, routes", "settle": "admin, settle"}
COLUMNS = ("process", "pid", "address", "health", "memory", "users")


class Watcher(threading.Thread):
    """Asks one process once a second how it is."""

    def __init__(self, name, process, cluster):
        super().__init__(daemon=True, name=name)
        self.label, self.process, self.cluster = name, process, cluster
        self.said, self.said_at = "starting", time.monotonic()
        self.asked, self.ending = threading.Event(), threading.Event()

    def run(self):
        while not self.ending.is_set():
            try:
                self.said = self._ask()
            except OSError:
                self.said = "does not answer"
            except Exception as e:  # whatever it is, it is what the table has to say
                self.said = f"{type(e).__name__}: {e}".splitlines()[0][:40]
            self.said_at = time.monotonic()
            self.asked.set()
            self.ending.wait(EVERY_S)

    def _ask(self):
        p = self.process
        if isinstance(p, Slapd):
            return self._slapd()
        if not hasattr(p, "port"):
            return "ok" if p.ready() else "does not answer"
        status = p.get("/__heartbeat__").status
        said = "ok" if status == 200 else f"heartbeat {status}"
        if p in self.cluster.nodes:
            heard = metric(p, "heddle_directories_heard")
            if heard is not None and heard < len(self.cluster.directories):
                said += f", hears {heard:.0f} of {len(self.cluster.directories)} directories"
        return said

    def _slapd(self):
        if not self.process.ready():
            return "does not answer"
        if not self.process.provider:
            return "ok"
        return "ok" if _state_of(self.process) == _state_of(self.process.provider) else "ok, behind the provider"

    @property
    def health(self):
        p = self.process
        if not p.running:
            return f"ended with {p.child.returncode}" if p.child else "not started"
        silent = time.monotonic() - self.said_at
        return f"no answer for {silent:.0f} s" if silent > STALE_S else self.said


def _state_of(server):
    """Up to which change a server has everything."""
    out = server.as_root("ldapsearch", "-x", "-D", ROOT_DN, "-LLL", "-s", "base", "-b", SUFFIX, "contextCSN", check=False)
    return sorted(re.findall(r"^contextCSN: (.*)$", out, re.M))


def _memory(process):
    try:
        with open(f"/proc/{process.pid}/statm") as f:
            return f"{int(f.read().split()[1]) * PAGE / 1048576:.0f} MB"
    except OSError:
        return ""


class Table:
    """rows(): what there is to see now. `users` is asked of the first directory that answers."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.watchers = {name: Watcher(name, p, cluster) for name, p in cluster.everything().items()}
        self.users = {}
        self.ending, self._counted = threading.Event(), threading.Event()
        self._counter = threading.Thread(target=self._count, daemon=True)

    def start(self):
        for w in self.watchers.values():
            w.start()
        self._counter.start()

    def await_first(self):
        """Until everybody has been asked once, or seems not to answer."""
        end = time.monotonic() + STALE_S
        for w in self.watchers.values():
            w.asked.wait(max(0.0, end - time.monotonic()))
        self._counted.wait(max(0.0, end - time.monotonic()))

    def stop(self):
        self.ending.set()
        for w in self.watchers.values():
            w.ending.set()

    def _count(self):
        while not self.ending.is_set():
            for directory in self.cluster.directories:
                try:
                    self.users = {n["name"]: f"{n['capacity'] - n['seats']} of {n['capacity']}" + (
                        "" if n["state"] == "open" else f", {n['state']}") for n in self.cluster.ask("nodes", directory)}
                    self._counted.set()
                    break
                except (OSError, AssertionError, ValueError):
                    continue
            self.ending.wait(EVERY_S)

    def title(self, name):
        if name in OTHERS:
            return OTHERS[name]
        own, _, backend = name.partition(" ")
        if own.startswith("ldap"):
            return "slapd, provider" if own == "ldap1" else "slapd, replica"
        title = f"{'directory' if own.startswith('d') else 'node'} {int(own[1:]) + 1}"
        return f"{title}, {backend}" if backend else title

    def order(self):
        """LDAP, the directories, and each node with what it stands on."""
        names = list(self.watchers)
        for node in self.cluster.nodes:
            mine = node.folder.name
            for name in [mine, *(n for n in self.watchers if n.startswith(mine + " "))]:
                names.remove(name)
                names.append(name)
        return names

    def rows(self):
        for name in self.order():
            w = self.watchers[name]
            p = w.process
            socket = getattr(p, "socket", None)
            address = f"http://127.0.0.1:{p.port}" if getattr(p, "port", None) else str(socket.relative_to(self.cluster.folder)) if socket else ""
            users = self.users.get(getattr(p, "node_name", None), "")
            yield (self.title(name), str(p.pid) if p.running else "-", address, w.health, _memory(p) if p.running else "", users)

    def text(self):
        rows = [COLUMNS, *self.rows()]
        widths = [max(len(r[i]) for r in rows) for i in range(len(COLUMNS))]
        return "\n".join("  ".join(v.ljust(n) for v, n in zip(r, widths)).rstrip() for r in rows)
