//! Bytes that must not be seen.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{EntropyUnavailable, entropy};

/// Secret bytes: wiped when dropped, redacted in `Debug`, compared in constant time.
///
/// There is no `Display`, no serialisation and no way to read the bytes but [`Secret::expose`], so
/// that every use of them can be found by name. Equality takes time that depends on the two lengths
/// alone.
///
/// ```
/// use portcullis_core::Secret;
///
/// let held = Secret::from(b"correct horse".as_slice());
/// assert!(held == Secret::from(b"correct horse".as_slice()));
/// assert_eq!(format!("{held:?}"), "Secret(..)");
/// ```
#[derive(Clone)]
pub struct Secret(Zeroizing<Box<[u8]>>);

impl Secret {
    /// `N` fresh bytes from the operating system.
    ///
    /// # Errors
    /// [`EntropyUnavailable`] when the system gives none.
    pub fn generate<const N: usize>() -> Result<Self, EntropyUnavailable> {
        let bytes = Zeroizing::new(entropy::<N>()?);
        Ok(Self::from(bytes.as_slice()))
    }

    /// The bytes themselves. Each call is a place a reviewer looks at.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// How many bytes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&[u8]> for Secret {
    fn from(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }
}

impl From<Vec<u8>> for Secret {
    /// Takes the bytes over; a vector with spare room is copied and the original wiped.
    fn from(bytes: Vec<u8>) -> Self {
        let bytes = Zeroizing::new(bytes);
        Self::from(bytes.as_slice())
    }
}

impl From<String> for Secret {
    /// Takes the text's UTF-8 bytes over.
    fn from(text: String) -> Self {
        Self::from(text.into_bytes())
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unequal_secrets_differ_in_any_byte_or_length() {
        let held = Secret::from(vec![1, 2, 3]);
        for other in [
            vec![],
            vec![1, 2],
            vec![1, 2, 4],
            vec![0, 2, 3],
            vec![1, 2, 3, 0],
        ] {
            assert_ne!(held, Secret::from(other));
        }
        assert_eq!(held, held.clone());
    }

    #[test]
    fn debug_shows_nothing_of_the_bytes() {
        let text = format!("{:?}", Secret::from(String::from("hunter2")));
        assert_eq!(text, "Secret(..)");
    }

    #[test]
    fn generated_secrets_are_as_long_as_asked_and_not_the_same() {
        let (one, two) = (
            Secret::generate::<32>().unwrap(),
            Secret::generate::<32>().unwrap(),
        );
        assert_eq!(one.len(), 32);
        assert_ne!(one, two);
    }
}
