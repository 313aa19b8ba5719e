"""Storage API 1.5: reading collections (edge cases 15 to 37)."""
import json
from decimal import Decimal
from urllib.parse import quote

import pytest

from lib.storage15 import records

TICK = Decimal("0.01")


@pytest.fixture
def three(user):
    """Ids 01, 02, 03 written one after the other; gives their times."""
    return [user.save("xx", f"0{i}", f"p{i}") for i in (1, 2, 3)]


def page_through(user, coll, query, limit):
    """All pages; gives the records in the order they came. The last page must have no next offset."""
    out, offset, modified = [], None, None
    while True:
        target = f"/storage/{coll}?{query}&limit={limit}" + (f"&offset={quote(offset, safe='')}" if offset else "")
        r = user.get(target)
        modified = modified or r.last_modified
        assert r.last_modified == modified
        page = r.json()
        offset = r.header("X-Weave-Next-Offset")
        assert len(page) == limit or (not offset and len(page) < limit), repr(r)
        out += page
        if not offset:
            return out


def test_015_a_missing_collection_is_empty(user):
    for query in ("", "?full=1", "?limit=5", "?ids=a", "?newer=0&sort=oldest"):
        r = user.get(f"/storage/never{query}")
        assert r.json() == [] and str(r.last_modified) == "0.00" and r.header("X-Weave-Records") == "0"
        assert r.header("X-Weave-Next-Offset") is None
    user.save("xx", "a", "x")
    assert str(user.get("/storage/never").last_modified) == "0.00"
    assert list(user.info()) == ["xx"]


def test_016_records_header_is_the_number_of_ids(user):
    user.save_all("xx", records(5))
    r = user.get("/storage/xx")
    assert sorted(r.json()) == ["b0", "b1", "b2", "b3", "b4"]
    assert r.header("X-Weave-Records") == "5"
    assert user.get("/storage/xx?limit=2").header("X-Weave-Records") == "2"


def test_017_ids_selects_those_that_exist(user, three):
    assert sorted(user.ids("xx", "ids=01,03,17")) == ["01", "03"]
    assert user.ids("xx", "ids=17") == []
    assert [i["payload"] for i in user.full("xx", "ids=02")] == ["p2"]
    assert sorted(user.ids("xx", "ids=%2001%20,%2003")) == ["01", "03"]  # blanks around are trimmed
    assert user.ids("xx", "ids=01,01,01") == ["01"]


def test_018_newer_is_strict(user, three):
    assert sorted(user.ids("xx", f"newer={three[0]}")) == ["02", "03"]
    assert user.ids("xx", f"newer={three[2]}") == []
    assert sorted(user.ids("xx", f"newer={three[0] - 1}")) == ["01", "02", "03"]
    assert sorted(user.ids("xx", f"newer={three[0] - TICK}")) == ["01", "02", "03"]
    assert sorted(user.ids("xx", "newer=0")) == ["01", "02", "03"]
    assert user.ids("xx", f"newer={three[2] + 1000}") == []


def test_019_older_is_strict(user, three):
    assert user.ids("xx", f"older={three[0]}") == []
    assert user.ids("xx", f"older={three[1]}") == ["01"]
    assert sorted(user.ids("xx", f"older={three[2] + 1}")) == ["01", "02", "03"]
    assert sorted(user.ids("xx", f"older={three[2] + TICK}")) == ["01", "02", "03"]
    assert user.ids("xx", "older=0") == []


def test_020_older_and_newer_together(user, three):
    assert user.ids("xx", f"newer={three[0]}&older={three[2]}") == ["02"]
    assert user.ids("xx", f"newer={three[1]}&older={three[1]}") == []
    assert user.ids("xx", f"newer={three[2]}&older={three[0]}") == []
    assert user.ids("xx", f"newer={three[0]}&older={three[2]}&ids=01,03") == []
    assert user.ids("xx", f"newer={three[0]}&older={three[2]}&ids=01,02") == ["02"]


def test_020_stamps_in_other_forms(user, three):
    t = three[1]
    assert sorted(user.ids("xx", f"newer={t}4999")) == ["03"]  # more digits are cut off
    assert sorted(user.ids("xx", f"older={t}9999")) == ["01"]
    assert sorted(user.ids("xx", f"newer={int(three[0]) - 1}")) == ["01", "02", "03"]  # no fraction at all


def test_021_full_records_have_exactly_three_members(user):
    user.save("xx", "a", "x")
    user.save("xx", "b", "x", sortindex=3)
    a, b = user.full("xx", "sort=oldest")
    assert list(a) == ["id", "modified", "payload"] or set(a) == {"id", "modified", "payload"}
    assert set(b) == {"id", "modified", "payload", "sortindex"} and b["sortindex"] == 3


@pytest.mark.parametrize("query", ["full", "full=", "full=1", "full=0", "full=false", "full=true&full=x"])
def test_022_full_with_any_value_means_true(user, query):
    user.save("xx", "a", "x")
    assert [i["payload"] for i in user.get(f"/storage/xx?{query}").json()] == ["x"]


def test_023_limit_gives_the_first_of_the_whole_order(user):
    for i in range(5):
        user.save("xx", f"i{i}", "x", sortindex=(i * 3) % 5)
    for sort in ("", "&sort=newest", "&sort=oldest", "&sort=index"):
        everything = user.get(f"/storage/xx?full=1{sort}").json()
        r = user.get(f"/storage/xx?full=1&limit=2{sort}")
        assert r.json() == everything[:2] and r.header("X-Weave-Next-Offset")
        assert user.get(f"/storage/xx?full=1&limit=5{sort}").header("X-Weave-Next-Offset") is None


def test_023_limit_zero_is_empty_without_offset(user):
    user.save("xx", "a", "x")
    r = user.get("/storage/xx?limit=0")
    assert r.json() == [] and r.header("X-Weave-Next-Offset") is None


@pytest.mark.parametrize("sort", ["", "sort=newest", "sort=oldest", "sort=index"])
@pytest.mark.parametrize("together", [True, False], ids=["one-stamp", "many-stamps"])
def test_024_paging_with_each_order(user, sort, together):
    items = [{"id": f"i{i:02d}", "payload": "x", **({"sortindex": (i * 7) % 10} if i % 4 else {})} for i in range(12)]
    if together:
        user.save_all("xx", items)
    else:
        for i in items:
            user.save_all("xx", [i])
    whole = user.full("xx", sort)
    assert sorted(i["id"] for i in whole) == [i["id"] for i in items]
    # 2, then 3, then the rest without a limit
    r = user.get(f"/storage/xx?full=1&limit=2&{sort}")
    assert r.json() == whole[:2]
    r = user.get(f"/storage/xx?full=1&limit=3&{sort}&offset={quote(r.header('X-Weave-Next-Offset'), safe='')}")
    assert r.json() == whole[2:5]
    rest = f"/storage/xx?full=1&{sort}&offset={quote(r.header('X-Weave-Next-Offset'), safe='')}"
    for target in (rest, rest + "&limit=10000"):
        r = user.get(target)
        assert r.json() == whole[5:] and r.header("X-Weave-Next-Offset") is None
    for limit in (1, 5, 6, 12):
        assert page_through(user, "xx", f"full=1&{sort}", limit) == whole


def test_024_a_page_that_just_fits_is_the_last(user):
    user.save_all("xx", records(4))
    r = user.get("/storage/xx?limit=4")
    assert len(r.json()) == 4 and r.header("X-Weave-Next-Offset") is None


def test_024_next_offset_is_plain_text_for_urls(user):
    user.save_all("xx", records(4))
    for sort in ("newest", "oldest", "index"):
        offset = user.get(f"/storage/xx?limit=2&sort={sort}").header("X-Weave-Next-Offset")
        assert offset and offset == quote(offset, safe="")  # nothing that a client must encode


def test_025_orders(user):
    times = [user.save("xx", id, "x", sortindex=index) for id, index in (("a", -1), ("b", 34), ("c", 12))]
    assert times == sorted(times)
    assert user.ids("xx", "sort=newest") == ["c", "b", "a"]
    assert user.ids("xx", "sort=oldest") == ["a", "b", "c"]
    assert user.ids("xx", "sort=index") == ["b", "c", "a"]
    assert user.ids("xx") == ["c", "b", "a"]
    assert [i["sortindex"] for i in user.full("xx", "sort=index")] == [34, 12, -1]


def test_025_ties_go_by_id_and_no_sortindex_comes_last(user):
    user.save_all("xx", [{"id": "a", "payload": "", "sortindex": 1}, {"id": "b", "payload": "", "sortindex": 1},
                         {"id": "c", "payload": ""}, {"id": "d", "payload": "", "sortindex": -999999999}])
    assert user.ids("xx", "sort=newest") == ["d", "c", "b", "a"]
    assert user.ids("xx", "sort=oldest") == ["a", "b", "c", "d"]
    assert user.ids("xx", "sort=index") == ["b", "a", "d", "c"]


@pytest.fixture
def twelve(user):
    """Three write times with four items each."""
    return [user.save_all("xx", records(4, prefix=f"{g}")) for g in "abc"]


@pytest.mark.parametrize("limit", [2, 3, 4, 5, 6])
def test_026_paging_newer_and_oldest_gives_each_once_in_order(user, twelve, limit):
    everything = user.full("xx", "sort=oldest")
    for bound in (twelve[0] - TICK, twelve[0], twelve[1], twelve[2]):
        want = [i for i in everything if i["modified"] > bound]
        assert page_through(user, "xx", f"full=1&sort=oldest&newer={bound}", limit) == want


@pytest.mark.parametrize("limit", [2, 3, 4, 5, 6])
def test_027_paging_older_and_newest_gives_each_once_in_order(user, twelve, limit):
    everything = user.full("xx", "sort=newest")
    for bound in (twelve[0], twelve[1], twelve[2], twelve[2] + TICK):
        want = [i for i in everything if i["modified"] < bound]
        assert page_through(user, "xx", f"full=1&sort=newest&older={bound}", limit) == want


def test_028_newer_is_strict_for_tabs(user):
    first = user.save("tabs", "a", "x")
    second = user.save("tabs", "b", "x")
    assert first < second
    assert user.ids("tabs", f"newer={first}") == ["b"]
    assert user.ids("tabs", f"newer={second}") == []
    assert user.ids("tabs", f"older={second}") == ["a"]


def test_029_an_offset_outside_newer_or_older_is_refused(user, twelve):
    oldest = user.get("/storage/xx?sort=oldest&limit=2").header("X-Weave-Next-Offset")
    newest = user.get("/storage/xx?sort=newest&limit=2").header("X-Weave-Next-Offset")
    user.get(f"/storage/xx?sort=oldest&limit=2&offset={oldest}&newer={twelve[1]}", expect=400, code=0)
    user.get(f"/storage/xx?sort=newest&limit=2&offset={newest}&older={twelve[1]}", expect=400, code=0)
    user.get(f"/storage/xx?sort=oldest&limit=2&offset={oldest}&newer={twelve[0] - 1}")
    user.get(f"/storage/xx?sort=newest&limit=2&offset={newest}&older={twelve[2] + 1}")


def test_029_the_bound_of_an_offset_by_index_is_not_checked(user, twelve):
    offset = user.get("/storage/xx?sort=index&limit=2").header("X-Weave-Next-Offset")
    user.get(f"/storage/xx?sort=index&limit=2&offset={offset}&newer={twelve[1]}")
    user.get(f"/storage/xx?sort=index&limit=2&offset={offset}&older={twelve[0]}")


def test_030_ids_may_be_percent_encoded(user, three):
    assert sorted(user.ids("xx", "ids=01%2C03")) == ["01", "03"]
    assert sorted(user.ids("xx", "ids=%30%31%2c%30%33%2C17")) == ["01", "03"]


@pytest.mark.parametrize("count, status", [(99, 200), (100, 200), (101, 400)])
def test_031_a_hundred_ids_may_be_asked_for(user, count, status):
    user.save_all("xx", records(100, prefix="i"))
    r = user.get("/storage/xx?ids=" + ",".join(f"i{i:03d}" for i in range(count)), expect=status)
    assert status == 400 and r.text == "0" or len(r.json()) == count


def test_032_ids_that_do_not_exist(user, three):
    assert user.ids("xx", "ids=" + ",".join(f"random{i}" for i in range(100))) == []


def test_033_unknown_arguments_are_ignored(user, three):
    assert sorted(user.ids("xx", "blabla=1")) == ["01", "02", "03"]
    assert sorted(user.ids("xx", "blabla")) == ["01", "02", "03"]
    assert user.item("xx", "01") == user.get("/storage/xx/01?full=1&ids=02&limit=junk").json()


def test_034_if_modified_since_on_a_collection(user, three):
    r = user.get("/storage/xx", headers=user.changed(three[2]), expect=304)
    assert r.last_modified == three[2]
    user.get("/storage/xx", headers=user.changed(three[2] + 100), expect=304)
    assert len(user.get("/storage/xx", headers=user.changed(three[0])).json()) == 3
    user.save("yy", "a", "x")  # another collection does not matter
    user.get("/storage/xx", headers=user.changed(three[2]), expect=304)


@pytest.mark.parametrize("accept, kind", [
    ("application/json", "application/json"), ("application/newlines", "application/newlines"),
    (None, "application/json"), ("*/*", "application/json"), ("application/*", "application/json"),
    ("application/json;q=0.9,*/*;q=0.2", "application/json"),
    ("application/newlines;q=0.5, application/json;q=0.1", "application/newlines"),
    ("application/newlines; charset=utf-8", "application/newlines"),
    ("text/html, application/newlines", "application/newlines"),
])
def test_035_formats_of_a_collection(user, three, accept, kind):
    for query in ("", "?full=1"):
        r = user.get(f"/storage/xx{query}", headers={"Accept": accept} if accept else {})
        assert r.type == kind
        got = r.lines() if kind == "application/newlines" else r.json()
        assert sorted(i["id"] if query else i for i in got) == ["01", "02", "03"]


@pytest.mark.parametrize("accept", ["x/yy", "text/html", "application/json;q=0"])
def test_035_a_format_we_do_not_have_is_406(user, three, accept):
    user.get("/storage/xx", headers={"Accept": accept}, expect=406, code=0)


def test_035_an_empty_collection_in_newlines_is_no_byte(user):
    assert user.get("/storage/never", headers={"Accept": "application/newlines"}).body == b""


def test_036_payloads_with_newlines_survive_both_formats(user):
    payloads = {"a": "hello\nworld", "b": "\nmarco\r\n\npolo\n", "c": "\u2028\u0085\x0b"}
    lines = "\n".join(json.dumps({"id": i, "payload": p}) for i, p in payloads.items()) + "\n"
    user.post("/storage/xx", lines, type="application/newlines")
    user.post("/storage/yy", [{"id": i, "payload": p} for i, p in payloads.items()])
    for coll in ("xx", "yy"):
        as_json = user.full(coll)
        as_lines = user.get(f"/storage/{coll}?full=1", headers={"Accept": "application/newlines"})
        assert as_lines.body.count(b"\n") == 3
        assert {i["id"]: i["payload"] for i in as_json} == payloads
        assert as_lines.lines() == as_json


def test_037_accept_with_a_badly_written_quality(user, three):
    r = user.get("/storage/xx", headers={"Accept": "application/json,text/plain:q=0.5"})
    assert r.type == "application/json"
