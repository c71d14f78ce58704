//! What becomes of a refusal in the audit log.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, StatusCode, request};
use http_body_util::Full;
use portcullis_audit::testing::MemorySink;
use portcullis_audit::{Action, Event};
use portcullis_core::testing::FakeClock;
use portcullis_core::{AnyStore, Memory, Reason, Secret, Timestamp};
use portcullis_jwt::{HmacKey, KeySet, NoClaims, Policy, Signer, Subject, Verifier};
use portcullis_session::{Factor, Method, SessionPolicy, Sessions};
use portcullis_tower::{
    AddressGate, BearerGate, Check, Gate, GateLayer, PeerAddress, RecordLayer, RecordPolicy,
    Refusal, Stack,
};
use tower::{Layer, Service, ServiceExt};

type Body = Full<bytes::Bytes>;

const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);

/// A handler behind `gate`, and what records its refusals to `sink`.
fn recorded(
    gate: impl Gate,
    sink: &MemorySink,
) -> (
    RecordLayer<MemorySink>,
    impl Service<
        Request<Body>,
        Response = Response<impl http_body::Body>,
        Error = Infallible,
        Future: Send,
    > + Clone,
) {
    let clock = FakeClock::new(NOW);
    let policy = RecordPolicy::default();
    let layer = RecordLayer::new(sink.clone(), policy, clock.clone()).unwrap();
    let handler = tower::service_fn(|_: Request<Body>| async {
        Ok::<_, Infallible>(Response::new(Body::default()))
    });
    let service = layer.layer(GateLayer::new(gate, clock).layer(handler));
    (layer, service)
}

#[tokio::test]
async fn a_token_of_a_session_that_was_revoked_is_recorded_as_refused() {
    let keys = KeySet::new(HmacKey::new("1", Secret::generate::<32>().unwrap()).unwrap());
    let policy = Policy::access("https://login.example", "api").unwrap();
    let trial = SessionPolicy::default().dangerous_allow_volatile();
    let key = Secret::generate::<32>().unwrap();
    let sessions = Sessions::new(AnyStore::new(Memory::new(NOW)), key, trial).unwrap();
    let shown = [Factor::new(Method::Password, NOW)];
    let session = sessions.start("alice", &shown, NOW).await.unwrap().session;
    let name = session.to_string();
    let subject = Subject::new("alice").session(&name);
    let signer = Signer::new(&keys, policy.clone());
    let token = signer.sign(&NoClaims {}, subject, NOW, Duration::from_secs(3600));
    let bearer = format!("Bearer {}", token.unwrap());
    let (verifier, sessions) = (Verifier::new(&keys, policy), Arc::new(sessions));
    let gate = BearerGate::<NoClaims>::of_sessions(Arc::new(verifier), Arc::clone(&sessions));
    let sink = MemorySink::new();
    let (_, service) = recorded(gate, &sink);
    let call = || {
        let request = Request::builder().header("authorization", &bearer);
        let request = request.body(Body::default()).unwrap();
        service.clone().oneshot(request)
    };
    assert_eq!(call().await.unwrap().status(), StatusCode::OK);
    assert_eq!(sink.actions(), []);
    sessions.revoke(&session, NOW).await.unwrap();
    assert_eq!(call().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(sink.actions(), [Action::TokenRefused]);
    let revoked = Some(Reason::TokenRevoked.as_str());
    assert!(
        sink.events()
            .iter()
            .all(|event| event.reason_name() == revoked)
    );
}

#[tokio::test]
async fn what_the_sink_does_not_take_is_counted_and_the_refusal_stands() {
    let sink = MemorySink::new();
    let closed = Check::new(|_: &mut request::Parts, _| Err(Refusal::new(Reason::RoleMissing)));
    let (layer, service) = recorded(closed, &sink);
    for (failing, failed, kept) in [(true, 1, 0), (true, 2, 0), (false, 2, 1), (true, 3, 1)] {
        sink.fail(failing);
        let request = Request::new(Body::default());
        let refused = service.clone().oneshot(request).await.unwrap();
        assert_eq!(refused.status(), StatusCode::FORBIDDEN);
        assert_eq!((layer.failed(), layer.shed()), (failed, 0));
        assert_eq!(sink.events().len(), kept);
    }
}

/// A log that refusals fill refuses every sign-in: a flood from one address has a tenth of the room, and
/// leaves the rest to the others.
#[tokio::test]
async fn one_client_that_floods_has_a_tenth_of_the_room_and_others_are_still_recorded() {
    let (sink, clock) = (MemorySink::new(), FakeClock::new(NOW));
    let policy = RecordPolicy::default();
    let layer = RecordLayer::new(sink.clone(), policy, clock.clone()).unwrap();
    let closed = Check::new(|_: &mut request::Parts, _| Err(Refusal::new(Reason::RoleMissing)));
    let gates = Stack::new(AddressGate::direct()).check(closed);
    let handler = tower::service_fn(|_: Request<Body>| async {
        Ok::<_, Infallible>(Response::new(Body::default()))
    });
    let service = layer.layer(gates.layer(clock.clone()).layer(handler));
    let refused = async |peer: &str| {
        let mut request = Request::new(Body::default());
        let peer = PeerAddress(peer.parse().unwrap());
        request.extensions_mut().insert(peer);
        let answer = service.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    };
    let counted = || (sink.events().len(), layer.shed());
    // Ten minutes of it, and twenty a second.
    for second in 0..600 {
        for host in 0..20 {
            refused(&format!("2001:db8::{host:x}")).await;
        }
        clock.set(NOW.saturating_add(Duration::from_secs(second + 1)));
    }
    // A minute's worth at once, and then one a second.
    assert_eq!(counted(), (60 + 599, 12_000 - 659));
    refused("2001:db8:0:1::1").await;
    refused("192.0.2.1").await;
    assert_eq!(counted(), (661, 11_341));
    // Many clients together have the whole.
    clock.advance(Duration::from_secs(3600));
    for client in 0..1_000 {
        refused(&format!("2001:db8:1:{client:x}::1")).await;
    }
    assert_eq!(counted(), (661 + 600, 11_341 + 400));
}

#[test]
fn what_a_day_of_refusals_takes_is_what_the_documentation_says() {
    let longest = u64::try_from(Event::MAX_RECORD_BYTES).unwrap();
    let a_day = longest * 86_400;
    let said = include_str!("../src/record.rs");
    assert!(said.contains(&format!("is {longest}: the longest ones")));
    assert!(said.contains(&format!("{longest} × 86 400 = ")));
    let groups = (a_day / 1_000_000, a_day / 1_000 % 1_000, a_day % 1_000);
    let spelled = format!("{} {:03} {:03} bytes a day", groups.0, groups.1, groups.2);
    assert!(said.contains(&spelled), "{spelled}");
    assert!(said.contains("1.6 GB a day to a log, and those of one client 159 MB"));
    assert_eq!((a_day + 500_000) / 1_000_000, 159);
    assert_eq!((a_day * 10 + 50_000_000) / 100_000_000, 16);
}
