//! The bytes that a store keeps.

use std::fmt;

use crate::{Cause, Failure};

/// The bytes a step leaves under a key. Up to 30 bytes cost no allocation.
#[derive(Clone, PartialEq, Eq)]
pub struct Value(Held);

#[derive(Clone)]
enum Held {
    Inline(u8, [u8; Value::INLINE]),
    Boxed(Box<[u8]>),
}

impl Value {
    /// The longest value a store keeps: 256 KiB.
    pub const MAX_LEN: usize = 256 * 1024;
    const INLINE: usize = 30;

    /// A value of these bytes. Empty and over-long ones are refused by the store that is asked to
    /// keep them.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        let mut inline = [0; Self::INLINE];
        match (inline.get_mut(..bytes.len()), u8::try_from(bytes.len())) {
            (Some(room), Ok(len)) => {
                room.copy_from_slice(bytes);
                Self(Held::Inline(len, inline))
            }
            _ => Self(Held::Boxed(bytes.into())),
        }
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Held::Inline(len, bytes) => bytes.get(..usize::from(*len)).unwrap_or(bytes),
            Held::Boxed(bytes) => bytes,
        }
    }

    /// Whether a store may keep it; every backend asks before it writes.
    ///
    /// # Errors
    /// [`Cause::ValueRefused`] when it is empty or longer than [`Value::MAX_LEN`].
    pub fn check(&self) -> Result<(), Failure> {
        let len = self.as_bytes().len();
        if len == 0 || len > Self::MAX_LEN {
            return Err(Failure::Unavailable(Cause::ValueRefused { len }));
        }
        Ok(())
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        if bytes.len() <= Self::INLINE {
            Self::new(&bytes)
        } else {
            Self(Held::Boxed(bytes.into()))
        }
    }
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Inline(len, bytes), Self::Inline(other_len, other)) => {
                len == other_len && bytes == other
            }
            (Self::Boxed(bytes), Self::Boxed(other)) => bytes == other,
            // A length decides the form, so values of different forms differ.
            _ => false,
        }
    }
}

impl Eq for Held {}

impl fmt::Debug for Value {
    /// The length alone: the bytes may be sealed secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({} bytes)", self.as_bytes().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_value_shows_none_of_its_bytes() {
        assert_eq!(format!("{:?}", Value::new(b"seed")), "Value(4 bytes)");
    }

    #[test]
    fn a_value_takes_half_a_line_of_the_cache() {
        assert_eq!(size_of::<Value>(), 32);
    }

    #[test]
    fn values_a_store_must_not_keep_are_refused() {
        for len in [0, Value::MAX_LEN + 1] {
            let refused = Failure::Unavailable(Cause::ValueRefused { len });
            assert_eq!(Value::from(vec![7; len]).check(), Err(refused));
        }
        assert_eq!(Value::from(vec![7; Value::MAX_LEN]).check(), Ok(()));
    }

    proptest! {
        #[test]
        fn a_value_gives_back_its_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let value = Value::new(&bytes);
            prop_assert_eq!(value.as_bytes(), bytes.as_slice());
            prop_assert_eq!(Value::from(bytes.clone()), Value::new(&bytes));
        }
    }
}
