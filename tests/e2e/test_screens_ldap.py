"""The checks of forgotten passwords and of passwords that look at what is stored (FP-05, FP-07, PW-07, PW-12), where accounts are in LDAP and slapd
compares the passwords: two directories, with the settings as they are without a line."""
import base64
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lib.cluster import Cluster, running
from lib.mails import Folder, key_in, link_in
from lib.pages import Visitor
from lib.processes import wait_until
from lib.storage11 import Storage11

PASSWORD = "correct horse battery"


class Plain(Cluster):
    def directory_settings(self, folder):
        return super().directory_settings(folder) | {"passwords.kib": None, "passwords.passes": None}


@pytest.fixture(scope="module")
def cluster(worker):
    with running(Plain(worker.folder / "ldap-screens", worker.template, ["sqlite+memory"], 2, "ldap"), "ldap-screens") as started:
        yield started


def stored(cluster, filter_, *attrs):
    """[{attribute: [value …]}] of all entries, with everything that only the server's administrator may read."""
    ldif = cluster.provider.as_root("ldapsearch", "-LLL", "-o", "ldif-wrap=no", "-b", cluster.base, filter_, *attrs)
    entries = []
    for block in ldif.strip().split("\n\n"):
        entry = {}
        for line in filter(None, block.splitlines()):
            name, _, value = line.partition(":")
            value = base64.b64decode(value[1:]).decode() if value.startswith(":") else value.strip()
            entry.setdefault(name, []).append(value)
        if entry:
            entries.append(entry)
    return entries


def key_for(cluster, user):
    Visitor(cluster.directories[1].url).ask_reset(user.name)
    mail = wait_until(lambda: [m for d in cluster.directories for m in Folder(Path(d.folder) / "data" / "mail").all(user.email)], "the mail")[-1]
    return key_in(link_in(mail))


def test_PW_12_a_tree_freshly_laid_has_no_accounts(cluster):
    assert stored(cluster, "(|(objectClass=heddleAccount)(objectClass=heddleInvite))") == []
    with_password = {e["dn"][0].lower() for e in stored(cluster, "(userPassword=*)", "userPassword")}
    assert not [dn for dn in with_password if "ou=users" in dn]  # those of the server's own administrators are none of ours


def test_FP_05_what_ldap_keeps_does_not_give_the_code(cluster):
    user = cluster.user11()
    key = key_for(cluster, user)
    everything = str(stored(cluster, "(objectClass=*)", "*", "+"))
    assert key not in everything and key.replace("-", "") not in everything
    entry, = stored(cluster, f"(&(objectClass=heddleAccount)(heddleMail={user.email}))")
    seed, end, tries, mails, hour = entry["heddleReset"][0].split()
    assert re.fullmatch(r"[0-9a-f]{32}", seed) and (tries, mails) == ("0", "1") and int(end) > int(hour)
    assert "successfully" in Visitor(cluster.directory.url).reset(user.name, key, "a new staple of hay").text


def test_FP_07_a_code_counts_once_under_parallel_posts_to_two_directories(cluster):
    user = cluster.user11()
    key = key_for(cluster, user)
    passwords = [f"parallel password {i}" for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        pages = list(pool.map(lambda i: Visitor(cluster.directories[i % 2].url).reset(user.name, key, passwords[i]), range(8)))
    won = [p for p, page in zip(passwords, pages) if "Password successfully changed" in page.text]
    assert len(won) == 1 and all(page.problem for page in pages if "successfully" not in page.text)

    def signs_in(password):
        at = Storage11(user.home, user.name, password)
        return at.get("/info/collections", expect=(200, 401)).status == 200
    wait_until(lambda: not signs_in(PASSWORD), "the node hears of it")
    assert [p for p in passwords if signs_in(p)] == won


def test_signing_out_ends_a_session_at_every_directory(cluster):
    user = cluster.user11()
    first, second = (Visitor(d.url) for d in cluster.directories)
    first.sign_in(user.name, PASSWORD)
    second.session.cookies.set("heddle", first.session.cookies.get("heddle"))
    assert first.signed_in and second.signed_in
    first.post("/account/sign-out", first.get("/account").hidden)
    assert not second.signed_in
    assert len(stored(cluster, "(objectClass=heddleMark)")) == 1
    for directory in cluster.directories:
        directory.advance(13 * 3600)
    try:
        cluster.tell("sweep")
        assert stored(cluster, "(objectClass=heddleMark)") == []
    finally:
        for directory in cluster.directories:
            directory.advance(-13 * 3600)
        cluster.await_heard()


def test_PW_07_slapd_checks_argon2id_of_at_least_19_MiB(cluster):
    user = cluster.user11()
    entry, = stored(cluster, f"(&(objectClass=heddleAccount)(heddleMail={user.email}))")
    m = re.fullmatch(r"\{ARGON2\}\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$.+", entry["userPassword"][0])
    assert m and int(m[1]) >= 19 * 1024 and int(m[2]) >= 2 and int(m[3]) == 1, entry["userPassword"]
    # slapd itself compares: its own login with this password, and with none other
    assert cluster.provider._tool("ldapwhoami", "-x", "-D", entry["dn"][0], "-w", PASSWORD, check=False).returncode == 0
    assert cluster.provider._tool("ldapwhoami", "-x", "-D", entry["dn"][0], "-w", PASSWORD + "x", check=False).returncode == 49


def test_FP_02_nobody_is_looked_up_before_the_answer(cluster):
    """While no LDAP server answers, known and unknown names and addresses are told the same; who is known gets his mail afterwards."""
    user = cluster.user11()
    moved = f"moved-{user.email}"
    user.account("POST", "/email", moved)
    cluster.provider.pause()
    cluster.replica.pause()
    try:
        told = {Visitor(cluster.directory.url).ask_reset(name).text for name in (moved, user.name, "nobody", "nobody@example.com")}
    finally:
        cluster.provider.resume()
        cluster.replica.resume()
    assert len(told) == 1 and "next 6 hours" in told.pop()
    mails = Folder(Path(cluster.directory.folder) / "data" / "mail")
    wait_until(lambda: len(mails.all(moved)) >= 2, "both mails of one who is known", 180)
