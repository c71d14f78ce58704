//! Layers: routes that come after one, and a service that was not polled ready.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use http::{Request, Response, StatusCode, request};
use http_body_util::Full;
use portcullis::audit::testing::MemorySink;
use portcullis::core::testing::FakeClock;
use portcullis::core::{AnyStore, Memory, Reason, Secret, Timestamp};
use portcullis::hmac_signing::{
    Component, KeyId, Policy, ReplayGuard, ReplayPolicy, Secrets, Signer, SigningKey, V1, Verifier,
};
use portcullis::session::{SessionPolicy, Sessions};
use portcullis::tower::{
    Admitted, ArrivalLayer, CookieSessionLayer, Gate, GateLayer, GuardedRoutes, Layered,
    ObserveLayer, Open, RecordLayer, RecordPolicy, Refusal, Routes, SecretDirectory,
    SecurityHeadersLayer, SignatureLayer, Site,
};
use tower::{Layer, Service, ServiceExt};

use crate::NOW;

/// Admits whoever says the word.
#[derive(Clone, Debug)]
struct Word;

impl Gate for Word {
    type Pass = Admitted;

    async fn admit(&self, head: &mut request::Parts, _: Timestamp) -> Result<Admitted, Refusal> {
        if head.headers.contains_key("x-word") {
            Ok(Admitted)
        } else {
            Err(Refusal::new(Reason::CredentialsMissing))
        }
    }
}

fn guarded() -> GateLayer<Word> {
    GateLayer::new(Word, FakeClock::new(NOW))
}

fn word() -> Layered<GateLayer<Word>> {
    Layered::by(guarded(), "the word")
}

async fn status(app: &GuardedRoutes, path: &str) -> StatusCode {
    let request = Request::get(path).body(Body::empty()).unwrap();
    app.clone().oneshot(request).await.unwrap().status()
}

#[tokio::test]
async fn a_route_that_comes_after_the_policy_is_not_served_without_one() {
    let handler = || get(async || "told");
    let routes = || {
        Routes::new(FakeClock::new(NOW))
            .pending("/orders", handler())
            .cover(word())
    };
    // Put, merged and nested after what covers: each is named, and nothing is served.
    let late = routes().pending("/late", handler()).finish().unwrap_err();
    assert!(late.to_string().contains("/late"), "{late}");
    assert!(!late.to_string().contains("/orders"), "{late}");
    let other = Router::new().route("/merged", handler());
    assert!(routes().merge_router(other.clone()).finish().is_err());
    assert!(
        routes()
            .nest_router("/under", other.clone())
            .finish()
            .is_err()
    );

    let health = Open::because("probes carry no credentials");
    let app = routes()
        .route("/health", handler(), health)
        .merge_router(other)
        .cover(word())
        .finish()
        .unwrap();
    for path in ["/orders", "/merged"] {
        assert_eq!(status(&app, path).await, StatusCode::UNAUTHORIZED, "{path}");
    }
    assert_eq!(status(&app, "/health").await, StatusCode::OK);
}

/// Takes a call only after it, and no clone of it, was polled ready.
#[derive(Default)]
struct Strict {
    ready: bool,
    calls: Arc<AtomicUsize>,
}

impl Clone for Strict {
    /// As tower has it: readiness is not cloned.
    fn clone(&self) -> Self {
        Self {
            ready: false,
            calls: Arc::clone(&self.calls),
        }
    }
}

impl<B> Service<Request<B>> for Strict {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        assert!(
            std::mem::take(&mut self.ready),
            "called without being ready"
        );
        self.calls.fetch_add(1, Ordering::Relaxed);
        ready(Ok(Response::new(Full::default())))
    }
}

/// Two requests through one service behind the layer: each reaches a service that was polled ready.
async fn calls_the_ready_one<L, B>(layer: L, request: impl Fn(u8) -> Request<B>)
where
    L: Layer<Strict>,
    L::Service: Service<Request<B>, Error: std::fmt::Debug>,
{
    let inner = Strict::default();
    let calls = Arc::clone(&inner.calls);
    let mut service = layer.layer(inner);
    for number in 1..=2 {
        let service = ServiceExt::<Request<B>>::ready(&mut service).await.unwrap();
        assert!(service.call(request(number)).await.is_ok());
        assert_eq!(calls.load(Ordering::Relaxed), usize::from(number));
    }
}

/// Knows one partner.
#[derive(Clone)]
struct Partner(Secrets);

impl SecretDirectory for Partner {
    async fn find(
        &self,
        _: &KeyId,
        _: &mut request::Parts,
        _: Timestamp,
    ) -> Result<Option<Secrets>, Refusal> {
        Ok(Some(self.0.clone()))
    }
}

#[tokio::test]
async fn every_layer_calls_the_service_that_was_polled_ready() {
    let clock = || FakeClock::new(NOW);
    let store = || AnyStore::new(Memory::new(NOW));
    let plain = |_| {
        let request = Request::get("/").header("x-word", "sesame");
        request.body(Full::<Bytes>::default()).unwrap()
    };
    calls_the_ready_one(guarded(), plain).await;
    calls_the_ready_one(ArrivalLayer::new(clock()), plain).await;
    let record = RecordLayer::new(MemorySink::new(), RecordPolicy::default(), clock());
    calls_the_ready_one(record.unwrap(), plain).await;
    calls_the_ready_one(ObserveLayer::new(clock()), plain).await;

    let site = Site::https("https://example.org").unwrap();
    calls_the_ready_one(SecurityHeadersLayer::new(&site), plain).await;
    let policy = SessionPolicy::default().dangerous_allow_volatile();
    let key = Secret::generate::<32>().unwrap();
    let sessions = Arc::new(Sessions::new(store(), key.clone(), policy).unwrap());
    let cookies = CookieSessionLayer::new(sessions, &key, site).unwrap();
    calls_the_ready_one(cookies.clock(clock()), plain).await;

    let key = SigningKey::new(Secret::generate::<32>().unwrap()).unwrap();
    let scheme = V1::new("orders").unwrap();
    let verifier = Verifier::new(scheme.clone(), Policy::requiring(Component::ALL)).unwrap();
    let secrets = Partner(Secrets::new(key.clone()).made_at(NOW));
    let replays = Arc::new(ReplayGuard::new(store(), ReplayPolicy::default()));
    let layer = SignatureLayer::new(verifier, secrets, replays, clock());
    let signer = Signer::new(scheme, KeyId::parse("partner-7").unwrap(), key);
    let signed = |_| {
        let request = Request::get("/").header("host", "api.example.com");
        let mut request = request.body(Bytes::new()).unwrap();
        signer.sign(&mut request, NOW).unwrap();
        request.map(Full::new)
    };
    calls_the_ready_one(layer, signed).await;
}
