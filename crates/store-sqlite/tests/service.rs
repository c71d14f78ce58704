//! What a store does when it is full, held by another, refused by the disk, flooded or closed.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

use std::path::Path;
use std::time::Duration;

use portcullis_core::{Cause, Failure, Key, Next, Scope, Store, Timestamp, Value};
use portcullis_store_sqlite::{Sqlite, SqlitePolicy};
use rusqlite::Connection;

const SMALL: Scope = Scope::new("small");
const OTHER: Scope = Scope::new("other");

fn at(secs: u64) -> Timestamp {
    Timestamp::from_unix_secs(1_700_000_000 + secs)
}

/// Puts a value under the key; answers whether there was one.
async fn put(store: &Sqlite, key: Key, now: u64, expires_at: Timestamp) -> Result<bool, Failure> {
    let step = move |current: Option<&[u8]>| {
        let value = Value::new(b"a value that is found again");
        (current.is_some(), Next::Put { value, expires_at })
    };
    store.update(key, at(now), step).await
}

async fn holds(store: &Sqlite, key: Key, now: u64) -> bool {
    let see = |current: Option<&[u8]>| (current.is_some(), Next::Keep);
    store.update(key, at(now), see).await.unwrap()
}

fn rows(path: &Path, table: &str) -> i64 {
    let file = Connection::open(path).unwrap();
    let select = format!("SELECT count(*) FROM {table}");
    file.query_row(&select, [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn a_full_scope_refuses_new_keys_and_forgets_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate.db");
    let policy = SqlitePolicy::default().cap(SMALL, 10);
    // Two connections, as two processes have: the count is the file's.
    let one = Sqlite::open_with_policy(&path, at(0), policy.clone()).unwrap();
    let two = Sqlite::open_with_policy(&path, at(0), policy).unwrap();
    for id in 0_u8..10 {
        let store = if id % 2 == 0 { &one } else { &two };
        assert_eq!(
            put(store, Key::new(SMALL, &[id]), 1, at(100)).await,
            Ok(false)
        );
    }
    let full = Err(Failure::Unavailable(Cause::Full { scope: SMALL }));
    for store in [&one, &two] {
        assert_eq!(put(store, Key::new(SMALL, b"new"), 2, at(100)).await, full);
        assert_eq!(
            put(store, Key::new(SMALL, &[3]), 2, at(100)).await,
            Ok(true)
        );
        assert!(!holds(store, Key::new(SMALL, b"new"), 2).await);
    }
    assert_eq!(
        put(&one, Key::new(OTHER, b"new"), 2, at(100)).await,
        Ok(false)
    );
    one.update(Key::new(SMALL, &[3]), at(2), |_| ((), Next::Remove))
        .await
        .unwrap();
    assert_eq!(
        put(&two, Key::new(SMALL, b"new"), 2, at(100)).await,
        Ok(false)
    );
    assert_eq!(put(&one, Key::new(SMALL, &[3]), 2, at(100)).await, full);
    assert_eq!(
        put(&one, Key::new(SMALL, b"in time"), 3_700, at(9_999)).await,
        full
    );
    assert_eq!(
        put(&one, Key::new(SMALL, b"later"), 3_701, at(9_999)).await,
        Ok(false)
    );
}

#[tokio::test]
async fn rows_go_an_hour_after_they_expired_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate.db");
    let store = Sqlite::open(&path, at(0)).unwrap();
    for id in 0_u32..300 {
        let expires_at = if id % 3 == 0 { Timestamp::MAX } else { at(10) };
        put(&store, Key::new(SMALL, &id.to_be_bytes()), 0, expires_at)
            .await
            .unwrap();
    }
    let tick = Key::new(OTHER, b"tick");
    put(&store, tick, 3_609, Timestamp::MAX).await.unwrap();
    assert_eq!(rows(&path, "cell"), 301);
    put(&store, tick, 3_611, Timestamp::MAX).await.unwrap();
    let after_one = rows(&path, "cell");
    assert!(
        (150..301).contains(&after_one),
        "a slice went, not all: {after_one}"
    );
    for _ in 0..4 {
        put(&store, tick, 3_611, Timestamp::MAX).await.unwrap();
    }
    assert_eq!(rows(&path, "cell"), 101, "what never expires stays");
}

#[tokio::test]
async fn a_file_held_by_another_is_contended_and_then_served() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate.db");
    let policy = SqlitePolicy::default().patience(Duration::from_millis(20));
    let store = Sqlite::open_with_policy(&path, at(0), policy).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let key = Key::new(SMALL, b"a");
    assert_eq!(put(&store, key, 0, at(9)).await, Err(Failure::Contended));
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(
        put(&store, key, 0, at(9)).await,
        Ok(false),
        "nothing was written before"
    );
}

#[tokio::test]
async fn a_failing_disk_is_unavailable_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate.db");
    let store = Sqlite::open(&path, at(0)).unwrap();
    let key = Key::new(SMALL, b"a");
    put(&store, key, 0, at(9)).await.unwrap();
    let file = Connection::open(&path).unwrap();
    let refuse = "CREATE TRIGGER refuse BEFORE UPDATE ON cell BEGIN SELECT raise(FAIL, 'no'); END";
    file.execute_batch(refuse).unwrap();
    let refused = put(&store, key, 0, at(9)).await;
    assert!(
        matches!(refused, Err(Failure::Unavailable(Cause::Backend(_)))),
        "{refused:?}"
    );
    assert_eq!(
        put(&store, Key::new(SMALL, b"b"), 0, at(9)).await,
        Ok(false)
    );
    file.execute_batch("DROP TRIGGER refuse").unwrap();
    assert_eq!(put(&store, key, 0, at(9)).await, Ok(true));
}

#[tokio::test]
async fn one_process_is_served_while_another_never_rests() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate.db");
    let greedy = Sqlite::open(&path, at(0)).unwrap();
    let modest = Sqlite::open(&path, at(0)).unwrap();
    let flood: Vec<_> = (0_u8..32)
        .map(|id| {
            let greedy = greedy.clone();
            tokio::spawn(async move {
                loop {
                    put(&greedy, Key::new(SMALL, &[id]), 0, Timestamp::MAX)
                        .await
                        .unwrap();
                }
            })
        })
        .collect();
    for id in 0_u8..100 {
        assert_eq!(
            put(&modest, Key::new(OTHER, &[id]), 0, Timestamp::MAX).await,
            Ok(false)
        );
    }
    flood.iter().for_each(tokio::task::JoinHandle::abort);
}

/// Two callers in one transaction: the one that is ahead may not clean away what the other still needs.
#[tokio::test]
async fn a_caller_whose_clock_is_ahead_takes_nothing_from_one_that_lags() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate.db");
    let store = Sqlite::open(&path, at(0)).unwrap();
    let key = Key::new(SMALL, b"a");
    put(&store, key, 0, at(10)).await.unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // The first waits for the file; the two behind it are taken together.
    let calls: Vec<_> = [0, 100_000, 5]
        .map(|now| {
            let store = store.clone();
            let key = if now == 5 { key } else { Key::new(OTHER, b"b") };
            tokio::spawn(async move { put(&store, key, now, at(10)).await })
        })
        .into();
    tokio::task::yield_now().await;
    other.execute_batch("ROLLBACK").unwrap();
    let mut found = Vec::new();
    for call in calls {
        found.push(call.await.unwrap());
    }
    assert_eq!(found, [Ok(false), Ok(true), Ok(true)]);
}

#[tokio::test]
async fn a_closed_store_serves_who_was_waiting_and_refuses_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate.db");
    let store = Sqlite::open(&path, at(0)).unwrap();
    let waiting: Vec<_> = (0_u8..20)
        .map(|id| {
            let store = store.clone();
            tokio::spawn(async move { put(&store, Key::new(SMALL, &[id]), 0, at(9)).await })
        })
        .collect();
    tokio::task::yield_now().await;
    store.close().await;
    store.clone().close().await;
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap(), Ok(false));
    }
    let closed = Err(Failure::Unavailable(Cause::Closed));
    assert_eq!(
        put(&store, Key::new(SMALL, b"late"), 0, at(9)).await,
        closed
    );
    assert!(
        !folder.path().join("gate.db-wal").exists(),
        "the log was folded in"
    );
    assert_eq!(rows(&path, "cell"), 20);
}

#[tokio::test]
async fn the_last_handle_dropped_ends_the_writer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate.db");
    let store = Sqlite::open(&path, at(0)).unwrap();
    put(&store, Key::new(SMALL, b"a"), 0, at(9)).await.unwrap();
    let last = store.clone();
    drop(store);
    assert_eq!(put(&last, Key::new(SMALL, b"a"), 0, at(9)).await, Ok(true));
    drop(last);
    // The log goes when the writer closes the file.
    let log = folder.path().join("gate.db-wal");
    for _ in 0..10_000 {
        if !log.exists() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("the writer did not end");
}

/// A hundred of the longest values at once are more than one transaction holds.
#[tokio::test]
async fn a_batch_too_large_for_one_transaction_is_served_in_several() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(folder.path().join("gate.db"), at(0)).unwrap();
    let calls: Vec<_> = (0_u8..100)
        .map(|id| {
            let store = store.clone();
            let step = move |current: Option<&[u8]>| {
                let value = Value::from(vec![id; Value::MAX_LEN]);
                let expires_at = Timestamp::MAX;
                (current.is_some(), Next::Put { value, expires_at })
            };
            tokio::spawn(async move { store.update(Key::new(SMALL, &[id]), at(0), step).await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), Ok(false));
    }
    for id in 0_u8..100 {
        let whole = move |current: Option<&[u8]>| {
            let is_whole = current == Some(&vec![id; Value::MAX_LEN][..]);
            (is_whole, Next::Keep)
        };
        assert_eq!(
            store.update(Key::new(SMALL, &[id]), at(0), whole).await,
            Ok(true)
        );
    }
}
