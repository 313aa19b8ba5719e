"""The pages as programs see them: sessions, forms, headers, languages, own looks, somebody's data, and what a page costs."""
import ctypes
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from lib.pages import Visitor, least_cost, mails_of, render_s
from lib.processes import ROOT

pytestmark = pytest.mark.one_engine("sqlite+memory")
PASSWORD = "correct horse battery"
PUBLIC = ["/", "/account/sign-in", "/account/register", "/weave-password-reset", "/weave-password-reset?username=a&key=b", "/weave-delete-account"]
PRIVATE = ["/account", "/account/email", "/account/password", "/account/data", "/account/clear", "/account/delete"]


@pytest.fixture
def mine(stack, user11):
    """Somebody who is signed in."""
    v = Visitor(stack.url)
    v.sign_in(user11.name, PASSWORD)
    assert v.signed_in
    return v


# ---- headers ----

@pytest.mark.parametrize("path", PUBLIC + PRIVATE + ["/account/nothing-there"])
def test_every_page_has_its_security_headers(stack, mine, path):
    page = mine.get(path)
    if page.status == 404:
        return
    csp = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in csp and "frame-ancestors 'none'" in csp and "unsafe" not in csp and "base-uri 'none'" in csp
    assert page.headers["X-Content-Type-Options"] == "nosniff" and page.headers["Referrer-Policy"] == "no-referrer"
    assert "Strict-Transport-Security" not in page.headers  # the public URL is http
    assert page.headers["Cache-Control"] == ("no-cache" if path == "/" else "no-store")
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon[a-z]+=", page.html)


def test_with_https_cookies_and_hsts_are_strict(own_stack):
    stack = own_stack({"public.url": "https://sync.example.net/base"})
    v = Visitor(stack.url)
    page = v.get("/account/register")
    assert page.headers["Strict-Transport-Security"] == "max-age=31536000"
    cookie = page.headers["Set-Cookie"]
    assert cookie.startswith("__Host-heddle-form=") and "; Path=/;" in cookie and "; Secure" in cookie and "HttpOnly" in cookie
    assert 'action="/base/account/register"' in page.html and 'href="/base/media/heddle.css"' in page.html
    token = {"Cookie": cookie.split(";")[0]}
    page = v.post("/account/register", {**page.hidden, "email": "a@example.com", "password": PASSWORD, "confirm": PASSWORD}, follow=False, **token)
    assert page.status == 303 and page.headers["Location"] == "/base/account?done=made"
    assert "__Host-heddle=" in page.headers["Set-Cookie"] and "Secure" in page.headers["Set-Cookie"]
    session = {"Cookie": re.search(r"__Host-heddle=[^;]+", page.headers["Set-Cookie"])[0]}
    assert v.get("/base/account", **session).heading == v.get("/account", **session).heading == "My account"
    assert v.get("/account/data", **session).heading == "My data"  # signed for the public name, asked over the own socket


def test_U25_files(stack):
    v = Visitor(stack.url)
    for name, kind in (("heddle.css", "text/css"), ("heddle.js", "text/javascript"), ("captcha.js", "text/javascript"), ("logo", "image/svg+xml")):
        r = v.get(f"/media/{name}")
        assert r.status == 200 and r.headers["Content-Type"].startswith(kind)
        assert v.get(f"/media/{name}", If_None_Match=r.headers["ETag"]).status == 304
    for name in ("nothing.css", "..%2f..%2fetc%2fpasswd", "passwords.txt", "de.mo", "%00"):
        assert v.get(f"/media/{name}").status in (400, 404)


# ---- the first page ----

class QrCode(ctypes.Structure):
    """QRcode of qrencode.h."""
    _fields_ = [("version", ctypes.c_int), ("width", ctypes.c_int), ("data", ctypes.POINTER(ctypes.c_ubyte))]


def qr_modules(text):
    """(width, {(x, y) of the black ones}) as the library makes them."""
    library = ctypes.CDLL("libqrencode.so.4")
    library.QRcode_encodeString8bit.restype = ctypes.POINTER(QrCode)
    code = library.QRcode_encodeString8bit(text.encode(), 0, 1)[0]  # level M
    return code.width, {(i % code.width, i // code.width) for i in range(code.width ** 2) if code.data[i] & 1}


def drawn_modules(svg):
    """The same of a picture: runs "M<x> <y>h<n>v1h-<n>z" within a white margin of 4."""
    whole = int(re.search(r'viewBox="0 0 (\d+) \1"', svg)[1])
    runs = [tuple(map(int, r)) for r in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\3z", svg)]
    return whole - 8, {(x + i - 4, y - 4) for x, y, n in runs for i in range(n)}


def test_the_first_page_tells_each_client_the_exact_value_and_how_to_check(stack):
    page = Visitor(stack.url).get("/")
    new, old = f"{stack.url}/1.0/sync/1.5", f"{stack.url}/"
    values = {"desktop": new, "android": new, "ios": new, "palemoon": old}
    assert dict(re.findall(r'<code id="address-(\w+)">([^<]*)</code>', page.html)) == values
    sections = dict(re.findall(r'<section aria-labelledby="(\w+)">(.*?)</section>', page.html, re.S))
    for client, value in values.items():
        assert f'data-copy="address-{client}"' in sections[client] and "To check:" in sections[client]
        if client != "desktop":
            assert drawn_modules(re.search(r'<svg class="qr".*?</svg>', sections[client])[0]) == qr_modules(value)
    assert 'href="/weave-password-reset"' in page.html


# ---- sessions and forms ----

def test_without_a_session_private_pages_lead_to_the_sign_in(stack):
    for path in [*PRIVATE, "/account/download"]:
        page = Visitor(stack.url).get(path, follow=False)
        assert page.status == 303 and page.headers["Location"] == "/account/sign-in"


def test_a_form_needs_the_token_of_its_visitor(stack, user11, mine):
    other = Visitor(stack.url)
    foreign = other.get("/account/sign-in").hidden["token"]
    posts = {"/account/email": {"email": "evil@example.com", "current": PASSWORD}, "/account/clear": {"x": "1"}, "/account/delete": {"current": PASSWORD},
             "/account/password": {"current": PASSWORD, "password": "evil password", "confirm": "evil password"}, "/account/sign-out": {"x": "1"}}
    user11.save("bookmarks", "a", "x")
    for path, fields in posts.items():
        for token in ({}, {"token": ""}, {"token": foreign}, {"token": "A" * 22}):
            assert mine.post(path, {**fields, **token}).status == 403, path
    guest = Visitor(stack.url)
    assert guest.post("/account/sign-in", {"username": user11.name, "password": PASSWORD}).status == 403
    assert guest.post("/account/sign-in", {"username": user11.name, "password": PASSWORD, "token": foreign}).status == 403
    assert mine.signed_in and user11.item("bookmarks", "a")


def test_a_session_cannot_be_forged_or_mended(stack, mine):
    good = mine.session.cookies.get("heddle")
    text, mac = good.split(".")
    bad = ["", "x", "." , good[:-1] + ("A" if good[-1] != "A" else "B"), text + ".", "." + mac, text + "." + mac[:-2], "A" + good, good * 20, text[:-4] + "." + mac]
    for cookie in bad:
        assert Visitor(stack.url).get("/account", follow=False, Cookie=f"heddle={cookie}").status == 303, cookie
    assert Visitor(stack.url).get("/account", follow=False, Cookie=f"a=b; heddle={good}; c").status == 200
    form = mine.session.cookies.get("heddle-form")
    assert Visitor(stack.url).get("/account", follow=False, Cookie=f"heddle={form}").status == 303


def test_a_session_ends_by_hand_by_idleness_and_by_age(clock_stack):
    user = clock_stack.user11()
    v = Visitor(clock_stack.url)
    v.sign_in(user.name, PASSWORD)
    stolen = v.session.cookies.get("heddle")
    v.post("/account/sign-out", v.get("/account").hidden)
    assert not v.signed_in
    assert Visitor(clock_stack.url).get("/account", follow=False, Cookie=f"heddle={stolen}").status == 303
    v.sign_in(user.name, PASSWORD)
    for _ in range(3):  # used now and then it lives on
        clock_stack.heddle.advance(1500)
        assert v.signed_in
    clock_stack.heddle.advance(1801)
    assert not v.signed_in
    v.sign_in(user.name, PASSWORD)
    for _ in range(27):
        clock_stack.heddle.advance(1700)
        if not v.signed_in:
            break
    else:
        pytest.fail("a session of twelve hours is still alive")


def test_a_change_of_password_ends_all_others_but_not_this_one(stack, user11, mine):
    other = Visitor(stack.url)
    other.sign_in(user11.email, PASSWORD)
    assert mine.change_password(PASSWORD, "another good one").heading == "My account"
    assert mine.signed_in and not other.signed_in
    assert mine.change_password(PASSWORD, "yet another one").problem == "The present password is wrong."


def test_pages_speak_plain_errors(stack, mine):
    assert mine.post("/account/email", {"x": "y" * 20000}).status == 413
    page = mine.session.post(stack.url + "/account/email", data=b"{}", headers={"Content-Type": "application/json"})
    assert page.status_code == 400 and "cannot be understood" in page.text
    assert mine.session.put(stack.url + "/account").status_code == 405


# ---- accounts ----

def test_registering_by_the_switch(own_stack):
    closed = Visitor(own_stack({"registration.mode": "closed"}).url)
    assert "switched off" in closed.get("/account/register").text
    stack = own_stack({"registration.mode": "list", "registration.allow": "*@good.example"})
    v = Visitor(stack.url)
    assert v.register("a@bad.example", PASSWORD).problem == "This address cannot have an account here."
    assert v.register("a@good.example", PASSWORD).heading == "My account"
    assert "has an account already" in Visitor(stack.url).register("a@good.example", PASSWORD).problem
    assert "do not match" in Visitor(stack.url).register("b@good.example", PASSWORD, "other one").problem


def test_the_mail_address_is_changed_and_signs_in(stack, user11, mine):
    new = "new-" + user11.email
    assert mine.submit("/account/email", email="no address", current=PASSWORD).problem
    assert mine.submit("/account/email", email=new, current="wrong").problem == "The present password is wrong."
    assert mine.submit("/account/email", email=new, current=PASSWORD).heading == "My account"
    assert "new-" in mine.get("/account").text
    v = Visitor(stack.url)
    v.sign_in(new, PASSWORD)
    assert v.signed_in
    v.ask_reset(new)
    mails_of(stack).wait(new)


def test_my_data_are_shown_taken_and_deleted(stack, user11, mine):
    user11.save_all("bookmarks", [{"id": f"b{i:03}", "payload": "x" * 2000} for i in range(90)])
    user11.save_all("clients", [{"id": i, "payload": "sealed"} for i in ("phone", "laptop")])
    user11.save("history", "h1", "é\u2028<script>")
    page = mine.get("/account/data")
    assert re.search(r"bookmarks\s+90\s+17[56]\.\d KB\s+20\d\d-\d\d-\d\d", page.text), page.text
    assert "Number of devices: 2" in page.text and "sealed" not in page.html
    assert re.search(r"Last sync 20\d\d-\d\d-\d\d", page.text) and len(re.findall(r"Last sign: 20\d\d-\d\d-\d\d", page.text)) == 2
    r = mine.get("/account/download").response
    assert r.headers["Content-Disposition"] == 'attachment; filename="heddle-data.json"'
    data = r.json()
    assert data["account"] == user11.name and data["email"] == user11.email
    assert {k: len(v) for k, v in data["collections"].items()} == {"bookmarks": 90, "clients": 2, "history": 1}
    assert {b["id"] for b in data["collections"]["bookmarks"]} == {f"b{i:03}" for i in range(90)}
    assert data["collections"]["history"][0]["payload"] == "é\u2028<script>"
    assert mine.submit("/account/clear").heading == "My account"
    assert user11.info() == {} and "There is nothing yet" in mine.get("/account/data").text
    assert mine.signed_in and user11.node()


def test_an_account_is_deleted_with_its_data(stack, user11, mine):
    user11.save("bookmarks", "a", "x")
    assert mine.submit("/account/delete", current="wrong").problem == "The present password is wrong."
    assert mine.submit("/account/delete", current=PASSWORD).heading == "Goodbye"
    assert not mine.signed_in
    user11.get("/info/collections", expect=401)
    user11.register()
    assert user11.info() == {}


def test_many_at_once_see_their_own(stack):
    users = [stack.user11() for _ in range(8)]

    def life(user):
        v = Visitor(stack.url)
        v.sign_in(user.name, PASSWORD)
        for path in PRIVATE * 3:
            page = v.get(path)
            assert page.status == 200 and all(other.name not in page.html for other in users if other is not user)
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(life, users))


# ---- languages and looks ----

@pytest.mark.parametrize("accept, tag, words", [
    ("de", "de", "Synchronisieren Sie hier Ihren Browser"), ("fr-CA, en;q=0.5", "fr", "Synchronisez votre navigateur ici"),
    ("en-GB", "en", "Synchronise your browser here"), ("xx, yy;q=0.1", "en", "Synchronise"), ("", "en", "Synchronise"),
    ("en;q=0.3, de-AT;q=0.7", "de", "Synchronisieren"), ("de;q=0, fr;q=0.1", "fr", "Synchronisez"), ("*;q=0.5, de;q=abc;;,,", "en", "Synchronise")])
def test_pages_speak_the_visitors_language(stack, accept, tag, words):
    page = Visitor(stack.url, accept).get("/")
    assert f'<html lang="{tag}">' in page.html and page.heading.startswith(words)
    assert "Accept-Language" in page.headers["Vary"]


def test_a_language_that_was_chosen_stays(stack):
    v = Visitor(stack.url, "en")
    assert v.get("/?lang=de").heading.startswith("Synchronisieren")
    assert v.get("/account/sign-in").heading == "Anmelden"
    assert v.get("/weave-password-reset?lang=fr").heading == "Réinitialiser votre mot de passe"
    page = v.get("/weave-password-reset?username=a%26b&key=c&lang=de")
    assert '?lang=fr&amp;username=a%26b&amp;key=c"' in page.html
    assert v.get("/?lang=klingon").status == 200


def test_mails_speak_the_language_of_who_asked(stack, user11):
    Visitor(stack.url, "de").ask_reset(user11.name)
    mail = mails_of(stack).wait(user11.email)
    assert mail["Subject"] == "Ihr Sync-Passwort zurücksetzen"


CATALOGUES = {"common/page/po": ["common/page"], "directory/screens/po": ["directory", "directory/screens"], "admin/console/po": ["admin/console"]}


@pytest.mark.parametrize("folder", CATALOGUES)
def test_catalogues_are_whole(tmp_path, folder):
    """Every text of the sources is in every catalogue, and none has a hole that the original has not."""
    sources = sorted(str(p.relative_to(ROOT)) for f in CATALOGUES[folder] for p in (ROOT / f).glob("*.c"))
    subprocess.run(["xgettext", "-o", str(tmp_path / "all.pot"), "--from-code=UTF-8", "--keyword=T", "--keyword=N_", *sources], cwd=ROOT, check=True)
    catalogues = sorted((ROOT / folder).glob("*.po"))
    assert [c.stem for c in catalogues] == ["de", "fr"]
    for po in catalogues:
        done = subprocess.run(["msgcmp", str(po), str(tmp_path / "all.pot")], capture_output=True, text=True)
        assert done.returncode == 0, f"{po.name}:\n{done.stderr}"
        subprocess.run(["msgfmt", "--check", "-o", os.devnull, str(po)], check=True)
        for id_, text in re.findall(r'^msgid "(.+)"\nmsgstr "(.+)"$', po.read_text(), re.M):
            assert sorted(re.findall(r"\{\w*\}", id_)) == sorted(re.findall(r"\{\w*\}", text)), id_


def test_own_logo_style_texts_and_name(own_stack, tmp_path):
    (tmp_path / "logo.png").write_bytes(b"\x89PNG fake")
    (tmp_path / "own.css").write_text(":root { --main: #804000; }")
    (tmp_path / "notes.txt").write_text("not served")
    po = tmp_path / "nl.po"
    po.write_text('msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\nmsgid "Sign in"\nmsgstr "Aanmelden <&>"\n')
    for tag in ("nl", "de"):
        subprocess.run(["msgfmt", "-o", str(tmp_path / f"{tag}.mo"), str(po)], check=True)
    stack = own_stack({"screens.folder": str(tmp_path), "screens.name": "Sync & Söhne"})
    v = Visitor(stack.url)
    assert v.get("/media/logo").headers["Content-Type"] == "image/png" and v.get("/media/notes.txt").status == 404
    assert "#804000" in v.get("/media/own.css").html and "Sync &amp; Söhne" in v.get("/").html
    page = v.get("/account/sign-in?lang=nl")
    assert page.heading == "Aanmelden <&>" and "Aanmelden &lt;&amp;&gt;" in page.html and "Nederlands" in page.html
    page = Visitor(stack.url, "de").get("/account/sign-in")
    assert page.heading == "Aanmelden <&>" and "Passwort vergessen?" in page.text  # the own text first, ours for the rest


@pytest.mark.parametrize("bytes_", [b"", b"x" * 100, b"\xde\x12\x04\x95" + b"\xff" * 24, b"\xde\x12\x04\x95" + bytes(4) + b"\x01\0\0\0\x1c\0\0\0\x24\0\0\0" + b"\xff" * 40])
def test_a_broken_catalogue_is_told_at_the_start(own_stack, tmp_path, bytes_):
    (tmp_path / "nl.mo").write_bytes(bytes_)
    stack = own_stack({"screens.folder": str(tmp_path)}, start=False)
    with pytest.raises(RuntimeError, match="screens.folder: .*nl.mo"):
        stack.heddle.start()


def test_a_file_that_cannot_be_read_is_told_at_the_start(own_stack, tmp_path):
    (tmp_path / "own.css").mkdir()
    stack = own_stack({"screens.folder": str(tmp_path)}, start=False)
    with pytest.raises(RuntimeError, match="screens.folder: .*own.css"):
        stack.heddle.start()


# ---- what it costs ----

def test_the_home_page_is_below_100_KB_with_all_that_it_loads(mine):
    home = mine.get("/")
    loaded = set(re.findall(r'<(?:script|img)[^>]*\bsrc="([^"]+)"', home.html)) | set(re.findall(r'<link[^>]*\bhref="([^"]+)"', home.html))
    assert len(loaded) >= 3 and all(path.startswith("/media/") for path in loaded), loaded
    pages = [mine.get(path) for path in loaded]
    assert all(page.status == 200 for page in pages)
    for page in pages:  # what a style or a picture loads would count, too; there is none
        assert not re.search(rb"url\(|@import|<image", page.response.content)
    assert sum(len(page.response.content) for page in [home, *pages]) < 100_000


def test_a_page_costs_less_than_two_milliseconds_of_the_processor(stack, mine):

    def cpu_s():
        fields = open(f"/proc/{stack.heddle.pid}/stat").read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    limit = render_s()
    for path in ("/", "/account", "/account/email", "/account/password", "/account/clear", "/account/delete", "/account/register",
                 "/weave-password-reset", "/weave-password-reset?username=a&key=b", "/weave-delete-account"):
        def cost():
            begun = cpu_s()
            for _ in range(100):
                assert mine.get(path).status == 200
            return (cpu_s() - begun) / 100

        each = least_cost(cost, limit)
        print(f"{path}: {each * 1000:.2f} ms")
        assert each < limit, path
