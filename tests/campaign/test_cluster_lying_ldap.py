"""LDAP servers that lie: a relay before each of them changes its answers. Nothing crashes or leaks (run it on a build with sanitizers), every
client gets an answer that is documented, and when they are honest again all is well."""
import itertools
import json
import os
import random
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from clusters import PASSWORD, CampaignCluster, name_of
from conftest import FULL
from liar import LIES, Liar
from lib import tokenserver
from lib.heddle import Backends
from lib.processes import NotInTime, make_temp_folder, wait_until
from lib.relay import Relay
from lib.storage11 import Storage11, check_promises
from lib.wire import Connection

THREADS = 4
ROUNDS = 40 if FULL else 1
WORKERS = 4
TIMEOUT_S = 2
INTERNAL = {200, 400, 401, 403, 404, 405, 409, 500, 503}  # docs/internal-api.md, "Transport"


class LiedTo(CampaignCluster):
    """Its directories speak to LDAP through relays."""

    def ldap_settings(self):
        if not getattr(self, "relays", None):
            self.relays = [Relay(self.folder / f"liar{i}", s.socket).open() for i, s in enumerate((self.provider, self.replica))]
        return super().ldap_settings() | {"ldap.provider": self.relays[0].url, "ldap.replicas": self.relays[1].url, "ldap.timeout": TIMEOUT_S,
                                          "ldap.connect_timeout": TIMEOUT_S, "ldap.replica_lag": 0}

    def add_nodes(self):
        """On a machine that is busy even an honest server may need more than the little time that it has here."""
        def added():
            try:
                CampaignCluster.add_nodes(self)
                return True
            except AssertionError:
                return False
        wait_until(added, "the nodes have entries", 180, every_s=0.5)

    def honest(self):
        for relay in self.relays:
            relay.changer = lambda: (lambda data: data)
            relay.cut()
            relay.mend()

    def lying(self, lies, seed, often):
        numbers = itertools.count()
        for relay in self.relays:
            relay.changer = lambda: Liar(f"{seed}/{next(numbers)}", lies, often)
            relay.cut()
            relay.mend()


@pytest.fixture(scope="module", params=["ldap", "guest"])
def cluster(request):
    folder = make_temp_folder()
    backends = Backends(folder, folder / "template")
    cluster = LiedTo(folder / "c", backends.template, [100000], accounts=request.param,
                     settings={"public.workers": WORKERS, "internal.workers": 2})
    try:
        yield cluster.start()
    finally:
        cluster.honest()
        bad = cluster.stop()
        cluster.keep_logs(f"lying-{request.param}")
        for relay in cluster.relays:
            relay.close()
    assert not bad, "\n".join(bad)


class Somebody:
    """An account that was made while all were honest, and one that may get no further than its name."""

    def __init__(self, cluster, salt, number):
        self.cluster, self.salt, self.number = cluster, salt, number
        self.access = cluster.issuer.access_token(f"sub-{salt}-{number}")
        self.name = name_of(number, salt)
        self.client = Storage11(cluster.directory, self.name, PASSWORD, f"user-{salt}{number}@example.com")
        if cluster.accounts == "guest":
            cluster.provider.add_person(self.name, PASSWORD)
        else:
            wait_until(lambda: self.client.register(expect=None).status in (200, 400), "he has an account", 120)
        self.home = wait_until(lambda: (r := self.client.node(expect=None)).status == 200 and r.text != "null" and r.text, "he has a node", 120)
        wait_until(lambda: self.token().status == 200, "he gets tokens", 120)

    def token(self, state="aaaa", k=1234, access=None):
        r = self.ask("GET", "/1.0/sync/1.5", [("Authorization", "Bearer " + (access or self.access)), ("X-KeyID", tokenserver.key_id(k, state))])
        tokenserver.check_promises(r, time.time())
        return r

    def ask(self, method, target, headers=(), body=None, server=None):
        """One request, one connection; an answer there must be."""
        connection = Connection("127.0.0.1", (server or self.cluster.directory).port, 180)
        try:
            return connection.request(method, target, headers, body)
        finally:
            connection.close()

    def user_api(self, method, rest="", body=None, name=None):
        r = self.ask(method, f"/user/1.0/{name or self.name}{rest}", [("Authorization", self.client.authorization())], body)
        if r.status != 500:  # documented too: what the server says cannot be
            check_promises(r)

    def everything(self, rnd):
        """Each thing that asks LDAP, in an order of chance. What it answers is checked for being an answer that is documented."""
        new = f"{rnd.getrandbits(40):x}"
        mail = f"user-{new}0@example.com"
        account = json.dumps({"password": PASSWORD, "email": mail}).encode()
        todo = [
            lambda: self.user_api("GET"), lambda: self.user_api("GET", "/node/weave"), lambda: self.user_api("GET", name="nobody"),
            lambda: self.user_api("PUT", "", account, name_of(0, new)), lambda: self.user_api("GET", "/node/weave", name=name_of(0, new)),
            lambda: self.user_api("POST", "/email", b"other@example.com"), lambda: self.user_api("POST", "/password", PASSWORD.encode()),
            self.token, lambda: self.token(access=self.cluster.issuer.access_token(new)),
            lambda: self.token(state=f"{rnd.randrange(16**4):04x}", k=int(time.time())),
            lambda: check_promises(self.ask("GET", f"/1.1/{self.name}/info/collections", [("Authorization", self.client.authorization(password="wrong"))],
                                            server=self.cluster.nodes[0])),
            lambda: self.internal("nodes"), lambda: self.internal("accounts?limit=5"), lambda: self.internal(f"accounts/{self.name}"),
            lambda: self.internal("erases"), lambda: self.ask("GET", "/__heartbeat__"),
        ]
        rnd.shuffle(todo)
        for one in todo:
            one()

    def internal(self, what):
        r = self.cluster.operate("GET", what, expect=None)
        assert r.status in INTERNAL, repr(r)
        for line in r.text.splitlines() if r.status == 200 else ():
            json.loads(line)


def answers_a_bind(path):
    """What comes back for an anonymous bind: tells a server that stands still from a relay that does, and both from a directory."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        try:
            s.connect(str(path))
            s.sendall(b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00")
            return s.recv(100)
        except OSError as failed:
            return failed


def is_well(cluster, somebody):
    """All that was right before is right again."""
    last = []

    def answers():
        last.clear()
        try:
            last.append(somebody.ask("GET", f"/user/1.0/{somebody.name}/node/weave"))
            last.append(somebody.token(access=cluster.issuer.access_token(os.urandom(8).hex())))
        except AssertionError as failed:
            last.append(failed)
        return [getattr(one, "status", None) for one in last] == [200, 200] and last[0].text == somebody.home
    try:
        wait_until(answers, "the service is back", 120)
    except NotInTime:
        servers = [(relay.connections, answers_a_bind(relay.path), answers_a_bind(relay.target)) for relay in cluster.relays]
        raise AssertionError(f"the service is not back: {somebody.name} of {somebody.home} was answered {last!r}; LDAP (connections, through the "
                             f"relay, without) {servers!r}") from None
    assert {d.running for d in cluster.directories} == {True}
    storage = Storage11(cluster.nodes[0], somebody.name, PASSWORD)
    wait_until(lambda: storage.get("/info/collections", expect=None).status == 200, "he signs in at his node", 120)


@pytest.mark.parametrize("lie", [*sorted(LIES), "all of them"])
def test_a_lying_server_gets_documented_errors_and_no_more(cluster, lie):
    seed = os.environ.get("HEDDLE_SEED") or str(random.SystemRandom().randrange(1 << 31))
    print(f"HEDDLE_SEED={seed}")
    rnd = random.Random(f"{seed}/{lie}/{cluster.accounts}")
    people = [Somebody(cluster, f"{rnd.getrandbits(32):x}", i) for i in range(THREADS)]
    cluster.lying(LIES if lie == "all of them" else [lie], f"{seed}/{lie}", rnd.choice((10, 40, 100)) if lie != "all of them" else 25)
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in range(ROUNDS if lie != "silence" else 1):
            list(pool.map(lambda p: p.everything(random.Random(rnd.getrandbits(64))), people))
    cluster.honest()
    for somebody in people:
        is_well(cluster, somebody)
    for relay in cluster.relays:
        most = len(cluster.directories) * (WORKERS + 2) * 3
        wait_until(lambda: relay.active <= most, f"{relay.active} connections, at most {most}", 120)
