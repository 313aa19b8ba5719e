"""Storage API 1.1: states of a node, failing backends, heartbeat and shutdown; and why a client in any of them loses nothing."""
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from lib.device import SyncFailed
from lib.heddle import Storage11
from lib.palemoon11 import PaleMoon
from lib.processes import wait_until

REFUSING = {"down": b'"server issue: database marked as down"', "unhealthy": b'"server issue: database is not healthy"',
            "draining": b'"server issue: node reassignment"'}


def into_state(stack, state):
    """Restarted in that state: the first answer is of it already."""
    stack.heddle.settings["node.state"] = state
    stack.heddle.stop()
    stack.heddle.write_settings()
    heddle, stack.heddle.ready = stack.heddle, lambda: _answers(stack.heddle)
    try:
        heddle.start()
    finally:
        del heddle.ready


def _answers(heddle):
    try:
        return heddle.get("/__heartbeat__").status in (200, 503)
    except OSError:
        return False


def requests_of_each_kind():
    """As (method, target, body, headers)."""
    return [("GET", "/info/collections", None, {}), ("GET", "/info/quota", None, {}), ("GET", "/storage/meta/global", None, {}),
            ("GET", "/storage/xx?full=1", None, {"Accept": "application/newlines"}), ("GET", "/storage/nothing/a", None, {}),
            ("PUT", "/storage/xx/a", {"payload": "new"}, {}), ("POST", "/storage/xx", [{"id": "a", "payload": "new"}], {}),
            ("DELETE", "/storage/xx/a", None, {}), ("DELETE", "/storage/xx", None, {}), ("DELETE", "/storage", None, {"X-Confirm-Delete": "1"})]


@pytest.mark.parametrize("state", REFUSING)
def test_e47_a_node_that_is_away_says_so_to_everybody(own_stack, state):
    stack = own_stack()
    user = stack.user11()
    written = user.save("xx", "a", "x")
    into_state(stack, state)
    for method, target, body, headers in requests_of_each_kind():
        for sign in (None, "", "Basic nonsense"):
            r = user.storage(method, target, body, headers=headers, authorization=sign, expect=503)
            assert (r.body, r.type) == (REFUSING[state], "application/json"), f"{r!r}"
            assert r.header("Retry-After") == r.header("X-Weave-Backoff") == "1800", f"{r!r}"
    for method in ("GET", "HEAD"):
        assert stack.heddle.get("/__heartbeat__", method=method).status == 503
    into_state(stack, "normal")
    assert user.info() == {"xx": written} and user.item("xx", "a")["payload"] == "x"


@pytest.mark.parametrize("state, seconds", [("backoff", "1800"), ("backoff:42", "42"), ("backoff:600", "600")])
def test_e47_backoff_asks_everybody_to_come_later_and_serves(own_stack, state, seconds):
    stack = own_stack({"node.state": state})
    user = stack.user11()
    written = user.save("xx", "a", "x")
    answers = [user.get("/info/collections"), user.get("/storage/xx?full=1"), user.put("/storage/xx/b", {"payload": "x"}),
               user.get("/storage/xx/nothing", expect=404), user.get("/info/collections", authorization="", expect=401),
               user.put("/storage/xx/a", "nonsense", expect=400), user.delete("/storage", expect=400), user.get("/storage", expect=405)]
    assert [r.header("X-Weave-Backoff") for r in answers] == [seconds] * len(answers)
    assert all(r.header("Retry-After") is None for r in answers)
    assert stack.heddle.get("/__heartbeat__").status == 200
    assert user.item("xx", "a")["modified"] == written


def test_e47_without_a_state_nobody_is_asked(user11):
    r = user11.get("/info/collections")
    assert r.header("X-Weave-Backoff") is None and r.header("Retry-After") is None


def test_e47_the_state_changes_at_a_reload(own_stack):
    stack = own_stack()
    user = stack.user11()
    written = user.save("xx", "a", "x")

    def after(state):
        stack.heddle.reload(node__state=state)
        return lambda: user.get("/info/collections", expect=(200, 503))

    wait_until(lambda ask=after("draining"): ask().body == REFUSING["draining"], "draining")
    wait_until(lambda ask=after("backoff:7"): ask().header("X-Weave-Backoff") == "7", "backoff:7")
    wait_until(lambda ask=after("normal"): (r := ask()).status == 200 and r.header("X-Weave-Backoff") is None, "normal")
    assert user.info() == {"xx": written}


def test_e47_a_configured_wait_is_used(own_stack):
    user = own_stack({"node.state": "backoff", "backoff.seconds": "77"}).user11()
    assert user.get("/info/collections").header("X-Weave-Backoff") == "77"


def test_e47_the_state_of_one_node_never_affects_another(own_stack):
    one, two = own_stack({"node.state": "backoff:9"}), own_stack()
    assert one.user11().get("/info/collections").header("X-Weave-Backoff") == "9"
    assert two.user11().get("/info/collections").header("X-Weave-Backoff") is None


def test_a_storm_is_refused_with_times_that_differ(own_stack):
    """All clients come at once after an outage: they shall not come back at once."""
    user = own_stack({"backoff.refuse_percent": 100, "backoff.seconds": 1800}).user11(register=False)
    waits = {int(user.get("/info/collections", expect=503).header("Retry-After")) for _ in range(30)}
    assert len(waits) > 1 and all(1800 * 0.75 <= w <= 1800 * 1.25 for w in waits), waits


@pytest.mark.parametrize("host", ["another.example.net", "localhost:1", "", "[::1]", "127.0.0.1"])
def test_e47_any_host_is_answered(user11, host):
    """[R] A process is one node, known by several names perhaps."""
    r = user11._connection(user11.server.url).request("GET", f"/1.1/{user11.name}/info/collections",
                                                     [("Authorization", user11.authorization())], host=host or "x")
    assert r.status == 200, f"{r!r}"


def test_e48_the_heartbeat_needs_nobody(stack):
    for method in ("GET", "HEAD"):
        r = stack.heddle.get("/__heartbeat__", method=method)
        assert r.status == 200, f"{r!r}"
    assert stack.heddle.get("/__heartbeat__").json()["status"] == "Ok"
    assert stack.heddle.get("/__heartbeat__", {"Authorization": "Basic nonsense"}).status == 200
    assert stack.heddle.get("/__heartbeat__", method="POST").status == 405
    for page in ("/__debug__", "/__error__", "/__exception__", "/debug"):
        assert stack.heddle.get(page).status == 404


def test_e48_while_shutting_down_the_heartbeat_fails_and_requests_are_served(own_stack):
    stack = own_stack({"public.drain": 600})
    user = stack.user11()
    written = user.save("xx", "a", "x")
    beat = stack.heddle.connection()
    assert beat.request("GET", "/__heartbeat__").status == 200
    target = f"/1.1/{user.name}/storage/xx/b"
    slow = _half_sent(stack, user, target)
    stack.heddle.child.send_signal(signal.SIGTERM)
    wait_until(lambda: _fails(beat), "a heartbeat that fails")
    status, body = wait_until(lambda: _finished_put(slow), "the rest of a request that was under way")
    assert status == 200, body
    assert stack.heddle.child.wait(300) == 0
    stack.heddle.start()
    assert user.ids("xx") == ["a", "b"] and user.item("xx", "a")["modified"] == written


def _fails(beat):
    """A balancer sees 503, or that nobody takes connections any more."""
    try:
        return beat.request("GET", "/__heartbeat__").status == 503
    except OSError:
        return True


def _half_sent(stack, user, target):
    import socket
    s = socket.create_connection(("127.0.0.1", stack.heddle.port), timeout=120)
    s.sendall((f"PUT {target} HTTP/1.1\r\nHost: x\r\nAuthorization: {user.authorization()}\r\nContent-Length: 15\r\nExpect: 100-continue\r\n\r\n").encode())
    assert s.recv(100).startswith(b"HTTP/1.1 100"), "the server is reading the body"
    return s


def _finished_put(s):
    import http.client
    s.sendall(b'{"payload":"x"}')
    answer = http.client.HTTPResponse(s, method="PUT")
    answer.begin()
    return answer.status, answer.read()


@pytest.mark.one_engine("mysql+redis")
def test_c13_c14_a_broken_store_is_503_and_never_404_or_empty(own_database):
    """A 404 of meta/global, or an empty object, makes a client wipe the account."""
    stack, database = own_database
    user = stack.user11()
    stamps = {c: user.save(c, i, "x") for c, i in (("meta", "global"), ("crypto", "keys"), ("xx", "a"))}
    database.kill()
    for method, target, body, headers in requests_of_each_kind():
        r = user.storage(method, target, body, headers=headers, expect=None)
        if target == "/info/collections" and r.status == 200:
            assert r.json() == stamps, "from a cache that is right"
            continue
        assert r.status == 503 and int(r.header("Retry-After")) > 0 and b"\n" not in r.body, f"{r!r}"
    user.post("/storage/xx", [{"id": "a", "payload": "x"}], expect=503)  # [R] not 200 with everything failed
    wait_until(lambda: stack.heddle.get("/__heartbeat__").status == 503, "a heartbeat of 503")
    user.get("/info/collections", authorization="", expect=401)
    database.start()
    wait_until(lambda: user.get("/storage/meta/global", expect=(200, 503)).status == 200, "service again")
    assert user.info() == stamps
    assert user.save("xx", "a", "y") > stamps["xx"]


@pytest.mark.one_engine("mysql+redis")
@pytest.mark.parametrize("when", ["first", "later"])
def test_a_browser_that_syncs_while_the_store_is_away_keeps_everything(own_database, when):
    stack, database = own_database
    a = PaleMoon(stack).create_account()
    a.records["bookmarks"].put("kept", title="x")
    if when == "later":
        a.sync()
        before = a.stream("storage/bookmarks?full=1")
        a.records["bookmarks"].put("later", title="y")
    database.kill()
    with pytest.raises(SyncFailed):
        a.sync()
    assert a.weather.retry_after_s > 0 and not any(r.startswith("DELETE") for r in a.requests)
    database.start()
    wait_until(lambda: stack.heddle.get("/__heartbeat__").status == 200, "the store again")
    a.sync()
    got = {w["id"]: w for w in a.stream("storage/bookmarks?full=1")}
    assert set(got) == ({"kept", "later"} if when == "later" else {"kept"})
    if when == "later":
        assert got["kept"] == before[0]


@pytest.mark.one_engine("mysql+redis")
@pytest.mark.parametrize("fault", ["killed", "paused"])
def test_a_cache_that_is_away_changes_no_answer(own_stack, fault):
    stack = own_stack(own_redis=True)
    user = stack.user11()
    written = user.save("meta", "global", "x")
    stack.redis.kill() if fault == "killed" else stack.redis.pause()
    assert user.info() == {"meta": written} and user.item("meta", "global")["payload"] == "x"
    later = user.save("tabs", "a", "x")
    assert user.again().info() == {"meta": written, "tabs": later} and user.ids("tabs", f"newer={written}") == ["a"]


def test_unknown_users_and_other_nodes_are_401_and_never_404(stack, user11):
    """Section 8: after a 404 of info/collections a client neither syncs nor asks for its node again."""
    stranger = Storage11(stack.heddle, "nobodyknowsme", "password 123")
    for method, target, body, headers in requests_of_each_kind():
        stranger.storage(method, target, body, headers=headers, expect=401, code=0)
    stranger.get("/storage/meta/global", authorization=user11.authorization(), expect=401, code=0)


def test_a_restart_and_a_crash_lose_nothing(own_stack):
    stack = own_stack()
    user = stack.user11()
    stamps = {f"c{i}": user.save(f"c{i}", "a", "x" * i) for i in range(5)}
    stack.heddle.restart()
    assert user.info() == stamps
    stamps["tabs"] = user.save("tabs", "a", "x")
    stack.heddle.kill()
    stack.heddle.start()
    assert user.info() == stamps and user.item("c4", "a")["payload"] == "xxxx" and user.ids("tabs") == ["a"]
    assert user.save("c0", "a", "x") > max(stamps.values())


def test_acknowledged_writes_survive_a_crash_among_many(own_stack):
    stack = own_stack()
    users = [stack.user11() for _ in range(8)]
    done = {}

    def write(user):
        for i in range(1000):
            done[user.name] = (i, user.save("xx", "a", f"{i}"))
            if i == 20 and user is users[0]:
                stack.heddle.kill()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(_quietly(write), users))
    stack.heddle.start()
    for user in users:
        if user.name in done:
            i, stamp = done[user.name]
            got = user.item("xx", "a")
            assert got["modified"] >= stamp and int(got["payload"]) in (i, i + 1), got
            assert user.info() == {"xx": got["modified"]}


def _quietly(write):
    """What a client sees of a crash is any error of its connection."""
    import http.client

    def run(user):
        try:
            write(user)
        except (OSError, http.client.HTTPException):
            pass
    return run
