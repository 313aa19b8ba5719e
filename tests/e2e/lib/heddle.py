"""The program under test: one `heddle` (directory and node in one process), its clients' credentials, and its backends.

    stack = Backends(folder, template).stack("mysql+redis", {"limits.max_post_records": 50})
    user = stack.user()              # a Storage15 client with a token minted here
    stack.heddle.kill(); stack.heddle.start()
"""
import functools
import hashlib
import os
import random
import signal
import subprocess
import time
from decimal import Decimal
from pathlib import Path

import pytest

from . import hawk, oauth, slapd
from .processes import ROOT, MariaDB, Process, Redis, free_port, wait_until
from .storage11 import Storage11
from .storage15 import Storage15
from .synccrypto import username_of
from .wire import Asked, Connection

ENGINES = ("sqlite+memory", "mysql+redis")
SECRET = "5b1f0e7c9d2a4483b6c0a1e2f3d4958677665544332211ffeeddccbbaa998877"
METRICS_KEY = "0123456789abcdef0123456789abcdef"
DOMAIN = "accounts.example.net"

# On a machine that stands still now and then nobody is told to come later: that is for tests that want it.
PATIENT = {"store.lock_wait": 45, "store.connect_timeout": 45, "store.answer_timeout": 60, "public.queue_wait": 120}


def build_folder():
    """HEDDLE_BUILD, relative to the root of the sources; the default has the hooks that tests of time need."""
    return ROOT / os.environ.get("HEDDLE_BUILD", "build/debug")


@functools.cache
def has_hooks():
    """Whether this build looks at HEDDLE_CLOCK_FILE."""
    return b"HEDDLE_CLOCK_FILE" in (build_folder() / "heddle").read_bytes()


def on_cluster():
    """Whether the fixtures give a cluster in the place of the one box."""
    return os.environ.get("HEDDLE_TARGET") == "cluster"


class Heddle(Asked, Process):
    """One running server. Settings ("section.key": text, number, or a list of texts) go into an INI file, so `reload` can change
    them. Its wall clock is the real one plus `ahead_s`."""

    name = "heddle"
    ours = True

    def __init__(self, folder, settings):
        super().__init__(folder)
        self.settings = dict(settings)
        self.ini = self.folder / "heddle.ini"
        self.clock_file = self.folder / "clock"
        self.ahead_s = 0.0
        self.port = None

    # -- life --

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def argv(self):
        return [str(build_folder() / "heddle"), "--config", str(self.ini)]

    @property
    def socket(self):
        """Its internal listener."""
        return Path(self.settings.get("internal.listen") or self.folder / "data" / "internal.sock")

    def url_for(self, target):
        """Where a client goes with this path: the one box is everything at one address."""
        return self.url

    def account_changed(self):
        """A client has changed a password or deleted an account: here that is in force already."""

    def connection_for(self, hawk_id):
        """A connection to the node that a token names."""
        return self.connection()

    def env(self):
        return {"HEDDLE_CLOCK_FILE": str(self.clock_file), "TZ": "UTC"}

    def write_settings(self, **changes):
        """Writes the INI file. Keywords: section__key=value."""
        self.settings.update({k.replace("__", ".", 1): v for k, v in changes.items()})
        values = {"public.listen": f"127.0.0.1:{self.port}", "public.url": self.url,
                  "data.dir": str(self.folder / "data"), "internal.listen": str(self.folder / "data" / "internal.sock"),
                  **self.settings}
        sections = {}
        for name, value in values.items():
            if value is None:
                continue
            section, _, key = name.partition(".")
            for one in value if isinstance(value, (list, tuple)) else [value]:
                sections.setdefault(section, []).append(f"{key} = {one}")
        self.ini.write_text("".join(f"[{s}]\n" + "\n".join(lines) + "\n" for s, lines in sections.items()))

    def start(self, timeout_s=300.0):
        """The first start chooses a port; later ones keep it."""
        if not self.clock_file.exists():
            self.clock_file.write_text("0\n")
        if self.port is None:
            self.port = free_port()
        return self._start(timeout_s)

    def _start(self, timeout_s):
        self.write_settings()
        if self.settings.get("store.driver") == "mysql" and self.settings.get("store.socket"):
            self.note_shared_memory([lock_of_store(self.settings)])  # one that refuses to start has made it too
        return super().start(timeout_s)

    def ready(self):
        try:
            return self.get("/__heartbeat__").status == 200
        except OSError:
            return False

    def restart(self, **changes):
        """Stops and starts it on the same port, with settings changed (section__key=value)."""
        code = self.stop()
        assert code == 0, f"ended with {code}:\n{self.log_tail()}"
        self.write_settings(**changes)
        return self.start()

    def reload(self, **changes):
        self.write_settings(**changes)
        self.child.send_signal(signal.SIGHUP)

    # -- requests without credentials --

    def connection(self, timeout_s=120):
        return Connection("127.0.0.1", self.port, timeout_s)

    # -- time --

    def now(self):
        """The time that this server should have, in seconds."""
        return time.time() + self.ahead_s

    def server_time(self):
        """The time that this server says it has (on a 401)."""
        return self.get("/1.5/1/info/collections").timestamp

    @staticmethod
    def require_hooks():
        if not has_hooks():
            pytest.skip(f"{build_folder()} is a build without test hooks")

    def advance(self, seconds):
        """Steps the server's wall clock (backwards with a negative number) and waits until the server shows it. Skips the test on a
        build without hooks; only for servers that no other test uses at the same time."""
        self.require_hooks()
        self.ahead_s += seconds
        fresh = self.clock_file.with_suffix(".new")
        fresh.write_text(f"{round(self.ahead_s * 1000)}\n")
        fresh.rename(self.clock_file)
        wait_until(lambda: abs(self.server_time() - Decimal(self.now())) < min(2, max(Decimal("0.2"), abs(seconds) / 2)),
                   f"the server's clock stepped by {seconds} s")


class Stack:
    """A running server with the backends it stands on, and clients for it."""

    def __init__(self, engine, heddle, mariadb, redis, database, issuer):
        self.engine, self.heddle = engine, heddle
        self.mariadb, self.redis, self.database = mariadb, redis, database
        self.issuer = issuer

    @property
    def url(self):
        return self.heddle.url

    @property
    def on_mysql(self):
        return self.engine.startswith("mysql")

    def stop(self):
        self.heddle.stop()

    # -- 1.5 --

    def mint(self, uid, expires_in_s=3600, secret=SECRET, **members):
        """(id, key) of a token for uid, made here. Members override or add; None leaves one out."""
        full = {"node": self.url, "fxa_kid": None, "expires": int(self.heddle.now()) + expires_in_s, "uid": uid, **members}
        return hawk.mint(secret, full)

    def user(self, uid=None, **token):
        """A client for a user who has never been seen, or for `uid`."""
        uid = fresh_uid() if uid is None else uid
        return Storage15(self.heddle, uid, *self.mint(uid, **token))

    def again(self, user, **token):
        """Another client (own connection, new token) of the same user."""
        return self.user(user.uid, **token)

    def access_token(self, sub, **claims):
        return self.issuer.access_token(sub, now=self.heddle.now(), **claims)

    # -- 1.1 --

    def user11(self, email=None, password="correct horse battery", register=True):
        """A client for a new 1.1 account; its name is made of the address, as clients do."""
        email = email or os.urandom(8).hex() + "@example.com"
        user = Storage11(self.heddle, username_of(email), password, email)
        if register:
            user.register()
        return user


def lock_of_store(settings):
    """Where processes on this database meet (node/alone.c)."""
    socket = str(settings["store.socket"])
    name = f"{os.path.realpath(socket) if os.path.exists(socket) else socket} {settings['store.database']}"
    return f"/dev/shm/heddle-store-{os.geteuid()}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def fresh_uid():
    """A uid far away from those that the directory gives out."""
    return random.SystemRandom().randrange(2_000_000_000, 9_999_999_999)


class Backends:
    """The databases and caches of one test worker: one MariaDB and one Redis, started when first needed and shared by all of its
    stacks (each has a database and a cache scope of its own); `own_redis` gives a stack a Redis that may be killed."""

    def __init__(self, folder, template_folder):
        self.folder, self.template = Path(folder), Path(template_folder)
        self.issuer = oauth.Issuer()
        self.processes, self.stacks, self._shared = [], [], {}

    def backend(self, kind, make):
        if kind not in self._shared:
            self._shared[kind] = make().start()
            self.processes.append(self._shared[kind])
        return self._shared[kind]

    def stack(self, engine, settings=None, own_redis=False, start=True):
        """A server on this engine. `settings` override the defaults below; None leaves a key out."""
        number = len(self.stacks)
        if on_cluster():
            from .front import make_stack  # it stands on this module
            stack = make_stack(self, number, settings or {}, own_redis, start)
            self.stacks.append(stack)
            self.processes.append(stack.heddle)
            return stack
        folder = self.folder / f"s{number}"
        folder.mkdir(parents=True)
        keys = oauth.write_jwk_set(folder / "jwks.json", self.issuer)
        values = {"tokens.secrets": SECRET, "tokens.derived": "no", "tokens.metrics_key": METRICS_KEY,
                  "directory.domain": DOMAIN, "oauth.jwks_file": str(keys), "registration.mode": "open",
                  "passwords.kib": 64, "passwords.passes": 1, **PATIENT}
        mariadb = redis = database = None
        if engine == "mysql+redis":
            mariadb = self.backend("mariadb", lambda: MariaDB(self.folder / "my", self.template))
            if own_redis:
                redis = Redis(folder / "redis").start()
                self.processes.append(redis)
            else:
                redis = self.backend("redis", lambda: Redis(self.folder / "re"))
            database = mariadb.create_database(f"heddle_{number}")
            values |= {"store.driver": "mysql", "store.socket": str(mariadb.socket), "store.user": "root",
                       "store.database": database, "cache.driver": "redis", "cache.items": "256k", "cache.redis_socket": str(redis.socket),
                       "cache.scope": f"e2e-{os.urandom(6).hex()}"}
        else:
            assert engine == "sqlite+memory", engine
            values |= {"store.driver": "sqlite", "cache.driver": "memory"}
        if os.environ.get("HEDDLE_DIRECTORY") == "ldap":
            values |= self._ldap_tree(number)
        values |= settings or {}
        heddle = Heddle(folder, values)
        stack = Stack(engine, heddle, mariadb, redis, database, self.issuer)
        self.stacks.append(stack)
        self.processes.append(heddle)
        if start:
            heddle.start()
        return stack

    def _ldap_tree(self, number):
        """Settings for accounts in LDAP: a tree of its own in the worker's server."""
        server = self.backend("slapd", lambda: slapd.Slapd(self.folder / "ldap"))
        values = server.settings(base=f"ou=s{number},{slapd.SUFFIX}", servers={"ldap.timeout": 15})
        words = [w for key, value in values.items() for w in ("--set", f"{key}={value}")]
        subprocess.run([str(build_folder() / "heddle-directory"), *words, "ldap-init"], check=True, capture_output=True, text=True)
        return values

    def keep_logs(self, label):
        for i, p in enumerate(self.processes):
            p.keep_log(f"{label}-{i}")

    def close(self):
        """Ends everything; gives the names of servers that did not end cleanly."""
        bad = []
        for p in reversed(self.processes):
            if p.ours and p.running:
                try:
                    code = p.stop()
                except AssertionError as e:
                    code = str(e)
                if code != 0:
                    bad.append(f"{p.folder.name}: {code}\n{p.log_tail()}")
            else:
                p.resume()
                p.kill()
            if p.ours:
                p.forget_shared_memory()
        return bad
