//! Calls of a log that are dropped at each of their awaits.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    unreachable_pub,
    reason = "tests"
)]

mod rig;

use portcullis_audit::{Action, AuditError, Event, Filter, Log, LogPolicy, Sink, query, verify};
use portcullis_core::testing::drop_at_each_await;

use crate::rig::{NOW, key, open};

#[tokio::test]
async fn a_record_dropped_at_each_await_takes_nobody_elses_event_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let policy = LogPolicy::default().waiting_events(1).unwrap();
    let (log, _) = Log::open(dir.path(), &key(), policy, NOW).unwrap();
    let mut kept = Vec::new();
    let mut drops = 0;
    let last = drop_at_each_await(
        || log.record(Event::new(Action::Logout, NOW)),
        async |_| {
            drops += 1;
            let event = Event::new(Action::Login, NOW);
            kept.push(log.record(event).await.unwrap().sequence);
        },
    )
    .await;
    log.close().await;
    let of = |action| {
        let filter = Filter::default().action(action).oldest_first();
        let records = query(dir.path(), &key(), &filter).unwrap();
        records.iter().map(|record| record.sequence).collect()
    };
    let (logins, logouts): (Vec<_>, Vec<_>) = (of(Action::Login), of(Action::Logout));
    assert_eq!(logins, kept);
    assert_eq!(logouts.last(), Some(&last.unwrap().sequence));
    assert!(logouts.len() <= drops, "the first was never polled");
    verify(dir.path(), &key()).unwrap();
}

#[tokio::test]
async fn a_close_dropped_at_each_await_loses_nothing_and_a_later_one_lets_the_log_go() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path()).unwrap();
    let mut kept = 0;
    drop_at_each_await(
        || log.close(),
        async |polls| match log.record(Event::new(Action::Login, NOW)).await {
            Ok(recorded) => {
                kept += 1;
                assert_eq!(recorded.sequence, kept);
            }
            Err(error) => {
                assert_eq!(error, AuditError::Closed);
                assert!(polls > 0, "what was never polled closed the log");
            }
        },
    )
    .await;
    assert!(kept > 0);
    let (again, recovery) = open(dir.path()).unwrap();
    assert_eq!((recovery.records, recovery.torn_bytes), (kept, 0));
    let refused = log.record(Event::new(Action::Login, NOW)).await;
    assert_eq!(refused, Err(AuditError::Closed));
    log.close().await;
    again.close().await;
}
