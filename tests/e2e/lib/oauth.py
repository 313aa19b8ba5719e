"""An accounts server's signing side: RSA keys, a JWK-set file, and JWT access tokens as Firefox gets them."""
import base64
import json
import os
import time

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

SCOPE = "https://identity.mozilla.com/apps/oldsync"


def _number(n):
    return base64.urlsafe_b64encode(n.to_bytes((n.bit_length() + 7) // 8, "big")).decode().rstrip("=")


class Issuer:
    """One key pair."""

    def __init__(self, kid="20260101-1a2b3c", issuer="https://accounts.example.net"):
        self.kid, self.issuer = kid, issuer
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def jwk(self):
        n = self.key.public_key().public_numbers()
        return {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": self.kid, "n": _number(n.n), "e": _number(n.e)}

    def access_token(self, sub, scope=SCOPE, life_s=6 * 3600, headers=None, algorithm="RS256", key=None, drop=(), now=None,
                     **claims):
        """A good access token for `sub`, made at `now` (a server's clock may have been stepped); keywords override or add claims,
        `drop` leaves claims out."""
        now = int(time.time() if now is None else now)
        body = {"aud": "https://token.example.net", "client_id": "5882386c6d801776", "exp": now + life_s, "iat": now,
                "iss": self.issuer, "jti": os.urandom(16).hex(), "scope": scope, "sub": sub, **claims}
        head = {"typ": "at+jwt", "kid": self.kid, **(headers or {})}
        return jwt.encode({k: v for k, v in body.items() if k not in drop}, key or self.key, algorithm=algorithm,
                          headers=head)


def write_jwk_set(path, *issuers):
    path.write_text(json.dumps({"keys": [i.jwk() for i in issuers]}))
    return path
