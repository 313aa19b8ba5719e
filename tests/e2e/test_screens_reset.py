"""Forgotten passwords: the checks FP-01 to FP-23, and what older servers answered (User API 1.0, sections 2.4 to 2.6, 3 and 4; its edge
cases U5 to U13, U22 and U26).

FP-20: test_screens_cluster.py, where an admin can ask; FP-18 over the network too."""
import http.client
import os
import re
import sqlite3
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from lib.mails import html_of, key_in, link_in, text_of
from lib.pages import Page, Visitor, mails_of
from lib.processes import wait_until
from lib.storage11 import Storage11
from lib.synccrypto import username_of

pytestmark = pytest.mark.one_engine("sqlite+memory")

LDAP = os.environ.get("HEDDLE_DIRECTORY") == "ldap"
OLD, NEW = "correct horse battery", "a new staple of hay"
SENTENCE = "Key does not match with username, or it is too old, or we are unable to locate your account. Ask for a new link."


@pytest.fixture
def visitor(stack):
    return Visitor(stack.url)


def key_for(stack, user):
    """Asks over the API and reads the mail."""
    before = len(mails_of(stack).all(user.email))
    user.account("GET", "/password_reset", authorization="")
    return key_in(link_in(mails_of(stack).wait(user.email, before + 1)))


def use(user, key, password=NEW, **kw):
    return user.account("POST", "/password", password, headers={"X-Weave-Password-Reset": key}, authorization="", **kw)


def stored_reset(stack, user):
    """The value in the directory's file."""
    with sqlite3.connect(stack.heddle.folder / "data" / "directory.sqlite") as db:
        return db.execute("SELECT reset FROM accounts WHERE name = ?", (user.name,)).fetchone()[0]


# ---- FP ----

def test_FP_01_known_and_unknown_names_get_the_same_answer(stack, user11, visitor):
    def what(page):
        headers = {k: v for k, v in page.headers.items() if k not in ("Date", "Content-Length")}
        return page.status, page.html, headers
    known, unknown = visitor.ask_reset(user11.name), visitor.ask_reset("nobody-of-that-name")
    assert what(known) == what(unknown) == what(visitor.ask_reset("nobody@example.com")) == what(visitor.ask_reset("not/a <name>"))
    assert "next 6 hours" in known.text
    good = key_for(stack, user11)
    answers = {what(visitor.reset(name, key, NEW)) for name, key in ((user11.name, good[:-1] + ("B" if good[-1] == "A" else "A")),)
               for what in (lambda p: p.problem,)}
    assert answers == {SENTENCE} and visitor.reset("nobody-of-that-name", good, NEW).problem == SENTENCE
    assert visitor.reset(user11.name, good, "").problem == visitor.reset("nobody-of-that-name", good, "").problem == "Password not provided"


def test_FP_02_known_and_unknown_names_take_the_same_time(stack, user11):
    """A name, an address that makes the name, and one that was changed later; each beside one that nobody has."""
    moved = stack.user11()
    moved.account("POST", "/email", f"moved-{moved.email}")
    names = [user11.name, "nobody", user11.email, "nobody@example.com", f"moved-{moved.email}", moved.email]
    waiting = stack.heddle.folder / "data" / "resets"
    connection = http.client.HTTPConnection("127.0.0.1", stack.heddle.port, timeout=300)

    def ask(name):
        body = urlencode({"username": name})
        begun = time.perf_counter()
        connection.request("POST", "/weave-password-reset", body, {"Content-Type": "application/x-www-form-urlencoded"})
        answer = connection.getresponse()
        told = answer.read()
        took = time.perf_counter() - begun
        assert answer.status == 200 and b"next 6 hours" in told
        return took

    times = {name: [] for name in names}
    for i in range(1000):
        if i % 50 == 0:  # nobody is told to wait
            wait_until(lambda: len(list(waiting.glob("*.ask"))) < 300, "what was asked is worked off", 120)
        for name in names[i % len(names):] + names[:i % len(names)]:
            times[name].append(ask(name))
    connection.close()
    medians = {name: statistics.median(t) for name, t in times.items()}
    print("medians of 1,000 each:", {name: f"{m * 1000:.2f} ms" for name, m in medians.items()})
    assert max(medians.values()) - min(medians.values()) < 0.005, medians


def test_FP_03_the_secret_travels_by_mail_alone(stack, user11, visitor):
    r = user11.account("GET", "/password_reset", authorization="")
    assert r.body == b"success"
    page = visitor.ask_reset(user11.name)
    mail = mails_of(stack).wait(user11.email, 2)
    key = key_in(link_in(mail))
    assert [m["To"] for m in mails_of(stack).all() if key in text_of(m)] == [user11.email] * 2
    assert key not in page.html and key not in str(page.headers) and key not in str(r.headers)
    assert key not in stack.heddle.log_text()


def test_FP_04_codes_have_at_least_128_bits(stack):
    keys = {key_for(stack, stack.user11()) for _ in range(20)}
    assert len(keys) == 20
    assert all(re.fullmatch(r"([A-Z0-9]{4}-){6}[A-Z0-9]{4}", k) for k in keys)  # 36^28: 144 bits
    letters = "".join(keys).replace("-", "")
    assert len(set(letters)) > 30  # 560 letters of 36


def test_FP_05_what_is_stored_does_not_give_the_code(stack, user11):
    key = key_for(stack, user11)
    for path in Path(stack.heddle.folder / "data").glob("directory.sqlite*"):
        data = path.read_bytes()
        assert key.encode() not in data and key.replace("-", "").encode() not in data, path
    if stack.heddle.settings.get("directory.backend", "sqlite") == "sqlite":
        assert re.fullmatch(r"[0-9a-f]{32} \d+ 0 1 \d+", stored_reset(stack, user11))


def test_FP_06_a_code_is_bound_to_its_account(stack, user11, visitor):
    other = stack.user11()
    key, of_other = key_for(stack, user11), key_for(stack, other)
    assert visitor.reset(other.name, key, NEW).problem == SENTENCE
    use(other, key, expect=400, code=10)
    assert other.signs_in() and not other.signs_in(NEW)
    use(other, of_other)
    assert other.signs_in(NEW) and user11.signs_in()


def test_FP_07_a_code_counts_once_under_parallel_posts(own_stack):
    """With hashes that take so long that all posts are judged before the first one is done."""
    stack = own_stack({"passwords.kib": 16384, "passwords.passes": 4, "public.workers": 12})
    user11 = stack.user11()
    key = key_for(stack, user11)
    passwords = [f"parallel password {i}" for i in range(12)]

    def post(password):
        return Visitor(stack.url).reset(user11.name, key, password)

    with ThreadPoolExecutor(12) as pool:
        pages = list(pool.map(post, passwords))
    won = [p for p, page in zip(passwords, pages) if "Password successfully changed" in page.text]
    assert len(won) == 1 and [p.problem for p in pages if p.problem] == [SENTENCE] * 11
    assert [p for p in passwords if user11.signs_in(p)] == won


def test_FP_08_a_code_expires(clock_stack):
    user = clock_stack.user11()
    key = key_for(clock_stack, user)
    clock_stack.heddle.advance(6 * 3600 + 1)
    assert Visitor(clock_stack.url).reset(user.name, key, NEW).problem == SENTENCE
    use(user, key, expect=400, code=10)
    fresh = key_for(clock_stack, user)
    assert fresh != key
    use(user, fresh)


def test_FP_09_a_second_request_mails_the_same_code_and_moves_no_end(clock_stack):
    user = clock_stack.user11()
    first = key_for(clock_stack, user)
    clock_stack.heddle.advance(4 * 3600)
    assert key_for(clock_stack, user) == first
    assert "next 2 hours" in text_of(mails_of(clock_stack).all(user.email)[-1]) or \
        "minutes" in text_of(mails_of(clock_stack).all(user.email)[-1])
    clock_stack.heddle.advance(2 * 3600 + 1)
    use(user, first, expect=400, code=10)


def test_FP_09_a_change_of_address_or_password_voids_a_code(stack, user11):
    key = key_for(stack, user11)
    user11.account("POST", "/email", "elsewhere@example.com")
    use(user11, key, expect=400, code=10)
    user11.email = "elsewhere@example.com"
    key = key_for(stack, user11)
    user11.account("POST", "/password", "changed meanwhile")
    use(user11, key, expect=400, code=10)


def test_FP_10_asking_changes_nothing(stack, user11, visitor):
    mine = Visitor(stack.url)
    mine.sign_in(user11.name, OLD)
    user11.save("bookmarks", "a", "x")
    visitor.ask_reset(user11.name)
    mails_of(stack).wait(user11.email)
    assert user11.signs_in() and mine.signed_in and user11.item("bookmarks", "a")["payload"] == "x"


def test_FP_11_five_mails_an_hour_pass_and_no_more(clock_stack):
    user = clock_stack.user11()
    for i in range(5):
        user.account("GET", "/password_reset", authorization="")
        assert len(mails_of(clock_stack).all(user.email)) == i + 1
    r = user.account("GET", "/password_reset", authorization="", expect=503)
    assert 0 < int(r.header("Retry-After")) <= 3600
    assert "next 6 hours" in Visitor(clock_stack.url).ask_reset(user.name).text  # told alike, and not mailed
    other = clock_stack.user11()
    Visitor(clock_stack.url).ask_reset(other.name)
    mails_of(clock_stack).wait(other.email)  # what was asked before it is done by now
    assert len(mails_of(clock_stack).all(user.email)) == 5
    clock_stack.heddle.advance(3601)
    user.account("GET", "/password_reset", authorization="")
    assert len(mails_of(clock_stack).all(user.email)) == 6


def test_FP_11_one_address_asks_so_often_and_no_more(own_stack):
    stack = own_stack({"public.trusted_proxies": "127.0.0.1", "reset.per_address": 3})
    flood = Visitor(stack.url, peer="203.0.113.7")
    for i in range(3):
        assert flood.ask_reset(f"name{i}").status == 200
    page = flood.ask_reset("name4")
    assert page.status == 503 and int(page.headers["Retry-After"]) > 0
    user = stack.user11()
    user.account("GET", "/password_reset", authorization="", headers={"X-Forwarded-For": "203.0.113.7"}, expect=503)
    assert Visitor(stack.url, peer="203.0.113.8").ask_reset(user.name).status == 200
    mails_of(stack).wait(user.email)


def test_FP_12_ten_wrong_codes_burn_the_right_one(stack, user11):
    key = key_for(stack, user11)
    for i in range(10):
        use(user11, "AAAA-BBBB-CCCC-DDDD-EEEE-FFFF-GGG" + str(i), expect=400, code=10)
    use(user11, key, expect=400, code=10)
    assert user11.signs_in()
    use(user11, key_for(stack, user11))  # a new one helps


def test_FP_13_forged_hosts_change_nothing(stack, user11, visitor):
    evil = {"Host": "evil.example", "X_Forwarded_Host": "evil.example", "X_Forwarded_Proto": "https", "Forwarded": "host=evil.example"}
    page = visitor.post("/weave-password-reset", {"username": user11.name}, **evil)
    mail = mails_of(stack).wait(user11.email)
    assert link_in(mail).startswith(stack.url + "/weave-password-reset?")
    for text in (page.html, str(page.headers), text_of(mail), html_of(mail), visitor.get("/", **evil).html):
        assert "evil" not in text


def test_FP_14_no_referrer_and_nothing_from_elsewhere(stack, user11, visitor):
    link = "/weave-password-reset?username=x&key=AAAA-BBBB-CCCC-DDDD"
    for page in (visitor.get(link), visitor.get("/weave-password-reset"), visitor.ask_reset(user11.name)):
        assert page.headers["Referrer-Policy"] == "no-referrer" and page.headers["Cache-Control"] == "no-store"
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        for target in re.findall(r'(?:src|href|action)="([^"]*)"', page.html):
            assert target.startswith(("/", "?", "#")) and not target.startswith("//"), target


def test_FP_15_typed_twice_and_one_policy_everywhere(stack, user11, visitor):
    key = key_for(stack, user11)
    page = visitor.get(f"/weave-password-reset?username={user11.name}&key={key}")
    assert [f["name"] for f in page.fields if f["type"] == "password"] == ["password", "confirm"]
    assert "do not match" in visitor.reset(user11.name, key, NEW, "another").problem
    mine = Visitor(stack.url)
    mine.sign_in(user11.name, OLD)
    for weak in ("short", "password", "Password1", user11.name, "x" * 1025, "iloveyou"):
        said = [visitor.reset(user11.name, key, weak).problem, mine.change_password(OLD, weak).problem,
                Visitor(stack.url).register("fresh-one@example.com", weak).problem if weak != user11.name else None]
        assert all("at least 8" in s for s in said if s is not None), (weak, said)
        user11.account("POST", "/password", weak, expect=400, code=9)
        use(user11, key, weak, expect=400, code=9)
    use(user11, key)


def test_FP_16_a_change_is_told_by_mail_without_the_password(stack, user11):
    use(user11, key_for(stack, user11))
    m = mails_of(stack).wait(user11.email, subject="was changed")
    for part in (text_of(m), html_of(m), m["Subject"]):
        assert NEW not in part and OLD not in part and "key=" not in part


def test_FP_17_nobody_is_signed_in_by_it(stack, user11, visitor):
    page = visitor.reset(user11.name, key_for(stack, user11), NEW)
    assert "Password successfully changed" in page.text
    assert not visitor.signed_in and "heddle=" not in str(page.headers.get("Set-Cookie"))


def test_FP_18_other_sessions_end_and_the_old_password_is_refused(stack, user11, visitor):
    mine = Visitor(stack.url)
    mine.sign_in(user11.name, OLD)
    user11.save("bookmarks", "a", "x")
    assert mine.signed_in and user11.signs_in()
    visitor.reset(user11.name, key_for(stack, user11), NEW)
    assert not user11.signs_in() and not mine.signed_in
    assert user11.signs_in(NEW) and not user11.signs_in("password")  # what an older server set instead


def test_FP_19_there_are_no_secret_questions(visitor):
    fields = {f["name"] for path in ("/weave-password-reset", "/weave-password-reset?key=x", "/account/register", "/account/sign-in")
              for f in visitor.get(path).fields}
    assert fields == {"username", "key", "password", "confirm", "email", "token"}


def test_FP_21_requests_lock_nobody_out(stack, user11, visitor):
    for _ in range(30):
        visitor.ask_reset(user11.name)
        visitor.reset(user11.name, "AAAA-BBBB-CCCC-DDDD", NEW)
        assert user11.signs_in()
    assert "account" in Visitor(stack.url).sign_in(user11.name, OLD).response.url


HOSTILE = ["<script>alert(1)</script>", "\"><img src=x onerror=1>", "*)(uid=*", "a\r\nBcc: x@evil.example", "a%0d%0aBcc: x@evil.example", "' OR 1=1 --",
           "../../etc/passwd", "{{7*7}}", "x" * 4000, "\x00", "\u202e", "🔑", "=?utf-8?q?x?=", "a@b.c\nTo: d@e.f", '"a" <evil@x.example>, "b"@y.example']


@pytest.mark.parametrize("value", HOSTILE)
def test_FP_22_hostile_fields_do_nothing(stack, user11, visitor, value):
    pages = [visitor.ask_reset(value), visitor.reset(value, value, NEW), visitor.reset(user11.name, value, NEW),
             visitor.get("/weave-password-reset?" + "&".join(f"{k}={quote(value)}" for k in ("username", "key", "error"))),
             visitor.sign_in(value, value), visitor.register(value, value)]
    for page in pages:
        assert page.status == 200, page.html
        assert "<script>alert" not in page.html and "<img src=x" not in page.html and "49" not in page.heading
    assert not [m for m in mails_of(stack).all() if "evil" in str(m.items())]


def test_FP_22_lengths_and_forms_have_limits(stack, visitor):
    assert visitor.post("/weave-password-reset", {"username": "x" * 20000}).status == 413
    assert visitor.post("/weave-password-reset", {f"f{i}": "x" for i in range(100)}).status == 400
    assert visitor.session.post(stack.url + "/weave-password-reset", json={"username": "x"}).status_code == 400
    assert visitor.session.post(stack.url + "/weave-password-reset", data=b"username=%zz",
                                headers={"Content-Type": "application/x-www-form-urlencoded"}).status_code == 400
    first = visitor.session.post(stack.url + "/weave-password-reset", data="username=&username=x",
                                 headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert Page(first).problem == "Username not provided"  # the first counts


def test_FP_23_a_lost_key_is_explained_wherever_a_reset_is(stack, user11, visitor):
    key = key_for(stack, user11)
    for text in (visitor.get("/weave-password-reset").text, visitor.ask_reset(user11.name).text,
                 visitor.get(f"/weave-password-reset?username=x&key={key}").text, text_of(mails_of(stack).all(user11.email)[-1])):
        assert "does not bring back data that were encrypted with a sync key which is lost" in text and "begin anew" in text


# ---- what was answered is not lost ----

@pytest.mark.skipif(LDAP, reason="locks the SQLite file")
def test_what_was_asked_for_on_the_page_is_mailed_after_a_crash(own_stack):
    stack = own_stack()
    users = [stack.user11() for _ in range(3)]
    with sqlite3.connect(stack.heddle.folder / "data" / "directory.sqlite", isolation_level=None) as db:
        db.execute("BEGIN IMMEDIATE")  # nobody else can write: the mails have to wait
        for user in users:
            assert Visitor(stack.url, "de").ask_reset(user.name).heading == "Sehen Sie in Ihre Mail"
        assert len(list((stack.heddle.folder / "data" / "resets").glob("*.ask"))) == 3
        stack.heddle.kill()
        db.execute("ROLLBACK")
    assert not mails_of(stack).all()
    stack.heddle.start()
    for user in users:
        mail = mails_of(stack).wait(user.email)
        assert mail["Subject"] == "Ihr Sync-Passwort zurücksetzen"  # in the language of the page
        use(user, key_in(link_in(mail)))
    wait_until(lambda: not list((stack.heddle.folder / "data" / "resets").glob("*.ask")), "nothing waits any more", 120)


@pytest.mark.skipif(LDAP, reason="locks the SQLite file")
def test_resets_that_cannot_be_mailed_now_are_mailed_later(own_stack):
    stack = own_stack()
    user = stack.user11()
    with sqlite3.connect(stack.heddle.folder / "data" / "directory.sqlite", isolation_level=None) as db:
        db.execute("BEGIN IMMEDIATE")
        Visitor(stack.url).ask_reset(user.name)
        wait_until(lambda: "is mailed later" in stack.heddle.log_text(), "it was tried", 120)
        db.execute("ROLLBACK")
    mails_of(stack).wait(user.email)
    assert len(mails_of(stack).all(user.email)) == 1


# ---- what older servers answered ----

def test_U5_U12_U13_over_the_api(stack, user11):
    nobody = Storage11(stack.heddle, username_of("nobody@example.com"), "x")
    nobody.account("GET", "/password_reset", authorization="", expect=400, code=3)
    key = key_for(stack, user11)
    assert len(mails_of(stack).all(user11.email)) == 1
    assert key_for(stack, user11) == key
    user11.account("DELETE", "/password_reset", authorization="", expect=401)
    assert user11.account("DELETE", "/password_reset").body == b"success"
    assert user11.account("DELETE", "/password_reset").body == b"success"  # there is none
    use(user11, key, expect=400, code=10)
    assert key_for(stack, user11) != key


def test_U26_a_code_stays_the_same_until_it_ends_or_is_cleared(clock_stack):
    user = clock_stack.user11()
    first = key_for(clock_stack, user)
    assert key_for(clock_stack, user) == first
    clock_stack.heddle.advance(6 * 3600 + 1)
    use(user, first, expect=400, code=10)
    second = key_for(clock_stack, user)
    assert second != first
    user.account("DELETE", "/password_reset")
    use(user, second, expect=400, code=10)
    use(user, "", expect=400, code=10)
    third = key_for(clock_stack, user)
    assert third not in (first, second)
    use(user, third)
    use(user, third, expect=400, code=10)


def test_U6_to_U11_over_the_form(stack, user11, visitor):
    assert visitor.post("/weave-password-reset", {"username": user11.name, "foo": "x"}).status == 400
    assert visitor.get("/weave-password-reset?foo=1").status == 400
    for who in (user11.name, user11.email, user11.email.upper()):
        assert "next 6 hours" in visitor.ask_reset(who).text
    mail = mails_of(stack).wait(user11.email, 3)
    assert mail["Subject"] == "Resetting your Services password"
    link = link_in(mail)
    key = key_in(link)
    page = visitor.get(link[len(stack.url):])
    assert page.hidden == {"username": user11.name, "key": key}
    post = lambda **f: visitor.post("/weave-password-reset", f).problem  # noqa: E731
    assert post(username=user11.name, key=key) == "Password not provided"
    assert post(username=user11.name, key=key, password="", confirm="") == "Password not provided"
    assert "unable to locate your account" in post(username="joe", key=key, password=NEW, confirm=NEW)
    assert post(key=key, password=NEW, confirm=NEW) == "Username not provided"
    assert "do not match" in post(username=user11.name, key=key, password=NEW, confirm=NEW + "x")
    assert "at least 8" in post(username=user11.name, key=key, password="my", confirm="my")
    bad = key[:-1] + ("B" if key[-1] == "A" else "A")
    assert "Key does not match with username" in post(username=user11.name, key=bad, password=NEW, confirm=NEW)
    done = visitor.reset(user11.email, key, NEW)
    assert "Password successfully changed" in done.text
    assert user11.signs_in(NEW) and not user11.signs_in()
    assert "Key does not match with username" in visitor.reset(user11.name, key, "yet another one").problem


def test_the_old_form_deletes_an_account_and_its_data(stack, user11, visitor):
    user11.save("bookmarks", "a", "x")
    post = lambda **f: visitor.post("/weave-delete-account", f)  # noqa: E731
    page = visitor.get("/weave-delete-account")
    assert {f["name"] for f in page.fields} == {"username", "password"}
    assert post(username=user11.name).html == "Missing data"
    assert post(username=user11.name, password="wrong one").html == "Bad credentials"
    assert post(username="nobody", password="wrong one").html == "Bad credentials"
    r = post(username=user11.email, password=OLD)
    assert r.html == "Account removed." and r.headers["Content-Type"].startswith("text/plain")
    assert not user11.signs_in()
    user11.register()
    assert user11.info() == {}


@pytest.mark.skipif(LDAP, reason="locks the SQLite file")
def test_a_deletion_that_fails_says_so_and_stands_in_the_log(own_stack):
    stack = own_stack()
    user = stack.user11()
    with closing(sqlite3.connect(stack.heddle.folder / "data" / "directory.sqlite", isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        r = Visitor(stack.url).post("/weave-delete-account", {"username": user.name, "password": OLD})
        db.execute("ROLLBACK")
    assert r.html == "Deletion failed." and "an account was not deleted" in stack.heddle.log_text()
    assert user.signs_in()
