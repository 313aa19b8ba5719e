"""What the operator decides about accounts, and how soon nodes obey."""
import json
import os
import urllib.parse

import pytest

from lib.cluster import Cluster, metric, running
from lib.processes import wait_until
from lib.refused import Soon


@pytest.fixture(scope="module")
def cluster(worker):
    made = Cluster(worker.folder / "cluster3", worker.template, ["sqlite+memory", "sqlite+memory"], directories=2)
    made.soon = Soon(made)
    with running(made, "cluster3"):
        yield made
    assert not (bad := made.soon.judge()), "\n".join(bad)


def token_status(cluster, sub, directory):
    connection = directory.connection()
    try:
        return connection.request("GET", "/1.0/sync/1.5", [
            ("Authorization", "Bearer " + cluster.issuer.access_token(sub)), ("X-KeyID", "1234-qqo")]).status
    finally:
        connection.close()


def entry(cluster, key):
    return cluster.operate("GET", "accounts/" + urllib.parse.quote(str(key), safe="")).json()


def erases(cluster):
    return {x["uid"] for x in cluster.operate("GET", "erases").lines()}


def get(client):
    """The status of a small question: by password or token."""
    return client.get("/info/collections", expect=None).status


def refused_since_its_start(cluster, client):
    """A node serves nobody before each directory has answered once, unless that takes three seconds."""
    heard = metric(client.server, "heddle_directories_heard")
    assert get(client) == 401 or heard < len(cluster.directories)
    cluster.await_heard()
    assert get(client) == 401


@pytest.mark.parametrize("number", [0, 1])
def test_a_disabled_account_is_refused_within_a_second_by_password_and_by_token(cluster, number):
    directory = cluster.directories[number]
    old, new = cluster.user11(), cluster.user15()
    storage = old.at(old.home)
    storage.save("bookmarks", "abc", "hello")
    assert get(new) == 200
    for uid in (entry(cluster, old.name)["uid"], new.uid):
        assert cluster.operate("POST", f"accounts/{uid}/disable", directory=directory).json()["enabled"] is False
    cluster.soon.refused(storage, new)
    for uid in (entry(cluster, old.name)["uid"], new.uid):
        cluster.operate("POST", f"accounts/{uid}/enable", directory=directory)
    wait_until(lambda: get(storage) == 200 and get(new) == 200, "allowed")
    assert storage.item("bookmarks", "abc")["payload"] == "hello"


def test_a_deleted_account_is_refused_within_a_second_and_leaves_its_erase(cluster):
    old, new = cluster.user11(), cluster.user15()
    storage = old.at(old.home)
    assert get(storage) == 200 and get(new) == 200
    uids = [entry(cluster, old.name)["uid"], new.uid]
    for uid in uids:
        cluster.operate("POST", f"accounts/{uid}/delete")
    cluster.soon.refused(storage, new)
    assert erases(cluster) >= set(uids)
    cluster.operate("POST", f"erases/{uids[0]}/done")
    assert uids[0] not in erases(cluster) and uids[1] in erases(cluster)


@pytest.mark.parametrize("verb", ["disable", "delete"])
def test_a_token_stays_refused_when_node_and_directory_start_anew(cluster, verb):
    user = cluster.user15()
    assert get(user) == 200
    cluster.operate("POST", f"accounts/{user.uid}/{verb}")
    cluster.soon.refused(user)
    user.server.restart()
    refused_since_its_start(cluster, user)
    for directory in cluster.directories:
        directory.restart()
    user.server.restart()
    refused_since_its_start(cluster, user)


def test_nobody_new_gets_a_token_while_he_is_disabled(cluster):
    sub = os.urandom(16).hex()
    user = cluster.user15(sub)
    cluster.operate("POST", f"accounts/{user.uid}/disable")
    for directory in cluster.directories:
        assert token_status(cluster, sub, directory) == 403
    cluster.operate("POST", f"accounts/{user.uid}/enable")
    for directory in cluster.directories:
        assert token_status(cluster, sub, directory) == 200


def test_a_flip_is_heard_by_both_directories_and_the_node_before_refuses_a_known_password(cluster):
    user = cluster.user11()
    here, there = user.home, next(n for n in cluster.nodes if n is not user.home)
    storage = user.at(here)
    assert get(storage) == 200
    found = entry(cluster, user.name)
    changes = [["syncNode", here.node_name, there.node_name], ["heddleEpoch", str(found["epoch"]), str(found["epoch"] + 1)]]
    after = cluster.operate("POST", f"accounts/{found['uid']}/cas", {"changes": changes}).json()
    assert (after["node"], after["epoch"]) == (there.node_name, found["epoch"] + 1)
    cluster.operate("POST", f"accounts/{found['uid']}/cas", {"changes": changes}, expect=409)
    cluster.operate("POST", "news", {"uids": [found["uid"]]}, directory=cluster.directories[1])
    cluster.soon.refused(storage)
    for directory in cluster.directories:
        assert user.through(directory).home is there


def test_explain_tells_where_and_why(cluster):
    user = cluster.user15()
    out = cluster.admin("explain", str(user.uid))
    assert f"(uid {user.uid}) lives on 127.0.0.1:{user.server.port} (open), epoch 1" in out and ": first" in out
    assert "somebody like him would go to 127.0.0.1:" in out and "GETS NOBODY" in out
    told = json.loads(cluster.admin("explain", "--json", str(user.uid)))
    assert told["node"] == f"127.0.0.1:{user.server.port}" and len(told["fresh"]["nodes"]) == 2
    assert "404" in cluster.admin("explain", "nobody@example.com", expect=3)
