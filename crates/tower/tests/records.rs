//! What becomes of a refusal in the audit log.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, StatusCode, request};
use http_body_util::Full;
use portcullis_audit::Action;
use portcullis_audit::testing::MemorySink;
use portcullis_core::testing::FakeClock;
use portcullis_core::{AnyStore, Memory, Reason, Secret, Timestamp};
use portcullis_jwt::{HmacKey, KeySet, NoClaims, Policy, Signer, Subject, Verifier};
use portcullis_session::{Factor, Method, SessionPolicy, Sessions};
use portcullis_tower::{BearerGate, Check, Gate, GateLayer, RecordLayer, RecordPolicy, Refusal};
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
