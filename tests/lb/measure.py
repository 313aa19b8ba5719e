#!/usr/bin/python3
"""Figures for lb-rules/README.md: the two designs for routes at many users, what the balancer adds, and how a node that returns is admitted.

    ./bootstrap bench lb [designs|added|ramp]… [--users N] [--kind haproxy|nginx] [--rounds 3]

Prints Markdown; `ramp` writes docs/lb-ramp.svg."""
import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e"), str(HERE.parent / "load")]

import plot  # noqa: E402
from front import KINDS, Front  # noqa: E402
from lib import hawk  # noqa: E402
from lib.heddle import build_folder  # noqa: E402
from lib.processes import make_temp_folder, wait_until  # noqa: E402

FIRST = 10_000_000


def memory_mb(pids):
    """Private and shared pages by halves, so that what workers share counts once."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total / 1024


def family(pid):
    out = [pid]
    for child in subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split():
        out += family(int(child))
    return out


class Prober:
    """One connection that asks what the balancer answers by itself (401: no such node), and keeps how long that took."""

    def __init__(self, port, uid):
        self.port, self.uid, self.times, self.stop = port, uid, [], threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        asked = f"GET /1.5/{self.uid}/info/collections HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        s = None
        while not self.stop.is_set():
            if s is None:
                s = socket.create_connection(("127.0.0.1", self.port))
            began = time.perf_counter()
            s.sendall(asked)
            try:
                answer = s.recv(4096)
            except ConnectionResetError:  # a reload closes idle connections
                answer = b""
            self.times.append((time.perf_counter() - began) * 1000)
            assert answer.startswith(b"HTTP/1.1 401") or not answer, answer
            if not answer or b"connection: close" in answer.lower():
                s.close()
                s = None
            time.sleep(0.0005)

    def await_answers(self, more):
        least = len(self.times) + more
        wait_until(lambda: len(self.times) >= least, f"{more} answers more", 120)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


def design(kind, rows):
    """A row for each of `rows` users beside the slots."""
    front = Front(kind, make_temp_folder() / "c", ["sqlite+memory"], taps=False, lb_free="127.0.0.1", limit_user=0)
    front.start()
    try:
        front.balancer.stop()
        maps = front.folder / "lb" / "maps"
        end = " 'gone_1';\n" if kind == "nginx" else " gone_1\n"
        files = {}
        for uid in [*range(FIRST, FIRST + rows), 9999999999]:
            files.setdefault(front.row_file(f"15:{uid}"), []).append(f"15:{uid}{end}")
        for path, lines in files.items():
            path.write_text("".join(lines))
        conf = front.folder / "lb" / ("nginx.conf" if kind == "nginx" else "haproxy.cfg")
        if kind == "nginx":
            text = conf.read_text()
            conf.write_text(text.replace(text[text.index("map_hash_max_size"):].split(";")[0], f"map_hash_max_size {max(30000, 2 * rows)}"))
        began = time.perf_counter()
        front.balancer.start(timeout_s=120)
        started = time.perf_counter() - began
        front.await_well()
        used = memory_mb(family(front.balancer.pid))
        out = {"rows": rows, "start_s": round(started, 2), "memory_mb": round(used)}
        with Prober(front.door.port, 9999999999) as quiet:
            quiet.await_answers(3000)
        out["p50_ms"] = round(statistics.median(quiet.times), 3)
        changes, took, slowest = 20, [], []
        with Prober(front.door.port, 9999999999) as busy:
            busy.await_answers(100)
            for i in range(changes if kind == "haproxy" else 3):
                busy.times.clear()
                began = time.perf_counter()
                if kind == "haproxy":
                    key = f"15:{FIRST + rows - 1 - i if rows else 9999999999}"
                    front.balancer.runtime(f"set map {front.row_file(key)} {key} gone_1")
                else:
                    (maps / "digests.conf").write_text((maps / "digests.conf").read_text().rsplit("location = /generation", 1)[0] +
                                                       f"location = /generation {{ return 200 '{i}x'; }}\n")
                    os.kill(front.balancer.pid, signal.SIGHUP)
                    wait_until(lambda: over(front.folder / "lb" / "nginx.sock", "/generation") == f"{i}x", "reloaded", 120)
                took.append((time.perf_counter() - began) * 1000)
                busy.await_answers(20)
                slowest.append(max(busy.times))
        if kind == "haproxy":
            out["whole_s"], out["slowest_in_whole_ms"] = replace_all(front, files)
        out["change_ms"] = round(statistics.median(took), 2)
        # Of each change the slowest request around it; of all changes the middle one: what else goes on on this machine falls out.
        out["slowest_request_ms"] = round(statistics.median(slowest), 1)
        return out
    finally:
        front.stop()
        shutil.rmtree(front.folder.parent, ignore_errors=True)


def replace_all(front, files):
    """Every row anew, beside those in force, and all put in force by one line, as `lb push` does: how long, and the slowest request."""
    with Prober(front.door.port, 9999999999) as busy:
        busy.await_answers(100)
        busy.times.clear()
        began, commits = time.perf_counter(), []
        for path, lines in files.items():
            version = front.balancer.runtime(f"prepare map {path}").split(":")[1].strip()
            for i in range(0, len(lines), 600):
                assert not front.balancer.runtime(f"add map @{version} {path} <<\n{''.join(lines[i:i + 600])}").strip()
            commits.append(f"commit map @{version} {path}")
        front.balancer.runtime(";".join(commits))
        return round(time.perf_counter() - began, 2), round(max(busy.times), 1)


def over(path, target):
    from lib.wire import over_socket
    try:
        return over_socket(path, target).text
    except OSError:
        return None


def designs(users, kinds, rounds):
    """Of so many rounds the middle one of each figure; of the slowest request the slowest of the rounds, too."""
    print("| balancer | rows of users | start | memory | median request | one change | slowest request around it | all rows anew | slowest request meanwhile |\n"
          "| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for kind in kinds:
        for rows in (0, 10_000, 40_000, 100_000, users):
            all_rounds = [design(kind, rows) for _ in range(rounds)]
            d = {k: statistics.median(x[k] for x in all_rounds) for k in all_rounds[0]}
            most = lambda k: f"{d[k]} ms (at most {max(x[k] for x in all_rounds)})" if k in d else ""  # noqa: B023, E731
            print(f"| {kind} | {rows:,} | {d['start_s']} s | {d['memory_mb']} MB | {d['p50_ms']} ms | {d['change_ms']} ms | {most('slowest_request_ms')} | "
                  f"{str(d['whole_s']) + ' s' if 'whole_s' in d else ''} | {most('slowest_in_whole_ms')} |", flush=True)


def load(front, port, scenario, seconds, connections):
    node = front.nodes[0]
    done = subprocess.run([str(build_folder() / "bench" / "load"), "--host", "127.0.0.1", "--port", str(port), "--node", front.door.url, "--secret",
                           hawk.node_secret(front.secret, node.url), "--scenario", scenario, "--users", "50", "--first-uid", "500000000", "--records", "20",
                           "--connections", str(connections), "--seconds", str(seconds), "--warm", "1"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def versions(kinds):
    """What was measured, in a line."""
    said = {"haproxy": ["haproxy", "-v"], "nginx": ["nginx", "-v"]}
    first = lambda words: (lambda d: (d.stdout + d.stderr).splitlines()[0])(subprocess.run(words, capture_output=True, text=True))  # noqa: E731
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    return f"{os.cpu_count()} cores of {model}, load {os.getloadavg()[0]:.1f} before, {build_folder().name} build, {time.strftime('%Y-%m-%d')}; " + \
        ", ".join(first(said[k]) for k in kinds)


def added(kinds, rounds):
    """Direct and through the balancer in turn, in one run; of all rounds the middle one, and of ratios the least and the largest too."""
    print(versions(kinds))
    print("| balancer | scenario | connections | requests/s direct | through it | ratio | p50 direct | through it | ratio | p99 direct | through it | ratio |\n"
          "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for kind in kinds:
        front = Front(kind, make_temp_folder() / "c", ["sqlite+memory"], limit_user=0, limit_address=0)
        front.nodes[0].settings["node.aliases"] = front.door.url
        front.start()
        try:
            front.await_well()
            load(front, front.nodes[0].port, "S", 3, 4)
            for scenario, connections in (("A", 1), ("A", 32), ("D", 32), ("E", 8)):
                pairs = []
                for _ in range(rounds):
                    pair = [load(front, port, scenario, 3, connections) for port in (front.nodes[0].port, front.door.port)]
                    assert set(pair[1]["status"]) <= {"200", "404"}, pair[1]["status"]
                    pairs.append(pair)
                cells = [kind, scenario, str(connections), *compared(pairs, lambda x: x["rps"], lambda v: f"{v:,.0f}")]
                for percentile in ("p50", "p99"):
                    cells += compared(pairs, lambda x, p=percentile: x["latency_us"][p] / 1000, lambda v: f"{v:.2f} ms")
                print("| " + " | ".join(cells) + " |", flush=True)
        finally:
            front.stop()
            shutil.rmtree(front.folder.parent, ignore_errors=True)


def compared(pairs, value, text):
    """Three cells: direct, through the balancer, and the second to the first."""
    direct, through = ([value(pair[i]) for pair in pairs] for i in (0, 1))
    ratios = [t / d for d, t in zip(direct, through)]
    return [text(statistics.median(direct)), text(statistics.median(through)), f"{statistics.median(ratios):.2f} [{min(ratios):.2f}–{max(ratios):.2f}]"]


def ramp():
    """Sixty clients at one node that was away: how many of their requests HAProxy lets be under way there."""
    seconds, clients = 20, 60
    front = Front("haproxy", make_temp_folder() / "c", ["sqlite+memory"], taps=True, limit_user=0, limit_address=0, node_requests=50, slowstart=f"{seconds - 5}s",
                  queue_wait="5s")
    front.start()
    name = f"node_{front.nodes[0].node_name.replace(':', '_')},node,"
    try:
        front.await_well()
        front.taps[0].delay_s = 0.2  # a cold node is a slow one
        users = [front.user15() for _ in range(clients)]
        front.nodes[0].kill()
        wait_until(lambda: "DOWN" in next(x for x in front.balancer.runtime("show stat").splitlines() if x.startswith(name)), "down", 20)
        stop, admitted, waiting = threading.Event(), [], []

        def client(u):
            while not stop.is_set():
                try:
                    u.get("/info/collections", expect=None)
                except OSError:
                    u.close()
                    time.sleep(0.05)

        threads = [threading.Thread(target=client, args=(u,)) for u in users]
        front.nodes[0].start()
        wait_until(lambda: ",UP" in next(x for x in front.balancer.runtime("show stat").splitlines() if x.startswith(name)), "up", 20)
        began = time.monotonic()
        for t in threads:
            t.start()
        while time.monotonic() - began < seconds:
            cells = next(x for x in front.balancer.runtime("show stat").splitlines() if x.startswith(name)).split(",")
            queue = next(x for x in front.balancer.runtime("show stat").splitlines() if x.startswith(name.replace(",node,", ",BACKEND,"))).split(",")
            at = time.monotonic() - began
            admitted.append((at, int(cells[4])))
            waiting.append((at, int(queue[2])))
            time.sleep(0.1)
        stop.set()
        for t in threads:
            t.join()
    finally:
        front.stop()
        front.close_taps()
    smooth = [(x, statistics.mean(y for _, y in admitted[max(0, i - 5):i + 6])) for i, (x, _) in enumerate(admitted)]
    path = HERE.parent.parent / "docs" / "lb-ramp.svg"
    path.write_text(plot.lines({"under way at the node": smooth, "waiting in HAProxy": [(x, statistics.mean(y for _, y in waiting[max(0, i - 5):i + 6])) for i, (x, _) in enumerate(waiting)]},
                               f"A node comes back: {clients} clients at once, slow start over {seconds - 5} s, at most 50 under way", "seconds since it is up", "requests"))
    print(f"{path}: {smooth[10][1]:.0f} under way after a second, {smooth[-20][1]:.0f} at the end")


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("what", nargs="*", default=["designs", "added", "ramp"])
    ap.add_argument("--users", type=int, default=1_000_000)
    ap.add_argument("--kind", choices=KINDS, action="append")
    ap.add_argument("--rounds", type=int, default=3)
    o = ap.parse_args()
    kinds = o.kind or KINDS
    for what in o.what:
        {"designs": lambda: designs(o.users, kinds, o.rounds), "added": lambda: added(kinds, o.rounds), "ramp": ramp}[what]()


if __name__ == "__main__":
    main()
