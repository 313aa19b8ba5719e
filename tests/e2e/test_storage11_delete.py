"""Storage API 1.1: deleting (items, parts of collections, collections, everything), and X-If-Unmodified-Since."""
import pytest


@pytest.fixture
def five(user11):
    """a … e, oldest first; sortindex 50, 40, 30, 20, none; and their times."""
    stamps = [user11.save("xx", i, "x", **({"sortindex": n} if n else {})) for i, n in zip("abcde", (50, 40, 30, 20, 0))]
    user11.put("/storage/xx/b", {"parentid": "p"})
    user11.put("/storage/xx/d", {"parentid": "p", "predecessorid": "q"})
    return user11, stamps


def deleted(user, query):
    """DELETE of a part; gives what is left. The answer is the time, and the collection's when something went."""
    before, had = user.stamp("xx"), user.ids("xx")
    r = user.delete(f"/storage/xx?{query}")
    assert r.text == r.header("X-Weave-Timestamp") and r.type == "application/json", f"{r!r}"
    left = user.ids("xx")
    assert user.stamp("xx") == (r.json() if left != had else before), f"{r!r}"
    return "".join(left)


FILTERS = [("ids=a,c", "bde"), ("ids=c,nothing", "abde"), ("parentid=p", "ace"), ("predecessorid=q", "abce"), ("index_above=30", "cde"),
           ("index_below=30", "abce"), ("index_above=20&index_below=50", "ade"), ("sort=oldest&limit=2", "cde"), ("sort=newest&limit=2", "abc"),
           ("sort=index&limit=2", "cde"), ("limit=2", "cde"), ("limit=2&offset=1", "ade"), ("sort=newest&limit=1&offset=1", "abce"),
           ("ids=a,b,c&limit=2", "cde"), ("limit=-5&ids=a", "bcde"), ("ids=a,b&parentid=p", "acde"), ("ids=nothing", "abcde"),
           ("index_above=50", "abcde"), ("parentid=none", "abcde"), ("ids=a&unknown=1", "bcde")]


@pytest.mark.parametrize("query, left", FILTERS)
def test_e32_only_what_matches_is_deleted(five, query, left):
    assert deleted(five[0], query) == left


def test_e32_newer_and_older_are_strict(five):
    user, s = five
    assert deleted(user, f"older={s[1]}") == "bcde"
    assert deleted(user, f"newer={s[3]}") == "bcd"
    assert deleted(user, f"newer={s[1]}&older={s[3]}") == "bd"
    assert deleted(user, f"newer={s[4]}") == "bd" and deleted(user, f"older={s[0]}") == "bd"
    user.save("yy", "a", "x")
    assert deleted(user, "newer=0") == "" and user.ids("yy") == ["a"]


def test_e32_a_filter_that_names_nothing_deletes_nothing(five):
    """The most dangerous request: an empty list of ids is no missing list."""
    for query in ("ids=", "ids", "ids=,,", "ids=&full=1"):
        assert deleted(five[0], query) == "abcde"


def test_e32_a_collection_emptied_by_filters_stays_listed(user11):
    """[R] Only a DELETE without filters ends it."""
    user11.save("xx", "a", "x")
    gone = user11.delete("/storage/xx?ids=a").json()
    assert user11.info() == {"xx": gone} and user11.ids("xx") == []
    assert user11.delete("/storage/xx").json() > gone and user11.info() == {}


def test_e33_delete_storage_wants_a_confirmation(user11):
    for coll, id in (("meta", "global"), ("tabs", "t"), ("xx", "a")):
        user11.save(coll, id, "x", ttl=1000)
    before = user11.info()
    user11.delete("/storage", expect=400, code=4)
    assert user11.info() == before and user11.item("meta", "global")["payload"] == "x"
    r = user11.delete("/storage", headers={"X-Confirm-Delete": "1"})
    assert r.text == r.header("X-Weave-Timestamp") and r.json() > max(before.values())
    assert user11.info() == {} == user11.info("collection_counts") == user11.info("collection_usage")
    for coll, id in (("meta", "global"), ("tabs", "t"), ("xx", "a")):
        user11.missing(coll, id)
        assert user11.ids(coll) == []
    assert user11.info("quota")[0] == 0
    assert user11.save("xx", "a", "again") > r.json(), "the account lives, and its time went on"


@pytest.mark.parametrize("value", ["1", "0", "", "no", "whatever"])
def test_e33_any_value_confirms(user11, value):
    user11.save("xx", "a", "x")
    user11.delete("/storage", headers={"X-Confirm-Delete": value})
    assert user11.info() == {}


def test_e33_preconditions_do_not_count_for_all_storage(user11):
    user11.save("xx", "a", "x")
    user11.delete("/storage", headers={"X-Confirm-Delete": "1", "X-If-Unmodified-Since": "1.00"})
    assert user11.info() == {}


WRITES = [("PUT", "/storage/{}/a", {"payload": "new"}), ("PUT", "/storage/{}/new", {"payload": "new"}), ("POST", "/storage/{}", [{"id": "a", "payload": "new"}]),
          ("POST", "/storage/{}", {"id": "a", "payload": "new"}), ("PUT", "/storage/{}", [{"id": "a", "payload": "new"}]),
          ("DELETE", "/storage/{}/a", None), ("DELETE", "/storage/{}/new", None), ("DELETE", "/storage/{}", None),
          ("DELETE", "/storage/{}?ids=a", None), ("PUT", "/storage/{}/a", {"sortindex": 1})]
WRITE_IDS = [f"{m}-{t.removeprefix('/storage/{}').lstrip('/?') or 'collection'}-{type(b).__name__}" for m, t, b in WRITES]


@pytest.mark.parametrize("coll", ["xx", "tabs"])
@pytest.mark.parametrize("method, target, body", WRITES, ids=WRITE_IDS)
def test_e34_a_collection_that_changed_is_not_written(user11, coll, method, target, body):
    first = user11.save(coll, "a", "x")
    last = user11.save(coll, "b", "x")
    # the collection's time counts, not the item's
    for old in (first, last - 1, last.__class__("0.5"), 0):
        user11.storage(method, target.format(coll), body, headers=user11.since(old), expect=412)
    assert user11.ids(coll) == ["a", "b"] and user11.info() == {coll: last}
    assert user11.item(coll, "a") == {"id": "a", "modified": first, "payload": "x"}
    user11.storage(method, target.format(coll), body, headers=user11.since(last))


@pytest.mark.parametrize("form", ["{}", "{}0", "{} ", "1e12", "99999999999", "99999999999.5"])
def test_e34_forms_of_the_header(user11, form):
    last = user11.save("xx", "a", "x")
    user11.put("/storage/xx/a", {"payload": "y"}, headers=user11.since(form.format(last)))


def test_e34_the_header_of_a_read_is_ignored(user11):
    user11.save("xx", "a", "x")
    for value in ("0", "1.00", "abc", ""):
        for path in ("/storage/xx/a", "/storage/xx", "/info/collections", "/info/quota"):
            user11.get(path, headers=user11.since(value))
            user11.get(path, headers={"X-If-Modified-Since": value or "99999999999.00"})


@pytest.mark.parametrize("method, target, body", WRITES, ids=WRITE_IDS)
def test_e35_an_empty_collection_passes(user11, method, target, body):
    user11.save("other", "a", "x")
    user11.storage(method, target.format("xx"), body, headers=user11.since("0"))


def test_e35_after_its_deletion_a_collection_is_new(user11):
    user11.save("xx", "a", "x")
    user11.delete("/storage/xx")
    user11.put("/storage/xx/a", {"payload": "x"}, headers=user11.since("1"))


def test_e43_the_time_of_a_deletion_is_the_collections(user11):
    written = user11.save("xx", "a", "x")
    user11.save("xx", "b", "x")
    r = user11.delete("/storage/xx/a")
    assert r.json() == r.timestamp > written and user11.info() == {"xx": r.json()}
    r = user11.delete("/storage/xx?ids=b")
    assert user11.info() == {"xx": r.json()}


def test_e43_a_deletion_of_nothing_changes_no_time(user11):
    """[R] Release 1.6 of the old server; an older one moved the time."""
    written = user11.save("xx", "a", "x")
    for target in ("/storage/xx/b", "/storage/xx?ids=b", "/storage/xx?older=1", "/storage/yy", "/storage/yy/a", "/storage/yy?ids=a"):
        r = user11.delete(target)
        assert r.text == r.header("X-Weave-Timestamp") and r.json() >= written
        assert user11.info() == {"xx": written}, target


def test_e49_ids_with_dashes_in_a_batch_delete(user11):
    ids = ["-", "--", "-a", "a-", "a-b-c", "-F_Szdjg3GzY", "00-00", "ab"]
    user11.save_all("xx", [{"id": i, "payload": "x"} for i in ids])
    user11.delete("/storage/xx?ids=" + ",".join(ids[:-1]))
    assert user11.ids("xx") == ["ab"]


def test_an_expired_record_counts_as_absent(user11):
    written = user11.save("xx", "live", "x")
    dead = user11.save("xx", "dead", "x", ttl=0)
    assert dead > written
    user11.delete("/storage/xx/dead")
    user11.delete("/storage/xx?ids=dead")
    assert user11.ids("xx") == ["live"] and user11.info() == {"xx": dead}


def test_times_go_on_after_everything_was_deleted(user11):
    """A device that kept an old time must see what is written afterwards."""
    last = user11.save("xx", "a", "x")
    for wipe in ({"target": "/storage", "headers": {"X-Confirm-Delete": "1"}}, {"target": "/storage/xx"}, {"target": "/storage/xx/a"}):
        now = user11.delete(**wipe).json()
        again = user11.save("xx", "a", "x")
        assert last < now < again and user11.ids("xx", f"newer={now}") == ["a"]
        last = again
