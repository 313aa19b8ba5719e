"""Storage API 1.1: single records. What a record is made of, writes without a payload, ids, and what comes back."""
import json
from urllib.parse import quote

import pytest

from lib.processes import wait_until


def record(id, modified, payload="x", **fields):
    """A record as it must come back: exactly these members."""
    return {"id": id, "modified": modified, "payload": payload, **fields}


def test_e02_a_missing_item_is_404_whatever_the_reason(user11):
    user11.missing("never", "a")
    user11.save("xx", "a", "x")
    user11.missing("xx", "b")
    user11.save("xx", "b", "x", ttl=0)
    user11.missing("xx", "b")
    user11.delete("/storage/xx/a")
    user11.missing("xx", "a")


def test_e03_deleting_a_missing_item_is_200_and_changes_nothing(user11):
    r = user11.delete("/storage/xx/a")
    assert r.text == r.header("X-Weave-Timestamp") and user11.info() == {}
    written = user11.save("xx", "a", "x")
    r = user11.delete("/storage/xx/b")
    assert r.json() >= written and user11.info() == {"xx": written}


def test_e04_the_id_of_the_url_is_enough_and_wins(user11):
    written = user11.save("xx", "a", "x")
    assert user11.item("xx", "a") == record("a", written)
    written = user11.save("xx", "a", "y", id="other")
    assert user11.ids("xx") == ["a"] and user11.item("xx", "a") == record("a", written, "y")


def test_e05_a_second_put_updates_with_a_new_time(user11):
    first = user11.save("xx", "a", "one")
    second = user11.save("xx", "a", "two")
    assert second > first and user11.full("xx") == [record("a", second, "two")]
    assert user11.info() == {"xx": second}


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_e13_e14_one_object_to_a_collection_is_a_put_of_its_id(user11, method):
    r = user11.storage(method, "/storage/xx", {"id": "a", "payload": "x", "sortindex": 3})
    assert r.text == r.header("X-Weave-Timestamp"), "the answer is the time, no object"
    assert user11.item("xx", "a") == record("a", r.json(), sortindex=3)
    for bad in ({"payload": "x"}, {"id": "a/b", "payload": "x"}, {"id": "", "payload": "x"}, {}):
        user11.storage(method, "/storage/xx", bad, expect=400, code=8)
    assert user11.ids("xx") == ["a"]


def test_e14_put_of_a_list_to_a_collection_is_a_post(user11):
    r = user11.put("/storage/xx", [{"id": "a", "payload": "x"}, {"id": "b", "payload": "y"}])
    assert r.json() == {"modified": r.timestamp, "success": ["a", "b"], "failed": {}}
    assert user11.ids("xx") == ["a", "b"]


def test_e15_one_id_in_two_collections_is_two_records(user11):
    first, second = user11.save("xx", "a", "one"), user11.save("yy", "a", "two")
    user11.delete("/storage/yy/a")
    assert user11.item("xx", "a") == record("a", first, "one") and user11.info()["yy"] > second
    user11.missing("yy", "a")


def test_e16_a_plain_record_has_exactly_three_members(user11):
    written = user11.save("xx", "a", "x")
    assert user11.full("xx") == [record("a", written)] == [user11.item("xx", "a")]


FIELDS = {"sortindex": (5, 7), "parentid": ("p1", "p2"), "predecessorid": ("q1", "q2")}


@pytest.mark.parametrize("how", ["put", "post-object", "post-list"])
@pytest.mark.parametrize("field", FIELDS)
def test_e26_a_write_without_payload_keeps_payload_and_time(user11, field, how):
    old, new = FIELDS[field]
    before = user11.save("xx", "a", "x", **{field: old, "sortindex": 1} | ({"sortindex": old} if field == "sortindex" else {}))
    other = user11.save("xx", "b", "x")
    if how == "put":
        r = user11.put("/storage/xx/a", {field: new})
    else:
        body = {"id": "a", field: new}
        r = user11.post("/storage/xx", body if how == "post-object" else [body])
    if how != "post-list":
        assert r.json() == before, "the answer's body is the record's unchanged time"
    kept = {"sortindex": 1} if field != "sortindex" else {}
    assert user11.item("xx", "a") == record("a", before, **{**kept, field: new})
    assert user11.info()["xx"] == r.timestamp > other, "the collection's time advances"


def test_e26_a_ttl_alone_keeps_payload_and_time_and_hides_the_record_when_over(clock_stack):
    user = clock_stack.user11()
    before = user.save("xx", "a", "x")
    assert user.put("/storage/xx/a", {"ttl": 100}).json() == before
    assert user.item("xx", "a") == record("a", before)
    assert user.put("/storage/xx/a", {"sortindex": 1}).json() == before, "a ttl that is not named stays as it was"
    clock_stack.heddle.advance(101)
    user.missing("xx", "a")


@pytest.mark.parametrize("fields", [{"sortindex": 11}, {"parentid": "p"}, {}], ids=str)
def test_e26_a_new_record_without_payload_has_an_empty_one(user11, fields):
    r = user11.put("/storage/xx/a", fields)
    assert r.text == r.header("X-Weave-Timestamp")
    assert user11.item("xx", "a") == record("a", r.json(), "", **fields)
    assert user11.upload("xx", [{"id": "b", **fields}])["success"] == ["b"]
    assert user11.item("xx", "b")["payload"] == "" and user11.info("collection_counts") == {"xx": 2}


def test_e27_an_empty_payload_is_a_payload(user11):
    first = user11.save("xx", "a", "x")
    second = user11.save("xx", "a", "")
    assert second > first and user11.item("xx", "a") == record("a", second, "")


@pytest.mark.parametrize("modified", [1, 99999999999.99, "2010", "nonsense", -5, True, None], ids=repr)
def test_e28_the_clients_modified_is_ignored(user11, modified):
    first = user11.save("xx", "a", "x", modified=modified)
    assert user11.item("xx", "a")["modified"] == first
    second = user11.save_all("xx", [{"id": "b", "payload": "x", "modified": modified}])
    assert second > first and user11.item("xx", "b")["modified"] == second


NUMBERS = [("-5", -5), ("5.5", 5), ("-5.5", -5), ("12", 12), ("9999.1", 9999), (5.9, 5), (-5.9, -5), (0, 0), (" 7 ", 7),
           (999999999, 999999999), (-999999999, -999999999)]


@pytest.mark.parametrize("given, kept", NUMBERS, ids=lambda v: repr(v))
def test_e29_sortindex_is_made_an_integer_toward_zero(user11, given, kept):
    user11.save("xx", "a", "x", sortindex=given)
    assert user11.item("xx", "a")["sortindex"] == kept
    assert user11.upload("xx", [{"id": "b", "sortindex": given}])["success"] == ["b"]
    text = user11.get("/storage/xx/b").text
    assert f'"sortindex":{kept},' in text.replace(" ", "").replace("}", ","), text


def test_e30_an_id_with_a_backslash(user11):
    assert user11.upload("xx", '[{"id":"123\\\\0000123","payload":"x"}]')["success"] == ["123\\0000123"]
    assert user11.item("xx", "123%5C0000123")["id"] == "123\\0000123"
    assert user11.ids("xx") == ["123\\0000123"] == user11.ids("xx", "ids=123%5C0000123")


ODD_IDS = ["#", "?", "~", "a#b", "a?b=c", "a~b", "{6820c5d6-8c1e-4a5f-9b0e-1c2d3e4f5a6b}", " ", "a b", "%", "%41", "+", "&", "=", ";", ":", "\"",
           "'", "\\", "<script>", ".", "..", "...", "~" * 64, "a,b", "(`$|@!*^)"]


@pytest.mark.parametrize("id", ODD_IDS)
def test_e31_an_odd_id_makes_the_round_trip(user11, id):
    by_url = user11.save("xx", quote(id, safe=""), "by url")
    assert user11.full("xx") == [record(id, by_url, "by url")] == [user11.item("xx", quote(id, safe=""))]
    user11.delete("/storage/xx/" + quote(id, safe=""))
    user11.missing("xx", quote(id, safe=""))
    by_body = user11.save_all("xx", [{"id": id, "payload": "by body"}])
    assert user11.item("xx", quote(id, safe="")) == record(id, by_body, "by body")
    if "," not in id:
        assert user11.ids("xx", "ids=" + quote(id, safe="")) == [id]


def test_e31_a_slash_is_in_no_id(user11):
    user11.put("/storage/xx/a%2Fb", {"payload": "x"}, expect=400, code=8)
    user11.put("/storage/xx/a/b", {"payload": "x"}, expect=404)
    user11.put("/storage/xx/a", {"id": "a/b", "payload": "x"}, expect=400, code=8)
    user11.post("/storage/xx", {"id": "a/b", "payload": "x"}, expect=400, code=8)
    out = user11.upload("xx", [{"id": "a/b", "payload": "x"}])
    assert out["success"] == [] and out["failed"] == {"a/b": ["invalid id"]} and user11.info() == {}


def test_e37_put_over_an_expired_record(user11):
    user11.save("xx", "a", "old", ttl=0, sortindex=5)
    user11.missing("xx", "a")
    written = user11.save("xx", "a", "new")
    assert user11.item("xx", "a") == record("a", written, "new"), "nothing of the dead one is left"


def test_e38_reads_and_writes_in_turns_tell_one_time(user11):
    last = user11.save("xx", "a", "0")
    for i in range(1, 201):
        r = user11.get("/storage/xx/a")
        assert r.json() == record("a", last, str(i - 1)) and r.timestamp >= last
        written = user11.save("xx", "a", str(i))
        assert written > last
        last = written


@pytest.mark.parametrize("size, good", [(30000, True), (262144, True), (262145, False), (300000, False)])
def test_e51_payloads_up_to_256_kib(user11, size, good):
    if good:
        user11.save("xx", "a", "x" * size)
        assert user11.item("xx", "a")["payload"] == "x" * size
    else:
        user11.put("/storage/xx/a", {"payload": "x" * size}, expect=400, code=8)
        assert user11.info() == {}
    out = user11.upload("xx", [{"id": "b", "payload": "x" * size}])
    assert out["failed"] == ({} if good else {"b": ["payload too large"]})


def test_e51_the_limit_counts_bytes_of_utf8(user11):
    user11.save("xx", "a", "é" * 131072)
    user11.put("/storage/xx/b", json.dumps({"payload": "é" * 131072 + "x"}), expect=400, code=8)
    user11.put("/storage/xx/b", json.dumps({"payload": "\U0001f600" * 65537}), expect=400, code=8)
    assert user11.ids("xx") == ["a"] and user11.item("xx", "a")["payload"] == "é" * 131072


def test_e53_records_are_counted_for_a_collection_alone(user11):
    user11.save_all("xx", [{"id": i, "payload": "x"} for i in "abc"])
    assert user11.get("/storage/xx/a").header("X-Weave-Records") is None
    for query, count in (("", "3"), ("?limit=2", "2"), ("?full=1", "3"), ("?ids=a", "1"), ("?ids=q", "0")):
        assert user11.get(f"/storage/xx{query}").header("X-Weave-Records") == count
    assert user11.get("/storage/never").header("X-Weave-Records") == "0"
    assert user11.get("/info/collections").header("X-Weave-Records") == "1"
    assert user11.get("/info/collection_counts").header("X-Weave-Records") == "1"


def test_e55_a_whole_second_has_two_digits_too(user11):
    """Writes that follow each other quickly walk through all hundredths."""
    r = wait_until(lambda: (r := user11.put("/storage/xx/a", {"payload": "x"})).text.endswith(".00") and r, "a stamp of a whole second")
    assert r.header("X-Weave-Timestamp") == r.text
    assert f'"modified":{r.text}' in user11.get("/storage/xx/a").text.replace(" ", "")
    assert f'"xx":{r.text}' in user11.get("/info/collections").text.replace(" ", "")


# ---- fields ----

def test_optional_fields_come_back_and_ttl_never_does(user11):
    fields = {"sortindex": 1, "parentid": "p", "predecessorid": "q"}
    written = user11.save("xx", "a", "x", ttl=1000, **fields)
    assert user11.item("xx", "a") == record("a", written, **fields)


def test_a_field_of_null_is_absent(user11):
    first = user11.save("xx", "a", "x", sortindex=1, parentid="p", predecessorid="q")
    r = user11.put("/storage/xx/a", {"id": None, "payload": None, "sortindex": None, "parentid": None, "ttl": None})
    assert r.json() == first
    assert user11.item("xx", "a") == record("a", first, sortindex=1, parentid="p", predecessorid="q")


def test_absent_optional_fields_stay_when_a_payload_is_written(user11):
    user11.save("xx", "a", "x", sortindex=1, parentid="p", predecessorid="q")
    second = user11.save("xx", "a", "y")
    assert user11.item("xx", "a") == record("a", second, "y", sortindex=1, parentid="p", predecessorid="q")


def test_parents_of_64_bytes_and_numbers(user11):
    user11.save("xx", "a", "x", parentid="p" * 64, predecessorid="q" * 64)
    user11.save("xx", "b", "x", parentid=33, predecessorid=44)
    assert user11.item("xx", "a")["parentid"] == "p" * 64 and user11.item("xx", "a")["predecessorid"] == "q" * 64
    assert (user11.item("xx", "b")["parentid"], user11.item("xx", "b")["predecessorid"]) == ("33", "44")


@pytest.mark.parametrize("value", ["", "text", 5, 1.5, True, None], ids=repr)
def test_an_unknown_scalar_is_dropped(user11, value):
    written = user11.save("xx", "a", "x", boooo=value, depth=value)
    assert user11.item("xx", "a") == record("a", written)


@pytest.mark.parametrize("payload", ["", "{}", "äöü \U0001f600", "a\nb\r\n\t\0\x7f\u2028", "\\ \" /", "</script>", "\ud7ff\ue000"], ids=repr)
def test_payloads_are_opaque(user11, payload):
    user11.save("xx", "a", payload)
    assert user11.item("xx", "a")["payload"] == payload == user11.full("xx")[0]["payload"]
    r = user11.get("/storage/xx?full=1", headers={"Accept": "application/newlines"})
    assert [w["payload"] for w in r.lines()] == [payload]


def test_names_are_case_sensitive(user11):
    user11.save("xx", "a", "lower")
    user11.save("XX", "a", "upper coll")
    user11.save("xx", "A", "upper id")
    assert user11.ids("xx") == ["A", "a"] and user11.ids("XX") == ["a"]
    assert user11.item("xx", "a")["payload"] == "lower" and user11.item("XX", "a")["payload"] == "upper coll"
    assert user11.ids("xx", "ids=A") == ["A"]
    user11.delete("/storage/xx?ids=A")
    assert user11.ids("xx") == ["a"]
