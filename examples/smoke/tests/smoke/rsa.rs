//! RS256, by whichever provider is on.

use portcullis::core::Secret;
use portcullis::jwt::{
    KeySet, Policy, RsaPrivateKey, Signer, SigningKey, TrustedKeys, Verifier, VerifyingKey,
};
use std::time::Duration;

use super::NOW;

type Claims = serde_json::Map<String, serde_json::Value>;

#[test]
fn what_alice_signs_is_hers_and_what_mallory_signs_is_not() {
    let key = |pem: &str| RsaPrivateKey::from_pem(Secret::from(pem.to_owned())).unwrap();
    let alice = key(include_str!(
        "../../../../crates/jwt/tests/keys/alice.pkcs8.pem"
    ));
    let mallory = key(include_str!(
        "../../../../crates/jwt/tests/keys/mallory.pkcs8.pem"
    ));
    let policy = Policy::access("https://login.example", "orders").unwrap();
    let trusted = TrustedKeys::new(VerifyingKey::rsa("r1", alice.public()).unwrap());
    let verifier = Verifier::new(trusted, policy.clone());
    let sign = |key: &RsaPrivateKey| {
        let keys = KeySet::new(SigningKey::rsa("r1", key.clone()).unwrap());
        let signer = Signer::new(&keys, policy.clone());
        let token = signer.sign(&Claims::new(), "42", NOW, Duration::from_secs(60));
        token.unwrap()
    };
    assert!(verifier.verify::<Claims>(&sign(&alice), NOW).is_ok());
    assert!(verifier.verify::<Claims>(&sign(&mallory), NOW).is_err());
}
