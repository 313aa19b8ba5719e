"""A cluster behind one public name: nodes and directories of lib/cluster.py, a balancer rendered by heddle-admin in front, and clients that
know nothing but the door."""
import json
import os
import re
import subprocess
import time
import zlib

from lib import hawk
from lib.balancer import Balancer
from lib.cluster import Cluster, Directory, Node
from lib.ops import AdminVerb, run
from lib.processes import free_port, wait_until
from lib.storage11 import Storage11
from lib.storage15 import Storage15
from lib.synccrypto import username_of
from lib.wire import Connection
from tap import Tap

KINDS = ("haproxy", "nginx")
ENDS_S = 400  # heddle-admin waits for a check, a reload and another writer by itself, and says so; this is longer than all of it
SHARDS = 64  # LB_SHARDS in admin/lb/lb.h


class Behind:
    """What nodes and directories have in common: they believe the balancer, and clients know them by its URL."""

    public_url = None

    def write_settings(self, **changes):
        self.settings |= {"public.url": self.public_url, "public.trusted_proxies": "127.0.0.1"}
        super().write_settings(**changes)


class FrontedDirectory(Behind, Directory):
    pass


class FrontedNode(Behind, Node):
    """Its own URL is its port's; its address is the door, or in direct mode its own URL."""

    direct = False

    def write_settings(self, **changes):
        self.settings |= {"node.url": self.url}
        self.public_url = self.url if self.direct else self.public_url
        super().write_settings(**changes)


class Door:
    """The public name, as clients see it: stands where tests want a server."""

    def __init__(self, port, base=""):
        self.port, self.base = port, base
        self.url = f"http://127.0.0.1:{port}{base}"

    def connection(self, timeout_s=60):
        return Connection("127.0.0.1", self.port, timeout_s)

    def connection_for(self, _credential, timeout_s=60):
        return self.connection(timeout_s)

    def url_for(self, _credential):
        return self.url

    def account_changed(self):
        pass

    def now(self):
        return time.time()

    def get(self, path, headers=(), method="GET"):
        c = self.connection()
        try:
            return c.request(method, self.base + path, headers)
        finally:
            c.close()


class Front(Cluster):
    """The whole. `settings` are keys of [lb], with "__" for the dot left out: limit_user=5."""

    def __init__(self, kind, folder, engines, directories=1, base="", template=None, direct=False, taps=False, node_options=None,
                 directory_options=None, follow=False, **settings):
        self.kind, self.direct, self.with_taps, self.taps, self.kept = kind, direct, taps, [], False
        self.node_options, self.directory_options, self.with_follow = node_options or {}, directory_options or {}, follow
        settings = {k.removeprefix("lb_"): v for k, v in settings.items()}
        self.door = Door(free_port(), base)
        super().__init__(folder, template or folder / "template", engines, directories)
        self.balancer = Balancer(kind, folder / "lb", self.door.port)
        self.follower = None
        self.settings = {"kind": kind, "folder": str(folder / "lb"), "url": self.door.url, "listen": f"127.0.0.1:{self.door.port}", "connections": 2000}
        if os.getuid() == 0:
            self.settings["user"] = "root"
        self.settings |= settings

    def _directory(self, name):
        plain = super()._directory(name)
        made = FrontedDirectory(plain.folder, plain.settings | {"assign.slots": "yes", "assign.ramp": 0} | self.directory_options)
        made.public_url = self.door.url
        return made

    def _node(self, name, engine):
        plain = super()._node(name, engine)
        made = FrontedNode(plain.folder, plain.settings | self.node_options)
        made.master, made.public_url, made.direct = self.secret, self.door.url, self.direct
        return made

    def add_nodes(self):
        for i, node in enumerate(self.nodes):
            address = node.url if self.direct else self.door.url
            self.admin("node", "add", node.url, f"capacity={self.capacity_of(i)}", f"address={address}")

    # -- the balancer --

    def lb_words(self):
        values = dict(self.settings)
        values.setdefault("directories", ",".join(f"127.0.0.1:{d.port}" for d in self.directories))
        words = ["--set", "admin.directory=" + ",".join(str(d.socket) for d in self.directories), "--set", f"admin.key={self.admin_key}"]
        for key, value in values.items():
            words += ["--set", f"lb.{key}={value}"]
        return words

    def lb(self, *words, expect=0):
        code, out, err = run(*self.lb_words(), "lb", *words, program="heddle-admin", timeout_s=ENDS_S)
        assert expect is None or code == expect, f"lb {words}: {code}\n{out}{err}"
        return out

    def row_file(self, key):
        """Where the row of a user stands, who is "15:<uid>" or "11:<name>"."""
        name = f"users-{zlib.crc32(key.encode()) % SHARDS:02d}.map" if self.kind == "haproxy" else "users.map"
        return self.folder / "lb" / "maps" / name

    def rows(self):
        """All lines of users with a row of their own, in the files."""
        return sorted(line for path in (self.folder / "lb" / "maps").glob("users*.map") for line in path.read_text().splitlines())

    def set_rows(self, rows):
        """Rows as nobody would make them: stale, or of a node that is not there. `lb push` mends it."""
        for key, value in rows.items():
            path = self.row_file(key)
            if self.kind == "haproxy":
                self.balancer.runtime(f"del map {path} {key}")
                self.balancer.runtime(f"add map {path} {key} {value}")
            else:
                kept = [line for line in path.read_text().splitlines() if not line.startswith(f"{key} ")]
                path.write_text("\n".join([*kept, f"{key} '{value}';", ""]))
        if self.kind == "nginx":
            before = self.balancer.workers()
            self.balancer.reload_by_hand()
            wait_until(lambda: self.balancer.workers() and not set(self.balancer.workers()) & set(before), "nginx has read its files", 60)

    def line_of(self, reply):
        """The balancer's log line of an answer."""
        name = reply.header("X-Request-Id")
        return wait_until(lambda: next((x for x in self.balancer.lines(name) if x["id"] == name), None), "the balancer's line", 60)

    def stat(self, node):
        """What HAProxy tells of a node, of one moment: of the server ("node") and of all ("BACKEND")."""
        head, *lines = self.balancer.runtime("show stat").lstrip("# ").splitlines()
        rows = [dict(zip(head.split(","), line.split(","))) for line in lines]
        return {r["svname"]: r for r in rows if r.get("pxname") == f"node_{node.node_name.replace(':', '_')}"}

    def process(self):
        """The process of HAProxy that answers now; None: for a moment none does."""
        try:
            return re.search(r"^Pid: (\d+)$", self.balancer.runtime("show info"), re.MULTILINE)[1]
        except (OSError, TypeError):
            return None

    def server(self, node):
        return self.stat(node)["node"]

    def mover(self, *words):
        """A verb that moves users, with the balancer's settings: it holds who is in cut-over."""
        code, out, err = run(*self.lb_words(), *words, program="heddle-admin", timeout_s=ENDS_S)
        assert code == 0, f"{words}: {code}\n{out}{err}"
        print(f"{words}: {out}{err}")  # why it did not hold him, say; shown where the test fails
        return out

    def check_files(self):
        """haproxy -c, nginx -t."""
        folder = self.folder / "lb"
        if self.kind == "haproxy":
            argv = ["haproxy", "-c", "-f", str(folder / "haproxy.cfg")]
        else:
            argv = ["nginx", "-t", "-p", str(folder), "-c", str(folder / "nginx.conf")]
        done = subprocess.run(argv, capture_output=True, text=True)
        text = done.stdout + done.stderr
        assert done.returncode == 0, text
        for word in ("warn", "alert", "emerg", "notice"):
            assert word not in text.lower(), text
        return text

    def start(self):
        super().start()
        if self.with_taps:
            self.taps = [Tap(n.port) for n in self.nodes]
            self.settings["reach"] = ",".join(f"{n.node_name}=127.0.0.1:{t.port}" for n, t in zip(self.nodes, self.taps))
        self.lb("render")
        self.balancer.start()
        if self.with_follow:
            self.follow()
        return self

    def close_taps(self):
        for tap in self.taps:
            tap.close()

    def requests(self):
        return [r for tap in self.taps for r in tap.requests()]

    def follow(self):
        self.follower = AdminVerb(self.folder / "follow", "follow", *self.lb_words(), "lb", "follow").start()
        wait_until(lambda: "as the directory says" in self.follower.log_text(), "the follower has read everything", 120)
        return self.follower

    def keep_logs(self, label):
        self.kept = True
        super().keep_logs(label)
        for process in [self.balancer] + [self.follower] * bool(self.follower):
            process.keep_log(label)

    def refused(self, since=0):
        """What the balancer's log tells of requests since then that did not go well, as text for who reads that a test failed: how long each was
        in a queue and on its way, and how it ended (of HAProxy "end": its termination state)."""
        bad = [x for x in self.balancer.lines() if x["time"] >= since and x["status"] not in (200, 404)]
        return "\n".join([f"{len(bad)} requests that did not go well, in the balancer's log:", *(json.dumps(x) for x in bad[:20])])

    def stop(self):
        if self.follower:
            self.follower.stop()
        self.balancer.stop()
        return super().stop()

    def await_well(self, count=None):
        """The balancer's checks have found so many nodes."""
        count = len(self.nodes) if count is None else count
        if self.kind == "haproxy":
            wait_until(lambda: sum(",node,0," in line and ",UP," in line for line in self.balancer.runtime("show stat").splitlines()
                                   if line.startswith("node_")) == count, "nodes are up in haproxy", 60)

    # -- clients that come through the door --

    def user15(self, sub=None, state="aaaa", k=1234):
        out = self.token(sub or os.urandom(16).hex(), state, k)
        assert out["api_endpoint"].startswith(self.door.url + "/1.5/"), out
        return Storage15(self.door, out["uid"], out["id"], out["key"], base=f"{self.door.base}/1.5/{out['uid']}")

    def user11(self, password="correct horse battery"):
        email = os.urandom(8).hex() + "@example.com"
        user = Storage11(self.door, username_of(email), password, email)
        user.register()
        user.node()  # which gives him one
        return user

    def token(self, sub, state="aaaa", k=1234, server=None):
        server = server or self.door
        c = server.connection()
        try:
            r = c.request("GET", f"{getattr(server, 'base', '')}/1.0/sync/1.5", [
                ("Authorization", "Bearer " + self.issuer.access_token(sub)),
                ("X-KeyID", f"{k}-{hawk.b64url_nopad(bytes.fromhex(state))}")])
        finally:
            c.close()
        assert r.status == 200, repr(r)
        return r.json()

    def owner(self, who):
        """The node of a user (number or name), by the directory."""
        entry = self.ask(f"accounts/{who}")
        return next(n for n in self.nodes if n.node_name == entry["node"])
