"""User API 1.0: every row of its table of bad input (section 9), except forms (with the password-reset screens) and captcha fields (with
the captcha). Never 500, and nothing changes."""
import json
import os
import random

import pytest

from lib.storage11 import Storage11
from lib.wire import raw_exchange

pytestmark = pytest.mark.one_engine("sqlite+memory")


@pytest.fixture
def newcomer(stack):
    user = stack.user11(register=False)
    yield user
    assert user.account("GET", authorization="").body == b"0", "nothing may have been made"
    user.close()


@pytest.fixture
def kept(user11):
    yield user11
    user11.get("/info/collections")  # name, password and all are as they were


def sign_up(user, body, **kw):
    return user.account("PUT", "", body, authorization="", **kw)


ILLEGAL = [*"!$&'()*+,:;<=>@[]^`{|}~\"\\", "%23", "%25", "%2F", "%00", "%0A", "%C3%A4", "%FF", "%", "%2", "a%20b", "ä", "a*b", "a)(uid=*",
           "a\\2a", "user%0d%0aname", "%3Cscript%3E"]


@pytest.mark.parametrize("name", ILLEGAL)
def test_illegal_letters_in_names_are_no_place(stack, name):
    target = "/user/1.0/" + name.encode().decode("latin-1")
    body = json.dumps({"email": "a@example.com", "password": "correct horse"}).encode()
    for method, rest, content in (("GET", "", None), ("GET", "/node/weave", None), ("PUT", "", body), ("DELETE", "", None),
                                  ("POST", "/password", b"correct horse")):
        lines = f"{method} {target}{rest} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        lines += f"Content-Length: {len(content)}\r\n" if content else ""
        r = raw_exchange("127.0.0.1", stack.heddle.port, lines.encode("latin-1") + b"\r\n" + (content or b""))
        assert r.status in (400, 404), repr(r)


@pytest.mark.parametrize("size", [33, 300, 4000])
def test_an_over_long_name(stack, size):
    user = Storage11(stack.heddle, "n" * size, "correct horse", "a@example.com")
    sign_up(user, {"email": "a@example.com", "password": "correct horse"}, expect=400, code=3)
    assert user.account("GET", authorization="").body == b"0"
    user.node(authorization="", expect=404)
    user.account("DELETE", expect=401)


NO_OBJECTS = [b"", b" ", b"no json", b'{"email":', b'{"email":"a"', b'{"a":1}}', b"[]", b'["email"]', b'"text"', b"5", b"null", b"true",
              '{"email":"fran\u00e7ois@valid.test"}'.encode("latin-1"), b"\xff\xfe{}", b"\x00", b"[" * 5000, b'{"email":"\xed\xa0\x80"}']


@pytest.mark.parametrize("body", NO_OBJECTS, ids=lambda b: repr(b)[:24])
def test_sign_up_with_a_body_that_is_no_object(newcomer, body):
    sign_up(newcomer, body, expect=400, code=6)


@pytest.mark.parametrize("mail", [5, 1.5, True, None, {}, [], ["a@example.com"], "", " ", "\n"], ids=str)
def test_sign_up_with_an_address_that_is_no_text(newcomer, mail):
    sign_up(newcomer, {"email": mail, "password": "correct horse"}, expect=400, code=12)


@pytest.mark.parametrize("password", [5, 12345678, True, None, {}, ["correct horse"]], ids=str)
def test_sign_up_with_a_password_that_is_no_text(newcomer, password):
    sign_up(newcomer, {"email": newcomer.email, "password": password}, expect=400, code=7)


BAD_MAILS = ["a\r\nBcc: b@example.com", "a@example.com\n", "a\u0000@example.com", "x" * 243 + "@example.com", "a@b@example.com",
             "a b@example.com", "a,b@example.com", "<a@example.com>", "a@example..com", "a..b@example.com", ".@example.com", "tarek",
             "tarek@moz", "tarek@192.12.32334.3", "newemail.com", "@example.com", "a@", "a@example.c", "a@exam_ple.com",
             "a@example.com\u007f", '"@example.com', "a@example.com\u0000"]
GOOD_MAILS = ["tarek@mozilla.com", "tarek+sync@mozilla.com", "tarek@127.0.0.1", '"a b"@example.com', "x" * 242 + "@example.com"]


@pytest.mark.parametrize("mail", BAD_MAILS, ids=ascii)
def test_addresses_outside_the_rule(newcomer, mail):
    sign_up(newcomer, {"email": mail, "password": "correct horse"}, expect=400, code=12)


@pytest.mark.parametrize("mail", GOOD_MAILS, ids=ascii)
def test_addresses_inside_the_rule(kept, mail):
    assert kept.account("POST", "/email", mail).text == mail


@pytest.mark.parametrize("password", ["\u0000" * 8, "correct\u0000horse", "x" * 1025, "é" * 513, "x" * 7, "ééé", " " * 7])
def test_passwords_outside_the_rule(newcomer, kept, password):
    sign_up(newcomer, {"email": newcomer.email, "password": password}, expect=400, code=9)
    kept.account("POST", "/password", password, expect=400, code=9)


@pytest.mark.parametrize("body, code", [(b"", 7), (b"\xff" * 10, 9), (b"caf\xe9 caf\xe9 caf\xe9", 9), (b"\xc0\x80" * 8, 9),
                                        (b"\xed\xa0\x80" * 4, 9)])
def test_a_new_password_that_is_empty_or_no_utf8(kept, body, code):
    kept.account("POST", "/password", body, expect=400, code=code)


def test_the_new_password_is_judged_before_the_old_one(kept):
    for authorization in ("", kept.authorization(password="wrong password")):
        kept.account("POST", "/password", "short", authorization=authorization, expect=400, code=9)
        kept.account("POST", "/password", "long enough", authorization=authorization, expect=401)


@pytest.mark.parametrize("size", [16 * 1024 + 1, 100_000])
def test_bodies_above_16_kib(newcomer, kept, size):
    sign_up(newcomer, {"email": newcomer.email, "password": "correct horse", "pad": "x" * size}, expect=413, code=17)
    kept.account("POST", "/password", "x" * size, expect=413, code=17)
    kept.account("POST", "/email", "x" * size, expect=413, code=17)


def test_a_body_of_16_kib_is_read(kept, stack):
    user = stack.user11(register=False)
    full = {"email": user.email, "password": "correct horse", "pad": ""}
    full["pad"] = "x" * (16 * 1024 - len(json.dumps(full)))
    sign_up(user, full)


BAD_CODES = ["", " ", "x", "xk3p-09qz-m2ml-a7tt", "XK3P-09QZ-M2ML", "XK3P-09QZ-M2ML-A7T", "XK3P-09QZ-M2ML-A7TT-", "XK3P09QZM2MLA7TT",
             "XK3P-09QZ-M2ML-A7T!", "-".join(["AAAA"] * 8), "A" * 1000, "XK3P_09QZ_M2ML_A7TT"]


@pytest.mark.parametrize("code", BAD_CODES)
def test_reset_codes_of_a_wrong_form(kept, newcomer, code):
    for user in (kept, newcomer):
        user.account("POST", "/password", "a new password", headers={"X-Weave-Password-Reset": code}, authorization="", expect=400,
                     code=10)


def test_a_reset_code_of_a_megabyte_meets_the_limit_of_headers(stack, kept):
    r = raw_exchange("127.0.0.1", stack.heddle.port, f"POST /user/1.0/{kept.name}/password HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\n"
                     f"X-Weave-Password-Reset: {'A' * 1_000_000}\r\n\r\na new password".encode())
    assert r is None or r.status in (400, 413, 431)


BAD_BASIC = ["Basic", "Basic ", "Basic !!!", "Basic dTpw dTpw", "Basic dTpw=", "Basic " + "QUFB" * 2000, "basicdTpw", "Hawk x", "Bearer x",
             "Basic dQ==", "Basic /w==", "Basic AAAA", "x", 'Digest username="a"', "Basic dTp\u00e4"]


@pytest.mark.parametrize("header", BAD_BASIC)
def test_malformed_basic(kept, header):
    header = header.encode().decode("latin-1")
    for method, rest, body in (("DELETE", "", None), ("POST", "/email", "a@example.com"), ("POST", "/password", "a new password")):
        kept.account(method, rest, body, authorization=header, expect=(401, 431))


def test_two_authorization_headers(kept):
    kept.account("DELETE", headers={"authorization": kept.authorization()}, expect=401)


def test_random_bytes_never_make_a_500(stack, kept):
    """A thousand bodies, names and headers of noise; the seed is told by the name of the failure."""
    seed = int.from_bytes(os.urandom(4), "big")
    noise = random.Random(seed)
    c = stack.heddle.connection()
    places = [("PUT", ""), ("POST", "/password"), ("POST", "/email"), ("GET", "/password_reset"), ("GET", "/node/weave"), ("DELETE", "")]
    for _ in range(1000):
        method, rest = noise.choice(places)
        name = "".join(noise.choice("abcXYZ019._-") for _ in range(noise.randrange(1, 40)))
        odd = {key: noise.randbytes(9).decode("latin-1") for key in ("email", "password")}
        body = noise.choice([noise.randbytes(noise.randrange(200)), json.dumps(odd).encode()])
        header = "".join(chr(noise.randrange(32, 127)) for _ in range(noise.randrange(60)))
        headers = [("Authorization", noise.choice(["", "Basic "]) + header)] if noise.random() < 0.7 else []
        headers += [("X-Weave-Password-Reset", header)] if noise.random() < 0.2 else []
        r = c.request(method, f"/user/1.0/{name}{rest}", headers, None if method in ("GET", "DELETE") else body)
        assert r.status in (200, 400, 401, 404, 413, 503), (seed, repr(r))
        assert r.status != 503 or "password" in rest, (seed, repr(r))
    c.close()
