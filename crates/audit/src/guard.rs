//! The log, open for writing.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use portcullis_core::{Secret, Timestamp, entropy};
use tokio::sync::{mpsc, oneshot, watch};

use crate::folder::{Directory, Folder, Lock};
use crate::header::{HEADER_LEN, Header};
use crate::keys::{Keys, LogId};
use crate::read::{Tailed, walk};
use crate::record::Head;
use crate::state::Encoded;
use crate::writer::{Bell, GATHERS, Job, Lost, Rope, Synced, Writer};
use crate::{AuditError, BufferedLog, Checkpoint, Event, LogPolicy, Recorded, Sink};

/// A log in a folder, held by one writer. Clones share it, and so does every [`BufferedLog`]; when the last
/// of them is gone, what waits is still written and the log is let go of. [`Log::close`] waits for that.
///
/// ```
/// use portcullis_audit::{Action, Event, Log, LogPolicy, Sink, verify};
/// use portcullis_core::{Clock, Secret, SystemClock};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// let folder = tempfile::tempdir()?;
/// let key = Secret::generate::<32>()?;
/// let now = SystemClock.now();
///
/// let (log, recovery) = Log::open(folder.path(), &key, LogPolicy::default(), now)?;
/// assert!(recovery.created);
/// let recorded = log.record(Event::new(Action::Login, now).user("alice")).await?;
/// assert_eq!(recorded.sequence, 1);
/// log.close().await;
/// assert_eq!(verify(folder.path(), &key)?.records, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Log(Arc<Line>);

/// What leads to the writer. Behind one count: handlers clone a log for each request.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) jobs: mpsc::Sender<Job>,
    pub(crate) lost: Arc<Lost>,
    /// Behind `jobs`, for fields go in their order: nothing more can come then, and what was kept back is
    /// written at once.
    pub(crate) bell: Rope,
    keys: Keys,
    synced: Synced,
    /// Closed when the writer has let go of the log; nothing is ever sent.
    gone: watch::Receiver<()>,
}

/// What opening a log found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// The log's id.
    pub log: LogId,
    /// Whether the log was begun now. If there should have been one, it is gone.
    pub created: bool,
    /// How many records there are.
    pub records: u64,
    /// How many bytes at the log's end were no whole record: a write that a crash cut off before it was
    /// acknowledged, or the last records changed. They stay in their file and do not count any more.
    pub torn_bytes: u64,
}

impl Log {
    /// Opens the log in `dir`, which is made if it is not there, or begins one.
    ///
    /// All segments are read and verified first (about a second per gigabyte; the call blocks), and the
    /// last write is synced once more. A torn end is made void by a new segment and reported. `now` is
    /// the time of a log that is begun, and of such a segment.
    ///
    /// # Errors
    /// [`AuditError::InUse`] when another writer holds it; [`AuditError::Damaged`] when anything but
    /// its end is not as it was written, and then nothing is changed; the others as they say.
    pub fn open(
        dir: &Path,
        key: &Secret,
        policy: LogPolicy,
        now: Timestamp,
    ) -> Result<(Self, Recovery), AuditError> {
        Keys::admit(key)?;
        let mut folder = Directory::make(dir)?;
        let lock = folder.lock()?;
        folder.tidy()?;
        let opened = match walk(&folder, key, &mut |_, _| {})? {
            Some(tailed) => resume(&mut folder, tailed, now)?,
            None => begin(&mut folder, key, now)?,
        };
        Self::start(folder, lock, policy, opened)
    }

    fn start<F: Folder>(
        folder: F,
        lock: Lock,
        policy: LogPolicy,
        opened: Opened<F::File>,
    ) -> Result<(Self, Recovery), AuditError> {
        let writer = Writer {
            folder,
            file: opened.file,
            keys: opened.keys,
            number: opened.number,
            len: opened.len,
            segment_bytes: policy.segment_bytes,
            head: opened.head,
            synced: Arc::new(Mutex::new(opened.head)),
            lost: Arc::default(),
            bell: Bell::default(),
            gathers: GATHERS,
            broken: false,
        };
        let (log, jobs, gone) = Self::over(&writer, policy.waiting_events);
        thread::Builder::new()
            .name("portcullis-audit".to_owned())
            .spawn(move || writer.run(jobs, lock, gone))
            .map_err(AuditError::io("start the writer's thread"))?;
        Ok((log, opened.recovery))
    }

    /// The log that `writer` serves once it runs with what else is answered.
    pub(crate) fn over<F: Folder>(
        writer: &Writer<F>,
        waiting_events: usize,
    ) -> (Self, mpsc::Receiver<Job>, watch::Sender<()>) {
        let (jobs, received) = mpsc::channel(waiting_events);
        let (letting_go, gone) = watch::channel(());
        let line = Line {
            jobs,
            lost: Arc::clone(&writer.lost),
            bell: Rope(writer.bell.clone()),
            keys: writer.keys.clone(),
            synced: Arc::clone(&writer.synced),
            gone,
        };
        (Self(Arc::new(line)), received, letting_go)
    }

    /// How far the log has come on disk, sealed. Keep it where whoever can change the log cannot: what
    /// came before it can then not be cut off unseen.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        let head = *self.0.synced.lock().unwrap_or_else(PoisonError::into_inner);
        Checkpoint::of(&self.0.keys, &head)
    }

    /// This log for callers that do not wait for the disk: what they hand over stands in the same line, and
    /// what had no room there, or could not be written, is counted for all of them together.
    #[must_use]
    pub fn buffered(&self) -> BufferedLog {
        BufferedLog(Arc::clone(&self.0))
    }

    /// Writes what waits, lets go of the log, and answers then, whichever clone closed it first. From now
    /// on every clone's calls fail with [`AuditError::Closed`].
    ///
    /// Dropped before it answered, it leaves the log open or has closed it; another call answers.
    pub async fn close(&self) {
        // An error means that it was told already.
        let _ = self.0.jobs.send(Job::Close).await;
        self.0.bell.ring();
        let _ = self.0.gone.clone().changed().await;
    }
}

impl Sink for Log {
    /// Answers when the event is on disk. Events that wait together are written together.
    ///
    /// # Errors
    /// [`AuditError::Io`] and [`AuditError::Broken`] when it could not be written;
    /// [`AuditError::Closed`].
    async fn record(&self, event: Event) -> Result<Recorded, AuditError> {
        let (answer, answered) = oneshot::channel();
        let sent = self
            .0
            .jobs
            .send(Job::Record(Encoded::of(&event), Some(answer)))
            .await;
        sent.map_err(|_| AuditError::Closed)?;
        self.0.bell.ring();
        answered.await.unwrap_or(Err(AuditError::Closed))
    }
}

/// A segment to write to, and how it came about.
struct Opened<File> {
    file: File,
    keys: Keys,
    number: u64,
    len: u64,
    head: Head,
    recovery: Recovery,
}

/// The first segment of a new log.
fn begin(
    folder: &mut Directory,
    key: &Secret,
    now: Timestamp,
) -> Result<Opened<std::fs::File>, AuditError> {
    let keys = Keys::derive(key, LogId(entropy()?));
    let head = Head {
        sequence: 0,
        mac: [0; 32],
        time: now,
    };
    let recovery = Recovery {
        log: keys.log,
        created: true,
        records: 0,
        torn_bytes: 0,
    };
    segment(folder, keys, 1, head, (0, false), recovery)
}

/// The last segment of the log, or a new one if its end is torn.
fn resume(
    folder: &mut Directory,
    tailed: Tailed,
    now: Timestamp,
) -> Result<Opened<std::fs::File>, AuditError> {
    let (walk, number) = (tailed.walk, tailed.number);
    let records = tailed.bytes.get(..walk.end).unwrap_or_default();
    let file = folder.reopen(number, records, walk.last_write)?;
    let mut recovery = Recovery {
        log: walk.keys.log,
        created: false,
        records: walk.head.sequence,
        torn_bytes: 0,
    };
    let len = u64::try_from(walk.end).unwrap_or(u64::MAX);
    let Some(tail) = tailed.tail else {
        return Ok(Opened {
            file,
            keys: walk.keys,
            number,
            len,
            head: walk.head,
            recovery,
        });
    };
    recovery.torn_bytes = tail.torn_bytes;
    let head = Head {
        time: walk.head.time.max(now),
        ..walk.head
    };
    let number = number.saturating_add(1);
    segment(folder, walk.keys, number, head, (len, true), recovery)
}

fn segment(
    folder: &mut Directory,
    keys: Keys,
    number: u64,
    head: Head,
    (previous_end, voids): (u64, bool),
    recovery: Recovery,
) -> Result<Opened<std::fs::File>, AuditError> {
    let header = Header {
        log: keys.log,
        number,
        before: head,
        previous_end,
        voids,
    };
    let file = folder
        .create(number, &header.encode(&keys))
        .map_err(AuditError::io("begin a segment"))?;
    Ok(Opened {
        file,
        keys,
        number,
        len: u64::try_from(HEADER_LEN).unwrap_or(u64::MAX),
        head,
        recovery,
    })
}
