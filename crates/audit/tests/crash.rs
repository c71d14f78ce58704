//! The writer killed at any moment, and files left half made.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    reason = "tests"
)]

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use portcullis_audit::{
    Action, AuditError, Event, Field, Filter, Log, LogPolicy, Recovery, Sink, query, verify,
};
use portcullis_core::{Secret, Timestamp};

const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);
const FOLDER: &str = "PORTCULLIS_AUDIT_CRASH_FOLDER";

fn key() -> Secret {
    Secret::from([7; 32].as_slice())
}

fn open(dir: &Path) -> Result<(Log, Recovery), AuditError> {
    Log::open(dir, &key(), LogPolicy::default().segment_bytes(8192)?, NOW)
}

/// One test at a time: until it runs its own program, a child holds whatever locks its parent holds.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(future)
}

/// Not a test when run as one: the process that `kill_9_…` starts and kills. Eight callers record
/// without end, and each acknowledged event is told to the parent.
#[test]
fn child() {
    let Some(folder) = env::var_os(FOLDER) else {
        return;
    };
    let (log, _) = open(Path::new(&folder)).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    let callers: Vec<_> = (0..8)
        .map(|caller| {
            let log = log.clone();
            runtime.spawn(async move {
                for turn in 0.. {
                    let user = format!("{}/{caller}/{turn}", std::process::id());
                    let event = Event::new(Action::Login, NOW).user(&user);
                    let sequence = log.record(event).await.unwrap().sequence;
                    let line = format!("ACK {sequence} {user}\n");
                    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                }
            })
        })
        .collect();
    runtime.block_on(async {
        for caller in callers {
            caller.await.unwrap();
        }
    });
}

#[test]
fn kill_9_in_mid_write_loses_nothing_that_was_acknowledged() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged: BTreeMap<u64, String> = BTreeMap::new();
    for round in 0..5 {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["child", "--exact", "--nocapture", "--test-threads=1"])
            .env(FOLDER, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acks = 0;
        while let Some(Ok(line)) = lines.next() {
            let Some((_, ack)) = line.split_once("ACK ") else {
                continue;
            };
            let Some((sequence, user)) = ack.split_once(' ') else {
                continue;
            };
            acknowledged.insert(sequence.parse().unwrap(), user.to_owned());
            acks += 1;
            if acks == 40 + 23 * round {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(acks >= 40 + 23 * round);

        let (log, recovery) = open(dir.path()).unwrap();
        assert!(!recovery.created);
        assert!(recovery.records >= *acknowledged.keys().last().unwrap());
        block_on(log.close());
        verify(dir.path(), &key()).unwrap();
        let all = Filter::default().oldest_first().limit(10_000);
        let records = query(dir.path(), &key(), &all).unwrap();
        for (sequence, user) in &acknowledged {
            let record = &records[usize::try_from(*sequence).unwrap() - 1];
            assert_eq!(record.sequence, *sequence);
            assert_eq!(
                record.event.text(Field::User),
                Some(user.as_str()),
                "round {round}"
            );
        }
    }
}

/// Not a test when run as one: the process that strace interferes with. One caller, 60 events.
#[test]
fn child_that_ends() {
    let Some(folder) = env::var_os(FOLDER) else {
        return;
    };
    let (log, _) = Log::open(Path::new(&folder), &key(), small(), NOW).unwrap();
    block_on(async {
        for turn in 0..60 {
            let event = Event::new(Action::Login, NOW).user(&turn.to_string());
            if let Ok(recorded) = log.record(event).await {
                let line = format!("ACK {} {turn}\n", recorded.sequence);
                std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
            }
        }
        log.close().await;
    });
}

fn small() -> LogPolicy {
    LogPolicy::default().segment_bytes(4096).unwrap()
}

/// Runs the child under strace with `inject`; answers how many events it was told are on disk, after
/// checking that they are.
fn survives(inject: &str) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e"])
        .arg(format!("inject={inject}"))
        .arg(env::current_exe().unwrap())
        .args([
            "child_that_ends",
            "--exact",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(FOLDER, dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let acks: Vec<_> = text
        .lines()
        .filter_map(|line| line.split_once("ACK ")?.1.split_once(' '))
        .map(|(sequence, user)| (sequence.parse::<usize>().unwrap(), user.to_owned()))
        .collect();
    let (log, _) = Log::open(dir.path(), &key(), small(), NOW).unwrap();
    block_on(log.close());
    verify(dir.path(), &key()).unwrap();
    let all = Filter::default().oldest_first();
    let records = query(dir.path(), &key(), &all).unwrap();
    for (sequence, user) in &acks {
        let record = &records[sequence - 1];
        assert_eq!(
            record.event.text(Field::User),
            Some(user.as_str()),
            "{inject}"
        );
    }
    acks.len()
}

#[test]
#[ignore = "needs strace and a minute"]
fn whatever_system_call_is_the_last_or_fails_once_what_was_acknowledged_is_there() {
    let _alone = alone();
    assert_eq!(survives("fsync:delay_exit=1:when=1"), 60);
    for call in ["write", "fdatasync", "fsync", "rename", "openat"] {
        let mut fewest = 60;
        for when in (1..12).chain((12..70).step_by(9)) {
            for what in [
                "signal=SIGKILL",
                "error=EIO",
                "error=ENOSPC",
                "error=EMFILE",
            ] {
                fewest = fewest.min(survives(&format!("{call}:{what}:when={when}")));
            }
        }
        assert!(fewest < 60, "{call}: nothing was interfered with");
    }
}

/// Records until the log has three segments, and answers how many records that took.
fn three_segments(dir: &Path) -> u64 {
    let (log, _) = open(dir).unwrap();
    block_on(async {
        let mut records = 0;
        while !dir.join("audit-00000003.log").exists() {
            records = log
                .record(Event::new(Action::Login, NOW))
                .await
                .unwrap()
                .sequence;
        }
        log.close().await;
        records
    })
}

#[test]
fn a_rotation_interrupted_at_any_step_is_recovered_from() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let records = three_segments(dir.path());
    let third = dir.path().join("audit-00000003.log");
    let whole = fs::read(&third).unwrap();
    let header = 126;
    let in_third = {
        let newest = query(dir.path(), &key(), &Filter::default().limit(1)).unwrap();
        assert_eq!(newest[0].sequence, records);
        1
    };
    let half_made = dir.path().join("audit-00000003.log.new");
    // The new file is there and empty, has part of its header, all of it, and then has its name.
    for written in (0..=header).step_by(9) {
        fs::remove_file(&third).unwrap();
        fs::write(&half_made, &whole[..written]).unwrap();
        let (log, recovery) = open(dir.path()).unwrap();
        assert_eq!(
            (recovery.records, recovery.torn_bytes),
            (records - in_third, 0)
        );
        assert!(!half_made.exists(), "what never got its name is taken away");
        block_on(async {
            let recorded = log.record(Event::new(Action::Login, NOW)).await.unwrap();
            assert_eq!(recorded.sequence, records);
            log.close().await;
        });
        assert_eq!(verify(dir.path(), &key()).unwrap().segments, 3);
    }
    fs::write(&third, &whole[..header]).unwrap();
    let (log, recovery) = open(dir.path()).unwrap();
    assert_eq!(
        (recovery.records, recovery.torn_bytes),
        (records - in_third, 0)
    );
    block_on(log.close());
}

#[test]
fn crashes_on_top_of_crashes_void_only_what_was_never_acknowledged() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    for round in 1..=5_u64 {
        let (log, recovery) = open(dir.path()).unwrap();
        assert_eq!(recovery.records, round - 1);
        block_on(async {
            log.record(Event::new(Action::Login, NOW)).await.unwrap();
            log.close().await;
        });
        let last = dir.path().join(format!("audit-{round:08}.log"));
        let mut file = fs::OpenOptions::new().append(true).open(last).unwrap();
        file.write_all(&[0, 0, 0, 200, 1, 2, 3]).unwrap();
    }
    let (log, recovery) = open(dir.path()).unwrap();
    assert_eq!((recovery.records, recovery.torn_bytes), (5, 7));
    block_on(log.close());
    let report = verify(dir.path(), &key()).unwrap();
    assert_eq!((report.records, report.void_bytes), (5, 35));
}
