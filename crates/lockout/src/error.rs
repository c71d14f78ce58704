//! What can go wrong.

use portcullis_core::{EntropyUnavailable, Failure, IndexError, Reason};

/// Why an attempt could not be counted; each of them means refuse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store failed. Under [`Failure::Unknown`] the change may have been applied: a reservation
    /// that nobody holds lapses by itself.
    #[error(transparent)]
    Store(#[from] Failure),
    /// What the store holds for this account is not a lockout state. Nothing is granted until
    /// [`crate::Lockout::unlock`] removes it.
    #[error("the account's lockout state does not decode")]
    Corrupt,
    /// The list of locked accounts cannot be read.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The operating system gave no randomness to tell reservations apart with.
    #[error(transparent)]
    Entropy(#[from] EntropyUnavailable),
}

impl Error {
    /// What the log and the audit trail are told.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Store(failure) | Self::Index(IndexError::Store(failure)) => failure.into(),
            Self::Corrupt | Self::Index(_) | Self::Entropy(_) => Reason::Internal,
        }
    }
}
