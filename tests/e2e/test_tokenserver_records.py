"""The token server: records and their rules (edge cases 25 to 49, 55, 71 of the protocol's section 9). In the words of the tests: g is the
generation, k the time when the keys changed, state the client state. Rows that are elsewhere: see test_tokenserver_request.py."""
import base64
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from lib import hawk
from lib.heddle import SECRET
from lib.storage15 import Storage15
from lib.tokenserver import TokenUser

pytestmark = pytest.mark.one_engine("sqlite+memory")
MOST = 2**63 - 1


@pytest.fixture
def user(stack):
    return TokenUser(stack)


def members(token):
    return json.loads(base64.urlsafe_b64decode(token["id"])[:-32])


def kid(user, **kw):
    return members(user.token(**kw))["fxa_kid"]


# ---- one record for each user ----

@pytest.mark.one_engine("sqlite+memory", "mysql+redis")
def test_25_to_27_parallel_first_requests_give_one_uid(stack):
    """Several live records of one user, which others repair after the fact, cannot arise here."""
    users = [TokenUser(stack) for _ in range(6)]
    with ThreadPoolExecutor(24) as pool:
        uids = list(pool.map(lambda u: (u.sub, u.uid()), users * 8))
    assert len(set(uids)) == len({uid for _, uid in uids}) == len(users)
    assert {(u.sub, u.uid()) for u in users} == set(uids)


def test_25_to_27_parallel_changes_of_the_client_state_give_one_uid(user):
    first = user.uid(k=1000, state="aaaa")
    with ThreadPoolExecutor(12) as pool:
        uids = set(pool.map(lambda _: user.uid(k=2000, state="bbbb"), range(24)))
    assert len(uids) == 1 and first not in uids


def test_30_of_parallel_generations_the_highest_stays(user):
    user.uid(g=1, k=1)
    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(lambda g: user.ask(g=g, k=1).status, range(2, 26)))
    assert set(seen) <= {200, 401} and seen[-1] == 200
    user.refused("invalid-generation", g=24, k=1)
    user.uid(g=25, k=1)


def test_uids_are_never_given_twice(stack):
    a, b = TokenUser(stack), TokenUser(stack)
    seen = [a.uid(k=1, state="aa"), b.uid(k=1, state="aa"), a.uid(k=2, state="bb"), b.uid(k=2, state="bb"), TokenUser(stack).uid()]
    assert len(set(seen)) == len(seen)


def test_accounts_are_told_apart_by_the_exact_sub(stack):
    user = TokenUser(stack)
    assert TokenUser(stack, user.sub.upper()).uid() != user.uid() != TokenUser(stack, user.sub[:-1]).uid()


def test_71_a_restart_changes_nobody(own_stack):
    stack = own_stack()
    user, other = TokenUser(stack), TokenUser(stack)
    before = [u.uid(k=5, state="ab", g=7) for u in (user, other)]
    for stop in (stack.heddle.stop, stack.heddle.kill):
        stop()
        stack.heddle.start()
        assert [u.uid(k=5, state="ab", g=7) for u in (user, other)] == before
        user.refused("invalid-generation", k=5, state="ab", g=6)
        assert TokenUser(stack).uid() not in before


# ---- g: generation ----

def test_39_a_generation_below_the_stored_one_is_refused_others_keep_the_uid(user):
    uid = user.uid(g=1234, k=1)
    user.refused("invalid-generation", g=1233, k=1)
    assert user.uid(g=1234, k=1) == user.uid(g=1235, k=1) == user.uid(k=1) == uid
    user.refused("invalid-generation", g=1234, k=1)


def test_55_what_was_refused_changed_nothing(user):
    user.uid(g=2000, k=1000)
    user.refused("invalid-generation", g=1999, k=1500)
    user.refused("invalid-keysChangedAt", g=3000, k=4000)
    user.refused("invalid-keysChangedAt", g=9000, k=999)
    user.refused_state("new value with no generation change", g=2000, k=1500, state="bbbb")
    assert user.uid(g=2000, k=1000) == user.uid(g=2000, k=1000)
    assert kid(user, g=2000, k=1000) == "0000000001000-qqo"


@pytest.mark.parametrize("g", ["whatever", "42", [], [42], {}, 1.5, True, -1])
def test_40_a_generation_that_is_no_whole_number_is_refused(user, g):
    user.uid(g=1, k=1)
    user.refused("invalid-generation", g=g, k=1)


def test_40_a_generation_of_null_is_refused(user):
    user.refused("invalid-generation", **{"fxa-generation": None})


def test_48_zeroes_are_as_good_as_absent_and_change_nothing(user):
    uid = user.uid(g=1234, k=1233)
    assert user.uid(g=0, k=1233) == uid
    user.refused("invalid-generation", g=1233, k=1233)
    other = TokenUser(user.stack)
    uid = other.uid(g=0, k=0)
    assert other.uid(g=5, k=0) == uid
    assert kid(other, g=5, k=0) == "0000000000005-qqo"
    assert other.uid(k=6) == uid  # k = 0 was nothing: any k is the first


def test_41_without_g_an_unchanged_k_leaves_the_generation_alone(user):
    user.uid(k=1000)
    user.uid(k=1000)
    user.uid(g=1, k=1000)  # stored g was still 0
    user.uid(k=1000)
    user.uid(g=1, k=1000)


def test_41_without_g_a_larger_k_becomes_the_generation(user):
    user.uid(k=1000)
    user.uid(k=2000)
    user.refused("invalid-generation", g=1999, k=2000)
    user.uid(g=2000, k=2000)


def test_42_without_g_the_first_k_of_a_record_becomes_its_generation(user):
    """Of a record that had none; a new record takes g and k as they are."""
    uid = user.uid(k=0)
    assert user.uid(k=1234) == uid
    user.refused("invalid-generation", g=1233, k=1234)
    user.uid(g=1234, k=1234)
    other = TokenUser(user.stack)
    assert other.uid(k=1234) == other.uid(g=1, k=1234)


# ---- k: when the keys changed ----

def test_34_a_new_k_above_g_is_refused_the_stored_one_may_be(user):
    user.uid(g=1001, k=1001)
    user.refused("invalid-keysChangedAt", g=1002, k=1003)
    user.refused("invalid-keysChangedAt", g=1002, k=1003, state="bbbb")
    user.uid(g=1003, k=1003)
    other = TokenUser(user.stack)
    assert other.uid(g=5, k=2000) == other.uid(g=6, k=2000)
    other.refused("invalid-keysChangedAt", g=7, k=2001)


def test_35_k_alone_is_enough(user):
    assert user.uid(k=1234) == user.uid(k=1234) == user.uid(k=1235)


def test_43_a_lower_k_is_refused_and_a_larger_one_needs_a_larger_g(user):
    user.uid(g=2000, k=1000)
    user.refused("invalid-keysChangedAt", g=2000, k=999)
    user.refused("invalid-keysChangedAt", k=999)
    user.refused("invalid-keysChangedAt", g=2000, k=2001)
    user.uid(g=2001, k=2001)


def test_44_k_may_not_go_missing_once_it_was_seen(user):
    user.uid(g=1234, k=1200)
    user.refused("invalid-keysChangedAt", g=1234, k=0)
    user.refused("invalid-keysChangedAt", g=2000, k=0)
    user.refused("invalid-keysChangedAt", k=0)
    user.uid(g=1234, k=1200)


def test_45_the_token_names_the_newest_keys(user):
    one = user.token(k=1234, state="aaaa")
    two = user.token(k=2345, state="bbbb")
    assert (members(one)["fxa_kid"], members(two)["fxa_kid"]) == ("0000000001234-qqo", "0000000002345-u7s")
    assert members(one)["node"] == members(two)["node"] and one["uid"] != two["uid"]
    assert members(two)["epoch"] == members(one)["epoch"] + 1


def test_45_without_k_the_generation_stands_in_its_place(user):
    assert kid(user, k=0, g=1234, state="616161") == "0000000001234-YWFh"


def test_46_a_stored_k_older_than_the_clients_is_brought_up_to_date(user):
    uid = user.uid(g=2000, k=1000)
    assert user.uid(g=2000, k=1500) == uid
    assert kid(user, g=2000, k=1500) == "0000000001500-qqo"
    user.refused("invalid-keysChangedAt", g=2000, k=1000)


# ---- the client state ----

def test_36_an_old_client_state_may_not_come_back(user):
    first = user.uid(g=1000, k=1000, state="aaaa")
    second = user.uid(g=2000, k=2000, state="bbbb")
    assert second != first
    user.refused_state("stale value", g=3000, k=3000, state="aaaa")
    assert user.uid(g=2000, k=2000, state="bbbb") == second
    assert user.uid(g=3000, k=3000, state="cccc") not in (first, second)
    for state in ("aaaa", "bbbb"):
        user.refused_state("stale value", g=4000, k=4000, state=state)


def test_36_states_from_before_a_restart_are_still_known(own_stack):
    stack = own_stack()
    user = TokenUser(stack)
    user.uid(k=1, state="aaaa"), user.uid(k=2, state="bbbb")
    stack.heddle.restart()
    user.refused_state("stale value", k=3, state="aaaa")


def test_37_a_new_client_state_needs_a_larger_generation_if_there_is_one(user):
    first = user.uid(g=1234, k=1000, state="aaaa")
    for g in (1234, 1233):
        user.refused_state("new value with no generation change", g=g, k=1100, state="bbbb")
    second = user.uid(k=2345, state="bbbb")  # none at all: allowed, and k becomes the generation
    assert second != first
    user.refused_state("new value with no generation change", g=2345, k=2345, state="cccc")
    assert user.uid(g=2346, k=2346, state="cccc") not in (first, second)


def test_38_a_new_client_state_needs_a_larger_k(user):
    user.uid(g=1234, k=1234, state="aaaa")
    for k in (1234, 1233):
        user.refused_state("new value with no keys_changed_at change", g=2345, k=k, state="bbbb")
    user.refused("invalid-keysChangedAt", g=2345, k=0, state="bbbb")
    user.uid(g=2345, k=2345, state="bbbb")


def test_47_a_new_client_state_gives_a_new_uid_on_the_same_node_and_an_empty_store(user):
    """(The first after an empty one: every request brings one, so the state of a record is never empty here.)"""
    one = user.token(k=1, state="aaaa")
    old = Storage15(user.stack.heddle, one["uid"], one["id"], one["key"])
    old.save("bookmarks", "a", "x")
    two = user.token(k=2, state="bbbb")
    new = Storage15(user.stack.heddle, two["uid"], two["id"], two["key"])
    assert new.info() == {} and members(one)["node"] == members(two)["node"]
    old.get("/info/collections", expect=401)  # the old area is on its way out
    new.save("bookmarks", "b", "y")


def test_49_a_client_state_cannot_become_empty(user):
    uid = user.uid()
    r = user.ask(state="", k=2000)
    assert r.status == 400
    assert user.uid() == uid


def test_states_differ_in_every_byte_and_in_length(user):
    uid, k = user.uid(k=1, state="00"), 1
    for state in ("0000", "01", "ff" * 16, "ff" * 15 + "fe"):
        k += 1
        fresh = user.uid(k=k, state=state)
        assert fresh != uid
        uid = fresh


def test_the_twenty_newest_old_states_are_remembered(user):
    states = [f"{i:04x}" for i in range(23)]
    for i, state in enumerate(states):
        user.uid(k=1000 + i, state=state)
    for state in states[2:22]:
        user.refused_state("stale value", k=5000, state=state)
    assert user.uid(k=1022, state=states[22]) == user.uid(k=1022, state=states[22])


def test_large_numbers_are_kept_exactly(user):
    user.uid(g=MOST - 1, k=MOST - 1)
    user.refused("invalid-generation", g=MOST - 2, k=MOST - 1)
    user.refused("invalid-keysChangedAt", g=MOST - 1, k=MOST - 2)
    assert kid(user, g=MOST - 1, k=MOST - 1) == hawk.fxa_kid(MOST - 1, "aaaa")


def test_68_the_accounts_name_is_made_with_the_configured_domain(own_stack):
    """Another domain is another set of accounts; back again, the first is there."""
    stack = own_stack({"directory.domain": "one.example.net"})
    user = TokenUser(stack)
    first = user.uid()
    stack.heddle.restart(directory__domain="two.example.net")
    second = user.uid()
    assert second != first and user.uid(iss="https://elsewhere.example.net") == second
    stack.heddle.restart(directory__domain="one.example.net")
    assert user.uid() == first


def test_a_users_uid_survives_a_change_of_secret(own_stack):
    stack = own_stack()
    user = TokenUser(stack)
    one = user.token()
    newer = SECRET[::-1]
    stack.heddle.restart(tokens__secrets=f"{SECRET},{newer}")
    two = user.token()
    assert one["uid"] == two["uid"]
    assert hawk.verify_token(two["id"], [newer], [stack.url], stack.heddle.now())[1] == 0
    for token in (one, two):
        Storage15(stack.heddle, token["uid"], token["id"], token["key"]).get("/info/collections")
