//! What is accepted of a client, `jsonwebtoken` accepts under an equal configuration.
//!
//! The oracle is handed the check of a signature, which vectors and other programs judge elsewhere; it
//! keeps everything that is in question: segments, base64url, JSON, claims.
#![cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod common;

use std::cell::Cell;

use common::generate::{change, dates, extra, member, mutation, object};
use common::rsa::{ALICE, alice};
use common::{AUDIENCE, Claims};
use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::signature::{Error as SignatureError, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use portcullis_core::{Clock, SystemClock, Timestamp};
use portcullis_jwt::testing::{check_rsa, forge_rsa};
use portcullis_jwt::{AssertionPolicy, Assertions, ClientAssertion, Error, RsaPublicKey};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

struct Rs256(RsaPublicKey);

impl Verifier<Vec<u8>> for Rs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), SignatureError> {
        if check_rsa(&self.0, message, signature) {
            return Ok(());
        }
        Err(SignatureError::new())
    }
}

impl JwtVerifier for Rs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::RS256
    }
}

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| unreachable!("the oracle signs nothing"),
    verifier_factory: |_, _| Ok(Box::new(Rs256(alice().public()))),
    key_utils: KeyUtils::new_unimplemented(),
};

/// The same rules as the policy's, as far as the oracle knows them.
fn oracle(token: &str) -> Result<Claims, jsonwebtoken::errors::Error> {
    // Fails from the second time on, when it is in place already.
    let _ = PROVIDER.install_default();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_issuer(&[ALICE]);
    validation.set_audience(&[AUDIENCE]);
    validation.set_required_spec_claims(&["iss", "exp"]);
    validation.validate_nbf = true;
    validation.leeway = 60;
    let key = DecodingKey::from_rsa_der(b"the provider knows the key");
    decode::<Claims>(token, &key, &validation).map(|data| data.claims)
}

fn ours(token: &str, now: Timestamp) -> Result<ClientAssertion<Claims>, Error> {
    let begun = Assertions::new(AssertionPolicy::new(AUDIENCE).unwrap()).begin(token)?;
    // As a server does that knows one client.
    let keys = [alice().public()];
    let registered = if begun.issuer() == ALICE {
        &keys[..]
    } else {
        &[]
    };
    begun.verify(registered, now)
}

fn quoted(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| format!("\"{text}\"")).collect()
}

fn header() -> impl Strategy<Value = String> {
    let algorithms = ["RS256", "RS256", "RS256", "\\u0052S256", "none", "HS256"];
    let kinds = ["JWT", "JWT", "client-authentication+jwt", "at+jwt"];
    (
        member("alg", quoted(&algorithms)),
        prop_oneof![1 => Just(Vec::new()), 3 => member("typ", quoted(&kinds))],
        prop_oneof![1 => Just(Vec::new()), 1 => member("kid", quoted(&["k1"]))],
        extra(),
    )
        .prop_flat_map(|(alg, typ, kid, extra)| object([alg, typ, kid, extra]))
}

fn payload(now_secs: u64) -> impl Strategy<Value = String> {
    let audiences = vec![format!("\"{AUDIENCE}\""), format!("[\"a\",\"{AUDIENCE}\"]")];
    let maybe = |members| prop_oneof![2 => Just(Vec::new()), 1 => members];
    (
        member("iss", quoted(&[ALICE])),
        member("iat", dates(now_secs, &[-10, -1, 0, 50])),
        member("exp", dates(now_secs, &[-70, -40, 1, 600, 900, 3500, 4000])),
        maybe(member("aud", audiences).boxed()),
        maybe(member("sub", vec!["\"42\"".into(), "42".into()]).boxed()),
        maybe(member("jti", quoted(&["id"])).boxed()),
        maybe(member("nbf", dates(now_secs, &[-10, 0, 30, 70])).boxed()),
        extra(),
    )
        .prop_flat_map(|(iss, iat, exp, aud, sub, jti, nbf, extra)| {
            object([iss, iat, exp, aud, sub, jti, nbf, extra])
        })
}

/// Unoptimised, the backend in Rust alone takes a tenth of a second to sign.
const CASES: u32 = if cfg!(feature = "aws-lc") { 3_000 } else { 200 };

#[test]
fn whatever_is_accepted_of_a_client_the_oracle_accepts() {
    let now = SystemClock.now();
    let (accepted, theirs, all) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    let strategy = (header(), payload(now.as_unix_secs()), mutation());
    TestRunner::new(config)
        .run(&strategy, |(header, payload, mutation)| {
            let mut token = forge_rsa(alice(), header.as_bytes(), payload.as_bytes());
            change(&mut token, mutation);
            all.set(all.get() + 1);
            let theirs_now = oracle(&token);
            theirs.set(theirs.get() + u32::from(theirs_now.is_ok()));
            if let Ok(client) = ours(&token, now) {
                accepted.set(accepted.get() + 1);
                let claims = theirs_now.map_err(|error| {
                    TestCaseError::fail(format!("the oracle refuses {header} {payload}: {error}"))
                })?;
                prop_assert_eq!(client.claims(), &claims);
            }
            Ok(())
        })
        .unwrap();
    let (accepted, theirs, all) = (accepted.get(), theirs.get(), all.get());
    eprintln!("of {all} tokens {accepted} were accepted, {theirs} by the oracle");
    assert!(
        accepted > CASES / 30,
        "too few tokens were accepted to say anything: {accepted} of {all}"
    );
    assert!(theirs > accepted && all > theirs, "the tokens are too tame");
}
