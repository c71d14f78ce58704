//! One named test for every known way to get a badly signed or badly formed token accepted.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod common;

use common::*;
use portcullis_core::Secret;
use portcullis_jwt::testing::{forge, forge_segments};
use portcullis_jwt::{Error, HmacKey, JsonFault, KeySet, NoClaims, Signer, Verifier};
use std::time::Duration;

fn token() -> String {
    forge(&key("k1"), HEADER.as_bytes(), good().to_string().as_bytes())
}

fn verify(token: &str) -> Result<(), Error> {
    verifier().verify::<Claims>(token, NOW).map(|_| ())
}

#[test]
fn the_good_token_that_the_attacks_start_from_is_accepted() {
    assert_eq!(verify(&token()), Ok(()));
}

#[test]
fn refuses_algorithm_none_in_every_case_with_and_without_a_signature() {
    let key = key("k1");
    for alg in [
        "none",
        "None",
        "NONE",
        "nOnE",
        "",
        "HS256 ",
        "hs256",
        "none\u{0}",
    ] {
        let header = serde_json::json!({"alg": alg, "kid": "k1", "typ": "at+jwt"}).to_string();
        let signed = forge(&key, header.as_bytes(), good().to_string().as_bytes());
        assert_eq!(verify(&signed), Err(Error::Algorithm), "{alg}");
        let bare = &signed[..=signed.rfind('.').unwrap()];
        assert_eq!(verify(bare), Err(Error::Algorithm), "{alg}");
    }
    let good = token();
    assert_eq!(
        verify(&good[..=good.rfind('.').unwrap()]),
        Err(Error::Signature)
    );
}

#[test]
fn refuses_every_algorithm_but_the_keys_own() {
    for alg in [
        "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384",
        "ES512", "EdDSA", "Ed25519", "A128KW", "dir",
    ] {
        let header = format!(r#"{{"alg":"{alg}","kid":"k1","typ":"at+jwt"}}"#);
        assert_eq!(with_header(&header).unwrap_err(), Error::Algorithm, "{alg}");
    }
}

#[test]
fn refuses_public_keys_and_short_or_empty_secrets_as_hmac_keys() {
    for secret in [
        b"".as_slice(),
        b"shared",
        b"-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE",
        br#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx","e":"AQAB"}"#,
    ] {
        let made = HmacKey::new("k1", Secret::from(secret));
        assert!(matches!(made, Err(Error::Key(_))));
    }
}

#[test]
fn refuses_a_token_of_another_key_under_this_keys_id() {
    let forged = forge(
        &stranger("k1"),
        HEADER.as_bytes(),
        good().to_string().as_bytes(),
    );
    assert_eq!(verify(&forged), Err(Error::Signature));
}

#[test]
fn refuses_a_key_embedded_in_the_header_or_pointed_at_by_it() {
    for (name, value) in [
        ("jwk", r#"{"kty":"oct","k":"AAAA"}"#),
        ("jku", r#""https://evil.example/keys""#),
        ("x5u", r#""https://evil.example/cert""#),
        ("x5c", r#"["MIIB"]"#),
    ] {
        let header = format!(r#"{{"alg":"HS256","kid":"k1","typ":"at+jwt","{name}":{value}}}"#);
        assert_eq!(with_header(&header).unwrap_err(), Error::HeaderMember(name));
    }
}

#[test]
fn refuses_an_unknown_key_id_whatever_it_looks_like() {
    for kid in [
        "k2",
        "",
        "K1",
        "k1 ",
        "../../../../dev/null",
        "k1' OR '1'='1",
        "https://evil.example/k1",
        "k1\\u0000",
    ] {
        let header = format!(r#"{{"alg":"HS256","kid":"{kid}","typ":"at+jwt"}}"#);
        assert_eq!(
            with_header(&header).unwrap_err(),
            Error::KeyUnknown,
            "{kid}"
        );
    }
}

#[test]
fn refuses_an_absent_key_id_as_soon_as_there_are_two_keys() {
    let header = r#"{"alg":"HS256","typ":"at+jwt"}"#;
    assert!(with_header(header).is_ok());
    let keys = KeySet::new(key("k1")).verify_also(stranger("k2")).unwrap();
    let token = forge(&key("k1"), header.as_bytes(), good().to_string().as_bytes());
    let answer = Verifier::new(&keys, policy()).verify::<Claims>(&token, NOW);
    assert_eq!(answer, Err(Error::KeyUnknown));
}

#[test]
fn refuses_a_duplicate_key_id_in_a_set() {
    let keys = KeySet::new(key("k1")).verify_also(stranger("k1"));
    assert!(matches!(keys, Err(Error::Key(_))));
}

#[test]
fn refuses_critical_members_whether_unknown_empty_or_malformed_and_unencoded_payloads() {
    for member in [
        r#""crit":["exp"]"#,
        r#""crit":[]"#,
        r#""crit":"b64""#,
        r#""crit":null"#,
        r#""crit":["b64"],"b64":false"#,
    ] {
        let header = format!(r#"{{"alg":"HS256","kid":"k1","typ":"at+jwt",{member}}}"#);
        assert_eq!(
            with_header(&header).unwrap_err(),
            Error::HeaderMember("crit")
        );
    }
    for (name, value) in [("b64", "false"), ("b64", "true"), ("zip", "\"DEF\"")] {
        let header = format!(r#"{{"alg":"HS256","kid":"k1","typ":"at+jwt","{name}":{value}}}"#);
        assert_eq!(with_header(&header).unwrap_err(), Error::HeaderMember(name));
    }
}

#[test]
fn refuses_padding_white_space_and_left_over_bits_in_every_segment() {
    let good = token();
    let parts: Vec<_> = good.split('.').collect();
    for (before, after) in [
        ("", "="),
        ("", "=="),
        (" ", ""),
        ("", "\n"),
        ("", "\r\n"),
        ("+", ""),
        ("", "/"),
        ("", "\0"),
    ] {
        // Signed as they stand, so that the signature does not hide how they are spelt.
        let spell = |part: &str| format!("{before}{part}{after}");
        let header = forge_segments(&key("k1"), &spell(parts[0]), parts[1]);
        let payload = forge_segments(&key("k1"), parts[0], &spell(parts[1]));
        let signature = format!("{}.{}.{}", parts[0], parts[1], spell(parts[2]));
        for token in [header, payload, signature] {
            assert_eq!(
                verify(&token),
                Err(Error::NotBase64url),
                "{before:?} {after:?}"
            );
        }
    }
    // 32 bytes fill 43 characters but for two bits: three other last characters decode alike.
    let last = good.chars().next_back().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let at = alphabet.find(last).unwrap();
    for other in 1..4 {
        let twin = &alphabet[(at | other)..=(at | other)];
        let spelled = format!("{}{twin}", &good[..good.len() - 1]);
        assert_eq!(verify(&spelled), Err(Error::NotBase64url));
    }
}

#[test]
fn refuses_a_token_of_another_kind() {
    for typ in [
        r#","typ":"JWT""#,
        r#","typ":"logout+jwt""#,
        r#","typ":"dpop+jwt""#,
        r#","typ":"id+jwt""#,
        r#","typ":"""#,
        "",
    ] {
        let header = format!(r#"{{"alg":"HS256","kid":"k1"{typ}}}"#);
        assert_eq!(with_header(&header).unwrap_err(), Error::Kind, "{typ}");
    }
}

#[test]
fn refuses_a_polyglot_of_json_and_compact_serialisation() {
    let good = token();
    let parts: Vec<_> = good.split('.').collect();
    let json = format!(
        r#"{{"protected":"{}","payload":"{}","signature":"{}"}}"#,
        parts[0], parts[1], parts[2]
    );
    assert_eq!(verify(&json), Err(Error::NotCompact));
    assert_eq!(
        verify(&format!(r#"{{"a":".{good}"}}"#)),
        Err(Error::NotCompact)
    );
    assert_eq!(
        verify(&format!("{{}}.{}.{}", parts[1], parts[2])),
        Err(Error::NotBase64url)
    );
    assert_eq!(verify(&format!("Bearer {good}")), Err(Error::NotBase64url));
}

#[test]
fn refuses_encryption_and_a_token_within_the_token() {
    assert_eq!(verify("e30.e30.e30.e30.e30"), Err(Error::NotCompact));
    for (name, value) in [("enc", "A256GCM"), ("cty", "JWT")] {
        let header = format!(r#"{{"alg":"HS256","kid":"k1","typ":"at+jwt","{name}":"{value}"}}"#);
        assert_eq!(with_header(&header).unwrap_err(), Error::HeaderMember(name));
    }
}

#[test]
fn refuses_megabytes_many_dots_and_deep_nesting_without_reading_them() {
    let megabytes = "A".repeat(8 << 20);
    for token in [
        megabytes.clone(),
        format!("{megabytes}.e30.AA"),
        format!("e30.{megabytes}.AA"),
        format!("e30.e30.{megabytes}"),
        ".".repeat(1 << 20),
    ] {
        assert_eq!(verify(&token), Err(Error::TooLong));
    }
    assert_eq!(verify(&".".repeat(8192)), Err(Error::NotCompact));
    let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
    assert_eq!(
        with_claim("deep", &deep).unwrap_err(),
        Error::PayloadJson(JsonFault::TooDeep)
    );
    let header = format!(
        r#"{{"alg":"HS256","kid":"k1","typ":"at+jwt","deep":{}{}}}"#,
        "[".repeat(99),
        "]".repeat(99)
    );
    assert_eq!(
        with_header(&header).unwrap_err(),
        Error::HeaderJson(JsonFault::TooDeep)
    );
    let wide: Vec<_> = (0..300).map(|at| format!("\"{at}\":0")).collect();
    let answer = with_payload(&format!("{{{}}}", wide.join(",")));
    assert_eq!(
        answer.unwrap_err(),
        Error::PayloadJson(JsonFault::TooManyMembers)
    );
}

#[test]
fn a_header_that_was_remembered_lends_nothing_to_another_token() {
    let verifier = verifier();
    let header = r#"{ "typ":"at+jwt", "alg":"HS256" }"#;
    let good = good().to_string();
    let first = forge(&key("k1"), header.as_bytes(), good.as_bytes());
    for _ in 0..2 {
        assert!(verifier.verify::<Claims>(&first, NOW).is_ok());
        let forged = forge(&stranger("k1"), header.as_bytes(), good.as_bytes());
        assert_eq!(
            verifier.verify::<Claims>(&forged, NOW),
            Err(Error::Signature)
        );
        let late = NOW.saturating_add(Duration::from_secs(660));
        assert_eq!(verifier.verify::<Claims>(&first, late), Err(Error::Expired));
    }
}

#[test]
fn headers_that_do_not_verify_are_never_remembered_and_any_number_of_good_ones_works() {
    let verifier = verifier();
    let good = good().to_string();
    for at in 0..64 {
        let header = format!(r#"{{"alg":"HS256","typ":"at+jwt","n":{at}}}"#);
        let forged = forge(&stranger("k1"), header.as_bytes(), good.as_bytes());
        assert_eq!(
            verifier.verify::<Claims>(&forged, NOW),
            Err(Error::Signature)
        );
        let honest = forge(&key("k1"), header.as_bytes(), good.as_bytes());
        assert!(verifier.verify::<Claims>(&honest, NOW).is_ok());
    }
}

#[test]
fn a_retired_key_verifies_and_a_removed_one_does_not() {
    let (old, new) = (stranger("old"), stranger("new"));
    let token = Signer::new(&KeySet::new(old.clone()), policy())
        .sign(&NoClaims {}, "42", NOW, Duration::from_secs(60))
        .unwrap();
    let during = KeySet::new(new.clone()).verify_also(old).unwrap();
    let answer = Verifier::new(&during, policy()).verify::<NoClaims>(&token, NOW);
    assert!(answer.is_ok());
    let after = Verifier::new(&KeySet::new(new), policy()).verify::<NoClaims>(&token, NOW);
    assert_eq!(after, Err(Error::KeyUnknown));
}
