//! What can go wrong with a second factor, and for whom.

use portcullis_core::{EntropyUnavailable, Failure, Reason, SealError};

use crate::PolicyError;

/// Why a second factor was not shown, enrolled or changed; each of them means refuse.
///
/// The text and the `Debug` form hold no code, no secret and no user.
///
/// # After `Error::Store(Failure::Unknown(_))`
/// The change may have been applied. A code may be used up: ask for the next one. An enrolment is begun
/// again; after a confirmation look at [`crate::SecondFactors::standing`], and if it is enrolled, make
/// new recovery codes, since nobody saw these.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The policy is out of its bounds.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The service's pepper is shorter than 32 bytes.
    #[error("the pepper of recovery codes has at least 32 bytes")]
    PepperTooShort,
    /// The store forgets when its process ends, and the policy does not allow that.
    #[error("second factors must outlive the process and this store does not")]
    VolatileStore,
    /// The caller named no user, or one longer than 255 bytes.
    #[error("a user's id has 1 to 255 bytes")]
    UserRefused,
    /// The account's name cannot stand in an authenticator.
    #[error("an account's name has 1 to 128 printable bytes and no colon")]
    AccountRefused,
    /// The text is neither six digits nor a recovery code.
    #[error("the text is neither a code of six digits nor a recovery code")]
    CodeMalformed,
    /// The user has no second factor.
    #[error("the user has no second factor")]
    NotEnrolled,
    /// The user has one: remove it first.
    #[error("the user has a second factor already")]
    AlreadyEnrolled,
    /// No enrolment is under way, or its time is over.
    #[error("no enrolment is under way")]
    NotPending,
    /// The code is wrong, and counted if it was one of six digits.
    #[error("the code is wrong")]
    Wrong {
        /// Whether the second factor is blocked since this code.
        newly_blocked: bool,
    },
    /// The code is right and was used before, or could have been before the store's memory begins. Not
    /// counted.
    #[error("the code was used before")]
    Replayed,
    /// Too many wrong codes: only a recovery code or an administrator helps.
    #[error("too many wrong codes")]
    Blocked,
    /// The proof is older than the policy admits for this act.
    #[error("the second factor was shown too long ago")]
    ProofTooOld,
    /// The second factor has changed since the proof.
    #[error("the second factor has changed since it was shown")]
    ProofOutdated,
    /// A recovery code does not make new recovery codes.
    #[error("a recovery code does not make new ones")]
    NotByRecoveryCode,
    /// What the store holds does not decode. Nothing is granted until
    /// [`crate::SecondFactors::dangerous_reset`] removes it.
    #[error("the stored second factor does not decode")]
    Corrupt,
    /// The stored secret does not open.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The operating system gave no randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyUnavailable),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Failure),
}

impl Error {
    /// What was wrong, for log and audit.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::UserRefused
            | Self::AccountRefused
            | Self::CodeMalformed
            | Self::AlreadyEnrolled
            | Self::NotPending => Reason::BadRequest,
            Self::NotEnrolled => Reason::SecondFactorMissing,
            Self::Wrong { .. } => Reason::SecondFactorWrong,
            Self::Replayed => Reason::SecondFactorReplayed,
            Self::Blocked => Reason::SecondFactorBlocked,
            Self::ProofTooOld | Self::ProofOutdated | Self::NotByRecoveryCode => {
                Reason::SecondFactorRequired
            }
            Self::Seal(error) => error.reason(),
            Self::Store(failure) => Reason::from(failure),
            Self::Policy(_)
            | Self::PepperTooShort
            | Self::VolatileStore
            | Self::Corrupt
            | Self::Entropy(_) => Reason::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_replayed_blocked_and_missing_have_reasons_of_their_own() {
        let newly_blocked = true;
        let cases = [
            (Error::Wrong { newly_blocked }, Reason::SecondFactorWrong),
            (Error::Replayed, Reason::SecondFactorReplayed),
            (Error::Blocked, Reason::SecondFactorBlocked),
            (Error::NotEnrolled, Reason::SecondFactorMissing),
            (Error::ProofTooOld, Reason::SecondFactorRequired),
            (Error::CodeMalformed, Reason::BadRequest),
            (Error::Corrupt, Reason::Internal),
            (Error::Seal(SealError::Forged), Reason::Internal),
            (Error::Store(Failure::Contended), Reason::StoreContended),
        ];
        for (error, reason) in cases {
            assert_eq!(error.reason(), reason);
        }
    }
}
