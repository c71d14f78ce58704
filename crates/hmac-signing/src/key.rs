//! Who signs, and with what.

use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use portcullis_core::{Secret, Timestamp};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use crate::Error;
use crate::text::Short;

/// A key's id: 1 to 64 letters, digits and `-` `.` `_` `~`. It is sent in the clear and names no secret.
///
/// ```
/// use portcullis_hmac_signing::KeyId;
///
/// assert_eq!(KeyId::parse("partner-7")?.as_str(), "partner-7");
/// assert!(KeyId::parse("partner 7").is_err());
/// # Ok::<(), portcullis_hmac_signing::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId(Short);

impl KeyId {
    /// The id that `text` is.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::of(text.as_bytes()).ok_or(Error::Malformed("key id"))
    }

    pub(crate) fn of(text: &[u8]) -> Option<Self> {
        Short::of(text, 1, b"-._~").map(Self)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// A secret that signs: HMAC-SHA256 (RFC 2104) keyed once, its state copied for each request.
#[derive(Clone)]
pub struct SigningKey(Hmac<Sha256>);

impl SigningKey {
    /// The key of that secret: 32 to 1024 bytes, for the hash puts out 32 and fewer are easier to guess
    /// than a MAC (RFC 2104 §3); not one byte repeated, for that is a buffer nobody filled.
    ///
    /// ```
    /// use portcullis_core::Secret;
    /// use portcullis_hmac_signing::SigningKey;
    ///
    /// assert!(SigningKey::new(Secret::generate::<32>()?).is_ok());
    /// assert!(SigningKey::new(Secret::from(vec![0; 32])).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn new(secret: Secret) -> Result<Self, Error> {
        let bytes = secret.expose();
        let first = bytes.first();
        let filled = bytes.iter().any(|byte| Some(byte) != first);
        let keyed = Hmac::new_from_slice(bytes).ok();
        let long = (32..=1024).contains(&secret.len());
        // Wiped here: a secret that was handed over is not kept twice.
        drop(secret);
        keyed.filter(|_| long && filled).map(Self).ok_or(Error::Key)
    }

    /// The key of whoever has none: what it signs is refused all the same.
    pub(crate) fn decoy() -> Option<Self> {
        Hmac::new_from_slice(b"no key has this secret")
            .ok()
            .map(Self)
    }

    /// The MAC over the pieces that `feed` hands on.
    pub(crate) fn mac(&self, feed: impl FnOnce(&mut Hmac<Sha256>)) -> [u8; 32] {
        #[cfg(test)]
        counting::note();
        let mut mac = self.0.clone();
        feed(&mut mac);
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// The live keys of one key id: the current one, and for a while the one before.
///
/// Give each key id secrets of its own: a request is remembered under its key id.
///
/// Clones share them: a directory that keeps its secrets in memory hands them out at the cost of a count.
#[derive(Clone)]
pub struct Secrets(Arc<Live>);

#[derive(Clone)]
struct Live {
    current: Known,
    previous: Option<(Known, Timestamp)>,
}

/// A key, and since when anyone can have known it; nothing if that was not said.
#[derive(Clone)]
struct Known {
    key: SigningKey,
    since: Option<Timestamp>,
}

impl Known {
    fn of(key: SigningKey) -> Self {
        Self { key, since: None }
    }
}

impl Secrets {
    /// One key.
    #[must_use]
    pub fn new(current: SigningKey) -> Self {
        Self(Arc::new(Live {
            current: Known::of(current),
            previous: None,
        }))
    }

    /// The key before counts, too, while now is before `until`.
    #[must_use]
    pub fn and_previous(mut self, key: SigningKey, until: Timestamp) -> Self {
        Arc::make_mut(&mut self.0).previous = Some((Known::of(key), until));
        self
    }

    /// The current secret was known to nobody before `instant`: when it was made, as kept beside it. Of the
    /// one before it says nothing; see [`Secrets::previous_made_at`].
    ///
    /// Nothing can have been signed with it earlier, so a store whose memory begins earlier has seen whatever
    /// was, and a new partner's first request is taken at once. Unsaid, or said too early, it costs requests:
    /// those of the first seconds after the store's birth are refused. Said too late, it costs their being
    /// good once (save that an instant yet to come says nothing): with a request's own instant, or that of
    /// the service's start, what was captured before a restart is **accepted again** by a store that begins
    /// anew.
    #[must_use]
    pub fn made_at(mut self, instant: Timestamp) -> Self {
        Arc::make_mut(&mut self.0).current.since = Some(instant);
        self
    }

    /// As [`Secrets::made_at`], of the key before; without one, nothing.
    #[must_use]
    pub fn previous_made_at(mut self, instant: Timestamp) -> Self {
        if let Some((previous, _)) = &mut Arc::make_mut(&mut self.0).previous {
            previous.since = Some(instant);
        }
        self
    }

    /// Since when anyone can have known the key that signed, if that was said.
    pub(crate) fn known_since(&self, signed_by: SignedBy) -> Option<Timestamp> {
        match signed_by {
            SignedBy::Current => self.0.current.since,
            SignedBy::Previous => self.0.previous.as_ref()?.0.since,
        }
    }

    pub(crate) fn current(&self) -> &SigningKey {
        &self.0.current.key
    }

    pub(crate) fn previous(&self, now: Timestamp) -> Option<&SigningKey> {
        let previous = self.0.previous.as_ref();
        previous
            .filter(|(_, until)| now < *until)
            .map(|(previous, _)| &previous.key)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets")
            .field(
                "previous_until",
                &self.0.previous.as_ref().map(|(_, until)| until),
            )
            .field("made_at", &self.0.current.since)
            .finish_non_exhaustive()
    }
}

/// Which of a key id's secrets signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignedBy {
    Current,
    Previous,
}

/// Compares what was sent with each live secret's MAC; `mac` makes it.
///
/// Both live secrets are tried, whatever the first says. Whoever is refused, for the key or for the
/// signature, has cost two MACs: how many secrets there are, or none, is not told by the work.
pub(crate) fn compare(
    secrets: Option<&Secrets>,
    decoy: &SigningKey,
    sent: &[u8; 32],
    now: Timestamp,
    mac: impl Fn(&SigningKey) -> [u8; 32],
) -> Result<SignedBy, Error> {
    let same = |key: &SigningKey| is_same(&mac(key), sent);
    let by_current = same(secrets.map_or(decoy, Secrets::current));
    let previous = secrets.and_then(|secrets| secrets.previous(now));
    let by_previous = previous.is_some_and(same);
    if previous.is_none() && (secrets.is_none() || !by_current) {
        std::hint::black_box(same(decoy));
    }
    match (secrets, by_current, by_previous) {
        (None, ..) => Err(Error::KeyUnknown),
        (Some(_), true, _) => Ok(SignedBy::Current),
        (Some(_), false, true) => Ok(SignedBy::Previous),
        (Some(_), false, false) => Err(Error::Signature),
    }
}

/// In constant time. Four words are compared in place of 32 bytes: `subtle` keeps the compiler from looking
/// into each comparison, at a call's price for each.
fn is_same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    let ((one, _), (other, _)) = (one.as_chunks::<8>(), other.as_chunks::<8>());
    let same = one.iter().zip(other).map(|(one, other)| {
        let (one, other) = (u64::from_ne_bytes(*one), u64::from_ne_bytes(*other));
        one.ct_eq(&other)
    });
    same.fold(Choice::from(1), |all, same| all & same).into()
}

/// How many MACs this thread has made.
#[cfg(test)]
pub(crate) mod counting {
    use std::cell::Cell;

    thread_local!(static MADE: Cell<usize> = const { Cell::new(0) });

    pub(super) fn note() {
        MADE.set(MADE.get().saturating_add(1));
    }

    pub(crate) fn made(work: impl FnOnce()) -> usize {
        let before = MADE.get();
        work();
        MADE.get().saturating_sub(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bit_anywhere_makes_two_macs_different() {
        let one = [0x5a; 32];
        assert!(is_same(&one, &one));
        for bit in 0..256 {
            let mut other = one;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_same(&one, &other), "{bit}");
            assert!(!is_same(&other, &one), "{bit}");
        }
    }
}
