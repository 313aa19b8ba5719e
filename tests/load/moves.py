#!/usr/bin/python3
"""./bootstrap bench moves: how long a user is refused while he moves, and how fast many move, beside the database's own tools.

Two nodes on MariaDB with Redis, one directory. First one user with many items moves to and fro while his devices write to and read from
the account without pause: every promise is checked (tests/e2e/lib/moves.py), and the time from the freeze until both nodes know of the flip is
what he waits.
Then users move one after the other, back again in one run, and the same rows go from one server to the other through mysqldump and mysql.
The folders lie in memory where that is possible; HEDDLE_E2E_TMP=DIR puts them on a disk.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

from lib.cluster import Cluster  # noqa: E402
from lib.moves import Admin, Devices  # noqa: E402
from lib.processes import make_temp_folder  # noqa: E402


def fill(client, coll, count, payload):
    for first in range(0, count, 100):
        client.save_all(coll, [{"id": f"{coll[:2]}{i:06d}", "payload": "p" * payload} for i in range(first, min(first + 100, count))])


def quantile(values, q):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def freezes(cluster, moves, items, devices, payload=250, say=print):
    """One user, moved so often. A list of what each move took: {"frozen_ms", "took_ms", "items", "passes"}, and what clients saw."""
    sub = os.urandom(16).hex()
    user = cluster.user15(sub)
    fill(user, "bookmarks", items, payload)
    at, other = user.server, next(n for n in cluster.nodes if n is not user.server)
    admin, taken = Admin(cluster), []
    with Devices(cluster, sub, devices) as all_devices:
        for number in range(moves):
            began = time.monotonic()
            result = admin.move(user.uid, other)
            assert result["result"] == "moved", result
            taken.append({k: result[k] for k in ("frozen_ms", "items", "passes")} | {"took_ms": round((time.monotonic() - began) * 1000)})
            all_devices.await_work(1)
            at, other = other, at
            say(f"  move {number + 1:>3}: {taken[-1]}")
        seen = {"requests": sum(d.requests for d in all_devices.all), "503": sum(d.refused_503 for d in all_devices.all),
                "401": sum(d.refused_401 for d in all_devices.all),
                "longest_refusal_ms": round(1000 * max(d.longest_503_s for d in all_devices.all))}
    client = cluster.user15(sub)
    assert len(client.ids("bookmarks")) == items
    return taken, seen


def freeze_table(taken, seen, items, devices):
    frozen = [t["frozen_ms"] for t in taken]
    rows = [("moves", len(taken)), ("items of the user", items), ("devices at work", devices),
            ("refused (freeze until both ends know of the flip), median", f"{statistics.median(frozen):.0f} ms"), ("refused, p90", f"{quantile(frozen, .9)} ms"),
            ("refused, p99", f"{quantile(frozen, .99)} ms"), ("refused, longest", f"{max(frozen)} ms"),
            ("a whole move, median", f"{statistics.median(t['took_ms'] for t in taken):.0f} ms"),
            ("longest that a device saw 503", f"{seen['longest_refusal_ms']} ms"),
            ("requests; answered 503; 401", f"{seen['requests']}; {seen['503']}; {seen['401']}")]
    return "\n".join(["| | |", "| --- | --- |", *(f"| {a} | {b} |" for a, b in rows)])


def throughput(cluster, users, items, payload, say=print):
    """Rows by mysqldump and mysql; then their users, one command for each; and back in one run."""
    subs = []
    while len(subs) < users:
        sub = os.urandom(16).hex()
        client = cluster.user15(sub)
        if client.server is not cluster.nodes[0]:
            continue
        fill(client, "history", items, payload)
        subs.append((sub, client.uid))
    say(f"  {users} users are there")
    uids = ",".join(str(uid) for _, uid in subs)
    databases = [cluster.servers[f"n{i} mariadb"] for i in range(2)]
    databases[1].create_database("copied")
    schema = dump(databases[0], "heddle", ["--no-data"])
    load(databases[1], "copied", schema)
    began = time.monotonic()
    rows = dump(databases[0], "heddle", ["--no-create-info", "--single-transaction", f"--where=uid IN ({uids})", "heads"],
                ["--no-create-info", "--single-transaction", f"--where=uid IN ({uids})", "items"])
    load(databases[1], "copied", rows)
    dumped_s = time.monotonic() - began
    admin = Admin(cluster)
    began = time.monotonic()
    for _, uid in subs:
        assert admin.move(uid, cluster.nodes[1])["result"] == "moved"
    moved_s = time.monotonic() - began
    began = time.monotonic()
    admin.run("run", "move", *[str(uid) for _, uid in subs], "--to", cluster.nodes[0].node_name, "--rise", "0", "--yes")
    ran_s = time.monotonic() - began
    mib = users * items * payload / (1 << 20)
    return {"users": users, "items": items, "mib": mib, "moved_s": moved_s, "ran_s": ran_s, "dumped_s": dumped_s}


def client_words(database):
    return ["--no-defaults", f"--socket={database.socket}", "-uroot"]


def dump(database, name, *parts):
    program = shutil.which("mariadb-dump") or "mysqldump"
    out = b""
    for words in parts:
        options = [w for w in words if w.startswith("--")]
        tables = [w for w in words if not w.startswith("--")]
        out += subprocess.run([program, *client_words(database), "--hex-blob", *options, name, *tables], check=True, stdout=subprocess.PIPE).stdout
    return out


def load(database, name, text):
    program = shutil.which("mariadb") or "mysql"
    subprocess.run([program, *client_words(database), name], input=text, check=True)


def throughput_table(t):
    def row(what, seconds):
        return f"| {what} | {t['users'] / seconds:.1f} | {t['mib'] / seconds:.1f} | {seconds:.2f} |"

    return "\n".join([f"{t['users']} users of {t['items']} items, {t['mib']:.0f} MiB of payload",
                      "| | users/s | MiB/s | seconds |", "| --- | --- | --- | --- |", row("heddle-admin user move, one after the other", t["moved_s"]),
                      row("heddle-admin run move --rise 0, four at a time", t["ran_s"]), row("mysqldump, then mysql", t["dumped_s"]),
                      f"| ratios of times | | | {t['moved_s'] / t['dumped_s']:.1f}; {t['ran_s'] / t['dumped_s']:.1f} |"])


def main():
    ap = argparse.ArgumentParser(prog="./bootstrap bench moves", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--moves", type=int, default=50)
    ap.add_argument("--items", type=int, default=10000, help="of the user who moves to and fro")
    ap.add_argument("--devices", type=int, default=8)
    ap.add_argument("--users", type=int, default=50, help="who move one after the other")
    ap.add_argument("--user-items", type=int, default=1000, help="of each of them")
    ap.add_argument("--json", metavar="FILE")
    o = ap.parse_args()
    os.environ.setdefault("HEDDLE_BUILD", "build/release")
    folder = make_temp_folder()
    cluster = Cluster(folder / "c", folder / "template", ["mysql+redis", "mysql+redis"])
    try:
        cluster.start()
        taken, seen = freezes(cluster, o.moves, o.items, o.devices, say=lambda t: print(t, file=sys.stderr))
        t = throughput(cluster, o.users, o.user_items, 250, say=lambda t: print(t, file=sys.stderr))
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print(freeze_table(taken, seen, o.items, o.devices), "\n")
    print(throughput_table(t))
    if o.json:
        Path(o.json).write_text(json.dumps({"moves": taken, "clients": seen, "throughput": t}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
