"""Browser-faithful clients of both protocols, who know the public name alone."""
from concurrent.futures import ThreadPoolExecutor

import pytest
from lib.device import Account15, content, fill
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


@pytest.mark.parametrize("browser", [Desktop, PaleMoon])
def test_a_browser_that_syncs_while_it_is_moved_in_held_mode_notices_nothing(lively, kind, browser):
    if kind == "nginx":
        pytest.skip("nginx cannot hold; see lb-rules/README.md")
    if browser is PaleMoon:
        a = PaleMoon(Stack(lively)).create_account()
        who, another = a.username, a.another_device
    else:
        account = Account15(Stack(lively))
        a, another = Desktop(account), lambda: Desktop(account)
    fill(a, 5)
    a.sync()
    who = a.username if browser is PaleMoon else a.credentials["uid"]
    with ThreadPoolExecutor(1) as pool:
        for _ in range(2):  # there, and back: the token of before is two owners old then
            target = next(n for n in lively.nodes if n is not lively.owner(who))
            moving, syncs = pool.submit(lively.mover, "user", "move", str(who), "--to", target.node_name), 0
            try:
                while not moving.done() or syncs < 2:
                    fill(a, 5 + syncs if syncs < 20 else 1)  # a mover cannot catch up with who writes ever more
                    a.sync()
                    syncs += 1
            finally:  # what the mover says of it, whoever failed first
                moving.result()
            assert lively.owner(who) is target
            a.credentials = None  # a user who moves twice within the life of a token meets one 401
    key = f"11:{who}" if browser is PaleMoon else f"15:{who}"
    mine = [x for x in lively.balancer.lines(key) if x["user"] == key]
    assert len(mine) > 20 and {x["status"] for x in mine} <= {200, 404}, [x for x in mine if x["status"] not in (200, 404)]
    b = another()
    b.sync()
    assert content(b) == content(a)
