"""The program itself: TLS, listeners, signals, restarts, others on the same data. Its settings: test_program_settings.py."""
import http.client
import os
import re
import signal
import socket
import sqlite3
import ssl
import stat
import threading
from contextlib import ExitStack, closing
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lib import hawk
from lib.ops import internal_get, log_objects, run
from lib.oauth import Issuer, write_jwk_set
from lib.processes import free_port, wait_until
from lib.storage15 import Storage15
from lib.tokenserver import PATH, TokenUser
from lib.wire import Connection, over_socket, raw_exchange

pytestmark = pytest.mark.one_engine("sqlite+memory")
UID = 2_000_000_001


# ---- TLS ----

def certificate(folder, name="localhost"):
    """A self-signed one for localhost and 127.0.0.1: (certificate's path, key's path)."""
    import ipaddress
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names = x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    cert = (x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(datetime(2020, 1, 1))
            .not_valid_after(datetime.now() + timedelta(days=400)).add_extension(names, critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(key, hashes.SHA256()))
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return paths


class Secure(Connection):
    """HTTPS to 127.0.0.1, whatever name is signed; trusts one certificate."""

    def __init__(self, port, trusted, host="127.0.0.1", signed_port=None):
        super().__init__(host, signed_port or port)
        self.context, self.dial = ssl.create_default_context(cafile=trusted), port

    def _exchange(self, method, target, pairs, body, host):
        if self._http is None:
            self._http = http.client.HTTPSConnection("127.0.0.1", self.dial, timeout=self.timeout_s, context=self.context)
        self._send(method, target, pairs, body, host)
        return self._http.getresponse()


@pytest.fixture
def secure(own_stack):
    """public.url with {port} -> (stack, path of its certificate)."""
    def start(url):
        stack = own_stack(start=False)
        cert, key = certificate(stack.heddle.folder)
        stack.heddle.port = free_port()
        stack.heddle.settings |= {"public.url": url.format(port=stack.heddle.port), "public.tls_cert": cert, "public.tls_key": key,
                                  "registration.mode": "open"}

        def ready():
            try:
                return Secure(stack.heddle.port, cert).request("GET", "/__heartbeat__").status == 200
            except OSError:
                return False

        stack.heddle.ready = ready
        stack.heddle.start()
        return stack, cert

    return start


@pytest.mark.parametrize("url, host, port", [("https://127.0.0.1:{port}", "127.0.0.1", None), ("https://localhost", "localhost", 443),
                                             ("https://localhost:443", "localhost", 443), ("https://localhost:8443", "localhost", 8443)])
def test_tls_in_process_and_what_is_signed_over_https(secure, url, host, port):
    """The port of the public URL is signed, 443 where it names none, whatever port we listen at."""
    stack, cert = secure(url)
    port = port or stack.heddle.port
    token = stack.mint(UID, node=stack.heddle.settings["public.url"])
    user = Storage15(stack.heddle, UID, *token, connection=Secure(stack.heddle.port, cert, host, port))
    user.save("bookmarks", "a", "x" * 100_000)
    assert user.item("bookmarks", "a")["payload"] == "x" * 100_000
    for wrong in ((host, 80), (host, stack.heddle.port if port == 443 else 443), ("other.example.net", port)):
        header = hawk.header(*token, "GET", user.base + "/info/collections", *wrong, int(stack.heddle.now()))
        user.get("/info/collections", authorization=header, expect=401)


def test_tls_a_client_that_speaks_plainly_or_gives_up_disturbs_nobody(secure):
    stack, cert = secure("https://127.0.0.1:{port}")
    for noise in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"", b"\x16\x03\x01\xff\xff", os.urandom(300)):
        with socket.create_connection(("127.0.0.1", stack.heddle.port)) as s:
            s.settimeout(120)
            try:
                s.sendall(noise)
                s.shutdown(socket.SHUT_WR)
                assert not s.recv(1000).startswith(b"HTTP")
            except OSError as e:  # closed already, without a word
                assert not isinstance(e, TimeoutError)
    with pytest.raises(ssl.SSLCertVerificationError):
        Secure(stack.heddle.port, None).request("GET", "/__heartbeat__")
    assert Secure(stack.heddle.port, cert).request("GET", "/__heartbeat__").status == 200


@pytest.mark.parametrize("settings, told", [
    ({"public.tls_cert": "{cert}"}, "tls_cert and tls_key need each other"), ({"public.tls_key": "{key}"}, "need each other"),
    ({"public.tls_cert": "/nonexistent", "public.tls_key": "{key}"}, "/nonexistent"),
    ({"public.tls_cert": "{key}", "public.tls_key": "{cert}"}, "(?i)key|certificate|tls")])
def test_tls_settings_that_cannot_work_are_refused_at_the_start(own_stack, settings, told):
    stack = own_stack(start=False)
    cert, key = certificate(stack.heddle.folder)
    stack.heddle.settings |= {n: v.format(cert=cert, key=key) for n, v in settings.items()}
    with pytest.raises(RuntimeError, match=told):
        stack.heddle.start()


# ---- listeners ----

def test_metrics_are_on_the_internal_listener_alone(stack):
    assert stack.heddle.get("/metrics").status == 404
    r = internal_get(stack.heddle, "/metrics")
    assert r.status == 200 and r.type == "text/plain"
    assert re.search(r"^# TYPE heddle_requests?_", r.text, re.M), r.text[:2000]
    assert internal_get(stack.heddle, "/__heartbeat__").status == 200


def test_the_public_side_may_be_a_socket_too(own_stack):
    stack = own_stack(start=False)
    path = stack.heddle.folder / "public.sock"
    stack.heddle.settings |= {"public.listen": str(path), "public.url": "https://sync.example.net"}

    def get(target, headers=()):
        return over_socket(path, target, headers=headers).status

    def ready():
        try:
            return get("/__heartbeat__") == 200
        except OSError:
            return False

    stack.heddle.ready = ready
    stack.heddle.start()
    target = f"/1.5/{UID}/info/collections"
    token = stack.mint(UID, node="https://sync.example.net")
    assert get(target, {"Authorization": hawk.header(*token, "GET", target, "sync.example.net", 443, int(stack.heddle.now()))}) == 200
    assert get("/metrics") == 404
    assert stat.S_ISSOCK(path.stat().st_mode)
    stack.heddle.kill()  # leaves the files of its sockets behind
    stack.heddle.start()
    assert stack.heddle.stop() == 0 and not path.exists()


def test_a_port_that_is_taken_is_told(stack, tmp_path):
    code, _, err = run("--set", f"public.listen=127.0.0.1:{stack.heddle.port}", "--set", f"data.dir={tmp_path / 'd'}")
    assert code == 1 and f"127.0.0.1:{stack.heddle.port}" in err and "in use" in err
    assert stack.heddle.get("/__heartbeat__").status == 200


def test_requests_of_another_protocol_are_answered_or_closed(stack):
    for request in (b"\x00" * 100, b"GET / HTTP/9.9\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET\r\n\r\n", b"\r\n\r\n",
                    b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", f"GET {PATH} HTTP/1.0\r\n\r\n".encode()):
        r = raw_exchange("127.0.0.1", stack.heddle.port, request, 5)
        assert r is None or 400 <= r.status < 600 and r.status != 500, repr(r)
    assert stack.heddle.get("/__heartbeat__").status == 200


# ---- signals ----

def test_sighup_reads_the_key_file_and_the_keys_that_may_change(own_stack):
    stack = own_stack()
    user, fresh = TokenUser(stack), Issuer("fresh")
    write_jwk_set(stack.heddle.folder / "jwks.json", stack.issuer, fresh)
    stack.heddle.reload(registration__mode="closed", node__state="down", public__workers=7, tokens__life="5m")
    wait_until(lambda: log_objects(stack.heddle, "configuration reloaded"), "all is read again")
    stack.user().get("/info/collections", expect=503)
    user.refused("new-users-disabled", access=fresh.access_token(user.sub))
    fixed = {line["key"] for line in log_objects(stack.heddle) if "only read at the start" in line["event"]}
    assert fixed == {"public.workers", "tokens.life"}
    stack.heddle.reload(registration__mode="open", node__state="normal")
    wait_until(lambda: len(log_objects(stack.heddle, "configuration reloaded")) == 2, "all is read again")
    stack.user().get("/info/collections")
    assert user.token()["duration"] == 3600


@pytest.mark.parametrize("change", [{"node__stat": "down"}, {"node__state": "sleepy"}, {"backoff__percent": "101"},
                                    {"registration__mode": "maybe"}])
def test_sighup_with_settings_that_are_wrong_changes_nothing(own_stack, change):
    stack = own_stack({"registration.mode": "closed"})
    stack.heddle.reload(**change)
    wait_until(lambda: re.search("not reloaded, the old one stays|reload refused, the old settings stay", stack.heddle.log_text()),
               "the reload is refused")
    stack.user().save("bookmarks", "a", "x")
    TokenUser(stack).refused("new-users-disabled")


def test_sighup_opens_the_log_file_anew(own_stack):
    stack = own_stack(start=False)
    path = stack.heddle.folder / "own.log"
    stack.heddle.settings["log.file"] = str(path)
    stack.heddle.start()
    moved = path.with_suffix(".1")
    path.rename(moved)
    stack.heddle.reload()
    wait_until(path.exists, "a new log file")
    stack.heddle.get("/nowhere")
    wait_until(lambda: '"status":404' in path.read_text(), "the request is in the new file")
    assert '"event":"started"' in moved.read_text() and path.stat().st_mode & 0o007 == 0


def locked_store(stack):
    """Holds the write lock of every store file: writes wait."""
    held = ExitStack()
    for file in store_files(stack):
        held.enter_context(closing(sqlite3.connect(file, isolation_level=None))).execute("BEGIN IMMEDIATE")
    return held


def store_files(stack):
    return sorted((stack.heddle.folder / "data" / "store").glob("*.sqlite"))


def test_sigterm_finishes_a_request_that_is_under_way(own_stack):
    stack = own_stack({"public.drain": 600})
    user, answers = stack.user(), []
    user.save("bookmarks", "a", "x")
    with locked_store(stack):
        put = threading.Thread(target=lambda: answers.append(user.put("/storage/bookmarks/b", {"payload": "y"}, expect=None).status))
        put.start()
        wait_until(lambda: stack.heddle.get("/__lbheartbeat__").json()["active_connections"] >= 2, "the write is under way")
        stack.heddle.child.send_signal(signal.SIGTERM)
        wait_until(lambda: '"event":"stopping"' in stack.heddle.log_text(), "it stops")
        wait_until(lambda: refuses(stack.heddle.port), "nobody new is let in")
        assert stack.heddle.running and not answers
    put.join(300)
    assert answers == [200]
    assert stack.heddle.child.wait(300) == 0
    stack.heddle.start()
    assert sorted(stack.again(user).ids("bookmarks")) == ["a", "b"]


def refuses(port):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except (ConnectionRefusedError, ConnectionResetError):  # reset: it came just as the listener closed
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_that_end_it_end_it_well_and_idle_connections_do_not_hold_it(own_stack, number):
    stack = own_stack({"public.drain": 600})
    user = stack.user()
    user.save("bookmarks", "a", "x")  # its connection stays open
    with socket.create_connection(("127.0.0.1", stack.heddle.port)) as half:
        half.sendall(b"GET /__heartbeat__ HTTP/1.1\r\n")
        stack.heddle.child.send_signal(number)
        assert stack.heddle.child.wait(300) == 0
    assert '"event":"stopped"' in stack.heddle.log_text()
    assert not (stack.heddle.folder / "data" / "internal.sock").exists()


# ---- restarts, and others on the same data ----

@pytest.mark.one_engine("sqlite+memory", "mysql+redis")
@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_restart_leaves_everything_as_it_was(own_stack, end):
    stack = own_stack()
    fxa, old = TokenUser(stack), stack.user11()
    out = fxa.token()
    new = Storage15(stack.heddle, out["uid"], out["id"], out["key"])
    written = new.save("bookmarks", "a", "x", sortindex=5, ttl=100_000)
    batch = new.upload("bookmarks", [{"id": "b", "payload": "y"}], "batch=true", expect=202)["batch"]
    old.save("bookmarks", "a", "x")
    before = (new.info(), new.item("bookmarks", "a"), new.storage_time(), old.info(), old.item("bookmarks", "a"))
    getattr(stack.heddle, end)()
    stack.heddle.start()
    assert before == (new.info(), new.item("bookmarks", "a"), new.storage_time(), old.info(), old.item("bookmarks", "a"))
    new.upload("bookmarks", [], f"batch={batch}&commit=true")
    assert sorted(new.ids("bookmarks")) == ["a", "b"] and new.storage_time() > written
    assert fxa.uid() == out["uid"]


def test_a_second_one_on_the_same_store_is_refused_and_the_first_goes_on(own_stack):
    first, second = own_stack(), own_stack(start=False)
    user = first.user()
    user.save("bookmarks", "a", "x")
    second.heddle.settings["store.path"] = str(first.heddle.folder / "data" / "store")
    with pytest.raises(RuntimeError, match="another process .*has this store open"):
        second.heddle.start()
    second.heddle.settings |= {"store.path": str(second.heddle.folder / "st"), "data.dir": str(first.heddle.folder / "data"),
                               "internal.listen": str(first.heddle.folder / "data" / "internal.sock")}
    with pytest.raises(RuntimeError, match="internal.sock is in use"):
        second.heddle.start()
    user.save("bookmarks", "b", "x")
    assert internal_get(first.heddle, "/__heartbeat__").status == 200
    first.heddle.stop()
    second.heddle.settings |= {"store.path": str(first.heddle.folder / "data" / "store")}
    second.heddle.start()  # what was refused left nothing behind


@pytest.mark.one_engine("mysql+redis")
def test_a_cache_in_memory_beside_another_process_on_the_same_database_is_refused(own_stack):
    first, second = own_stack(), own_stack(start=False)
    second.heddle.settings |= {"store.database": first.database, "cache.driver": "memory"}
    with pytest.raises(RuntimeError, match="another process .*has this store open"):
        second.heddle.start()
    second.heddle.settings["cache.driver"] = "redis"
    second.heddle.start()


@pytest.mark.parametrize("file", ["directory.sqlite", "store"])
def test_data_of_a_newer_version_are_not_touched(own_stack, file):
    stack = own_stack()
    stack.user().save("bookmarks", "a", "x")
    stack.heddle.stop()
    path = store_files(stack)[0] if file == "store" else stack.heddle.folder / "data" / file
    with closing(sqlite3.connect(path)) as c:
        known = c.execute("PRAGMA user_version").fetchone()[0]
        c.execute("PRAGMA user_version = 9000")
    with pytest.raises(RuntimeError, match="9000"):
        stack.heddle.start()
    with closing(sqlite3.connect(path)) as c:
        assert c.execute("PRAGMA user_version").fetchone()[0] == 9000
        c.execute(f"PRAGMA user_version = {known}")
    stack.heddle.start()


@pytest.mark.one_engine("mysql+redis")
def test_a_database_of_a_newer_version_is_not_touched(own_stack):
    stack = own_stack()
    stack.heddle.stop()
    with stack.mariadb.connect(stack.database) as c, c.cursor() as cursor:
        cursor.execute("INSERT INTO schema_version (version) VALUES (9000)")
        with pytest.raises(RuntimeError, match="9000"):
            stack.heddle.start()
        cursor.execute("DELETE FROM schema_version WHERE version = 9000")
    stack.heddle.start()
