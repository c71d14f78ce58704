//! `Store::update` on each backend, beside a map behind a lock written by hand.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "a bench has no callers"
)]

use std::collections::HashMap;
use std::future::Future;
use std::hint::black_box;
use std::path::Path;
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use criterion::{Criterion, criterion_group, criterion_main};
use portcullis_benches::ratio;
use portcullis_core::{AnyStore, Key, Memory, Next, Scope, Store, Timestamp, Value};
use portcullis_store_sqlite::Sqlite;
use rusqlite::Connection;
use tokio::task::JoinSet;

const COUNTER: Scope = Scope::new("counter");
const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);

fn count(current: Option<&[u8]>) -> (u64, Next) {
    let seen = current
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u64::from_be_bytes);
    let next = seen.wrapping_add(1);
    (
        next,
        Next::Put {
            value: Value::new(&next.to_be_bytes()),
            expires_at: Timestamp::MAX,
        },
    )
}

/// Memory's update never waits: one poll is the whole call.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => unreachable!("a store in memory answers at once"),
    }
}

fn update<S: Store>(store: &S, at: u64) -> u64 {
    ready(store.update(Key::new(COUNTER, &at.to_be_bytes()), NOW, count)).unwrap()
}

fn stores(criterion: &mut Criterion) {
    for keys in [1_u64, 10_000] {
        let memory = Memory::new(NOW);
        let any = AnyStore::new(Memory::new(NOW));
        let floor: Mutex<HashMap<[u8; 8], u64>> = Mutex::new(HashMap::new());
        let by_hand = |at: u64| {
            let mut map = floor.lock().unwrap();
            let seen = map.entry(at.to_be_bytes()).or_insert(0);
            *seen = seen.wrapping_add(1);
            *seen
        };
        let mut turn = 0;
        let mut next = move || {
            turn = (turn + 1) % keys;
            turn
        };
        let case = format!("update/{keys}");
        criterion.bench_function(&format!("memory/{case}"), |b| {
            b.iter(|| black_box(update(&memory, next())));
        });
        criterion.bench_function(&format!("any/{case}"), |b| {
            b.iter(|| black_box(update(&any, next())));
        });
        let (mut ours, mut theirs) = (0, 0);
        let step = |at: &mut u64| {
            *at = (*at + 1) % keys;
            *at
        };
        let other = step;
        ratio(
            "stores",
            &case,
            "floor",
            || update(&memory, step(&mut ours)),
            || by_hand(other(&mut theirs)),
        );
    }
}

/// A round is one call of each of so many callers on one key; the floor gives each a transaction.
fn sqlite(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(folder.path().join("ours.db"), NOW).unwrap();
    let floor = by_hand(&folder.path().join("floor.db"));
    for callers in [1, 16, 256] {
        let case = format!("sqlite/callers/{callers}");
        let round = || {
            runtime.block_on(async {
                let mut calls = JoinSet::new();
                for _ in 0..callers {
                    let store = store.clone();
                    let call =
                        async move { store.update(Key::new(COUNTER, b"hot"), NOW, count).await };
                    calls.spawn(call);
                }
                while let Some(number) = calls.join_next().await {
                    black_box(number.unwrap().unwrap());
                }
            });
        };
        criterion.bench_function(&case, |b| b.iter(round));
        let each = || (0..callers).for_each(|_| transaction(&floor));
        ratio("stores", &case, "floor", round, each);
    }
}

fn by_hand(path: &Path) -> Connection {
    let floor = Connection::open(path).unwrap();
    floor
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE counter (id INTEGER PRIMARY KEY, number INTEGER NOT NULL);
             INSERT INTO counter VALUES (1, 0);",
        )
        .unwrap();
    floor
}

fn transaction(floor: &Connection) {
    let number: i64 = floor
        .prepare_cached("UPDATE counter SET number = number + 1 WHERE id = 1 RETURNING number")
        .unwrap()
        .query_row([], |row| row.get(0))
        .unwrap();
    black_box(number);
}

criterion_group!(benches, stores, sqlite);
criterion_main!(benches);
