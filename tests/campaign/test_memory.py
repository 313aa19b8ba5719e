"""What the one box takes of a small machine's memory. Figures of the build in HEDDLE_BUILD, which must be the release."""
import resource
import socket
import threading

import pytest
from client import Client, payload
from lib.heddle import build_folder
from lib.processes import wait_until

MIB = 1024
pytestmark = pytest.mark.skipif(build_folder().name != "release", reason="memory is that of the release build: HEDDLE_BUILD=build/release")


def resident_kib(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))


class Watch(threading.Thread):
    """Remembers the highest resident size."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.peak, self.halt = pid, 0, threading.Event()

    def run(self):
        while not self.halt.wait(0.005):
            self.peak = max(self.peak, resident_kib(self.pid))


def upload(client, coll, count, size):
    for start in range(0, count, 100):
        r = client.request("POST", f"/storage/{coll}", [{"id": f"r{start + k:07}", "payload": payload(size)} for k in range(100)])
        assert r.status == 200, (r.status, r.body)


def upload_batch(client, coll, count, size):
    batch = "true"
    for start in range(0, count, 100):
        last = "&commit=true" if start + 100 >= count else ""
        r = client.request("POST", f"/storage/{coll}?batch={batch}{last}",
                           [{"id": f"b{start + k:07}", "payload": payload(size)} for k in range(100)])
        assert r.status == (200 if last else 202), (r.status, r.body)
        batch = r.json().get("batch", batch)


def many(stack, users=96, threads=12):
    """Load of another kind: many users, so that every worker has been at every file of the store."""
    errors = []

    def work(n):
        try:
            for uid in range(3_400_001_000 + n, 3_400_001_000 + users, threads):
                client = Client(stack, uid)
                upload(client, "tabs", 100, 2000)
                for target in ("/info/collections", "/storage/tabs?full=1", "/info/collection_usage", "/storage/tabs/r0000001"):
                    assert client.request("GET", target).status == 200
                client.close()
        except BaseException as e:
            errors.append(e)

    running = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
    for t in running:
        t.start()
    for t in running:
        t.join()
    assert not errors, errors


def test_the_one_box_stays_small(backends):
    stack = backends.stack("sqlite+memory")
    pid = stack.heddle.pid
    Client(stack, 3_400_000_001).everything()
    fresh = resident_kib(pid)
    assert fresh < 20 * MIB, f"fresh: {fresh} KiB"

    reader, writer = Client(stack, 3_400_000_000), Client(stack, 3_400_000_002)
    upload(reader, "history", 100_000, 256)
    watch = Watch(pid)
    watch.start()
    stop, rounds, errors = threading.Event(), [0], []

    def read():
        try:
            while not stop.is_set() or rounds[0] == 0:
                r = reader.request("GET", "/storage/history?full=1")
                assert r.status == 200 and len(r.json()) == 100_000
                rounds[0] += 1
        except BaseException as e:
            errors.append(e)

    t = threading.Thread(target=read)
    t.start()
    upload_batch(writer, "bookmarks", 5000, 500)
    stop.set()
    t.join()
    watch.halt.set()
    watch.join()
    assert not errors, errors
    assert watch.peak < 64 * MIB, f"under load: {watch.peak} KiB"
    many(stack)
    wait_until(lambda: resident_kib(pid) < 20 * MIB, f"under 20 MiB again (is {resident_kib(pid)} KiB)", timeout_s=180, every_s=1)
    print(f"resident: fresh {fresh / MIB:.1f} MiB, at most {watch.peak / MIB:.1f} MiB under load, {resident_kib(pid) / MIB:.1f} MiB after it "
          f"({rounds[0]} reads of 100,000 records)")


POOL = 16 * 1024  # public.connection_memory
IDLE = 10_000
ASK = b"GET /__lbheartbeat__ HTTP/1.1\r\nHost: x\r\n\r\n"


def files_for(count):
    """Open files for so many connections; how many there can be."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return count if hard == resource.RLIM_INFINITY else min(count, hard - 1000)


def dial(stack):
    """A connection that has had an answer and is idle now."""
    s = socket.create_connection(("127.0.0.1", stack.heddle.port), timeout=120)
    s.sendall(ASK)
    assert s.recv(4096).startswith(b"HTTP/1.1 200")
    return s


def test_idle_connections_cost_little_beside_their_pool(backends):
    stack = backends.stack("sqlite+memory", {"public.connections": IDLE + 1000, "public.connections_memory": "1g", "public.idle": 600})
    idle = [dial(stack) for _ in range(200)]
    before = resident_kib(stack.heddle.pid)
    count = files_for(IDLE)
    idle += [dial(stack) for _ in range(count)]
    each = (resident_kib(stack.heddle.pid) - before) * 1024 / count
    for s in idle:
        s.sendall(ASK)  # they are still there
        assert s.recv(4096).startswith(b"HTTP/1.1 200")
        s.close()
    print(f"{count} idle connections: {each:.0f} bytes each, {each - POOL:.0f} beyond the pool")
    assert each <= POOL + 2048


def test_idle_connections_never_take_more_than_their_ceiling(backends):
    """Far more come than fit in: each is served, and the oldest silent ones go."""
    stack = backends.stack("sqlite+memory", {"public.connections": IDLE, "public.connections_memory": "32m"})
    count = files_for(4 * 32 * MIB * 1024 // (POOL + 2048))
    idle = [dial(stack) for _ in range(20)]
    before = resident_kib(stack.heddle.pid)
    watch = Watch(stack.heddle.pid)
    watch.start()
    idle += [dial(stack) for _ in range(count)]
    watch.halt.set()
    watch.join()
    for s in idle:
        s.close()
    print(f"{count} connections, ceiling 32 MiB: {(watch.peak - before) / MIB:.1f} MiB more at most")
    assert watch.peak - before <= 32 * MIB
