//! Tokens: what verifies them, what is in them, who fetches for them, and two tabs with one of them.

use std::panic::catch_unwind;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::Request;
use portcullis::core::{AnyStore, Memory, Reason, Secret};
use portcullis::jwt::testing::forge;
use portcullis::jwt::{
    HmacKey, KeySet, NoClaims, Policy, RsaPrivateKey, Signer, SigningKey, TrustedKeys, Verifier,
};
use portcullis::session::{Factor, Method, SessionPolicy, Sessions};
use portcullis::tower::{BearerGate, Gate};
use serde_json::{Value, json};

use crate::{NOW, after};

fn key() -> HmacKey {
    HmacKey::new("k1", Secret::from((0..32).collect::<Vec<u8>>())).unwrap()
}

fn policy() -> Policy {
    Policy::access("https://login.example", "orders").unwrap()
}

#[test]
fn tokens_are_signed_and_verified_where_a_process_wide_provider_would_panic() {
    // Both of jsonwebtoken's features are on in this process, as two dependencies of one program may have
    // them, and nobody has chosen between them.
    let global = catch_unwind(|| {
        let claims = json!({"sub": "42"});
        let key = jsonwebtoken::EncodingKey::from_secret(&[7; 32]);
        jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key)
    });
    assert!(global.is_err(), "nothing would have been shown");

    let keys = KeySet::new(key());
    let token = Signer::new(&keys, policy()).sign(&NoClaims {}, "42", NOW, Duration::from_secs(60));
    let access = Verifier::new(&keys, policy()).verify::<NoClaims>(&token.unwrap(), NOW);
    assert_eq!(access.unwrap().registered().sub, "42");

    let pem = include_str!("../../../jwt/tests/keys/alice.pkcs8.pem");
    let private = RsaPrivateKey::from_pem(Secret::from(pem.to_owned())).unwrap();
    let signing = SigningKey::rsa("r1", private).unwrap();
    let trusted = TrustedKeys::new(signing.verifying());
    let keys = KeySet::new(signing);
    let token = Signer::new(&keys, policy()).sign(&NoClaims {}, "42", NOW, Duration::from_secs(60));
    let access = Verifier::new(trusted, policy()).verify::<NoClaims>(&token.unwrap(), NOW);
    assert_eq!(access.unwrap().registered().sub, "42");
}

#[test]
fn a_claim_of_the_wrong_json_type_is_refused_and_never_skipped() {
    let verifier = Verifier::new(&KeySet::new(key()), policy());
    let good = json!({
        "iss": "https://login.example", "aud": "orders", "sub": "42", "jti": "1",
        "iat": 1_700_000_000, "exp": 1_700_000_060,
    });
    let header = br#"{"alg":"HS256","kid":"k1","typ":"at+jwt"}"#;
    let verify = |claims: &Value| {
        let token = forge(&key(), header, claims.to_string().as_bytes());
        verifier.verify::<NoClaims>(&token, NOW)
    };
    assert!(verify(&good).is_ok());
    for claim in ["iss", "aud", "sub", "jti", "iat", "exp", "nbf"] {
        for wrong in [
            Value::Null,
            json!(true),
            json!(-7.5),
            json!({"orders": "orders"}),
            json!([["orders"]]),
            json!(["https://login.example"]),
            json!("1700000000"),
        ] {
            // A text is the right type for these, and this is a subject and an id like any other.
            if wrong.is_string() && ["sub", "jti"].contains(&claim) {
                continue;
            }
            let mut claims = good.clone();
            claims[claim] = wrong.clone();
            assert!(verify(&claims).is_err(), "{claim}: {wrong}");
        }
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove(claim);
        assert_eq!(verify(&claims).is_ok(), claim == "nbf", "{claim} left out");
    }
}

#[test]
fn a_flood_of_unknown_key_ids_fetches_nothing_and_teaches_nothing() {
    let verifier = Arc::new(Verifier::new(&KeySet::new(key()), policy()));
    let before = format!("{verifier:?}");
    let gate = BearerGate::<NoClaims>::stateless(Arc::clone(&verifier));
    let payload = br#"{"iss":"https://login.example","aud":"orders","sub":"42","jti":"1","iat":1700000000,"exp":1700000060}"#;
    // There is no runtime here to wait in: whatever fetched would panic, or not be ready at once.
    let mut context = Context::from_waker(Waker::noop());
    for number in 0..5000 {
        let header = format!(r#"{{"alg":"HS256","kid":"unknown-{number}","typ":"at+jwt"}}"#);
        // By the right key even: it is the id that nobody knows.
        let token = forge(&key(), header.as_bytes(), payload);
        let request = Request::builder().header("authorization", format!("Bearer {token}"));
        let (mut head, ()) = request.body(()).unwrap().into_parts();
        let answer = match pin!(gate.admit(&mut head, NOW)).poll(&mut context) {
            Poll::Ready(answer) => answer,
            Poll::Pending => panic!("something is waited for"),
        };
        assert_eq!(answer.unwrap_err().reason(), Reason::TokenInvalid);
    }
    assert_eq!(format!("{verifier:?}"), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tabs_that_refresh_at_once_both_stay_signed_in() {
    let policy = SessionPolicy::default().dangerous_allow_volatile();
    let key = Secret::generate::<32>().unwrap();
    let store = AnyStore::new(Memory::new(NOW));
    let sessions = Arc::new(Sessions::new(store, key, policy).unwrap());
    let shown = [Factor::new(Method::Password, NOW)];
    let started = sessions.start("42", &shown, NOW).await.unwrap();
    let mut token = started.refresh_token;
    for round in 1..=50 {
        let now = after(Duration::from_secs(round * 3600));
        let tab = || {
            let (sessions, token) = (Arc::clone(&sessions), token.clone());
            tokio::spawn(async move { sessions.refresh(token.expose(), now).await })
        };
        let (one, other) = (tab(), tab());
        let (one, other) = (one.await.unwrap().unwrap(), other.await.unwrap().unwrap());
        // The same child for both, whichever of them goes on with it, and the second one is known to be.
        assert_eq!(one.refresh_token, other.refresh_token);
        assert!(one.repeated != other.repeated);
        assert!(sessions.live(&started.session, now).await.is_ok());
        token = other.refresh_token;
    }
}
