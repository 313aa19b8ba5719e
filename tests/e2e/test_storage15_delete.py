"""Storage API 1.5: deleting (edge cases 66 to 74)."""
import pytest

from lib.storage15 import records


def gone(r):
    """A DELETE that changed something: one time everywhere."""
    assert r.json() == {"modified": r.last_modified} and r.last_modified == r.timestamp, repr(r)
    return r.last_modified


def test_066_delete_empties_a_collection_and_may_be_repeated(user):
    user.save_all("xx", records(3))
    written = user.save("yy", "a", "x")
    first = gone(user.delete("/storage/xx"))
    assert first > written
    assert user.ids("xx") == [] and user.info() == {"yy": written}
    again = user.delete("/storage/xx")
    assert again.json() == {"modified": again.last_modified}
    assert user.storage_time() == first == again.last_modified  # nothing was there to change


def test_067_delete_of_ids(user):
    user.save_all("xx", [{"id": i, "payload": "x"} for i in ("12", "13", "14")])
    written = gone(user.delete("/storage/xx?ids=12,14"))
    assert user.ids("xx") == ["13"] and user.info() == {"xx": written}
    last = gone(user.delete("/storage/xx?ids=13"))
    assert user.ids("xx") == [] and user.info() == {"xx": last}


def test_067_delete_of_ids_that_do_not_exist_moves_the_time(user):
    first = user.save("xx", "a", "x")
    second = gone(user.delete("/storage/xx?ids=b,c"))
    assert second > first and user.info() == {"xx": second} and user.ids("xx") == ["a"]


def test_067_other_parameters_select_nothing(user):
    user.save_all("xx", records(3))
    user.delete("/storage/xx?newer=99999999999&limit=1&sort=oldest&full=1")
    assert user.info() == {}


@pytest.mark.parametrize("query", ["ids=", "ids", "ids=,"])
def test_067_delete_with_empty_ids_deletes_nothing(user, query):
    user.save_all("xx", records(3))
    user.delete(f"/storage/xx?{query}", expect=400, code=0)
    assert len(user.ids("xx")) == 3


@pytest.mark.parametrize("count, status", [(99, 200), (100, 200), (101, 400)])
def test_068_a_hundred_ids_may_be_deleted(user, count, status):
    user.save_all("xx", records(100, prefix="i"))
    r = user.delete("/storage/xx?ids=" + ",".join(f"i{i:03d}" for i in range(count)), expect=status)
    assert len(user.ids("xx")) == (100 - count if status == 200 else 100)
    assert status == 200 or r.text == "0"


def test_069_delete_of_a_collection_that_never_was(user):
    r = user.delete("/storage/bookmarks")
    assert r.json() == {"modified": 0} and str(r.last_modified) == "0.00"
    assert user.info() == {}
    for query in ("ids=1", "ids=1,"):
        began = user.server.now()
        written = gone(user.delete(f"/storage/bookmarks?{query}"))
        assert began - 1 < float(written) < user.server.now() + 1
        assert user.info() == {"bookmarks": written}


def test_069_delete_of_a_missing_collection_gives_the_storage_time(user):
    written = user.save("xx", "a", "x")
    r = user.delete("/storage/bookmarks")
    assert r.json() == {"modified": written} and r.last_modified == written == user.storage_time()


def test_070_delete_of_an_item(user):
    user.save_all("xx", [{"id": i, "payload": "x"} for i in ("12", "13", "14")])
    before = user.storage_time()
    written = gone(user.delete("/storage/xx/12"))
    assert written > before
    assert sorted(user.ids("xx")) == ["13", "14"] and user.info() == {"xx": written} and user.storage_time() == written
    user.delete("/storage/xx/12", expect=404, code=0)
    user.delete("/storage/yy/12", expect=404, code=0)
    assert user.info() == {"xx": written}


def test_071_delete_of_everything(user):
    for coll in ("meta", "tabs", "clients", "xx"):
        user.save(coll, "global", "x")
        user.item(coll, "global")
    r = user.delete("/storage", headers={"X-Confirm-Delete": "1"})
    assert r.text == "{}" and r.last_modified == r.timestamp
    for coll in ("meta", "tabs", "clients", "xx"):
        user.missing(coll, "global")
        assert user.ids(coll) == []
    for what in ("collections", "collection_counts", "collection_usage"):
        assert user.info(what) == {}
    assert float(user.info("quota")[0]) == 0
    assert str(user.storage_time()) == "0.00"
    assert user.delete("/storage").text == "{}"


@pytest.mark.parametrize("target", ["", "/storage"])
def test_072_both_urls_wipe(user, target):
    user.save("xx", "a", "x")
    r = user.delete(target)
    assert r.json() == {} and r.last_modified == r.timestamp
    assert user.info() == {} and str(user.storage_time()) == "0.00"


def test_072_time_goes_on_after_a_wipe(user):
    before = user.save("xx", "a", "x")
    wiped = user.delete("/storage").last_modified
    after = user.save("xx", "a", "x")
    assert before < wiped < after


def test_073_deleting_a_collection_moves_the_storage_time_and_hides_it(user):
    user.save("xx", "a", "x")
    other = user.save("yy", "a", "x")
    written = gone(user.delete("/storage/xx"))
    r = user.get("/info/collections")
    assert r.json() == {"yy": other} and r.last_modified == written
    assert "xx" not in user.info("collection_counts") and str(user.get("/storage/xx").last_modified) == "0.00"
    user.get("/info/collections", headers=user.changed(written), expect=304)
    again = user.save("xx", "b", "x")
    assert again > written and user.ids("xx") == ["b"] and user.info() == {"xx": again, "yy": other}


def test_074_equal_ids_in_other_collections_stay(user):
    for coll in ("xx", "yy", "zz"):
        user.save_all(coll, [{"id": "a", "payload": coll}, {"id": "b", "payload": coll}])
    user.delete("/storage/xx/a")
    user.delete("/storage/yy?ids=a")
    user.delete("/storage/zz")
    assert (user.ids("xx"), user.ids("yy"), user.ids("zz")) == (["b"], ["b"], [])
    assert user.item("xx", "b")["payload"] == "xx"
