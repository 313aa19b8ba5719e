#!/usr/bin/python3
"""What a cluster would have to do: lookups, tokens, LDAP writes, pulses and balancer routes of many nodes and users, from a simulated day.

    tests/load/capacity.py [--nodes 1000] [--users 100000000] [--node-rps N] [--json FILE]

A sample of users lives through a day (and a day before it, so that tokens and sessions are there): devices are switched on along the
hours of a day, sync at Firefox's intervals, hold their token for its life, and ask for another when it is over. Counts of the sample are
scaled up; the busiest of 96 quarters of an hour is shown, since that is what must be carried. Where a number is not simulated but
assumed, it stands in ASSUMED with its reason. docs/capacity.md says what follows.
"""
import argparse
import heapq
import json
import math
import random

# Firefox's own settings (services/sync: services.sync.scheduler.*): seconds between syncs.
ACTIVE_S, IDLE_S, SINGLE_S = 600, 3600, 3600

ASSUMED = {
    "devices of a user": {1: 0.60, 2: 0.28, 3: 0.09, 4: 0.03},      # most users have one device; several are why people sync
    "hours a device is on": 8.0,                                     # around a time of day of its own
    "share of that in use": 0.35,                                    # the rest is idle
    "requests of a sync": 1 / 0.34,                                  # P: a third of a production node's requests is info/collections
    "token life, s": 3600,                                           # tokens.life
    "users on Sync 1.1": 0.02,                                       # Pale Moon and the like
    "lookups of a 1.1 user a day": 2,                                # node/weave: at the start of a session
    "new users a year": 0.25,                                        # of all
    "record changes of a user a year": 1.5,                          # new keys, a new client state, a password: each a write
    "users moved a day": 0.001,                                      # two writes each: owner and epoch, and the erase when it is done
    "directories": 4, "processes a node": 2, "pulses a second": 4,   # node.pulse 250 ms, to every directory process
    "bytes of a route": 72,                                          # name and node in a balancer's map, and what its tree adds
}

# What one of each carries, a second, on two cores. Other machines: --node-rps and the like.
CARRIES = {
    "node, P": 6500,               # docs/performance.md, of a machine busy with other work
    "directory, tokens": 8000,     # an estimate: RS256 (some 30 µs), an LDAP search, the token; both cores
    "LDAP, searches": 26300,       # by uid, end to end, one server
    "LDAP, writes": 500,           # an estimate: durable, one provider; replicas do not add to it
    "directory, pulses": 6600,     # 0.15 ms of the processor each (docs/internal-api.md); one of the two cores
}


def parse():
    ap = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    ap.add_argument("--nodes", type=int, default=1000)
    ap.add_argument("--users", type=int, default=100_000_000)
    ap.add_argument("--sample", type=int, default=20000, help="users that are simulated")
    ap.add_argument("--node-rps", type=float, default=CARRIES["node, P"], help="requests/s of the mix P that one node carries")
    ap.add_argument("--directories", type=int, default=ASSUMED["directories"])
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--json", metavar="FILE")
    return ap.parse_args()


def devices_of(rng):
    at, total = rng.random(), 0.0
    for n, share in ASSUMED["devices of a user"].items():
        total += share
        if at < total:
            return n
    return max(ASSUMED["devices of a user"])


def peak_hour(rng):
    """People's days are alike, shifted by where they live: two continents carry most of it."""
    return rng.gauss(20.0 if rng.random() < 0.6 else 5.0, 4.0) % 24


def on_at(device, second):
    distance = abs((second / 3600 - device["hour"] + 12) % 24 - 12)
    return distance < device["hours"] / 2


def simulate(o):
    """Events of the sample in quarters of an hour of the second day: syncs and token requests."""
    rng = random.Random(o.seed)
    quarter = [{"syncs": 0, "tokens": 0, "devices on": 0} for _ in range(96)]
    due = []
    for user in range(o.sample):
        several = devices_of(rng)
        for _ in range(several):
            d = {"hour": peak_hour(rng), "hours": ASSUMED["hours a device is on"] * rng.uniform(0.4, 1.6), "token": -math.inf,
                 "single": several == 1}
            heapq.heappush(due, (rng.uniform(0, 3600), rng.random(), d))
    while due:
        t, _, d = heapq.heappop(due)
        if t >= 2 * 86400:
            continue
        if not on_at(d, t % 86400):
            heapq.heappush(due, (t + rng.uniform(300, 900), rng.random(), d))  # looked at again: it may have been switched on
            continue
        slot = quarter[int(t % 86400 // 900)] if t >= 86400 else None
        if t - d["token"] >= ASSUMED["token life, s"]:
            d["token"] = t
            if slot:
                slot["tokens"] += 1
        if slot:
            slot["syncs"] += 1
        active = rng.random() < ASSUMED["share of that in use"]
        gap = SINGLE_S if d["single"] else ACTIVE_S if active else IDLE_S
        heapq.heappush(due, (t + gap * rng.uniform(0.95, 1.05), rng.random(), d))
    return quarter


def rates(o, quarter):
    scale = o.users / o.sample / 900
    syncs = max(q["syncs"] for q in quarter) * scale
    tokens = max(q["tokens"] for q in quarter) * scale
    mean = sum(q["syncs"] for q in quarter) / 96 * scale
    legacy = o.users * ASSUMED["users on Sync 1.1"]
    lookups = legacy * ASSUMED["lookups of a 1.1 user a day"] / 86400 * (syncs / mean)
    writes = o.users * ((ASSUMED["new users a year"] + ASSUMED["record changes of a user a year"]) / 365 + 2 * ASSUMED["users moved a day"]) / 86400
    writes *= syncs / mean
    pulses = o.nodes * ASSUMED["processes a node"] * ASSUMED["pulses a second"]
    requests = syncs * ASSUMED["requests of a sync"]
    return {
        "syncs/s, mean": mean, "syncs/s, busiest": syncs,
        "storage requests/s": requests, "of one node": requests / o.nodes, "users of one node": o.users / o.nodes,
        "tokens/s": tokens, "lookups/s": lookups, "LDAP searches/s": tokens + lookups, "LDAP writes/s": writes,
        "pulses/s at each directory": pulses,
        "balancer routes": legacy, "MiB of routes": legacy * ASSUMED["bytes of a route"] / 2 ** 20,
    }


def burdens(o, r):
    """How much of what it can carry each part is asked for, with so many of it; above 1 it is too little."""
    return {
        f"storage: {o.nodes:,} nodes": r["storage requests/s"] / (o.nodes * o.node_rps),
        f"tokens: {o.directories} directories": r["tokens/s"] / (o.directories * CARRIES["directory, tokens"]),
        f"LDAP searches: a replica beside each of {o.directories} directories": r["LDAP searches/s"] / (o.directories * CARRIES["LDAP, searches"]),
        "LDAP writes: one provider": r["LDAP writes/s"] / CARRIES["LDAP, writes"],
        "pulses: each directory hears every node": r["pulses/s at each directory"] / CARRIES["directory, pulses"],
    }


def main():
    o = parse()
    r = rates(o, simulate(o))
    b = burdens(o, r)
    print("| what | at the busiest quarter of an hour |\n| --- | ---: |")
    for name, value in r.items():
        print(f"| {name} | {value:,.0f} |" if value >= 10 else f"| {name} | {value:,.2f} |")
    print("\n| part | used of what it carries |\n| --- | ---: |")
    for name, share in sorted(b.items(), key=lambda i: -i[1]):
        print(f"| {name} | {share:.0%} |")
    name, share = max(b.items(), key=lambda i: i[1])
    print(f"\nFirst bottleneck: {name} ({share:.0%}).")
    if o.json:
        with open(o.json, "w", encoding="utf-8") as f:
            json.dump({"rates": r, "used": b, "assumed": {k: str(v) for k, v in ASSUMED.items()}, "carries": CARRIES}, f, indent=1)


if __name__ == "__main__":
    main()
