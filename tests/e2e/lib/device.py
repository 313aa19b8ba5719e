"""What the simulated browsers have in common: an account, records on a device, and what clients learn from any answer."""
import math
import os
import re
from decimal import Decimal

import pytest

from . import synccrypto


class SyncFailed(Exception):
    """A sync ended early, as the client would end it. `reply`: the answer that ended it, or None."""

    def __init__(self, why, reply=None):
        super().__init__(f"{why}\n{reply!r}" if reply else why)
        self.why, self.reply = why, reply


class Unauthorized(SyncFailed):
    """401: the node does not know us (any more)."""


class EngineFailed(SyncFailed):
    """One collection failed; the others go on."""


class Account15:
    """A Firefox account as Sync sees it: its id, its key, and when the keys were made. All devices of a person share it."""

    def __init__(self, stack, sub=None):
        self.stack = stack
        self.sub = sub or os.urandom(16).hex()
        self.kb = os.urandom(32)
        self.keys_changed_at = int(stack.heddle.now() * 1000) - 1000

    @property
    def sync_key(self):
        return synccrypto.sync_key_of_account(self.kb)

    @property
    def key_bundle(self):
        return synccrypto.KeyBundle.from_sync_key(self.sync_key)

    @property
    def key_id(self):
        return synccrypto.key_id(self.sync_key, self.keys_changed_at)

    def access_token(self, **claims):
        return self.stack.access_token(self.sub, **claims)

    def reset_password(self):
        """New keys, as after a password reset: a new client state."""
        self.kb = os.urandom(32)
        self.keys_changed_at = max(self.keys_changed_at + 1, int(self.stack.heddle.now() * 1000))


class Records:
    """The records of one collection on one device, and which of them changed since the last upload. A record changed here as well as
    elsewhere keeps what this device says, and is uploaded again: so devices that sync in turns end with the same content."""

    def __init__(self):
        self.items, self.dirty = {}, set()
        self.last_sync = Decimal(0)

    def put(self, id=None, **fields):
        id = id or synccrypto.guid()
        self.items[id] = {"id": id, **fields}
        self.dirty.add(id)
        return id

    def remove(self, id):
        del self.items[id]
        self.dirty.add(id)

    def incoming(self, record):
        """One decrypted record from the server."""
        if record["id"] in self.dirty:
            return
        if record.get("deleted"):
            self.items.pop(record["id"], None)
        else:
            self.items[record["id"]] = record

    def outgoing(self):
        """Cleartext of what must be uploaded; a deleted record is an ordinary one that says so."""
        return [self.items.get(id, {"id": id, "deleted": True}) for id in sorted(self.dirty)]

    def uploaded(self, ids):
        self.dirty -= set(ids)

    def start_over(self):
        """Everything here must be merged with, and uploaded to, a server that may hold nothing."""
        self.dirty = set(self.items)
        self.last_sync = Decimal(0)


class Weather:
    """What a client keeps of the load headers of all answers."""

    def __init__(self):
        self.backoff_s, self.retry_after_s, self.alerts, self.quota_remaining = 0, 0, [], None

    def see(self, r):
        backoff = r.header("X-Weave-Backoff")
        if backoff and re.match(r"\d+", backoff):
            self.backoff_s = max(self.backoff_s, int(re.match(r"\d+", backoff)[0]))
        retry = r.header("Retry-After")
        if retry and r.status == 503:
            try:
                self.retry_after_s = max(self.retry_after_s, math.ceil(float(retry)))
            except ValueError:
                pass
        if r.header("X-Weave-Alert"):
            self.alerts.append(r.header("X-Weave-Alert"))
        if r.status == 200 and r.header("X-Weave-Quota-Remaining"):
            self.quota_remaining = r.header("X-Weave-Quota-Remaining")


def content(device):
    """What a device holds, by collection."""
    return {name: r.items for name, r in device.records.items()}


def fill(device, count=20):
    for name, records in device.records.items():
        for i in range(count):
            records.put(title=f"{name} {i} äöü \U0001f600", url=f"https://example.com/{i}", sortindex=i)


def assert_same(*devices):
    """They hold the same, and so does the server, as the first of them sees it."""
    first = content(devices[0])
    for d in devices[1:]:
        assert content(d) == first
    for name in first:
        assert devices[0].on_server(name) == first[name]


def sync_over_restart_and_crash(heddle, a, b):
    """Two devices of one user, of whom a has synced, while the server is restarted and then killed."""
    heddle.restart()
    b.sync()
    assert_same(a, b)
    had = len(a.records["bookmarks"].items)
    b.records["bookmarks"].put(title="before the crash")
    b.sync()
    heddle.kill()
    with pytest.raises(OSError):
        a.sync()
    heddle.start()
    a.sync()
    assert_same(a, b)
    assert len(a.records["bookmarks"].items) == had + 1
