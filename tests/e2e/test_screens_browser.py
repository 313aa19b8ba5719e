"""Every page and every flow in a real browser: with and without scripts, on a phone and on a desk, light and dark. axe-core looks at each
page; a picture of each is kept in build/screenshots."""
import json

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from lib.chromium import Browser, axe_source
from lib.heddle import build_folder
from lib.mails import Folder, link_in
from lib.ops import run
from lib.palemoon11 import PaleMoon
from lib.device import SyncFailed, Unauthorized
from lib.pages import mails_of
from lib.processes import wait_until

pytestmark = [pytest.mark.one_engine("sqlite+memory"),
              pytest.mark.skipif(build_folder().name in ("asan", "tsan"), reason="takes minutes there; the other tests ask the same of the server")]
PASSWORD, NEW, NEWER = "correct horse battery", "a new staple of hay", "a newer staple of straw"


@pytest.fixture(scope="module")
def axe():
    return axe_source()


@pytest.fixture
def browser(tmp_path):
    made = []

    def start(url, **kw):
        made.append(Browser(url, tmp_path / f"profile{len(made)}", **kw))
        return made[-1]

    yield start
    for b in made:
        b.close()


class Look:
    """Looks at a page in both schemes: picture, width, axe, complaints of the browser."""

    def __init__(self, browser, axe, label):
        self.browser, self.axe, self.label, self.bad = browser, axe, label, []

    def __call__(self, name):
        b = self.browser
        for scheme in ("light", "dark"):
            b.scheme(scheme)
            b.shot(f"{name}-{self.label}-{scheme}")
            if b.scripts:
                self.bad += [f"{name} {scheme}: {v}" for v in b.violations(self.axe)]
        if not b.fits():
            self.bad.append(f"{name}: wider than {b.width}")
        self.bad += [f"{name}: {c}" for c in b.complaints() if "a status of 400" not in c]  # which the last page has on purpose


def sync(device):
    device.sync()
    return device


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
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
    b.fill(email="x" + mail, current=PASSWORD).press()
    assert "x" + mail in b.text
    b.go("/account/password")
    look("password")
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
    b.fill(password=NEWER, confirm=NEWER).press()
    assert "Password successfully changed" in b.text
    look("reset-done")

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
    b.fill(current=NEWER).press()
    assert "Account removed." in b.text
    look("deleted")
    with pytest.raises((Unauthorized, SyncFailed)):
        sync(device)
    b.go("/weave-delete-account")
    look("delete-old")
    b.go("/weave-password-reset?foo=1")
    look("not-understood")
    assert not look.bad, "\n".join(look.bad)


@pytest.mark.parametrize("scripts, width", [(True, 360), (False, 1280)], ids=["scripts", "no-scripts"])
def test_with_the_puzzle_switched_on(own_stack, browser, axe, scripts, width):
    stack = own_stack({"captcha.driver": "work", "captcha.bits": 12})
    b = browser(stack.url, scripts=scripts, width=width)
    look = Look(b, axe, f"{width}-puzzle-{'scripts' if scripts else 'plain'}")
    b.go("/account/register")
    look("register")
    if not scripts:
        b.follow("have a link mailed to you instead")
        look("pass")
        b.fill(email="plain@example.com").press()
        look("pass-sent")
        b.go(link_in(Folder(stack.heddle.folder / "data" / "mail").wait("plain@example.com")))
    b.fill(email="plain@example.com", password=PASSWORD, confirm=PASSWORD).press()
    assert b.heading == "My account"
    b.sign_out()
    b.go("/weave-password-reset").fill(username="plain@example.com").press()
    assert "next 6 hours" in b.text
    b.go("/misc/1.0/captcha_html")
    look("captcha")
    if scripts:
        field = b.driver.find_element(By.ID, "recaptcha_response_field")
        wait_until(lambda: field.get_attribute("value"), "the puzzle of old browsers is solved", 60)
    assert not look.bad, "\n".join(look.bad)


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
    wait_until(lambda: b.path == "/account", "signed in", 30)
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
    button.click()
    wait_until(lambda: button.text == "Copied", "it is copied", 15)
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
    assert not look.bad, "\n".join(look.bad)


@pytest.mark.parametrize("scripts,width", [(True, 360), (False, 1280)], ids=["phone-scripts", "desk-no-scripts"])
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
    assert not look.bad, "\n".join(look.bad)
