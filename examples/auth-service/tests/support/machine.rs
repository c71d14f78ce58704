//! Client applications as they call.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "tests; each uses a part of this"
)]

use std::net::SocketAddr;

use http::Request;
use portcullis::core::{Clock, Secret, SystemClock, Timestamp};
use portcullis::hmac_signing::{KeyId, Scheme, Signer, SigningKey, V1};
use serde_json::{Value, json};

use crate::support::{Answer, Client, raw, request};

/// Addresses of this machine.
pub fn here() -> Value {
    json!(["127.0.0.0/8", "::1/128"])
}

/// A signing secret as its client holds it.
#[derive(Clone)]
pub struct Held {
    pub id: String,
    pub secret: String,
}

impl Held {
    pub fn of(answer: &Answer) -> Self {
        Self {
            id: answer.text("id"),
            secret: answer.text("secret"),
        }
    }

    pub fn signer<S: Scheme>(&self, scheme: S) -> Signer<S> {
        let key = SigningKey::new(Secret::from(self.secret.as_bytes())).unwrap();
        Signer::new(scheme, KeyId::parse(&self.id).unwrap(), key)
    }

    /// A request of portcullis v1, as bytes.
    pub fn v1(&self, address: SocketAddr, body: &str) -> Vec<u8> {
        let scheme = V1::new("auth-service").unwrap();
        self.signed(scheme, address, "/v1/signed/echo", body, SystemClock.now())
    }

    /// A signed request as bytes.
    pub fn signed<S: Scheme>(
        &self,
        scheme: S,
        address: SocketAddr,
        path: &str,
        body: &str,
        at: Timestamp,
    ) -> Vec<u8> {
        let mut request = Request::post(path)
            .header("host", address.to_string())
            .header("content-type", "application/json")
            .body(body.to_owned())
            .unwrap();
        self.signer(scheme).sign(&mut request, at).unwrap();
        bytes(&request)
    }
}

/// A request as it goes over the wire.
pub fn bytes(request: &Request<String>) -> Vec<u8> {
    let mut text = format!("{} {} HTTP/1.1\r\n", request.method(), request.uri());
    for (name, value) in request.headers() {
        text += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    let body = request.body();
    text += &format!(
        "user-agent: tests\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    text.into_bytes()
}

impl Client {
    pub fn put(self, path: &str, token: &str, body: &Value) -> Answer {
        request(self.0, "PUT", path, Some(token), Some(body)).unwrap()
    }

    pub fn delete(self, path: &str, token: &str) -> Answer {
        request(self.0, "DELETE", path, Some(token), None).unwrap()
    }

    /// Shows the administrator's code in the session of that token.
    pub fn step_up(self, admin: &str, code: &str) {
        let shown = self.post("/v1/step-up", Some(admin), &json!({"code": code}));
        shown.expect(200);
    }

    /// Registers a client of this machine.
    pub fn register(self, admin: &str, client: &str, tier: &str) {
        let new = json!({"client": client, "tier": tier, "networks": here()});
        self.post("/v1/clients", Some(admin), &new).expect(201);
    }

    pub fn make_key(self, admin: &str, client: &str, key: &Value) -> Answer {
        let path = format!("/v1/clients/{client}/keys");
        self.post(&path, Some(admin), key).expect(201)
    }

    pub fn make_api_key(self, admin: &str, client: &str) -> Held {
        let key = json!({"kind": "api_key", "label": "tests", "scopes": ["echo"]});
        Held::of(&self.make_key(admin, client, &key))
    }

    pub fn make_signing_secret(self, admin: &str, client: &str, form: &str) -> Held {
        let key = json!({"kind": "signing_secret", "label": "tests", "form": form});
        Held::of(&self.make_key(admin, client, &key))
    }

    pub fn rotate(self, admin: &str, client: &str, key: &str) -> Answer {
        let path = format!("/v1/clients/{client}/keys/{key}/rotate");
        self.post(&path, Some(admin), &json!({}))
    }

    pub fn revoke(self, admin: &str, client: &str, key: &str) {
        let path = format!("/v1/clients/{client}/keys/{key}");
        self.delete(&path, admin).expect(204);
    }

    /// An access token for an API key, or why not.
    pub fn token_for(self, api_key: &str) -> Answer {
        let head = format!(
            "POST /v1/token HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nUser-Agent: tests\r\n\
             X-API-Key: {api_key}\r\nContent-Length: 0\r\n\r\n",
            self.0
        );
        raw(self.0, head.as_bytes()).unwrap()
    }
}
