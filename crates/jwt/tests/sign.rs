//! What the signer writes, and what it refuses to.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod common;

use common::*;
use data_encoding::BASE64URL_NOPAD;
use portcullis_core::Timestamp;
use portcullis_jwt::{Error, KeySet, NoClaims, Security, Signer, Subject, UserClaims, Verifier};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

const LIFE: Duration = UserClaims::LIFE;

fn signer() -> Signer {
    Signer::new(&KeySet::new(key("k1")), policy())
}

fn user() -> UserClaims {
    UserClaims {
        email: "alice@example.com".into(),
        role: "admin".into(),
        client_id: "web".into(),
        security: Security {
            second_factor_verified: true,
            ip: "203.0.113.5".into(),
        },
    }
}

fn part(token: &str, at: usize) -> Value {
    let segment = token.split('.').nth(at).unwrap();
    serde_json::from_slice(&BASE64URL_NOPAD.decode(segment.as_bytes()).unwrap()).unwrap()
}

#[test]
fn writes_a_users_claims_with_the_registered_ones_around_them() {
    let subject = Subject::new("42").session("s-1");
    let token = signer()
        .sign_with([7; 16], &user(), subject, NOW, LIFE)
        .unwrap();
    assert_eq!(
        part(&token, 0),
        json!({"alg": "HS256", "kid": "k1", "typ": "at+jwt"})
    );
    assert_eq!(
        part(&token, 1),
        json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": "42",
            "iat": NOW_SECS, "exp": NOW_SECS + 3600,
            "jti": "BwcHBwcHBwcHBwcHBwcHBw", "sid": "s-1",
            "email": "alice@example.com", "role": "admin", "client_id": "web",
            "security": {"2fa_verified": true, "ip": "203.0.113.5"},
        })
    );
    let access = verifier().verify::<UserClaims>(&token, NOW).unwrap();
    assert_eq!(access.claims(), &user());
    assert_eq!(access.registered().sid.as_deref(), Some("s-1"));
    assert_eq!(access.registered().exp, NOW.saturating_add(LIFE));
}

#[test]
fn reads_a_numeric_subject_as_its_decimal_text() {
    for (literal, text) in [
        ("42", "42"),
        ("\"42\"", "42"),
        ("0", "0"),
        ("18446744073709551615", "18446744073709551615"),
    ] {
        assert_eq!(with_claim("sub", literal).unwrap().registered().sub, text);
    }
    for literal in ["-42", "42.0", "4.2e1", "18446744073709551616", "[42]"] {
        assert_eq!(
            with_claim("sub", literal).unwrap_err(),
            Error::Claim("sub"),
            "{literal}"
        );
    }
}

#[test]
fn refuses_claims_that_name_a_registered_one() {
    for name in ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid"] {
        let claims = BTreeMap::from([("role", "admin"), (name, "1")]);
        let answer = signer().sign(&claims, "42", NOW, LIFE);
        assert_eq!(answer, Err(Error::Collision(name)));
    }
}

#[test]
fn refuses_claims_that_are_not_a_strict_object() {
    struct Twice;
    impl serde::Serialize for Twice {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map([("role", "user"), ("role", "admin")])
        }
    }
    struct Failing;
    impl serde::Serialize for Failing {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("no"))
        }
    }
    let sign = |claims: &dyn Fn(&Signer) -> Result<String, Error>| claims(&signer());
    let refused = Err(Error::ClaimsUnwritable);
    assert_eq!(
        sign(&|signer| signer.sign(&Twice, "42", NOW, LIFE)),
        refused
    );
    assert_eq!(
        sign(&|signer| signer.sign(&Failing, "42", NOW, LIFE)),
        refused
    );
    assert_eq!(sign(&|signer| signer.sign(&(), "42", NOW, LIFE)), refused);
    assert_eq!(
        sign(&|signer| signer.sign("role", "42", NOW, LIFE)),
        refused
    );
    assert_eq!(
        sign(&|signer| signer.sign(&[1, 2], "42", NOW, LIFE)),
        refused
    );
    let wide: BTreeMap<String, u8> = (0..252).map(|at| (at.to_string(), 0)).collect();
    assert_eq!(sign(&|signer| signer.sign(&wide, "42", NOW, LIFE)), refused);
}

#[test]
fn refuses_a_subject_or_session_that_is_empty_long_or_has_control_characters() {
    let long = "a".repeat(257);
    for bad in ["", "a\nb", "\u{0}", "\u{85}", long.as_str()] {
        assert_eq!(
            signer().sign(&NoClaims {}, bad, NOW, LIFE),
            Err(Error::Claim("sub"))
        );
        let subject = Subject::new("42").session(bad);
        assert_eq!(
            signer().sign(&NoClaims {}, subject, NOW, LIFE),
            Err(Error::Claim("sid"))
        );
    }
}

#[test]
fn refuses_a_life_that_is_none_too_long_or_past_the_end_of_time() {
    for secs in [0, 3601, u64::MAX] {
        let answer = signer().sign(&NoClaims {}, "42", NOW, Duration::from_secs(secs));
        assert_eq!(answer, Err(Error::Life));
    }
    let half = signer().sign(&NoClaims {}, "42", NOW, Duration::from_millis(999));
    assert_eq!(half, Err(Error::Life));
    let end = signer().sign(&NoClaims {}, "42", Timestamp::MAX, Duration::from_secs(1));
    assert_eq!(end, Err(Error::Life));
}

#[test]
fn refuses_to_write_what_its_own_verifier_would_not_read() {
    let policy = policy().max_bytes(512).unwrap().require("role").unwrap();
    let signer = Signer::new(&KeySet::new(key("k1")), policy);
    let sign = |claims: Value| signer.sign(&claims, "42", NOW, LIFE);
    assert_eq!(sign(json!({})), Err(Error::ClaimMissing("role")));
    assert_eq!(
        sign(json!({"role": null})),
        Err(Error::ClaimMissing("role"))
    );
    assert_eq!(sign(json!({"role": "a".repeat(400)})), Err(Error::TooLong));
    assert!(sign(json!({"role": "admin"})).is_ok());
}

#[test]
fn a_registered_claim_that_the_policy_requires_is_the_signers_to_write() {
    let keys = KeySet::new(key("k1"));
    let names = ["iss", "aud", "sub", "iat", "exp", "jti", "sid", "role"];
    let policy = names
        .into_iter()
        .try_fold(policy(), |policy, name| policy.require(name))
        .unwrap();
    let signer = Signer::new(&keys, policy.clone());
    let sign = |claims: Value, subject: Subject<'_>| signer.sign(&claims, subject, NOW, LIFE);
    let subject = Subject::new("42").session("s-1");
    let token = sign(json!({"role": "admin"}), subject).unwrap();
    let access = Verifier::new(&keys, policy).verify::<NoClaims>(&token, NOW);
    assert_eq!(access.unwrap().registered().sid.as_deref(), Some("s-1"));

    let without_session = sign(json!({"role": "admin"}), Subject::new("42"));
    assert_eq!(without_session, Err(Error::ClaimMissing("sid")));
    let without_role = sign(json!({}), subject);
    assert_eq!(without_role, Err(Error::ClaimMissing("role")));
}

#[test]
fn the_most_members_that_can_be_signed_can_be_verified() {
    let members = |count: usize| (0..count).map(|at| (at.to_string(), 0)).collect();
    let most: BTreeMap<String, u8> = members(249);
    let one_more: BTreeMap<String, u8> = members(250);
    let subject = Subject::new("42").session("s");
    let token = signer().sign(&most, subject, NOW, LIFE).unwrap();
    assert!(verifier().verify::<NoClaims>(&token, NOW).is_ok());
    let refused = signer().sign(&one_more, subject, NOW, LIFE);
    assert_eq!(refused, Err(Error::ClaimsUnwritable));
}

#[test]
fn a_new_id_for_every_token_and_the_same_token_for_the_same_arguments() {
    let sign = || signer().sign(&user(), "42", NOW, LIFE).unwrap();
    let ids: HashSet<String> = (0..64)
        .map(|_| part(&sign(), 1)["jti"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), 64);
    assert!(ids.iter().all(|id| id.len() == 22));
    let fixed = || {
        signer()
            .sign_with([1; 16], &user(), "42", NOW, LIFE)
            .unwrap()
    };
    assert_eq!(fixed(), fixed());
}

fn claim() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::hash_map(any::<String>(), inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_signed_verifies_to_the_same_claims(
        claims in proptest::collection::btree_map("[a-zA-Z\"\\\\ü]{4,9}", claim(), 0..6),
        sub in "[^\\p{Cc}]{1,40}",
        life_secs in 1_u64..=3600,
        after_millis in 0_u64..3_600_000,
    ) {
        let life = Duration::from_secs(life_secs);
        let token = signer().sign(&claims, sub.as_str(), NOW, life);
        prop_assume!(token != Err(Error::TooLong));
        let token = token.unwrap();
        let now = NOW.saturating_add(Duration::from_millis(after_millis));
        let answer = verifier().verify::<BTreeMap<String, Value>>(&token, now);
        if after_millis >= (life_secs + 60) * 1000 {
            prop_assert_eq!(answer.unwrap_err(), Error::Expired);
        } else {
            let (registered, mut read) = answer.unwrap().into_parts();
            prop_assert_eq!(registered.sub, sub);
            for name in ["iss", "aud", "sub", "iat", "exp", "jti"] {
                prop_assert!(read.remove(name).is_some());
            }
            prop_assert_eq!(read, claims);
        }
    }

    #[test]
    fn no_changed_byte_leaves_a_token_valid(at in any::<prop::sample::Index>(), byte in 0_u8..128) {
        let token = signer().sign_with([1; 16], &user(), "42", NOW, LIFE).unwrap();
        let mut changed = token.clone().into_bytes();
        let at = at.index(changed.len());
        prop_assume!(changed[at] != byte);
        changed[at] = byte;
        let changed = String::from_utf8(changed).unwrap();
        prop_assert!(verifier().verify::<UserClaims>(&changed, NOW).is_err());
    }

    #[test]
    fn no_text_makes_the_verifier_panic(text in any::<String>(), header in any::<Vec<u8>>(), payload in any::<Vec<u8>>()) {
        let verifier: Verifier = verifier();
        prop_assert!(verifier.verify::<UserClaims>(&text, NOW).is_err());
        let signed = portcullis_jwt::testing::forge(&key("k1"), &header, &payload);
        prop_assert!(verifier.verify::<UserClaims>(&signed, NOW).is_err());
        let honest = portcullis_jwt::testing::forge(&key("k1"), HEADER.as_bytes(), &payload);
        prop_assert!(verifier.verify::<UserClaims>(&honest, NOW).is_err());
    }
}
