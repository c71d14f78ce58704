//! One named test for every known way to get a client's own token accepted though it is badly signed,
//! badly formed, of another kind or of another client.
#![cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod common;

use common::assertion::*;
use common::rsa::{ALICE, ALICE_SPKI, alice, mallory};
use common::{Claims, NOW, NOW_SECS};
use data_encoding::BASE64URL_NOPAD;
use portcullis_jwt::testing::{forge, forge_rsa, forge_segments_rsa, weak_key};
use portcullis_jwt::{
    AssertionSigner, Assertions, Error, JsonFault, KeySet, NoClaims, Policy, RsaPublicKey, Signer,
    SigningKey, TrustedKeys, Verifier, VerifyingKey,
};
use proptest::prelude::*;
use serde_json::json;

#[test]
fn a_token_of_iat_exp_and_iss_serves_any_number_of_requests_until_exp() {
    let token = token();
    for secs in [NOW_SECS, NOW_SECS + 1800, NOW_SECS + 3599, NOW_SECS + 3659] {
        let client = verify_under(policy(), &token, at(secs)).unwrap();
        assert_eq!(client.issuer(), ALICE);
        assert_eq!(client.issued_at(), NOW);
        assert_eq!(client.expires_at(), at(NOW_SECS + 3600));
        assert_eq!(client.key_index(), 0);
        assert_eq!(client.key(), &alice().public());
        assert_eq!(client.recheck(at(NOW_SECS + 3659)), Ok(()));
        assert_eq!(client.recheck(at(NOW_SECS + 3660)), Err(Error::Expired));
    }
}

#[test]
fn what_the_signer_writes_is_accepted_with_its_claims_behind_the_dates() {
    let account = json!({"sub": ALICE, "uid": "42", "jti": "one"});
    let signer = AssertionSigner::new(alice().clone(), ALICE, HOUR)
        .unwrap()
        .audience(AUDIENCE)
        .unwrap()
        .key_id("2026-11")
        .unwrap();
    let token = signer.sign_claims(&account, NOW).unwrap();
    let client = verify_under(policy().require_audience(), &token, NOW).unwrap();
    assert_eq!(client.claims()["uid"], "42");
    let parts: Vec<_> = token.split('.').collect();
    let text = |part: &str| String::from_utf8(BASE64URL_NOPAD.decode(part.as_bytes()).unwrap());
    assert_eq!(
        text(parts[0]).unwrap(),
        r#"{"alg":"RS256","kid":"2026-11","typ":"JWT"}"#
    );
    assert_eq!(
        text(parts[1]).unwrap(),
        r#"{"iss":"alice@example.com","aud":"https://api.example","iat":1700000000,"exp":1700003600,"jti":"one","sub":"alice@example.com","uid":"42"}"#
    );
    let plain = AssertionSigner::new(alice().clone(), ALICE, HOUR).unwrap();
    let token = plain.sign(NOW).unwrap();
    assert_eq!(token, plain.sign(NOW).unwrap());
    assert_eq!(verify(&token).unwrap().issuer(), ALICE);
}

#[test]
fn refuses_the_key_of_another_client() {
    let payload = good().to_string();
    let forged = forge_rsa(mallory(), HEADER.as_bytes(), payload.as_bytes());
    assert_eq!(verify(&forged), Err(Error::Signature));
    // The other way round: a good token of one client, tried with the keys of another.
    let assertions = Assertions::new(policy());
    let token = token();
    let begun = assertions.begin(&token).unwrap();
    let answer = begun.verify::<Claims>(&[mallory().public()], NOW);
    assert_eq!(answer, Err(Error::Signature));
}

#[test]
fn refuses_a_token_whose_issuer_was_changed_after_it_was_signed() {
    let token = token();
    let signature = token.rsplit_once('.').unwrap().1;
    let payload = good().to_string().replace(ALICE, "admin@example.com");
    let changed = format!(
        "{}.{}.{signature}",
        BASE64URL_NOPAD.encode(HEADER.as_bytes()),
        BASE64URL_NOPAD.encode(payload.as_bytes())
    );
    let assertions = Assertions::new(policy());
    let begun = assertions.begin(&changed).unwrap();
    assert_eq!(begun.issuer(), "admin@example.com");
    let answer = begun.verify::<Claims>(&[alice().public()], NOW);
    assert_eq!(answer, Err(Error::Signature));
}

#[test]
fn refuses_an_issuer_without_keys_and_one_with_too_many() {
    let assertions = Assertions::new(policy());
    let token = token();
    let try_with = |keys: &[RsaPublicKey]| {
        let begun = assertions.begin(&token).unwrap();
        begun
            .verify::<Claims>(keys, NOW)
            .map(|client| client.key_index())
    };
    assert_eq!(try_with(&[]), Err(Error::KeyUnknown));
    let mut keys = vec![mallory().public(); 7];
    keys.push(alice().public());
    assert_eq!(try_with(&keys), Ok(7));
    keys.push(alice().public());
    assert!(matches!(try_with(&keys), Err(Error::Key(_))));
}

#[test]
fn a_previous_key_verifies_while_it_is_registered_and_not_after() {
    let old = forge_rsa(mallory(), HEADER.as_bytes(), good().to_string().as_bytes());
    let assertions = Assertions::new(policy());
    let during = [alice().public(), mallory().public()];
    let begun = assertions.begin(&old).unwrap();
    let client = begun.verify::<Claims>(&during, NOW).unwrap();
    assert_eq!(client.key_index(), 1);
    assert_eq!(client.key().fingerprint(), mallory().public().fingerprint());
    let begun = assertions.begin(&old).unwrap();
    let answer = begun.verify::<Claims>(&during[..1], NOW);
    assert_eq!(answer, Err(Error::Signature));
}

#[test]
fn refuses_every_algorithm_but_rs256() {
    for alg in [
        "none", "None", "NONE", "", "HS256", "RS384", "RS512", "PS256", "PS384", "ES256", "EdDSA",
        "rs256", "RS256 ",
    ] {
        let header = format!(r#"{{"alg":"{alg}","typ":"JWT"}}"#);
        assert_eq!(with_header(&header), Err(Error::Algorithm), "{alg}");
        let token = signed(&header, &good().to_string());
        let bare = &token[..=token.rfind('.').unwrap()];
        assert_eq!(verify(bare), Err(Error::Algorithm), "{alg}");
    }
    assert_eq!(
        with_header(r#"{"typ":"JWT"}"#),
        Err(Error::HeaderMember("alg"))
    );
    let token = token();
    let bare = &token[..=token.rfind('.').unwrap()];
    assert_eq!(verify(bare), Err(Error::Signature));
}

#[test]
fn refuses_a_tag_made_with_the_public_key_as_a_secret() {
    let confused = weak_key("r1", ALICE_SPKI.as_bytes());
    let payload = good().to_string();
    for (alg, expected) in [("HS256", Error::Algorithm), ("RS256", Error::Signature)] {
        let header = format!(r#"{{"alg":"{alg}","typ":"JWT"}}"#);
        let token = forge(&confused, header.as_bytes(), payload.as_bytes());
        assert_eq!(verify(&token), Err(expected));
    }
}

#[test]
fn refuses_an_access_token_as_an_assertion_and_an_assertion_as_an_access_token() {
    // One key for both is a mistake that the kind makes harmless.
    let keys = KeySet::new(SigningKey::rsa("r1", alice().clone()).unwrap());
    let policy = Policy::access(ALICE, AUDIENCE).unwrap();
    let access = Signer::new(&keys, policy.clone())
        .sign(&NoClaims {}, "42", NOW, HOUR)
        .unwrap();
    assert_eq!(verify(&access), Err(Error::Kind));

    let claims = json!({"sub": "42", "jti": "x"});
    let assertion = AssertionSigner::new(alice().clone(), ALICE, HOUR)
        .unwrap()
        .audience(AUDIENCE)
        .unwrap()
        .sign_claims(&claims, NOW)
        .unwrap();
    let trusted = TrustedKeys::new(VerifyingKey::rsa("r1", alice().public()).unwrap());
    let answer = Verifier::new(trusted, policy).verify::<NoClaims>(&assertion, NOW);
    assert_eq!(answer, Err(Error::Kind));
    assert!(verify(&assertion).is_ok());
}

#[test]
fn refuses_every_kind_that_is_not_a_clients() {
    for typ in [
        "at+jwt",
        "application/at+jwt",
        "id+jwt",
        "dpop+jwt",
        "logout+jwt",
        "JOSE",
        "",
    ] {
        let header = format!(r#"{{"alg":"RS256","typ":"{typ}"}}"#);
        assert_eq!(with_header(&header), Err(Error::Kind), "{typ}");
    }
    for header in [
        r#"{"alg":"RS256"}"#,
        r#"{"alg":"RS256","typ":"jwt"}"#,
        r#"{"alg":"RS256","typ":"client-authentication+jwt"}"#,
        r#"{"alg":"RS256","typ":"JWT","kid":"whatever the client calls it"}"#,
    ] {
        assert!(with_header(header).is_ok(), "{header}");
    }
}

#[test]
fn refuses_headers_that_bring_a_key_point_at_one_or_change_the_reading() {
    for (name, value) in [
        ("jwk", r#"{"kty":"RSA","n":"0vx7","e":"AQAB"}"#),
        ("jku", r#""https://evil.example/keys""#),
        ("x5u", r#""https://evil.example/cert""#),
        ("x5c", r#"["MIIB"]"#),
        ("crit", r#"["exp"]"#),
        ("crit", "[]"),
        ("crit", "null"),
        ("b64", "false"),
        ("zip", r#""DEF""#),
        ("enc", r#""A256GCM""#),
        ("cty", r#""JWT""#),
    ] {
        let header = format!(r#"{{"alg":"RS256","typ":"JWT","{name}":{value}}}"#);
        assert_eq!(with_header(&header), Err(Error::HeaderMember(name)));
    }
    for kid in ["1", "null", "[]"] {
        let header = format!(r#"{{"alg":"RS256","kid":{kid}}}"#);
        assert_eq!(with_header(&header), Err(Error::HeaderMember("kid")));
    }
}

#[test]
fn refuses_padding_white_space_and_left_over_bits_in_every_segment() {
    let good = token();
    let parts: Vec<_> = good.split('.').collect();
    for (before, after) in [("", "="), (" ", ""), ("", "\n"), ("+", ""), ("", "\0")] {
        let spell = |part: &str| format!("{before}{part}{after}");
        let header = forge_segments_rsa(alice(), &spell(parts[0]), parts[1]);
        let payload = forge_segments_rsa(alice(), parts[0], &spell(parts[1]));
        let signature = format!("{}.{}.{}", parts[0], parts[1], spell(parts[2]));
        for token in [header, payload, signature] {
            assert_eq!(verify(&token), Err(Error::NotBase64url));
        }
    }
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let at = alphabet.find(good.chars().next_back().unwrap()).unwrap();
    for other in 1..16 {
        let twin = &alphabet[(at | other)..=(at | other)];
        let spelled = format!("{}{twin}", &good[..good.len() - 1]);
        assert_eq!(verify(&spelled), Err(Error::NotBase64url));
    }
}

#[test]
fn refuses_polyglots_encryption_megabytes_many_dots_and_deep_nesting() {
    let good = token();
    let parts: Vec<_> = good.split('.').collect();
    let json = format!(
        r#"{{"protected":"{}","payload":"{}","signature":"{}"}}"#,
        parts[0], parts[1], parts[2]
    );
    for token in [
        &*json,
        "",
        ".",
        "a.b",
        "e30.e30.e30.e30.e30",
        &".".repeat(8192),
    ] {
        assert_eq!(verify(token), Err(Error::NotCompact));
    }
    assert_eq!(verify(&format!("Bearer {good}")), Err(Error::NotBase64url));
    let megabytes = "A".repeat(8 << 20);
    for token in [
        megabytes.clone(),
        format!("e30.{megabytes}.AA"),
        format!("e30.e30.{megabytes}"),
        ".".repeat(1 << 20),
    ] {
        assert_eq!(verify(&token), Err(Error::TooLong));
    }
    let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
    let too_deep = Error::PayloadJson(JsonFault::TooDeep);
    assert_eq!(with_claim("deep", &deep), Err(too_deep));
    let wide: Vec<_> = (0..300).map(|at| format!("\"{at}\":0")).collect();
    let answer = verify(&signed(HEADER, &format!("{{{}}}", wide.join(","))));
    assert_eq!(answer, Err(Error::PayloadJson(JsonFault::TooManyMembers)));
    let small = policy().max_bytes(256).unwrap();
    assert_eq!(verify_under(small, &good, NOW), Err(Error::TooLong));
}

#[test]
fn no_debug_shows_the_client_its_claims_or_its_key() {
    let token = token();
    let assertions = Assertions::new(policy());
    let begun = assertions.begin(&token).unwrap();
    let mut texts = format!("{assertions:?} {begun:?}");
    let client = begun.verify::<Claims>(&[alice().public()], NOW).unwrap();
    texts.push_str(&format!("{client:?}"));
    assert!(
        !texts.contains("alice") && !texts.contains("eyJ"),
        "{texts}"
    );
    let signer = AssertionSigner::new(alice().clone(), ALICE, HOUR).unwrap();
    assert!(!format!("{signer:?}").contains("MII"));
}

proptest! {
    #[test]
    fn never_panics_on_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = verify(&String::from_utf8_lossy(&bytes));
        let _ = RsaPublicKey::from_pem(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn no_change_of_one_character_leaves_a_token_good(at in any::<prop::sample::Index>(), by in "[A-Za-z0-9_.=-]") {
        let good = token();
        let at = at.index(good.len());
        let mut changed = good.clone();
        changed.replace_range(at..=at, &by);
        prop_assert_eq!(verify(&changed).is_ok(), changed == good);
    }
}
