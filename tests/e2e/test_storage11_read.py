"""Storage API 1.1: reading collections. Filters, orders, pages, and the three formats."""
import struct
from urllib.parse import quote

import pytest


@pytest.fixture
def three(user11):
    """Records 0, 1, 2, oldest first, with sortindex 1, 34, 12; and their times."""
    stamps = [user11.save("xx", str(i), "x", sortindex=n) for i, n in enumerate((1, 34, 12))]
    return user11, stamps


def test_e01_a_collection_that_is_not_there_is_empty(user11):
    r = user11.get("/storage/never")
    assert (r.json(), r.header("X-Weave-Records"), r.type) == ([], "0", "application/json")
    assert user11.full("never") == [] and user11.ids("never", "ids=a") == [] and user11.info() == {}
    for type in ("application/newlines", "application/whoisi"):
        r = user11.get("/storage/never?full=1", headers={"Accept": type})
        assert (r.body, r.type, r.header("X-Weave-Records")) == (b"", type, "0")


@pytest.mark.parametrize("coll", ["xx", "tabs"])
def test_e17_newer_is_strict_for_tabs_too(user11, coll):
    first = user11.save_all(coll, [{"id": "a", "payload": "x"}, {"id": "b", "payload": "x"}])
    second = user11.save_all(coll, [{"id": "c", "payload": "x"}])
    assert user11.ids(coll, f"newer={first}") == ["c"] and user11.ids(coll, f"newer={second}") == []
    assert sorted(user11.ids(coll, f"newer={first - 1}")) == ["a", "b", "c"] == sorted(user11.ids(coll, "newer=0"))


@pytest.mark.parametrize("coll", ["xx", "tabs"])
def test_e18_older_is_strict(user11, coll):
    first, second = user11.save(coll, "a", "x"), user11.save(coll, "b", "x")
    assert user11.ids(coll, f"older={first}") == [] and user11.ids(coll, f"older={second}") == ["a"]
    assert user11.ids(coll, f"older={second + 1}") == ["a", "b"]
    assert user11.ids(coll, f"newer={first}&older={second}") == []
    assert user11.ids(coll, f"newer={first - 1}&older={second}") == ["a"]


def test_e19_ids_are_exact(user11):
    user11.save_all("xx", [{"id": str(i), "payload": "x"} for i in range(1, 12)])
    assert user11.ids("xx", "ids=1,3") == ["1", "3"] == user11.ids("xx", "ids=3,1,nothing,3")
    assert [r["id"] for r in user11.full("xx", "ids=1,3")] == ["1", "3"]


@pytest.mark.parametrize("encode", [lambda s: s, lambda s: s.replace("{", "%7B").replace("}", "%7D"), lambda s: quote(s, safe="")],
                         ids=["bare", "braces", "all"])
def test_e19_guids_in_braces(user11, encode):
    guids = [f"{{6820c5d6-8c1e-4a5f-9b0e-1c2d3e4f5a{i:02d}}}" for i in range(100)]
    user11.save_all("passwords", [{"id": g, "payload": "x"} for g in guids])
    assert user11.ids("passwords", "ids=" + encode(guids[1] + "," + guids[3])) == [guids[1], guids[3]]
    assert user11.ids("passwords", "ids=" + encode(",".join(guids))) == guids
    user11.delete("/storage/passwords?ids=" + encode(",".join(guids[:99])))
    assert user11.ids("passwords") == guids[99:]


def test_e20_the_three_orders(three):
    user, _ = three
    for sort, order in (("oldest", "012"), ("newest", "210"), ("index", "120")):
        assert user.ids("xx", f"sort={sort}") == list(order)
        assert [r["id"] for r in user.full("xx", f"sort={sort}")] == list(order)
    assert user.ids("xx") == list("012") == user.ids("xx", "sort=whatever") == user.ids("xx", "sort=")


def test_e20_ties_and_the_default_go_by_id_and_null_comes_last(user11):
    user11.save_all("xx", [{"id": i, "payload": "x"} for i in ("b", "a", "C", "10", "9", "_")])
    order = ["10", "9", "C", "_", "a", "b"]
    for query in ("", "sort=oldest", "sort=newest", "sort=index"):
        assert user11.ids("xx", query) == order, query
    user11.save("xx", "z", sortindex=-5)
    assert user11.ids("xx", "sort=index") == ["z"] + order


def test_e21_pages(user11):
    for i, n in enumerate((1, 34, 12, 5)):
        user11.save("xx", str(i), "x", sortindex=n)
    assert user11.ids("xx", "sort=index&limit=2") == ["1", "2"]
    assert user11.ids("xx", "sort=index&limit=2&offset=2") == ["3", "0"]
    assert user11.ids("xx", "limit=2&offset=5") == [] and user11.ids("xx", "limit=2&offset=99999999999999999999") == []
    assert user11.ids("xx", "limit=99999999999999999999") == list("0123")
    assert user11.ids("xx", "offset=2") == list("0123"), "an offset counts with a limit only"
    assert user11.ids("xx", "limit=1&sort=newest") == ["3"]


def test_e21_offset_in_the_default_order(user11):
    user11.save_all("xx", [{"id": str(i), "payload": "x"} for i in range(10)])
    assert user11.ids("xx", "offset=2&limit=3") == ["2", "3", "4"]
    assert [r["id"] for r in user11.full("xx", "offset=2&limit=3")] == ["2", "3", "4"]


@pytest.mark.parametrize("query", ["limit=-5", "limit=0", "limit=-5&offset=1", "limit=10&offset=-5", "offset=-5", "limit=%2B10"])
def test_e22_negative_limits_and_offsets_are_ignored(three, query):
    user, _ = three
    assert user.ids("xx", query) == list("012")


JSON, LINES, WHOISI = "application/json", "application/newlines", "application/whoisi"
ACCEPTS = [("application/xxx", JSON), ("*/*", JSON), (None, JSON), ("", JSON), ("nonsense", JSON), (";;;,,,/", JSON), ("*", JSON),
           ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", JSON), (LINES, LINES), (WHOISI, WHOISI), (JSON, JSON),
           (f"{LINES},{JSON}", JSON), (f"{LINES},{JSON};q=0.9", LINES), (f"{WHOISI};q=0.5,{LINES};q=0.4,{JSON};q=0.3", WHOISI),
           (f"{WHOISI},{LINES}", LINES), (f"{LINES},*/*", JSON), (f"{LINES},*/*;q=0.1", LINES), (f"{WHOISI};q=0.9,*/*", JSON),
           (f"{LINES};q=abc", JSON), (LINES.upper(), LINES), ("image/png;q=1," + LINES + ";q=0.2", LINES)]


@pytest.mark.parametrize("accept, type", ACCEPTS, ids=lambda v: str(v)[:50])
def test_e23_negotiation(three, accept, type):
    user, _ = three
    r = user.get("/storage/xx", headers={} if accept is None else {"Accept": accept})
    assert (r.type, r.header("X-Weave-Records")) == (type, "3")
    for path in ("/info/collections", "/info/quota", "/info/collection_counts", "/info/collection_usage", "/storage/xx/1"):
        assert user.get(path, headers={} if accept is None else {"Accept": accept}).type == JSON


def test_e24_whoisi_without_full(user11):
    user11.save_all("xx", [{"id": "id1", "payload": "x"}, {"id": "id2", "payload": "x"}])
    r = user11.get("/storage/xx", headers={"Accept": WHOISI})
    assert r.body == b'\0\0\0\5"id1"\0\0\0\5"id2"'


def test_e24_whoisi_with_full(user11):
    import json
    payloads = ["x", "y" * 70000, "ä\n"]
    user11.save_all("xx", [{"id": f"id{i}", "payload": p} for i, p in enumerate(payloads)])
    body, got = user11.get("/storage/xx?full=1", headers={"Accept": WHOISI}).body, []
    while body:
        (n,) = struct.unpack(">I", body[:4])
        got.append(json.loads(body[4:4 + n]))
        body = body[4 + n:]
    assert [r["payload"] for r in got] == payloads and [r["id"] for r in got] == ["id0", "id1", "id2"]


def test_e25_newlines_with_and_without_full(user11):
    stamp = user11.save_all("xx", [{"id": "a", "payload": "one\ntwo"}, {"id": "b", "payload": "", "sortindex": 5}])
    r = user11.get("/storage/xx", headers={"Accept": LINES})
    assert r.body == b'"a"\n"b"\n'
    r = user11.get("/storage/xx?full=1", headers={"Accept": LINES})
    assert r.body.count(b"\n") == 2 and r.body[-1:] == b"\n" and not r.body.startswith(b"\n")
    assert r.lines() == [{"id": "a", "modified": stamp, "payload": "one\ntwo"},
                         {"id": "b", "modified": stamp, "payload": "", "sortindex": 5}]


@pytest.mark.parametrize("query", ["client=FxHome&v=1.1b2", "v=1.17.0", "v=", "a&b=&&c", "newer=nonsense"])
def test_e45_info_takes_any_parameter(user11, query):
    stamp = user11.save("xx", "a", "x")
    assert user11.get(f"/info/collections?{query}").json() == {"xx": stamp}


@pytest.mark.parametrize("query", ["unknown=1", "batch=true&commit=true", "depth=1", "=", "&&", "a=b=c"])
def test_e46_unknown_parameters_are_ignored(three, query):
    user, stamps = three
    assert user.ids("xx", query) == list("012")
    assert user.get(f"/storage/xx/1?{query}").json()["modified"] == stamps[1]
    user.put(f"/storage/xx/1?{query}", {"payload": "x"})
    assert user.post(f"/storage/xx?{query}", [{"id": "1", "payload": "x"}]).json()["success"] == ["1"]
    assert user.ids("xx", f"full=&{query}") == list("012"), "full without a value asks for ids"


def test_e50_tabs_are_filtered_as_other_collections(user11):
    first = user11.save("tabs", "a", "x", sortindex=1)
    second = user11.save("tabs", "b", "x", sortindex=2)
    third = user11.save("tabs", "c", "x", parentid="p")
    assert user11.ids("tabs", f"newer={first}") == ["b", "c"] and user11.ids("tabs", f"older={third}") == ["a", "b"]
    assert user11.ids("tabs", "ids=a,c") == ["a", "c"] and user11.ids("tabs", f"ids=a,c&newer={second}") == ["c"]
    assert user11.ids("tabs", "sort=newest&limit=2") == ["c", "b"] and user11.ids("tabs", "limit=1&offset=1") == ["b"]
    assert user11.ids("tabs", "parentid=p") == ["c"] and user11.ids("tabs", "index_above=1") == ["b"]


def test_index_bounds_are_strict_take_fractions_and_never_match_null(three):
    user, _ = three
    user.save("xx", "none", "x")
    for query, ids in (("index_above=1", "12"), ("index_above=0.5", "012"), ("index_above=12", "1"), ("index_below=12", "0"),
                       ("index_below=12.5", "02"), ("index_above=1&index_below=34", "2"), ("index_above=-1e3", "012"),
                       ("index_above=34", ""), ("index_below=1e300", "012")):
        assert user.ids("xx", query) == list(ids), query


def test_parents_match_exactly(user11):
    user11.save("xx", "a", "x", parentid="p1", predecessorid="q1")
    user11.save("xx", "b", "x", parentid="p2")
    user11.save("xx", "c", "x")
    assert user11.ids("xx", "parentid=p1") == ["a"] and user11.ids("xx", "parentid=P1") == []
    assert user11.ids("xx", "predecessorid=q1") == ["a"] and user11.ids("xx", "parentid=p2&predecessorid=q1") == []


def test_all_filters_hold_together(three):
    user, stamps = three
    assert user.ids("xx", f"newer={stamps[0]}&ids=0,1") == ["1"]
    assert user.ids("xx", f"newer={stamps[0]}&older={stamps[2]}&index_above=33") == ["1"]
    assert user.ids("xx", f"older={stamps[2]}&index_above=1&sort=newest&limit=5") == ["1"]
    assert user.ids("xx", "index_above=33&index_below=12") == []


def test_ids_without_a_value_match_nothing(three):
    user, _ = three
    assert user.ids("xx", "ids=") == [] == user.full("xx", "ids=") == user.ids("xx", "ids=,,") == user.ids("xx", "ids")


def test_ids_that_nobody_can_have_match_nothing(three):
    user, _ = three
    nonsense = ",".join(f"{i}" * 100 for i in range(10))
    assert user.ids("xx", "ids=" + nonsense) == [] and user.ids("xx", f"ids={nonsense},1") == ["1"]


@pytest.mark.parametrize("form", ["{0}", "{0:.1f}", "{1}", "{1}.0", "{1}e0", "{0}000000", "{0:e}"])
def test_bounds_come_in_every_form_of_a_number(three, form):
    """Compared with what the bound means, rounded to hundredths."""
    user, stamps = three
    text = form.format(stamps[1], int(stamps[1]))
    from decimal import ROUND_HALF_EVEN, Decimal
    bound = Decimal(text).quantize(Decimal("0.01"), ROUND_HALF_EVEN)
    assert user.ids("xx", f"newer={quote(text)}") == [str(i) for i, s in enumerate(stamps) if s > bound]
    assert user.ids("xx", f"older={quote(text)}") == [str(i) for i, s in enumerate(stamps) if s < bound]


def test_bounds_are_rounded_half_to_even(three):
    user, stamps = three
    assert user.ids("xx", f"newer={stamps[1]}4") == ["2"] and user.ids("xx", f"newer={stamps[0]}6") == (
        ["2"] if stamps[1] - stamps[0] < 0.015 else ["1", "2"])


def test_expired_records_are_seen_by_no_reading(user11):
    user11.save("xx", "dead", "x", ttl=0, sortindex=5)
    user11.save("xx", "live", "x", sortindex=5)
    for query in ("", "ids=dead,live", "sort=index", "index_above=1", "newer=1", "limit=5"):
        assert user11.ids("xx", query) == ["live"], query
    assert user11.info("collection_counts") == {"xx": 1}


def test_a_large_collection_comes_complete_in_every_format(user11):
    for n in range(12):
        user11.save_all("xx", [{"id": f"{n:02d}-{i:02d}", "payload": f"{n % 10}" * 9000} for i in range(100)])
    ids = user11.ids("xx")
    assert len(ids) == 1200 and ids == sorted(ids)
    assert [r["id"] for r in user11.full("xx")] == ids
    r = user11.get("/storage/xx?full=1", headers={"Accept": LINES})
    assert [w["id"] for w in r.lines()] == ids and r.header("X-Weave-Records") == "1200"
