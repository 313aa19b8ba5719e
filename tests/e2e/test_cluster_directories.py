"""Two directory processes on one backend: clients notice nothing of which one they speak to, or that one is gone."""
import time

import pytest

from lib.cluster import Cluster, running
from lib.refused import Soon

ASKED_IN_VAIN_S = 5  # so long a node waits for a directory's word about a password


@pytest.fixture(scope="module")
def cluster(worker):
    made = Cluster(worker.folder / "cluster2", worker.template, ["sqlite+memory", "sqlite+memory"], directories=2)
    made.soon = Soon(made)
    with running(made, "cluster2"):
        yield made
    assert not (bad := made.soon.judge()), "\n".join(bad)


@pytest.fixture(params=[0, 1], ids=["first", "second"])
def away(cluster, request):
    """The directory that a test takes away; it is there again afterwards."""
    directory = cluster.directories[request.param]
    yield directory
    directory.resume()
    if not directory.running:
        directory.start()
    cluster.await_heard()


def remaining(cluster, away):
    return next(d for d in cluster.directories if d is not away)


def test_both_name_the_same_node_for_the_same_user(cluster):
    for directory in cluster.directories:
        user = cluster.user11(directory=directory)
        assert {user.through(d).home for d in cluster.directories} == {user.home}


@pytest.mark.parametrize("number", [0, 1])
def test_a_password_changed_through_either_is_refused_within_a_second(cluster, number):
    user = cluster.user11()
    old = user.at(user.home)
    old.get("/info/collections")
    user.through(cluster.directories[number]).change_password("another long password")
    cluster.soon.refused(old)


def test_one_directory_killed_is_not_noticed(cluster, away):
    here = remaining(cluster, away)
    known, unknown = cluster.user11(directory=here), cluster.user11(directory=here)
    storage, node = known.at(known.home), unknown.home
    storage.save("bookmarks", "abc", "hello")
    away.kill()
    assert storage.item("bookmarks", "abc")["payload"] == "hello"
    unknown.at(node).save("bookmarks", "abc", "hello")
    cluster.await_heard(1)
    new = cluster.user11(directory=here)
    new.at(new.home).save("bookmarks", "abc", "hello")
    known.change_password("another long password")
    cluster.soon.refused(storage)


def test_a_directory_that_hangs_delays_one_question_at_most(cluster, away):
    here = remaining(cluster, away)
    users = [cluster.user11(directory=here) for _ in range(10)]
    homes = [user.home for user in users]
    away.pause()
    waited = {node: [] for node in homes}
    for user, node in zip(users, homes):
        began = time.monotonic()
        user.at(node).get("/info/collections")
        waited[node].append(time.monotonic() - began)
    assert all(sum(s >= ASKED_IN_VAIN_S for s in times) <= 1 for times in waited.values()), waited


def test_what_a_node_missed_of_a_dead_directory_it_forgets_when_that_is_back(cluster, away):
    here = remaining(cluster, away)
    user = cluster.user11(directory=here)
    storage = user.at(user.home)
    storage.get("/info/collections")
    away.restart()
    cluster.await_heard()
    storage.get("/info/collections")
