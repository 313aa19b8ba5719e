"""The puzzle that takes the place of a captcha, where it is switched on (User API 1.0, edge cases U18, U24, U39), and the mailed link
for browsers without scripts."""
import hashlib
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from lib.cluster import Cluster, running
from lib.mails import link_in
from lib.pages import Visitor, mails_of
from lib.storage11 import Storage11
from lib.synccrypto import username_of

pytestmark = pytest.mark.one_engine("sqlite+memory")
BITS = 10
PASSWORD = "correct horse battery"


@pytest.fixture
def stack(own_stack):
    return own_stack({"captcha.driver": "work", "captcha.bits": BITS, "registration.secret": "s3cret secret"})


def solve(challenge, bits=BITS):
    number = 0
    while int.from_bytes(hashlib.sha256(f"{challenge}:{number}".encode()).digest()[:8], "big") >> (64 - bits):
        number += 1
    return str(number)


def challenge_of(stack):
    """As old Firefox finds it: by the ids of two elements."""
    page = Visitor(stack.url).get("/misc/1.0/captcha_html")
    assert page.status == 200 and 'id="recaptcha_response_field"' in page.html
    return re.search(r'id="recaptcha_challenge_field"[^>]*value="([^"]*)"', page.html)[1]


def register(stack, challenge=None, response=None, headers=None, **kw):
    mail = f"{len(mails_of(stack).all())}{id(kw)}{challenge and challenge[-6:].lower().strip('-_')}@example.com"
    user = Storage11(stack.heddle, username_of(mail), PASSWORD, mail)
    body = {"password": PASSWORD, "email": mail}
    if challenge is not None:
        body["captcha-challenge"] = challenge
    if response is not None:
        body["captcha-response"] = response
    user.account("PUT", "", body, headers=headers, authorization="", **kw)
    return user


def test_U24_with_a_captcha_its_page_is_there(stack):
    assert challenge_of(stack) != challenge_of(stack)
    assert Visitor(stack.url).post("/misc/1.0/captcha_html", {}).status == 200


def test_a_solved_puzzle_counts_once(stack):
    challenge = challenge_of(stack)
    answer = solve(challenge)
    register(stack, challenge, answer)
    register(stack, challenge, answer, expect=400, code=2)


def test_everything_else_is_refused(stack):
    challenge = challenge_of(stack)
    wrong = next(str(n) for n in range(10**6) if int.from_bytes(hashlib.sha256(f"{challenge}:{n}".encode()).digest()[:8], "big") >> (64 - BITS))
    for c, r in ((None, None), (challenge, None), (None, "1"), (challenge, ""), (challenge, wrong), (challenge + "x", solve(challenge + "x")),
                 ("", solve("")), ("x.y", solve("x.y")), (challenge, "mail"), (challenge, 7), (7, "1"), (challenge, solve(challenge) + " " * 40)):
        register(stack, c if isinstance(c, (str, type(None))) else "7", r, expect=400, code=2)


def test_a_puzzle_grows_old(own_stack):
    stack = own_stack({"captcha.driver": "work", "captcha.bits": BITS})
    challenge = challenge_of(stack)
    answer = solve(challenge)
    stack.heddle.advance(1801)
    register(stack, challenge, answer, expect=400, code=2)


@pytest.mark.parametrize("header", ["X-Weave-Secret", "X-Captcha-Override"])
def test_U18_and_U39_the_secret_stands_for_it(stack, header):
    register(stack, headers={header: "wrong"}, expect=400, code=2)
    register(stack, headers={header: "s3cret secret"})


def test_a_reset_over_the_api_wants_it_too(stack):
    user = register(stack, headers={"X-Weave-Secret": "s3cret secret"})
    user.account("GET", "/password_reset", authorization="", expect=400, code=2)
    challenge = challenge_of(stack)
    user.account("GET", f"/password_reset?captcha-challenge={challenge}&captcha-response={solve(challenge)}", authorization="")
    user.account("DELETE", "/password_reset", expect=400, code=2)
    challenge = challenge_of(stack)
    user.account("DELETE", f"/password_reset?captcha-challenge={challenge}&captcha-response={solve(challenge)}")


def test_the_form_and_without_scripts_the_mailed_link(stack):
    guest = Visitor(stack.url)
    assert "not solved" in guest.register("early@example.com", PASSWORD).problem
    page = guest.get("/account/register")
    answered = guest.post("/account/register", {**page.hidden, "email": "one@example.com", "password": PASSWORD, "confirm": PASSWORD,
                                                "recaptcha_response_field": solve(page.hidden["recaptcha_challenge_field"])})
    assert answered.heading == "My account"
    plain = Visitor(stack.url)
    assert "/account/pass" in re.search(r"<noscript>.*?</noscript>", plain.get("/account/register").html)[0]
    assert "is on its way" in plain.submit("/account/pass", email="two@example.com").text
    link = link_in(mails_of(stack).wait("two@example.com"))
    path = link[len(stack.url):]
    assert plain.submit(path, email="two@example.com", password=PASSWORD, confirm=PASSWORD).heading == "My account"
    again = Visitor(stack.url)
    assert "not solved" in again.submit(path, email="three@example.com", password=PASSWORD, confirm=PASSWORD).problem


def test_a_reset_form_works_with_and_without_it(stack):
    user = register(stack, headers={"X-Weave-Secret": "s3cret secret"})
    guest = Visitor(stack.url)
    page = guest.get("/weave-password-reset")
    challenge = page.hidden["recaptcha_challenge_field"]
    fields = {"username": user.name, "recaptcha_challenge_field": challenge}
    assert "not solved" in guest.post("/weave-password-reset", {**fields, "recaptcha_response_field": "x"}).problem
    assert "next 6 hours" in guest.post("/weave-password-reset", {**fields, "recaptcha_response_field": solve(challenge)}).text
    mails_of(stack).wait(user.email, 1)
    assert "next 6 hours" in guest.ask_reset(user.name).text
    mails_of(stack).wait(user.email, 2)


class Puzzled(Cluster):
    def directory_settings(self, folder):
        return super().directory_settings(folder) | {"captcha.driver": "work", "captcha.bits": BITS}


@pytest.mark.parametrize("accounts", ["sqlite", "ldap"])
def test_a_solved_puzzle_counts_once_at_all_directories_together(worker, accounts):
    name = f"puzzle-{accounts}"
    with running(Puzzled(worker.folder / name, worker.template, ["sqlite+memory"], 2, accounts), name) as cluster:
        stacks = [Seen(d) for d in cluster.directories]
        challenge = challenge_of(stacks[0])
        answer = solve(challenge)
        with ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(lambda i: put(cluster.directories[i % 2], f"p{i}@example.com", challenge, answer), range(8)))
        assert sorted(statuses) == [200] + [400] * 7
        cluster.directories[1].stop()
        cluster.directories[1].start()  # which forgets nothing
        assert put(cluster.directories[1], "again@example.com", challenge, answer) == 400


class Seen:
    def __init__(self, directory):
        self.heddle, self.url = directory, directory.url


def put(directory, mail, challenge, answer):
    user = Storage11(directory, username_of(mail), PASSWORD, mail)
    body = {"password": PASSWORD, "email": mail, "captcha-challenge": challenge, "captcha-response": answer}
    return user.account("PUT", "", body, authorization="", expect=(200, 400)).status
