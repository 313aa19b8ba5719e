"""Storage API 1.5: preconditions, time, time to live (edge cases 75 to 84)."""
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import ROUND_FLOOR, Decimal

import pytest

from lib.storage15 import records

TICK = Decimal("0.01")


@pytest.mark.parametrize("early", [Decimal(1), TICK])
def test_075_if_unmodified_since_one_tick_early(user, early):
    user.save("xx", "b", "old")
    item = user.save("xx", "a", "old")
    late = user.since(item - early)
    calls = [("PUT", "/storage/xx/a", {"payload": "new"}), ("DELETE", "/storage/xx/a", None), ("GET", "/storage/xx/a", None),
             ("POST", "/storage/xx", [{"id": "a", "payload": "new"}]), ("DELETE", "/storage/xx?ids=a", None),
             ("DELETE", "/storage/xx", None), ("GET", "/storage/xx", None), ("DELETE", "/storage", None), ("DELETE", "", None),
             ("GET", "/info/collections", None)]
    for method, target, body in calls:
        r = user.request(method, target, body, headers=late, expect=412, code=0)
        assert r.last_modified == item, repr(r)
    assert {i["id"]: i["payload"] for i in user.full("xx")} == {"a": "old", "b": "old"}
    assert user.info() == {"xx": item}


def test_076_delete_of_ids_looks_at_the_whole_collection(user):
    first = user.save("xx", "a", "x")
    second = user.save("xx", "b", "x")
    user.delete("/storage/xx?ids=a", headers=user.since(first), expect=412)
    user.post("/storage/xx", [{"id": "a"}], headers=user.since(first), expect=412)
    assert sorted(user.ids("xx")) == ["a", "b"]
    user.delete("/storage/xx?ids=a", headers=user.since(second))


def test_077_if_unmodified_since_of_just_that_time(user):
    user.save("xx", "a", "x")
    t = user.save("xx", "b", "x")
    user.get("/storage/xx", headers=user.since(t))
    user.get("/storage/xx/b", headers=user.since(t))
    t = user.post("/storage/xx", [{"id": "c", "payload": "x"}], headers=user.since(t)).last_modified
    t = user.delete("/storage/xx?ids=a", headers=user.since(t)).last_modified
    c = user.item("xx", "c")["modified"]
    t = user.delete("/storage/xx/c", headers=user.since(c)).last_modified
    user.delete("/storage/xx", headers=user.since(t))


def test_077_an_item_is_compared_with_its_own_time(user):
    a = user.save("xx", "a", "x")
    user.save("xx", "b", "x")
    user.put("/storage/xx/a", {"payload": "y"}, headers=user.since(a))


def test_078_zero_means_create_only(user):
    user.save("xx", "other", "x")
    user.put("/storage/xx/a", {"payload": "x"}, headers=user.since(0))
    user.put("/storage/xx/a", {"payload": "y"}, headers=user.since(0), expect=412)
    user.put("/storage/xx/a", {"payload": "y"}, headers=user.since("0.00"), expect=412)
    assert user.item("xx", "a")["payload"] == "x"
    user.post("/storage/new", records(1), headers=user.since(0))
    user.post("/storage/new", records(1), headers=user.since(0), expect=412)


def test_078_zero_on_an_expired_item(clock_stack, clock_user):
    clock_user.save("xx", "a", "x", ttl=1000)
    clock_user.put("/storage/xx/a", {"payload": "y"}, headers=clock_user.since(0), expect=412)
    clock_stack.heddle.advance(2000)
    clock_user.get("/storage/xx/a", headers=clock_user.since(0), expect=404)
    clock_user.put("/storage/xx/a", {"payload": "y"}, headers=clock_user.since(0))


def test_078_after_a_wipe_everything_counts_as_missing(user):
    user.save("xx", "a", "x")
    user.delete("/storage")
    user.put("/storage/xx/a", {"payload": "x"}, headers=user.since(0))


BAD = ["-1", "-0.01", "NaN", "inf", "-inf", "1e400", "abc", "12x", "1,2", "0x12", "--1", "1.2.3", "."]


@pytest.mark.parametrize("method, target", [("GET", "/storage/xx"), ("GET", "/storage/xx/a"), ("PUT", "/storage/xx/a"),
                                            ("POST", "/storage/xx"), ("DELETE", "/storage/xx"), ("DELETE", "/storage/xx/a"),
                                            ("DELETE", "/storage"), ("GET", "/info/collections")])
def test_079_both_headers_or_a_malformed_one_are_refused(user, method, target):
    t = user.save("xx", "a", "x")
    body = {"PUT": {"payload": "y"}, "POST": [{"id": "a", "payload": "y"}]}.get(method)
    user.request(method, target, body, headers={**user.since(t), **user.changed(t)}, expect=400, code=0)
    for value in BAD:
        for header in ("X-If-Unmodified-Since", "X-If-Modified-Since"):
            user.request(method, target, body, headers={header: value}, expect=400, code=0)
    assert user.item("xx", "a")["payload"] == "x" and user.info() == {"xx": t}


def test_079_if_modified_since_does_not_stop_a_write(user):
    t = user.save("xx", "a", "x")
    user.put("/storage/xx/a", {"payload": "y"}, headers=user.changed(t + 1000))
    assert user.item("xx", "a")["payload"] == "y"


def test_080_timestamp_is_not_below_the_time_before_the_request(user):
    def before():
        return Decimal(time.time()).quantize(TICK, ROUND_FLOOR)

    for call in (lambda: user.get("/storage/xx"), lambda: user.put("/storage/xx/a", {"payload": "x"}),
                 lambda: user.post("/storage/xx", records(2)), lambda: user.get("/info/collections"),
                 lambda: user.delete("/storage/xx/a"), lambda: user.get("/storage/xx/nothing", expect=404),
                 lambda: user.get("/info/collections", authorization="", expect=401)):
        t = before()
        r = call()
        assert t <= r.timestamp <= before() + Decimal("0.2"), repr(r)


def test_081_a_returned_time_is_exact_in_newer_and_older(user):
    for _ in range(30):
        t = user.save("xx", "a", "x")
        assert user.ids("xx", f"newer={t}") == [] and user.ids("xx", f"newer={t - TICK}") == ["a"]
        assert user.ids("xx", f"older={t}") == [] and user.ids("xx", f"older={t + TICK}") == ["a"]
        user.get("/storage/xx/a", headers=user.changed(t), expect=304)


def test_082_writes_in_the_same_tick_have_different_times(user):
    times = [user.save("xx", f"i{i % 7}", "x") for i in range(100)]
    assert times == sorted(set(times))
    times = [user.save(f"c{i}", "a", "x") for i in range(20)]
    assert times == sorted(set(times))


def test_082_writers_at_the_same_time_are_put_in_an_order(stack, user):
    clients = [stack.again(user) for _ in range(4)]

    def write(n):
        return [clients[n].save("xx", f"w{n}-{i}", "x") for i in range(25)]

    with ThreadPoolExecutor(4) as pool:
        times = [t for part in pool.map(write, range(4)) for t in part]
    assert len(set(times)) == 100
    assert {i["modified"] for i in user.full("xx")} == set(times)
    assert user.info() == {"xx": max(times)}


def test_082_of_writers_with_one_precondition_just_one_wins(stack, user):
    clients = [stack.again(user) for _ in range(4)]
    t = user.save("xx", "a", "start")
    for turn in range(10):
        def write(n):
            r = clients[n].put("/storage/xx/a", {"payload": f"{turn}-{n}"}, headers=user.since(t), expect=(200, 412, 503))
            return r.status
        with ThreadPoolExecutor(4) as pool:
            statuses = list(pool.map(write, range(4)))
        assert statuses.count(200) == 1, statuses
        got = user.item("xx", "a")
        assert got["payload"] == f"{turn}-{statuses.index(200)}"
        t = got["modified"]


def test_082_a_clock_that_goes_back_costs_no_write(own_stack):
    stack = own_stack()
    user = stack.user(expires_in_s=86400)
    first = user.save("xx", "a", "x")
    stack.heddle.advance(-3600)
    times = [first] + [user.save("xx", f"i{i}", "x") for i in range(20)]
    assert times == sorted(set(times)) and times[-1] - first < 1
    assert len(user.ids("xx", f"newer={first}")) == 20
    assert user.get("/storage/xx").timestamp >= times[-1]
    wiped = user.delete("/storage").last_modified
    assert wiped > times[-1] and user.save("xx", "a", "x") > wiped


def test_083_ttl_zero_is_gone_at_once(user):
    user.save("xx", "a", "x", ttl=0)
    user.missing("xx", "a")
    assert user.ids("xx") == [] and user.full("xx") == [] and user.ids("xx", "ids=a") == []
    assert user.info("collection_counts") == {} and user.info("collection_usage") == {}
    assert float(user.info("quota")[0]) == 0
    user.delete("/storage/xx/a", expect=404)
    user.save("xx", "a", "y")
    assert user.item("xx", "a")["payload"] == "y"


def test_083_an_expired_item_is_replaced_as_if_new(clock_stack, clock_user):
    clock_user.save("xx", "a", "x", ttl=10, sortindex=3)
    clock_stack.heddle.advance(20)
    written = clock_user.save("xx", "a", ttl=1000)
    assert clock_user.item("xx", "a") == {"id": "a", "modified": written, "payload": ""}
    clock_user.save("xx", "b", "x", ttl=0)
    out = clock_user.upload("xx", [{"id": "b", "sortindex": 1}])
    assert clock_user.item("xx", "b") == {"id": "b", "modified": out["modified"], "payload": "", "sortindex": 1}


def test_084_ttl_runs_out_and_a_put_starts_it_again(clock_stack, clock_user):
    clock_user.save("xx", "a", "x", ttl=2000)
    collection = clock_user.save("xx", "b", "x")
    clock_stack.heddle.advance(1500)
    assert sorted(clock_user.ids("xx")) == ["a", "b"]
    collection = clock_user.save("xx", "a", "y", ttl=2000)
    clock_stack.heddle.advance(1500)
    assert sorted(clock_user.ids("xx")) == ["a", "b"]
    clock_stack.heddle.advance(1000)
    clock_user.missing("xx", "a")
    assert clock_user.ids("xx") == ["b"] and clock_user.info("collection_counts") == {"xx": 1}
    assert clock_user.info() == {"xx": collection}  # running out moves no time
