//! The stage that the tests share: one key, one policy, one instant, and tokens made by hand.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests; each file uses its part"
)]

#[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
pub mod assertion;
pub mod generate;
pub mod vectors;

use portcullis_core::{Secret, Timestamp};
use portcullis_jwt::testing::forge;
use portcullis_jwt::{AccessToken, Error, HmacKey, KeySet, Policy, Verifier};
use serde_json::{Map, Value, json};

pub const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
pub const ISSUER: &str = "https://login.example";
pub const AUDIENCE: &str = "orders";
pub const HEADER: &str = r#"{"alg":"HS256","kid":"k1","typ":"at+jwt"}"#;
pub const NOW_SECS: u64 = 1_700_000_000;
pub const NOW: Timestamp = Timestamp::from_unix_secs(NOW_SECS);

pub type Claims = Map<String, Value>;

pub fn key(kid: &str) -> HmacKey {
    HmacKey::new(kid, Secret::from(SECRET)).unwrap()
}

/// A key that shares nothing with [`key`] but the form.
pub fn stranger(kid: &str) -> HmacKey {
    HmacKey::new(kid, Secret::generate::<32>().unwrap()).unwrap()
}

pub fn policy() -> Policy {
    Policy::access(ISSUER, AUDIENCE).unwrap()
}

pub fn verifier() -> Verifier {
    Verifier::new(&KeySet::new(key("k1")), policy())
}

/// RSA keys made for these tests by `openssl genpkey`, and good for nothing else.
#[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
pub mod rsa {
    use std::sync::OnceLock;

    use portcullis_core::Secret;
    use portcullis_jwt::RsaPrivateKey;

    pub const ALICE: &str = "alice@example.com";
    pub const ALICE_PEM: &str = include_str!("../keys/alice.pkcs8.pem");
    pub const ALICE_SPKI: &str = include_str!("../keys/alice.spki.pem");
    pub const ALICE_PKCS1: &str = include_str!("../keys/alice.pkcs1.pem");
    pub const MALLORY_PEM: &str = include_str!("../keys/mallory.pkcs8.pem");

    pub fn private(pem: &str) -> RsaPrivateKey {
        RsaPrivateKey::from_pem(Secret::from(pem.to_owned())).unwrap()
    }

    pub fn alice() -> &'static RsaPrivateKey {
        static KEY: OnceLock<RsaPrivateKey> = OnceLock::new();
        KEY.get_or_init(|| private(ALICE_PEM))
    }

    pub fn mallory() -> &'static RsaPrivateKey {
        static KEY: OnceLock<RsaPrivateKey> = OnceLock::new();
        KEY.get_or_init(|| private(MALLORY_PEM))
    }
}

/// Claims that the policy admits.
pub fn good() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "42", "jti": "id",
        "iat": NOW_SECS, "exp": NOW_SECS + 600,
    })
}

/// Verifies a token with that header and payload, well signed.
pub fn with(header: &str, payload: &str) -> Result<AccessToken<Claims>, Error> {
    verifier().verify(
        &forge(&key("k1"), header.as_bytes(), payload.as_bytes()),
        NOW,
    )
}

pub fn with_header(header: &str) -> Result<AccessToken<Claims>, Error> {
    with(header, &good().to_string())
}

pub fn with_payload(payload: &str) -> Result<AccessToken<Claims>, Error> {
    with(HEADER, payload)
}

/// The good claims with one member replaced by, or gaining, the JSON text `value`; removed if empty.
pub fn with_claim(name: &str, value: &str) -> Result<AccessToken<Claims>, Error> {
    let mut claims = good();
    claims.as_object_mut().unwrap().remove(name);
    let mut text = claims.to_string();
    if !value.is_empty() {
        text.pop();
        text.push_str(&format!(r#","{name}":{value}}}"#));
    }
    with_payload(&text)
}
