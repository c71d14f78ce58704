//! One named test for every known way to get bad claims accepted.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod common;

use common::*;
use portcullis_core::{Reason, Timestamp};
use portcullis_jwt::testing::forge;
use portcullis_jwt::{Error, JsonFault, KeySet, NoClaims, Policy, Signer, Verifier};
use std::time::Duration;

fn token() -> String {
    forge(&key("k1"), HEADER.as_bytes(), good().to_string().as_bytes())
}

fn verify(token: &str) -> Result<(), Error> {
    verifier().verify::<Claims>(token, NOW).map(|_| ())
}

#[test]
fn refuses_duplicate_members_registered_custom_nested_and_in_the_header() {
    let duplicate = Error::PayloadJson(JsonFault::DuplicateMember);
    let good = good().to_string();
    for more in [
        r#""sub":"1""#,
        r#""s\u0075b":"1""#,
        r#""exp":9999999999"#,
        r#""role":"user","role":"admin""#,
        r#""security":{"ip":"a","2fa_verified":false,"2fa_verified":true}"#,
        r#""list":[[{"a":1,"a":1}]]"#,
    ] {
        let text = format!("{},{more}}}", &good[..good.len() - 1]);
        assert_eq!(with_payload(&text).unwrap_err(), duplicate, "{more}");
    }
    for header in [
        r#"{"alg":"none","alg":"HS256","kid":"k1","typ":"at+jwt"}"#,
        r#"{"alg":"HS256","kid":"k1","kid":"k1","typ":"at+jwt"}"#,
        r#"{"alg":"HS256","kid":"k1","typ":"at+jwt","x":{"y":1,"y":1}}"#,
    ] {
        let answer = with_header(header).unwrap_err();
        assert_eq!(answer, Error::HeaderJson(JsonFault::DuplicateMember));
    }
}

#[test]
fn refuses_a_payload_or_header_that_is_not_an_object() {
    for text in ["[]", "[{}]", "null", "\"sub\"", "42", "true"] {
        assert_eq!(
            with_payload(text).unwrap_err(),
            Error::PayloadJson(JsonFault::NotObject),
            "{text}"
        );
        assert_eq!(
            with_header(text).unwrap_err(),
            Error::HeaderJson(JsonFault::NotObject),
            "{text}"
        );
    }
    for text in ["", " ", "{", "{}{}", "<xml/>"] {
        assert_eq!(
            with_payload(text).unwrap_err(),
            Error::PayloadJson(JsonFault::NotJson),
            "{text}"
        );
        assert_eq!(
            with_header(text).unwrap_err(),
            Error::HeaderJson(JsonFault::NotJson),
            "{text}"
        );
    }
    let latin = forge(&key("k1"), HEADER.as_bytes(), b"{\"a\":\"\xe9\"}");
    assert_eq!(verify(&latin), Err(Error::PayloadJson(JsonFault::NotUtf8)));
}

#[test]
fn refuses_the_wrong_json_type_of_each_registered_claim() {
    let strings = ["null", "true", "[]", "{}", "1.5", "-1", "\"\"", "[\"42\"]"];
    for name in ["iss", "sub", "jti", "sid"] {
        for value in strings {
            let answer = with_claim(name, value).unwrap_err();
            let empty_issuer = name == "iss" && value == "\"\"";
            let expected = if empty_issuer {
                Error::Issuer
            } else {
                Error::Claim(name)
            };
            assert_eq!(answer, expected, "{name} {value}");
        }
    }
    for value in [
        "null",
        "true",
        "{}",
        "1",
        "[1]",
        "[\"orders\",1]",
        "[null]",
        "[[\"orders\"]]",
    ] {
        assert_eq!(
            with_claim("aud", value).unwrap_err(),
            Error::Claim("aud"),
            "{value}"
        );
    }
    for name in ["exp", "nbf", "iat"] {
        for value in [
            "null",
            "true",
            "[]",
            "{}",
            "\"1700000600\"",
            "[1700000600]",
            "\"\"",
        ] {
            assert_eq!(
                with_claim(name, value).unwrap_err(),
                Error::Claim(name),
                "{name} {value}"
            );
        }
    }
}

#[test]
fn refuses_an_issuer_that_is_an_array_or_only_begins_like_ours() {
    assert_eq!(
        with_claim("iss", r#"["https://login.example"]"#).unwrap_err(),
        Error::Claim("iss")
    );
    for other in [
        "https://login.example/",
        "https://login.example.evil",
        "https://login.exampl",
        "HTTPS://login.example",
        "https://login.example ",
        "http://login.example",
    ] {
        assert_eq!(
            with_claim("iss", &format!("\"{other}\"")).unwrap_err(),
            Error::Issuer,
            "{other}"
        );
    }
}

#[test]
fn refuses_another_audience_and_an_empty_list_and_finds_ours_in_a_longer_one() {
    for other in [
        r#""invoices""#,
        r#""order""#,
        r#""orders,invoices""#,
        r#""ORDERS""#,
        r#""""#,
        "[]",
        r#"["invoices","order"]"#,
    ] {
        assert_eq!(
            with_claim("aud", other).unwrap_err(),
            Error::Audience,
            "{other}"
        );
    }
    let access = with_claim("aud", r#"["invoices","orders"]"#).unwrap();
    assert_eq!(&*access.registered().aud, AUDIENCE);
}

#[test]
fn refuses_dates_that_are_negative_huge_or_in_exponents() {
    for name in ["exp", "nbf", "iat"] {
        for value in [
            "-1",
            "-0",
            "-1.5",
            "1e9",
            "1.7E9",
            "18446744074",
            "18446744073709551615",
            "18446744073709551616",
            "340282366920938463463374607431768211456",
        ] {
            assert_eq!(
                with_claim(name, value).unwrap_err(),
                Error::Claim(name),
                "{name} {value}"
            );
        }
        let infinite = with_claim(name, "1e309").unwrap_err();
        assert_eq!(infinite, Error::PayloadJson(JsonFault::NotJson));
    }
}

#[test]
fn the_leeway_overflows_at_neither_end_of_time() {
    let policy = policy().leeway_secs(300).unwrap();
    let verifier = Verifier::new(&KeySet::new(key("k1")), policy);
    for (iat, exp) in [(0_u64, 1_u64), (18_446_744_000, 18_446_744_073), (0, 0)] {
        let mut claims = good();
        claims["iat"] = iat.into();
        claims["exp"] = exp.into();
        let token = forge(&key("k1"), HEADER.as_bytes(), claims.to_string().as_bytes());
        for now in [
            Timestamp::UNIX_EPOCH,
            Timestamp::from_unix_secs(1),
            NOW,
            Timestamp::MAX,
        ] {
            let answer = verifier.verify::<Claims>(&token, now);
            let inside = exp == 1 && now.as_unix_secs() <= 1;
            assert_eq!(answer.is_ok(), inside, "{iat} {exp} {now}: {answer:?}");
        }
    }
}

#[test]
fn refuses_an_absent_required_claim() {
    for name in ["iss", "aud", "sub", "iat", "exp", "jti"] {
        assert_eq!(with_claim(name, "").unwrap_err(), Error::ClaimMissing(name));
    }
    let policy = policy()
        .require("client_id")
        .unwrap()
        .require("role")
        .unwrap();
    let verifier = Verifier::new(&KeySet::new(key("k1")), policy);
    let check = |more: &str| {
        let good = good().to_string();
        let text = format!("{}{more}}}", &good[..good.len() - 1]);
        let token = forge(&key("k1"), HEADER.as_bytes(), text.as_bytes());
        verifier.verify::<Claims>(&token, NOW).map(|_| ())
    };
    assert_eq!(check(""), Err(Error::ClaimMissing("client_id")));
    assert_eq!(
        check(r#","client_id":"web""#),
        Err(Error::ClaimMissing("role"))
    );
    assert_eq!(
        check(r#","client_id":null,"role":"user""#),
        Err(Error::ClaimMissing("client_id"))
    );
    assert_eq!(
        check(r#","nested":{"client_id":"web"},"role":"user""#),
        Err(Error::ClaimMissing("client_id"))
    );
    assert_eq!(check(r#","client_id":"web","role":"user""#), Ok(()));
}

#[test]
fn refuses_a_token_issued_in_the_future_and_one_not_valid_yet_beyond_the_leeway() {
    for name in ["iat", "nbf"] {
        let at = |secs: u64| with_claim(name, &secs.to_string()).map(|_| ());
        assert_eq!(at(NOW_SECS + 60), Ok(()), "{name}");
        assert_eq!(at(NOW_SECS + 61), Err(Error::NotYetValid), "{name}");
        let fraction = with_claim(name, &format!("{}.5", NOW_SECS + 60)).unwrap_err();
        assert_eq!(fraction, Error::NotYetValid, "{name}");
    }
    assert_eq!(Error::NotYetValid.reason(), Reason::TokenNotYetValid);
}

#[test]
fn refuses_a_life_longer_than_the_policys_and_one_that_ends_before_it_begins() {
    let life = |exp: String| with_claim("exp", &exp).map(|_| ());
    assert_eq!(life((NOW_SECS + 3600).to_string()), Ok(()));
    assert_eq!(life((NOW_SECS + 3601).to_string()), Err(Error::Life));
    assert_eq!(life(format!("{}.1", NOW_SECS + 3600)), Err(Error::Life));
    assert_eq!(life("9999999999".into()), Err(Error::Life));
    assert_eq!(life(NOW_SECS.to_string()), Err(Error::Life));
    assert_eq!(life((NOW_SECS - 1).to_string()), Err(Error::Life));
}

#[test]
fn tells_expired_from_invalid_and_says_expired_only_of_a_token_that_was_good() {
    let dead = NOW.saturating_add(Duration::from_secs(660));
    let early = Timestamp::from_unix_nanos(dead.as_unix_nanos() - 1);
    let at = |token: &str, now| verifier().verify::<Claims>(token, now).map(|_| ());
    assert_eq!(at(&token(), early), Ok(()));
    assert_eq!(at(&token(), dead), Err(Error::Expired));
    assert_eq!(Error::Expired.reason(), Reason::TokenExpired);
    // A fraction of a second counts against the token.
    let mut claims = good();
    claims["exp"] = (NOW_SECS as f64 + 600.5).into();
    let half = forge(
        &common::key("k1"),
        HEADER.as_bytes(),
        claims.to_string().as_bytes(),
    );
    assert_eq!(at(&half, early), Ok(()));
    assert_eq!(at(&half, dead), Err(Error::Expired));

    let key = stranger("k1");
    let forged = forge(&key, HEADER.as_bytes(), good().to_string().as_bytes());
    assert_eq!(at(&forged, dead), Err(Error::Signature));
    let mut claims = good();
    claims["aud"] = "invoices".into();
    let other = forge(
        &common::key("k1"),
        HEADER.as_bytes(),
        claims.to_string().as_bytes(),
    );
    assert_eq!(at(&other, dead), Err(Error::Audience));
    let narrow = verifier().verify::<portcullis_jwt::UserClaims>(&token(), dead);
    assert_eq!(narrow.unwrap_err(), Error::ClaimsShape);
}

#[test]
fn a_verified_token_is_looked_at_again_after_a_long_wait() {
    let access = verifier().verify::<Claims>(&token(), NOW).unwrap();
    let dead = NOW.saturating_add(Duration::from_secs(660));
    assert_eq!(access.recheck(NOW), Ok(()));
    assert_eq!(access.recheck(dead), Err(Error::Expired));
}

#[test]
fn nothing_of_the_token_or_the_user_is_in_an_error_or_a_debug() {
    let mut claims = good();
    claims["sub"] = "alice".into();
    claims["jti"] = "hush-jti".into();
    claims["role"] = "hush-role".into();
    let token = forge(&key("k1"), HEADER.as_bytes(), claims.to_string().as_bytes());
    let access = verifier().verify::<Claims>(&token, NOW).unwrap();
    let shown = format!(
        "{access:?} {:?} {:?}",
        access.registered(),
        portcullis_jwt::Subject::new("alice")
    );
    assert!(shown.starts_with("AccessToken { registered: "), "{shown}");
    for hidden in ["alice", "hush", "0123456789abcdef"] {
        assert!(!shown.contains(hidden), "{shown}");
    }
    let wrong = verifier()
        .verify::<portcullis_jwt::UserClaims>(&token, NOW)
        .unwrap_err();
    assert_eq!(
        format!("{wrong} {wrong:?}"),
        "the claims do not have the expected shape ClaimsShape"
    );
    let stage = format!(
        "{:?} {:?}",
        verifier(),
        Signer::new(&KeySet::new(key("k1")), policy())
    );
    assert!(!stage.contains("0123456789abcdef"), "{stage}");
}

#[test]
fn one_issuers_key_does_not_speak_for_another_issuer() {
    let ours = KeySet::new(key("k1"));
    let theirs = Policy::access("https://other.example", AUDIENCE).unwrap();
    let token = Signer::new(&ours, theirs)
        .sign(&NoClaims {}, "42", NOW, Duration::from_secs(60))
        .unwrap();
    assert_eq!(verify(&token), Err(Error::Issuer));
}
