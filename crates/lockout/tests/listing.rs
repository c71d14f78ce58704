//! The administrator's list: no live lock is missing from it, whatever comes between.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod common;

use common::store::{account_key, fill, filler, page_key, put, rows};
use common::{
    NOW, assert_listed, fail, fail_at, granted, granted_at, is_locked, later, lockout, name,
    polled, polled_times, until,
};
use portcullis_core::testing::{Faulty, drop_at_each_await};
use portcullis_core::{Cause, Failure, IndexError, Memory, Timestamp};
use portcullis_lockout::{AccountName, Error, LockedAccount, Lockout, Outcome, Settled, Status};

#[tokio::test]
async fn a_lock_that_is_over_leaves_the_list() {
    let (lockout, store) = lockout();
    fail(&lockout, &name("alice"), 5).await;
    assert_eq!(lockout.locked(later(1799)).await.unwrap().len(), 1);
    assert_eq!(rows(&store).await, 1);
    assert_eq!(lockout.locked(later(1800)).await.unwrap(), []);
    assert_eq!(rows(&store).await, 0, "taken out, and not only left out");
}

#[tokio::test]
async fn an_account_whose_state_does_not_decode_stays_in_the_list_until_it_is_unlocked() {
    let (lockout, store) = lockout();
    let alice = name("alice");
    fail(&lockout, &alice, 5).await;
    put(&store, account_key("alice"), b"rubbish").await;
    for at in [NOW, later(1800), later(90_000)] {
        let row = LockedAccount {
            account: alice.clone(),
            until: Timestamp::MAX,
        };
        assert_eq!(lockout.locked(at).await.unwrap(), [row]);
    }
    assert!(lockout.unlock(&alice, later(90_000)).await.unwrap());
    assert_eq!(lockout.locked(later(90_000)).await.unwrap(), []);
    assert_eq!(rows(&store).await, 0);
}

#[tokio::test]
async fn an_account_locked_again_and_again_has_one_row() {
    let (lockout, store) = lockout();
    let alice = name("alice");
    for round in 0..5 {
        fail_at(&lockout, &alice, 5, later(round)).await;
        let row = LockedAccount {
            account: alice.clone(),
            until: later(round + 1800),
        };
        assert_eq!(lockout.locked(later(round)).await.unwrap(), [row]);
        assert!(lockout.unlock(&alice, later(round)).await.unwrap());
        assert_eq!(lockout.locked(later(round)).await.unwrap(), []);
    }
    assert_eq!(rows(&store).await, 1);
    assert_eq!(lockout.locked(later(1804)).await.unwrap(), []);
    assert_eq!(rows(&store).await, 0);
}

#[tokio::test]
async fn the_list_is_sorted_by_name_across_its_pages() {
    let (lockout, _) = lockout();
    let mut names: Vec<_> = (0..40).map(|n| name(&format!("user{n}"))).collect();
    for account in &names {
        fail(&lockout, account, 5).await;
    }
    names.sort();
    let listed = lockout.locked(NOW).await.unwrap();
    let listed: Vec<_> = listed.into_iter().map(|row| row.account).collect();
    assert_eq!(listed, names);
}

#[tokio::test]
async fn a_lock_holds_when_the_list_is_full_or_lost() {
    let (lockout, store) = lockout();
    let unlisted = Settled::Counted {
        failures: 5,
        newly_locked: Some(until()),
        listed: false,
    };
    fill(&store, until()).await;
    for (account, lost) in [("alice", false), ("bob", true)] {
        let account = name(account);
        if lost {
            for page in 0..64 {
                put(&store, page_key(page), b"rubbish").await;
            }
        }
        fail(&lockout, &account, 4).await;
        let last = granted(&lockout, &account).await;
        let before = store.calls();
        let settled = lockout.settle(last, Outcome::Failure, NOW).await.unwrap();
        assert_eq!(settled, unlisted);
        assert!(store.calls() - before < 10, "a flood buys no looks");
        let status = lockout.status(&account, NOW).await.unwrap();
        assert_eq!(status, Status::Locked { until: until() });
    }
    let lost = lockout.locked(NOW).await;
    assert!(matches!(lost, Err(Error::Index(IndexError::Corrupt(_)))));
}

#[tokio::test]
async fn a_full_page_is_swept_of_locks_that_are_over_and_of_nothing_else() {
    let (lockout, store) = lockout();
    fill(&store, NOW).await;
    for page in 0..64 {
        put(&store, account_key(&filler(page, 7)), b"rubbish").await;
    }
    fail(&lockout, &name("alice"), 5).await;
    assert_eq!(rows(&store).await, 63 * 250 + 2);
    let listed = lockout.locked(NOW).await.unwrap();
    assert_eq!(listed.len(), 65, "alice, and those that do not decode");
    assert_eq!(rows(&store).await, 65);
}

#[tokio::test]
async fn a_row_that_could_not_be_written_before_the_lock_is_written_after_it() {
    let failures = [
        Failure::Contended,
        Failure::Unavailable(Cause::Closed),
        Failure::Unknown(Cause::Closed),
    ];
    for failure in failures {
        let (lockout, store) = lockout();
        let alice = name("alice");
        fail(&lockout, &alice, 4).await;
        let last = granted(&lockout, &alice).await;
        store.pause(true);
        let mut settle = Box::pin(lockout.settle(last, Outcome::Failure, NOW));
        assert!(!polled(settle.as_mut()).await);
        // The look at the account is under way; the next update is the row's.
        store.fail_next(1, failure);
        let settled = settle.await.unwrap();
        assert!(matches!(settled, Settled::Counted { listed: true, .. }));
        store.pause(false);
        assert_listed(&lockout, &alice, NOW).await;
    }
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
async fn a_look_at_the_list_dropped_at_any_await_hides_no_lock() {
    let (lockout, store) = lockout();
    let (alice, now) = (name("alice"), later(1800));
    for over in ["alice", "bob", "carol"] {
        fail(&lockout, &name(over), 5).await;
    }
    fail_at(&lockout, &alice, 5, now).await;
    store.pause(true);
    let listed = drop_at_each_await(
        || lockout.locked(now),
        async |_| {
            store.pause(false);
            let status = lockout.status(&alice, now).await.unwrap();
            assert_eq!(status, Status::Locked { until: later(3600) });
            assert!(rows(&store).await >= 1);
            store.pause(true);
        },
    )
    .await;
    assert_eq!(listed.unwrap().len(), 1);
    assert_eq!(rows(&store).await, 1);
    assert_listed(&lockout, &alice, now).await;
}

#[tokio::test]
async fn an_unlock_dropped_at_any_await_hides_no_lock() {
    let (lockout, store) = lockout();
    let alice = name("alice");
    fail(&lockout, &alice, 5).await;
    let mut lifted = 0;
    store.pause(true);
    let unlocked = drop_at_each_await(
        || lockout.unlock(&alice, NOW),
        async |_| {
            store.pause(false);
            if !is_locked(&lockout, &alice, NOW).await {
                lifted += 1;
                assert_eq!(lockout.locked(NOW).await.unwrap(), []);
                fail(&lockout, &alice, 5).await;
            }
            assert_listed(&lockout, &alice, NOW).await;
            store.pause(true);
        },
    )
    .await;
    assert!(unlocked.unwrap());
    assert!(lifted > 0);
    assert!(!is_locked(&lockout, &alice, NOW).await);
}

#[tokio::test]
async fn a_status_dropped_at_any_await_changes_nothing() {
    let (lockout, store) = lockout();
    let alice = name("alice");
    fail(&lockout, &alice, 5).await;
    let writes = store.writes();
    store.pause(true);
    let status = drop_at_each_await(
        || lockout.status(&alice, NOW),
        async |_| assert_eq!(store.writes(), writes),
    )
    .await;
    assert_eq!(status.unwrap(), Status::Locked { until: until() });
    store.pause(false);
    assert_listed(&lockout, &alice, NOW).await;
    assert_eq!(store.writes(), writes);
}

/// The last failure is settled in two parts, and the other future runs in two parts around the second
/// of them before it is dropped; every way to cut both is tried, over a row that is over and over none.
async fn race(other: impl AsyncFn(&Lockout<Faulty<Memory>>, &AccountName, Timestamp)) -> usize {
    let alice = name("alice");
    let mut locked = 0;
    for stale in [false, true] {
        for settle_polls in 0.. {
            let mut settled_early = false;
            for other_polls in 0.. {
                let mut other_done = false;
                for more in 0..6 {
                    let (lockout, store) = lockout();
                    let now = later(1800);
                    if stale {
                        fail(&lockout, &alice, 5).await;
                    }
                    fail_at(&lockout, &alice, 4, now).await;
                    let last = granted_at(&lockout, &alice, now).await;
                    store.pause(true);
                    let mut settle = Box::pin(lockout.settle(last, Outcome::Failure, now));
                    let mut other = Box::pin(other(&lockout, &alice, now));
                    settled_early = polled_times(&mut settle, settle_polls).await;
                    other_done = polled_times(&mut other, other_polls).await;
                    if !settled_early {
                        let _settled = settle.await.unwrap();
                    }
                    if !other_done {
                        polled_times(&mut other, more).await;
                    }
                    drop(other);
                    store.pause(false);
                    if is_locked(&lockout, &alice, now).await {
                        locked += 1;
                        assert_listed(&lockout, &alice, now).await;
                    }
                    if other_done {
                        break;
                    }
                }
                if other_done {
                    break;
                }
            }
            if settled_early {
                break;
            }
        }
    }
    locked
}

#[tokio::test]
async fn a_lock_that_begins_while_the_list_is_read_stays_in_it() {
    let locked = race(async |lockout, _, now| drop(lockout.locked(now).await)).await;
    assert!(locked > 1000, "{locked}");
}

#[tokio::test]
async fn a_lock_that_begins_while_the_account_is_unlocked_stays_in_the_list() {
    let locked = race(async |lockout, alice, now| drop(lockout.unlock(alice, now).await)).await;
    assert!(locked > 20, "{locked}");
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
