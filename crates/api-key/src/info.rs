//! What is shown of a key.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use portcullis_core::Timestamp;

use crate::key::Digest;
use crate::{ApiKey, Environment, Error, KeyId};

/// A key that was just made or rotated: the only time that its text is seen.
#[derive(Debug)]
#[non_exhaustive]
pub struct Made {
    /// The key itself, to show once.
    pub key: ApiKey,
    /// What lists show of it from now on.
    pub info: KeyInfo,
}

/// What lists show of a key: everything but its secret, of which nothing is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyInfo {
    /// The key's name.
    pub id: KeyId,
    /// Whose key it is.
    pub owner: String,
    /// What people call it.
    pub label: String,
    /// Where it counts.
    pub environment: Environment,
    /// What it may, sorted.
    pub scopes: Vec<String>,
    /// When the key was first made.
    pub created_at: Timestamp,
    /// When its present secret was made.
    pub secret_made_at: Timestamp,
    /// From when on its present secret counts no more.
    pub expires_at: Timestamp,
    /// When it was last accepted, to the minute; rotations leave it.
    pub last_used_at: Option<Timestamp>,
    /// Until when the secret before the present one counts, if it still does.
    pub previous_until: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// From when on it says that it must be rotated.
    pub(crate) rotate_from: Timestamp,
    /// The tags of the present secret and of the one before it.
    pub(crate) tags: (SecretTag, Option<SecretTag>),
}

/// Which of a key's secrets: what was given for it, such as a token, names it and so ends with it.
///
/// 64 bits of the digest that is kept of the secret. It is no secret, and tells nothing of one.
///
/// ```
/// use portcullis_api_key::SecretTag;
///
/// let tag: SecretTag = "0123456789abcdef".parse()?;
/// assert_eq!(tag.to_string(), "0123456789abcdef");
/// assert!("0123456789ABCDEF".parse::<SecretTag>().is_err());
/// # Ok::<(), portcullis_api_key::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SecretTag(u64);

impl SecretTag {
    pub(crate) fn of(digest: &Digest) -> Self {
        let (first, _) = digest.split_first_chunk().unwrap_or((&[0; 8], &[]));
        Self(u64::from_be_bytes(*first))
    }
}

impl fmt::Display for SecretTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for SecretTag {
    type Err = Error;

    /// The tag in its one spelling: 16 lower-case hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, Error> {
        let tag = u64::from_str_radix(text, 16).map(Self);
        // Signs, capitals and fewer digits are other spellings.
        tag.ok()
            .filter(|tag| tag.to_string() == text)
            .ok_or(Error::Malformed)
    }
}

/// Whether a key counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// It counts.
    Active,
    /// It counts until then, which is near: rotate it.
    RotateBy(Timestamp),
    /// Its secret is too old, or its end has come.
    Expired,
    /// It was revoked.
    Revoked,
}

impl KeyInfo {
    /// How the key stands at `now`.
    #[must_use]
    pub fn standing(&self, now: Timestamp) -> Standing {
        if self.revoked_at.is_some() {
            return Standing::Revoked;
        }
        // A clock that stepped back shows what one that stood still would.
        let now = now.max(self.secret_made_at);
        if now >= self.expires_at {
            Standing::Expired
        } else if now >= self.rotate_from {
            Standing::RotateBy(self.expires_at)
        } else {
            Standing::Active
        }
    }

    /// Whether what was given for that secret still counts: it is the present one, or the one before within
    /// its grace. Of a key that itself counts ([`crate::ApiKeys::standing`]).
    #[must_use]
    pub fn counts_for(&self, tag: SecretTag) -> bool {
        let (present, previous) = self.tags;
        tag == present || (self.previous_until.is_some() && previous == Some(tag))
    }

    /// How old the key's present secret is at `now`.
    #[must_use]
    pub const fn age(&self, now: Timestamp) -> Duration {
        now.saturating_since(self.secret_made_at)
    }
}
