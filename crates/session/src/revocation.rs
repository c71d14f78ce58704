//! Why a session ended before its time.

use std::fmt;

/// Why a session was ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Revocation {
    /// Its user signed out, or an administrator ended it.
    SignedOut,
    /// All of its user's sessions were ended.
    AllSignedOut,
    /// A refresh token that had been used was used again.
    Reused,
    /// The user started another session than the policy admits.
    Evicted,
    /// A token newer than any the store knows of was shown: the store has lost acknowledged writes,
    /// and which holder has the newest token can no longer be told.
    RolledBack,
    /// It was given up before it began.
    Abandoned,
}

impl Revocation {
    /// The stable name in logs: lower-case ASCII and underscores.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignedOut => "signed_out",
            Self::AllSignedOut => "all_signed_out",
            Self::Reused => "reused",
            Self::Evicted => "evicted",
            Self::RolledBack => "rolled_back",
            Self::Abandoned => "abandoned",
        }
    }

    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::SignedOut => 1,
            Self::AllSignedOut => 2,
            Self::Reused => 3,
            Self::Evicted => 4,
            Self::RolledBack => 5,
            Self::Abandoned => 6,
        }
    }

    pub(crate) const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::SignedOut,
            2 => Self::AllSignedOut,
            3 => Self::Reused,
            4 => Self::Evicted,
            5 => Self::RolledBack,
            6 => Self::Abandoned,
            _ => return None,
        })
    }
}

impl fmt::Display for Revocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
