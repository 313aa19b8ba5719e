#!/usr/bin/env python3
"""Runs the store's conformance suite over MariaDB: run_store.py PROGRAM [GROUP]

Starts a server of its own in a temporary folder, on a unix socket alone, gives PROGRAM its socket (HEDDLE_TEST_SOCKET) and a program
that kills and starts it (HEDDLE_TEST_CONTROL), and takes everything away at the end. The exit status is PROGRAM's."""
import os
import pathlib
import shlex
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from mariadb_server import Server  # noqa: E402


def main():
    with Server() as server:
        server.sql("CREATE DATABASE heddle_test")
        server.sql("CREATE DATABASE heddle_other")  # users move between the two
        control = pathlib.Path(server.folder) / "control"
        command = [sys.executable, str(pathlib.Path(__file__).resolve().with_name("mariadb_server.py")), str(server.folder)]
        control.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$1"\n')
        control.chmod(0o700)
        env = dict(os.environ, HEDDLE_TEST_SOCKET=server.socket, HEDDLE_TEST_CONTROL=str(control))
        return subprocess.run([sys.argv[1], "mysql", *sys.argv[2:]], env=env, timeout=900).returncode


if __name__ == "__main__":
    sys.exit(main())
