"""Clusters of the campaigns: two LDAP servers, two directories, nodes on SQLite; and load whose every outcome is counted."""
import collections
import http.client
import json
import threading
from types import SimpleNamespace

from lib import hawk
from lib.cluster import Cluster
from lib.processes import wait_until
from lib.relay import Relay
from lib.repeat import Repeated
from lib.synccrypto import username_of

PASSWORD = "correct horse battery"


class CampaignCluster(Cluster):
    """capacities: one number for each node. settings: of all directories. cut: the replica hears the provider through `relay`."""

    def __init__(self, folder, template, capacities, accounts="ldap", settings=None, node_settings=None, engine="sqlite+memory", cut=False):
        self.capacities, self.more, self.more_of_nodes = capacities, settings or {}, node_settings or {}
        self.cut, self.relay = cut, None
        super().__init__(folder, template, [engine] * len(capacities), 2, accounts)

    def capacity_of(self, number):
        return self.capacities[number]

    def make_slapd(self, name, provider=None):
        if provider and self.cut:
            self.relay = Relay(self.folder / "replication", provider.socket).open()
            provider = SimpleNamespace(url=self.relay.url)
        return super().make_slapd(name, provider=provider)

    def directory_settings(self, folder):
        return super().directory_settings(folder) | self.more

    def node_settings(self, folder):
        return self.more_of_nodes


class Ask:
    """One keep-alive connection to a server, one try for each request. (status, body, headers); status 0: the connection died."""

    def __init__(self, server, timeout_s=120):
        self.server, self.timeout_s, self.http = server, timeout_s, None

    def close(self):
        if self.http:
            self.http.close()
            self.http = None

    def __call__(self, method, target, headers=None, body=None):
        try:
            if self.http is None:
                self.http = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=self.timeout_s)
            self.http.request(method, target, body, headers or {})
            r = self.http.getresponse()
            content = r.read()
            if r.will_close:
                self.close()
            return r.status, content, {k.lower(): v for k, v in r.getheaders()}
        except (OSError, http.client.HTTPException):
            self.close()
            return 0, b"", {}


class AnyOf:
    """What a client behind a balancer sees of two directories: the next one when a connection dies."""

    def __init__(self, servers, first=0, timeout_s=120):
        self.asks = [Ask(s, timeout_s) for s in servers]
        self.at = first % len(servers)

    def __call__(self, *args, **kw):
        for _ in self.asks:
            answer = self.asks[self.at](*args, **kw)
            if answer[0] != 0:
                return answer
            self.at = (self.at + 1) % len(self.asks)
        return answer


def in_the_end(ask, *args):
    """Asked until the answer is no "come back later"."""
    return wait_until(lambda: (answer := ask(*args))[0] != 503 and answer, "another answer than 503", 120)


def name_of(number, salt=""):
    return username_of(f"user-{salt}{number}@example.com")


def register(ask, number, salt="", password=PASSWORD):
    body = json.dumps({"password": password, "email": f"user-{salt}{number}@example.com"}).encode()
    return ask("PUT", f"/user/1.0/{name_of(number, salt)}", body=body)


def node_of(ask, number, salt=""):
    return ask("GET", f"/user/1.0/{name_of(number, salt)}/node/weave")


def token_of(ask, issuer, sub, state="aaaa", k=1234, access=None):
    return ask("GET", "/1.0/sync/1.5", {"Authorization": "Bearer " + (access or issuer.access_token(sub)),
                                        "X-KeyID": f"{k}-{hawk.b64url_nopad(bytes.fromhex(state))}"})


class Load(Repeated):
    """Each step gives a word; words are counted."""

    def __init__(self, threads, step):
        super().__init__(threads, self._count)
        self.counts, self.lock, self.word_of = collections.Counter(), threading.Lock(), step

    def _count(self, number, count):
        word = self.word_of(number, count)
        with self.lock:
            self.counts[word] += 1

    def total(self):
        with self.lock:
            return sum(self.counts.values())

    def share(self, *words):
        with self.lock:
            return sum(self.counts[w] for w in words) / max(1, sum(self.counts.values()))
