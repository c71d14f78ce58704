//! Secrets that must be read back, encrypted for the one place they are kept at.

use std::fmt;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit, Nonce};
use zeroize::Zeroizing;

use crate::{Key, Reason, Secret};

/// Encrypts secrets at rest with ChaCha20-Poly1305 (RFC 8439).
///
/// What is sealed for one [`Key`] opens under no other: whoever can write to the store cannot give one
/// user another's seed. One key seals; older ones go on opening what they sealed until it was sealed
/// anew ([`Opened::outdated`] says what is due).
///
/// | Byte | What |
/// |---|---|
/// | 0 | version 1 |
/// | 1–4 | the key's id, big-endian |
/// | 5–16 | the nonce |
/// | then | the ciphertext, as long as the secret, and a tag of 16 bytes |
///
/// The nonce is the caller's: 96 random bits each time ([`crate::entropy`]). With those a key is good
/// for 2³² secrets (NIST SP 800-38D §8.3 has the same bound for such nonces): give a service that seals
/// more a new key in time.
///
/// ```
/// use portcullis_core::{Key, Scope, Sealer, Secret, entropy};
///
/// const SEED: Scope = Scope::new("seed");
/// let (alice, bob) = (Key::new(SEED, b"alice"), Key::new(SEED, b"bob"));
/// let old = Secret::generate::<32>()?;
/// let sealed = Sealer::new(1, &old)?.seal(&alice, b"seed of alice", entropy()?);
///
/// let sealer = Sealer::new(2, &Secret::generate::<32>()?)?.and_opens(1, &old)?;
/// let opened = sealer.open(&alice, &sealed)?;
/// assert_eq!(opened.secret.expose(), b"seed of alice");
/// assert!(opened.outdated);
/// assert!(sealer.open(&bob, &sealed).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Sealer {
    sealing: (u32, ChaCha20Poly1305),
    opening: Vec<(u32, ChaCha20Poly1305)>,
}

/// A secret that was sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Opened {
    /// The secret.
    pub secret: Secret,
    /// Whether an older key sealed it: seal it anew, and that key can be given up some day.
    pub outdated: bool,
}

/// Why a secret could not be opened, or a key not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// A sealing key has exactly 32 bytes (RFC 8439 §2.8).
    #[error("a sealing key has 32 bytes")]
    KeyLength,
    /// Two keys of one id: which of them sealed something could not be told.
    #[error("sealing key {0} is there already")]
    KeyIdTaken(u32),
    /// The bytes are not a sealed secret.
    #[error("the bytes are not a sealed secret")]
    Malformed,
    /// The key that sealed it is not here.
    #[error("the secret was sealed under key {0}, which is not here")]
    UnknownKey(u32),
    /// It was changed, moved here from another place, or sealed by another key of that id.
    #[error("the sealed secret was changed, or belongs to another place")]
    Forged,
}

impl SealError {
    /// What was wrong, for log and audit: never the caller's fault.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        Reason::Internal
    }
}

impl Sealer {
    /// How many bytes longer a sealed secret is than the secret.
    pub const OVERHEAD: usize = HEAD_LEN + TAG_LEN;
    /// How many bytes a key has.
    pub const KEY_LEN: usize = 32;

    /// Seals under `key`, which is called `id` for ever.
    ///
    /// # Errors
    /// [`SealError::KeyLength`].
    pub fn new(id: u32, key: &Secret) -> Result<Self, SealError> {
        Ok(Self {
            sealing: (id, cipher(key)?),
            opening: Vec::new(),
        })
    }

    /// Opens also what was sealed under an older key.
    ///
    /// # Errors
    /// [`SealError::KeyLength`], [`SealError::KeyIdTaken`].
    pub fn and_opens(mut self, id: u32, key: &Secret) -> Result<Self, SealError> {
        if self.cipher_of(id).is_some() {
            return Err(SealError::KeyIdTaken(id));
        }
        self.opening.push((id, cipher(key)?));
        Ok(self)
    }

    /// `plain`, sealed for `place`. The nonce is never used twice: give 12 fresh random bytes.
    #[must_use]
    pub fn seal(&self, place: &Key, plain: &[u8], nonce: [u8; 12]) -> Vec<u8> {
        let (id, cipher) = &self.sealing;
        let mut sealed = vec![VERSION];
        sealed.extend_from_slice(&id.to_be_bytes());
        let aad = bound_to(place, &sealed);
        sealed.extend_from_slice(&nonce);
        let payload = Payload {
            msg: plain,
            aad: &aad,
        };
        // Encryption fails on a message of more than 256 GiB alone, which no store keeps; what is left
        // without a ciphertext opens as malformed.
        if let Ok(ciphertext) = cipher.encrypt(&Nonce::from(nonce), payload) {
            sealed.extend_from_slice(&ciphertext);
        }
        sealed
    }

    /// The secret that was sealed for `place`.
    ///
    /// # Errors
    /// [`SealError::Malformed`], [`SealError::UnknownKey`], [`SealError::Forged`]; nothing is told of
    /// the secret then.
    pub fn open(&self, place: &Key, sealed: &[u8]) -> Result<Opened, SealError> {
        let (head, ciphertext) = sealed
            .split_first_chunk::<HEAD_LEN>()
            .ok_or(SealError::Malformed)?;
        let (named, nonce) = head
            .split_last_chunk::<NONCE_LEN>()
            .ok_or(SealError::Malformed)?;
        let id = match named {
            [VERSION, id @ ..] => id.try_into().map_err(|_| SealError::Malformed)?,
            _ => return Err(SealError::Malformed),
        };
        if ciphertext.len() < TAG_LEN {
            return Err(SealError::Malformed);
        }
        let id = u32::from_be_bytes(id);
        let cipher = self.cipher_of(id).ok_or(SealError::UnknownKey(id))?;
        let aad = bound_to(place, named);
        let payload = Payload {
            msg: ciphertext,
            aad: &aad,
        };
        let opened = cipher.decrypt(&Nonce::from(*nonce), payload);
        let plain = Zeroizing::new(opened.map_err(|_| SealError::Forged)?);
        Ok(Opened {
            secret: Secret::from(plain.as_slice()),
            outdated: id != self.sealing.0,
        })
    }

    fn cipher_of(&self, id: u32) -> Option<&ChaCha20Poly1305> {
        let mut all = std::iter::once(&self.sealing).chain(&self.opening);
        all.find(|(known, _)| *known == id)
            .map(|(_, cipher)| cipher)
    }
}

fn cipher(key: &Secret) -> Result<ChaCha20Poly1305, SealError> {
    ChaCha20Poly1305::new_from_slice(key.expose()).map_err(|_| SealError::KeyLength)
}

/// What the tag also covers: version and key id, and the place, each part of one length or delimited.
fn bound_to(place: &Key, named: &[u8]) -> Vec<u8> {
    let scope = place.scope().as_str().as_bytes();
    let mut bound = DOMAIN.to_vec();
    bound.extend_from_slice(named);
    // A scope has 32 bytes at most.
    bound.push(u8::try_from(scope.len()).unwrap_or(u8::MAX));
    bound.extend_from_slice(scope);
    bound.extend_from_slice(&place.to_bytes());
    bound
}

impl fmt::Debug for Sealer {
    /// The ids of the keys, which are no secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let opening: Vec<u32> = self.opening.iter().map(|(id, _)| *id).collect();
        f.debug_struct("Sealer")
            .field("seals", &self.sealing.0)
            .field("opens", &opening)
            .finish()
    }
}

const VERSION: u8 = 1;
const NONCE_LEN: usize = 12;
const TAG_LEN: usize = 16;
const HEAD_LEN: usize = 1 + 4 + NONCE_LEN;
/// Keeps these boxes apart from any other use of the same key.
const DOMAIN: &[u8] = b"portcullis sealed\0";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scope;
    use proptest::prelude::*;

    const SEED: Scope = Scope::new("seed");

    fn key(byte: u8) -> Secret {
        Secret::from(vec![byte; 32])
    }

    fn sealer() -> Sealer {
        Sealer::new(7, &key(1)).unwrap()
    }

    #[test]
    fn a_sealed_secret_moved_to_another_record_or_scope_does_not_open() {
        let place = Key::new(SEED, b"alice");
        let sealed = sealer().seal(&place, b"secret", [3; 12]);
        assert!(sealer().open(&place, &sealed).is_ok());
        for other in [
            Key::new(SEED, b"bob"),
            Key::of(SEED, &[b"ali", b"ce"]),
            Key::new(Scope::new("seeds"), b"alice"),
        ] {
            assert_eq!(sealer().open(&other, &sealed), Err(SealError::Forged));
        }
    }

    #[test]
    fn another_key_of_the_same_id_does_not_open_and_one_of_another_id_is_not_tried() {
        let place = Key::new(SEED, b"alice");
        let sealed = sealer().seal(&place, b"secret", [3; 12]);
        let same_id = Sealer::new(7, &key(2)).unwrap();
        assert_eq!(same_id.open(&place, &sealed), Err(SealError::Forged));
        let other_id = Sealer::new(8, &key(1)).unwrap();
        assert_eq!(
            other_id.open(&place, &sealed),
            Err(SealError::UnknownKey(7))
        );
        // The id is covered by the tag: naming another key does not make it that key's.
        let both = other_id.and_opens(7, &key(1)).unwrap();
        let mut renamed = sealed.clone();
        renamed[4] = 8;
        assert_eq!(both.open(&place, &renamed), Err(SealError::Forged));
        assert!(
            both.open(&place, &sealed)
                .is_ok_and(|opened| opened.outdated)
        );
    }

    #[test]
    fn keys_of_another_length_and_ids_given_twice_are_refused() {
        for len in [0, 16, 31, 33, 64] {
            let key = Secret::from(vec![1; len]);
            assert!(matches!(Sealer::new(1, &key), Err(SealError::KeyLength)));
            let refused = sealer().and_opens(1, &key);
            assert!(matches!(refused, Err(SealError::KeyLength)));
        }
        let taken = sealer().and_opens(7, &key(2));
        assert!(matches!(taken, Err(SealError::KeyIdTaken(7))));
        let twice = sealer()
            .and_opens(6, &key(2))
            .unwrap()
            .and_opens(6, &key(3));
        assert!(matches!(twice, Err(SealError::KeyIdTaken(6))));
    }

    /// RFC 8439 §2.8.2: the cipher is the one it is said to be. Our own additional data differs, so the
    /// ciphertext alone is compared, which it does not enter.
    #[test]
    fn the_ciphertext_is_that_of_rfc_8439() {
        let key: Vec<u8> = (0x80..=0x9f).collect();
        let nonce = [7, 0, 0, 0, 0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47];
        let plain = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";
        let sealed = Sealer::new(1, &Secret::from(key)).unwrap().seal(
            &Key::new(SEED, b"alice"),
            plain,
            nonce,
        );
        let text = data_encoding::HEXLOWER.encode(&sealed[HEAD_LEN..HEAD_LEN + 32]);
        assert_eq!(
            text,
            "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
        );
        assert_eq!(sealed.len(), plain.len() + Sealer::OVERHEAD);
    }

    #[test]
    fn debug_shows_the_ids_of_the_keys_and_nothing_of_them() {
        let sealer = sealer().and_opens(3, &key(2)).unwrap();
        assert_eq!(format!("{sealer:?}"), "Sealer { seals: 7, opens: [3] }");
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_again(plain in proptest::collection::vec(any::<u8>(), 0..80), nonce in any::<[u8; 12]>(), user in ".{0,60}") {
            let place = Key::new(SEED, user.as_bytes());
            let opened = sealer().open(&place, &sealer().seal(&place, &plain, nonce)).unwrap();
            prop_assert_eq!(opened.secret.expose(), plain.as_slice());
            prop_assert!(!opened.outdated);
        }

        #[test]
        fn a_change_of_any_bit_and_a_cut_anywhere_is_noticed(plain in proptest::collection::vec(any::<u8>(), 0..40), at in any::<proptest::sample::Index>(), bit in 0_u8..8) {
            let place = Key::new(SEED, b"alice");
            let sealed = sealer().seal(&place, &plain, [3; 12]);
            let at = at.index(sealed.len());
            let mut changed = sealed.clone();
            changed[at] ^= 1 << bit;
            prop_assert!(sealer().open(&place, &changed).is_err());
            prop_assert!(sealer().open(&place, &sealed[..at]).is_err());
        }
    }
}
