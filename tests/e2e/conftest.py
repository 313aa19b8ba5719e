"""Fixtures of the end-to-end tests. Each pytest worker has one temporary folder, one MariaDB, one Redis, and one shared server for each
engine; tests get users that nobody else has. See README.md."""
import os
import shutil

import pytest

from lib import template
from lib.heddle import ENGINES, Backends, build_folder, on_cluster
from lib.processes import OUT, MariaDB, make_temp_folder
from lib.wire import Prompt

pytest_configure_node, pytest_unconfigure = template.pytest_configure_node, template.pytest_unconfigure


def pytest_configure(config):
    template.pytest_configure(config)
    config.addinivalue_line("markers", "one_engine(name): runs on that engine alone")
    if not hasattr(config, "workerinput"):  # not in a worker of xdist
        shutil.rmtree(OUT, ignore_errors=True)


def pytest_collection_modifyitems(config, items):
    if on_cluster():
        from lib.front import of_a_cluster
        config.hook.pytest_deselected(items=[i for i in items if not of_a_cluster(i)])
        items[:] = [i for i in items if of_a_cluster(i)]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        item.session.config.stash[_failed] = True


_failed = pytest.StashKey()


@pytest.fixture(autouse=True)
def side(request):
    """On a cluster: whether this module speaks to a directory or to a node where it speaks to the server's own address."""
    if on_cluster():
        from lib.front import Front, side_of
        Front.side = side_of(request.module.__name__)
        Front.turn += 1


def pytest_generate_tests(metafunc):
    """`engine`, which every server depends on: each test runs on all of them, or on those that its mark names."""
    if "engine" in metafunc.fixturenames:
        mark = metafunc.definition.get_closest_marker("one_engine")
        engines = mark.args if mark else ENGINES
        metafunc.parametrize("engine", ["mysql+redis"] if on_cluster() else engines, scope="session")


@pytest.fixture(scope="session")
def worker(request):
    """The backends of this worker. On a failure their logs are kept in tests/out/."""
    if not (build_folder() / "heddle").exists():
        pytest.exit(f"no program {build_folder() / 'heddle'}; build it or set HEDDLE_BUILD", 3)
    folder = make_temp_folder()
    backends = Backends(folder, template.template_of(request.config))
    yield backends
    bad = backends.close()
    if bad or request.config.stash.get(_failed, False):
        backends.keep_logs(os.environ.get("PYTEST_XDIST_WORKER", "main"))
    shutil.rmtree(folder, ignore_errors=True)
    assert not bad, "servers that did not end cleanly:\n" + "\n".join(bad)
    late = Prompt.judge()
    assert not late, "\n".join(late)


@pytest.fixture(scope="session")
def shared_stacks(worker):
    """engine, kind -> Stack, started when first asked for."""
    running = {}

    def get(engine, kind="plain"):
        if (engine, kind) not in running or not running[engine, kind].heddle.running:
            running[engine, kind] = worker.stack(engine)
            running[engine, kind].heddle.shared = kind == "plain"
        return running[engine, kind]

    return get


@pytest.fixture
def stack(shared_stacks, engine):
    """A running server, shared with other tests of this worker: use fresh users, leave its clock and its backends alone."""
    return shared_stacks(engine)


@pytest.fixture
def clock_stack(shared_stacks, engine):
    """A running server whose clock tests may advance (never turn back)."""
    return shared_stacks(engine, "clock")


@pytest.fixture
def own_stack(worker, engine):
    """Makes servers for this test alone: own_stack(settings, own_redis=True). They end with the test, and must end cleanly."""
    made = []

    def make(settings=None, **kw):
        made.append(worker.stack(engine, settings, **kw))
        return made[-1]

    yield make
    for s in made:
        if s.redis is not None:
            s.redis.resume()
    codes = [s.heddle.stop() if s.heddle.running else 0 for s in made]
    for s in made:
        s.heddle.forget_shared_memory()
    assert not any(codes), "\n".join(s.heddle.log_tail() for s in made)


@pytest.fixture
def own_database(worker, own_stack):
    """A server for this test on a MariaDB of its own, which may be killed: both."""
    database = MariaDB(worker.folder / f"my-{len(worker.processes)}", worker.template)
    worker.processes.append(database)
    database.start()
    database.create_database("heddle")
    yield own_stack({"store.socket": str(database.socket), "store.database": "heddle"}), database
    if not database.running:
        database.start()  # the server ends cleanly


@pytest.fixture
def user(stack):
    """A 1.5 client of a user who was never seen before."""
    client = stack.user()
    yield client
    client.close()


@pytest.fixture
def other(stack):
    """A second, unrelated user."""
    client = stack.user()
    yield client
    client.close()


@pytest.fixture
def clock_user(clock_stack):
    client = clock_stack.user(expires_in_s=10 * 366 * 86400)
    yield client
    client.close()


@pytest.fixture
def user11(stack):
    """A 1.1 client of a newly registered account."""
    client = stack.user11()
    yield client
    client.close()


@pytest.fixture(scope="session")
def axe():
    from lib.chromium import axe_source
    return axe_source()


@pytest.fixture
def browser(tmp_path):
    """Makes browsers for this test: browser(url, scripts=, width=, language=)."""
    from lib.chromium import Browser  # selenium is for these tests alone
    made = []

    def start(url, **kw):
        made.append(Browser(url, tmp_path / f"profile{len(made)}", **kw))
        return made[-1]

    yield start
    for b in made:
        b.close()
