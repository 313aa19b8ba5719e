#!/usr/bin/env python3
"""Runs the models: each must hold as it is, and must find the violation when a piece of its rule is taken out.

  run.py           the small bounds, some twenty seconds
  run.py --full    the large ones, many minutes
"""
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))

# (program, options, whether a violation must be found)
CASES = [
    ("cache_model.py", [], False),
    ("cache_model.py", ["--unmarked"], True),
    ("cache_model.py", ["--early"], True),
    ("cache_model.py", ["--late"], True),
    ("cache_model.py", ["--always"], True),
    ("move_model.py", [], False),
    ("move_model.py", ["--nodrop"], True),
    ("move_model.py", ["--nofence"], True),
    ("move_model.py", ["--confirm"], False),
    ("move_model.py", ["--confirm", "--trusting"], True),
]
FULL = [("cache_model.py", ["--full"], False), ("move_model.py", ["--full"], False)]


def main():
    failed = 0
    cases = CASES + (FULL if "--full" in sys.argv[1:] else [])
    for program, options, violates in cases:
        started = time.monotonic()
        done = subprocess.run([sys.executable, os.path.join(HERE, program), *options], capture_output=True, text=True)
        found = "VIOLATION" in done.stdout
        good = done.returncode == int(violates) and found == violates and not done.stderr
        failed += not good
        name = " ".join([program, *options])
        print(f"{'ok  ' if good else 'FAIL'} {name:<36} {'finds the violation' if violates else 'holds':<20} "
              f"{time.monotonic() - started:5.1f} s", flush=True)
        if not good:
            print(done.stdout, done.stderr, sep="\n")
    print(f"{len(cases) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
