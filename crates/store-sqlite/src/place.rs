//! Where a key is kept, and how an instant is.

use hmac::{Hmac, KeyInit, Mac};
use portcullis_core::{Key, Secret, Timestamp};
use sha2::Sha256;

/// What a row is kept under: 32 bytes that tell nothing of the caller's.
pub(crate) type Place = [u8; 32];

/// Maps keys to places under the file's own secret.
pub(crate) struct Places(Hmac<Sha256>);

impl Places {
    pub(crate) fn new(secret: &Secret) -> Option<Self> {
        Hmac::new_from_slice(secret.expose()).ok().map(Self)
    }

    /// HMAC-SHA256 over the scope's length, the scope and the key's 48 bytes.
    pub(crate) fn of(&self, key: &Key) -> Place {
        let scope = key.scope().as_str().as_bytes();
        let mut mac = self.0.clone();
        mac.update(&[u8::try_from(scope.len()).unwrap_or(u8::MAX)]);
        mac.update(scope);
        mac.update(&key.to_bytes());
        mac.finalize().into_bytes().into()
    }
}

/// The instant as SQLite's signed integer, in the same order: instants after 2262 fill the top bit.
pub(crate) const fn to_column(at: Timestamp) -> i64 {
    (at.as_unix_nanos() ^ TOP).cast_signed()
}

/// The instant that [`to_column`] was given.
pub(crate) const fn from_column(column: i64) -> Timestamp {
    Timestamp::from_unix_nanos(column.cast_unsigned() ^ TOP)
}

const TOP: u64 = 1 << 63;

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_core::Scope;
    use proptest::prelude::*;

    #[test]
    fn places_differ_by_scope_by_key_and_by_file() {
        let (one, two) = (Scope::new("one"), Scope::new("two"));
        let file = Places::new(&Secret::from(vec![1; 32])).unwrap();
        let other = Places::new(&Secret::from(vec![2; 32])).unwrap();
        let place = file.of(&Key::new(one, b"a"));
        assert_eq!(place, file.of(&Key::new(one, b"a")));
        assert_ne!(place, file.of(&Key::new(two, b"a")));
        assert_ne!(place, file.of(&Key::new(one, b"b")));
        assert_ne!(place, other.of(&Key::new(one, b"a")));
    }

    #[test]
    fn the_ends_of_time_are_the_ends_of_the_column() {
        assert_eq!(to_column(Timestamp::UNIX_EPOCH), i64::MIN);
        assert_eq!(to_column(Timestamp::MAX), i64::MAX);
    }

    proptest! {
        #[test]
        fn a_column_keeps_the_instant_and_the_order(one in any::<u64>(), two in any::<u64>()) {
            let (one, two) = (Timestamp::from_unix_nanos(one), Timestamp::from_unix_nanos(two));
            prop_assert_eq!(from_column(to_column(one)), one);
            prop_assert_eq!(one.cmp(&two), to_column(one).cmp(&to_column(two)));
        }
    }
}
