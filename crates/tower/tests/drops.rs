//! Requests whose callers hang up at each await of a gate, a recorder or a handler.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Request, Response, StatusCode, request, response};
use http_body_util::Full;
use portcullis_audit::testing::MemorySink;
use portcullis_audit::{AuditError, Event, Field, Recorded, Sink};
use portcullis_core::testing::{FakeClock, Faulty, drop_at_each_await};
use portcullis_core::{AnyStore, Memory, Reason, Scope, Secret, Timestamp};
use portcullis_ip_list::{AddressList, ClientAddress, TrustedProxies, rate_key};
use portcullis_jwt::{HmacKey, KeySet, NoClaims, Policy, Signer, Subject, Verifier};
use portcullis_rate_limit::{Decision, Limiter, LimiterPolicy, Quota, StoreLimiter};
use portcullis_session::{Factor, Method, SessionId, SessionPolicy, Sessions};
use portcullis_tower::{
    AddressGate, BearerGate, Check, Gate, LimitGate, Pass, PeerAddress, RecordLayer, RecordPolicy,
    Refusal, Stack,
};
use tokio::task::yield_now;
use tower::{Layer, Service, ServiceExt};

type Body = Full<bytes::Bytes>;
type Count = Arc<AtomicUsize>;

const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);
const MINE: &str = "192.0.2.1";
const OTHER: &str = "192.0.2.2";

fn clock() -> FakeClock {
    FakeClock::new(NOW)
}

/// A handler that takes two awaits to answer with the client's address, and counts its answers.
fn slow(
    answered: &Count,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ 'static {
    let answered = Arc::clone(answered);
    tower::service_fn(move |request: Request<Body>| {
        let answered = Arc::clone(&answered);
        async move {
            yield_now().await;
            yield_now().await;
            answered.fetch_add(1, Ordering::SeqCst);
            let client = request.extensions().get::<ClientAddress>();
            let mut response = Response::new(Body::default());
            if let Some(client) = client {
                response.extensions_mut().insert(*client);
            }
            Ok(response)
        }
    })
}

fn from(peer: &str) -> Request<Body> {
    let mut request = Request::new(Body::default());
    let peer = PeerAddress(peer.parse().unwrap());
    request.extensions_mut().insert(peer);
    request
}

fn bearing(peer: &str, token: &str) -> Request<Body> {
    let mut request = from(peer);
    let value = format!("Bearer {token}").parse().unwrap();
    request.headers_mut().insert("authorization", value);
    request
}

fn agent(peer: &str, name: &str) -> Request<Body> {
    let mut request = from(peer);
    let headers = request.headers_mut();
    headers.insert("user-agent", name.parse().unwrap());
    request
}

fn direct() -> AddressGate {
    AddressGate::new(TrustedProxies::none(), AddressList::everyone())
}

/// Counts the passes that are held.
#[derive(Clone, Default)]
struct Permits(Count);

struct Permit(Count);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Pass for Permit {
    fn settle(&mut self, _head: &mut response::Parts) {}
}

impl Gate for Permits {
    type Pass = Permit;

    async fn admit(&self, _head: &mut request::Parts, _now: Timestamp) -> Result<Permit, Refusal> {
        self.0.fetch_add(1, Ordering::SeqCst);
        // Dropped here, too, what was taken is given back.
        let permit = Permit(Arc::clone(&self.0));
        yield_now().await;
        Ok(permit)
    }
}

#[tokio::test]
async fn a_request_dropped_behind_address_and_check_leaves_no_pass_and_no_address_to_others() {
    let (permits, answered, asked) = (Permits::default(), Count::default(), Count::default());
    let (held, counted) = (Arc::clone(&permits.0), Arc::clone(&asked));
    let list = AddressList::only(["192.0.2.0/24"]).unwrap();
    let check = Check::new(move |head: &mut request::Parts, _now| {
        counted.fetch_add(1, Ordering::SeqCst);
        match head.headers.get("user-agent") {
            Some(_) => Ok(()),
            None => Err(Refusal::new(Reason::RoleMissing)),
        }
    });
    let service = Stack::new(AddressGate::new(TrustedProxies::none(), list))
        .check(permits)
        .check(check)
        .layer(clock())
        .layer(slow(&answered));
    let mut drops = 0;
    let mine = || service.clone().oneshot(agent(MINE, "mine"));
    let answer = drop_at_each_await(mine, async |polls| {
        assert_eq!(held.load(Ordering::SeqCst), 0, "{polls}");
        // Asked once for a request that came so far, and never answered.
        assert_eq!(asked.swap(0, Ordering::SeqCst), usize::from(polls >= 2));
        assert_eq!(answered.swap(0, Ordering::SeqCst), 0);
        let status = async |request| {
            let answer = service.clone().oneshot(request).await.unwrap();
            let client = answer.extensions().get::<ClientAddress>();
            (answer.status(), client.map(|client| client.ip()))
        };
        let other: IpAddr = OTHER.parse().unwrap();
        let admitted = (StatusCode::OK, Some(other));
        assert_eq!(status(agent(OTHER, "other")).await, admitted);
        assert_eq!(
            status(from(OTHER)).await,
            (StatusCode::FORBIDDEN, Some(other))
        );
        let outside = status(agent("203.0.113.5", "other")).await;
        assert_eq!(outside.0, StatusCode::FORBIDDEN);
        assert_eq!(asked.swap(0, Ordering::SeqCst), 2, "the list refuses first");
        assert_eq!(answered.swap(0, Ordering::SeqCst), 1);
        drops += 1;
    });
    let answer = answer.await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(held.load(Ordering::SeqCst), 1);
    drop(answer);
    assert_eq!(held.load(Ordering::SeqCst), 0);
    assert!(drops >= 2, "{drops}");
}

/// Alice and bob are signed in, over a store that gives way around every update.
struct Logins {
    store: Faulty<Memory>,
    sessions: Arc<Sessions<AnyStore>>,
    verifier: Arc<Verifier>,
    tokens: [String; 2],
    alices: SessionId,
}

async fn logins() -> Logins {
    let store = Faulty::new(Memory::new(NOW));
    let keys = KeySet::new(HmacKey::new("1", Secret::generate::<32>().unwrap()).unwrap());
    let policy = Policy::access("https://login.example", "api").unwrap();
    let trial = SessionPolicy::default().dangerous_allow_volatile();
    let key = Secret::generate::<32>().unwrap();
    let sessions = Sessions::new(AnyStore::new(store.clone()), key, trial).unwrap();
    let signer = Signer::new(&keys, policy.clone());
    let mut given = Vec::new();
    for user in ["alice", "bob"] {
        let shown = [Factor::new(Method::Password, NOW)];
        let session = sessions.start(user, &shown, NOW).await.unwrap().session;
        let name = session.to_string();
        let subject = Subject::new(user).session(&name);
        let token = signer.sign(&NoClaims {}, subject, NOW, Duration::from_secs(3600));
        given.push((session, token.unwrap()));
    }
    store.pause(true);
    Logins {
        store,
        sessions: Arc::new(sessions),
        verifier: Arc::new(Verifier::new(&keys, policy)),
        alices: given[0].0,
        tokens: [given[0].1.clone(), given[1].1.clone()],
    }
}

#[tokio::test]
async fn a_token_whose_look_up_is_dropped_at_any_await_admits_nobody_and_ends_nobody() {
    let Logins {
        store,
        sessions,
        verifier,
        tokens: [alices, bobs],
        alices: session,
    } = logins().await;
    let answered = Count::default();
    let gate = BearerGate::<NoClaims>::of_sessions(verifier, Arc::clone(&sessions));
    let service = Stack::new(direct())
        .token(gate)
        .layer(clock())
        .layer(slow(&answered));
    for (revoked, status) in [(false, StatusCode::OK), (true, StatusCode::UNAUTHORIZED)] {
        if revoked {
            sessions.revoke(&session, NOW).await.unwrap();
        }
        let (mut drops, writes) = (0, store.writes());
        let mine = || service.clone().oneshot(bearing(MINE, &alices));
        let answer = drop_at_each_await(mine, async |polls| {
            assert_eq!(answered.load(Ordering::SeqCst), 0, "{polls}");
            assert_eq!(store.writes(), writes, "{polls}");
            let live = sessions.live(&session, NOW).await;
            assert_eq!(live.is_err(), revoked, "{polls}");
            let other = service
                .clone()
                .oneshot(bearing(OTHER, &bobs))
                .await
                .unwrap();
            assert_eq!(other.status(), StatusCode::OK);
            assert_eq!(answered.swap(0, Ordering::SeqCst), 1);
            drops += 1;
        });
        assert_eq!(answer.await.unwrap().status(), status);
        let done = answered.swap(0, Ordering::SeqCst);
        assert_eq!(done, usize::from(!revoked));
        assert!(drops >= 2, "{drops}");
    }
}

/// How much of a limit an address has left.
async fn left(limiter: &StoreLimiter<AnyStore>, ip: &str) -> u32 {
    let key = rate_key(ip.parse().unwrap());
    match limiter.admit(key.as_bytes(), 0, NOW).await.unwrap() {
        Decision::Admitted { remaining, .. } => remaining,
        _ => 0,
    }
}

#[tokio::test]
async fn a_request_refused_by_the_last_of_several_limits_costs_one_unit_of_each_at_most() {
    let store = Faulty::new(Memory::new(NOW));
    store.pause(true);
    let limits = [("wide", 9), ("middle", 9), ("narrow", 1)].map(|(name, count)| {
        let (store, name) = (AnyStore::new(store.clone()), Scope::new(name));
        let limiter = StoreLimiter::new(store, name, Quota::per_minute(count).unwrap());
        (name, Arc::new(limiter))
    });
    let gates = limits
        .clone()
        .map(|(name, limiter)| LimitGate::on_store(name, limiter));
    let gate = gates.into_iter().reduce(LimitGate::and).unwrap();
    let answered = Count::default();
    let service = Stack::new(direct())
        .limit(gate)
        .layer(clock())
        .layer(slow(&answered));
    for peer in [MINE, OTHER] {
        let admitted = service.clone().oneshot(from(peer)).await.unwrap();
        assert_eq!(admitted.status(), StatusCode::OK);
    }
    let (mut drops, mut seen) = (0, BTreeSet::new());
    let (wide, middle, narrow) = (&limits[0].1, &limits[1].1, &limits[2].1);
    let mine = || service.clone().oneshot(from(MINE));
    let refused = drop_at_each_await(mine, async |polls| {
        let stood = (left(wide, MINE).await, left(middle, MINE).await);
        for (limiter, held) in [(wide, stood.0), (middle, stood.1)] {
            assert!(held == 7 || held == 8, "{held} left after {polls} polls");
            let key = rate_key(MINE.parse().unwrap());
            let given_back = limiter.refund(key.as_bytes(), 8 - held, NOW, NOW);
            given_back.await.unwrap();
            assert_eq!(
                (left(limiter, MINE).await, left(limiter, OTHER).await),
                (8, 8)
            );
        }
        seen.insert(stood);
        drops += 1;
    });
    let refused = refused.await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(drops >= 2, "{drops}");
    // Charged in order, and given back in order, each an await of its own.
    assert_eq!(seen, BTreeSet::from([(8, 8), (7, 8), (7, 7), (8, 7)]));
    assert_eq!((left(wide, MINE).await, left(middle, MINE).await), (8, 8));
    assert_eq!(
        (left(narrow, MINE).await, left(narrow, OTHER).await),
        (0, 0)
    );
    assert_eq!(answered.load(Ordering::SeqCst), 2);
}

/// Gives way before and after each event is kept, as a log does that waits for its disk.
#[derive(Clone, Default)]
struct Paced(MemorySink);

impl Sink for Paced {
    async fn record(&self, event: Event) -> Result<Recorded, AuditError> {
        yield_now().await;
        let recorded = self.0.record(event).await;
        yield_now().await;
        recorded
    }
}

impl Paced {
    fn of(&self, agent: &str) -> usize {
        let events = self.0.events();
        let of = |event: &&Event| event.text(Field::UserAgent) == Some(agent);
        events.iter().filter(of).count()
    }
}

#[tokio::test]
async fn a_refusal_whose_caller_hangs_up_is_recorded_once_at_most_and_others_are_recorded() {
    let (sink, answered) = (Paced::default(), Count::default());
    let quota = Quota::per_minute(1).unwrap();
    let limiter = Arc::new(Limiter::new(quota, LimiterPolicy::default()));
    let gates = Stack::new(direct())
        .limit(LimitGate::in_process(Scope::new("api"), limiter))
        .layer(clock());
    let layer = RecordLayer::new(sink.clone(), RecordPolicy::default(), clock()).unwrap();
    let service = layer.layer(gates.layer(slow(&answered)));
    for peer in [MINE, OTHER] {
        let admitted = service.clone().oneshot(from(peer)).await.unwrap();
        assert_eq!(admitted.status(), StatusCode::OK);
    }
    // Each request has a name of its own.
    let (mut drops, mut made) = (0, 0);
    let mine = || {
        made += 1;
        service
            .clone()
            .oneshot(agent(MINE, &format!("mine {made}")))
    };
    let refused = drop_at_each_await(mine, async |_| {
        drops += 1;
        let name = format!("other {drops}");
        let other = service.clone().oneshot(agent(OTHER, &name)).await.unwrap();
        assert_eq!(other.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(sink.of(&name), 1);
        // Whatever goes on without its caller has had its time.
        for _ in 0..8 {
            yield_now().await;
        }
        assert!(sink.of(&format!("mine {drops}")) <= 1, "{drops}");
        assert_eq!((layer.failed(), layer.shed()), (0, 0));
    });
    let refused = refused.await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(drops >= 2, "{drops}");
    assert_eq!(sink.of(&format!("mine {made}")), 1);
    assert_eq!(made, drops + 1);
    let first = sink.of("mine 1");
    assert_eq!(first, 0, "a request that was never polled is none");
    assert_eq!(answered.load(Ordering::SeqCst), 2);
}
