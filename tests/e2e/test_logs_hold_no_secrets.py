"""The log, at its most talkative, holds no password, token, key, Authorization value, reset code or payload: not after good requests, not
after bad ones, and not in another spelling."""
import base64
import json
import os
import re
from urllib.parse import quote

import pytest

from lib import hawk
from lib.device import Account15
from lib.heddle import METRICS_KEY, SECRET
from lib.storage15 import Storage15
from lib.wire import raw_exchange

WINDOW = 14  # so many characters in a row of a secret are a leak


class Secrets:
    """Everything that was handed to the server and must not be repeated; made of marks that nothing else contains."""

    def __init__(self):
        self.all = {}

    def new(self, name, length=24):
        return self.keep(name, os.urandom(length).hex()[:length])

    def keep(self, name, text):
        assert len(text) >= 8, name
        self.all.setdefault(name, set()).add(text)
        return text

    def authorization(self, name, header):
        """A header's value: the whole of it, and each long part."""
        for part in re.split(r'[ ",]+|(?<=[a-z])="', header):
            if len(part) >= 12:
                self.keep(name, part)
        return header

    def leaks(self, log):
        found = []
        for name, texts in self.all.items():
            for text in texts:
                for how, spelled in spellings(text):
                    pieces = {spelled[i:i + WINDOW] for i in range(0, max(1, len(spelled) - WINDOW + 1), 3)}
                    found += [f"{name} ({how}): {p}" for p in pieces if p in log]
        return found


def spellings(text):
    yield "as it is", text
    raw = text.encode()
    yield "base64", base64.b64encode(raw).decode().rstrip("=")
    yield "base64 for URLs", base64.urlsafe_b64encode(raw).decode().rstrip("=")
    yield "hex", raw.hex()
    if json.dumps(text)[1:-1] != text:
        yield "JSON", json.dumps(text)[1:-1]
    if quote(text, safe="") != text:
        yield "percent", quote(text, safe="")


def use_1_5(stack, s):
    """Tokens made by the test and by the token server, signatures good and bad, payloads good and bad."""
    user = stack.user()
    s.keep("token", user.id), s.keep("token key", user.key)
    target = user.base + "/storage/xx/a"
    payload = s.new("payload")
    sign = lambda method, at, **kw: s.authorization("hawk", hawk.header(user.id, user.key, method, at, "127.0.0.1", stack.heddle.port,
                                                                        int(stack.heddle.now()), **kw))
    user.put("/storage/xx/a", {"payload": payload}, authorization=sign("PUT", target))
    for bad in ({"payload": payload, "unknown": 1}, {"payload": [payload]}, '{"payload":"' + payload, '{"payload":"' + payload + '"}x'):
        user.put("/storage/xx/a", bad, expect=400)
    user.put("/storage/xx/a", {"payload": payload}, headers={"X-If-Unmodified-Since": "1.00"}, expect=412)
    user.post("/storage/xx", [{"id": "b", "payload": payload}, {"id": "c", "payload": 5, payload: 1}])
    batch = s.keep("batch", user.post("/storage/xx?batch=true", [{"id": "d", "payload": payload}], expect=202).json()["batch"])
    user.post(f"/storage/xx?batch={batch}&commit=true", [])
    user.get("/storage/xx?full=1")
    user.get("/info/collections", authorization=sign("GET", "/wrong"), expect=401)
    user.get("/info/collections", authorization=sign("GET", user.base + "/info/collections", nonce=s.new("nonce", 12)))
    user.get("/info/collections", authorization=sign("GET", user.base + "/info/collections")[:-10], expect=401)
    expired = stack.again(user, expires_in_s=-100000)
    s.keep("expired token", expired.id), s.keep("key of an expired token", expired.key)
    expired.get("/storage/xx", expect=401)
    other = hawk.mint(s.new("another secret", 64), {"node": stack.url, "expires": 9999999999, "uid": user.uid})
    s.keep("forged token", other[0]), s.keep("key of a forged token", other[1])
    Storage15(stack.heddle, user.uid, *other).get("/storage/xx", expect=401)
    for scheme in ("Hawk", "Bearer", "Basic", "Digest", "hawk id=", "Hawk id=\"", "Hawk mac="):
        user.get("/info/collections", authorization=f"{scheme} {s.new('odd credentials', 40)}", expect=401)
    user.get("/info/collections?access_token=" + s.new("token in a query", 40), authorization="", expect=401)


def use_token_server(stack, s):
    account = Account15(stack)
    good = account.access_token()
    s.keep("access token", good), s.keep("sync key", account.sync_key.hex()), s.keep("account key", account.kb.hex())
    key_id = account.key_id

    def ask(bearer, key=key_id):
        return stack.heddle.get("/1.0/sync/1.5", [("Authorization", bearer), ("X-KeyId", key)])

    out = ask("Bearer " + good).json()
    s.keep("minted token", out["id"]), s.keep("minted key", out["key"])
    Storage15(stack.heddle, out["uid"], out["id"], out["key"]).put("/storage/xx/a", {"payload": s.new("payload of a minted token")})
    # a changed signature is no secret to guard more than the token itself
    for bad in (good[:-8], good + "AAAA", good.rpartition(".")[0] + "." + s.new("signature", 86), s.new("opaque bearer", 64)):
        s.keep("bad access token", bad)
        assert ask("Bearer " + bad).status == 401
    assert ask("Bearer " + s.keep("expired access token", account.access_token(exp=1)).strip()).status == 401
    assert ask("Bearer " + good, "1-" + s.new("client state", 22)).status in (200, 400, 401)
    assert ask("BrowserID " + s.new("assertion", 60)).status == 401
    assert stack.heddle.get("/1.0/sync/1.5", [("Authorization", s.new("bare credentials", 60))]).status == 401


def use_1_1(stack, s):
    user = stack.user11(password=s.new("first password"), register=False)
    user.account("PUT", "", '{"password":"' + user.password + '","email":', authorization="", expect=400)
    user.account("PUT", "", {"password": s.new("password of a bad address"), "email": "nonsense"}, authorization="", expect=400)
    user.register(headers={"X-Weave-Secret": s.new("wrong X-Weave-Secret")})
    s.authorization("basic", user.authorization())
    payload = s.new("payload of 1.1")
    user.save("xx", "a", payload, parentid="p")
    user.put("/storage/xx/a", '{"payload":"' + payload, expect=400)
    user.upload("xx", [{"id": "b", "payload": payload}, {"id": payload * 3, "payload": payload}, payload])
    for wrong in (s.new("wrong password"), s.new("wrong password with a colon") + ":x"):
        user.get("/info/collections", authorization=s.authorization("basic", user.authorization(password=wrong)), expect=401)
    user.get("/info/collections", authorization=s.authorization("basic", "Basic " + s.new("no base64", 43)), expect=401)
    user.get("/info/collections", authorization=s.authorization("basic", user.authorization(name="someone")), expect=401)
    user.account("POST", "/password", s.new("new password"), authorization=user.authorization(password="wrong one"), expect=401)
    code = s.keep("reset code", "XK3P-09QZ-M2ML-A7TT-QQ4W-ZZ8X-LL9P")
    user.account("POST", "/password", s.new("password of a reset"), headers={"X-Weave-Password-Reset": code}, expect=None)
    user.account("GET", "/password_reset?captcha-challenge=c&captcha-response=" + s.new("captcha"), authorization="", expect=None)
    user.account("DELETE", "/password_reset", expect=None)
    user.account("POST", "/password", "short", expect=400)
    second = s.new("second password")
    user.account("POST", "/password", second)
    user.get("/info/collections", authorization=s.authorization("basic", user.authorization()), expect=401)
    user.password = second
    s.authorization("basic", user.authorization())
    user.get("/info/collections")
    for path in ("/weave-password-reset?username=x&key=" + code, f"/weave-password-reset?key={code}", "/nothing?password=" + second,
                 "/" + quote(second) + "?" + second):
        stack.heddle.get(path)
    form = f"username={user.name}&key={code}&password={s.new('password of a form')}&confirm=x".encode()
    raw_exchange("127.0.0.1", stack.heddle.port, b"POST /weave-password-reset HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
                 b"Content-Length: %d\r\n\r\n%s" % (len(form), form))
    user.account("DELETE", expect=200)


def use_broken_http(stack, s):
    """What is refused before it is understood may not be repeated either."""
    for text in (f"GET /1.1/x/info/collections HTTP/1.1\r\nAuthorization: Basic {s.new('basic without a host', 40)}\r\n\r\n",
                 f"POST /1.5/1/storage/xx HTTP/1.1\r\nHost: x\r\nAuthorization: {s.new('two lengths', 40)}\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n[]",
                 f"POST /1.5/1/storage/xx HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{s.new('bad chunk', 40)}\r\n",
                 f"GET /{s.new('header that is none', 40)} HTTP/9.9\r\nAuthorization {s.new('header without a colon', 40)}\r\n\r\n",
                 f"{s.new('no request at all', 40)}\r\n\r\n",
                 f"GET /1.1/x/info/collections HTTP/1.1\r\nHost: x\r\nX-{s.new('name of a header', 40)}: {s.new('unknown header', 40)}\r\n\r\n",
                 f"GET / HTTP/1.1\r\nHost: x\r\nCookie: {s.new('cookie', 40)}\r\nX-Request-Id: a\r\nUser-Agent: {s.new('agent', 40)}\r\n\r\n"):
        raw_exchange("127.0.0.1", stack.heddle.port, text.encode(), timeout_s=2)


USES = [use_1_5, use_token_server, use_1_1, use_broken_http]


@pytest.mark.parametrize("use", USES, ids=lambda f: f.__name__)
def test_no_secret_is_logged(own_stack, use):
    s, settings = Secrets(), {"log.level": "debug"}
    s.keep("secret of tokens", SECRET), s.keep("metrics key", METRICS_KEY)
    settings["registration.secret"] = s.new("registration.secret")
    stack = own_stack(settings)
    use(stack, s)
    stack.heddle.reload()
    assert stack.heddle.stop() == 0
    log = stack.heddle.log_text()
    assert log.count('"event":"request"') >= 5, "the log tells of the requests"
    assert not (leaks := s.leaks(log)), "\n".join(leaks)
    assert not re.search(r"(?i)argon2id?\$", log), "a password hash"


@pytest.mark.one_engine("mysql+redis")
def test_no_secret_of_the_configuration_is_logged_or_shown(own_stack):
    import subprocess
    stack, s = own_stack(), Secrets()
    good, wrong = s.new("password of the database"), s.new("wrong password of the database")
    with stack.mariadb.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE USER IF NOT EXISTS 'secretive'@'localhost' IDENTIFIED BY '{good}'")
        cursor.execute("GRANT ALL ON *.* TO 'secretive'@'localhost'")
    stack.heddle.restart(store__user="secretive", store__password=good, log__level="debug")
    stack.user11().save("xx", "a", "x")
    stack.heddle.stop()
    stack.heddle.write_settings(store__password=wrong)
    with pytest.raises(RuntimeError):
        stack.heddle.start()
    log = stack.heddle.log_text()
    assert "could not start" in log
    for option in ("--show-config", "--check-config"):
        argv = stack.heddle.argv()
        done = subprocess.run([argv[0], option, *argv[1:]], capture_output=True, text=True, timeout=120)
        log += done.stdout + done.stderr
    s.keep("secret of tokens", SECRET), s.keep("metrics key", METRICS_KEY)
    assert "secretive" in log and not (leaks := s.leaks(log)), "\n".join(leaks)


def test_this_file_would_find_a_leak():
    """In every spelling that it looks for, and in parts."""
    s = Secrets()
    text = s.keep("secret", 'pass "word" äöü 0123456789')
    raw = text.encode()
    for log in (text, base64.b64encode(raw).decode(), raw.hex(), json.dumps(text), quote(text), "…" + text[3:24], "a" + base64.b64encode(raw).decode()):
        assert s.leaks(f'{{"event":"request","why":"{log}"}}'), log
    assert not s.leaks('{"event":"request","status":200}')
