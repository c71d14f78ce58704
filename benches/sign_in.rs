//! A login around a hasher that takes no time, beside a counter, a look-up and an event by hand.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a bench has no callers"
)]

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use portcullis_audit::{AuditError, Event, Recorded, Sink};
use portcullis_benches::ratio;
use portcullis_core::testing::FakeClock;
use portcullis_core::{AnyStore, Memory, Reason, Secret, Timestamp, entropy};
use portcullis_lockout::{AccountName, Lockout, LockoutPolicy};
use portcullis_session::{SessionPolicy, Sessions};
use portcullis_sign_in::testing::{MapDirectory, StubHasher, trial_factors};
use portcullis_sign_in::{Attempt, Parts, SignIn, SignInPolicy};
use tokio::runtime::Runtime;

const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);
const USERS: usize = 10_000;
const RIGHT: &[u8] = b"correct horse battery";
const WRONG: &[u8] = b"Tr0ub4dor&3";
/// The fifth wrong guess of a name would lock it, and a locked account is another case: after four of each
/// all begin anew. The one round in which that falls is long, and no median.
const GUESSES: usize = 4 * USERS;

/// Counts events and keeps none.
#[derive(Default)]
struct Counter(AtomicU64);

impl Sink for Counter {
    async fn record(&self, _event: Event) -> Result<Recorded, AuditError> {
        let sequence = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        Ok(Recorded { sequence })
    }
}

fn desk(runtime: &Runtime, names: &[String]) -> SignIn<MapDirectory, Counter> {
    let store = AnyStore::new(Memory::new(NOW));
    let trial = SessionPolicy::default().dangerous_allow_volatile();
    let sessions = Sessions::new(store.clone(), Secret::from(vec![7; 32]), trial).unwrap();
    let directory = MapDirectory::new();
    for name in names {
        let hash = StubHasher::phc(&RIGHT.into());
        directory.insert(&AccountName::parse(name).unwrap(), hash);
    }
    let parts = Parts {
        directory,
        sink: Counter::default(),
        lockout: Arc::new(Lockout::new(store.clone(), LockoutPolicy::default())),
        sessions: Arc::new(sessions),
        second_factors: trial_factors().unwrap(),
        store,
    };
    let hasher = Arc::new(StubHasher::new(Duration::ZERO));
    let clock = FakeClock::new(NOW);
    let policy = SignInPolicy::default();
    runtime
        .block_on(SignIn::new(parts, hasher, clock, policy))
        .unwrap()
}

/// Failures counted, a hash compared, a session noted, an event counted; no task, no limit, no second look.
#[derive(Default)]
struct Floor {
    failures: Mutex<HashMap<String, u8>>,
    hashes: HashMap<String, String>,
    sessions: Mutex<HashMap<[u8; 16], String>>,
    events: AtomicU64,
}

impl Floor {
    fn of(names: &[String]) -> Self {
        let hash = |name: &String| (name.clone(), StubHasher::phc(&RIGHT.into()));
        Self {
            hashes: names.iter().map(hash).collect(),
            ..Self::default()
        }
    }

    fn log_in(&self, name: &str, password: &[u8]) -> bool {
        let mut failures = self.failures.lock().unwrap();
        let count = failures.entry(name.to_owned()).or_default();
        *count = count.saturating_add(1);
        let open = *count <= 5;
        drop(failures);
        let fits = self.hashes.get(name) == Some(&StubHasher::phc(&password.into()));
        self.events.fetch_add(1, Ordering::Relaxed);
        if !open || !fits {
            return false;
        }
        self.failures.lock().unwrap().remove(name);
        let mut sessions = self.sessions.lock().unwrap();
        sessions.insert(entropy().unwrap(), name.to_owned());
        true
    }
}

fn sign_in(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let names: Vec<String> = (0..USERS)
        .map(|id| format!("user{id}@example.org"))
        .collect();
    for (case, password, why) in [
        ("right", RIGHT, None),
        ("wrong", WRONG, Some(Reason::PasswordWrong)),
    ] {
        let (mut guard, mut ours) = (desk(&runtime, &names), 0);
        let mut log_in = || {
            ours += 1;
            if why.is_some() && ours % GUESSES == 0 {
                guard = desk(&runtime, &names);
            }
            let attempt = Attempt::new(&names[ours % USERS], Secret::from(password));
            let entered = runtime.block_on(guard.sign_in(attempt, NOW));
            assert_eq!(entered.err().map(|error| error.log_reason()), why);
        };
        criterion.bench_function(&format!("sign_in/{case}"), |b| b.iter(&mut log_in));
        let (mut floor, mut theirs) = (Floor::of(&names), 0);
        ratio("sign_in", case, "floor", log_in, || {
            theirs += 1;
            if why.is_some() && theirs % GUESSES == 0 {
                floor = Floor::of(&names);
            }
            floor.log_in(&names[theirs % USERS], password)
        });
    }
}

criterion_group!(benches, sign_in);
criterion_main!(benches);
