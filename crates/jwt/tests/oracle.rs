//! What the verifier accepts, `jsonwebtoken` accepts under an equal configuration.
//!
//! The oracle is built without its cryptography, which would bring four signature crates; it is
//! given HMAC here and keeps everything that is in question: segments, base64url, JSON, claims.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod common;

use std::cell::Cell;

use common::generate::{change, dates, extra, member, mutation, object};
use common::*;
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::signature::{Error as SignatureError, Verifier as SignatureVerifier};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use portcullis_core::{Clock, SystemClock};
use portcullis_jwt::testing::forge;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sha2::Sha256;

struct Hs256(Hmac<Sha256>);

impl SignatureVerifier<Vec<u8>> for Hs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), SignatureError> {
        let mac = self.0.clone().chain_update(message);
        mac.verify_slice(signature)
            .map_err(|_| SignatureError::new())
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| unreachable!("the oracle signs nothing"),
    verifier_factory: |_, key| {
        let mac = Hmac::new_from_slice(key.try_get_as_bytes()?).unwrap();
        Ok(Box::new(Hs256(mac)))
    },
    key_utils: KeyUtils::new_unimplemented(),
};

/// The same rules as [`policy`], as far as the oracle knows them.
fn oracle(token: &str) -> Result<Claims, jsonwebtoken::errors::Error> {
    // Fails from the second time on, when it is in place already.
    let _ = PROVIDER.install_default();
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    validation.set_required_spec_claims(&["iss", "aud", "exp"]);
    validation.validate_nbf = true;
    validation.leeway = 60;
    let key = DecodingKey::from_secret(SECRET);
    decode::<Claims>(token, &key, &validation).map(|data| data.claims)
}

fn header() -> impl Strategy<Value = String> {
    let quoted = |texts: &[&str]| {
        texts
            .iter()
            .map(|text| format!("\"{text}\""))
            .collect::<Vec<_>>()
    };
    (
        member(
            "alg",
            quoted(&["HS256", "HS256", "HS256", "\\u0048S256", "none"]),
        ),
        member(
            "typ",
            quoted(&["at+jwt", "at+jwt", "application/at+jwt", "JWT"]),
        ),
        member("kid", quoted(&["k1", "k1", "k1", "k2"])),
        extra(),
    )
        .prop_flat_map(|(alg, typ, kid, extra)| object([alg, typ, kid, extra]))
}

fn payload(now_secs: u64) -> impl Strategy<Value = String> {
    let quoted = |text: &str| vec![format!("\"{text}\"")];
    let audiences = vec![format!("\"{AUDIENCE}\""), format!("[\"a\",\"{AUDIENCE}\"]")];
    (
        member("iss", quoted(ISSUER)),
        member("aud", audiences),
        member("sub", vec!["\"42\"".into(), "42".into()]),
        member("jti", quoted("id")),
        member("iat", dates(now_secs, &[-10, -1, 0, 50])),
        member("exp", dates(now_secs, &[-70, -40, 1, 600, 900, 3500, 4000])),
        prop_oneof![3 => Just(Vec::new()), 1 => member("nbf", dates(now_secs, &[-10, 0, 30, 70]))],
        extra(),
    )
        .prop_flat_map(|(iss, aud, sub, jti, iat, exp, nbf, extra)| {
            object([iss, aud, sub, jti, iat, exp, nbf, extra])
        })
}

#[test]
fn whatever_is_accepted_here_the_oracle_accepts() {
    let now = SystemClock.now();
    let (ours, theirs, all) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let config = Config {
        cases: 6_000,
        failure_persistence: None,
        ..Config::default()
    };
    let strategy = (header(), payload(now.as_unix_secs()), mutation());
    TestRunner::new(config)
        .run(&strategy, |(header, payload, mutation)| {
            let mut token = forge(&key("k1"), header.as_bytes(), payload.as_bytes());
            change(&mut token, mutation);
            all.set(all.get() + 1);
            let theirs_now = oracle(&token);
            theirs.set(theirs.get() + u32::from(theirs_now.is_ok()));
            if let Ok(access) = verifier().verify::<Claims>(&token, now) {
                ours.set(ours.get() + 1);
                let claims = theirs_now.map_err(|error| {
                    TestCaseError::fail(format!("the oracle refuses {header} {payload}: {error}"))
                })?;
                prop_assert_eq!(access.claims(), &claims);
            }
            Ok(())
        })
        .unwrap();
    let (ours, theirs, all) = (ours.get(), theirs.get(), all.get());
    eprintln!("of {all} tokens {ours} were accepted, {theirs} by the oracle");
    assert!(
        ours > 100,
        "too few tokens were accepted to say anything: {ours} of {all}"
    );
    assert!(theirs > ours && all > theirs, "the tokens are too tame");
}
