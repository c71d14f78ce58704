//! Sets of keys: one that signs and those that verify, or those that verify alone.

use std::fmt;
use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;

use crate::key::{Algorithm, HmacKey};
use crate::{Error, key};
#[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
use crate::{RsaPrivateKey, RsaPublicKey};

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
    signing: SigningKey,
    trusted: TrustedKeys,
}

impl KeySet {
    /// A set of the one key that signs: an [`HmacKey`], or an RSA key by `SigningKey::rsa`.
    #[must_use]
    pub fn new(signing: impl Into<SigningKey>) -> Self {
        let signing = signing.into();
        let trusted = TrustedKeys::new(signing.verifying());
        Self { signing, trusted }
    }

    /// The same set with one more key that verifies and does not sign.
    ///
    /// # Errors
    /// [`Error::Key`] when a key of that id is in the set, of whatever algorithm, or the set has 64 keys.
    pub fn verify_also(mut self, key: impl Into<VerifyingKey>) -> Result<Self, Error> {
        self.trusted = self.trusted.verify_also(key)?;
        Ok(self)
    }

    /// The key that signs.
    #[must_use]
    pub const fn signing(&self) -> &SigningKey {
        &self.signing
    }
}

/// Keys that verify, each under its own id and with its one algorithm.
///
/// Made of a [`KeySet`], or of public keys alone by a service that verifies what another one signs.
#[cfg_attr(any(feature = "aws-lc", feature = "rust-crypto"), doc = "```")]
#[cfg_attr(
    not(any(feature = "aws-lc", feature = "rust-crypto")),
    doc = "```ignore"
)]
/// # let pem = include_str!("../tests/keys/alice.spki.pem");
/// use portcullis_jwt::{Policy, RsaPublicKey, TrustedKeys, Verifier, VerifyingKey};
///
/// let key = VerifyingKey::rsa("2026-11", RsaPublicKey::from_pem(pem)?)?;
/// let policy = Policy::access("https://login.example", "orders")?;
/// let verifier = Verifier::new(TrustedKeys::new(key), policy);
/// # let _ = verifier;
/// # Ok::<(), portcullis_jwt::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TrustedKeys(Vec<VerifyingKey>);

impl TrustedKeys {
    /// A set of one key.
    #[must_use]
    pub fn new(key: impl Into<VerifyingKey>) -> Self {
        Self(vec![key.into()])
    }

    /// The same set with one more key.
    ///
    /// # Errors
    /// [`Error::Key`] when a key of that id is in the set, of whatever algorithm, or the set has 64 keys.
    pub fn verify_also(mut self, key: impl Into<VerifyingKey>) -> Result<Self, Error> {
        let key = key.into();
        if self.0.iter().any(|held| held.kid == key.kid) {
            return Err(Error::Key("two keys have one id"));
        }
        if self.0.len() >= KEYS_MAX {
            return Err(Error::Key("a set holds at most 64 keys"));
        }
        self.0.push(key);
        Ok(self)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &VerifyingKey> {
        self.0.iter()
    }
}

impl From<&KeySet> for TrustedKeys {
    fn from(keys: &KeySet) -> Self {
        keys.trusted.clone()
    }
}

/// A key that signs, under an id and with its one algorithm.
#[derive(Clone)]
pub struct SigningKey {
    kid: Arc<str>,
    half: SigningHalf,
}

#[derive(Clone)]
enum SigningHalf {
    Hmac(HmacKey),
    #[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
    Rsa(RsaPrivateKey),
}

impl SigningKey {
    /// An RSA key known as `kid`, which tokens carry in the clear.
    ///
    /// # Errors
    /// [`Error::Key`] when `kid` is not 1 to 64 characters of `A-Z a-z 0-9 - . _ ~`.
    #[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
    pub fn rsa(kid: &str, key: RsaPrivateKey) -> Result<Self, Error> {
        key::check_kid(kid)?;
        Ok(Self {
            kid: kid.into(),
            half: SigningHalf::Rsa(key),
        })
    }

    /// The key's id, as a header's `kid` names it.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The key's one algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match &self.half {
            SigningHalf::Hmac(key) => key.algorithm(),
            #[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
            SigningHalf::Rsa(_) => Algorithm::Rs256,
        }
    }

    /// The half that verifies: the public key of an RSA key, the secret itself of an HMAC key.
    #[must_use]
    pub fn verifying(&self) -> VerifyingKey {
        VerifyingKey {
            kid: Arc::clone(&self.kid),
            half: match &self.half {
                SigningHalf::Hmac(key) => VerifyingHalf::Hmac(key.clone()),
                #[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
                SigningHalf::Rsa(key) => VerifyingHalf::Rsa(key.public()),
            },
        }
    }

    /// Puts a dot and the signature of `token` behind it.
    pub(crate) fn sign(&self, token: &mut String) -> Result<(), Error> {
        match &self.half {
            SigningHalf::Hmac(key) => {
                let tag = key.sign(token.as_bytes());
                token.push('.');
                BASE64URL_NOPAD.encode_append(&tag, token);
            }
            #[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
            SigningHalf::Rsa(key) => key.append(token)?,
        }
        Ok(())
    }

    /// How many bytes a signature adds to a token, the dot included.
    pub(crate) fn signature_chars(&self) -> usize {
        let bytes = match &self.half {
            SigningHalf::Hmac(_) => key::TAG_BYTES,
            #[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
            SigningHalf::Rsa(key) => key.signature_bytes(),
        };
        BASE64URL_NOPAD.encode_len(bytes).saturating_add(1)
    }
}

impl From<HmacKey> for SigningKey {
    fn from(key: HmacKey) -> Self {
        Self {
            kid: key.shared_kid(),
            half: SigningHalf::Hmac(key),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm())
            .finish_non_exhaustive()
    }
}

/// A key that verifies, under an id and with its one algorithm.
#[derive(Clone)]
pub struct VerifyingKey {
    kid: Arc<str>,
    half: VerifyingHalf,
}

#[derive(Clone)]
enum VerifyingHalf {
    Hmac(HmacKey),
    #[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
    Rsa(RsaPublicKey),
}

impl VerifyingKey {
    /// An RSA key known as `kid`, which tokens carry in the clear.
    ///
    /// # Errors
    /// [`Error::Key`] when `kid` is not 1 to 64 characters of `A-Z a-z 0-9 - . _ ~`.
    #[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
    pub fn rsa(kid: &str, key: RsaPublicKey) -> Result<Self, Error> {
        key::check_kid(kid)?;
        Ok(Self::rsa_unchecked(kid, key))
    }

    #[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
    pub(crate) fn rsa_unchecked(kid: &str, key: RsaPublicKey) -> Self {
        Self {
            kid: kid.into(),
            half: VerifyingHalf::Rsa(key),
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
        match &self.half {
            VerifyingHalf::Hmac(key) => key.algorithm(),
            #[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
            VerifyingHalf::Rsa(_) => Algorithm::Rs256,
        }
    }

    /// Whether `signature`, a base64url segment, is this key's for `message`.
    pub(crate) fn check(&self, message: &[u8], signature: &str) -> Result<(), Error> {
        match &self.half {
            VerifyingHalf::Hmac(key) => key.check(message, signature),
            #[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
            VerifyingHalf::Rsa(key) => key.check(message, signature),
        }
    }
}

impl From<HmacKey> for VerifyingKey {
    fn from(key: HmacKey) -> Self {
        Self {
            kid: key.shared_kid(),
            half: VerifyingHalf::Hmac(key),
        }
    }
}

impl From<&HmacKey> for VerifyingKey {
    fn from(key: &HmacKey) -> Self {
        key.clone().into()
    }
}

impl From<&SigningKey> for VerifyingKey {
    fn from(key: &SigningKey) -> Self {
        key.verifying()
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm())
            .finish_non_exhaustive()
    }
}

const KEYS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_core::Secret;

    fn key(kid: &str) -> HmacKey {
        let secret = Secret::from(b"0123456789abcdef0123456789abcdef".as_slice());
        HmacKey::new(kid, secret).unwrap()
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
    fn debug_shows_ids_and_algorithms_and_nothing_of_the_secret() {
        let text = format!("{:?}", KeySet::new(key("a")));
        assert_eq!(
            text,
            "KeySet { signing: SigningKey { kid: \"a\", algorithm: Hs256, .. }, \
             trusted: TrustedKeys([VerifyingKey { kid: \"a\", algorithm: Hs256, .. }]) }"
        );
    }
}
