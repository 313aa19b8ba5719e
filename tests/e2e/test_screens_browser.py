"""Every page and every flow in a real browser: with and without scripts, on a phone and on a desk, light and dark. axe-core looks at each
page; a picture of each is kept in build/screenshots."""
import json

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from lib.chromium import Look, needs_time, pages_of, views
from lib.mails import Folder, link_in
from lib.ops import run
from lib.palemoon11 import PaleMoon
from lib.device import SyncFailed, Unauthorized
from lib.pages import mails_of
from lib.processes import wait_until

pytestmark = [pytest.mark.one_engine("sqlite+memory"), needs_time]
PAGES = pages_of("directory/routes.c", r'^ +\{ GET[^"]*"(/(?:account|weave|misc/1\.0)[^"]*|/)", (?:screen_|home_page)')
NO_PAGE = {"/account/download"}  # a file
PUZZLE = {"/account/pass", "/misc/1.0/captcha_html"}  # there with the puzzle alone
PASSWORD, NEW, NEWER = "correct horse battery", "a new staple of hay", "a newer staple of straw"


def sync(device):
    device.sync()
    return device


@views
def test_from_joining_to_leaving(stack, browser, axe, scripts, width):
    """Register, sync, look at one's data, change address and password, forget it, reset it by the mailed link, sync again, leave."""
    b = browser(stack.url, scripts=scripts, width=width)
    look = Look(b, axe, f"{width}-{'scripts' if scripts else 'plain'}")
    device = PaleMoon(stack, password=PASSWORD)
    mail = device.account

    b.go("/")
    assert f"{stack.url}/1.0/sync/1.5" in b.text
    look("home")
    b.follow("Create an account")
    look("register")
    b.fill(email=mail, password="short", confirm="short").press()
    assert "at least 8" in b.text
    look("register-problem")
    b.fill(password=PASSWORD, confirm=PASSWORD).press()
    assert b.heading == "My account" and device.username in b.text
    look("account")

    device.records["bookmarks"].put(title="a page", url="https://example.com/")
    sync(device)
    b.go("/account/data")
    assert "bookmarks" in b.text and "Number of devices: 1" in b.text
    look("data")

    b.go("/account/email")
    look("email")
    b.fill(email="x" + mail, current="wrong").press()
    assert "present password is wrong" in b.text
    look("email-problem")
    b.fill(email="x" + mail, current=PASSWORD).press()
    assert "x" + mail in b.text
    look("account-changed")
    b.go("/account/password")
    look("password")
    b.fill(current="wrong", password=NEW, confirm=NEW).press()
    assert "present password is wrong" in b.text
    look("password-problem")
    b.fill(current=PASSWORD, password=NEW, confirm=NEW).press()
    assert "Password successfully changed" in b.text
    with pytest.raises(Unauthorized):
        sync(device)
    device.password = NEW
    sync(device)
    b.sign_out()
    assert b.heading.startswith("Synchronise")

    b.go("/account/sign-in")
    look("sign-in")
    b.fill(username=mail, password=PASSWORD).press()
    assert "Name or password is wrong" in b.text
    look("sign-in-problem")
    b.follow("Forgot your password?")
    look("reset-ask")
    b.fill(username="x" + mail).press()
    assert "next 6 hours" in b.text
    look("reset-sent")
    b.go(link_in(mails_of(stack).wait("x" + mail, 1, "Resetting")))
    look("reset-choose")
    b.fill(password=NEWER, confirm=NEW).press()
    assert "do not match" in b.text
    look("reset-problem")
    b.fill(password=NEWER, confirm=NEWER).press()
    assert "Password successfully changed" in b.text
    look("reset-done")

    for refused in (NEW, "password"):  # nor what older servers set instead
        device.password = refused
        with pytest.raises(Unauthorized):
            sync(device)
    device.password = NEWER
    other = sync(device.another_device())
    assert other.records["bookmarks"].items == device.records["bookmarks"].items and other.records["bookmarks"].items

    b.go("/account/sign-in").fill(username=device.username, password=NEWER).press()
    assert b.heading == "My account"
    b.go("/account/clear")
    look("clear")
    b.press()
    assert "Your data were deleted" in b.text
    b.go("/account/data")
    look("data-empty")
    b.go("/account/delete")
    look("delete")
    b.fill(current="wrong").press()
    assert "present password is wrong" in b.text
    look("delete-problem")
    b.fill(current=NEWER).press()
    assert "Account removed." in b.text
    look("deleted")
    with pytest.raises((Unauthorized, SyncFailed)):
        sync(device)
    b.go("/weave-delete-account")
    look("delete-old")
    b.go("/weave-password-reset?foo=1")
    look("not-understood")
    b.go("/account/sign-in").forget_cookies().fill(username="nobody", password=NEW).press()
    assert "Open it again" in b.text
    look("too-old")
    assert look.seen == PAGES - NO_PAGE - PUZZLE
    look.check()


def test_what_a_closed_server_shows(own_stack, browser, axe):
    stack = own_stack({"registration.mode": "closed"})
    for width in (360, 1280):
        b = browser(stack.url, width=width)
        look = Look(b, axe, f"{width}-closed")
        b.go("/account/register")
        assert "switched off" in b.text
        look("register")
        look.check()


@views
def test_with_the_puzzle_switched_on(own_stack, browser, axe, scripts, width):
    stack = own_stack({"captcha.driver": "work", "captcha.bits": 12})
    b = browser(stack.url, scripts=scripts, width=width)
    look = Look(b, axe, f"{width}-puzzle-{'scripts' if scripts else 'plain'}")
    b.go("/account/pass")
    look("pass")
    b.fill(email="no@address").press()
    assert "no mail address" in b.text
    look("pass-problem")
    b.go("/account/register")
    look("register")
    if not scripts:
        b.follow("have a link mailed to you instead")
        b.fill(email="plain@example.com").press()
        look("pass-sent")
        b.go(link_in(Folder(stack.heddle.folder / "data" / "mail").wait("plain@example.com")))
        look("register-with-pass")
    b.fill(email="plain@example.com", password=PASSWORD, confirm=PASSWORD).press()
    assert b.heading == "My account"
    b.sign_out()
    b.go("/weave-password-reset")
    look("reset-ask")
    b.fill(username="plain@example.com").press()
    assert "next 6 hours" in b.text
    b.go("/misc/1.0/captcha_html")
    look("captcha")
    if scripts:
        field = b.driver.find_element(By.ID, "recaptcha_response_field")
        wait_until(lambda: field.get_attribute("value"), "the puzzle of old browsers is solved", 120)
    assert look.seen >= PUZZLE
    look.check()


def test_by_keyboard_alone(stack, user11, browser):
    b = browser(stack.url).go("/account/sign-in")

    def keys(*what):
        ActionChains(b.driver).send_keys(*what).perform()

    def focus():
        return b.driver.switch_to.active_element

    keys(Keys.TAB)
    assert focus().text == "To the content" and focus().rect["x"] >= 0  # the first stop, and seen then
    keys(Keys.ENTER)
    for _ in range(4):
        keys(Keys.TAB)
        if focus().get_attribute("name") == "username":
            break
    keys(user11.name, Keys.TAB, PASSWORD, Keys.ENTER)
    wait_until(lambda: b.path == "/account", "signed in", 120)
    stops = []
    b.go("/")
    for _ in range(30):
        keys(Keys.TAB)
        stops.append(focus().text or focus().tag_name)
        outline = focus().value_of_css_property("outline-style")
        assert outline != "none" or focus().tag_name == "body", f"no focus ring on {stops[-1]}"
    assert "Copy" in stops and any("QR" in s for s in stops)


def test_values_are_copied_and_shown_as_qr_code(stack, browser):
    b = browser(stack.url).go("/")
    b.driver.execute_cdp_cmd("Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"], "origin": stack.url})
    button = b.driver.find_element(By.CSS_SELECTOR, "[data-copy=address-desktop]")
    b.driver.execute_script("const b = arguments[0]; window.said = [];"
                            "new MutationObserver(() => window.said.push(b.textContent)).observe(b, {childList: true});", button)
    button.click()
    wait_until(lambda: "Copied" in b.driver.execute_script("return window.said"), "it is copied", 120)  # which it says for a moment
    assert b.driver.execute_async_script("navigator.clipboard.readText().then(arguments[0])") == f"{stack.url}/1.0/sync/1.5"
    details = b.driver.find_element(By.TAG_NAME, "details")
    details.find_element(By.TAG_NAME, "summary").click()
    assert details.find_element(By.TAG_NAME, "svg").is_displayed()


@pytest.mark.parametrize("language, heading", [("de", "Synchronisieren Sie hier Ihren Browser"), ("fr", "Synchronisez votre navigateur ici")])
def test_in_the_browsers_language(stack, browser, axe, language, heading):
    b = browser(stack.url, width=360, language=language)
    look = Look(b, axe, f"360-{language}")
    for path in ("/", "/account/register", "/weave-password-reset", "/account/sign-in"):
        b.go(path)
        look(path.strip("/").replace("/", "-") or "home")
    assert b.go("/").heading == heading
    look.check()


@views
def test_registering_with_an_invite_code(own_stack, browser, axe, scripts, width):
    key = "k" * 32
    stack = own_stack({"registration.mode": "invite", "internal.keys": f"admin admin {key}"})
    code, out, err = run("--set", f"admin.directory={stack.heddle.socket}", "--set", f"admin.key={key}", "--set", f"admin.dir={stack.heddle.folder / 'admin'}",
                         "invite", "make", "--json", program="heddle-admin")
    assert code == 0, out + err
    b = browser(stack.url, scripts=scripts, width=width)
    look = Look(b, axe, f"{width}-{'scripts' if scripts else 'plain'}")
    b.go("/account/register")
    assert "needs an invite code" in b.text
    look("register-invite")
    b.fill(invite="0000-0000-0000-0000-0000", email="invited@example.com", password=PASSWORD, confirm=PASSWORD).press()
    assert "This invite code cannot be used" in b.text
    look("register-invite-problem")
    b.fill(invite=json.loads(out)["code"].lower(), password=PASSWORD, confirm=PASSWORD).press()
    assert b.heading == "My account"
    look.check()
