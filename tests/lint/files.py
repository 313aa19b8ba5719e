#!/usr/bin/python3
"""tests/lint/files.py BUILD: our own source files, one a line, each once: what BUILD/compile_commands.json compiles, and the headers in
the tree."""
import json
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NOT_OURS = ('build', 'out', 'var', 'node_modules')


def compiled(build):
    with open(os.path.join(build, 'compile_commands.json'), encoding='utf-8') as f:
        paths = {os.path.relpath(os.path.join(c['directory'], c['file']), ROOT) for c in json.load(f)}
    return {p for p in paths if not p.startswith(('..', 'build' + os.sep))}


def headers():
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [f for f in folders if f not in NOT_OURS and not f.startswith('.')]
        yield from (os.path.relpath(os.path.join(folder, n), ROOT) for n in names if n.endswith('.h'))


print('\n'.join(sorted(compiled(sys.argv[1]).union(headers()))))
