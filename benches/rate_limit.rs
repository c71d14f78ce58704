//! A check of the in-process limiter and of the limiter over memory, beside a map behind a lock, which
//! follows the smooth rule in every row.
//!
//! `--features peers` adds `governor`, keyed: on one thread and on two, with the instant handed in and with
//! each side's own clock read in every call. Beside `governor` both sides hash as they do unless told, by the
//! standard library's SipHash; beside `governor-foldhash` both by `foldhash::fast::RandomState`.
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
    #[cfg(feature = "peers")]
    peers::compare();
}

#[cfg(feature = "peers")]
mod peers {
    use std::cell::Cell;
    use std::hash::{BuildHasher, RandomState};
    use std::hint::black_box;
    use std::num::NonZeroU32;
    use std::sync::Barrier;
    use std::time::{Duration, Instant};

    use governor::RateLimiter;
    use governor::clock::{Clock, DefaultClock};
    use governor::middleware::NoOpMiddleware;
    use governor::nanos::Nanos;
    use governor::state::keyed::DashMapStateStore;
    use portcullis_core::{Clock as _, SystemClock, Timestamp};
    use portcullis_rate_limit::{Limiter, LimiterPolicy, Quota};

    use super::START;

    type Key = [u8; 8];
    type Governor<S, C> =
        RateLimiter<Key, DashMapStateStore<Key, S>, C, NoOpMiddleware<<C as Clock>::Instant>>;

    pub(super) fn compare() {
        for (name, keys) in [("hot", 1), ("10000", 10_000), ("1000000", 1_000_000)] {
            for admits in [true, false] {
                let refused = if admits { "" } else { "-refused" };
                // Sets of ours may be full of exhausted keys: their newcomers are refused. Few are, and
                // under foldhash, which spreads keys less evenly, some more.
                let case = |without_room| Case {
                    name: format!("{name}{refused}"),
                    keys,
                    admits,
                    without_room,
                };
                case(1000).against::<RandomState>("governor");
                case(200).against::<foldhash::fast::RandomState>("governor-foldhash");
            }
        }
    }

    struct Case {
        name: String,
        keys: u64,
        /// A unit back every nanosecond; or else one an hour, spent before the first round.
        admits: bool,
        /// One in so many newcomers at most.
        without_room: u64,
    }

    impl Case {
        fn against<S: BuildHasher + Clone + Default + Send + Sync>(&self, peer: &str) {
            GIVEN.set(START);
            let beside = format!("ours beside {peer}");
            let check = |ours: &Limiter<S>, key: Key, now| ours.check(&key, now).is_admitted();
            let ours = self.ours(Some(&beside), check);
            let theirs = self.theirs::<S, _>(Some(peer), Given);
            for threads in [1, 2] {
                self.ratio(
                    &format!("{}/{threads}t/now-given", self.name),
                    peer,
                    threads,
                    |key, now| ours.check(&key, now),
                    |key, _| theirs.check_key(&key),
                );
            }
            drop((ours, theirs));
            let check =
                |ours: &Limiter<S>, key: Key, _| ours.check(&key, SystemClock.now()).is_admitted();
            let ours = self.ours(None, check);
            let theirs = self.theirs::<S, _>(None, DefaultClock::default());
            for threads in [1, 2] {
                self.ratio(
                    &format!("{}/{threads}t/clock-read", self.name),
                    peer,
                    threads,
                    |key, _| ours.check(&key, SystemClock.now()),
                    |key, _| theirs.check_key(&key),
                );
            }
        }

        /// A limiter that knows every key, with the room that `LimiterPolicy::keys` advises.
        fn ours<S: BuildHasher + Default>(
            &self,
            told: Option<&str>,
            check: impl Fn(&Limiter<S>, Key, Timestamp) -> bool,
        ) -> Limiter<S> {
            let quota = if self.admits {
                Quota::per_second(MOST.get()).unwrap()
            } else {
                Quota::per(1, Duration::from_secs(3600)).unwrap()
            };
            let policy =
                LimiterPolicy::keys(usize::try_from(self.keys * 3 / 2).unwrap().max(1)).unwrap();
            let make = || Limiter::with_hasher(quota, policy, S::default());
            self.filled(told, make, check)
        }

        fn theirs<S: BuildHasher + Clone + Default, C: Clock>(
            &self,
            told: Option<&str>,
            clock: C,
        ) -> Governor<S, C> {
            let quota = if self.admits {
                governor::Quota::per_second(MOST)
            } else {
                governor::Quota::per_hour(NonZeroU32::MIN)
            };
            self.filled(
                told,
                || RateLimiter::dashmap_with_clock_and_hasher(quota, clock, S::default()),
                |theirs, key, _| theirs.check_key(&key).is_ok(),
            )
        }

        #[expect(clippy::print_stdout, reason = "the report is made from these lines")]
        fn filled<T>(
            &self,
            told: Option<&str>,
            make: impl FnOnce() -> T,
            check: impl Fn(&T, Key, Timestamp) -> bool,
        ) -> T {
            let mut made = None;
            let mut refused = 0_u64;
            let spent = allocation_counter::measure(|| {
                let limiter = made.insert(make());
                for (key, _) in Turns::new(self.keys, 0).take(usize::try_from(self.keys).unwrap()) {
                    refused += u64::from(!check(limiter, key, Timestamp::from_unix_nanos(START)));
                }
            });
            let most = self.keys / self.without_room;
            assert!(refused <= most, "{refused} of {}", self.keys);
            if let Some(side) = told
                && self.keys > 1
            {
                let bytes = spent.bytes_current / i64::try_from(self.keys).unwrap();
                println!("# rate_limit bytes/key {} {side} {bytes}", self.name);
            }
            made.unwrap()
        }

        /// Both sides in turn, on one thread or several at once.
        #[expect(clippy::print_stdout, reason = "the report is made from these lines")]
        fn ratio<A, B>(
            &self,
            name: &str,
            peer: &str,
            threads: u64,
            ours: impl Fn(Key, Timestamp) -> A + Sync,
            theirs: impl Fn(Key, Timestamp) -> B + Sync,
        ) {
            let turns = || -> Vec<Turns> {
                let starts = (0..threads).map(|thread| thread * self.keys / threads);
                starts.map(|at| Turns::new(self.keys, at)).collect()
            };
            let (mut our_turns, mut their_turns) = (turns(), turns());
            let (mut our_rounds, mut their_rounds) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                our_rounds.extend(round(&mut our_turns, &ours));
                their_rounds.extend(round(&mut their_turns, &theirs));
            }
            let (ours, theirs) = (calm(our_rounds), calm(their_rounds));
            println!("RATIO rate_limit {name} {peer} {:.2}", theirs / ours);
            println!("# rate_limit {name}: ours {ours:.1} ns, {peer} {theirs:.1} ns");
        }
    }

    /// Nanoseconds from the first start to the last end for each call of one thread; none unless the
    /// threads ran at the same time.
    fn round<T>(turns: &mut [Turns], call: &(impl Fn(Key, Timestamp) -> T + Sync)) -> Option<f64> {
        let start = Barrier::new(turns.len());
        let run = |turns: &mut Turns| {
            start.wait();
            let from = read_clock();
            for (key, now) in turns.take(CALLS) {
                GIVEN.set(now.as_unix_nanos());
                black_box(call(key, now));
            }
            (from, read_clock())
        };
        let spans: Vec<(Instant, Instant)> = std::thread::scope(|scope| {
            let spawn = |turns| scope.spawn(|| run(turns));
            let threads: Vec<_> = turns.iter_mut().map(spawn).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        let (starts, ends) = (
            spans.iter().map(|span| span.0),
            spans.iter().map(|span| span.1),
        );
        let together = ends
            .clone()
            .min()?
            .saturating_duration_since(starts.clone().max()?);
        let all = ends.max()?.duration_since(starts.min()?);
        (together.as_secs_f64() > 0.8 * all.as_secs_f64())
            .then(|| all.as_secs_f64() * 1e9 / CALLS as f64)
    }

    /// The tenth part from below: what else runs on the machine stretches a round and never shortens it.
    fn calm(mut rounds: Vec<f64>) -> f64 {
        rounds.sort_by(f64::total_cmp);
        rounds.get(rounds.len() / 10).copied().unwrap_or(f64::NAN)
    }

    #[expect(clippy::disallowed_methods, reason = "a bench measures time")]
    fn read_clock() -> Instant {
        Instant::now()
    }

    /// Every key once, in an order that no prefetcher follows, and again; a microsecond between calls.
    struct Turns {
        keys: u64,
        at: u64,
        now: u64,
    }

    impl Turns {
        fn new(keys: u64, at: u64) -> Self {
            let now = START;
            Self { keys, at, now }
        }
    }

    impl Iterator for Turns {
        type Item = (Key, Timestamp);

        fn next(&mut self) -> Option<Self::Item> {
            self.at += STRIDE % self.keys;
            if self.at >= self.keys {
                self.at -= self.keys;
            }
            self.now += 1_000;
            Some((self.at.to_be_bytes(), Timestamp::from_unix_nanos(self.now)))
        }
    }

    /// governor's way to be handed an instant: a clock that answers what this thread was given.
    #[derive(Clone, Copy, Debug)]
    struct Given;

    impl Clock for Given {
        type Instant = Nanos;

        fn now(&self) -> Nanos {
            Nanos::new(GIVEN.get())
        }
    }

    thread_local! {
        static GIVEN: Cell<u64> = const { Cell::new(START) };
    }

    const MOST: NonZeroU32 = NonZeroU32::new(1_000_000_000).unwrap();
    /// Shares no factor with a power of ten.
    const STRIDE: u64 = 611_953;
    const ROUNDS: usize = 301;
    const CALLS: usize = 1 << 14;
}

criterion_group!(benches, rate_limit);
criterion_main!(benches);
