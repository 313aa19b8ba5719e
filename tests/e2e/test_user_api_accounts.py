"""User API 1.0: accounts of Sync 1.1, as Firefox up to 28 and Pale Moon make and use them (edge cases U1 to U42 of its section 8).

| rows | where |
| --- | --- |
| U1, U4, U14-U17, U19-U23, U24 (off), U28-U31, U35, U36, U38, U40, U41 | here; section 9 in test_user_api_badinput.py |
| U5-U13, U22 (a good key), U26 | test_screens_reset.py |
| U18, U24 (on), U39 | test_screens_captcha.py |
| U25 | test_screens_pages.py |
| U2, U3, U27, U32-U34 | test_cluster_edge_cases.py: with several nodes, an operator and LDAP |
| U37 | there is no such service |
| U42 | what the client shows; our part, that a server never answers 404 there, in test_cluster_edge_cases.py |
"""
import base64
import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from lib.ops import log_objects
from lib.processes import wait_until
from lib.storage11 import Storage11
from lib.synccrypto import username_of

pytestmark = pytest.mark.one_engine("sqlite+memory")


def exists(user):
    r = user.account("GET", authorization="")
    assert r.type == "text/plain" and r.body in (b"0", b"1"), repr(r)
    return r.body == b"1"


def put(stack, name, body, headers=None, **kw):
    """PUT of an account with exactly this body."""
    user = Storage11(stack.heddle, name, "x")
    r = user.request("PUT", f"/user/1.0/{name}", body, headers, authorization="", **kw)
    user.close()
    return r


def fresh_mail(domain="example.com"):
    return f"{os.urandom(8).hex()}@{domain}"


def register_raw(stack, mail, name=None, password="correct horse", **kw):
    return put(stack, name or username_of(mail), {"email": mail, "password": password}, **kw)


@pytest.fixture
def newcomer(stack):
    """Not registered yet."""
    user = stack.user11(register=False)
    yield user
    user.close()


# ---- is it there? ----

def test_U1_and_U31_known_deleted_and_never_seen(newcomer):
    assert not exists(newcomer)
    newcomer.register()
    assert exists(newcomer)
    newcomer.account("DELETE")
    assert not exists(newcomer)
    newcomer.register()
    assert exists(newcomer)


def test_U4_words_in_another_order_are_no_place(user11):
    user11.account("GET", "/weave/node", authorization="", expect=404)
    for rest in ("/node", "/node/other", "/node/weave/x", "/nothing", "/node_weave"):
        user11.account("GET", rest, authorization="", expect=404)


def test_U41_the_probe_of_a_client_that_looks_at_a_server(stack):
    user = Storage11(stack.heddle, "a", "x")
    assert not exists(user)


def test_names_are_of_any_case_slashes_at_the_end_do_not_matter_and_1_is_1_0(user11):
    name = user11.name
    for path in (f"/user/1.0/{name.upper()}", f"/user/1.0/{name}/", f"/user/1.0/{name}//", f"/user/1/{name}", f"/user/1/{name.title()}/"):
        assert user11.request("GET", path, authorization="").body == b"1", path
    for path in (f"/user/1.0/{name.upper()}/node/weave", f"/user/1/{name}/node/weave/"):
        assert user11.request("GET", path, authorization="").text == user11.server.url + "/"
    assert user11.request("HEAD", f"/user/1.0/{name}", authorization="").body == b""


@pytest.mark.parametrize("method, rest", [("POST", ""), ("PUT", "/node/weave"), ("GET", "/password"), ("DELETE", "/email"),
                                          ("PUT", "/password")])
def test_methods_that_a_place_does_not_have(user11, method, rest):
    user11.account(method, rest, "x" if method in ("POST", "PUT") else None, expect=405)
    assert exists(user11)


# ---- where? ----

@pytest.mark.one_engine("sqlite+memory", "mysql+redis")
def test_node_weave_is_plain_text_with_a_slash_the_same_each_time_and_needs_no_credentials(user11):
    for authorization in ("", user11.authorization(), user11.authorization(password="wrong"), "Basic !", "Bearer x"):
        r = user11.node(authorization=authorization)
        assert (r.type, r.text) == ("text/plain", user11.server.url + "/"), repr(r)
    user11.save("bookmarks", "a", "x")
    assert user11.ids("bookmarks") == ["a"]


def test_node_weave_of_an_unknown_user_is_404_without_a_body_and_what_follows_is_401(newcomer):
    """The client then takes our own address for a node: it must not loop."""
    r = newcomer.node(expect=404)
    assert r.body == b""
    for version in ("1.0", "1.1"):
        newcomer.request("GET", f"/{version}/{newcomer.name}/info/collections", expect=401, code=0)


# ---- making an account ----

def test_U14_an_account_that_exists_is_told_before_anything_else(user11, stack):
    for body in (b"", b"no json", {"email": "bad"}, {"email": user11.email, "password": "another password"}):
        put(stack, user11.name, body, expect=400, code=4)
    assert user11.signs_in()


@pytest.mark.parametrize("change, code", [
    ({"password": None}, 7), ({"password": ""}, 7), ({"email": "bademailhere"}, 12), ({"email": "tarek@moz"}, 12), ({"email": None}, 12),
    ({"password": "x"}, 9), ({"password": "tarek2"}, 9), ({"email": "other@example.com"}, 15),
    ({"email": "bad", "password": ""}, 12), ({"email": "other@example.com", "password": ""}, 15)], ids=str)
def test_U15_what_is_wrong_is_told_in_the_order_of_the_table(newcomer, stack, change, code):
    body = {"email": newcomer.email, "password": "correct horse", **change}
    put(stack, newcomer.name, {n: v for n, v in body.items() if v is not None}, expect=400, code=code)
    assert not exists(newcomer)


@pytest.mark.one_engine("sqlite+memory", "mysql+redis")
def test_U16_a_good_one_with_captcha_fields_answers_with_the_bare_name(newcomer):
    r = newcomer.register()
    assert (r.type, r.text) == ("text/plain", newcomer.name)
    assert exists(newcomer) and newcomer.signs_in() and not newcomer.signs_in("another password")


def test_U16_the_answer_is_the_lower_case_name_and_the_content_type_of_requests_does_not_matter(stack):
    mail = fresh_mail()
    name = username_of(mail)
    r = put(stack, name.upper(), {"email": mail.upper(), "password": "correct horse"}, type="application/x-www-form-urlencoded")
    assert r.text == name
    put(stack, name, {"email": mail, "password": "correct horse"}, expect=400, code=4)


def test_U16_a_password_that_is_the_name_is_weak(own_stack):
    stack = own_stack({"registration.strict_usernames": "no"})
    for password in ("tttttttt", "TTTTtttt", " tttttttt ", "\ttttttttt\n"):
        put(stack, "tttttttt", {"email": "t@example.com", "password": password}, expect=400, code=9)
    put(stack, "tttttttt", {"email": "t@example.com", "password": "ttttttttt"})
    put(stack, "tarek", {"email": "t@example.com", "password": "t" * 8})  # a letter repeated is no matter


@pytest.mark.one_engine("sqlite+memory", "mysql+redis")
@pytest.mark.parametrize("password", ["é" * 9, "x" * 9, "éééé", "correct:horse:battery", " leading and trailing ", "日本語パスワード", "🔑🔑",
                                      "p" * 1024, "\"quotes\" \\ and / signs", "tab\tline\nend"])
def test_U17_passwords_of_any_letters_work_and_delete_the_account(stack, password):
    user = stack.user11(password=password)
    assert user.signs_in()
    assert not user.signs_in(password[:-1]) and not user.signs_in(password + " ")
    user.account("DELETE")
    assert not exists(user)


@pytest.mark.parametrize("secret", ["right-secret", "wrong", ""])
def test_U18_without_a_captcha_the_secret_changes_nothing(own_stack, secret):
    stack = own_stack({"registration.secret": "right-secret"})
    mail = fresh_mail()
    register_raw(stack, mail, headers={"X-Weave-Secret": secret})
    stack.heddle.restart(registration__mode="closed")
    r = register_raw(stack, fresh_mail(), headers={"X-Weave-Secret": secret}, expect=503)
    assert int(r.header("Retry-After")) > 0


@pytest.mark.parametrize("mail, name", [
    ("test@test.com", "u2wqblarhim5su7pxemcbwdyryrghmuk"), ("john@doe.com", "7wohs32cngzuqt466q3ge7indszva4of"),
    ("JANE@doe.com", "vuuf3eqgloxpxmzph27f5a6ve7gzlrms"), ("alice+sync@example.com", "ecz3lqkh7eotpvoektgwddcg4iegkqua"),
    ("Fran%c3%a7ios@valid.test", "ym3nccfhvptfrhn7nkhhyvzgf2yl7r5y"), ("Françios@valid.test", "e7erlex7nbimfchyppfcmiucp764njze")])
def test_U28_names_belong_to_addresses(own_stack, mail, name):
    """Both ways for letters beyond ASCII: that of the Python servers, and that of Firefox."""
    stack = own_stack()
    wrong = name[:-1] + ("a" if name[-1] != "a" else "b")
    put(stack, wrong, {"email": mail, "password": "correct horse"}, expect=400, code=15)
    assert put(stack, name, {"email": mail, "password": "correct horse"}).text == name


def test_U28_names_need_not_belong_to_addresses_when_they_may_be_chosen(own_stack):
    stack = own_stack({"registration.strict_usernames": "no"})
    assert put(stack, "Tarek.Z_1-2", {"email": "other@example.com", "password": "correct horse"}).text == "tarek.z_1-2"
    user = Storage11(stack.heddle, "tarek.z_1-2", "correct horse")
    assert user.signs_in()


def test_U30_when_sign_up_is_closed_it_is_503_and_what_is_wrong_comes_first(own_stack):
    stack = own_stack()
    old = stack.user11()
    stack.heddle.restart(registration__mode="closed")
    new = stack.user11(register=False)
    put(stack, new.name, {"email": "bad"}, expect=400, code=12)
    put(stack, old.name, b"", expect=400, code=4)
    new.register(expect=503)
    assert not exists(new) and old.signs_in()
    old.account("POST", "/password", "another password")  # those who are here keep all they can do
    assert f'"registration.allow":"{new.email}"' in stack.heddle.log_text()


def test_U30_a_list_of_addresses_and_domains_that_follows_a_reload(own_stack):
    stack = own_stack({"registration.mode": "list", "registration.allow": ["Alice@Example.com", "*@school.org", "*@work.example.net"]})
    for mail in ("alice@EXAMPLE.com", "anybody@school.org", "BOB@Work.Example.NET"):
        register_raw(stack, mail)
    for mail in ("bob@example.com", "x@other-school.org", "x@school.org.evil.com", "x@sub.school.org", "alice@example.com.evil.org"):
        register_raw(stack, mail, expect=400, code=3)
        assert f'"registration.allow":"{mail}"' in stack.heddle.log_text()
    stack.heddle.reload(registration__allow=["bob@example.com"])
    wait_until(lambda: register_raw(stack, "bob@example.com", expect=None).status == 200, "the new list is in force")
    register_raw(stack, "carol@school.org", expect=400, code=3)
    stack.heddle.reload(registration__mode="closed")
    wait_until(lambda: register_raw(stack, "carol@school.org", expect=None).status == 503, "the new mode is in force")
    stack.heddle.reload(registration__mode="open")
    wait_until(lambda: register_raw(stack, "carol@school.org", expect=None).status == 200, "open again")


def test_U30_a_list_in_a_file_is_read_again_on_reload(own_stack):
    stack = own_stack(start=False)
    path = stack.heddle.folder / "people"
    path.write_text("alice@example.com\n\n@school.org\n")
    stack.heddle.settings |= {"registration.mode": "list", "registration.allow": f"@{path}"}
    stack.heddle.start()
    register_raw(stack, "alice@example.com"), register_raw(stack, "x@school.org")
    register_raw(stack, "bob@example.com", expect=400, code=3)
    path.write_text("bob@example.com\n")
    stack.heddle.reload()
    wait_until(lambda: register_raw(stack, "bob@example.com", expect=None).status == 200, "the new people are known")
    register_raw(stack, "y@school.org", expect=400, code=3)


# ---- signing in ----

def test_U29_credentials_that_are_empty_anothers_or_wrong(user11, stack):
    other = stack.user11()
    pairs = ["", ":", f"{user11.name}:", f":{user11.password}", user11.name, f"{user11.name}:wrong", f"{other.name}:{other.password}x",
             f"{user11.name}:{user11.password}x", f"{user11.name}:{user11.password} ", f"{user11.name} :{user11.password}"]
    for pair in pairs:
        header = "Basic " + base64.b64encode(pair.encode()).decode()
        user11.account("POST", "/email", "new@example.com", authorization=header, expect=401)
        user11.account("DELETE", authorization=header, expect=401)
        user11.get("/info/collections", authorization=header, expect=401)
    user11.get("/info/collections", authorization=other.authorization(), expect=401)
    user11.account("DELETE", authorization=other.authorization(), expect=401)
    assert user11.signs_in() and other.signs_in()


def test_U29_the_scheme_is_of_any_case_and_so_is_the_name(user11):
    header = "bAsIc " + base64.b64encode(f"{user11.name.upper()}:{user11.password}".encode()).decode()
    user11.get("/info/collections", authorization=header)
    user11.account("POST", "/email", user11.email, authorization=header)


# ---- changing ----

def test_U19_and_U20_the_address_is_changed_and_the_name_stays(user11):
    assert user11.account("POST", "/email", "new.address@example.org").text == "new.address@example.org"
    for bad in ("", "newemail.com", "tarek@192.12.32334.3", "a@b", "a@example.com\r\nBcc: x@example.com", "x" * 250 + "@example.com"):
        user11.account("POST", "/email", bad, expect=400, code=12)
    user11.account("POST", "/email", "new@example.com", authorization=user11.authorization(password="wrong password"), expect=401)
    user11.account("POST", "/email", "new@example.com", authorization="", expect=401)
    assert exists(user11) and user11.signs_in()


@pytest.mark.one_engine("sqlite+memory", "mysql+redis")
def test_U21_and_U36_a_changed_password_is_in_force_at_once_and_the_old_one_is_dead_everywhere(user11):
    for _ in range(3):
        assert user11.signs_in()  # the node remembers its verdict from here on
    old, new = user11.password, "tö be or nöt"
    assert user11.account("POST", "/password", new).text == "success"
    assert not user11.signs_in(old) and user11.signs_in(new)
    user11.account("POST", "/password", old, expect=401)
    user11.account("DELETE", expect=401)
    user11.password = new
    user11.account("POST", "/password", "short", expect=400, code=9)
    assert user11.account("POST", "/password", old).text == "success"
    assert user11.signs_in(old) and not user11.signs_in(new)


def test_U21_the_whole_body_is_the_password_blanks_included(user11):
    new = "  two words \n"
    user11.account("POST", "/password", new)
    assert user11.signs_in(new) and not user11.signs_in(new.strip())


def test_U22_a_reset_code_is_judged_by_form_then_by_user(user11, newcomer):
    """A good one: test_screens_reset.py."""
    well_formed = {"X-Weave-Password-Reset": "XK3P-09QZ-M2ML-A7TT"}
    newcomer.account("POST", "/password", "a new password", headers=well_formed, authorization="", expect=404)
    user11.account("POST", "/password", "a new password", headers=well_formed, authorization="", expect=400, code=10)
    user11.account("POST", "/password", "a new password", headers=well_formed, expect=400, code=10)  # good credentials do not stand for it
    assert user11.signs_in() and not user11.signs_in("a new password")


def test_U37_what_a_registration_service_of_its_own_would_answer(newcomer, stack):
    """There is none: these are the answers of the one place where accounts are made. Down: U33 in test_cluster_edge_cases.py."""
    assert newcomer.register().text == newcomer.name
    put(stack, newcomer.name, {"email": newcomer.email, "password": "correct horse"}, expect=400, code=4)
    other = fresh_mail()
    put(stack, username_of(other), {"password": "correct horse"}, expect=400, code=12)
    newcomer.account("POST", "/password", "a new password", headers={"X-Weave-Password-Reset": "XK3P-09QZ-M2ML-A7TT"}, authorization="",
                     expect=400, code=10)


# ---- deleting ----

@pytest.mark.one_engine("sqlite+memory", "mysql+redis")
def test_U23_a_deleted_account_is_refused_at_once_and_its_data_are_nobodys(user11, stack):
    user11.save("bookmarks", "a", "secret diary")
    assert user11.signs_in()
    other = stack.user11()
    user11.account("DELETE", authorization=other.authorization(), expect=401)
    assert json.loads(user11.account("DELETE").body)
    assert not exists(user11) and not user11.signs_in()
    user11.account("DELETE", expect=401)
    user11.node(expect=404)
    user11.register()
    assert user11.info() == {}  # the same name is another user
    assert other.signs_in()


def test_U24_without_a_captcha_its_page_is_404(stack):
    user = Storage11(stack.heddle, "a", "x")
    for method in ("GET", "POST"):
        for path in ("/misc/1.0/captcha_html", "/misc/1/captcha_html"):
            user.request(method, path, authorization="", expect=404)


# ---- many ----

@pytest.mark.one_engine("sqlite+memory", "mysql+redis")
def test_U35_fifty_users_at_once_do_not_meet(stack):
    def life(i):
        user = stack.user11(password=f"password of {i}")
        user.save("bookmarks", "mine", str(i))
        user.account("POST", "/password", f"changed by {i}")
        assert not user.signs_in()
        user.password = f"changed by {i}"
        assert user.item("bookmarks", "mine")["payload"] == str(i)
        user.account("DELETE")
        assert not exists(user) and not user.signs_in()
        user.close()
        return i

    with ThreadPoolExecutor(10) as pool:
        assert list(pool.map(life, range(50))) == list(range(50))


def test_U14_of_parallel_sign_ups_for_one_name_one_wins(stack):
    mail = fresh_mail()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda i: register_raw(stack, mail, password=f"password {i}", expect=(200, 400)), range(8)))
    assert sorted(r.status for r in answers) == [200] + [400] * 7
    assert {r.body for r in answers if r.status == 400} == {b"4"}
    won = [i for i, r in enumerate(answers) if r.status == 200][0]
    user = Storage11(stack.heddle, username_of(mail), "")
    assert [i for i in range(8) if user.signs_in(f"password {i}")] == [won]


def test_U38_a_verdict_is_remembered_a_failure_is_not(user11, newcomer):
    assert not newcomer.signs_in()
    newcomer.register()
    assert newcomer.signs_in()  # at once, though it failed a moment ago
    for _ in range(3):
        assert user11.signs_in() and not user11.signs_in("wrong password")


# ---- addresses of clients ----

def test_U40_the_source_is_told_by_trusted_proxies_alone(own_stack):
    """The first of X-Forwarded-For whom proxies of ours vouch for: who stands before him can be anybody's invention."""
    trusting, plain = own_stack({"public.trusted_proxies": "127.0.0.1, 198.51.100.0/24"}), own_stack()
    for stack, header, peer in ((trusting, " 192.0.2.7 , 198.51.100.1", "192.0.2.7"), (trusting, "192.0.2.7", "192.0.2.7"),
                                (trusting, "1.2.3.4, 192.0.2.7, 198.51.100.1", "192.0.2.7"), (trusting, "nonsense", "127.0.0.1"),
                                (trusting, None, "127.0.0.1"), (plain, "192.0.2.7", "127.0.0.1")):
        user = Storage11(stack.heddle, "u", "x")
        seen = [line["peer"] for line in user_requests(stack)]
        user.request("GET", "/user/1.0/u", headers={"X-Forwarded-For": header} if header else None, authorization="")
        wait_until(lambda: len(user_requests(stack)) > len(seen), "the request is in the log")
        assert user_requests(stack)[-1]["peer"] == peer, header


def user_requests(stack):
    return [line for line in log_objects(stack.heddle, "request") if line["route"] == "/user/1.0/{user}"]


def test_wrong_passwords_and_sign_ups_of_one_address_are_bounded_and_those_of_loopback_are_not(own_stack):
    stack = own_stack({"public.trusted_proxies": "127.0.0.1", "directory.wrong_passwords": 5, "registration.per_hour": 3})
    user = stack.user11()
    there = {"X-Forwarded-For": "192.0.2.9"}
    wrong = user.authorization(password="wrong password")
    statuses = [user.account("DELETE", authorization=wrong, headers=there, expect=(401, 503)).status for _ in range(8)]
    assert statuses == [401] * 5 + [503] * 3
    user.account("POST", "/email", user.email, headers=there, expect=503)
    user.account("POST", "/email", user.email)
    assert [register_raw(stack, fresh_mail(), headers=there, expect=(200, 503)).status for _ in range(5)] == [200] * 3 + [503] * 2
    for _ in range(5):
        register_raw(stack, fresh_mail())
    register_raw(stack, fresh_mail(), headers={"X-Forwarded-For": "192.0.2.10"})
