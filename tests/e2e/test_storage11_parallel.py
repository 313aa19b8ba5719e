"""Storage API 1.1: many at once. No cross-talk between users, whole batches or nothing, times that only grow."""
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest


def test_e52_fifty_users_in_parallel(stack):
    """Each creates an account, writes, changes his password, writes, and deletes; old passwords are refused at once."""
    together = threading.Barrier(50, timeout=120)

    def live(n):
        user = stack.user11(password=f"password {n} first")
        together.wait()
        for i in range(5):
            user.save("xx", f"a{i}", f"{n}-{i}")
        old = user.authorization()
        user.account("POST", "/password", f"password {n} second")
        user.get("/info/collections", authorization=old, expect=401, code=0)
        user.put("/storage/xx/a0", {"payload": "stolen"}, authorization=old, expect=401, code=0)
        user.password = f"password {n} second"
        stamp = user.save_all("xx", [{"id": f"b{i}", "payload": f"{n}-b{i}"} for i in range(10)])
        got = {r["id"]: r["payload"] for r in user.full("xx")}
        assert got == {**{f"a{i}": f"{n}-{i}" for i in range(5)}, **{f"b{i}": f"{n}-b{i}" for i in range(10)}}
        assert user.info() == {"xx": stamp} and user.info("collection_counts") == {"xx": 15}
        user.delete("/storage/xx?ids=a0,a1")
        user.delete("/storage/xx/b0")
        assert len(user.ids("xx")) == 12
        user.delete("/storage", headers={"X-Confirm-Delete": "1"})
        assert user.info() == {}
        assert user.account("DELETE").text == "1"
        user.get("/info/collections", expect=401, code=0)
        user.close()
        return user.name

    with ThreadPoolExecutor(50) as pool:
        assert len(set(pool.map(live, range(50)))) == 50


def test_writers_of_one_user_get_times_of_their_own(stack, user11):
    def write(n):
        mine = user11.again()
        out = [mine.save("xx", f"{n}-{i}", f"{n}") if i % 2 else mine.save_all("xx", [{"id": f"{n}-{i}", "payload": f"{n}"}]) for i in range(20)]
        mine.close()
        assert out == sorted(set(out))
        return out

    with ThreadPoolExecutor(8) as pool:
        stamps = [s for out in pool.map(write, range(8)) for s in out]
    assert len(set(stamps)) == len(stamps) == 160
    assert {r["modified"] for r in user11.full("xx")} == set(stamps) and user11.info() == {"xx": max(stamps)}


def test_readers_see_whole_batches_or_nothing(stack, user11):
    """And never a record newer than the collection's time, nor a time that goes back."""
    user11.save_all("xx", [{"id": f"{i:02d}", "payload": "0"} for i in range(60)])
    done = threading.Event()

    def read(kind):
        mine, last = user11.again(), 0
        while not done.is_set():
            before = mine.info()["xx"]
            got = mine.full("xx", "newer=0" if kind else "")
            assert len(got) == 60 and len({r["payload"] for r in got}) == 1 == len({r["modified"] for r in got}), "half a batch"
            after = mine.info()["xx"]
            assert last <= before <= got[0]["modified"] <= after
            last = after
        mine.close()
        return last

    with ThreadPoolExecutor(5) as pool:
        readers = [pool.submit(read, k % 2) for k in range(4)]
        try:
            for turn in range(1, 40):
                stamp = user11.save_all("xx", [{"id": f"{i:02d}", "payload": f"{turn}"} for i in range(60)])
        finally:
            done.set()
        assert all(r.result() <= stamp for r in readers)


def test_nobody_who_follows_the_times_misses_a_record(stack, user11):
    """What a second device does: asks for what is newer than the last time it saw, while others write."""
    user11.save("xx", "first", "x")
    done, seen = threading.Event(), set()

    def follow():
        mine, last = user11.again(), None
        while True:
            ended = done.is_set()
            r = mine.get("/storage/xx?full=1" + (f"&newer={last}" if last else ""))
            for record in r.json():
                seen.add(record["id"])
                last = max(last or record["modified"], record["modified"])
            if ended:
                mine.close()
                return

    def write(n):
        mine = user11.again()
        for i in range(25):
            mine.save("xx", f"{n}-{i}", "x")
        mine.close()

    with ThreadPoolExecutor(6) as pool:
        follower = pool.submit(follow)
        try:
            for w in [pool.submit(write, n) for n in range(4)]:
                w.result()
        finally:
            done.set()
        follower.result()
    assert seen == {"first"} | {f"{n}-{i}" for n in range(4) for i in range(25)}


def test_of_two_that_know_the_same_time_one_writes(stack, user11):
    for turn in range(15):
        stamp = user11.save("xx", "a", "x")
        together = threading.Barrier(4, timeout=300)

        def write(n):
            mine = user11.again()
            together.wait()
            r = mine.put("/storage/xx/a", {"payload": f"{n}"}, headers=mine.since(stamp), expect=(200, 412))
            mine.close()
            return r.status

        with ThreadPoolExecutor(4) as pool:
            assert sorted(pool.map(write, range(4))) == [200, 412, 412, 412]


@pytest.mark.parametrize("wipe", ["/storage/xx", "/storage"])
def test_a_wipe_beside_writers_leaves_a_state_that_agrees(stack, user11, wipe):
    def write(n):
        mine = user11.again()
        for i in range(15):
            mine.save_all("xx", [{"id": f"{n}-{i}-{k}", "payload": "x"} for k in range(5)])
        mine.close()

    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write, n) for n in range(3)]
        for _ in range(10):
            user11.delete(wipe, headers={"X-Confirm-Delete": "1"})
        for w in writers:
            w.result()
    got = user11.full("xx")
    assert len(got) % 5 == 0
    assert user11.info("collection_counts") == ({"xx": len(got)} if got else {})
    if got:
        assert user11.info()["xx"] >= max(r["modified"] for r in got)
        assert user11.info("collection_usage")["xx"] * 1024 == len(got)
