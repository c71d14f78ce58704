//! Processes killed in the middle, and a disk that is full.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

use std::collections::BTreeSet;

use portcullis_core::testing::Part;
use portcullis_core::{Failure, Key, Next, Scope, Store, Timestamp, Value};
use portcullis_store_sqlite::Sqlite;
use tokio::task::JoinSet;

const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);
const CALLERS: u32 = 16;

#[test]
fn a_killed_process_loses_nothing_acknowledged_and_applies_nothing_twice() {
    if let Some(part) = Part::current() {
        count_until_killed(&part);
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("crash.db");
    let name = "a_killed_process_loses_nothing_acknowledged_and_applies_nothing_twice";
    let (mut given, mut before) = (BTreeSet::new(), 0);
    for round in 0_u32..4 {
        let mut process = Part::start(&mut Part::command(name, &place, 0).unwrap()).unwrap();
        process.go().unwrap();
        let mut numbers = Vec::new();
        while numbers.len() < 150 + 70 * round as usize {
            numbers.extend(process.next_report().unwrap().unwrap());
        }
        numbers.extend(process.kill().unwrap());
        let acknowledged = u32::try_from(numbers.len()).unwrap();
        for number in numbers {
            assert!(given.insert(number), "number {number} was given twice");
        }
        let after = read(&place);
        assert!(
            after >= *given.last().unwrap(),
            "an acknowledged number is gone"
        );
        assert!(after - before >= acknowledged);
        // Each caller had at most one call under way, or answered and not yet reported.
        assert!(after - before <= acknowledged + CALLERS, "applied twice");
        before = after;
    }
}

fn count_until_killed(part: &Part) {
    let store = Sqlite::open(part.place(), NOW).unwrap();
    part.ready().unwrap();
    runtime().block_on(async {
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            let (store, part) = (store.clone(), part.clone());
            callers.spawn(async move {
                loop {
                    let number = count(&store, b"killed", 4).await.unwrap();
                    part.report(&[number]).unwrap();
                }
            });
        }
        callers.join_next().await.unwrap().unwrap();
    });
}

/// The file may not grow past a limit that the process was started with; each call wants more room.
#[cfg(unix)]
#[test]
fn a_full_disk_is_told_as_it_is() {
    let name = "a_full_disk_is_told_as_it_is";
    if let Some(part) = Part::current() {
        fill_the_disk(&part);
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("full.db");
    read(&place);
    let command = Part::command(name, &place, 0).unwrap();
    let mut limited = std::process::Command::new("sh");
    limited
        .args(["-c", "trap '' XFSZ; ulimit -f 1200; exec \"$0\" \"$@\""])
        .arg(command.get_program())
        .args(command.get_args())
        .envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped());
    let mut process = Part::start(&mut limited).unwrap();
    process.go().unwrap();
    let report = process.finish().unwrap();
    let [answered, undone, unsure] = report[..] else {
        panic!("the process reported {report:?}");
    };
    assert!(answered > 0 && undone + unsure > 0, "{report:?}");
    let kept = read(&place);
    assert!(
        (answered..=answered + unsure).contains(&kept),
        "{kept} of {report:?}"
    );
}

#[cfg(unix)]
fn fill_the_disk(part: &Part) {
    let store = Sqlite::open(part.place(), NOW).unwrap();
    part.ready().unwrap();
    let (mut answered, mut undone, mut unsure) = (0, 0, 0);
    runtime().block_on(async {
        let mut size = 4;
        for _ in 0..60 {
            size += 20_000;
            match count(&store, b"killed", size.min(Value::MAX_LEN)).await {
                Ok(_) => answered += 1,
                Err(Failure::Unavailable(_)) => undone += 1,
                Err(Failure::Unknown(_)) => unsure += 1,
                Err(other) => panic!("answered {other}"),
            }
        }
        store.close().await;
    });
    part.report(&[answered, undone, unsure]).unwrap();
}

/// Counts in the first four bytes of a value that is `len` bytes long.
async fn count(store: &Sqlite, key: &[u8], len: usize) -> Result<u32, Failure> {
    let step = move |current: Option<&[u8]>| {
        let seen = current.map_or(0, number);
        let mut bytes = (seen + 1).to_be_bytes().to_vec();
        bytes.resize(len, 7);
        let value = Value::from(bytes);
        let expires_at = Timestamp::MAX;
        (seen + 1, Next::Put { value, expires_at })
    };
    store
        .update(Key::new(Scope::new("number"), key), NOW, step)
        .await
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(*bytes.first_chunk().unwrap())
}

fn read(place: &std::path::Path) -> u32 {
    runtime().block_on(async {
        let store = Sqlite::open(place, NOW).unwrap();
        let key = Key::new(Scope::new("number"), b"killed");
        let step = |current: Option<&[u8]>| (current.map_or(0, number), Next::Keep);
        let seen = store.update(key, NOW, step).await.unwrap();
        store.close().await;
        seen
    })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
}
