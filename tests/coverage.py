#!/usr/bin/python3
"""Line coverage of node/ and common/ by everything that ran on the given build (unit, conformance, end to end); fails below the bound."""
import csv
import io
import os
import subprocess
import sys

LEAST_PERCENT = 90.0
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def main(build):
    out = subprocess.run(['gcovr', '-r', '.', '--object-directory', build, '--gcov-ignore-parse-errors', '--csv',
                          '--filter', 'node/', '--filter', 'common/', '--exclude', r'.*/test_[^/]*\.[ch]$', build],
                         cwd=ROOT, capture_output=True, text=True, check=True).stdout
    rows = list(csv.DictReader(io.StringIO(out)))
    total = sum(int(r['line_total']) for r in rows)
    covered = sum(int(r['line_covered']) for r in rows)
    for r in sorted(rows, key=lambda r: float(r['line_percent'] or 0)):
        print(f"{float(r['line_percent'] or 0) * 100:6.1f} %  {int(r['line_covered']):5d} of {int(r['line_total']):5d}  {r['filename']}")
    percent = 100.0 * covered / total if total else 0.0
    print(f'node/ and common/: {covered} of {total} lines, {percent:.1f} % (at least {LEAST_PERCENT} wanted)')
    good = percent >= LEAST_PERCENT
    print(f'{int(good)} passed, {int(not good)} failed')
    return 0 if good else 1


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))
