#!/usr/bin/env python3
"""The cache's conformance suite over every driver, and a storm over a Redis that is killed, stopped, emptied, restarted, restored
from an old snapshot, and filled with things of the wrong type: no answer may be older than what had been answered before.

  run_cache.py [BUILD FOLDER or PROGRAM] [--storm SECONDS]

Starts a throw-away Redis on a unix socket in a folder of its own. HEDDLE_SEED chooses the course of the storm.
"""
import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests"))
from e2e.lib import processes  # noqa: E402


class Redis(processes.Redis):
    """Saves when it is asked, and starts with what was saved last."""

    def ask(self, *words):
        done = subprocess.run(["redis-cli", "-s", str(self.socket), *words], capture_output=True, text=True, timeout=60)
        return done.stdout.strip()


class Storm:
    """What befalls the Redis, one thing after another."""

    def __init__(self, redis, rng):
        self.redis, self.rng = redis, rng
        self.snapshot = os.path.join(redis.folder, "old.rdb")
        self.log, self.program = [], None

    def flush(self):
        self.redis.ask("FLUSHALL")

    def last(self, seconds):
        """What befalls it goes on for so long; not beyond the program's end."""
        try:
            self.program.wait(seconds)
        except subprocess.TimeoutExpired:
            pass

    def pause_for(self, seconds):
        self.redis.pause()
        self.last(seconds)
        self.redis.resume()

    def pause_briefly(self):
        self.pause_for(0.1)

    def pause(self):
        self.pause_for(0.7)  # longer than a command may take: late commands run when it goes on

    def kill_and_restart(self):
        self.redis.kill()
        self.last(self.rng.random())
        self.redis.start()

    def take_snapshot(self):
        self.redis.ask("SAVE")
        shutil.copy(os.path.join(self.redis.folder, "dump.rdb"), self.snapshot)

    def restore_snapshot(self):
        self.redis.kill()
        shutil.copy(self.snapshot, os.path.join(self.redis.folder, "dump.rdb"))
        self.redis.start()

    def plant_wrong_types(self):
        self.redis.ask("EVAL", "for _, k in ipairs(redis.call('KEYS', 'h:*')) do "
                               "redis.call('DEL', k) redis.call('RPUSH', k, 'x') end", "0")

    def cut_connections(self):
        self.redis.ask("CLIENT", "KILL", "TYPE", "normal")

    def refuse_writes(self):
        self.redis.ask("CONFIG", "SET", "maxmemory", "1")
        self.last(0.3)
        self.redis.ask("CONFIG", "SET", "maxmemory", "0")

    def rage(self, program, seconds, seed):
        worst = [self.flush, self.pause_briefly, self.pause, self.kill_and_restart, self.take_snapshot,
                 self.restore_snapshot, self.plant_wrong_types, self.cut_connections,
                 self.refuse_writes]
        self.program = subprocess.Popen([program, "storm", str(self.redis.socket), str(seconds), str(seed)],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.take_snapshot()
        end = time.monotonic() + seconds
        done = []
        while time.monotonic() < end:
            self.last(0.2 + 1.5 * self.rng.random())  # clients dial again at most once a second
            if self.program.poll() is not None:
                break
            if not done:
                done = self.rng.sample(worst, len(worst))
            thing = done.pop()
            self.log.append(thing.__name__)
            thing()
        out, err = self.program.communicate(timeout=120)
        return self.program.returncode, out, err


class Talk:
    """One process with a cache, told what to do."""

    def __init__(self, program, redis, scope):
        self.process = subprocess.Popen([program, "talk", str(redis.socket), scope], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1)

    def __call__(self, line):
        self.process.stdin.write(line + "\n")
        return self.process.stdout.readline().strip()

    def wait_until_healthy(self):
        processes.wait_until(lambda: self("healthy") == "yes", "a connection", 60, every_s=0.05)

    def close(self):
        self.process.stdin.close()
        self.process.wait(60)


def an_old_snapshot_is_an_empty_cache(redis, a, b, c):
    a("fill old")
    assert b("read") == "old"
    redis.ask("SAVE")
    snapshot = os.path.join(redis.folder, "dump.rdb")
    shutil.copy(snapshot, snapshot + ".old")
    a("write new")
    assert b("read") == "-"
    redis.kill()
    shutil.copy(snapshot + ".old", snapshot)
    redis.start()
    for process in (a, b, c):
        process.wait_until_healthy()
    assert redis.ask("KEYS", "h:*")  # it is there again …
    assert b("read") == "-" and c("read") == "-" and a("read") == "new"
    b("fill new")
    assert c("read") == "new"


def a_command_that_was_given_up_does_no_harm_when_it_runs_at_last(redis, a, b, c):
    for process in (a, b, c):
        process.wait_until_healthy()
    assert b("note") == "-"
    redis.pause()
    b("put old")  # waits in the socket of a Redis that stands still
    a("write new")
    redis.resume()
    for process in (b, c):
        process.wait_until_healthy()
    assert redis.ask("KEYS", "h:*")
    assert c("read") == "-" and b("read") == "-" and a("read") == "new"
    c("fill new")
    assert b("read") == "new"


def a_redis_that_is_away_is_no_trouble(redis, a, b, c):
    a("write one")
    redis.kill()
    assert a("read") == "one" and a("healthy") == "no"
    a("write two")
    assert a("read") == "two" and b("read") == "-"
    b("fill two")
    b("write three")
    assert a("read") == "-"
    redis.start()
    for process in (a, b, c):
        process.wait_until_healthy()
    a("fill three")
    assert c("read") == "three"


TALKS = [an_old_snapshot_is_an_empty_cache, a_command_that_was_given_up_does_no_harm_when_it_runs_at_last,
         a_redis_that_is_away_is_no_trouble]


def run_talks(program, redis, totals):
    for talk in TALKS:
        redis.ask("FLUSHALL")
        # A scope for each: the machine's claim of one may come back out of a snapshot, and another run of this has its own.
        processes = [Talk(program, redis, f"{talk.__name__}-{os.getpid()}") for _ in range(3)]
        for process in processes:
            process.wait_until_healthy()  # all have begun
        try:
            talk(redis, *processes)
            good = True
        except AssertionError:
            traceback.print_exc(file=sys.stdout)
            good = False
        for process in processes:
            process.close()
        print(f"{'ok  ' if good else 'FAIL'} {talk.__name__}", flush=True)
        totals[0 if good else 1] += 1


def run_suite(name, command, totals):
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    text = done.stdout + done.stderr
    passed = len(re.findall(r"^\[       OK \]", text, re.M))
    failed = len(set(re.findall(r"^\[  FAILED  \] ([a-z]\S+)$", text, re.M)))
    if done.returncode != 0 and failed == 0:
        failed = 1
    print(f"{name:<16} {passed} passed, {failed} failed (exit status {done.returncode})", flush=True)
    if failed:
        print(text)
    totals[0] += passed
    totals[1] += failed


def run_storm(program, redis, seconds, seed, totals):
    storm = Storm(redis, random.Random(seed))
    status, out, err = storm.rage(program, seconds, seed)
    counts = {k: int(v) for k, v in re.findall(r"(\w+)=(\d+)", out)}
    good = status == 0 and counts.get("stale") == 0
    # A cache that never answers would pass otherwise.
    alive = counts.get("hits", 0) * 20 > counts.get("reads", 1) and counts.get("writes", 0) > 100
    print(f"storm (seed {seed}): {out.strip()}; {', '.join(storm.log)}", flush=True)
    if not good or not alive:
        print(f"exit status {status}", err[-4000:], "" if alive else "too few answers came from the cache", sep="\n")
    totals[0 if good and alive else 1] += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", nargs="?", default=os.path.join(ROOT, "build", "debug"))
    parser.add_argument("--storm", type=int, default=25, metavar="SECONDS")
    options = parser.parse_args()
    program = options.build if os.path.isfile(options.build) else os.path.join(options.build, "conformance_cache")
    program = os.path.abspath(program)
    seed = int(os.environ.get("HEDDLE_SEED") or 1) % 2**31
    totals = [0, 0]

    run_suite("none", [program, "suite", "none"], totals)
    run_suite("memory", [program, "suite", "memory"], totals)
    with tempfile.TemporaryDirectory(prefix="heddle-cache-") as folder:
        redis = Redis(folder).start()
        try:
            run_suite("redis", [program, "suite", "redis", str(redis.socket)], totals)
            run_suite("redis and heads", [program, "suite", "redis", str(redis.socket), "heads"], totals)
            run_talks(program, redis, totals)
            run_storm(program, redis, options.storm, seed, totals)
        finally:
            redis.kill()
    print(f"{totals[0]} passed, {totals[1]} failed")
    return 1 if totals[1] else 0


if __name__ == "__main__":
    sys.exit(main())
