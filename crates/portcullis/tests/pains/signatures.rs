//! Signed requests: which bytes are signed, and what a missing header means.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderName, Request, Response, StatusCode, request};
use http_body_util::{BodyExt, Full};
use portcullis::core::testing::FakeClock;
use portcullis::core::{AnyStore, Memory, Secret, Timestamp};
use portcullis::hmac_signing::{
    CanonicalLines, Component, KeyId, Policy, ReplayGuard, ReplayPolicy, Scheme, Secrets, Signer,
    SigningKey, TimestampBody, V1, Verifier,
};
use portcullis::tower::{ReadBody, Refusal, SecretDirectory, SignatureLayer};
use tower::{Layer, ServiceExt};

use crate::NOW;

/// Knows one partner.
#[derive(Clone)]
struct Partner(Secrets);

impl SecretDirectory for Partner {
    async fn find(
        &self,
        key_id: &KeyId,
        _: &mut request::Parts,
        _: Timestamp,
    ) -> Result<Option<Secrets>, Refusal> {
        Ok((*key_id == partner()).then(|| self.0.clone()))
    }
}

fn partner() -> KeyId {
    KeyId::parse("partner-7").unwrap()
}

fn key() -> SigningKey {
    SigningKey::new(Secret::from((0..32).collect::<Vec<u8>>())).unwrap()
}

fn signed<S: Scheme>(scheme: S, body: &str) -> Request<Bytes> {
    let mut request = Request::post("/v1/orders?dry=no")
        .header("host", "api.example.com")
        .header("content-type", "application/json")
        .body(Bytes::copy_from_slice(body.as_bytes()))
        .unwrap();
    let signer = Signer::new(scheme, partner(), key());
    signer.sign(&mut request, NOW).unwrap();
    request
}

/// The answer of a service that never saw a request before, and the body that its handler saw.
async fn send<S: Scheme>(scheme: S, request: Request<Bytes>) -> (StatusCode, Option<Bytes>) {
    let verifier = Verifier::new(scheme, Policy::requiring(&[Component::Body])).unwrap();
    let secrets = Partner(Secrets::new(key()).made_at(NOW));
    let replays = ReplayGuard::new(AnyStore::new(Memory::new(NOW)), ReplayPolicy::default());
    let layer = SignatureLayer::new(verifier, secrets, Arc::new(replays), FakeClock::new(NOW));
    let seen = Arc::new(Mutex::new(None));
    let kept = Arc::clone(&seen);
    let service = layer.layer(tower::service_fn(
        move |request: Request<ReadBody<Full<Bytes>>>| {
            let kept = Arc::clone(&kept);
            async move {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                *kept.lock().unwrap() = Some(body);
                Ok::<_, Infallible>(Response::new(String::new()))
            }
        },
    ));
    let answer = service.oneshot(request.map(Full::new)).await.unwrap();
    let seen = seen.lock().unwrap().take();
    (answer.status(), seen)
}

fn v1() -> V1 {
    V1::new("orders").unwrap()
}

fn lines() -> CanonicalLines {
    CanonicalLines::new("https://api.example.com").unwrap()
}

/// Written by no serialiser alike: spaces, a number with a nought, an escape, a member twice.
const BODY: &str = r#"{ "amount" : 1.0, "note":"\u0041", "to":"mallory", "to":"alice" }"#;

async fn signs_the_bytes<S: Scheme + Clone>(scheme: S) {
    let request = signed(scheme.clone(), BODY);
    let (status, seen) = send(scheme.clone(), request.clone()).await;
    assert_eq!(
        (status, seen.as_deref()),
        (StatusCode::OK, Some(BODY.as_bytes()))
    );

    let value: serde_json::Value = serde_json::from_str(BODY).unwrap();
    let again = value.to_string();
    let rewritten = request.map(|_| Bytes::from(again.clone()));
    assert_eq!(
        send(scheme.clone(), rewritten).await,
        (StatusCode::UNAUTHORIZED, None)
    );
    // Nor is a body that means the same to one reader taken in the place of what was signed.
    let other = signed(scheme.clone(), &again).map(|_| Bytes::from_static(BODY.as_bytes()));
    assert_eq!(send(scheme, other).await, (StatusCode::UNAUTHORIZED, None));
}

#[tokio::test]
async fn a_body_is_signed_as_it_was_sent_and_not_as_it_would_be_written_again() {
    signs_the_bytes(v1()).await;
    signs_the_bytes(lines()).await;
    signs_the_bytes(TimestampBody::from(partner())).await;
}

async fn needs_each_header<S: Scheme + Clone>(scheme: S, names: &[&'static str]) {
    let whole = signed(scheme.clone(), BODY);
    let put = whole
        .headers()
        .keys()
        .filter(|name| name.as_str().starts_with("x-"));
    let mut put: Vec<&str> = put.map(HeaderName::as_str).collect();
    put.sort_unstable();
    assert_eq!(put, names, "what the scheme sends is what is left out here");
    for name in names {
        let mut request = whole.clone();
        request.headers_mut().remove(*name);
        let (status, seen) = send(scheme.clone(), request).await;
        assert!(
            status.is_client_error() && seen.is_none(),
            "{name}: {status}"
        );
        let mut request = whole.clone();
        request.headers_mut().insert(*name, "".parse().unwrap());
        let (status, seen) = send(scheme.clone(), request).await;
        assert!(
            status.is_client_error() && seen.is_none(),
            "{name} empty: {status}"
        );
    }
    let mut bare = whole.clone();
    bare.headers_mut().clear();
    let (status, seen) = send(scheme, bare).await;
    assert!(status.is_client_error() && seen.is_none(), "{status}");
}

#[tokio::test]
async fn a_request_that_lacks_any_header_of_its_signature_is_refused() {
    let all = ["x-key-id", "x-nonce", "x-signature", "x-timestamp"];
    needs_each_header(v1(), &all).await;
    needs_each_header(lines(), &["x-api-key", "x-signature", "x-timestamp"]).await;
    let known = TimestampBody::from(partner());
    needs_each_header(known, &["x-signature", "x-timestamp"]).await;
    let named = TimestampBody::named_by_header();
    needs_each_header(named, &["x-key-id", "x-signature", "x-timestamp"]).await;
}
