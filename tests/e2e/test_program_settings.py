"""Settings on the command line and in files, as an operator meets them; what follows a reload is in test_program.py."""
import re
import subprocess

import pytest

from lib import hawk
from lib.heddle import SECRET, Heddle, build_folder
from lib.ops import run
from lib.tokenserver import TokenUser

pytestmark = pytest.mark.one_engine("sqlite+memory")


def test_check_config_says_whether_it_is_good_and_touches_nothing(tmp_path):
    ini = tmp_path / "heddle.ini"
    ini.write_text(f"[data]\ndir = {tmp_path / 'data'}\n[registration]\nmode = list\nallow = *@example.com\n")
    assert run("--config", ini, "--check-config")[0] == 0
    assert not (tmp_path / "data").exists()


WRONG = [("tokens.secret=x", 'no key "tokens.secret"; did you mean "tokens.secrets"'), ("limit.quota_bytes=1", "limits.quota_bytes"),
         ("public.lisen=x", "public.listen"), ("public.workers=many", "public.workers"), ("public.workers=-1", "public.workers"),
         ("tokens.life=0", "tokens.life"), ("tokens.life=1y", "tokens.life"), ("tokens.derived=perhaps", "tokens.derived"),
         ("limits.max_post_records=0", "max_post_records"), ("public.listen=0.0.0.0:8000", "public.url"),
         ("public.url=ftp://x", "public.url"), ("node.url=http://x/", "node.url"), ("log.level=loud", "log.level"),
         ("nonsense", "nonsense"), ("registration.mode=maybe", "registration.mode"), ("directory.backend=paper", "directory.backend"),
         ("oauth.webhook=maybe", "oauth.webhook"),
         ("oauth.webhook=on", "oauth.webhook_client"), ("oauth.scope=", "oauth.scope"), ("directory.domain=", "directory.domain"),
         ("tokens.secrets=short", "tokens.secrets"), ("tokens.secrets=@/nonexistent", "/nonexistent"),
         ("store.driver=paper", "store.driver"), ("cache.driver=paper", "cache.driver"), ("internal.listen=nowhere", "nowhere"),
         ("internal.listen=/" + "x" * 200, "longer than"), ("public.trusted_proxies=10.0.0.0/99", "10.0.0.0/99"),
         ("public.tls_cert=/nonexistent", "tls_key")]


@pytest.mark.parametrize("line, told", WRONG)
def test_a_setting_that_is_wrong_is_named_and_a_misspelt_one_gets_a_suggestion(line, told):
    code, _, err = run("--set", line, "--check-config")
    assert code == 2 and told in err and err.count("\n") == 1, err


def test_a_password_file_is_read_whole_or_not_at_all(tmp_path):
    """A password that is cut would be refused elsewhere, and nobody would see why."""
    long = tmp_path / "password"
    long.write_text("x" * 511 + "\n")
    code, _, err = run("--set", f"data.dir={tmp_path / 'data'}", "--set", "mail.driver=smtp", "--set", "mail.server=localhost:1",
                       "--set", "mail.from=sync@example.com", "--set", "mail.user=u", "--set", f"mail.password_file={long}",
                       "--set", "public.listen=127.0.0.1:0", "--set", "public.url=http://127.0.0.1:1")
    assert code != 0 and "longer than 510 bytes" in err
    r = subprocess.run([build_folder() / "heddle-directory", "--set", "ldap.provider=ldapi://%2Fnowhere", "ldap-init", "--as", "cn=admin",
                        "--password-file", long], capture_output=True, text=True, timeout=120)
    assert r.returncode != 0 and "too long" in r.stderr, r.stderr


@pytest.fixture(scope="module")
def key_pair(tmp_path_factory):
    """Two certificates with their keys."""
    out = []
    for name in "one", "two":
        cert, key = (tmp_path_factory.mktemp(name) / part for part in ("cert.pem", "key.pem"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-keyout", key, "-out", cert], check=True, capture_output=True)
        out.append((cert, key))
    return out


def test_check_config_reads_certificate_and_key(key_pair):
    (cert, key), (_, other) = key_pair

    def check(cert, key):
        return run("--set", f"public.tls_cert={cert}", "--set", f"public.tls_key={key}", "--check-config")
    assert check(cert, key)[0] == 0
    code, _, err = check(cert, other)
    assert code == 2 and "is not that of" in err
    code, _, err = check(key, key)
    assert code == 2 and "no PEM certificate" in err
    code, _, err = check(cert, cert)
    assert code == 2 and "no PEM key" in err
    code, _, err = check("/nonexistent", key)
    assert code == 2 and "/nonexistent" in err


def test_a_slash_at_the_end_of_the_public_url_does_not_matter(own_stack):
    stack = own_stack({"public.url": "http://sync.example.net/base//", "registration.mode": "open"})
    out = TokenUser(stack).token()
    assert out["api_endpoint"] == f"http://sync.example.net/base/1.5/{out['uid']}"
    target = f"/base/1.5/{out['uid']}/info/collections"
    header = hawk.header(out["id"], out["key"], "GET", target, "sync.example.net", 80, int(stack.heddle.now()))
    assert stack.heddle.get(target, {"Authorization": header}).status == 200


def test_a_wrong_line_of_a_file_is_told_by_its_number(tmp_path):
    ini = tmp_path / "heddle.ini"
    ini.write_text("[public]\nlisten = 127.0.0.1:0\n\n[tokens]\nlive = 5\n")
    code, _, err = run("--config", ini, "--check-config")
    assert code == 2 and "heddle.ini, line 5: " in err and "tokens.life" in err
    assert run("--config", tmp_path / "missing.ini")[0] == 2
    assert run("--confg", ini)[0] == 2 and run("start")[0] == 2


def test_show_config_can_be_loaded_again_and_hides_secrets(tmp_path):
    options = ["--set", f"tokens.secrets={SECRET}", "--set", "registration.secret=very secret",
               "--set", "registration.allow=*@a.org,b@b.org", "--set", "tokens.life=20m", "--set", f"data.dir={tmp_path}"]
    code, shown, _ = run(*options, "--show-config")
    assert code == 0 and SECRET not in shown and "very secret" not in shown and "(set)" in shown
    ini = tmp_path / "again.ini"
    ini.write_text(shown)
    assert run("--config", ini, "--check-config")[0] == 0
    again = run("--config", ini, "--show-config")[1]
    assert again.replace("(not set)", "(set)") == shown.replace("(not set)", "(set)")
    assert re.search(r"^life = 20m$", again, re.M) and "*@a.org" in again and list(tmp_path.iterdir()) == [ini]


def test_later_sources_win_and_options_win_over_files(own_stack, tmp_path):
    more = tmp_path / "more.ini"
    more.write_text("[tokens]\nlife = 200\n[directory]\nnode_type = spanner\n")
    stack = own_stack({"tokens.life": 100}, start=False)
    argv = Heddle.argv(stack.heddle)
    stack.heddle.argv = lambda: [*argv, "--config", str(more), "--set", "directory.node_type=postgres"]
    stack.heddle.start()
    out = TokenUser(stack).token()
    assert (out["duration"], out["node_type"]) == (200, "postgres")


@pytest.mark.parametrize("program", ["heddle", "heddle-directory", "heddle-node", "heddle-admin"])
def test_help_and_version(program):
    code, out, _ = run("--version", program=program)
    assert code == 0 and re.match(rf"{program} \d+\.\d+\.\d+ \(\w+\)\n\Z", out), out
    code, out, _ = run("--help", program=program)
    assert code == 0 and "--show-config" in out and "log.level" in out
