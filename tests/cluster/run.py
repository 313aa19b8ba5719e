#!/usr/bin/python3
"""./bootstrap cluster [--nodes N]: a whole cluster of real services in one folder, on loopback. Ctrl-C stops all that it started."""
import argparse
import fcntl
import os
import re
import signal
import sys
import time
from pathlib import Path

from lasting import NODES_MOST, Kept, LastingCluster, Refused  # puts tests/e2e into the path
from table import Table

from lib.heddle import build_folder

RESTART_AFTER_S = 5.0
CLEAR, HOME, SHOW, HIDE = "\x1b[J", "\x1b[H", "\x1b[?25h", "\x1b[?25l"


def say(text):
    print(text, flush=True)




def take_folder(folder):
    """Nobody else may work in it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = open(folder / "lock", "a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        raise Refused(f"a cluster runs in {folder} already (process {lock.read().strip() or 'unknown'})") from None
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def check_programs():
    missing = [p for p in ("heddle-directory", "heddle-node", "heddle-admin") if not (build_folder() / p).exists()]
    if missing:
        raise Refused(f"{', '.join(missing)} are not in {build_folder()}: ./bootstrap build")


def path_to(path):
    """As short as it can be typed from here."""
    near = os.path.relpath(path)
    return str(path) if near.startswith("..") else near


def what_to_type(cluster):
    return f"""
Firefox:    about:config, set identity.sync.tokenserver.uri to  {cluster.front}/1.0/sync/1.5  and sign in anew
Pale Moon:  set up Sync, "Use a custom server":  {cluster.front}/
All of it goes through HAProxy at that address; routes and states: heddle-admin lb explain URL, lb verify
Operator:   {path_to(build_folder() / 'heddle-admin')} --config {path_to(cluster.folder / 'admin.ini')} node list
Logs:       {path_to(cluster.folder)}/*/*.log, those of the backends one folder deeper
"""


class Screen:
    """The table on a terminal, written over itself; elsewhere one line for each change of a process's health."""

    def __init__(self, cluster, table):
        self.cluster, self.table, self.live = cluster, table, sys.stdout.isatty()
        self.seen = {} if self.live else {title: (health, users) for title, _, _, health, _, users in table.rows()}

    def open(self):
        if self.live:
            sys.stdout.write(HIDE + HOME + CLEAR)

    def close(self):
        if self.live:
            sys.stdout.write(SHOW)
            sys.stdout.flush()

    def show(self):
        if self.live:
            lines = f"Heddle, a cluster in {path_to(self.cluster.folder)}. Ctrl-C stops it; the data stay.\n"
            lines += what_to_type(self.cluster) + "\n" + self.table.text() + "\n"
            sys.stdout.write(HOME + "".join(line + "\x1b[K\n" for line in lines.splitlines()) + CLEAR)
            sys.stdout.flush()
            return
        for title, pid, _, health, _, users in self.table.rows():
            health = re.sub(r"no answer for \d+ s", "no answer", health)  # said once, not each second
            if self.seen.get(title) != (health, users):
                self.seen[title] = (health, users)
                say(f"{time.strftime('%H:%M:%S')}  {title:<15}  {health}" + (f", users {users}" if users else ""))


def keep_running(cluster, screen):
    """Until somebody says stop. What ends by itself, or is killed to see what happens, comes back after a few seconds, as under systemd."""
    since = {}
    while True:
        screen.show()
        time.sleep(1)
        for name in cluster.ended():
            process = cluster.everything()[name]
            if time.monotonic() - since.setdefault((name, process.pid), time.monotonic()) >= RESTART_AFTER_S:
                process.spawn()


def run(options):
    check_programs()
    folder = Path(options.data).resolve()
    lock = take_folder(folder)
    kept = Kept(folder, options.port, options.nodes)
    if kept.fewer_nodes:
        say(f"heddle: there are {kept.nodes} nodes in {options.data}, with users of theirs: all of them are started")
    cluster = LastingCluster(folder, kept)
    screen = table = None
    bad, code = [], 0
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell that starts us in the background has Ctrl-C ignored
        signal.signal(number, signal.default_int_handler)
    try:
        say(f"heddle: starting {len(cluster.everything())} processes in {options.data}")
        cluster.start()
        say(what_to_type(cluster))
        table = Table(cluster)
        table.start()
        table.await_first()
        screen = Screen(cluster, table)
        if not screen.live:
            say(table.text() + "\n\nCtrl-C stops it; the data stay.")
        screen.open()
        keep_running(cluster, screen)
    except KeyboardInterrupt:
        pass
    except (RuntimeError, AssertionError, OSError) as e:
        code = 1
        bad.append(str(e))
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would leave half of it running
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if screen:
            screen.close()
        if table:
            table.stop()
        say("\nheddle: stopping")
        bad += cluster.stop()
    for line in bad:
        print(f"heddle: {line}", file=sys.stderr)
    say(f"heddle: stopped; the data are in {options.data}")
    lock.close()
    return code or (1 if bad else 0)


def main():
    ap = argparse.ArgumentParser(prog="./bootstrap cluster", description="Two LDAP servers, two directories and N nodes, each with a MariaDB and "
                                 "a Redis of its own, and HAProxy in front, on loopback in one folder. Ctrl-C stops them; a second start goes on with the data.")
    ap.add_argument("--nodes", type=int, metavar="N", help=f"how many nodes (default 3, or as many as there are; 1 to {NODES_MOST})")
    ap.add_argument("--data", default="./var/cluster", metavar="DIR", help="the folder (default ./var/cluster)")
    ap.add_argument("--port", type=int, metavar="N", help="the first of its ports (default 8000)")
    o = ap.parse_args()
    if o.nodes is not None and not 1 <= o.nodes <= NODES_MOST:
        ap.error(f"--nodes must be 1 to {NODES_MOST}")
    if o.port is not None and not 1024 <= o.port <= 65535 - 11 - NODES_MOST:
        ap.error(f"--port must be 1024 to {65535 - 11 - NODES_MOST}")
    os.environ.setdefault("HEDDLE_BUILD", "build/release")
    try:
        return run(o)
    except Refused as e:
        print(f"heddle: {e}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
