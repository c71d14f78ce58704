// Signs bodies as timestamp "." body: a JSON list of requests on stdin, their headers on stdout.
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";

function sign(secret, key_id, body, timestamp) {
  const mac = createHmac("sha256", secret).update(`${timestamp}.`).update(body).digest("hex");
  return { "X-Signature": `sha256=${mac}`, "X-Timestamp": `${timestamp}`, "X-Key-Id": key_id };
}

const requests = JSON.parse(readFileSync(0, "utf8"));
const headers = requests.map(({ secret, key_id, body, timestamp }) =>
  sign(Buffer.from(secret, "hex"), key_id, Buffer.from(body, "base64"), timestamp));
console.log(JSON.stringify(headers));
