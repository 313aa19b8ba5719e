"""Pale Moon, and Firefox before 29: a Sync 1.1 client with its setup, its storage format 5, and its parsers.

    a = PaleMoon(stack); a.create_account(); a.records["bookmarks"].put(title="x"); a.sync()
"""
import base64
import json
import os
from decimal import Decimal
from urllib.parse import quote, urlsplit

from . import synccrypto
from .device import EngineFailed, Records, SyncFailed, Unauthorized, Weather
from .storage11 import check_promises
from .wire import STAMP, Connection

ENGINES = ("bookmarks", "forms", "history", "passwords", "prefs", "tabs", "addons")
TTL = {"clients": 1814400, "tabs": 604800, "forms": 5184000, "history": 5184000}
AGENT = "PaleMoon/29.4.4 FxSync/1.18.0.20220101000000.desktop"
DELETE_BATCH = POST_BATCH = 100


class PaleMoon:
    def __init__(self, stack, account=None, password="correct horse bättery", sync_key=None, engines=ENGINES):
        self.stack = stack
        self.account = account or f"{os.urandom(6).hex()}@example.com"
        self.username = synccrypto.username_of(self.account)
        self.password = password
        self.sync_key = sync_key or os.urandom(16)
        self.client_id = synccrypto.guid()
        self.records = {e: Records() for e in engines}
        self.weather = Weather()
        self.node, self.last_node, self.requests, self._connections = None, None, [], {}
        self.meta = self.meta_stamp = self.keys = None
        self.keys_stamp = Decimal(0)
        self.clients_stamp, self.clients_uploaded, self.clients, self.last_ping = Decimal(0), 0, {}, 0

    def another_device(self):
        """A device that got account, password and sync key by pairing."""
        return PaleMoon(self.stack, self.account, self.password, self.sync_key, tuple(self.records))

    # -- requests --

    def request(self, method, url, body=None, accept="text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                login=True, headers=()):
        at = urlsplit(url)
        connection = self._connections.setdefault((at.hostname, at.port), Connection(at.hostname, at.port or 80))
        pairs = [("User-Agent", AGENT), ("Accept", accept), ("Accept-Language", "en-us,en;q=0.5")]
        if login:
            pair = f"{self.username}:{self.password}".encode()
            pairs.append(("Authorization", "Basic " + base64.b64encode(pair).decode()))
        pairs += [("Content-Type", "text/plain")] if body is not None else []
        pairs += [*headers, ("Connection", "keep-alive"), ("Pragma", "no-cache"), ("Cache-Control", "no-cache")]
        target = at.path + ("?" + at.query if at.query else "")
        r = connection.request(method, target, pairs, body.encode() if isinstance(body, str) else body)
        self.requests.append(f"{method} {target}")
        check_promises(r)
        self.weather.see(r)
        return r

    def storage(self, method, rest, body=None, **kw):
        """`rest` below <node>1.1/<username>/, without a slash before it."""
        r = self.request(method, f"{self.node}1.1/{self.username}/{rest}", body, **kw)
        if r.status == 401:
            raise Unauthorized("node answered 401", r)
        if r.status in (500, 502, 503, 504):
            raise SyncFailed("server trouble", r)
        return r

    # -- account --

    @property
    def _directory(self):
        return self.stack.heddle.url_for("/user/")

    def create_account(self):
        """What the setup assistant does."""
        base = self._directory + "/"
        r = self.request("GET", base + "misc/1.0/captcha_html", login=False)
        assert r.status == 404, "these tests have no captcha"
        r = self.request("GET", base + "user/1.0/a", login=False)
        assert r.body in (b"0", b"1"), f"{r!r}"
        assert self._exists() == b"0"
        r = self.request("PUT", f"{base}user/1.0/{self.username}", login=False, body=json.dumps({
            "password": self.password, "email": self.account, "captcha-challenge": "", "captcha-response": ""}, ensure_ascii=False))
        assert (r.status, r.body) == (200, self.username.encode()), f"{r!r}"
        assert self._exists() == b"1"
        return self

    def _exists(self):
        return self.request("GET", f"{self._directory}/user/1.0/{self.username}", login=False).body

    def change_password(self, new):
        r = self.request("POST", f"{self._directory}/user/1.0/{self.username}/password", new.encode())
        assert r.status == 200, f"{r!r}"
        self.password = new
        self.stack.heddle.account_changed()

    def find_node(self):
        """True if the node is another than before."""
        r = self.request("GET", f"{self._directory}/user/1.0/{self.username}/node/weave")
        if r.status != 200 or r.body == b"null":
            raise SyncFailed("no node", r)
        assert r.text.endswith("/") and "\n" not in r.text and '"' not in r.text, f"{r!r}"
        changed, self.node, self.last_node = r.text != self.last_node, r.text, r.text
        return changed

    # -- the sync --

    def sync(self):
        """401 in a running sync: forget the node, sync again at once."""
        self.requests = []
        try:
            self._sync()
        except Unauthorized:
            self.node = None
            self._sync()
        return self

    def _sync(self):
        if self.node is None:
            if self.find_node():
                self.meta = self.keys = None
            self._verify_login()
        ping = "?v=1.18.0" if self.stack.heddle.now() - self.last_ping > 86400 else ""
        info = self._info(ping)
        if ping:
            self.last_ping = self.stack.heddle.now()
        fresh = False
        if self.meta is None or info.get("meta") != self.meta_stamp:
            fresh = self._remote_setup()
            info = self._info() if fresh else info
        if self.keys is None or info.get("crypto", Decimal(0)) > self.keys_stamp:
            self._fetch_keys()
        self._clients(info, fresh)
        failed = []
        for name, records in self.records.items():
            try:
                self._engine(name, records, info, fresh)
            except EngineFailed as e:
                failed.append((name, e))
        if fresh:
            self._put_meta()
        if failed:
            raise SyncFailed("; ".join(f"{n}: {e.why}" for n, e in failed), failed[0][1].reply)

    def _verify_login(self):
        self._info()

    def _info(self, query=""):
        r = self.storage("GET", "info/collections" + query)
        if r.status != 200:
            raise SyncFailed("info/collections", r)
        return r.json()

    def _remote_setup(self):
        """True after a fresh start."""
        r = self.storage("GET", "storage/meta/global")
        if r.status == 200:
            wbo = r.json()
            remote = json.loads(wbo["payload"])
            if self.meta is None or remote["syncID"] != self.meta["syncID"]:
                self._start_over()
                self.keys = None
            self.meta, self.meta_stamp, self.meta_wbo = remote, wbo["modified"], wbo
            return False
        if r.status != 404:
            raise SyncFailed("meta/global", r)
        r = self.storage("DELETE", "storage", headers=[("X-Confirm-Delete", "1")])
        if r.status not in (200, 404):
            raise SyncFailed("wipe", r)
        self._start_over()
        self.meta, self.meta_wbo = {"syncID": synccrypto.guid(), "storageVersion": 5, "engines": {}}, {"id": "global"}
        self._put_meta()
        self.keys, keys = None, synccrypto.CollectionKeys()
        bundle = synccrypto.KeyBundle.from_recovery_key(self.sync_key, self.username)
        r = self.storage("PUT", "storage/crypto/keys", json.dumps({"id": "keys", "payload": bundle.encrypt(keys.to_cleartext())}))
        assert r.status == 200 and STAMP.fullmatch(r.text), f"{r!r}"
        self.keys, self.keys_stamp = keys, r.json()
        assert self._info()["crypto"] >= self.keys_stamp, "our own keys do not show"
        r = self.storage("GET", "storage/crypto/keys")
        assert r.status == 200 and bundle.decrypt(r.json()["payload"]) == self.keys.to_cleartext()
        self.meta["engines"] = {e: {"version": 1, "syncID": synccrypto.guid()} for e in self.records}
        return True

    def _put_meta(self):
        """Echoes what the server gave, `modified` included."""
        self.meta_wbo["payload"] = json.dumps(self.meta)
        r = self.storage("PUT", "storage/meta/global", json.dumps(self.meta_wbo, default=float))
        assert r.status == 200, f"{r!r}"
        self.meta_stamp = self.meta_wbo["modified"] = r.json()

    def _fetch_keys(self):
        r = self.storage("GET", "storage/crypto/keys")
        if r.status != 200:
            raise SyncFailed("crypto/keys", r)
        bundle = synccrypto.KeyBundle.from_recovery_key(self.sync_key, self.username)
        self.keys = synccrypto.CollectionKeys.from_cleartext(bundle.decrypt(r.json()["payload"]))
        self.keys_stamp = r.json()["modified"]

    def _start_over(self):
        self.clients_stamp = Decimal(0)
        for records in self.records.values():
            records.start_over()

    # -- engines --

    def stream(self, rest):
        """A collection GET as the client does it: newlines, cut at each LF found at an index above 0."""
        r = self.storage("GET", rest, accept="application/newlines")
        if r.status != 200:
            raise EngineFailed("download", r)
        assert r.type == "application/newlines", f"{r!r}"
        rest_text, out = r.text, []
        while (at := rest_text.find("\n")) > 0:
            out.append(json.loads(rest_text[:at], parse_float=Decimal))
            rest_text = rest_text[at + 1:]
        assert rest_text == "", f"the parser stalls at {rest_text[:60]!r}"
        assert int(r.header("X-Weave-Records")) == len(out)
        return out

    def _clients(self, info, fresh):
        if fresh:
            r = self.storage("DELETE", "storage/clients")
            assert r.status in (200, 404), f"{r!r}"
        if info.get("clients", Decimal(0)) > self.clients_stamp:
            query = f"newer={self.clients_stamp}&full=1" if self.clients_stamp else "full=1"
            for wbo in self.stream(f"storage/clients?{query}"):
                self.clients[wbo["id"]] = self.keys.of("clients").decrypt(wbo["payload"])
                self.clients_stamp = max(self.clients_stamp, info["clients"], wbo["modified"])
        now = self.stack.heddle.now()
        if self.client_id not in self.clients or now - self.clients_uploaded > 7 * 86400:
            own = {"id": self.client_id, "name": "Pale Moon", "type": "desktop", "version": "29.4.4", "protocols": ["1.1"]}
            self.clients_stamp = self._post("clients", [own])[1]
            self.clients[self.client_id], self.clients_uploaded = own, now

    def _engine(self, name, records, info, fresh):
        if fresh:
            r = self.storage("DELETE", f"storage/{name}")
            assert r.status in (200, 404), f"{r!r}"
        if info.get(name, Decimal(0)) > records.last_sync and not fresh:
            query = f"newer={records.last_sync.normalize():f}&full=1" if records.last_sync else "full=1"
            stamp = info[name]
            for wbo in self.stream(f"storage/{name}?{query}"):
                assert wbo["modified"] > records.last_sync
                records.incoming(self.keys.of(name).decrypt(wbo["payload"]))
                stamp = max(stamp, wbo["modified"])
            records.last_sync = stamp
        if records.dirty:
            done, last = self._post(name, records.outgoing())
            records.uploaded(done)
            records.last_sync = last

    def _post(self, name, cleartexts):
        """100 records a request, whatever their size. Gives (ids that succeeded, X-Weave-Timestamp of the last)."""
        done, bundle, last = [], self.keys.of(name), None
        for i in range(0, len(cleartexts), POST_BATCH):
            wbos = []
            for clear in cleartexts[i:i + POST_BATCH]:
                wbo = {"id": clear["id"], "payload": bundle.encrypt(clear)}
                if name in TTL:
                    wbo["ttl"] = TTL[name]
                if "sortindex" in clear:
                    wbo["sortindex"] = clear["sortindex"]
                wbos.append(wbo)
            r = self.storage("POST", f"storage/{name}", json.dumps(wbos))
            if r.status != 200:
                raise EngineFailed("over quota" if r.body == b"14" else "upload", r)
            out = r.json()
            assert out["success"] is not None and out["failed"] is not None
            assert sorted(out["success"] + list(out["failed"])) == sorted(w["id"] for w in wbos), f"{r!r}"
            assert out["modified"] == r.timestamp, f"the client takes its lastSync from this header\n{r!r}"
            done += out["success"]
            last = r.timestamp
        return done, last

    def on_server(self, name):
        """What the server holds of a collection, decrypted, tombstones left out."""
        clear = [self.keys.of(name).decrypt(w["payload"]) for w in self.stream(f"storage/{name}?full=1")]
        return {c["id"]: c for c in clear if not c.get("deleted")}

    def delete_on_server(self, name, ids):
        for i in range(0, len(ids), DELETE_BATCH):
            text = ",".join(ids[i:i + DELETE_BATCH]).replace("{", "%7B").replace("}", "%7D")
            r = self.storage("DELETE", f"storage/{name}?ids={text}")
            assert r.status == 200, f"{r!r}"

    def wipe_server(self):
        r = self.storage("DELETE", "storage", headers=[("X-Confirm-Delete", "1")])
        assert r.status == 200, f"{r!r}"
        return r.timestamp

    def unlink(self):
        """startOver: results are ignored."""
        for coll in ("clients", "tabs"):
            self.storage("DELETE", f"storage/{coll}/{quote(self.client_id)}")
