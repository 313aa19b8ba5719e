"""A cluster of single programs on this machine: directories on one SQLite file or on two LDAP servers, and nodes on SQLite, or on MySQL
with Redis.

    cluster.directory.kill(); cluster.nodes[0].log_text()
    user = cluster.user11()             # registers at the directory, syncs at the node it names
    user = cluster.user15()             # token from the directory, storage at the node it names
"""
import contextlib
import hashlib
import json
import os
from pathlib import Path
from urllib.parse import urlsplit

from . import hawk, oauth, slapd
from .heddle import DOMAIN, METRICS_KEY, PATIENT, SECRET, Heddle, build_folder
from .operator_calls import operate
from .ops import run
from .processes import MariaDB, Redis, wait_until
from .storage11 import Storage11
from .storage15 import Storage15
from .synccrypto import username_of
from .wire import over_socket

ADMIN_KEY = "a" * 32


class Directory(Heddle):
    """One heddle-directory; its internal listener is a unix socket in its folder."""

    name = "heddle-directory"

    def argv(self):
        return [str(build_folder() / "heddle-directory"), "--config", str(self.ini)]

    def server_time(self):
        return self.get("/user/1.0/a").timestamp


class Node(Heddle):
    """One heddle-node, which has no data folder of its own but that of its store."""

    name = "heddle-node"
    master = SECRET  # or several, as in tokens.secrets

    def argv(self):
        return [str(build_folder() / "heddle-node"), "--config", str(self.ini)]

    @property
    def socket(self):
        """Of its internal listener."""
        return Path(self.settings["internal.listen"])

    @property
    def node_name(self):
        return f"127.0.0.1:{self.port}"

    def write_settings(self, **changes):
        """It holds the secret of its own URL alone."""
        self.settings |= {"data.dir": None, "tokens.derived": "no", "tokens.secrets": [hawk.node_secret(m.strip(), self.url) for m in self.master.split(",")]}
        super().write_settings(**changes)


class Cluster:
    """The processes of one cluster; `folder` is short and its own. accounts: "sqlite", or "ldap" (a provider and a replica; Heddle's own
    tree), or "guest" (the same, with people in a tree of theirs: `provider.add_person`)."""

    secret, metrics_key, admin_key = SECRET, METRICS_KEY, ADMIN_KEY
    capacity = 1000
    base = slapd.SUFFIX
    ldap_timeout_s = 15  # a server that stands still for a moment is not away
    patience = PATIENT  # of nodes

    def __init__(self, folder, template, engines, directories=1, accounts="sqlite"):
        self.folder, self.template, self.accounts = folder, template, accounts
        self.issuer = self.make_issuer()
        self.servers = {}  # name -> process: what directories and nodes stand on, in the order of starting
        folder.mkdir(parents=True, exist_ok=True)
        self.callers = folder / "callers"
        self.provider = self.replica = None
        if accounts != "sqlite":
            self.provider = self.servers["ldap1"] = self.make_slapd("ldap1")
            self.replica = self.servers["ldap2"] = self.make_slapd("ldap2", provider=self.provider)
        self.directories = [self._directory(f"d{i}") for i in range(directories)]
        self.directory = self.directories[0]
        self.nodes = [self._node(f"n{i}", engine) for i, engine in enumerate(engines)]

    # -- what it is made of; a cluster that lasts makes some of it in another way --

    def make_issuer(self):
        return oauth.Issuer()

    def make_slapd(self, name, **options):
        return slapd.Slapd(self.folder / name, **options)

    def key_of(self, name):
        """What the caller of this name signs with."""
        return hashlib.sha256(f"{self.admin_key} {name}".encode()).hexdigest()[:32]

    def ldap_settings(self):
        if self.accounts == "sqlite":
            return {"directory.path": str(self.folder / "directory.sqlite")}
        values = self.provider.settings(base=self.base, servers={"ldap.replicas": self.replica.url, "ldap.timeout": self.ldap_timeout_s})
        if self.accounts == "guest":
            values |= {"ldap.layout": "guest", "ldap.people_base": slapd.PEOPLE}
        return values

    def directory_settings(self, folder):
        keys = oauth.write_jwk_set(folder / "jwks.json", self.issuer)
        return {"directory.domain": DOMAIN, "oauth.jwks_file": str(keys), "registration.mode": "open", "passwords.kib": 64,
                "passwords.passes": 1}

    def node_settings(self, folder):
        return {}

    def make_backend(self, name, kind):
        """The MariaDB or the Redis that a node has for itself."""
        return MariaDB(self.folder / name / "my", self.template) if kind == "mariadb" else Redis(self.folder / name / "re")

    def _directory(self, name):
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        return Directory(folder, {"tokens.secrets": self.secret, "tokens.metrics_key": self.metrics_key, **self.ldap_settings(),
                                  "internal.keys": f"@{self.callers}", **self.directory_settings(folder)})

    def _node(self, name, engine):
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        values = {**self.patience, "node.directories": [str(d.socket) for d in self.directories],
                  "internal.listen": str(folder / "internal.sock"), "node.key": self.key_of(name),
                  "internal.keys": f"admin admin {self.admin_key}"}
        if engine == "mysql+redis":
            mariadb = self.servers[f"{name} mariadb"] = self.make_backend(name, "mariadb")
            redis = self.servers[f"{name} redis"] = self.make_backend(name, "redis")
            values |= {"store.driver": "mysql", "store.socket": str(mariadb.socket), "store.user": "root",
                       "store.database": "heddle", "cache.driver": "redis", "cache.redis_socket": str(redis.socket),
                       "cache.scope": hashlib.sha256(str(folder).encode()).hexdigest()[:12]}
        else:
            values |= {"store.driver": "sqlite", "store.path": str(folder / "store"), "cache.driver": "memory"}
        node = Node(folder, values | self.node_settings(folder))
        node.master = self.secret
        return node

    # -- life --

    def start(self):
        """Nodes before directories, without anybody to ask: a directory that comes later is found. Then the table of nodes."""
        self.start_servers()
        for node in self.nodes:
            node.start()
        lines = [f"node {n.node_name} {n.settings['node.key']}" for n in self.nodes] + [f"admin admin {self.admin_key}"]
        self.callers.touch(0o600)
        self.callers.write_text("\n".join(lines) + "\n")
        for directory in self.directories:
            directory.start()
        self.add_nodes()
        self.await_heard()
        return self

    def start_servers(self):
        for server in self.servers.values():
            if not server.running:
                server.start()
        for node in self.nodes:
            mariadb = self.servers.get(f"{node.folder.name} mariadb")
            if mariadb:
                mariadb.create_database(node.settings["store.database"])
        if self.provider:
            self.ldap_init()

    def ldap_init(self):
        """Lays Heddle's tree, as often as it is called. It is content when the replica has it too, a moment later."""
        words = [w for key, value in self.ldap_settings().items() if value is not None for w in ("--set", f"{key}={value}")]
        said = []

        def laid():
            code, out, err = run(*words, "ldap-init", program="heddle-directory")
            said[:] = [out + err]
            return code == 0

        try:
            wait_until(laid, "Heddle's tree is laid", 120, every_s=0.2)
        except AssertionError as e:
            raise RuntimeError(f"{e}\n{said[0]}") from None

    def add_nodes(self):
        known = {n["name"] for n in self.ask("nodes")}
        for i, node in enumerate(self.nodes):
            if node.node_name not in known:
                self.admin("node", "add", node.url, f"capacity={self.capacity_of(i)}", *self.node_words())

    def node_words(self):
        """What else to say of a new node."""
        return []

    def capacity_of(self, number):
        return self.capacity

    def stop_programs(self):
        """Directories and nodes; they may be started again. Gives what did not end cleanly."""
        return [f"{p.name}: {p.child.returncode}\n{p.log_tail()}" for p in [*self.nodes, *self.directories] if p.running and p.stop() != 0]

    def stop(self):
        """Everything, for good. Gives what did not end cleanly."""
        bad = self.stop_programs()
        for process in [*self.nodes, *self.directories]:
            process.forget_shared_memory()
        for process in reversed(self.servers.values()):
            process.kill()
        return bad

    def everything(self):
        """All processes, by their names."""
        own = {p.folder.name: p for p in [*self.directories, *self.nodes]}
        return self.servers | own

    def keep_logs(self, label):
        for name, process in self.everything().items():
            process.keep_log(f"{label}-{name.replace(' ', '-')}")

    def await_heard(self, count=None):
        """Every node hears so many directories; without a number all of them."""
        count = len(self.directories) if count is None else count
        for node in self.nodes:
            wait_until(lambda: metric(node, "heddle_directories_heard") == count, f"{node.node_name} hears {count}")

    def await_word(self):
        """Every node has acted on all that the directories have told it until now. A question that reaches a directory after this call began
        is answered with all of it, and a node acts on an answer before it asks again: so two more questions of each to each."""
        wait_until(self.word(), "all directories are asked by all nodes", 120, every_s=0.02)

    def word(self):
        """A function that tells, from time to time asked, whether that has happened since it was made."""
        wanted = {n.node_name for n in self.nodes if n.running}
        clocks = {d.folder.name: {} for d in self.directories if d.running}  # one clock in each question of a life of a node

        def heard():
            for directory in self.directories:
                for line in self.ask("loads", directory) if directory.folder.name in clocks else []:
                    clocks[directory.folder.name].setdefault((line["node"], line["boot"]), set()).add(line["clock"])
            return all({node for (node, _), at in seen.items() if len(at) > 2} >= wanted for seen in clocks.values())

        return heard

    # -- the operator --

    def admin(self, *words, expect=0):
        code, out, err = run("--set", f"admin.directory={self.directory.socket}", "--set", f"admin.key={self.admin_key}",
                             "--set", f"admin.dir={self.folder / 'admin'}", *words, program="heddle-admin")
        assert code == expect, f"{words}: {code}\n{out}{err}"
        return out if expect == 0 else err

    def operate(self, method, what, body=None, expect=200, directory=None):
        """A call of the internal API, as the operator."""
        return operate(directory or self.directory, self.admin_key, method, what, body, expect)

    def ask(self, what, directory=None):
        """GET of the internal API, as the operator: an object, or the list of objects of an ndjson answer."""
        lines = [json.loads(line) for line in self.operate("GET", what, directory=directory).text.splitlines() if line]
        return lines[0] if "/" in what else lines

    def tell(self, what, directory=None, **members):
        """POST of the internal API, as the operator; gives the object that it answers with."""
        return self.operate("POST", what, members or None, directory=directory).json()

    def account(self, name, directory=None):
        """The entry of an account."""
        return self.ask(f"accounts/{name}", directory)

    def users(self):
        """How many users each node has, by its name."""
        return {n["name"]: n["capacity"] - n["seats"] for n in self.ask("nodes")}

    def other_than(self, node):
        return next(n for n in self.nodes if n is not node)

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

    def token(self, sub, state="aaaa", k=1234, directory=None):
        connection = (directory or self.directory).connection()
        try:
            r = connection.request("GET", "/1.0/sync/1.5", [
                ("Authorization", "Bearer " + self.issuer.access_token(sub)),
                ("X-KeyID", f"{k}-{hawk.b64url_nopad(bytes.fromhex(state))}")])
        finally:
            connection.close()
        assert r.status == 200, repr(r)
        return r.json()


@contextlib.contextmanager
def running(cluster, label):
    """A cluster that is started here and stopped at the end, for good; its logs are kept under this name."""
    try:
        yield cluster.start()
    finally:
        cluster.keep_logs(label)
        bad = cluster.stop()
    assert not bad, "\n".join(bad)


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
    try:
        told = over_socket(process.socket, "/metrics").text
    except OSError:
        return None
    for line in told.splitlines():
        if line.startswith(name + " "):
            return float(line.rpartition(" ")[2])
    return None
