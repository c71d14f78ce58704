//! The layers, in front of a handler that answers everyone.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use http::request::Parts;
use http::{Request, Response, StatusCode};
use portcullis::core::{Reason, SystemClock, Timestamp};
use portcullis::tower::{Check, GateLayer, Refusal};
use tower_layer::Layer;
use tower_service::Service;

#[derive(Clone)]
struct Handler;

impl<B> Service<Request<B>> for Handler {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(Ok(Response::new(String::from("hello"))))
    }
}

/// What is answered to `request` behind `layer`.
async fn answered<L, B, Out>(layer: &L, request: Request<B>) -> Response<Out>
where
    L: Layer<Handler>,
    L::Service: Service<Request<B>, Response = Response<Out>, Error = Infallible>,
{
    let mut service = layer.layer(Handler);
    std::future::poll_fn(|context| service.poll_ready(context))
        .await
        .unwrap();
    service.call(request).await.unwrap()
}

#[test]
fn a_gate_lets_through_whom_it_admits_and_no_other() {
    let gate = Check::new(|head: &mut Parts, _now: Timestamp| {
        let admitted = head.headers.contains_key("x-word");
        admitted
            .then_some(())
            .ok_or_else(|| Refusal::new(Reason::CredentialsMissing))
    });
    let layer = GateLayer::new(gate, SystemClock);
    let status = |request| super::now_or_soon(answered(&layer, request)).status();
    let nobody = Request::new(String::new());
    assert_eq!(status(nobody), StatusCode::UNAUTHORIZED);
    let somebody = Request::builder().header("x-word", "sesame");
    assert_eq!(
        status(somebody.body(String::new()).unwrap()),
        StatusCode::OK
    );
}

#[cfg(feature = "axum")]
#[test]
fn the_address_that_axum_notes_is_the_peers() {
    use axum::extract::ConnectInfo;
    use portcullis::tower::AddressGate;
    use std::net::SocketAddr;

    let layer = GateLayer::new(AddressGate::direct(), SystemClock);
    let status = |request| super::now_or_soon(answered(&layer, request)).status();
    let unknown = Request::new(String::new());
    assert_eq!(status(unknown), StatusCode::INTERNAL_SERVER_ERROR);
    let mut request = Request::new(String::new());
    let peer = ConnectInfo(SocketAddr::from(([192, 0, 2, 7], 4711)));
    request.extensions_mut().insert(peer);
    assert_eq!(status(request), StatusCode::OK);
}

#[cfg(feature = "cookie")]
#[test]
fn a_page_says_what_it_never_does_and_a_site_without_tls_is_none() {
    use portcullis::tower::{SecurityHeadersLayer, Site};

    let layer = SecurityHeadersLayer::new(&Site::https("https://example.org").unwrap());
    let answer = super::now_or_soon(answered(&layer, Request::new(String::new())));
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    assert!(Site::https("http://example.org").is_err());
}

#[cfg(feature = "metrics")]
#[test]
fn each_request_is_counted_once() {
    use metrics_util::debugging::{DebugValue, DebuggingRecorder};
    use portcullis::tower::{ObserveLayer, REFUSALS, REQUESTS};

    let recorder = DebuggingRecorder::new();
    let counts = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        let layer = ObserveLayer::new(SystemClock);
        super::now_or_soon(answered(&layer, Request::new(String::new())));
    });
    let counts = counts.snapshot().into_vec();
    let of = |name: &str| {
        let named = counts.iter().filter(|(key, ..)| key.key().name() == name);
        named.map(|(.., value)| value).collect::<Vec<_>>()
    };
    assert_eq!(of(REQUESTS), [&DebugValue::Counter(1)]);
    assert!(of(REFUSALS).is_empty());
}

#[cfg(feature = "tracing")]
#[test]
fn each_request_is_a_span() {
    use portcullis::tower::{ObserveLayer, SPAN};
    use std::sync::{Arc, Mutex};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    /// Notes the names of spans that begin.
    #[derive(Clone, Default)]
    struct Names(Arc<Mutex<Vec<&'static str>>>);

    impl Subscriber for Names {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, span: &Attributes<'_>) -> Id {
            let mut names = self.0.lock().unwrap();
            names.push(span.metadata().name());
            Id::from_u64(names.len() as u64)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, _: &Event<'_>) {}
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    let names = Names::default();
    tracing::subscriber::with_default(names.clone(), || {
        let layer = ObserveLayer::new(SystemClock);
        super::now_or_soon(answered(&layer, Request::new(String::new())));
    });
    assert_eq!(*names.0.lock().unwrap(), [SPAN]);
}

#[cfg(feature = "signature")]
#[test]
fn a_request_that_its_sender_signed_is_let_through_once() {
    use bytes::Bytes;
    use http_body_util::Full;
    use portcullis::core::{AnyStore, Clock, Memory};
    use portcullis::hmac_signing::{
        Component, KeyId, Policy, ReplayGuard, ReplayPolicy, Secrets, Signer, SigningKey, V1,
        Verifier,
    };
    use portcullis::tower::{SecretDirectory, SignatureLayer};

    #[derive(Clone)]
    struct Partner(Secrets);

    impl SecretDirectory for Partner {
        async fn find(
            &self,
            key_id: &KeyId,
            _head: &mut Parts,
            _now: Timestamp,
        ) -> Result<Option<Secrets>, Refusal> {
            Ok((key_id.as_str() == "partner-7").then(|| self.0.clone()))
        }
    }

    let now = SystemClock.now();
    let key = SigningKey::new(super::secret()).unwrap();
    let partner = Partner(Secrets::new(key.clone()).made_at(now));
    let scheme = V1::new("orders").unwrap();
    let verifier = Verifier::new(scheme.clone(), Policy::requiring(Component::ALL)).unwrap();
    let replays = ReplayGuard::new(AnyStore::new(Memory::new(now)), ReplayPolicy::default());
    let layer = SignatureLayer::new(verifier, partner, replays.into(), SystemClock);
    let request = Request::post("https://api.example.com/orders");
    let mut request = request.body(Bytes::from("{}")).unwrap();
    let unsigned = request.clone();
    let signer = Signer::new(scheme, KeyId::parse("partner-7").unwrap(), key);
    signer.sign(&mut request, now).unwrap();

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    runtime.unwrap().block_on(async {
        let status =
            async |request: Request<Bytes>| answered(&layer, request.map(Full::new)).await.status();
        assert_eq!(status(unsigned).await, StatusCode::UNAUTHORIZED);
        assert_eq!(status(request.clone()).await, StatusCode::OK);
        assert_eq!(status(request).await, StatusCode::UNAUTHORIZED);
    });
}
