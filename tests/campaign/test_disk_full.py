"""A full disk: writes are refused with 503, nothing acknowledged is lost, and writing goes on when there is room again."""
import os
import subprocess

import pytest
from client import Client, payload
from lib.heddle import Backends
from lib.processes import make_temp_folder, wait_until
from oracle import Ledger, Write


@pytest.fixture
def small_disk():
    """A file system of its own that a test may fill."""
    folder = make_temp_folder()

    def mount(megabytes):
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", str(folder)], capture_output=True, text=True)
        assert done.returncode == 0, f"this test fills a small disk, for which it must be allowed to mount one: {done.stderr}"
        return folder

    yield mount
    subprocess.run(["umount", str(folder)], check=False)
    folder.rmdir()


def fill(folder):
    """Takes all the room that is left; gives the file to remove."""
    path = folder / "ballast"
    with open(path, "wb") as f:
        block = b"\0" * 65536
        while block:
            try:
                os.write(f.fileno(), block)
            except OSError:
                block = block[: len(block) // 2]
    return path


def write(client, ledger, n, size):
    """One POST of 20 items; 200, or 503 with the write left pending in the ledger."""
    items = {f"i{n}-{k}": payload(size) for k in range(20)}
    ledger.attempt(Write("put", "bookmarks", items))
    r = client.request("POST", "/storage/bookmarks", [{"id": i, "payload": p} for i, p in items.items()])
    if r.status == 200:
        ledger.acked(r.stamp)
    else:
        assert r.status == 503 and r.headers["retry-after"].isdigit(), (r.status, r.body)
        ledger.unknown()
    return r.status


def make_room(stack, ballast):
    """MariaDB may give up altogether on a full disk (it does when its redo log cannot be written); then it is started again, as a
    service manager would do."""
    ballast.unlink()
    if stack.mariadb and not stack.mariadb.running:
        stack.mariadb.start()


def test_a_full_disk_refuses_and_loses_nothing(engine, small_disk):
    folder = small_disk(40 if engine == "sqlite+memory" else 400)
    backends = Backends(folder, folder / "template")
    try:
        stack = backends.stack(engine)
        client, ledger = Client(stack, 3_300_000_000), Ledger("the writer")
        for n in range(5):
            assert write(client, ledger, n, 2000) == 200
        for turn in range(3):
            ballast = fill(folder)
            n = 0
            while write(client, ledger, f"{turn}-{n}", 20000) == 200:
                n += 1
                assert n < 200, "the disk never got full"
            if engine == "sqlite+memory":  # reading goes on while it is full, and so does refusing
                for k in range(5):
                    ledger.reconcile(client.everything())
                    write(client, ledger, f"{turn}-full-{k}", 20000)
            assert stack.heddle.running
            make_room(stack, ballast)
            ledger.reconcile(client.everything())
            wait_until(lambda: goes_on(client, ledger), "writing goes on when there is room, without a restart")
            print(f"{engine}, turn {turn}: full after {n} writes")
        stack.heddle.kill()
        stack.heddle.start()
        ledger.reconcile(client.everything())
        print(f"{engine}: {ledger.counts}")
    finally:
        backends.close()


def goes_on(client, ledger):
    if write(client, ledger, f"room-{ledger.counts['acked']}", 2000) == 200:
        return True
    ledger.reconcile(client.everything())
    return False
