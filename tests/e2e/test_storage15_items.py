"""Storage API 1.5: single items (edge cases 38 to 51)."""
from decimal import Decimal
from urllib.parse import quote

import pytest


def test_038_an_item_has_exactly_id_modified_payload(user):
    written = user.save("xx", "abc", "hello")
    assert user.get("/storage/xx/abc").json() == {"id": "abc", "modified": written, "payload": "hello"}


@pytest.mark.parametrize("payload", ["", "\u0000", "a\u0000b", "\ufffe\uffff\U0010ffff", "\U0001f600", "\x7f\x80\u2028", "'\"\\%_", " "],
                         ids=ascii)
def test_038_a_payload_may_be_any_text(user, payload):
    user.save("xx", "a", payload)
    user.save_all("yy", [{"id": "a", "payload": payload}])
    assert user.item("xx", "a")["payload"] == user.item("yy", "a")["payload"] == payload
    assert user.full("xx")[0]["payload"] == payload
    assert float(user.info("collection_usage").get("xx", 0)) * 1024 == len(payload.encode())


def test_039_a_missing_item_is_404(user):
    user.missing("xx", "abc")
    user.save("xx", "abc", "x")
    user.missing("xx", "abd")
    user.missing("yy", "abc")


def test_040_if_modified_since_on_an_item(user):
    written = user.save("xx", "a", "x")
    user.save("xx", "b", "x")  # only the item counts
    for header in (written, written + 1):
        r = user.get("/storage/xx/a", headers=user.changed(header), expect=304)
        assert r.last_modified == written
    user.get("/storage/xx/a", headers=user.changed(written - 1))
    user.get("/storage/xx/a", headers=user.changed(written - Decimal("0.01")))


def test_041_put_creates_and_replaces(user):
    first = user.save("xx", "a", "one")
    assert user.item("xx", "a") == {"id": "a", "modified": first, "payload": "one"}
    second = user.save("xx", "a", "two")
    assert second > first
    assert user.item("xx", "a") == {"id": "a", "modified": second, "payload": "two"}
    assert user.ids("xx") == ["a"]


def test_042_put_reports_one_time_200_times(user):
    user.save("meta", "global", "x")
    last = Decimal(0)
    for _ in range(200):
        record = user.item("meta", "global")
        r = user.put("/storage/meta/global", record)
        assert r.text == r.header("X-Weave-Timestamp") == r.header("X-Last-Modified")
        assert r.last_modified > last
        last = r.last_modified


def test_043_modified_sent_by_the_client_is_ignored(user):
    for value in (12, 0, "12.34", 99999999999.99, -1, "text", True, None):
        written = user.save("meta", "global", "x", modified=value)
        assert written > 1_600_000_000
        assert user.item("meta", "global")["modified"] == written


def test_044_meta_global_before_and_after(user):
    user.missing("meta", "global")
    assert user.ids("meta") == []
    written = user.save("meta", "global", '{"syncID":"x"}', id="global")
    assert user.ids("meta") == ["global"]
    r = user.get("/storage/meta/global")
    assert r.json() == {"id": "global", "modified": written, "payload": '{"syncID":"x"}'}
    assert f'"modified":{written}' in r.text.replace(" ", "")


def test_045_the_member_collection_is_accepted_and_the_url_decides_the_id(user):
    user.save_all("xx", [{"id": "1", "payload": "a", "collection": "xx"}, {"id": "2", "payload": "b", "collection": "yy"}])
    user.save("xx", "3", "c", id="1", collection=["nonsense"])
    assert {i["id"]: i["payload"] for i in user.full("xx")} == {"1": "a", "2": "b", "3": "c"}
    assert list(user.info()) == ["xx"]


def test_046_put_without_any_field(user):
    written = user.save("xx", "a")
    assert user.item("xx", "a") == {"id": "a", "modified": written, "payload": ""}
    nulls = user.save("xx", "b", payload=None, sortindex=None, ttl=None)
    assert user.item("xx", "b") == {"id": "b", "modified": nulls, "payload": ""}


def test_046_null_means_not_sent(user):
    user.save("xx", "a", "x", sortindex=5)
    user.put("/storage/xx/a", {"payload": None, "sortindex": None, "ttl": None})
    assert (user.item("xx", "a")["payload"], user.item("xx", "a")["sortindex"]) == ("x", 5)


def test_047_ttl_null_never_expires(clock_stack, clock_user):
    clock_user.save("xx", "a", "x", ttl=None)
    clock_user.save_all("xx", [{"id": "b", "payload": "x", "ttl": None}])
    clock_stack.heddle.advance(400 * 86400)
    assert sorted(clock_user.ids("xx")) == ["a", "b"]


@pytest.mark.parametrize("index", [-42, 0, 999999999, -999999999])
def test_048_sortindex_may_be_negative(user, index):
    user.save("xx", "a", "x", sortindex=index)
    assert user.item("xx", "a")["sortindex"] == index


def test_049_internal_fields_are_never_shown(user):
    user.save("xx", "a", "x", ttl=1000, sortindex=1)
    user.save_all("xx", [{"id": "b", "payload": "x", "ttl": 1000}])
    for r in (user.get("/storage/xx/a"), user.get("/storage/xx?full=1"), user.get("/storage/xx/b")):
        for word in ("ttl", "payload_size", "expir", "collection", "uid"):
            assert word not in r.text


@pytest.mark.parametrize("id", ['"{42}"', "{42}", " ", "~", "a b", "100%", "a?b", "a#b", "x" * 64, "ü".encode().hex(),
                                "'; DROP TABLE x; --", "\\", "a+b", "a%41"])
def test_050_an_id_with_special_characters_in_the_url(user, id):
    encoded = quote(id, safe="")
    written = user.save("xx", encoded, "x")
    assert user.ids("xx") == [id]
    assert user.item("xx", encoded) == {"id": id, "modified": written, "payload": "x"}
    assert id == " " or user.ids("xx", f"ids={encoded}") == [id]  # blanks around an id in a list are trimmed
    user.delete(f"/storage/xx/{encoded}")
    assert user.ids("xx") == []


def test_051_ids_like_guids_and_in_braces(user):
    ids = ["6820f3ca-6e8a-4ff4-8af7-8b3625d7d65%d" % i for i in range(4)]
    ids += ["{%s}" % i for i in ids]
    user.save_all("passwords", [{"id": i, "payload": "x"} for i in ids])
    assert sorted(user.ids("passwords")) == sorted(ids)
    two = [ids[0], ids[4]]
    assert sorted(user.ids("passwords", "ids=" + quote(",".join(two)))) == sorted(two)
    assert sorted(user.ids("passwords", "ids=" + ",".join(two).replace("{", "%7B").replace("}", "%7D"))) == sorted(two)
    user.delete("/storage/passwords?ids=" + quote(",".join(two)))
    assert sorted(user.ids("passwords")) == sorted(set(ids) - set(two))
    user.delete("/storage/passwords/" + quote(ids[5]))
    user.missing("passwords", quote(ids[5]))
    assert len(user.ids("passwords")) == 5
