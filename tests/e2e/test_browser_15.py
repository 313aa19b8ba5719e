"""Whole syncs by simulated browsers of the 1.5 protocol. What counts is what the devices hold in the end, after decryption."""
import functools
import json
from decimal import Decimal

import pytest

from lib import synccrypto
from lib.device import Account15, SyncFailed, Unauthorized, assert_same, content, fill, sync_over_restart_and_crash
from lib.firefox15 import Desktop, Upload
from lib.firefox15_rust import RustClient
from lib.hawk import mint


@pytest.fixture
def account(stack):
    return Account15(stack)


# ---- first sync ----

def test_first_sync_of_desktop_goes_step_by_step(account):
    a = Desktop(account)
    fill(a, 3)
    a.sync()
    assert a.requests[:10] == [
        "GET /info/collections?v=1.142.0", "GET /info/configuration", "GET /storage/meta/global", "DELETE /storage",
        "PUT /storage/meta/global", "PUT /storage/crypto/keys", "GET /info/collections", "GET /storage/crypto/keys",
        "GET /storage/clients?newer=0&full=1&limit=1000", "POST /storage/clients?batch=true&commit=true"]
    assert a.requests[10:] == [f"POST /storage/{e}?batch=true&commit=true" for e in a.records]
    assert_same(a)


def test_second_sync_with_nothing_new_is_three_requests(account):
    a = Desktop(account)
    fill(a, 3)
    a.sync().sync()
    assert a.requests == ["GET /info/collections", "GET /info/configuration", "GET /storage/clients?newer=0&full=1&limit=1000"]


def test_first_sync_of_the_rust_client_goes_through_its_states(account):
    a = RustClient(account)
    fill(a, 3)
    a.sync()
    assert a.states == ["Initial", "InitialWithConfig", "InitialWithInfo", "FreshStart", "InitialWithConfig", "InitialWithInfo",
                        "InitialWithMetaGlobal", "Ready"]
    assert a.requests[3:6] == ["DELETE ", "PUT /storage/meta/global", "PUT /storage/crypto/keys"]
    a.records["bookmarks"].put(title="another")
    a.sync()
    assert a.states == ["WithPreviousState", "Ready"]  # the times of meta and crypto are exactly those that were kept


# ---- two devices ----

@pytest.mark.parametrize("second", [Desktop, RustClient])
@pytest.mark.parametrize("first", [Desktop, RustClient])
def test_two_devices_converge(account, first, second):
    engines = ("bookmarks", "history", "tabs")
    a, b = first(account, "a", engines=engines), second(account, "b", engines=engines)
    fill(a)
    a.sync()
    b.records["bookmarks"].put("only-on-b", title="b")
    b.sync()
    a.sync()
    assert content(a) == content(b) and "only-on-b" in a.records["bookmarks"].items
    # changes, deletions and a conflict
    common = sorted(a.records["history"].items)
    a.records["history"].put(common[0], title="changed on a")
    a.records["history"].remove(common[1])
    b.records["history"].put(common[2], title="changed on b")
    a.records["history"].put(common[3], title="conflict, a")
    b.records["history"].put(common[3], title="conflict, b")
    a.sync()
    b.sync()
    a.sync()
    assert content(a) == content(b)
    assert a.records["history"].items[common[0]]["title"] == "changed on a"
    assert common[1] not in b.records["history"].items
    assert a.records["history"].items[common[3]]["title"] == "conflict, b"


def test_three_devices_of_both_kinds_converge(account):
    a, b, c = Desktop(account, "a"), Desktop(account, "b"), RustClient(account, "c")
    fill(a, 5)
    for turn in range(4):
        for d in (a, b, c):
            d.records["bookmarks"].put(title=f"{d.name} {turn}")
            d.sync()
    for d in (a, b, c, a, b, c):
        d.sync()
    assert_same(a, b)
    assert content(c)["bookmarks"] == content(a)["bookmarks"]
    assert len(a.records["bookmarks"].items) == 5 + 12
    assert set(a.clients) == {a.client_id, b.client_id}


@pytest.mark.parametrize("kind", [Desktop, RustClient])
def test_5000_bookmarks_in_batches(account, kind):
    a, b = kind(account, "a", engines=("bookmarks",)), kind(account, "b", engines=("bookmarks",))
    for i in range(5000):
        a.records["bookmarks"].put(title=f"bookmark {i} ä", url=f"https://example.com/{i}?{'q' * (i % 300)}")
    a.sync()
    posts = [r for r in a.requests if r.startswith("POST /storage/bookmarks")]
    assert len(posts) == 50 and posts[0].endswith("?batch=true") and posts[-1].endswith("&commit=true")
    assert sum("commit" in p for p in posts) == 1
    b.sync()
    assert content(a) == content(b)
    pages = [r for r in b.requests if r.startswith("GET /storage/bookmarks")]
    assert len(pages) == (5 if kind is Desktop else 1)
    r = a.request("GET", "/storage/bookmarks?full=1") if kind is RustClient else a.request("GET", "/storage/bookmarks", {"full": 1})
    assert len({bso["modified"] for bso in r.json()}) == 1  # one batch, one time
    assert {bso["modified"] for bso in r.json()} == {r.last_modified}


def test_a_batch_that_is_full_is_committed_and_another_begun(own_stack):
    account = Account15(own_stack({"limits.max_post_records": 10, "limits.max_total_records": 25}))
    a, b = Desktop(account, "a", ("bookmarks",)), Desktop(account, "b", ("bookmarks",))
    for i in range(60):
        a.records["bookmarks"].put(title=f"{i}")
    a.sync()
    posts = [r.partition("?")[2] for r in a.requests if r.startswith("POST /storage/bookmarks")]
    assert sum("commit" in p for p in posts) == 3
    b.sync()
    assert content(a) == content(b)


def test_batching_switched_off_is_survived(own_stack):
    account = Account15(own_stack({"limits.batches": "no"}))
    a, b = Desktop(account, "a", ("bookmarks",)), Desktop(account, "b", ("bookmarks",))
    for i in range(30):
        a.records["bookmarks"].put(title=f"{i}")
    a.sync()
    b.sync()
    assert content(a) == content(b)


def test_large_records_split_by_bytes(account):
    a, b = Desktop(account, "a", ("bookmarks",)), Desktop(account, "b", ("bookmarks",))
    for i in range(9):
        a.records["bookmarks"].put(title=f"{i}" * 700_000)
    a.sync()
    posts = [r for r in a.requests if r.startswith("POST /storage/bookmarks")]
    assert len(posts) > 2
    b.sync()
    assert content(a) == content(b)


# ---- races ----

def sync_gets_412(device, request):
    """In the next sync each request goes through request(the real one, …); what comes between makes it fail."""
    original = device.request
    device.request = functools.partial(request, original)
    with pytest.raises(SyncFailed) as failure:
        device.sync()
    assert failure.value.reply.status == 412
    device.request = original


def test_two_devices_race_for_the_first_keys(account):
    """Both see an empty server; one of them gets 412 and picks up what the other wrote."""
    a, b = Desktop(account, "a", ("bookmarks",)), Desktop(account, "b", ("bookmarks",))
    fill(a, 3)
    fill(b, 3)

    def request(original, method, path, *args, **kw):
        if (method, path) == ("PUT", "/storage/meta/global") and not a.requests:
            a.sync()  # a is faster: between b's wipe and b's meta/global
        return original(method, path, *args, **kw)

    sync_gets_412(b, request)
    b.sync()
    a.sync()
    assert_same(a, b)
    assert len(a.records["bookmarks"].items) == 6


def test_an_upload_is_interrupted_by_another_device(account):
    """The collection changed after the download: 412, nothing of the upload is seen, the next sync brings both together."""
    a, b = Desktop(account, "a", ("bookmarks",)), Desktop(account, "b", ("bookmarks",))
    fill(a, 3)
    a.sync()
    b.sync()
    for i in range(150):
        b.records["bookmarks"].put(f"from-b-{i:03d}", title="b")
    a.records["bookmarks"].put("from-a", title="a")

    def request(original, method, path, *args, **kw):
        r = original(method, path, *args, **kw)
        if method == "POST" and path == "/storage/bookmarks" and "from-a" in a.records["bookmarks"].dirty:
            assert r.status == 202
            a.sync()  # between two requests of b's batch
        return r

    sync_gets_412(b, request)
    assert not any(id.startswith("from-b") for id in a.on_server("bookmarks"))
    b.sync()
    a.sync()
    assert_same(a, b)
    assert len(a.records["bookmarks"].items) == 154


def test_a_download_in_pages_is_interrupted_by_another_device(account):
    a, b = Desktop(account, "a", ("bookmarks",)), Desktop(account, "b", ("bookmarks",))
    fill(a, 50)
    a.sync()
    b.page_size = 20

    def request(original, method, path, params=None, **kw):
        if "offset" in (params or {}) and not a.records["bookmarks"].dirty and len(a.records["bookmarks"].items) == 50:
            a.records["bookmarks"].put("late", title="late")
            a.sync()
        return original(method, path, params, **kw)

    sync_gets_412(b, request)
    b.sync()
    assert_same(a, b)
    assert "late" in b.records["bookmarks"].items


def test_a_repeated_post_after_a_lost_answer_gets_412(account):
    """The answer was lost, the network stack sends the request again: no harm is done."""
    a = Desktop(account, "a", ("bookmarks",))
    fill(a, 3)
    a.sync()
    since = a.records["bookmarks"].last_sync
    a.records["bookmarks"].put("again", title="x")
    body = json.dumps([{"id": "again", "payload": a.keys.of("bookmarks").encrypt({"id": "again", "title": "x"})}])
    params = {"batch": "true", "commit": "true"}
    assert a.request("POST", "/storage/bookmarks", params, body, since=since).status == 200
    assert a.request("POST", "/storage/bookmarks", params, body, since=since).status == 412
    a.sync()
    assert_same(a)


# ---- wipes ----

def test_a_wipe_by_one_device_reaches_the_other(account):
    a, b = Desktop(account, "a"), Desktop(account, "b")
    fill(a, 5)
    a.sync()
    b.sync()
    assert a.request("DELETE", "/storage", confirm=True).status == 200
    b.records["bookmarks"].put("kept-on-b", title="b")
    b.sync()  # finds no meta/global: starts afresh and uploads everything
    assert "DELETE /storage" in b.requests
    a.sync()
    assert_same(a, b)
    assert "kept-on-b" in a.records["bookmarks"].items


def test_a_wiped_collection_is_filled_again(account):
    a, b = Desktop(account, "a"), Desktop(account, "b")
    fill(a, 5)
    a.sync()
    b.sync()
    a.wipe_collection("history")
    assert a.on_server("history") == {}
    a.sync()
    b.sync()
    assert_same(a, b)


def test_single_records_deleted_by_ids(account):
    a = Desktop(account, engines=("bookmarks",))
    fill(a, 250)
    a.sync()
    ids = sorted(a.records["bookmarks"].items)
    a.delete_on_server("bookmarks", ids[:230])
    assert sorted(a.on_server("bookmarks")) == ids[230:]


def test_a_new_engine_is_seen_by_the_other_device(account):
    a, b = Desktop(account, "a", ("bookmarks",)), Desktop(account, "b", ("bookmarks", "addresses"))
    fill(a, 2)
    a.sync()
    b.sync()
    b.enable("addresses")
    b.records["addresses"].put(name="x")
    b.sync()
    assert "PUT /storage/meta/global" in b.requests
    b.sync()
    a.enable("addresses")
    a.sync()
    a.sync()
    assert content(a) == content(b)


# ---- tokens ----

def test_a_401_in_the_middle_leads_to_a_new_token_and_a_whole_sync(account, stack):
    a = Desktop(account)
    fill(a, 3)
    original, state = a.request, {"left": 5}

    def request(*args, **kw):
        state["left"] -= 1
        if state["left"] == 0:  # the token goes bad
            a.credentials["id"], a.credentials["key"] = mint("another secret that the node does not know", {"uid": 1})
        return original(*args, **kw)

    a.request = request
    a.sync()
    assert a.tokens_fetched == 2
    assert_same(a)


def test_an_expired_token_is_replaced(own_stack):
    stack = own_stack()
    account = Account15(stack)
    a, b = Desktop(account), RustClient(account)
    fill(a, 3)
    a.sync()
    b.sync()
    uid, duration = a.credentials["uid"], a.credentials["duration"]
    stack.heddle.advance(duration + 10)
    a.credentials_until = stack.heddle.now() + 100  # this device's clock is late
    a.records["bookmarks"].put(title="after")
    a.sync()
    assert a.tokens_fetched == 2 and a.credentials["uid"] == uid
    b.valid_until = stack.heddle.now() + 100  # this one has no second try
    assert b.request("GET", "/storage/meta/global").status == 401
    with pytest.raises(Unauthorized):
        b.persisted = None
        b.sync()
    b.credentials = None
    b.sync()
    assert content(b)["bookmarks"] == content(a)["bookmarks"]


def test_an_expired_oauth_token_is_replaced_once(account):
    a = Desktop(account)
    a.access_token = account.access_token(life_s=-10)
    a.sync()
    assert a.tokens_fetched == 2


def test_credentials_that_stay_bad_are_not_tried_for_ever(account):
    a = Desktop(account)
    account.access_token = lambda: "not.a.token"
    with pytest.raises(SyncFailed) as failure:
        a.sync()
    assert failure.value.reply.status == 401 and a.tokens_fetched == 2


def test_a_device_with_a_wrong_clock_syncs(account):
    a = Desktop(account)
    a.account = type("Late", (), {"__getattr__": lambda self, name: getattr(account, name)})()
    real = account.stack.heddle.now
    late = type("Heddle", (), {"now": lambda self: real() - 5 * 3600, "__getattr__": lambda self, n: getattr(account.stack.heddle, n)})()
    a.account.stack = type("Stack", (), {"heddle": late, "__getattr__": lambda self, n: getattr(account.stack, n)})()
    fill(a, 3)
    a.sync()
    b = Desktop(account)
    b.sync()
    assert content(a) == content(b)


def test_new_keys_after_a_password_reset_give_an_empty_place(account):
    a = Desktop(account)
    fill(a, 3)
    a.sync()
    uid = a.credentials["uid"]
    account.reset_password()
    b = Desktop(account, "b")
    b.sync()
    assert b.credentials["uid"] != uid and b.records["bookmarks"].items == {}
    a.credentials = None
    a.sync()
    b.sync()
    assert content(a) == content(b) and a.credentials["uid"] == b.credentials["uid"]
    assert len(b.records["bookmarks"].items) == 3


# ---- the server has trouble ----

def test_syncs_go_on_over_restarts_and_crashes_of_the_server(own_stack):
    stack = own_stack()
    account = Account15(stack)
    a, b = Desktop(account, "a"), Desktop(account, "b")
    fill(a, 5)
    a.sync()
    sync_over_restart_and_crash(stack.heddle, a, b)


@pytest.mark.parametrize("at", range(1, 12, 2))
def test_a_crash_in_the_middle_of_a_first_sync_is_repaired_by_the_next(own_stack, at):
    stack = own_stack()
    account = Account15(stack)
    a = Desktop(account, "a", ("bookmarks", "history"))
    fill(a, 120)
    original, count = a.request, [0]

    def request(*args, **kw):
        count[0] += 1
        r = original(*args, **kw)
        if count[0] == at:
            stack.heddle.kill()
        return r

    a.request = request
    with pytest.raises(OSError):
        a.sync()
    a.request = original
    stack.heddle.start()
    a.sync()
    b = Desktop(account, "b", ("bookmarks", "history"))
    b.sync()
    assert_same(a, b)


def restart_redis(stack):
    stack.redis.kill()
    stack.redis.start()


def pause_redis(stack):
    stack.redis.pause()


FAULTS = {"killed": lambda s: s.redis.kill(), "paused": pause_redis, "flushed": lambda s: s.redis.flush(), "restarted": restart_redis}


@pytest.mark.one_engine("mysql+redis")
@pytest.mark.parametrize("fault", FAULTS)
def test_redis_fails_in_the_middle_of_two_devices_syncing(own_stack, fault):
    stack = own_stack(own_redis=True)
    account = Account15(stack)
    engines = ("bookmarks", "history", "tabs")
    a, b, c = Desktop(account, "a", engines), Desktop(account, "b", engines), RustClient(account, "c", engines)
    fill(a, 10)
    a.sync()
    b.sync()
    c.sync()
    done = []

    def break_after(device, requests):
        original = device.request

        def request(*args, **kw):
            r = original(*args, **kw)
            if len(device.requests) >= requests and not done:
                done.append(fault)
                FAULTS[fault](stack)
            return r

        device.request = request

    for name in engines:
        a.records[name].put(f"a-{name}", title="a")
        b.records[name].put(f"b-{name}", title="b")
    break_after(a, 4)
    a.sync()
    assert done
    for turn in range(3):
        for d in (b, c, a):
            d.records["bookmarks"].put(f"{d.name}-{turn}", title="x")
            d.sync()
    for d in (b, c):
        d.sync()
    assert_same(a, b)
    assert content(c) == content(a)
    if fault in ("killed", "paused"):
        stack.redis.resume()
        if not stack.redis.running:
            stack.redis.start()
        for turn in range(3):
            for d in (a, b, c):
                d.records["history"].put(f"{d.name}-back-{turn}", title="x")
                d.sync()
        for d in (a, b):
            d.sync()
        assert_same(a, b)
        assert content(c) == content(a)


@pytest.mark.one_engine("mysql+redis")
def test_a_redis_that_comes_back_with_old_values_shows_none_of_them(own_stack):
    """Values of before an outage must not be shown after it: the head is read after each write by another connection."""
    stack = own_stack(own_redis=True)
    user = stack.user()
    second = stack.again(user)
    user.save("bookmarks", "a", "0")
    assert second.info() == user.info()
    for turn in range(5):
        stack.redis.pause()
        written = user.save("bookmarks", "a", str(turn))
        assert second.info() == {"bookmarks": written}
        stack.redis.resume()
        assert second.info() == {"bookmarks": written}
        again = user.save("bookmarks", "a", str(turn))
        assert second.info() == {"bookmarks": again}


# ---- load headers ----

def test_backoff_is_noticed_and_the_sync_goes_on(own_stack):
    account = Account15(own_stack({"backoff.seconds": 600, "backoff.percent": 100}))
    a, b = Desktop(account), RustClient(account)
    fill(a, 2)
    a.sync()
    b.sync()
    assert 600 <= a.weather.backoff_s <= 630 and 600 <= b.weather.backoff_s <= 630


def test_quota_left_is_noticed(own_stack):
    account = Account15(own_stack({"limits.quota_bytes": 100_000, "limits.quota_enforced": "yes"}))
    a = Desktop(account, engines=("bookmarks",))
    fill(a, 3)
    a.sync()
    assert 0 < float(a.weather.quota_remaining) < 100
    a.records["bookmarks"].put(title="x" * 100_000)
    with pytest.raises(SyncFailed) as failure:
        a.sync()
    assert failure.value.reply.status == 403 and failure.value.reply.text == "14"


def test_a_record_of_another_key_is_noticed(account):
    """A client whose key does not fit sees it by the HMAC; the server keeps such records as they are."""
    a = Desktop(account)
    a.sync()
    stranger = Account15(account.stack, account.sub)
    stranger.keys_changed_at = account.keys_changed_at
    with pytest.raises(synccrypto.BadHmac):
        stranger.key_bundle.decrypt(a.request("GET", "/storage/crypto/keys").json()["payload"])


def test_upload_queue_keeps_the_limits(account):
    """The simulation itself: no request of an upload breaks a limit that the server announced."""
    a = Desktop(account, engines=("bookmarks",))
    a.sync()
    config = {**a._configuration(), "max_post_records": 7, "max_post_bytes": 5000, "max_request_bytes": 6000,
              "max_record_payload_bytes": 4000, "max_total_records": 20}
    sizes, original = [], a.request

    def request(method, path, params=None, body=None, **kw):
        sizes.append((len(json.loads(body)), len(body)))
        return original(method, path, params, body, **kw)

    a.request = request
    upload = Upload(a, "bookmarks", Decimal(0), config, a.keys.of("bookmarks"))
    upload.send([{"id": f"i{i:03d}", "title": "x" * (i * 17 % 1500)} for i in range(100)])
    assert len(upload.done) == 100
    assert all(n <= 7 and size < 6000 for n, size in sizes)
