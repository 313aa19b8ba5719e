"""Storage API 1.5: writing (edge cases 52 to 65)."""
import json

import pytest

from lib.storage15 import records


def test_052_post_merges_with_what_is_there(user):
    user.save_all("xx", [{"id": "12", "payload": "a"}, {"id": "13", "payload": "b"}])
    user.save_all("xx", [{"id": "13", "payload": "c"}, {"id": "14", "payload": "d"}])
    assert {i["id"]: i["payload"] for i in user.full("xx")} == {"12": "a", "13": "c", "14": "d"}


def test_052_items_of_one_post_have_one_time(user):
    written = user.save_all("xx", records(50))
    assert {i["modified"] for i in user.full("xx")} == {written}
    assert user.info() == {"xx": written}


def test_053_one_bad_item_does_not_stop_the_others(user):
    out = user.upload("xx", [{"id": "12", "sortindex": "FAIL", "payload": "x"}, {"id": "13", "payload": "y"}])
    assert out["success"] == ["13"] and out["failed"] == {"12": "invalid sortindex"}
    user.missing("xx", "12")
    assert user.item("xx", "13")["modified"] == out["modified"]


def test_053_the_collection_gets_the_time_even_if_all_failed(user):
    out = user.upload("xx", [{"id": "12", "ttl": -1}])
    assert out["success"] == [] and out["failed"] == {"12": "invalid ttl"}
    assert user.info() == {"xx": out["modified"]} and user.ids("xx") == []


def test_053_an_empty_post_gives_the_collection_a_time(user):
    out = user.upload("xx", [])
    assert (out["success"], out["failed"]) == ([], {})
    assert user.info() == {"xx": out["modified"]}


def test_054_newlines_are_taken_and_octets_are_not(user):
    items = [{"id": "12", "payload": "a"}, {"id": "13", "payload": "b"}]
    user.post("/storage/xx", "\n".join(map(json.dumps, items)), type="application/newlines")
    user.post("/storage/yy", "\n".join(map(json.dumps, items)) + "\n", type="application/newlines; charset=utf-8")
    for coll in ("xx", "yy"):
        assert sorted(user.ids(coll)) == ["12", "13"]
    user.post("/storage/zz", items, type="application/octet-stream", expect=415, code=0)
    assert user.ids("zz") == [] and "zz" not in user.info()


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "text/plain",
                                  "text/plain;charset=UTF-8", "APPLICATION/JSON", None])
def test_055_put_and_post_take_json_and_plain_text(user, kind):
    from lib.storage15 import NO_TYPE
    kind = NO_TYPE if kind is None else kind
    user.put("/storage/xx/a", {"payload": "x"}, type=kind)
    user.post("/storage/xx", [{"id": "b", "payload": "x"}], type=kind)
    assert sorted(user.ids("xx")) == ["a", "b"]


@pytest.mark.parametrize("kind", ["application/octet-stream", "application/newlines"])
def test_055_put_of_another_type_is_415(user, kind):
    user.put("/storage/xx/a", {"payload": "x"}, type=kind, expect=415, code=0)
    user.missing("xx", "a")


def test_056_javascript_is_415(user):
    user.put("/storage/xx/a", {"payload": "x"}, type="application/javascript", expect=415, code=0)
    user.post("/storage/xx", [{"id": "a", "payload": "x"}], type="application/javascript", expect=415, code=0)
    assert user.info() == {}


def test_057_more_items_than_allowed_in_one_post(user):
    most = user.limits()["max_post_records"]
    user.save_all("xx", records(most - 5))
    items = records(most + 5)
    out = user.upload("xx2", items)
    assert out["success"] == [i["id"] for i in items[:most]]
    assert out["failed"] == {i["id"]: "retry bso" for i in items[most:]}
    assert len(user.ids("xx2")) == most


def test_058_more_bytes_than_allowed_in_one_post(user):
    limits = user.limits()
    most = limits["max_post_bytes"]
    items = records(5, payload="x" * (most // 5))
    items[4]["payload"] += "x" * (most - 5 * (most // 5))
    assert sum(len(i["payload"]) for i in items) == most
    user.save_all("xx", items)
    items[4]["payload"] += "x"
    assert len(json.dumps(items)) < limits["max_request_bytes"]
    out = user.upload("xx2", items)
    assert out["success"] == [i["id"] for i in items[:4]] and out["failed"] == {items[4]["id"]: "retry bytes"}


def test_058_the_sum_goes_on_counting_what_failed(own_stack):
    user = own_stack({"limits.max_post_bytes": 1000, "limits.max_record_payload_bytes": 1000,
                      "limits.max_request_bytes": 100000}).user()
    items = [{"id": "a", "payload": "x" * 600}, {"id": "b", "payload": "x" * 600}, {"id": "c", "payload": "x"}]
    out = user.upload("xx", items)
    assert out["success"] == ["a"] and out["failed"] == {"b": "retry bytes", "c": "retry bytes"}


def test_058_bytes_are_counted_not_characters(own_stack):
    user = own_stack({"limits.max_post_bytes": 100, "limits.max_record_payload_bytes": 100,
                      "limits.max_request_bytes": 100000}).user()
    assert user.upload("xx", [{"id": "a", "payload": "ä" * 51}])["failed"]
    assert user.upload("xx", [{"id": "a", "payload": "ä" * 50}])["success"] == ["a"]
    user.put("/storage/xx/b", {"payload": "\U0001f600" * 25})
    user.put("/storage/xx/b", {"payload": "\U0001f600" * 26}, expect=400, code=8)


def test_059_ttl_alone_keeps_payload_and_time(clock_stack, clock_user):
    first = clock_user.save("xx", "a", "x", ttl=1000, sortindex=7)
    collection = clock_user.save("xx", "a", ttl=100)
    assert collection > first
    assert clock_user.item("xx", "a") == {"id": "a", "modified": first, "payload": "x", "sortindex": 7}
    assert clock_user.info() == {"xx": collection}
    clock_stack.heddle.advance(110)
    clock_user.missing("xx", "a")


def test_059_ttl_alone_for_a_new_item_makes_an_empty_one(user):
    written = user.save("xx", "a", ttl=10)
    assert user.item("xx", "a") == {"id": "a", "modified": written, "payload": ""}


def test_060_sortindex_alone_keeps_ttl_and_payload_and_moves_the_time(clock_stack, clock_user):
    clock_user.save("xx", "a", "x", ttl=1000)
    second = clock_user.save("xx", "a", sortindex=17)
    assert clock_user.item("xx", "a") == {"id": "a", "modified": second, "payload": "x", "sortindex": 17}
    clock_stack.heddle.advance(900)
    clock_user.item("xx", "a")
    clock_stack.heddle.advance(200)
    clock_user.missing("xx", "a")


def test_060_payload_alone_keeps_ttl_and_sortindex(clock_stack, clock_user):
    clock_user.save("xx", "a", "x", ttl=100, sortindex=3)
    clock_user.save("xx", "a", "y")
    assert clock_user.item("xx", "a")["sortindex"] == 3
    clock_stack.heddle.advance(110)
    clock_user.missing("xx", "a")


def test_061_ttls_in_bulk_for_known_and_new_items(clock_stack, clock_user):
    first = clock_user.save_all("xx", records(3, payload="x"))
    second = clock_user.save_all("xx", [{"id": "b0", "ttl": 1000}, {"id": "b1", "ttl": 100}, {"id": "b2", "ttl": 100, "payload": "z"},
                                        {"id": "new", "ttl": 1000}])
    got = {i["id"]: (i["payload"], i["modified"]) for i in clock_user.full("xx")}
    assert got == {"b0": ("x", first), "b1": ("x", first), "b2": ("z", second), "new": ("", second)}
    clock_stack.heddle.advance(110)
    assert sorted(clock_user.ids("xx")) == ["b0", "new"]


def test_062_the_largest_ttl(user):
    out = user.upload("xx", [{"id": "a", "payload": "x", "ttl": 94608000}, {"id": "b", "payload": "x", "ttl": 999999999},
                             {"id": "c", "payload": "x", "ttl": 1000000000}])
    assert out["success"] == ["a", "b"] and out["failed"] == {"c": "invalid ttl"}
    assert sorted(user.ids("xx")) == ["a", "b"]


def test_063_a_ttl_above_one_year_is_kept(own_stack):
    stack = own_stack()
    user = stack.user(expires_in_s=10 * 366 * 86400)
    user.save("tabs", "a", "x", ttl=31622400)
    user.save("tabs", "b", "x", ttl=94608000)
    stack.heddle.advance(31622400 - 600)
    assert sorted(user.ids("tabs")) == ["a", "b"]
    stack.heddle.advance(1200)
    assert user.ids("tabs") == ["b"]
    stack.heddle.advance(94608000 - 31622400)
    assert user.ids("tabs") == []


def test_064_sortindex_as_text_is_refused(user):
    out = user.upload("xx", [{"id": "a", "payload": "x", "sortindex": "9999"}])
    assert out["failed"] == {"a": "invalid sortindex"}
    user.put("/storage/xx/a", {"payload": "x", "sortindex": "9999"}, expect=400, code=8)
    user.missing("xx", "a")


def test_065_a_huge_item_in_a_list_fails_alone_and_is_not_logged(own_stack):
    stack = own_stack({"limits.max_request_bytes": 25_000_000, "limits.max_post_bytes": 20_000_000})
    user = stack.user()
    out = user.upload("xx", [{"id": "a", "payload": "fine"}, {"id": "b", "payload": "fine too"},
                             {"id": "big", "payload": "SECRETPAYLOAD" * 1_400_000}])
    assert out["success"] == ["a", "b"] and out["failed"] == {"big": "payload too large"}
    assert sorted(user.ids("xx")) == ["a", "b"]
    stack.heddle.stop()
    assert "SECRETPAYLOAD" not in stack.heddle.log_text()
