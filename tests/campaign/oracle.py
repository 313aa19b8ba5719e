"""What one user's storage must look like, told from the answers he got. Knows nothing of the server's code.

A `Ledger` is one user's. His writer works alone: before each request he declares it (`attempt`), after it he tells how it ended:
`acked` with the stamp of the answer, `refused` (an error that promises nothing was done), or `unknown` (no answer came). At most one
request is unknown at a time: the next look at the server (`reconcile`) settles it, for it must have been done whole or not at all.

Promises checked:
  * what was answered 2xx is there, byte for byte, with the stamp of the answer;
  * an unknown write, and an unknown commit of a batch, is there whole or not at all;
  * what was refused left no trace;
  * stamps of the user never repeat and never go back;
  * a collection's stamp is that of its last change, and no item is newer than its collection.
"""
import copy


class Violation(AssertionError):
    """The server broke a promise."""


class Write:
    """One request that changes things. kind: 'put' (items: id -> payload, into coll), 'delete' (ids of coll), 'drop' (coll)."""

    def __init__(self, kind, coll, items=None, ids=()):
        self.kind, self.coll, self.items, self.ids = kind, coll, dict(items or {}), tuple(ids)

    def apply(self, colls, stamp):
        if self.kind == 'drop':
            colls.pop(self.coll, None)
            return
        coll = colls.setdefault(self.coll, {'stamp': stamp, 'items': {}})
        coll['stamp'] = stamp
        for item, payload in self.items.items():
            coll['items'][item] = (payload, stamp)
        for item in self.ids:
            coll['items'].pop(item, None)

    def __repr__(self):
        return f'{self.kind} {self.coll} {len(self.items) or len(self.ids)}'


class Ledger:
    def __init__(self, name):
        self.name = name
        self.colls = {}          # coll -> {'stamp': centiseconds, 'items': {id: (payload, centiseconds)}}
        self.last = 0            # highest stamp ever seen
        self.pending = None      # the write whose end is unknown
        self.counts = {'acked': 0, 'refused': 0, 'done after no answer': 0, 'not done after no answer': 0}

    def broke(self, text):
        raise Violation(f'{self.name}: {text}')

    def attempt(self, write):
        assert self.pending is None, 'settle the unknown write first'
        self.pending = write

    def acked(self, stamp):
        if stamp <= self.last:
            self.broke(f'{self.pending!r} was answered with the stamp {stamp}, not above {self.last}')
        self.last = stamp
        self.pending.apply(self.colls, stamp)
        self.pending = None
        self.counts['acked'] += 1

    def refused(self):
        self.pending = None
        self.counts['refused'] += 1

    def unknown(self):
        """Leaves it pending for reconcile."""

    def reconcile(self, seen):
        """seen: coll -> {'stamp': cs, 'items': {id: (payload, cs)}}, everything the server holds of this user."""
        without = self._difference(self.colls, seen)
        if without is None:
            if self.pending is not None:
                self.counts['not done after no answer'] += 1
                self.pending = None
            return
        if self.pending is None:
            self.broke(without)
        with_it = copy.deepcopy(self.colls)
        stamp = self._stamp_of_pending(seen)
        if stamp is not None and stamp <= self.last:
            self.broke(f'{self.pending!r} was done with the stamp {stamp}, not above {self.last}')
        self.pending.apply(with_it, stamp if stamp is not None else 0)
        also = self._difference(with_it, seen)
        if also is not None:
            self.broke(f'neither without nor with {self.pending!r}, whose answer never came: {without}; {also}')
        self.colls = with_it
        if stamp is not None:
            self.last = stamp
        self.pending = None
        self.counts['done after no answer'] += 1

    def _stamp_of_pending(self, seen):
        """The stamp that the pending write must have got, if it was done: its collection's. None for a dropped one."""
        coll = seen.get(self.pending.coll)
        return coll['stamp'] if coll else None

    def _difference(self, want, seen):
        """None if equal, else a sentence about the first difference."""
        for name in sorted(set(want) | set(seen)):
            w, s = want.get(name), seen.get(name)
            if w is None:
                return f'collection {name} is there and should not be'
            if s is None:
                return f'collection {name} is missing ({len(w["items"])} items)'
            if w['stamp'] != s['stamp']:
                return f'collection {name} has the stamp {s["stamp"]} instead of {w["stamp"]}'
            for item in sorted(set(w['items']) | set(s['items'])):
                a, b = w['items'].get(item), s['items'].get(item)
                if a is None:
                    return f'{name}/{item} is there and should not be'
                if b is None:
                    return f'{name}/{item} is missing'
                if a[0] != b[0]:
                    return f'{name}/{item} has another payload'
                if a[1] != b[1]:
                    return f'{name}/{item} has the stamp {b[1]} instead of {a[1]}'
                if b[1] > s['stamp']:
                    return f'{name}/{item} is newer than its collection'
        return None


class Transcript:
    """The history of several clients of one user, and whether it is linearizable.

    Every write carries the stamp that it got, and the server promises a total order of stamps; so one order is given, and it remains to
    show that it is a possible one: it must agree with real time, and every read must show the state after some prefix of it that
    agrees with real time too.
    """

    def __init__(self):
        self.writes = []  # (begin, end, stamp, {id: payload or None})
        self.reads = []   # (begin, end, stamp of the collection, {id: (payload, stamp)})

    def write(self, begin, end, stamp, changes):
        self.writes.append((begin, end, stamp, changes))

    def read(self, begin, end, stamp, items):
        self.reads.append((begin, end, stamp, items))

    def check(self):
        order = sorted(self.writes, key=lambda w: w[2])
        for a, b in zip(order, order[1:]):
            if a[2] == b[2]:
                raise Violation(f'two writes got the stamp {a[2]}')
        # Real time: a write that had ended before another began has the lower stamp.
        latest_begin = 0
        for begin, end, stamp, _ in order:
            if end < latest_begin:
                raise Violation(f'the write {stamp} had ended before one with a lower stamp began')
            latest_begin = max(latest_begin, begin)
        states, state = {0: {}}, {}
        for _, _, stamp, changes in order:
            for item, payload in changes.items():
                if payload is None:
                    state.pop(item, None)
                else:
                    state[item] = (payload, stamp)
            states[stamp] = dict(state)
        stamps = {w[2]: w for w in order}
        for begin, end, stamp, items in self.reads:
            if stamp not in states:
                raise Violation(f'a read shows the stamp {stamp}, which no write got')
            if items != states[stamp]:
                raise Violation(f'a read at {stamp} shows items that are not those of {stamp}')
            must = max((w[2] for w in order if w[1] < begin), default=0)
            if stamp < must:
                raise Violation(f'a read at {stamp} misses the write {must}, which had ended before')
            if stamp and stamps[stamp][0] > end:
                raise Violation(f'a read shows the write {stamp}, which began after it')
        # Reads of one another: what one read saw, a later one sees too.
        seen = 0
        for begin, end, stamp, _ in sorted(self.reads, key=lambda r: r[1]):
            earlier = max((r[2] for r in self.reads if r[1] < begin), default=0)
            if stamp < earlier:
                raise Violation(f'a read at {stamp} came after one at {earlier} had ended')
            seen = max(seen, stamp)
        return len(order), len(self.reads)
