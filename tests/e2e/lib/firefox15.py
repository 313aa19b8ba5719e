"""Desktop Firefox as a Sync 1.5 client: the requests, in the order, with the headers and the reactions of the real one.

    a = Desktop(account); a.records["bookmarks"].put(title="x"); a.sync()

`requests` lists "METHOD path" of the last sync. Whatever a server may not do (a 404 on a collection, a batch id that changes, a stamp that
differs between pages …) ends in an AssertionError; what a server may do, and what the client copes with, in SyncFailed or quietly.
"""
import gzip
import json
from decimal import Decimal
from urllib.parse import quote, urlsplit

from . import hawk, synccrypto
from .device import EngineFailed, Records, SyncFailed, Unauthorized, Weather
from .storage15 import check_promises
from .wire import Connection

ENGINES = ("bookmarks", "history", "passwords", "tabs", "forms", "prefs", "addons")
TTL = {"clients": 15552000, "tabs": 31622400, "history": 5184000, "forms": 94608000}
AGENT = "Firefox/140.0 (Intel Mac OS X 10.15) FxSync/1.142.0.20250610000000.desktop"
PARAMETERS = ("older", "newer", "full", "sort", "ids", "limit", "batch", "commit", "offset")
DEFAULT_LIMITS = {"max_request_bytes": 266240, "max_record_payload_bytes": 262144}
NEVER = {n: float("inf") for n in ("max_post_bytes", "max_post_records", "max_total_bytes", "max_total_records")}


class Desktop:
    page_size = 1000

    def __init__(self, account, name="desktop", engines=ENGINES):
        self.account, self.name = account, name
        self.client_id = synccrypto.guid()
        self.records = {e: Records() for e in engines}
        self.clients = {}
        self.weather = Weather()
        self.requests = []
        self.credentials = None  # reply of the token server
        self.credentials_until = 0
        self.access_token = None
        self.endpoint = None
        self.last_version_ping = 0
        self.forget_server()
        self._connection = None
        self.tokens_fetched = 0

    def forget_server(self):
        """The node changed or was wiped: everything is merged and uploaded anew."""
        self.meta, self.meta_modified = None, None
        self.keys, self.keys_modified = None, None
        self.clients_uploaded = 0
        for records in self.records.values():
            records.start_over()

    # -- token server --

    def fetch_token(self):
        """An expired OAuth token is thrown away and replaced exactly once."""
        for attempt in (1, 2):
            if self.access_token is None:
                self.access_token = self.account.access_token()
            r = self.account.stack.heddle.get("/1.0/sync/1.5", [
                ("User-Agent", AGENT), ("Accept", "application/json"), ("Authorization", "Bearer " + self.access_token),
                ("X-KeyId", self.account.key_id)])
            self.tokens_fetched += 1
            self.weather.see(r)
            assert r.type == "application/json", f"the cause of an error is lost\n{r!r}"
            out = r.json()
            if r.status == 200:
                break
            if r.status != 401 or attempt == 2:
                raise SyncFailed(f"token server: {out.get('status')}", r)
            self.access_token = None
        assert all(isinstance(out[n], str) and out[n] for n in ("id", "key", "api_endpoint")), out
        assert type(out["uid"]) is int and type(out["duration"]) is int, out
        assert not out["api_endpoint"].endswith("/"), out
        self.credentials = out
        self.credentials_until = self.account.stack.heddle.now() + 0.8 * out["duration"]
        if out["api_endpoint"] != self.endpoint:
            if self.endpoint is not None:
                self.forget_server()
            self.endpoint = out["api_endpoint"]
            at = urlsplit(self.endpoint)
            self._connection = Connection(at.hostname, at.port or (443 if at.scheme == "https" else 80))
            self._path = at.path

    # -- storage requests --

    def request(self, method, path, params=None, body=None, since=None, confirm=False):
        if self.credentials is None or self.account.stack.heddle.now() > self.credentials_until:
            self.fetch_token()
        query = "&".join(f"{n}={quote(str(params[n]), safe='')}" for n in PARAMETERS if params and n in params)
        extra = "&".join(f"{n}={v}" for n, v in (params or {}).items() if n not in PARAMETERS)
        target = self._path + path + ("?" + "&".join(filter(None, (query, extra))) if params else "")
        at = self._connection
        sign = hawk.header(self.credentials["id"], self.credentials["key"], method, target, at.host, at.port,
                           int(self.account.stack.heddle.now()))
        headers = [("User-Agent", AGENT), ("Accept", "application/json;q=0.9,*/*;q=0.2"), ("Accept-Language", "en-US,en;q=0.5"),
                   ("Accept-Encoding", "gzip, deflate, br"), ("Authorization", sign)]
        headers += [("Content-Type", "text/plain")] if body is not None else []
        headers += [("X-If-Unmodified-Since", f"{since:.2f}")] if since is not None else []
        headers += [("X-Confirm-Delete", "1")] if confirm else []
        headers += [("Connection", "keep-alive"), ("Pragma", "no-cache"), ("Cache-Control", "no-cache")]
        r = at.request(method, target, headers, body.encode() if body is not None else None)
        if r.header("Content-Encoding") == "gzip":
            r.body = gzip.decompress(r.body)
        self.requests.append(f"{method} {target[len(self._path):]}")
        check_promises(r)
        self.weather.see(r)
        if r.status == 401:
            self.credentials = None
            raise Unauthorized("node answered 401", r)
        if r.status in (500, 502, 503, 504):
            raise SyncFailed("server trouble", r)
        return r

    # -- the sync --

    def sync(self):
        """One sync. A 401 in the middle leads to one more with a new token at once; the second in a row is given up."""
        self.requests = []
        try:
            self._sync()
        except Unauthorized:
            self._sync()
        return self

    def _sync(self):
        info = self._login()
        config = self._configuration()
        if self.meta is None or info.get("meta") != self.meta_modified:
            info = self._remote_setup(info)
        elif self.keys is None or info.get("crypto", Decimal(0)) > self.keys_modified:
            self._fetch_keys()
        failed = []
        self._sync_clients(config)
        for name in self.meta["engines"]:
            if name not in self.records:
                continue
            try:
                self._sync_engine(name, info, config)
            except EngineFailed as e:
                failed.append((name, e))
        self._upload_meta_if_changed()
        if failed:
            raise SyncFailed("engines failed: " + "; ".join(f"{n}: {e.why}" for n, e in failed), failed[0][1].reply)

    def _login(self):
        """info/collections; with 401 or 404 one new token, then again."""
        now = self.account.stack.heddle.now()
        params = {"v": "1.142.0"} if now - self.last_version_ping > 86400 else None
        try:
            r = self.request("GET", "/info/collections", params)
        except Unauthorized:
            r = None
        if r is None or r.status == 404:
            self.credentials = None
            r = self.request("GET", "/info/collections", params)
        if r.status != 200:
            raise SyncFailed("info/collections", r)
        self.last_version_ping = now if params else self.last_version_ping
        return r.json()

    def _configuration(self):
        r = self.request("GET", "/info/configuration")
        if r.status == 404:
            return {**NEVER, **DEFAULT_LIMITS}
        if r.status != 200:
            raise SyncFailed("info/configuration", r)
        return {**NEVER, **DEFAULT_LIMITS, **r.json()}

    def _remote_setup(self, info):
        r = self.request("GET", "/storage/meta/global")
        if r.status == 404:
            self._fresh_start()
            r = self.request("GET", "/info/collections")
            assert r.status == 200 and r.json()["crypto"] >= self.keys_modified, f"our own keys do not show\n{r!r}"
            r_keys = self.request("GET", "/storage/crypto/keys")
            assert r_keys.status == 200, f"{r_keys!r}"
            clear = self.account.key_bundle.decrypt(r_keys.json()["payload"])
            assert synccrypto.CollectionKeys.from_cleartext(clear).default == self.keys.default
            return r.json()
        if r.status != 200:
            raise SyncFailed("meta/global", r)
        remote = json.loads(r.json()["payload"])
        if remote["storageVersion"] > 5:
            raise SyncFailed("upgrade needed")
        if self.meta is None or remote["syncID"] != self.meta["syncID"]:
            for records in self.records.values():
                records.start_over()
            self.keys = None
        else:
            for name, engine in remote["engines"].items():
                if name in self.records and engine["syncID"] != self.meta["engines"].get(name, {}).get("syncID"):
                    self.records[name].start_over()
        self.meta, self.meta_modified, self._meta_uploaded = remote, r.last_modified, json.dumps(remote, sort_keys=True)
        if self.keys is None or info.get("crypto", Decimal(0)) > self.keys_modified:
            self._fetch_keys()
        return info

    def _fetch_keys(self):
        r = self.request("GET", "/storage/crypto/keys")
        if r.status == 404:
            self._fresh_start()
            return
        if r.status != 200:
            raise SyncFailed("crypto/keys", r)
        assert r.json()["modified"] == r.last_modified
        try:
            clear = self.account.key_bundle.decrypt(r.json()["payload"])
        except synccrypto.BadHmac:
            raise SyncFailed("the keys on the server are not ours", r) from None
        fresh = synccrypto.CollectionKeys.from_cleartext(clear)
        if self.keys is not None and fresh.to_cleartext() != self.keys.to_cleartext():
            for records in self.records.values():
                records.start_over()
        self.keys, self.keys_modified = fresh, r.last_modified

    def _fresh_start(self):
        r = self.request("DELETE", "/storage", confirm=True)
        if r.status not in (200, 404):
            raise SyncFailed("wipe", r)
        self.forget_server()
        meta = {"syncID": synccrypto.guid(), "storageVersion": 5, "declined": [],
                "engines": {e: {"version": 1, "syncID": synccrypto.guid()} for e in self.records}}
        r = self.request("PUT", "/storage/meta/global", since=Decimal(0),
                         body=json.dumps({"id": "global", "payload": json.dumps(meta)}))
        if r.status != 200:
            raise SyncFailed("somebody else set up this account" if r.status == 412 else "meta/global", r)
        self.meta, self.meta_modified, self._meta_uploaded = meta, r.json(), json.dumps(meta, sort_keys=True)
        keys = synccrypto.CollectionKeys()
        body = {"id": "keys", "payload": self.account.key_bundle.encrypt(keys.to_cleartext())}
        r = self.request("PUT", "/storage/crypto/keys", since=Decimal(0), body=json.dumps(body))
        if r.status != 200:
            self.meta = None
            raise SyncFailed("keys", r)
        self.keys, self.keys_modified = keys, r.json()

    def _upload_meta_if_changed(self):
        now = json.dumps(self.meta, sort_keys=True)
        if now != self._meta_uploaded:
            r = self.request("PUT", "/storage/meta/global", since=self.meta_modified,
                             body=json.dumps({"id": "global", "payload": json.dumps(self.meta)}))
            if r.status != 200:
                raise SyncFailed("meta/global", r)
            self.meta_modified, self._meta_uploaded = r.json(), now

    def enable(self, engine):
        """Turns an engine on, on this device and so for all."""
        self.records.setdefault(engine, Records())
        self.meta["engines"].setdefault(engine, {"version": 1, "syncID": synccrypto.guid()})

    # -- engines --

    def _sync_clients(self, config):
        """Always the whole collection; the own record every seven days."""
        r = self.request("GET", "/storage/clients", {"newer": 0, "full": 1, "limit": self.page_size})
        if r.status != 200:
            raise SyncFailed("clients", r)
        bundle = self.keys.of("clients")
        self.clients = {b["id"]: bundle.decrypt(b["payload"]) for b in r.json()}
        now = self.account.stack.heddle.now()
        if self.client_id not in self.clients or now - self.clients_uploaded > 7 * 86400:
            own = {"id": self.client_id, "name": self.name, "type": "desktop", "version": "140.0", "protocols": ["1.5"]}
            Upload(self, "clients", r.last_modified, config, bundle).send([own])
            self.clients[self.client_id], self.clients_uploaded = own, now

    def _sync_engine(self, name, info, config):
        records = self.records[name]
        if info.get(name, Decimal(0)) > records.last_sync:
            self._download(name, records)
        if records.dirty:
            upload = Upload(self, name, records.last_sync, config, self.keys.of(name))
            try:
                upload.send(records.outgoing())
            finally:
                records.uploaded(upload.done)
                records.last_sync = upload.since

    def _download(self, name, records):
        bundle, since, params = self.keys.of(name), None, {"newer": records.last_sync, "full": 1, "limit": self.page_size}
        incoming = []
        while True:
            r = self.request("GET", f"/storage/{name}", params, since=since)
            if r.status == 412:
                raise EngineFailed("download interrupted", r)
            if r.status != 200:
                raise EngineFailed("download", r)
            assert since in (None, r.last_modified), f"X-Last-Modified changed between pages\n{r!r}"
            since = r.last_modified
            for bso in r.json():
                assert bso["modified"] > records.last_sync
                incoming.append(bundle.decrypt(bso["payload"]))
            if not r.header("X-Weave-Next-Offset"):
                break
            params["offset"] = r.header("X-Weave-Next-Offset")
        for record in incoming:
            records.incoming(record)
        records.last_sync = since

    def on_server(self, name):
        """What the server holds of a collection, decrypted, tombstones left out."""
        r = self.request("GET", f"/storage/{name}", {"full": 1})
        clear = [self.keys.of(name).decrypt(b["payload"]) for b in r.json()]
        return {c["id"]: c for c in clear if not c.get("deleted")}

    def delete_on_server(self, name, ids):
        """DELETE of single records, a hundred at a time."""
        for i in range(0, len(ids), 100):
            r = self.request("DELETE", f"/storage/{name}", {"ids": ",".join(ids[i:i + 100])}, confirm=True)
            assert r.status == 200, f"{r!r}"

    def wipe_collection(self, name):
        r = self.request("DELETE", f"/storage/{name}", confirm=True)
        assert r.status == 200, f"{r!r}"
        self.records[name].start_over()


class Upload:
    """The post queue: as many records a request, and as many requests a batch, as the limits allow. `done`: ids that the server has
    committed; `since`: the time of the collection after them."""

    def __init__(self, device, coll, since, config, bundle):
        self.device, self.coll, self.since, self.config, self.bundle = device, coll, since, config, bundle
        self.done = []
        self.batching = None  # not known yet
        self._new_batch()

    def _new_batch(self):
        self.batch, self.total_bytes, self.total_records, self.pending, self.ever_posted = None, 0, 0, [], False
        self._new_post()

    def _new_post(self):
        self.queued, self.bytes, self.body_bytes = [], 0, 2

    def send(self, cleartexts):
        for clear in cleartexts:
            bso = {"id": clear["id"], "payload": self.bundle.encrypt(clear)}
            if self.coll in TTL:
                bso["ttl"] = TTL[self.coll]
            if "sortindex" in clear:
                bso["sortindex"] = clear["sortindex"]
            self._enqueue(bso)
        self._post(final=True)

    def _enqueue(self, bso):
        c, size = self.config, len(bso["payload"].encode())
        text = json.dumps(bso)
        most = c["max_record_payload_bytes"]
        if most >= c["max_post_bytes"]:
            most = c["max_post_bytes"] - 4096
        assert size < most, "a record that the client would not send"
        post_full = (len(self.queued) + 1 > c["max_post_records"] or self.bytes + size >= c["max_post_bytes"]
                     or self.body_bytes + len(text) + 1 >= c["max_request_bytes"])
        batch_full = self.total_records + 1 > c["max_total_records"] or self.total_bytes + size >= c["max_total_bytes"]
        if post_full or batch_full:
            self._post(final=batch_full or self.batching is False)
        self.queued.append((bso["id"], text))
        self.bytes, self.body_bytes = self.bytes + size, self.body_bytes + len(text) + 1
        self.total_bytes, self.total_records = self.total_bytes + size, self.total_records + 1

    def _post(self, final):
        if not self.queued:
            return
        params = {}
        if self.batching is not False:
            params["batch"] = self.batch or "true"
            if final:
                params["commit"] = "true"
        ids = [id for id, _ in self.queued]
        r = self.device.request("POST", f"/storage/{self.coll}", params or None, since=self.since,
                                body="[" + ",".join(text for _, text in self.queued) + "]")
        self._new_post()
        if r.status == 412:
            raise EngineFailed("batch interrupted", r)
        if r.status not in (200, 202):
            raise EngineFailed("upload", r)
        out = r.json()
        assert sorted(out["success"] + list(out["failed"])) == sorted(ids), f"not every record was answered\n{r!r}"
        self.pending += out["success"]
        if r.status == 202:
            assert not final, f"202 to a commit\n{r!r}"
            assert self.batch in (None, out["batch"]), f"the batch id changed\n{r!r}"
            assert r.last_modified == self.since or self.since == 0, f"X-Last-Modified of a 202 moved\n{r!r}"
            self.batch, self.batching = out["batch"], True
            return
        if not final:
            assert self.batch is None, f"success other than 202 in the middle of a batch\n{r!r}"
            self.batching = False  # this server has no batches
        self.since = r.last_modified
        self.done += self.pending
        self._new_batch()
