//! The guard over stores that are whole, that fail, and whose callers go away.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{NOW, fail, granted, later, lockout, name, until};
use portcullis_core::testing::drop_at_each_await;
use portcullis_core::{Cause, Failure, Memory, MemoryPolicy, Scope};
use portcullis_lockout::{
    Error, LockedAccount, Lockout, LockoutPolicy, Outcome, Reserved, Settled, Status,
};

#[tokio::test]
async fn the_fifth_failure_locks_is_listed_and_an_administrator_lifts_it() {
    let (lockout, _) = lockout();
    let alice = name("alice");
    fail(&lockout, &alice, 4).await;
    let last = granted(&lockout, &alice).await;
    let settled = lockout.settle(last, Outcome::Failure, NOW).await.unwrap();
    let newly_locked = Settled::Counted {
        failures: 5,
        newly_locked: Some(until()),
        listed: true,
    };
    assert_eq!(settled, newly_locked);
    let row = LockedAccount {
        account: alice.clone(),
        until: until(),
    };
    assert_eq!(lockout.locked(NOW).await.unwrap(), [row]);
    let refused = lockout.reserve(&alice, NOW).await.unwrap();
    assert!(matches!(refused, Reserved::Locked { until: at } if at == until()));
    assert!(lockout.unlock(&alice, NOW).await.unwrap());
    assert!(!lockout.unlock(&alice, NOW).await.unwrap());
    assert_eq!(lockout.locked(NOW).await.unwrap(), []);
    let _open = granted(&lockout, &alice).await;
}

#[tokio::test]
async fn lost_failure_increments_do_not_happen() {
    // Attempts settled at once are all counted.
    let lockout = Arc::new(Lockout::new(
        Memory::new(NOW),
        LockoutPolicy::new(100, Duration::from_secs(60)).unwrap(),
    ));
    let tasks: Vec<_> = (0..99)
        .map(|_| {
            let lockout = Arc::clone(&lockout);
            tokio::spawn(async move { fail(&lockout, &name("alice"), 1).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let status = lockout.status(&name("alice"), NOW).await.unwrap();
    assert_eq!(status, Status::Open { failures: 99 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn guesses_at_once_do_not_race_past_the_limit() {
    let lockout = Arc::new(Lockout::new(Memory::new(NOW), LockoutPolicy::default()));
    let guesses: Vec<_> = (0..64)
        .map(|_| {
            let lockout = Arc::clone(&lockout);
            tokio::spawn(async move {
                let alice = name("alice");
                loop {
                    match lockout.reserve(&alice, NOW).await.unwrap() {
                        Reserved::Granted(reservation) => {
                            tokio::task::yield_now().await;
                            let settled = lockout.settle(reservation, Outcome::Failure, NOW);
                            return matches!(settled.await.unwrap(), Settled::Counted { .. });
                        }
                        Reserved::Locked { .. } => return false,
                        Reserved::Crowded => tokio::task::yield_now().await,
                    }
                }
            })
        })
        .collect();
    let mut evaluated = 0;
    for guess in guesses {
        evaluated += usize::from(guess.await.unwrap());
    }
    assert_eq!(evaluated, 5);
}

#[tokio::test]
async fn name_variants_share_one_count() {
    let (lockout, _) = lockout();
    for variant in ["Kim", "KIM", "\u{212a}im", "ｋｉｍ", " k\u{200b}im\u{ad} "] {
        fail(&lockout, &name(variant), 1).await;
    }
    let status = lockout.status(&name("kim"), NOW).await.unwrap();
    assert_eq!(status, Status::Locked { until: until() });
}

#[tokio::test]
async fn junk_names_do_not_evict_the_victims_count() {
    // A full store refuses the junk, and keeps the lock.
    let cap = MemoryPolicy::default().cap(Scope::new("lockout"), 20);
    let lockout = Lockout::new(Memory::with_policy(NOW, cap), LockoutPolicy::default());
    fail(&lockout, &name("victim"), 5).await;
    let mut refused = 0;
    for junk in 0..100 {
        let reserved = lockout.reserve(&name(&format!("junk{junk}")), NOW).await;
        refused += usize::from(reserved.is_err());
    }
    assert_eq!(refused, 81);
    let status = lockout.status(&name("victim"), NOW).await.unwrap();
    assert_eq!(status, Status::Locked { until: until() });
}

#[tokio::test]
async fn a_store_that_fails_grants_nothing() {
    let (lockout, store) = lockout();
    let alice = name("alice");
    let failures = [
        Failure::Contended,
        Failure::Unavailable(Cause::Closed),
        Failure::Unknown(Cause::Closed),
    ];
    for failure in failures {
        store.fail_next(1, failure.clone());
        let refused = lockout.reserve(&alice, NOW).await;
        assert!(matches!(refused, Err(Error::Store(met)) if met == failure));
        let reservation = granted(&lockout, &alice).await;
        store.fail_next(1, failure.clone());
        let refused = lockout.settle(reservation, Outcome::Success, NOW).await;
        assert_eq!(refused, Err(Error::Store(failure)));
    }
    // Three reservations that nobody settled are three failures, thirty seconds on.
    let status = lockout.status(&alice, later(30)).await.unwrap();
    assert_eq!(status, Status::Open { failures: 3 });
}

#[tokio::test]
async fn a_reservation_whose_reply_was_lost_lapses_into_one_failure() {
    let (lockout, store) = lockout();
    let alice = name("alice");
    store.lose_reply(1);
    assert!(lockout.reserve(&alice, NOW).await.is_err());
    let status = |at| lockout.status(&alice, at);
    assert_eq!(status(NOW).await.unwrap(), Status::Open { failures: 0 });
    let lapsed = status(later(30)).await.unwrap();
    assert_eq!(lapsed, Status::Open { failures: 1 });
}

#[tokio::test]
async fn a_reservation_dropped_at_any_await_hurts_nobody_for_longer_than_its_life() {
    let (lockout, store) = lockout();
    store.pause(true);
    let alice = name("alice");
    let reserved = drop_at_each_await(
        || lockout.reserve(&alice, NOW),
        async |_| {
            let status = lockout.status(&alice, later(1)).await.unwrap();
            assert_eq!(
                status,
                Status::Open { failures: 0 },
                "a reservation is no failure"
            );
        },
    )
    .await;
    assert!(matches!(reserved, Ok(Reserved::Granted(_))));
    let Status::Open { failures } = lockout.status(&alice, later(31)).await.unwrap() else {
        panic!("lapses lock nobody")
    };
    assert!(failures <= 4);
}

#[tokio::test]
async fn a_store_that_lost_its_last_second_does_not_keep_anyone_out_or_let_anyone_in() {
    // The reservation is gone; its failure counts all the same.
    let (lockout, store) = lockout();
    let alice = name("alice");
    let reservation = granted(&lockout, &alice).await;
    store.lose_last(1).await.unwrap();
    let settled = lockout
        .settle(reservation, Outcome::Failure, NOW)
        .await
        .unwrap();
    assert!(matches!(settled, Settled::Counted { failures: 1, .. }));
}
