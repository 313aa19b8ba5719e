"""The admins' console beside a cluster, and somebody who looks at it without a browser."""
import random
import re

from .heddle import build_folder
from .ops import run
from .pages import Visitor
from .processes import NotInTime, Process, free_port, wait_until


class Console(Process):
    """`heddle-admin console` of a cluster. settings: more of them, "console.groups": a text or a list."""

    name = "console"

    def __init__(self, folder, cluster, settings=None):
        super().__init__(folder)
        self.cluster, self.port = cluster, free_port()
        self.ini = self.folder / "admin.ini"
        values = {"admin.directory": str(cluster.directory.socket), "admin.key": cluster.admin_key, "admin.dir": str(cluster.folder / "admin"),
                  "console.listen": f"127.0.0.1:{self.port}", **(settings or {})}
        sections = {}
        for key, value in values.items():
            section, _, name = key.partition(".")
            for one in value if isinstance(value, list) else [value]:
                sections.setdefault(section, []).append(f"{name} = {one}")
        self.ini.touch(0o600)
        self.ini.write_text("".join(f"[{s}]\n" + "\n".join(lines) + "\n" for s, lines in sections.items()))

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def argv(self):
        return [str(build_folder() / "heddle-admin"), "--config", str(self.ini), "console"]

    def ready(self):
        try:
            return Visitor(self.url).get("/admin/sign-in").status == 200 and "The console is at" in self.log_text()
        except OSError:
            return False

    def admin(self, *words):
        code, out, err = run("--config", self.ini, *words, program="heddle-admin")
        assert code == 0, f"{words}: {code}\n{out}{err}"
        return out

    def password(self):
        """A fresh one-time password."""
        return self.admin("console", "password").strip()

    def printed_password(self):
        return re.findall(r"one-time password: (\S+)", self.log_text(), re.I)[-1]

    def visitor(self, name="anna", password=None, **kw):
        """Somebody who is signed in."""
        v = Admin(self.url, **kw)
        page = v.sign_in(name, password or self.password())
        assert page.status == 200 and page.heading == "Overview", page.html
        return v

    def cpu_s(self):
        """Processor time of the process so far."""
        fields = open(f"/proc/{self.pid}/stat").read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100


class Admin(Visitor):
    def __init__(self, url, language=None, peer=None):
        """peer: the address that a proxy tells of, where the console believes proxies; else one that nobody else has."""
        super().__init__(url, language, peer or f"10.{random.randrange(256)}.{random.randrange(256)}.{random.randrange(1, 255)}")

    def sign_in(self, name, password):
        return self.submit("/admin/sign-in", name=name, password=password)

    def token(self):
        return self.get("/admin").hidden["token"]

    def act(self, path, follow=True, **fields):
        """Posts a form of a page, with the token that every page has."""
        return self.post(path, {"token": self.token(), **fields}, follow)

    def events(self, path):
        """One answer to an event source: its fields."""
        page = self.get(path, Accept="text/event-stream")
        assert page.status == 200 and page.headers["Content-Type"].startswith("text/event-stream"), page.html
        lines = [line.partition(": ") for line in page.html.splitlines() if line]
        return {"retry": [v for k, _, v in lines if k == "retry"], "data": "\n".join(v for k, _, v in lines if k == "data")}

    def figures(self, run):
        """What the live part of a run shows now: its state, and the figures by their ids."""
        html = self.events(f"/admin/live/runs/{run}")["data"]
        out = {k: int(v.replace("\u202f", "")) for k, v in re.findall(r'<dd id="run-(done|moving|left|skipped|failed)">([\d\u202f]+)</dd>', html)}
        return {"state": re.search(r'id="run-state">(.*?)<', html)[1], **out}


def wait_for_state(visitor, run, words, timeout_s=300):
    """Until the run is in one of these states; gives its figures."""
    seen = {}

    def reached():
        seen.update(visitor.figures(run))
        return seen["state"] in words

    try:
        wait_until(reached, f"the run is {' or '.join(words)}", timeout_s, every_s=0.1)
    except NotInTime as e:
        raise NotInTime(f"{e}: {seen}") from None
    return seen
