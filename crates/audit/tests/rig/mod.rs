//! Logs made to be damaged.
#![allow(dead_code, reason = "each test file uses its part")]

use std::path::{Path, PathBuf};

use portcullis_audit::{Action, AuditError, Event, Log, LogPolicy, Recovery, Sink};
use portcullis_core::{Secret, Timestamp};
use tempfile::TempDir;

pub const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);
pub const HEADER: usize = 126;

pub fn key() -> Secret {
    Secret::from([7; 32].as_slice())
}

pub fn open(dir: &Path) -> Result<(Log, Recovery), AuditError> {
    Log::open(dir, &key(), LogPolicy::default().segment_bytes(4096)?, NOW)
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(future)
}

/// Adds `count` events, each a write of its own.
pub fn add(dir: &Path, count: usize) -> Log {
    let (log, _) = open(dir).unwrap();
    block_on(async {
        for turn in 0..count {
            let user = format!("user-{turn}");
            log.record(Event::new(Action::Login, NOW).user(&user))
                .await
                .unwrap();
        }
        log.close().await;
    });
    log
}

pub fn log_of(count: usize) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    add(dir.path(), count);
    dir
}

pub fn segment(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("audit-{number:08}.log"))
}

/// A segment as its header and its records.
pub fn parts(bytes: &[u8]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let (header, mut rest) = bytes.split_at(HEADER);
    let mut records = Vec::new();
    while !rest.is_empty() {
        let len = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize + 8;
        let (record, after) = rest.split_at(len);
        records.push(record.to_vec());
        rest = after;
    }
    (header.to_vec(), records)
}
