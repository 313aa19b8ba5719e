"""The oracle against servers that lie: each seeded fault must be found, and an honest server must pass."""
import os
import random
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from oracle import Ledger, Transcript, Violation, Write  # noqa: E402


class Server:
    """An honest storage in memory, and one method for each way to lie."""

    def __init__(self):
        self.colls, self.clock = {}, 1000

    def write(self, w):
        self.clock += 1
        w.apply(self.colls, self.clock)
        return self.clock

    def seen(self):
        return {n: {'stamp': c['stamp'], 'items': dict(c['items'])} for n, c in self.colls.items()}


def put(coll, *ids, tag='x'):
    return Write('put', coll, {i: f'{tag}-{i}' for i in ids})


def honest_history(steps=60, seed=1):
    rnd, server, ledger = random.Random(seed), Server(), Ledger('u')
    for i in range(steps):
        coll = rnd.choice(['a', 'b'])
        w = rnd.choice([put(coll, *{f'i{rnd.randrange(9)}' for _ in range(3)}, tag=str(i)),
                        Write('delete', coll, ids=[f'i{rnd.randrange(9)}']), Write('drop', coll)])
        ledger.attempt(w)
        if w.kind == 'delete' and coll not in server.colls:
            ledger.refused()
            continue
        end = rnd.random()
        if end < 0.8:
            ledger.acked(server.write(w))
        elif end < 0.9:
            if not (w.kind == 'drop' and coll not in server.colls):
                server.write(w)
            ledger.unknown()
            ledger.reconcile(server.seen())
        else:
            ledger.unknown()
            ledger.reconcile(server.seen())
    return server, ledger


@pytest.mark.parametrize('seed', range(20))
def test_an_honest_server_passes(seed):
    server, ledger = honest_history(seed=seed)
    ledger.reconcile(server.seen())
    assert ledger.counts['acked'] > 20


def prepared():
    server, ledger = Server(), Ledger('u')
    for w in (put('a', 'i1', 'i2'), put('b', 'j1'), put('a', 'i3')):
        ledger.attempt(w)
        ledger.acked(server.write(w))
    return server, ledger


FAULTS = {
    'an acknowledged item is lost': lambda s: s.colls['a']['items'].pop('i3'),
    'an acknowledged collection is lost': lambda s: s.colls.pop('b'),
    'a payload is altered': lambda s: s.colls['a']['items'].update(i1=('x-other', s.colls['a']['items']['i1'][1])),
    'an item stamp is altered': lambda s: s.colls['a']['items'].update(i1=('x-i1', 999)),
    'a collection stamp goes back': lambda s: s.colls['a'].update(stamp=1001),
    'a deleted thing comes back': lambda s: s.colls['a']['items'].update(ghost=('x', 1001)),
    'an item is newer than its collection': lambda s: s.colls['a']['items'].update(i3=('x-i3', 5000)),
}


@pytest.mark.parametrize('fault', FAULTS)
def test_a_lie_is_found(fault):
    server, ledger = prepared()
    ledger.reconcile(server.seen())
    FAULTS[fault](server)
    with pytest.raises(Violation):
        ledger.reconcile(server.seen())


def test_half_of_an_unanswered_write_is_found():
    server, ledger = prepared()
    w = put('a', *[f'n{i}' for i in range(10)])
    ledger.attempt(w)
    server.write(put('a', *[f'n{i}' for i in range(5)]))
    ledger.unknown()
    with pytest.raises(Violation, match='neither without nor with'):
        ledger.reconcile(server.seen())


def test_a_refused_write_that_was_done_is_found():
    server, ledger = prepared()
    w = put('a', 'n1')
    ledger.attempt(w)
    server.write(w)
    ledger.refused()
    with pytest.raises(Violation):
        ledger.reconcile(server.seen())


@pytest.mark.parametrize('stamp', [0, 1003, 1002])
def test_a_stamp_that_repeats_or_goes_back_is_found(stamp):
    _, ledger = prepared()
    ledger.attempt(put('a', 'n1'))
    with pytest.raises(Violation):
        ledger.acked(stamp)


def test_an_unanswered_write_with_an_old_stamp_is_found():
    server, ledger = prepared()
    w = put('a', 'n1')
    ledger.attempt(w)
    w.apply(server.colls, 1003)
    ledger.unknown()
    with pytest.raises(Violation):
        ledger.reconcile(server.seen())


def transcript(*, double=False, stale=False, future=False, mixed=False, reorder=False):
    t = Transcript()
    t.write(1, 2, 101, {'a': 'x'})
    t.write(3, 4, 101 if double else 102, {'b': 'y'})
    t.write(5, 6, 100 if reorder else 103, {'a': None})
    t.read(3.5, 3.6, 101, {'a': ('x', 101)})
    if stale:
        t.read(7, 8, 102, {'a': ('x', 101), 'b': ('y', 102)})
    elif future:
        t.read(1.1, 1.2, 103, {'b': ('y', 102)})
    elif mixed:
        t.read(7, 8, 103, {'a': ('x', 101), 'b': ('y', 102)})
    else:
        t.read(7, 8, 103, {'b': ('y', 102)})
    return t


def test_a_linearizable_history_passes():
    assert transcript().check() == (3, 2)


@pytest.mark.parametrize('fault', ['double', 'stale', 'future', 'mixed', 'reorder'])
def test_a_history_that_is_not_linearizable_is_found(fault):
    with pytest.raises(Violation):
        transcript(**{fault: True}).check()


def test_reads_that_go_back_are_found():
    t = Transcript()
    t.write(1, 9, 101, {'a': 'x'})
    t.read(2, 3, 101, {'a': ('x', 101)})
    t.read(4, 5, 0, {})
    with pytest.raises(Violation):
        t.check()
