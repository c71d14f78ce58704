//! A handler behind the whole gate, beside the bare handler, and, with `--features peers`, beside the gate
//! as it is put together today.
//!
//! Three axum routers with one handler, which reads its 256 bytes and answers a word. They are called in
//! this process, with the same requests, in turn, on two workers of tokio's; each round's time runs until
//! what it wrote down is written.
//!
//! | Row | What ours is |
//! |---|---|
//! | `buffered/<n>` | address, limit, token, signature, handler, one audit event handed over per request |
//! | `durable/<n>` | the same, the event on disk before the request is answered; the peer's line never is |
//! | `forgetful/<n>` | `buffered` with a store that keeps nothing: a replay is taken, as the peer takes it |
//! | `unsigned/<n>` | `buffered` without the signature, beside the peer without its HMAC |
//! | `whole/<n>` | `buffered`, with a request's id and the recording of refusals, which the peer has not |
//! | `share/<n>` | `buffered` ÷ the bare router: how many times its cost, so that less is better |
//!
//! `<n>` requests are in flight: 1 is one task, 64 are as many. `usual` is `tower_governor` by peer address,
//! `jsonwebtoken` on aws-lc-rs in a middleware, an HMAC over `timestamp.body` by hand in another (keyed once,
//! compared in constant time), and one line by `tracing` through `tracing-appender`'s
//! non-blocking writer. Both log from the handler, the cheapest place, and the same fields.
//!
//! Ours does more: each signed request is admitted once, remembered in a store in memory, and at most so
//! many of a key; the time is looked at again behind the body; a body is bounded in time; a record is sealed
//! and synced. The peer takes a captured request as often as it is sent.
#![allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench has no callers"
)]

#[path = "gateway/ours.rs"]
mod ours;
#[cfg(feature = "peers")]
#[path = "gateway/usual.rs"]
mod usual;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request};
use axum::routing::post;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use portcullis_core::{Clock, Secret, SystemClock, Timestamp};
use portcullis_hmac_signing::{KeyId, Signer, SigningKey, TimestampBody};
use portcullis_jwt::{HmacKey, KeySet, NoClaims, Policy, Signer as TokenSigner};
use tokio::runtime::{Builder, Runtime};
use tower::{Service, ServiceExt};

pub const ISSUER: &str = "https://login.example";
pub const AUDIENCE: &str = "orders";
pub const TOKEN_SECRET: [u8; 32] = *b"the secret of the tokens, for it";
pub const KEY_IDS: u64 = 64;
/// Of one address in a second: more than are sent.
pub const PER_SECOND: u32 = 1_000_000;
pub const WORD: &str = "taken";
const ADDRESSES: u64 = 1024;

/// A router, and how to wait until what its requests wrote down is written.
pub struct Side {
    pub router: Router,
    pub written: Box<dyn Fn(&Runtime)>,
    /// Requests of one round.
    pub round: u64,
}

impl Side {
    pub fn new(router: Router, written: impl Fn(&Runtime) + 'static) -> Self {
        Self {
            router,
            written: Box::new(written),
            round: 8192,
        }
    }

    fn nanos_a_request(&self, runtime: &Runtime, clients: &Clients, in_flight: u64) -> f64 {
        let share = self.round / in_flight;
        let shares: Vec<Vec<_>> = (0..in_flight)
            .map(|_| (0..share).map(|_| clients.request()).collect())
            .collect();
        let start = Instant::now();
        runtime.block_on(async {
            let tasks: Vec<_> = shares
                .into_iter()
                .map(|share| tokio::spawn(all(self.router.clone(), share)))
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
        (self.written)(runtime);
        let requests = u32::try_from(share * in_flight).unwrap();
        start.elapsed().as_secs_f64() * 1e9 / f64::from(requests)
    }
}

async fn all(mut router: Router, requests: Vec<Request>) {
    for request in requests {
        let ready = ServiceExt::<Request>::ready(&mut router).await.unwrap();
        let response = ready.call(request).await.unwrap();
        assert_eq!(response.status(), 200);
        let body = to_bytes(response.into_body(), 1024).await.unwrap();
        assert_eq!(body, WORD);
    }
}

/// Who sends: each request signed, in time, and sent for the first time.
struct Clients {
    token: String,
    sent: std::cell::Cell<u64>,
    signers: Vec<Signer<TimestampBody>>,
}

impl Clients {
    fn new() -> Self {
        let policy = Policy::access(ISSUER, AUDIENCE).unwrap();
        let signer = TokenSigner::new(&token_keys(), policy);
        let life = Duration::from_secs(3600);
        let token = signer.sign(&NoClaims {}, "42", SystemClock.now(), life);
        let signer = |number| {
            let key_id = KeyId::parse(&key_id(number)).unwrap();
            Signer::new(
                TimestampBody::named_by_header(),
                key_id,
                signing_key(number),
            )
        };
        Self {
            token: token.unwrap(),
            sent: std::cell::Cell::new(0),
            signers: (0..KEY_IDS).map(signer).collect(),
        }
    }

    fn request(&self) -> Request {
        let number = self.sent.replace(self.sent.get() + 1);
        let mut body = vec![b' '; 256];
        let text = format!("{{\"order\":{number}}}");
        for (to, from) in body.iter_mut().zip(text.bytes()) {
            *to = from;
        }
        let mut request = http::Request::post("/v1/orders")
            .header(HOST, "api.example.com")
            .header(CONTENT_TYPE, "application/json")
            .header("accept", "*/*")
            .header(USER_AGENT, "partner-client/2.7 (x86_64-linux) http/1.1")
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
            .body(Bytes::from(body))
            .unwrap();
        let [.., c, d] = (number % ADDRESSES).to_be_bytes();
        let peer = SocketAddr::from(([10, 0, c, d], 40_000));
        request.extensions_mut().insert(ConnectInfo(peer));
        let signer = usize::try_from(number % KEY_IDS).unwrap();
        let signer = self.signers.get(signer).unwrap();
        signer.sign(&mut request, SystemClock.now()).unwrap();
        request.map(Body::from)
    }
}

pub fn key_id(number: u64) -> String {
    format!("partner-{number}")
}

pub fn key_secret(number: u64) -> Vec<u8> {
    format!("the signing secret of partner {number:08}").into_bytes()
}

pub fn signing_key(number: u64) -> SigningKey {
    SigningKey::new(Secret::from(key_secret(number))).unwrap()
}

pub fn token_keys() -> KeySet {
    KeySet::new(HmacKey::new("1", Secret::from(TOKEN_SECRET.to_vec())).unwrap())
}

fn bare() -> Side {
    async fn handler(request: Request) -> &'static str {
        to_bytes(request.into_body(), 1024).await.unwrap();
        WORD
    }
    Side::new(Router::new().route("/v1/orders", post(handler)), |_| ())
}

/// Nanoseconds a request of each side: the median of rounds run in turn.
fn in_turn(runtime: &Runtime, clients: &Clients, sides: &[&Side], in_flight: u64) -> Vec<f64> {
    let mut rounds: Vec<Vec<f64>> = vec![Vec::new(); sides.len()];
    for _ in 0..ROUNDS {
        for (side, rounds) in sides.iter().zip(&mut rounds) {
            rounds.push(side.nanos_a_request(runtime, clients, in_flight));
        }
    }
    let median = |mut rounds: Vec<f64>| {
        rounds.sort_by(f64::total_cmp);
        rounds.get(rounds.len() / 2).copied().unwrap()
    };
    rounds.into_iter().map(median).collect()
}

const ROUNDS: usize = 15;

fn main() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let clients = Clients::new();
    let now: Timestamp = SystemClock.now();
    let ours = |name: &str, kind| ours::side(&folder.path().join(name), kind, now);
    let sides = [
        ("buffered", ours("buffered", ours::Kind::Buffered)),
        ("durable", ours("durable", ours::Kind::Durable)),
        ("whole", ours("whole", ours::Kind::Whole)),
        ("unsigned", ours("unsigned", ours::Kind::Unsigned)),
        ("forgetful", ours("forgetful", ours::Kind::Forgetful)),
    ];
    let bare = bare();
    // One side by itself, for a profiler: `cargo bench … --bench gateway -- buffered`.
    if let Some(only) = std::env::args().skip(1).find(|word| !word.starts_with('-')) {
        let (_, side) = sides.iter().find(|(name, _)| *name == only).unwrap();
        for in_flight in [1, 64] {
            let cost = in_turn(&runtime, &clients, &[side], in_flight);
            println!("# gateway {only} with {in_flight} in flight: {cost:.0?} ns");
        }
        return;
    }
    #[cfg(feature = "peers")]
    let (usual, unsigned) = usual::sides(&folder.path().join("usual.log"));

    for in_flight in [1, 64] {
        let mut together = vec![&bare];
        together.extend(sides.iter().map(|(_, side)| side));
        #[cfg(feature = "peers")]
        together.extend([&usual, &unsigned]);
        let costs = in_turn(&runtime, &clients, &together, in_flight);
        let cost = |at: usize| costs.get(at).copied().unwrap();
        let say = |case: &str, ours: f64, peer: &str, theirs: f64, value: f64| {
            println!("RATIO gateway {case}/{in_flight} {peer} {value:.2}");
            println!("# gateway {case}/{in_flight}: ours {ours:.1} ns, {peer} {theirs:.1} ns");
        };
        say("share", cost(1), "bare", cost(0), cost(1) / cost(0));
        for (at, (name, _)) in (1..).zip(&sides) {
            println!(
                "# gateway {name} with {in_flight} in flight: {:.0} ns",
                cost(at)
            );
            #[cfg(feature = "peers")]
            {
                let usual = if *name == "unsigned" {
                    cost(7)
                } else {
                    cost(6)
                };
                say(name, cost(at), "usual", usual, usual / cost(at));
            }
        }
    }
}
