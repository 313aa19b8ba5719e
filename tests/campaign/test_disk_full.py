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
    items = {f"i{n}-{k}": payload(size) for k in range(20)}
    ledger.attempt(Write("put", "bookmarks", items))
    r = client.request("POST", "/storage/bookmarks", [{"id": i, "payload": p} for i, p in items.items()])
    if r.status == 200:
        ledger.acked(r.stamp)
    else:
        assert r.status == 503 and r.headers["retry-after"].isdigit(), (r.status, r.body)
        ledger.unknown()
        ledger.reconcile(client.everything())
    return r.status


def test_a_full_disk_refuses_and_loses_nothing(engine, small_disk):
    folder = small_disk(40 if engine == "sqlite+memory" else 400)
    backends = Backends(folder, folder / "template")
    try:
        stack = backends.stack(engine)
        client, ledger = Client(stack, 3_300_000_000), Ledger("the writer")
        for n in range(5):
            assert write(client, ledger, n, 2000) == 200
        ballast = fill(folder)
        statuses = [write(client, ledger, 100 + n, 20000) for n in range(40)]
        assert 503 in statuses, "the disk never got full"
        refused = len([s for s in statuses if s == 503])
        ledger.reconcile(client.everything())
        assert stack.heddle.running and client.request("GET", "/info/collections").status == 200
        ballast.unlink()
        wait_until(lambda: write(client, ledger, 200 + ledger.counts["acked"], 20000) == 200, "writing goes on when there is room")
        ledger.reconcile(client.everything())
        stack.heddle.kill()
        stack.heddle.start()
        ledger.reconcile(client.everything())
        print(f"{engine}: {refused} of {len(statuses)} writes refused, {ledger.counts}")
    finally:
        backends.close()
