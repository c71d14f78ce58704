"""Tokens that a client makes with PyJWT, and with `cryptography` by hand.

Reads {"now": seconds, "alice": PEM, "mallory": PEM, "audience": text} and writes a list of
{"name", "token", "keys": [PEM, ...]}: the keys are the ones that the server has for the client.
"""

import base64
import hashlib
import hmac
import json
import sys

import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

ask = json.load(sys.stdin)
now, audience = ask["now"], ask["audience"]
read = lambda pem: serialization.load_pem_private_key(pem.encode(), None)
alice, mallory = read(ask["alice"]), read(ask["mallory"])
answers = []

SPKI = serialization.PublicFormat.SubjectPublicKeyInfo
PKCS1 = serialization.PublicFormat.PKCS1


def public(key, form=SPKI):
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def answer(name, token, keys):
    answers.append({"name": name, "token": token, "keys": keys})


def claims(**more):
    made = {"iat": now, "exp": now + 3600, "iss": "alice@example.com", **more}
    return {name: value for name, value in made.items() if value is not None}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def by_hand(key, header, payload):
    text = b64(json.dumps(header).encode()) + "." + b64(json.dumps(payload).encode())
    return text + "." + b64(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))


def pyjwt(key, payload, **more):
    return jwt.encode(payload, key, algorithm="RS256", **more)


answer("good: PyJWT", pyjwt(alice, claims()), [public(alice)])
answer("good: PyJWT, PKCS#1", pyjwt(alice, claims()), [public(alice, PKCS1)])
answer("good: PyJWT, key id", pyjwt(alice, claims(), headers={"kid": "2026-11"}), [public(alice)])
answer("good: PyJWT, no kind", pyjwt(alice, claims(), headers={"typ": None}), [public(alice)])
answer("good: PyJWT, audience", pyjwt(alice, claims(aud=audience)), [public(alice)])
account = claims(sub="alice@example.com", aud=["x", audience], uid="42", claims={"admin": True})
answer("good: PyJWT, service account", pyjwt(alice, account), [public(alice)])
answer("good: the previous key", pyjwt(mallory, claims()), [public(alice), public(mallory)])
answer("good: by hand", by_hand(alice, {"alg": "RS256"}, claims()), [public(alice)])
answer("good: by hand, a fraction", by_hand(alice, {"alg": "RS256"}, claims(iat=now + 0.5)), [public(alice)])
for bits, exponent in [(2048, 65537), (2056, 65537), (3072, 65537), (4096, 65537)]:
    key = rsa.generate_private_key(public_exponent=exponent, key_size=bits)
    for form in (SPKI, PKCS1):
        answer(f"good: a fresh key of {bits} bits", pyjwt(key, claims()), [public(key, form)])

answer("KeyUnknown", pyjwt(alice, claims(iss="nobody@example.com")), [])
answer("Signature", pyjwt(mallory, claims()), [public(alice)])
answer("Life", pyjwt(alice, claims(exp=now + 3601)), [public(alice)])
answer("Life", pyjwt(alice, claims(exp=now + 86400)), [public(alice)])
answer("Life", pyjwt(alice, claims(exp=now)), [public(alice)])
answer('ClaimMissing("exp")', pyjwt(alice, claims(exp=None)), [public(alice)])
answer('ClaimMissing("iat")', pyjwt(alice, claims(iat=None)), [public(alice)])
answer('ClaimMissing("iss")', pyjwt(alice, claims(iss=None)), [public(alice)])
answer('Claim("iss")', by_hand(alice, {"alg": "RS256"}, claims(iss=["alice@example.com"])), [public(alice)])
answer('Claim("exp")', by_hand(alice, {"alg": "RS256"}, claims(exp=str(now + 3600))), [public(alice)])
answer("Expired", pyjwt(alice, claims(iat=now - 4000, exp=now - 400)), [public(alice)])
answer("NotYetValid", pyjwt(alice, claims(iat=now + 400, exp=now + 4000)), [public(alice)])
answer("Audience", pyjwt(alice, claims(aud="https://other.example")), [public(alice)])
answer("Kind", pyjwt(alice, claims(), headers={"typ": "at+jwt"}), [public(alice)])
answer('HeaderMember("jku")', pyjwt(alice, claims(), headers={"jku": "https://evil.example"}), [public(alice)])
answer('HeaderMember("crit")', by_hand(alice, {"alg": "RS256", "crit": ["exp"]}, claims()), [public(alice)])
for algorithm in ("PS256", "RS384", "RS512"):
    answer("Algorithm", jwt.encode(claims(), alice, algorithm=algorithm), [public(alice)])
for name in ("RS384", "PS256", "none"):
    answer("Algorithm", by_hand(alice, {"alg": name}, claims()), [public(alice)])
text = b64(b'{"alg":"HS256"}') + "." + b64(json.dumps(claims()).encode())
tag = hmac.new(public(alice).encode(), text.encode(), hashlib.sha256).digest()
answer("Algorithm", text + "." + b64(tag), [public(alice)])
weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)
answer("Key", pyjwt(weak, claims()), [public(weak)])
odd = rsa.generate_private_key(public_exponent=3, key_size=2048)
answer("Key", pyjwt(odd, claims()), [public(odd)])

json.dump(answers, sys.stdout)
