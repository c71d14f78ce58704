//! The thread that holds the connection: batches, their transactions, and what became of them.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::sleep;
use std::time::Duration;

use portcullis_core::{Cause, Failure};
use rusqlite::{Connection, Error, ErrorCode, Result};
use tokio::sync::{mpsc, watch};

use crate::SqlitePolicy;
use crate::batch;
use crate::job::Job;

pub(crate) enum Message {
    Job(Box<dyn Job>),
    Close,
}

/// Starts the writer; what it returns is dropped when the file is closed.
pub(crate) fn start(
    connection: Connection,
    policy: SqlitePolicy,
    messages: mpsc::Receiver<Message>,
) -> io::Result<watch::Receiver<()>> {
    let (stopping, stopped) = watch::channel(());
    let mut writer = Writer { connection, policy };
    std::thread::Builder::new()
        .name("portcullis-sqlite".into())
        .spawn(move || {
            writer.serve(messages);
            // The file first: whoever awaits the end may open it again.
            drop(writer);
            drop(stopping);
        })?;
    Ok(stopped)
}

struct Writer {
    connection: Connection,
    policy: SqlitePolicy,
}

/// Why a batch came to nothing, or perhaps to something.
enum Trouble {
    /// Others hold the file; nothing was written.
    Busy,
    /// It failed and was rolled back for certain.
    Undone(Error),
    /// Its commit failed and may yet be found in the log.
    Unsure(Error),
}

impl Writer {
    fn serve(&mut self, mut messages: mpsc::Receiver<Message>) {
        let mut taken = Vec::new();
        let mut waiting: VecDeque<Box<dyn Job>> = VecDeque::new();
        loop {
            if waiting.is_empty() && messages.blocking_recv_many(&mut taken, BATCH) == 0 {
                return;
            }
            for message in taken.drain(..) {
                match message {
                    Message::Job(job) => waiting.push_back(job),
                    // What was sent before is still received.
                    Message::Close => messages.close(),
                }
            }
            if !waiting.is_empty() {
                self.batch(&mut waiting);
            }
        }
    }

    /// Runs jobs from the front until a transaction of them has an end, and tells their callers.
    fn batch(&mut self, waiting: &mut VecDeque<Box<dyn Job>>) {
        let jobs = waiting.make_contiguous();
        let all = jobs.len();
        let mut waited = Duration::ZERO;
        let (ended, ending) = loop {
            match self.attempt(jobs) {
                Ok(covered) => break (covered, Ok(())),
                Err(Trouble::Busy) if waited < self.policy.patience => {
                    let pause = if waited < LONG {
                        SHORT_PAUSE
                    } else {
                        LONG_PAUSE
                    };
                    sleep(pause);
                    waited = waited.saturating_add(pause);
                }
                Err(Trouble::Busy) => break (all, Err(Failure::Contended)),
                Err(Trouble::Undone(error)) => {
                    break (all, Err(Failure::Unavailable(words(&error))));
                }
                Err(Trouble::Unsure(error)) => break (all, Err(Failure::Unknown(words(&error)))),
            }
        };
        for job in waiting.drain(..ended.min(all)) {
            let ending = ending.clone();
            // An answer nobody waits for is dropped here; should that panic, it is nobody else's.
            drop(catch_unwind(AssertUnwindSafe(|| job.finish(ending))));
        }
    }

    /// One transaction, from the lock to the commit; how many of the jobs it held.
    fn attempt(&mut self, jobs: &mut [Box<dyn Job>]) -> std::result::Result<usize, Trouble> {
        self.roll_back();
        self.execute("BEGIN IMMEDIATE").map_err(undone)?;
        let (covered, written) = match batch::run(&self.connection, &self.policy, jobs) {
            Ok(ran) => ran,
            Err(error) => {
                self.roll_back();
                return Err(undone(error));
            }
        };
        // Without a change this syncs nothing.
        let Err(error) = self.execute("COMMIT") else {
            return Ok(covered);
        };
        self.roll_back();
        if !written || is_busy(&error) {
            return Err(undone(error));
        }
        // The records may stand in the log, whole but unannounced, and a crash would bring them to
        // life. A later commit takes their place in the log: once it succeeds they are gone.
        if self.fence() {
            Err(Trouble::Undone(error))
        } else {
            Err(Trouble::Unsure(error))
        }
    }

    /// Commits something of no meaning; whether that succeeded.
    fn fence(&self) -> bool {
        // Within a transaction that could not be rolled back this would commit nothing.
        if !self.connection.is_autocommit() {
            return false;
        }
        for _ in 0..FENCE_ATTEMPTS {
            match self.execute("UPDATE fence SET times = times + 1") {
                Err(error) if is_busy(&error) => sleep(SHORT_PAUSE),
                ended => return ended.is_ok(),
            }
        }
        false
    }

    fn execute(&self, sql: &str) -> Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(drop)
    }

    /// Some errors have already rolled back. Should this one fail, it is tried again before the next
    /// transaction begins; nothing is committed meanwhile.
    fn roll_back(&self) {
        if !self.connection.is_autocommit() {
            let _ = self.execute("ROLLBACK");
        }
    }
}

fn undone(error: Error) -> Trouble {
    if is_busy(&error) {
        Trouble::Busy
    } else {
        Trouble::Undone(error)
    }
}

fn is_busy(error: &Error) -> bool {
    // A crowd at the log's index ends in a protocol error: also a contention that passes.
    let busy = [
        ErrorCode::DatabaseBusy,
        ErrorCode::DatabaseLocked,
        ErrorCode::FileLockingProtocolFailed,
    ];
    error
        .sqlite_error_code()
        .is_some_and(|code| busy.contains(&code))
}

/// SQLite's words for a failure; they hold no value that was bound.
fn words(error: &Error) -> Cause {
    Cause::Backend(error.to_string().into())
}

/// The most calls in one transaction: beyond it a commit's price is spread thin enough.
const BATCH: usize = 512;
/// Between two attempts at the lock: well under a commit's duration, so that a process which commits
/// without rest is met between two of its commits.
const SHORT_PAUSE: Duration = Duration::from_micros(150);
/// Past `LONG`, whoever holds the lock holds it for long.
const LONG: Duration = Duration::from_millis(200);
const LONG_PAUSE: Duration = Duration::from_millis(5);
const FENCE_ATTEMPTS: u32 = 1_000;
