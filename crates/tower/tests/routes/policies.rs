//! Each kind of policy, over a path that is listed and over a router that nobody can list.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::routing::any;
use http::{Method, StatusCode, request};
use portcullis_core::testing::FakeClock;
use portcullis_core::{Reason, Timestamp};
use portcullis_tower::{
    AddressGate, Check, GateLayer, Gated, Layered, Open, PeerAddress, Policy, Refusal,
};
use tower::ServiceExt;

use super::{NOW, closed, direct, open, routes, secret};

/// What a request meets at every place that the policy covers.
async fn answers<P: Policy>(policy: impl Fn() -> P) -> Vec<(StatusCode, String)> {
    let nested = Router::new().route("/x", any(secret));
    let others = Router::new().route("/merged", any(secret));
    let app = routes()
        .route("/listed", any(secret), policy())
        .merge_router(others.nest("/in", nested))
        .cover(policy())
        .finish()
        .unwrap();
    let mut answers = Vec::new();
    for path in ["/listed", "/merged", "/in/x"] {
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header("sec-fetch-site", "cross-site");
        let mut request = request.body(Body::empty()).unwrap();
        let peer = PeerAddress("192.0.2.7".parse().unwrap());
        request.extensions_mut().insert(peer);
        let answer = app.clone().oneshot(request).await.unwrap();
        let status = answer.status();
        let body = to_bytes(answer.into_body(), 1 << 16).await.unwrap();
        answers.push((status, String::from_utf8(body.to_vec()).unwrap()));
    }
    answers
}

async fn refuses<P: Policy>(policy: impl Fn() -> P) {
    for (status, body) in answers(policy).await {
        assert!(status.is_client_error(), "{status}");
        assert!(!body.contains("secret"), "{body}");
    }
}

async fn admits<P: Policy>(policy: impl Fn() -> P) {
    for answer in answers(policy).await {
        assert_eq!(answer, (StatusCode::OK, "the secret".into()));
    }
}

fn own() -> Layered<GateLayer<AddressGate>> {
    let layer = GateLayer::new(AddressGate::direct(), FakeClock::new(NOW));
    Layered::by(layer, "everyone")
}

#[tokio::test]
async fn every_kind_of_policy_refuses_and_admits_wherever_it_covers() {
    let nobody = |_: &mut request::Parts, _: Timestamp| Err(Refusal::new(Reason::RoleMissing));
    let check = || Check::new(nobody).named("nobody");
    let layer = || GateLayer::new(check(), FakeClock::new(NOW));
    refuses(closed).await;
    refuses(|| Gated::by(check())).await;
    refuses(|| Layered::by(layer(), "nobody")).await;
    admits(direct).await;
    admits(|| Gated::by(AddressGate::direct())).await;
    admits(own).await;
    admits(open).await;
    // Each place of a pair and a triple is asked.
    refuses(|| (closed(), open())).await;
    refuses(|| (open(), closed())).await;
    refuses(|| (closed(), open(), open())).await;
    refuses(|| (open(), closed(), open())).await;
    refuses(|| (open(), open(), closed())).await;
    admits(|| (direct(), (own(), open(), open()))).await;
}

#[tokio::test]
async fn the_first_of_several_policies_is_the_outermost() {
    #[derive(Clone)]
    struct Marked;
    type Act = fn(&mut request::Parts, Timestamp) -> Result<(), Refusal>;
    let mark: Act = |head, _| {
        head.extensions.insert(Marked);
        Ok(())
    };
    let asks: Act = |head, _| match head.extensions.get() {
        Some(Marked) => Ok(()),
        None => Err(Refusal::new(Reason::RoleMissing)),
    };
    let (mark, asks) = (
        || Gated::by(Check::new(mark)),
        || Gated::by(Check::new(asks)),
    );
    let between = || Open::because("stands between");
    admits(|| (mark(), asks())).await;
    refuses(|| (asks(), mark())).await;
    admits(|| (mark(), asks(), between())).await;
    admits(|| (mark(), between(), asks())).await;
    admits(|| (between(), mark(), asks())).await;
    refuses(|| (asks(), mark(), between())).await;
    refuses(|| (asks(), between(), mark())).await;
    refuses(|| (between(), asks(), mark())).await;
}

#[cfg(feature = "signature")]
#[tokio::test]
async fn a_signature_layer_refuses_wherever_it_covers() {
    use std::sync::Arc;

    use portcullis_core::{AnyStore, Memory};
    use portcullis_hmac_signing::{
        Component, KeyId, Policy, ReplayGuard, ReplayPolicy, Secrets, V1, Verifier,
    };
    use portcullis_tower::{SecretDirectory, SignatureLayer};

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

    let verifier = || Verifier::new(V1::new("shop").unwrap(), Policy::requiring(Component::ALL));
    let store = AnyStore::new(Memory::new(NOW));
    let replays = Arc::new(ReplayGuard::new(store, ReplayPolicy::default()));
    let layer = || {
        let replays = Arc::clone(&replays);
        SignatureLayer::new(verifier().unwrap(), Nobody, replays, FakeClock::new(NOW))
    };
    refuses(layer).await;
    refuses(|| (direct(), layer())).await;
}

#[cfg(feature = "cookie")]
#[tokio::test]
async fn a_cookie_layer_refuses_other_sites_wherever_it_covers() {
    use std::sync::Arc;

    use portcullis_core::{AnyStore, Memory, Secret};
    use portcullis_session::{SessionPolicy, Sessions};
    use portcullis_tower::{CookieSessionLayer, Site};

    let policy = SessionPolicy::default().dangerous_allow_volatile();
    let key = Secret::generate::<32>().unwrap();
    let store = AnyStore::new(Memory::new(NOW));
    let sessions = Arc::new(Sessions::new(store, key.clone(), policy).unwrap());
    let site = Site::https("https://example.org").unwrap();
    let layer = CookieSessionLayer::new(sessions, &key, site).unwrap();
    refuses(|| layer.clone()).await;
    refuses(|| (direct(), layer.clone())).await;
}
