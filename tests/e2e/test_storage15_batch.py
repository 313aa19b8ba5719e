"""Storage API 1.5: batch uploads (edge cases 85 to 110)."""
import json
import re
from urllib.parse import quote

import pytest

from lib.storage15 import records


def begin(user, coll, items=(), **kw):
    """Starts a batch; gives its id."""
    return user.upload(coll, list(items), "batch=true", expect=202, **kw)["batch"]


def append(user, coll, batch, items, **kw):
    out = user.upload(coll, items, f"batch={quote(batch)}", **{"expect": 202, **kw})
    assert not isinstance(out, dict) or out["batch"] == batch
    return out


def commit(user, coll, batch, items=(), **kw):
    return user.upload(coll, items if isinstance(items, (str, bytes)) else list(items),
                       f"batch={quote(batch)}&commit=true", **{"expect": 200, **kw})


def payloads(user, coll):
    return {i["id"]: i["payload"] for i in user.full(coll)}


def test_085_a_batch_is_invisible_until_the_commit(user):
    before = user.save_all("xx", records(2, prefix="old"))
    r = user.post("/storage/xx?batch=true", records(2, prefix="a"), expect=202)
    assert r.last_modified == before
    batch = r.json()["batch"]
    r = user.post(f"/storage/xx?batch={batch}", [{"id": "old0", "payload": "changed"}], expect=202)
    assert r.last_modified == before and r.json()["batch"] == batch
    r = user.get("/storage/xx")
    assert sorted(r.json()) == ["old0", "old1"] and r.last_modified == before and r.header("X-Weave-Records") == "2"
    assert user.item("xx", "old0")["payload"] == "x"
    user.missing("xx", "a0")
    assert user.info() == {"xx": before} and user.info("collection_counts") == {"xx": 2}
    assert float(user.info("collection_usage")["xx"]) == 2 / 1024 and float(user.info("quota")[0]) == 2 / 1024


def test_085_a_batch_of_a_new_collection_leaves_no_trace(user):
    begin(user, "xx", records(2))
    assert user.info() == {} and user.ids("xx") == [] and str(user.storage_time()) == "0.00"


def test_086_the_commit_shows_everything_with_one_time(user):
    before = user.save_all("xx", records(2, prefix="old"))
    batch = begin(user, "xx", records(2, prefix="a"))
    append(user, "xx", batch, records(2, prefix="b"))
    out = commit(user, "xx", batch, records(2, prefix="c"))
    assert out["success"] == ["c0", "c1"] and out["failed"] == {} and out["modified"] > before
    times = {i["id"]: i["modified"] for i in user.full("xx")}
    new = {f"{p}{i}" for p in "abc" for i in (0, 1)}
    assert {i for i, t in times.items() if t == out["modified"]} == new
    assert set(times) == new | {"old0", "old1"}
    assert user.info() == {"xx": out["modified"]} and user.get("/storage/xx").last_modified == out["modified"]


def test_087_a_commit_may_bring_nothing(user):
    batch = begin(user, "xx", records(2))
    out = commit(user, "xx", batch)
    assert out["success"] == [] and user.info() == {"xx": out["modified"]} and len(user.ids("xx")) == 2


def test_088_the_commits_item_wins_over_the_batchs(user):
    batch = begin(user, "xx", [{"id": "b0", "payload": "first"}, {"id": "b1", "payload": "other"}])
    out = commit(user, "xx", batch, [{"id": "b0", "payload": "last"}])
    assert out["success"] == ["b0"] and out["failed"] == {}
    assert payloads(user, "xx") == {"b0": "last", "b1": "other"}


def test_089_an_unknown_batch_is_refused(user):
    for query in ("batch=sammich", "batch=sammich&commit=true", "commit=true", "batch=0", "batch=12345",
                  "batch=" + quote("MTc2NzIyNTYwMTQwMA=="), "batch=" + "A" * 24, "batch=" + "A" * 22, "batch=%00", "batch=" + "A" * 5000):
        user.post(f"/storage/xx?{query}", records(1), expect=400, code=0)
    assert user.info() == {}


@pytest.mark.parametrize("value", ["1", "false", "yes", "", "no"])
def test_089_commit_other_than_true_is_refused(user, value):
    batch = begin(user, "xx", records(1))
    user.post(f"/storage/xx?batch={batch}&commit={value}", [], expect=400, code=0)
    assert user.info() == {}
    user.post(f"/storage/xx?batch={batch}&commit=TRUE", [])
    assert len(user.ids("xx")) == 1


@pytest.mark.parametrize("query", ["batch=true", "batch=True", "batch=TRUE", "batch=", "batch"])
def test_090_ways_to_begin_a_batch(user, query):
    out = user.upload("xx", records(1), query, expect=202)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", out["batch"])
    commit(user, "xx", out["batch"])
    assert user.ids("xx") == ["b0"]


def test_090_a_batch_id_may_be_percent_encoded(user):
    batch = begin(user, "xx", records(1))
    encoded = "".join(f"%{ord(c):02X}" for c in batch)
    user.post(f"/storage/xx?batch={encoded}&commit=true", [])
    assert user.ids("xx") == ["b0"]


SIZES = [("X-Weave-Records", "max_post_records"), ("X-Weave-Bytes", "max_post_bytes"),
         ("X-Weave-Total-Records", "max_total_records"), ("X-Weave-Total-Bytes", "max_total_bytes")]


@pytest.mark.parametrize("header, name", SIZES)
def test_091_announced_sizes_at_and_above_the_limit(user, header, name):
    limit = user.limits()[name]
    user.post("/storage/xx?batch=true", records(1), headers={header: str(limit)}, expect=202)
    user.post("/storage/xx?batch=true&commit=true", records(1), headers={header: str(limit)})
    before = user.info()
    for query in ("?batch=true", "?batch=true&commit=true", ""):
        user.post(f"/storage/xx{query}", records(1), headers={header: str(limit + 1)}, expect=400, code=17)
    assert user.info() == before


def test_092_one_item_more_than_a_request_may_hold(own_stack):
    user = own_stack({"limits.max_post_records": 10}).user()
    items = records(10) + [{"id": "toomany", "payload": "x"}]
    user.save_all("yy", items[:10])
    out = user.upload("xx", items, "batch=true", expect=202)
    assert out["success"] == [i["id"] for i in items[:10]] and out["failed"] == {"toomany": "retry bso"}
    commit(user, "xx", out["batch"])
    assert len(user.ids("xx")) == 10


def test_093_one_byte_more_than_a_request_may_hold(user):
    most = user.limits()["max_post_bytes"]
    little = {"id": "little", "payload": "XXX"}
    out = user.upload("xx", [little, {"id": "big", "payload": "X" * (most - 3)}], "batch=true", expect=202)
    assert out["success"] == ["little", "big"] and out["failed"] == {}
    out = user.upload("xx", [little, {"id": "big", "payload": "X" * (most - 2)}], "batch=true", expect=202)
    assert out["success"] == ["little"] and out["failed"] == {"big": "retry bytes"}


def test_094_a_partial_update_in_a_batch(user):
    first = user.save_all("xx", [{"id": i, "payload": f"{i}-old", "sortindex": 17} for i in "abc"])
    batch = begin(user, "xx", [{"id": "a", "payload": "a-new"}])
    out = commit(user, "xx", batch, [{"id": "b", "sortindex": 1}])
    got = {i["id"]: (i["payload"], i["sortindex"], i["modified"]) for i in user.full("xx")}
    assert got == {"a": ("a-new", 17, out["modified"]), "b": ("b-old", 1, out["modified"]), "c": ("c-old", 17, first)}


def test_095_ttls_alone_in_a_batch(clock_stack, clock_user):
    user = clock_user
    first = user.save_all("xx", [{"id": "a", "payload": "ayy"}, {"id": "b", "payload": "bea"}, {"id": "c", "payload": "see"}])
    r = user.post("/storage/xx?batch=true", [{"id": "a", "ttl": 100}, {"id": "b", "ttl": 1000}], expect=202)
    assert r.last_modified == first
    out = commit(user, "xx", r.json()["batch"])
    assert payloads(user, "xx") == {"a": "ayy", "b": "bea", "c": "see"}
    times = {i["id"]: i["modified"] for i in user.full("xx")}
    assert times == {"a": out["modified"], "b": out["modified"], "c": first}  # a commit moves every item of it
    clock_stack.heddle.advance(110)
    assert payloads(user, "xx") == {"b": "bea", "c": "see"}


def test_096_ttl_counts_from_the_commit(clock_stack, clock_user):
    user = clock_user
    batch = begin(user, "xx", [{"id": "a", "payload": "x", "ttl": 1000}])
    clock_stack.heddle.advance(950)
    commit(user, "xx", batch)
    clock_stack.heddle.advance(900)
    assert user.ids("xx") == ["a"]
    clock_stack.heddle.advance(200)
    assert user.ids("xx") == []


def test_097_batch_and_commit_in_one_request(user):
    out = user.upload("xx", records(2), "batch=true&commit=true", expect=200)
    assert "batch" not in out and out["success"] == ["b0", "b1"]
    assert user.info() == {"xx": out["modified"]} and len(user.ids("xx")) == 2


def test_098_overwriting_and_inserting_in_batches_move_the_time(user):
    times = [user.save_all("xx", records(1))]
    for items in (records(1, payload="y"), records(1, prefix="new")):
        out = commit(user, "xx", begin(user, "xx", items))
        times.append(out["modified"])
        assert user.info() == {"xx": out["modified"]}
        out = commit(user, "xx", begin(user, "xx"), items)
        times.append(out["modified"])
        assert user.info() == {"xx": out["modified"]}
    assert times == sorted(set(times))


def test_099_invalid_items_are_reported_and_left_out(user):
    out = user.upload("xx", [{"id": "a", "payload": "aai"}, {"id": "b", "payload": "bee", "sortindex": "FAIL"}],
                      "batch=true", expect=202)
    assert out["success"] == ["a"] and out["failed"] == {"b": "invalid sortindex"}
    out = commit(user, "xx", out["batch"], [{"id": "c", "payload": "sea", "ttl": -1}, {"id": "d", "payload": "dii"}])
    assert out["success"] == ["d"] and out["failed"] == {"c": "invalid ttl"}
    assert payloads(user, "xx") == {"a": "aai", "d": "dii"}


def test_100_a_batch_belongs_to_its_collection(user):
    batch = begin(user, "xx", records(1))
    user.post(f"/storage/yy?batch={batch}", records(1), expect=400, code=0)
    user.post(f"/storage/yy?batch={batch}&commit=true", records(1), expect=400, code=0)
    assert user.info() == {}
    append(user, "xx", batch, records(1, prefix="c"))
    commit(user, "xx", batch)
    assert sorted(user.ids("xx")) == ["b0", "c0"] and user.ids("yy") == []


def test_101_a_batch_belongs_to_its_user(user, other):
    batch = begin(user, "xx", records(1))
    other.post(f"/storage/xx?batch={batch}", records(1), expect=400, code=0)
    other.post(f"/storage/xx?batch={batch}&commit=true", records(1), expect=400, code=0)
    assert other.info() == {}
    commit(user, "xx", batch, records(1, prefix="c"))
    assert sorted(user.ids("xx")) == ["b0", "c0"] and other.ids("xx") == []


def test_102_batches_of_two_users_at_the_same_time_do_not_mix(user, other):
    mine, theirs = begin(user, "xx", records(2)), begin(other, "xx", records(3, prefix="t"))
    assert mine != theirs
    append(user, "xx", mine, [{"id": "same", "payload": "mine"}])
    append(other, "xx", theirs, [{"id": "same", "payload": "theirs"}])
    commit(other, "xx", theirs)
    commit(user, "xx", mine)
    assert payloads(user, "xx") == {"b0": "x", "b1": "x", "same": "mine"}
    assert payloads(other, "xx") == {"t0": "x", "t1": "x", "t2": "x", "same": "theirs"}


def test_103_a_committed_batch_is_over(user):
    batch = begin(user, "xx", records(1))
    commit(user, "xx", batch)
    user.delete("/storage/xx/b0")
    user.post(f"/storage/xx?batch={batch}", records(1), expect=400, code=0)
    user.post(f"/storage/xx?batch={batch}&commit=true", [], expect=400, code=0)
    assert user.ids("xx") == []
    ids = {begin(user, "xx") for _ in range(20)}
    assert len(ids) == 20 and batch not in ids


EMPTY = [("application/json", "[]", 200), ("application/json", "{}", 400), ("application/json", "", 400),
         ("application/newlines", "", 200), ("application/newlines", "\n", 400), ("application/newlines", "{}", 400),
         ("application/newlines", "[]", 400)]


@pytest.mark.parametrize("kind, body, status", EMPTY)
def test_104_empty_bodies_of_a_commit(user, kind, body, status):
    batch = begin(user, "xx", records(1))
    user.post(f"/storage/xx?batch={batch}&commit=true", body, type=kind, expect=status)
    assert user.ids("xx") == (["b0"] if status == 200 else [])


def test_105_an_old_batch_is_not_known(clock_stack, clock_user):
    user = clock_user
    young, old = begin(user, "xx", records(1)), begin(user, "xx", records(1))
    clock_stack.heddle.advance(7200 - 600)
    append(user, "xx", young, records(1, prefix="c"))  # its life counts from its beginning
    commit(user, "xx", young)
    clock_stack.heddle.advance(700)
    user.post(f"/storage/xx?batch={old}", records(1), expect=400, code=0)
    user.post(f"/storage/xx?batch={old}&commit=true", [], expect=400, code=0)
    assert sorted(user.ids("xx")) == ["b0", "c0"]


@pytest.mark.parametrize("payload", [None, ""])
def test_106_null_and_empty_payloads_in_a_batch(user, payload):
    user.save("xx", "old", "keep")
    batch = begin(user, "xx", [{"id": "new", "payload": payload}, {"id": "old", "payload": payload, "sortindex": 1}])
    commit(user, "xx", batch)
    assert payloads(user, "xx") == {"new": "", "old": "keep" if payload is None else ""}


def test_107_the_same_id_twice_in_a_batch_later_fields_win(user):
    batch = begin(user, "xx", [{"id": "a", "payload": "1", "sortindex": 1}, {"id": "b", "payload": "b"}])
    append(user, "xx", batch, [{"id": "a", "payload": "2"}])
    append(user, "xx", batch, [{"id": "a", "ttl": 1000}, {"id": "c", "payload": "c"}])
    out = commit(user, "xx", batch)
    got = {i["id"]: (i["payload"], i.get("sortindex")) for i in user.full("xx")}
    assert got == {"a": ("2", 1), "b": ("b", None), "c": ("c", None)}
    assert {i["modified"] for i in user.full("xx")} == {out["modified"]}


def test_108_a_commit_over_existing_items(user):
    first = user.save_all("xx", [{"id": f"i{i}", "payload": "old", "sortindex": i} for i in range(6)])
    batch = begin(user, "xx", [{"id": f"i{i}", "payload": "new"} for i in range(3, 9)])
    out = commit(user, "xx", batch)
    got = {i["id"]: (i["payload"], i.get("sortindex"), i["modified"]) for i in user.full("xx")}
    assert got == {**{f"i{i}": ("old", i, first) for i in range(3)},
                   **{f"i{i}": ("new", i if i < 6 else None, out["modified"]) for i in range(3, 9)}}


def test_109_bytes_in_open_batches_count_for_the_quota(own_stack):
    user = own_stack({"limits.quota_bytes": 1000, "limits.quota_enforced": "yes"}).user()
    batch = begin(user, "xx", [{"id": "a", "payload": "x" * 400}])
    append(user, "xx", batch, [{"id": "b", "payload": "x" * 400}])
    append(user, "xx", batch, [{"id": "c", "payload": "x" * 400}], expect=403)
    assert user.info() == {}
    user.put("/storage/yy/a", {"payload": "x" * 199})
    commit(user, "xx", batch)
    assert sorted(user.ids("xx")) == ["a", "b"]
    user.put("/storage/yy/b", {"payload": "x"}, expect=403, code=14)


def test_109_a_commit_that_would_pass_the_quota_is_refused(own_stack):
    user = own_stack({"limits.quota_bytes": 1000, "limits.quota_enforced": "yes"}).user()
    batch = begin(user, "xx", [{"id": "a", "payload": "x" * 500}])
    user.put("/storage/yy/a", {"payload": "x" * 600})
    user.post(f"/storage/xx?batch={batch}&commit=true", [], expect=403, code=14)
    assert user.ids("xx") == [] and "xx" not in user.info()


def test_109_what_a_whole_batch_may_hold_is_counted(own_stack):
    user = own_stack({"limits.max_post_records": 4, "limits.max_total_records": 10}).user()
    batch = begin(user, "xx", records(4, prefix="a"))
    append(user, "xx", batch, records(4, prefix="b"))
    user.post(f"/storage/xx?batch={batch}", records(4, prefix="c"), expect=400, code=17)
    commit(user, "xx", batch, records(2, prefix="d"))
    assert len(user.ids("xx")) == 10
    user = own_stack({"limits.max_post_bytes": 100, "limits.max_record_payload_bytes": 100, "limits.max_total_bytes": 250}).user()
    batch = begin(user, "xx", records(1, prefix="a", payload="x" * 100))
    append(user, "xx", batch, records(1, prefix="b", payload="x" * 100))
    user.post(f"/storage/xx?batch={batch}", records(1, prefix="c", payload="x" * 51), expect=400, code=17)
    commit(user, "xx", batch, records(1, prefix="d", payload="x" * 50))
    assert len(user.ids("xx")) == 3


def test_110_batches_switched_off(own_stack):
    user = own_stack({"limits.batches": "no"}).user()
    assert set(user.limits()) == {"max_request_bytes", "max_record_payload_bytes"}
    out = user.upload("xx", records(2), "batch=true", expect=200)
    assert "batch" not in out and len(user.ids("xx")) == 2
    user.upload("xx", records(1, prefix="c"), "commit=true", expect=200)
    user.upload("xx", records(1, prefix="d"), "batch=true&commit=true", expect=200)
    assert len(user.ids("xx")) == 4
    user.post("/storage/xx?batch=" + "A" * 24, records(1, prefix="e"), expect=400, code=0)
    user.post("/storage/xx?batch=sammich&commit=true", records(1, prefix="e"), expect=400, code=0)
    assert len(user.ids("xx")) == 4


def test_batch_if_unmodified_since_is_checked_on_each_request(user):
    before = user.save("xx", "old", "x")
    r = user.post("/storage/xx?batch=true", records(1), headers=user.since(before), expect=202)
    batch = r.json()["batch"]
    r = user.post(f"/storage/xx?batch={batch}", records(1, prefix="c"), headers=user.since(r.last_modified), expect=202)
    after = user.save("xx", "old", "y")
    user.post(f"/storage/xx?batch={batch}", records(1, prefix="d"), headers=user.since(before), expect=412)
    user.post(f"/storage/xx?batch={batch}&commit=true", [], headers=user.since(before), expect=412)
    assert user.ids("xx") == ["old"]
    user.post(f"/storage/xx?batch={batch}&commit=true", [], headers=user.since(after))  # the batch itself is unharmed
    assert sorted(user.ids("xx")) == ["b0", "c0", "old"]


def test_batch_in_newlines(user):
    lines = "".join(json.dumps(i) + "\n" for i in records(3))
    out = user.post("/storage/xx?batch=true", lines, type="application/newlines", expect=202).json()
    commit(user, "xx", out["batch"])
    assert len(user.ids("xx")) == 3


def test_batch_is_dropped_with_its_collection(user):
    batch = begin(user, "xx", records(1))
    user.save("xx", "a", "x")
    user.delete("/storage/xx")
    user.post(f"/storage/xx?batch={batch}&commit=true", [], expect=400, code=0)
    batch = begin(user, "xx", records(1))
    user.delete("/storage")
    user.post(f"/storage/xx?batch={batch}&commit=true", [], expect=400, code=0)
    assert user.ids("xx") == []
