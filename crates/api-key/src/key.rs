//! The key itself: one text, strict to read, and what is kept of it.

use std::fmt;

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::{Environment, Error, KeyId, base32};

/// A whole key, as its holder shows it; whether it counts, [`crate::ApiKeys::verify`] tells.
///
/// `portcullis_<environment>_<id>_<secret><checksum>`, 92 characters: `live` or `test`, then 10 random
/// bytes that name the key, 32 that prove it, and the CRC-32 of all characters before it, each in
/// lower-case base32 (RFC 4648 §6) without padding. The checksum tells a typing error from a wrong key
/// before anything is looked up, and lets a secret scanner tell a key from a text of its shape; it proves
/// nothing.
///
/// Wiped when dropped, and never compared: `Debug` shows the id alone.
///
/// ```
/// use portcullis_api_key::{ApiKey, Environment, Error};
///
/// let text = "portcullis_test_aaaqeayeaudaocaj_\
///     aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypqqxn6fry";
/// let key = ApiKey::parse(text)?;
/// assert_eq!(key.environment(), Environment::Test);
/// assert_eq!(key.id().to_string(), "aaaqeayeaudaocaj");
/// assert!(ApiKey::parse(&text.replace("test", "live")).is_err(), "the checksum");
/// # Ok::<(), Error>(())
/// ```
pub struct ApiKey {
    text: Zeroizing<String>,
    environment: Environment,
    id: KeyId,
    secret: Zeroizing<[u8; SECRET_LEN]>,
}

impl ApiKey {
    /// How many characters a key has.
    pub const LEN: usize = 92;

    /// What a scanner looks for: a regular expression in the syntax that POSIX ERE, PCRE and Rust's
    /// `regex` share. It finds every key; [`ApiKey::parse`] tells which of its finds are keys.
    pub const PATTERN: &str = "portcullis_(live|test)_[a-z2-7]{16}_[a-z2-7]{59}";

    /// Reads `text` strictly: one length, one spelling, the right checksum; no space around it.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::read(text).ok_or(Error::Malformed)
    }

    /// The key's name.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// Where the text says that the key counts.
    #[must_use]
    pub const fn environment(&self) -> Environment {
        self.environment
    }

    /// The whole text, secret included, to show once. Each call is a place a reviewer looks at.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    pub(crate) fn assemble(
        environment: Environment,
        id: KeyId,
        secret: &Zeroizing<[u8; SECRET_LEN]>,
    ) -> Self {
        // Its whole length at once, so that growing leaves no copy behind.
        let mut text = Zeroizing::new(String::with_capacity(Self::LEN));
        text.push_str(PREFIX);
        text.push_str(environment.as_str());
        text.push('_');
        base32::append(&mut text, id.as_bytes());
        text.push('_');
        base32::append(&mut text, secret.as_slice());
        let checksum = crc32fast::hash(text.as_bytes()).to_be_bytes();
        base32::append(&mut text, &checksum);
        Self {
            text,
            environment,
            id,
            secret: secret.clone(),
        }
    }

    /// What is kept of the key.
    pub(crate) fn digest(&self) -> Digest {
        digest(self.id, &self.secret)
    }

    fn read(text: &str) -> Option<Self> {
        if text.len() != Self::LEN {
            return None;
        }
        let (body, checksum) = text.split_at_checked(Self::LEN.checked_sub(CHECKSUM_CHARS)?)?;
        if *base32::decode(checksum)? != crc32fast::hash(body.as_bytes()).to_be_bytes() {
            return None;
        }
        let rest = body.strip_prefix(PREFIX)?;
        let (environment, rest) = rest.split_once('_')?;
        let (id, secret) = rest.split_once('_')?;
        Some(Self {
            environment: environment.parse().ok()?,
            id: id.parse().ok()?,
            secret: base32::decode(secret)?,
            text: Zeroizing::new(text.to_owned()),
        })
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// What is kept of a secret. One fast hash is enough for 256 random bits, and the id in it makes the
/// digest of one key worthless in another's row. Every part has one length, so no boundary can be moved.
pub(crate) fn digest(id: KeyId, secret: &[u8; SECRET_LEN]) -> Digest {
    let mut hash = Sha256::new();
    hash.update(DOMAIN);
    hash.update(id.as_bytes());
    hash.update(secret);
    hash.finalize().into()
}

/// What stands in the place of a secret.
pub(crate) type Digest = [u8; 32];

pub(crate) const SECRET_LEN: usize = 32;
const CHECKSUM_CHARS: usize = 7;
const PREFIX: &str = "portcullis_";
const DOMAIN: &[u8] = b"portcullis api-key secret 1";

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "tests")]
mod tests;
