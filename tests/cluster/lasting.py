"""A cluster that outlives its programs: the processes of tests/e2e/lib/cluster.py with ports, secrets and data that stay in one folder.

Ports, from the first one on (--port, default 8000):
    +0         HAProxy, the address that browsers are given (`front`)
    +1, +2     the directories
    +11 …      the nodes
"""
import json
import os
import secrets
import signal
import socket
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

from lib import cluster, slapd  # noqa: E402
from lib.balancer import Balancer  # noqa: E402
from lib.ops import AdminVerb, run  # noqa: E402
from lib.processes import Process  # noqa: E402

DIRECTORIES = 2
NODES_MOST = 50
SOCKET_PATH_MOST = 107  # bytes of a unix socket's path


class Refused(Exception):
    """It cannot start; the text says why, and what to do."""


class Kept:
    """What one folder's cluster keeps beside the data of its programs."""

    def __init__(self, folder, port, nodes):
        self.path = folder / "cluster.json"
        fresh = not self.path.exists()
        if fresh:
            values = {"port": port or 8000, "nodes": nodes or 3, "secret": secrets.token_hex(32),
                      "metrics_key": secrets.token_hex(16), "admin_key": secrets.token_hex(16)}
        else:
            values = json.loads(self.path.read_text())
            if port and port != values["port"]:
                raise Refused(f"the nodes in {folder} are known by their ports, from {values['port']} on: leave --port away, "
                              "or take another folder with --data")
        self.more_nodes = not fresh and nodes is not None and nodes > values["nodes"]
        self.fewer_nodes = not fresh and nodes is not None and nodes < values["nodes"]
        values["nodes"] = max(values["nodes"], nodes or 0)
        self.port, self.nodes = values["port"], values["nodes"]
        self.secret, self.metrics_key, self.admin_key = values["secret"], values["metrics_key"], values["admin_key"]
        self._values = values

    def save(self):
        new = self.path.with_suffix(".new")
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
            json.dump(self._values, f, indent=1)
        new.rename(self.path)


class LastingCluster(cluster.Cluster):
    ldap_timeout_s, patience = None, {}  # as it is without a line

    def __init__(self, folder, kept):
        self.kept = kept
        self.secret, self.metrics_key, self.admin_key = kept.secret, kept.metrics_key, kept.admin_key
        self.ports = {f"d{i}": kept.port + 1 + i for i in range(DIRECTORIES)} | {f"n{i}": kept.port + 11 + i for i in range(kept.nodes)}
        self.ports["lb"] = kept.port
        self._check(folder)
        Process.own_session = True
        super().__init__(folder, folder / "mariadb-template", ["mysql+redis"] * kept.nodes, DIRECTORIES, "ldap")
        for process in [*self.directories, *self.nodes]:
            process.port = self.ports[process.folder.name]
        kept.save()
        self.write_admin_settings()
        self.balancer = Balancer("haproxy", folder / "lb", kept.port)
        admin = ("--config", folder / "admin.ini")
        self.follower = AdminVerb(folder / "lb", "follow", *admin, "lb", "follow")
        # finishes what was left half done and erases what deleted accounts left
        self.settler = AdminVerb(folder / "settle", "settle", *admin, "settle", "--every", "30s")

    def _check(self, folder):
        longest = max(len(os.fsencode(folder / f"n{self.kept.nodes - 1}" / "data" / "internal.sock")), len(os.fsencode(folder / "ldap1" / "ldapi")))
        if longest > SOCKET_PATH_MOST:
            raise Refused(f"{folder} is too long: a unix socket in it would have a path of {longest} bytes, and {SOCKET_PATH_MOST} is the "
                          "most; take a shorter folder with --data")
        for port in self.ports.values():
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    s.bind(("127.0.0.1", port))
                except OSError as e:
                    raise Refused(f"127.0.0.1:{port}: {e.strerror}; " + (
                        "end what holds it" if self.kept.path.exists() else "choose another first port with --port")) from None

    @property
    def front(self):
        """What browsers are given: the balancer in front of all."""
        return f"http://127.0.0.1:{self.kept.port}"

    # -- what differs from the tests' clusters --

    def make_issuer(self):
        return None  # Mozilla's accounts server signs

    def make_slapd(self, name, **options):
        return slapd.Slapd(self.folder / name, durable=True, **options)

    def directory_settings(self, folder):
        return {"public.url": self.front, "public.trusted_proxies": "127.0.0.1", "registration.mode": "open", "assign.slots": "yes"}

    def node_settings(self, folder):
        """Known to clients by the balancer's name; its own URL is its port's."""
        return {"public.url": self.front, "public.trusted_proxies": "127.0.0.1", "node.url": f"http://127.0.0.1:{self.ports[folder.name]}"}

    def node_words(self):
        """From the first moment on: whoever is placed before a directory has heard of a change would be sent past the balancer."""
        return [f"address={self.front}"]

    def add_nodes(self):
        super().add_nodes()
        for entry in self.ask("nodes"):
            if entry["address"] != self.front:
                self.admin("node", "set", entry["name"], f"address={self.front}")

    def start(self):
        super().start()
        code, out, err = run("--config", str(self.folder / "admin.ini"), "lb", "render", program="heddle-admin")
        if code:
            raise RuntimeError(f"heddle-admin lb render: {out}{err}")
        self.balancer.start()
        self.follower.start()
        self.settler.start()
        return self

    def everything(self):
        return super().everything() | {"balancer": self.balancer, "routes": self.follower, "settle": self.settler}

    def write_admin_settings(self):
        """For heddle-admin --config FILE."""
        path = self.folder / "admin.ini"
        path.touch(0o600)
        directories = "\n".join(f"directory = {d.socket}" for d in self.directories)
        public = "\n".join(f"directories = 127.0.0.1:{self.ports[d.folder.name]}" for d in self.directories)
        path.write_text(f"[admin]\n{directories}\nkey = {self.admin_key}\ndir = {self.folder / 'admin'}\n[lb]\nfolder = {self.folder / 'lb'}\nurl = {self.front}\n"
                        f"listen = 127.0.0.1:{self.kept.port}\nconnections = 2000\n{public}\n")

    def ended(self):
        """Names of processes that ended by themselves."""
        return [name for name, p in self.everything().items() if p.child is not None and not p.running]

    def stop(self):
        """All of it, the databases last and in peace."""
        bad = []
        for process in [self.settler, self.follower, self.balancer, *self.nodes, *self.directories, *reversed(self.servers.values())]:
            if process.child is None:
                continue
            try:
                code = process.stop()
                if code == -signal.SIGSEGV and isinstance(process, slapd.Slapd):
                    # OpenLDAP unloads its modules when it ends, now and then while one of its threads still runs in one. All is written by then.
                    print(f"heddle: {process.folder.name} slapd crashed as it ended, after its work; nothing is lost", file=sys.stderr)
                elif code:
                    bad.append(f"{process.folder.name} {process.name} ended with {code}; its log: {process.log}")
            except AssertionError as e:
                bad.append(f"{process.folder.name}: {e}")
        for process in [*self.nodes, *self.directories]:
            process.forget_shared_memory()
        return bad
