"""heddle-admin plan and run: against directories and nodes that are really there."""
import datetime
import json
import os
import pty
import signal
import subprocess

import pytest

from lib.cluster import Cluster, running
from lib.heddle import build_folder
from lib.ops import run
from lib.processes import wait_until


@pytest.fixture(scope="module")
def cluster(worker):
    with running(Cluster(worker.folder / "plan", worker.template, ["sqlite+memory", "mysql+redis", "sqlite+memory"]), "plan") as started:
        yield started


def settings(cluster):
    return [f"admin.directory={cluster.directory.socket}", f"admin.key={cluster.admin_key}", f"admin.dir={cluster.folder / 'admin'}"]


def argv(cluster, *words):
    sets = [w for s in settings(cluster) for w in ("--set", s)]
    return [str(build_folder() / "heddle-admin"), *sets, *map(str, words)]


def start(cluster, *words, **more):
    return subprocess.Popen(argv(cluster, *words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)


def objects(text):
    return [json.loads(line) for line in text.splitlines()]


def ask(cluster, *words, expect=0):
    """What a command answers with --json."""
    out = cluster.admin(*words, "--json", expect=expect)
    return objects(out) if expect == 0 else out


def newest_run(cluster):
    """What `run show` tells; of no run at all, one of nothing."""
    code, out, err = run(*(w for s in settings(cluster) for w in ("--set", s)), "run", "show", "--json", program="heddle-admin")
    assert code in (0, 3), err
    return objects(out)[0] if code == 0 else {"state": None, "moves": 0, "done": 0, "list": []}


def users_on(cluster, node):
    return {u["name"] for u in ask(cluster, 'user', 'list', '--node', node.node_name)}


def payload(user, number, size):
    return f"payload {number} of {user.name}".ljust(size, ".")


def user_with_data(cluster, node, items=3, size=0):
    user = cluster.user11(node)
    at = user.at(node)
    for i in range(items):
        at.save("bookmarks", f"b{i}", payload(user, i, size))
    return user


def has_data(user, node, items=3, size=0):
    at = user.at(node)
    return all(at.item("bookmarks", f"b{i}")["payload"] == payload(user, i, size) for i in range(items))


def where(cluster, users):
    return {u.name: ask(cluster, "user", "show", u.name)[0]["node"] for u in users}


def test_a_plan_names_every_move_and_the_loads_before_and_after(cluster):
    node = cluster.nodes[0]
    user = user_with_data(cluster, node)
    doc = ask(cluster, "plan", "drain", node.node_name)[0]
    moved = {m["user"]: m for m in doc["moves"]}
    assert moved.keys() == users_on(cluster, node)
    assert moved[user.name]["items"] == 3 and moved[user.name]["bytes"] >= 3 * 20 and moved[user.name]["reason"]
    table = {n["node"]: n for n in doc["nodes"]}
    assert table[node.node_name]["users_after"] == 0
    assert sum(n["users_before"] for n in doc["nodes"]) == sum(n["users_after"] for n in doc["nodes"])
    text = cluster.admin("plan", "drain", node.node_name)
    assert user.name in text and "SHARE" in text
    assert user.name in users_on(cluster, node)  # it was a plan


def test_a_saved_plan_is_done_exactly(cluster, tmp_path):
    a, b = cluster.nodes[0], cluster.nodes[1]
    users = [user_with_data(cluster, a) for _ in range(3)]
    file = tmp_path / "p.plan"
    doc = ask(cluster, "plan", "move", *[u.name for u in users], "--to", b.node_name, "--save", file)[0]
    assert {m["user"] for m in doc["moves"]} == {u.name for u in users}
    cluster.admin("run", "plan", file, expect=6)  # neither --yes nor a terminal
    events = ask(cluster, "run", "plan", file, "--yes")
    assert [e["event"] for e in events].count("moved") == 3 and events[-1]["event"] == "end" and events[-1]["state"] == "done"
    for user in users:
        assert where(cluster, [user])[user.name] == b.node_name
        assert has_data(user, b)
    again = ask(cluster, "run", "plan", file, "--yes")
    assert again[-1]["state"] == "done"  # they live there already
    record = [r for r in objects(cluster.admin("audit", "--user", users[0].name, "--json")) if r["what"] == "change"]
    assert record[0]["node"] == a.node_name and record[0]["to"] == b.node_name and record[0]["before"] != record[0]["after"]
    cluster.admin("audit", "verify")


def test_a_plan_that_does_not_fit_any_more_moves_nobody_elsewhere(cluster, tmp_path):
    a, b, c = cluster.nodes
    user = user_with_data(cluster, a)
    file = tmp_path / "p.plan"
    ask(cluster, "plan", "move", user.name, "--to", b.node_name, "--save", file)
    cluster.admin("user", "move", user.name, "--to", c.node_name)
    events = ask(cluster, "run", "plan", file, "--yes")
    assert events[-1]["skipped"] == 1 and where(cluster, [user])[user.name] == c.node_name


def test_a_file_that_holds_no_plan_is_refused(cluster, tmp_path):
    bad = tmp_path / "x"
    for text in ("", "{}", "[1]", '{"plan":1,"kind":"move","moves":[{"user":"a"}]}', '{"plan":1,"kind":"move","moves":[{"user":"a","uid":1,"from":"../x","to":"b"}]}'):
        bad.write_text(text)
        cluster.admin("run", "plan", bad, "--yes", expect=2)
    cluster.admin("run", "plan", tmp_path / "nothing", "--yes", expect=3)


def test_a_killed_run_goes_on_with_resume(cluster):
    a, b = cluster.nodes[0], cluster.nodes[2]
    users = [user_with_data(cluster, a, 10, 2000) for _ in range(4)]
    child = start(cluster, "run", "move", *[u.name for u in users], "--to", b.node_name, "--yes", "--json", "--parallel", 2, "--rate", "16k")
    moving = json.loads(child.stdout.readline())
    wait_until(lambda: any(m["state"] in ("begun", "done") for m in newest_run(cluster)["list"]), "the run has begun")
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert moving["event"] == "progress" and ask(cluster, "run", "show")[0]["state"] == "stopped"
    cluster.admin("run", "resume", "--json")
    shown = ask(cluster, "run", "show")[0]
    assert shown["state"] == "done" and shown["done"] == 4
    assert set(where(cluster, users).values()) == {b.node_name}
    assert all(has_data(u, b, 10, 2000) for u in users)


def test_pause_resume_and_cancel_come_from_any_terminal(cluster):
    a, b = cluster.nodes[0], cluster.nodes[2]
    users = [user_with_data(cluster, a, 6, 2000) for _ in range(9)]
    child = start(cluster, "run", "move", *[u.name for u in users], "--to", b.node_name, "--yes", "--json", "--parallel", 1, "--rate", "6k")
    shown = lambda: newest_run(cluster)
    wait_until(lambda: shown()["state"] == "running" and shown()["moves"] == len(users), "running")
    cluster.admin("run", "pause")
    wait_until(lambda: shown()["state"] == "paused", "paused")
    wait_until(lambda: all(m["state"] != "begun" for m in shown()["list"]), "nothing is under way", 180)
    done = shown()["done"]
    assert done < len(users) and child.poll() is None
    cluster.admin("run", "resume")
    wait_until(lambda: shown()["done"] > done, "it goes on", 180)
    cluster.admin("run", "cancel")
    assert child.wait(180) == 7
    child.stdout.close()
    child.stderr.close()
    end = shown()
    assert end["state"] == "cancelled" and 0 < end["done"] < len(users)
    for verb in "resume", "pause":
        cluster.admin("run", verb, expect=4)  # none is under way
    at = where(cluster, users)
    assert list(at.values()).count(b.node_name) == end["done"]
    for user in users:
        assert has_data(user, a if at[user.name] == a.node_name else b, 6, 2000)


def test_outside_its_window_a_run_waits(cluster):
    a, b = cluster.nodes[0], cluster.nodes[1]
    user = user_with_data(cluster, a)
    later = datetime.datetime.now() + datetime.timedelta(hours=2)
    child = start(cluster, "run", "move", user.name, "--to", b.node_name, "--yes", "--json", "--window",
                  f"{later:%H:%M}-{later + datetime.timedelta(hours=1):%H:%M}")
    wait_until(lambda: newest_run(cluster)["state"] == "waiting", "waiting")
    child.send_signal(signal.SIGTERM)
    out, _ = child.communicate(timeout=180)
    assert child.returncode == 7 and objects(out)[-1]["state"] == "stopped"
    assert where(cluster, [user])[user.name] == a.node_name
    cluster.admin("run", "cancel")
    cluster.admin("run", "move", user.name, "--to", b.node_name, "--window", "25:00-06:00", "--yes", expect=2)


def test_a_run_in_a_terminal_draws_bars_and_asks(cluster):
    a, b = cluster.nodes[0], cluster.nodes[1]
    user = user_with_data(cluster, a)
    main, child_end = pty.openpty()
    child = subprocess.Popen(argv(cluster, "run", "move", user.name, "--to", b.node_name), stdin=child_end, stdout=child_end, stderr=child_end,
                             env={**os.environ, "TERM": "xterm"})
    os.close(child_end)
    seen = b""
    try:
        while b"Type" not in seen:
            seen += os.read(main, 4096)
        os.write(main, b"yes\n")
        while True:
            got = os.read(main, 4096)
            if not got:
                break
            seen += got
    except OSError:  # the other end is closed
        pass
    os.close(main)
    assert child.wait(180) == 0, seen.decode()
    text = seen.decode()
    assert "[####" in text and "100 %" in text and "\x1b[1m" in text and "done" in text
