"""Storage API 1.1: info/*, times, lives of records, quota."""
from decimal import Decimal

import pytest


def kb(n):
    return Decimal(n) / 1024


def usage(user):
    out = user.info("collection_usage")
    assert user.info("quota")[0] == sum(out.values())
    return out


# ---- time to live ----

def test_e36_ttl_0_is_invisible_at_once(user11):
    r = user11.put("/storage/xx/a", {"payload": "x", "ttl": 0})
    assert r.text == r.header("X-Weave-Timestamp")
    user11.missing("xx", "a")
    assert user11.ids("xx") == [] and user11.info("collection_counts").get("xx", 0) == 0


def test_e36_what_has_a_ttl_is_visible_now_and_gone_after_it(clock_stack):
    user = clock_stack.user11()
    user.save("xx", "a", "x", ttl=200)
    user.save_all("xx", [{"id": "b", "payload": "x", "ttl": "200"}])
    assert user.ids("xx") == ["a", "b"] and user.item("xx", "a")["payload"] == "x"
    clock_stack.heddle.advance(200.1)
    user.missing("xx", "a")
    assert user.ids("xx") == [] and user.full("xx") == []
    assert user.info("collection_counts").get("xx", 0) == 0 and sum(user.info("collection_usage").values()) == 0


def test_e36_a_new_put_refreshes_or_clears_the_ttl(clock_stack):
    user = clock_stack.user11()
    for id in "abc":
        user.save("xx", id, "x", ttl=1000)
    clock_stack.heddle.advance(600)
    user.save("xx", "a", "x", ttl=1000)
    user.save("xx", "b", "x")
    clock_stack.heddle.advance(600)
    assert user.ids("xx") == ["a", "b"]
    clock_stack.heddle.advance(600)
    assert user.ids("xx") == ["b"]
    clock_stack.heddle.advance(86400 * 366)
    assert user.ids("xx") == ["b"], "a payload without ttl never expires"


@pytest.mark.parametrize("ttl", [0, 3600, 31536000, "3600", "0", 3600.0])
def test_e36_legal_ttls(user11, ttl):
    user11.save("xx", "a", "x", ttl=ttl)
    assert user11.ids("xx") == ([] if ttl in (0, "0") else ["a"])


def test_e37_an_expired_record_can_be_written_again_in_every_way(clock_stack):
    user = clock_stack.user11()
    for id in ("put", "post", "object", "meta"):
        user.save("xx", id, "old", ttl=10, parentid="p")
    clock_stack.heddle.advance(11)
    user.save("xx", "put", "new")
    user.save_all("xx", [{"id": "post", "payload": "new"}])
    user.post("/storage/xx", {"id": "object", "payload": "new"})
    user.put("/storage/xx/meta", {"sortindex": 1})
    got = {r.pop("id"): r for r in user.full("xx")}
    assert [got[i]["payload"] for i in ("put", "post", "object", "meta")] == ["new", "new", "new", ""]
    assert all("parentid" not in r for r in got.values())


# ---- what there is ----

def test_info_is_empty_for_a_new_account(user11):
    assert user11.info() == {} == user11.info("collection_counts") == user11.info("collection_usage")
    assert user11.info("quota") == [0, None]


def test_counts_name_filled_collections_alone(user11):
    user11.save_all("col1", [{"id": str(i), "payload": "x"} for i in range(3)])
    user11.save_all("col2", [{"id": str(i), "payload": "x"} for i in range(5)])
    for i in range(6):
        user11.get(f"/storage/touched{i}")
        user11.delete(f"/storage/touched{i}")
        user11.post(f"/storage/touched{i}", [])
    assert user11.info("collection_counts") == {"col1": 3, "col2": 5} and set(user11.info()) == {"col1", "col2"}


def test_e39_usage_is_in_kb_and_exact(user11):
    user11.save("xx", "a", "x" * 3)
    user11.save("xx", "b", "x" * 500)
    assert usage(user11) == {"xx": kb(503)}
    before = user11.info("quota")[0]
    user11.save("yy", "a", "x" * 500)
    assert user11.info("quota") == [before + kb(500), None] and usage(user11) == {"xx": kb(503), "yy": kb(500)}
    user11.save("xx", "b", "é")
    assert usage(user11)["xx"] == kb(5)
    user11.put("/storage/xx/b", {"sortindex": 1})
    assert usage(user11)["xx"] == kb(5)
    user11.delete("/storage/xx/a")
    assert usage(user11)["xx"] == kb(2)
    user11.save("tabs", "a", "x" * 1024)
    assert usage(user11)["tabs"] == 1, "tabs count, too"


def test_e42_a_new_collection_shows_at_once(user11):
    for i in range(10):
        before = user11.info()
        written = user11.save(f"c{i}", "a", "x")
        assert user11.info() == {**before, f"c{i}": written}
        assert user11.again().info() == {**before, f"c{i}": written}


def test_e42_reading_and_failing_make_no_collection(user11):
    user11.save("xx", "a", "x")
    before = user11.info()
    user11.get("/storage/c1?full=1")
    user11.missing("c2", "a")
    user11.put("/storage/c3/a", "nonsense", expect=400)
    user11.post("/storage/c4", [{"id": "a", "payload": 1}])
    user11.post("/storage/c5", [])
    user11.delete("/storage/c6?ids=a")
    assert user11.info() == before


def test_e44_the_times_of_two_users_are_independent(stack):
    one, two = stack.user11(), stack.user11()
    first = one.save("xx", "a", "x")
    assert two.info() == {} and two.ids("xx") == []
    second = two.save("xx", "a", "y")
    assert one.info() == {"xx": first} and two.info() == {"xx": second}
    two.delete("/storage", headers={"X-Confirm-Delete": "1"})
    assert one.info() == {"xx": first} and one.item("xx", "a")["payload"] == "x"


def test_times_are_the_wall_clocks(stack, user11):
    for ask in (lambda: user11.get("/info/collections"), lambda: user11.put("/storage/xx/a", {"payload": "x"}), lambda: user11.get("/storage/xx/a")):
        began = Decimal(stack.heddle.now())
        assert began - 1 < ask().timestamp < Decimal(stack.heddle.now()) + 1


def test_times_of_one_user_only_grow_even_when_the_clock_goes_back(own_stack):
    """[R] Old servers trusted the clock, and lost writes of other devices."""
    stack = own_stack()
    user = stack.user11()
    first = user.save("xx", "a", "x")
    stack.heddle.advance(-100)
    second = user.save("xx", "b", "x")
    assert second == first + Decimal("0.01") and user.ids("xx", f"newer={first}") == ["b"]
    r = user.get("/info/collections")
    assert r.json() == {"xx": second} and r.timestamp >= second
    gone = user.delete("/storage/xx/a").json()
    assert gone == second + Decimal("0.01") and user.info() == {"xx": gone}
    assert user.save_all("yy", [{"id": "a", "payload": "x"}]) == gone + Decimal("0.01")


@pytest.mark.parametrize("path", ["/info/collections", "/info/collection_counts", "/info/collection_usage", "/info/quota", "/storage/xx",
                                  "/storage/xx/a", "/storage/xx/nothing", "/info/nothing", "/storage"])
def test_every_answer_tells_a_time_not_older_than_what_it_shows(user11, path):
    written = user11.save("xx", "a", "x")
    assert user11.get(path, expect=None).timestamp >= written


# ---- quota ----

def test_e40_what_is_left_is_told_as_before_the_write(own_stack):
    """The example of the protocol is 0.1 KB; ours are whole bytes, so 102."""
    user = own_stack({"limits.quota_bytes": 102}).user11()
    assert Decimal(user.put("/storage/xx/a", {"payload": "x" * 24}).header("X-Weave-Quota-Remaining")) == kb(102)
    r = user.put("/storage/xx/b", {"payload": "x" * 50})
    assert r.header("X-Weave-Quota-Remaining") == f"{kb(102 - 24).normalize():f}"
    r = user.post("/storage/xx", [{"id": "c", "payload": "x"}])
    assert Decimal(r.header("X-Weave-Quota-Remaining")) == kb(102 - 74)
    assert user.info("quota") == [kb(75), kb(102)]
    assert user.get("/storage/xx").header("X-Weave-Quota-Remaining") is None


def test_e40_with_more_than_a_megabyte_left_nothing_is_told(own_stack):
    user = own_stack({"limits.quota_bytes": 1024 * 1024 + 10}).user11()
    assert user.put("/storage/xx/a", {"payload": "x" * 10}).header("X-Weave-Quota-Remaining") is None
    assert user.put("/storage/xx/b", {"payload": "x"}).header("X-Weave-Quota-Remaining") == "1024.0"


def test_e41_without_anything_left_writes_are_400_with_14(own_stack):
    user = own_stack({"limits.quota_bytes": 10}).user11()
    user.save("xx", "a", "x" * 9)
    written = user.save("xx", "big", "x" * 500)  # the last that is let in may overshoot
    for method, target, body in (("PUT", "/storage/xx/b", {"payload": ""}), ("POST", "/storage/xx", [{"id": "b", "payload": ""}]),
                                 ("POST", "/storage/xx", {"id": "b", "payload": ""}), ("PUT", "/storage/xx", [{"id": "b"}]),
                                 ("PUT", "/storage/yy/a", {"sortindex": 1})):
        r = user.storage(method, target, body, expect=400, code=14)
        assert r.type == "application/json" and r.header("X-Weave-Quota-Remaining") is None
    assert user.info() == {"xx": written} and user.ids("xx") == ["a", "big"]


def test_e41_the_order_of_quota_and_other_errors(own_stack):
    """An item: quota, then 412, then the body. A list: 412, then the body, then quota."""
    user = own_stack({"limits.quota_bytes": 1}).user11()
    written = user.save("xx", "a", "x")
    old = user.since(written - 1)
    user.put("/storage/xx/a", "nonsense", headers=old, expect=400, code=14)
    user.post("/storage/xx", "nonsense", headers=old, expect=412)
    user.post("/storage/xx", "nonsense", expect=400, code=6)
    user.post("/storage/xx", "42", expect=400, code=8)
    user.post("/storage/xx", [], expect=(200, 400))


def test_e41_deleting_makes_room_at_once(own_stack):
    """[R] Our figures are exact at every moment; the old server's were cached for an hour."""
    stack = own_stack({"limits.quota_bytes": 1000})
    user = stack.user11()
    user.save("xx", "a", "x" * 1000)
    user.put("/storage/xx/b", {"payload": "x"}, expect=400, code=14)
    user.delete("/storage/xx/a")
    user.save("xx", "b", "x" * 1000, ttl=50)
    user.put("/storage/xx/c", {"payload": "x"}, expect=400, code=14)
    stack.heddle.advance(51)
    user.save("xx", "c", "x" * 1000)
    user.put("/storage/xx/c", {"payload": ""}, expect=400, code=14)
    user.delete("/storage", headers={"X-Confirm-Delete": "1"})
    user.save("xx", "c", "x")


def test_e41_each_user_has_his_own_quota(own_stack):
    stack = own_stack({"limits.quota_bytes": 100})
    one, two = stack.user11(), stack.user11()
    one.save("xx", "a", "x" * 100)
    two.save("xx", "a", "x")
    one.put("/storage/xx/a", {"payload": "x"}, expect=400, code=14)
    two.save("xx", "a", "x")


def test_no_quota_no_header_and_null(user11):
    assert user11.put("/storage/xx/a", {"payload": "x"}).header("X-Weave-Quota-Remaining") is None
    assert user11.info("quota") == [kb(1), None]
