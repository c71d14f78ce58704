//! What a key is called, and where it counts.

use std::fmt;
use std::str::FromStr;

use crate::{Error, base32};

/// A key's name: 80 random bits, written as 16 characters of lower-case base32.
///
/// It goes into lists, logs and audit records. It proves nothing.
///
/// ```
/// use portcullis_api_key::KeyId;
///
/// let id: KeyId = "aaaqeayeaudaocaj".parse()?;
/// assert_eq!(id, KeyId::from_bytes([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]));
/// assert!("AAAQEAYEAUDAOCAJ".parse::<KeyId>().is_err());
/// # Ok::<(), portcullis_api_key::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; Self::LEN]);

impl KeyId {
    pub(crate) const LEN: usize = 10;
    pub(crate) const TEXT_LEN: usize = 16;

    /// The name of those 10 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 10]) -> Self {
        Self(bytes)
    }

    /// The 10 bytes behind the text.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 10] {
        &self.0
    }
}

impl FromStr for KeyId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        base32::decode(text)
            .map(|bytes| Self(*bytes))
            .ok_or(Error::Malformed)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(Self::TEXT_LEN);
        base32::append(&mut text, &self.0);
        f.pad(&text)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// Where a key counts. It is written into the key, so that people see which one they hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Environment {
    /// The service that people depend on.
    Live,
    /// A trial of it.
    Test,
}

impl Environment {
    /// `live` or `test`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }

    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Live => 1,
            Self::Test => 2,
        }
    }

    pub(crate) const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Live),
            2 => Some(Self::Test),
            _ => None,
        }
    }
}

impl FromStr for Environment {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "live" => Ok(Self::Live),
            "test" => Ok(Self::Test),
            _ => Err(Error::Malformed),
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_spelling_names_a_key() {
        let id = KeyId::from_bytes([0xff; 10]);
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in [
            "",
            "777777777777777",
            "77777777777777777",
            "777777777777777A",
            "777777777777777=",
            "777777777777777 ",
            "777777777777777\u{ff17}",
            "7777777777777\u{ff17}",
            "777777777777777a7",
            "777777777777777o1",
            "7777777777777771",
            "7777777777777770",
            "7777777777777778",
        ] {
            assert_eq!(text.parse::<KeyId>(), Err(Error::Malformed), "{text}");
        }
    }

    #[test]
    fn an_environment_has_one_spelling_and_one_code() {
        for environment in [Environment::Live, Environment::Test] {
            assert_eq!(environment.as_str().parse(), Ok(environment));
            assert_eq!(
                Environment::from_code(environment.code()),
                Some(environment)
            );
        }
        for text in ["", "Live", "prod", "live "] {
            assert_eq!(text.parse::<Environment>(), Err(Error::Malformed));
        }
        assert_eq!(Environment::from_code(0), None);
        assert_eq!(Environment::from_code(3), None);
    }
}
