//! The one thread that owns the file: it takes all events that wait, writes them at once, syncs once,
//! and answers all who wait.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::folder::{File, Folder, Lock};
use crate::header::Header;
use crate::keys::Keys;
use crate::record::{self, Head};
use crate::state::Encoded;
use crate::{AuditError, Recorded};

/// What waits for the writer.
#[derive(Debug)]
pub(crate) enum Job {
    /// Nobody waits for the answer of one that was handed over.
    Record(Encoded, Option<Answer>),
    Close,
}

pub(crate) type Answer = oneshot::Sender<Result<Recorded, AuditError>>;

/// What became of events that nobody waits for, and is not in the log.
#[derive(Debug, Default)]
pub(crate) struct Lost {
    /// There was no room for them.
    pub(crate) shed: AtomicU64,
    /// They could not be written.
    pub(crate) failed: AtomicU64,
}

/// Ends the writer's wait for more events.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bell(Arc<Hammer>);

#[derive(Debug, Default)]
struct Hammer {
    rung: Mutex<bool>,
    heard: Condvar,
}

impl Bell {
    fn ring(&self) {
        *self.rung() = true;
        self.0.heard.notify_one();
    }

    fn wait(&self, most: Duration) {
        let heard = &self.0.heard;
        let _ = heard.wait_timeout_while(self.rung(), most, |rung| !*rung);
    }

    fn still(&self) {
        *self.rung() = false;
    }

    fn rung(&self) -> MutexGuard<'_, bool> {
        self.0.rung.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rings the bell, and once more when it goes.
#[derive(Debug)]
pub(crate) struct Rope(pub(crate) Bell);

impl Rope {
    pub(crate) fn ring(&self) {
        self.0.ring();
    }
}

impl Drop for Rope {
    fn drop(&mut self) {
        self.0.ring();
    }
}

/// The head of what is on disk, for whoever asks.
pub(crate) type Synced = Arc<Mutex<Head>>;

/// One segment open for writing, and where the chain has come to.
pub(crate) struct Writer<F: Folder> {
    pub(crate) folder: F,
    pub(crate) file: F::File,
    pub(crate) keys: Keys,
    /// The segment's number.
    pub(crate) number: u64,
    /// How many of the segment's bytes are on disk.
    pub(crate) len: u64,
    pub(crate) segment_bytes: u64,
    pub(crate) head: Head,
    pub(crate) synced: Synced,
    pub(crate) lost: Arc<Lost>,
    pub(crate) bell: Bell,
    /// How long events that nobody waits for are kept back for more of them.
    pub(crate) gathers: Duration,
    pub(crate) broken: bool,
}

impl<F: Folder> Writer<F> {
    /// Serves until it is told to close or nobody is left, then lets go of the lock, and of `gone` last.
    pub(crate) fn run(
        mut self,
        mut jobs: mpsc::Receiver<Job>,
        lock: Lock,
        gone: watch::Sender<()>,
    ) {
        let mut waiting = Vec::new();
        while self.receive(&mut jobs, &mut waiting) > 0 {
            let mut events = Vec::with_capacity(waiting.len());
            let mut answers = Vec::with_capacity(waiting.len());
            for job in waiting.drain(..) {
                match job {
                    Job::Record(event, answer) => {
                        events.push(event);
                        answers.push(answer);
                    }
                    // What was sent before is still received; nothing more can be sent.
                    Job::Close => jobs.close(),
                }
            }
            if events.is_empty() {
                continue;
            }
            let written = self.commit(&events);
            self.answer(answers, &written);
        }
        drop(self);
        drop(lock);
        drop(gone);
    }

    /// What waits, at most so much as one write takes. A sync costs the machine as much as some hundred
    /// events, so what nobody waits for is kept back for more, until somebody rings.
    fn receive(&self, jobs: &mut mpsc::Receiver<Job>, waiting: &mut Vec<Job>) -> usize {
        jobs.blocking_recv_many(waiting, WRITE_EVENTS);
        let nobody_waits = |job: &Job| matches!(job, Job::Record(_, None));
        let room = waiting.len() < WRITE_EVENTS;
        if room && waiting.iter().all(nobody_waits) && !jobs.is_closed() {
            self.bell.wait(self.gathers);
        }
        // Whoever rang so far has sent before, and is received now, or at once the next time: unlike the
        // first call, this one waits for a sender that has its place in line and is about to fill it.
        self.bell.still();
        while waiting.len() < WRITE_EVENTS
            && let Ok(job) = jobs.try_recv()
        {
            waiting.push(job);
        }
        waiting.len()
    }

    /// Tells whoever waits, and counts what nobody waits for.
    fn answer(&self, answers: Vec<Option<Answer>>, written: &Result<(), AuditError>) {
        let mut sequence = self.head.sequence;
        for answer in answers.into_iter().rev() {
            if let Some(answer) = answer {
                // Whoever does not wait any more has nothing to lose.
                let _ = answer.send(written.clone().map(|()| Recorded { sequence }));
            } else if written.is_err() {
                self.lost.failed.fetch_add(1, Ordering::Relaxed);
            }
            sequence = sequence.saturating_sub(1);
        }
    }

    /// Writes `events` as one write and syncs it. When this answers `Ok`, they are on disk.
    pub(crate) fn commit(&mut self, events: &[Encoded]) -> Result<(), AuditError> {
        if self.broken {
            return Err(AuditError::Broken);
        }
        if self.len >= self.segment_bytes {
            self.next_segment(false)?;
        }
        let (bytes, head) = self.encode(events);
        if append(&mut self.file, &bytes).is_err() {
            // What a failed sync left unwritten is never written by another sync on the same
            // descriptor: the segment ends where it was known to be on disk, and a new one takes
            // the same records.
            self.next_segment(true)?;
            append(&mut self.file, &bytes).map_err(|error| {
                self.broken = true;
                AuditError::io("write events")(error)
            })?;
        }
        self.len = self.len.saturating_add(length(&bytes));
        self.head = head;
        *self.synced.lock().unwrap_or_else(PoisonError::into_inner) = head;
        Ok(())
    }

    fn encode(&self, events: &[Encoded]) -> (Vec<u8>, Head) {
        let mut bytes = Vec::with_capacity(events.len().saturating_mul(256));
        let mut head = self.head;
        for event in events {
            let time = event.at.max(head.time);
            let payload = |out: &mut Vec<u8>| event.put(time, out);
            let first = self.head.next();
            head = record::append(&mut bytes, &self.keys, &head, first, time, payload);
        }
        (bytes, head)
    }

    fn next_segment(&mut self, voids: bool) -> Result<(), AuditError> {
        let number = self.number.saturating_add(1);
        let header = Header {
            log: self.keys.log,
            number,
            before: self.head,
            previous_end: self.len,
            voids,
        };
        let header = header.encode(&self.keys);
        self.file = self.folder.create(number, &header).map_err(|error| {
            // The new segment may or may not have its name: only opening again can tell.
            self.broken = true;
            AuditError::io("begin a segment")(error)
        })?;
        (self.number, self.len) = (number, length(&header));
        Ok(())
    }
}

fn append<F: File>(file: &mut F, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(std::io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            // Nothing was written, and nothing failed.
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    file.sync()
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// How many events one write takes at most: 2 MiB of the longest.
const WRITE_EVENTS: usize = 1024;
/// Two hundred syncs a second of what nobody waits for.
pub(crate) const GATHERS: Duration = Duration::from_millis(5);
