"""What heddle-admin promises of every command: help with examples, JSON, exit statuses, completion, manual pages. No server is needed."""
import json
import os
import re
import shutil
import subprocess

import pytest

from lib.heddle import build_folder

PROGRAM = build_folder() / "heddle-admin"


def admin(*words, env=None, stdin=subprocess.DEVNULL):
    done = subprocess.run([str(PROGRAM), *words], capture_output=True, text=True, stdin=stdin, timeout=300,
                          env={**os.environ, **(env or {})})
    return done.returncode, done.stdout, done.stderr


def table():
    code, out, _ = admin("help", "--json")
    assert code == 0
    return [json.loads(line) for line in out.splitlines()]


COMMANDS = table()


def needs(tool):
    """The tool of the operator's machine; installed by ./bootstrap test."""
    path = shutil.which(tool)
    assert path, f"{tool} is missing"
    return path


@pytest.mark.parametrize("command", [c["name"] for c in COMMANDS])
def test_every_command_has_help_with_an_example_and_json(command):
    code, out, err = admin(*command.split(), "--help")
    assert code == 0 and not err and f"Usage: heddle-admin {command}" in out
    assert "--json" in out and "--help" in out and re.search(rf"^  heddle-admin .*{re.escape(command)}", out, re.M), out
    dangerous = next(c["dangerous"] for c in COMMANDS if c["name"] == command)
    assert dangerous == ("--yes" in out) == ("Dangerous:" in out)
    code, again, _ = admin("help", *command.split())
    assert (code, again) == (0, out)


def test_options_are_known_everywhere_and_a_wrong_one_is_named():
    for command in COMMANDS:
        words = command["name"].split()
        code, out, err = admin(*words, "--no-such-option")
        assert code == 2 and not out and "--no-such-option" in err, command


def test_words_that_are_no_command():
    assert admin()[0] == 2
    code, out, err = admin("frobnicate")
    assert code == 2 and not out and "frobnicate" in err
    code, out, err = admin("node", "frobnicate")
    assert code == 2 and "node add" in err
    code, out, err = admin("node", "--help")
    assert code == 0 and "node drain" in out
    code, out, err = admin("node", "list", "--set", "admin.key=x")
    assert code == 2 and "before the command" in err


def test_what_is_dangerous_is_not_done_without_a_yes(tmp_path):
    for command in COMMANDS:
        if not command["dangerous"] or not command.get("arguments"):
            continue
        if command["name"] in ("node remove",):
            code, _, err = admin("--set", f"admin.dir={tmp_path}", *command["name"].split(), "node1.example.net")
            assert code == 6 and "--yes" in err


def test_settings_are_found_by_the_environment(tmp_path):
    ini = tmp_path / "admin.ini"
    ini.write_text("[admin]\nname = somebody\n")
    assert "name = somebody" in admin("--show-config", env={"HEDDLE_ADMIN_CONFIG": str(ini)})[1]
    assert "name = other" in admin("--set", "admin.name=other", "--show-config", env={"HEDDLE_ADMIN_CONFIG": str(ini)})[1]
    empty = tmp_path / "empty.ini"
    empty.write_text("")
    assert "name = admin" in admin("--config", str(empty), "--show-config", env={"HEDDLE_ADMIN_CONFIG": str(ini)})[1]


def test_exit_statuses_are_those_of_the_manual():
    code, out, _ = admin("help")
    assert code == 0
    assert re.findall(r"^  (\d)  (\S+)", out, re.M) == [("0", "done"), ("1", "failed"), ("2", "misused"), ("3", "not"), ("4", "refused"), ("5", "away"),
                                                        ("6", "unconfirmed"), ("7", "partly"), ("8", "different")]
    assert admin("--set", "admin.directory=/nonexistent.sock", "--set", "admin.key=0123456789abcdef", "node", "list")[0] == 5
    assert admin("--set", "admin.directory=nonsense", "--set", "admin.key=0123456789abcdef", "node", "list")[0] == 2
    assert admin("node", "list")[0] == 2


def test_no_colours_where_there_is_no_terminal_and_where_they_are_not_wanted():
    import pty
    for env, wanted in (({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
        main, child_end = pty.openpty()
        clean = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
        child = subprocess.Popen([str(PROGRAM), "audit", "verify", "/dev/null"], stdout=child_end, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                                 env={**clean, **env})
        os.close(child_end)
        seen = b""
        try:
            while chunk := os.read(main, 4096):
                seen += chunk
        except OSError:
            pass
        child.wait()
        os.close(main)
        assert b"FILE" in seen and (b"\x1b[" in seen) == wanted, env
    assert "\x1b" not in admin("audit", "verify", "/dev/null", env={"TERM": "xterm"})[1]


# -- manual pages --


def test_manual_pages_are_clean_and_complete(tmp_path):
    mandoc = needs("mandoc")
    assert admin("man", "--into", str(tmp_path))[0] == 0
    pages = sorted(tmp_path.iterdir())
    assert len(pages) > 5
    done = subprocess.run([mandoc, "-Tlint", "-Wwarning", *map(str, pages)], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stdout, done.stdout
    text = "".join(subprocess.run([mandoc, "-Tutf8", str(p)], capture_output=True, text=True).stdout for p in pages)
    plain = re.sub(".\x08", "", text)
    for command in COMMANDS:
        assert f"heddle-admin {command['name']}" in re.sub(r"\s+", " ", plain), command["name"]
    assert "EXIT STATUS" in plain and (build_folder() / "man" / "heddle-admin.1").exists()


# -- completion --


def bash_completes(*words):
    """What bash offers for a line of these words, the last of them half typed."""
    script = admin("completion", "bash")[1]
    probe = script + f"""
COMP_WORDS=({' '.join(repr(w) if w else "''" for w in words)})
COMP_CWORD={len(words) - 1}
_heddle_admin {words[0]!r}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "--norc", "-c", probe], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return set(done.stdout.split())


def test_bash_completes_commands_options_and_words():
    first = bash_completes("heddle-admin", "")
    assert {c["name"].split()[0] for c in COMMANDS} <= first
    assert bash_completes("heddle-admin", "nod") == {"node"}
    assert {"add", "drain", "recover"} <= bash_completes("heddle-admin", "node", "")
    assert bash_completes("heddle-admin", "node", "dr") == {"drain"}
    assert "--parallel" in bash_completes("heddle-admin", "node", "drain", "--p")
    assert bash_completes("heddle-admin", "plan", "rebalance", "--by", "") == {"users", "bytes", "requests"}
    assert bash_completes("heddle-admin", "--set", "a.b=c", "completion", "z") == {"zsh"}


def test_bash_completes_every_option_of_every_command():
    for command in COMMANDS:
        got = bash_completes("heddle-admin", *command["name"].split(), "--")
        assert got == {"--" + o["name"] for o in command["options"]}, command["name"]


def test_zsh_and_fish_take_their_scripts(tmp_path):
    for shell in ("zsh", "fish"):
        script = tmp_path / shell
        script.write_text(admin("completion", shell)[1])
        done = subprocess.run([needs(shell), "-n", str(script)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_fish_completes():
    script = admin("completion", "fish")[1]
    for line, wanted in (("heddle-admin ", "node"), ("heddle-admin node dr", "drain"), ("heddle-admin plan rebalance --by ", "requests"),
                         ("heddle-admin node drain --par", "--parallel")):
        done = subprocess.run([needs("fish"), "--no-config", "-c", script + f"\ncomplete -C {line!r}\n"], capture_output=True, text=True)
        assert wanted in [w.split("\t")[0] for w in done.stdout.splitlines()], (line, done.stdout, done.stderr)


def test_a_shell_that_is_none():
    assert admin("completion", "tcsh")[0] == 2


def test_a_secret_is_derived_from_each_master_and_none_is_cut_off():
    def derive(text):
        return subprocess.run([str(PROGRAM), "secret", "derive", "https://node7.example.net"], input=text, capture_output=True, text=True, timeout=300)

    one, other = derive("0123456789abcdef0123456789abcdef\n"), derive("  fedcba9876543210fedcba9876543210")
    assert one.returncode == other.returncode == 0 and one.stdout != other.stdout and len(one.stdout.split()) == len(other.stdout.split()) == 1
    both = derive("\n0123456789abcdef0123456789abcdef\r\n\nfedcba9876543210fedcba9876543210\n")
    assert both.stdout == one.stdout + other.stdout
    assert derive("x" * 5000 + "y").stdout != derive("x" * 5000).stdout
    for wrong, told in (("", "no master"), ("\n \n", "no master"), ("x" * 70000, "65536"), ("x\n" * 65, "64"), ("0123\x00456789", "NUL")):
        done = derive(wrong)
        assert done.returncode == 2 and told in done.stderr and not done.stdout
