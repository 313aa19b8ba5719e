#!/usr/bin/python3
"""Runs the directory's conformance suite over SQLite and LDAP: run_backend.py BUILD [PART]...

For each part over LDAP it starts servers of its own in a temporary folder: a provider, and a replica of it where the part wants one.
Programs are told by the environment (HEDDLE_TEST_LDAP_…), and can kill and start servers by a line to the socket HEDDLE_TEST_CONTROL:
"kill provider", "start replica". Ends with "N passed, N failed": the tests of all parts."""
import os
import pathlib
import re
import shutil
import socketserver
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from e2e.lib import slapd  # noqa: E402
from e2e.lib.processes import make_temp_folder  # noqa: E402

# name: (program, arguments, has a replica)
PARTS = {
    "sqlite": (["backend_suite", "sqlite"], None),
    "sqlite_only": (["backend_sqlite_only"], None),
    "ldap": (["backend_suite", "ldap"], False),
    "ldap_guest": (["backend_suite", "ldap-guest"], False),
    "ldap_replica": (["backend_suite", "ldap"], True),
    "ldap_restart": (["backend_suite", "ldap", "restart"], False),
    "ldap_only": (["backend_ldap_only"], True),
    "ldap_people": (["backend_ldap_people"], False),
}


class Control(socketserver.UnixStreamServer):
    """One thread for all requests: what it starts ends with it (Process._in_child)."""

    def __init__(self, path, servers):
        self.servers = servers
        super().__init__(str(path), Handler)


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        try:
            verb, name = self.rfile.readline().decode().split()
            server = self.server.servers[name]
            {"kill": server.kill, "start": server.start, "stop": server.stop, "pause": server.pause, "resume": server.resume}[verb]()
            self.wfile.write(b"ok\n")
        except Exception as e:  # the test tells it
            self.wfile.write(f"{type(e).__name__}: {e}\n".encode()[:200])


def run(build, command, with_replica):
    """(passed, failed)"""
    folder = make_temp_folder()
    servers, control = {}, None
    env = dict(os.environ)
    try:
        if with_replica is not None:
            provider = servers["provider"] = slapd.Slapd(folder / "p", tcp=True, tls=True, schemas=(slapd.ACTIVE_DIRECTORY,)).start()
            env |= {"HEDDLE_TEST_LDAP_PROVIDER": provider.url, "HEDDLE_TEST_LDAP_SUFFIX": slapd.SUFFIX,
                    "HEDDLE_TEST_LDAP_BIND_DN": slapd.SERVICE_DN, "HEDDLE_TEST_LDAP_BIND_PASSWORD": slapd.SERVICE_PASSWORD,
                    "HEDDLE_TEST_LDAP_ROOT_DN": slapd.ROOT_DN, "HEDDLE_TEST_LDAP_ROOT_PASSWORD": slapd.ROOT_PASSWORD,
                    "HEDDLE_TEST_LDAP_PEOPLE": slapd.PEOPLE, "HEDDLE_TEST_LDAP_TCP": f"ldap://127.0.0.1:{provider.port}",
                    "HEDDLE_TEST_LDAP_TLS": f"ldaps://127.0.0.1:{provider.tls_port}", "HEDDLE_TEST_LDAP_CA": str(provider.cert)}
        if with_replica:
            servers["replica"] = slapd.Slapd(folder / "r", provider=provider).start()
            env["HEDDLE_TEST_LDAP_REPLICA"] = servers["replica"].url
        control = Control(folder / "control", servers)
        threading.Thread(target=control.serve_forever, daemon=True).start()
        env["HEDDLE_TEST_CONTROL"] = str(folder / "control")
        r = subprocess.run([str(pathlib.Path(build) / command[0]), *command[1:]], env=env, text=True, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=900)
        sys.stdout.write(r.stdout)
        # one line of each for each group of tests
        p = sum(map(int, re.findall(r"^\[  PASSED  \] (\d+) test", r.stdout, re.M)))
        f = sum(map(int, re.findall(r"^\[  FAILED  \] (?:\w+: )?(\d+) test", r.stdout, re.M)))
        return p, f or int(r.returncode != 0 or p == 0)
    finally:
        if control:
            control.shutdown()
        for s in servers.values():
            s.kill()
        shutil.rmtree(folder, ignore_errors=True)


def main(build, *wanted):
    passed = failed = 0
    for name in wanted or PARTS:
        print(f"--- {name}", flush=True)
        p, f = run(build, *PARTS[name])
        passed, failed = passed + p, failed + f
    print(f"{passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
