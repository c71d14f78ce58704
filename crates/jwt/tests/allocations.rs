//! How often a verification allocates. In a file of its own: what counts them is this binary's allocator.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::hint::black_box;

use allocation_counter::measure;
use common::*;
use portcullis_core::Timestamp;
use portcullis_jwt::testing::forge;
use portcullis_jwt::{Error, KeySet, Scratch, Verifier};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct User<'a> {
    role: &'a str,
    #[serde(borrow)]
    security: Security<'a>,
}

#[derive(Deserialize)]
struct Security<'a> {
    ip: &'a str,
}

fn user() -> Value {
    let mut claims = good();
    claims["sid"] = "u3yH0dVb".into();
    claims["role"] = "admin".into();
    claims["security"] = json!({ "2fa_verified": true, "ip": "203.0.113.5" });
    claims
}

fn token(claims: &Value) -> String {
    forge(&key("k1"), HEADER.as_bytes(), claims.to_string().as_bytes())
}

/// How often one verification in `scratch` allocates, and what it says.
fn count(
    verifier: &Verifier,
    scratch: &mut Scratch,
    token: &str,
    now: Timestamp,
) -> (u64, Result<(), Error>) {
    let mut said = Ok(());
    let counted = measure(|| {
        let read = verifier.verify_borrowed::<User<'_>>(black_box(token), scratch, now);
        said = read.map(|read| {
            let ip = read.claims().security.ip;
            assert!(ip == "203.0.113.5" && read.claims().role == "admin");
        });
    });
    (counted.count_total, said)
}

#[test]
fn a_borrowed_verification_allocates_nothing() {
    let (verifier, mut scratch) = (verifier(), Scratch::new());
    let with = |name: &str, value: Value| {
        let mut claims = user();
        claims[name] = value;
        token(&claims)
    };
    // From the first call on: the header is the signer's own, and the payload fits in place.
    for token in [
        token(&user()),
        with("sub", 42.into()),
        with("sub", u64::MAX.into()),
        with("aud", json!(["other", AUDIENCE, "third"])),
        with("nbf", NOW_SECS.into()),
        with("more", "x".repeat(700).into()),
    ] {
        let counted = count(&verifier, &mut scratch, &token, NOW);
        assert_eq!(counted, (0, Ok(())), "{token}");
    }
}

/// What the documentation leaves out of "nothing", and no more than that.
#[test]
fn what_is_left_out_allocates_as_it_is_said() {
    let (verifier, mut scratch) = (verifier(), Scratch::new());
    let with = |value: Value| {
        let mut claims = user();
        claims["more"] = value;
        token(&claims)
    };
    let one_deep = count(&verifier, &mut scratch, &with(json!([1, 2])), NOW);
    assert_eq!(one_deep, (0, Ok(())));
    let nested = with(json!({ "roles": ["admin"] }));
    let nested = count(&verifier, &mut scratch, &nested, NOW);
    assert_eq!(nested, (1, Ok(())), "a nest that nobody reads");

    // Two spellings more than the signer's are learnt for a key, and no third.
    for (spaces, learnt) in [(1, true), (2, true), (3, false)] {
        let header = HEADER.replace(':', &format!(":{}", " ".repeat(spaces)));
        let token = forge(&key("k1"), header.as_bytes(), user().to_string().as_bytes());
        let (first, said) = count(&verifier, &mut scratch, &token, NOW);
        assert!(first > 0 && said.is_ok(), "{spaces}");
        let (again, said) = count(&verifier, &mut scratch, &token, NOW);
        assert!((again == 0) == learnt && said.is_ok(), "{spaces}: {again}");
    }
}

#[test]
fn a_refusal_allocates_nothing() {
    let (verifier, mut scratch) = (verifier(), Scratch::new());
    let forged = forge(
        &stranger("k1"),
        HEADER.as_bytes(),
        user().to_string().as_bytes(),
    );
    let late = Timestamp::from_unix_secs(NOW_SECS + 660);
    for (token, now, error) in [
        (forged, NOW, Error::Signature),
        (token(&user()), late, Error::Expired),
        ("a.b".to_owned(), NOW, Error::NotCompact),
    ] {
        let counted = count(&verifier, &mut scratch, &token, now);
        assert_eq!(counted, (0, Err(error)));
    }
}

#[test]
fn a_long_payload_allocates_once_in_a_scratch_that_is_kept() {
    let (verifier, mut scratch) = (verifier(), Scratch::new());
    let mut claims = user();
    claims["more"] = "x".repeat(3000).into();
    let token = token(&claims);
    for allocations in [1, 0, 0] {
        let counted = count(&verifier, &mut scratch, &token, NOW);
        assert_eq!(counted, (allocations, Ok(())));
    }
}

/// What is counted is seen: the owned form cannot do without.
#[test]
fn the_owned_form_allocates_for_its_texts_alone() {
    let verifier = Verifier::new(&KeySet::new(key("k1")), policy());
    let token = token(&user());
    let counted = measure(|| {
        let read = verifier.verify::<portcullis_jwt::NoClaims>(black_box(&token), NOW);
        assert_eq!(read.unwrap().registered().sub, "42");
    });
    // `sub`, `jti` and `sid`.
    assert_eq!(counted.count_total, 3);
}
