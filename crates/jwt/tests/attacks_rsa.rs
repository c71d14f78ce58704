//! One named test for every known way to get a token accepted that an RSA key should have signed.
#![cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod common;

use std::time::Duration;

use common::rsa::{ALICE_PEM, ALICE_PKCS1, ALICE_SPKI, alice, mallory, private};
use common::*;
use data_encoding::{BASE64, BASE64URL_NOPAD};
use portcullis_core::Secret;
use portcullis_jwt::testing::{
    check_rsa, forge, forge_rsa, forge_segments_rsa, rsa_public_pem, weak_key,
};
use portcullis_jwt::{
    Algorithm, Error, HmacKey, KeySet, NoClaims, RsaPrivateKey, RsaPublicKey, Signer, SigningKey,
    TrustedKeys, Verifier, VerifyingKey,
};

const RSA_HEADER: &str = r#"{"alg":"RS256","kid":"r1","typ":"at+jwt"}"#;

fn signing(kid: &str, key: &RsaPrivateKey) -> SigningKey {
    SigningKey::rsa(kid, key.clone()).unwrap()
}

fn public(kid: &str, key: &RsaPrivateKey) -> VerifyingKey {
    VerifyingKey::rsa(kid, key.public()).unwrap()
}

fn rsa_verifier() -> Verifier {
    Verifier::new(TrustedKeys::new(public("r1", alice())), policy())
}

fn verify(token: &str) -> Result<(), Error> {
    rsa_verifier().verify::<Claims>(token, NOW).map(|_| ())
}

fn with_rsa_header(header: &str) -> Result<(), Error> {
    let payload = good().to_string();
    verify(&forge_rsa(alice(), header.as_bytes(), payload.as_bytes()))
}

fn token() -> String {
    let payload = good().to_string();
    forge_rsa(alice(), RSA_HEADER.as_bytes(), payload.as_bytes())
}

fn key_set(kid: &str, key: &RsaPrivateKey) -> KeySet {
    KeySet::new(signing(kid, key))
}

#[test]
fn what_one_service_signs_another_verifies_by_the_public_key_alone() {
    let signer = Signer::new(&key_set("r1", alice()), policy());
    let token = signer
        .sign(&NoClaims {}, "42", NOW, Duration::from_secs(60))
        .unwrap();
    assert_eq!(verify(&token), Ok(()));
    assert_eq!(verify(&self::token()), Ok(()));
    let keys = key_set("r1", alice());
    assert_eq!(keys.signing().algorithm(), Algorithm::Rs256);
    let own = Verifier::new(&keys, policy());
    assert!(own.verify::<NoClaims>(&token, NOW).is_ok());
}

#[test]
fn refuses_the_public_key_as_an_hmac_secret_in_every_form() {
    let body: String = ALICE_SPKI
        .lines()
        .filter(|line| !line.starts_with('-'))
        .collect();
    let der = BASE64.decode(body.as_bytes()).unwrap();
    for secret in [
        ALICE_SPKI.as_bytes(),
        ALICE_PKCS1.as_bytes(),
        ALICE_SPKI.trim_end().as_bytes(),
        body.as_bytes(),
        &der,
    ] {
        let made = HmacKey::new("r1", Secret::from(secret));
        assert!(matches!(made, Err(Error::Key(_))));
        // Where a verifier were to let the token choose, this one would pass.
        let confused = weak_key("r1", secret);
        for alg in ["HS256", "RS256"] {
            let header = RSA_HEADER.replace("RS256", alg);
            let payload = good().to_string();
            let forged = forge(&confused, header.as_bytes(), payload.as_bytes());
            let expected = if alg == "HS256" {
                Error::Algorithm
            } else {
                Error::Signature
            };
            assert_eq!(verify(&forged), Err(expected));
        }
    }
}

#[test]
fn refuses_every_algorithm_but_rs256_under_an_rsa_key() {
    for alg in [
        "none", "None", "", "HS256", "HS384", "HS512", "RS384", "RS512", "PS256", "PS384", "PS512",
        "ES256", "ES384", "EdDSA", "rs256", "RS256 ", "RSA-OAEP",
    ] {
        let header = format!(r#"{{"alg":"{alg}","kid":"r1","typ":"at+jwt"}}"#);
        assert_eq!(with_rsa_header(&header), Err(Error::Algorithm), "{alg}");
    }
    let header = r#"{"kid":"r1","typ":"at+jwt"}"#;
    assert_eq!(with_rsa_header(header), Err(Error::HeaderMember("alg")));
    let good = token();
    let bare = &good[..=good.rfind('.').unwrap()];
    assert_eq!(verify(bare), Err(Error::Signature));
}

#[test]
fn refuses_rs256_under_an_hmac_key() {
    let header = r#"{"alg":"RS256","kid":"k1","typ":"at+jwt"}"#;
    assert_eq!(with_header(header).unwrap_err(), Error::Algorithm);
    let payload = good().to_string();
    let signed = forge_rsa(alice(), header.as_bytes(), payload.as_bytes());
    let answer = verifier().verify::<Claims>(&signed, NOW);
    assert_eq!(answer, Err(Error::Algorithm));
}

#[test]
fn refuses_a_symmetric_and_an_asymmetric_key_of_one_id_in_a_set() {
    for made in [
        KeySet::new(key("a")).verify_also(public("a", alice())),
        KeySet::new(signing("a", alice())).verify_also(key("a")),
        KeySet::new(signing("a", alice())).verify_also(public("a", mallory())),
        KeySet::new(signing("a", alice())).verify_also(public("a", alice())),
    ] {
        assert!(matches!(made, Err(Error::Key(_))));
    }
    let trusted = TrustedKeys::new(public("a", alice())).verify_also(key("a"));
    assert!(matches!(trusted, Err(Error::Key(_))));
    for kid in ["", "../a", "a b", &"k".repeat(65)] {
        assert!(VerifyingKey::rsa(kid, alice().public()).is_err(), "{kid}");
        assert!(SigningKey::rsa(kid, alice().clone()).is_err(), "{kid}");
    }
}

#[test]
fn each_key_of_a_mixed_set_answers_to_its_own_id_and_algorithm_alone() {
    let keys = KeySet::new(signing("r1", alice()))
        .verify_also(key("k1"))
        .unwrap();
    let verifier = Verifier::new(&keys, policy());
    let payload = good().to_string();
    let send = |alg: &str, kid: &str, rsa: bool| {
        let header = format!(r#"{{"alg":"{alg}","kid":"{kid}","typ":"at+jwt"}}"#);
        let token = if rsa {
            forge_rsa(alice(), header.as_bytes(), payload.as_bytes())
        } else {
            forge(&key("k1"), header.as_bytes(), payload.as_bytes())
        };
        verifier.verify::<Claims>(&token, NOW).map(|_| ())
    };
    assert_eq!(send("RS256", "r1", true), Ok(()));
    assert_eq!(send("HS256", "k1", false), Ok(()));
    assert_eq!(send("RS256", "k1", true), Err(Error::Algorithm));
    assert_eq!(send("HS256", "r1", false), Err(Error::Algorithm));
    assert_eq!(send("HS256", "k1", true), Err(Error::Signature));
    assert_eq!(send("RS256", "r1", false), Err(Error::Signature));
}

#[test]
fn refuses_a_key_that_the_token_brings_or_points_at() {
    for (name, value) in [
        ("jwk", r#"{"kty":"RSA","n":"0vx7","e":"AQAB"}"#),
        ("jku", r#""https://evil.example/keys""#),
        ("x5u", r#""https://evil.example/cert""#),
        ("x5c", r#"["MIIB"]"#),
    ] {
        let header = format!(r#"{{"alg":"RS256","kid":"r1","typ":"at+jwt","{name}":{value}}}"#);
        let payload = good().to_string();
        for key in [alice(), mallory()] {
            let token = forge_rsa(key, header.as_bytes(), payload.as_bytes());
            assert_eq!(verify(&token), Err(Error::HeaderMember(name)));
        }
    }
}

#[test]
fn refuses_an_unknown_key_id_whatever_it_looks_like() {
    for kid in [
        "r2",
        "",
        "R1",
        "../../../../etc/ssl/key.pem",
        "r1' OR '1'='1",
        "https://evil.example/r1",
    ] {
        let header = format!(r#"{{"alg":"RS256","kid":"{kid}","typ":"at+jwt"}}"#);
        assert_eq!(with_rsa_header(&header), Err(Error::KeyUnknown), "{kid}");
    }
}

#[test]
fn refuses_the_key_of_another_issuer_and_an_issuer_that_is_like_ours() {
    let payload = good().to_string();
    let forged = forge_rsa(mallory(), RSA_HEADER.as_bytes(), payload.as_bytes());
    assert_eq!(verify(&forged), Err(Error::Signature));
    for issuer in [
        "https://login.example/",
        "https://login.example.evil",
        "https://LOGIN.example",
        "login.example",
    ] {
        let payload = payload.replace(ISSUER, issuer);
        let token = forge_rsa(alice(), RSA_HEADER.as_bytes(), payload.as_bytes());
        assert_eq!(verify(&token), Err(Error::Issuer), "{issuer}");
    }
}

#[test]
fn refuses_a_signature_of_another_length_zero_or_beyond_the_modulus() {
    let good = token();
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
    for bad in [
        vec![],
        vec![0],
        vec![0; 32],
        vec![0; 256],
        vec![0xff; 256],
        signature[1..].to_vec(),
        signature[..255].to_vec(),
        [&[0], signature.as_slice()].concat(),
        [signature.as_slice(), &[0]].concat(),
        [signature.as_slice(), signature.as_slice()].concat(),
        vec![1; 100_000 / 16],
    ] {
        let token = format!("{signed}.{}", BASE64URL_NOPAD.encode(&bad));
        let answer = verify(&token);
        let expected = if token.len() > 8192 {
            Error::TooLong
        } else {
            Error::Signature
        };
        assert_eq!(answer, Err(expected), "{} bytes", bad.len());
    }
}

#[test]
fn refuses_a_signature_with_the_modulus_added() {
    let body: String = ALICE_PKCS1
        .lines()
        .filter(|line| !line.starts_with('-'))
        .collect();
    let der = BASE64.decode(body.as_bytes()).unwrap();
    // SEQUENCE and INTEGER with lengths of two bytes each, and the zero before the modulus.
    let modulus = &der[9..265];
    let alice = alice();
    // The sum has as many bytes for one signature in a few.
    let found = (0..64_u8).find_map(|number| {
        let mut sum = BASE64URL_NOPAD
            .decode(
                forge_rsa(alice, b"", &[number])
                    .rsplit_once('.')?
                    .1
                    .as_bytes(),
            )
            .ok()?;
        let message = format!(".{}", BASE64URL_NOPAD.encode(&[number]));
        assert!(check_rsa(&alice.public(), message.as_bytes(), &sum));
        let mut carry = 0;
        for (byte, add) in sum.iter_mut().zip(modulus).rev() {
            let total = u16::from(*byte) + u16::from(*add) + carry;
            *byte = total.to_le_bytes()[0];
            carry = total >> 8;
        }
        (carry == 0).then_some((message, sum))
    });
    let (message, sum) = found.unwrap();
    assert!(!check_rsa(&alice.public(), message.as_bytes(), &sum));
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
        ("+", ""),
        ("", "/"),
    ] {
        let spell = |part: &str| format!("{before}{part}{after}");
        let header = forge_segments_rsa(alice(), &spell(parts[0]), parts[1]);
        let payload = forge_segments_rsa(alice(), parts[0], &spell(parts[1]));
        let signature = format!("{}.{}.{}", parts[0], parts[1], spell(parts[2]));
        for token in [header, payload, signature] {
            assert_eq!(
                verify(&token),
                Err(Error::NotBase64url),
                "{before:?} {after:?}"
            );
        }
    }
    // 256 bytes fill 342 characters but for four bits: fifteen other last characters decode alike.
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let at = alphabet.find(good.chars().next_back().unwrap()).unwrap();
    assert_eq!(at & 15, 0);
    for other in 1..16 {
        let twin = &alphabet[(at | other)..=(at | other)];
        let spelled = format!("{}{twin}", &good[..good.len() - 1]);
        assert_eq!(verify(&spelled), Err(Error::NotBase64url));
    }
}

#[test]
fn refuses_keys_that_are_short_or_whose_exponent_signs_anything() {
    let modulus = |bytes: usize| [&[0xc5], vec![0x5b; bytes - 1].as_slice()].concat();
    for (bytes, exponent) in [
        (128, [1, 0, 1].as_slice()),
        (255, &[1, 0, 1]),
        (513, &[1, 0, 1]),
        (256, &[1]),
        (256, &[3]),
        (256, &[1, 0, 0]),
        (256, &[4, 0, 0, 0, 1]),
    ] {
        let made = RsaPublicKey::from_pem(&rsa_public_pem(&modulus(bytes), exponent));
        assert!(matches!(made, Err(Error::Key(_))), "{bytes} {exponent:?}");
    }
    let made = RsaPublicKey::from_pem(&rsa_public_pem(&modulus(256), &[1, 0, 1]));
    assert_eq!(made.map(|key| key.bits()), Ok(2048));
}

#[test]
fn a_retired_rsa_key_verifies_and_a_removed_one_does_not() {
    let token = Signer::new(&key_set("old", mallory()), policy())
        .sign(&NoClaims {}, "42", NOW, Duration::from_secs(60))
        .unwrap();
    let after = key_set("new", alice());
    let during = after.clone().verify_also(public("old", mallory())).unwrap();
    let answer = Verifier::new(&during, policy()).verify::<NoClaims>(&token, NOW);
    assert!(answer.is_ok());
    let answer = Verifier::new(&after, policy()).verify::<NoClaims>(&token, NOW);
    assert_eq!(answer, Err(Error::KeyUnknown));
}

#[test]
fn refuses_megabytes_and_many_dots_without_reading_them() {
    let megabytes = "A".repeat(8 << 20);
    for token in [
        format!("e30.e30.{megabytes}"),
        format!("e30.{megabytes}.AA"),
        ".".repeat(1 << 20),
    ] {
        assert_eq!(verify(&token), Err(Error::TooLong));
    }
    assert!(RsaPublicKey::from_pem(&megabytes).is_err());
    let long = ALICE_SPKI.replace(
        "KEY-----\nMIIB",
        &format!("KEY-----\n{}MIIB", "\n".repeat(1 << 20)),
    );
    assert!(RsaPublicKey::from_pem(&long).is_err());
}

#[test]
fn no_debug_and_no_error_shows_a_byte_of_a_private_key() {
    let keys = key_set("r1", alice());
    let signer = Signer::new(&keys, policy());
    let mut texts = format!("{:?} {keys:?} {signer:?}", alice());
    for change in [
        ALICE_PEM.replace("BEGIN PRIVATE", "BEGIN RSA PRIVATE"),
        ALICE_PEM.replace("PRIVATE KEY", "RSA PRIVATE KEY"),
        ALICE_PEM.replace('A', "B"),
        ALICE_PEM.replace('A', "?"),
        ALICE_PEM[..1000].to_owned(),
    ] {
        let error = RsaPrivateKey::from_pem(Secret::from(change.clone())).unwrap_err();
        texts.push_str(&format!("{error} {error:?} "));
        let error = RsaPublicKey::from_pem(&change).unwrap_err();
        texts.push_str(&format!("{error} {error:?} "));
    }
    let error = RsaPublicKey::from_pem(ALICE_PEM).unwrap_err();
    texts.push_str(&format!("{error} {error:?}"));
    assert!(texts.contains("that is a private key"));
    let lines = ALICE_PEM.lines().filter(|line| !line.starts_with('-'));
    for part in lines.flat_map(|line| [&line[..8], &line[line.len() - 8..]]) {
        assert!(!texts.contains(part), "{part}");
    }
}

#[test]
fn a_private_key_of_fewer_than_2048_bits_does_not_sign() {
    // openssl genrsa -traditional 1024
    let short = include_str!("keys/short.traditional.pem");
    let made = RsaPrivateKey::from_pem(Secret::from(short.to_owned()));
    let Err(Error::Key(why)) = made else {
        panic!("a short key signs");
    };
    assert_eq!(why, "the modulus has fewer than 2048 bits");
    assert_eq!(private(ALICE_PEM).public().bits(), 2048);
}
