//! What can go wrong, and what was found damaged.

use std::fmt;
use std::io;

use portcullis_core::{EntropyUnavailable, Reason};

/// Why the log did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The key has fewer than 32 bytes.
    #[error("the key of an audit log has at least 32 bytes")]
    KeyTooShort,
    /// A setting of the policy is out of its range.
    #[error("{0} is out of its range")]
    PolicyRefused(&'static str),
    /// Another writer holds the log.
    #[error("another writer holds this log")]
    InUse,
    /// The log is not what was written.
    #[error(transparent)]
    Damaged(#[from] Finding),
    /// The log and a checkpoint of it disagree, or the checkpoint is not one.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The system refused; the events of this call may or may not be recorded.
    #[error("could not {act}: {kind}")]
    Io {
        /// What was tried.
        act: &'static str,
        /// What the system answered.
        kind: io::ErrorKind,
    },
    /// An earlier write failed twice over: the log refuses until it is opened again.
    #[error("an earlier write failed; the log refuses until it is opened again")]
    Broken,
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
    /// A new log needs an id, and the system gave no randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyUnavailable),
}

/// The first place where a log is not what was written, and what seems to have been done there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("segment {segment}, byte {offset}, record {sequence}: {damage}")]
#[non_exhaustive]
pub struct Finding {
    /// The number in the name of the segment's file.
    pub segment: u64,
    /// Where in that file, in bytes.
    pub offset: u64,
    /// The record that should be there; 0 where that cannot be told.
    pub sequence: u64,
    /// What kind of damage it is.
    pub damage: Damage,
}

/// A kind of damage, as far as it can be told from what is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Damage {
    /// The record's bytes were changed.
    Edited,
    /// Something stands before the record that does not belong there.
    Inserted,
    /// The record is gone; later ones, or the length that the next segment seals, show it.
    Deleted,
    /// A later record stands in its place, and it comes after.
    Reordered,
    /// A record that was there already stands in its place.
    Duplicated,
    /// A record or a segment of another log stands in its place.
    Spliced,
    /// A record with the right number and seal continues another history: a copy of this log that
    /// went on by itself.
    Forked,
    /// The record ends too early or its checksum is wrong, and nothing whole comes after it: a write
    /// that never ended, or the last one changed.
    Torn,
    /// The seal is right and the content is not one that this build can have written.
    Malformed,
    /// The segment's header is not what was written.
    Header,
    /// A segment's file is gone.
    SegmentMissing,
    /// The key is not this log's, or the first header was forged with another.
    WrongKey,
}

/// Why a checkpoint did not confirm a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The text is not a checkpoint's.
    #[error("this is not the text of a checkpoint")]
    Malformed,
    /// The checkpoint was not made with this key, or was changed.
    #[error("the checkpoint was changed or made with another key")]
    Forged,
    /// The checkpoint is of another log: this one was begun anew, or put in its place.
    #[error("the checkpoint is of another log")]
    OtherLog,
    /// The log has fewer records than it had.
    #[error(
        "the log had {checkpoint} records at the checkpoint and has {found}: its tail was cut or an old copy put back"
    )]
    TailCut {
        /// How many records there were.
        checkpoint: u64,
        /// How many there are.
        found: u64,
    },
    /// The log has another record where the checkpoint was made.
    #[error("the log went another way before record {record}: its tail was cut and continued")]
    Diverged {
        /// The last record that the checkpoint covers.
        record: u64,
    },
}

impl AuditError {
    /// What the caller's own log says of it.
    #[must_use]
    pub fn reason(&self) -> Reason {
        Reason::AuditUnavailable
    }

    pub(crate) fn io(act: &'static str) -> impl Fn(io::Error) -> Self {
        move |error| Self::Io {
            act,
            kind: error.kind(),
        }
    }
}

impl Damage {
    /// The damage's stable name: lower-case ASCII and underscores.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Edited => "edited",
            Self::Inserted => "inserted",
            Self::Deleted => "deleted",
            Self::Reordered => "reordered",
            Self::Duplicated => "duplicated",
            Self::Spliced => "spliced",
            Self::Forked => "forked",
            Self::Torn => "torn",
            Self::Malformed => "malformed",
            Self::Header => "header",
            Self::SegmentMissing => "segment_missing",
            Self::WrongKey => "wrong_key",
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
