// Signs requests as portcullis v1: a JSON list of them on stdin, their headers on stdout.
import { createHash, createHmac } from "node:crypto";
import { readFileSync } from "node:fs";

function sign({ secret, key_id, audience, method, authority, path, query, content_type, body, timestamp, nonce }) {
  const digest = createHash("sha256").update(body).digest("hex");
  const fields = [audience, method, authority.toLowerCase(), path || "/", query, content_type, digest,
    `${timestamp}`, nonce, key_id];
  const mac = createHmac("sha256", secret).update("portcullis-hmac-v1\n");
  for (const field of fields) mac.update(`${Buffer.byteLength(field)}:${field}\n`);
  return { "X-Signature": `v1=${mac.digest("hex")}`, "X-Timestamp": `${timestamp}`, "X-Nonce": nonce, "X-Key-Id": key_id };
}

const requests = JSON.parse(readFileSync(0, "utf8"));
const headers = requests.map((request) => sign({
  ...request,
  secret: Buffer.from(request.secret, "hex"),
  body: Buffer.from(request.body, "base64"),
}));
console.log(JSON.stringify(headers));
