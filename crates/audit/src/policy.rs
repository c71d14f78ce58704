//! Settings of a log, validated when they are set.

use crate::AuditError;

/// Settings of a [`Log`](crate::Log).
///
/// ```
/// use portcullis_audit::LogPolicy;
///
/// let policy = LogPolicy::default().segment_bytes(1024 * 1024)?.waiting_events(256)?;
/// assert!(LogPolicy::default().segment_bytes(0).is_err());
/// # let _ = policy;
/// # Ok::<(), portcullis_audit::AuditError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogPolicy {
    pub(crate) segment_bytes: u64,
    pub(crate) waiting_events: usize,
}

impl Default for LogPolicy {
    /// Segments of 64 MiB, about 200 000 events: few files, and one is read in well under a second.
    /// 1024 waiting events: more than one write takes with any number of callers a machine serves.
    fn default() -> Self {
        Self {
            segment_bytes: 64 * 1024 * 1024,
            waiting_events: 1024,
        }
    }
}

impl LogPolicy {
    /// The size, in bytes, at which a segment is full and the next one begins: 4 KiB to 256 MiB. A
    /// segment is read as a whole, and may be larger by what is written at once.
    ///
    /// # Errors
    /// [`AuditError::PolicyRefused`] outside that range.
    pub fn segment_bytes(self, segment_bytes: u64) -> Result<Self, AuditError> {
        if !(4 * 1024..=256 * 1024 * 1024).contains(&segment_bytes) {
            return Err(AuditError::PolicyRefused("segment_bytes"));
        }
        Ok(Self {
            segment_bytes,
            ..self
        })
    }

    /// How many events may wait for the writer, 1 to 65 536. When as many do, the next caller waits
    /// for room: events are neither dropped nor kept without bound.
    ///
    /// # Errors
    /// [`AuditError::PolicyRefused`] outside that range.
    pub fn waiting_events(self, waiting_events: usize) -> Result<Self, AuditError> {
        if !(1..=65_536).contains(&waiting_events) {
            return Err(AuditError::PolicyRefused("waiting_events"));
        }
        Ok(Self {
            waiting_events,
            ..self
        })
    }
}
