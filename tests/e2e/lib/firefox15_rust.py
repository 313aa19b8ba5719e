"""The Rust Sync client (Android, iOS, and some engines of desktop): a state machine that trusts the server to the letter.

Where the real client crashes or fails the sync over a header, this one raises AssertionError. `states` lists what the last sync went
through.
"""
import json
import math
from decimal import Decimal
from urllib.parse import urlsplit

from . import hawk, synccrypto
from .device import EngineFailed, Records, SyncFailed, Unauthorized, Weather
from .storage15 import check_promises
from .wire import Connection

AGENT = "Firefox-Android-FxAccounts/140.0 (Fenix)"
DEFAULTS = {"max_request_bytes": 260 * 1024, "max_record_payload_bytes": 256 * 1024}
UNLIMITED = {n: float("inf") for n in ("max_post_bytes", "max_post_records", "max_total_bytes", "max_total_records")}


class RustClient:
    """`persisted` is what the application keeps between syncs; a node that changed makes the client useless (StorageReset)."""

    def __init__(self, account, name="phone", engines=("bookmarks", "history", "tabs")):
        self.account, self.name = account, name
        self.records = {e: Records() for e in engines}
        self.weather = Weather()
        self.persisted = None
        self.credentials, self.endpoint, self._connection = None, None, None
        self.states, self.requests = [], []

    # -- requests --

    def fetch_token(self):
        r = self.account.stack.heddle.get("/1.0/sync/1.5", [
            ("Authorization", "Bearer " + self.account.access_token()), ("X-KeyID", self.account.key_id), ("User-Agent", AGENT)])
        if r.status != 200:
            if r.header("Retry-After"):
                raise SyncFailed("backoff", r)
            raise (Unauthorized if r.status == 401 else SyncFailed)("token server", r)
        assert (r.header("X-Timestamp") or "").isdigit(), f"X-Timestamp is mandatory\n{r!r}"
        out = r.json()
        for name, kind in (("id", str), ("key", str), ("api_endpoint", str), ("uid", int), ("duration", int), ("hashed_fxa_uid", str)):
            assert type(out.get(name)) is kind, f"{name} is mandatory\n{r!r}"
        if self.endpoint not in (None, out["api_endpoint"]):
            raise SyncFailed("storage reset")
        self.credentials, self.endpoint = out, out["api_endpoint"]
        self.valid_until = self.account.stack.heddle.now() + out["duration"]
        at = urlsplit(self.endpoint)
        self._connection = self._connection or Connection(at.hostname, at.port or 80)
        self._path = at.path

    def request(self, method, path, body=None, since=None):
        if self.credentials is None or self.account.stack.heddle.now() >= self.valid_until:
            self.fetch_token()
        target, at = self._path + path, self._connection
        sign = hawk.header(self.credentials["id"], self.credentials["key"], method, target, at.host, at.port,
                           int(self.account.stack.heddle.now()))
        headers = [("Accept", "application/json"), ("Authorization", sign), ("User-Agent", AGENT)]
        headers += [("X-If-Unmodified-Since", str(since))] if since is not None else []
        headers += [("Content-Type", "application/json")] if body is not None else []
        r = at.request(method, target, headers, body.encode() if body is not None else None)
        self.requests.append(f"{method} {path}")
        check_promises(r)
        self.weather.see(r)
        if 200 <= r.status < 300:
            r.last_modified  # must be there on every 2xx, DELETE too
            r.json()
        return r

    def _good(self, r, what, also=()):
        if r.status == 401:
            raise Unauthorized(what, r)
        if r.status not in (200, *also):
            raise SyncFailed(what, r)
        return r

    # -- the state machine --

    def sync(self):
        self.states, self.requests = [], []
        state, fresh_starts = ("WithPreviousState" if self.persisted else "Initial"), 0
        while state != "Ready":
            self.states.append(state)
            if state == "FreshStart":
                fresh_starts += 1
                if fresh_starts > 1:
                    raise SyncFailed("setup race")
            state = getattr(self, "_" + state)()
        self.states.append(state)
        self.persisted = {"meta": self.meta_modified, "keys": self.keys_modified, "sync_id": self.meta["syncID"]}
        errors = []
        for name in self.records:
            try:
                self._engine(name)
            except EngineFailed as e:
                errors.append((name, e))
        if errors:
            raise SyncFailed("; ".join(f"{n}: {e.why}" for n, e in errors), errors[0][1].reply)
        return self

    def _WithPreviousState(self):
        """Ready only if the times of meta and crypto are exactly those kept."""
        r = self.request("GET", "/info/collections")
        if r.status != 200:
            return "Initial"
        self.info = r.json()
        same = self.info.get("meta") == self.persisted["meta"] and self.info.get("crypto") == self.persisted["keys"]
        return "Ready" if same else "InitialWithInfo"

    def _Initial(self):
        r = self._good(self.request("GET", "/info/configuration"), "info/configuration", (404,))
        self.config = {**UNLIMITED, **DEFAULTS, **(r.json() if r.status == 200 else {})}
        return "InitialWithConfig"

    def _InitialWithConfig(self):
        r = self._good(self.request("GET", "/info/collections"), "info/collections", (404,))
        if r.status == 404:
            return "FreshStart"
        self.info = r.json()
        return "InitialWithInfo"

    def _InitialWithInfo(self):
        r = self._good(self.request("GET", "/storage/meta/global"), "meta/global", (404,))
        if r.status == 404:
            return "FreshStart"
        self.meta, self.meta_modified = json.loads(r.json()["payload"]), r.last_modified
        if self.meta["storageVersion"] > 5:
            raise SyncFailed("client upgrade required")
        if self.meta["storageVersion"] < 5:
            return "FreshStart"
        if self.persisted and self.persisted["sync_id"] != self.meta["syncID"]:
            self._reset_engines()
        missing = [e for e in self.records if e not in self.meta["engines"] and e not in self.meta.get("declined", [])]
        if missing:
            for e in missing:
                self.meta["engines"][e] = {"version": 1, "syncID": synccrypto.guid()}
            body = json.dumps({"id": "global", "payload": json.dumps(self.meta)})
            r = self._good(self.request("PUT", "/storage/meta/global", body, since=self.meta_modified), "meta/global")
            self.meta_modified = r.last_modified
        return "InitialWithMetaGlobal"

    def _InitialWithMetaGlobal(self):
        r = self._good(self.request("GET", "/storage/crypto/keys"), "crypto/keys", (404,))
        if r.status == 404:
            return "FreshStart"
        assert r.json()["modified"] == r.last_modified, f"this would crash the client\n{r!r}"
        fresh = synccrypto.CollectionKeys.from_cleartext(self.account.key_bundle.decrypt(r.json()["payload"]))
        if getattr(self, "keys", None) and fresh.to_cleartext() != self.keys.to_cleartext():
            self._reset_engines()
        self.keys, self.keys_modified = fresh, r.last_modified
        return "Ready"

    def _FreshStart(self):
        self._good(self.request("DELETE", ""), "wipe", (404,))
        self._reset_engines()
        meta = {"syncID": synccrypto.guid(), "storageVersion": 5, "declined": [],
                "engines": {e: {"version": 1, "syncID": synccrypto.guid()} for e in self.records}}
        body = json.dumps({"id": "global", "payload": json.dumps(meta)})
        self._good(self.request("PUT", "/storage/meta/global", body, since=Decimal("0.00")), "meta/global")
        keys = synccrypto.CollectionKeys()
        body = json.dumps({"id": "keys", "payload": self.account.key_bundle.encrypt(keys.to_cleartext())})
        self._good(self.request("PUT", "/storage/crypto/keys", body, since=Decimal("0.00")), "crypto/keys")
        return "InitialWithConfig"

    def _reset_engines(self):
        for records in self.records.values():
            records.start_over()

    # -- engines --

    def _engine(self, name):
        records = self.records[name]
        if name in self.info and self.info[name] > records.last_sync:
            r = self._good(self.request("GET", f"/storage/{name}?full=1&newer={records.last_sync}"), name)
            assert not r.header("X-Weave-Next-Offset"), f"without a limit everything comes at once; this client ignores the offset\n{r!r}"
            bundle = self.keys.of(name)
            for bso in r.json():
                assert type(bso["id"]) is str and type(bso["payload"]) is str
                records.incoming(bundle.decrypt(bso["payload"]))
            records.last_sync = r.last_modified
        if records.dirty:
            self._upload(name, records)

    def _upload(self, name, records):
        """Atomic, as for bookmarks: any failed record is an error."""
        c, bundle, since = self.config, self.keys.of(name), records.last_sync
        posts, bytes_, body, total_bytes, total = [[]], 0, 2, 0, 0
        for clear in records.outgoing():
            bso = {"id": clear["id"], "payload": bundle.encrypt(clear)}
            text, size = json.dumps(bso), len(bso["payload"])
            assert size < c["max_record_payload_bytes"]
            assert total + 1 <= c["max_total_records"] and total_bytes + size <= c["max_total_bytes"], "one batch must do here"
            if len(posts[-1]) + 1 > c["max_post_records"] or bytes_ + size > c["max_post_bytes"] \
                    or body + len(text) + 1 >= c["max_request_bytes"]:
                posts.append([])
                bytes_, body = 0, 2
            posts[-1].append((bso["id"], text))
            bytes_, body, total_bytes, total = bytes_ + size, body + len(text) + 1, total_bytes + size, total + 1
        batch, sent = None, []
        for i, post in enumerate(posts):
            last = i == len(posts) - 1
            query = f"?batch={batch or 'true'}" + ("&commit=true" if last else "")
            r = self.request("POST", f"/storage/{name}{query}", "[" + ",".join(t for _, t in post) + "]", since=since)
            if r.status == 412:
                raise EngineFailed("precondition failed", r)
            if r.status != (200 if last else 202):
                raise EngineFailed("upload", r)
            out = r.json()
            assert isinstance(out["failed"], dict) and all(isinstance(v, str) for v in out["failed"].values())
            assert out["failed"] == {}, f"{r!r}"
            sent += out["success"]
            if not last:
                assert batch in (None, out["batch"]), "the batch id changed"
                batch = out["batch"]
            since = r.last_modified
        assert out["modified"] == since
        records.uploaded(sent)
        records.last_sync = since


def not_before(client):
    """Seconds until the next sync: Retry-After is hard, X-Weave-Backoff soft."""
    return math.ceil(max(client.weather.retry_after_s, client.weather.backoff_s))
