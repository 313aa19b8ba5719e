"""A relay in front of a node's internal listener, for tests that change, cut, repeat or slow down what an operator's commands say to nodes."""
import contextlib
import re
import socket
import threading


class Wire:
    """A relay in front of a node's internal listener, one call at a time. `tamper(head, body)` may change an answer or a question of a
    path that matches: it gives other bytes, or None to leave them."""

    def __init__(self, folder, node):
        self.path, self.node = folder / f"wire-{node.port}", node
        self.on_answer = self.on_question = lambda target, body: None
        self.delay_s, self.calls = 0.0, 0  # what each call takes longer, as over a long line
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen(50)
        self.open = True
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        self.open = False
        self.listener.close()
        self.path.unlink(missing_ok=True)

    def setting(self):
        """For the operator's command: words that lead it through this relay."""
        return ["--set", f"admin.nodes={self.node.node_name}={self.path}"]

    def accept(self):
        while self.open:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    @staticmethod
    def message(stream):
        """(head, body) of one HTTP message with a Content-Length; None at the end."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = stream.readline()
            if not line:
                return None
            head += line
        length = re.search(rb"(?im)^content-length: *(\d+)", head)
        return head, stream.read(int(length[1])) if length else b""

    @staticmethod
    def whole(head, body):
        return re.sub(rb"(?im)^content-length: *\d+", b"Content-Length: %d" % len(body), head) + body

    def serve(self, client):
        with client, socket.socket(socket.AF_UNIX) as server:
            try:
                server.connect(str(self.node.socket))
                questions, answers = client.makefile("rb"), server.makefile("rb")
                while (question := self.message(questions)) is not None:
                    head, body = question
                    target = head.split(b" ", 2)[1].decode()
                    other = self.on_question(target, body)
                    server.sendall(head + body if other is None else self.whole(head, other))
                    self.calls += 1
                    threading.Event().wait(self.delay_s)
                    answer = self.message(answers)
                    if answer is None:
                        return
                    other = self.on_answer(target, answer[1])
                    client.sendall(b"".join(answer) if other is None else self.whole(answer[0], other))
            except OSError:  # the caller sees that the line is cut
                pass


@contextlib.contextmanager
def relays(cluster):
    """One in front of each node, by its name; closed at the end."""
    made = {n.node_name: Wire(cluster.folder, n) for n in cluster.nodes}
    yield made
    for w in made.values():
        w.close()
