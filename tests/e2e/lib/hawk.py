"""Tokens of the token server and Hawk signatures, for both ends, written from the protocol alone.

Signing is what clients do; `verify_token` and `verify_hawk` are what a storage node must do, so that the published vectors can be
run through an implementation that shares nothing with the server.
"""
import base64
import hashlib
import hmac
import json
import math
import os
import re
from decimal import Decimal

INFO_SIGNING = b"services.mozilla.com/tokenlib/v1/signing"
INFO_DERIVE = b"services.mozilla.com/tokenlib/v1/derive/"
INFO_NODE_SECRET = b"services.mozilla.com/mozsvc/v1/node_secret/"
HAWK_WINDOW_S = 31449600
TOKEN_GRACE_S = 7200
_ID_TEXT = re.compile(r"[A-Za-z0-9=_-]{1,64}\Z")


# ---- primitives ----

def hmac_sha256(key, message):
    return hmac.new(key, message, hashlib.sha256).digest()


def hkdf(secret, salt, info, size):
    """RFC 5869 with SHA-256; salt None: 32 zero bytes."""
    prk = hmac_sha256(salt if salt else bytes(32), secret)
    out, block, i = b"", b"", 1
    while len(out) < size:
        block = hmac_sha256(prk, block + info + bytes([i]))
        out, i = out + block, i + 1
    return out[:size]


def b64url(data):
    return base64.urlsafe_b64encode(data).decode()


def b64(data):
    return base64.b64encode(data).decode()


def b64url_nopad(data):
    return b64url(data).rstrip("=")


# ---- tokens: the issuer's side ----

def signing_key(secret):
    return hkdf(secret.encode(), None, INFO_SIGNING, 32)


def sign_payload(payload, secret):
    """Token text over raw payload bytes, whatever they are."""
    return b64url(payload + hmac_sha256(signing_key(secret), payload))


def derive_key(token_text, secret, salt):
    """The Hawk key that belongs to a token."""
    return b64url(hkdf(secret.encode(), salt.encode(), INFO_DERIVE + token_text.encode(), 32))


def mint(secret, members):
    """(id, key) of a token with these payload members; a salt is added unless it is there (None leaves it out)."""
    members = dict(members)
    members.setdefault("salt", os.urandom(3).hex())
    members = {k: v for k, v in members.items() if v is not None}
    text = sign_payload(json.dumps(members, separators=(",", ":")).encode(), secret)
    return text, derive_key(text, secret, members.get("salt", ""))


def node_secret(master, node):
    """The secret that a node derives from a master."""
    return hkdf(master.encode(), None, INFO_NODE_SECRET + node.encode(), len(master) // 2).hex()


def metrics_hash(key, fxa_uid):
    return hmac_sha256(key.encode(), fxa_uid.encode()).hex()[:32]


def metrics_device_hash(key, hashed_uid, device="none"):
    return hmac_sha256(key.encode(), (hashed_uid + device).encode()).hex()[:32]


def parse_key_id(text):
    """X-KeyID -> (keys_changed_at, client state in hex); ValueError for anything else."""
    when, dash, state = text.partition("-")
    if not dash or not re.fullmatch(r"[0-9]{1,19}", when) or int(when) > 2**63 - 1:
        raise ValueError("no time before the dash")
    if not re.fullmatch(r"[A-Za-z0-9_-]*", state) or len(state) % 4 == 1:
        raise ValueError("no base64url after the dash")
    raw = base64.urlsafe_b64decode(state + "=" * (-len(state) % 4))
    if b64url_nopad(raw) != state:
        raise ValueError("not canonical")
    if not 1 <= len(raw) <= 16:
        raise ValueError("key hash empty or longer than 16 bytes")
    return int(when), raw.hex()


def fxa_kid(keys_changed_at, client_state_hex):
    return "%013d-%s" % (keys_changed_at, b64url_nopad(bytes.fromhex(client_state_hex)))


# ---- tokens: the node's side ----

class Refused(Exception):
    """Why a request is refused; str() is the reason's short name."""


def _b64url_strict(text):
    if not re.fullmatch(r"[A-Za-z0-9_=-]+", text) or len(text) % 4:
        raise Refused("malformed")
    try:
        raw = base64.urlsafe_b64decode(text)
    except ValueError:
        raise Refused("malformed") from None
    if b64url(raw) != text:
        raise Refused("malformed")
    return raw


def verify_token(text, secrets, nodes, now, grace_s=TOKEN_GRACE_S):
    """Opens a token. Gives (payload, index of the secret, Hawk key, expired but within the grace)."""
    raw = _b64url_strict(text)
    if len(raw) <= 32:
        raise Refused("malformed")
    payload, signature = raw[:-32], raw[-32:]
    good = [i for i, s in enumerate(secrets) if hmac.compare_digest(hmac_sha256(signing_key(s), payload), signature)]
    if not good:
        raise Refused("bad-signature")
    try:
        members = json.loads(payload)
    except ValueError:
        raise Refused("malformed") from None
    if not isinstance(members, dict):
        raise Refused("malformed")
    _check_members(members)
    if members["node"] not in nodes:
        raise Refused("wrong-node")
    expired = members["expires"] <= now
    if expired and now - members["expires"] >= grace_s:
        raise Refused("expired")
    return members, good[0], derive_key(text, secrets[good[0]], members["salt"]), expired


def _check_members(m):
    for name in ("uid", "node", "expires", "salt"):
        if name not in m:
            raise Refused("missing-field")
    if type(m["uid"]) is not int or m["uid"] < 0 or m["uid"] > 2**63 - 1:
        raise Refused("invalid-field")
    if type(m["expires"]) not in (int, float) or not math.isfinite(m["expires"]) or m["expires"] < 0:
        raise Refused("invalid-field")
    if not isinstance(m["node"], str) or not isinstance(m["salt"], str) or not 1 <= len(m["salt"]) <= 64:
        raise Refused("invalid-field")
    if "hashed_fxa_uid" in m and not ("fxa_uid" in m and "fxa_kid" in m):
        raise Refused("missing-field")
    for name in ("fxa_uid", "fxa_kid", "hashed_fxa_uid", "hashed_device_id", "device_id"):
        if name in m and not (isinstance(m[name], str) and _ID_TEXT.match(m[name])):
            raise Refused("invalid-field")


# ---- Hawk: signing ----

def normalized(ts, nonce, method, target, host, port, payload_hash="", ext=""):
    lines = ["hawk.1.header", str(ts), nonce, method.upper(), target, host.lower(), str(port), payload_hash or "", ext or ""]
    return "".join(line + "\n" for line in lines)


def mac(key, text):
    return b64(hmac_sha256(key.encode(), text.encode()))


def payload_hash(content_type, body):
    kind = (content_type or "").partition(";")[0].strip().lower()
    return b64(hashlib.sha256(b"hawk.1.payload\n" + kind.encode() + b"\n" + body + b"\n").digest())


def header(hawk_id, key, method, target, host, port, ts, nonce=None, hash=None, ext=None):
    """The value of an Authorization header, as Firefox writes it."""
    nonce = b64(os.urandom(8)) if nonce is None else nonce
    code = mac(key, normalized(ts, nonce, method, target, host, port, hash or "", ext or ""))
    parts = [("id", hawk_id), ("ts", str(ts)), ("nonce", nonce)]
    parts += [("hash", hash)] if hash is not None else []
    parts += [("ext", ext)] if ext is not None else []
    parts += [("mac", code)]
    return "Hawk " + ", ".join('%s="%s"' % (n, v.replace("\\", "\\\\").replace('"', '\\"')) for n, v in parts)


# ---- Hawk: verifying ----

_ATTRIBUTE = re.compile(r'([A-Za-z0-9_-]+)=(?:"((?:[^"\\]|\\.)*)"|([A-Za-z0-9_-]+))[ \t]*(?:,[ \t]*(?=[^,\s])|\Z)')


def parse_header(text):
    """Attributes of a Hawk header; Refused('no-credentials') if it is none or malformed."""
    if len(text) > 8192 or any(ord(c) < 0x20 or ord(c) > 0x7e for c in text):
        raise Refused("no-credentials")
    scheme, blank, rest = text.partition(" ")
    rest = rest.strip(" \t")
    if scheme != "Hawk" or not blank or not rest:
        raise Refused("no-credentials")
    out, at = {}, 0
    while at < len(rest):
        m = _ATTRIBUTE.match(rest, at)
        if not m or m.group(1) in out or m.group(1) in ("app", "dlg"):
            raise Refused("no-credentials")
        out[m.group(1)] = re.sub(r"\\(.)", r"\1", m.group(2)) if m.group(2) is not None else m.group(3)
        at = m.end()
    return out


def _usable(a):
    if any(n not in a for n in ("id", "ts", "nonce", "mac")) or not a["id"] or not 1 <= len(a["nonce"]) <= 64:
        raise Refused("no-credentials")
    if not re.fullmatch(r"[0-9]{1,15}", a["ts"]):
        raise Refused("no-credentials")


def split_host(host_header, scheme):
    """(host, port) as they are signed; brackets of IPv6 stay."""
    m = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::([0-9]+))?", host_header)
    return m.group(1).lower(), int(m.group(2) or (443 if scheme == "https" else 80))


def verify_hawk(attributes, key, method, scheme, host_header, target, now, content_type=None, body=None,
                window_s=HAWK_WINDOW_S):
    """Raises Refused unless these attributes sign this request."""
    _usable(attributes)
    host, port = split_host(host_header, scheme)
    text = normalized(attributes["ts"], attributes["nonce"], method, target, host, port, attributes.get("hash", ""),
                      attributes.get("ext", ""))
    if not hmac.compare_digest(mac(key, text).encode(), attributes["mac"].encode()):
        raise Refused("bad-mac")
    if "hash" in attributes and body is not None and payload_hash(content_type, body) != attributes["hash"]:
        raise Refused("bad-payload-hash")
    if abs(Decimal(now) - int(attributes["ts"])) > window_s:
        raise Refused("stale")


_GRACE_ROUTE = re.compile(r"/1\.5/([0-9]{1,10})/info/collections(\?.*)?\Z")
_URL_UID = re.compile(r"/1\.5/([0-9]{1,10})/")


def verify_request(authorization, secrets, node, now, method, scheme, host_header, target, content_type=None, body=None):
    """Everything a node checks, in its order. Gives the uid or raises Refused."""
    if not authorization:
        raise Refused("no-credentials")
    attributes = parse_header(authorization)
    _usable(attributes)
    members, _, key, expired = verify_token(attributes["id"], secrets, [node], now)
    if expired and not (method in ("GET", "HEAD") and _GRACE_ROUTE.match(target)):
        raise Refused("expired")
    verify_hawk(attributes, key, method, scheme, host_header, target, now, content_type, body)
    if int(_URL_UID.match(target).group(1)) != members["uid"]:
        raise Refused("uid-mismatch")
    return members["uid"]
