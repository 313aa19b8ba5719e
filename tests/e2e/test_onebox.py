"""The program `heddle` with as few settings as possible."""
import stat
from pathlib import Path

from lib.firefox15 import Desktop
from lib.device import Account15


def listening_ports(pid):
    """TCP ports that a process listens on."""
    sockets = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(fd.readlink())
        except FileNotFoundError:
            continue
        if target.startswith("socket:["):
            sockets.add(target[8:-1])
    ports = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in sockets:
                ports.add(int(fields[1].rpartition(":")[2], 16))
    return ports


def test_the_one_box_listens_on_its_port_and_on_a_socket_in_its_folder(own_stack):
    first, second = (own_stack({"internal.listen": None}) for _ in range(2))  # and two of them live on one machine
    for stack in (first, second):
        assert listening_ports(stack.heddle.pid) == {stack.heddle.port}
        mode = (stack.heddle.folder / "data" / "internal.sock").stat().st_mode
        assert stat.S_ISSOCK(mode) and not mode & 0o007


def test_the_one_box_makes_its_secrets_and_keeps_them(own_stack):
    stack = own_stack({"tokens.secrets": None, "tokens.derived": None, "tokens.metrics_key": None})
    account = Account15(stack)
    a = Desktop(account)
    a.records["bookmarks"].put(title="x")
    a.sync()
    before = a.credentials
    stack.heddle.restart()
    a.records["bookmarks"].put(title="y")
    a.sync()  # with the token of before
    assert a.credentials is before
    a.credentials = None
    a.sync()
    assert (a.credentials["uid"], a.credentials["hashed_fxa_uid"]) == (before["uid"], before["hashed_fxa_uid"])
    kept = [f for f in (stack.heddle.folder / "data").iterdir() if f.is_file() and ("secret" in f.name or "key" in f.name)]
    assert kept and all(f.stat().st_mode & 0o077 == 0 for f in kept)
    log = stack.heddle.log_text()
    assert not any(f.read_text().strip() in log for f in kept)


def test_nothing_of_the_operators_is_reachable_from_outside(stack):
    for path in ("/metrics", "/internal/v1/status", "/internal/v1/heads", "/internal/v1/loads"):
        assert stack.heddle.get(path).status in (401, 403, 404)
