//! Tokens of other programs, and ours in their hands.
#![cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod common;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::rsa::{ALICE, ALICE_PEM, ALICE_SPKI, MALLORY_PEM, alice};
use common::{Claims, NOW, NOW_SECS};
use data_encoding::BASE64URL_NOPAD;
use portcullis_core::Secret;
use portcullis_jwt::{
    AssertionPolicy, AssertionSigner, Assertions, ClientAssertion, Error, KeySet, NoClaims, Policy,
    RsaPrivateKey, RsaPublicKey, Signer, SigningKey,
};
use serde_json::{Value, json};

const AUDIENCE: &str = "https://api.example";

fn here(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(file)
}

/// What a program prints when it is given `input`.
fn run(command: &mut Command, input: &[u8]) -> Vec<u8> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}");
    output.stdout
}

fn python(script: &str, ask: &Value) -> Value {
    let mut command = Command::new("python3");
    let answer = run(
        command.arg(here("interop").join(script)),
        ask.to_string().as_bytes(),
    );
    serde_json::from_slice(&answer).unwrap()
}

fn openssl(arguments: &[&str], key: &str, input: &[u8]) -> Vec<u8> {
    run(
        Command::new("openssl").args(arguments).arg(here(key)),
        input,
    )
}

fn verify(token: &str, keys: &[&str]) -> Result<ClientAssertion<Claims>, Error> {
    let keys: Result<Vec<_>, _> = keys.iter().map(|pem| RsaPublicKey::from_pem(pem)).collect();
    let assertions = Assertions::new(AssertionPolicy::new(AUDIENCE)?);
    assertions.begin(token)?.verify(&keys?, NOW)
}

#[test]
#[ignore = "needs PyJWT and cryptography; .ci/deep runs it"]
fn tokens_of_pyjwt_and_cryptography_verify_and_the_bad_ones_are_refused_by_name() {
    let ask = json!({
        "now": NOW_SECS, "alice": ALICE_PEM, "mallory": MALLORY_PEM, "audience": AUDIENCE,
    });
    let (mut good, mut bad) = (0, 0);
    for case in python("sign.py", &ask).as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let keys: Vec<_> = case["keys"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pem| pem.as_str().unwrap())
            .collect();
        let answer = verify(case["token"].as_str().unwrap(), &keys);
        if name.starts_with("good") {
            assert_eq!(answer.unwrap().issuer(), ALICE, "{name}");
            good += 1;
            continue;
        }
        let refusal = format!("{:?}", answer.unwrap_err());
        assert!(
            refusal == name || refusal.starts_with(&format!("{name}(")),
            "{refusal}, not {name}"
        );
        bad += 1;
    }
    assert!(good >= 17 && bad >= 24, "{good} good, {bad} bad");
}

#[test]
#[ignore = "needs openssl; .ci/deep runs it"]
fn tokens_that_openssl_signs_verify() {
    let payload = json!({"iat": NOW_SECS, "exp": NOW_SECS + 3600, "iss": ALICE}).to_string();
    let signed = format!(
        "{}.{}",
        BASE64URL_NOPAD.encode(br#"{"alg":"RS256","typ":"JWT"}"#),
        BASE64URL_NOPAD.encode(payload.as_bytes())
    );
    for key in ["keys/alice.pkcs8.pem", "keys/alice.traditional.pem"] {
        let signature = openssl(&["dgst", "-sha256", "-sign"], key, signed.as_bytes());
        let token = format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature));
        assert_eq!(verify(&token, &[ALICE_SPKI]).unwrap().issuer(), ALICE);
    }
    let other = openssl(
        &["dgst", "-sha256", "-sign"],
        "keys/mallory.pkcs8.pem",
        signed.as_bytes(),
    );
    let token = format!("{signed}.{}", BASE64URL_NOPAD.encode(&other));
    assert_eq!(verify(&token, &[ALICE_SPKI]), Err(Error::Signature));
    let other = openssl(
        &["dgst", "-sha512", "-sign"],
        "keys/alice.pkcs8.pem",
        signed.as_bytes(),
    );
    let token = format!("{signed}.{}", BASE64URL_NOPAD.encode(&other));
    assert_eq!(verify(&token, &[ALICE_SPKI]), Err(Error::Signature));
}

#[test]
#[ignore = "needs openssl; .ci/deep runs it"]
fn keys_that_openssl_makes_are_read_and_ours_are_read_by_it() {
    for bits in ["2048", "3072", "4096"] {
        let size = format!("rsa_keygen_bits:{bits}");
        let private = run(
            Command::new("openssl").args([
                "genpkey",
                "-quiet",
                "-algorithm",
                "RSA",
                "-pkeyopt",
                &size,
            ]),
            b"",
        );
        let key = RsaPrivateKey::from_pem(Secret::from(private.as_slice())).unwrap();
        assert_eq!(key.public().bits().to_string(), bits);
        for form in ["-pubout", "-RSAPublicKey_out"] {
            let public = run(Command::new("openssl").args(["rsa", form]), &private);
            let public = String::from_utf8(public).unwrap();
            assert_eq!(RsaPublicKey::from_pem(&public).unwrap(), key.public());
        }
        let traditional = run(
            Command::new("openssl").args(["rsa", "-traditional"]),
            &private,
        );
        let again = RsaPrivateKey::from_pem(Secret::from(traditional)).unwrap();
        assert_eq!(again.public(), key.public());
        let ours = key.public().to_spki_pem();
        let theirs = run(
            Command::new("openssl").args(["pkey", "-pubin", "-pubout"]),
            ours.as_bytes(),
        );
        assert_eq!(String::from_utf8(theirs).unwrap(), ours);
    }
}

#[test]
#[ignore = "needs PyJWT and cryptography; .ci/deep runs it"]
fn tokens_signed_here_verify_in_pyjwt() {
    let hour = Duration::from_secs(3600);
    let signer = AssertionSigner::new(alice().clone(), ALICE, hour).unwrap();
    let plain = signer.sign(NOW).unwrap();
    let account = json!({"sub": ALICE, "uid": "42"});
    let account = signer
        .audience(AUDIENCE)
        .unwrap()
        .key_id("2026-11")
        .unwrap()
        .sign_claims(&account, NOW)
        .unwrap();
    let keys = KeySet::new(SigningKey::rsa("r1", alice().clone()).unwrap());
    let policy = Policy::access("https://login.example", AUDIENCE).unwrap();
    let access = Signer::new(&keys, policy)
        .sign(&NoClaims {}, "42", NOW, hour)
        .unwrap();
    let ask = json!({
        "now": NOW_SECS, "public": alice().public().to_spki_pem(),
        "tokens": [[plain, null], [account, AUDIENCE], [access, AUDIENCE]],
    });
    let found = python("verify.py", &ask);
    assert_eq!(
        found[0]["claims"],
        json!({"iss": ALICE, "iat": NOW_SECS, "exp": NOW_SECS + 3600})
    );
    assert_eq!(found[0]["header"], json!({"alg": "RS256", "typ": "JWT"}));
    assert_eq!(found[1]["claims"]["uid"], "42");
    assert_eq!(found[1]["header"]["kid"], "2026-11");
    assert_eq!(found[2]["claims"]["sub"], "42");
    assert_eq!(found[2]["header"]["typ"], "at+jwt");
}
