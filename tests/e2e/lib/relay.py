"""A relay between two unix sockets, which can be cut, be silent, and change what it carries.

    relay = Relay(folder / "near", slapd.socket).open()
    relay.cut(); relay.mend(); relay.silent = True; relay.change = lambda data: data[:-1]
"""
import contextlib
import os
import socket
import threading


class Relay:
    """change(bytes) -> bytes, or None to end the connection: what becomes of each piece of an answer, by the connection's own changer
    (`changer()` makes one for each connection)."""

    def __init__(self, path, target):
        self.path, self.target = str(path), str(target)
        self.url = "ldapi://" + self.path.replace("/", "%2F")
        self.changer = lambda: (lambda data: data)
        self.silent = False
        self.connections = 0  # made since it was opened
        self._lock, self._open, self._listener = threading.Lock(), set(), None

    def open(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(256)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        return self

    mend = open

    def close(self):
        """Nobody gets through, and who was through is cut off."""
        listener, self._listener = self._listener, None
        if listener:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self._lock:
            for s in list(self._open):
                with contextlib.suppress(OSError):
                    s.shutdown(socket.SHUT_RDWR)

    cut = close

    @property
    def active(self):
        """Connections that are open now."""
        with self._lock:
            return len(self._open) // 2

    def _accept(self, listener):
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._carry, args=(near, listener), daemon=True).start()

    def _carry(self, near, listener):
        far = socket.socket(socket.AF_UNIX)
        try:
            far.connect(self.target)
        except OSError:
            near.close()
            far.close()
            return
        with self._lock:
            cut = self._listener is not listener  # while this connection was being made
            if not cut:
                self._open |= {near, far}
        if cut:
            near.close()
            far.close()
            return
        back = threading.Thread(target=self._pump, args=(far, near, self.changer()), daemon=True)
        back.start()
        self._pump(near, far, None)
        back.join()
        with self._lock:
            self._open -= {near, far}
        near.close()
        far.close()

    def _pump(self, source, sink, change):
        try:
            while data := source.recv(65536):
                if change:
                    data = b"" if self.silent else change(data)
                    if data is None:
                        break
                sink.sendall(data)
        except OSError:
            pass
        for s in (source, sink):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
