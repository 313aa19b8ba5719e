"""Eight parallel clients writing to and reading from one user: every history is linearizable, nothing is lost, no stamp repeats; also with
the clock stepped back an hour in the middle."""
import threading
import time

import pytest
from client import Client, payload
from conftest import FULL
from lib.processes import wait_until
from oracle import Transcript

CLIENTS, STEPS = 8, 400 if FULL else 80


def work(stack, uid, n, rnd, transcript, lock, errors):
    client = Client(stack, uid)
    try:
        for step in range(STEPS):
            dice, begin = rnd.random(), time.monotonic()
            if dice < 0.5:
                items = {f"i{rnd.randrange(30)}": f"{n}-{step}-{payload(8)}" for _ in range(rnd.randrange(1, 4))}
                r = client.request("POST", "/storage/shared", [{"id": i, "payload": p} for i, p in items.items()])
                changes = items
            elif dice < 0.6:
                ids = [f"i{rnd.randrange(30)}"]
                r = client.request("DELETE", "/storage/shared?ids=" + ids[0])
                changes = {i: None for i in ids}
            else:
                r = client.request("GET", "/storage/shared?full=1")
                changes = None
            end = time.monotonic()
            assert r.status == 200, (r.status, r.body)
            with lock:
                if changes is not None:
                    transcript.write(begin, end, r.stamp, changes)
                else:
                    transcript.read(begin, end, r.stamp,
                                    {i["id"]: (i["payload"], round(i["modified"] * 100)) for i in r.json()})
    except BaseException as e:
        errors.append(e)
    finally:
        client.close()


@pytest.mark.parametrize("clock", ["steady", "stepped back"])
def test_parallel_clients_of_one_user_see_one_history(engine, clock, backends, rnd):
    stack = backends.stack(engine)
    transcript, lock, errors = Transcript(), threading.Lock(), []
    threads = [threading.Thread(target=work, args=(stack, 3_100_000_000, n, rnd, transcript, lock, errors)) for n in range(CLIENTS)]
    for t in threads:
        t.start()
    if clock == "stepped back":
        wait_until(lambda: errors or len(transcript.writes) >= CLIENTS * STEPS // 6, "the clients get on", 300, every_s=0.005)
        assert not errors, errors
        stack.heddle.advance(-3600)
    for t in threads:
        t.join()
    assert not errors, errors
    writes, reads = transcript.check()
    print(f"{engine}, {clock}: {writes} writes, {reads} reads")
    assert writes + reads == CLIENTS * STEPS
