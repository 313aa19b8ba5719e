#!/usr/bin/python3
"""Every numbered edge case of the User API (U1 …) and of the token server (1 …) is a test by name, and runs on SQLite and on LDAP.

A test says in its name which rows it shows: test_U14_…, test_25_to_27_…, test_61_62_and_66_…. Those of the files that the part e2e-ldap runs
again with HEDDLE_DIRECTORY=ldap are on both; of clusters those whose fixture `cluster` is made for both. A test that is skipped anywhere shows
nothing. Ends with "N passed, N failed": one check for each row, and the planted mistakes that must be found.
"""
import ast
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
E2E = os.path.join(ROOT, 'tests', 'e2e')

# The tables' lengths. Rows that describe what we decided to do in another way, or not at all: docs/protocol-notes.md says how.
ROWS = {'': 72, 'U': 42}
ON_BOTH = re.compile(r'test_(tokenserver|user_api|onebox|screens)_?(?!browser)')  # as the part e2e-ldap in tests/run.py picks them


def rows_of(name):
    """The rows in a test's name: "test_U5_U12_U13_over_the_api", "test_25_to_27_parallel"."""
    m = re.match(r'test_((?:U?\d+_(?:and_|to_)?)+)', name + '_')
    words = m[1].strip('_').split('_') if m else []
    found, upto = [], False
    for word in words:
        if word in ('and', 'to'):
            upto = word == 'to'
            continue
        letter, number = ('U', int(word[1:])) if word[0] == 'U' else ('', int(word))
        first = found[-1][1] + 1 if upto else number
        found += [(letter, n) for n in range(first, number + 1)]
        upto = False
    return found


def skips(node):
    """Whether a test may be left out: by a mark, or by itself."""
    return any(isinstance(x, ast.Attribute) and x.attr in ('skip', 'skipif', 'xfail', 'importorskip') for x in ast.walk(node))


def tests_in(source):
    """The name of each test that always runs."""
    body = ast.parse(source).body
    if any(skips(node) for node in body if isinstance(node, ast.Assign)):  # pytestmark
        return
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith('test_') and not skips(node):
            yield node.name


def engines(source):
    """What the fixture `cluster` of a file is made for."""
    m = re.search(r'params=\[([^]]*)\][^\n]*\)\s*def cluster\(', source)
    return set(re.findall(r'"(sqlite|ldap)"', m[1])) if m else set()


def shown(files):
    """{(letter, row): set of engines} of {file name: source}."""
    out = {}
    for file, source in files.items():
        both = {'sqlite', 'ldap'} if ON_BOTH.match(file) else engines(source)
        for name in tests_in(source):
            for row in rows_of(name):
                out.setdefault(row, set()).update(both)
    return out


def check(files, say=print):
    passed = failed = 0
    have = shown(files)
    for letter, n in ROWS.items():
        for row in range(1, n + 1):
            missing = {'sqlite', 'ldap'} - have.get((letter, row), set())
            passed, failed = passed + (not missing), failed + bool(missing)
            if missing:
                say(f'row {letter}{row} has no test on {" and ".join(sorted(missing))}')
    return passed, failed


def main():
    files = {f: open(os.path.join(E2E, f)).read() for f in sorted(os.listdir(E2E)) if re.fullmatch(r'test_\w+\.py', f)}
    passed, failed = check(files)
    without = {f: s.replace('def test_17_', 'def test_').replace('def test_U35_', 'def test_') for f, s in files.items()}
    skipped = {f: s.replace('def test_U3_and_U33_', '@pytest.mark.skipif(LDAP)\ndef test_U3_and_U33_') for f, s in files.items()}
    planted = (failed + 2 == check(without, lambda _: None)[1] and failed + 2 == check(skipped, lambda _: None)[1] and
               rows_of('test_25_to_27_x') == [('', 25), ('', 26), ('', 27)])
    print(f'{passed + planted} passed, {failed + (not planted)} failed')
    return 1 if failed or not planted else 0


if __name__ == '__main__':
    sys.exit(main())
