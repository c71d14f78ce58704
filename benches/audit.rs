//! Events on disk: the log with one writer and with 64, beside one write and one sync per event.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "a bench has no callers"
)]

use std::fs::File;
use std::hint::black_box;
use std::io::Write;

use criterion::{Criterion, criterion_group, criterion_main};
use portcullis_audit::{Action, Event, Log, LogPolicy, Sink, verify};
use portcullis_benches::ratio;
use portcullis_core::{Secret, Timestamp};
use tokio::runtime::Runtime;

const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);

fn event() -> Event {
    Event::new(Action::Login, NOW)
        .user("alice@example.com")
        .address("203.0.113.9".parse().unwrap(), "peer")
        .user_agent("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
}

/// One event from each of `writers` callers, all at once.
fn append(runtime: &Runtime, log: &Log, writers: usize) {
    runtime.block_on(async {
        let callers: Vec<_> = (1..writers)
            .map(|_| {
                let log = log.clone();
                tokio::spawn(async move { log.record(event()).await.unwrap() })
            })
            .collect();
        log.record(event()).await.unwrap();
        for caller in callers {
            caller.await.unwrap();
        }
    });
}

/// As many bytes as the same events take, each written and synced by itself, unsealed.
fn by_hand(file: &mut File, writers: usize) {
    for _ in 0..writers {
        file.write_all(&[b'x'; 240]).unwrap();
        file.sync_data().unwrap();
    }
}

fn audit(criterion: &mut Criterion) {
    let key = Secret::from([7; 32].as_slice());
    let runtime = Runtime::new().unwrap();
    for writers in [1, 64] {
        let folder = tempfile::tempdir().unwrap();
        let (log, _) = Log::open(folder.path(), &key, LogPolicy::default(), NOW).unwrap();
        let mut file = File::create(folder.path().join("by-hand")).unwrap();
        ratio(
            "audit",
            &format!("append/{writers}"),
            "floor",
            || append(&runtime, &log, writers),
            || by_hand(&mut file, writers),
        );
        runtime.block_on(log.close());
    }

    let folder = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(folder.path(), &key, LogPolicy::default(), NOW).unwrap();
    for _ in 0..100 {
        append(&runtime, &log, 100);
    }
    runtime.block_on(log.close());
    criterion.bench_function("audit/verify/10000", |b| {
        b.iter(|| black_box(verify(folder.path(), &key).unwrap()));
    });
    criterion.bench_function("audit/event", |b| b.iter(|| black_box(event())));
}

criterion_group!(benches, audit);
criterion_main!(benches);
