"""Every page of the console in a real browser: with and without scripts, on a phone and on a desk, light and dark; axe-core looks at each, a picture
of each is kept in build/screenshots. And one box's console, with the password that it prints."""
import html
import re

import pytest
from selenium.webdriver.common.by import By

from lib.chromium import Browser, axe_source
from lib.cluster import Cluster
from lib.console import Admin, Console, wait_for_state
from lib.heddle import build_folder, on_cluster
from lib.mails import link_in
from lib.pages import mails_of
from lib.processes import wait_until

pytestmark = [pytest.mark.skipif(on_cluster(), reason="has a cluster of its own")]
needs_browser = [pytest.mark.skipif(build_folder().name in ("asan", "tsan"), reason="takes minutes there; test_console.py asks the same of the server")]


@pytest.fixture(scope="module")
def axe():
    return axe_source()


@pytest.fixture(scope="module")
def console(worker):
    cluster = Cluster(worker.folder / "conb", worker.template, ["sqlite+memory", "sqlite+memory", "sqlite+memory"])
    cluster.start()
    cluster.user = cluster.user11(cluster.nodes[0])
    for i in range(5):
        cluster.user.at(cluster.nodes[0]).save("bookmarks", f"b{i}", "a payload of somebody " * (i + 1))
    for n, node in enumerate(cluster.nodes):
        for _ in range(3 * n):
            cluster.user11(node)
    made = Console(cluster.folder / "con", cluster)
    made.start()
    yield made
    bad = [made.log_tail()] if made.stop() != 0 else []
    bad += cluster.stop()
    assert not bad, "\n".join(bad)


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
    def __init__(self, browser, axe, label):
        self.browser, self.axe, self.label, self.bad = browser, axe, label, []

    def __call__(self, name):
        b = self.browser
        for scheme in ("light", "dark"):
            b.scheme(scheme)
            b.shot(f"console-{name}-{self.label}-{scheme}")
            if b.scripts:
                self.bad += [f"{name} {scheme}: {v}" for v in b.violations(self.axe)]
        if not b.fits():
            self.bad.append(f"{name}: wider than {b.width}")
        self.bad += [f"{name}: {c}" for c in b.complaints() if "a status of 40" not in c]


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
def test_every_page_of_the_console(console, browser, axe, scripts, width):
    """Sign in, look at everything, disable and enable somebody, move him by a plan, sign out."""
    cluster, user = console.cluster, console.cluster.user
    b = browser(console.url, scripts=scripts, width=width)
    look = Look(b, axe, f"{width}-{'scripts' if scripts else 'plain'}")
    b.go("/admin")
    assert b.heading == "Sign in"
    look("sign-in")
    b.fill(name="anna", password="wrong").press()
    assert "is wrong" in b.text
    look("sign-in-problem")
    b.fill(name="anna", password=console.password()).press()
    assert b.heading == "Overview" and all(n.node_name in b.text for n in cluster.nodes)
    look("overview")
    for name, heading in (("nodes", "Nodes"), ("users", "Users"), ("plan", "Plan"), ("runs", "Runs"), ("audit", "Audit trail"), ("settings", "Settings")):
        b.go(f"/admin/{name}")
        assert b.heading == heading
        look(name)
    b.go(f"/admin/nodes/{cluster.nodes[0].node_name}")
    look("node")
    b.go("/admin/users").fill(q=user.name).press()
    look("users-found")
    b.follow(user.name)
    look("user")
    b.press()
    assert "The account is disabled" in b.text
    look("user-disabled")
    b.press()
    assert "enabled again" in b.text

    at = cluster.account(user.name)["node"]
    to = next(n.node_name for n in cluster.nodes if n.node_name != at)
    b.go(f"/admin/plan?kind=move&user={cluster.account(user.name)['uid']}&to={to}")
    assert "Do exactly this" in b.text
    look("plan-shown")
    b._and_wait(b.driver.find_element(By.CSS_SELECTOR, "form[action$='/admin/runs'] button").click)
    assert b.heading.startswith("Run ")
    run = b.path.split("/runs/")[1].partition("?")[0]
    watcher = console.visitor("bert")
    wait_for_state(watcher, run, {"done"})
    if scripts:  # the page follows by itself
        # asked in one go: the page puts a new element there whenever it hears something
        wait_until(lambda: b.driver.execute_script("return document.getElementById('run-state').textContent.trim()") == "done",
                   "the page tells it", 20)
    else:
        b.follow("Show the present figures")
    assert "1 / 1" in b.text
    look("run")
    b.go("/admin/nodes/nowhere.example.net")
    look("not-found")
    b.sign_out()
    assert "You are signed out" in b.text
    assert not look.bad, "\n".join(look.bad)


test_every_page_of_the_console.pytestmark = [*needs_browser, *test_every_page_of_the_console.pytestmark]


@pytest.mark.one_engine("sqlite+memory")
def test_the_one_box_has_a_console_too(own_stack):
    stack = own_stack()
    client = stack.user11()
    client.save("bookmarks", "b1", "a payload")
    once = re.search(r"one-time password: (\S+)", stack.heddle.log_text())[1]
    assert f"{stack.url}/admin" in stack.heddle.log_text()
    v = Admin(stack.url)
    assert v.sign_in("anna", once).heading == "Overview"
    page = wait_until(lambda: (lambda p: p if "1 / 1" in p.text else None)(v.get("/admin")), "the box's node is shown", 20)
    assert "Users 1" in page.text
    found = v.get(f"/admin/users?q={client.name}")
    uid = re.search(r"/admin/users/(\d+)", found.html)[1]
    assert "bookmarks" in v.get(f"/admin/users/{uid}").text
    assert "The account is disabled" in v.act(f"/admin/users/{uid}/disable").text
    assert "There is none" in v.get("/admin/mail").text
    v.act(f"/admin/users/{uid}/enable")
    v.post("/weave-password-reset", {"username": client.name})
    mail = mails_of(stack).wait(client.email)
    (stack.heddle.folder / "data" / "mail" / "9999999999999-later.txt").write_text("none of ours")
    (stack.heddle.folder / "data" / "mail" / "9999999999999-x.eml").symlink_to("/etc/passwd")
    assert "root:" not in v.get("/admin/mail").html  # nothing from elsewhere
    (stack.heddle.folder / "data" / "mail" / "9999999999999-x.eml").unlink()
    page = v.get("/admin/mail")
    assert client.email in page.text and mail["Subject"] in page.text and html.escape(link_in(mail)) in page.html
    assert 'href="/admin/mail"' in page.html and "mail newest" in v.get("/admin/audit").text
    assert Admin(stack.url).sign_in("anna", once).status == 403
    assert v.act("/admin/sign-out").status == 200 and v.get("/admin", follow=False).status == 303
