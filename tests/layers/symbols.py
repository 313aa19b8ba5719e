#!/usr/bin/python3
"""Fails where two rooms define the same external symbol: a program that links both archives takes either of them without a word.

    symbols.py BUILD-FOLDER
"""
import collections
import pathlib
import subprocess
import sys


def definitions(archive):
    out = subprocess.run(["nm", "--extern-only", "--defined-only", "--format=posix", archive], check=True, capture_output=True, text=True)
    for line in out.stdout.splitlines():
        words = line.split()
        if len(words) >= 2 and words[1] in "TDBRGSC":  # V and W: weak ones, which sanitizers make
            yield words[0]


def clashes(archives):
    owners = collections.defaultdict(set)
    for archive, names in archives.items():
        for name in names:
            owners[name].add(archive)
    return {name: sorted(where) for name, where in owners.items() if len(where) > 1}


def main():
    found = sorted(pathlib.Path(sys.argv[1]).rglob("lib*.a"))
    archives = {a.name: set(definitions(a)) for a in found}
    bad = clashes(archives)
    for name, where in sorted(bad.items()):
        print(f"{name}: defined in {' and in '.join(where)}")
    planted = clashes({"a": {"x", "y"}, "b": {"y"}}) == {"y": ["a", "b"]}
    rooms = {f"lib{room}.a" for room in ("base", "web", "sync", "nodelib", "dirlib")}
    checks = [not bad, planted, rooms <= set(archives)]
    if not checks[2]:
        print(f"not all rooms were found in {sys.argv[1]}: {', '.join(sorted(rooms - set(archives)))} missing")
    print(f"{sum(checks)} passed, {len(checks) - sum(checks)} failed")
    return 0 if all(checks) else 1


if __name__ == "__main__":
    sys.exit(main())
