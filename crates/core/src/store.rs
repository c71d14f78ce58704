//! The only port that primitives see: one pure transition on a few bytes under a key.

use std::fmt;
use std::future::Future;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::Timestamp;

/// State that must hold across requests and machines: a few bytes under a key, changed by a pure
/// function of those bytes.
///
/// # The laws
/// 1. **One indivisible act.** The bytes a step saw and the bytes it left are adjacent in the key's
///    history. A store that answers twice from the same bytes lets a token be spent twice.
/// 2. **The answer returned is the answer of the run that counted.** A step may run several times
///    (a lost race, a retried transaction); only its last run is kept and answered.
/// 3. **Nothing written on failure**, save under [`Failure::Unknown`], where the change was applied
///    once, will be, or never was. A store never retries after an unknown outcome.
/// 4. **Never early.** A value stands at least until its `expires_at`, judged by the callers' `now`.
///    Forgetting early grants again. Keeping longer is always allowed: every primitive here decides
///    on an expired value as on none.
/// 5. **Keys do not touch.** Two keys that differ in scope or bytes never share a value.
/// 6. **Dropped is not lost.** A caller that goes away before its step ran costs nothing; after
///    that its step applies at most once, and nobody else's answer is lost.
/// 7. **A panicking step reaches its own caller alone**, and writes nothing.
/// 8. **Acknowledged is kept**, as far as [`Store::durability`] says.
/// 9. **The step is obeyed.** Each [`Next`] does what it says, for every value that is admitted.
/// 10. **Never an empty slice.** A step is shown the bytes there are, or none.
///
/// A backend is one that passes `testing::store_conformance`.
///
/// # What a wrong answer costs a backend's author
/// A wrong "written" means two winners: a replayed token, a second use of a code. A wrong
/// [`Failure::Contended`] costs the caller a retry. A lost reply reported as
/// [`Failure::Unavailable`] makes a guard try again what may have been applied; a refusal reported
/// as [`Failure::Unknown`] makes a guard treat as used what was not.
pub trait Store: Send + Sync {
    /// Runs `step` on the key's present bytes and does what it says, as one act.
    ///
    /// `now` is the request's instant; a store uses it to tell which values may be cleaned away, and
    /// may show a step bytes that have expired, but never an empty slice. `step` must be pure: it
    /// can run more than once, on another thread.
    ///
    /// # Errors
    /// See [`Failure`]; each guard's policy says what each of them means to it.
    fn update<T, F>(
        &self,
        key: Key,
        now: Timestamp,
        step: F,
    ) -> impl Future<Output = Result<T, Failure>> + Send
    where
        F: Fn(Option<&[u8]>) -> (T, Next) + Send + 'static,
        T: Send + 'static;

    /// What becomes of acknowledged values when the process or the machine stops.
    fn durability(&self) -> Durability;

    /// When this store's memory begins. A guard of one-time things refuses whatever could have been
    /// used before: the record of that use may be gone.
    fn birth(&self) -> Timestamp;
}

impl<S: Store> Store for Arc<S> {
    fn update<T, F>(
        &self,
        key: Key,
        now: Timestamp,
        step: F,
    ) -> impl Future<Output = Result<T, Failure>> + Send
    where
        F: Fn(Option<&[u8]>) -> (T, Next) + Send + 'static,
        T: Send + 'static,
    {
        (**self).update(key, now, step)
    }

    fn durability(&self) -> Durability {
        (**self).durability()
    }

    fn birth(&self) -> Timestamp {
        (**self).birth()
    }
}

/// What a step wants done with the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Leave the value as it is; the decision needs the fresh one.
    Keep,
    /// Leave the value as it is; the decision also holds on the last value a store has seen. Only
    /// for state that nobody can relax, such as a throttled limiter; a lock that an administrator
    /// can lift is [`Next::Keep`].
    Settled,
    /// Replace the value.
    Put {
        /// The new bytes; never empty.
        value: Value,
        /// Until when it must be kept; [`Timestamp::MAX`] for durable records.
        expires_at: Timestamp,
    },
    /// Forget the key.
    Remove,
}

/// Whether acknowledged values outlive the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// They vanish with the process, or may after a crash. Records that must not vanish refuse such
    /// a store.
    Volatile,
    /// They survive kill -9 and power loss, as far as the disk keeps what it synced.
    Durable,
}

/// Why an update did not give an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The key was contended past the deadline; nothing was written.
    #[error("the key was contended past the deadline; nothing was written")]
    Contended,
    /// The store refused or could not be reached; nothing was written.
    #[error("the store could not serve the call and nothing was written: {0}")]
    Unavailable(Cause),
    /// The reply was lost: the change was applied once, will be, or never was.
    #[error("the store's reply was lost and the change may have been applied: {0}")]
    Unknown(Cause),
}

/// What stood behind a [`Failure`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The scope holds as many live keys as its cap admits.
    #[error("scope {scope} holds as many live keys as its cap admits")]
    Full {
        /// The scope that is full.
        scope: Scope,
    },
    /// A step asked to put an empty value, or one longer than [`Value::MAX_LEN`].
    #[error("a step asked to keep {len} bytes; 1 to {max} are kept", max = Value::MAX_LEN)]
    ValueRefused {
        /// How many bytes the step asked to keep.
        len: usize,
    },
    /// The store has been closed.
    #[error("the store is closed")]
    Closed,
    /// The backend's own words, which hold no caller's bytes.
    #[error("{0}")]
    Backend(Arc<str>),
}

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

/// The bytes a step leaves under a key. Up to 31 bytes cost no allocation.
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
    const INLINE: usize = 31;

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

    const ONE: Scope = Scope::new("one");
    const TWO: Scope = Scope::new("two");

    #[test]
    fn a_key_shows_none_of_its_bytes() {
        assert_eq!(
            format!("{:?}", Key::new(ONE, b"alice@example.org")),
            "Key(one, ..)"
        );
        assert_eq!(format!("{:?}", Value::new(b"seed")), "Value(4 bytes)");
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

        #[test]
        fn a_value_gives_back_its_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let value = Value::new(&bytes);
            prop_assert_eq!(value.as_bytes(), bytes.as_slice());
            prop_assert_eq!(Value::from(bytes.clone()), Value::new(&bytes));
        }
    }
}
