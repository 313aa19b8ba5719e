"""What is carried between two nodes goes through a relay that cuts, changes, repeats and reorders it. None of it is taken: the move is
refused and undone, or says truly that all is there."""
import os
import re
import socket
import threading

import pytest

from lib.cluster import Cluster, running
from lib.heddle import has_hooks
from lib.moves import Admin
from lib.storage15 import records
from lib.wires import relays

pytestmark = pytest.mark.skipif(not has_hooks(), reason="a build without test hooks")


@pytest.fixture(scope="module")
def cluster(worker):
    with running(Cluster(worker.folder / "wires", worker.template, ["sqlite+memory", "sqlite+memory"]), "wires") as started:
        yield started


@pytest.fixture
def wires(cluster):
    """The relays, by node; closed and honest again afterwards."""
    with relays(cluster) as made:
        yield made


def once(change, match):
    """Tampers with the first message of a path that matches; `done` is set then."""
    done = threading.Event()

    def act(target, body):
        if done.is_set() or not re.search(match, target) or not body:
            return None
        changed = change(body)
        if changed is not None and changed != body:
            done.set()
        return changed

    act.done = done
    return act


def flip(body):
    at = len(body) // 2
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1:]


def cut(body):
    return body[:body.rfind(b"\n", 0, len(body) // 2) + 1]


def reorder(body):
    lines = body.splitlines(True)
    return b"".join([*lines[1:3][::-1], lines[0], *lines[3:]]) if len(lines) > 4 else None


def drop_line(body):
    lines = body.splitlines(True)
    return b"".join(lines[:1] + lines[2:])


CHANGES = {"flipped": flip, "truncated": cut, "reordered": reorder, "a line less": drop_line}
PLACES = {"manifest from the source": ("source", "on_answer", r"/manifest\?"), "rows from the source": ("source", "on_answer", r"/export\?"),
          "manifest to the target": ("target", "on_question", r"/manifest\?"), "rows to the target": ("target", "on_question", r"/import\?"),
          "lacks from the target": ("target", "on_answer", r"/manifest\?")}


def new_user(cluster):
    sub = os.urandom(16).hex()
    user = cluster.user15(sub)
    for coll in ("bookmarks", "history"):
        user.save_all(coll, records(60, payload="p" * 200))
    return sub, user, user.server, next(n for n in cluster.nodes if n is not user.server)


def move_through(cluster, wires, uid, target):
    """(exit status, what was said)"""
    words = [w for wire in wires.values() for w in wire.setting()]
    child = Admin(cluster).start(*words, "user", "move", str(uid), "--to", target.node_name, "--json")
    code, out, err = Admin.end(child)
    return code, out + err


def check_undone(cluster, sub, uid, source):
    now = cluster.ask(f"accounts/{uid}")
    assert (now["node"], now["intent"]) == (source.node_name, None)
    user = cluster.user15(sub)
    assert len(user.ids("bookmarks")) == len(user.ids("history")) == 60
    user.save("bookmarks", "still", "here")


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
def test_a_stream_that_was_tampered_with_is_refused(cluster, wires, place, change):
    which, when, match = place
    sub, user, source, target = new_user(cluster)
    act = once(change, match)
    setattr(wires[(source if which == "source" else target).node_name], when, act)
    code, said = move_through(cluster, wires, user.uid, target)
    assert act.done.is_set()
    assert code != 0, said
    check_undone(cluster, sub, user.uid, source)
    assert move_through(cluster, wires, user.uid, target)[0] == 0  # an honest wire
    assert len(cluster.user15(sub).ids("history")) == 60


def test_an_answer_of_an_earlier_pass_is_no_answer_now(cluster, wires):
    """The source's first page is given again for every later one: its sum belongs to another call."""
    sub, user, source, target = new_user(cluster)
    kept = {}
    wires[source.node_name].on_answer = lambda path, body: kept.setdefault("body", body) if "/manifest?move=" in path else None
    code, said = move_through(cluster, wires, user.uid, target)
    assert code != 0 and "not the one that was sent" in said
    check_undone(cluster, sub, user.uid, source)


def test_a_call_that_is_sent_again_is_refused(cluster, wires):
    """A recorded question, with its signature, brought to the node once more."""
    sub, user, source, target = new_user(cluster)
    sent = []
    honest = wires[target.node_name].message

    def keep(stream):
        m = honest(stream)
        if m and m[0].startswith(b"POST") and b"/import?" in m[0].split(b"\r\n", 1)[0]:
            sent.append(m[0] + m[1])
        return m

    wires[target.node_name].message = keep
    assert move_through(cluster, wires, user.uid, target)[0] == 0
    assert sent
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(target.socket))
        s.sendall(sent[0])
        assert s.recv(100).startswith(b"HTTP/1.1 401")
    assert len(cluster.user15(sub).ids("history")) == 60
