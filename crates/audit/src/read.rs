//! Reading a log without its writer: verify it, or ask it.

use std::fmt;
use std::path::Path;

use portcullis_core::{Secret, Timestamp};

use crate::folder::Directory;
use crate::header::Header;
use crate::keys::{Keys, LogId};
use crate::record::Frame;
use crate::verify::{After, Tail, Walk};
use crate::{AuditError, Checkpoint, Damage, Finding, Record};

/// What a log that verifies is.
///
/// Its text says which records the chain alone does not protect: without a checkpoint kept elsewhere,
/// a tail cut off at a record's boundary leaves a log that verifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The log's id.
    pub log: LogId,
    /// How many segments there are.
    pub segments: u64,
    /// How many records there are; also the number of the last.
    pub records: u64,
    /// When the log was begun.
    pub begun_at: Timestamp,
    /// The time of the last record, or of the segment that it would be in.
    pub last_at: Timestamp,
    /// Bytes that never were acknowledged records: what crashes and failed writes left, made void by the
    /// sealed header of the segment after.
    pub void_bytes: u64,
    /// Bytes of a write that a living writer has under way.
    pub unfinished_bytes: u64,
    /// How many records a checkpoint confirmed.
    pub confirmed: u64,
    /// The log as it is now, to be kept elsewhere. Beside a living writer it can cover records that are
    /// not acknowledged yet; [`Log::checkpoint`](crate::Log::checkpoint) does not.
    pub checkpoint: Checkpoint,
}

impl Report {
    /// The first and the last record that could be cut off unseen, if there are any.
    #[must_use]
    pub fn exposed(&self) -> Option<(u64, u64)> {
        (self.confirmed < self.records).then(|| (self.confirmed.saturating_add(1), self.records))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (records, segments) = (self.records, self.segments);
        write!(
            f,
            "log {}: {records} records in {segments} segments, ",
            self.log
        )?;
        write!(
            f,
            "none changed, from {} to {}",
            self.begun_at, self.last_at
        )?;
        if self.void_bytes > 0 {
            write!(f, "; {} bytes of failed writes are void", self.void_bytes)?;
        }
        if self.unfinished_bytes > 0 {
            write!(f, "; {} bytes are being written", self.unfinished_bytes)?;
        }
        match self.exposed() {
            None => f.write_str("; every record is confirmed by the checkpoint"),
            Some((first, last)) => write!(
                f,
                "; records {first} to {last} are newer than any checkpoint given: \
                 had later ones, or these, been cut off the end, it would not show"
            ),
        }
    }
}

/// Reads the whole log in `dir` and checks every byte of it. Needs no lock: it can run beside the
/// writer, and in a program that only reads.
///
/// # Errors
/// [`AuditError::Damaged`] names the first place that is not as it was written, and the kind of
/// damage. A torn end is damage too, unless a living writer has that write under way: opening the
/// log makes it void. [`AuditError::Io`] of kind `NotFound` when there is no log.
///
/// ```
/// # use portcullis_core::Secret;
/// use portcullis_audit::{AuditError, verify};
///
/// let key = Secret::generate::<32>()?;
/// let gone = verify("/no/such/folder".as_ref(), &key);
/// assert!(matches!(gone, Err(AuditError::Io { .. })));
/// # Ok::<(), portcullis_core::EntropyUnavailable>(())
/// ```
pub fn verify(dir: &Path, key: &Secret) -> Result<Report, AuditError> {
    check(dir, key, None)
}

/// As [`verify`], and that the log still has what it had at `checkpoint`.
///
/// # Errors
/// As [`verify`], and [`AuditError::Checkpoint`] when the log's tail was cut, an old copy put back, or
/// another log put in its place.
pub fn verify_against(
    dir: &Path,
    key: &Secret,
    checkpoint: &Checkpoint,
) -> Result<Report, AuditError> {
    checkpoint.judge(key)?;
    check(dir, key, Some(checkpoint))
}

fn check(dir: &Path, key: &Secret, against: Option<&Checkpoint>) -> Result<Report, AuditError> {
    Keys::admit(key)?;
    let folder = Directory::at(dir);
    let covered = against.map_or(0, Checkpoint::records);
    let mut head = (covered == 0).then_some([0; 32]);
    // Asked before too: a writer may end its write and go while this reads.
    let beside = folder.is_locked();
    let tailed = walk(&folder, key, &mut |frame, _| {
        if frame.sequence == covered {
            head = Some(frame.mac);
        }
    })?;
    let Some(tailed) = tailed else {
        return Err(AuditError::Io {
            act: "find the log",
            kind: std::io::ErrorKind::NotFound,
        });
    };
    let unfinished_bytes = match tailed.tail {
        None => 0,
        Some(tail) if tail.short && (beside || folder.is_locked()) => tail.torn_bytes,
        Some(tail) => return Err(tail.finding.into()),
    };
    let walk = &tailed.walk;
    let records = walk.head.sequence;
    if let Some(checkpoint) = against {
        checkpoint.confirms(walk.keys.log, records, head)?;
    }
    Ok(Report {
        log: walk.keys.log,
        segments: tailed.number,
        records,
        begun_at: tailed.begun_at,
        last_at: walk.head.time,
        void_bytes: walk.void_bytes,
        unfinished_bytes,
        confirmed: covered,
        checkpoint: Checkpoint::of(&walk.keys, &walk.head),
    })
}

/// A log walked to its end.
pub(crate) struct Tailed {
    pub(crate) walk: Walk,
    pub(crate) begun_at: Timestamp,
    /// The last segment's number and bytes.
    pub(crate) number: u64,
    pub(crate) bytes: Vec<u8>,
    pub(crate) tail: Option<Tail>,
}

/// Walks all segments in `folder`, one at a time in memory. `None`: there are none.
pub(crate) fn walk(
    folder: &Directory,
    key: &Secret,
    each: &mut dyn FnMut(&Frame<'_>, Record),
) -> Result<Option<Tailed>, AuditError> {
    let numbers = folder.segments()?;
    let Some(last) = numbers.last().copied() else {
        return Ok(None);
    };
    let found = |segment, sequence, damage| Finding {
        segment,
        offset: 0,
        sequence,
        damage,
    };
    contiguous(&numbers)?;
    let opened = Header::open(key, &folder.read_header(1)?);
    let opened = opened.and_then(|(header, keys)| Walk::begins(&header).map(|()| (header, keys)));
    let (header, keys) = opened.map_err(|damage| found(1, 1, damage))?;
    let mut walk = Walk::at(keys, &header);
    for number in numbers {
        let bytes = folder.read(number)?;
        let next = match number.checked_add(1) {
            Some(next) if number < last => Some(folder.read_header(next)?),
            _ => None,
        };
        let after = next.as_deref().map_or(After::Nothing, After::Segment);
        let tail = walk.segment(number, &bytes, after, each)?;
        if number == last {
            return Ok(Some(Tailed {
                walk,
                begun_at: header.before.time,
                number,
                bytes,
                tail,
            }));
        }
    }
    Ok(None)
}

/// Checks that no segment's file is gone from before the last.
pub(crate) fn contiguous(numbers: &[u64]) -> Result<(), Finding> {
    let gap = (1..)
        .zip(numbers)
        .find(|(expected, number)| expected != *number);
    gap.map_or(Ok(()), |(segment, _)| {
        Err(Finding {
            segment,
            offset: 0,
            sequence: 0,
            damage: Damage::SegmentMissing,
        })
    })
}
