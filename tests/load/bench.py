#!/usr/bin/python3
"""./bootstrap bench [SCENARIO …]: the product beside the least work possible, in one run.

Product and floor (tests/load/floor.h) get the same requests from the same generator (tests/load/work.h), one after another, in
turn, several rounds; what carries over to other machines are the ratios. Databases lie on a disk and confirm nothing that a
power cut would take. With --smoke: less than a minute, processor time alone, bounds instead of figures; ends in "N passed, N failed".
"""
import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import plot  # noqa: E402
from servers import BUILD, SECRET, Machine, NotOnDisk  # noqa: E402

ENGINES = ("mysql+memory", "mysql+redis", "sqlite+memory")
SCENARIOS = {
    "A": "GET info/collections", "B": "POST 100 records", "C": "GET 1,000 records", "D": "GET one record", "E": "PUT one record",
    "F": "a session of Mozilla's load test", "P": "a production node's day",
}
USERS, RECORDS, PAYLOAD, CONNECTIONS = 40, 1000, 256, 16
# Sessions delete, and a node's day grows collections: both have users of their own.
FIRST_UID = {"F": 100001, "P": 200001}

# Processor time of a request, product to floor: what a smoke run lets pass. Quiet machines stay far below (docs/performance.md);
# a shared one spreads, and a regression that matters (a cache that no longer answers, a second transaction) goes beyond.
SMOKE_BOUNDS = {
    "mysql+memory": {"A": 0.9, "B": 2.2, "D": 2.2, "E": 2.2},
    "sqlite+memory": {"A": 0.9, "B": 2.2, "D": 1.8, "E": 2.2},
}


def say(text):
    print(text, file=sys.stderr, flush=True)


def floor_of(engine):
    return engine.partition("+")[0]


def ask(subject, scenario, seconds, *, users=USERS, records=RECORDS, warm=0.3, seed=1, connections=CONNECTIONS, more=(), under=()):
    """One run of the generator, under a command that changes how it runs; its JSON."""
    command = [*under, str(BUILD / "bench" / "load"), "--host", "127.0.0.1", "--port", str(subject.port), "--node", subject.url,
               "--secret", SECRET, "--scenario", scenario, "--users", str(users), "--records", str(records),
               "--payload", str(PAYLOAD), "--connections", str(connections), "--seconds", str(seconds), "--warm", str(warm),
               "--seed", str(seed), *(a for n, p in subject.pids().items() for a in ("--pid", f"{n}={p}")), *more]
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=seconds + warm + 120)
    if not subject.running:
        raise RuntimeError(f"{subject.label} ended by itself: {subject.log_tail()}")
    done.check_returncode()
    return json.loads(done.stdout)


def set_up(subject, users, records, scenarios):
    for scenario in {FIRST_UID.get(s, 1) for s in scenarios}:
        run = ask(subject, "S", 300, users=users, records=records, warm=0, more=("--first-uid", str(scenario)))
        if not run["complete"] or run["good"] != run["requests"] or run["broken"]:
            raise RuntimeError(f"{subject.label}: its data could not be set up: {run}")


def measure(subject, scenario, seconds, round_number, users=USERS, records=RECORDS, warm=0.3):
    run = ask(subject, scenario, seconds, users=users, records=records, warm=warm, seed=round_number + 1,
              more=("--first-uid", str(FIRST_UID.get(scenario, 1))))
    run |= {"subject": subject.label, "round": round_number, "cpu_us_all": sum(run["cpu_us"].values()),
            "errors": run["requests"] - run["good"] + run["broken"] + run["unanswered"]}
    return run


# ---- the table ----

def middle(values):
    return statistics.median(values)


def spread(values, digits=2):
    return f"{middle(values):.{digits}f} [{min(values):.{digits}f}–{max(values):.{digits}f}]"


def paired(runs, subject, scenario, key):
    """Product to floor, round by round."""
    mine = {r["round"]: key(r) for r in runs if r["subject"] == subject and r["scenario"] == scenario}
    floor = {r["round"]: key(r) for r in runs if r["subject"] == f"floor {floor_of(subject)}" and r["scenario"] == scenario}
    return [mine[n] / floor[n] for n in sorted(mine) if n in floor and floor[n] > 0]


def of(runs, subject, scenario, key):
    return [key(r) for r in runs if r["subject"] == subject and r["scenario"] == scenario]


def summary(runs, engines, scenarios):
    """What the table, the JSON and the pictures show."""
    rows = []
    for engine in engines:
        floor = f"floor {floor_of(engine)}"
        for scenario in scenarios:
            if not of(runs, engine, scenario, lambda r: 1):
                continue
            latency = {p: middle(of(runs, engine, scenario, lambda r: r["latency_us"][p])) for p in ("p50", "p99", "p99.9")}
            rows.append({
                "engine": engine, "scenario": scenario,
                "rps": of(runs, engine, scenario, lambda r: r["rps"]), "floor_rps": of(runs, floor, scenario, lambda r: r["rps"]),
                "ratio": paired(runs, engine, scenario, lambda r: r["rps"]),
                "cpu_us": of(runs, engine, scenario, lambda r: r["cpu_us_all"]),
                "cpu_ratio": paired(runs, engine, scenario, lambda r: r["cpu_us_all"]),
                "latency_us": latency, "floor_p99_us": middle(of(runs, floor, scenario, lambda r: r["latency_us"]["p99"])),
                "memory_kb": max(of(runs, engine, scenario, lambda r: r["memory_kb"]["server"]["now"])),
                "errors": sum(of(runs, engine, scenario, lambda r: r["errors"])),
                "floor_errors": sum(of(runs, floor, scenario, lambda r: r["errors"])),
            })
    return rows


def table(rows):
    lines = ["| | | req/s | floor's | **ratio** | CPU/request, µs | **ratio** | p50 ms | p99 | p99.9 | floor's p99 | MiB | errors |",
             "| --- | --- | ---: | ---: | --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for r in rows:
        ms = [f"{r['latency_us'][p] / 1000:.2f}" for p in ("p50", "p99", "p99.9")] + [f"{r['floor_p99_us'] / 1000:.2f}"]
        lines.append(f"| {r['engine']} | {r['scenario']} | {middle(r['rps']):,.0f} | {middle(r['floor_rps']):,.0f} | "
                     f"**{spread(r['ratio'])}** | {middle(r['cpu_us']):,.0f} | **{spread(r['cpu_ratio'])}** | {' | '.join(ms)} | "
                     f"{r['memory_kb'] / 1024:.0f} | {r['errors']}{'+' + str(r['floor_errors']) if r['floor_errors'] else ''} |")
    return "\n".join(lines)


def machine_facts(disk):
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    return {"cores": os.cpu_count(), "processor": model, "kernel": platform.release(), "disk": disk,
            "load_before": os.getloadavg()[0], "time": int(time.time())}


# ---- the runs ----

def compare(options):
    machine = Machine(say)
    runs, facts = [], machine_facts(machine.disk)
    try:
        say(f"databases in {machine.folder} ({machine.disk}); {facts['cores']} cores, load {facts['load_before']:.1f}")
        subjects = [machine.floor(f) for f in dict.fromkeys(floor_of(e) for e in options.engines)]
        subjects += [machine.node(e, dict(s.split("=", 1) for s in options.set)) for e in options.engines]
        for s in subjects:
            say(f"setting up {s.label}")
            set_up(s, options.users, RECORDS, options.scenarios)
        for scenario in options.scenarios:
            for number in range(options.rounds):
                turn = number % len(subjects)  # who comes first has an advantage or not: everybody does once
                for s in subjects[turn:] + subjects[:turn]:
                    run = measure(s, scenario, options.seconds, number, users=options.users)
                    runs.append(run)
                    say(f"{scenario} round {number + 1} {s.label:<14} {run['rps']:>9,.0f}/s  {run['cpu_us_all']:>8.1f} µs CPU  "
                        f"p99 {run['latency_us']['p99'] / 1000:.2f} ms" + (f"  {run['errors']} ERRORS {run['status']}" if run["errors"] else ""))
    finally:
        bad = machine.close()
    rows = summary(runs, options.engines, options.scenarios)
    print(table(rows))
    if options.json:
        Path(options.json).write_text(json.dumps({"machine": facts, "rows": rows, "runs": runs}, indent=1))
    if options.plot:
        for path in plot.write(rows, Path(options.plot)):
            say(f"wrote {path}")
    for b in bad:
        say(b)
    return 1 if bad or any(r["errors"] for r in rows) else 0


def exceeded(runs, engine, scenario, subject=None):
    """Why a smoke run says no; None: it does not. The cheapest round of either is compared: what else a machine does only ever adds to it."""
    label = subject or engine
    mine, floor = ([us for us in of(runs, s, scenario, lambda r: r["cpu_us_all"]) if us > 0] for s in (label, f"floor {floor_of(engine)}"))
    if not mine or not floor:
        return "nothing was measured"
    errors = sum(of(runs, label, scenario, lambda r: r["errors"]))
    if errors:
        return f"{errors} requests failed"
    ratio, bound = min(mine) / min(floor), SMOKE_BOUNDS[engine][scenario]
    return f"{ratio:.2f} times the floor's CPU, at most {bound} is let pass" if ratio > bound else None


def refused_falsely(machine, users, records, seconds):
    """Why not all of so many requests a second were answered by a node that remembers each signature (auth.strict); None, and the rate: they were.
    No nonce of the generator comes twice: another seed is another row of them."""
    strict = machine.node("sqlite+memory", {"auth.strict": "yes"}, label="strict")
    set_up(strict, users, records, "A")
    run = ask(strict, "A", seconds, users=users, records=records, seed=77)
    wrong = run["requests"] - run["good"] + run["broken"]
    return (f"{wrong} of {run['requests']} were not: {run['status']}" if wrong else None), run["rps"]


def smoke():
    machine = Machine(say)
    runs, results = [], []
    users, records, seconds = 16, 300, 0.5
    try:
        subjects = {f"floor {e}": machine.floor(e) for e in dict.fromkeys(floor_of(e) for e in SMOKE_BOUNDS)}
        subjects |= {e: machine.node(e) for e in SMOKE_BOUNDS}
        slow = machine.node("mysql+none", label="planted")  # a node that has lost its cache
        for s in (*subjects.values(), slow):
            set_up(s, users, records, "A")
        for number in range(9):
            if number >= 3 and not any(exceeded(runs, e, scenario) for e, bounds in SMOKE_BOUNDS.items() for scenario in bounds):
                break
            for scenario in "ABDE":
                runs += [measure(s, scenario, seconds, number, users, records, 0.1) for s in subjects.values()]
            runs.append(measure(slow, "A", seconds, number, users, records, 0.1))
        refused, rate = refused_falsely(machine, users, records, 2 * seconds)
    finally:
        bad = machine.close()
    for engine, bounds in SMOKE_BOUNDS.items():
        for scenario in bounds:
            why = exceeded(runs, engine, scenario)
            ratio = paired(runs, engine, scenario, lambda r: r["cpu_us_all"])
            results.append((why is None, f"{engine} {scenario}: CPU {spread(ratio)} of the floor's" + (f": {why}" if why else "")))
    why = exceeded(runs, "mysql+memory", "A", "planted")
    results.append((why is not None and "times the floor" in why, f"a planted slow-down is found: {why}"))
    results.append((refused is None, f"of {rate:,.0f} requests a second none is taken for a replay" + (f": {refused}" if refused else "")))
    results += [(False, b) for b in bad]
    for good, text in results:
        print(f"{'ok  ' if good else 'FAIL'}  {text}")
    failed = sum(not good for good, _ in results)
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0


def main():
    ap = argparse.ArgumentParser(prog="./bootstrap bench", description=__doc__.split("\n", 1)[0],
                                 epilog="; ".join(f"{k}: {v}" for k, v in SCENARIOS.items()))
    ap.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"of {' '.join(SCENARIOS)} (default: all)")
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--seconds", type=float, default=5, help="of each run")
    ap.add_argument("--users", type=int, default=USERS)
    ap.add_argument("--engines", default=",".join(ENGINES), help=f"some of {', '.join(ENGINES)}")
    ap.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the product (repeatable)")
    ap.add_argument("--smoke", action="store_true", help="a minute: only whether the processor time stays in bounds")
    ap.add_argument("--json", metavar="FILE", help="write everything that was measured")
    ap.add_argument("--plot", metavar="FOLDER", nargs="?", const="build/bench", help="write pictures (SVG; default build/bench)")
    o = ap.parse_args()
    o.engines = o.engines.split(",")
    o.scenarios = [s for word in o.scenarios or ["".join(SCENARIOS)] for s in word.upper()]
    if set(o.engines) - set(ENGINES) or set(o.scenarios) - set(SCENARIOS) or o.rounds < 1 or not 0.1 <= o.seconds <= 600:
        ap.error("no such scenario or engine, or no rounds, or seconds outside 0.1 … 600")
    try:
        return smoke() if o.smoke else compare(o)
    except NotOnDisk as e:
        say(str(e))
        return 2


if __name__ == "__main__":
    sys.exit(main())
