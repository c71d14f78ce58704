//! Events that are handed over: nobody waits for the disk.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::Event;
use crate::guard::Line;
use crate::state::Encoded;
use crate::writer::Job;

/// A [`Log`](crate::Log) whose callers do not wait until their event is on disk; made by
/// [`Log::buffered`](crate::Log::buffered).
///
/// It is no [`Sink`](crate::Sink), so nothing that demands a record can be given this by mistake.
///
/// | | [`Sink::record`](crate::Sink::record) | [`BufferedLog::hand_over`] |
/// |---|---|---|
/// | the caller waits for | the write and the sync of its event | nothing |
/// | on disk | when it answers | after five milliseconds or sooner, and the syncs then under way and of its own write |
/// | a crash or a power cut loses | nothing that was answered | what waits ([`waiting_events`](crate::LogPolicy::waiting_events)), and the one write under way, of at most 1024 events |
/// | more events than the disk takes | callers wait | are shed, and counted |
/// | a write that fails | is told to its callers | is counted |
///
/// What is in the log is as good either way: the same line, the same order, the same seals, and the
/// log verifies after any crash. What is not in it is the difference. **Taken for what must be known**, a
/// sign-in or a change of rights, this lets whoever can crash the service, or flood its log, act unseen.
/// **The durable log taken for what comes with every request** makes each of them wait for the disk, and a
/// slow disk slows every answer down. So: the durable one unless losing the event costs nothing but a line.
///
/// Whether there is room decides what is shed, and nothing that a caller chose. Callers of
/// [`Sink::record`](crate::Sink::record) come first: room that is made goes to those who wait for it.
///
/// ```
/// use portcullis_audit::{Action, Event, HandedOver, Log, LogPolicy, verify};
/// use portcullis_core::{Clock, Secret, SystemClock};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// let folder = tempfile::tempdir()?;
/// let key = Secret::generate::<32>()?;
/// let now = SystemClock.now();
///
/// let policy = LogPolicy::default().waiting_events(8192)?;
/// let (log, _) = Log::open(folder.path(), &key, policy, now)?;
/// let buffered = log.buffered();
/// let handed_over = buffered.hand_over(Event::new(Action::AuditRead, now).user("alice"));
/// assert_eq!(handed_over, HandedOver::Waiting);
/// log.close().await; // writes what waits
/// assert_eq!((buffered.shed(), buffered.failed()), (0, 0));
/// assert_eq!(verify(folder.path(), &key)?.records, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct BufferedLog(pub(crate) Arc<Line>);

/// What became of an event that was handed over, as far as it can be told at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "an event that was shed is recorded nowhere"]
pub enum HandedOver {
    /// It stands in line and is written in its turn, unless the process ends before or the write fails.
    Waiting,
    /// There was no room for it, or the log is closed. It is gone, and counted.
    Shed,
}

impl BufferedLog {
    /// Puts `event` in line if there is room, and answers at once.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "what is handed over is not kept, and a later form may keep it as it is"
    )]
    pub fn hand_over(&self, event: Event) -> HandedOver {
        let Line {
            jobs, lost, bell, ..
        } = &*self.0;
        if jobs
            .try_send(Job::Record(Encoded::of(&event), None))
            .is_err()
        {
            lost.shed.fetch_add(1, Ordering::Relaxed);
            return HandedOver::Shed;
        }
        // The writer waits for more no longer than there is room for as many again.
        if jobs.capacity() <= jobs.max_capacity() / 2 {
            bell.ring();
        }
        HandedOver::Waiting
    }

    /// How many events were shed since the log was opened, whoever handed them over.
    #[must_use]
    pub fn shed(&self) -> u64 {
        self.0.lost.shed.load(Ordering::Relaxed)
    }

    /// How many events were in line and could not be written, since the log was opened. Some of them may
    /// be there all the same, as with every write that fails.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.0.lost.failed.load(Ordering::Relaxed)
    }
}
