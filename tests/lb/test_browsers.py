"""Browser-faithful clients of both protocols, who know the public name alone."""
import pytest
from lib.device import Account15
from lib.firefox15 import Desktop
from lib.firefox15_rust import RustClient
from lib.palemoon11 import PaleMoon


class Stack:
    """What simulated browsers want of a server: the door."""

    def __init__(self, front):
        self.heddle, self.issuer, self.front = front.door, front.issuer, front
        self.url = front.door.url

    def access_token(self, sub, **claims):
        return self.issuer.access_token(sub, now=self.heddle.now(), **claims)


def content(device):
    return {name: r.items for name, r in device.records.items()}


def fill(device, count):
    for name, records in device.records.items():
        for i in range(count):
            records.put(title=f"{name} {i} äöü \U0001f600", url=f"https://example.com/{i}", sortindex=i)


@pytest.mark.parametrize("second", [Desktop, RustClient])
def test_firefox_syncs_through_the_balancer(front, second):
    account = Account15(Stack(front))
    a = Desktop(account)
    fill(a, 10)
    a.sync()
    b = second(account)
    b.sync()
    for name in content(b):
        assert content(b)[name] == content(a)[name]
    fill(a, 15)
    a.sync()
    b.sync()
    for name in content(b):
        assert content(b)[name] == content(a)[name]


def test_pale_moon_syncs_through_the_balancer(front):
    a = PaleMoon(Stack(front)).create_account()
    fill(a, 10)
    a.sync()
    b = a.another_device()
    fill(a, 12)
    a.sync()
    b.sync()
    assert content(b) == content(a)


def test_firefox_goes_on_syncing_while_it_is_moved(own_front, kind):
    if kind == "nginx":
        pytest.skip("nginx cannot hold; see lb-rules/README.md")
    front = own_front(2, follow=True, limit_user=0)
    account = Account15(Stack(front))
    a = Desktop(account)
    fill(a, 5)
    a.sync()
    entry = next(x for x in front.ask("accounts") if "@" in x["name"])
    target = next(n for n in front.nodes if n.node_name != entry["node"])
    front.mover("user", "move", str(entry["uid"]), "--to", target.node_name)
    fill(a, 9)
    a.sync()
    b = Desktop(account)
    b.sync()
    assert content(b) == content(a)
