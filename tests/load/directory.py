#!/usr/bin/python3
"""./bootstrap bench directory: telling where a known user lives, beside the least work for it.

In one run, in turn, several rounds, from the same number of connections: the search in LDAP alone (tests/load/ldap_search.c), the least-work
directory (tests/load/lookup_floor.c: HTTP and one search; for a token also the access token's signature, and making the token), and Heddle's
node/weave and token endpoint: asking LDAP each time (directory.remember = 0), for users asked for again, and on SQLite. What carries
over to other machines are the ratios to the least-work directory.
"""
import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]
os.environ.setdefault("HEDDLE_BUILD", "build/release")

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: E402

from lib import slapd  # noqa: E402
from lib.cluster import Cluster  # noqa: E402
from lib.heddle import DOMAIN, build_folder  # noqa: E402
from lib.processes import free_port, make_temp_folder, wait_until  # noqa: E402
from lib.storage11 import Storage11  # noqa: E402
from lib.synccrypto import username_of  # noqa: E402

ACCOUNTS = 1000
NODE = "http://127.0.0.1:1"  # nobody serves there
WEAVE, TOKEN = "GET node/weave", "GET 1.0/sync/1.5"


class BenchCluster(Cluster):
    """Without replicas, and with a node's entry. The second directory remembers nobody."""

    workers = 16

    def ldap_settings(self):
        return super().ldap_settings() | ({"ldap.replicas": None} if self.provider else {})

    def directory_settings(self, folder):
        values = super().directory_settings(folder) | {"log.file": str(folder / "requests.log"), "public.workers": self.workers}
        return values | ({"directory.remember": 0} if folder.name == "d1" else {})


def is_open(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


class Floor:
    """The least-work directory beside those of a cluster."""

    def __init__(self, cluster):
        self.port = free_port()
        pem = cluster.folder / "issuer.pem"
        pem.write_bytes(cluster.issuer.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        self.process = subprocess.Popen([str(build_folder() / "bench" / "lookup_floor"), cluster.provider.url, slapd.SERVICE_DN,
                                         slapd.SERVICE_PASSWORD, f"ou=users,{cluster.base}", str(self.port), str(pem), cluster.secret, NODE, DOMAIN])
        self.pid = self.process.pid
        wait_until(lambda: is_open(self.port), "the floor listens", 10)

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


class Subject:
    """Directories on one backend, and the account that is asked for."""

    def __init__(self, folder, accounts, connections):
        BenchCluster.workers = connections
        self.cluster = BenchCluster(folder, None, [], 2 if accounts == "ldap" else 1, accounts)
        self.cluster.start()
        self.cluster.admin("node", "add", NODE, f"capacity={10 * ACCOUNTS}")
        email = "asked@example.com"
        self.user = Storage11(self.cluster.directory, username_of(email), "correct horse battery", email)
        for i in range(ACCOUNTS - 1):
            other = f"other{i}@example.com"
            Storage11(self.cluster.directory, username_of(other), "correct horse battery", other).register()
        self.user.register()
        self.user.node()
        self.access = self.cluster.issuer.access_token("f" * 32)
        self.token_headers = ["Authorization: Bearer " + self.access, "X-KeyID: 1234-qqo"]
        self.connections = connections
        self.load(self.cluster.directory, "/1.0/sync/1.5", self.token_headers, 1)  # makes his account
        self.floor = Floor(self.cluster) if accounts == "ldap" else None

    def load(self, server, path, headers, seconds):
        pids = {"server": server.pid} | ({"slapd": self.cluster.provider.pid} if self.cluster.provider else {})
        command = [str(build_folder() / "bench" / "load"), "--host", "127.0.0.1", "--port", str(server.port), "--scenario", "X",
                   "--path", path, *(a for h in headers for a in ("--header", h)), "--connections", str(self.connections),
                   "--seconds", str(seconds), "--warm", "0.3", *(a for n, p in pids.items() for a in ("--pid", f"{n}={p}"))]
        return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=seconds + 60).stdout)

    def search(self, seconds):
        command = [str(build_folder() / "bench" / "ldap_search"), self.cluster.provider.url, slapd.SERVICE_DN, slapd.SERVICE_PASSWORD,
                   f"ou=users,{self.cluster.base}", self.user.name, str(self.connections), str(seconds), str(self.cluster.provider.pid)]
        return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=seconds + 60).stdout)

    def weave(self, server, seconds):
        return self.load(server, f"/user/1.0/{self.user.name}/node/weave", [], seconds)

    def token(self, server, seconds):
        return self.load(server, "/1.0/sync/1.5", self.token_headers, seconds)

    def plan(self):
        """(what, how, which floor's row it is held against, run)."""
        first, *more = self.cluster.directories
        if not self.floor:
            return [(WEAVE, "SQLite", WEAVE, lambda s: self.weave(first, s)), (TOKEN, "SQLite", TOKEN, lambda s: self.token(first, s))]
        return [("LDAP search alone", "", None, self.search),
                (WEAVE, "floor", None, lambda s: self.load(self.floor, f"/weave/{self.user.name}", [], s)),
                (TOKEN, "floor", None, lambda s: self.load(self.floor, "/token", self.token_headers, s)),
                (WEAVE, "LDAP, nothing remembered", WEAVE, lambda s: self.weave(more[0], s)),
                (TOKEN, "LDAP, nothing remembered", TOKEN, lambda s: self.token(more[0], s)),
                (WEAVE, "LDAP, asked for again", WEAVE, lambda s: self.weave(first, s)),
                (TOKEN, "LDAP, asked for again", TOKEN, lambda s: self.token(first, s))]

    def stop(self):
        if self.floor:
            self.floor.stop()
        return self.cluster.stop()


def say(text):
    print(text, file=sys.stderr, flush=True)


def spread(values):
    return f"{statistics.median(values):.2f} [{min(values):.2f}–{max(values):.2f}]"


def table(rows, runs):
    """rows: (what, how, floor), in their order; runs: by (what, how)."""
    lines = ["| | | req/s | **to the floor** | p50 ms | p99 ms | CPU/request, µs: server | slapd |",
             "| --- | --- | ---: | --- | ---: | ---: | ---: | ---: |"]
    for what, how, floor in rows:
        of = runs[(what, how)]

        def middle(get):
            return statistics.median(get(r) for r in of)

        cpu = [f"{middle(lambda r: r['cpu_us'].get(n, 0)):.0f}" if any(n in r["cpu_us"] for r in of) else "" for n in ("server", "slapd")]
        ratio = f"**{spread([r['rps'] / f['rps'] for r, f in zip(of, runs[(floor, 'floor')])])}**" if floor else ""
        lines.append(f"| {what} | {how} | {middle(lambda r: r['rps']):,.0f} | {ratio} | {middle(lambda r: r['latency_us']['p50']) / 1000:.2f} | "
                     f"{middle(lambda r: r['latency_us']['p99']) / 1000:.2f} | {cpu[0]} | {cpu[1]} |")
    return "\n".join(lines)


def compare(o):
    folder = make_temp_folder()
    subjects, runs = [], {}
    try:
        for accounts in ("ldap", "sqlite"):
            say(f"setting up {ACCOUNTS} accounts in {accounts}")
            subjects.append(Subject(folder / accounts[:1], accounts, o.connections))
        plan = [row for s in subjects for row in s.plan()]
        for number in range(o.rounds):
            turn = number % len(plan)
            for what, how, _, measure in plan[turn:] + plan[:turn]:
                run = measure(o.seconds)
                runs.setdefault((what, how), []).append(run)
                say(f"round {number + 1} {what:<18} {how:<25} {run['rps']:>9,.0f}/s  p99 {run['latency_us']['p99'] / 1000:.2f} ms")
                if run["good"] != run["requests"] or run["good"] == 0:
                    raise RuntimeError(f"{what}, {how}: {run}")
    finally:
        bad = [line for s in subjects for line in s.stop()]
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {time.strftime('%Y-%m-%d')}, {o.connections} connections, "
          f"{o.rounds} rounds of {o.seconds} s\n\n{table([row[:3] for row in plan], runs)}")
    for line in bad:
        say(line)
    return 1 if bad else 0


def main():
    ap = argparse.ArgumentParser(prog="./bootstrap bench directory", description=__doc__.split("\n", 1)[0])
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--seconds", type=int, default=5, help="of each run")
    ap.add_argument("--connections", type=int, default=16)
    o = ap.parse_args()
    if not (1 <= o.rounds <= 100 and 1 <= o.seconds <= 600 and 1 <= o.connections <= 128):
        ap.error("rounds must be 1 to 100, seconds 1 to 600, connections 1 to 128")
    return compare(o)


if __name__ == "__main__":
    sys.exit(main())
