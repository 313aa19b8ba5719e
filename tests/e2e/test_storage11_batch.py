"""Storage API 1.1: POST of lists."""
import json

import pytest

SMALL = [{"id": f"i{i:03d}", "payload": f"p{i}"} for i in range(105)]


def test_e06_numeric_ids_become_text(user11):
    out = user11.upload("xx", [{"id": 12, "payload": "x"}, {"id": 13, "payload": "y"}, {"id": True, "payload": "z"}])
    assert out["failed"] == {} and out["success"][:2] == ["12", "13"] and len(out["success"]) == 3
    assert user11.item("xx", "12")["payload"] == "x" and user11.item("xx", "13")["id"] == "13"
    assert user11.ids("xx")[:2] == ["12", "13"]


def test_e07_one_bad_record_fails_alone(user11):
    out = user11.upload("xx", [{"id": "1", "payload": "x"}, {"id": "2", "payload": "x", "sortindex": "FAIL"}, {"id": "3", "payload": "x"}])
    assert out["success"] == ["1", "3"] and out["failed"] == {"2": ["invalid sortindex"]}
    user11.missing("xx", "2")
    assert user11.ids("xx") == ["1", "3"]


def test_e08_a_mixed_batch_of_nine(user11):
    before = user11.save_all("xx", [{"id": "modifyme", "payload": "m1", "sortindex": 1}, {"id": "modifyme2", "payload": "m2", "sortindex": 2}])
    out = user11.upload("xx", [
        {"id": "1", "payload": "one"}, {"id": "2"}, {"id": "3", "payload": "three", "parentid": "1", "predecessorid": "2", "sortindex": 3},
        {"id": "4", "payload": "x", "parentid": "p" * 65}, {"id": "5", "payload": "x", "predecessorid": "p" * 65},
        {"id": "6", "payload": "x", "sortindex": "abc"}, {"payload": "no id"}, {"id": "modifyme", "sortindex": 10},
        {"id": "modifyme2", "parentid": "1"}])
    assert out["success"] == ["1", "2", "3", "modifyme", "modifyme2"]
    assert out["failed"] == {"": ["invalid id"], "4": ["invalid parentid"], "5": ["invalid predecessorid"], "6": ["invalid sortindex"]}
    now = out["modified"]
    assert user11.full("xx") == [
        {"id": "1", "modified": now, "payload": "one"}, {"id": "2", "modified": now, "payload": ""},
        {"id": "3", "modified": now, "payload": "three", "parentid": "1", "predecessorid": "2", "sortindex": 3},
        {"id": "modifyme", "modified": before, "payload": "m1", "sortindex": 10},
        {"id": "modifyme2", "modified": before, "payload": "m2", "sortindex": 2, "parentid": "1"}]


@pytest.mark.parametrize("bad", ["BAD", 42, None, True, [], ["x"], {"id": "a", "x": []}, {"id": ["a"]}, {"id": {"a": 1}},
                                 {"id": "a", "payload": {"3": "4"}}, {"id": "a", "sortindex": [1]}], ids=repr)
def test_e09_what_is_no_record_fails_alone(user11, bad):
    out = user11.upload("xx", [{"id": "good", "payload": "x"}, bad])
    named = "a" if isinstance(bad, dict) and bad["id"] == "a" else ""
    assert out["success"] == ["good"] and out["failed"] == {named: ["invalid wbo"]}
    assert user11.ids("xx") == ["good"]


def test_e10_seventy_small_records(user11):
    stamp = user11.save_all("xx", SMALL[:70])
    got = user11.full("xx")
    assert [(r["id"], r["payload"]) for r in got] == [(r["id"], r["payload"]) for r in SMALL[:70]]
    assert {r["modified"] for r in got} == {stamp}, "one time for all of them"


def test_e11_of_105_records_a_hundred_are_taken(user11):
    out = user11.upload("xx", SMALL)
    assert out["success"] == [r["id"] for r in SMALL[:100]]
    assert out["failed"] == {r["id"]: ["retry wbo"] for r in SMALL[100:]}
    assert len(user11.ids("xx")) == 100
    assert user11.upload("xx", SMALL[100:])["failed"] == {} and len(user11.ids("xx")) == 105


def test_e11_bad_records_count_among_the_hundred(user11):
    bad = [{"id": f"b{i}", "payload": 1} for i in range(60)]
    out = user11.upload("xx", bad + SMALL[:45])
    assert out["success"] == [r["id"] for r in SMALL[:40]]
    assert out["failed"] == {**{b["id"]: ["payload not a string"] for b in bad}, **{r["id"]: ["retry wbo"] for r in SMALL[40:45]}}


def test_e12_of_five_times_210_kib_four_are_taken(user11):
    items = [{"id": str(i), "payload": "x" * (210 * 1024)} for i in range(5)]
    out = user11.upload("xx", items)
    assert out["success"] == ["0", "1", "2", "3"] and out["failed"] == {"4": ["retry bytes"]}
    assert user11.ids("xx") == ["0", "1", "2", "3"]


def test_e12_the_record_that_reaches_the_limit_fails_and_all_payloads_after_it(user11):
    quarter = 262144
    items = [{"id": str(i), "payload": "x" * quarter} for i in range(3)]
    out = user11.upload("xx", items + [{"id": "3", "payload": "x" * quarter}, {"id": "4", "payload": "x"}, {"id": "0", "sortindex": 1}])
    assert out["success"] == ["0", "1", "2", "0"] and out["failed"] == {"3": ["retry bytes"], "4": ["retry bytes"]}
    out = user11.upload("yy", items + [{"id": "3", "payload": "x" * (quarter - 1)}])
    assert out["failed"] == {} and len(out["success"]) == 4


def test_a_full_batch_of_a_hundred_records_of_256_kib_is_read(user11):
    """No client splits by bytes: what is too much comes back as failed, with status 200."""
    items = [{"id": f"{i:02d}", "payload": "x" * 262144} for i in range(100)]
    out = user11.upload("xx", items)
    assert out["success"] == ["00", "01", "02"] and len(out["failed"]) == 97
    assert all(v == ["retry bytes"] for v in out["failed"].values())


def test_an_empty_list_succeeds_and_makes_no_collection(user11):
    r = user11.post("/storage/xx", [])
    assert r.json()["success"] == [] and r.json()["failed"] == {} and r.json()["modified"] == r.timestamp
    assert user11.info() == {} and user11.info("collection_counts") == {}
    user11.upload("xx", [{"id": "", "payload": "x"}])
    assert user11.info() == {}, "nor do records that all fail"


@pytest.mark.parametrize("bad, why", [
    ({"parentid": "p" * 65}, "invalid parentid"), ({"predecessorid": "p" * 65}, "invalid predecessorid"),
    ({"sortindex": "abc"}, "invalid sortindex"), ({"sortindex": 1234567890123}, "invalid sortindex"),
    ({"sortindex": -1000000000}, "invalid sortindex"), ({"sortindex": "1000000000"}, "invalid sortindex"),
    ({"ttl": -1}, "invalid ttl"), ({"ttl": 31537000}, "invalid ttl"), ({"ttl": "bouh"}, "invalid ttl"),
    ({"payload": 42}, "payload not a string"), ({"payload": True}, "payload not a string"),
    ({"payload": "x" * 262145}, "payload too large")], ids=lambda v: str(v)[:30])
def test_the_words_of_failure(user11, bad, why):
    before = user11.save("xx", "a", "old")
    out = user11.upload("xx", [{"id": "b", "payload": "x"}, {"id": "a", "payload": "new", **bad}])
    assert out["success"] == ["b"] and out["failed"] == {"a": [why]}
    assert user11.item("xx", "a") == {"id": "a", "modified": before, "payload": "old"}


@pytest.mark.parametrize("id", ["x" * 65, "a\nb", "a\0", "\x7f", "ä", "a/b"], ids=repr)
def test_an_illegal_id_fails_under_its_own_name(user11, id):
    out = user11.upload("xx", [{"id": id, "payload": "x"}, {"id": "good", "payload": "x"}])
    assert out["success"] == ["good"] and out["failed"] == {id: ["invalid id"]}


def test_records_without_an_id_share_the_empty_name(user11):
    out = user11.upload("xx", [{"payload": "x"}, {"id": "", "payload": "x"}, {"id": None, "payload": "x"}, {"id": "a", "payload": "x"}])
    assert out["success"] == ["a"] and out["failed"] == {"": ["invalid id"]}


def test_of_two_records_with_one_id_the_last_wins(user11):
    out = user11.upload("xx", [{"id": "a", "payload": "first", "sortindex": 1}, {"id": "b", "payload": "x"}, {"id": "a", "payload": "last"}])
    assert out["success"] == ["a", "b", "a"] and out["failed"] == {}
    assert user11.item("xx", "a") == {"id": "a", "modified": out["modified"], "payload": "last", "sortindex": 1}


def test_success_keeps_the_order_of_the_request(user11):
    names = ["z", "a", "m", "B", "0"]
    assert user11.upload("xx", [{"id": n, "payload": "x"} for n in names])["success"] == names


@pytest.mark.parametrize("type", ["text/plain", "application/json", "application/octet-stream", "text/html", "application/newlines",
                                  "application/x-www-form-urlencoded", "nonsense", ""])
def test_the_content_type_does_not_matter(user11, type):
    user11.post("/storage/xx", [{"id": "a", "payload": "x"}], type=type)
    user11.put("/storage/xx/b", {"payload": "x"}, type=type)
    assert user11.ids("xx") == ["a", "b"]


def test_412_is_told_before_what_is_wrong_with_the_body(user11):
    stamp = user11.save("xx", "a", "x")
    old = user11.since(stamp - 1)
    for body in ("nonsense", "42", [{"id": "a", "payload": "new"}]):
        user11.post("/storage/xx", body, headers=old, expect=412)
    user11.post("/storage/xx", "nonsense", headers=user11.since(stamp), expect=400, code=6)
    user11.post("/storage/xx", "42", headers=user11.since(stamp), expect=400, code=8)
    assert user11.item("xx", "a")["payload"] == "x"


def test_a_broken_tail_stores_nothing(user11):
    whole = json.dumps(SMALL[:50])
    for cut in (1, 20, 500, len(whole) - 1):
        user11.post("/storage/xx", whole[:cut], expect=400, code=6)
    user11.post("/storage/xx", whole + "x", expect=400, code=6)
    assert user11.info() == {}


@pytest.mark.parametrize("bad, why", [({"id": "a", "payload": ""}, None), ({"id": "a", "sortindex": 5}, None)], ids=["empty", "metadata"])
def test_absent_members_stay_as_in_a_put(user11, bad, why):
    before = user11.save("xx", "a", "x", parentid="p")
    out = user11.upload("xx", [bad])
    assert out["success"] == ["a"]
    got = user11.item("xx", "a")
    assert got["parentid"] == "p" and got["payload"] == bad.get("payload", "x")
    assert got["modified"] == (out["modified"] if "payload" in bad else before)
