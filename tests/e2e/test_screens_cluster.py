"""The pages and resets in a cluster: two directories on one backend, nodes that have to hear of it, and an admin who helps."""
from pathlib import Path

import pytest

from lib.cluster import Cluster, running
from lib.mails import Folder, key_in, link_in, text_of
from lib.pages import Visitor
from lib.processes import wait_until
from lib.refused import Soon

PASSWORD, NEW = "correct horse battery", "a new staple of hay"


@pytest.fixture(scope="module")
def cluster(worker):
    with running(Cluster(worker.folder / "screens", worker.template, ["sqlite+memory", "sqlite+memory"], directories=2), "screens") as started:
        yield started


@pytest.fixture
def pages(cluster):
    return [Visitor(d.url) for d in cluster.directories]


def mails(cluster):
    """Each directory has a spool of its own."""
    class Both:
        def wait(self, to, subject=None):
            def found():
                got = [m for d in cluster.directories for m in Folder(Path(d.folder) / "data" / "mail").all(to)
                       if subject is None or subject in m["Subject"]]
                return got[-1] if got else None
            return wait_until(found, f"a mail to {to}")
    return Both()


def refused(storage, password):
    r = storage.get("/info/collections", authorization=storage.authorization(password=password), expect=(200, 401))
    return r.status == 401


def test_a_session_is_good_at_every_directory(cluster, pages):
    user = cluster.user11()
    first, second = pages
    first.sign_in(user.name, PASSWORD)
    for v in (second,):
        v.session.cookies.set("heddle", first.session.cookies.get("heddle"))
        assert v.get("/account").heading == "My account"
        assert v.submit("/account/email", email=f"x{user.email}", current=PASSWORD).heading == "My account"
    assert first.change_password(PASSWORD, NEW).heading == "My account"
    assert not second.signed_in


def test_signing_out_ends_a_session_at_every_directory_and_for_good(cluster, pages):
    user = cluster.user11()
    first, second = pages
    first.sign_in(user.name, PASSWORD)
    copied = first.session.cookies.get("heddle")
    second.session.cookies.set("heddle", copied)
    assert first.signed_in and second.signed_in
    first.post("/account/sign-out", first.get("/account").hidden)
    assert not first.signed_in and not second.signed_in
    second.session.cookies.set("heddle", copied)
    cluster.directories[1].stop()
    cluster.directories[1].start()
    assert not second.signed_in
    first.sign_in(user.name, PASSWORD)
    assert first.signed_in  # another one is another one


def test_my_data_come_from_the_users_node(cluster, pages):
    for _ in range(4):  # on both nodes
        user = cluster.user11()
        user.at(user.home).save("bookmarks", "a", "x")
        pages[0].sign_in(user.name, PASSWORD)
        assert "bookmarks 1" in pages[0].get("/account/data").text
        assert len(pages[0].get("/account/download").response.json()["collections"]["bookmarks"]) == 1
        pages[0].post("/account/sign-out", pages[0].get("/account").hidden)


def test_FP_18_every_node_refuses_the_old_password_within_a_second(cluster, pages):
    user = cluster.user11()
    storage = user.at(user.home)
    assert not refused(storage, PASSWORD)
    pages[0].ask_reset(user.name)
    key = key_in(link_in(mails(cluster).wait(user.email)))
    assert "successfully" in pages[1].reset(user.name, key, NEW).text  # asked at one, used at the other
    soon = Soon(cluster)
    soon.refused(storage)
    assert not refused(storage, NEW)


def test_FP_20_an_admin_starts_it_for_a_lost_mailbox(cluster, pages):
    user = cluster.user11()
    uid = cluster.ask(f"accounts/{user.name}")["uid"]
    new = f"new{user.email}"
    said = cluster.tell(f"accounts/{uid}/reset", mail=new)
    assert said == {"mailed": True}  # neither code nor password
    mail = mails(cluster).wait(new)
    assert PASSWORD not in text_of(mail)
    mails(cluster).wait(user.email, "mail address of your sync account was changed")
    assert "successfully" in pages[0].reset(user.name, key_in(link_in(mail)), NEW).text
    assert cluster.ask(f"accounts/{user.name}")["mail"] == new
