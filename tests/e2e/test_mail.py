"""Mails reach a real SMTP server, whatever it does meanwhile: aiosmtpd, with TLS and logins."""
import os
import subprocess
import time

import pytest

from lib.mails import Folder, Relay, html_of, link_in, text_of
from lib.ops import log_objects
from lib.processes import wait_until

pytestmark = pytest.mark.one_engine("sqlite+memory")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """(certificate, key) for localhost, signed by itself."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
    return str(cert), str(key)


@pytest.fixture
def relay(request):
    made = []

    def make(**kw):
        made.append(Relay(**kw))
        return made[-1].start()

    yield make
    for r in made:
        r.stop()


def settings(relay, tls="none", **more):
    return {"mail.driver": "smtp", "mail.server": f"localhost:{relay.port}", "mail.tls": tls,
            "mail.from": "Käthe <sync@example.net>", **more}


def ask(user, **kw):
    return user.account("GET", "/password_reset", authorization="", **kw)


def test_a_mail_has_text_and_html_and_safe_headers(own_stack, relay):
    r = relay()
    user = own_stack(settings(r)).user11(email="alice+sync@example.com")
    ask(user)
    m = wait_until(lambda: r.to(user.email), "the mail", 120)[0]
    assert str(m["From"]) == "Käthe <sync@example.net>" and m["To"] == user.email
    assert m["Subject"] == "Resetting your Services password" and m["Auto-Submitted"] == "auto-generated"
    assert m.get_content_type() == "multipart/alternative"
    parts = list(m.iter_parts())
    assert [p.get_content_type() for p in parts] == ["text/plain", "text/html"]
    assert all(p["Content-Transfer-Encoding"] == "base64" and p.get_content_charset() == "utf-8" for p in parts)
    assert link_in(m).replace("&", "&amp;") in html_of(m)
    assert b"=?utf-8?q?K=C3=A4the?= <sync@example.net>" in r.got[0][2]


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_tls_and_a_login(own_stack, relay, certificate, tmp_path, tls):
    r = relay(users={"heddle": "s3cret pass"}, cert=certificate, starttls=tls == "starttls")
    secret = tmp_path / "password"
    secret.write_text("s3cret pass\n")
    stack = own_stack(settings(r, tls, **{"mail.user": "heddle", "mail.password_file": str(secret), "mail.ca_file": certificate[0]}))
    user = stack.user11()
    ask(user)
    wait_until(lambda: r.to(user.email), "the mail", 120)
    _, _, _, encrypted, authenticated = r.got[0]
    assert encrypted and authenticated
    assert "s3cret" not in stack.heddle.log_text()


def test_without_its_authority_no_mail_and_no_login_goes_out(own_stack, relay, certificate, tmp_path):
    r = relay(users={"heddle": "s3cret pass"}, cert=certificate, starttls=True)
    secret = tmp_path / "password"
    secret.write_text("s3cret pass\n")
    stack = own_stack(settings(r, "starttls", **{"mail.user": "heddle", "mail.password_file": str(secret)}))
    ask(stack.user11())
    wait_until(lambda: [o for o in log_objects(stack.heddle) if "relay does not take" in str(o)], "the complaint", 120)
    assert not r.got


def test_a_relay_that_is_stopped_loses_no_mail(own_stack, relay):
    """Neither does a restart of ours in the meantime. With HEDDLE_FULL it is gone for a minute, as long as the longest pause between two attempts."""
    r = relay()
    stack = own_stack(settings(r))
    users = [stack.user11() for _ in range(8)]
    ask(users[0])
    wait_until(lambda: r.to(users[0].email), "the first mail", 120)
    r.stop()
    stopped = time.monotonic()
    for user in users[1:]:
        ask(user)
    queue = stack.heddle.folder / "data" / "mail" / "queue"
    wait_until(lambda: [o for o in log_objects(stack.heddle) if "relay does not take" in str(o)], "it was tried", 120)
    assert len(list(queue.glob("*.mail"))) == 7
    stack.heddle.kill()
    stack.heddle.start()
    if os.environ.get("HEDDLE_FULL") == "1":
        wait_until(lambda: time.monotonic() - stopped > 60, "a minute has passed", 90)
        assert len(list(queue.glob("*.mail"))) == 7
    r.start()
    wait_until(lambda: not list(queue.glob("*.mail")), "the queue ran dry", 120)
    for user in users:
        assert len(r.to(user.email)) >= 1


def test_a_recipient_who_is_refused_for_good_keeps_nobody_waiting(own_stack, relay):
    r = relay()
    stack = own_stack(settings(r))
    bad, later, good = stack.user11(), stack.user11(), stack.user11()
    r.refuse = {bad.email: "550 no such user", later.email: "451 try again"}
    for user in (bad, later, good):
        ask(user)
    wait_until(lambda: r.to(good.email), "the good one", 120)
    folder = stack.heddle.folder / "data" / "mail"
    wait_until(lambda: len(list((folder / "failed").glob("*.mail"))) == 1, "the bad one was given up", 120)
    # The relay has the good one a moment before we know that it has.
    wait_until(lambda: len(list((folder / "queue").glob("*.mail"))) == 1, "the good one left the queue, and the other one waits in it", 120)
    assert not r.to(later.email)


def test_templates_of_the_operator(own_stack, tmp_path):
    mails = tmp_path / "mails"
    mails.mkdir()
    (mails / "reset.txt").write_text("New password at {server}\nDear {name},\n\n    {link}\n{unknown}\n")
    (mails / "reset.html").write_text("<p>{name}: <a href=\"{link}\">here</a></p>")
    stack = own_stack({"screens.folder": str(tmp_path)})
    user = stack.user11()
    ask(user)
    m = Folder(stack.heddle.folder / "data" / "mail").wait(user.email)
    assert m["Subject"] == f"New password at {stack.url}"
    assert text_of(m).startswith(f"Dear {user.name},") and link_in(m) and "{unknown}" in text_of(m)
    assert "&amp;key=" in html_of(m)
