"""Storage API 1.5: info/* (edge cases 1 to 14). Numbers: README.md."""
from decimal import Decimal

import pytest

from lib.storage15 import records

INFO = ["collections", "collection_counts", "collection_usage", "quota"]


def test_001_info_collections_lists_what_was_written_with_its_last_time(user):
    first = {c: user.save_all(c, records(2)) for c in ("bookmarks", "history", "xx")}
    assert user.info() == first
    second = user.save_all("history", records(1, prefix="n"))
    assert second > first["history"]
    assert user.info() == {**first, "history": second}


def test_002_info_of_a_new_user_is_empty(user):
    for what in ("collections", "collection_counts", "collection_usage"):
        r = user.get(f"/info/{what}")
        assert r.text == "{}" and r.header("X-Weave-Records") == "0"
        assert r.text and str(r.last_modified) == "0.00"


def test_003_collection_counts_are_exact_and_counted_in_the_header(user):
    user.save_all("xx1", records(3))
    user.save_all("xx2", records(5))
    r = user.get("/info/collection_counts")
    assert r.json() == {"xx1": 3, "xx2": 5}
    assert r.header("X-Weave-Records") == "2"
    user.save_all("xx2", records(5))  # the same again
    user.delete("/storage/xx2/b0")
    assert user.info("collection_counts") == {"xx1": 3, "xx2": 4}


def test_003_a_collection_without_items_has_no_count_and_no_usage(user):
    user.save("xx1", "a", "x")
    user.delete("/storage/xx1/a")
    assert list(user.info()) == ["xx1"]
    assert user.info("collection_counts") == {} and user.info("collection_usage") == {}


def test_004_a_new_collection_name_shows_at_once(user, other):
    assert user.info() == {}
    name = f"col{user.uid}"
    written = user.save(name, "a", "x")
    assert user.info() == {name: written}
    written = other.save(name, "a", "x")
    assert other.info() == {name: written}


def test_004_a_new_name_shows_in_every_connection(stack, user):
    second = stack.again(user)
    for i in range(10):
        assert f"new{i}" not in second.info()
        written = user.save(f"new{i}", "a", "x")
        assert second.info()[f"new{i}"] == written


def test_005_collection_usage_is_bytes_of_payload_in_kb(user):
    user.save("xx", "a", "XyX")
    user.save("xx", "b", "x" * 500)
    user.save("yy", "c", "ä\U0001f600")  # 6 bytes of UTF-8
    r = user.get("/info/collection_usage")
    assert {k: float(v) for k, v in r.json().items()} == {"xx": 503 / 1024, "yy": 6 / 1024}
    assert r.header("X-Weave-Records") == "2"


def test_006_quota_grows_by_exactly_what_was_put(user):
    used = float(user.info("quota")[0])
    user.save("xx", "a", "x" * 500)
    assert float(user.info("quota")[0]) == used + 500 / 1024


def test_007_quota_of_a_new_user(user):
    r = user.get("/info/quota")
    assert r.text.replace(" ", "") == "[0.0,null]"


def test_008_info_configuration_has_last_modified_zero(user):
    user.save("xx", "a", "x")
    r = user.get("/info/configuration")
    assert str(r.last_modified) == "0.00"
    assert r.json() == {"max_post_bytes": 2621440, "max_post_records": 100, "max_record_payload_bytes": 2621440,
                        "max_request_bytes": 2625536, "max_total_bytes": 262144000, "max_total_records": 10000}


def test_008_info_configuration_ignores_preconditions(user):
    written = user.save("xx", "a", "x")
    user.get("/info/configuration", headers=user.changed(written + 1))
    user.get("/info/configuration", headers=user.since(0))


def test_008_info_configuration_needs_a_signature(user):
    user.get("/info/configuration", authorization="", expect=401, code=0)


def test_009_limits_of_single_collections_stand_beside_the_global_ones(own_stack, stack, user):
    assert "collections" not in user.limits()
    theirs = own_stack({"limits.collections": "bookmarks:3000000:3100000:3200000,tabs:1000:2000:10000"}).user()
    limits = theirs.limits()
    assert limits["collections"] == {
        "bookmarks": {"max_record_payload_bytes": 3000000, "max_post_bytes": 3100000, "max_request_bytes": 3200000},
        "tabs": {"max_record_payload_bytes": 1000, "max_post_bytes": 2000, "max_request_bytes": 10000}}
    assert limits["max_record_payload_bytes"] == 2621440
    # and they are kept
    theirs.save("tabs", "a", "x" * 1000)
    theirs.put("/storage/tabs/b", {"payload": "x" * 1001}, expect=400, code=8)
    theirs.put("/storage/tabs/b", {"payload": "x" * 10000}, expect=413, code=17)
    theirs.save("bookmarks", "a", "x" * 3000000)
    theirs.save("history", "a", "x" * 1001)
    out = theirs.upload("tabs", records(3, payload="x" * 700))
    assert (out["success"], out["failed"]) == (["b0", "b1"], {"b2": "retry bytes"})


@pytest.mark.parametrize("what", INFO)
def test_010_if_modified_since_on_info(user, what):
    target = f"/info/{what}"
    old = user.save("xx", "a", "x")
    new = user.save("yy", "a", "x")
    for header in (new, new + 1, new + Decimal("0.01")):
        r = user.get(target, headers=user.changed(header), expect=304)
        assert r.last_modified == new
    user.get(target, headers=user.changed(old))
    user.get(target, headers=user.changed(new - Decimal("0.01")))
    newer = user.save("xx", "a", "x")
    assert user.get(target, headers=user.changed(new)).last_modified == newer


def test_011_last_modified_on_all_reads(user):
    user.save("xx", "a", "x")
    coll = user.save("xx", "b", "x")
    item = user.item("xx", "a")["modified"]
    newest = user.save("yy", "a", "x")
    assert user.get("/info/collections").last_modified == newest
    assert user.get("/info/collection_counts").last_modified == newest
    assert user.get("/info/collection_usage").last_modified == newest
    assert user.get("/info/quota").last_modified == newest
    assert user.get("/storage/xx").last_modified == coll
    assert user.get("/storage/xx/a").last_modified == item < coll


@pytest.mark.parametrize("query", ["client=FxHome&v=1.1b2", "v=1.140.0", "v=", "a=%C3%A4&&&=", "?"])
def test_012_extra_arguments_of_info_collections_are_harmless(user, query):
    written = user.save("xx", "a", "x")
    assert user.get(f"/info/collections?{query}").json() == {"xx": written}


def test_013_an_expired_token_reads_info_collections_and_nothing_else(stack, user):
    written = user.save("xx", "a", "x")
    late = stack.again(user, expires_in_s=-60)
    assert late.get("/info/collections").json() == {"xx": written}
    assert late.get("/info/collections?v=1.2").json() == {"xx": written}
    late.post("/storage/xx", records(1), expect=401, code=0)
    late.put("/storage/xx/a", {}, expect=401, code=0)
    late.delete("/storage/xx", expect=401, code=0)
    for target in ("/storage/xx", "/storage/xx/a", "/info/quota", "/info/configuration", "/info/collection_counts",
                   "/info/collection_usage"):
        late.get(target, expect=401, code=0)
    assert user.ids("xx") == ["a"]


def test_013_the_grace_of_an_expired_token_ends(stack, user):
    stack.again(user, expires_in_s=-7100).get("/info/collections")
    stack.again(user, expires_in_s=-7210).get("/info/collections", expect=401, code=0)


def test_014_lookalikes_of_info_collections_get_no_grace(stack, user):
    late = stack.again(user, expires_in_s=-60)
    late.get("/storage/info/collections", expect=401, code=0)
    late.get("/storage/info", expect=401, code=0)
    # a slash at the end is another path, which does not exist: 404 before the token is looked at, or 401, never 200
    late.get("/info/collections/", expect=(401, 404))


def test_the_number_of_collections_has_no_limit(stack, user):
    names = ["c" * 29 + f"{i:03d}" for i in range(400)] + ["A.b_c-9", "a.b_c-9", "-", "_", "0"]
    written = {n: user.save(n, "a", n) for n in names}
    assert user.info() == written
    assert user.info("collection_counts") == {n: 1 for n in names}
    assert set(user.info("collection_usage")) == set(names)
    again = stack.again(user)
    assert again.info() == written
    assert all(again.item(n, "a")["payload"] == n for n in names[::40])
    for n in names[:200]:
        user.delete(f"/storage/{n}")
    assert user.info() == {n: t for n, t in written.items() if n in names[200:]} == again.info()


def test_parallel_first_requests_of_one_account_give_one_uid(stack):
    from concurrent.futures import ThreadPoolExecutor
    headers = {"Authorization": "Bearer " + stack.access_token("ab" * 16 + f"{stack.heddle.port}"),
               "X-KeyID": "1700000000123-AQIDBAUGBwgJCgsMDQ4PEA"}
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: stack.heddle.get("/1.0/sync/1.5", headers), range(16)))
    assert {r.status for r in replies} == {200} and len({r.json()["uid"] for r in replies}) == 1
