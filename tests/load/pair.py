#!/usr/bin/python3
"""A node of two processes beside one of a single process: tests/load/pair.py [--rounds N] [--seconds S] [--connections N] [SCENARIO …]

Both on the same MariaDB and Redis, each with a database of its own, asked in turn by the same generator. What carries over to other
machines are the ratios: two processes are there so that one can be replaced while the other serves, and must carry as much.

The generator has a core of its own, all servers the rest: where it has none, it takes turns with two processes and not with one, which stays on
another core, and that is what would be measured. Each scenario is asked for a while before it counts, since each process remembers items
for itself, and two take twice as many requests until they have all of them. Users are many enough that one's requests rarely meet: of 40 in turn they do as soon as somebody waits for a turn of the processor.
"""
import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from bench import CONNECTIONS, FIRST_UID, ask, middle, say, set_up, spread  # noqa: E402
from questions import Apart  # noqa: E402
from servers import Machine, Node  # noqa: E402

ENGINE = "mysql+redis"
USERS, RECORDS = 400, 100  # as many records as bench.py has: each process learns them for itself
WARM_S = 15


class Pair:
    """Two processes, measured as one subject."""

    def __init__(self, first, second):
        self.first, self.second, self.label = first, second, "two processes"
        self.port, self.url = first.port, first.url

    def pids(self):
        return {**self.first.pids(), "second": self.second.pid}

    @property
    def running(self):
        return self.first.running and self.second.running

    def log_tail(self):
        return f"{self.first.log_tail()}\n{self.second.log_tail()}"


class Second(Node):
    """Beside `first`, at its port."""

    def __init__(self, machine, first):
        shared = {k: first.settings[k] for k in ("public.listen", "public.reuse_port", "store.database", "cache.scope")}
        super().__init__(machine.folder / "second", ENGINE, machine.mariadb, machine.redis, shared, "second")
        self.port = first.port

    def ready(self):
        """Of this process: the port answers already."""
        log = Path(self.settings["log.file"])
        return log.exists() and '"event":"started"' in log.read_text()


def start_both(machine):
    single = machine.node(ENGINE, {}, "one process")
    first = machine.node(ENGINE, {"public.reuse_port": "yes"}, "first")
    second = Second(machine, first)
    machine.running.append(second)
    second.start()
    return single, Pair(first, second)


def measure(subject, scenario, seconds, seed, o, under):
    return ask(subject, scenario, seconds, users=USERS, records=RECORDS, connections=o.connections, seed=seed, under=under,
               more=("--first-uid", str(FIRST_UID.get(scenario, 1))))


def compare(o, machine, under):
    subjects = start_both(machine)
    for subject in subjects:
        set_up(subject, USERS, RECORDS, o.scenarios)
    print("| | one process, req/s | two | two to one | CPU, µs | two | errors |\n| --- | ---: | ---: | --- | ---: | ---: | ---: |")
    for scenario in o.scenarios:
        runs = {s.label: [] for s in subjects}
        for n in range(o.rounds + 1):
            for s in subjects if n % 2 else reversed(subjects):
                run = measure(s, scenario, o.seconds if n else WARM_S, n + 1, o, under)
                if n > 0:
                    runs[s.label].append(run)
        one, two = runs.values()
        rates, cpu = ([[r["rps"] for r in x] for x in (one, two)], [middle([sum(r["cpu_us"].values()) for r in x]) for x in (one, two)])
        errors = sum(r["requests"] - r["good"] + r["broken"] + r["unanswered"] for r in one + two)
        print(f"| {scenario} | {middle(rates[0]):,.0f} | {middle(rates[1]):,.0f} | **{spread([b / a for a, b in zip(*rates)])}** | {cpu[0]:.1f} | {cpu[1]:.1f} | {errors} |",
              flush=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    ap.add_argument("scenarios", nargs="*", default=["A", "B", "D", "E", "P"])
    ap.add_argument("--rounds", type=int, default=15)
    ap.add_argument("--connections", type=int, default=2 * CONNECTIONS, help="they are spread over both: each has as many then as bench.py gives to one")
    ap.add_argument("--seconds", type=float, default=1.3)
    o = ap.parse_args()
    with Apart() as apart:
        machine = Machine(say)
        try:
            compare(o, machine, apart.under)
        finally:
            bad = machine.close()
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
