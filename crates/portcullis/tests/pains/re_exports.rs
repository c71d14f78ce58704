//! A program that names no crate but `portcullis`: all that its signatures ask for is handed on.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use portcullis::core::testing::FakeClock;
use portcullis::core::{Secret, Timestamp};
use portcullis::hmac_signing::{KeyId, Secrets};
use portcullis::jwt::serde::{Deserialize, Serialize};
use portcullis::jwt::{AccessToken, HmacKey, KeySet, Policy, Signer, Verifier};
use portcullis::tower::axum::routing::get;
use portcullis::tower::bytes::Bytes;
use portcullis::tower::http::{HeaderMap, Request, Response, StatusCode, request, response};
use portcullis::tower::http_body::{Body, Frame};
use portcullis::tower::http_body_util::Full;
use portcullis::tower::tower_layer::Layer;
use portcullis::tower::tower_service::Service;
use portcullis::tower::{
    BearerGate, Gate, GateLayer, Open, Pass, Refusal, Routes, SecretDirectory, respond,
};

use crate::NOW;

#[derive(Clone, Serialize, Deserialize)]
#[serde(crate = "portcullis::jwt::serde")]
struct Claims {
    role: String,
}

/// Says whose role it is.
#[derive(Clone)]
struct Handler;

impl Service<Request<Nothing>> for Handler {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Nothing>) -> Self::Future {
        let token: Option<&AccessToken<Claims>> = request.extensions().get();
        let role = token.map_or("nobody", |token| &token.claims().role);
        ready(Ok(Response::new(Full::from(role.to_owned()))))
    }
}

/// A body of one's own.
struct Nothing;

impl Body for Nothing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }
}

/// A gate of one's own, behind another.
#[derive(Clone, Debug)]
struct Marked<G>(G);

struct MarkedPass<P>(P);

impl<G: Gate> Gate for Marked<G> {
    type Pass = MarkedPass<G::Pass>;

    async fn admit(
        &self,
        head: &mut request::Parts,
        now: Timestamp,
    ) -> Result<Self::Pass, Refusal> {
        Ok(MarkedPass(self.0.admit(head, now).await?))
    }
}

impl<P: Pass> Pass for MarkedPass<P> {
    fn settle(&mut self, head: &mut response::Parts) {
        self.0.settle(head);
        let mark = "passed".parse();
        head.headers
            .insert("x-mark", mark.expect("a header's text"));
    }
}

/// Knows nobody's secrets.
#[derive(Clone)]
struct Nobody;

impl SecretDirectory for Nobody {
    async fn find(
        &self,
        _: &KeyId,
        _: &mut request::Parts,
        _: Timestamp,
    ) -> Result<Option<Secrets>, Refusal> {
        Ok(None)
    }
}

fn at_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("nothing here waits"),
    }
}

#[test]
fn a_program_of_re_exports_alone_compiles_and_serves() {
    let keys = KeySet::new(HmacKey::new("k1", Secret::from((0..32).collect::<Vec<u8>>())).unwrap());
    let policy = Policy::access("https://login.example", "orders").unwrap();
    let signer = Signer::new(&keys, policy.clone());
    let claims = Claims {
        role: "admin".into(),
    };
    let token = signer
        .sign(&claims, "42", NOW, Duration::from_secs(60))
        .unwrap();
    let gate = Marked(BearerGate::<Claims>::stateless(Arc::new(Verifier::new(
        &keys, policy,
    ))));
    let mut service = GateLayer::new(gate, FakeClock::new(NOW)).layer(Handler);
    let mut send = |token: &str| {
        let request = Request::get("/").header("authorization", format!("Bearer {token}"));
        at_once(service.call(request.body(Nothing).unwrap())).unwrap()
    };
    let answer = send(&token);
    assert_eq!(
        (answer.status(), &answer.headers()["x-mark"]),
        (StatusCode::OK, &"passed".parse().unwrap())
    );
    assert_eq!(answer.into_body().size_hint().exact(), Some(5));
    let refused = send("none");
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert!(!refused.headers().contains_key("x-mark"));

    let (mut head, Nothing) = Request::new(Nothing).into_parts();
    let key_id = KeyId::parse("partner-7").unwrap();
    let found = at_once(Nobody.find(&key_id, &mut head, NOW));
    assert!(matches!(found, Ok(None)));
    let refusal = Refusal::new(portcullis::core::Reason::KeyUnknown);
    let answer: Response<Full<Bytes>> = respond(&refusal, &HeaderMap::new());
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let health = Open::because("probes carry no credentials");
    let app = Routes::<()>::new(FakeClock::new(NOW)).route("/", get(async || "well"), health);
    assert_eq!(app.finish().unwrap().table().rows().len(), 2);
}

/// Whether `text` names that crate by itself, and not as a part of another path.
fn names(text: &str, krate: &str) -> bool {
    let path = format!("{krate}::");
    let before = |at: usize| text[..at].chars().next_back();
    let part = |before: char| before.is_alphanumeric() || "_:".contains(before);
    text.match_indices(&path)
        .any(|(at, _)| !before(at).is_some_and(part))
}

#[test]
fn the_program_above_names_no_other_crate() {
    let text = include_str!("re_exports.rs");
    let program = text.split("/// Whether `text` names").next().unwrap();
    let others = [
        "axum",
        "bytes",
        "http",
        "http_body",
        "http_body_util",
        "serde",
        "serde_json",
    ];
    let named: Vec<&str> = others
        .into_iter()
        .chain(["tokio", "tower", "tower_layer", "tower_service"])
        .filter(|krate| names(program, krate))
        .collect();
    assert_eq!(named, Vec::<&str>::new());
    assert!(names("use http::Request;", "http") && names("(serde::Serialize)", "serde"));
    assert!(!names("use portcullis::tower::http::Request;", "http"));
}
