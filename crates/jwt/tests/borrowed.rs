//! The borrowed form and the owned one say the same of every token.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod common;

use std::borrow::Cow;
use std::cell::Cell;

use common::generate::{change, dates, extra, member, mutation, object};
use common::*;
use portcullis_core::Timestamp;
use portcullis_jwt::testing::forge;
use portcullis_jwt::{Error, JsonFault, KeySet, Scratch, Verifier};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde::{Deserialize, de::DeserializeOwned};

/// Verifies in both forms, the borrowed one in a scratch that other tokens were read into, and hands
/// over what both said.
fn both<C>(
    verifier: &Verifier,
    scratch: &mut Scratch,
    token: &str,
    now: Timestamp,
) -> Result<(), Error>
where
    C: DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let owned = verifier.verify::<C>(token, now);
    let borrowed = verifier.verify_borrowed::<C>(token, scratch, now);
    assert_eq!(owned.as_ref().err(), borrowed.as_ref().err(), "{token}");
    let (owned, borrowed) = match (owned, borrowed) {
        (Ok(owned), Ok(borrowed)) => (owned, borrowed),
        (owned, _) => return owned.map(|_| ()),
    };
    for later in [0, 30, 659, 660, 661, 4000].map(|secs| NOW_SECS + secs) {
        let later = Timestamp::from_unix_secs(later);
        assert_eq!(owned.recheck(later), borrowed.recheck(later), "{token}");
    }
    let ((registered, claims), (theirs, their_claims)) =
        (owned.into_parts(), borrowed.into_parts());
    assert_eq!(claims, their_claims, "{token}");
    assert_eq!(*registered.iss, *theirs.iss, "{token}");
    assert_eq!(*registered.aud, *theirs.aud, "{token}");
    assert_eq!(registered.sub, theirs.sub, "{token}");
    assert_eq!(registered.jti, theirs.jti, "{token}");
    assert_eq!(registered.sid.as_deref(), theirs.sid.as_deref(), "{token}");
    assert_eq!((registered.iat, registered.exp), (theirs.iat, theirs.exp));
    Ok(())
}

#[test]
fn refuses_for_the_same_reason_and_admits_the_same_tokens() {
    let claim = |name: &str, value: &str| {
        let mut claims = good();
        claims.as_object_mut().unwrap().remove(name);
        let mut text = claims.to_string();
        text.pop();
        text.push_str(&format!(r#","{name}":{value}}}"#));
        forge(&key("k1"), HEADER.as_bytes(), text.as_bytes())
    };
    let headed = |header: &str| {
        let payload = good().to_string();
        forge(&key("k1"), header.as_bytes(), payload.as_bytes())
    };
    let forged = forge(
        &stranger("k1"),
        HEADER.as_bytes(),
        good().to_string().as_bytes(),
    );
    let long = format!("\"{}\"", "x".repeat(2000));
    let bytes = forge(&key("k1"), HEADER.as_bytes(), b"{\"sub\":\"\xff\"}");
    let (verifier, mut scratch) = (verifier(), Scratch::new());
    let json = Error::PayloadJson;
    for (token, said) in [
        (claim("sub", r#""42""#), Ok(())),
        (claim("sub", "42"), Ok(())),
        (claim("sub", r#""\u0034\u0032""#), Ok(())),
        (claim("aud", r#"["a","orders"]"#), Ok(())),
        (claim("sid", r#""s\n""#), Err(Error::Claim("sid"))),
        (claim("more", &long), Ok(())),
        (claim("sub", "-42"), Err(Error::Claim("sub"))),
        (claim("sub", "42.0"), Err(Error::Claim("sub"))),
        (claim("sub", "\"\""), Err(Error::Claim("sub"))),
        (
            claim("sub", "1,\"sub\":1"),
            Err(json(JsonFault::DuplicateMember)),
        ),
        (claim("jti", "1"), Err(Error::Claim("jti"))),
        (claim("iss", "\"x\""), Err(Error::Issuer)),
        (claim("aud", "[\"x\"]"), Err(Error::Audience)),
        (claim("aud", "[\"orders\",1]"), Err(Error::Claim("aud"))),
        (claim("iat", "9e9"), Err(Error::Claim("iat"))),
        (claim("exp", &NOW_SECS.to_string()), Err(Error::Life)),
        (
            claim("iat", &(NOW_SECS + 61).to_string()),
            Err(Error::NotYetValid),
        ),
        (
            headed(r#"{"alg":"none","typ":"at+jwt"}"#),
            Err(Error::Algorithm),
        ),
        (headed(r#"{"alg":"HS256","typ":"JWT"}"#), Err(Error::Kind)),
        (forged, Err(Error::Signature)),
        (bytes, Err(json(JsonFault::NotUtf8))),
        ("a.b".to_owned(), Err(Error::NotCompact)),
        ("x".repeat(9000), Err(Error::TooLong)),
    ] {
        let heard = both::<Claims>(&verifier, &mut scratch, &token, NOW);
        assert_eq!(heard, said, "{token}");
    }
    // In every other way good, and over.
    let late = Timestamp::from_unix_secs(NOW_SECS + 660);
    let token = claim("sub", "42");
    let heard = both::<Claims>(&verifier, &mut scratch, &token, late);
    assert_eq!(heard, Err(Error::Expired));
}

#[test]
fn says_the_same_of_tokens_that_are_right_for_the_most_part() {
    let quoted = |text: &str| vec![format!("\"{text}\"")];
    let audiences = vec![format!("\"{AUDIENCE}\""), format!("[\"a\",\"{AUDIENCE}\"]")];
    let payload = (
        member("iss", quoted(ISSUER)),
        member("aud", audiences),
        member(
            "sub",
            vec!["\"42\"".into(), "42".into(), "\"\\u0041\"".into()],
        ),
        member("jti", quoted("id")),
        member("iat", dates(NOW_SECS, &[-10, 0, 50, 70])),
        member("exp", dates(NOW_SECS, &[-70, -40, 1, 600, 4000])),
        extra(),
    )
        .prop_flat_map(|(iss, aud, sub, jti, iat, exp, extra)| {
            object([iss, aud, sub, jti, iat, exp, extra])
        });
    let (verifier, scratch) = (verifier(), Cell::new(Some(Scratch::new())));
    let (good, bad) = (Cell::new(0), Cell::new(0));
    let config = Config {
        cases: 2_000,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&(payload, mutation()), |(payload, mutation)| {
            let mut token = forge(&key("k1"), HEADER.as_bytes(), payload.as_bytes());
            change(&mut token, mutation);
            let mut held = scratch.take().unwrap_or_default();
            let said = both::<Claims>(&verifier, &mut held, &token, NOW);
            scratch.set(Some(held));
            let count = if said.is_ok() { &good } else { &bad };
            count.set(count.get() + 1);
            Ok(())
        })
        .unwrap();
    let (good, bad) = (good.get(), bad.get());
    assert!(good > 100 && bad > 100, "too tame: {good} good, {bad} bad");
}

#[test]
fn a_text_with_escapes_needs_a_type_that_can_hold_it() {
    #[derive(Debug, Deserialize)]
    struct Plain<'a> {
        role: &'a str,
    }
    #[derive(Debug, Deserialize)]
    struct Either<'a> {
        #[serde(borrow)]
        role: Cow<'a, str>,
    }
    let token = |role: &str| {
        let mut text = good().to_string();
        text.pop();
        text.push_str(&format!(r#","role":"{role}"}}"#));
        forge(&key("k1"), HEADER.as_bytes(), text.as_bytes())
    };
    let (verifier, mut scratch) = (verifier(), Scratch::new());
    let (plain, escaped) = (token("admin"), token("\\u0061dmin"));
    let read = verifier.verify_borrowed::<Plain<'_>>(&plain, &mut scratch, NOW);
    assert_eq!(read.unwrap().claims().role, "admin");
    let read = verifier.verify_borrowed::<Plain<'_>>(&escaped, &mut scratch, NOW);
    assert_eq!(read.unwrap_err(), Error::ClaimsShape);
    for (token, borrows) in [(plain, true), (escaped, false)] {
        let read = verifier.verify_borrowed::<Either<'_>>(&token, &mut scratch, NOW);
        let (_, claims) = read.unwrap().into_parts();
        assert_eq!(claims.role, "admin");
        assert_eq!(matches!(claims.role, Cow::Borrowed(_)), borrows);
    }
}

#[test]
fn debug_shows_nothing_of_the_user() {
    let mut claims = good();
    claims["sub"] = "alice".into();
    claims["jti"] = "token-of-alice".into();
    claims["sid"] = "session-of-alice".into();
    let token = forge(&key("k1"), HEADER.as_bytes(), claims.to_string().as_bytes());
    let (verifier, mut scratch) = (
        Verifier::new(&KeySet::new(key("k1")), policy()),
        Scratch::new(),
    );
    let read = verifier.verify_borrowed::<Claims>(&token, &mut scratch, NOW);
    let text = format!("{:?}", read.unwrap());
    assert!(text.contains(ISSUER) && !text.contains("alice"), "{text}");
    assert_eq!(format!("{scratch:?}"), "Scratch(..)");
}
