"""Reads {"now", "public", "tokens": [[token, audience or null], ...]} and writes the claims of each, as
PyJWT finds them; the signature is checked once more by `cryptography` alone."""

import base64
import json
import sys

import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

ask = json.load(sys.stdin)
key = serialization.load_pem_public_key(ask["public"].encode())
found = []
for token, audience in ask["tokens"]:
    # The clock of the test stands still; PyJWT reads the machine's.
    still = {"verify_exp": False, "verify_iat": False, "require": ["iss", "iat", "exp"]}
    claims = jwt.decode(token, key, algorithms=["RS256"], audience=audience, options=still)
    signed, signature = token.rsplit(".", 1)
    signature = base64.urlsafe_b64decode(signature + "==")
    key.verify(signature, signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    found.append({"header": jwt.get_unverified_header(token), "claims": claims})
json.dump(found, sys.stdout)
