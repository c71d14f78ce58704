"""Signs requests as portcullis v1: a JSON list of them on stdin, their headers on stdout."""

import base64, hashlib, hmac, json, sys


def sign(secret, key_id, audience, method, authority, path, query, content_type, body, timestamp, nonce):
    digest = hashlib.sha256(body).hexdigest()
    fields = [audience, method, authority.lower(), path or "/", query, content_type, digest,
              str(timestamp), nonce, key_id]
    signed = b"portcullis-hmac-v1\n"
    for field in fields:
        signed += b"%d:%s\n" % (len(field.encode()), field.encode())
    mac = hmac.new(secret, signed, hashlib.sha256).hexdigest()
    return {"X-Signature": "v1=" + mac, "X-Timestamp": str(timestamp), "X-Nonce": nonce, "X-Key-Id": key_id}


headers = []
for request in json.load(sys.stdin):
    secret, body = bytes.fromhex(request.pop("secret")), base64.b64decode(request.pop("body"))
    headers.append(sign(secret=secret, body=body, **request))
print(json.dumps(headers))
