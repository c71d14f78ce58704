//! Recovery codes: drawn once, kept as MACs, looked up without telling where.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use portcullis_core::Secret;
use sha2::Sha256;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

use crate::code::{RECOVERY_LEN, recovery_text};
use crate::state::Recovery;

/// Ten codes for the day the authenticator is lost, each good once. They are shown when they are made
/// and never again; the store keeps a MAC of each.
///
/// Each is 120 random bits as `XXXX-XXXX-XXXX-XXXX-XXXX-XXXX`, wiped when dropped.
pub struct RecoveryCodes(Vec<Zeroizing<String>>);

impl RecoveryCodes {
    /// How many codes are made at a time.
    pub const COUNT: usize = 10;

    /// The codes, each to be shown on a line of its own.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|code| code.as_str())
    }
}

impl fmt::Debug for RecoveryCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCodes(..)")
    }
}

/// The service's key for what recovery codes are kept as.
pub(crate) struct Pepper(Hmac<Sha256>);

impl Pepper {
    /// None when the key is shorter than the hash's output (RFC 2104 §3).
    pub(crate) fn new(key: &Secret) -> Option<Self> {
        if key.len() < MIN_PEPPER_LEN {
            return None;
        }
        Hmac::new_from_slice(key.expose()).ok().map(Self)
    }

    /// What `user`'s code is kept as. A fast MAC is enough for 120 random bits (ASVS 5.0, 6.5.2 asks for
    /// a slow hash below 112), and ten slow hashes per attempt would be a way to tire the service.
    pub(crate) fn digest(&self, user: &str, code: &[u8; RECOVERY_LEN]) -> [u8; 32] {
        let mut mac = self.0.clone();
        mac.update(DOMAIN);
        let length = u64::try_from(user.len()).unwrap_or(u64::MAX);
        mac.update(&length.to_be_bytes());
        mac.update(user.as_bytes());
        mac.update(code);
        mac.finalize().into_bytes().into()
    }
}

/// The codes that `bytes` make, and what is kept of them.
pub(crate) fn draw(
    bytes: &[u8; DRAWN_LEN],
    user: &str,
    pepper: &Pepper,
) -> (RecoveryCodes, Vec<Recovery>) {
    let (codes, _) = bytes.as_chunks::<RECOVERY_LEN>();
    let kept = codes.iter().map(|code| Recovery {
        used: false,
        digest: pepper.digest(user, code),
    });
    let texts = codes.iter().map(recovery_text);
    (RecoveryCodes(texts.collect()), kept.collect())
}

/// Where among `kept` the code of `digest` is. All of them are compared, in time that does not tell
/// which it was.
pub(crate) fn find(kept: &[Recovery], digest: &[u8; 32]) -> Option<usize> {
    let (mut found, mut any) = (0_u64, Choice::from(0));
    for (place, code) in (0_u64..).zip(kept) {
        let hit = code.digest.ct_eq(digest);
        found.conditional_assign(&place, hit);
        any |= hit;
    }
    bool::from(any)
        .then(|| usize::try_from(found).ok())
        .flatten()
}

/// The bytes that ten codes are made of.
pub(crate) const DRAWN_LEN: usize = RecoveryCodes::COUNT * RECOVERY_LEN;
const MIN_PEPPER_LEN: usize = 32;
const DOMAIN: &[u8] = b"portcullis totp-mfa recovery code 1";

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "tests")]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;
    use std::collections::BTreeSet;

    fn pepper(byte: u8) -> Pepper {
        Pepper::new(&Secret::from(vec![byte; 32])).unwrap()
    }

    #[test]
    fn a_pepper_shorter_than_the_hash_is_refused() {
        for len in [0, 31] {
            assert!(Pepper::new(&Secret::from(vec![7; len])).is_none());
        }
    }

    #[test]
    fn ten_codes_are_drawn_and_each_is_found_in_its_place_and_no_other() {
        let bytes: [u8; DRAWN_LEN] = std::array::from_fn(|at| u8::try_from(at).unwrap());
        let (codes, kept) = draw(&bytes, "alice", &pepper(7));
        let texts: BTreeSet<&str> = codes.iter().collect();
        assert_eq!((texts.len(), kept.len()), (10, 10));
        for (place, code) in bytes.as_chunks::<RECOVERY_LEN>().0.iter().enumerate() {
            assert_eq!(codes.iter().nth(place), Some(recovery_text(code).as_str()));
            let digest = pepper(7).digest("alice", code);
            assert_eq!(find(&kept, &digest), Some(place));
        }
        assert_eq!(find(&kept, &[0; 32]), None);
        assert_eq!(find(&[], &[0; 32]), None);
    }

    #[test]
    fn what_is_kept_of_a_code_depends_on_the_pepper_the_user_and_every_byte() {
        let code = [1; RECOVERY_LEN];
        let digest = pepper(7).digest("alice", &code);
        assert_ne!(digest, pepper(8).digest("alice", &code));
        assert_ne!(digest, pepper(7).digest("alicf", &code));
        for at in 0..RECOVERY_LEN {
            let mut other = code;
            other[at] ^= 1;
            assert_ne!(digest, pepper(7).digest("alice", &other));
        }
    }

    #[test]
    fn what_is_kept_of_a_code_is_what_was_kept_of_it_yesterday() {
        // Python: hmac.new(b"\x07" * 32, DOMAIN + (5).to_bytes(8) + b"alice" + b"\x01" * 15, "sha256")
        let kept = "4286a8ae296a618992f01de09ca9be13edefe23a76f097c78b575a86507a54e4";
        let digest = pepper(7).digest("alice", &[1; RECOVERY_LEN]);
        assert_eq!(HEXLOWER.encode(&digest), kept);
    }

    #[test]
    fn recovery_codes_show_nothing_of_themselves() {
        let (codes, _) = draw(&[7; DRAWN_LEN], "alice", &pepper(7));
        assert_eq!(format!("{codes:?}"), "RecoveryCodes(..)");
    }
}
