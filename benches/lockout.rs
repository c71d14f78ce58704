//! Reserving and settling an attempt on a store in memory, beside a count behind a lock written by hand.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
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
use portcullis_core::{Memory, Timestamp};
use portcullis_lockout::{AccountName, Lockout, LockoutPolicy, Outcome, Reserved, Settled};

const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);

/// Memory's update never waits: one poll is the whole call.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => unreachable!("a store in memory answers at once"),
    }
}

fn log_in(lockout: &Lockout<Memory>, account: &AccountName) -> Settled {
    ready(async {
        let Reserved::Granted(reservation) = lockout.reserve(account, NOW).await.unwrap() else {
            unreachable!("one attempt at a time, and each succeeds")
        };
        lockout
            .settle(reservation, Outcome::Success, NOW)
            .await
            .unwrap()
    })
}

fn lockout(criterion: &mut Criterion) {
    for accounts in [1_usize, 10_000] {
        let names: Vec<AccountName> = (0..accounts)
            .map(|id| AccountName::parse(&format!("user{id}@example.org")).unwrap())
            .collect();
        let guard = Lockout::new(Memory::new(NOW), LockoutPolicy::default());
        let floor: Mutex<HashMap<String, (u8, u8)>> = Mutex::new(HashMap::new());
        let by_hand = |name: &AccountName| {
            let mut map = floor.lock().unwrap();
            let count = map.entry(name.as_str().to_owned()).or_insert((0, 0));
            let granted = count.0 + count.1 < 5;
            count.1 += 1;
            drop(map);
            let mut map = floor.lock().unwrap();
            map.remove(name.as_str());
            granted
        };
        let case = format!("log_in/{accounts}");
        let mut turn = 0;
        criterion.bench_function(&format!("lockout/{case}"), |b| {
            b.iter(|| {
                turn = (turn + 1) % accounts;
                black_box(log_in(&guard, &names[turn]))
            });
        });
        let (mut ours, mut theirs) = (0, 0);
        ratio(
            "lockout",
            &case,
            "floor",
            || {
                ours = (ours + 1) % accounts;
                log_in(&guard, &names[ours])
            },
            || {
                theirs = (theirs + 1) % accounts;
                by_hand(&names[theirs])
            },
        );
    }
    for (case, spelling) in [
        ("plain", "user@example.org"),
        ("full_width", "Ｕser@example.org"),
    ] {
        criterion.bench_function(&format!("lockout/name/{case}"), |b| {
            b.iter(|| AccountName::parse(black_box(spelling)));
        });
    }
}

criterion_group!(benches, lockout);
criterion_main!(benches);
