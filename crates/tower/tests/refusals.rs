//! What a refusal carries for those who read it: the caller, the audit log.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, request, response};
use http_body_util::Full;
use portcullis_audit::Field;
use portcullis_audit::testing::MemorySink;
use portcullis_core::testing::FakeClock;
use portcullis_core::{Reason, Scope, Secret, Timestamp};
use portcullis_ip_list::{AddressList, ClientAddress, TrustedProxies};
use portcullis_jwt::{HmacKey, KeySet, NoClaims, Policy, Signer, Subject, Verifier};
use portcullis_rate_limit::{Limiter, LimiterPolicy, Quota};
use portcullis_tower::{
    AddressGate, BearerGate, Check, Gate, GateLayer, LimitGate, Pass, PeerAddress, RecordLayer,
    RecordPolicy, Refusal, Stack, respond,
};
use tower::{Layer, Service, ServiceExt};

type Body = Full<bytes::Bytes>;

fn clock() -> FakeClock {
    FakeClock::new(Timestamp::from_unix_secs(1_700_000_000))
}

fn direct() -> AddressGate {
    AddressGate::new(TrustedProxies::none(), AddressList::everyone())
}

fn limit(name: &'static str, count: u32) -> LimitGate {
    let quota = Quota::per_minute(count).unwrap().strict().unwrap();
    LimitGate::in_process(
        Scope::new(name),
        Arc::new(Limiter::new(quota, LimiterPolicy::default())),
    )
}

fn bearer() -> BearerGate<NoClaims> {
    let keys = KeySet::new(HmacKey::new("1", Secret::generate::<32>().unwrap()).unwrap());
    let policy = Policy::access("https://login.example", "api").unwrap();
    BearerGate::stateless(Arc::new(Verifier::new(&keys, policy)))
}

fn refuser() -> impl Gate {
    Check::new(|_: &mut request::Parts, _| Err(Refusal::new(Reason::RoleMissing)))
}

/// A handler that answers every request with a refusal for `reason`.
fn refusing(
    reason: Reason,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ 'static {
    tower::service_fn(move |request: Request<Body>| async move {
        Ok(respond(&Refusal::new(reason), request.headers()))
    })
}

fn call() -> Request<Body> {
    let mut request = Request::new(Body::default());
    let peer = PeerAddress([192, 0, 2, 1].into());
    request.extensions_mut().insert(peer);
    request
}

fn values(headers: &HeaderMap, name: impl http::header::AsHeaderName) -> Vec<&str> {
    let all = headers.get_all(name).into_iter();
    all.map(|value| value.to_str().unwrap()).collect()
}

#[tokio::test]
async fn a_401_behind_a_limit_says_how_much_of_the_limit_is_left() {
    let service = Stack::new(direct())
        .limit(limit("api", 3))
        .token(bearer())
        .layer(clock())
        .layer(refusing(Reason::Internal));
    for left in ["\"api\";r=2", "\"api\";r=1", "\"api\";r=0"] {
        let refused = service.clone().oneshot(call()).await.unwrap();
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
        let headers = refused.headers();
        assert_eq!(values(headers, "ratelimit-policy"), ["\"api\";q=3;w=60"]);
        let said = values(headers, "ratelimit");
        assert_eq!(said.len(), 1);
        assert!(said[0].starts_with(left), "{said:?}");
        assert_eq!(values(headers, "www-authenticate").len(), 1);
    }
    let refused = service.oneshot(call()).await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(values(refused.headers(), "ratelimit-policy").len(), 1);
}

/// Says one header and the status it is shown on whatever it admits.
#[derive(Clone)]
struct Says(HeaderName, &'static str);

impl Pass for Says {
    fn settle(&mut self, head: &mut response::Parts) {
        let value = HeaderValue::from_static(self.1);
        head.headers.append(self.0.clone(), value);
        let status = HeaderValue::from(head.status.as_u16());
        head.headers.insert("x-status", status);
    }
}

impl Gate for Says {
    type Pass = Self;

    async fn admit(&self, _head: &mut request::Parts, _now: Timestamp) -> Result<Self, Refusal> {
        Ok(self.clone())
    }
}

#[tokio::test]
async fn a_refusal_keeps_its_own_headers_and_takes_the_others_of_every_gate_before_it() {
    let note = HeaderName::from_static("x-note");
    let service = Stack::new(direct())
        .check(Says(CACHE_CONTROL, "public"))
        .check(Says(CONTENT_TYPE, "text/html"))
        .check(Says(note.clone(), "first"))
        .check(Says(note.clone(), "second"))
        .check(refuser())
        .layer(clock())
        .layer(refusing(Reason::Internal));
    let refused = service.oneshot(call()).await.unwrap();
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    let headers = refused.headers();
    assert_eq!(values(headers, CACHE_CONTROL), ["no-store"]);
    assert_eq!(values(headers, CONTENT_TYPE), ["application/problem+json"]);
    assert_eq!(values(headers, "x-note"), ["second", "first"]);
    assert_eq!(values(headers, "x-status"), ["403"]);
}

#[tokio::test]
async fn what_a_handler_refuses_is_recorded_with_the_address_the_gates_told() {
    let sink = Arc::new(MemorySink::default());
    let layer = RecordLayer::new(Arc::clone(&sink), RecordPolicy::default(), clock()).unwrap();
    let gates = Stack::new(direct()).limit(limit("api", 9)).layer(clock());
    let service = layer.layer(gates.layer(refusing(Reason::TokenInvalid)));
    let refused = service.oneshot(call()).await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let addresses: Vec<_> = sink.events().iter().map(|event| event.ip()).collect();
    assert_eq!(addresses, [Some(IpAddr::from([192, 0, 2, 1]))]);
}

#[tokio::test]
async fn a_handler_that_names_an_address_itself_is_believed_and_an_answer_names_none() {
    let other = TrustedProxies::none()
        .client_address([198, 51, 100, 7].into(), std::iter::empty())
        .unwrap();
    let gate = GateLayer::new(direct(), clock());
    let naming = refusing(Reason::TokenInvalid).map_response(move |mut response| {
        response.extensions_mut().insert(other);
        response
    });
    let refused = gate.layer(naming).oneshot(call()).await.unwrap();
    assert_eq!(refused.extensions().get::<ClientAddress>(), Some(&other));

    let answering = tower::service_fn(|_: Request<Body>| async {
        Ok::<_, Infallible>(Response::new(Body::default()))
    });
    let answer = gate.layer(answering).oneshot(call()).await.unwrap();
    assert_eq!(answer.extensions().get::<ClientAddress>(), None);
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn axums_note_of_the_peer_serves_where_the_server_left_no_other() {
    use axum::extract::ConnectInfo;
    use std::net::SocketAddr;

    let list = AddressList::only(["192.0.2.0/24"]).unwrap();
    let gate = AddressGate::new(TrustedProxies::none(), list);
    let service = GateLayer::new(gate, clock()).layer(refusing(Reason::TokenInvalid));
    let (inside, outside) = ([192, 0, 2, 1], [203, 0, 113, 5]);
    let cases = [
        (None, None, 500),
        (None, Some(inside), 401),
        (None, Some(outside), 403),
        (Some(outside), Some(inside), 403),
        (Some(inside), Some(outside), 401),
    ];
    for (peer, axums, status) in cases {
        let mut request = Request::new(Body::default());
        if let Some(peer) = peer {
            request.extensions_mut().insert(PeerAddress(peer.into()));
        }
        if let Some(axums) = axums {
            let info = ConnectInfo(SocketAddr::from((axums, 4711)));
            request.extensions_mut().insert(info);
        }
        let answer = service.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), status, "{peer:?} {axums:?}");
    }
}

#[tokio::test]
async fn a_fault_of_the_service_asks_for_no_id_that_may_not_be_there() {
    use http_body_util::BodyExt;

    let response = respond(&Refusal::new(Reason::Internal), &HeaderMap::new());
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let detail = body["detail"].as_str().unwrap();
    assert!(!detail.to_lowercase().contains("request-id"), "{detail}");
    assert!(detail.ends_with("Report the request to whoever runs the service."));
}

#[tokio::test]
async fn a_refusal_behind_a_token_is_recorded_with_whose_it_is() {
    let keys = KeySet::new(HmacKey::new("1", Secret::generate::<32>().unwrap()).unwrap());
    let policy = Policy::access("https://login.example", "api").unwrap();
    let now = Timestamp::from_unix_secs(1_700_000_000);
    let subject = Subject::new("alice").session("a-session");
    let life = std::time::Duration::from_secs(900);
    let signer = Signer::new(&keys, policy.clone());
    let token = signer.sign(&NoClaims {}, subject, now, life).unwrap();
    let token_gate =
        || BearerGate::<NoClaims>::stateless(Arc::new(Verifier::new(&keys, policy.clone())));

    let sink = Arc::new(MemorySink::default());
    let record = RecordLayer::new(Arc::clone(&sink), RecordPolicy::default(), clock()).unwrap();
    let by_gate = Stack::new(direct()).token(token_gate()).check(refuser());
    let by_gate = record.layer(by_gate.layer(clock()).layer(refusing(Reason::Internal)));
    let by_handler = Stack::new(direct()).token(token_gate());
    let by_handler = record.layer(
        by_handler
            .layer(clock())
            .layer(refusing(Reason::TokenRevoked)),
    );

    let with_token = || {
        let mut request = call();
        let bearer = format!("Bearer {token}").parse().unwrap();
        request.headers_mut().insert("authorization", bearer);
        request
    };
    by_gate.oneshot(with_token()).await.unwrap();
    by_handler.oneshot(with_token()).await.unwrap();
    let events = sink.events();
    assert_eq!(events.len(), 2);
    for event in events {
        assert_eq!(event.text(Field::User), Some("alice"));
        assert_eq!(event.text(Field::Session), Some("a-session"));
    }
}
