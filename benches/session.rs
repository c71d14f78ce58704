//! A refresh and a look at a session in memory, beside one HMAC and a map behind a lock by hand.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a bench has no callers"
)]

use std::collections::HashMap;
use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use criterion::{Criterion, criterion_group, criterion_main};
use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use portcullis_benches::ratio;
use portcullis_core::{Memory, Secret, Timestamp};
use portcullis_session::{Factor, Method, RefreshToken, SessionPolicy, Sessions};
use sha2::Sha256;

const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);

/// Memory's update never waits: one poll is the whole call.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => unreachable!("a store in memory answers at once"),
    }
}

/// The same exchange without format, expiry, grace or families: token in, tag checked, counter
/// moved, token out.
struct Floor {
    key: Hmac<Sha256>,
    counters: Mutex<HashMap<[u8; 16], u64>>,
}

impl Floor {
    fn tag(&self, session: &[u8], counter: u64) -> [u8; 32] {
        let mut mac = self.key.clone();
        mac.update(session);
        mac.update(&counter.to_be_bytes());
        mac.finalize().into_bytes().into()
    }

    fn token(&self, session: &[u8], counter: u64) -> String {
        let tag = self.tag(session, counter);
        BASE64URL_NOPAD.encode(&[session, &counter.to_be_bytes(), &tag].concat())
    }

    fn refresh(&self, token: &str) -> String {
        let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).unwrap();
        let session: [u8; 16] = bytes[..16].try_into().unwrap();
        let counter = u64::from_be_bytes(bytes[16..24].try_into().unwrap());
        let next = {
            let mut counters = self.counters.lock().unwrap();
            let held = counters.get_mut(&session).unwrap();
            assert!(self.tag(&session, counter) == bytes[24..] && *held == counter);
            *held += 1;
            *held
        };
        self.token(&session, next)
    }
}

fn floor(sessions: u64) -> (Floor, Vec<String>) {
    let floor = Floor {
        key: Hmac::new_from_slice(&[7; 32]).unwrap(),
        counters: Mutex::new(HashMap::new()),
    };
    let id = |at: u64| u128::from(at).to_be_bytes();
    floor
        .counters
        .lock()
        .unwrap()
        .extend((0..sessions).map(|at| (id(at), 0)));
    let tokens = (0..sessions).map(|at| floor.token(&id(at), 0)).collect();
    (floor, tokens)
}

fn ours(sessions: u64) -> (Sessions<Memory>, Vec<RefreshToken>) {
    let policy = SessionPolicy::default().dangerous_allow_volatile();
    let guard = Sessions::new(Memory::new(NOW), Secret::from(vec![7; 32]), policy).unwrap();
    let shown = [Factor::new(Method::Password, NOW)];
    let start = |at: u64| {
        ready(guard.start(&at.to_string(), &shown, NOW))
            .unwrap()
            .refresh_token
    };
    let tokens = (0..sessions).map(start).collect();
    (guard, tokens)
}

fn session(criterion: &mut Criterion) {
    for count in [1_u64, 10_000] {
        let case = format!("refresh/{count}");
        let (guard, mut tokens) = ours(count);
        let mut turn = 0;
        let mut refresh = || {
            turn = (turn + 1) % tokens.len();
            let refreshed = ready(guard.refresh(tokens[turn].expose(), NOW)).unwrap();
            tokens[turn] = refreshed.refresh_token;
        };
        criterion.bench_function(&format!("session/{case}"), |b| b.iter(&mut refresh));
        let (floor, mut held) = floor(count);
        let mut at = 0;
        let by_hand = || {
            at = (at + 1) % held.len();
            held[at] = floor.refresh(&held[at]);
        };
        ratio("session", &case, "floor", refresh, by_hand);
    }
    let (guard, tokens) = ours(1);
    let id = ready(guard.refresh(tokens[0].expose(), NOW))
        .unwrap()
        .session;
    let map = Mutex::new(HashMap::from([(*id.as_bytes(), NOW)]));
    criterion.bench_function("session/live", |b| {
        b.iter(|| black_box(ready(guard.live(&id, NOW)).is_ok()));
    });
    ratio(
        "session",
        "live",
        "floor",
        || ready(guard.live(&id, NOW)).is_ok(),
        || {
            map.lock()
                .unwrap()
                .get(id.as_bytes())
                .is_some_and(|at| *at <= NOW)
        },
    );
}

criterion_group!(benches, session);
criterion_main!(benches);
