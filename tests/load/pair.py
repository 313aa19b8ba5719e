#!/usr/bin/python3
"""A node of two processes beside one of a single process: tests/load/pair.py [--rounds N] [--seconds S] [SCENARIO …]

Both on the same MariaDB and Redis, each with a database of its own, asked in turn by the same generator. What carries over to other
machines are the ratios: two processes are there so that one can be replaced while the other serves, and must carry as much.
"""
import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from bench import RECORDS, USERS, measure, middle, say, set_up, spread  # noqa: E402
from servers import Machine, Node  # noqa: E402

ENGINE = "mysql+redis"


class Pair:
    """Two processes, measured as one subject."""

    def __init__(self, first, second):
        self.first, self.second, self.label = first, second, "two processes"
        self.port, self.url = first.port, first.url

    def pids(self):
        return {**self.first.pids(), "second": self.second.pid}


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


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    ap.add_argument("scenarios", nargs="*", default=["A", "B", "D", "E", "P"])
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--seconds", type=float, default=4)
    o = ap.parse_args()
    machine = Machine(say)
    try:
        subjects = start_both(machine)
        for subject in subjects:
            set_up(subject, USERS, RECORDS, o.scenarios)
        print("| | one process, req/s | two | two to one | errors |\n| --- | ---: | ---: | --- | ---: |")
        for scenario in o.scenarios:
            runs = [[measure(s, scenario, o.seconds, n) for s in (subjects if n % 2 else reversed(subjects))] for n in range(o.rounds)]
            rates = [{r["subject"]: r["rps"] for r in both} for both in runs]
            one, two = ([r[s.label] for r in rates] for s in subjects)
            errors = sum(r["errors"] for both in runs for r in both)
            print(f"| {scenario} | {middle(one):,.0f} | {middle(two):,.0f} | **{spread([b / a for a, b in zip(one, two)])}** | {errors} |", flush=True)
    finally:
        bad = machine.close()
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
