//! Reserving, verifying and settling in one.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod common;

use std::cell::Cell;

use common::{NOW, fail, granted, is_locked, later, lockout, name, polled, until};
use portcullis_core::{Cause, Failure};
use portcullis_lockout::{Error, Outcome, Status};

#[tokio::test]
async fn the_fifth_no_locks_and_the_right_password_is_refused_until_the_lock_ends() {
    let (lockout, _) = lockout();
    let alice = name("alice");
    for at in 1..=5 {
        assert!(!is_locked(&lockout, &alice, NOW).await, "{at}");
        assert_eq!(
            lockout.attempt(&alice, NOW, async { false }).await,
            Ok(false)
        );
    }
    assert!(is_locked(&lockout, &alice, NOW).await);
    for (at, admitted) in [(NOW, false), (later(1799), false), (until(), true)] {
        let attempt = lockout.attempt(&alice, at, async { true });
        assert_eq!(attempt.await, Ok(admitted), "{at}");
    }
}

#[tokio::test]
async fn a_yes_clears_the_failures_before_it() {
    let (lockout, _) = lockout();
    let alice = name("alice");
    fail(&lockout, &alice, 4).await;
    assert_eq!(lockout.attempt(&alice, NOW, async { true }).await, Ok(true));
    let status = lockout.status(&alice, NOW).await;
    assert_eq!(status, Ok(Status::Open { failures: 0 }));
}

/// A lock that answered without the hash would tell whoever guesses that there is one.
#[tokio::test]
async fn a_locked_and_a_crowded_account_cost_as_much_work_and_admit_nobody() {
    let (lockout, _) = lockout();
    let (locked, crowded) = (name("locked"), name("crowded"));
    fail(&lockout, &locked, 5).await;
    let mut under_way = Vec::new();
    for _ in 0..5 {
        under_way.push(granted(&lockout, &crowded).await);
    }
    for account in [&locked, &crowded] {
        let worked = Cell::new(false);
        let verify = async {
            worked.set(true);
            true
        };
        assert_eq!(lockout.attempt(account, NOW, verify).await, Ok(false));
        assert!(worked.get());
    }
}

/// Its reservation has lapsed by then, and others have used up what was left.
#[tokio::test]
async fn a_right_password_admits_nobody_once_others_have_locked_the_account_meanwhile() {
    let (lockout, _) = lockout();
    let alice = name("alice");
    let slow = async {
        fail(&lockout, &alice, 4).await;
        let fifth = lockout.attempt(&alice, later(31), async { false });
        assert_eq!(fifth.await, Ok(false));
        assert!(is_locked(&lockout, &alice, later(31)).await);
        true
    };
    assert_eq!(lockout.attempt(&alice, NOW, slow).await, Ok(false));
    assert!(is_locked(&lockout, &alice, later(31)).await);
}

#[tokio::test]
async fn an_attempt_that_looked_at_no_password_is_given_back_and_admits_nobody() {
    let (lockout, _) = lockout();
    let alice = name("alice");
    for _ in 0..6 {
        let unverified = async { Outcome::Unverified };
        assert_eq!(lockout.attempt(&alice, NOW, unverified).await, Ok(false));
    }
    let status = lockout.status(&alice, later(31)).await;
    assert_eq!(status, Ok(Status::Open { failures: 0 }));
}

#[tokio::test]
async fn a_store_that_fails_before_or_after_the_password_refuses_it() {
    let (lockout, store) = lockout();
    let alice = name("alice");
    let lost = || Failure::Unavailable(Cause::Closed);
    store.fail_next(1, lost());
    let worked = Cell::new(false);
    let verify = async {
        worked.set(true);
        true
    };
    let refused = lockout.attempt(&alice, NOW, verify).await;
    assert_eq!(refused, Err(Error::Store(lost())));
    assert!(!worked.get(), "nothing is looked at that is not counted");
    let verify = async {
        store.fail_next(1, lost());
        true
    };
    let refused = lockout.attempt(&alice, NOW, verify).await;
    assert_eq!(refused, Err(Error::Store(lost())));
}

#[tokio::test]
async fn a_caller_that_hangs_up_meanwhile_has_spent_an_attempt() {
    let (lockout, _) = lockout();
    let alice = name("alice");
    for _ in 0..3 {
        let attempt = lockout.attempt(&alice, NOW, std::future::pending::<bool>());
        let mut attempt = Box::pin(attempt);
        assert!(!polled(attempt.as_mut()).await);
    }
    let status = lockout.status(&alice, later(31)).await;
    assert_eq!(status, Ok(Status::Open { failures: 3 }));
}
