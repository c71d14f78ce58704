//! `Store::update` on each backend, beside the same written by hand.
//!
//! `mutex-map` is a map behind one lock, unbounded, nothing of it ever expires. `transaction-each` is SQLite
//! with a write-ahead log and `synchronous = FULL`, one transaction a call, as most services call it.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "a bench has no callers"
)]

use std::cell::Cell;
use std::collections::HashMap;
use std::future::Future;
use std::hint::black_box;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use criterion::{Criterion, criterion_group, criterion_main};
use portcullis_benches::ratio;
use portcullis_core::{AnyStore, Key, Memory, Next, Scope, Store, Timestamp, Value};
use portcullis_store_sqlite::Sqlite;
use rusqlite::Connection;
use tokio::runtime::Runtime;
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

/// A round is one call of each of so many callers, on one key or each on the next of so many; the peers
/// give each call its own turn: memory a lock written by hand, SQLite a transaction.
fn many(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    for keys in [1_u64, 10_000] {
        let memory = AnyStore::new(Memory::new(NOW));
        let map = Arc::new(Mutex::new(HashMap::new()));
        let sqlite = Sqlite::open(folder.path().join(format!("ours-{keys}.db")), NOW).unwrap();
        let transactions = by_hand(&folder.path().join(format!("floor-{keys}.db")), keys);
        for callers in [1_u64, 16, 256] {
            let case = format!("memory/callers/{callers}/keys/{keys}");
            let turn = Turn::new(keys);
            let ours = || round(&runtime, &memory, callers, &turn);
            let other = Turn::new(keys);
            ratio("stores", &case, "mutex-map", ours, || {
                locked(&runtime, &map, callers, &other);
            });

            let case = format!("sqlite/callers/{callers}/keys/{keys}");
            let ours = || round(&runtime, &sqlite, callers, &turn);
            criterion.bench_function(&case, |b| b.iter(ours));
            let each = || {
                for _ in 0..callers {
                    transaction(&transactions, other.next());
                }
            };
            ratio("stores", &case, "transaction-each", ours, each);
        }
    }
}

/// Which key is next.
struct Turn {
    keys: u64,
    at: Cell<u64>,
}

impl Turn {
    const fn new(keys: u64) -> Self {
        let at = Cell::new(0);
        Self { keys, at }
    }

    fn next(&self) -> u64 {
        let next = (self.at.get() + 1) % self.keys;
        self.at.replace(next)
    }
}

fn round<S: Store + Clone + 'static>(runtime: &Runtime, store: &S, callers: u64, turn: &Turn) {
    runtime.block_on(async {
        let mut calls = JoinSet::new();
        for _ in 0..callers {
            let (store, at) = (store.clone(), turn.next());
            calls.spawn(async move {
                let key = Key::new(COUNTER, &at.to_be_bytes());
                store.update(key, NOW, count).await.unwrap()
            });
        }
        while let Some(number) = calls.join_next().await {
            black_box(number.unwrap());
        }
    });
}

type Map = Arc<Mutex<HashMap<[u8; 8], u64>>>;

fn locked(runtime: &Runtime, map: &Map, callers: u64, turn: &Turn) {
    runtime.block_on(async {
        let mut calls = JoinSet::new();
        for _ in 0..callers {
            let (map, at) = (Arc::clone(map), turn.next());
            calls.spawn(async move {
                let mut map = map.lock().unwrap();
                let seen = map.entry(at.to_be_bytes()).or_insert(0);
                *seen += 1;
                *seen
            });
        }
        while let Some(number) = calls.join_next().await {
            black_box(number.unwrap());
        }
    });
}

fn by_hand(path: &Path, keys: u64) -> Connection {
    let floor = Connection::open(path).unwrap();
    floor
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE counter (id INTEGER PRIMARY KEY, number INTEGER NOT NULL);",
        )
        .unwrap();
    let fill =
        "WITH RECURSIVE each(id) AS (SELECT 0 UNION ALL SELECT id + 1 FROM each WHERE id + 1 < ?1)
                INSERT INTO counter SELECT id, 0 FROM each";
    floor.execute(fill, [i64::try_from(keys).unwrap()]).unwrap();
    floor
}

fn transaction(floor: &Connection, at: u64) {
    let number: i64 = floor
        .prepare_cached("UPDATE counter SET number = number + 1 WHERE id = ?1 RETURNING number")
        .unwrap()
        .query_row([i64::try_from(at).unwrap()], |row| row.get(0))
        .unwrap();
    black_box(number);
}

criterion_group!(benches, stores, many);
criterion_main!(benches);
