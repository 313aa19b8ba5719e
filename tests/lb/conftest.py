"""The balancer's suite: real haproxy and nginx, rendered by heddle-admin, in front of real nodes and a real directory. Size comes from
HEDDLE_FULL (unset: a slice), chance from HEDDLE_SEED."""
import os
import random
import shutil
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]
os.environ.setdefault("HEDDLE_PATIENCE_S", "60")  # how soon a node refuses is looked at elsewhere; here it stands behind balancers that reload

from front import KINDS, Front  # noqa: E402
from lib.chance import FULL, rnd  # noqa: E402, F401
from lib.processes import make_temp_folder  # noqa: E402


@pytest.hookimpl(tryfirst=True)  # xdist looks at the marks in a hook of this name, too
def pytest_collection_modifyitems(items):
    """With several workers each balancer has one of them for itself, so that what is shared is made once."""
    for item in items:
        kinds = [k for k in KINDS if k in getattr(item, "callspec", SimpleNamespace(id="")).id.split("-")]
        item.add_marker(pytest.mark.xdist_group((kinds or ["none"])[0]))


@pytest.fixture(scope="session")
def folder():
    made = make_temp_folder()
    yield made
    shutil.rmtree(made, ignore_errors=True)


def _end(front, failed):
    if failed and not front.kept:
        front.keep_logs(f"lb-{front.folder.name}")
    bad = front.stop()
    front.close_taps()
    assert not bad, "\n".join(bad)


@pytest.fixture(scope="session", params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(scope="session")
def front(kind, folder, request):
    """Two nodes behind a balancer, with a tap before each; shared: use fresh users, change nothing."""
    made = Front(kind, folder / f"shared-{kind}", ["sqlite+memory", "sqlite+memory"], taps=True, limit_user=0, limit_address=0)
    made.start()
    made.check_files()
    made.await_well()
    yield made
    _end(made, request.session.testsfailed)


@pytest.fixture(scope="session")
def followed(kind, folder, request):
    made = Front(kind, folder / f"lively-{kind}", ["sqlite+memory"] * 2, follow=True, limit_user=0, hold="30s")
    made.start()
    made.check_files()
    made.await_well()
    yield made
    _end(made, request.session.testsfailed)


@pytest.fixture
def lively(followed, request):
    """Two nodes behind a balancer that follows the directory. Shared by tests that move users, give nodes another state and kill them: what
    they leave behind is mended here."""
    failed, began = request.session.testsfailed, time.time()
    yield followed
    if request.session.testsfailed != failed:
        print(followed.refused(began))
        if not followed.kept:  # now, since what comes after may write hundreds of megabytes more
            followed.keep_logs(f"lb-{followed.folder.name}")
    for node in followed.nodes:
        if not node.running:
            node.start()
        if next(n for n in followed.ask("nodes") if n["name"] == node.node_name)["state"] != "open":
            followed.admin("node", "set", node.node_name, "state=open")
            followed.lb("push")
    followed.await_well()


@pytest.fixture(scope="session")
def direct(kind, folder, request):
    """Each node has a name of its own; the balancer stands in front of all of them. Shared."""
    made = Front(kind, folder / f"direct-{kind}", ["sqlite+memory"] * 2, direct=True, limit_user=0)
    made.start()
    made.check_files()
    made.await_well()
    yield made
    _end(made, request.session.testsfailed)


@pytest.fixture
def own_front(kind, folder, request):
    """Makes a cluster for this test alone."""
    made = []

    def make(engines=2, **options):
        one = Front(kind, folder / f"own-{kind}-{random.SystemRandom().randrange(1 << 40):x}", ["sqlite+memory"] * engines, **options)
        made.append(one)
        one.start()
        one.check_files()
        one.await_well()
        return one

    before = request.session.testsfailed
    yield make
    for one in made:
        if request.session.testsfailed != before:
            print(one.refused())
        _end(one, request.session.testsfailed != before)
