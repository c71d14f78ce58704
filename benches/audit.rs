//! Events on disk: the log with one writer and with hundreds, beside what people write in its place.
//!
//! A round is one event from each of so many callers, all at once, and lasts until each is told that its
//! own is on disk. The peers write as many bytes as a record of ours takes, and seal nothing:
//!
//! | Peer | What it does |
//! |---|---|
//! | `fdatasync-each` | one write and one `fdatasync` per event, each behind the one before |
//! | `sqlite-full` | SQLite with a write-ahead log and `synchronous = FULL`, one insert a transaction |
//! | `group-commit-floor` | by hand for the one case: a channel, all that wait in one write and one `fdatasync`, an answer to each |
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "a bench has no callers"
)]

use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use portcullis_audit::{Action, Event, HandedOver, Log, LogPolicy, Sink, verify};
use portcullis_benches::ratio;
use portcullis_core::{Secret, Timestamp};
use rusqlite::Connection;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};

const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);

fn event() -> Event {
    Event::new(Action::Login, NOW)
        .user("alice@example.com")
        .address("203.0.113.9".parse().unwrap(), "peer")
        .user_agent("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
}

/// One call of each of `callers`, all at once.
fn at_once<F, T>(runtime: &Runtime, callers: usize, call: impl Fn() -> F)
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    runtime.block_on(async {
        let calls: Vec<_> = (0..callers).map(|_| tokio::spawn(call())).collect();
        for call in calls {
            black_box(call.await.unwrap());
        }
    });
}

fn append(runtime: &Runtime, log: &Log, writers: usize) {
    at_once(runtime, writers, || {
        let log = log.clone();
        async move { log.record(event()).await.unwrap() }
    });
}

/// How many bytes a record of [`event`] takes, by the log's own count.
fn record_len(runtime: &Runtime, key: &Secret) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(folder.path(), key, LogPolicy::default(), NOW).unwrap();
    let size = || {
        let entries = std::fs::read_dir(folder.path()).unwrap();
        entries
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum::<u64>()
    };
    let before = size();
    append(runtime, &log, 1);
    let after = size();
    runtime.block_on(log.close());
    usize::try_from(after - before).unwrap()
}

fn sync_each(file: &mut File, record: &[u8], writers: usize) {
    for _ in 0..writers {
        file.write_all(record).unwrap();
        file.sync_data().unwrap();
    }
}

fn sqlite(path: &Path) -> Connection {
    let floor = Connection::open(path).unwrap();
    floor
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE event (id INTEGER PRIMARY KEY, record BLOB NOT NULL);",
        )
        .unwrap();
    floor
}

fn insert_each(floor: &Connection, record: &[u8], writers: usize) {
    for _ in 0..writers {
        let mut insert = floor
            .prepare_cached("INSERT INTO event (record) VALUES (?1)")
            .unwrap();
        insert.execute([record]).unwrap();
    }
}

type Waiting = (Vec<u8>, oneshot::Sender<()>);

/// A thread that writes all that wait at once, syncs once, and answers all.
fn group_commit(mut file: File) -> mpsc::Sender<Waiting> {
    let (sender, mut receiver) = mpsc::channel::<Waiting>(1024);
    std::thread::spawn(move || {
        let (mut waiting, mut bytes) = (Vec::new(), Vec::new());
        while receiver.blocking_recv_many(&mut waiting, 1024) > 0 {
            bytes.clear();
            for (record, _) in &waiting {
                bytes.extend_from_slice(record);
            }
            file.write_all(&bytes).unwrap();
            file.sync_data().unwrap();
            for (_, answer) in waiting.drain(..) {
                answer.send(()).unwrap();
            }
        }
    });
    sender
}

fn append_by_hand(runtime: &Runtime, floor: &mpsc::Sender<Waiting>, record: &[u8], writers: usize) {
    at_once(runtime, writers, || {
        let (floor, record) = (floor.clone(), record.to_vec());
        async move {
            let (answer, answered) = oneshot::channel();
            floor.send((record, answer)).await.unwrap();
            answered.await.unwrap();
        }
    });
}

fn audit(criterion: &mut Criterion) {
    let key = Secret::from([7; 32].as_slice());
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    let record = vec![b'x'; record_len(&runtime, &key)];
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (log, _) = Log::open(&path("ours"), &key, LogPolicy::default(), NOW).unwrap();
    let mut file = File::create(path("each")).unwrap();
    let sqlite = sqlite(&path("sqlite.db"));
    let floor = group_commit(File::create(path("floor")).unwrap());
    for writers in [1, 8, 64, 256] {
        let case = format!("append/{writers}");
        let ours = || append(&runtime, &log, writers);
        ratio("audit", &case, "fdatasync-each", ours, || {
            sync_each(&mut file, &record, writers);
        });
        ratio("audit", &case, "sqlite-full", ours, || {
            insert_each(&sqlite, &record, writers);
        });
        ratio("audit", &case, "group-commit-floor", ours, || {
            append_by_hand(&runtime, &floor, &record, writers);
        });
    }
    runtime.block_on(log.close());

    let (log, _) = Log::open(&path("verified"), &key, LogPolicy::default(), NOW).unwrap();
    for _ in 0..100 {
        append(&runtime, &log, 100);
    }
    runtime.block_on(log.close());
    criterion.bench_function("audit/verify/10000", |b| {
        b.iter(|| black_box(verify(&path("verified"), &key).unwrap()));
    });
    criterion.bench_function("audit/event", |b| b.iter(|| black_box(event())));
    hand_over(criterion, &runtime, &path("buffered"), &key);
}

/// What a caller pays that does not wait for the disk; the writer's part runs beside it.
fn hand_over(criterion: &mut Criterion, runtime: &Runtime, folder: &Path, key: &Secret) {
    let policy = LogPolicy::default().waiting_events(65_536).unwrap();
    let (log, _) = Log::open(folder, key, policy, NOW).unwrap();
    let buffered = log.buffered();
    criterion.bench_function("audit/hand_over", |b| {
        b.iter(|| {
            // A caller that never pauses fills any line; here it waits, and the wait is counted.
            while buffered.hand_over(event()) == HandedOver::Shed {
                std::thread::yield_now();
            }
        });
    });
    runtime.block_on(log.close());
}

criterion_group!(benches, audit);
criterion_main!(benches);
