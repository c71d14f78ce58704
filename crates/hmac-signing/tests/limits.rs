//! What a body may have, to the byte; and what a verifier shows of itself.
#![allow(clippy::unwrap_used, reason = "tests")]

use bytes::Bytes;
use http::Request;
use portcullis_core::{Secret, Timestamp};
use portcullis_hmac_signing::{
    Begun, Component, Error, KeyId, Policy, Secrets, Signer, SigningKey, V1, Verifier,
};

const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);
const LIMIT: usize = 100;

fn key() -> SigningKey {
    SigningKey::new(Secret::from(b"thirty-two bytes for these tests".as_slice())).unwrap()
}

fn verifier() -> Verifier<V1> {
    let policy = Policy::requiring(Component::ALL)
        .body_limit_bytes(LIMIT)
        .unwrap();
    Verifier::new(V1::new("orders").unwrap(), policy).unwrap()
}

/// A signed request whose body has that many bytes, and says so.
fn begun(len: usize) -> Result<(Begun<V1>, Bytes), Error> {
    let body = Bytes::from(vec![b'a'; len]);
    let request = Request::post("https://api.example.com/a").header("content-length", len);
    let mut request = request.body(body.clone()).unwrap();
    let signer = Signer::new(
        V1::new("orders").unwrap(),
        KeyId::parse("a").unwrap(),
        key(),
    );
    signer.sign_with(&mut request, [7; 16], NOW).unwrap();
    let begun = verifier().begin(&request.into_parts().0, NOW)?;
    Ok((begun, body))
}

#[test]
fn a_body_as_long_as_the_policy_admits_is_taken_and_one_byte_more_is_not() {
    let (at_limit, body) = begun(LIMIT).unwrap();
    assert_eq!(at_limit.body_limit_bytes(), LIMIT);
    assert!(
        at_limit
            .verify(Some(&Secrets::new(key())), body, NOW)
            .is_ok()
    );
    assert_eq!(begun(LIMIT + 1).map(drop), Err(Error::BodyTooLarge));
}

#[test]
fn a_verifier_and_a_request_that_begins_show_what_they_are_and_no_secret() {
    let shown = format!("{:?}", verifier());
    assert!(shown.starts_with("Verifier { scheme: V1"), "{shown}");
    let shown = format!("{:?}", begun(1).unwrap().0);
    let expected = "Begun { key_id: KeyId(a), timestamp: 1700000000, .. }";
    assert_eq!(shown, expected);
}
