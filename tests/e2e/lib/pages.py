"""A visitor of the pages without a browser: cookies, forms, and what a page says."""
import hashlib
import re
import time
from html import unescape
from html.parser import HTMLParser

import requests

from .heddle import build_folder
from .mails import Folder

REFERENCE_S = 0.022  # of the work below, on the machine that docs/performance.md speaks of


def render_s():
    """What a page may cost of the server's processor: 2 ms, and as much more as this one is slower. Builds that are slow on purpose have room."""
    if build_folder().name != "release":
        return 0.05
    begun = time.process_time()
    hashlib.pbkdf2_hmac("sha256", b"", b"", 100_000)
    return 0.002 * max(1, (time.process_time() - begun) / REFERENCE_S)


def least_cost(measure, limit, tries=5):
    """What `measure` tells, the least of a few times if need be: what else a machine does only ever adds to it."""
    least = measure()
    while least >= limit and (tries := tries - 1):
        least = min(least, measure())
    return least


class _Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.hidden, self.texts, self.fields, self._skip = {}, [], [], 0

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "input":
            self.fields.append(attrs)
            if attrs.get("type") == "hidden":
                self.hidden[attrs["name"]] = attrs.get("value", "")
        self._skip += tag in ("script", "style")

    def handle_endtag(self, tag):
        self._skip -= tag in ("script", "style")

    def handle_data(self, data):
        if not self._skip:
            self.texts.append(data)


class Page:
    def __init__(self, response):
        self.response, self.status, self.html = response, response.status_code, response.text
        self.headers = response.headers
        reader = _Reader()
        if "html" in response.headers.get("Content-Type", ""):
            reader.feed(self.html)
        self.hidden, self.fields = reader.hidden, reader.fields
        self.text = re.sub(r"\s+", " ", " ".join(reader.texts)) if reader.texts else self.html

    @property
    def heading(self):
        found = re.search(r"<h1>(.*?)</h1>", self.html)
        return unescape(found[1]) if found else None

    @property
    def problem(self):
        found = re.search(r'role="alert"[^>]*>(.*?)</p>', self.html)
        return unescape(found[1]) if found else None


class Visitor:
    def __init__(self, url, language=None, peer=None):
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False
        if language:
            self.session.headers["Accept-Language"] = language
        if peer:
            self.session.headers["X-Forwarded-For"] = peer

    def get(self, path, follow=True, **headers):
        headers = {k.replace("_", "-"): v for k, v in headers.items()}
        return Page(self.session.get(self.url + path, headers={"Accept": "text/html", **headers}, allow_redirects=follow, timeout=300))

    def post(self, path, fields, follow=True, **headers):
        """Exactly these fields."""
        headers = {k.replace("_", "-"): v for k, v in headers.items()}
        return Page(self.session.post(self.url + path, data=fields, headers={"Accept": "text/html", **headers},
                                      allow_redirects=follow, timeout=300))

    def submit(self, path, follow=True, **fields):
        """Opens the page and sends its form with these fields, as a browser would."""
        page = self.get(path)
        assert page.status == 200, page.html
        return self.post(path, {**page.hidden, **fields}, follow)

    # -- what people do --

    def register(self, email, password, confirm=None):
        return self.submit("/account/register", email=email, password=password, confirm=password if confirm is None else confirm)

    def sign_in(self, user, password):
        return self.submit("/account/sign-in", username=user, password=password)

    @property
    def signed_in(self):
        return self.get("/account", follow=False).status == 200

    def change_password(self, current, new, confirm=None):
        return self.submit("/account/password", current=current, password=new, confirm=new if confirm is None else confirm)

    def ask_reset(self, who):
        return self.post("/weave-password-reset", {"username": who})

    def reset(self, user, key, password, confirm=None):
        return self.post("/weave-password-reset", {"username": user, "key": key, "password": password,
                                                   "confirm": password if confirm is None else confirm})


def mails_of(stack):
    return Folder(stack.heddle.folder / "data" / "mail")
