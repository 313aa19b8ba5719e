"""Every page of the console in a real browser: with and without scripts, on a phone and on a desk, light and dark; axe-core looks at each, a picture
of each is kept in build/screenshots. And one box's console, with the password that it prints."""
import html
import re

import pytest
from selenium.webdriver.common.by import By

from lib.chromium import Look, needs_time, pages_of, views
from lib.cluster import Cluster
from lib.console import Admin, Console, wait_for_state
from lib.heddle import on_cluster
from lib.mails import link_in
from lib.pages import mails_of
from lib.processes import wait_until

pytestmark = [pytest.mark.skipif(on_cluster(), reason="has a cluster of its own")]
PAGES = pages_of("admin/console/routes.c", r'^    \{ GET[^"]*"(/admin(?!/media|/live)[^"]*)"')


def seen_pages(look):
    """Those of PAGES to which the paths belong that were looked at."""
    return {page for page in PAGES for path in look.seen if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", page), path)}


@pytest.fixture(scope="module")
def console(worker):
    cluster = Cluster(worker.folder / "conb", worker.template, ["sqlite+memory", "sqlite+memory", "sqlite+memory"])
    made = Console(cluster.folder / "con", cluster)
    try:
        fill_cluster(cluster.start())
        made.start()
        looker = made.visitor()
        wait_until(lambda: (lambda page: all(n.node_name in page.text for n in cluster.nodes))(looker.get("/admin")), "the console knows all nodes", 120)
        yield made
    finally:
        made.keep_log("console-browser")
        cluster.keep_logs("console-browser")
        bad = [made.log_tail()] if made.running and made.stop() != 0 else []
        bad += cluster.stop()
    assert not bad, "\n".join(bad)


def fill_cluster(cluster):
    """Somebody with data on the first node, more and more others on the rest."""
    cluster.user = cluster.user11(cluster.nodes[0])
    for i in range(5):
        cluster.user.at(cluster.nodes[0]).save("bookmarks", f"b{i}", "a payload of somebody " * (i + 1))
    for n, node in enumerate(cluster.nodes):
        for _ in range(3 * n):
            cluster.user11(node)


def send_form(b, action, **fields):
    """One form of several on a page, by the end of its address."""
    form = b.driver.find_element(By.CSS_SELECTOR, f"main form[action$='{action}']")
    for name, value in fields.items():
        field = form.find_element(By.NAME, name)
        field.clear()
        field.send_keys(value)
    b._and_wait(form.find_element(By.TAG_NAME, "button").click)


@needs_time
@views
def test_every_page_of_the_console(console, browser, axe, scripts, width):
    """Sign in, look at everything, disable and enable somebody, move him by a plan, sign out."""
    cluster, user = console.cluster, console.cluster.user
    b = browser(console.url, scripts=scripts, width=width)
    look = Look(b, axe, f"{width}-{'scripts' if scripts else 'plain'}", "console-")
    b.go("/admin")
    assert b.heading == "Sign in"
    look("sign-in")
    b.fill(name="anna", password="wrong").press()
    assert "is wrong" in b.text
    look("sign-in-problem")
    b.fill(name="anna", password=console.password()).press()
    assert b.heading == "Overview" and all(n.node_name in b.text for n in cluster.nodes)
    look("overview")
    for name, heading in (("nodes", "Nodes"), ("users", "Users"), ("plan", "Plan"), ("runs", "Runs"), ("audit", "Audit trail"), ("settings", "Settings"),
                          ("invites", "Invite codes")):
        b.go(f"/admin/{name}")
        assert b.heading == heading
        look(name)
    b.go(f"/admin/nodes/{cluster.nodes[0].node_name}")
    look("node")
    b.go("/admin/users").fill(q="nobody-begins-so").press()
    look("users-none")
    b.fill(q=user.name).press()
    look("users-found")
    b.follow(user.name)
    look("user")
    b.press()
    assert "The account is disabled" in b.text
    look("user-disabled")
    b.press()
    assert "enabled again" in b.text
    send_form(b, "/reset")
    assert "on its way" in b.text
    look("user-reset")
    send_form(b, "/quota", quota="no size")
    assert b.heading == "This did not work"
    look("not-understood")

    b.go("/admin/invites")
    send_form(b, "/invites", uses="2", note=f"for somebody at {width}")
    assert "shown this once" in b.text and f"for somebody at {width}" in b.text
    look("invites-made")
    send_form(b, "/invites/revoke")
    assert "is revoked" in b.text
    look("invites-revoked")
    for what in (cluster.nodes[0].node_name, "nowhere.example.net"):
        b.go(f"/admin/settings?of={what}")
        look(f"settings-{'node' if 'nowhere' not in what else 'problem'}")
    b.go(f"/admin/audit?user={user.name}")
    assert user.name in b.text and "disable" in b.text
    look("audit-found")
    b.go("/admin/mail")
    look("mail-none")
    b.go("/admin/plan?kind=rebalance&by=users&threshold=0")
    look("plan-rebalance")
    b.go("/admin/plan?kind=move&user=nobody&to=nowhere")
    look("plan-problem")

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
                   "the page tells it", 120)
    else:
        b.follow("Show the present figures")
    assert "1 / 1" in b.text
    look("run")
    b.go("/admin/runs")
    assert run in b.text
    look("runs-some")
    b.go("/admin/nodes/nowhere.example.net")
    look("not-found")
    b.sign_out()
    assert "You are signed out" in b.text
    look("signed-out")
    assert seen_pages(look) == PAGES
    look.check()


@needs_time
@pytest.mark.one_engine("sqlite+memory")
@views
def test_the_newest_mail_of_a_box_without_a_relay(own_stack, browser, axe, scripts, width):
    stack = own_stack()
    client = stack.user11()
    Admin(stack.url).post("/weave-password-reset", {"username": client.name})
    mail = mails_of(stack).wait(client.email)
    b = browser(stack.url, scripts=scripts, width=width)
    look = Look(b, axe, f"{width}-{'scripts' if scripts else 'plain'}", "box-")
    b.go("/admin/sign-in").fill(name="anna", password=printed_password(stack)).press()
    look("overview")
    b.go("/admin/mail")
    assert client.email in b.text and mail["Subject"] in b.text
    look("mail")
    look.check()


def printed_password(stack):
    """It is printed when the box serves already."""
    return wait_until(lambda: re.search(r"one-time password: (\S+)\n", stack.heddle.log_text()), "the password is printed", 120)[1]


@pytest.mark.one_engine("sqlite+memory")
def test_the_one_box_has_a_console_too(own_stack):
    stack = own_stack()
    client = stack.user11()
    client.save("bookmarks", "b1", "a payload")
    once = printed_password(stack)
    assert f"{stack.url}/admin" in stack.heddle.log_text()
    v = Admin(stack.url)
    assert v.sign_in("anna", once).heading == "Overview"
    page = wait_until(lambda: (lambda p: p if "1 / 1" in p.text else None)(v.get("/admin")), "the box's node is shown", 120)
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
