"""Clients that sync without a pause, while something else happens."""
import time

from lib.processes import wait_until
from lib.repeat import Repeated


class Traffic(Repeated):
    """Clients that write and read all the time, each in a thread; every answer but 200 is kept."""

    def __init__(self, clients):
        super().__init__(len(clients), self._ask)
        self.clients, self.done, self.bad, self.slowest = clients, 0, [], 0.0

    def _ask(self, number, count):
        u = self.clients[number]
        try:
            began = time.monotonic()
            if count % 5 == 4:
                r = u.put("/storage/xx/a", {"payload": f"{number} {count}"}, expect=None)
            else:
                r = u.get("/info/collections", expect=None)
            self.slowest = max(self.slowest, time.monotonic() - began)
            if r.status != 200:
                self.bad.append(repr(r)[:1000])
            self.done += 1
            if count % 40 == 39:
                u.close()
        except Exception as e:
            self.bad.append(repr(e))
            u.close()
            self.ending.wait(0.05)

    def await_done(self, least):
        """So many answers there are by now, or will be."""
        wait_until(lambda: self.done >= least, f"{least} answers", 300)

    def check(self):
        assert not self.bad, "\n".join([f"{len(self.bad)} of {self.done}:", *self.bad[:5]])
