#!/usr/bin/python3
"""tests/lint/files.py BUILD: our own source files that BUILD/compile_commands.json compiles, one a line, each once."""
import json
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

with open(os.path.join(sys.argv[1], 'compile_commands.json'), encoding='utf-8') as f:
    compiled = {os.path.relpath(os.path.join(c['directory'], c['file']), ROOT) for c in json.load(f)}
print('\n'.join(sorted(p for p in compiled if not p.startswith(('..', 'build' + os.sep)))))
