//! Real requests through real layers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response, StatusCode, Version, request, response};
use http_body_util::{BodyExt, Full};
use portcullis_audit::testing::MemorySink;
use portcullis_audit::{Action, Field};
use portcullis_core::testing::{FakeClock, Faulty, drop_at_each_await};
use portcullis_core::{AnyStore, Cause, Failure, Memory, Reason, Scope, Secret, Timestamp};
use portcullis_ip_list::{AddressList, ClientAddress, Header, TrustedProxies};
use portcullis_jwt::{AccessToken, HmacKey, KeySet, NoClaims, Policy, Signer, Subject, Verifier};
use portcullis_rate_limit::{Limiter, LimiterPolicy, Quota, StoreLimiter};
use portcullis_session::{Demand, Factor, Live, Method, SessionPolicy, Sessions};
use portcullis_tower::{
    AddressGate, ArrivalLayer, BearerGate, Check, Gate, GateLayer, LimitGate, Pass, PeerAddress,
    RecordLayer, RecordPolicy, Refusal, Stack,
};
use tower::{Layer, Service, ServiceExt};

type Body = Full<bytes::Bytes>;

const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);

fn clock() -> FakeClock {
    FakeClock::new(NOW)
}

/// Answers with the client's address as the gates left it.
async fn whoami(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let client = request
        .extensions()
        .get::<ClientAddress>()
        .map(|client| client.ip().to_string());
    Ok(Response::new(Full::from(client.unwrap_or_default())))
}

fn handler()
-> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ 'static {
    tower::service_fn(whoami)
}

fn from(peer: &str) -> Request<Body> {
    let mut request = Request::new(Body::default());
    request
        .extensions_mut()
        .insert(PeerAddress(peer.parse().unwrap()));
    request
}

fn with(mut request: Request<Body>, name: &'static str, value: &str) -> Request<Body> {
    request.headers_mut().append(name, value.parse().unwrap());
    request
}

fn direct() -> AddressGate {
    AddressGate::new(TrustedProxies::none(), AddressList::everyone())
}

fn login_limit() -> LimitGate {
    let quota = Quota::per_minute(10).unwrap().strict().unwrap();
    LimitGate::in_process(
        Scope::new("login"),
        Arc::new(Limiter::new(quota, LimiterPolicy::default())),
    )
}

async fn text<B>(response: Response<B>) -> String
where
    B: http_body::Body<Data = bytes::Bytes>,
    B::Error: std::fmt::Debug,
{
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn the_eleventh_login_in_a_minute_is_refused_and_obeying_retry_after_is_admitted() {
    let clock = clock();
    let service = Stack::new(direct())
        .limit(login_limit())
        .layer(clock.clone())
        .layer(handler());
    for left in (0..10).rev() {
        let admitted = service.clone().oneshot(from("192.0.2.1")).await.unwrap();
        assert_eq!(admitted.status(), StatusCode::OK);
        let limit = admitted.headers()["ratelimit"].to_str().unwrap();
        assert!(
            limit.starts_with(&format!("\"login\";r={left};t=")),
            "{limit}"
        );
        assert_eq!(
            admitted.headers()["ratelimit-policy"],
            "\"login\";q=10;w=60"
        );
    }
    let refused = service.clone().oneshot(from("192.0.2.1")).await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait = refused.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(
        text(refused)
            .await
            .contains("\"code\":\"429_RATE_LIMITED\"")
    );
    assert_eq!(
        service
            .clone()
            .oneshot(from("192.0.2.2"))
            .await
            .unwrap()
            .status(),
        StatusCode::OK
    );

    clock.advance(Duration::from_secs(wait));
    assert_eq!(
        service.oneshot(from("192.0.2.1")).await.unwrap().status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn what_an_earlier_limit_was_charged_is_given_back_when_a_later_one_refuses() {
    let clock = clock();
    let in_process = |name, count| {
        let quota = Quota::per_minute(count).unwrap().strict().unwrap();
        LimitGate::in_process(
            Scope::new(name),
            Arc::new(Limiter::new(quota, LimiterPolicy::default())),
        )
    };
    let store = AnyStore::new(Memory::new(NOW));
    let on_store = StoreLimiter::new(store, Scope::new("stored"), Quota::per_minute(20).unwrap());
    let wide = in_process("wide", 10).and(LimitGate::on_store(
        Scope::new("stored"),
        Arc::new(on_store),
    ));
    let service = Stack::new(direct())
        .limit(wide.and(in_process("narrow", 2)))
        .layer(clock.clone())
        .layer(handler());
    let mut left = Vec::new();
    for _ in 0..6 {
        let answer = service.clone().oneshot(from("192.0.2.1")).await.unwrap();
        let fields: Vec<String> = answer
            .headers()
            .get_all("ratelimit")
            .iter()
            .map(|field| {
                field
                    .to_str()
                    .unwrap()
                    .split(";t=")
                    .next()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        left.push((answer.status().as_u16(), fields.join(" ")));
    }
    let admitted = |wide, stored, narrow| {
        (
            200,
            format!("\"wide\";r={wide} \"stored\";r={stored} \"narrow\";r={narrow}"),
        )
    };
    let refused = (
        429,
        String::from("\"wide\";r=7 \"stored\";r=17 \"narrow\";r=0"),
    );
    assert_eq!(left[..2], [admitted(9, 19, 1), admitted(8, 18, 0)]);
    // Each refusal says what would be left, and takes nothing: the next one says the same.
    for refusal in &left[2..] {
        assert_eq!(*refusal, refused);
    }
}

#[tokio::test]
async fn rotating_addresses_within_a_prefix_share_one_limit() {
    let service = Stack::new(direct())
        .limit(login_limit())
        .layer(clock())
        .layer(handler());
    let mut refused = 0;
    for host in 0..20 {
        let answer = service
            .clone()
            .oneshot(from(&format!("2001:db8:1:2::{host:x}")))
            .await
            .unwrap();
        refused += usize::from(answer.status() == StatusCode::TOO_MANY_REQUESTS);
    }
    assert_eq!(refused, 10);
}

#[tokio::test]
async fn a_forwarded_address_is_believed_from_a_trusted_proxy_alone() {
    let proxies = TrustedProxies::new(["10.0.0.0/8"], Header::XForwardedFor).unwrap();
    let gate = AddressGate::new(proxies, AddressList::everyone());
    let service = GateLayer::new(gate, clock()).layer(handler());
    let cases = [
        ("10.0.0.1", "198.51.100.7", Ok("198.51.100.7")),
        // The left-most is the client's own word: the nearest hop that is not ours counts.
        ("10.0.0.1", "127.0.0.1, 198.51.100.7", Ok("198.51.100.7")),
        ("203.0.113.5", "198.51.100.7", Ok("203.0.113.5")),
        (
            "10.0.0.1",
            "198.51.100.7, nonsense",
            Err(StatusCode::BAD_REQUEST),
        ),
    ];
    for (peer, header, expected) in cases {
        let answer = service
            .clone()
            .oneshot(with(from(peer), "x-forwarded-for", header))
            .await
            .unwrap();
        match expected {
            Ok(client) => assert_eq!(text(answer).await, client, "{peer} {header}"),
            Err(status) => assert_eq!(answer.status(), status, "{peer} {header}"),
        }
    }
}

#[tokio::test]
async fn a_server_that_names_no_peer_is_refused() {
    let service = GateLayer::new(direct(), clock()).layer(handler());
    let answer = service
        .oneshot(Request::new(Body::default()))
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn an_address_outside_the_list_is_refused() {
    let list = AddressList::only(["192.0.2.0/24"]).unwrap();
    let service =
        GateLayer::new(AddressGate::new(TrustedProxies::none(), list), clock()).layer(handler());
    assert_eq!(
        service
            .clone()
            .oneshot(from("192.0.2.9"))
            .await
            .unwrap()
            .status(),
        StatusCode::OK
    );
    let mapped = service
        .clone()
        .oneshot(from("::ffff:192.0.2.9"))
        .await
        .unwrap();
    assert_eq!(mapped.status(), StatusCode::OK);
    let refused = service.oneshot(from("192.0.3.9")).await.unwrap();
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
}

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
async fn refusals_are_recorded_with_the_address_and_shed_by_count_alone() {
    let sink = Arc::new(MemorySink::default());
    let clock = clock();
    let layer = RecordLayer::new(
        Arc::clone(&sink),
        RecordPolicy::per_second(5),
        clock.clone(),
    )
    .unwrap();
    let gates = Stack::new(direct())
        .limit(login_limit())
        .layer(clock.clone());
    let service = ArrivalLayer::new(clock).layer(layer.layer(gates.layer(handler())));
    let mut ids = Vec::new();
    for _ in 0..30 {
        let answer = service
            .clone()
            .oneshot(with(from("192.0.2.1"), "user-agent", "curl/8"))
            .await
            .unwrap();
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            ids.push(
                answer.headers()["x-request-id"]
                    .to_str()
                    .unwrap()
                    .to_owned(),
            );
        }
    }
    let events = sink.events();
    assert_eq!((ids.len(), events.len(), layer.shed()), (20, 5, 15));
    for (event, id) in events.iter().zip(&ids) {
        assert_eq!(event.action(), Action::RateLimited);
        assert_eq!(event.text(Field::RequestId), Some(id.as_str()));
        assert_eq!(event.text(Field::UserAgent), Some("curl/8"));
        assert_eq!(event.ip(), Some("192.0.2.1".parse::<IpAddr>().unwrap()));
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

#[tokio::test]
async fn every_gate_of_a_request_decides_for_the_one_instant_at_which_it_arrived() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&seen);
    let check = Check::new(move |_: &mut request::Parts, now| {
        note.lock().unwrap().push(now);
        Ok(())
    });
    let later = FakeClock::new(NOW.saturating_add(Duration::from_secs(60)));
    let gate = || GateLayer::new(check.clone(), later.clone());
    let gates = gate().layer(gate().layer(handler()));
    let service = ArrivalLayer::new(clock()).layer(gates);
    service.oneshot(from("192.0.2.1")).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [NOW, NOW]);
}

#[tokio::test]
async fn a_caller_of_http_1_cannot_turn_a_refusal_into_a_200_by_claiming_grpc() {
    let gate = BearerGate::<NoClaims>::stateless(login().await.verifier);
    let service = GateLayer::new(gate, clock()).layer(handler());
    for (version, status) in [
        (Version::HTTP_10, StatusCode::UNAUTHORIZED),
        (Version::HTTP_11, StatusCode::UNAUTHORIZED),
        (Version::HTTP_2, StatusCode::OK),
    ] {
        let mut request = with(from("192.0.2.1"), "content-type", "application/grpc");
        *request.version_mut() = version;
        let refused = service.clone().oneshot(request).await.unwrap();
        assert_eq!(refused.status(), status, "{version:?}");
        let grpc = refused
            .headers()
            .get("grpc-status")
            .map(|value| value == "16");
        assert_eq!(grpc, (version == Version::HTTP_2).then_some(true));
    }
}

#[tokio::test]
async fn a_caller_cannot_choose_the_request_id() {
    let service = ArrivalLayer::new(clock()).layer(handler());
    let answer = service
        .oneshot(with(from("192.0.2.1"), "x-request-id", "mine"))
        .await
        .unwrap();
    let ids: Vec<_> = answer.headers().get_all("x-request-id").iter().collect();
    assert_eq!(ids.len(), 1);
    assert!(ids[0].len() == 32 && ids[0] != "mine", "{ids:?}");
}

#[tokio::test]
async fn a_store_that_fails_refuses_and_admits_nobody() {
    let store = Faulty::new(Memory::new(NOW));
    let limiter = StoreLimiter::new(
        AnyStore::new(store.clone()),
        Scope::new("limit"),
        Quota::per_minute(10).unwrap(),
    );
    let gate = LimitGate::on_store(Scope::new("api"), Arc::new(limiter));
    let service = Stack::new(direct())
        .limit(gate)
        .layer(clock())
        .layer(handler());
    for failure in [
        Failure::Contended,
        Failure::Unavailable(Cause::Closed),
        Failure::Unknown(Cause::Closed),
    ] {
        store.fail_next(1, failure);
        let answer = service.clone().oneshot(from("192.0.2.1")).await.unwrap();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.headers()["retry-after"], "1");
    }
    assert_eq!(
        service.oneshot(from("192.0.2.1")).await.unwrap().status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_request_dropped_at_any_await_costs_its_caller_one_unit_at_most_and_others_nothing() {
    let store = Faulty::new(Memory::new(NOW));
    store.pause(true);
    let limiter = StoreLimiter::new(
        AnyStore::new(store.clone()),
        Scope::new("limit"),
        Quota::per_minute(50).unwrap(),
    );
    let gate = LimitGate::on_store(Scope::new("api"), Arc::new(limiter));
    let service = Stack::new(direct())
        .limit(gate)
        .layer(clock())
        .layer(handler());
    let mut drops = 0_usize;
    let make = || service.clone().oneshot(from("192.0.2.1"));
    let answer = drop_at_each_await(make, async |_| drops += 1)
        .await
        .unwrap();
    let limit = answer.headers()["ratelimit"].to_str().unwrap().to_owned();
    let left: usize = limit
        .split(&['=', ';'][..])
        .nth(2)
        .unwrap()
        .parse()
        .unwrap();
    assert!(drops >= 2, "the store pauses twice");
    assert!(
        left + 1 + drops >= 50,
        "{drops} drops and one call left {left} of 50"
    );
    let other = service.oneshot(from("192.0.2.2")).await.unwrap();
    assert!(
        other.headers()["ratelimit"]
            .to_str()
            .unwrap()
            .starts_with("\"api\";r=49;")
    );
}

/// A service that must be polled ready before each call, as tower allows it to demand.
#[derive(Default)]
struct Demanding {
    ready: bool,
}

impl Clone for Demanding {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<Request<Body>> for Demanding {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: Request<Body>) -> Self::Future {
        assert!(
            std::mem::take(&mut self.ready),
            "called without having been polled ready"
        );
        std::future::ready(Ok(Response::new(Body::default())))
    }
}

#[tokio::test]
async fn the_service_that_was_polled_ready_is_the_one_called() {
    let mut service = Stack::new(direct())
        .layer(clock())
        .layer(Demanding::default());
    for _ in 0..3 {
        let answer = service
            .ready()
            .await
            .unwrap()
            .call(from("192.0.2.1"))
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    }
}

/// Counts the passes that are held.
#[derive(Clone, Default)]
struct Permits(Arc<AtomicUsize>);

struct Permit(Arc<AtomicUsize>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Pass for Permit {
    fn settle(&mut self, head: &mut response::Parts) {
        head.headers
            .insert("x-permit", http::HeaderValue::from_static("held"));
    }
}

impl Gate for Permits {
    type Pass = Permit;

    async fn admit(&self, _head: &mut request::Parts, _now: Timestamp) -> Result<Permit, Refusal> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(Permit(Arc::clone(&self.0)))
    }
}

#[tokio::test]
async fn a_pass_is_held_until_the_body_is_gone() {
    let permits = Permits::default();
    let held = Arc::clone(&permits.0);
    let service = GateLayer::new(permits, clock()).layer(handler());
    let answer = service.oneshot(from("192.0.2.1")).await.unwrap();
    assert_eq!(answer.headers()["x-permit"], "held");
    assert_eq!(held.load(Ordering::SeqCst), 1);
    drop(answer);
    assert_eq!(held.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_earlier_refusal_lets_no_later_gate_act() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let later = Check::new(move |_: &mut request::Parts, _| {
        count.fetch_add(1, Ordering::SeqCst);
        Ok(())
    });
    let closed = Check::new(|_: &mut request::Parts, _| Err(Refusal::new(Reason::RoleMissing)));
    let service = Stack::new(direct())
        .check(closed)
        .check(later.clone())
        .layer(clock())
        .layer(handler());
    assert_eq!(
        service.oneshot(from("192.0.2.1")).await.unwrap().status(),
        StatusCode::FORBIDDEN
    );
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    let open = Check::new(|_: &mut request::Parts, _| Ok(()));
    let service = Stack::new(direct())
        .check(open)
        .check(later)
        .layer(clock())
        .layer(handler());
    assert_eq!(
        service.oneshot(from("192.0.2.1")).await.unwrap().status(),
        StatusCode::OK
    );
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}
