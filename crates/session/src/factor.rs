//! What a user showed to get into a session, and when.

use portcullis_core::Timestamp;

/// A way to show who one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Method {
    /// A password.
    Password,
    /// A code of an authenticator application (RFC 6238).
    Totp,
    /// A one-time code sent to the user.
    OneTimeCode,
    /// One of the codes given out at enrolment for when the second factor is lost.
    RecoveryCode,
    /// An approval on an enrolled device.
    Push,
    /// A passkey (WebAuthn), with the user verified.
    Passkey,
    /// Another identity provider's word.
    Federated,
    /// A client's key and secret.
    ApiKey,
}

impl Method {
    /// The method's stable name in logs: lower-case ASCII and underscores.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Totp => "totp",
            Self::OneTimeCode => "one_time_code",
            Self::RecoveryCode => "recovery_code",
            Self::Push => "push",
            Self::Passkey => "passkey",
            Self::Federated => "federated",
            Self::ApiKey => "api_key",
        }
    }

    /// Whether a page on another origin cannot pass it on (NIST SP 800-63B §3.2.5). That is a
    /// property of the method and of nothing a caller says: only a passkey is bound to the origin.
    #[must_use]
    pub const fn is_phishing_resistant(self) -> bool {
        matches!(self, Self::Passkey)
    }

    /// Whether it is an enrolled authenticator, in the user's hand at that moment. A recovery code
    /// stands in for one that is lost, and is none.
    #[must_use]
    pub const fn is_authenticator(self) -> bool {
        matches!(
            self,
            Self::Totp | Self::OneTimeCode | Self::Push | Self::Passkey
        )
    }

    /// Whether it counts as a factor beyond the first: something the user has.
    #[must_use]
    pub const fn is_second(self) -> bool {
        matches!(
            self,
            Self::Totp | Self::OneTimeCode | Self::RecoveryCode | Self::Push | Self::Passkey
        )
    }

    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Password => 1,
            Self::Totp => 2,
            Self::OneTimeCode => 3,
            Self::RecoveryCode => 4,
            Self::Push => 5,
            Self::Passkey => 6,
            Self::Federated => 7,
            Self::ApiKey => 8,
        }
    }

    pub(crate) const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Password,
            2 => Self::Totp,
            3 => Self::OneTimeCode,
            4 => Self::RecoveryCode,
            5 => Self::Push,
            6 => Self::Passkey,
            7 => Self::Federated,
            8 => Self::ApiKey,
            _ => return None,
        })
    }
}

/// A method and the instant at which it was last shown in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Factor {
    method: Method,
    at: Timestamp,
}

impl Factor {
    /// `method` was shown at `at`.
    #[must_use]
    pub const fn new(method: Method, at: Timestamp) -> Self {
        Self { method, at }
    }

    /// Which method.
    #[must_use]
    pub const fn method(self) -> Method {
        self.method
    }

    /// When it was shown.
    #[must_use]
    pub const fn at(self) -> Timestamp {
        self.at
    }

    /// Whether it withstands phishing; see [`Method::is_phishing_resistant`].
    #[must_use]
    pub const fn is_phishing_resistant(self) -> bool {
        self.method.is_phishing_resistant()
    }
}

/// As many as there are methods: each stands in a session once.
pub(crate) const MAX_FACTORS: usize = 8;

/// Notes `factor` among `factors`, in place of an earlier showing of the same method.
///
/// One claimed to be shown after `now` counts as shown now: no factor is younger than its record.
pub(crate) fn note(factors: &mut Vec<Factor>, factor: Factor, now: Timestamp) {
    let factor = Factor::new(factor.method, factor.at.min(now));
    match factors
        .iter_mut()
        .find(|known| known.method == factor.method)
    {
        // One that a clock gone back has left in the future would never be recent again, nor ever old.
        Some(known) => known.at = known.at.min(now).max(factor.at),
        None => factors.push(factor),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const ALL: [Method; MAX_FACTORS] = [
        Method::Password,
        Method::Totp,
        Method::OneTimeCode,
        Method::RecoveryCode,
        Method::Push,
        Method::Passkey,
        Method::Federated,
        Method::ApiKey,
    ];

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_unix_secs(secs)
    }

    #[test]
    fn each_method_has_one_code_and_no_other_code_is_read() {
        for method in ALL {
            assert_eq!(Method::from_code(method.code()), Some(method));
        }
        let read = (0..=u8::MAX).filter(|code| Method::from_code(*code).is_some());
        assert_eq!(read.count(), ALL.len());
    }

    #[test]
    fn a_factor_from_the_future_counts_as_shown_now_and_an_older_one_changes_nothing() {
        let mut factors = Vec::new();
        note(&mut factors, Factor::new(Method::Totp, at(900)), at(100));
        assert_eq!(factors, [Factor::new(Method::Totp, at(100))]);
        note(&mut factors, Factor::new(Method::Totp, at(50)), at(200));
        assert_eq!(factors, [Factor::new(Method::Totp, at(100))]);
        note(&mut factors, Factor::new(Method::Totp, at(200)), at(200));
        assert_eq!(factors, [Factor::new(Method::Totp, at(200))]);
        // The clock went back: shown again, it counts from then.
        note(&mut factors, Factor::new(Method::Totp, at(150)), at(150));
        assert_eq!(factors, [Factor::new(Method::Totp, at(150))]);
    }
}
