"""What deployed 1.1 clients depend on (the numbered cases of their own tests), told from the server's side: where a case is about the
client alone, that the server gives what the client needs for it."""
import base64
import json
import random
import sqlite3
from decimal import Decimal

import pytest

from lib.device import SyncFailed, Unauthorized
from lib.heddle import Storage11
from lib.palemoon11 import PaleMoon
from lib.processes import free_port
from lib.synccrypto import username_of

PATHS = ["/info/collections", "/info/quota", "/storage/meta/global", "/storage/crypto/keys", "/storage/bookmarks?full=1", "/storage/bookmarks/a"]


def change_account(stack, user, change):
    """Alters the directory's entry while the server is down."""
    stack.heddle.stop()
    with sqlite3.connect(stack.heddle.folder / "data" / "directory.sqlite") as db:
        assert db.execute(f"UPDATE accounts SET {change} WHERE name = ?", (user.name,)).rowcount == 1
    db.close()
    stack.heddle.start()


@pytest.mark.parametrize("change", ["epoch = epoch + 1", "epoch = 7", "enabled = 0"])
def test_c01_c03_who_does_not_live_here_any_more_gets_401_from_every_url(own_stack, change):
    """The directory has placed him anew, or his account is disabled: whatever he asks, he must ask for his node again."""
    stack = own_stack()
    user, other = stack.user11(), stack.user11()
    user.save("meta", "global", "x")
    other.save("meta", "global", "x")
    change_account(stack, user, change)
    for path in PATHS:
        user.get(path, expect=401, code=0)
    user.put("/storage/bookmarks/a", {"payload": "x"}, expect=401, code=0)
    user.post("/storage/bookmarks", [{"id": "a", "payload": "x"}], expect=401, code=0)
    user.delete("/storage", headers={"X-Confirm-Delete": "1"}, expect=401, code=0)
    assert other.item("meta", "global")["payload"] == "x"


def test_c01_a_browser_whose_name_the_node_does_not_know_starts_over_with_the_directory(stack):
    """401 in a running sync: the browser forgets the node, asks for it, and the second sync succeeds."""
    a = PaleMoon(stack).create_account()
    a.records["bookmarks"].put("one", title="x")
    a.sync()
    a.records["bookmarks"].put("two", title="y")
    good, refused = a.password, []

    def storage(method, rest, *args, **kw):
        a.password = "wrong" if not refused else good
        try:
            return PaleMoon.storage(a, method, rest, *args, **kw)
        except Unauthorized:
            refused.append(rest)
            raise

    a.storage = storage
    a.sync()
    assert len(refused) == 1 and any("node/weave" in r for r in a.requests)
    assert {w["id"] for w in a.stream("storage/bookmarks?full=1")} == {"one", "two"}


def test_c02_repeated_wrong_passwords_stay_401(user11):
    for _ in range(30):
        user11.get("/info/collections", authorization=user11.authorization(password="wrong"), expect=401, code=0)
    assert user11.info() == {}


def test_c04_node_weave_is_a_bare_url(stack, user11):
    for sign in ("", None, "Basic nonsense"):
        r = user11.node(authorization=sign)
        assert r.text == stack.url + "/" and r.type == "text/plain", f"{r!r}"
    assert user11.request("GET", f"/user/1/{user11.name}/node/weave/").text == stack.url + "/"
    unknown = stack.user11(register=False)
    r = unknown.node(expect=404)
    # who takes the 404 for "the server itself is the node" must end there with 401
    unknown.get("/info/collections", expect=401)


def test_c05_the_same_node_is_given_again(user11):
    assert len({user11.node().text for _ in range(5)}) == 1
    user11.get("/info/collections", authorization=user11.authorization(password="wrong"), expect=401)
    user11.node()


def test_c06_a_node_below_a_path(own_stack):
    """Pale Moon's default server has a path, and its assistant, its directory and its storage lie below it."""
    stack = own_stack(start=False)
    stack.heddle.port = free_port()
    stack.heddle.settings["public.url"] = stack.url + "/sync/index.php"
    stack.heddle.start()

    class Below:
        heddle, url = stack.heddle, stack.url + "/sync/index.php"

    stack.heddle.url_for = lambda path: Below.url
    a = PaleMoon(Below).create_account()
    a.records["bookmarks"].put("one", title="x")
    a.sync()
    assert a.node == Below.url + "/" and all(r.split(" ")[1].startswith("/sync/index.php/") for r in a.requests)
    b = a.another_device()
    b.sync()
    assert b.records["bookmarks"].items == a.records["bookmarks"].items


def test_c07_503_tells_seconds_in_every_request(own_stack):
    stack = own_stack({"backoff.seconds": 42})
    user = stack.user11()
    user.save("meta", "global", "x")
    from test_storage11_node_states import into_state
    into_state(stack, "unhealthy")
    for method, target, body in [("GET", p, None) for p in PATHS] + [
            ("PUT", "/storage/crypto/keys", {"payload": "x"}), ("POST", "/storage/bookmarks", [{"id": "a", "payload": "x"}]),
            ("DELETE", "/storage", None), ("DELETE", "/storage/bookmarks", None)]:
        r = user.storage(method, target, body, headers={"X-Confirm-Delete": "1"}, expect=503)
        assert r.header("Retry-After") == "42" and r.type == "application/json", f"{r!r}"
    a = PaleMoon(stack)
    a.node = stack.url + "/"
    with pytest.raises(SyncFailed):
        a.sync()
    assert a.weather.retry_after_s == 42


def test_c08_trouble_is_503_with_a_time_to_wait(own_stack):
    """Never 500, which would cost the client hours: a lock that is not to be had in time, for instance. Reading goes on."""
    from test_storage15_other import database_locked
    stack = own_stack({"store.lock_wait": 1})
    user = stack.user11()
    stamp = user.save("lock", "a", "x")
    with database_locked(stack, user):
        stamp = max(stamp, user.info()["lock"]) if not stack.on_mysql else stamp
        for method, target, body in (("PUT", "/storage/xx/a", {"payload": "x"}), ("POST", "/storage/xx", [{"id": "a", "payload": "x"}]),
                                     ("DELETE", "/storage/lock", None), ("DELETE", "/storage", None)):
            r = user.storage(method, target, body, headers={"X-Confirm-Delete": "1"}, expect=503)
            assert r.header("Retry-After") == "10" and r.body == b"0", f"{r!r}"
    assert set(user.info()) == {"lock"} and user.save("xx", "a", "x") > stamp


def test_c09_over_quota_is_told_so_that_the_browser_knows(own_stack):
    a = PaleMoon(own_stack({"limits.quota_bytes": 3000})).create_account()
    a.sync()
    a.records["bookmarks"].put("big", title="x" * 4000)
    a.sync()
    a.records["history"].put("small", title="x")
    with pytest.raises(SyncFailed, match="over quota"):
        a.sync()
    assert a.records["history"].dirty == {"small"}, "it stays pending"


def test_c10_backoff_on_a_good_answer_is_noted(own_stack):
    a = PaleMoon(own_stack({"node.state": "backoff:600"})).create_account()
    a.records["bookmarks"].put("one", title="x")
    a.sync()
    assert a.weather.backoff_s == 600 and a.weather.retry_after_s == 0


def test_c11_the_rest_of_the_quota_comes_with_good_answers_only(own_stack):
    user = own_stack({"limits.quota_bytes": 1000}).user11()
    assert user.put("/storage/xx/a", {"payload": "x" * 1000}).header("X-Weave-Quota-Remaining")
    assert user.put("/storage/xx/a", {"payload": "x"}, expect=400, code=14).header("X-Weave-Quota-Remaining") is None
    assert user.get("/info/collections").header("X-Weave-Quota-Remaining") is None


def test_c12_every_answer_tells_the_servers_time(own_stack):
    stack = own_stack()
    user = stack.user11()
    for step in (0, 86400):
        if step:
            stack.heddle.advance(step)
        began = Decimal(stack.heddle.now())
        answers = (user.get("/info/collections"), user.get("/storage/never"), user.get("/storage/xx/a", expect=404), user.put("/storage/xx/b", {"payload": ""}),
                   user.get("/info/collections", authorization="", expect=401), user.put("/storage/xx/b", "bad", expect=400), user.node(),
                   user.get("/nothing", expect=404), user.get("/storage", expect=405), user.account("GET", authorization=""))
        for r in answers:
            assert began - 1 < r.timestamp < Decimal(stack.heddle.now()) + 1, f"{r!r}"


def test_c13_wiping_a_list_of_collections(user11):
    user11.save("clients", "a", "x")
    stamps = [user11.delete(f"/storage/{c}", expect=(200, 404)).timestamp for c in ("clients", "bookmarks", "history")]
    assert stamps == sorted(stamps) and user11.info() == {}


def test_c14_wiping_all_when_there_is_nothing(user11):
    r = user11.delete("/storage", headers={"X-Confirm-Delete": "1"})
    assert r.json() == r.timestamp and user11.info() == {}
    assert user11.delete("/storage", headers={"X-Confirm-Delete": "1"}).timestamp >= r.timestamp


def test_c15_234_records_are_three_posts(user11):
    items = [{"id": f"r{i:03d}", "payload": "x" * 500, "sortindex": i, "ttl": 5184000} for i in range(234)]
    stamps = [user11.save_all("history", items[i:i + 100]) for i in (0, 100, 200)]
    assert stamps == sorted(set(stamps)), "two writes never share a time"
    assert len(user11.ids("history", f"newer={stamps[0]}")) == 134 and user11.ids("history", f"newer={stamps[2]}") == []
    assert user11.info("collection_counts") == {"history": 234}


def test_c16_what_failed_can_be_sent_again(user11):
    items = [{"id": str(i), "payload": "x" * 250_000} for i in range(10)]
    pending, posts = {i["id"]: i for i in items}, 0
    while pending:
        out = user11.upload("bookmarks", list(pending.values()))
        assert sorted(out["success"] + list(out["failed"])) == sorted(pending) and out["success"]
        pending = {k: v for k, v in pending.items() if k in out["failed"]}
        posts += 1
    assert posts == 3 and len(user11.ids("bookmarks")) == 10


def test_c17_ids_are_deleted_a_hundred_at_a_time(user11):
    ids = [f"{{{i:08d}-0000-4000-8000-000000000000}}" for i in range(250)]
    for i in (0, 100, 200):
        user11.save_all("passwords", [{"id": id, "payload": "x"} for id in ids[i:i + 100]])
    for i in (0, 100, 200):
        text = ",".join(ids[i:i + 100]).replace("{", "%7B").replace("}", "%7D")
        user11.delete(f"/storage/passwords?ids={text}")
        assert user11.ids("passwords") == ids[i + 100:]


def firefox_parser(chunks):
    """The incremental parser of the clients: cuts at each LF found at an index above 0."""
    data, out = "", []
    for chunk in chunks:
        data += chunk
        while (at := data.find("\n")) > 0:
            out.append(json.loads(data[:at]))
            data = data[at + 1:]
    assert data == "", f"stalled at {data[:40]!r}"
    return out


@pytest.mark.parametrize("seed", range(4))
def test_c18_a_stream_may_be_cut_anywhere(user11, seed):
    payloads = ["", "\n\n", "x" * 3000, "\\n", "ä\u2028", json.dumps({"a": "b\n"})] * 5
    user11.save_all("xx", [{"id": f"{i:02d}", "payload": p} for i, p in enumerate(payloads)])
    dice, text = random.Random(seed), user11.get("/storage/xx?full=1", headers={"Accept": "application/newlines"}).text
    cuts = sorted(dice.randrange(len(text)) for _ in range(dice.choice((0, 1, 200))))
    chunks = [text[a:b] for a, b in zip([0] + cuts, cuts + [len(text)])]
    assert [r["payload"] for r in firefox_parser(chunks)] == payloads


@pytest.mark.parametrize("path, status", [("/storage/xx?full=1&newer=abc", 400), ("/storage/xx?full=1&limit=x", 400), ("/storage/a$?full=1", 404)])
@pytest.mark.parametrize("sign", [None, ""])
def test_c18_the_error_of_a_stream_has_no_newline(user11, path, status, sign):
    r = user11.get(path, headers={"Accept": "application/newlines"}, authorization=sign, expect=401 if sign == "" and status != 404 else status)
    assert b"\n" not in r.body and json.loads(r.body) == 0


@pytest.mark.parametrize("payload", ["not json", "{", "[1,", "null", "<html>", "'single'"])
def test_c19_a_payload_that_is_not_json_is_kept(user11, payload):
    user11.save("xx", "a", payload)
    assert user11.item("xx", "a")["payload"] == payload


def test_c20_keys_that_were_put_are_listed_at_once(user11):
    for _ in range(20):
        stamp = user11.save("crypto", "keys", "x")
        assert user11.info()["crypto"] >= stamp and user11.again().info()["crypto"] >= stamp
        assert user11.get("/storage/crypto/keys").json()["modified"] == stamp


@pytest.fixture
def loose(own_stack):
    return own_stack({"registration.strict_usernames": "no"})


def test_c21_a_password_beyond_latin_1(loose):
    password = "\u34ff\u35ff\u36ff\u37ff"
    user = Storage11(loose.heddle, "johndoe", password)
    user.register()
    assert user.authorization() == "Basic am9obmRvZTrjk7/jl7/jm7/jn78="
    assert user.info() == {}
    for wrong in (b"johndoe:\xff\xff\xff\xff", "johndoe:ÿÿÿÿ".encode(), "johndoe:\u35ff\u34ff\u36ff\u37ff".encode(), b"johndoe:????"):
        user.get("/info/collections", authorization="Basic " + base64.b64encode(wrong).decode(), expect=401)
    user.account("POST", "/password", "\u34ff\u35ff\u36ff\u38ff")
    user.get("/info/collections", expect=401)
    user.password = "\u34ff\u35ff\u36ff\u38ff"
    assert user.info() == {}


@pytest.mark.parametrize("account, name", [("john@doe.com", "7wohs32cngzuqt466q3ge7indszva4of"), ("jane@doe.com", "vuuf3eqgloxpxmzph27f5a6ve7gzlrms"),
                                           ("test@test.com", "u2wqblarhim5su7pxemcbwdyryrghmuk"), ("JOHN@doe.com", "7wohs32cngzuqt466q3ge7indszva4of")])
def test_c22_the_name_of_an_address(own_stack, account, name):
    stack = own_stack()
    assert username_of(account) == name
    Storage11(stack.heddle, "a" + name[1:], "correct horse", account).register(expect=400, code=15)
    user = Storage11(stack.heddle, name, "correct horse", account)
    assert user.register().text == name and user.info() == {}


def test_c23_whether_a_name_is_taken_is_never_404(stack, user11):
    for version in ("1.0", "1"):
        for tail in ("", "/"):
            assert user11.request("GET", f"/user/{version}/{user11.name}{tail}", authorization="").body == b"1"
            assert user11.request("GET", f"/user/{version}/a{tail}", authorization="").body == b"0"


def test_c24_creating_an_account(own_stack):
    stack = own_stack({"registration.secret": "let me in 4711", "registration.mode": "closed"})
    user = stack.user11(register=False)
    user.register(expect=503)
    user.register(expect=503, headers={"X-Weave-Secret": "wrong"})
    assert user.account("GET", authorization="").body == b"0"
    stack.heddle.restart(registration__mode="open")
    assert user.register(headers={"X-Weave-Secret": "let me in 4711"}).text == user.name
    user.register(expect=400, code=4)
    user.request("GET", "/misc/1.0/captcha_html", authorization="", expect=404)


def test_c25_changing_a_password(user11):
    old = user11.authorization()
    user11.account("POST", "/password", "new password 1", authorization=user11.authorization(password="wrong"), expect=401)
    user11.get("/info/collections")
    user11.account("POST", "/password", "new password 1")
    user11.get("/info/collections", authorization=old, expect=401)
    user11.account("POST", "/password", "new password 2", authorization=old, expect=401)
    user11.password = "new password 1"
    assert user11.info() == {}


@pytest.mark.parametrize("agent", ["Firefox/18.0a1 FxSync/1.20.0.20120901.desktop", "Fennec/10.0 FxSync/1.12.0.mobile", "FxHome/1.1b2", "", "x" * 1000,
                                   "Firefox AndroidSync 1.26.0a1.0 (Nightly)", "curl/7.88"])
def test_c26_any_user_agent(user11, agent):
    assert user11.get("/info/collections", headers={"User-Agent": agent}).json() == {}


def test_c27_c28_c29_counts_and_missing_things(user11):
    stamp = user11.save("xx", "a", "x")
    assert user11.get("/storage/xx/a").header("X-Weave-Records") is None
    assert user11.get("/storage/xx").header("X-Weave-Records") == "1"
    r = user11.get("/storage/never?full=1")
    assert (r.body, r.header("X-Weave-Records")) == (b"[]", "0")
    user11.delete("/storage/clients/never")
    user11.delete("/storage/tabs/never")
    assert user11.info() == {"xx": stamp}


# ---- sizes and forms of requests ----

def test_the_forms_of_a_mobile_client(user11):
    items = [{"id": f"m{i:03d}", "payload": "x", "sortindex": i % 7} for i in range(120)]
    user11.save_all("history", items[:60])
    stamp = user11.save_all("history", items[60:])
    assert len(user11.full("history", "newer=0&limit=50")) == 50
    wanted = user11.ids("history", f"newer={stamp - 1}&sort=index&limit=5000")
    assert len(wanted) == 120 and [w for w in wanted][:1] == ["m006"]
    assert [r["id"] for r in user11.full("history", "ids=" + ",".join(wanted[50:100]))] == sorted(wanted[50:100])
    newest = user11.full("history", "sort=newest&limit=1")
    assert len(newest) == 1 and newest[0]["modified"] == stamp


def test_pale_moon_may_ask_for_a_configuration(user11):
    user11.get("/info/configuration", expect=404)


def test_unlinking_and_a_wipe_by_a_browser(stack):
    a = PaleMoon(stack).create_account()
    a.sync()
    b = a.another_device()
    b.sync()
    b.unlink()
    assert a.client_id in {w["id"] for w in a.stream("storage/clients?full=1")}
    assert a.wipe_server() and a.storage("GET", "info/collections").json() == {}
    a.records["bookmarks"].put("again", title="x")
    a.meta = None
    a.sync()
    assert {w["id"] for w in a.stream("storage/bookmarks?full=1")} == {"again"}


def test_a_password_changed_elsewhere_is_401_and_the_records_stay(stack):
    a = PaleMoon(stack).create_account()
    a.records["bookmarks"].put("one", title="x")
    a.sync()
    b = a.another_device()
    b.sync()
    a.change_password("a different one 5")
    with pytest.raises(Unauthorized):
        b.sync()
    b.password = a.password
    b.sync()
    assert b.records["bookmarks"].items == a.records["bookmarks"].items != {}
