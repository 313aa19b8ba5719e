"""heddle-node, the storage node of a cluster: alone, as several processes on one database, and how it is started, reloaded and refused.
There is no directory here; the tests make the tokens."""
import http.client
import re
import socket
import threading
import time

import pytest

from lib import hawk
from lib.device import Account15
from lib.firefox15 import ENGINES, Desktop
from lib.heddle import SECRET, Heddle, build_folder, fresh_uid
from lib.operator_calls import operate
from lib.ops import internal_get, log_objects, metrics, run
from lib.processes import wait_until
from lib.storage11 import Storage11
from lib.storage15 import records
from lib.wire import Connection

SHARED = ("tokens.secrets", "tokens.derived", "store.", "cache.")  # what all processes of a node have in common


class Node(Heddle):
    name = "heddle-node"

    def __init__(self, folder, settings):
        super().__init__(folder, {"data.dir": None, **settings})
        (self.folder / "data").mkdir()  # of its internal socket

    def argv(self):
        return [str(build_folder() / "heddle-node"), "--config", str(self.ini)]

    def ready(self):
        """Of this process: others may answer on the same port."""
        return any(line["pid"] == self.pid for line in log_objects(self, "started"))


class MadeHere(Desktop):
    """A Desktop whose tokens come from no token server."""

    def fetch_token(self):
        stack, uid = self.account.stack, self.account.uid
        id, key = stack.mint(uid)
        self.credentials = {"id": id, "key": key, "uid": uid, "duration": 3600, "api_endpoint": f"{stack.url}/1.5/{uid}"}
        self.credentials_until = stack.heddle.now() + 2880
        if self.endpoint is None:
            self.endpoint, self._path = self.credentials["api_endpoint"], f"/1.5/{uid}"
            self._connection = Connection("127.0.0.1", stack.heddle.port)


@pytest.fixture
def node(worker, own_stack):
    """node(settings) -> Stack of a heddle-node; node(beside=stack) -> of another process of the same node, on the same port."""
    def make(settings=None, beside=None, start=True):
        stack = own_stack(start=False)
        shared = (beside or stack).heddle.settings
        values = {n: v for n, v in shared.items() if n.startswith(SHARED)}
        if beside:
            values |= {"public.reuse_port": "yes"}
        elif not stack.on_mysql:
            values["store.path"] = str(stack.heddle.folder / "store")
        stack.heddle = Node(stack.heddle.folder / "node", values | (settings or {}))
        if beside:
            stack.heddle.port, stack.database = beside.heddle.port, beside.database
        worker.processes.append(stack.heddle)
        if start:
            stack.heddle.start()
        return stack

    return make


# ---- alone ----

def test_devices_with_tokens_of_the_directory_sync(node):
    stack = node()
    account = Account15(stack)
    account.uid = fresh_uid()
    a, b = MadeHere(account, "a"), MadeHere(account, "b")
    for name in ENGINES:
        for i in range(30):
            a.records[name].put(title=f"{name} {i}")
    a.sync()
    b.sync()
    assert {n: r.items for n, r in a.records.items()} == {n: r.items for n, r in b.records.items()}
    gone = next(iter(b.records["bookmarks"].items))
    b.records["bookmarks"].remove(gone)
    b.sync()
    stack.heddle.restart()
    a.sync()
    assert gone not in a.records["bookmarks"].items and len(a.records["bookmarks"].items) == 29
    opened = log_objects(stack.heddle, "node open")[-1]
    assert (opened["directory"], opened["store"]) == ("no", "mysql" if stack.on_mysql else "sqlite")


def test_a_masters_token_is_no_token_and_the_derived_one_is(node):
    stack = node({"tokens.derived": "yes", "node.url": "https://node7.example.net"})
    own = hawk.node_secret(SECRET, "https://node7.example.net")
    stack.user(secret=own, node="https://node7.example.net").save("bookmarks", "a", "x")
    stack.user(secret=SECRET, node="https://node7.example.net").get("/info/collections", expect=401)
    stack.user(secret=own).get("/info/collections", expect=401)
    stack.user(secret=hawk.node_secret(SECRET, "https://node8.example.net"), node="https://node8.example.net").get(
        "/info/collections", expect=401)


def test_without_a_directory_1_1_is_unavailable_and_says_so(node):
    stack = node()
    old = Storage11(stack.heddle, "somebody", "a password")
    for path in ("info/collections", "info/quota", "storage/bookmarks", "storage/bookmarks/a"):
        old.request("GET", f"/1.1/somebody/{path}", expect=503)
    old.request("PUT", "/1.1/somebody/storage/bookmarks/a", '{"payload": "x"}', expect=503)
    for path in ("/user/1.0/somebody/node/weave", "/1.0/sync/1.5"):  # those are the directory's
        assert stack.heddle.get(path).status == 404
    stack.user().save("bookmarks", "a", "x")


def test_the_first_page_and_health_are_served_and_metrics_only_inside(node):
    stack = node()
    r = stack.heddle.get("/")
    assert r.status == 200 and r.type == "text/plain" and "Sync" in r.text
    assert stack.heddle.get("/__heartbeat__").json()["database"] == "Ok"
    assert stack.heddle.get("/metrics").status == 404
    inside = internal_get(stack.heddle, "/__heartbeat__")
    assert inside.status == 200 and inside.json()["database"] == "Ok"
    stack.user().save("bookmarks", "a", "x")
    assert served(stack.heddle) >= 1
    assert internal_get(stack.heddle, "/1.5/1/info/collections").status == 404


@pytest.mark.one_engine("sqlite+memory")
def test_without_an_internal_listener_it_serves_all_the_same(node):
    stack = node({"internal.listen": None})
    stack.user().save("bookmarks", "a", "x")
    assert not (stack.heddle.folder / "data" / "internal.sock").exists()


@pytest.mark.one_engine("sqlite+memory")
def test_sighup_changes_what_may_change_and_a_wrong_value_changes_nothing(node):
    stack = node()
    user = stack.user()
    user.save("bookmarks", "a", "x")

    def status():
        return user.get("/info/collections", expect=None).status

    stack.heddle.reload(node__state="down", tokens__grace="5m")
    wait_until(lambda: status() == 503, "the node is down")
    assert {line["key"] for line in log_objects(stack.heddle) if "only read at the start" in line["event"]} == {"tokens.grace"}
    stack.heddle.reload(node__state="sideways")
    told = wait_until(lambda: log_objects(stack.heddle, "reload refused, the old settings stay"), "the reload is refused")
    assert "node.state" in told[0]["why"] and status() == 503
    stack.heddle.reload(node__state="backoff:77")
    wait_until(lambda: status() == 200, "the node is back")
    assert 77 <= int(user.get("/info/collections").header("X-Weave-Backoff")) <= 82  # spread, so that not all come back at once
    assert user.item("bookmarks", "a")["payload"] == "x"


@pytest.mark.one_engine("sqlite+memory")
def test_a_log_file_that_cannot_be_opened_anew_goes_on_as_it_is(node, tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    stack = node({"log.file": str(folder / "node.log")}, start=False)
    stack.heddle.log = folder / "node.log"
    stack.heddle.start()
    stack.heddle.log = (folder.rename(tmp_path / "moved")) / "node.log"
    stack.heddle.reload()
    told = wait_until(lambda: log_objects(stack.heddle, "log file not opened anew"), "the log says so")
    assert "No such file" in told[0]["why"]
    assert stack.heddle.get("/nowhere").status == 404
    wait_until(lambda: '"status":404' in stack.heddle.log_text(), "the request is in the old file")


# ---- several processes of one node ----

def served(heddle):
    """Storage requests that this process answered well."""
    return sum(v for n, v in metrics(heddle).items() if n.startswith("heddle_requests_total") and "/1.5/" in n and 'status="2xx"' in n)


def pair(node):
    first = node({"public.reuse_port": "yes"})
    return first, node(beside=first)


@pytest.mark.one_engine("mysql+redis")
def test_two_processes_on_one_port_answer_the_same(node):
    first, second = pair(node)
    writer, reader = first.user(), None
    reader = first.again(writer)
    for i in range(60):
        written = writer.save("bookmarks", f"b{i % 7}", f"payload {i}")
        assert reader.info()["bookmarks"] == written
        assert reader.item("bookmarks", f"b{i % 7}")["payload"] == f"payload {i}"
        for client in (writer, reader):
            client.close()  # the next request comes to either of them
    batch = writer.upload("history", records(50), "batch=true", expect=202)["batch"]
    for i in range(4):
        writer.close()
        writer.upload("history", records(50, prefix=f"c{i}"), f"batch={batch}", expect=202)
    writer.close()
    writer.upload("history", [], f"batch={batch}&commit=true")
    assert len(reader.ids("history")) == 250
    writer.delete("/storage/bookmarks")
    for _ in range(20):
        reader.close()
        assert set(reader.info()) == {"history"}
    assert min(served(first.heddle), served(second.heddle)) >= 20


DAWDLED_S = 0.9  # a process that stops gives a second to who has dialled and says nothing; we are slower where our machine stands still


class Load(threading.Thread):
    """One user who writes and reads all the time, on a new connection after every few requests. A request whose connection breaks in a
    way that is expected is sent again; any other answer than the right one ends it."""

    def __init__(self, user, broken):
        super().__init__(daemon=True)
        self.user, self.broken, self.ending = user, broken, threading.Event()
        self.done, self.breaks, self.error = 0, 0, None

    def again_if_broken(self, request, *args):
        while True:
            try:
                return request(*args)
            except (ConnectionError, http.client.HTTPException) as e:
                if isinstance(e, ConnectionRefusedError):
                    raise  # there is always one who listens
                if self.user.connection.sending_s > DAWDLED_S:
                    continue
                if not self.broken:
                    raise
                self.breaks += 1

    def run(self):
        try:
            while not self.ending.is_set():
                id, payload = f"i{self.done % 5}", f"payload {self.done}"
                written = self.again_if_broken(self.user.save, "bookmarks", id, payload)
                item = self.again_if_broken(self.user.item, "bookmarks", id)
                assert item["payload"] == payload and item["modified"] == written
                self.done += 1
                if self.done % 3 == 0:
                    self.user.close()
        except BaseException as e:
            self.error = e


@pytest.mark.one_engine("mysql+redis")
@pytest.mark.parametrize("end", ["stop", "kill"])
def test_processes_restart_one_by_one_under_load_and_no_request_fails(node, end):
    """Stopped in order, a process finishes what it has begun and lets in who has dialled: no connection breaks. Of one that is killed,
    clients lose what was under way."""
    both = pair(node)
    loads = [Load(both[0].user(), broken=end == "kill") for _ in range(6)]

    def more(what):
        goals = [load.done + 12 for load in loads]
        wait_until(lambda: any(load.error for load in loads) or all(load.done >= n for load, n in zip(loads, goals)), what, 180)
        errors = [load.error for load in loads if load.error]
        if errors:
            raise errors[0]

    for load in loads:
        load.start()
    try:
        more("requests before")
        for stack in both:
            before = sum(load.breaks for load in loads)
            code = getattr(stack.heddle, end)()
            assert code == (0 if end == "stop" else None)
            more(f"requests while {stack.heddle.folder} is away")
            stack.heddle.start()
            more("requests after")
            wait_until(lambda: served(stack.heddle) > 0, "the new one gets its share")
            assert sum(load.breaks for load in loads) - before <= 2 * len(loads), "only connections that were open break"
    finally:
        for load in loads:
            load.ending.set()
        for load in loads:
            load.join(300)
    assert [load.error for load in loads] == [None] * len(loads)
    for load in loads:
        last = load.done - 1
        assert both[1].again(load.user).item("bookmarks", f"i{last % 5}")["payload"] == f"payload {last}"


@pytest.mark.one_engine("mysql+redis")
def test_no_connection_is_reset_while_one_process_of_two_stops(node):
    """Whoever dials meets somebody: one request on each connection, as fast as it goes, while a process stops and starts."""
    both = pair(node)
    done, errors, ending = [0] * 8, [], threading.Event()

    def dial(n):
        try:
            while not ending.is_set():
                began, asked, answer = time.monotonic(), None, b""
                try:
                    with socket.create_connection(("127.0.0.1", both[0].heddle.port), timeout=120) as s:
                        s.sendall(b"GET /__lbheartbeat__ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                        asked = time.monotonic()
                        answer = b"".join(iter(lambda: s.recv(65536), b""))
                except ConnectionError as e:
                    answer = repr(e).encode()
                if (asked or time.monotonic()) - began > DAWDLED_S:
                    continue
                assert answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 503")), answer
                done[n] += 1
        except BaseException as e:
            errors.append(e)

    threads = [threading.Thread(target=dial, args=(n,)) for n in range(len(done))]
    for t in threads:
        t.start()
    try:
        for stack in both * 2:
            goal = sum(done) + 200
            wait_until(lambda: errors or sum(done) >= goal, "connections", 180)
            assert stack.heddle.stop() == 0
            stack.heddle.start()
    finally:
        ending.set()
        for t in threads:
            t.join(300)
    assert not errors, errors


@pytest.mark.one_engine("mysql+redis")
def test_what_the_operator_sets_at_one_process_holds_for_all(node):
    first, second = pair(node)
    for stack in (first, second):
        stack.heddle.restart(internal__keys="admin admin " + "k" * 32)
    user = first.user()

    def answers():
        """Of both, as connections come to either of them."""
        out = set()
        for _ in range(12):
            user.close()
            out.add(user.get("/info/collections", expect=None).status)
        return out

    def put(body):
        operate(first.heddle, "k" * 32, "PUT", "maintenance", body)

    put({"on": True, "text": "Back at six.", "retry_after": 60})
    wait_until(lambda: answers() == {503}, "all refuse")
    told = user.get("/info/collections", expect=503)
    assert told.header("X-Weave-Alert") == "Back at six." and 60 <= int(told.header("Retry-After")) <= 65
    put({"on": False})
    wait_until(lambda: answers() == {200}, "all serve")


@pytest.mark.parametrize("driver", ["memory", "none", "auto"])
def test_a_second_process_with_a_cache_that_the_first_does_not_see_is_refused(node, driver):
    """And the other way round: what is in memory would be old as soon as the other one writes."""
    first = node({"cache.driver": "memory", "public.reuse_port": "yes", "cache.redis_socket": None})
    user = first.user()
    user.save("bookmarks", "a", "x")
    second = node({"cache.driver": driver, "cache.redis_socket": None}, beside=first, start=False)
    with pytest.raises(RuntimeError, match="another process .*has this store open: .*cache.driver = redis"):
        second.heddle.start()
    assert second.heddle.child.returncode == 1
    user.save("bookmarks", "b", "x")
    first.heddle.stop()
    second.heddle.start()
    assert sorted(second.again(user).ids("bookmarks")) == ["a", "b"]


@pytest.mark.one_engine("mysql+redis")
def test_a_cache_in_memory_is_refused_beside_one_with_redis(node):
    first = node({"public.reuse_port": "yes"})
    second = node({"cache.driver": "memory"}, beside=first, start=False)
    with pytest.raises(RuntimeError, match="another process .*has this store open"):
        second.heddle.start()
    first.user().save("bookmarks", "a", "x")


@pytest.mark.one_engine("mysql+redis")
def test_a_port_is_shared_only_by_those_who_all_say_so(node):
    first = node()
    second = node(beside=first, start=False)
    with pytest.raises(RuntimeError, match=f"127.0.0.1:{first.heddle.port}.*in use"):
        second.heddle.start()
    assert first.heddle.get("/__heartbeat__").status == 200


# ---- settings ----

GOOD = ["public.listen=127.0.0.1:0", "public.url=http://127.0.0.1:8000"]


def start(*settings, options=()):
    """heddle-node with these settings over good ones, which it should end with."""
    good = GOOD if any(s.startswith("tokens.secrets") for s in settings) else [*GOOD, f"tokens.secrets={SECRET}"]
    return run(*(word for s in (*good, *settings) for word in ("--set", s)), *options, program="heddle-node")


def test_a_check_of_good_settings_touches_nothing(tmp_path):
    code, out, err = start(f"store.path={tmp_path / 'store'}", options=["--check-config"])
    assert (code, out, err) == (0, "heddle-node: the configuration is good\n", "") and not (tmp_path / "store").exists()


@pytest.mark.parametrize("setting, told", [
    ("tokens.secrets=", "tokens.secrets"), ("tokens.secrets=short", "tokens.secrets: "),
    ("tokens.secrets=an odd number of characters", "tokens.secrets: "), ("tokens.secrets=@/nonexistent", "/nonexistent"),
    ("node.state=sleepy", 'node.state is "sleepy"'), ("node.url=node7", "node7"), ("node.aliases=old", "old"),
    ("public.url=ftp://x", 'public.url is "ftp://x"'), ("public.url=http://h:0", "public.url"), ("cache.driver=paper", "cache.driver"),
    ("cache.scope=" + 300 * "s", "cache.scope"), ("limits.max_total_records=1", "max_total_records"),
    ("node.stat=down", "node.state"), ("purge.every=-1", "purge.every"), ("log.level=loud", "log.level"), ("log.format=xml", "log.format"),
    ("registration.mode=open", "registration.mode")])
@pytest.mark.parametrize("options", [["--check-config"], []], ids=["check", "start"])
def test_a_wrong_setting_ends_with_status_2_and_one_sentence(tmp_path, setting, told, options):
    code, out, err = start(f"store.path={tmp_path / 'store'}", setting, options=options)
    assert code == 2 and out == "" and told in err and err.startswith("heddle-node: ") and err.count("\n") == 1, err
    assert not (tmp_path / "store").exists()


def test_a_log_file_that_cannot_be_opened_ends_with_status_2(tmp_path):
    code, _, err = start(f"store.path={tmp_path / 'store'}", "log.file=/nonexistent/log")
    assert code == 2 and 'log.file: cannot open "/nonexistent/log"' in err and not (tmp_path / "store").exists()


def test_all_addresses_need_a_url_that_clients_use(tmp_path):
    for listen in ("0.0.0.0:8000", "[::]:8000"):
        code, _, err = start("public.url=", f"public.listen={listen}", options=["--check-config"])
        assert code == 2 and "set public.url" in err, err
    assert start("public.url=", "public.listen=127.0.0.1:8000", options=["--check-config"])[0] == 0


def test_a_command_line_that_makes_no_sense_ends_with_status_2():
    for words in (["now"], ["--bogus"], ["--set"], ["--set", "x"], ["--config"], ["--config", "/nonexistent.ini"]):
        code, out, err = run(*words, program="heddle-node")
        assert code == 2 and out == "" and err.startswith("heddle-node: ") and err.count("\n") == 1, (words, err)


@pytest.mark.parametrize("setting, told", [
    ("store.path=/dev/null/store", "/dev/null/store"), ("store.driver=paper", "store.driver"),
    ("public.listen=nonsense", "nonsense"), ("public.listen=192.0.2.1:1", "192.0.2.1:1"), ("public.trusted_proxies=x/y", "x/y"),
    ("public.tls_cert=/nonexistent", "tls_key"), ("internal.listen=/nonexistent/sock", "/nonexistent/sock"),
    ("internal.listen=127.0.0.1", "127.0.0.1")])
def test_a_world_that_does_not_fit_ends_with_status_1_or_2_and_tells_why(tmp_path, setting, told):
    """On the terminal as well when the log goes to a file."""
    code, _, err = start(f"store.path={tmp_path / 'store'}", setting)
    assert code in (1, 2) and told in err, err
    again, _, err = start(f"store.path={tmp_path / 'store'}", f"log.file={tmp_path / 'log'}", "log.format=json", setting)
    assert again == code and told in err and err.count("\n") == 1, err
    if code == 1:
        assert re.search(r'"event":"could not start".*', (tmp_path / "log").read_text())


@pytest.mark.one_engine("mysql+redis")
def test_a_database_that_is_not_there_is_told_and_nothing_listens(node):
    stack = node({"store.socket": "/nonexistent.sock"}, start=False)
    with pytest.raises(RuntimeError, match="/nonexistent.sock"):
        stack.heddle.start()
    assert stack.heddle.child.returncode == 1 and not (stack.heddle.folder / "data" / "internal.sock").exists()
