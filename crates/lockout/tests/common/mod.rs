//! What the tests of the guard share.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests: each file uses a part of it"
)]

pub mod store;

use std::time::Duration;

use portcullis_core::testing::Faulty;
use portcullis_core::{Memory, Store, Timestamp};
use portcullis_lockout::{
    AccountName, Lockout, LockoutPolicy, Outcome, Reservation, Reserved, Status,
};

pub const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);

pub fn lockout() -> (Lockout<Faulty<Memory>>, Faulty<Memory>) {
    let store = Faulty::new(Memory::new(NOW));
    (Lockout::new(store.clone(), LockoutPolicy::default()), store)
}

pub fn name(text: &str) -> AccountName {
    AccountName::parse(text).unwrap()
}

pub fn later(secs: u64) -> Timestamp {
    NOW.saturating_add(Duration::from_secs(secs))
}

pub async fn granted<S: Store>(lockout: &Lockout<S>, account: &AccountName) -> Reservation {
    granted_at(lockout, account, NOW).await
}

pub async fn granted_at<S: Store>(
    lockout: &Lockout<S>,
    account: &AccountName,
    now: Timestamp,
) -> Reservation {
    match lockout.reserve(account, now).await.unwrap() {
        Reserved::Granted(reservation) => reservation,
        other => panic!("not granted: {other:?}"),
    }
}

pub async fn fail<S: Store>(lockout: &Lockout<S>, account: &AccountName, times: usize) {
    fail_at(lockout, account, times, NOW).await;
}

pub async fn fail_at<S: Store>(
    lockout: &Lockout<S>,
    account: &AccountName,
    times: usize,
    now: Timestamp,
) {
    for _ in 0..times {
        let reservation = granted_at(lockout, account, now).await;
        let _counted = lockout
            .settle(reservation, Outcome::Failure, now)
            .await
            .unwrap();
    }
}

pub fn until() -> Timestamp {
    later(1800)
}

/// Polls once; whether it is done.
pub async fn polled<F: Future>(mut future: std::pin::Pin<&mut F>) -> bool {
    std::future::poll_fn(|context| std::task::Poll::Ready(future.as_mut().poll(context).is_ready()))
        .await
}

pub async fn polled_times<F: Future>(future: &mut std::pin::Pin<Box<F>>, times: usize) -> bool {
    for _ in 0..times {
        if polled(future.as_mut()).await {
            return true;
        }
    }
    false
}

pub async fn is_locked(
    lockout: &Lockout<Faulty<Memory>>,
    account: &AccountName,
    now: Timestamp,
) -> bool {
    matches!(
        lockout.status(account, now).await.unwrap(),
        Status::Locked { .. }
    )
}

pub async fn assert_listed(
    lockout: &Lockout<Faulty<Memory>>,
    account: &AccountName,
    now: Timestamp,
) {
    let listed = lockout.locked(now).await.unwrap();
    let times = listed.iter().filter(|row| row.account == *account).count();
    assert_eq!(times, 1, "a live lock stands in the list once");
}
