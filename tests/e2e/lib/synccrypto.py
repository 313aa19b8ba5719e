"""What Sync clients do to their records before a server sees them: AES-256-CBC and HMAC-SHA256 under key bundles.

Storage format 5. A payload is JSON text {"ciphertext": b64, "IV": b64, "hmac": hex}; the HMAC is over the base64 text of the ciphertext.
1.5: the bundle that opens crypto/keys is the 64-byte sync key itself, or HKDF of the account key kB. 1.1: it is made of the 26-character
sync key by HMAC, and bound to the user name.
"""
import base64
import hashlib
import hmac
import json
import os

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from .hawk import b64, b64url_nopad, hkdf


class BadHmac(Exception):
    """A record was not written with this key."""


class KeyBundle:
    """An encryption key and an HMAC key, 32 bytes each."""

    def __init__(self, encryption, authentication):
        assert len(encryption) == len(authentication) == 32
        self.encryption, self.authentication = encryption, authentication

    def __eq__(self, other):
        return (self.encryption, self.authentication) == (other.encryption, other.authentication)

    @classmethod
    def random(cls):
        return cls(os.urandom(32), os.urandom(32))

    @classmethod
    def from_sync_key(cls, sync_key):
        """1.5: the 64 bytes that the scope of Sync gives."""
        assert len(sync_key) == 64
        return cls(sync_key[:32], sync_key[32:])

    @classmethod
    def from_recovery_key(cls, key, username):
        """1.1: key of 16 bytes. T(1) and T(2) of an HKDF expansion whose info ends in the user name."""
        info = b"Sync-AES_256_CBC-HMAC256" + username.encode()
        encryption = hmac.new(key, info + b"\x01", hashlib.sha256).digest()
        return cls(encryption, hmac.new(key, encryption + info + b"\x02", hashlib.sha256).digest())

    def to_list(self):
        return [b64(self.encryption), b64(self.authentication)]

    @classmethod
    def from_list(cls, pair):
        return cls(*(base64.b64decode(k) for k in pair))

    def encrypt(self, cleartext):
        """Object -> payload text."""
        iv = os.urandom(16)
        pad = padding.PKCS7(128).padder()
        data = pad.update(json.dumps(cleartext).encode()) + pad.finalize()
        enc = Cipher(algorithms.AES(self.encryption), modes.CBC(iv)).encryptor()
        text = b64(enc.update(data) + enc.finalize())
        return json.dumps({"ciphertext": text, "IV": b64(iv), "hmac": self._hmac(text)})

    def decrypt(self, payload):
        """Payload text -> object; BadHmac if it is not ours."""
        box = json.loads(payload)
        if not hmac.compare_digest(self._hmac(box["ciphertext"]), box["hmac"]):
            raise BadHmac()
        dec = Cipher(algorithms.AES(self.encryption), modes.CBC(base64.b64decode(box["IV"]))).decryptor()
        data = dec.update(base64.b64decode(box["ciphertext"])) + dec.finalize()
        unpad = padding.PKCS7(128).unpadder()
        return json.loads(unpad.update(data) + unpad.finalize())

    def _hmac(self, text):
        return hmac.new(self.authentication, text.encode(), hashlib.sha256).hexdigest()


class CollectionKeys:
    """The content of crypto/keys: a default bundle, and bundles of some collections."""

    def __init__(self, default=None, collections=None):
        self.default = default or KeyBundle.random()
        self.collections = collections or {}

    def of(self, collection):
        return self.collections.get(collection, self.default)

    def to_cleartext(self):
        return {"id": "keys", "collection": "crypto", "default": self.default.to_list(),
                "collections": {n: b.to_list() for n, b in self.collections.items()}}

    @classmethod
    def from_cleartext(cls, clear):
        return cls(KeyBundle.from_list(clear["default"]),
                   {n: KeyBundle.from_list(p) for n, p in clear["collections"].items()})


def sync_key_of_account(kb):
    """1.5: 64-byte sync key of the account key kB."""
    return hkdf(kb, None, b"identity.mozilla.com/picl/v1/oldsync", 64)


def key_id(sync_key, keys_changed_at_ms):
    """1.5: X-KeyId."""
    return f"{keys_changed_at_ms}-{b64url_nopad(hashlib.sha256(sync_key).digest()[:16])}"


def friendly_key(key):
    """1.1: how a sync key of 16 bytes is shown: 26 characters, l and o written 8 and 9."""
    return base64.b32encode(key).decode().lower().rstrip("=").replace("l", "8").replace("o", "9")


def key_of_friendly(text):
    return base64.b32decode(text.replace("-", "").replace("8", "l").replace("9", "o").upper() + "=" * 6)


def username_of(account):
    """1.1: the user name that belongs to an account (an e-mail address, or a plain name)."""
    if "@" not in account:
        return account.lower()
    return base64.b32encode(hashlib.sha1(account.lower().encode()).digest()).decode().lower()


def guid():
    """An id as clients make them: 12 characters of base64url."""
    return base64.urlsafe_b64encode(os.urandom(9)).decode()
