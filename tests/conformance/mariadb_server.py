#!/usr/bin/env python3
"""A throw-away MariaDB server in a temporary folder, on a unix socket alone.

    with Server() as server: server.sql("CREATE DATABASE x"); … server.socket …

Another process can reach into its life: mariadb_server.py FOLDER kill|start (SIGKILL, and start again on the same data)."""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from e2e.lib.processes import wait_until  # noqa: E402

START_LIMIT_S = 120


def _program(*names):
    for name in names:
        for folder in (*os.environ["PATH"].split(":"), "/usr/sbin", "/usr/local/sbin"):
            if os.access(os.path.join(folder, name), os.X_OK):
                return os.path.join(folder, name)
    raise SystemExit(f"none of {', '.join(names)} is installed")


class Server:
    def __init__(self, folder=None, options=()):
        self.folder = pathlib.Path(folder or tempfile.mkdtemp(prefix="heddle-mariadb-"))
        self.socket = str(self.folder / "socket")
        self.pid_file = self.folder / "pid"
        self.options = options

    def __enter__(self):
        data = self.folder / "data"
        try:
            subprocess.run(
                [_program("mariadb-install-db", "mysql_install_db"), "--no-defaults", f"--datadir={data}",
                 "--auth-root-authentication-method=normal", "--skip-test-db", *self._user()],
                check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    @staticmethod
    def _user():
        return ["--user=root"] if os.getuid() == 0 else []

    def start(self):
        log = open(self.folder / "log", "ab")
        subprocess.Popen(
            [_program("mariadbd", "mysqld"), "--no-defaults", f"--datadir={self.folder / 'data'}", f"--socket={self.socket}",
             f"--pid-file={self.pid_file}", "--skip-networking", "--max-connections=700", "--innodb-buffer-pool-size=256M",
             "--innodb-log-file-size=64M", "--innodb-flush-log-at-trx-commit=1", *self._user(), *self.options],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        log.close()
        self._wait(lambda: self._ping(), "has started")

    def _ping(self):
        return self._client("SELECT 1").returncode == 0

    def _client(self, text):
        return subprocess.run([_program("mariadb", "mysql"), "--no-defaults", f"--socket={self.socket}", "-uroot", "-e", text],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def sql(self, text):
        done = self._client(text)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.decode())

    def pid(self):
        try:
            return int(self.pid_file.read_text())
        except (OSError, ValueError):
            return None

    def kill(self):
        pid = self.pid()
        if pid is None:
            return
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._wait(lambda: not self._alive(pid), "has ended")
        self.pid_file.unlink(missing_ok=True)

    @staticmethod
    def _alive(pid):
        try:
            return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
        except OSError:
            return False

    def _wait(self, condition, what):
        wait_until(condition, f"the server {what}: see {self.folder}/log", START_LIMIT_S, every_s=0.05)


if __name__ == "__main__":
    getattr(Server(sys.argv[1]), {"kill": "kill", "start": "start"}[sys.argv[2]])()
