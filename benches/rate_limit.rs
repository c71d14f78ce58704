//! A check of the in-process limiter and of the limiter over memory, beside a map behind a lock.
#![allow(
    missing_docs,
    clippy::unwrap_used,
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
use portcullis_benches::ratio;
use portcullis_core::{Memory, Scope, Timestamp};
use portcullis_rate_limit::{Decision, EndpointClass, Limiter, LimiterPolicy, Quota, StoreLimiter};

const CALLS: Scope = Scope::new("calls");
const START: u64 = 1_700_000_000_000_000_000;
/// Ten million a second: nanoseconds of the made-up clock between two calls keep keys live.
const INTERVAL: u64 = 100;

/// Turns of a made-up clock: each call is one key and one instant.
struct Turns {
    keys: u64,
    turn: u64,
}

impl Turns {
    fn new(keys: u64) -> Self {
        Self { keys, turn: 0 }
    }

    fn next(&mut self) -> ([u8; 8], Timestamp) {
        self.turn += 1;
        let key = self.turn % self.keys;
        (
            key.to_be_bytes(),
            Timestamp::from_unix_nanos(START + self.turn),
        )
    }
}

/// GCRA by hand for one quota: a map, a lock, no bound and no checks.
struct ByHand(Mutex<HashMap<[u8; 8], u64>>);

impl ByHand {
    fn check(&self, key: [u8; 8], now: Timestamp) -> bool {
        let now = now.as_unix_nanos();
        let mut map = self.0.lock().unwrap();
        let all_back = map.entry(key).or_insert(0);
        let next = now.max(*all_back) + INTERVAL;
        let admitted = next <= now + 100 * INTERVAL;
        if admitted {
            *all_back = next;
        }
        admitted
    }
}

/// Memory's update never waits: one poll is the whole call.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => unreachable!("a store in memory answers at once"),
    }
}

fn rate_limit(criterion: &mut Criterion) {
    let smooth = Quota::per_second(10_000_000).unwrap().burst(100).unwrap();
    let strict = EndpointClass::Authentication.quota();
    for keys in [1_u64, 10_000, 1_000_000] {
        let policy = LimiterPolicy::keys(usize::try_from(keys * 2).unwrap()).unwrap();
        let floor = ByHand(Mutex::new(HashMap::new()));
        let over_store = StoreLimiter::new(Memory::new(Timestamp::UNIX_EPOCH), CALLS, smooth);
        let admit =
            |key: [u8; 8], now| -> Decision { ready(over_store.admit(&key, 1, now)).unwrap() };
        for (pace, quota) in [("smooth", smooth), ("strict", strict)] {
            let limiter = Limiter::new(quota, policy);
            let case = format!("{pace}/{keys}");
            let mut turns = Turns::new(keys);
            criterion.bench_function(&format!("limiter/{case}"), |b| {
                b.iter(|| {
                    let (key, now) = turns.next();
                    black_box(limiter.check(&key, now))
                });
            });
            let (mut ours, mut theirs) = (Turns::new(keys), Turns::new(keys));
            ratio(
                "rate_limit",
                &case,
                "floor",
                || {
                    let (key, now) = ours.next();
                    limiter.check(&key, now)
                },
                || {
                    let (key, now) = theirs.next();
                    floor.check(key, now)
                },
            );
        }
        let (mut ours, mut theirs) = (Turns::new(keys), Turns::new(keys));
        ratio(
            "rate_limit",
            &format!("store/{keys}"),
            "floor",
            || {
                let (key, now) = ours.next();
                admit(key, now)
            },
            || {
                let (key, now) = theirs.next();
                floor.check(key, now)
            },
        );
    }
}

criterion_group!(benches, rate_limit);
criterion_main!(benches);
