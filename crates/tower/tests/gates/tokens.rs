//! Bearer tokens: what opens, what is refused and how it is told.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, StatusCode, Version, request, response};
use portcullis_audit::Action;
use portcullis_audit::testing::MemorySink;
use portcullis_core::{AnyStore, Memory, Reason, Secret};
use portcullis_jwt::{AccessToken, HmacKey, KeySet, NoClaims, Policy, Signer, Subject, Verifier};
use portcullis_session::{Demand, Factor, Live, Method, SessionPolicy, Sessions};
use portcullis_tower::{BearerGate, Check, GateLayer, RecordLayer, RecordPolicy, Refusal, Stack};
use tower::{Layer, Service, ServiceExt};

use super::{Body, NOW, clock, direct, from, handler, text, with};

/// What a login leaves behind: the parts that a request is verified with, and a token.
struct Login {
    verifier: Arc<Verifier>,
    sessions: Arc<Sessions<AnyStore>>,
    token: String,
    session: portcullis_session::SessionId,
}

async fn login() -> Login {
    let keys = KeySet::new(HmacKey::new("1", Secret::generate::<32>().unwrap()).unwrap());
    let policy = Policy::access("https://login.example", "api").unwrap();
    let store = AnyStore::new(Memory::new(NOW));
    let session_policy = SessionPolicy::default().dangerous_allow_volatile();
    let sessions = Sessions::new(store, Secret::generate::<32>().unwrap(), session_policy).unwrap();
    let started = sessions
        .start("alice", &[Factor::new(Method::Password, NOW)], NOW)
        .await
        .unwrap();
    let session = started.session.to_string();
    let subject = Subject::new("alice").session(&session);
    let token = Signer::new(&keys, policy.clone())
        .sign(&NoClaims {}, subject, NOW, Duration::from_secs(3600))
        .unwrap();
    Login {
        verifier: Arc::new(Verifier::new(&keys, policy)),
        sessions: Arc::new(sessions),
        token,
        session: started.session,
    }
}

#[tokio::test]
async fn a_token_opens_the_gate_until_it_expires_or_its_session_ends() {
    let login = login().await;
    let clock = clock();
    let gate = BearerGate::<NoClaims>::of_sessions(login.verifier, Arc::clone(&login.sessions));
    let named = tower::service_fn(|request: Request<Body>| async move {
        let token = request
            .extensions()
            .get::<AccessToken<NoClaims>>()
            .expect("the gate leaves the token");
        Ok::<_, Infallible>(Response::new(Body::from(token.registered().sub.clone())))
    });
    let service = Stack::new(direct())
        .token(gate)
        .layer(clock.clone())
        .layer(named);
    let bearer = format!("Bearer {}", login.token);
    let call = |value: &str| {
        service
            .clone()
            .oneshot(with(from("192.0.2.1"), "authorization", value))
    };

    assert_eq!(text(call(&bearer).await.unwrap()).await, "alice");
    let bare = service.clone().oneshot(from("192.0.2.1")).await.unwrap();
    assert_eq!(bare.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        bare.headers()["www-authenticate"],
        "Bearer realm=\"portcullis\""
    );
    let twice = with(
        with(from("192.0.2.1"), "authorization", &bearer),
        "authorization",
        &bearer,
    );
    let twice = service.clone().oneshot(twice).await.unwrap();
    assert_eq!(twice.status(), StatusCode::BAD_REQUEST);
    assert_eq!(
        twice.headers()["www-authenticate"],
        "Bearer realm=\"portcullis\", error=\"invalid_request\""
    );

    clock.advance(Duration::from_secs(3_700));
    assert!(
        text(call(&bearer).await.unwrap())
            .await
            .contains("408_TOKEN_EXPIRED")
    );
    clock.set(NOW);
    login.sessions.revoke(&login.session, NOW).await.unwrap();
    let revoked = call(&bearer).await.unwrap();
    assert!(
        revoked.headers()["www-authenticate"]
            .to_str()
            .unwrap()
            .contains("invalid_token")
    );
    assert!(text(revoked).await.contains("401_UNAUTHORIZED"));
}

#[tokio::test]
async fn a_step_up_check_behind_the_token_sees_what_was_shown_in_the_session() {
    let login = login().await;
    let gate = BearerGate::<NoClaims>::of_sessions(login.verifier, Arc::clone(&login.sessions));
    let stepped_up = Check::new(|head: &mut request::Parts, now| {
        let demand = Demand::second_factor().within(Duration::from_secs(300));
        let live = head.extensions.get::<Live>().ok_or(Reason::Internal)?;
        if live.meets(&demand, now) {
            return Ok(());
        }
        Err(Refusal::new(Reason::SecondFactorRequired))
    });
    let clock = clock();
    let service = Stack::new(direct())
        .token(gate)
        .check(stepped_up)
        .layer(clock.clone())
        .layer(handler());
    let bearer = format!("Bearer {}", login.token);
    let call = || {
        service
            .clone()
            .oneshot(with(from("192.0.2.1"), "authorization", &bearer))
    };
    let refused = call().await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let challenge = refused.headers()["www-authenticate"].to_str().unwrap();
    assert!(challenge.contains("insufficient_user_authentication"));

    let totp = Factor::new(Method::Totp, NOW);
    let session = &login.session;
    login.sessions.add_factor(session, totp, NOW).await.unwrap();
    assert_eq!(call().await.unwrap().status(), StatusCode::OK);
    clock.advance(Duration::from_secs(301));
    assert_eq!(call().await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn every_flipped_character_of_a_token_is_refused() {
    let login = login().await;
    let gate = BearerGate::<NoClaims>::stateless(login.verifier);
    let service = GateLayer::new(gate, clock()).layer(handler());
    for place in 0..login.token.len() {
        let mut token = login.token.clone().into_bytes();
        token[place] = if token[place] == b'A' { b'B' } else { b'A' };
        let value = format!("Bearer {}", String::from_utf8(token).unwrap());
        let answer = service
            .clone()
            .oneshot(with(from("192.0.2.1"), "authorization", &value))
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "at {place}");
    }
}

#[tokio::test]
async fn a_refused_token_is_recorded_and_a_missing_one_is_no_event() {
    let sink = Arc::new(MemorySink::default());
    let layer = RecordLayer::new(Arc::clone(&sink), RecordPolicy::default(), clock()).unwrap();
    let gate = BearerGate::<NoClaims>::stateless(login().await.verifier);
    let gates = Stack::new(direct()).token(gate).layer(clock());
    let service = layer.layer(gates.layer(handler()));
    let bare = service.clone().oneshot(from("192.0.2.1")).await.unwrap();
    assert_eq!(bare.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(sink.events().len(), 0);
    let forged = with(from("192.0.2.1"), "authorization", "Bearer a.b.c");
    let refused = service.oneshot(forged).await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let actions: Vec<_> = sink.events().iter().map(|event| event.action()).collect();
    assert_eq!(actions, [Action::TokenRefused]);
}

/// Requests as a caller may make them who wants a refusal to look like a yes, and whether each is a call
/// of gRPC.
fn claiming_grpc() -> impl Iterator<Item = (Request<Body>, bool)> {
    let versions = [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2];
    let methods = [http::Method::GET, http::Method::POST, http::Method::HEAD];
    let kinds = [
        ("application/grpc", true),
        ("application/grpc+proto", true),
        ("application/grpc-web", false),
        ("application/grpcx", false),
    ];
    let all = versions.into_iter().flat_map(move |version| {
        let with_method = methods.clone().into_iter();
        with_method.flat_map(move |method| kinds.map(|kind| (version, method.clone(), kind)))
    });
    all.map(|(version, method, (kind, of_grpc))| {
        let is_call = version == Version::HTTP_2 && method == http::Method::POST && of_grpc;
        let mut request = with(from("192.0.2.1"), "content-type", kind);
        *request.version_mut() = version;
        *request.method_mut() = method;
        (request, is_call)
    })
}

#[tokio::test]
async fn no_caller_turns_a_refusal_into_a_200_by_claiming_grpc() {
    let gate = || async { BearerGate::<NoClaims>::stateless(login().await.verifier) };
    let bare = GateLayer::new(gate().await, clock());
    let stacked = Stack::new(direct()).token(gate().await).layer(clock());
    let (bare, stacked) = (bare.layer(handler()), stacked.layer(handler()));
    for (request, _) in claiming_grpc() {
        let asked = format!("{request:?}");
        for refused in [
            bare.clone()
                .oneshot(request.clone())
                .await
                .unwrap()
                .status(),
            stacked.clone().oneshot(request).await.unwrap().status(),
        ] {
            assert_eq!(refused, StatusCode::UNAUTHORIZED, "{asked}");
        }
    }
}

async fn head_of<S, B>(service: &S, request: &Request<Body>) -> response::Parts
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone,
{
    let answer = service.clone().oneshot(request.clone()).await.unwrap();
    answer.into_parts().0
}

#[tokio::test]
async fn a_layer_that_speaks_grpc_says_so_to_a_grpc_call_alone() {
    let gate = || async { BearerGate::<NoClaims>::stateless(login().await.verifier) };
    let bare = GateLayer::new(gate().await, clock()).speaks_grpc();
    let early = Stack::new(direct()).speaks_grpc().token(gate().await);
    let late = Stack::new(direct()).token(gate().await).speaks_grpc();
    let (bare, early, late) = (
        bare.layer(handler()),
        early.clone().layer(clock()).layer(handler()),
        late.layer(clock()).layer(handler()),
    );
    for (request, is_call) in claiming_grpc() {
        let asked = format!("{request:?}");
        let answers = [
            head_of(&bare, &request).await,
            head_of(&early, &request).await,
            head_of(&late, &request).await,
        ];
        for head in answers {
            let told = head.headers.get("grpc-status");
            let told = told.map(|value| value.to_str().unwrap());
            let expected = match is_call {
                true => (StatusCode::OK, Some("16")),
                false => (StatusCode::UNAUTHORIZED, None),
            };
            assert_eq!((head.status, told), expected, "{asked}");
        }
    }
}
