"""Threads that do the same again and again beside a test."""
import threading
import time


class Repeated:
    """Threads that each repeat `step(number of the thread, count)` while the block lasts. What a step raises ends its thread; the end of the
    block tells of it."""

    def __init__(self, threads, step):
        self.step, self.ending, self.errors = step, threading.Event(), []
        self.threads = [threading.Thread(target=self._run, args=(i,), daemon=True) for i in range(threads)]

    def _run(self, number):
        count = 0
        try:
            while not self.ending.is_set():
                self.step(number, count)
                count += 1
        except Exception as e:
            self.errors.append(repr(e))

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        for t in self.threads:
            t.join(300)
        assert not self.errors, self.errors[:3]


class Standstill(Repeated):
    """How long this machine stood still at the most while the block lasted (`longest_s`): what has to happen within a moment may then be late."""

    def __init__(self):
        super().__init__(1, self._look)
        self.longest_s = 0.0

    def _look(self, *_):
        began = time.monotonic()
        self.ending.wait(0.02)
        self.longest_s = max(self.longest_s, time.monotonic() - began)
