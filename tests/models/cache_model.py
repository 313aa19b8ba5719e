#!/usr/bin/env python3
"""An exhaustive model of the cache's rule (node/cache/cache.h).

Writers of one user, who follow each other under the head lock, some of whom roll back; readers; a process of a node that starts anew
(`starts` times), and writers that may die anywhere (`deaths`). Versions are counted where nothing fails. The cache itself (a process's
memory, or Redis) may do anything that a cache may do: whatever was ever put there, late or early, can stand there at any moment, or
nothing. After each step the walk asks what a new reader could take: a value ever put whose version is the present one, while no write is
under way. None of those is older than what somebody was told before, by the answer to a write or to another read; and no reader returns a
value older than what had been told when he began.

  writer  take the head lock; note the version and mark that a write is under way; commit (or roll back); count on and take the mark back;
          nobody else counted on in between: put the value under the new version; answer
  reader  a write is under way: read the database. Else note the version; a value of that version is used; else read the database, put
          what was read under the version noted; answer

  cache_model.py              no violation; all interleavings within the small bound, some seconds
  cache_model.py --full       the same within a larger bound, minutes
  cache_model.py --unmarked   a writer does not mark that he is about to commit: between his commit and his counting on one reader finds the
                              new value in the database, and the next one the old value in the cache
  cache_model.py --early      a writer counts on before his commit instead of after it: a reader in between fills in the old value
  cache_model.py --late       a reader notes the version after he read: a write in between makes his old value a new one
  cache_model.py --always     a writer puts his value although others counted on meanwhile: it replaces a later one's
The exit status is 1 when a violation was found.
"""
import argparse
import sys
from collections import deque, namedtuple

State = namedtuple("State", "db start count busy left puts lock writers readers told starts deaths")
Writer = namedtuple("Writer", "pc seen next value")
Reader = namedtuple("Reader", "pc seen value floor")

# Program counters.
W_BEGIN, W_NOTE, W_COMMIT, W_COUNT, W_PUT, W_ANSWER, W_DONE = range(7)
R_BEGIN, R_LOOK, R_READ, R_NOTE, R_PUT, R_DONE = range(6)


def replaced(items, i, item):
    return items[:i] + (item,) + items[i + 1:]


def present(state):
    return (state.start, state.count)


def with_put(state, version, value):
    """Kept for ever: a cache may bring back whatever it was given (an old snapshot, a command that arrives late). What can never be
    taken again is left out, so that the walk ends."""
    puts = {p for p in state.puts if p[0] >= present(state)} | ({(version, value)} if version >= present(state) else set())
    return state._replace(puts=frozenset(puts))


def writer_steps(state, i, options):
    w = state.writers[i]

    def moved(base, **changes):
        return base._replace(writers=replaced(base.writers, i, w._replace(**changes)))

    def counted(base, pc):
        following = (base.start, base.count + 1)
        return moved(base._replace(count=base.count + 1), pc=pc, next=following if present(base) == w.seen or options.always else None)

    def unmarked(base):
        return base if options.unmarked else base._replace(busy=base.busy - 1)

    def done(base):
        return moved(base, pc=W_DONE, seen=None, next=None, value=0)

    if w.pc == W_BEGIN and state.lock is None:
        yield moved(state._replace(lock=i), pc=W_NOTE)
    elif w.pc == W_NOTE:
        yield moved(state if options.unmarked else state._replace(busy=state.busy + 1), pc=W_COMMIT, seen=present(state))
    elif w.pc == W_COMMIT and options.early and w.next is None:
        yield unmarked(counted(state, W_COMMIT))
    elif w.pc == W_COMMIT:
        after = W_PUT if options.early else W_COUNT
        yield moved(state._replace(db=state.db + 1, lock=None), pc=after, value=state.db + 1)
        yield done(unmarked(state._replace(lock=None, count=state.count + 1)))  # rolled back: counts on, puts nothing, told nobody of anything
    elif w.pc == W_COUNT:
        yield unmarked(counted(state, W_PUT))
    elif w.pc == W_PUT:
        yield moved(with_put(state, w.next, w.value) if w.next else state, pc=W_ANSWER)
    elif w.pc == W_ANSWER:
        yield done(state._replace(told=max(state.told, w.value)))
    if state.deaths and w.pc not in (W_BEGIN, W_DONE):  # the database gives the lock free; his mark stays for the living to end
        marked = 0 if options.unmarked else int(w.pc in (W_COMMIT, W_COUNT))
        yield done(state._replace(deaths=state.deaths - 1, left=state.left + marked, lock=None if state.lock == i else state.lock))


def takeable(state, version):
    return {value for v, value in state.puts if v == version}


def reader_steps(state, i, options):
    """Yields (state, stale): stale is a value that must not have been used."""
    r = state.readers[i]

    def moved(base, **changes):
        return base._replace(readers=replaced(base.readers, i, r._replace(**changes)))

    def done(base, value):
        return moved(base._replace(told=max(base.told, value)), pc=R_DONE, seen=None, value=0, floor=0)

    if r.pc == R_BEGIN and state.busy:
        yield moved(state, pc=R_READ, seen=None, floor=state.told), False
    elif r.pc == R_BEGIN:
        yield moved(state, pc=R_LOOK, seen=present(state), floor=state.told), False
    elif r.pc == R_LOOK:
        for value in takeable(state, r.seen):
            yield done(state, value), value < r.floor
        yield moved(state, pc=R_READ), False  # or the cache has nothing
    elif r.pc == R_READ:
        yield moved(state, pc=R_NOTE if options.late else R_PUT, value=state.db), False
    elif r.pc == R_NOTE:
        yield moved(state, pc=R_PUT, seen=present(state)), False
    elif r.pc == R_PUT:
        yield done(with_put(state, r.seen, r.value) if r.seen else state, r.value), False


def steps(state, options):
    if state.starts:
        yield state._replace(starts=state.starts - 1, start=state.start + 1), False
    if state.left:
        yield state._replace(left=state.left - 1, busy=state.busy - 1, count=state.count + 1), False
    for i in range(len(state.writers)):
        for after in writer_steps(state, i, options):
            yield after, False
    for i in range(len(state.readers)):
        yield from reader_steps(state, i, options)


def stale_for_the_next(state):
    return not state.busy and any(value < state.told for value in takeable(state, present(state)))


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
    """(writers, readers, starts, deaths): several small worlds walk faster than a large one, and find the same."""
    if options.full:
        return [(3, 2, 1, 0), (2, 3, 0, 1), (3, 1, 1, 1), (2, 2, 1, 1)]
    return [(2, 2, 0, 0), (3, 1, 0, 0), (2, 1, 1, 0), (2, 1, 0, 1), (1, 2, 1, 1)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for flag in ("full", "unmarked", "early", "late", "always"):
        parser.add_argument("--" + flag, action="store_true")
    options = parser.parse_args()
    for writers, readers, starts, deaths in bounds(options):
        first = State(0, 0, 0, 0, 0, frozenset(), None, (Writer(W_BEGIN, None, None, 0),) * writers,
                      (Reader(R_BEGIN, None, 0, 0),) * readers, 0, starts, deaths)
        states, violation = explore(first, options)
        print(f"{writers} writers, {readers} readers, {starts} starts, {deaths} deaths: {states} states")
        if violation:
            print("VIOLATION:", violation[0])
            for state in violation[1]:
                print(" ", *state)
            return 1
    print("no violation")
    return 0


if __name__ == "__main__":
    sys.exit(main())
