//! The closed vocabulary of what can be recorded.

use std::fmt;
use std::str::FromStr;

/// What happened. The vocabulary is closed: an event that is not here has no name in the log, so no
/// caller's text can ever become one.
///
/// ```
/// use portcullis_audit::Action;
///
/// assert_eq!(Action::FailedLogin.as_str(), "failed_login");
/// assert_eq!("lockout".parse(), Ok(Action::Lockout));
/// assert!("Lockout ".parse::<Action>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Action {
    /// A user signed in.
    Login,
    /// A sign-in was refused.
    FailedLogin,
    /// A user signed out.
    Logout,
    /// An account was locked after too many failures.
    Lockout,
    /// An administrator unlocked an account.
    Unlock,
    /// A refresh token was exchanged for a new one.
    Refresh,
    /// A refresh token that had been used was used again.
    RefreshReuse,
    /// A session was ended before its time.
    SessionRevoked,
    /// A user's password was changed.
    PasswordChanged,
    /// A user was added.
    UserCreated,
    /// A user may not sign in any more.
    UserDisabled,
    /// A user may sign in again.
    UserEnabled,
    /// A quota was used up.
    RateLimited,
    /// A known caller lacked the right to what it asked for.
    AccessDenied,
    /// A token was refused.
    TokenRefused,
    /// Someone read the log.
    AuditRead,
    /// Someone verified the log.
    AuditVerified,
    /// The password was right, and a second factor was asked for.
    SecondFactorAsked,
    /// An authenticator was enrolled: its first code was right.
    FactorEnrolled,
    /// An account's second factor was removed.
    FactorRemoved,
    /// An account was given new recovery codes in place of the old.
    RecoveryCodesMade,
    /// A recovery code was used up.
    RecoveryCodeUsed,
    /// A second factor was shown within a session.
    StepUp,
    /// A second factor was asked for within a session, and what was shown was refused.
    StepUpFailed,
    /// A second factor is blocked after too many wrong codes.
    FactorBlocked,
    /// A client application was registered.
    ClientRegistered,
    /// A client application was changed: its name, its tier, whether it may call.
    ClientChanged,
    /// The addresses that a client application may call from were changed.
    AddressListChanged,
    /// A client application was given a key: an API key, a signing secret, or its public key was registered.
    KeyCreated,
    /// A key was replaced by a new one; the old one counts through its grace.
    KeyRotated,
    /// A key was revoked.
    KeyRevoked,
    /// A key that counted no more was taken off its client's list.
    KeyForgotten,
    /// A client application was given an access token for its API key.
    ClientLogin,
    /// A client application was refused.
    ClientRefused,
    /// The service started.
    ServiceStarted,
    /// The service stopped in good order.
    ServiceStopped,
}

/// The text is not the name of an [`Action`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not the name of an audited action")]
#[non_exhaustive]
pub struct UnknownAction;

impl Action {
    /// Every action there is.
    pub const ALL: &[Self] = &[
        Self::Login,
        Self::FailedLogin,
        Self::Logout,
        Self::Lockout,
        Self::Unlock,
        Self::Refresh,
        Self::RefreshReuse,
        Self::SessionRevoked,
        Self::PasswordChanged,
        Self::UserCreated,
        Self::UserDisabled,
        Self::UserEnabled,
        Self::RateLimited,
        Self::AccessDenied,
        Self::TokenRefused,
        Self::AuditRead,
        Self::AuditVerified,
        Self::SecondFactorAsked,
        Self::FactorEnrolled,
        Self::FactorRemoved,
        Self::RecoveryCodesMade,
        Self::RecoveryCodeUsed,
        Self::StepUp,
        Self::StepUpFailed,
        Self::FactorBlocked,
        Self::ClientRegistered,
        Self::ClientChanged,
        Self::AddressListChanged,
        Self::KeyCreated,
        Self::KeyRotated,
        Self::KeyRevoked,
        Self::KeyForgotten,
        Self::ClientLogin,
        Self::ClientRefused,
        Self::ServiceStarted,
        Self::ServiceStopped,
    ];

    /// The action's stable name: lower-case ASCII and underscores.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.entry().1
    }

    /// The action's number in a record. Numbers are never given out twice.
    pub(crate) const fn code(self) -> u8 {
        self.entry().0
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|action| action.code() == code)
    }

    const fn entry(self) -> (u8, &'static str) {
        match self {
            Self::Login => (1, "login"),
            Self::FailedLogin => (2, "failed_login"),
            Self::Logout => (3, "logout"),
            Self::Lockout => (4, "lockout"),
            Self::Unlock => (5, "unlock"),
            Self::Refresh => (6, "refresh"),
            Self::RefreshReuse => (7, "refresh_reuse"),
            Self::SessionRevoked => (8, "session_revoked"),
            Self::PasswordChanged => (9, "password_changed"),
            Self::UserCreated => (10, "user_created"),
            Self::UserDisabled => (11, "user_disabled"),
            Self::UserEnabled => (12, "user_enabled"),
            Self::RateLimited => (13, "rate_limited"),
            Self::AccessDenied => (14, "access_denied"),
            Self::TokenRefused => (15, "token_refused"),
            Self::AuditRead => (16, "audit_read"),
            Self::AuditVerified => (17, "audit_verified"),
            Self::ServiceStarted => (18, "service_started"),
            Self::ServiceStopped => (19, "service_stopped"),
            Self::SecondFactorAsked => (20, "second_factor_asked"),
            Self::FactorEnrolled => (21, "factor_enrolled"),
            Self::FactorRemoved => (22, "factor_removed"),
            Self::RecoveryCodesMade => (23, "recovery_codes_made"),
            Self::RecoveryCodeUsed => (24, "recovery_code_used"),
            Self::StepUp => (25, "step_up"),
            Self::StepUpFailed => (26, "step_up_failed"),
            Self::FactorBlocked => (27, "factor_blocked"),
            Self::ClientRegistered => (28, "client_registered"),
            Self::ClientChanged => (29, "client_changed"),
            Self::AddressListChanged => (30, "address_list_changed"),
            Self::KeyCreated => (31, "key_created"),
            Self::KeyRotated => (32, "key_rotated"),
            Self::KeyRevoked => (33, "key_revoked"),
            Self::ClientLogin => (34, "client_login"),
            Self::ClientRefused => (35, "client_refused"),
            Self::KeyForgotten => (36, "key_forgotten"),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Action {
    type Err = UnknownAction;

    fn from_str(name: &str) -> Result<Self, UnknownAction> {
        let known = Self::ALL.iter().copied();
        known
            .into_iter()
            .find(|action| action.as_str() == name)
            .ok_or(UnknownAction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_actions_share_a_number_or_a_name_and_each_reads_back() {
        let codes: BTreeSet<_> = Action::ALL.iter().map(|action| action.code()).collect();
        let names: BTreeSet<_> = Action::ALL.iter().map(|action| action.as_str()).collect();
        assert_eq!(
            (codes.len(), names.len()),
            (Action::ALL.len(), Action::ALL.len())
        );
        for action in Action::ALL {
            assert_eq!(Action::from_code(action.code()), Some(*action));
            assert_eq!(action.as_str().parse(), Ok(*action));
        }
    }

    #[test]
    fn refuses_what_is_not_exactly_a_name() {
        for text in ["", "Login", "login ", "log", "login\0", "20"] {
            assert_eq!(text.parse::<Action>(), Err(UnknownAction), "{text:?}");
        }
        assert_eq!(Action::from_code(0), None);
        assert_eq!(Action::from_code(255), None);
    }
}
