"""A real browser: headless Chromium, with or without scripts, in any size, light or dark; and axe-core, which looks for what keeps
people with disabilities out."""
import fcntl
import json
import os
import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.common.exceptions import SessionNotCreatedException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from .chance import FULL
from .heddle import build_folder
from .processes import ROOT, NotInTime, free_port, wait_until

HERE = Path(__file__).resolve().parents[1]
SHOTS = ROOT / "build" / "screenshots"
# Where a slice of the tests runs under a sanitizer, browsers are left to the build without one; all of the tests have them everywhere.
needs_time = pytest.mark.skipif(build_folder().name in ("asan", "tsan") and os.environ.get("HEDDLE_SLICE", "1") != "1",
                                reason="a slice under a sanitizer has no browsers, ./bootstrap test --full has")
PATIENCE_S = 300  # with a machine that has other things to do
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"], "resultTypes": ["violations"]}

# A live part that has the focus is not replaced meanwhile.
AXE_RUN = """
const [rules, done] = arguments, live = document.querySelector("[data-live]");
function hold() { if (live) { live.tabIndex = -1; live.focus({preventScroll: true}); } }
function end(found) { if (live) { live.blur(); live.removeAttribute("tabindex"); } done(found); }
hold();
axe.run(document, rules).then(r => end(r.violations), e => end([{id: String(e), nodes: []}]));
"""

# Where a page's scripts are off, timers are too, which axe waits on; and it never looks into <noscript>, which is what people see there.
PLAIN = """
window.setTimeout = f => { f(); return 0; };
document.querySelectorAll("noscript").forEach(n => n.replaceWith(...n.childNodes));
"""

# (scripts, width). Each journey is made with scripts and without, and at both widths; which goes with which is drawn by HEDDLE_SEED. With
# HEDDLE_FULL all four.
VIEWS = {(True, 360): "scripts-360", (False, 1280): "no-scripts-1280", (True, 1280): "scripts-1280", (False, 360): "no-scripts-360"}
PAIR = random.Random(os.environ.get("HEDDLE_SEED", "0")).choice([0, 2])
DRAWN = list(VIEWS) if FULL else list(VIEWS)[PAIR:PAIR + 2]
views = pytest.mark.parametrize("scripts, width", DRAWN, ids=[VIEWS[v] for v in DRAWN])


class Missing(Exception):
    """Something that these tests need is not on this machine."""


def program(name, package):
    path = shutil.which(name)
    if not path:
        raise Missing(f"{name} is not installed: apt-get install {package}, or ./bootstrap test")
    return path


def fetch_axe():
    what = f"axe-core is not in {HERE / 'node_modules'}, and `npm ci` there does not bring it (it wants npm and the network, once)"
    # npm brings certificates of its own; what this machine trusts counts too, where nothing else is said.
    env = {"NODE_EXTRA_CA_CERTS": "/etc/ssl/certs/ca-certificates.crt", **os.environ}
    try:
        done = subprocess.run([program("npm", "npm"), "ci", "--no-audit", "--no-fund"], cwd=HERE, env=env, text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
    except (Missing, subprocess.TimeoutExpired) as e:
        raise Missing(f"{what}: {e}") from None
    if done.returncode != 0:
        raise Missing(f"{what}:\n{done.stdout[-2000:]}")


def axe_source():
    """The script, installed by npm at the version that package.json pins."""
    script = HERE / "node_modules" / "axe-core" / "axe.min.js"
    with open(HERE / "package.json") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = json.load(lock)["devDependencies"]["axe-core"]
        installed = script.parent / "package.json"
        if not installed.exists() or json.loads(installed.read_text())["version"] != wanted:
            fetch_axe()
    return script.read_text()


def begin(options, tries=4):
    """chromedriver gives the browser a minute to start, whatever else the machine has to do."""
    try:
        return webdriver.Chrome(service=Service(program("chromedriver", "chromium-driver"), port=free_port()), options=options)
    except SessionNotCreatedException:
        if tries == 1:
            raise
        return begin(options, tries - 1)


class Browser:
    def __init__(self, url, folder, scripts=True, width=1280, language="en-US"):
        self.url, self.scripts, self.width = url, scripts, width
        options = Options()
        options.binary_location = program("chromium", "chromium")
        for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
                     "--disable-background-networking", f"--lang={language}", f"--user-data-dir={folder}"):
            options.add_argument(word)
        prefs = {"intl.accept_languages": language, "download.default_directory": str(folder), "credentials_enable_service": False}
        if not scripts:
            prefs["profile.managed_default_content_settings.javascript"] = 2
        options.add_experimental_option("prefs", prefs)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = begin(options)
        self.driver.set_page_load_timeout(PATIENCE_S)
        self.driver.set_script_timeout(PATIENCE_S)
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                    {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600})
        self.scheme("light")

    def close(self):
        self.driver.quit()

    def scheme(self, name):
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": name}]})

    # -- what people do --

    def go(self, path):
        self.driver.get(path if path.startswith("http") else self.url + path)
        return self

    @property
    def heading(self):
        return self.driver.find_element(By.TAG_NAME, "h1").text

    @property
    def text(self):
        return self.driver.find_element(By.TAG_NAME, "body").text

    @property
    def path(self):
        return self.driver.current_url[len(self.url):]

    def fill(self, **fields):
        for name, value in fields.items():
            field = self.driver.find_element(By.CSS_SELECTOR, f"main [name={name}]")
            field.clear()
            field.send_keys(value)
        return self

    def press(self):
        """The main button of the page's form, when it can be pressed; waits for the page that follows."""
        button = self.driver.find_element(By.CSS_SELECTOR, "main form button")
        wait_until(button.is_enabled, "the button can be pressed", PATIENCE_S)
        self._and_wait(button.click)
        return self

    def follow(self, text):
        self._and_wait(self.driver.find_element(By.LINK_TEXT, text).click)
        return self

    def sign_out(self):
        self._and_wait(self.driver.find_element(By.CSS_SELECTOR, "header form button").click)
        return self

    def forget_cookies(self):
        self.driver.delete_all_cookies()
        return self

    def _and_wait(self, act):
        old = self.driver.find_element(By.TAG_NAME, "html").id
        act()
        try:
            wait_until(lambda: self._page_id() not in (None, old), "the next page", PATIENCE_S, every_s=0.05)
        except NotInTime as e:
            raise NotInTime(f"{e}; it stands at {self.driver.current_url}: {self.driver.page_source[:2000]}") from None

    def _page_id(self):
        try:
            html = self.driver.find_element(By.TAG_NAME, "html")
            self.driver.find_element(By.TAG_NAME, "footer")
            return html.id
        except Exception:  # between two pages
            return None

    # -- what is looked at --

    def fits(self):
        size = self.driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
        return size["width"] <= self.width

    def shot(self, name):
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.driver.save_screenshot(str(SHOTS / f"{name}.png"))

    def violations(self, axe):
        """What axe finds, one line for each place."""
        self.driver.execute_script(axe if self.scripts else PLAIN + axe)
        found = self.driver.execute_async_script(AXE_RUN, {**RULES, "preload": self.scripts})  # what is preloaded is waited for
        return [f"{v['id']}: {n['target']} {n['html'][:120]}" for v in found for n in v["nodes"] or [{"target": "?", "html": ""}]]

    def complaints(self):
        """What the browser itself says: blocked scripts and styles, missing files."""
        return [line["message"] for line in self.driver.get_log("browser") if line["level"] in ("SEVERE", "WARNING")]


class Look:
    """Looks at a page in both schemes: picture, width, axe, complaints of the browser. Keeps what is wrong, and which paths it saw."""

    def __init__(self, browser, axe, label, kind=""):
        self.browser, self.axe, self.label, self.kind = browser, axe, label, kind
        self.bad, self.seen = [], set()

    def __call__(self, name):
        b = self.browser
        self.seen.add(b.path.partition("?")[0])
        for scheme in ("light", "dark"):
            b.scheme(scheme)
            b.shot(f"{self.kind}{name}-{self.label}-{scheme}")
            self.bad += [f"{name} {scheme}: {v}" for v in b.violations(self.axe)]
        if not b.fits():
            self.bad.append(f"{name}: wider than {b.width}")
        self.bad += [f"{name}: {c}" for c in b.complaints() if not is_the_pages_own_status(c)]

    def check(self):
        assert not self.bad, "\n".join(self.bad)


def is_the_pages_own_status(complaint):
    """A page that is refused, on purpose; not one of the files that a page loads."""
    return re.search(r"a status of (4\d\d|503)", complaint) and "/media/" not in complaint


def pages_of(source, row):
    """The addresses in a table of routes in C that somebody can look at; row: a pattern whose only group is the address."""
    return set(re.findall(row, (ROOT / source).read_text(), re.M))
