//! The stage of a client that signs its own tokens, and of the server that verifies them.

use std::sync::OnceLock;
use std::time::Duration;

use portcullis_core::Timestamp;
use portcullis_jwt::testing::forge_rsa;
use portcullis_jwt::{AssertionPolicy, Assertions, ClientAssertion, Error};
use serde_json::{Value, json};

use super::rsa::{ALICE, alice};
use super::{Claims, NOW, NOW_SECS};

pub const AUDIENCE: &str = "https://api.example";
pub const HEADER: &str = r#"{"alg":"RS256","typ":"JWT"}"#;
pub const HOUR: Duration = Duration::from_secs(3600);

pub type Answer = Result<ClientAssertion<Claims>, Error>;

pub fn policy() -> AssertionPolicy {
    AssertionPolicy::new(AUDIENCE).unwrap()
}

pub fn good() -> Value {
    json!({"iat": NOW_SECS, "exp": NOW_SECS + 3600, "iss": ALICE})
}

pub fn verify_under(policy: AssertionPolicy, token: &str, now: Timestamp) -> Answer {
    let assertions = Assertions::new(policy);
    assertions.begin(token)?.verify(&[alice().public()], now)
}

pub fn verify(token: &str) -> Answer {
    verify_under(policy(), token, NOW)
}

pub fn signed(header: &str, payload: &str) -> String {
    forge_rsa(alice(), header.as_bytes(), payload.as_bytes())
}

pub fn token() -> String {
    static TOKEN: OnceLock<String> = OnceLock::new();
    TOKEN
        .get_or_init(|| signed(HEADER, &good().to_string()))
        .clone()
}

pub fn with_header(header: &str) -> Answer {
    verify(&signed(header, &good().to_string()))
}

/// The good claims with one member replaced by, or gaining, the JSON text `value`; removed if empty.
pub fn payload_with(name: &str, value: &str) -> String {
    let mut claims = good();
    claims.as_object_mut().unwrap().remove(name);
    let mut text = claims.to_string();
    if !value.is_empty() {
        text.pop();
        text.push_str(&format!(r#","{name}":{value}}}"#));
    }
    text
}

pub fn with_claim(name: &str, value: &str) -> Answer {
    verify(&signed(HEADER, &payload_with(name, value)))
}

pub fn at(secs: u64) -> Timestamp {
    Timestamp::from_unix_secs(secs)
}
