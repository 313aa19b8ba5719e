"""heddle-admin node and user: what is drained, removed, recovered, limited, disabled, deleted is so, on nodes and directories that are there."""
import hashlib
import json

import pytest

from lib.cluster import Cluster, running
from lib.ops import run
from lib.processes import wait_until


@pytest.fixture(scope="module")
def cluster(worker):
    with running(Cluster(worker.folder / "nodes", worker.template, ["sqlite+memory", "mysql+redis", "sqlite+memory"], directories=2), "nodes") as started:
        yield started


@pytest.fixture(autouse=True)
def all_open(cluster):
    yield
    for node in cluster.nodes:
        if not node.running:
            node.start()
        cluster.admin("node", "add", node.url, "state=open", "capacity=1000", "seats=500")
    cluster.await_heard()


def ask(cluster, *words, expect=0):
    """Every command through both directories."""
    out = cluster.admin(*words, "--json", expect=expect)
    return [json.loads(line) for line in out.splitlines()] if expect == 0 else out


def save(user, node, items=3):
    at = user.at(node)
    for i in range(items):
        at.save("bookmarks", f"b{i}", f"payload {i} of {user.name}")
    return at


def state(cluster, node):
    return ask(cluster, "node", "show", node.node_name)[0]["state"]


def test_a_drained_node_is_empty_and_takes_nobody_until_it_is_undrained(cluster):
    node = cluster.nodes[0]
    users = [cluster.user11(node) for _ in range(3)]
    for user in users:
        save(user, node)
    cluster.admin("node", "drain", node.node_name, expect=6)
    assert state(cluster, node) == "open"  # who does not say yes changes nothing
    ask(cluster, "node", "drain", node.node_name, "--yes")
    assert state(cluster, node) == "draining" and not ask(cluster, "user", "list", "--node", node.node_name)
    for user in users:
        assert user.home is not node and user.at(user.home).item("bookmarks", "b2")["payload"] == f"payload 2 of {user.name}"
    assert all(cluster.user11().home is not node for _ in range(4))
    ask(cluster, "node", "undrain", node.node_name)
    assert state(cluster, node) == "open"
    cluster.admin("node", "undrain", node.node_name, expect=4)


def test_a_drain_without_room_elsewhere_says_who_is_left(cluster):
    node = cluster.nodes[0]
    user = cluster.user11(node)
    for other in cluster.nodes[1:]:
        cluster.admin("node", "close", other.node_name)
    cluster.admin("node", "drain", node.node_name, "--yes", expect=7)
    code, out, _ = run("--set", f"admin.directory={cluster.directory.socket}", "--set", f"admin.key={cluster.admin_key}",
                       "--set", f"admin.dir={cluster.folder / 'admin'}", "plan", "drain", node.node_name, "--json", program="heddle-admin")
    plan = json.loads(out)
    assert code == 7
    assert user.name in {u["user"] for u in plan["left"]}


def test_a_node_is_removed_only_when_nothing_is_left_on_it(cluster):
    node = cluster.nodes[2]
    user = cluster.user11(node)
    save(user, node)
    assert "live" in cluster.admin("node", "remove", node.node_name, "--yes", expect=4)
    ask(cluster, "node", "decommission", node.node_name, "--yes")
    assert "decommissioned" in cluster.admin("node", "undrain", node.node_name, expect=4)
    cluster.admin("node", "remove", node.node_name, expect=6)
    cluster.admin("node", "remove", node.node_name, "--yes")
    cluster.admin("node", "show", node.node_name, expect=3)
    assert user.at(user.home).item("bookmarks", "b0")["payload"] == f"payload 0 of {user.name}"


def test_data_to_erase_keep_their_node_until_they_are_erased(cluster):
    node = cluster.nodes[2]
    user = cluster.user11(node)
    save(user, node)
    user.account("DELETE")
    ask(cluster, "node", "decommission", node.node_name, "--yes")
    assert "heads" in cluster.admin("node", "remove", node.node_name, "--yes", expect=4)
    cluster.admin("settle", "--grace", "0")
    cluster.admin("node", "remove", node.node_name, "--yes")


def test_maintenance_is_told_to_clients_and_ends(cluster):
    node = cluster.nodes[1]
    user = cluster.user11(node)
    at = save(user, node)
    ask(cluster, "node", "maintenance", node.node_name, "on", "--text", "Back at six.", "--retry-after", "10m")
    r = at.get("/info/collections", expect=503)
    assert r.header("X-Weave-Alert") == "Back at six." and int(r.header("Retry-After")) >= 600
    assert ask(cluster, "node", "maintenance", node.node_name)[0]["on"] is True
    ask(cluster, "node", "maintenance", node.node_name, "off")
    assert at.get("/info/collections").status == 200
    cluster.admin("node", "maintenance", node.node_name, "perhaps", expect=2)


def test_recover_explains_and_then_lets_users_begin_anew_elsewhere(cluster):
    node = cluster.nodes[0]
    users = [cluster.user11(node) for _ in range(2)]
    for user in users:
        save(user, node)
    told = ask(cluster, "node", "recover", node.node_name)[0]
    assert told["answers"] is True and {c["choice"] for c in told["choices"]} == {"replica", "backup", "reassign"}
    assert all(c["can_lose"] for c in told["choices"])
    assert "answers" in cluster.admin("node", "recover", node.node_name, "--reassign", "--yes", expect=4)
    node.kill()
    assert "does not answer" in cluster.admin("node", "recover", node.node_name)
    cluster.admin("node", "recover", node.node_name, "--reassign", expect=6)
    done = ask(cluster, "node", "recover", node.node_name, "--reassign", "--yes")[0]
    assert done["reassigned"] >= 2 and done["failed"] == 0
    for user in users:
        home = user.home
        assert home is not node
        assert user.at(home).info() == {}
        save(user, home)
    cluster.admin("node", "set", node.node_name, "state=closed")  # "down" would keep it from answering at all
    node.start()  # it wakes: it serves nobody who left
    cluster.await_heard()
    for user in users:
        assert user.at(node).get("/info/collections", expect=(401, 503)).status in (401, 503)


def test_a_user_is_found_shown_and_counted(cluster):
    node = cluster.nodes[1]
    user = cluster.user11(node)
    save(user, node, 5)
    assert [u["name"] for u in ask(cluster, "user", "search", user.name)] == [user.name]
    shown = ask(cluster, "user", "show", user.email)[0]
    assert shown["name"] == user.name and shown["node"] == node.node_name and shown["head"]["state"] == "active"
    usage = ask(cluster, "user", "usage", shown["uid"])[0]
    assert [(c["name"], c["items"]) for c in usage["colls"]] == [("bookmarks", 5)]
    cluster.admin("user", "show", "nobody-at-all", expect=3)
    assert user.name in {u["name"] for u in ask(cluster, "user", "list", "--node", node.node_name)}


def test_a_quota_of_his_own_holds_and_goes(cluster):
    node = cluster.nodes[0]
    user = cluster.user11(node)
    at = save(user, node)
    assert ask(cluster, "user", "quota", user.name, "2k")[0]["quota_bytes"] == 2048
    at.save("bookmarks", "big", "x" * 4000)  # 1.1 refuses whoever has nothing left
    at.put("/storage/bookmarks/more", {"id": "more", "payload": "x"}, expect=(400, 403))
    ask(cluster, "user", "quota", user.name, "default")
    at.save("bookmarks", "more", "x")
    cluster.admin("user", "quota", user.name, "much", expect=2)


def test_a_disabled_user_is_refused_and_comes_back_with_his_data(cluster):
    node = cluster.nodes[1]
    user = cluster.user11(node)
    at = save(user, node)
    ask(cluster, "user", "disable", user.name)
    wait_until(lambda: at.get("/info/collections", expect=(200, 401)).status == 401, "refused")
    ask(cluster, "user", "enable", user.name)
    wait_until(lambda: at.get("/info/collections", expect=(200, 401)).status == 200, "let in")
    assert at.item("bookmarks", "b1")["payload"] == f"payload 1 of {user.name}"


@pytest.mark.parametrize("number", [0, 1], ids=["sqlite", "mysql"])
def test_a_deleted_user_is_gone_everywhere_and_there_is_a_receipt(cluster, number):
    node = cluster.nodes[number]
    user = cluster.user11(node)
    at = save(user, node, 4)
    cluster.admin("user", "delete", user.name, expect=6)
    assert at.get("/info/collections").status == 200
    receipt = ask(cluster, "user", "delete", user.name, "--yes")[0]
    assert (receipt["items"], receipt["directory"], receipt["head"], receipt["node_items"]) == (4, "no account", "gone", 0)
    with open(receipt["file"]) as f:
        assert json.load(f)["uid"] == receipt["uid"]
    cluster.admin("user", "show", user.name, expect=3)
    wait_until(lambda: at.get("/info/collections", expect=(200, 401)).status == 401, "refused")
    acts = [r for r in ask(cluster, "audit", "--user", receipt["uid"]) if r["what"] == "change"]
    assert [r["text"] for r in acts] == ["account deleted", "data erased"]
    assert acts[1]["data_before"] == receipt["data_digest"] and "data_after" not in acts[1]


@pytest.mark.parametrize("words", [("user", "move"), ("run", "move", "--yes")], ids=["move", "run"])
def test_the_audit_log_has_digests_of_the_data_that_were_moved(cluster, words):
    user = cluster.user11(cluster.nodes[0])
    at = save(user, cluster.nodes[0], 4)
    had = ask(cluster, "user", "usage", user.name)[0]["data_digest"]
    cluster.admin(*words, user.name, "--to", cluster.nodes[1].node_name)
    uid = ask(cluster, "user", "show", user.name)[0]["uid"]
    change = [r for r in ask(cluster, "audit", "--user", uid) if r["what"] == "change"][-1]
    assert change["text"] == "moved" and change["data_before"] == change["data_after"] == had
    holders = {h["role"]: h["data_digest"] for h in ask(cluster, "user", "verify", user.name)[0]["holders"]}
    assert holders == {"owner": had, "left": had}
    save(user, cluster.nodes[1], 5)
    assert ask(cluster, "user", "usage", user.name)[0]["data_digest"] != had
    assert at.get("/info/collections", expect=401).status == 401


def test_a_user_of_a_dead_node_is_deleted_and_his_data_go_when_it_is_back(cluster):
    node = cluster.nodes[0]
    user = cluster.user11(node)
    at = save(user, node)
    uid = ask(cluster, "user", "show", user.name)[0]["uid"]
    node.kill()
    code, out, err = run("--set", f"admin.directory={cluster.directory.socket}", "--set", f"admin.key={cluster.admin_key}",
                         "--set", f"admin.dir={cluster.folder / 'admin'}", "user", "delete", user.name, "--yes", "--json", program="heddle-admin")
    assert code == 7 and "settle" in err, (code, err)
    receipt = json.loads(out)
    assert receipt["not_counted"] and receipt["not_erased"] and receipt["deleted_ms"] and "erased_ms" not in receipt
    with open(receipt["file"]) as f:
        assert json.load(f)["uid"] == uid
    cluster.admin("user", "show", user.name, expect=3)
    node.start()
    cluster.await_heard()
    wait_until(lambda: at.get("/info/collections", expect=(401, 503)).status == 401, "refused")
    assert any(uid == r.get("uid") for r in ask(cluster, "settle", "--grace", "0")), "what was left is erased now"


def test_a_record_of_the_audit_log_that_nobody_of_us_wrote_is_told_as_it_is(cluster, tmp_path):
    """Its hash is good: whoever may write the file knows how."""
    body = '{"n":1,"time":1767225600000,"host":"h","who":"w","command":7,"words":[1,null,{"a":"b"}],"before":3,"after":[],"prev":"' + "0" * 64 + '"'
    log = tmp_path / "h.log"
    log.write_text(body + ',"hash":"' + hashlib.sha256(body.encode()).hexdigest() + '"}\n')
    for asked in ([], ["--user", "b"], ["--node", "b"]):
        cluster.admin("audit", *asked, str(log))
    assert "null" not in cluster.admin("audit", str(log))


def test_every_change_is_in_the_audit_log_and_tampering_shows(cluster):
    node = cluster.nodes[0].node_name
    cluster.admin("node", "weight", node, "777")
    cluster.admin("node", "weight", node, "1000")
    acts = ask(cluster, "audit", "--node", node, "--since", "1h")
    weights = [r for r in acts if r.get("command") == "node weight"]
    assert len(weights) >= 2 and weights[-1]["words"][:2] == [node, "1000"] and weights[-1]["who"]
    whole = ask(cluster, "audit", "--act", weights[-1]["act"])
    assert [r["what"] for r in whole] == ["begin", "change", "end"] and whole[1]["before"] != whole[1]["after"] and whole[2]["status"] == 0
    verdict = ask(cluster, "audit", "verify")[0]
    log = open(verdict["file"], "rb").read()
    try:
        with open(verdict["file"], "wb") as f:
            f.write(log.replace(b'"777"', b'"778"', 1))
        assert "changed" in cluster.admin("audit", "verify", expect=8)
        lines = log.splitlines(keepends=True)
        with open(verdict["file"], "wb") as f:
            f.writelines(lines[:1] + lines[2:])
        assert "removed" in cluster.admin("audit", "verify", expect=8)
        with open(verdict["file"], "wb") as f:
            f.writelines(lines[:-1])
        cluster.admin("audit", "verify")
        cluster.admin("audit", "verify", "--has", verdict["last"], expect=8)
    finally:
        with open(verdict["file"], "wb") as f:
            f.write(log)
    cluster.admin("audit", "verify", "--has", verdict["last"])


def test_the_second_directory_is_asked_while_the_first_is_away(cluster):
    first, second = cluster.directories
    first.kill()
    try:
        both = ["--set", f"admin.directory={second.socket}"]  # beside the first
        out = cluster.admin(*both, "node", "list", "--names")
        assert cluster.nodes[0].node_name in out.splitlines()
        cluster.admin(*both, "node", "weight", cluster.nodes[0].node_name, "999")
        cluster.admin("node", "list", expect=5)  # the first alone
    finally:
        first.start()
        cluster.await_heard()
