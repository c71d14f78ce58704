//! One named test for every known way to get a client's own token accepted though its claims are wrong.
#![cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod common;

use std::time::Duration;

use common::assertion::*;
use common::rsa::{ALICE, alice, mallory};
use common::{NOW, NOW_SECS};
use portcullis_core::{Reason, Timestamp};
use portcullis_jwt::testing::forge_rsa;
use portcullis_jwt::{AssertionSigner, Assertions, Error, JsonFault};
use serde_json::json;

#[test]
fn refuses_a_life_of_more_than_an_hour_though_by_a_second_or_a_part_of_one() {
    for exp in [
        "1700003601",
        "1700003600.1",
        "1700003600.000000001",
        "1700086400",
        "18446744073",
    ] {
        assert_eq!(with_claim("exp", exp), Err(Error::Life), "{exp}");
    }
    assert_eq!(with_claim("iat", "1699999999.9"), Err(Error::Life));
    assert!(with_claim("exp", "1700003600").is_ok());
    let short = || policy().max_life_secs(600).unwrap();
    let token = |secs: u64| signed(HEADER, &payload_with("exp", &(NOW_SECS + secs).to_string()));
    assert!(verify_under(short(), &token(600), NOW).is_ok());
    let answer = verify_under(short(), &token(601), NOW);
    assert_eq!(answer, Err(Error::Life));
}

#[test]
fn refuses_an_end_that_is_not_after_the_beginning() {
    for exp in ["1700000000", "1699999999", "0", "1700000000.9"] {
        assert_eq!(with_claim("exp", exp), Err(Error::Life), "{exp}");
    }
}

#[test]
fn refuses_a_token_without_iss_iat_or_exp() {
    for name in ["iss", "iat", "exp"] {
        assert_eq!(with_claim(name, ""), Err(Error::ClaimMissing(name)));
        assert_eq!(with_claim(name, "null"), Err(Error::Claim(name)));
    }
}

#[test]
fn refuses_claims_of_the_wrong_json_type() {
    let wrong: [(&str, &[&str]); 7] = [
        (
            "iss",
            &[
                "1",
                "true",
                "{}",
                r#"["alice@example.com"]"#,
                r#""""#,
                r#""a\u0000b""#,
            ],
        ),
        (
            "iat",
            &[r#""1700000000""#, "-1", "1e9", "[]", "true", "18446744074"],
        ),
        (
            "exp",
            &[
                r#""1700003600""#,
                "-1",
                "1.7e9",
                "{}",
                "18446744073709551616",
                "1e308",
            ],
        ),
        ("nbf", &["null", r#""1700000000""#, "-1", "1e9", "[1]"]),
        ("sub", &["null", "true", "-1", "1.5", "[]", "{}", r#""""#]),
        ("jti", &["null", "1", "[]", "{}", r#""""#, r#""\n""#]),
        (
            "aud",
            &[
                "null",
                "1",
                "{}",
                "[1]",
                r#"["https://api.example",1]"#,
                "true",
            ],
        ),
    ];
    for (name, values) in wrong {
        for value in values {
            assert_eq!(
                with_claim(name, value),
                Err(Error::Claim(name)),
                "{name} {value}"
            );
        }
    }
    assert_eq!(
        with_claim("exp", "1e309"),
        Err(Error::PayloadJson(JsonFault::NotJson))
    );
    let long = format!(r#""{}""#, "i".repeat(257));
    assert_eq!(with_claim("iss", &long), Err(Error::Claim("iss")));
    for (name, value) in [
        ("sub", "42"),
        ("sub", r#""42""#),
        ("jti", r#""a""#),
        ("nbf", "1700000060"),
    ] {
        assert!(with_claim(name, value).is_ok(), "{name} {value}");
    }
}

#[test]
fn refuses_expired_and_early_tokens_only_when_they_are_otherwise_good() {
    let (life, leeway) = (3600, 60);
    let token = token();
    let last = at(NOW_SECS + life + leeway - 1);
    assert!(verify_under(policy(), &token, last).is_ok());
    for secs in [NOW_SECS + life + leeway, NOW_SECS + 86_400, u64::MAX] {
        assert_eq!(
            verify_under(policy(), &token, at(secs)),
            Err(Error::Expired)
        );
    }
    assert_eq!(Error::Expired.reason(), Reason::TokenExpired);
    assert!(verify_under(policy(), &token, at(NOW_SECS - leeway)).is_ok());
    for secs in [NOW_SECS - leeway - 1, 0] {
        let answer = verify_under(policy(), &token, at(secs));
        assert_eq!(answer, Err(Error::NotYetValid));
    }
    assert_eq!(with_claim("nbf", "1700000061"), Err(Error::NotYetValid));
    assert_eq!(with_claim("nbf", "1700000060.1"), Err(Error::NotYetValid));
    let late = at(NOW_SECS + 86_400);
    let forged = forge_rsa(mallory(), HEADER.as_bytes(), good().to_string().as_bytes());
    assert_eq!(verify_under(policy(), &forged, late), Err(Error::Signature));
    let long = signed(HEADER, &payload_with("exp", "1700003601"));
    assert_eq!(verify_under(policy(), &long, late), Err(Error::Life));
    let elsewhere = signed(HEADER, &payload_with("aud", r#""other""#));
    assert_eq!(
        verify_under(policy(), &elsewhere, late),
        Err(Error::Audience)
    );
}

#[test]
fn refuses_another_audience_and_none_at_all_where_one_is_demanded() {
    let demanding = |value: &str| {
        let token = signed(HEADER, &payload_with("aud", value));
        verify_under(policy().require_audience(), &token, NOW)
    };
    for value in [
        r#""https://api.example/""#,
        r#""https://API.example""#,
        r#""https://api.example.evil""#,
        r#""""#,
        "[]",
        r#"["https://other.example"]"#,
    ] {
        assert_eq!(with_claim("aud", value), Err(Error::Audience), "{value}");
        assert_eq!(demanding(value), Err(Error::Audience), "{value}");
    }
    for value in [
        r#""https://api.example""#,
        r#"["https://other.example","https://api.example"]"#,
    ] {
        assert!(with_claim("aud", value).is_ok() && demanding(value).is_ok());
    }
    assert!(with_claim("aud", "").is_ok());
    assert_eq!(demanding(""), Err(Error::ClaimMissing("aud")));
}

#[test]
fn refuses_a_claim_that_is_required_and_absent_or_of_another_shape() {
    let needs = || policy().require("uid").unwrap();
    let token = |value: &str| signed(HEADER, &payload_with("uid", value));
    for value in ["", "null"] {
        let answer = verify_under(needs(), &token(value), NOW);
        assert_eq!(answer, Err(Error::ClaimMissing("uid")));
    }
    assert!(verify_under(needs(), &token("7"), NOW).is_ok());

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Account {
        uid: String,
    }
    let assertions = Assertions::new(needs());
    let token = token("7");
    let begun = assertions.begin(&token).unwrap();
    let answer = begun.verify::<Account>(&[alice().public()], NOW);
    assert_eq!(answer.unwrap_err(), Error::ClaimsShape);
}

#[test]
fn refuses_members_that_appear_twice_in_header_or_payload_at_any_depth() {
    let twice = Error::PayloadJson(JsonFault::DuplicateMember);
    for member in [
        r#""iss":"alice@example.com""#,
        r#""\u0069ss":"admin@example.com""#,
        r#""exp":1700000001"#,
        r#""uid":1,"uid":2"#,
        r#""deep":[{"a":1,"a":2}]"#,
    ] {
        let mut payload = good().to_string();
        payload.pop();
        let payload = format!("{payload},{member}}}");
        assert_eq!(verify(&signed(HEADER, &payload)), Err(twice), "{member}");
    }
    let header = r#"{"alg":"RS256","alg":"RS256"}"#;
    let twice = Error::HeaderJson(JsonFault::DuplicateMember);
    assert_eq!(with_header(header), Err(twice));
}

#[test]
fn refuses_a_payload_that_is_not_an_object_of_strict_json() {
    for (payload, fault) in [
        ("[]", JsonFault::NotObject),
        ("\"alice@example.com\"", JsonFault::NotObject),
        ("null", JsonFault::NotObject),
        ("", JsonFault::NotJson),
        ("{", JsonFault::NotJson),
        ("{} {}", JsonFault::NotJson),
    ] {
        let answer = verify(&signed(HEADER, payload));
        assert_eq!(answer, Err(Error::PayloadJson(fault)), "{payload}");
    }
    let token = forge_rsa(alice(), HEADER.as_bytes(), b"{\"iss\":\"\xff\"}");
    assert_eq!(verify(&token), Err(Error::PayloadJson(JsonFault::NotUtf8)));
}

#[test]
fn the_signer_refuses_what_no_verifier_would_accept() {
    let new = |issuer: &str, life: Duration| AssertionSigner::new(alice().clone(), issuer, life);
    for life in [
        Duration::ZERO,
        Duration::from_millis(999),
        Duration::from_millis(3_600_001),
        Duration::MAX,
    ] {
        assert_eq!(new(ALICE, life).unwrap_err(), Error::Life, "{life:?}");
    }
    for issuer in ["", "a\nb", &"i".repeat(257)] {
        assert_eq!(new(issuer, HOUR).unwrap_err(), Error::Claim("iss"));
        let signer = new(ALICE, HOUR).unwrap();
        assert_eq!(signer.audience(issuer).unwrap_err(), Error::Claim("aud"));
    }
    let signer = new(ALICE, HOUR).unwrap();
    assert!(matches!(signer.clone().key_id("a/b"), Err(Error::Key(_))));
    for name in ["iss", "iat", "exp", "nbf"] {
        let answer = signer.sign_claims(&json!({name: 1}), NOW);
        assert_eq!(answer, Err(Error::Collision(name)));
    }
    for name in ["sub", "jti", "aud"] {
        let answer = signer.sign_claims(&json!({name: [1]}), NOW);
        assert_eq!(answer, Err(Error::Claim(name)));
    }
    assert!(signer.sign_claims(&json!({"aud": AUDIENCE}), NOW).is_ok());
    let answer = signer.clone().audience(AUDIENCE).unwrap();
    let answer = answer.sign_claims(&json!({"aud": AUDIENCE}), NOW);
    assert_eq!(answer, Err(Error::Collision("aud")));
    for claims in [json!([]), json!("x"), json!(null)] {
        let answer = signer.sign_claims(&claims, NOW);
        assert_eq!(answer, Err(Error::ClaimsUnwritable));
    }
    let answer = signer.sign_claims(&json!({"x": "x".repeat(8192)}), NOW);
    assert_eq!(answer, Err(Error::TooLong));
    assert_eq!(signer.sign(Timestamp::MAX), Err(Error::Life));
}
