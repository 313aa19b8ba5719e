"""A real haproxy or nginx on what `heddle-admin lb render` wrote."""
import json
import re
import signal
import socket
from pathlib import Path

from .processes import OUT, Process, keep, wait_until
from .wire import Asked, Connection


def is_odd(line):
    """A line of a balancer's log that tells more than that a request went well."""
    return not (line.startswith(b"{") and (b'"status":200,' in line or b'"status":404,' in line))


class Balancer(Asked, Process):
    """A real haproxy or nginx on the folder that heddle-admin rendered."""

    def __init__(self, kind, folder, port):
        self.kind = self.name = kind
        super().__init__(folder)
        self.port = port

    def argv(self):
        if self.kind == "haproxy":
            return ["haproxy", "-W", "-db", "-f", str(self.folder / "haproxy.cfg"), "-p", str(self.folder / "haproxy.pid")]
        return ["nginx", "-p", str(self.folder), "-c", str(self.folder / "nginx.conf"), "-g", "daemon off;"]

    def ready(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
        except OSError:
            return False
        return (self.folder / f"{self.kind}.pid").exists() or self.kind == "nginx"

    def stop(self, timeout_s=300.0):
        """At once: who asks for a slow end signals it himself. (HAProxy's status says which signal it was.)"""
        if self.running:
            self.child.send_signal(signal.SIGTERM)
            self.child.wait(timeout_s)
        return 0

    def kill(self):
        """Workers of haproxy and nginx end with their master when it is told so, not when it is killed."""
        self.stop()

    def connection(self):
        return Connection("127.0.0.1", self.port, 10)

    def lines(self, having=""):
        """The JSON log lines so far that have this text in them: one that is being written right now is not there yet, and others of a log of
        a million are not looked into."""
        path = self.folder / "access.log" if self.kind == "nginx" else self.log
        if not path.exists():
            return []
        with open(path, "rb") as log:
            return [json.loads(line.decode(errors="replace")) for line in log
                    if line.startswith(b"{") and line.endswith(b"\n") and having.encode() in line]

    def keep_log(self, label):
        """nginx's files as well: the process itself says nothing."""
        for path in (self.log, self.folder / "access.log", self.folder / "nginx-error.log"):
            keep(path, OUT / f"{label}-{path.name}", is_odd)

    def signals(self):
        """The master's sets of signals: {"SigBlk": …, "SigIgn": …, "SigCgt": …}, the first signal the lowest bit."""
        return {name: int(bits, 16) for name, bits in re.findall(r"^(Sig\w+):\s+([0-9a-f]+)$", Path(f"/proc/{self.pid}/status").read_text(), re.MULTILINE)}

    def reload_by_hand(self):
        """As `systemctl reload` does. A master of HAProxy that is still busy with the reload before would not hear of it."""
        number = signal.SIGUSR2 if self.kind == "haproxy" else signal.SIGHUP
        bit = 1 << number - 1
        if self.kind == "haproxy":
            wait_until(lambda: (lambda s: s["SigCgt"] & ~s["SigBlk"] & bit)(self.signals()), "HAProxy hears signals", 120)
        self.child.send_signal(number)

    def workers(self):
        """Processes that serve, without those that only end what they began."""
        with open(f"/proc/{self.pid}/task/{self.pid}/children") as f:
            pids = f.read().split()
        titles = {}
        for pid in pids:
            try:
                with open(f"/proc/{pid}/cmdline") as f:
                    titles[pid] = f.read()
            except OSError:
                pass
        return [pid for pid, title in titles.items() if "shutting down" not in title]

    def runtime(self, command):
        """One command of HAProxy's runtime API."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(30)
            s.connect(str(self.folder / "haproxy.sock"))
            s.sendall(command.encode() + b"\n")
            parts = []
            while piece := s.recv(65536):
                parts.append(piece)
        return b"".join(parts).decode()
