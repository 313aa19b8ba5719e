"""A cluster in the place of the one box: the fixtures of these tests with HEDDLE_TARGET=cluster.

A `Front` looks like one server and is two directories and three nodes on two LDAP servers. Clients go where they are sent: a token names
its node, node/weave that of an account; everything else is the directory's. Where a test speaks to the server's address itself, that is
the address of the side which its module is about (`side`).
"""
import base64
import functools
import json
import os
import re
import signal
import subprocess
from decimal import Decimal
from urllib.parse import urlsplit

from . import hawk, slapd
from .cluster import Cluster
from .heddle import Stack, build_folder
from .processes import MariaDB, Redis, wait_until
from .wire import Asked, Connection

ENGINE = "mysql+redis"
NODES = 3
DIRECTORY_MODULES = re.compile(r"test_(tokenserver|user_api|browser)_")
DIRECTORY_PATH = re.compile(r"/(user|misc)/|/$|/1\.0/(?!\w+/(info|storage)\b)[^/]+/")  # /1.0/sync/1.5 is the token endpoint
STORAGE15_PATH = re.compile(r"/1\.5/")
ACCOUNT_PATH = re.compile(r"/(?:1\.1|1\.0|1)/([^/?]+)/")


# What is left out on a cluster, and why.
MODULES = re.compile(r"test_(storage1[15]|browser|tokenserver|user_api)_\w+|test_faults")  # others are about single programs
ONE_BOX = {
    # the address of the one box is that of its node
    "test_node_weave_gives_the_same_node_again", "test_the_token_works_at_the_endpoint_it_names",
    "test_names_are_of_any_case_slashes_at_the_end_do_not_matter_and_1_is_1_0", "test_c04_node_weave_is_a_bare_url",
    "test_node_weave_is_plain_text_with_a_slash_the_same_each_time_and_needs_no_credentials", "test_c06_a_node_below_a_path",
    "test_everything_works_below_a_path", "test_51_by_default_new_users_are_not_taken_beyond_loopback", "test_72_discovery",
    # its tokens are signed with the master secret, here with the node's own
    "test_52_the_token_names_the_account_openly_to_nodes_and_hashed_for_logs", "test_a_users_uid_survives_a_change_of_secret",
    "test_53_signature_and_key_reproduce_and_members_stand_in_the_order_of_other_issuers",
    # it forgets in the same moment; how soon nodes hear is measured by test_cluster_*
    "test_61_and_66_a_deleted_account_is_retired_and_its_tokens_are_void_at_once",
    "test_47_a_new_client_state_gives_a_new_uid_on_the_same_node_and_an_empty_store",
    # it has one database and one process, which the test takes away, or looks into
    "test_c01_c03_who_does_not_live_here_any_more_gets_401_from_every_url", "test_c07_503_tells_seconds_in_every_request",
    "test_c08_trouble_is_503_with_a_time_to_wait", "test_e47_a_node_that_is_away_says_so_to_everybody",
    "test_e48_while_shutting_down_the_heartbeat_fails_and_requests_are_served",
}


def of_a_cluster(item):
    """Whether this test says something about a cluster too."""
    return bool(MODULES.fullmatch(item.module.__name__)) and item.originalname not in ONE_BOX and "own_database" not in item.fixturenames


def side_of(module_name):
    return "directory" if DIRECTORY_MODULES.match(module_name) else "node"


@functools.cache
def keys_of(program):
    """The settings that a program knows."""
    text = subprocess.run([build_folder() / program, "--show-config"], capture_output=True, text=True, check=True).stdout
    section, keys = "", set()
    for line in text.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            keys.add(f"{section}.{line.partition('=')[0].strip()}")
    return keys


class StackCluster(Cluster):
    """One test's cluster on the worker's LDAP servers, databases and caches: a tree, databases and scopes of its own."""

    def __init__(self, folder, backends, number, own_redis, settings):
        self.shared, self.number, self.own_redis, self.extra = backends, number, own_redis, settings
        self.base = f"ou=s{number},{slapd.SUFFIX}"
        self.nodes_made = 0
        super().__init__(folder, backends.template, [ENGINE] * NODES, 2, "ldap")

    def make_issuer(self):
        return self.shared.issuer

    def make_slapd(self, name, **options):
        return self.shared.backend(name, lambda: slapd.Slapd(self.shared.folder / name, **options))

    def make_backend(self, name, kind):
        if kind == "redis" and self.own_redis:
            self.shared.processes.append(Redis(self.folder / name / "re"))
            return self.shared.processes[-1]
        make = {"mariadb": MariaDB, "redis": Redis}[kind]
        arguments = (self.template,) if kind == "mariadb" else ()
        return self.shared.backend(f"{name} {kind}", lambda: make(self.shared.folder / f"{name}-{kind}", *arguments))

    def directory_settings(self, folder):
        return super().directory_settings(folder) | self.common(folder)

    def node_settings(self, folder):
        return {"store.database": f"heddle_{self.number}", "cache.scope": f"e2e-{os.urandom(6).hex()}"} | self.common(folder)

    def common(self, folder):
        return {"public.workers": 8}


class Front(Asked):
    """What tests know as `stack.heddle`."""

    name = "cluster"
    ours = True
    side = "node"  # set for each test
    turn = 0  # likewise
    shared = False  # by tests that look into no folder and change no settings: they meet both directories

    def __init__(self, cluster, settings):
        self.cluster, self.settings = cluster, dict(settings)
        self.clock_file = cluster.folder / "clock"
        self.clock_file.write_text("0\n")
        self._homes = {}
        for p in self.processes:
            p.clock_file = self.clock_file
        self._own = {id(p): dict(p.settings) for p in self.processes}

    @property
    def processes(self):
        return [*self.cluster.nodes, *self.cluster.directories]

    @property
    def socket(self):
        return self.near.socket

    @property
    def near(self):
        return self.cluster.directory if self.side == "directory" else self.cluster.nodes[0]

    # -- addresses --

    @property
    def url(self):
        return self.near.url

    @property
    def port(self):
        return self.near.port

    @property
    def folder(self):
        return self.near.folder

    def url_for(self, target, directory=None):
        """Where a client goes with this path."""
        if DIRECTORY_PATH.match(target):
            return (directory or self.cluster.directory).url
        if STORAGE15_PATH.match(target):
            return self.cluster.nodes[0].url
        account = ACCOUNT_PATH.match(target)
        return self._home(account[1].lower()) if account else self.near.url

    def _home(self, name):
        """As node/weave says; a name that nobody has is anybody's."""
        if name not in self._homes:
            r = self.cluster.directory.get(f"/user/1.0/{name}/node/weave")
            if r.status != 200 or r.body == b"null":
                return self.cluster.nodes[0].url
            self._homes[name] = r.text.rstrip("/")
        return self._homes[name]

    def account_changed(self):
        """A password was changed, or an account deleted: nodes hear of it. How soon is what test_cluster_directories measures."""
        self.cluster.await_word()
        self._homes.clear()

    def connection(self, timeout_s=120):
        return Routed(self, timeout_s)

    def connection_for(self, hawk_id):
        """To the node that a token names."""
        try:
            node = json.loads(base64.urlsafe_b64decode(hawk_id + "==")[:-32])["node"]
            known = next(n for n in self.cluster.nodes if n.url == node)
        except (ValueError, KeyError, TypeError, StopIteration):
            return self.connection()
        return known.connection()

    # -- life --

    def _push(self):
        """Each process gets those of the test's settings that it knows. A node's secret is derived from what the test gives."""
        for p in self.processes:
            mine = {k: v for k, v in self.settings.items() if k in keys_of(p.name) and k != "public.url"}
            p.settings = {**self._own[id(p)], **mine}
            if p in self.cluster.nodes and "tokens.secrets" in mine:
                p.master = str(mine["tokens.secrets"])
            p.settings.update({k: v for k, v in self.settings.items() if k == "public.trusted_proxies"})

    def write_settings(self, **changes):
        self.settings |= {k.replace("__", ".", 1): v for k, v in changes.items()}
        self._push()
        for p in self.processes:
            p.write_settings()

    @property
    def child(self):
        return self.near.child

    @property
    def running(self):
        return any(p.running for p in self.processes)

    def start(self):
        """Nodes hear all directories before anybody is served."""
        self._push()
        if self.cluster.nodes[0].port is None:
            self.cluster.start()
        else:
            for p in reversed(self.processes):
                p.start()
            self.cluster.await_heard()
        return self

    def stop(self, timeout_s=300.0):
        self._homes.clear()
        return "; ".join(self.cluster.stop_programs()) or 0

    def kill(self):
        for p in self.processes:
            p.kill()

    def restart(self, **changes):
        assert self.stop() == 0, self.log_tail()
        self.settings |= {k.replace("__", ".", 1): v for k, v in changes.items()}
        return self.start()

    def reload(self, **changes):
        self.write_settings(**changes)
        for p in self.processes:
            p.child.send_signal(signal.SIGHUP)

    def forget_shared_memory(self):
        for p in self.processes:
            p.forget_shared_memory()

    def resume(self):
        for p in self.processes:
            p.resume()

    def log_text(self):
        return "\n".join(p.log_text() for p in self.processes)

    def log_tail(self, lines=30):
        return "\n".join(p.log_tail(lines) for p in self.processes)

    def keep_log(self, label):
        self.cluster.keep_logs(label)

    # -- time --

    def now(self):
        return self.near.now()

    def server_time(self):
        return self.get("/1.5/1/info/collections").timestamp

    def advance(self, seconds):
        """All processes look at one clock file."""
        self.cluster.nodes[0].require_hooks()
        for p in self.processes:
            p.ahead_s += seconds
        fresh = self.clock_file.with_suffix(".new")
        fresh.write_text(f"{round(self.near.ahead_s * 1000)}\n")
        fresh.rename(self.clock_file)
        for p in self.processes:
            wait_until(lambda: abs(p.server_time() - Decimal(self.now())) < min(2, max(Decimal("0.2"), abs(seconds) / 2)),
                       f"the clock of {p.name} stepped by {seconds} s")
        self.cluster.await_heard()


class Routed:
    """A client's connections to a cluster, kept alive; host and port are those of the near side, as they are signed."""

    def __init__(self, front, timeout_s):
        self.front, self.timeout_s, self._to = front, timeout_s, {}
        self.host, self.port = "127.0.0.1", front.port if front.side == "node" else front.cluster.nodes[0].port
        # A test speaks to one of them: with replicas, what was changed through the other may be seen here a moment later.
        directories = front.cluster.directories
        self.directory = directories[Front.turn % len(directories)] if front.shared else directories[0]

    @property
    def host_header(self):
        return f"{self.host}:{self.port}"

    def request(self, method, target, headers=(), body=None, host=None):
        url = self.front.url_for(target, self.directory)
        if url not in self._to:
            self._to[url] = Connection("127.0.0.1", urlsplit(url).port, self.timeout_s)
        return self._to[url].request(method, target, headers, body, host)

    def close(self):
        for c in self._to.values():
            c.close()


class All:
    """Several processes as one: what is done is done to each; what is asked is asked of the first."""

    def __init__(self, processes):
        self.processes = processes

    def __getattr__(self, name):
        first = getattr(self.processes[0], name)
        if not callable(first):
            return first

        def each(*args, **kw):
            return [getattr(p, name)(*args, **kw) for p in self.processes][0]

        return each


class Home:
    """The cluster for one account: where it speaks to the server's own address, that is his node's."""

    def __init__(self, front, node):
        self.front, self.node = front, node

    def __getattr__(self, name):
        whole = self.front.side == "directory" or name in ("url_for", "account_changed")
        return getattr(self.front if whole else self.node, name)


class ClusterStack(Stack):
    def __init__(self, cluster, front):
        servers = cluster.servers
        super().__init__(ENGINE, front, servers["n0 mariadb"], All([servers[f"n{i} redis"] for i in range(NODES)]),
                         f"heddle_{cluster.number}", cluster.issuer)
        self.cluster = cluster

    def mint(self, uid, expires_in_s=3600, secret=None, **members):
        node = self.cluster.nodes[0]
        full = {"node": node.url, "fxa_kid": None, "expires": int(self.heddle.now()) + expires_in_s, "uid": uid, **members}
        return hawk.mint(secret or hawk.node_secret(node.master, node.url), full)

    def user11(self, email=None, password="correct horse battery", register=True):
        user = super().user11(email, password, register)
        if register:
            user.server = Home(self.heddle, self.cluster.node_of(self.heddle.url_for(f"/1.1/{user.name}/")))
        return user


def make_stack(backends, number, settings, own_redis, start):
    folder = backends.folder / f"s{number}"
    cluster = StackCluster(folder, backends, number, own_redis, settings)
    front = Front(cluster, settings)
    stack = ClusterStack(cluster, front)
    if start:
        front.start()
    return stack
