//! What a value is kept under.

use std::fmt;
use std::hash::{Hash, Hasher};

use sha2::{Digest, Sha256};

/// A family of keys with one meaning, one format and one cap: `session`, `lockout`.
///
/// ```
/// use portcullis_core::Scope;
///
/// const LOCKOUT: Scope = Scope::new("lockout");
/// assert_eq!(LOCKOUT.as_str(), "lockout");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(&'static str);

impl Scope {
    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 32;

    /// A scope of that name: 1 to 32 printable ASCII characters.
    ///
    /// # Panics
    /// On any other name; in a `const`, where scopes belong, that stops the build.
    #[must_use]
    #[expect(
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "evaluated when a constant is built; the index stays below the length"
    )]
    pub const fn new(name: &'static str) -> Self {
        let bytes = name.as_bytes();
        if bytes.is_empty() || bytes.len() > Self::MAX_LEN {
            panic!("a scope's name has 1 to 32 characters");
        }
        let mut at = 0;
        while at < bytes.len() {
            if !bytes[at].is_ascii_graphic() {
                panic!("a scope's name is printable ASCII");
            }
            at += 1;
        }
        Self(name)
    }

    /// The name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// What a value is kept under: a scope and the caller's bytes, in 64 bytes whatever their length.
///
/// Up to 46 bytes are held as they are; longer ones by their SHA-256 digest, marked as such, so a
/// caller cannot make a key large and two spellings cannot meet. Backends that leave the process
/// hash the key once more under a secret of their own, so nothing personal is kept at rest.
///
/// ```
/// use portcullis_core::{Key, Scope};
///
/// const LOGIN: Scope = Scope::new("login");
/// // Parts are length-delimited: moving a boundary makes another key.
/// assert_ne!(Key::of(LOGIN, &[b"ab", b"c"]), Key::of(LOGIN, &[b"a", b"bc"]));
/// ```
#[derive(Clone, Copy)]
pub struct Key {
    scope: Scope,
    len: u8,
    bytes: [u8; Self::INLINE],
}

impl Key {
    const INLINE: usize = 47;
    /// `len` of a key held by its digest; no inline key is that long.
    const DIGESTED: u8 = u8::MAX;

    /// The key of one string of bytes. Short ones, such as addresses and ids, cost a copy.
    #[must_use]
    pub fn new(scope: Scope, bytes: &[u8]) -> Self {
        Self::of(scope, &[bytes])
    }

    /// The key of several parts, each delimited by its length.
    #[must_use]
    pub fn of(scope: Scope, parts: &[&[u8]]) -> Self {
        Self::inline(scope, parts).unwrap_or_else(|| Self::digested(scope, parts))
    }

    /// Each part as one length byte and its bytes, if all of them fit.
    fn inline(scope: Scope, parts: &[&[u8]]) -> Option<Self> {
        let mut bytes = [0; Self::INLINE];
        let mut at = 0_usize;
        for part in parts {
            let end = at.checked_add(1)?.checked_add(part.len())?;
            let room = bytes.get_mut(at..end)?;
            let (length, rest) = room.split_first_mut()?;
            *length = u8::try_from(part.len()).ok()?;
            rest.copy_from_slice(part);
            at = end;
        }
        Some(Self {
            scope,
            len: u8::try_from(at).ok()?,
            bytes,
        })
    }

    fn digested(scope: Scope, parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            hash.update(part);
        }
        let mut bytes = [0; Self::INLINE];
        for (to, from) in bytes.iter_mut().zip(hash.finalize()) {
            *to = from;
        }
        Self {
            scope,
            len: Self::DIGESTED,
            bytes,
        }
    }

    /// The family this key belongs to.
    #[must_use]
    pub const fn scope(&self) -> Scope {
        self.scope
    }

    /// The key in a form no other key of the scope shares, for a backend to hash: one byte that
    /// tells how it is held, then 47 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 48] {
        let mut out = [0; 48];
        let (first, rest) = out.split_at_mut(1);
        first.copy_from_slice(&[self.len]);
        rest.copy_from_slice(&self.bytes);
        out
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.bytes == other.bytes && self.scope == other.scope
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Unused bytes are zero, so the whole array is as good as its used part and hashes in one go.
        self.scope.0.hash(state);
        state.write_u8(self.len);
        state.write(&self.bytes);
    }
}

impl fmt::Debug for Key {
    /// The scope alone: the bytes may be a person's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, ..)", self.scope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ONE: Scope = Scope::new("one");
    const TWO: Scope = Scope::new("two");

    #[test]
    fn a_key_shows_none_of_its_bytes() {
        assert_eq!(
            format!("{:?}", Key::new(ONE, b"alice@example.org")),
            "Key(one, ..)"
        );
    }

    proptest! {
        #[test]
        fn keys_are_equal_only_when_scope_and_every_part_are(
            left in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..4),
            right in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..4),
        ) {
            let (a, b): (Vec<&[u8]>, Vec<&[u8]>) =
                (left.iter().map(Vec::as_slice).collect(), right.iter().map(Vec::as_slice).collect());
            prop_assert_eq!(Key::of(ONE, &a) == Key::of(ONE, &b), left == right);
            prop_assert_ne!(Key::of(ONE, &a), Key::of(TWO, &a));
            prop_assert_eq!(Key::of(ONE, &a).to_bytes() == Key::of(ONE, &b).to_bytes(), left == right);
        }

        #[test]
        fn moving_a_boundary_makes_another_key(bytes in proptest::collection::vec(any::<u8>(), 1..90), cut in any::<proptest::sample::Index>()) {
            let (head, tail) = bytes.split_at(cut.index(bytes.len()));
            prop_assert_ne!(Key::of(ONE, &[head, tail]), Key::of(ONE, &[&bytes]));
        }
    }
}
