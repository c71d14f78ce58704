//! The log in use: many writers, rotation, locks, queries, and what callers may put into an event.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

use std::fs;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use portcullis_audit::testing::MemorySink;
use portcullis_audit::{
    Action, AuditError, Event, Field, Filter, Log, LogPolicy, Record, Recorded, Sink, query, verify,
};
use portcullis_core::{Secret, Timestamp};

const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);

fn key() -> Secret {
    Secret::from([7; 32].as_slice())
}

fn small() -> LogPolicy {
    LogPolicy::default().segment_bytes(4096).unwrap()
}

fn open(dir: &Path) -> Log {
    Log::open(dir, &key(), small(), NOW).unwrap().0
}

fn later(secs: u64) -> Timestamp {
    NOW.saturating_add(Duration::from_secs(secs))
}

fn sequences(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| record.sequence).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_get_each_number_once_and_all_is_there_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let log = Arc::new(open(dir.path()));
    let writers: Vec<_> = (0..32)
        .map(|writer| {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                let mut numbers = Vec::new();
                for turn in 0..20 {
                    let user = format!("{writer}/{turn}");
                    let event = Event::new(Action::Login, NOW).user(&user);
                    numbers.push((log.record(event).await.unwrap().sequence, user));
                }
                numbers
            })
        })
        .collect();
    let mut answered = Vec::new();
    for writer in writers {
        answered.extend(writer.await.unwrap());
    }
    log.close().await;
    answered.sort();

    let all = Filter::default().oldest_first().limit(1000);
    let records = query(dir.path(), &key(), &all).unwrap();
    let kept: Vec<_> = records
        .iter()
        .map(|record| {
            (
                record.sequence,
                record.event.text(Field::User).unwrap().to_owned(),
            )
        })
        .collect();
    assert_eq!(kept, answered);
    let report = verify(dir.path(), &key()).unwrap();
    assert_eq!(report.records, 640);
    // A segment ends with the write that fills it, and that may be one of all 32.
    assert!(report.segments > 5, "{report}");
}

#[tokio::test]
async fn a_second_opener_is_refused_until_the_first_lets_go() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let refused = Log::open(dir.path(), &key(), small(), NOW).map(|_| ());
    assert_eq!(refused, Err(AuditError::InUse));
    log.record(Event::new(Action::Login, NOW)).await.unwrap();
    log.close().await;
    let second = open(dir.path());
    assert_eq!(
        second
            .record(Event::new(Action::Login, NOW))
            .await
            .unwrap()
            .sequence,
        2
    );
    let refused = log.record(Event::new(Action::Login, NOW)).await;
    assert_eq!(refused, Err(AuditError::Closed));
    log.close().await;
    second.close().await;
}

/// A call polled once: sent, if there is room. The writer may be quick enough to have answered it.
fn sent<F: Future>(call: F) -> (Pin<Box<F>>, Option<F::Output>) {
    let mut call = Box::pin(call);
    match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => (call, Some(answer)),
        Poll::Pending => (call, None),
    }
}

#[tokio::test]
async fn closing_writes_what_waits_first() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let calls: Vec<_> = (0..100)
        .map(|_| sent(log.record(Event::new(Action::Login, NOW))))
        .collect();
    log.close().await;
    for (sequence, (call, answer)) in (1..).zip(calls) {
        let answer = match answer {
            Some(answer) => answer,
            None => call.await,
        };
        assert_eq!(answer, Ok(Recorded { sequence }));
    }
    assert_eq!(verify(dir.path(), &key()).unwrap().records, 100);
}

#[tokio::test]
async fn closing_answers_only_when_the_log_is_let_go_of_whoever_closed_it_first() {
    for round in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path());
        let event = Event::new(Action::Login, NOW).user_agent(&"x".repeat(500));
        let _calls: Vec<_> = (0..100).map(|_| sent(log.record(event.clone()))).collect();
        let _first = sent(log.close());
        // Until the writer has seen it, and takes no more.
        for _ in 0..500 {
            tokio::task::yield_now().await;
            let (_, answer) = sent(log.record(Event::new(Action::Logout, NOW)));
            if answer == Some(Err(AuditError::Closed)) {
                break;
            }
        }
        log.close().await;
        let again = Log::open(dir.path(), &key(), small(), NOW).map(|(_, found)| found.records);
        assert!(again.is_ok_and(|records| records >= 100), "round {round}");
    }
}

#[tokio::test]
async fn a_dropped_future_takes_nobody_elses_event_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let policy = small().waiting_events(2).unwrap();
    let (log, _) = Log::open(dir.path(), &key(), policy, NOW).unwrap();
    let mut acknowledged = Vec::new();
    for turn in 0..50 {
        let mut dropped = Box::pin(log.record(Event::new(Action::Logout, NOW)));
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..turn % 3 {
            if dropped.as_mut().poll(&mut context).is_ready() {
                break;
            }
        }
        drop(dropped);
        let event = Event::new(Action::Login, NOW).user(&turn.to_string());
        acknowledged.push(log.record(event).await.unwrap().sequence);
    }
    log.close().await;
    let logins = Filter::default().action(Action::Login).oldest_first();
    let records = query(dir.path(), &key(), &logins).unwrap();
    assert_eq!(sequences(&records), acknowledged);
    verify(dir.path(), &key()).unwrap();
}

#[tokio::test]
async fn the_log_is_read_and_verified_beside_its_writer() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    for turn in 1..=60 {
        log.record(Event::new(Action::Login, NOW)).await.unwrap();
        assert_eq!(verify(dir.path(), &key()).unwrap().records, turn);
        let newest = query(dir.path(), &key(), &Filter::default().limit(1)).unwrap();
        assert_eq!(sequences(&newest), [turn]);
        assert_eq!(log.checkpoint().records(), turn);
    }
    log.close().await;
}

#[tokio::test]
async fn a_write_under_way_is_no_damage_while_its_writer_lives() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.record(Event::new(Action::Login, NOW)).await.unwrap();
    let path = dir.path().join("audit-00000001.log");
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend_from_within(126..226);
    fs::write(&path, bytes).unwrap();
    let report = verify(dir.path(), &key()).unwrap();
    assert_eq!((report.records, report.unfinished_bytes), (1, 100));
    assert_eq!(
        sequences(&query(dir.path(), &key(), &Filter::default()).unwrap()),
        [1]
    );
    log.close().await;
    let torn = verify(dir.path(), &key());
    assert!(matches!(torn, Err(AuditError::Damaged(_))), "{torn:?}");
}

#[tokio::test]
async fn a_query_answers_by_user_action_time_order_and_limit() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    for turn in 0..90 {
        let action = if turn % 3 == 0 {
            Action::FailedLogin
        } else {
            Action::Login
        };
        let user = if turn % 2 == 0 { "alice" } else { "bob" };
        log.record(Event::new(action, later(turn)).user(user))
            .await
            .unwrap();
    }
    log.close().await;
    assert!(dir.path().join("audit-00000003.log").exists());
    let ask = |filter: Filter| sequences(&query(dir.path(), &key(), &filter).unwrap());
    let none = Filter::default;
    assert_eq!(ask(none().limit(3)), [90, 89, 88]);
    assert_eq!(ask(none().limit(3).oldest_first()), [1, 2, 3]);
    assert_eq!(ask(none().user("bob").limit(2)), [90, 88]);
    assert_eq!(
        ask(none().user("bob").action(Action::FailedLogin).limit(2)),
        [88, 82]
    );
    assert_eq!(ask(none().since(later(40)).until(later(42))), [43, 42, 41]);
    assert_eq!(
        ask(none().since(later(40)).until(later(42)).oldest_first()),
        [41, 42, 43]
    );
    assert_eq!(ask(none()).len(), 90);
    assert_eq!(ask(none().limit(0)), []);
    assert_eq!(ask(none().user("mallory")), []);
    assert_eq!(ask(none().since(later(1000))), []);
    assert_eq!(ask(none().until(Timestamp::UNIX_EPOCH)), []);
}

#[tokio::test]
async fn a_query_refuses_to_answer_from_a_damaged_segment() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    for _ in 0..60 {
        log.record(Event::new(Action::Login, NOW)).await.unwrap();
    }
    log.close().await;
    let path = dir.path().join("audit-00000001.log");
    let mut bytes = fs::read(&path).unwrap();
    bytes[400] ^= 1;
    fs::write(&path, bytes).unwrap();
    let whole = query(dir.path(), &key(), &Filter::default());
    assert!(matches!(whole, Err(AuditError::Damaged(_))), "{whole:?}");
    let newest = query(dir.path(), &key(), &Filter::default().limit(2)).unwrap();
    assert_eq!(
        sequences(&newest),
        [60, 59],
        "the damaged segment is not read for these"
    );
}

#[tokio::test]
async fn a_query_does_not_read_segments_that_cannot_matter() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    for turn in 0..60 {
        log.record(Event::new(Action::Login, later(turn)))
            .await
            .unwrap();
    }
    log.close().await;
    let path = dir.path().join("audit-00000001.log");
    let mut bytes = fs::read(&path).unwrap();
    bytes[400] ^= 1;
    fs::write(&path, bytes).unwrap();
    let filters = [
        Filter::default().after(57),
        Filter::default().since(later(57)),
    ];
    for filter in filters {
        let newest_first = query(dir.path(), &key(), &filter).unwrap();
        assert_eq!(sequences(&newest_first), [60, 59, 58]);
        let oldest_first = query(dir.path(), &key(), &filter.oldest_first()).unwrap();
        assert_eq!(sequences(&oldest_first), [58, 59, 60]);
    }
}

#[tokio::test]
async fn an_oversized_event_is_cut_and_blocks_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let huge = "🦀\u{1b}[31m".repeat(300_000);
    let event = Event::new(Action::FailedLogin, NOW)
        .user(&huge)
        .user_agent(&huge)
        .client_system(&huge)
        .geo_location(&huge)
        .session(&huge)
        .request_id(&huge)
        .target(&huge);
    log.record(event).await.unwrap();
    log.record(Event::new(Action::Login, NOW).user("next"))
        .await
        .unwrap();
    log.close().await;
    let records = query(dir.path(), &key(), &Filter::default().user(&huge)).unwrap();
    assert_eq!(
        sequences(&records),
        [1],
        "a filter is cut as the record was"
    );
    assert!(
        records[0]
            .event
            .text(Field::User)
            .unwrap()
            .ends_with("…[cut]")
    );
    assert_eq!(verify(dir.path(), &key()).unwrap().records, 2);
}

#[tokio::test]
async fn no_secret_reaches_the_disk_through_any_field() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let secrets = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.SIGNATURE prt1_REFRESH-token Bearer OPAQUE.credential";
    let event = Event::new(Action::FailedLogin, NOW)
        .user(secrets)
        .user_agent(secrets)
        .client_system(secrets)
        .geo_location(secrets)
        .session(secrets)
        .request_id(&format!("/login?token={secrets}"))
        .target(secrets);
    log.record(event).await.unwrap();
    log.close().await;
    let bytes = fs::read(dir.path().join("audit-00000001.log")).unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    assert!(text.contains("[redacted]"));
    for secret in ["eyJ", "SIGNATURE", "REFRESH", "OPAQUE"] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn events_wait_and_none_is_lost_when_more_come_than_may_wait() {
    let dir = tempfile::tempdir().unwrap();
    let policy = LogPolicy::default().waiting_events(1).unwrap();
    let (log, _) = Log::open(dir.path(), &key(), policy, NOW).unwrap();
    let callers: Vec<_> = (0..50)
        .map(|_| {
            let log = log.clone();
            tokio::spawn(async move { log.record(Event::new(Action::Login, NOW)).await.unwrap() })
        })
        .collect();
    let mut numbers = Vec::new();
    for caller in callers {
        numbers.push(caller.await.unwrap().sequence);
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=50).collect::<Vec<_>>());
    log.close().await;
}

#[tokio::test]
async fn the_double_fails_and_stalls_when_told() {
    let sink = MemorySink::new();
    sink.stall(true);
    let (waiting, answer) = sent(sink.record(Event::new(Action::Login, NOW)));
    assert!(sink.events().is_empty() && answer.is_none());
    sink.stall(false);
    assert_eq!(waiting.await.unwrap().sequence, 1);
    sink.fail(true);
    assert!(sink.record(Event::new(Action::Login, NOW)).await.is_err());
    assert_eq!(sink.actions(), [Action::Login]);
}

#[test]
fn refuses_keys_policies_and_folders_that_are_none() {
    let dir = tempfile::tempdir().unwrap();
    let short = Secret::from([7; 31].as_slice());
    let refused = Log::open(dir.path(), &short, small(), NOW).map(|_| ());
    assert_eq!(refused, Err(AuditError::KeyTooShort));
    for bytes in [0, 4095, 256 * 1024 * 1024 + 1] {
        let refused = LogPolicy::default().segment_bytes(bytes);
        assert_eq!(refused, Err(AuditError::PolicyRefused("segment_bytes")));
    }
    for events in [0, 65_537] {
        let refused = LogPolicy::default().waiting_events(events);
        assert_eq!(refused, Err(AuditError::PolicyRefused("waiting_events")));
    }
    let file = dir.path().join("file");
    fs::write(&file, b"").unwrap();
    let refused = Log::open(&file.join("log"), &key(), small(), NOW).map(|_| ());
    assert!(matches!(refused, Err(AuditError::Io { .. })), "{refused:?}");
    let empty = verify(dir.path(), &key());
    assert!(
        matches!(empty, Err(AuditError::Io { .. })),
        "no log is not a whole log"
    );
}
