//! Why a file cannot be a store.

use portcullis_core::{EntropyUnavailable, Timestamp};
use rusqlite::ErrorCode;

/// Why a file was not opened as a store. A file that is refused is left as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file holds something else.
    #[error("the file is not a portcullis store and was left as it is")]
    NotOurs,
    /// The file was written by a later release.
    #[error("the store has format {found}; this release knows formats up to {known}")]
    NewerFormat {
        /// The file's format.
        found: i32,
        /// The latest format known here.
        known: i32,
    },
    /// The file is a store and is damaged; restore it from a backup.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// The store's memory begins more than an hour after the present instant: one of the two clocks was
    /// wrong. A guard over it would refuse all that it is asked until then.
    #[error(
        "the store's memory begins at {birth}, and the clock says {now}: correct the clock if it is behind; \
         if the store was made under a clock that ran ahead, open it once with SqlitePolicy::dangerous_born_now"
    )]
    BirthAhead {
        /// When the file says that its memory begins.
        birth: Timestamp,
        /// What it was opened with.
        now: Timestamp,
    },
    /// The file, or its folder, cannot be written.
    #[error("the store cannot be written")]
    ReadOnly,
    /// Others held the file for longer than the policy's patience.
    #[error("the store is held by others")]
    Busy,
    /// A new store could not be given a secret.
    #[error(transparent)]
    Entropy(#[from] EntropyUnavailable),
    /// The file could not be made, or the writer's thread not started.
    #[error("the file system or the operating system refused: {0}")]
    Io(#[from] std::io::Error),
    /// SQLite refused for another reason.
    #[error("SQLite refused: {0}")]
    Backend(String),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::NotOurs,
            Some(ErrorCode::DatabaseCorrupt) => Self::Damaged(error.to_string()),
            Some(ErrorCode::ReadOnly) => Self::ReadOnly,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            _ => Self::Backend(error.to_string()),
        }
    }
}
