"""Mails that the program under test sends: read from its folder, or taken by an SMTP server of our own."""
import email
import email.policy
import re
import ssl
import threading
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, SMTP

from .processes import free_port, wait_until


def parse(data):
    return email.message_from_bytes(data, policy=email.policy.default)


def text_of(message):
    return message.get_body(("plain",)).get_content()


def html_of(message):
    return message.get_body(("html",)).get_content()


def link_in(message):
    """The third line of the text, as other programs look for it."""
    line = text_of(message).split("\n")[2]
    assert line.startswith("    http"), text_of(message)
    return line.strip()


class Folder:
    """What the driver `spool` leaves behind."""

    def __init__(self, path):
        self.path = Path(path)

    def all(self, to=None):
        found = [parse(p.read_bytes()) for p in sorted(self.path.glob("[!.]*.eml"))]
        return [m for m in found if to is None or m["To"] == to]

    def wait(self, to, count=1, subject=None):
        """The newest of at least `count` mails to that address."""
        def enough():
            got = [m for m in self.all(to) if subject is None or subject in m["Subject"]]
            return got if len(got) >= count else None
        return wait_until(enough, f"{count} mails to {to}", 120)[-1]


class Relay:
    """A real SMTP server on a port of 127.0.0.1; may be stopped and started again on the same one."""

    def __init__(self, users=None, cert=None, starttls=False):
        self.users, self.cert, self.starttls = users, cert, starttls
        self.port = free_port()
        self.got, self.lock, self.refuse = [], threading.Lock(), {}
        self.controller = None

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        with self.lock:
            self.got.append((envelope.mail_from, list(envelope.rcpt_tos), envelope.content, server.transport.get_extra_info("ssl_object") is not None,
                             getattr(session, "authenticated", False)))
        return "250 taken"

    def _authenticate(self, server, session, envelope, mechanism, data):
        good = self.users.get(data.login.decode()) == data.password.decode()
        return AuthResult(success=good, handled=False)

    def start(self):
        context = None
        if self.cert:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.cert)
        relay = self

        class Server(Controller):
            def factory(self):
                return SMTP(relay, hostname="relay.test", require_starttls=relay.starttls,
                            tls_context=context if relay.starttls else None, auth_required=relay.users is not None,
                            authenticator=relay._authenticate if relay.users else None,
                            auth_require_tls=relay.starttls)

        self.controller = Server(self, hostname="127.0.0.1", port=self.port,
                                 ssl_context=context if context and not self.starttls else None)
        self.controller.start()
        return self

    def stop(self):
        if self.controller:
            self.controller.stop()
            self.controller = None

    def to(self, address):
        with self.lock:
            return [parse(content) for _, rcpt, content, _, _ in self.got if address in rcpt]


def key_in(link):
    return re.search(r"[?&]key=([A-Z0-9-]+)", link)[1]
