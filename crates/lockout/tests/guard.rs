//! The guard over stores that are whole, that fail, and whose callers go away.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

use std::sync::Arc;
use std::time::Duration;

use portcullis_core::testing::{Faulty, drop_at_each_await};
use portcullis_core::{
    Cause, Failure, Index, Key, Memory, MemoryPolicy, Next, Scope, Store, Timestamp, Value,
};
use portcullis_lockout::{
    AccountName, Error, LockedAccount, Lockout, LockoutPolicy, Outcome, Reservation, Reserved,
    Settled, Status,
};

const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);

fn lockout() -> (Lockout<Faulty<Memory>>, Faulty<Memory>) {
    let store = Faulty::new(Memory::new(NOW));
    (Lockout::new(store.clone(), LockoutPolicy::default()), store)
}

fn name(text: &str) -> AccountName {
    AccountName::parse(text).unwrap()
}

fn later(secs: u64) -> Timestamp {
    NOW.saturating_add(Duration::from_secs(secs))
}

async fn granted<S: Store>(lockout: &Lockout<S>, account: &AccountName) -> Reservation {
    match lockout.reserve(account, NOW).await.unwrap() {
        Reserved::Granted(reservation) => reservation,
        other => panic!("not granted: {other:?}"),
    }
}

async fn fail<S: Store>(lockout: &Lockout<S>, account: &AccountName, times: usize) {
    for _ in 0..times {
        let reservation = granted(lockout, account).await;
        let _counted = lockout
            .settle(reservation, Outcome::Failure, NOW)
            .await
            .unwrap();
    }
}

fn until() -> Timestamp {
    later(1800)
}

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
async fn a_lock_that_is_over_leaves_the_list() {
    let (lockout, store) = lockout();
    fail(&lockout, &name("alice"), 5).await;
    assert_eq!(lockout.locked(later(1799)).await.unwrap().len(), 1);
    assert_eq!(lockout.locked(later(1800)).await.unwrap(), []);
    let index = Index::new(Scope::new("lockout-list"), 64, 250);
    let rows = index.members(&store, b"", NOW).await.unwrap();
    assert!(rows.is_empty(), "taken out, and not only left out");
}

#[tokio::test]
async fn lost_failure_increments_do_not_happen() {
    // ATTACKS row 5: attempts settled at once are all counted.
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
    // ATTACKS row 6.
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
    // ATTACKS row 19.
    let (lockout, _) = lockout();
    for variant in ["Kim", "KIM", "\u{212a}im", "ｋｉｍ", " k\u{200b}im\u{ad} "] {
        fail(&lockout, &name(variant), 1).await;
    }
    let status = lockout.status(&name("kim"), NOW).await.unwrap();
    assert_eq!(status, Status::Locked { until: until() });
}

#[tokio::test]
async fn junk_names_do_not_evict_the_victims_count() {
    // ATTACKS row 21: a full store refuses the junk, and keeps the lock.
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
    // ATTACKS row 24.
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
async fn a_lock_holds_when_the_list_is_full_or_lost() {
    let (lockout, store) = lockout();
    let alice = name("alice");
    fail(&lockout, &alice, 4).await;
    // Every page is full of accounts that are locked.
    for page in 0_u8..64 {
        let mut bytes = vec![1];
        for member in 0_u8..250 {
            let locked = format!("x{page:02}{member:03}");
            bytes.push(6);
            bytes.extend_from_slice(locked.as_bytes());
            put(
                &store,
                Key::new(Scope::new("lockout"), locked.as_bytes()),
                LOCKED_FOREVER,
            )
            .await;
        }
        put(
            &store,
            Key::of(Scope::new("lockout-list"), &[b"", &[page]]),
            &bytes,
        )
        .await;
    }
    let last = granted(&lockout, &alice).await;
    let settled = lockout.settle(last, Outcome::Failure, NOW).await.unwrap();
    let unlisted = Settled::Counted {
        failures: 5,
        newly_locked: Some(until()),
        listed: false,
    };
    assert_eq!(settled, unlisted);
    let status = lockout.status(&alice, NOW).await.unwrap();
    assert_eq!(status, Status::Locked { until: until() });

    let bob = name("bob");
    fail(&lockout, &bob, 4).await;
    for page in 0_u8..64 {
        put(
            &store,
            Key::of(Scope::new("lockout-list"), &[b"", &[page]]),
            b"rubbish",
        )
        .await;
    }
    let last = granted(&lockout, &bob).await;
    assert_eq!(
        lockout.settle(last, Outcome::Failure, NOW).await.unwrap(),
        unlisted
    );
}

#[tokio::test]
async fn a_full_list_is_swept_of_locks_that_are_over() {
    let (lockout, store) = lockout();
    let alice = name("alice");
    for page in 0_u8..64 {
        let mut bytes = vec![1];
        for member in 0_u8..250 {
            bytes.push(6);
            bytes.extend_from_slice(format!("x{page:02}{member:03}").as_bytes());
        }
        put(
            &store,
            Key::of(Scope::new("lockout-list"), &[b"", &[page]]),
            &bytes,
        )
        .await;
    }
    fail(&lockout, &alice, 5).await;
    let names: Vec<_> = lockout.locked(NOW).await.unwrap();
    assert_eq!(names.len(), 1);
}

#[tokio::test]
async fn a_reservation_dropped_at_any_await_hurts_nobody_for_longer_than_its_life() {
    // ATTACKS rows 27 and 28.
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
async fn a_settlement_dropped_at_any_await_loses_no_failure_and_no_lock() {
    let (lockout, store) = lockout();
    let mut drops = 0;
    loop {
        let alice = name(&format!("alice{drops}"));
        store.pause(false);
        fail(&lockout, &alice, 4).await;
        let last = granted(&lockout, &alice).await;
        store.pause(true);
        let mut settle = Box::pin(lockout.settle(last, Outcome::Failure, NOW));
        let mut finished = false;
        for _ in 0..drops {
            finished = finished || polled(settle.as_mut()).await;
        }
        drop(settle);
        store.pause(false);
        match lockout.status(&alice, later(31)).await.unwrap() {
            Status::Locked { until: at } => {
                assert_eq!(at, until());
                let rows = lockout.locked(later(31)).await.unwrap();
                let listed = rows.iter().any(|row| row.account == alice);
                assert!(listed, "no lock without its row, at drop {drops}");
            }
            Status::Open { failures } => {
                assert!(!finished);
                assert_eq!(failures, 4, "the last slot waits for a settled failure");
            }
        }
        if finished {
            break;
        }
        drops += 1;
    }
    assert!(drops > 6, "several updates, three polls each: {drops}");
}

#[tokio::test]
async fn a_lock_that_begins_while_an_old_one_is_lifted_stays_in_the_list() {
    let mut relocked = 0;
    for polls in 0..20 {
        let (lockout, store) = lockout();
        let alice = name("alice");
        fail(&lockout, &alice, 5).await;
        store.pause(true);
        let mut unlock = Box::pin(lockout.unlock(&alice, NOW));
        let mut finished = false;
        for _ in 0..polls {
            finished = finished || polled(unlock.as_mut()).await;
        }
        let lifted = lockout.status(&alice, NOW).await.unwrap();
        if matches!(lifted, Status::Open { .. }) {
            fail(&lockout, &alice, 5).await;
            relocked += 1;
        }
        if !finished {
            assert!(unlock.await.unwrap());
        }
        let locked =
            lockout.status(&alice, NOW).await.unwrap() == Status::Locked { until: until() };
        let rows = lockout.locked(NOW).await.unwrap();
        assert_eq!(rows.len(), usize::from(locked), "after {polls} polls");
    }
    assert!(relocked > 6, "{relocked}");
}

/// Polls once; whether it is done.
async fn polled<F: Future>(mut future: std::pin::Pin<&mut F>) -> bool {
    std::future::poll_fn(|context| std::task::Poll::Ready(future.as_mut().poll(context).is_ready()))
        .await
}

#[tokio::test]
async fn a_store_that_lost_its_last_second_does_not_keep_anyone_out_or_let_anyone_in() {
    // ATTACKS row 29: the reservation is gone; its failure counts all the same.
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

async fn put(store: &impl Store, key: Key, bytes: &[u8]) {
    let value = Value::new(bytes);
    let step = move |_: Option<&[u8]>| {
        let next = Next::Put {
            value: value.clone(),
            expires_at: Timestamp::MAX,
        };
        ((), next)
    };
    store.update(key, NOW, step).await.unwrap();
}

const LOCKED_FOREVER: &[u8] = &[1, 1, 255, 255, 255, 255, 255, 255, 255, 255];
