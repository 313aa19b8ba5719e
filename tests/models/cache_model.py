#!/usr/bin/env python3
"""An exhaustive model of the cache's rule (node/cache/cache.h).

Writers of one user, who follow each other under the head lock; readers; a cache that may lose everything at any moment (`flushes`
times) and fail to do or to confirm what it is asked (`failures` times). Walks through every interleaving. After each step the cell that
a new reader would find holds no value older than the last write that was answered, and no reader returns a value older than
what had been answered when he began.

  writer  load the era; put a mark (failed: new era); commit; load the era;
          same era and his mark there: swap it for the value; else drop the key (failed: new era); answer
  reader  load the era; a value is used; where nothing is, add a mark, read the database,
          swap that mark for what was read

  cache_model.py              no violation; all interleavings within the small bound, ten seconds
  cache_model.py --full       the same within a larger bound, minutes
  cache_model.py --nodrop     a writer who lost his mark leaves the key alone: a flush lets an old value in
  cache_model.py --notrip     a failed put or drop begins no new era: an old value stays
  cache_model.py --noreload   a writer does not look at the era again after his commit: a value is filled into the new one
The exit status is 1 when a violation was found.
"""
import argparse
import sys
from collections import deque, namedtuple

State = namedtuple("State", "db cells lock writers readers answered flushes failures")
Writer = namedtuple("Writer", "pc era marked version")
Reader = namedtuple("Reader", "pc era value floor")

NOTHING = None
# Program counters.
W_START, W_PUT, W_COMMIT, W_LOAD, W_SWAP, W_DROP, W_ANSWER, W_DONE = range(8)
R_START, R_GET, R_READ, R_SWAP, R_DONE = range(5)


def replaced(items, i, item):
    return items[:i] + (item,) + items[i + 1:]


def with_cell(state, era, cell):
    return state._replace(cells=replaced(state.cells, era, cell))


def new_era(state, options):
    """Everything cached so far is out of reach; the last cell is the present era's."""
    return state if options.notrip else state._replace(cells=state.cells + (NOTHING,))


def now(state):
    return len(state.cells) - 1


def effects(state, era, cell):
    """What asking the cache to change a cell may lead to: (confirmed, state)."""
    yield True, with_cell(state, era, cell)
    if state.failures:
        failed = state._replace(failures=state.failures - 1)
        yield False, failed                       # not done
        yield False, with_cell(failed, era, cell)  # done, but the answer was lost


def writer_steps(state, i, options):
    w = state.writers[i]
    mark = ("mark", "writer", i)

    def moved(base, **changes):
        return base._replace(writers=replaced(base.writers, i, w._replace(**changes)))

    if w.pc == W_START and state.lock is None:
        yield moved(state._replace(lock=i), pc=W_PUT, era=now(state))
    elif w.pc == W_PUT:
        for confirmed, after in effects(state, w.era, mark):
            yield moved(after if confirmed else new_era(after, options), pc=W_COMMIT, marked=confirmed)
    elif w.pc == W_COMMIT:
        yield moved(state._replace(db=state.db + 1, lock=None), pc=W_LOAD, version=state.db + 1)
    elif w.pc == W_LOAD:
        era = w.era if options.noreload else now(state)
        yield moved(state, pc=W_SWAP if w.marked and era == w.era else W_DROP, era=era)
    elif w.pc == W_SWAP:
        if state.cells[w.era] == mark:
            for confirmed, after in effects(state, w.era, ("value", w.version)):
                yield moved(after, pc=W_ANSWER if confirmed else W_DROP)
        else:
            yield moved(state, pc=W_ANSWER if options.nodrop else W_DROP)
    elif w.pc == W_DROP:
        for confirmed, after in effects(state, w.era, NOTHING):
            yield moved(after if confirmed else new_era(after, options), pc=W_ANSWER)
    elif w.pc == W_ANSWER:
        yield moved(state._replace(answered=max(state.answered, w.version)), pc=W_DONE)


def reader_steps(state, i):
    """Yields (state, stale): stale is a value that must not have been used."""
    r = state.readers[i]
    mark = ("mark", "reader", i)

    def moved(base, **changes):
        return base._replace(readers=replaced(base.readers, i, r._replace(**changes)))

    def done(base):
        return moved(base, pc=R_DONE, era=0, value=0, floor=0)

    if r.pc == R_START:
        yield moved(state, pc=R_GET, era=now(state), floor=state.answered), False
    elif r.pc == R_GET:
        cell = state.cells[r.era]
        if cell is NOTHING:
            for confirmed, after in effects(state, r.era, mark):
                yield (moved(after, pc=R_READ) if confirmed else done(after)), False
        else:
            yield done(state), cell[0] == "value" and cell[1] < r.floor
    elif r.pc == R_READ:
        yield moved(state, pc=R_SWAP, value=state.db), False
    elif r.pc == R_SWAP:
        if state.cells[r.era] == mark:  # looking at the era first spares work, no more
            for _, after in effects(state, r.era, ("value", r.value)):
                yield done(after), False
        else:
            yield done(state), False


def steps(state, options):
    if state.flushes and any(state.cells):
        yield state._replace(cells=(NOTHING,) * len(state.cells), flushes=state.flushes - 1), False
    for i in range(len(state.writers)):
        for after in writer_steps(state, i, options):
            yield after, False
    for i in range(len(state.readers)):
        yield from reader_steps(state, i)


def stale_for_the_next(state):
    cell = state.cells[now(state)]
    return cell is not NOTHING and cell[0] == "value" and cell[1] < state.answered


def trace(seen, state):
    path = []
    while state is not None:
        path.append(state)
        state = seen[state]
    return reversed(path)


def explore(first, options):
    """Breadth first, so a violation comes with a shortest way to it. Gives (number of states, violation or None)."""
    seen = {first: None}
    queue = deque([first])
    while queue:
        state = queue.popleft()
        if stale_for_the_next(state):
            return len(seen), ("an old value can be read", list(trace(seen, state)))
        for after, stale in steps(state, options):
            if stale:
                return len(seen), ("an old value was read", list(trace(seen, state)) + [after])
            if after not in seen:
                seen[after] = state
                queue.append(after)
    return len(seen), None


def bounds(options):
    """(writers, readers, flushes, failures): several small worlds walk faster than a large one, and find the same."""
    if options.full:
        return [(3, 2, 2, 0), (2, 3, 1, 0), (2, 2, 1, 2)]
    return [(2, 2, 1, 0), (3, 1, 2, 0), (2, 1, 0, 2), (1, 2, 0, 2), (2, 1, 1, 1), (2, 2, 0, 1)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for flag in ("full", "nodrop", "notrip", "noreload"):
        parser.add_argument("--" + flag, action="store_true")
    options = parser.parse_args()
    for writers, readers, flushes, failures in bounds(options):
        first = State(0, (NOTHING,), None, (Writer(W_START, 0, False, 0),) * writers,
                      (Reader(R_START, 0, 0, 0),) * readers, 0, flushes, failures)
        states, violation = explore(first, options)
        print(f"{writers} writers, {readers} readers, {flushes} flushes, {failures} failures: {states} states")
        if violation:
            print("VIOLATION:", violation[0])
            for state in violation[1]:
                print(" ", *state)
            return 1
    print("no violation")
    return 0


if __name__ == "__main__":
    sys.exit(main())
