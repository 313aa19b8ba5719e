"""Signing in to the console as a member of a group in a real LDAP server."""
import pytest

from lib import slapd
from lib.cluster import Cluster, running
from lib.console import Admin, Console
from lib.heddle import on_cluster

pytestmark = [pytest.mark.skipif(on_cluster(), reason="has a cluster of its own")]
PASSWORD = "correct horse battery"


def add_group(server, name, *members):
    lines = "".join(f"member: uid={m},{slapd.PEOPLE}\n" for m in members)
    server.as_root("ldapadd", stdin=f"dn: cn={name},{slapd.PEOPLE}\nobjectClass: groupOfNames\ncn: {name}\n{lines}\n")


@pytest.fixture(scope="module")
def cluster(worker):
    made = Cluster(worker.folder / "conl", worker.template, ["sqlite+memory"], accounts="guest")
    made.directory.settings["ldap.groups_base"] = slapd.PEOPLE
    with running(made, "console-ldap"):
        for name in ("anna", "bert", "cleo", "dora"):
            made.provider.add_person(name, PASSWORD, f"{name}@example.net")
        add_group(made.provider, "ops", "anna")
        add_group(made.provider, "desk", "anna", "bert")
        add_group(made.provider, "everybody", "anna", "bert", "cleo")
        yield made


@pytest.fixture(scope="module")
def console(cluster):
    made = Console(cluster.folder / "con", cluster, {"console.groups": ["reader everybody", "helper desk", "admin ops"], "console.trusted_proxies": "127.0.0.1"})
    made.start()
    yield made
    made.keep_log("console-ldap")
    assert made.stop() == 0, made.log_tail()


def test_nothing_is_printed_where_groups_may_sign_in(console):
    assert "password" not in console.log_text()


@pytest.mark.parametrize("name,role", [("anna", "admin"), ("bert", "helper"), ("cleo", "reader")])
def test_the_highest_role_of_somebodys_groups_is_his(cluster, console, name, role):
    v = console.visitor(name, PASSWORD)
    assert f"{name} ({role})" in v.get("/admin").text
    status = v.act(f"/admin/nodes/{cluster.nodes[0].node_name}/open").status
    assert (status == 200) == (role == "admin")


@pytest.mark.parametrize("name,password", [("dora", PASSWORD), ("anna", "wrong password"), ("anna", ""), ("*", PASSWORD), ("anna)(uid=*", PASSWORD), ("uid=anna", PASSWORD),
                                           ("a" * 300, PASSWORD), ("nobody", PASSWORD), ("anna", "x" * 5000)])
def test_nobody_else_gets_in_and_all_hear_the_same(console, name, password):
    page = Admin(console.url).sign_in(name, password)
    assert page.status in (200, 403) and page.heading == "Sign in" and "Overview" not in page.text
    if name != "a" * 300:
        assert page.problem == "Name or password is wrong, or you are in none of the groups that may sign in here."


def test_who_left_a_group_cannot_come_back(cluster, console):
    cluster.provider.as_root("ldapmodify", stdin=f"dn: cn=everybody,{slapd.PEOPLE}\nchangetype: modify\ndelete: member\nmember: uid=cleo,{slapd.PEOPLE}\n")
    assert Admin(console.url).sign_in("cleo", PASSWORD).status == 403


def test_an_ldap_server_that_is_away_lets_nobody_in_but_by_a_one_time_password(cluster, console):
    for server in (cluster.provider, cluster.replica):
        server.kill()
    try:
        assert Admin(console.url).sign_in("anna", PASSWORD).status == 503
        assert Admin(console.url).sign_in("anna", console.password()).heading == "Overview"
    finally:
        for server in (cluster.provider, cluster.replica):
            server.start()
