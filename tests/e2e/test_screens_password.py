"""Passwords: the checks PW-01 to PW-13, on the pages, over the User API, and in what is stored."""
import os
import re
import sqlite3
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from lib.heddle import build_folder
from lib.mails import text_of
from lib.pages import Visitor, mails_of
from lib.processes import ROOT

pytestmark = pytest.mark.one_engine("sqlite+memory")
LDAP = os.environ.get("HEDDLE_DIRECTORY") == "ldap"
GOOD = "correct horse battery"
_names = iter(range(10**6))


def fresh():
    return f"pw{next(_names)}-{time.monotonic_ns()}@example.com"


@pytest.fixture
def visitor(stack):
    return Visitor(stack.url)


def common():
    lines = (ROOT / "directory/screens/data/passwords.txt").read_text().splitlines()
    return [line for line in lines if not line.startswith("#!")]


def made(page):
    return page.response.url.endswith("/account?done=made")


def test_PW_01_eight_is_the_least_and_fifteen_is_advised(visitor):
    assert "at least 8" in visitor.register(fresh(), "seven77").problem
    page = visitor.get("/account/register")
    assert "15 or more are better" in page.text
    assert made(visitor.register(fresh(), "eight888x"))


@pytest.mark.parametrize("n", [64, 200, 1024])
def test_PW_02_long_ones_are_taken_whole(stack, visitor, n):
    mail, password = fresh(), ("0123456789abcdef" * 64)[:n]
    assert made(visitor.register(mail, password))
    again = Visitor(stack.url)
    assert again.sign_in(mail, password[:-1]).problem and again.sign_in(mail, password[:72]).problem if n > 72 else True
    again.sign_in(mail, password)
    assert again.signed_in


@pytest.mark.parametrize("password", ["日本語パスワード", "🔑🔑🔑🔑", "  blanks around  ", "a+b&c=d%20;\"'<>", "tab\tand\\slash", "e\u0301e\u0301e\u0301e\u0301"])
def test_PW_03_any_characters(stack, visitor, password):
    mail = fresh()
    assert made(visitor.register(mail, password))
    again = Visitor(stack.url)
    again.sign_in(mail, password)
    assert again.signed_in
    assert Visitor(stack.url).sign_in(mail, password.strip() + "x").problem


def test_PW_04_the_3000_commonest_are_refused(stack, visitor, user11):
    words = common()
    assert len(words) == 3000 and len(set(words)) == 3000 and words[2] == "password"
    long_enough = [w for w in words if len(w.encode()) >= 8]
    assert len(long_enough) > 500
    for w in long_enough:
        user11.account("POST", "/password", w, expect=400, code=9)
    user11.account("POST", "/password", "PassWord1", expect=400, code=9)
    assert not [w for w in words if re.fullmatch(r"([a-z])\1*", w)]
    for w in ("tttttttt", "xxxxxxxxx"):
        user11.account("POST", "/password", w)
        user11.password = w


def test_PW_05_managers_and_paste_are_helped(stack, visitor):
    mail = fresh()
    visitor.register(mail, GOOD)
    guest = Visitor(stack.url)
    wanted = {(guest, "/account/register"): {"email": "email", "password": "new-password", "confirm": "new-password"},
              (guest, "/account/sign-in"): {"username": "username", "password": "current-password"},
              (guest, "/weave-password-reset?username=u&key=k"): {"username": "username", "password": "new-password", "confirm": "new-password"},
              (guest, "/weave-delete-account"): {"username": "username", "password": "current-password"},
              (visitor, "/account/password"): {"username": "username", "current": "current-password", "password": "new-password",
                                               "confirm": "new-password"}}
    for (who, path), fields in wanted.items():
        page = who.get(path)
        got = {f["name"]: f.get("autocomplete") for f in page.fields if f["name"] in fields}
        assert got == fields, path
        assert "onpaste" not in page.html
    assert "paste" not in visitor.get("/media/heddle.js").html


def test_PW_06_nobody_is_made_to_change(clock_stack):
    user = clock_stack.user11()
    clock_stack.heddle.advance(400 * 86400)
    assert Visitor(clock_stack.url).sign_in(user.name, GOOD).heading == "My account"


@pytest.mark.skipif(LDAP, reason="reads the SQLite file; LDAP's hashes: tests/conformance/backend")
def test_PW_07_argon2id_of_at_least_19_MiB(own_stack):
    stack = own_stack({"passwords.kib": None, "passwords.passes": None})  # as they are without settings
    user = stack.user11()
    with sqlite3.connect(stack.heddle.folder / "data" / "directory.sqlite") as db:
        stored = db.execute("SELECT password FROM accounts WHERE name = ?", (user.name,)).fetchone()[0]
    stored = stored.decode() if isinstance(stored, bytes) else stored
    m = re.fullmatch(r"\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$.+", stored)
    assert int(m[1]) >= 19 * 1024 and int(m[2]) >= 2 and int(m[3]) == 1, stored


def test_PW_08_the_comparison_tells_nothing_by_its_time(own_stack):
    """Near misses take as long as far ones, and unknown names as long as both: what takes the time is the hash, of a cost that stands out
    from whatever else this machine does. (The digests are compared in constant time: common/base, secret_eq.)"""
    user = own_stack({"passwords.kib": 32768, "passwords.passes": 4}).user11()
    times = {"far": [], "near": [], "unknown": []}

    def alike():
        least = [min(taken) for taken in times.values()]
        return max(least) < 1.6 * min(least)

    for n in range(150):
        if n >= 15 and alike():  # what else a machine does only ever adds to a time: the least counts, and a busy one needs more tries
            break
        for what, name, password in (("far", user.name, "zzzzzzzzzzzzzzzzzzzzz"), ("near", user.name, GOOD[:-1] + "x"), ("unknown", "nobody", GOOD)):
            begun = time.perf_counter()
            user.request("DELETE", f"/user/1.0/{name}", authorization=user.authorization(name, password), expect=401)
            times[what].append(time.perf_counter() - begun)
    assert alike(), {what: sorted(taken)[:3] for what, taken in times.items()}


def test_PW_09_lengths_are_capped_before_hashing(own_stack):
    stack = own_stack({"passwords.passes": 60, "passwords.kib": 65536})  # one hash takes seconds
    guest = Visitor(stack.url)
    page = guest.get("/account/sign-in")
    begun = time.monotonic()
    for _ in range(4):
        refused = guest.post("/account/sign-in", {**page.hidden, "username": "somebody", "password": "x" * 1025})
        assert refused.problem == "Name or password is wrong."
        assert "at least 8" in guest.register(fresh(), "x" * 1025).problem
    quick = time.monotonic() - begun
    begun = time.monotonic()
    guest.post("/account/sign-in", {**page.hidden, "username": "somebody", "password": "x" * 1024})
    assert quick / 8 < (time.monotonic() - begun) / 2


def test_PW_10_a_wrong_name_and_a_wrong_password_sound_alike(stack, visitor, user11):
    pages = [visitor.sign_in(user11.name, "not the password"), visitor.sign_in("nobody-at-all", GOOD), visitor.sign_in("no name!", GOOD),
             visitor.sign_in("nobody@example.com", GOOD)]
    assert {p.problem for p in pages} == {"Name or password is wrong."} and {p.status for p in pages} == {200}


def test_PW_11_guessing_is_slowed_and_locks_nobody_out(own_stack):
    stack = own_stack({"public.trusted_proxies": "127.0.0.1", "directory.wrong_passwords": 5})
    user = stack.user11()
    thief, owner = Visitor(stack.url, peer="203.0.113.7"), Visitor(stack.url, peer="198.51.100.9")
    for _ in range(5):
        assert thief.sign_in(user.name, "a wrong guess").problem == "Name or password is wrong."
    page = thief.sign_in(user.name, GOOD)
    assert page.status == 503 and int(page.headers["Retry-After"]) > 0
    owner.sign_in(user.name, GOOD)
    assert owner.signed_in


@pytest.mark.skipif(LDAP, reason="reads the SQLite file")
def test_PW_12_there_are_no_default_accounts(own_stack):
    stack = own_stack()
    with sqlite3.connect(stack.heddle.folder / "data" / "directory.sqlite") as db:
        assert db.execute("SELECT count(*) FROM accounts").fetchone()[0] == 0
    shown = subprocess.run([build_folder() / "heddle", "--show-config"], capture_output=True, text=True, check=True).stdout
    assert not re.search(r"^(secret|secrets|password|keys)\s*=\s*\(set\)", shown, re.M)


def test_PW_13_every_change_of_a_credential_is_told(stack, user11):
    mine = Visitor(stack.url)
    mine.sign_in(user11.name, GOOD)
    box = mails_of(stack)
    mine.change_password(GOOD, "by the page, changed")
    first = box.wait(user11.email, 1, "password was changed")
    user11.password = "by the page, changed"
    user11.account("POST", "/password", "by the API, changed")
    user11.password = "by the API, changed"
    box.wait(user11.email, 2, "password was changed")
    mine.sign_in(user11.name, user11.password)
    mine.submit("/account/email", email="moved-" + user11.email, current=user11.password)
    box.wait(user11.email, 1, "mail address of your sync account was changed")
    mine.submit("/account/delete", current=user11.password)
    box.wait("moved-" + user11.email, 1, "was deleted")
    assert "by the page" not in text_of(first)


def test_two_changes_at_once_leave_one_whole_password(stack, user11):
    words = [f"at once, number {i}" for i in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda w: user11.again().account("POST", "/password", w, expect=(200, 401, 503)), words))
    good = [w for w in [GOOD, *words] if user11.get("/info/collections", authorization=user11.authorization(password=w), expect=(200, 401)).status == 200]
    assert len(good) == 1
