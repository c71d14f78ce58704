//! What can go wrong with a session, and for whom.

use std::fmt;

use portcullis_core::{EntropyUnavailable, Failure, IndexError, Reason};

use crate::{PolicyError, Revocation, SessionId};

/// Why a session was not started, refreshed, shown or ended.
///
/// The text and the `Debug` form hold no token and no user; the fields of [`Error::Reused`] and
/// [`Error::Revoked`] do, for the audit record.
///
/// # After `Error::Store(Failure::Unknown(_))`
/// The change may have been applied. After a refresh the client tries again with the *same* token:
/// if the rotation was applied, that token is now the parent, and within the grace it is answered
/// with the child that was lost; if it was not, it is rotated now. After a start the session may
/// stand without a holder; it idles away. Revoking may simply be repeated.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The service's key is shorter than 32 bytes.
    #[error("the key of refresh tokens has at least 32 bytes")]
    KeyTooShort,
    /// The policy is out of its bounds.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The store forgets when its process ends, and the policy does not allow that.
    #[error("sessions must outlive the process and this store does not")]
    VolatileStore,
    /// The caller named no user, or one longer than 255 bytes.
    #[error("a user's id has 1 to 255 bytes")]
    UserRefused,
    /// The caller named no factor.
    #[error("a session starts with at least one factor")]
    FactorMissing,
    /// The client's text does not have the form of a refresh token.
    #[error("the text is not a refresh token")]
    Malformed,
    /// No session stands behind the token or id: there never was one, its time is over, or the
    /// token's tag is wrong. These are one answer on purpose.
    #[error("no such session")]
    NoSuchSession,
    /// A refresh token that had been used was used again; the whole family is revoked now.
    #[error("a used refresh token was used again; its session is revoked")]
    Reused {
        /// The session that is revoked now.
        session: SessionId,
        /// Whose it was.
        user: String,
    },
    /// The session was revoked before.
    #[error("the session was revoked: {why}")]
    Revoked {
        /// The revoked session.
        session: SessionId,
        /// Whose it was.
        user: String,
        /// Why it was revoked.
        why: Revocation,
    },
    /// The access token names no session, or not one of its subject's.
    #[error("the access token does not belong to the session it names")]
    NotOfThisSession,
    /// More sessions of one user are being started at once than there is room for.
    #[error("too many sessions of one user are being started at once")]
    Crowded,
    /// What the store holds does not decode. Nothing was changed, and nothing is granted.
    #[error("the stored session does not decode")]
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
            Self::UserRefused | Self::FactorMissing => Reason::BadRequest,
            Self::Malformed => Reason::TokenMalformed,
            Self::NoSuchSession | Self::NotOfThisSession => Reason::TokenInvalid,
            Self::Reused { .. } => Reason::TokenReplayed,
            Self::Revoked { .. } => Reason::TokenRevoked,
            Self::Crowded => Reason::Overloaded,
            Self::Store(failure) => Reason::from(failure),
            Self::KeyTooShort
            | Self::Policy(_)
            | Self::VolatileStore
            | Self::Corrupt
            | Self::Entropy(_) => Reason::Internal,
        }
    }
}

impl From<IndexError> for Error {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::Full(_) => Self::Crowded,
            IndexError::Store(failure) => Self::Store(failure),
            // A member that is refused cannot come: each is as long as the others.
            _ => Self::Corrupt,
        }
    }
}

impl fmt::Debug for Error {
    /// The text, which names no user; a session's name proves nothing and may be seen.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reused { session, .. } | Self::Revoked { session, .. } => {
                write!(f, "Error({self}, {session})")
            }
            _ => write!(f, "Error({self})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_the_text_nor_the_debug_form_names_the_user() {
        let session = SessionId::from_bytes([1; 16]);
        let user = String::from("alice@example.com");
        let errors = [
            Error::Reused {
                session,
                user: user.clone(),
            },
            Error::Revoked {
                session,
                user,
                why: Revocation::SignedOut,
            },
        ];
        for error in errors {
            assert!(!format!("{error} {error:?}").contains("alice"));
            assert!(format!("{error:?}").contains(&session.to_string()));
        }
    }

    #[test]
    fn a_replay_a_revoked_and_an_unknown_session_have_reasons_of_their_own() {
        let session = SessionId::from_bytes([1; 16]);
        let user = String::from("alice");
        let why = Revocation::Evicted;
        let cases = [
            (Error::Malformed, Reason::TokenMalformed),
            (Error::NoSuchSession, Reason::TokenInvalid),
            (
                Error::Reused {
                    session,
                    user: user.clone(),
                },
                Reason::TokenReplayed,
            ),
            (Error::Revoked { session, user, why }, Reason::TokenRevoked),
            (Error::Store(Failure::Contended), Reason::StoreContended),
            (Error::Corrupt, Reason::Internal),
        ];
        for (error, reason) in cases {
            assert_eq!(error.reason(), reason);
        }
    }
}
