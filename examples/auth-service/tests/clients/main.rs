//! Client applications: each way to call, each refusal by its code and its record.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod addresses;
mod answers;
mod keys;
#[path = "../support/machine.rs"]
mod machine;
mod proofs;
mod standing;
#[path = "../support/mod.rs"]
mod support;

use std::net::SocketAddr;
use std::time::Duration;

use machine::Held;
use portcullis::core::{Clock, Index, Scope, Secret, SystemClock, Timestamp};
use portcullis::hmac_signing::{CanonicalLines, Scheme, V1};
use portcullis::jwt::{AssertionSigner, RsaPrivateKey};
use portcullis::store_sqlite::Sqlite;
use serde_json::{Value, json};
use support::{Answer, Client, Service, data, fresh, raw, unlimited};

const FAST: &[&str] = &[
    "--client-limit=1000000",
    "--premium-per-second=100000",
    "--standard-per-second=100000",
];

struct Rig {
    folder: tempfile::TempDir,
    service: Service,
    admin: String,
    client: Client,
}

/// A service with the client `billing`.
fn rig(flags: &[&'static str]) -> Rig {
    let flags: Vec<&'static str> = flags.iter().chain(FAST).copied().collect();
    let (folder, service, admin) = fresh(&unlimited(&flags));
    let client = Client(service.address);
    client.register(&admin, "billing", "premium");
    Rig {
        folder,
        service,
        admin,
        client,
    }
}

impl Rig {
    fn address(&self) -> SocketAddr {
        self.service.address
    }

    fn signing(&self, form: &str) -> Held {
        self.client
            .make_signing_secret(&self.admin, "billing", form)
    }

    fn public_key(&self, client: &str, issuer: &str, pem: &str) -> Answer {
        let key = json!({"kind": "public_key", "label": "tests", "issuer": issuer, "pem": pem});
        let path = format!("/v1/clients/{client}/keys");
        self.client.post(&path, Some(&self.admin), &key)
    }

    /// Puts issuers on the list of `billing` and registers nothing under them, as a kill in the midst of an act
    /// leaves them.
    fn list_issuers(&self, issuers: Vec<String>) {
        const ISSUERS: Index = Index::new(Scope::new("issuers-of-client"), 1, 20);
        let listed = async {
            let now = SystemClock.now();
            let store = Sqlite::open(data(&self.folder).join("portcullis.db"), now).unwrap();
            for issuer in issuers {
                let listed = ISSUERS.insert(&store, b"billing", issuer.as_bytes(), now);
                listed.await.unwrap();
            }
            store.close().await;
        };
        tokio::runtime::Runtime::new().unwrap().block_on(listed);
    }

    fn sent<S: Scheme>(&self, held: &Held, scheme: S, path: &str) -> Answer {
        let request = held.signed(scheme, self.address(), path, "{}", SystemClock.now());
        raw(self.address(), &request).unwrap()
    }

    /// The newest record of a refused client.
    fn last_refusal(&self) -> Value {
        let path = "/v1/audit?action=client_refused&limit=1";
        let found = self.client.get(path, Some(&self.admin)).expect(200).json();
        found["records"][0].clone()
    }

    /// It was refused with that code, and the log says why, of whom, and from where.
    fn refused(
        &self,
        answer: Answer,
        (status, code): (u16, &str),
        reason: &str,
        client: Option<&str>,
    ) {
        let answer = answer.expect(status);
        assert_eq!(answer.code(), code, "{reason}");
        let record = self.last_refusal();
        assert_eq!(
            record["request_id"],
            answer.header("x-request-id").unwrap(),
            "{reason}"
        );
        assert_eq!(record["reason"], reason);
        assert_eq!(record["client_system"].as_str(), client, "{reason}");
        assert_eq!(record["ip_address"], "127.0.0.1");
    }
}

const UNAUTHORIZED: (u16, &str) = (401, "401_UNAUTHORIZED");
const FORBIDDEN: (u16, &str) = (403, "403_FORBIDDEN");

fn v1() -> V1 {
    V1::new("auth-service").unwrap()
}

fn lines(address: SocketAddr) -> CanonicalLines {
    CanonicalLines::new(&format!("http://{address}")).unwrap()
}

/// A key that openssl made for tests, and nothing else.
fn private_key(name: &str) -> RsaPrivateKey {
    let place = format!(
        "{}/../../crates/jwt/tests/keys/{name}.pkcs8.pem",
        env!("CARGO_MANIFEST_DIR")
    );
    RsaPrivateKey::from_pem(Secret::from(std::fs::read(place).unwrap())).unwrap()
}

fn assertion(name: &str, issuer: &str, at: Timestamp) -> String {
    let life = Duration::from_secs(3600);
    let signer = AssertionSigner::new(private_key(name), issuer, life).unwrap();
    signer.sign(at).unwrap()
}
