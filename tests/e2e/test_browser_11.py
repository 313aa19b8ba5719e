"""Whole syncs by simulated browsers of the 1.1 protocol (Pale Moon, Firefox before 29)."""
import pytest

from lib.device import SyncFailed, Unauthorized, assert_same, fill, sync_over_restart_and_crash
from lib.palemoon11 import PaleMoon


@pytest.fixture
def device(stack):
    return PaleMoon(stack).create_account()


def test_setup_and_first_sync_go_step_by_step(device):
    a, u = device, device.username
    fill(a, 3)
    a.sync()
    steps = [r.replace(f"/1.1/{u}/", "") for r in a.requests]
    assert steps[:11] == [
        f"GET /user/1.0/{u}/node/weave", "GET info/collections", "GET info/collections?v=1.18.0", "GET storage/meta/global",
        "DELETE storage", "PUT storage/meta/global", "PUT storage/crypto/keys", "GET info/collections", "GET storage/crypto/keys",
        "GET info/collections", "DELETE storage/clients"]
    assert steps[11] == "POST storage/clients" and steps[-1] == "PUT storage/meta/global"
    assert_same(a)


def test_incremental_sync_with_nothing_new_is_one_request(device):
    fill(device, 3)
    device.sync().sync()
    assert device.requests == [f"GET /1.1/{device.username}/info/collections"]


def test_two_devices_converge(device):
    a, b = device, device.another_device()
    fill(a)
    a.sync()
    b.records["bookmarks"].put("only-on-b", title="b")
    b.sync()
    a.sync()
    assert_same(a, b)
    common = sorted(a.records["history"].items)
    a.records["history"].put(common[0], title="changed on a")
    a.records["history"].remove(common[1])
    b.records["history"].put(common[2], title="changed on b")
    a.records["history"].put(common[3], title="conflict, a")
    b.records["history"].put(common[3], title="conflict, b")
    for d in (a, b, a):
        d.sync()
    assert_same(a, b)
    assert a.records["history"].items[common[3]]["title"] == "conflict, b"
    assert common[1] not in b.records["history"].items
    a.sync()
    b.sync()
    assert set(a.clients) == set(b.clients) == {a.client_id, b.client_id}


def test_devices_that_sync_in_turns_lose_nothing(device):
    a, b = device, device.another_device()
    for turn in range(10):
        for name, d in (("a", a), ("b", b)):
            d.records["bookmarks"].put(f"{name}-{turn}", title="x")
            d.sync()
    a.sync()
    assert_same(a, b)
    assert len(a.records["bookmarks"].items) == 20


def test_5000_bookmarks_in_posts_of_a_hundred(device):
    a, b = device, device.another_device()
    for i in range(5000):
        a.records["bookmarks"].put(title=f"bookmark {i} ä", url=f"https://example.com/{i}?{'q' * (i % 300)}")
    a.sync()
    assert sum(r.startswith(f"POST /1.1/{a.username}/storage/bookmarks") for r in a.requests) == 50
    b.sync()
    assert_same(a, b)
    assert sum(r.startswith(f"GET /1.1/{a.username}/storage/bookmarks") for r in b.requests) == 1


def test_234_records_are_three_posts(device):
    device.sync()
    for i in range(234):
        device.records["history"].put(title=f"{i}")
    device.sync()
    assert sum(r.startswith("POST") for r in device.requests) == 3
    assert len(device.on_server("history")) == 234


def test_a_hundred_records_of_full_size_are_taken_or_refused_one_by_one(device):
    """The client never splits by bytes: a body of many megabytes must be read, and what is too much comes back as failed."""
    device.sync()
    for i in range(40):
        device.records["bookmarks"].put(f"big{i:02d}", title="x" * 150_000)
    syncs = 0
    while device.records["bookmarks"].dirty:
        before = len(device.records["bookmarks"].dirty)
        device.sync()
        assert len(device.records["bookmarks"].dirty) < before
        syncs += 1
        assert syncs < 20
    b = device.another_device()
    b.sync()
    assert_same(device, b)


def test_a_wipe_reaches_the_other_device(device):
    a, b = device, device.another_device()
    fill(a, 5)
    a.sync()
    b.sync()
    a.wipe_server()
    b.records["bookmarks"].put("kept-on-b", title="b")
    b.sync()
    a.sync()
    assert_same(a, b)
    assert "kept-on-b" in a.records["bookmarks"].items


def test_records_deleted_by_ids(device):
    device.sync()
    ids = [device.records["bookmarks"].put("{%s}" % f"6820f3ca-6e8a-4ff4-8af7-{i:012d}", title="x") for i in range(230)]
    device.sync()
    device.delete_on_server("bookmarks", ids[:210])
    assert sorted(device.on_server("bookmarks")) == sorted(ids[210:])


def test_unlink_and_come_back(device):
    a, b = device, device.another_device()
    fill(a, 3)
    a.sync()
    b.sync()
    b.unlink()
    b = a.another_device()
    b.sync()
    a.sync()
    assert_same(a, b)


def test_a_password_changed_by_another_device(device):
    a, b = device, device.another_device()
    fill(a, 3)
    a.sync()
    b.sync()
    a.change_password("another pässword")
    a.records["bookmarks"].put("after", title="x")
    a.sync()
    with pytest.raises(Unauthorized):
        b.sync()
    b.password = "another pässword"
    b.sync()
    assert_same(a, b)


def test_a_wrong_password_is_401_everywhere(device):
    fill(device, 2)
    device.sync()
    thief = device.another_device()
    for password in ("", "correct horse battery", "correct horse b\u00c3\u00a4ttery", "x" * 1000, "CORRECT HORSE BÄTTERY"):
        thief.password = password
        with pytest.raises(Unauthorized):
            thief.sync()
    for rest in ("storage/bookmarks", "storage/meta/global"):
        with pytest.raises(Unauthorized):
            thief.storage("GET", rest)
        with pytest.raises(Unauthorized):
            thief.storage("DELETE", rest)
    assert_same(device)


def test_passwords_that_share_only_their_low_bytes_differ(stack):
    a = PaleMoon(stack, password="\u34ff\u35ff\u36ff\u37ff").create_account()
    fill(a, 1)
    a.sync()
    b = a.another_device()
    b.password = "\u00ff\u00ff\u00ff\u00ff" * 2
    with pytest.raises(Unauthorized):
        b.sync()


def test_node_weave_gives_the_same_node_again(device):
    assert device.find_node()
    first = device.node
    assert not device.find_node() and device.node == first == device.stack.url + "/"


def test_node_of_an_unknown_user_is_404_and_storage_401(stack):
    ghost = PaleMoon(stack, "nobody-here")
    r = ghost.request("GET", f"{stack.url}/user/1.0/nobody-here/node/weave")
    assert r.status == 404 and r.body == b""
    ghost.node = stack.url + "/"
    with pytest.raises(Unauthorized):
        ghost.storage("GET", "info/collections")


def test_both_protocols_on_one_server_keep_apart(stack, device):
    """A 1.1 account and a 1.5 user never see each other's data, whatever their names are."""
    fill(device, 2)
    device.sync()
    user = stack.user()
    assert user.info() == {}
    user.save("bookmarks", "a", "x")
    device.sync()
    assert_same(device)
    assert stack.heddle.get("/1.5/1/info/collections").status == 401


def test_syncs_go_on_over_restarts_and_crashes_of_the_server(own_stack):
    stack = own_stack()
    a = PaleMoon(stack).create_account()
    b = a.another_device()
    fill(a, 5)
    a.sync()
    sync_over_restart_and_crash(stack.heddle, a, b)


FAULTS = {"killed": lambda s: s.redis.kill(), "paused": lambda s: s.redis.pause(), "flushed": lambda s: s.redis.flush(),
          "restarted": lambda s: (s.redis.kill(), s.redis.start())}


@pytest.mark.one_engine("mysql+redis")
@pytest.mark.parametrize("fault", FAULTS)
def test_redis_fails_in_the_middle_of_two_devices_syncing(own_stack, fault):
    stack = own_stack(own_redis=True)
    a = PaleMoon(stack).create_account()
    b = a.another_device()
    fill(a, 10)
    a.sync()
    b.sync()
    for name in a.records:
        a.records[name].put(f"a-{name}", title="a")
        b.records[name].put(f"b-{name}", title="b")
    original, done = a.request, []

    def request(*args, **kw):
        r = original(*args, **kw)
        if len(a.requests) >= 3 and not done:
            done.append(fault)
            FAULTS[fault](stack)
        return r

    a.request = request
    a.sync()
    assert done
    for turn in range(4):
        for name, d in (("b", b), ("a", a)):
            d.records["bookmarks"].put(f"{name}-{turn}", title="x")
            d.sync()
    b.sync()
    assert_same(a, b)


def test_backoff_is_noticed(own_stack):
    stack = own_stack({"backoff.seconds": 600, "backoff.percent": 100})
    a = PaleMoon(stack).create_account()
    fill(a, 2)
    a.sync()
    assert 600 <= a.weather.backoff_s <= 630


def test_over_quota_is_400_with_14(own_stack):
    stack = own_stack({"limits.quota_bytes": 20_000, "limits.quota_enforced": "yes"})
    a = PaleMoon(stack, engines=("bookmarks",)).create_account()
    a.sync()
    a.records["bookmarks"].put(title="x" * 16_000)  # what a full account accepts last may overshoot
    a.sync()
    a.records["bookmarks"].put(title="y")
    with pytest.raises(SyncFailed) as failure:
        a.sync()
    assert failure.value.reply.status == 400 and failure.value.reply.body == b"14"
    assert a.weather.quota_remaining is not None
