"""One user moves between nodes of every engine, by `heddle-admin user move`, while he syncs."""
import json
import threading
import time

import pytest

from lib.cluster import Cluster
from lib.processes import wait_until
from lib.storage15 import Storage15, records

ENGINES = ["sqlite+memory", "sqlite+memory", "mysql+redis", "mysql+redis"]


@pytest.fixture(scope="module")
def cluster(worker):
    made = Cluster(worker.folder / "moves", worker.template, ENGINES, directories=2)
    try:
        yield made.start()
    finally:
        made.keep_logs("moves")
        bad = made.stop()
    assert not bad, "\n".join(bad)


def move(cluster, uid, to, *words):
    return json.loads(cluster.admin("user", "move", str(uid), "--to", to.node_name, "--json", *words))


def test_a_user_arrives_as_he_left(cluster):
    user = cluster.user15()
    user.save_all("history", records(90, payload="x" * 100))
    print(move(cluster, user.uid, cluster.nodes[3]))
