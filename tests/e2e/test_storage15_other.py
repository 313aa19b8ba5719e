"""Storage API 1.5: guards, quota, operations, faults (edge cases 111 to 123)."""
import json
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import pytest

from lib.processes import wait_until
from lib.storage15 import records

ZERO_IV = json.dumps({"IV": "AAAAAAAAAAAAAAAAAAAAAA==", "ciphertext": "x", "hmac": "y"})


@pytest.mark.parametrize("payload", [ZERO_IV, ZERO_IV.replace(" ", ""), ZERO_IV.replace('": "', '":   \n "')])
@pytest.mark.parametrize("id", ["keys", "blerg"])
def test_111_a_zero_iv_is_refused_in_crypto_alone(user, id, payload):
    user.put(f"/storage/crypto/{id}", {"payload": payload}, expect=400, code=8)
    user.post("/storage/crypto", [{"id": "fine", "payload": "x"}, {"id": id, "payload": payload}], expect=400, code=8)
    assert user.info() == {}
    user.save("xxx", id, payload)
    user.save_all("xxx", [{"id": "b", "payload": payload}])
    user.save("crypto", id, payload.replace("AAAA", "AAAB", 1))


def test_112_quota_remaining_and_over_quota(own_stack):
    stack = own_stack({"limits.quota_bytes": 700, "limits.quota_enforced": "yes"})
    user = stack.user()
    r = user.put("/storage/xx/a", {"payload": "x" * 500})
    assert float(r.header("X-Weave-Quota-Remaining")) == 0.2
    assert [float(n) for n in user.info("quota")] == [500 / 1024, 700 / 1024]
    assert user.limits()["max_quota_limit"] == 700
    r = user.post("/storage/xx", [{"id": "b", "payload": "x" * 100}])
    assert float(r.header("X-Weave-Quota-Remaining")) == round((700 - 600) / 1024, 2)
    stack.heddle.restart(limits__quota_bytes=10)
    user.put("/storage/xx/a", {"payload": "x" * 500}, expect=403, code=14)
    user.post("/storage/xx", [{"id": "c", "payload": "x" * 500}], expect=403, code=14)
    assert sorted(user.ids("xx")) == ["a", "b"]
    user.delete("/storage/xx/a")  # deleting is never refused


def test_112_no_quota_header_without_quota_or_with_much_left(own_stack, user):
    assert user.put("/storage/xx/a", {"payload": "x"}).header("X-Weave-Quota-Remaining") is None
    rich = own_stack({"limits.quota_bytes": 5 * 1024 * 1024, "limits.quota_enforced": "yes"}).user()
    assert rich.put("/storage/xx/a", {"payload": "x"}).header("X-Weave-Quota-Remaining") is None
    assert "max_quota_limit" not in user.limits()


def test_113_the_first_write_that_would_overshoot_is_refused(own_stack):
    user = own_stack({"limits.quota_bytes": 700, "limits.quota_enforced": "yes"}).user()
    user.put("/storage/xx/a", {"payload": "x" * 700}, expect=403, code=14)
    assert user.info() == {} and float(user.info("quota")[0]) == 0
    user.put("/storage/xx/a", {"payload": "x" * 699})
    user.put("/storage/xx/b", {"payload": "x"}, expect=403, code=14)


def test_113_a_quota_that_is_only_tracked_refuses_nothing(own_stack):
    user = own_stack({"limits.quota_bytes": 700, "limits.quota_enforced": "no"}).user()
    user.put("/storage/xx/a", {"payload": "x" * 1000})
    assert [float(n) for n in user.info("quota")] == [1000 / 1024, 700 / 1024]


@pytest.mark.parametrize("target", ["/nonexistent", "/info", "/info/nonexistent", "/storage/xx/a/b", "/storagex", "/storage/",
                                    "/storage/xx/", "/", "/info/quota/", "/storage/xx/a/"])
def test_114_unknown_urls_are_404_with_json(user, target):
    r = user.get(target, expect=404, code=0)
    assert r.type == "application/json"


@pytest.fixture
def cors(own_stack):
    return own_stack({"cors.enabled": "yes"}).user()


def test_115_cors_preflight(cors):
    for path in (cors.base + "/info/collections", cors.base + "/storage/xx/a"):
        r = cors.connection.request("OPTIONS", path, {
            "Origin": "http://localhost", "Access-Control-Request-Method": "PUT",
            "Access-Control-Request-Headers": "authorization,content-type,x-if-unmodified-since"})
        assert r.status in (200, 204), repr(r)
        assert r.header("Access-Control-Allow-Origin") == "http://localhost"
        assert int(r.header("Access-Control-Max-Age")) > 0
        allowed = {m.strip() for m in r.header("Access-Control-Allow-Methods").split(",")}
        assert {"DELETE", "GET", "POST", "PUT"} <= allowed
        headers = r.header("Access-Control-Allow-Headers").lower()
        assert all(h in headers for h in ("authorization", "content-type", "x-if-unmodified-since"))


def test_115_cors_on_real_requests_of_any_origin(cors):
    for origin in ("http://localhost", "https://example.com:8443", "moz-extension://x"):
        assert cors.get("/info/collections", headers={"Origin": origin}).header("Access-Control-Allow-Origin") == origin
        r = cors.get("/info/collections", headers={"Origin": origin}, authorization="", expect=401)
        assert r.header("Access-Control-Allow-Origin") == origin


@pytest.mark.parametrize("method, target", [
    ("PATCH", "/storage/xx/a"), ("PATCH", "/storage/xx"), ("PUT", "/storage/xx"), ("POST", "/storage/xx/a"), ("GET", "/storage"),
    ("PUT", "/storage"), ("POST", ""), ("GET", ""), ("DELETE", "/info/collections"), ("POST", "/info/quota"),
    ("PUT", "/info/configuration"), ("BREW", "/storage/xx")])
def test_116_other_methods_are_405(user, method, target):
    user.save("xx", "a", "x")
    r = user.request(method, target, b"{}" if method in ("PATCH", "PUT", "POST") else None, expect=405, code=0)
    assert r.header("Allow")
    assert user.item("xx", "a")["payload"] == "x"


def test_117_refused_clients(own_stack):
    user = own_stack({"clients.refused": ["Firefox-iOS-Sync/1.", "Firefox-iOS-Sync/18."]}).user()
    old = {"User-Agent": "Firefox-iOS-Sync/18.0b1 (iPhone; iPhone OS 13.2.2) (Fennec (synctesting))"}
    user.get("/info/collections", headers=old, expect=503, code=0)
    user.get("/info/collections", headers=old, authorization="", expect=503, code=0)
    user.put("/storage/xx/a", {}, headers=old, expect=503, code=0)
    for agent in ("Firefox-iOS-Sync/20.0b1 (iPhone; iPhone OS 13.2.2) (Fennec (synctesting))", "Firefox-iOS-Sync/dev", "", "x",
                  "Firefox-iOS-Sync/0.0.1b1 (iPhone; iPhone OS 13.2.2) (Fennec (synctesting))",
                  "Mozilla/5.0 (Firefox-iOS-Sync/18.0)"):
        user.get("/info/collections", headers={"User-Agent": agent})
    assert user.info() == {}


def test_117_no_client_is_refused_by_default(user):
    user.get("/info/collections", headers={"User-Agent": "Firefox-iOS-Sync/1.0b1 (iPhone; iPhone OS 13.2.2) (x)"})


@contextmanager
def database_locked(stack, user):
    """Holds the lock that a write of this user needs, from outside of the server, as a busy database would."""
    user.save("lock", "a", "x")
    if stack.on_mysql:
        connection = stack.mariadb.connect(stack.database)
        with connection, connection.cursor() as cursor:
            cursor.execute("SHOW TABLES")
            tables = [row[0] for row in cursor.fetchall()]
            cursor.execute("LOCK TABLES " + ", ".join(f"`{t}` WRITE" for t in tables))
            try:
                yield
            finally:
                cursor.execute("UNLOCK TABLES")
    else:
        files = [f for f in (stack.heddle.folder / "data").rglob("*") if f.is_file() and f.read_bytes()[:6] == b"SQLite"]
        connections = [sqlite3.connect(f, isolation_level=None) for f in files]
        for c in connections:
            c.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            for c in connections:
                c.execute("ROLLBACK")
                c.close()


def test_118_lbheartbeat_tells_a_full_queue(own_stack):
    stack = own_stack({"public.workers": 1, "public.queue": 1, "store.lock_wait": 20, "public.queue_wait": 60})
    user = stack.user()

    def beat():
        return stack.heddle.get("/__lbheartbeat__")

    good = beat()
    assert good.status == 200 and {"active_connections", "idle_connections"} <= set(good.json())
    writers, answers = [stack.again(user) for _ in range(4)], []

    def write(client):  # whoever is refused comes again, so that the queue stays full
        while not answers or answers[-1] != 200:
            status = client.put("/storage/xx/a", {"payload": "x"}, expect=(200, 503)).status
            answers.append(status)
            if status == 200:
                return

    threads = [threading.Thread(target=write, args=(w,)) for w in writers]
    with database_locked(stack, user):
        for t in threads:
            t.start()
        slow = wait_until(lambda: (r := beat()).status == 500 and r.json()["duration_ms"] > 1000 and answers and r,
                          "500 with duration_ms above 1000 while the queue is full, and others are refused")
        assert slow.json()["duration_ms"] < 60000 and set(answers) == {503}
    for t in threads:
        t.join()
    assert 200 in answers
    wait_until(lambda: beat().status == 200, "a heartbeat of 200 when the queue is empty again")


def test_118_operations_need_no_signature_and_have_no_time_header(stack):
    for path, status in (("/__lbheartbeat__", 200), ("/__heartbeat__", 200), ("/__version__", 200), ("/", 200)):
        r = stack.heddle.get(path)
        assert r.status == status and r.header("X-Weave-Timestamp") is None, repr(r)
        assert stack.heddle.get(path, {"Authorization": 'Hawk id="nonsense"'}).status == status
    beat = stack.heddle.get("/__heartbeat__").json()
    assert (beat["status"], beat["database"]) == ("Ok", "Ok") and beat["version"] and "enabled" in beat["quota"]
    assert {"source", "version", "commit"} <= set(stack.heddle.get("/__version__").json())
    assert stack.heddle.get("/__error__").status == 404


@pytest.mark.one_engine("mysql+redis")
def test_118_heartbeat_tells_a_database_that_is_away(worker, own_stack):
    from lib.processes import MariaDB
    database = MariaDB(worker.folder / "my-away", worker.template)
    worker.processes.append(database)
    database.start()
    database.create_database("heddle_away")
    stack = own_stack({"store.socket": str(database.socket), "store.database": "heddle_away"})
    user = stack.user()
    before = user.save("xx", "a", "x")
    database.kill()
    wait_until(lambda: stack.heddle.get("/__heartbeat__").status == 503, "a heartbeat of 503")
    assert stack.heddle.get("/__heartbeat__").json()["status"] == "Err"
    for r in (user.put("/storage/xx/a", {"payload": "y"}, expect=503, code=0),
              user.get("/storage/meta/global", expect=503, code=0), user.get("/storage/crypto/keys", expect=503, code=0),
              user.get("/storage/xx?full=1", expect=503, code=0), user.get("/info/quota", expect=503, code=0)):
        assert int(r.header("Retry-After")) >= 0
    user.get("/info/collections", expect=(200, 503))  # never 404, and never an empty object
    database.start()
    wait_until(lambda: stack.heddle.get("/__heartbeat__").status == 200, "a heartbeat of 200 again")
    wait_until(lambda: user.get("/info/collections", expect=(200, 503)).status == 200, "service again")
    assert user.info() == {"xx": before}
    assert user.save("xx", "a", "z") > before


def test_118_every_error_route_is_off_unless_wanted(own_stack):
    assert own_stack({"debug.error_route": "yes"}).heddle.get("/__error__").status == 500


@pytest.mark.one_engine("mysql+redis")
@pytest.mark.parametrize("fault", ["killed", "paused", "full"])
def test_119_a_cache_that_fails_fails_no_write_of_tabs(own_stack, fault):
    stack = own_stack(own_redis=True)
    user, second = stack.user(), None
    second = stack.again(user)
    user.save("tabs", "a", "before")
    assert second.info()
    {"killed": stack.redis.kill, "paused": stack.redis.pause,
     "full": lambda: stack.redis.client().config_set("maxmemory", "1")}[fault]()
    for i in range(3):
        put = user.save("tabs", "a", f"put {i}")
        assert second.item("tabs", "a") == {"id": "a", "modified": put, "payload": f"put {i}"}
        assert second.info() == {"tabs": put}
        post = user.save_all("tabs", [{"id": "a", "payload": f"post {i}"}])
        assert second.info() == {"tabs": post} == user.info()
        assert second.full("tabs")[0]["payload"] == f"post {i}"


FROZEN, ACTIVE = 2, 1  # enum head_state of node/store/store.h


def put_head_into(stack, uid, state):
    """What the mover does to a user's head, done straight in the database of a server that does not run; so the cache, which only the
    server's own writers keep true, goes too."""
    if stack.redis:
        stack.redis.client().flushall()
    if stack.on_mysql:
        with stack.mariadb.connect(stack.database) as c, c.cursor() as cursor:
            assert cursor.execute("UPDATE heads SET state = %s WHERE uid = %s", (state, uid)) == 1
        return
    changed = 0
    for file in sorted((stack.heddle.folder / "data" / "store").glob("*.sqlite*")):
        if file.name.endswith(("-wal", "-shm")):
            continue
        with closing(sqlite3.connect(file)) as c, c:
            changed += c.execute("UPDATE heads SET state = ? WHERE uid = ?", (state, uid)).rowcount
    assert changed == 1


def test_120_a_user_on_his_way_to_another_node_gets_503(own_stack):
    stack = own_stack(own_redis=True)
    user, other = stack.user(), stack.user()
    written = user.save("xx", "a", "x")
    assert user.info() == {"xx": written}
    stack.heddle.stop()
    put_head_into(stack, user.uid, FROZEN)
    stack.heddle.start()
    for r in (user.get("/info/collections", expect=503, code=0), user.get("/storage/xx/a", expect=503, code=0),
              user.get("/storage/xx", expect=503, code=0), user.put("/storage/xx/a", {"payload": "y"}, expect=503, code=0),
              user.post("/storage/xx", [], expect=503, code=0), user.delete("/storage", expect=503, code=0)):
        assert r.header("Retry-After") == "10"
    other.save("xx", "a", "x")
    stack.heddle.stop()
    put_head_into(stack, user.uid, ACTIVE)
    stack.heddle.start()
    assert user.info() == {"xx": written} and user.item("xx", "a")["payload"] == "x"


@pytest.mark.parametrize("size", [262144, 2621440])
def test_121_a_large_payload_comes_back_unchanged(user, size):
    pattern = "0123456789abcdef äöü \U0001f600 \\\" \n"
    payload = (pattern * (size // len(pattern.encode()) + 1))
    payload = payload.encode()[:size].decode("utf-8", "ignore")
    payload += "." * (size - len(payload.encode()))
    body = json.dumps({"payload": payload}, ensure_ascii=False)
    if len(body.encode()) > user.limits()["max_request_bytes"]:
        payload = "x" * size
        body = json.dumps({"payload": payload})
    user.put("/storage/xx/a", body)
    assert user.item("xx", "a")["payload"] == payload
    assert user.full("xx") == [user.item("xx", "a")]
    r = user.get("/storage/xx?full=1", headers={"Accept": "application/newlines"})
    assert r.lines()[0]["payload"] == payload
    assert float(user.info("quota")[0]) == size / 1024


def test_121_an_answer_of_many_megabytes_is_complete(user):
    for n in range(8):
        user.save_all("xx", records(10, prefix=f"{n}-", payload=f"{n}" * 200_000))
    got = user.full("xx")
    assert len(got) == 80 and all(i["payload"] == i["id"][0] * 200_000 for i in got)
    r = user.get("/storage/xx?full=1&limit=50")
    assert len(r.json()) == 50 and r.header("X-Weave-Next-Offset")


def test_122_a_token_opens_no_other_users_url(stack, user, other):
    other.save("xx", "a", "x")
    wrong = stack.user(user.uid)
    wrong.base = f"/1.5/{other.uid}"
    for method, target in (("GET", "/info/collections"), ("GET", "/storage/xx/a"), ("DELETE", "/storage"), ("PUT", "/storage/xx/a")):
        wrong.request(method, target, {} if method == "PUT" else None, expect=401, code=0)
    assert other.ids("xx") == ["a"]
    # the uid is compared as a number, whatever its zeros
    wrong.base = f"/1.5/0{user.uid}"[:15]
    wrong.get("/info/collections", expect=(200, 401, 404))


def test_123_sizes_are_exact_at_every_moment(user):
    def sizes():
        usage = {k: round(v * 1024) for k, v in ((k, float(v)) for k, v in user.info("collection_usage").items())}
        assert round(float(user.info("quota")[0]) * 1024) == sum(usage.values())
        return usage

    user.save("xx", "a", "x" * 1000)
    assert sizes() == {"xx": 1000}
    user.save("xx", "a", "x" * 10)
    assert sizes() == {"xx": 10}
    user.save_all("xx", records(10, payload="y" * 7))
    user.save("tabs", "t", "z" * 5)
    assert sizes() == {"xx": 80, "tabs": 5}
    user.delete("/storage/xx/a")
    user.delete("/storage/xx?ids=b00,b01,nothing")
    assert sizes() == {"xx": 56, "tabs": 5}
    user.save("xx", "b02", ttl=0)
    user.save("xx", "b03", sortindex=5)
    assert sizes() == {"xx": 49, "tabs": 5}
    batch = user.upload("xx", [{"id": "b04", "payload": "q" * 100}], "batch=true", expect=202)["batch"]
    assert sizes() == {"xx": 49, "tabs": 5}
    user.upload("xx", [], f"batch={batch}&commit=true")
    assert sizes() == {"xx": 142, "tabs": 5}
    user.delete("/storage/tabs")
    assert sizes() == {"xx": 142}
    user.delete("/storage")
    assert sizes() == {}


def test_123_the_quota_sees_what_was_deleted_and_what_ran_out(own_stack):
    stack = own_stack({"limits.quota_bytes": 1000, "limits.quota_enforced": "yes"})
    user = stack.user(expires_in_s=86400)
    user.save("xx", "a", "x" * 900)
    user.put("/storage/xx/b", {"payload": "x" * 200}, expect=403, code=14)
    user.delete("/storage/xx/a")
    user.save("xx", "b", "x" * 900, ttl=100)
    user.put("/storage/xx/c", {"payload": "x" * 200}, expect=403, code=14)
    stack.heddle.advance(200)
    user.save("xx", "c", "x" * 200)


# ---- node-wide settings of section 5 ----

def test_backoff_headers_are_spread_and_come_together(own_stack):
    user = own_stack({"backoff.seconds": 1800, "backoff.percent": 100}).user()
    values = {int(user.get("/info/collections").header("X-Weave-Backoff")) for _ in range(20)}
    assert all(1800 <= v <= 1890 for v in values) and len(values) > 1


def test_refusing_a_part_of_the_requests(own_stack):
    user = own_stack({"backoff.refuse_percent": 100}).user()
    r = user.get("/info/collections", expect=503, code=0)
    assert int(r.header("Retry-After")) > 0


def test_a_node_that_is_drained_says_so(own_stack):
    stack = own_stack()
    user = stack.user()
    written = user.save("xx", "a", "x")
    stack.heddle.restart()
    assert user.info() == {"xx": written} and user.item("xx", "a")["payload"] == "x"
    stack.heddle.kill()
    stack.heddle.start()
    assert user.info() == {"xx": written} and user.item("xx", "a")["payload"] == "x"


def test_parallel_users_do_not_disturb_each_other(stack):
    def live(_):
        u = stack.user()
        times = [u.save("xx", f"i{i}", f"{u.uid}") for i in range(10)]
        assert {i["payload"] for i in u.full("xx")} == {str(u.uid)}
        assert u.info() == {"xx": max(times)}
        u.delete("/storage")
        assert u.info() == {}
        return u.uid

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(live, range(24)))) == 24
