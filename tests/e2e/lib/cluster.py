"""A cluster of single programs on this machine: directories on one SQLite file, and nodes on SQLite and on MySQL with Redis.

    cluster.directory.kill(); cluster.nodes[0].log_text()
    user = cluster.user11()             # registers at the directory, syncs at the node it names
    user = cluster.user15()             # token from the directory, storage at the node it names
"""
import http.client
import os
import socket
from urllib.parse import urlsplit

from . import hawk, oauth
from .heddle import DOMAIN, METRICS_KEY, SECRET, Heddle, build_folder
from .ops import run
from .processes import MariaDB, Redis, wait_until
from .storage11 import Storage11
from .storage15 import Storage15
from .synccrypto import username_of

ADMIN_KEY = "a" * 32


class Directory(Heddle):
    """One heddle-directory; its internal listener is a unix socket in its folder."""

    name = "heddle-directory"

    def argv(self):
        return [str(build_folder() / "heddle-directory"), "--config", str(self.ini)]

    @property
    def socket(self):
        return self.folder / "data" / "internal.sock"


class Node(Heddle):
    """One heddle-node, which has no data folder of its own but that of its store."""

    name = "heddle-node"

    def argv(self):
        return [str(build_folder() / "heddle-node"), "--config", str(self.ini)]

    @property
    def node_name(self):
        return f"127.0.0.1:{self.port}"

    @property
    def key(self):
        return f"key-of-the-node-at-{self.folder.name}"

    def write_settings(self, **changes):
        """It holds the secret of its own URL alone."""
        self.settings |= {"data.dir": None, "tokens.derived": "no", "tokens.secrets": hawk.node_secret(SECRET, self.url)}
        super().write_settings(**changes)


class Cluster:
    """The processes of one cluster; `folder` is short and its own."""

    def __init__(self, folder, template, engines, directories=1):
        self.folder = folder
        self.issuer = oauth.Issuer()
        self.backends = []
        folder.mkdir(parents=True)
        self.callers = folder / "callers"
        self.directories = [self._directory(i) for i in range(directories)]
        self.directory = self.directories[0]
        self.nodes = [self._node(i, engine, template) for i, engine in enumerate(engines)]

    # -- life --

    def _directory(self, number):
        folder = self.folder / f"d{number}"
        folder.mkdir()
        keys = oauth.write_jwk_set(folder / "jwks.json", self.issuer)
        return Directory(folder, {
            "tokens.secrets": SECRET, "tokens.metrics_key": METRICS_KEY, "directory.domain": DOMAIN,
            "oauth.jwks_file": str(keys), "registration.mode": "open", "passwords.kib": 64, "passwords.passes": 1,
            "directory.path": str(self.folder / "directory.sqlite"), "internal.keys": f"@{self.callers}"})

    def _node(self, number, engine, template):
        folder = self.folder / f"n{number}"
        folder.mkdir()
        values = {"node.directories": [str(d.socket) for d in self.directories],
                  "internal.listen": str(folder / "internal.sock"), "node.key": f"key-of-the-node-at-n{number}"}
        if engine == "mysql+redis":
            mariadb = MariaDB(folder / "my", template).start()
            redis = Redis(folder / "re").start()
            self.backends += [mariadb, redis]
            values |= {"store.driver": "mysql", "store.socket": str(mariadb.socket), "store.user": "root",
                       "store.database": mariadb.create_database("heddle"), "cache.driver": "redis",
                       "cache.redis_socket": str(redis.socket), "cache.scope": os.urandom(6).hex()}
        else:
            values |= {"store.driver": "sqlite", "store.path": str(folder / "store"), "cache.driver": "memory"}
        return Node(folder, values)

    def start(self):
        """Nodes first, without anybody to ask: a directory that comes later is found. Then the table of nodes."""
        for node in self.nodes:
            node.start()
        lines = [f"node {n.node_name} {n.key}" for n in self.nodes] + [f"admin admin {ADMIN_KEY}"]
        self.callers.write_text("\n".join(lines) + "\n")
        for directory in self.directories:
            directory.start()
        for node in self.nodes:
            self.admin("node", "add", node.url, "capacity=1000")
        self.await_heard()
        return self

    def stop(self):
        """Gives what did not end cleanly."""
        bad = []
        for process in [*self.nodes, *self.directories]:
            if process.running and process.stop() != 0:
                bad.append(f"{process.name}: {process.child.returncode}\n{process.log_tail()}")
            process.forget_shared_memory()
        for process in self.backends:
            process.kill()
        return bad

    def await_heard(self, count=None):
        """Every node hears so many directories; without a number all of them."""
        count = len(self.directories) if count is None else count
        for node in self.nodes:
            wait_until(lambda: metric(node, "heddle_directories_heard") == count, f"{node.node_name} hears {count}", 20)

    # -- the operator --

    def admin(self, *words, expect=0):
        code, out, err = run("--set", f"admin.directory={self.directory.socket}", "--set", f"admin.key={ADMIN_KEY}", *words,
                             program="heddle-admin")
        assert code == expect, f"{words}: {code}\n{out}{err}"
        return out if expect == 0 else err

    def node_of(self, url):
        port = urlsplit(url).port
        return next(n for n in self.nodes if n.port == port)

    # -- clients --

    def user11(self, node=None, password="correct horse battery", directory=None):
        """A registered account (that lives on `node`), which speaks to `directory`."""
        while True:
            email = os.urandom(8).hex() + "@example.com"
            user = User11(self, directory or self.directory, username_of(email), password, email)
            user.register()
            if node is None or user.home is node:
                return user

    def user15(self, sub=None, state="aaaa", k=1234):
        """A client of a user of an accounts server, at the node that the directory names."""
        out = self.token(sub or os.urandom(16).hex(), state, k)
        url = out["api_endpoint"].rpartition("/1.5/")[0]
        return Storage15(self.node_of(url), out["uid"], out["id"], out["key"])

    def token(self, sub, state="aaaa", k=1234):
        connection = self.directory.connection()
        try:
            r = connection.request("GET", "/1.0/sync/1.5", [
                ("Authorization", "Bearer " + self.issuer.access_token(sub)),
                ("X-KeyID", f"{k}-{hawk.b64url_nopad(bytes.fromhex(state))}")])
        finally:
            connection.close()
        assert r.status == 200, repr(r)
        return r.json()


class User11(Storage11):
    """An account whose storage is where node/weave says."""

    def __init__(self, cluster, directory, name, password, email):
        super().__init__(directory, name, password, email)
        self.cluster = cluster

    @property
    def home(self):
        return self.cluster.node_of(self.node().text)

    def through(self, directory):
        """The same account, at another directory."""
        return User11(self.cluster, directory, self.name, self.password, self.email)

    def at(self, node):
        """The storage client of this account at that node, right or wrong."""
        return Storage11(node, self.name, self.password, self.email)

    def change_password(self, new):
        self.account("POST", "/password", new, type="text/plain")
        self.password = new


def metric(process, name):
    """One value of /metrics, None while it does not answer."""
    connection = http.client.HTTPConnection("localhost", timeout=15)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(15)
    try:
        connection.sock.connect(str(process.settings["internal.listen"]))
        connection.request("GET", "/metrics")
        for line in connection.getresponse().read().decode().splitlines():
            if line.startswith(name + " "):
                return float(line.rpartition(" ")[2])
    except OSError:
        pass
    finally:
        connection.close()
    return None
