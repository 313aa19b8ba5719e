"""Invite codes: made by an operator, used on the page, by many at once, through two directories on one backend."""
import json
import os
import random
import re
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from lib.cluster import Cluster, running
from lib.mails import Folder, key_in, link_in
from lib.ops import run
from lib.pages import Visitor
from lib.processes import wait_until
from lib.storage11 import Storage11
from lib.synccrypto import username_of

PASSWORD = "correct horse battery"
REFUSED = "This invite code cannot be used. Check it, or ask for another one."
CODE = re.compile(r"\b[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){4}\b")


class Invited(Cluster):
    listed = "f" * 32

    def directory_settings(self, folder):
        return super().directory_settings(folder) | {"registration.mode": "invite", "registration.allow": [self.listed, "*@example.com"],
                                                     "registration.wrong_codes": 3, "public.trusted_proxies": "127.0.0.1"}


@pytest.fixture(scope="module", params=["sqlite", "ldap"])
def cluster(worker, request):
    name = f"invites-{request.param}"
    with running(Invited(worker.folder / name, worker.template, ["sqlite+memory"], 2, request.param), name) as started:
        yield started


@contextmanager
def later(cluster, seconds):
    """The directories' clocks are ahead for a while."""
    for directory in cluster.directories:
        directory.advance(seconds)
    try:
        yield
    finally:
        for directory in cluster.directories:
            directory.advance(-seconds)
        cluster.await_heard()


@pytest.fixture
def pages(cluster):
    return [Visitor(d.url) for d in cluster.directories]


def make(cluster, *words):
    """(code, id)"""
    made = json.loads(cluster.admin("invite", "make", "--json", *words))
    assert CODE.fullmatch(made["code"]) and made["code"].lower().startswith(made["id"])
    return made["code"], made["id"]


def entry(cluster, name):
    return next((i for i in cluster.ask("invites") if i["id"] == name), None)


def audit(cluster):
    return "".join(f.read_text() for f in (cluster.folder / "admin" / "audit").glob("*.log"))


def someone():
    return os.urandom(8).hex() + "@example.com"


def register(visitor, code, mail=None):
    return visitor.submit("/account/register", invite=code, email=mail or someone(), password=PASSWORD, confirm=PASSWORD)


def known(cluster, mail):
    return cluster.directory.get(f"/user/1.0/{username_of(mail)}").text == "1"


def test_a_code_made_by_the_operator_makes_one_account_that_syncs(cluster, pages):
    code, name = make(cluster, "--note", "für Anna & Co")
    mail = someone()
    page = register(pages[1], f" {code.lower().replace('-', ' ')} ", mail)  # as people write it
    assert page.heading == "My account" and pages[1].signed_in
    user = Storage11(cluster.directory, username_of(mail), PASSWORD, mail)
    at = Storage11(cluster.node_of(user.node().text), user.name, PASSWORD)
    at.save("bookmarks", "b1", "payload")
    assert at.item("bookmarks", "b1")["payload"] == "payload"
    i = entry(cluster, name)
    assert (i["left"], i["under_way"], i["state"], i["note"]) == (0, 0, "used up", "für Anna & Co") and "code" not in i
    assert REFUSED in register(Visitor(cluster.directory.url), code).text


@pytest.mark.parametrize("uses", [1, 5])
def test_of_many_at_once_through_two_directories_as_many_succeed_as_it_has_uses(cluster, uses):
    code, name = make(cluster, "--uses", str(uses))
    mails = [someone() for _ in range(16)]

    def one(n):
        return register(Visitor(cluster.directories[n % 2].url), code, mails[n])

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(one, range(16)))
    made = [a for a in answers if a.heading == "My account"]
    assert len(made) == uses and all(REFUSED in a.text for a in answers if a not in made), [a.text for a in answers]
    assert sum(known(cluster, m) for m in mails) == uses
    i = entry(cluster, name)
    assert (i["left"], i["under_way"]) == (0, 0)


def test_a_registration_that_fails_does_not_burn_the_code(cluster, pages):
    code, name = make(cluster)
    mail = someone()
    other, _ = make(cluster)
    assert register(pages[0], other, mail).heading == "My account"
    refused = register(Visitor(cluster.directories[1].url), code, mail)
    assert "has an account already" in refused.text
    assert entry(cluster, name)["left"] == 1 and entry(cluster, name)["under_way"] == 0
    weak = Visitor(cluster.directory.url).submit("/account/register", invite=code, email=someone(), password="short", confirm="short")
    assert weak.problem and entry(cluster, name)["left"] == 1
    assert register(Visitor(cluster.directories[1].url), code).heading == "My account"


SLOW = {"passwords__kib": 131072, "passwords__passes": 64}  # many seconds from the taking of the code to the making of the account
AS_BEFORE = {"passwords__kib": 64, "passwords__passes": 1}


def killed_while_registering(cluster, code, mail, moment):
    """The page that was answered, None where the directory died before; the directory serves again."""
    def one():
        try:
            return register(Visitor(victim.url), code, mail)
        except requests.RequestException:
            return None

    victim = cluster.directories[1]
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(one)
        moment()
        victim.kill()
        page = answer.result()
    victim.start()
    return page


def check_spent_once_or_not_at_all(cluster, code, mail, page):
    """After a registration that was cut off: the account is there and whole, and the code used, or neither. Gives whether it is."""
    name = code.split("-")[0].lower()
    assert (entry(cluster, name)["left"], entry(cluster, name)["under_way"]) in {(1, 0), (0, 1), (0, 0)}
    with later(cluster, 601):  # nobody can be at it any more
        cluster.tell("sweep")  # as heddle-admin settle does
        left, under_way = entry(cluster, name)["left"], entry(cluster, name)["under_way"]
    made = left == 0
    assert under_way == 0 and (made or page is None or page.heading != "My account")
    wait_until(lambda: known(cluster, mail) == made, f"every directory knows that it is {'made' if made else 'not made'}", 120)
    victim = Visitor(cluster.directories[1].url)
    if made:  # whoever tries again finds it there, and cannot use the code a second time
        assert register(victim, code, mail).heading != "My account"
        victim.sign_in(mail, PASSWORD)
    else:
        assert register(victim, code, mail).heading == "My account"
    assert victim.signed_in
    user = Storage11(cluster.directory, username_of(mail), PASSWORD, mail)
    at = Storage11(cluster.node_of(user.node().text), user.name, PASSWORD)
    at.save("bookmarks", "b1", "payload")
    assert at.item("bookmarks", "b1")["payload"] == "payload"
    assert (entry(cluster, name)["left"], entry(cluster, name)["under_way"]) == (0, 0)
    assert REFUSED in register(Visitor(cluster.directory.url), code).text
    return made


def test_a_code_taken_by_a_directory_that_is_killed_comes_back(cluster):
    code, name = make(cluster)
    mail = someone()
    cluster.directories[1].restart(**SLOW)
    try:
        page = killed_while_registering(cluster, code, mail, lambda: wait_until(lambda: entry(cluster, name)["under_way"] == 1, "it is taken", 120))
        assert page is None and (entry(cluster, name)["left"], entry(cluster, name)["under_way"]) == (0, 1)
    finally:
        cluster.directories[1].restart(**AS_BEFORE)
    assert not check_spent_once_or_not_at_all(cluster, code, mail, page)


def test_an_account_made_by_a_directory_that_is_killed_stays_and_the_code_is_used(cluster):
    code, name = make(cluster)
    mail = someone()
    page = killed_while_registering(cluster, code, mail, lambda: wait_until(lambda: known(cluster, mail), "it is made", 120, every_s=0))
    assert check_spent_once_or_not_at_all(cluster, code, mail, page)


def test_whenever_a_directory_is_killed_a_registration_is_whole_or_undone(cluster):
    seed = os.environ.get("HEDDLE_SEED", "1")
    rnd = random.Random(seed)
    begun = time.monotonic()
    assert register(Visitor(cluster.directories[1].url), make(cluster)[0]).heading == "My account"
    usual_s = time.monotonic() - begun
    seen = []
    for _ in range(4):
        code, name = make(cluster)
        mail, at = someone(), time.monotonic() + rnd.uniform(0, 1.2) * usual_s
        page = killed_while_registering(cluster, code, mail, lambda: wait_until(lambda: time.monotonic() >= at, "a moment has come", 60, every_s=0.0005))
        seen.append(check_spent_once_or_not_at_all(cluster, code, mail, page))
    print(f"seed {seed}: made {seen}")


def test_wrong_used_expired_and_revoked_codes_are_one_sentence(cluster):
    used, _ = make(cluster)
    assert register(Visitor(cluster.directory.url), used).heading == "My account"
    revoked, name = make(cluster)
    assert json.loads(cluster.admin("invite", "revoke", name.upper(), "--json")) == {"id": name, "state": "revoked"}
    cluster.admin("invite", "revoke", name, expect=3)
    cluster.admin("invite", "revoke", revoked, expect=2)  # whole codes belong into no argument list
    expired, _ = make(cluster, "--expires", "60")
    mail = someone()
    with later(cluster, 61):
        said = {c: register(Visitor(cluster.directories[1].url), c, mail) for c in
                (used, revoked, expired, "0000-0000-0000-0000-0000", used[:-1], "", "' OR 1=1 --", "*", "<b>")}
    for code, page in said.items():
        assert page.status == 200 and page.problem == REFUSED, code
    assert not known(cluster, mail)
    log = "".join(d.log_text() for d in cluster.directories)
    for why in ("used up", "expired", "no such invite code"):
        assert why in log


@pytest.mark.parametrize("language,label,sentence", [
    ("en", "Invite code", REFUSED),
    ("de", "Einladungscode", "Dieser Einladungscode lässt sich nicht verwenden. Prüfen Sie ihn, oder bitten Sie um einen anderen."),
    ("fr", "Code d'invitation", "Ce code d'invitation ne peut pas être utilisé. Vérifiez-le ou demandez-en un autre.")])
def test_the_page_asks_in_the_readers_language(cluster, language, label, sentence):
    v = Visitor(cluster.directory.url, language)
    page = v.get("/account/register")
    assert label in page.text and any(f.get("name") == "invite" and "required" in f for f in page.fields)
    assert register(v, "0000-0000-0000-0000-0000").problem == sentence


def test_guesses_are_limited(cluster):
    code, _ = make(cluster)
    guesser, other = (Visitor(cluster.directory.url, peer=peer) for peer in ("192.0.2.66", "192.0.2.67"))
    assert [register(guesser, "0000-0000-0000-0000-0000").status for _ in range(4)] == [200, 200, 200, 503]
    refused = register(guesser, code)
    assert refused.status == 503 and 0 < int(refused.headers["Retry-After"]) <= 3600
    assert register(other, code).heading == "My account"


def test_browsers_own_forms_are_refused_and_the_log_names_the_page(cluster):
    mail = someone()
    user = Storage11(cluster.directory, username_of(mail), PASSWORD, mail)
    user.account("PUT", "", {"password": PASSWORD, "email": mail}, authorization="", expect=400, code=3)
    assert not known(cluster, mail)
    assert f"{cluster.directory.url}/account/register" in cluster.directory.log_text()


def test_todays_firefox_is_taken_by_the_list(cluster):
    def token(sub):
        t = cluster.issuer.access_token(sub, now=cluster.directory.now())
        return cluster.directory.get("/1.0/sync/1.5", {"Authorization": f"Bearer {t}", "X-KeyID": "1-AAAAAAAAAAAAAAAAAAAAAA"})
    assert token(cluster.listed).status == 200
    assert token("e" * 32).status == 403


def test_a_code_stands_nowhere_but_in_the_answer_that_made_it(cluster):
    code, name = make(cluster, "--note", "secret?")
    assert register(Visitor(cluster.directories[1].url), code[:-1] + ("0" if code[-1] != "0" else "1")).problem == REFUSED
    assert register(Visitor(cluster.directories[1].url), code).heading == "My account"
    if cluster.accounts == "sqlite":
        with sqlite3.connect(cluster.folder / "directory.sqlite") as db:
            kept = "\n".join(db.iterdump())
    else:
        kept = cluster.provider.as_root("ldapsearch", "-LLL", "-o", "ldif-wrap=no", "-b", cluster.base)
    logs = "".join(p.log_text() for p in [*cluster.directories, *cluster.nodes])
    listed = cluster.admin("invite", "list", "--json") + cluster.admin("invite", "list")
    assert name in kept and name in listed and name in audit(cluster)
    for text in (kept, logs, audit(cluster), listed):
        for form in (code, code.lower(), code.replace("-", ""), code.replace("-", "").lower(), code[5:], code[5:].lower()):
            assert form not in text


def test_what_is_done_with_codes_is_in_the_audit_log(cluster):
    _, name = make(cluster, "--uses", "2", "--expires", "7d")
    cluster.admin("invite", "revoke", name)
    text = audit(cluster)
    assert f"invite code {name} made" in text and f"invite code {name} revoked" in text
    i = run("--set", f"admin.directory={cluster.directory.socket}", "--set", f"admin.key={cluster.admin_key}", "invite", "make", "--uses", "0",
            program="heddle-admin")
    assert i[0] == 2
    cluster.admin("invite", "make", "--expires", "367d", expect=2)
    cluster.admin("invite", "make", "--note", "a\nb", expect=2)


def test_settling_sweeps_old_codes(cluster):
    _, old = make(cluster, "--expires", "1d")
    _, young = make(cluster)
    with later(cluster, 9 * 86400):
        assert cluster.tell("sweep")["deleted"] >= 1
        assert entry(cluster, old) is None and entry(cluster, young)["state"] == "good"
    cluster.admin("settle")


def test_an_admin_starts_a_reset_and_sees_no_code(cluster, pages):
    code, _ = make(cluster)
    mail = someone()
    register(pages[0], code, mail)
    out = cluster.admin("user", "reset", username_of(mail), "--json")
    said = json.loads(out)
    assert said["mailed"] is True and said["mail"] == mail
    letter = wait_until(lambda: [m for d in cluster.directories for m in Folder(Path(d.folder) / "data" / "mail").all(mail)], "the mail", 120)[-1]
    key = key_in(link_in(letter))
    assert key not in out and key not in audit(cluster) and "password reset mailed" in audit(cluster)
    assert key not in "".join(d.log_text() for d in cluster.directories)
    assert "Password successfully changed" in Visitor(cluster.directories[1].url).reset(username_of(mail), key, "a new staple of hay").text
    cluster.admin("user", "reset", "nobody-at-all", expect=3)
    other = someone()
    cluster.admin("user", "reset", username_of(mail), "--mail", other, expect=6)  # dangerous: wants a yes
    assert json.loads(cluster.admin("user", "reset", username_of(mail), "--mail", other, "--yes", "--json"))["mail"] == other
    assert cluster.account(username_of(mail))["mail"] == other
