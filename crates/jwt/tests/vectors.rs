//! Signatures that others computed.
//!
//! `PORTCULLIS_VECTORS` names a folder with `jose/json_web_signature_test.json` (C2SP wycheproof)
//! and `cookbook/4_4.hmac-sha2_integrity_protection.json` (RFC 7520 §4.4).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod common;

use common::vectors::vectors;
use data_encoding::BASE64URL_NOPAD;
use portcullis_core::Secret;
use portcullis_jwt::testing::{check_signature, forge, weak_key};
use portcullis_jwt::{Error, HmacKey};
use serde_json::Value;

fn key(jwk: &Value) -> HmacKey {
    let secret = BASE64URL_NOPAD.decode(jwk["k"].as_str().unwrap().as_bytes());
    let kid = jwk["kid"].as_str().unwrap();
    // One group's secret is all zeros.
    weak_key(kid, &secret.unwrap())
}

#[test]
fn agrees_with_rfc_7515_appendix_a_1() {
    // RFC 7515 Appendix A.1: the lines of header and payload end in CR LF there.
    let k =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let secret = Secret::from(BASE64URL_NOPAD.decode(k.as_bytes()).unwrap());
    let key = HmacKey::new("a1", secret).unwrap();
    let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let payload = check_signature(&key, token).unwrap();
    let expected =
        "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}";
    assert_eq!(payload, expected.as_bytes());

    let header = b"{\"typ\":\"JWT\",\r\n \"alg\":\"HS256\"}";
    assert_eq!(forge(&key, header, &payload), token);
    let other = token.replace(".eyJ", ".eyK");
    assert_eq!(check_signature(&key, &other), Err(Error::Signature));
    let cut = &token[..token.len() - 1];
    assert_eq!(check_signature(&key, cut), Err(Error::NotBase64url));
}

#[test]
fn agrees_with_rfc_7520_section_4_4() {
    let Some(vector) = vectors("cookbook/4_4.hmac-sha2_integrity_protection.json") else {
        return;
    };
    let key = key(&vector["input"]["key"]);
    let token = vector["output"]["compact"].as_str().unwrap();
    let payload = check_signature(&key, token).unwrap();
    assert_eq!(
        payload,
        vector["input"]["payload"].as_str().unwrap().as_bytes()
    );
    let flat = vector["output"]["json_flat"].to_string();
    assert!(check_signature(&key, &flat).is_err());
}

/// Cases whose label is a defect of the file: 367 and 370 are byte for byte the valid 357, and 372
/// and 373 put a `?` where RFC 7515 §2 has no room for one.
const MISLABELLED: [(u64, bool); 4] = [(367, true), (370, true), (372, false), (373, false)];

#[test]
fn agrees_with_every_hs256_case_of_wycheproof() {
    let Some(file) = vectors("jose/json_web_signature_test.json") else {
        return;
    };
    let (mut valid, mut invalid) = (0, 0);
    for group in file["testGroups"].as_array().unwrap() {
        let jwk = &group["private"];
        if jwk["kty"] != "oct" || jwk["alg"] != "HS256" {
            continue;
        }
        let key = key(jwk);
        for case in group["tests"].as_array().unwrap() {
            let id = case["tcId"].as_u64().unwrap();
            let labelled = case["result"] == "valid";
            let mislabelled = MISLABELLED.iter().find(|(known, _)| *known == id);
            let expected = mislabelled.map_or(labelled, |(_, expected)| *expected);
            let token = match &case["jws"] {
                Value::String(token) => token.clone(),
                json => json.to_string(),
            };
            let answer = check_signature(&key, &token);
            assert_eq!(answer.is_ok(), expected, "case {id}: {answer:?}");
            if expected { valid += 1 } else { invalid += 1 }
        }
    }
    assert!(
        valid >= 7 && invalid >= 25,
        "{valid} valid, {invalid} invalid"
    );
}
