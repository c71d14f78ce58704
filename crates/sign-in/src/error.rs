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
    /// The second factor is not accepted: the code is wrong or used, the sign-in it was for is over, or
    /// the account was locked or changed meanwhile.
    #[error("the second factor is not accepted")]
    SecondFactorRefused(Refused),
    /// A captcha is asked for and was not passed, or nothing of one came. Neither the account nor the
    /// password was looked at, and nothing was counted.
    #[error("a captcha is asked for and was not passed")]
    CaptchaRefused(Reason),
    /// The service has as many logins under way as it takes on, of this account or of all. Nothing was
    /// counted.
    #[error("as many logins are under way as the service takes on")]
    Overloaded {
        /// When to come back.
        retry_after: Duration,
    },
    /// The store, the table of users, the hasher, the audit log or the captcha's provider is away or at
    /// fault. Nobody was signed in.
    #[error("nobody can be signed in now: {0}")]
    Unavailable(Reason),
}

/// Why credentials were refused: for the log, and for nobody else.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Refused(Reason);

impl Refused {
    /// Only reasons that the wire answers alike: a name that is none is an unknown user here, and a
    /// stored hash that does not decode a wrong password. The audit log has the difference.
    pub(crate) const fn of_password(reason: Reason) -> Self {
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

    /// The same of a second factor; what was changed meanwhile ended the sign-in.
    pub(crate) const fn of_second_factor(reason: Reason) -> Self {
        match reason {
            Reason::SecondFactorWrong
            | Reason::SecondFactorReplayed
            | Reason::SecondFactorBlocked
            | Reason::AccountLocked => Self(reason),
            _ => Self(Reason::ChallengeInvalid),
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

    /// The refusal of that step, one for every reason.
    pub(crate) const fn refused(step: Step, reason: Reason) -> Self {
        match step {
            Step::Password => Self::Refused(Refused::of_password(reason)),
            Step::SecondFactor => Self::SecondFactorRefused(Refused::of_second_factor(reason)),
        }
    }

    /// What the wire may be told: one reason for every refusal of a password, one for every refusal of a
    /// second factor. Of a captcha it may be told all.
    #[must_use]
    pub const fn wire_reason(&self) -> Reason {
        match self {
            Self::Refused(_) => Reason::PasswordWrong,
            Self::SecondFactorRefused(_) => Reason::SecondFactorWrong,
            // Told as it is: it says nothing about an account.
            Self::CaptchaRefused(_) | Self::Overloaded { .. } | Self::Unavailable(_) => {
                self.log_reason()
            }
        }
    }

    /// What was wrong, for the log and for nobody else: see [`SignInError::wire_reason`].
    #[must_use]
    pub const fn log_reason(&self) -> Reason {
        match self {
            Self::Refused(Refused(reason))
            | Self::SecondFactorRefused(Refused(reason))
            | Self::CaptchaRefused(reason)
            | Self::Unavailable(reason) => *reason,
            Self::Overloaded { .. } => Reason::Overloaded,
        }
    }
}

/// Which of a login's two steps is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Password,
    SecondFactor,
}

/// Why a second factor was not enrolled, renewed or removed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FactorError {
    /// An authenticator is enrolled already: remove it first.
    #[error("an authenticator is enrolled already")]
    AlreadyEnrolled,
    /// There is none.
    #[error("no authenticator is enrolled")]
    NotEnrolled,
    /// No enrolment is under way, or its time is over: begin anew.
    #[error("no enrolment is under way, or its time is over")]
    NotPending,
    /// A recovery code was shown where a code of the authenticator is asked for.
    #[error("a recovery code does not do this; a code of the authenticator does")]
    NotByRecoveryCode,
    /// The account's name cannot be shown by an authenticator.
    #[error("the account's name cannot be shown by an authenticator")]
    AccountRefused,
    /// The code was not accepted, or nothing can be done now.
    #[error(transparent)]
    SignIn(#[from] SignInError),
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
        let refused = |reason| SignInError::refused(Step::Password, reason);
        let one = text(&refused(Reason::PasswordWrong));
        for (why, told) in cases {
            let error = refused(why);
            assert_eq!(error.log_reason(), told);
            assert_eq!(text(&error), one);
            assert_eq!(error.wire_reason(), Reason::PasswordWrong);
            let change = ChangeError::from(error.clone());
            assert_eq!(change.to_string(), error.to_string());
        }
    }

    #[test]
    fn every_refusal_of_a_second_factor_reads_the_same() {
        let cases = [
            (Reason::SecondFactorWrong, Reason::SecondFactorWrong),
            (Reason::SecondFactorReplayed, Reason::SecondFactorReplayed),
            (Reason::SecondFactorBlocked, Reason::SecondFactorBlocked),
            (Reason::AccountLocked, Reason::AccountLocked),
            (Reason::UserUnknown, Reason::ChallengeInvalid),
            (Reason::PasswordWrong, Reason::ChallengeInvalid),
        ];
        let text = |error: &SignInError| format!("{error} {error:?}");
        let refused = |reason| SignInError::refused(Step::SecondFactor, reason);
        let one = text(&refused(Reason::SecondFactorWrong));
        for (why, told) in cases {
            let error = refused(why);
            assert_eq!((error.log_reason(), text(&error)), (told, one.clone()));
            assert_eq!(error.wire_reason(), Reason::SecondFactorWrong);
        }
    }
}
