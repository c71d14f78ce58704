//! The process that hands events over, killed at any moment.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "tests"
)]

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use portcullis_audit::{
    Action, Event, Field, Filter, HandedOver, Log, LogPolicy, Recovery, query, verify,
};
use portcullis_core::{Secret, Timestamp};

const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);
const FOLDER: &str = "PORTCULLIS_AUDIT_BUFFERED_FOLDER";
/// Few, so that there is no room now and then.
const WAITING: usize = 64;
/// What one write takes at most.
const WRITE: usize = 1024;

fn open(dir: &Path) -> (Log, Recovery) {
    let key = Secret::from([7; 32].as_slice());
    let policy = LogPolicy::default().segment_bytes(8192).unwrap();
    Log::open(dir, &key, policy.waiting_events(WAITING).unwrap(), NOW).unwrap()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(future)
}

/// Not a test when run as one: the process that is started and killed. It hands numbered events over
/// without end, each again until there is room, and says how far it has come.
#[test]
fn child() {
    let Some(folder) = env::var_os(FOLDER) else {
        return;
    };
    let (log, recovery) = open(Path::new(&folder));
    let buffered = log.buffered();
    for number in recovery.records.. {
        let event = || Event::new(Action::Login, NOW).user(&number.to_string());
        while buffered.hand_over(event()) == HandedOver::Shed {
            std::thread::yield_now();
        }
        let line = format!("HANDED {}\n", number + 1);
        std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
    }
}

#[test]
fn kill_9_loses_the_last_events_alone_and_no_more_than_could_wait() {
    let dir = tempfile::tempdir().unwrap();
    let key = Secret::from([7; 32].as_slice());
    let mut kept = 0;
    for round in 1..=5 {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["child", "--exact", "--nocapture", "--test-threads=1"])
            .env(FOLDER, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut handed = 0_u64;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap_or_default();
            let Some((_, number)) = line.split_once("HANDED ") else {
                continue;
            };
            handed = number.parse().unwrap();
            if handed == kept + 300 + 77 * round {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();

        let (log, recovery) = open(dir.path());
        let lost = usize::try_from(handed.saturating_sub(recovery.records)).unwrap();
        assert!(lost <= WAITING + WRITE, "round {round}: {lost}");
        assert!(recovery.records > kept, "round {round}");
        kept = recovery.records;
        block_on(log.close());
        assert_eq!(verify(dir.path(), &key).unwrap().records, kept);
        let records = query(dir.path(), &key, &Filter::default().limit(10_000)).unwrap();
        let users = records
            .iter()
            .map(|record| record.event.text(Field::User).unwrap());
        let numbers = (0..kept)
            .rev()
            .take(10_000)
            .map(|number| number.to_string());
        // In order and without a gap: nothing but the end can be missing.
        assert!(users.eq(numbers), "round {round}");
    }
}
