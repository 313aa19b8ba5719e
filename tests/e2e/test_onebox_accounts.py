"""What the operator of a one box decides about accounts: at once, and for good."""
import pytest

from lib.device import Account15
from lib.firefox15 import Desktop
from lib.operator_calls import operate
from lib.storage15 import Storage15

KEY = "b" * 32

pytestmark = pytest.mark.one_engine("sqlite+memory")


@pytest.fixture
def box(own_stack):
    return own_stack({"internal.keys": f"admin admin {KEY}"})


def synced(box):
    """A client with a token of the token endpoint, whose account the directory knows."""
    device = Desktop(Account15(box))
    device.sync()
    given = device.credentials
    return Storage15(box.heddle, given["uid"], given["id"], given["key"])


def status(client):
    return client.get("/info/collections", expect=None).status


@pytest.mark.parametrize("verb", ["disable", "delete"])
def test_what_is_refused_is_refused_at_once_and_after_a_restart(box, verb):
    new, old = synced(box), box.user11()
    uid = operate(box.heddle, KEY, "GET", f"accounts/{old.name}").json()["uid"]
    assert status(new) == status(old) == 200
    for number in (new.uid, uid):
        operate(box.heddle, KEY, "POST", f"accounts/{number}/{verb}")
    assert status(new) == status(old) == 401
    box.heddle.restart()
    assert status(new) == status(old) == 401


def test_who_is_enabled_again_finds_his_data(box):
    new, old = synced(box), box.user11()
    old.save("bookmarks", "abc", "hello")
    uid = operate(box.heddle, KEY, "GET", f"accounts/{old.name}").json()["uid"]
    for number in (new.uid, uid):
        operate(box.heddle, KEY, "POST", f"accounts/{number}/disable")
    assert status(new) == status(old) == 401
    for number in (new.uid, uid):
        operate(box.heddle, KEY, "POST", f"accounts/{number}/enable")
    assert status(new) == 200 and old.item("bookmarks", "abc")["payload"] == "hello"


def test_accounts_are_listed_searched_and_explained(box):
    old = box.user11()
    names = [x["name"] for x in operate(box.heddle, KEY, "GET", "accounts").lines()]
    assert old.name in names
    old.get("/info/collections")
    found = operate(box.heddle, KEY, "GET", f"accounts?search={old.name[:8]}").lines()
    assert [x["name"] for x in found] == [old.name]
    told = operate(box.heddle, KEY, "GET", f"accounts/{old.name}/explain").json()
    assert told["state"] == "open" and told["why"] == "first" and told["fresh"]["node"] == told["node"]


def test_nobody_else_is_admitted(box, own_stack):
    operate(box.heddle, "c" * 32, "GET", "accounts", expect=401)
    closed = own_stack()
    operate(closed.heddle, KEY, "GET", "accounts", expect=401)
