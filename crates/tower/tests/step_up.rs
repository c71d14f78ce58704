//! Real requests through the gate that asks for more proof.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body_util::Full;
use portcullis_core::testing::FakeClock;
use portcullis_core::{AnyStore, Memory, Reason, Secret, Timestamp};
use portcullis_ip_list::{AddressList, TrustedProxies};
use portcullis_jwt::{HmacKey, KeySet, NoClaims, Policy, Signer, Subject, Verifier};
use portcullis_session::{Demand, Factor, Level, Method, SessionPolicy, Sessions};
use portcullis_tower::{
    AddressGate, BearerGate, GateLayer, PeerAddress, Refused, Stack, StepUpGate,
};
use tower::{Layer, ServiceExt};

type Body = Full<bytes::Bytes>;

const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);
const MINUTES: Duration = Duration::from_secs(300);

async fn answer(_: Request<Body>) -> Result<Response<Body>, Infallible> {
    Ok(Response::new(Body::default()))
}

#[tokio::test]
async fn a_session_that_has_not_shown_enough_is_told_what_to_show_and_then_admitted() {
    let keys = KeySet::new(HmacKey::new("1", Secret::generate::<32>().unwrap()).unwrap());
    let policy = Policy::access("https://login.example", "api").unwrap();
    let trial = SessionPolicy::default().dangerous_allow_volatile();
    let store = AnyStore::new(Memory::new(NOW));
    let sessions = Sessions::new(store, Secret::generate::<32>().unwrap(), trial).unwrap();
    let sessions = Arc::new(sessions);
    let shown = [
        Factor::new(Method::Password, NOW),
        Factor::new(Method::RecoveryCode, NOW),
    ];
    let session = sessions.start("alice", &shown, NOW).await.unwrap().session;
    let name = session.to_string();
    let subject = Subject::new("alice").session(&name);
    let signer = Signer::new(&keys, policy.clone());
    let token = signer.sign(&NoClaims {}, subject, NOW, Duration::from_secs(3600));
    let bearer = format!("Bearer {}", token.unwrap());

    let clock = FakeClock::new(NOW);
    let verifier = Arc::new(Verifier::new(&keys, policy));
    let direct = AddressGate::new(TrustedProxies::none(), AddressList::everyone());
    let service = Stack::new(direct)
        .token(BearerGate::<NoClaims>::of_sessions(
            verifier,
            Arc::clone(&sessions),
        ))
        .check(StepUpGate::require(Demand::require(
            Level::Authenticator,
            MINUTES,
        )))
        .layer(clock.clone())
        .layer(tower::service_fn(answer));
    let call = || {
        let mut request = Request::new(Body::default());
        let peer = PeerAddress([192, 0, 2, 1].into());
        request.extensions_mut().insert(peer);
        let value = bearer.parse().unwrap();
        request.headers_mut().insert("authorization", value);
        service.clone().oneshot(request)
    };

    // A recovery code signed in; it does not step up.
    let refused = call().await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let why = refused.extensions().get();
    assert_eq!(why, Some(&Refused(Reason::SecondFactorRequired)));
    let challenges: Vec<_> = refused
        .headers()
        .get_all("www-authenticate")
        .iter()
        .collect();
    assert_eq!(
        challenges,
        [
            "Bearer realm=\"portcullis\", error=\"insufficient_user_authentication\", \
          error_description=\"an enrolled authenticator is needed\", \
          acr_values=\"http://schemas.openid.net/pape/policies/2007/06/multi-factor\", \
          max_age=\"300\""
        ]
    );

    let totp = Factor::new(Method::Totp, NOW);
    sessions.add_factor(&session, totp, NOW).await.unwrap();
    assert_eq!(call().await.unwrap().status(), StatusCode::OK);
    clock.advance(MINUTES + Duration::from_secs(1));
    assert_eq!(call().await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn whoever_has_no_session_is_asked_for_credentials() {
    let gate = StepUpGate::require(Demand::second_factor());
    let service = GateLayer::new(gate, FakeClock::new(NOW)).layer(tower::service_fn(answer));
    let refused = service
        .oneshot(Request::new(Body::default()))
        .await
        .unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let why = refused.extensions().get();
    assert_eq!(why, Some(&Refused(Reason::CredentialsMissing)));
}
