#!/usr/bin/python3
"""./bootstrap bench directory: looking up where a known user lives, beside the search in LDAP alone that it stands on.

In one run, in turn, several rounds: the search (tests/load/ldap_floor.c), node/weave and the token endpoint with a valid access token,
each from the same number of connections. What carries over to other machines are the ratios.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]
os.environ.setdefault("HEDDLE_BUILD", "build/release")

from lib import slapd  # noqa: E402
from lib.cluster import Cluster  # noqa: E402
from lib.heddle import build_folder  # noqa: E402
from lib.processes import make_temp_folder  # noqa: E402
from lib.storage11 import Storage11  # noqa: E402
from lib.synccrypto import username_of  # noqa: E402

ACCOUNTS = 1000
MEASURED = ("LDAP search alone", "GET node/weave", "GET 1.0/sync/1.5")


class BenchCluster(Cluster):
    """One directory without replicas, and a node's entry; nobody serves there. Many accounts beside the one that is asked for."""

    def ldap_settings(self):
        return super().ldap_settings() | ({"ldap.replicas": None} if self.provider else {})

    def directory_settings(self, folder):
        return super().directory_settings(folder) | {"log.file": str(folder / "requests.log"), "public.workers": self.workers}

    workers = 16


class Subject:
    """A directory on one backend, and the account that is asked for."""

    def __init__(self, folder, accounts, connections):
        BenchCluster.workers = connections
        self.cluster = BenchCluster(folder, None, [], 1, accounts)
        self.cluster.start()
        self.cluster.admin("node", "add", "http://127.0.0.1:1", f"capacity={10 * ACCOUNTS}")
        email = "asked@example.com"
        self.user = Storage11(self.cluster.directory, username_of(email), "correct horse battery", email)
        for i in range(ACCOUNTS - 1):
            other = f"other{i}@example.com"
            Storage11(self.cluster.directory, username_of(other), "correct horse battery", other).register()
        self.user.register()
        self.user.node()
        self.access = self.cluster.issuer.access_token("f" * 32)
        self.label, self.connections = accounts, connections

    def pids(self):
        out = {"directory": self.cluster.directory.pid}
        return out | ({"slapd": self.cluster.provider.pid} if self.cluster.provider else {})

    def load(self, path, headers, seconds):
        command = [str(build_folder() / "bench" / "load"), "--host", "127.0.0.1", "--port", str(self.cluster.directory.port), "--scenario", "X",
                   "--path", path, *(a for h in headers for a in ("--header", h)), "--connections", str(self.connections),
                   "--seconds", str(seconds), "--warm", "0.3", *(a for n, p in self.pids().items() for a in ("--pid", f"{n}={p}"))]
        return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=seconds + 60).stdout)

    def search(self, seconds):
        dn = f"uid={self.user.name},ou=users,{self.cluster.base}"
        command = [str(build_folder() / "bench" / "ldap_floor"), self.cluster.provider.url, slapd.SERVICE_DN, slapd.SERVICE_PASSWORD, dn,
                   str(self.connections), str(seconds), f"slapd={self.cluster.provider.pid}"]
        return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=seconds + 60).stdout)

    def measure(self, what, seconds):
        if what == MEASURED[0]:
            return self.search(seconds)
        if what == MEASURED[1]:
            return self.load(f"/user/1.0/{self.user.name}/node/weave", [], seconds)
        return self.load("/1.0/sync/1.5", ["Authorization: Bearer " + self.access, "X-KeyID: 1234-qqo"], seconds)


def say(text):
    print(text, file=sys.stderr, flush=True)


def spread(values):
    return f"{statistics.median(values):.2f} [{min(values):.2f}–{max(values):.2f}]"


def table(runs):
    lines = ["| | on | req/s | **to the search alone** | p50 ms | p99 ms | CPU/request, µs: directory | slapd |",
             "| --- | --- | ---: | --- | ---: | ---: | ---: | ---: |"]
    floor = [r["rps"] for r in runs[("ldap", MEASURED[0])]]
    for (label, what), of in runs.items():
        def middle(get):
            return statistics.median(get(r) for r in of)
        cpu = [f"{middle(lambda r: r['cpu_us'].get(n, 0)):.0f}" if any(n in r["cpu_us"] for r in of) else "" for n in ("directory", "slapd")]
        ratio = spread([r["rps"] / f for r, f in zip(of, floor)])
        lines.append(f"| {what} | {label} | {middle(lambda r: r['rps']):,.0f} | **{ratio}** | {middle(lambda r: r['latency_us']['p50']) / 1000:.2f} | "
                     f"{middle(lambda r: r['latency_us']['p99']) / 1000:.2f} | {cpu[0]} | {cpu[1]} |")
    return "\n".join(lines)


def compare(o):
    folder = make_temp_folder()
    subjects, runs = [], {}
    try:
        for accounts in ("ldap", "sqlite"):
            say(f"setting up {ACCOUNTS} accounts in {accounts}")
            subjects.append(Subject(folder / accounts[:1], accounts, o.connections))
        plan = [(s, what) for s in subjects for what in MEASURED if s.label == "ldap" or what != MEASURED[0]]
        for number in range(o.rounds):
            turn = number % len(plan)
            for s, what in plan[turn:] + plan[:turn]:
                run = s.measure(what, o.seconds)
                runs.setdefault((s.label, what), []).append(run)
                say(f"round {number + 1} {s.label:<7} {what:<18} {run['rps']:>9,.0f}/s  p99 {run['latency_us']['p99'] / 1000:.2f} ms")
                if run["good"] != run["requests"]:
                    raise RuntimeError(f"{what}: {run}")
    finally:
        bad = [line for s in subjects for line in s.cluster.stop()]
        shutil.rmtree(folder, ignore_errors=True)
    runs = {key: runs[key] for key in ((s.label, w) for s, w in plan)}
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {time.strftime('%Y-%m-%d')}, {o.connections} connections, "
          f"{o.rounds} rounds of {o.seconds} s\n\n{table(runs)}")
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
