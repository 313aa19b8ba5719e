"""Child processes of a test run: MariaDB, Redis, and whatever else speaks on a socket.

Every process belongs to the test run that started it, is ended by its own id, and dies with its parent. Sockets and data live in one
short temporary folder (unix socket paths are limited to 107 bytes); nothing listens on a fixed port.
"""
import ctypes
import fcntl
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
OUT = ROOT / "tests" / "out" / "e2e"

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


class NotInTime(AssertionError):
    """A condition did not become true in its time."""


def wait_until(condition, what, timeout_s=120.0, every_s=0.01):
    """Asks `condition` until it gives something true, and returns that. The only place where tests let time pass. timeout_s ends a test whose
    condition never comes; it says nothing about how soon it should. The last look begins after it: had the machine stood still, an earlier one
    would tell of the time before."""
    end = time.monotonic() + timeout_s
    while True:
        last = time.monotonic() > end
        answer = condition()
        if answer:
            return answer
        if last:
            raise NotInTime(f"after {timeout_s} s still not: {what}")
        time.sleep(every_s)


# Below the ports that the kernel gives to outgoing connections: a server that is started again still finds its own free.
PORTS = range(12000, 32000)
_ports_held = []


def free_port():
    """A port of 127.0.0.1 for one of our servers, also when it is started again: no other test run of this machine gets it while this
    process lives. (Had two the same, the one that could not listen would look alive: the other one answers for it.) The claim is a
    name of an abstract socket, which goes when its process does."""
    return free_ports([0])


def free_ports(offsets):
    """The same for several at once: a port to which each of these numbers may be added."""
    for _ in range(1000):
        port = random.SystemRandom().choice(PORTS)
        claims = []
        try:
            for offset in offsets:
                claims.append(socket.socket(socket.AF_UNIX))
                claims[-1].bind(f"\0heddle-port-{port + offset}")
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port + offset))
        except OSError:
            for claim in claims:
                claim.close()
            continue
        _ports_held.extend(claims)
        return port
    raise RuntimeError("no free port in a thousand tries")


def make_temp_folder():
    """A short, private folder; in memory where that is possible, because test databases are written durably. Its name holds our process
    id, and folders of test runs that died are swept away."""
    parent = Path(os.environ.get("HEDDLE_E2E_TMP") or ("/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir()))
    for old in parent.glob("heddle-e2e-*-*"):
        owner = old.name.split("-")[2]
        try:
            if owner.isdigit() and not Path(f"/proc/{owner}").exists() and old.stat().st_uid == os.getuid():
                for notes in old.rglob(NOTES):
                    remove_noted(notes)
                shutil.rmtree(old, ignore_errors=True)
        except FileNotFoundError:
            pass  # another run sweeps too
    return Path(tempfile.mkdtemp(prefix=f"heddle-e2e-{os.getpid()}-", dir=parent))


# What a server of ours shares with others in memory outlives it on purpose. Each has a list of it in its folder, one path a line, so that
# what is left of a test run that died goes with its folder.
NOTES = "shared-memory"
SHARED = re.compile(r"/dev/shm/heddle-(?:cache|store)-\S+")


def remove_noted(notes):
    for line in notes.read_text().splitlines():
        if SHARED.fullmatch(line):
            Path(line).unlink(missing_ok=True)


KEPT_BYTES = 20 << 20


def keep(log, target, is_odd=lambda line: False):
    """Copies a log for after a failure: its end, and of what comes before, as much again of lines that are odd."""
    if not log.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    begin, at = log.stat().st_size - KEPT_BYTES, 0
    with open(log, "rb") as source, open(target, "wb") as out:
        for line in source:
            if at + len(line) > begin:
                break
            at += len(line)
            if out.tell() < KEPT_BYTES and is_odd(line):
                out.write(line)
        if at:
            out.write(b"--- of the %d bytes before this only odd lines are kept\n" % at)
        source.seek(at)
        shutil.copyfileobj(source, out)


class Process:
    """One child process with a log file. Subclasses say what to run and how to see that it is ready."""

    name = "process"
    ours = False  # True: a program of Heddle, which must end cleanly and may leave shared memory
    own_session = False  # True: a Ctrl-C at the terminal is for its parent alone

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = self.folder / f"{self.name}.log"
        self.child = None

    def argv(self):
        raise NotImplementedError

    def env(self):
        return {}

    def ready(self):
        """True when it serves. Called again and again while it starts."""
        raise NotImplementedError

    @property
    def pid(self):
        return self.child.pid

    @property
    def running(self):
        return self.child is not None and self.child.poll() is None

    def spawn(self):
        """Starts it, without waiting for it."""
        assert not self.running, f"{self.name} runs already"
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(self.argv(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **self.env()},
                                          preexec_fn=self._in_child, start_new_session=self.own_session)

    def start(self, timeout_s=300.0):
        self.spawn()

        def up():
            if not self.running:
                raise RuntimeError(f"{self.name} ended with {self.child.returncode}:\n{self.log_tail()}")
            return self.ready()

        try:
            wait_until(up, f"{self.name} ready", timeout_s, every_s=0.02)
        except BaseException:
            self.kill()
            raise
        if self.ours:
            self.note_shared_memory(SHARED.findall("\n".join(self._open_files())))
        return self

    def note_shared_memory(self, paths):
        with open(self.folder / NOTES, "a") as notes:
            notes.writelines(f"{path}\n" for path in paths)

    def _open_files(self):
        """Everything it has mapped or open; it goes on opening and closing while we look."""
        yield Path(f"/proc/{self.pid}/maps").read_text()
        for fd in os.scandir(f"/proc/{self.pid}/fd"):
            try:
                yield os.readlink(fd.path)
            except FileNotFoundError:
                pass

    def forget_shared_memory(self):
        """Removes what processes of a node share and what outlives them on purpose: nobody will start this one again."""
        notes = self.folder / NOTES
        if notes.exists():
            remove_noted(notes)
            notes.unlink()

    @staticmethod
    def _in_child():
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    def stop(self, timeout_s=300.0):
        """Asks it to end (SIGTERM) and waits; gives the exit code."""
        if not self.running:
            return self.child.returncode if self.child else None
        self.resume()
        self.child.send_signal(signal.SIGTERM)
        try:
            return self.child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise NotInTime(f"{self.name} did not end in {timeout_s} s after SIGTERM") from None

    def kill(self):
        """Ends it at once (SIGKILL), as a crash would."""
        if self.running:
            self.child.kill()
            self.child.wait()

    def pause(self):
        """SIGSTOP: it keeps its sockets and answers nothing."""
        self.child.send_signal(signal.SIGSTOP)
        state = f"/proc/{self.pid}/stat"
        wait_until(lambda: Path(state).read_text().rpartition(")")[2].split()[0] == "T", f"{self.name} stopped")

    def resume(self):
        if self.running:
            self.child.send_signal(signal.SIGCONT)

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def log_tail(self, lines=30):
        return "\n".join(self.log_text().splitlines()[-lines:])

    def keep_log(self, label):
        """Copies the log into tests/out/, for after a failure."""
        keep(self.log, OUT / f"{label}-{self.name}.log")


class MariaDB(Process):
    """A server of its own on a unix socket, user root without a password. The empty data folder is made once for all workers of a
    test run and copied."""

    name = "mariadbd"

    def __init__(self, folder, template_folder):
        super().__init__(folder)
        self.data = self.folder / "data"
        self.socket = self.folder / "db.sock"
        if not self.data.exists():
            shutil.copytree(self._template(Path(template_folder)), self.data)

    @staticmethod
    def _template(folder):
        folder.mkdir(parents=True, exist_ok=True)
        done = folder / "done"
        with open(folder / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                with open(folder / "install.log", "wb") as log:
                    subprocess.run(["mariadb-install-db", "--no-defaults", "--auth-root-authentication-method=normal",
                                    "--skip-test-db", f"--datadir={folder / 'data'}", *MariaDB._as_root()],
                                   env={**os.environ, "TMPDIR": str(folder)},  # servers clear a shared one of each other's tables
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True)
                done.touch()
        return folder / "data"

    @staticmethod
    def _as_root():
        return ["--user=root"] if os.getuid() == 0 else []

    def argv(self):
        return ["mariadbd", "--no-defaults", *self._as_root(), f"--datadir={self.data}", f"--socket={self.socket}",
                f"--pid-file={self.folder / 'db.pid'}", f"--tmpdir={self.folder}", "--skip-networking", "--skip-log-bin", "--performance-schema=off",
                "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=48M", "--innodb-flush-log-at-trx-commit=1",
                "--max-allowed-packet=64M", "--skip-name-resolve"]

    def ready(self):
        try:
            self.connect().close()
            return True
        except Exception:  # not listening yet
            return False

    def connect(self, database=None):
        import pymysql
        return pymysql.connect(unix_socket=str(self.socket), user="root", database=database, autocommit=True,
                               charset="utf8mb4", connect_timeout=10)

    def create_database(self, name):
        connection = self.connect()
        with connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE IF NOT EXISTS `{name}` CHARACTER SET utf8mb4")
        return name


class Redis(Process):
    """A Redis of its own on a unix socket, without persistence."""

    name = "redis-server"

    def __init__(self, folder):
        super().__init__(folder)
        self.socket = self.folder / "redis.sock"

    def argv(self):
        return ["redis-server", "--port", "0", "--unixsocket", str(self.socket), "--save", "", "--appendonly", "no",
                "--dir", str(self.folder), "--daemonize", "no", "--maxmemory", "64mb"]

    def client(self):
        import redis
        return redis.Redis(unix_socket_path=str(self.socket), socket_timeout=60)

    def ready(self):
        try:
            with self.client() as client:
                return client.ping()
        except Exception:  # not listening yet
            return False

    def flush(self):
        with self.client() as client:
            client.flushall()
