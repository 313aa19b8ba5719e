"""Clients that sync without a pause, while something else happens."""
import threading
import time

from lib.processes import wait_until


class Traffic:
    """Clients that write and read all the time; every answer but 200 is kept."""

    def __init__(self, clients, make_new_connections=True):
        self.clients, self.stop = clients, threading.Event()
        self.done, self.bad, self.slowest = 0, [], 0.0
        self.threads = [threading.Thread(target=self._run, args=(u, i)) for i, u in enumerate(clients)]

    def _run(self, u, number):
        n = 0
        while not self.stop.is_set():
            n += 1
            try:
                began = time.monotonic()
                if n % 5 == 0:
                    r = u.put("/storage/xx/a", {"payload": f"{number} {n}"}, expect=None)
                else:
                    r = u.get("/info/collections", expect=None)
                self.slowest = max(self.slowest, time.monotonic() - began)
                if r.status != 200:
                    self.bad.append(repr(r)[:1000])
                self.done += 1
                if n % 40 == 0:
                    u.close()
            except Exception as e:
                self.bad.append(repr(e))
                u.close()
                self.stop.wait(0.05)

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for t in self.threads:
            t.join()

    def await_done(self, least):
        """So many answers there are by now, or will be."""
        wait_until(lambda: self.done >= least, f"{least} answers", 300)

    def check(self):
        assert not self.bad, "\n".join([f"{len(self.bad)} of {self.done}:", *self.bad[:5]])
