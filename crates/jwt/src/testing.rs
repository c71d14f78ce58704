//! Forged tokens for tests, and the bodies of the fuzz targets.

#[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
mod rsa;

use data_encoding::BASE64URL_NOPAD;
use portcullis_core::{Secret, Timestamp};
use serde_json::{Map, Value};

use crate::parse::{self, Compact, Header};
#[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
pub use rsa::{
    check_rsa, forge_rsa, forge_segments_rsa, fuzz_client_assertion, fuzz_rsa_public_key_pem,
    rsa_key_of_any_id, rsa_public_pem,
};

use crate::{AccessToken, Error, HmacKey, KeySet, Policy, Scratch, Verifier, VerifyingKey};

/// A token with whatever header and payload a test wants, signed by `key` with HS256.
#[must_use]
pub fn forge(key: &HmacKey, header: &[u8], payload: &[u8]) -> String {
    let (header, payload) = (
        BASE64URL_NOPAD.encode(header),
        BASE64URL_NOPAD.encode(payload),
    );
    forge_segments(key, &header, &payload)
}

/// A token of two segments as they stand, base64url or not, signed by `key` with HS256.
#[must_use]
pub fn forge_segments(key: &HmacKey, header: &str, payload: &str) -> String {
    let mut token = format!("{header}.{payload}");
    let tag = key.sign(token.as_bytes());
    token.push('.');
    BASE64URL_NOPAD.encode_append(&tag, &mut token);
    token
}

/// A key of any secret at all, for vectors whose secret no service may use.
#[must_use]
pub fn weak_key(kid: &str, secret: &[u8]) -> HmacKey {
    HmacKey::unchecked(kid, secret)
}

/// The payload of a JWS that `key` signed, for vectors whose payload is no set of claims: segments,
/// header, `kid`, `alg` and signature are checked as a verifier does, and nothing else.
///
/// # Errors
/// Those of [`Verifier::verify`] up to the signature.
pub fn check_signature(key: impl Into<VerifyingKey>, token: &str) -> Result<Vec<u8>, Error> {
    let key = key.into();
    let compact = Compact::split(token, 8192)?;
    let bytes = parse::decode(compact.header)?;
    let header = Header::read(parse::utf8(&bytes).map_err(Error::HeaderJson)?)?;
    if header.kid.is_some_and(|kid| kid != key.kid()) {
        return Err(Error::KeyUnknown);
    }
    if header.alg != key.algorithm().as_str() {
        return Err(Error::Algorithm);
    }
    key.check(compact.signed.as_bytes(), compact.signature)?;
    parse::decode(compact.payload)
}

/// The body of the fuzz target `jwt_token`: a token that is accepted is the only spelling of its
/// segments, and still accepted with its header remembered; the borrowed form says the same.
///
/// # Panics
/// When it is not.
pub fn fuzz_jwt_token(data: &[u8]) {
    let Ok(token) = std::str::from_utf8(data) else {
        return;
    };
    let stage = Stage::new();
    let first = stage.verify(token);
    assert_eq!(
        first,
        stage.verify(token),
        "two readings of one token differ"
    );
    stage.compare_borrowed(token, &first);
    if first.is_ok() {
        for segment in token.split('.') {
            let bytes = parse::decode(segment).unwrap_or_default();
            assert_eq!(
                BASE64URL_NOPAD.encode(&bytes),
                segment,
                "a second spelling was accepted"
            );
        }
    }
}

/// The body of the fuzz target `jwt_header`: with any header at all, what is accepted says the key's
/// algorithm and the policy's kind, once, and nothing critical.
///
/// # Panics
/// When it does not.
pub fn fuzz_jwt_header(data: &[u8]) {
    let stage = Stage::new();
    let token = forge(&stage.key, data, PAYLOAD);
    if stage.verify(&token).is_err() {
        return;
    }
    let header: Map<String, Value> = serde_json::from_slice(data).unwrap_or_default();
    let text = |name: &str| {
        header
            .get(name)
            .and_then(Value::as_str)
            .map(str::to_ascii_lowercase)
    };
    assert_eq!(
        text("alg").as_deref(),
        Some("hs256"),
        "the token chose an algorithm"
    );
    assert!(
        text("typ").is_some_and(|typ| typ.ends_with("at+jwt")),
        "another kind was accepted"
    );
    assert!(
        !header.contains_key("crit"),
        "something critical was not understood"
    );
}

/// The body of the fuzz target `jwt_claims`: with any payload at all, what is accepted says what the
/// policy asks for when read by another reader.
///
/// # Panics
/// When it does not.
pub fn fuzz_jwt_claims(data: &[u8]) {
    let stage = Stage::new();
    let token = forge(&stage.key, HEADER, data);
    let Ok(accepted) = stage.verify(&token) else {
        return;
    };
    let claims = accepted.claims();
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    assert_eq!(text("iss"), Some(ISSUER), "another issuer was accepted");
    let audiences = claims.get("aud").map(|aud| match aud {
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect::<Vec<_>>(),
    });
    let for_us = audiences.is_some_and(|many| many.contains(&AUDIENCE));
    assert!(for_us, "another audience was accepted");
    let date = |name: &str| claims.get(name).and_then(Value::as_f64).unwrap_or(f64::NAN);
    let leeway_secs = 60.0;
    assert!(
        date("exp") + leeway_secs > NOW_SECS,
        "an expired token was accepted"
    );
    assert!(
        date("iat") <= NOW_SECS + leeway_secs,
        "a token from the future was accepted"
    );
    // 3600, and a second for the fractions of both dates.
    assert!(
        date("exp") - date("iat") < 3601.0,
        "too long a life was accepted"
    );
}

struct Stage {
    key: HmacKey,
    verifier: Verifier,
}

impl Stage {
    #[expect(
        clippy::expect_used,
        reason = "the texts are constants, and a fuzz body may panic"
    )]
    fn new() -> Self {
        let secret = Secret::from(b"a secret of the fuzz targets, 32+".as_slice());
        let key = HmacKey::new("fuzz", secret).expect("a good key");
        let policy = Policy::access(ISSUER, AUDIENCE).expect("a good policy");
        let verifier = Verifier::new(&KeySet::new(key.clone()), policy);
        Self { key, verifier }
    }

    fn verify(&self, token: &str) -> Result<AccessToken<Map<String, Value>>, Error> {
        self.verifier.verify(token, NOW)
    }

    fn compare_borrowed(
        &self,
        token: &str,
        owned: &Result<AccessToken<Map<String, Value>>, Error>,
    ) {
        let mut scratch = Scratch::new();
        let borrowed =
            self.verifier
                .verify_borrowed::<Map<String, Value>>(token, &mut scratch, NOW);
        let agreed = match (owned, &borrowed) {
            (Err(owned), Err(borrowed)) => owned == borrowed,
            (Ok(owned), Ok(borrowed)) => {
                let (ours, theirs) = (owned.registered(), borrowed.registered());
                owned.claims() == borrowed.claims()
                    && (&*ours.iss, &*ours.aud) == (theirs.iss, theirs.aud)
                    && (&*ours.sub, &*ours.jti) == (&*theirs.sub, &*theirs.jti)
                    && ours.sid.as_deref() == theirs.sid.as_deref()
                    && (ours.iat, ours.exp) == (theirs.iat, theirs.exp)
            }
            _ => false,
        };
        assert!(agreed, "the owned and the borrowed form differ");
    }
}

const ISSUER: &str = "https://login.example";
const AUDIENCE: &str = "orders";
const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);
const NOW_SECS: f64 = 1_700_000_000.0;
const HEADER: &[u8] = br#"{"alg":"HS256","kid":"fuzz","typ":"at+jwt"}"#;
const PAYLOAD: &[u8] = br#"{"iss":"https://login.example","aud":"orders","sub":"42","iat":1700000000,"exp":1700003600,"jti":"x"}"#;
