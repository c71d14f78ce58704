//! RS256 signatures that others computed.
//!
//! `PORTCULLIS_VECTORS` names a folder with `jose/json_web_signature_test.json` (C2SP wycheproof)
//! and `cookbook/4_1.rsa_v15_signature.json` (RFC 7520 §4.1).
#![cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod common;

use common::vectors::vectors;
use data_encoding::BASE64URL_NOPAD;
use portcullis_jwt::testing::{check_signature, rsa_key_of_any_id, rsa_public_pem};
use portcullis_jwt::{Error, RsaPublicKey, VerifyingKey};
use serde_json::Value;

fn number(text: &str) -> Vec<u8> {
    let number = BASE64URL_NOPAD.decode(text.as_bytes()).unwrap();
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number[zeros..].to_vec()
}

fn key(kid: &str, n: &str, e: &str) -> VerifyingKey {
    let key = RsaPublicKey::from_pem(&rsa_public_pem(&number(n), &number(e))).unwrap();
    rsa_key_of_any_id(kid, key)
}

fn of_jwk(jwk: &Value) -> VerifyingKey {
    let text = |name: &str| jwk[name].as_str().unwrap();
    key(text("kid"), text("n"), text("e"))
}

#[test]
fn agrees_with_rfc_7515_appendix_a_2() {
    let n = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
    let token = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    let key = key("a2", n, "AQAB");
    let payload = check_signature(key.clone(), token).unwrap();
    let expected =
        "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}";
    assert_eq!(payload, expected.as_bytes());
    let other = token.replace(".eyJ", ".eyK");
    assert_eq!(check_signature(key.clone(), &other), Err(Error::Signature));
    let cut = &token[..token.len() - 2];
    assert_eq!(check_signature(key, cut), Err(Error::Signature));
}

#[test]
fn agrees_with_rfc_7520_section_4_1() {
    let Some(vector) = vectors("cookbook/4_1.rsa_v15_signature.json") else {
        return;
    };
    let key = of_jwk(&vector["input"]["key"]);
    let token = vector["output"]["compact"].as_str().unwrap();
    let payload = check_signature(key.clone(), token).unwrap();
    let expected = vector["input"]["payload"].as_str().unwrap();
    assert_eq!(payload, expected.as_bytes());
    let flat = vector["output"]["json_flat"].to_string();
    assert!(check_signature(key, &flat).is_err());
}

/// Well signed with RS256 by a key whose JWK says PS512. That is the JWK's to say; here the key was
/// given RS256 as its one algorithm.
const SIGNED_WITH_RS256: u64 = 332;

/// Every RSA group: those of RS256 as they are labelled, and whatever was signed under another
/// algorithm is refused, since no key here has one. Groups that are about a JWK's `use` are left out:
/// no JWK is read here.
#[test]
fn agrees_with_every_rs256_case_of_wycheproof_and_refuses_the_other_rsa_algorithms() {
    let Some(file) = vectors("jose/json_web_signature_test.json") else {
        return;
    };
    let (mut valid, mut invalid, mut others) = (0, 0, 0);
    for group in file["testGroups"].as_array().unwrap() {
        let jwk = &group["public"];
        if jwk["kty"] != "RSA" || !jwk["alg"].is_string() {
            continue;
        }
        let key = of_jwk(jwk);
        for case in group["tests"].as_array().unwrap() {
            let id = case["tcId"].as_u64().unwrap();
            let ours = jwk["alg"] == "RS256";
            let expected = (ours && case["result"] == "valid") || id == SIGNED_WITH_RS256;
            let token = match &case["jws"] {
                Value::String(token) => token.clone(),
                json => json.to_string(),
            };
            let answer = check_signature(key.clone(), &token);
            assert_eq!(answer.is_ok(), expected, "case {id}: {answer:?}");
            match (ours, expected) {
                (true, true) => valid += 1,
                (true, false) => invalid += 1,
                _ => others += 1,
            }
        }
    }
    assert!(
        valid >= 8 && invalid >= 225 && others >= 70,
        "{valid} valid, {invalid} invalid, {others} of other algorithms"
    );
}
