"""A rebalance that is started in the console, watched live by two admins, paused by one and stopped by the other. Both see the same; who was moved is
there with all he had, who was not is where he was."""
import re

from conftest import FULL
from lib.cluster import Cluster
from lib.console import Console, wait_for_state
from lib.operator_calls import operate
from lib.processes import wait_until

USERS, RATE = (1000, "800k") if FULL else (48, "16k")
ITEMS, PAYLOAD = 3, 1400


def test_two_admins_watch_a_rebalance_and_one_stops_it(backends, rnd):
    cluster = Cluster(backends.folder / "conrun", backends.template, ["sqlite+memory", "sqlite+memory"])
    cluster.capacity = 3 * USERS
    console = None
    try:
        cluster.start()
        console = Console(cluster.folder / "con", cluster)
        console.start()
        watch_and_stop(cluster, console, rnd)
    finally:
        cluster.keep_logs("console-run")
        if console:
            console.keep_log("console-run")
            code = console.stop()
        bad = cluster.stop()
    assert not bad, "\n".join(bad)
    assert code == 0, console.log_tail()


def make_users(cluster, rnd):
    """All on the first node, with some records each."""
    first, second = cluster.nodes
    cluster.admin("node", "close", second.node_name)
    users = {}
    for _ in range(USERS):
        client = cluster.user15()
        items = [{"id": f"i{n}", "payload": f"{client.uid} {n} ".ljust(rnd.randrange(PAYLOAD, PAYLOAD + 100), "x")} for n in range(ITEMS)]
        client.save_all("bookmarks", items)
        client.close()
        users[client.uid] = {i["id"]: i["payload"] for i in items}
    cluster.admin("node", "open", second.node_name)
    cluster.admin("node", "weight", first.node_name, 1)  # so that nearly everybody shall go
    return users


class Watcher:
    """Somebody who looks at the live part; keeps all that he saw."""

    def __init__(self, visitor, run):
        self.visitor, self.run, self.seen = visitor, run, []

    def look(self):
        self.seen.append(self.visitor.figures(self.run))
        return self.seen[-1]


def watch_and_stop(cluster, console, rnd):
    users = make_users(cluster, rnd)
    anna, bert = console.visitor("anna"), console.visitor("bert")
    page = anna.get("/admin/plan?kind=rebalance&by=users&threshold=0")
    moves = int(re.search(r"<dt>Moves</dt><dd>([\d\u202f]+)</dd>", page.html)[1].replace("\u202f", ""))
    assert moves >= USERS - 2, page.text
    started = anna.act("/admin/runs", plan=page.hidden["plan"], parallel="4", rate=RATE, rise="0")
    run = started.response.url.split("/runs/")[1].partition("?")[0]
    assert run in bert.get("/admin/runs").text
    a, b = Watcher(anna, run), Watcher(bert, run)

    watch_until(a, b, lambda seen: seen["done"] >= moves // 6, moves)
    assert anna.act(f"/admin/runs/{run}/pause").status == 200
    wait_for_state(bert, run, {"paused"})
    paused = await_same(a, b)  # when what was under way has ended
    assert paused["state"] == "paused" and 0 < paused["done"] < moves, paused
    assert cluster.admin("run", "show", run).find("paused") >= 0  # a terminal sees the same

    assert anna.act(f"/admin/runs/{run}/resume").status == 200
    watch_until(a, b, lambda seen: seen["done"] >= moves // 3, moves)
    assert bert.act(f"/admin/runs/{run}/cancel").status == 200
    wait_for_state(anna, run, {"cancelled"})
    ended = await_same(a, b)
    assert moves // 3 <= ended["done"] < moves and ended["failed"] == 0
    assert len({seen["done"] for seen in a.seen}) >= 4, "it was not live"
    check_users(cluster, users, ended["done"])
    print(f"{moves} moves: {ended['done']} done when it was stopped; {len(a.seen)} and {len(b.seen)} looks")


def await_same(a, b):
    """Both see that nobody moves, and the same figures; gives them."""
    return wait_until(lambda: a.look() == b.look() and a.seen[-1]["moving"] == 0 and a.seen[-1], "what was under way has ended for both", 180)


def watch_until(a, b, enough, moves):
    """They look in turn: nobody ever sees less than the other saw before him."""
    last = {"done": 0, "left": moves}

    def seen_by_both():
        for watcher in (a, b):
            seen = watcher.look()
            assert seen["done"] >= last["done"] and seen["left"] <= last["left"], (last, seen)
            assert seen["done"] + seen["left"] + seen["skipped"] + seen["failed"] == moves
            last.update(seen)
        assert last["state"] not in ("done", "partly"), last
        return enough(last)

    wait_until(seen_by_both, "enough is done", 900, every_s=0.05)


def check_users(cluster, users, done):
    first, second = (n.node_name for n in cluster.nodes)
    entries = {entry["uid"]: entry for entry in cluster.ask("accounts?limit=1000")}
    assert set(entries) >= set(users)
    at = [entries[uid]["node"] for uid in users]
    assert at.count(second) == done and at.count(first) == len(users) - done
    assert not [uid for uid in users if entries[uid]["intent"]], "somebody is still on his way"
    for uid, items in users.items():
        node = cluster.nodes[entries[uid]["node"] == second]
        assert holdings(cluster, node, uid) == len(items), uid


def holdings(cluster, node, uid):
    told = operate(node, cluster.admin_key, "GET", f"users/{uid}/usage").json()
    return sum(coll["items"] for coll in told["colls"])
