//! Why nobody was signed in.

use std::time::Duration;

use portcullis_core::Reason;

use crate::PasswordFault;

/// Why nobody was signed in.
///
/// [`SignInError::Refused`] is one answer for an unknown user, a wrong password, a locked, crowded or
/// closed account: its text and its `Debug` form are the same for all of them, and
/// [`SignInError::log_reason`] tells the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignInError {
    /// The credentials are not accepted.
    #[error("the credentials are not accepted")]
    Refused(Refused),
    /// The service has as many logins under way as it takes on, of this account or of all. Nothing was
    /// counted.
    #[error("as many logins are under way as the service takes on")]
    Overloaded {
        /// When to come back.
        retry_after: Duration,
    },
    /// The store, the table of users, the hasher or the audit log is away or at fault. Nobody was
    /// signed in.
    #[error("nobody can be signed in now: {0}")]
    Unavailable(Reason),
}

/// Why credentials were refused: for the log, and for nobody else.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Refused(Reason);

impl Refused {
    /// Only reasons that the wire answers alike: a name that is none is an unknown user here, and a
    /// stored hash that does not decode a wrong password. The audit log has the difference.
    pub(crate) const fn new(reason: Reason) -> Self {
        match reason {
            Reason::UserUnknown
            | Reason::UserDisabled
            | Reason::PasswordWrong
            | Reason::AccountLocked
            | Reason::AttemptsExceeded => Self(reason),
            Reason::BadRequest => Self(Reason::UserUnknown),
            _ => Self(Reason::PasswordWrong),
        }
    }
}

impl std::fmt::Debug for Refused {
    /// The same for every reason: a `Debug` form ends up in answers.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Refused(..)")
    }
}

impl SignInError {
    pub(crate) const OVERLOADED: Self = Self::Overloaded {
        retry_after: RETRY_AFTER,
    };

    pub(crate) const fn refused(reason: Reason) -> Self {
        Self::Refused(Refused::new(reason))
    }

    /// What was wrong, for the log. The function that answers the wire maps every reason for refused
    /// credentials to one answer.
    #[must_use]
    pub const fn log_reason(&self) -> Reason {
        match self {
            Self::Refused(Refused(reason)) | Self::Unavailable(reason) => *reason,
            Self::Overloaded { .. } => Reason::Overloaded,
        }
    }
}

/// Why a password was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// The new password may not be one. The old one was not looked at, and nothing was counted.
    #[error(transparent)]
    NewPassword(#[from] PasswordFault),
    /// The old password was not accepted, or nobody can be signed in now.
    #[error(transparent)]
    SignIn(#[from] SignInError),
}

/// Time for what is under way to be done.
const RETRY_AFTER: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_reads_the_same_and_carries_a_reason_that_the_wire_answers_alike() {
        let cases = [
            (Reason::UserUnknown, Reason::UserUnknown),
            (Reason::UserDisabled, Reason::UserDisabled),
            (Reason::PasswordWrong, Reason::PasswordWrong),
            (Reason::AccountLocked, Reason::AccountLocked),
            (Reason::AttemptsExceeded, Reason::AttemptsExceeded),
            (Reason::BadRequest, Reason::UserUnknown),
            (Reason::Internal, Reason::PasswordWrong),
        ];
        let text = |error: &SignInError| format!("{error} {error:?}");
        let one = text(&SignInError::refused(Reason::PasswordWrong));
        for (why, told) in cases {
            let error = SignInError::refused(why);
            assert_eq!(error.log_reason(), told);
            assert_eq!(text(&error), one);
            let change = ChangeError::from(error.clone());
            assert_eq!(change.to_string(), error.to_string());
        }
    }
}
