#!/usr/bin/python3
"""Runs every part of the tests and ends with "N passed, N failed".

A part is one command. It declares how many of the machine's processor slots it wants, and which builds it needs; parts that fit
run side by side. Some want nothing beside them, since they measure time; others take no slot: they mostly wait, or have only what the processors
have left over. What a part prints goes to build/test-logs/<part>.log; its counts are read from its own closing line ("N passed, N failed",
or pytest's or ctest's). A part that exits non-zero without a failed count, or without having run anything, counts as one failure.
"""
import argparse
import os
import random
import re
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OUT = os.path.join(ROOT, 'build', 'test-logs')
PY = '/usr/bin/python3'
SLOTS = max(2, os.cpu_count() or 2)
SIDE_BY_SIDE = '3'  # end-to-end tests: each waits for its servers for a third of the time or more


class Part:
    def __init__(self, name, command, slots=1, builds=(), full_only=False, env=None, timeout=3600, alone=False):
        self.name, self.command, self.slots, self.builds = name, command, slots, builds
        self.full_only, self.env, self.timeout, self.alone = full_only, env or {}, timeout, alone


def pytest(*args):
    return [PY, '-m', 'pytest', '-q', '-ra', '--color=no', '-p', 'no:cacheprovider', *args]


def left_over(*command):
    """With what the others leave of the processors. Linux shares them out among sessions first (autogroup), then among those of a session."""
    return ['chrt', '--idle', '0', 'sh', '-c', '[ ! -e /proc/self/autogroup ] || echo 19 >/proc/self/autogroup; exec "$@"', 'sh', *command]


def e2e(build, every=1, **more):
    """The end-to-end tests on one build: all of them, or a slice drawn by the seed."""
    name = build.rsplit('/', 1)[-1]
    env = {'HEDDLE_BUILD': build, 'HEDDLE_PATIENCE_S': '20' if name == 'coverage' else '60', 'HEDDLE_SLICE': str(every), 'PYTHONPATH': 'tests',
           'ASAN_OPTIONS': 'detect_leaks=1:abort_on_error=1', 'UBSAN_OPTIONS': 'print_stacktrace=1',
           'TSAN_OPTIONS': 'halt_on_error=1:second_deadlock_stack=1', **more}
    return Part('e2e' if name == 'coverage' else f'e2e-{name}',
                pytest('-p', 'slice_plugin', 'tests/e2e', '-n', SIDE_BY_SIDE),
                slots=2, builds=(name,), env=env, timeout=7200)


def parts(full, seed):
    """The table of all parts, in the order in which they start."""
    whole = {'HEDDLE_FULL': '1'} if full else {}
    yield Part('layers', [PY, 'tests/layers/run.py'])
    yield Part('rows', [PY, 'tests/layers/rows.py'])
    yield Part('symbols', [PY, 'tests/layers/symbols.py', 'build/release'], builds=('release',))
    yield Part('models', [PY, 'tests/models/run.py', *(['--full'] if full else [])], timeout=7200)
    yield Part('docs', [PY, 'tests/docs.py', 'build/release'], builds=('release',))
    yield Part('unit', ['ctest', '--test-dir', 'build/coverage', '-j2', '--output-on-failure'], slots=2, builds=('coverage',))
    yield Part('cache', [PY, 'tests/conformance/run_cache.py', 'build/coverage'], builds=('coverage',))
    yield Part('backend', [PY, 'tests/conformance/run_backend.py', 'build/coverage'], builds=('coverage',))
    yield Part('backend-asan', [PY, 'tests/conformance/run_backend.py', 'build/asan'], builds=('asan',))
    yield Part('unit-asan', ['ctest', '--test-dir', 'build/asan', '-j2', '--output-on-failure'], slots=2, builds=('asan',))
    yield Part('unit-tsan', ['ctest', '--test-dir', 'build/tsan', '-j2', '--output-on-failure'], slots=2, builds=('tsan',))
    yield e2e('build/coverage', **whole)
    yield Part('e2e-ldap', pytest('tests/e2e/', '-n', SIDE_BY_SIDE, '-k', 'tokenserver or user_api or browser_1 or onebox or (screens and not browser)'), slots=2, builds=('coverage',),
               env={'HEDDLE_BUILD': 'build/coverage', 'HEDDLE_DIRECTORY': 'ldap'}, timeout=3600)
    yield Part('e2e-cluster', pytest('-p', 'slice_plugin', 'tests/e2e', '-n', SIDE_BY_SIDE), slots=2, builds=('coverage',), timeout=3600,
               env={'HEDDLE_BUILD': 'build/coverage', 'HEDDLE_TARGET': 'cluster', 'HEDDLE_PATIENCE_S': '40', 'PYTHONPATH': 'tests',
                    'HEDDLE_SLICE': '1' if full else '3'})
    yield Part('campaign', pytest('tests/campaign', '-n', '2', '--ignore=tests/campaign/test_memory.py', '--ignore=tests/campaign/test_move_freeze.py',
                                  '--ignore=tests/campaign/test_rebalance.py', '--ignore=tests/campaign/test_cluster_lying_ldap.py'), slots=2,
               builds=('coverage',), env={'HEDDLE_BUILD': 'build/coverage', **whole}, timeout=10800)
    yield Part('lb', pytest('tests/lb', '-n', '2', '--dist', 'loadgroup'), slots=2, builds=('coverage',), env={'HEDDLE_BUILD': 'build/coverage', **whole}, timeout=7200)
    # It mostly waits for servers that do not answer: beside whatever else runs.
    yield Part('lying-ldap', pytest('tests/campaign/test_cluster_lying_ldap.py', '-n', '2'), slots=0, builds=('asan',), timeout=7200,
               env={'HEDDLE_BUILD': 'build/asan', 'HEDDLE_PATIENCE_S': '240', 'ASAN_OPTIONS': 'detect_leaks=1:abort_on_error=1', **whole})
    yield Part('line-coverage', [PY, 'tests/coverage.py', 'build/coverage'],
               builds=('coverage', 'unit', 'cache', 'backend', 'e2e', 'campaign'))
    yield e2e('build/asan', 1 if full else 2)
    yield e2e('build/tsan', 1 if full else 4)
    # It runs while the other parts wait, and takes nothing from them: where they never do, it is long.
    yield Part('lint', left_over('tests/lint/run.sh'), slots=0, builds=('release',), timeout=14400)
    yield Part('memory', pytest('tests/campaign/test_memory.py'), slots=2, builds=('release',), env={'HEDDLE_BUILD': 'build/release'})
    # What users wait while somebody moves is a bound on the product's time: the build that is installed, and nothing beside it.
    yield Part('moves', pytest('-s', 'tests/campaign/test_move_freeze.py', 'tests/campaign/test_rebalance.py'), alone=True, builds=('release',),
               env={'HEDDLE_BUILD': 'build/release', **whole}, timeout=7200)
    # What a page costs is a bound on that build, too.
    yield Part('renders', pytest('-s', 'tests/e2e/test_screens_pages.py', 'tests/e2e/test_console.py', '-k', 'two_milliseconds'), alone=True,
               builds=('release',), env={'HEDDLE_BUILD': 'build/release'})
    yield Part('bench', [PY, 'tests/load/bench.py', '--smoke'], alone=True, builds=('release',), timeout=300)
    yield Part('fuzz', ['tests/fuzz/run.sh', '600' if full else '30'], slots=2, timeout=7200)


def closing_counts(text):
    """(passed, failed) from the last closing line that is one of the known forms; None if there is none."""
    for line in reversed(text.splitlines()):
        m = re.fullmatch(r'\s*(\d+) passed, (\d+) failed.*', line)
        if m:
            return int(m[1]), int(m[2])
        m = re.fullmatch(r'\d+% tests passed, (\d+) tests? failed out of (\d+)', line.strip())
        if m:
            return int(m[2]) - int(m[1]), int(m[1])
        if re.search(r' in \d+[.\d]*s', line) and re.search(r'\d+ (passed|failed|error)', line):
            counts = {w: int(n) for n, w in re.findall(r'(\d+) (passed|failed|errors?|skipped|xfailed)', line)}
            bad = counts.get('failed', 0) + counts.get('error', 0) + counts.get('errors', 0)
            return counts.get('passed', 0), bad
    return None


class Runner:
    def __init__(self, table, seed):
        self.todo, self.seed = list(table), seed
        self.lock, self.wake = threading.Lock(), threading.Condition()
        self.free, self.running, self.done, self.results = SLOTS, [], set(), []

    def say(self, text):
        with self.lock:
            print(text, flush=True)

    def record(self, name, passed, failed, seconds, note=''):
        self.results.append((name, passed, failed))
        self.say(f'{name:<16} {passed:>5} passed, {failed} failed  {seconds:7.1f} s  {note}'.rstrip())

    def run(self, part):
        started = time.monotonic()
        log = os.path.join(OUT, part.name + '.log')
        env = dict(os.environ, HEDDLE_SEED=str(self.seed), **part.env)
        code, note = None, ''
        with open(log, 'w') as out:
            try:
                p = subprocess.Popen(part.command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=out,
                                     stderr=subprocess.STDOUT, start_new_session=True)
                try:
                    code = p.wait(part.timeout)
                except subprocess.TimeoutExpired:
                    os.killpg(p.pid, 9)
                    p.wait()
                    note = f'stopped after {part.timeout} s'
            except OSError as e:
                note = str(e)
        with open(log, errors='replace') as f:
            text = f.read()
        passed, failed = closing_counts(text) or (0, 0)
        if failed == 0 and (code != 0 or passed == 0):
            failed, note = 1, note or f'exit status {code}, {passed} counted'
        self.record(part.name, passed, failed, time.monotonic() - started, note)
        if failed:
            tail = '\n'.join('    ' + line for line in text.splitlines()[-40:])
            self.say(f'--- end of build/test-logs/{part.name}.log\n{tail}\n---')
        with self.wake:
            self.free += part.slots
            self.running.remove(part)
            self.done.add(part.name)
            self.wake.notify_all()

    def has_room(self, part):
        if part.alone or any(p.alone for p in self.running):
            return not self.running
        return part.slots <= self.free or self.free == SLOTS

    def build_all(self, presets):
        """All builds first, one after another: each uses every processor by itself."""
        for preset in presets:
            started = time.monotonic()
            r = subprocess.run(['./bootstrap', 'build', preset], cwd=ROOT, stdin=subprocess.DEVNULL)
            self.record(f'build {preset}', int(r.returncode == 0), int(r.returncode != 0), time.monotonic() - started)
            if r.returncode == 0:
                self.done.add(preset)

    def all(self):
        needed = []
        names = {p.name for p in self.todo}
        for p in self.todo:
            needed += [b for b in p.builds if b not in names and b not in needed]
        self.build_all(needed)
        threads = []
        while self.todo:
            with self.wake:
                ready = None
                for p in self.todo:
                    waits = [b for b in p.builds if b not in self.done]
                    if any(b in needed for b in waits):
                        self.todo.remove(p)
                        self.record(p.name, 0, 1, 0, f'not run: {", ".join(waits)} did not build')
                        self.done.add(p.name)
                        ready = False
                        break
                    if not waits and self.has_room(p):
                        ready = p
                        self.todo.remove(p)
                        self.running.append(p)
                        self.free -= p.slots
                        break
                if ready is None:
                    self.wake.wait()
            if ready:
                t = threading.Thread(target=self.run, args=(ready,))
                t.start()
                threads.append(t)
        for t in threads:
            t.join()


def main():
    ap = argparse.ArgumentParser(prog='./bootstrap test')
    ap.add_argument('--full', action='store_true', help='also the long campaigns, whole')
    ap.add_argument('--only', action='append', default=[], metavar='PART', help='only this part (repeatable)')
    ap.add_argument('--list', action='store_true', help='name the parts')
    ap.add_argument('--seed', type=int, default=None, help='of everything drawn by chance; printed at the start')
    o = ap.parse_args()
    seed = o.seed if o.seed is not None else random.SystemRandom().randrange(1, 1 << 31)
    table = [p for p in parts(o.full, seed) if o.full or not p.full_only]
    if o.list:
        for p in parts(True, seed):
            print(f'{p.name:<16} {"--full " if p.full_only else "       "} {" ".join(p.command)}')
        return 0
    if o.only:
        unknown = set(o.only) - {p.name for p in table}
        if unknown:
            print(f'no such part: {", ".join(sorted(unknown))}; --list names them', file=sys.stderr)
            return 2
        table = [p for p in table if p.name in o.only]
        for p in table:
            p.builds = tuple(b for b in p.builds if b in ('release', 'debug', 'coverage', 'asan', 'tsan', 'fuzz'))
    os.makedirs(OUT, exist_ok=True)
    started = time.monotonic()
    print(f'seed {seed}', flush=True)
    r = Runner(table, seed)
    r.all()
    passed, failed = sum(x[1] for x in r.results), sum(x[2] for x in r.results)
    print(f'all parts took {time.monotonic() - started:.0f} s')
    print(f'{passed} passed, {failed} failed', flush=True)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
