"""A real browser: headless Chromium, with or without scripts, in any size, light or dark; and axe-core, which looks for what keeps
people with disabilities out."""
import fcntl
import json
import os
import shutil
import subprocess
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from .processes import ROOT, wait_until

HERE = Path(__file__).resolve().parents[1]
SHOTS = ROOT / "build" / "screenshots"
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"], "resultTypes": ["violations"]}


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
        self.driver = webdriver.Chrome(service=Service(program("chromedriver", "chromium-driver")), options=options)
        self.driver.set_page_load_timeout(60)
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
        wait_until(button.is_enabled, "the button can be pressed", 60)
        self._and_wait(button.click)
        return self

    def follow(self, text):
        self._and_wait(self.driver.find_element(By.LINK_TEXT, text).click)
        return self

    def sign_out(self):
        self._and_wait(self.driver.find_element(By.CSS_SELECTOR, "header form button").click)
        return self

    def _and_wait(self, act):
        old = self.driver.find_element(By.TAG_NAME, "html").id
        act()
        wait_until(lambda: self._page_id() not in (None, old), "the next page", 60, every_s=0.05)

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
        self.driver.execute_script(axe)
        found = self.driver.execute_async_script(
            "const done = arguments[arguments.length - 1]; axe.run(document, arguments[0]).then(r => done(r.violations), e => done([{id: String(e), nodes: []}]));", RULES)
        return [f"{v['id']}: {n['target']} {n['html'][:120]}" for v in found for n in v["nodes"] or [{"target": "?", "html": ""}]]

    def complaints(self):
        """What the browser itself says: blocked scripts and styles, missing files."""
        return [line["message"] for line in self.driver.get_log("browser") if line["level"] in ("SEVERE", "WARNING")]
