#!/usr/bin/python3
"""docs/settings.md is what the programs say of their own settings, and what our pages name is there (docs_refs.py). Fails where it is not
so; --write makes docs/settings.md anew.

Run: tests/docs.py [--write] BUILD
"""
import difflib
import os
import subprocess
import sys

import docs_refs

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PAGE = os.path.join(ROOT, 'docs', 'settings.md')
PROGRAMS = {'heddle': 'The one box: all keys of both sides. Where its default differs from that of the single programs, it is the one here.',
            'heddle-node': 'A storage node.', 'heddle-directory': 'A directory.', 'heddle-admin': "The operator's command; its verbs are in admin.md."}


def table(build, program):
    text = subprocess.run([os.path.join(build, program), '--help'], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    return text.split('Keys:\n', 1)[1].strip()


def page(build):
    out = ['# Settings', '',
           'Made from the tables in the programs (`tests/docs.py --write build/release`). Set them in an INI file (`--config FILE`) or with',
           '`--set section.key=value`; how lists, sizes and times are written stands in `common/base/conf.h`.', '']
    for program, words in PROGRAMS.items():
        out += [f'## {program}', '', words, '', table(build, program), '']
    return '\n'.join(out)


def main(args):
    want = page(args[-1])
    if '--write' in args:
        with open(PAGE, 'w') as f:
            f.write(want)
        return 0
    with open(PAGE) as f:
        have = f.read()
    if have != want:
        sys.stdout.writelines(difflib.unified_diff(have.splitlines(True), want.splitlines(True), 'docs/settings.md', 'what the programs say'))
    failed = list(docs_refs.failures(args[-1]))
    print(*failed, sep='\n')
    wrong = (have != want) + bool(failed)
    print(f'{2 - wrong} passed, {wrong} failed')
    return int(wrong > 0)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
