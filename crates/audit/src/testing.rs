//! A sink in memory for tests, and the bodies that the fuzz targets share with their replay.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use portcullis_core::{Secret, Timestamp};
use tokio::sync::Notify;

use crate::header::Header;
use crate::keys::{Keys, LogId};
use crate::record::{self, Head};
use crate::verify::{After, Walk};
use crate::{Action, AuditError, Checkpoint, Event, Record, Recorded, Sink, state};

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

/// The body of the fuzz target `audit_segment`: `data` is a segment, and then a change to a good one.
/// What verifies is what was written, or its beginning up to the end of a record.
///
/// # Panics
/// When it finds a defect.
pub fn fuzz_audit_segment(data: &[u8]) {
    let written = segment();
    judged(data);
    let Some(([high, low, cut], put)) = data.split_first_chunk() else {
        return;
    };
    let from = usize::from(u16::from_be_bytes([*high, *low])).min(written.len());
    let to = from.saturating_add(usize::from(*cut)).min(written.len());
    let (before, after) = (written.get(..from), written.get(to..));
    let changed = [before.unwrap_or_default(), put, after.unwrap_or_default()].concat();
    if let Some(whole) = judged(&changed) {
        assert!(!whole || written.starts_with(&changed));
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

/// Walks a segment; says whether it is whole, if its header is.
fn judged(segment: &[u8]) -> Option<bool> {
    let (header, keys) = Header::open(&key(), segment).ok()?;
    let mut walk = Walk::at(keys.clone(), &header);
    let mut again = header.encode(&keys);
    let mut head = header.before;
    let walked = walk.segment(1, segment, After::Nothing, &mut |frame, record| {
        assert_eq!((record.sequence, record.at), (head.next(), frame.time));
        assert!(record.at >= head.time);
        let (first, time) = (frame.write_first, frame.time);
        let payload = |out: &mut Vec<u8>| state::encode(&record.event, time, out);
        head = record::append(&mut again, &keys, &head, first, time, payload);
    });
    assert_eq!(segment.get(..again.len()), Some(again.as_slice()));
    Some(matches!(walked, Ok(None)))
}

/// The bytes of a segment with six records, three of them of one write.
fn segment() -> Vec<u8> {
    let keys = Keys::derive(&key(), LogId(*b"a log for fuzzer"));
    let mut head = Head {
        sequence: 0,
        mac: [0; 32],
        time: Timestamp::from_unix_secs(1_700_000_000),
    };
    let header = Header {
        log: keys.log,
        number: 1,
        before: head,
        previous_end: 0,
        voids: false,
    };
    let mut bytes = header.encode(&keys);
    for (first, action) in [1, 2, 3, 3, 3, 6].into_iter().zip(Action::ALL) {
        let event = Event::new(*action, head.time).user("alice");
        let time = head.time;
        let payload = |out: &mut Vec<u8>| state::encode(&event, time, out);
        head = record::append(&mut bytes, &keys, &head, first, time, payload);
    }
    bytes
}

fn key() -> Secret {
    Secret::from([7_u8; 32].as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_segment_that_is_changed_is_good_before() {
        assert_eq!(judged(&segment()), Some(true));
    }

    #[test]
    fn the_checkpoint_that_is_changed_is_good_before() {
        let text = checkpoint().to_string();
        assert_eq!(text.parse(), Ok(checkpoint()));
        assert_eq!(checkpoint().judge(&key()), Ok(()));
        fuzz_audit_checkpoint(text.as_bytes());
    }
}
