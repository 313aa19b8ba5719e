"""Campaigns: what only shows under load, kills and full disks. Size comes from HEDDLE_FULL (unset: a slice), chance from HEDDLE_SEED."""
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

from lib.chance import FULL, rnd  # noqa: E402, F401
from lib.heddle import ENGINES, Backends  # noqa: E402
from lib.processes import make_temp_folder  # noqa: E402
from lib.template import pytest_configure, pytest_configure_node, pytest_unconfigure, template_of  # noqa: E402, F401


@pytest.fixture
def backends(request):
    """Fresh processes for one test; all of them are ended after it."""
    import shutil
    folder = make_temp_folder()
    b = Backends(folder, template_of(request.config))
    failed_before = request.session.testsfailed
    yield b
    if request.session.testsfailed != failed_before or getattr(request.node, "rep_failed", False):
        b.keep_logs(request.node.name.replace("/", "_"))
    bad = b.close()
    shutil.rmtree(folder, ignore_errors=True)
    assert not bad, "\n".join(bad)


@pytest.fixture
def cluster_of(backends, request):
    """Makes clusters for one test: cluster_of([capacity of each node], …)."""
    from clusters import CampaignCluster
    made = []

    def make(capacities, **kw):
        made.append(CampaignCluster(backends.folder / f"c{len(made)}", backends.template, capacities, **kw))
        return made[-1].start()

    yield make
    failed = getattr(request.node, "rep_failed", False)
    bad = []
    for cluster in made:
        if failed:
            cluster.keep_logs(request.node.name.replace("/", "_")[:60])
        for process in cluster.everything().values():
            process.resume()
        bad += cluster.stop()
        if cluster.relay:
            cluster.relay.close()
    assert not bad, "\n".join(bad)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call" and outcome.get_result().failed:
        item.rep_failed = True


@pytest.fixture(params=ENGINES)
def engine(request):
    return request.param
