"""What an operator sees of a running server: the internal listener's unix socket, metrics, and the log as objects;
and the operator's own command."""
import json
import re
import subprocess

from .heddle import build_folder
from .processes import Process
from .wire import over_socket


def internal_get(heddle, target, method="GET", headers=()):
    """One request to the internal listener."""
    return over_socket(heddle.socket, target, method, headers=headers)


def metrics(heddle):
    """All values, by name with labels as they are written."""
    r = internal_get(heddle, "/metrics")
    assert r.status == 200 and r.type == "text/plain", repr(r)
    out = {}
    for line in r.text.splitlines():
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            out[name] = float(value)
    return out


class Refusals:
    """Counts of credentials refused, by reason: `since()` gives those of one kind ("hawk", "basic") that are new since the last
    call."""

    def __init__(self, heddle, kind="hawk"):
        self.heddle, self.name = heddle, f"heddle_{kind}_refused_total"
        self._seen = self._now()

    def _now(self):
        found = ((re.fullmatch(self.name + r'\{reason="([^"]+)"\}', n), v) for n, v in metrics(self.heddle).items())
        return {m[1]: v for m, v in found if m}

    def since(self):
        before, self._seen = self._seen, self._now()
        return {reason: int(v - before[reason]) for reason, v in self._seen.items() if v != before[reason]}


def log_objects(heddle, event=None):
    """The lines of the log, as objects; those of one event. (The last one may be half written yet.)"""
    whole = heddle.log_text().rpartition("\n")[0]
    lines = (json.loads(line) for line in whole.splitlines() if line.startswith("{"))
    return [line for line in lines if event is None or line["event"] == event]


def run(*options, program="heddle", timeout_s=300):
    """(exit code, output, errors) of a program that ends by itself; a run of many moves takes its time."""
    done = subprocess.run([build_folder() / program, *map(str, options)], capture_output=True, text=True, timeout=timeout_s,
                          stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout, done.stderr


class AdminVerb(Process):
    """A verb of heddle-admin that goes on until it is stopped: `lb follow`, `settle --every`."""

    def __init__(self, folder, name, *words):
        self.name, self.words = name, words
        super().__init__(folder)

    def argv(self):
        return [str(build_folder() / "heddle-admin"), *map(str, self.words)]

    def ready(self):
        return True
