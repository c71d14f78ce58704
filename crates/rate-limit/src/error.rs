//! What can go wrong, by whose fault.

use portcullis_core::{Failure, Reason, Scope};

/// Why a setting was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// A quota of nothing admits nobody; leave the route out instead.
    #[error("a quota has a count of at least 1")]
    CountZero,
    /// The period is zero or longer than 366 days.
    #[error("a quota's period is above zero and at most 366 days")]
    PeriodRefused,
    /// A burst of nothing admits nobody.
    #[error("a burst is at least 1")]
    BurstZero,
    /// A burst that takes longer than 366 days to refill.
    #[error("a burst refills within 366 days")]
    BurstTooLarge,
    /// A strict quota remembers each unit, and 64 are the most.
    #[error("a strict quota counts to 64 at most")]
    StrictCountTooLarge,
    /// A strict quota has no burst other than its count.
    #[error("a strict quota has no burst of its own")]
    StrictBurst,
    /// A limiter holds 1 to 2^26 keys.
    #[error("a limiter holds 1 to 67108864 keys")]
    KeysRefused,
    /// A limiter keeps the pace that it was made with.
    #[error("a limiter's pace cannot change while it runs")]
    PaceChanged,
}

/// Why a [`crate::StoreLimiter`] gave no decision. A caller that is unsure refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What the store holds is not a limiter's state; nothing is changed and nobody admitted.
    #[error("a limiter's state in scope {0} does not decode")]
    Corrupt(Scope),
    /// The store failed. After [`Failure::Unknown`] the charge may stand.
    #[error(transparent)]
    Store(#[from] Failure),
}

impl Error {
    /// What log and audit learn.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Corrupt(_) => Reason::Internal,
            Self::Store(failure) => failure.into(),
        }
    }
}
