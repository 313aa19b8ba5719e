"""A real haproxy or nginx on what `heddle-admin lb render` wrote."""
import json
import shutil
import signal
import socket

from .processes import OUT, Process
from .wire import Asked, Connection


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

    def lines(self):
        """The JSON log lines so far. (The last one may be half written yet.)"""
        path = self.folder / "access.log" if self.kind == "nginx" else self.log
        out = []
        for line in path.read_text(errors="replace").rpartition("\n")[0].splitlines() if path.exists() else []:
            if line.startswith("{"):
                out.append(json.loads(line))
        return out

    def keep_log(self, label):
        """nginx's files as well: the process itself says nothing."""
        super().keep_log(label)
        for name in ("access.log", "nginx-error.log"):
            if (path := self.folder / name).exists():
                shutil.copyfile(path, OUT / f"{label}-{name}")

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
