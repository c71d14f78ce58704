//! A key with its one algorithm: a shared secret.

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
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 §3.3).
    #[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
    Rs256,
}

impl Algorithm {
    /// The name in a header's `alg`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            #[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
            Self::Rs256 => "RS256",
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

    pub(crate) fn shared_kid(&self) -> Arc<str> {
        Arc::clone(&self.kid)
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

pub(crate) fn check_kid(kid: &str) -> Result<(), Error> {
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
    if named || jwk || is_rsa_public_key(secret) {
        return Err(Error::Key("the secret is the text of another kind of key"));
    }
    Ok(())
}

/// Whether the bytes are an RSA public key without its PEM armour, in DER or in base64 of it.
fn is_rsa_public_key(secret: &[u8]) -> bool {
    let holds = |mark: &[u8]| secret.windows(mark.len()).any(|part| part == mark);
    (secret.starts_with(&[0x30]) && holds(RSA_MARK))
        || (secret.starts_with(b"MI") && holds(RSA_MARK_BASE64))
}

pub(crate) const TAG_BYTES: usize = 32;

const SECRET_BYTES_MIN: usize = 32;
const SECRET_BYTES_MAX: usize = 1024;
const KID_BYTES_MAX: usize = 64;
/// How PEM and OpenSSH texts begin.
const PUBLIC_KEY_HEADS: [&[u8]; 4] = [b"-----BEGIN ", b"ssh-rsa ", b"ssh-ed25519 ", b"ecdsa-sha2-"];
const JWK_MARK: &[u8] = b"\"kty\"";
/// `rsaEncryption`, as an object identifier in DER.
const RSA_MARK: &[u8] = &[
    0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01,
];
/// The same where it stands in the base64 of a key with at least 1024 bits.
const RSA_MARK_BASE64: &[u8] = b"BgkqhkiG9w0BAQEF";

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(bytes: &[u8]) -> Secret {
        Secret::from(bytes)
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
            // The same public key without its armour, and its DER.
            b"MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A",
            b"\x30\x82\x01\x22\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x03\x82\x01\x0f\x00\x30\x82\x01\x0a\x02\x82\x01\x01",
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
    fn debug_shows_the_id_and_nothing_of_the_secret() {
        let key = HmacKey::new("a", secret(b"0123456789abcdef0123456789abcdef")).unwrap();
        assert_eq!(format!("{key:?}"), r#"HmacKey { kid: "a", .. }"#);
    }
}
