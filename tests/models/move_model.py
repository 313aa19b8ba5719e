#!/usr/bin/env python3
"""An exhaustive model of moving a user between two nodes (docs/architecture.md, "Moving a user").

Walks through every interleaving of movers (each may give up at any step), settlers, and client writes made with any credential that
was ever valid, and checks after each step that
  1. a write is accepted only by the node that the directory names as the owner, in its present epoch;
  2. every acknowledged write is in the owner's data.

  move_model.py            no violation within the small bound (two movers, two settlers, two writes), under a minute
  move_model.py --full     three movers: some 4.1 million states, minutes
  move_model.py --nodrop   `drop` forgets the row instead of leaving GONE: a late credential gets in
  move_model.py --nofence  epochs are not compared: the same
  move_model.py --confirm  and a node that asks, as after a start, who still lives there; what it hears may be as old as can be (a copy
                           that is behind)
  move_model.py --confirm --trusting   it also acts on a lower epoch than its own: an owner gives his user up
The exit status is 1 when a violation was found.
"""
import argparse
import sys
from collections import deque, namedtuple

# directory: what it decided.  credentials: all (node, epoch) ever issued.  rows, data: of the two nodes.
# acked: writes that clients were told are in.  movers, settlers, confirmers: (program counter, what it remembers).
State = namedtuple("State", "directory credentials rows data acked movers settlers confirmers")
Directory = namedtuple("Directory", "owner epoch intent")
Intent = namedtuple("Intent", "kind peer move")
Row = namedtuple("Row", "state epoch move")

WRITES = 2
M_INTEND, M_IMPORT, M_WARM, M_FREEZE, M_REST, M_SEAL, M_FLIP, M_GONE = 0, 1, 2, 3, 4, 5, 6, 9
S_LOOK, S_FIRST, S_SECOND, S_CLEAR = range(4)
C_ASK, C_ACT = range(2)


def put(items, i, item):
    return items[:i] + (item,) + items[i + 1:]


def other(node):
    return 1 - node


def admits(row, epoch, options):
    """The row after a request with that credential's epoch was let in; None: refused."""
    if row is None:
        return Row("ACTIVE", epoch, None)
    if row.state == "ACTIVE" and (row.epoch == epoch or options.nofence):
        return row
    if row.state == "READY" and row.epoch == epoch:  # the credential proves the flip
        return row._replace(state="ACTIVE")
    return None


def client_steps(state, options):
    """Writes with any credential ever issued. Yields (label, state, violation)."""
    if len(state.acked) == WRITES:
        return
    write = len(state.acked)
    for node, epoch in state.credentials:
        row = admits(state.rows[node], epoch, options)
        if row is None:
            continue
        d = state.directory
        wrong = None if (d.owner, d.epoch) == (node, epoch) else "write accepted by a node that is not the owner"
        yield f"write{write}@node{node}/{epoch}", state._replace(
            rows=put(state.rows, node, row), data=put(state.data, node, state.data[node] | {write}),
            acked=state.acked | {write}), wrong


def mover_steps(state, i, options):
    pc, memory = state.movers[i]

    def moved(to, remembers=memory, **changes):
        return f"mover{i}.{to}", state._replace(movers=put(state.movers, i, (to, remembers)), **changes), None

    d = state.directory
    if pc == M_INTEND:
        if d.epoch < options.epochs and d.intent is None:
            yield moved(M_IMPORT, (d.owner, d.epoch),
                        directory=d._replace(intent=Intent("copy", other(d.owner), i)))
        return
    if pc == M_GONE:
        return
    source, epoch = memory
    target = other(source)
    row = state.rows[target]
    ours = row is not None and row.state == "IMPORTING" and row.move == i
    if pc == M_IMPORT:
        if row is None or (row.state == "GONE" and row.epoch < epoch + 1 and row.move != i):  # ours: it was dropped
            yield moved(M_WARM, rows=put(state.rows, target, Row("IMPORTING", epoch + 1, i)))
    elif pc in (M_WARM, M_REST):
        if ours:
            yield moved(pc + 1, data=put(state.data, target, state.data[source]))
    elif pc == M_FREEZE:
        row = state.rows[source]
        if row is None or (row[:2] == ("ACTIVE", epoch) and row.move != i):  # ours: it was thawed
            yield moved(M_REST, rows=put(state.rows, source, Row("FROZEN", epoch, i)))
    elif pc == M_SEAL:
        if ours and state.rows[source] == Row("FROZEN", epoch, i) and state.data[target] == state.data[source]:
            yield moved(M_FLIP, rows=put(state.rows, target, Row("READY", epoch + 1, i)))
    elif pc == M_FLIP:
        if d == Directory(source, epoch, Intent("copy", target, i)):
            yield moved(M_GONE, None, directory=Directory(target, epoch + 1, Intent("retire", source, i)),
                        credentials=state.credentials | {(target, epoch + 1)})
    yield moved(M_GONE)  # a mover may die anywhere


def drop(state, node, epoch, move, options):
    """What it changes. The row stays, with the move's id against an import that comes late."""
    row = state.rows[node]
    if row and row.state in ("IMPORTING", "READY") and row[1:] == (epoch + 1, move):
        gone = None if options.nodrop else Row("GONE", epoch, move)
        return {"rows": put(state.rows, node, gone), "data": put(state.data, node, frozenset())}
    if not options.nodrop and (row is None or (row.state == "GONE" and row.epoch <= epoch)):
        return {"rows": put(state.rows, node, Row("GONE", epoch, move))}
    return {}


def thaw(state, node, epoch, move):
    row = state.rows[node]
    thaws = row is None or row == Row("FROZEN", epoch, move) or row[:2] == ("ACTIVE", epoch)
    return put(state.rows, node, Row("ACTIVE", epoch, move)) if thaws else state.rows


def settler_steps(state, i, options):
    pc, seen = state.settlers[i]

    def went(to, remembers, **changes):
        return f"settler{i}.{to}", state._replace(settlers=put(state.settlers, i, (to, remembers)), **changes), None

    d = state.directory
    if pc == S_LOOK:
        if d.intent is not None:
            yield went(S_FIRST, d)
        return
    owner, epoch, (kind, peer, move) = seen
    if pc == S_FIRST and kind == "copy":  # undo: whoever races for the flip loses from here on
        abort = Directory(owner, epoch, Intent("abort", peer, move))
        yield went(S_FIRST, abort, directory=abort) if d == seen else went(S_LOOK, None)
    elif pc == S_FIRST and kind == "abort":
        yield went(S_SECOND, seen, **drop(state, peer, epoch, move, options))
        yield went(S_LOOK, None, rows=thaw(state, owner, epoch, move))  # the target is away: he is served, the intent stays
    elif pc == S_FIRST:  # retire
        ready = state.rows[owner] == Row("READY", epoch, move)
        yield went(S_SECOND, seen, rows=put(state.rows, owner, Row("ACTIVE", epoch, move)) if ready else state.rows)
    elif pc == S_SECOND and kind == "abort":
        yield went(S_CLEAR, seen, rows=thaw(state, owner, epoch, move))
    elif pc == S_SECOND:
        row = state.rows[peer]
        if row is None or row == Row("FROZEN", epoch - 1, move):
            yield went(S_CLEAR, seen, rows=put(state.rows, peer, Row("GONE", epoch, move)),
                       data=put(state.data, peer, frozenset()))
        else:
            yield went(S_CLEAR, seen)
    elif pc == S_CLEAR:
        yield went(S_LOOK, None, directory=Directory(owner, epoch, None) if d == seen else d)


def confirmer_steps(state, i, options):
    """`leave` of node/store/move.c, and what node/confirm.c does before it. Credentials are all owners there ever were: any of them may
    be what a directory that is behind still says."""
    pc, seen = state.confirmers[i]

    def went(to, remembers, violation=None, **changes):
        return (f"confirmer{i}.{to}:{remembers}", state._replace(confirmers=put(state.confirmers, i, (to, remembers)), **changes),
                violation)

    if pc == C_ASK:
        for node, row in enumerate(state.rows):
            if row is None or row.state not in ("ACTIVE", "FROZEN"):
                continue
            for owner, epoch in state.credentials:
                left = owner != node or epoch > row.epoch
                if left and (options.trusting or epoch >= row.epoch):
                    yield went(C_ACT, (node, epoch))
        return
    node, epoch = seen
    row = state.rows[node]
    if row and ((row.state == "ACTIVE" and (options.trusting or row.epoch <= epoch)) or (row.state == "FROZEN" and row.epoch < epoch)):
        wrong = "an owner gave his user up" if state.directory.owner == node and row.epoch == state.directory.epoch else None
        yield went(C_ASK, None, wrong, rows=put(state.rows, node, Row("GONE", epoch, "left")))
    else:
        yield went(C_ASK, None)


def steps(state, options):
    yield from client_steps(state, options)
    for i in range(len(state.confirmers)):
        yield from confirmer_steps(state, i, options)
    for i in range(len(state.movers)):
        yield from mover_steps(state, i, options)
    for i in range(len(state.settlers)):
        yield from settler_steps(state, i, options)


def trace(seen, state):
    labels = []
    while seen[state]:
        state, label = seen[state]
        labels.append(label)
    return list(reversed(labels))


def explore(first, options):
    """Breadth first. Gives (number of states, violation text or None, labels that lead to it)."""
    seen = {first: None}
    queue = deque([first])
    while queue:
        state = queue.popleft()
        if not state.acked <= state.data[state.directory.owner]:
            return len(seen), "an acknowledged write is not in the owner's data", trace(seen, state)
        for label, after, violation in steps(state, options):
            if violation:
                return len(seen), violation, trace(seen, state) + [label]
            if after not in seen:
                seen[after] = (state, label)
                queue.append(after)
    return len(seen), None, []


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for flag in ("full", "nodrop", "nofence", "confirm", "trusting"):
        parser.add_argument("--" + flag, action="store_true")
    options = parser.parse_args()
    movers, settlers, options.epochs = (3, 2, 4) if options.full else (2, 2, 3)
    first = State(Directory(0, 1, None), frozenset([(0, 1)]), (None, None), (frozenset(), frozenset()), frozenset(),
                  ((M_INTEND, None),) * movers, ((S_LOOK, None),) * settlers,
                  ((C_ASK, None),) * options.confirm)
    states, violation, labels = explore(first, options)
    print(f"{movers} movers, {settlers} settlers, {WRITES} writes: {states} states")
    if violation:
        print("VIOLATION:", violation)
        print(" ", *labels)
        return 1
    print("no violation")
    return 0


if __name__ == "__main__":
    sys.exit(main())
