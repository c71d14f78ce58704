//! Keys, each with its one algorithm, and sets of them.

use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use portcullis_core::Secret;
use sha2::Sha256;

use crate::Error;
use crate::parse::decode_into;

/// The algorithms that sign here (RFC 7518 §3.1). A key has exactly one; a token never chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// HMAC with SHA-256 (RFC 7518 §3.2).
    Hs256,
}

impl Algorithm {
    /// The name in a header's `alg`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
        }
    }
}

/// A shared secret for HS256, keyed once; each call works on a copy of the keyed state.
///
/// ```
/// use portcullis_core::Secret;
/// use portcullis_jwt::HmacKey;
///
/// let key = HmacKey::new("2026-11", Secret::generate::<32>()?)?;
/// assert_eq!(key.kid(), "2026-11");
/// assert!(HmacKey::new("2026-11", Secret::from(b"too short".as_slice())).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct HmacKey {
    kid: Arc<str>,
    keyed: Hmac<Sha256>,
}

impl HmacKey {
    /// A key known as `kid`, which tokens carry in the clear.
    ///
    /// The secret is wiped on return; the keyed state, which is as good as the secret, stays until
    /// the last copy of the key is dropped.
    ///
    /// # Errors
    /// [`Error::Key`] when
    /// - the secret has fewer than 32 bytes (RFC 7518 §3.2) or more than 1024;
    /// - it is one byte over and over, as a forgotten placeholder is;
    /// - it is the text of a public key: whoever verifies with such a secret has published it;
    /// - `kid` is not 1 to 64 characters of `A-Z a-z 0-9 - . _ ~`.
    pub fn new(kid: &str, secret: Secret) -> Result<Self, Error> {
        check_kid(kid)?;
        check_secret(secret.expose())?;
        let key = Self::unchecked(kid, secret.expose());
        drop(secret);
        Ok(key)
    }

    #[expect(
        clippy::expect_used,
        reason = "RFC 2104 §2: a secret of any length keys an HMAC"
    )]
    pub(crate) fn unchecked(kid: &str, secret: &[u8]) -> Self {
        Self {
            kid: kid.into(),
            keyed: Hmac::new_from_slice(secret).expect("any length is a length"),
        }
    }

    /// The key's id, as a header's `kid` names it.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The key's one algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        Algorithm::Hs256
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; TAG_BYTES] {
        self.keyed
            .clone()
            .chain_update(message)
            .finalize()
            .into_bytes()
            .into()
    }

    /// Whether `signature`, a base64url segment, is this key's for `message`; in constant time once
    /// it has the right form.
    pub(crate) fn check(&self, message: &[u8], signature: &str) -> Result<(), Error> {
        let mut tag = [0; TAG_BYTES];
        decode_into(signature, &mut tag)?;
        let keyed = self.keyed.clone().chain_update(message);
        keyed.verify_slice(&tag).map_err(|_| Error::Signature)
    }
}

impl fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HmacKey")
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

/// The keys of one issuer: one signs, and it and the others verify.
///
/// A rotation makes a new set: the new key signs, the old one verifies until its last token is over.
///
/// ```
/// use portcullis_core::Secret;
/// use portcullis_jwt::{HmacKey, KeySet};
///
/// let old = HmacKey::new("2026-10", Secret::generate::<32>()?)?;
/// let new = HmacKey::new("2026-11", Secret::generate::<32>()?)?;
/// let keys = KeySet::new(new).verify_also(old)?;
/// assert_eq!(keys.signing().kid(), "2026-11");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct KeySet {
    signing: HmacKey,
    retired: Vec<HmacKey>,
}

impl KeySet {
    /// A set of the one key that signs.
    #[must_use]
    pub const fn new(signing: HmacKey) -> Self {
        Self {
            signing,
            retired: Vec::new(),
        }
    }

    /// The same set with one more key that verifies and does not sign.
    ///
    /// # Errors
    /// [`Error::Key`] when a key of that id is in the set, or the set has 64 keys.
    pub fn verify_also(mut self, key: HmacKey) -> Result<Self, Error> {
        if self.iter().any(|held| held.kid == key.kid) {
            return Err(Error::Key("two keys have one id"));
        }
        if self.iter().count() >= KEYS_MAX {
            return Err(Error::Key("a set holds at most 64 keys"));
        }
        self.retired.push(key);
        Ok(self)
    }

    /// The key that signs.
    #[must_use]
    pub const fn signing(&self) -> &HmacKey {
        &self.signing
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &HmacKey> {
        std::iter::once(&self.signing).chain(&self.retired)
    }
}

fn check_kid(kid: &str) -> Result<(), Error> {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    if kid.is_empty() || kid.len() > KID_BYTES_MAX || !kid.bytes().all(plain) {
        return Err(Error::Key("an id is 1 to 64 of A-Z a-z 0-9 - . _ ~"));
    }
    Ok(())
}

fn check_secret(secret: &[u8]) -> Result<(), Error> {
    if secret.len() < SECRET_BYTES_MIN {
        return Err(Error::Key("the secret has fewer than 32 bytes"));
    }
    if secret.len() > SECRET_BYTES_MAX {
        return Err(Error::Key("the secret has more than 1024 bytes"));
    }
    if secret.iter().all(|byte| Some(byte) == secret.first()) {
        return Err(Error::Key("the secret is one byte over and over"));
    }
    let text = secret.trim_ascii_start();
    let named = PUBLIC_KEY_HEADS.iter().any(|head| text.starts_with(head));
    // A random secret may begin with a brace; it does not go on to spell out a key type.
    let jwk = text.starts_with(b"{") && text.windows(JWK_MARK.len()).any(|part| part == JWK_MARK);
    if named || jwk {
        return Err(Error::Key("the secret is the text of another kind of key"));
    }
    Ok(())
}

pub(crate) const TAG_BYTES: usize = 32;

const SECRET_BYTES_MIN: usize = 32;
const SECRET_BYTES_MAX: usize = 1024;
const KID_BYTES_MAX: usize = 64;
const KEYS_MAX: usize = 64;
/// How PEM and OpenSSH texts begin.
const PUBLIC_KEY_HEADS: [&[u8]; 4] = [b"-----BEGIN ", b"ssh-rsa ", b"ssh-ed25519 ", b"ecdsa-sha2-"];
const JWK_MARK: &[u8] = b"\"kty\"";

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(bytes: &[u8]) -> Secret {
        Secret::from(bytes)
    }

    fn key(kid: &str) -> HmacKey {
        HmacKey::new(kid, secret(b"0123456789abcdef0123456789abcdef")).unwrap()
    }

    #[test]
    fn refuses_secrets_that_are_short_long_trivial_or_public() {
        let pem = b"-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A\n";
        for bad in [
            b"".as_slice(),
            b"secret",
            &b"0123456789abcdef0123456789abcdef"[..31],
            &[0; 64],
            &b"ab".repeat(513),
            pem,
            b"\n-----BEGIN RSA PUBLIC KEY-----\nMIIB",
            b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI",
            br#"{"kty":"oct","k":"hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG"}"#,
        ] {
            assert!(matches!(HmacKey::new("k", secret(bad)), Err(Error::Key(_))));
        }
        assert!(HmacKey::new("k", secret(&b"ab".repeat(512))).is_ok());
        assert!(HmacKey::new("k", secret(b"{123456789abcdef0123456789abcdef")).is_ok());
    }

    #[test]
    fn refuses_ids_that_could_be_a_path_a_query_or_a_url() {
        for bad in [
            "",
            "../../dev/null",
            "' or 1=1",
            "https://e.example",
            "a\0",
            "é",
            " a",
            &"k".repeat(65),
        ] {
            let made = HmacKey::new(bad, Secret::generate::<32>().unwrap());
            assert!(matches!(made, Err(Error::Key(_))), "{bad}");
        }
    }

    #[test]
    fn refuses_two_keys_of_one_id_and_more_keys_than_a_set_holds() {
        let twice = KeySet::new(key("a")).verify_also(key("a"));
        assert!(matches!(twice, Err(Error::Key(_))));
        let mut keys = KeySet::new(key("0"));
        for at in 1..64 {
            keys = keys.verify_also(key(&at.to_string())).unwrap();
        }
        assert!(matches!(keys.verify_also(key("64")), Err(Error::Key(_))));
    }

    #[test]
    fn debug_shows_the_id_and_nothing_of_the_secret() {
        let text = format!("{:?}", KeySet::new(key("a")));
        assert_eq!(
            text,
            r#"KeySet { signing: HmacKey { kid: "a", .. }, retired: [] }"#
        );
    }
}
