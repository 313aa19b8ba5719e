"""The one box settles by itself, and lets the operator in with the key that it made."""
import json
import sqlite3

import pytest

from lib.ops import run
from lib.processes import wait_until

pytestmark = pytest.mark.one_engine("sqlite+memory")


def admin(box, *words):
    data = box.heddle.folder / "data"
    code, out, err = run("--set", f"admin.directory={data / 'internal.sock'}", "--set", f"admin.key=@{data / 'admin.key'}",
                         "--set", f"admin.dir={box.heddle.folder / 'admin'}", *words, program="heddle-admin")
    return code, out + err


def rows(box, uid):
    n = 0
    for path in (box.heddle.folder / "data" / "store").glob("*.sqlite"):
        with sqlite3.connect(path, timeout=20) as db:
            n += db.execute("SELECT COUNT(*) FROM items WHERE uid = ?", (uid,)).fetchone()[0]
    return n


def test_what_a_deleted_account_left_is_erased_by_itself(own_stack):
    box = own_stack({"settle.every": "1s", "settle.grace": "0"})
    user = box.user11()
    user.save("bookmarks", "abc", "hello")
    code, said = admin(box, "user", "verify", user.name, "--json")
    assert code == 0, said
    uid = int(said.partition('"uid":')[2].lstrip().partition(",")[0])
    assert rows(box, uid) == 1
    user.account("DELETE", "")
    wait_until(lambda: rows(box, uid) == 0, "erased")
    assert (box.heddle.folder / "data" / "admin.key").stat().st_mode & 0o777 == 0o600


def test_doctor_is_content_with_a_one_box(own_stack):
    box = own_stack({"settle.every": "1s"})
    user = box.user11()
    user.save("bookmarks", "abc", "hello")
    wait_until(lambda: admin(box, "doctor")[0] == 0, "doctor is content")


def test_callers_of_the_settings_alone_are_let_in(own_stack):
    """Who names callers has decided; the key in the data folder is not one of them."""
    box = own_stack({"internal.keys": "admin admin " + "k" * 32})
    assert admin(box, "doctor")[0] != 0


def test_a_one_box_that_gets_another_address_keeps_everybody_and_his_data(own_stack):
    box = own_stack({})
    user = box.user11()
    user.save("bookmarks", "abc", "hello")
    before = admin(box, "user", "show", user.name, "--json")[1]
    box.heddle.restart(public__url=f"http://localhost:{box.heddle.port}")
    assert user.node().text.startswith("http://localhost:")  # what a client asks for when it meets a 401
    assert user.item("bookmarks", "abc")["payload"] == "hello"
    user.save("bookmarks", "def", "again")
    assert rows(box, json.loads(before)["uid"]) == 2
    after = json.loads(admin(box, "user", "show", user.name, "--json")[1])
    assert (after["uid"], after["epoch"]) == (json.loads(before)["uid"], json.loads(before)["epoch"])
