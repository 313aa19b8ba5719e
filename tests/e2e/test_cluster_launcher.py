"""`./bootstrap cluster`: tests/cluster/run.py, as an operator sees it."""
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from lib.device import SyncFailed
from lib.heddle import build_folder
from lib.ops import run
from lib.palemoon11 import PaleMoon
from lib.processes import ROOT, Process, free_ports, make_temp_folder, wait_until
from lib.storage11 import Storage11
from lib.synccrypto import username_of

START_S = 300
AWAY_S = 4  # no process that died is started again before that


class Launcher(Process):
    """One start of it. Its children are those of its process id."""

    name = "launcher"

    def __init__(self, folder, port, nodes):
        super().__init__(folder)
        self.log.unlink(missing_ok=True)  # of an earlier start
        self.arguments = ["--data", str(folder / "c"), "--port", str(port), *(["--nodes", str(nodes)] if nodes else [])]

    def argv(self):
        return [sys.executable, str(ROOT / "tests" / "cluster" / "run.py"), *self.arguments]

    def env(self):
        return {"HEDDLE_BUILD": str(build_folder()), "PYTHONUNBUFFERED": "1"}

    def ready(self):
        return "Ctrl-C stops it" in self.log_text()

    def children(self):
        with open(f"/proc/{self.pid}/task/{self.pid}/children") as f:
            return [int(n) for n in f.read().split()]

    def interrupt(self):
        self.child.send_signal(signal.SIGINT)
        return self.child.wait(300)

    @property
    def front(self):
        line = next(n for n in reversed(self.log_text().splitlines()) if n.startswith("Pale Moon:"))
        return line.split()[-1].rstrip("/")


@pytest.fixture
def place():
    folder = make_temp_folder()
    yield folder, free_ports([0, 1, 2, *range(11, 15)])
    subprocess.run(["rm", "-rf", str(folder)], check=True)


def at(url):
    return SimpleNamespace(url=url, url_for=lambda _: url, now=time.time)


def account(front, email=None):
    email = email or os.urandom(8).hex() + "@example.com"
    return Storage11(at(front), username_of(email), "correct horse battery", email)


def storage_of(user):
    """The client of this account at the node that the directory names."""
    return Storage11(at(user.node().text.rstrip("/")), user.name, user.password, user.email)


def save(user, payload):
    """On a slow machine the directory may take too long to tell the node who that is."""
    put = storage_of(user).put
    wait_until(lambda: put("/storage/bookmarks/abc", {"payload": payload}, expect=(200, 503)).status == 200, "saved", 180, every_s=0.2)


def synced(device):
    try:
        device.sync()
        return True
    except SyncFailed as e:
        assert e.reply is not None and e.reply.status == 503, e
        return False


def kill_a_node(launcher, settings, users):
    """Its users are told to come later within two seconds, nobody else hears of it, and it comes back."""
    def home(user):
        code, out, err = run("--config", str(settings), "lb", "explain", f"{launcher.front}/1.1/{user.name}/info/collections", "--json", program="heddle-admin")
        assert code == 0, out + err
        return json.loads(out)["reach"]

    homes = {user: home(user) for user in users}
    while len(set(homes.values())) < 2:
        user = account(launcher.front)
        user.register()
        save(user, "x")
        homes[user] = home(user)
    reach = homes[users[0]]
    pid = int(next(n for n in launcher.log_text().splitlines() if n.startswith("node ") and reach in n).split()[2])
    os.kill(pid, signal.SIGKILL)
    killed, took, refused = time.monotonic(), [], 0
    while time.monotonic() < killed + 2.5:
        for user, at_node in homes.items():
            r = storage_of(user).get("/info/collections", expect=None)
            took.append(r.seconds)
            if at_node == reach and r.status == 503:
                refused += 1
                assert int(r.header("Retry-After")) >= 1, repr(r)
            else:
                assert r.status == 200 and (at_node != reach or time.monotonic() > killed + AWAY_S), repr(r)
    assert refused or time.monotonic() > killed + AWAY_S
    assert statistics.median(took) < 2, took  # one alone may have met a machine that stood still
    for user in homes:
        wait_until(lambda u=storage_of(user): u.get("/info/collections", expect=None).status == 200, "the node is back", 180, every_s=0.2)


def test_it_serves_stops_all_that_it_started_and_goes_on_with_the_data(place):
    folder, port = place
    (folder / "c").mkdir()
    bystander = subprocess.Popen(["sleep", "600"])
    launcher = Launcher(folder, port, 2).start(START_S)
    try:
        started = launcher.children()
        assert len(started) == 2 + 2 + 2 * 3 + 3
        users = [account(launcher.front) for _ in range(4)]
        for user in users:
            user.register()
            save(user, f"of {user.name}")
        assert {user.node().text.rstrip("/") for user in users} == {launcher.front}
        wait_until(lambda: re.search(r"users [1-4] of 1000", launcher.log_text()), "the table counts users", 180)
        wait_until(lambda: (r := run("--config", str(folder / "c" / "admin.ini"), "doctor", program="heddle-admin"))[0] == 0 and "0 warnings" in r[1],
                   "doctor has nothing to say", 180, every_s=0.5)
        device = PaleMoon(SimpleNamespace(heddle=at(launcher.front)))
        device.create_account()
        device.records["bookmarks"].put(title="x")
        wait_until(lambda: synced(device), "a browser syncs", 180, every_s=0.2)
        kill_a_node(launcher, folder / "c" / "admin.ini", users)
        second = subprocess.run(launcher.argv(), env={**os.environ, **launcher.env()}, capture_output=True, text=True, timeout=300)
        assert second.returncode == 1 and "runs in" in second.stderr, second
        assert launcher.interrupt() == 0, launcher.log_tail()
        assert not [pid for pid in started if os.path.exists(f"/proc/{pid}")]
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()
        if launcher.running:
            launcher.stop()

    again = Launcher(folder, port, 3).start(START_S)
    try:
        assert len(again.children()) == 2 + 2 + 3 * 3 + 3
        for user in users:
            get = storage_of(user).get
            wait_until(lambda: get("/storage/bookmarks/abc", expect=(200, 503)).status == 200, "served again", 180, every_s=0.2)
            assert get("/storage/bookmarks/abc").json()["payload"] == f"of {user.name}"
        assert again.interrupt() == 0, again.log_tail()
    finally:
        if again.running:
            again.stop()


def test_what_dies_is_shown_and_comes_back(place):
    folder, port = place
    launcher = Launcher(folder, port, 1).start(START_S)
    try:
        pid = int(next(n for n in launcher.log_text().splitlines() if n.startswith("directory 2 ")).split()[2])
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: "directory 2" in launcher.log_text() and "ended with -9" in launcher.log_text(), "shown", 180)
        wait_until(lambda: launcher.log_text().rpartition("ended with -9")[2].count("directory 2      ok"), "back", 180)
        assert launcher.interrupt() == 0, launcher.log_tail()
    finally:
        if launcher.running:
            launcher.stop()


def test_it_explains_what_is_in_its_way(place):
    folder, port = place
    with socket.socket() as s:
        s.bind(("127.0.0.1", port + 11))
        s.listen()
        r = subprocess.run(Launcher(folder, port, 1).argv(), capture_output=True, text=True, timeout=300, env={**os.environ, "HEDDLE_BUILD": str(build_folder())})
    assert r.returncode == 1 and f"127.0.0.1:{port + 11}" in r.stderr and "--port" in r.stderr, r
    long = Launcher(folder / ("long" * 20), port, 1)
    r = subprocess.run(long.argv(), capture_output=True, text=True, timeout=300, env={**os.environ, "HEDDLE_BUILD": str(build_folder())})
    assert r.returncode == 1 and "--data" in r.stderr and "Traceback" not in r.stderr, r
    r = subprocess.run(Launcher(folder, port, 0).argv(), capture_output=True, text=True, timeout=300, env={**os.environ, "HEDDLE_BUILD": "build/none"})
    assert r.returncode == 1 and "./bootstrap build" in r.stderr, r
