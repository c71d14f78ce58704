//! What can go wrong with a key, and for whom.

use portcullis_core::{EntropyUnavailable, Failure, IndexError, Reason, Timestamp};

use crate::PolicyError;

/// Why a key was not made, does not count, or was not changed; each of them means refuse.
///
/// The text and the `Debug` form hold no key and no owner.
///
/// # After `Error::Store(Failure::Unknown(_))`
/// The change may have been applied. A key that was created so has no holder: find it in the list by its
/// label and revoke it. A rotation that was applied so made a secret that nobody saw; the previous one
/// counts through its grace: create another key, move to it, revoke this one. Revoking again is harmless.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The policy is out of its bounds.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The store forgets when its process ends, and the policy does not allow that.
    #[error("keys must outlive the process and this store does not")]
    VolatileStore,
    /// The text is no key, no key's id or no environment.
    #[error("the text does not have the form of a key")]
    Malformed,
    /// The caller named no owner, or one longer than 255 bytes.
    #[error("an owner's name has 1 to 255 bytes")]
    OwnerRefused,
    /// The label cannot stand in a list and be read there.
    #[error("a label has 1 to 64 printable characters, at most 255 bytes")]
    LabelRefused,
    /// A scope is not one of RFC 6749 §3.3, is longer than 64 bytes, or is the 17th.
    #[error("a key has at most 16 scopes of 1 to 64 printable ASCII characters")]
    ScopeRefused,
    /// The key would have expired when it is made.
    #[error("the key's end has passed")]
    EndPassed,
    /// The owner has as many keys as the policy admits.
    #[error("the owner has as many keys as there is room for")]
    TooManyKeys,
    /// No key of that id, or not that owner's.
    #[error("no such key")]
    Unknown,
    /// The key is known and the secret is another.
    #[error("the key's secret is wrong")]
    SecretWrong,
    /// The key was good and its time is over, or that of the secret that was replaced.
    #[error("the key has expired")]
    Expired,
    /// The key was revoked.
    #[error("the key was revoked")]
    Revoked,
    /// The key is for an environment that this service does not accept.
    #[error("the key is for another environment")]
    OtherEnvironment,
    /// The key was rotated and the secret before it counts until then, or the rotation is seconds old.
    #[error("the key was rotated a short while ago; it can be again from {0} on")]
    RotationUnderWay(Timestamp),
    /// The key counts: revoke it before it is forgotten.
    #[error("the key counts; revoke it first")]
    StillCounts,
    /// Every id that was tried was taken, which chance alone does not bring about.
    #[error("no free id was found for the key")]
    Crowded,
    /// What the store holds does not decode. Nothing was changed, and nothing is granted.
    #[error("the stored key does not decode")]
    Corrupt,
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
            Self::Malformed => Reason::KeyMalformed,
            Self::Unknown => Reason::KeyUnknown,
            Self::SecretWrong => Reason::KeyWrong,
            Self::Expired => Reason::KeyExpired,
            Self::Revoked => Reason::KeyRevoked,
            Self::OtherEnvironment => Reason::KeyOfOtherEnvironment,
            Self::OwnerRefused
            | Self::LabelRefused
            | Self::ScopeRefused
            | Self::EndPassed
            | Self::TooManyKeys
            | Self::RotationUnderWay(_)
            | Self::StillCounts => Reason::BadRequest,
            Self::Crowded => Reason::Overloaded,
            Self::Store(failure) => Reason::from(failure),
            Self::Policy(_) | Self::VolatileStore | Self::Corrupt | Self::Entropy(_) => {
                Reason::Internal
            }
        }
    }
}

impl From<IndexError> for Error {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::Full(_) => Self::TooManyKeys,
            IndexError::Store(failure) => Self::Store(failure),
            // A member that is refused cannot come: each is as long as the others.
            _ => Self::Corrupt,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_core::{Cause, Scope};

    #[test]
    fn each_way_a_key_does_not_count_has_a_reason_of_its_own() {
        let cases = [
            (Error::Malformed, Reason::KeyMalformed),
            (Error::Unknown, Reason::KeyUnknown),
            (Error::SecretWrong, Reason::KeyWrong),
            (Error::Expired, Reason::KeyExpired),
            (Error::Revoked, Reason::KeyRevoked),
            (Error::OtherEnvironment, Reason::KeyOfOtherEnvironment),
            (Error::TooManyKeys, Reason::BadRequest),
            (Error::Corrupt, Reason::Internal),
            (Error::Store(Failure::Contended), Reason::StoreContended),
            (
                Error::Store(Failure::Unavailable(Cause::Closed)),
                Reason::StoreUnavailable,
            ),
        ];
        for (error, reason) in cases {
            assert_eq!(error.reason(), reason);
        }
    }

    #[test]
    fn a_full_index_and_a_corrupt_one_are_told_apart() {
        let scope = Scope::new("x");
        let cases = [
            (IndexError::Full(scope), Error::TooManyKeys),
            (IndexError::Corrupt(scope), Error::Corrupt),
            (
                IndexError::Store(Failure::Contended),
                Error::Store(Failure::Contended),
            ),
        ];
        for (from, to) in cases {
            assert_eq!(Error::from(from), to);
        }
    }
}
