"""Signs bodies as timestamp "." body: a JSON list of requests on stdin, their headers on stdout."""

import base64, hashlib, hmac, json, sys


def sign(secret, key_id, body, timestamp):
    mac = hmac.new(secret, str(timestamp).encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"X-Signature": "sha256=" + mac, "X-Timestamp": str(timestamp), "X-Key-Id": key_id}


headers = []
for request in json.load(sys.stdin):
    secret, body = bytes.fromhex(request["secret"]), base64.b64decode(request["body"])
    headers.append(sign(secret, request["key_id"], body, request["timestamp"]))
print(json.dumps(headers))
