//! A sink in memory for tests, and the bodies that the fuzz targets share with their replay.

mod segment;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use portcullis_core::{Secret, Timestamp};
use tokio::sync::Notify;

use crate::keys::{Keys, LogId};
use crate::record::Head;
use crate::{Action, AuditError, Checkpoint, Event, Record, Recorded, Sink, state};

pub use segment::fuzz_audit_segment;

/// Keeps events in memory; can be told to fail or to stall. Clones share one list.
///
/// ```
/// use portcullis_audit::testing::MemorySink;
/// use portcullis_audit::{Action, Event, Sink};
/// use portcullis_core::Timestamp;
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// let sink = MemorySink::new();
/// sink.record(Event::new(Action::Login, Timestamp::UNIX_EPOCH)).await.unwrap();
/// sink.fail(true);
/// assert!(sink.record(Event::new(Action::Logout, Timestamp::UNIX_EPOCH)).await.is_err());
/// assert_eq!(sink.actions(), [Action::Login]);
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemorySink(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    events: Mutex<Vec<Event>>,
    failing: AtomicBool,
    stalled: AtomicBool,
    woken: Notify,
}

impl MemorySink {
    /// An empty sink that records.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on every call fails with [`AuditError::Broken`], or none does.
    pub fn fail(&self, failing: bool) {
        self.0.failing.store(failing, Ordering::SeqCst);
    }

    /// From now on calls wait before they record, or those that wait go on.
    pub fn stall(&self, stalled: bool) {
        self.0.stalled.store(stalled, Ordering::SeqCst);
        if !stalled {
            self.0.woken.notify_waiters();
        }
    }

    /// What was recorded, in order.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.0
            .events
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The actions of what was recorded, in order.
    #[must_use]
    pub fn actions(&self) -> Vec<Action> {
        self.events().iter().map(Event::action).collect()
    }
}

impl Sink for MemorySink {
    async fn record(&self, event: Event) -> Result<Recorded, AuditError> {
        loop {
            let woken = self.0.woken.notified();
            if !self.0.stalled.load(Ordering::SeqCst) {
                break;
            }
            woken.await;
        }
        if self.0.failing.load(Ordering::SeqCst) {
            return Err(AuditError::Broken);
        }
        let mut events = self.0.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.push(event);
        Ok(Recorded {
            sequence: u64::try_from(events.len()).unwrap_or(u64::MAX),
        })
    }
}

/// The body of the fuzz target `audit_record`: whatever parses is written to the same bytes.
///
/// # Panics
/// When it finds a defect.
pub fn fuzz_audit_record(data: &[u8]) {
    crate::record::fuzz_record(data);
    for time in [Timestamp::UNIX_EPOCH, Timestamp::MAX] {
        if let Some(event) = state::decode(data, time) {
            let mut bytes = Vec::new();
            state::encode(&event, time, &mut bytes);
            assert_eq!(bytes, data);
            let record = Record {
                sequence: 1,
                at: time,
                event,
            };
            assert!(!record.to_json().contains(char::is_control));
        }
    }
}

/// The body of the fuzz target `audit_checkpoint`: what parses is one line and prints to the same text,
/// and under the key it was sealed with only the text that was sealed is taken.
///
/// # Panics
/// When it finds a defect.
pub fn fuzz_audit_checkpoint(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(parsed) = text.parse::<Checkpoint>() else {
        return;
    };
    assert_eq!(parsed.to_string(), text);
    assert!(text.chars().all(|char| char.is_ascii_graphic()));
    let written = checkpoint();
    assert_eq!(parsed.judge(&key()).is_ok(), parsed == written);
    assert_eq!(parsed == written, written.to_string() == text);
}

/// A checkpoint of a log with six records.
fn checkpoint() -> Checkpoint {
    let head = Head {
        sequence: 6,
        mac: [6; 32],
        time: Timestamp::UNIX_EPOCH,
    };
    Checkpoint::of(&Keys::derive(&key(), LogId(*b"a log for fuzzer")), &head)
}

fn key() -> Secret {
    Secret::from([7_u8; 32].as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checkpoint_that_is_changed_is_good_before() {
        let text = checkpoint().to_string();
        assert_eq!(text.parse(), Ok(checkpoint()));
        assert_eq!(checkpoint().judge(&key()), Ok(()));
        fuzz_audit_checkpoint(text.as_bytes());
    }
}
