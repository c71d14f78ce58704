//! RSA keys for RS256, parsed once and held.

use std::fmt;
use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use portcullis_core::Secret;
use sha2::{Digest, Sha256};

use crate::Error;
use crate::der::{self, Numbers};
use crate::parse::decode_into;
use crate::pem::{self, Block};

#[cfg(feature = "aws-lc")]
mod aws_lc;
#[cfg(all(feature = "rust-crypto", any(test, not(feature = "aws-lc"))))]
mod rust_crypto;

#[cfg(feature = "aws-lc")]
use aws_lc as backend;
#[cfg(not(feature = "aws-lc"))]
use rust_crypto as backend;

/// The public half of an RSA key: it verifies RS256 and can do nothing else. A copy costs a count.
///
/// ```
/// # let pem = include_str!("../tests/keys/alice.spki.pem");
/// # let other_form = include_str!("../tests/keys/alice.pkcs1.pem");
/// use portcullis_jwt::RsaPublicKey;
///
/// let key = RsaPublicKey::from_pem(pem)?;
/// assert_eq!(key.bits(), 2048);
/// assert_eq!(key.fingerprint(), RsaPublicKey::from_pem(other_form)?.fingerprint());
/// assert_eq!(key.to_spki_pem(), pem);
/// # Ok::<(), portcullis_jwt::Error>(())
/// ```
#[derive(Clone)]
pub struct RsaPublicKey(Arc<Public>);

struct Public {
    bits: usize,
    spki: Vec<u8>,
    verifying: backend::Verifying,
}

impl RsaPublicKey {
    /// Reads one PEM block, `PUBLIC KEY` (RFC 5280) or `RSA PUBLIC KEY` (RFC 8017), as
    /// `openssl rsa -pubout` and `-RSAPublicKey_out` write them.
    ///
    /// # Errors
    /// [`Error::Key`] when
    /// - there is anything but that one block, or its bytes are not strict DER;
    /// - it is a private key, a certificate, or a key for another algorithm than RSA;
    /// - the modulus is even, has fewer than 2048 bits (RFC 7518 §3.3), or more than 4096: the time
    ///   that a stranger's signature costs grows with it, and no backend's reader stops below;
    /// - the exponent is even, below 65 537 or above 2³³: 1 signs everything, and 3 has let
    ///   signatures be forged wherever padding was read carelessly.
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        let block = Block::read(pem)?;
        let numbers = match block.label {
            "PUBLIC KEY" => Numbers::of_spki,
            "RSA PUBLIC KEY" => Numbers::of_pkcs1,
            label if label.ends_with("PRIVATE KEY") => {
                return Err(Error::Key(
                    "that is a private key, which stays with its owner: give its public key",
                ));
            }
            "CERTIFICATE" => return Err(Error::Key("that is a certificate: give its public key")),
            _ => return Err(Error::Key("the PEM block is not a public key")),
        };
        Self::from_numbers(numbers(block.decode()?.expose())?)
    }

    fn from_numbers(numbers: Numbers<'_>) -> Result<Self, Error> {
        let bits = check_numbers(numbers)?;
        let verifying = backend::Verifying::new(&numbers.pkcs1()).ok_or(UNFIT)?;
        Ok(Self(Arc::new(Public {
            bits,
            spki: numbers.spki(),
            verifying,
        })))
    }

    /// A name for the key: base64url of SHA-256 of its SPKI, the same whichever form it was read from.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        BASE64URL_NOPAD.encode(&Sha256::digest(&self.0.spki))
    }

    /// The key as a `PUBLIC KEY` block, ending in a newline.
    #[must_use]
    pub fn to_spki_pem(&self) -> String {
        pem::write("PUBLIC KEY", &self.0.spki)
    }

    /// The bits of the modulus.
    #[must_use]
    pub fn bits(&self) -> usize {
        self.0.bits
    }

    /// Whether `signature`, a base64url segment, is this key's for `message`.
    pub(crate) fn check(&self, message: &[u8], signature: &str) -> Result<(), Error> {
        let mut buffer = [0; SIGNATURE_BYTES_MAX];
        let bytes = buffer
            .get_mut(..self.signature_bytes())
            .ok_or(Error::Signature)?;
        // Exactly as long as the modulus (RFC 8017 §8.2.2), before any backend sees it.
        decode_into(signature, bytes)?;
        if self.0.verifying.check(message, bytes) {
            return Ok(());
        }
        Err(Error::Signature)
    }

    pub(crate) fn signature_bytes(&self) -> usize {
        self.0.bits.div_ceil(8)
    }
}

impl PartialEq for RsaPublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.spki == other.0.spki
    }
}

impl Eq for RsaPublicKey {}

impl fmt::Debug for RsaPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RsaPublicKey")
            .field("bits", &self.0.bits)
            .field("fingerprint", &self.fingerprint())
            .finish()
    }
}

/// An RSA key that signs RS256. A copy costs a count; the key itself is wiped with the last one.
///
/// ```
/// # let pem = include_str!("../tests/keys/alice.pkcs8.pem");
/// use portcullis_core::Secret;
/// use portcullis_jwt::RsaPrivateKey;
///
/// let key = RsaPrivateKey::from_pem(Secret::from(pem.to_owned()))?;
/// assert_eq!(key.public().bits(), 2048);
/// # Ok::<(), portcullis_jwt::Error>(())
/// ```
#[derive(Clone)]
pub struct RsaPrivateKey(Arc<Private>);

struct Private {
    public: RsaPublicKey,
    signing: backend::Signing,
}

impl RsaPrivateKey {
    /// Reads one PEM block, `PRIVATE KEY` (PKCS#8) or `RSA PRIVATE KEY` (PKCS#1), not encrypted.
    ///
    /// The key signs once and the signature is checked, so that one whose halves do not belong
    /// together is refused here and not by everybody else later.
    ///
    /// # Errors
    /// [`Error::Key`] for what [`RsaPublicKey::from_pem`] refuses in its public half, for an encrypted
    /// or a public key, and for one that does not sign.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the text is wiped when the key was made of it"
    )]
    pub fn from_pem(pem: Secret) -> Result<Self, Error> {
        let text = std::str::from_utf8(pem.expose())
            .map_err(|_| Error::Key("the text is not one PEM block"))?;
        let block = Block::read(text)?;
        let der = block.decode()?;
        let pkcs1 = match block.label {
            "PRIVATE KEY" => der::private_pkcs1_of_pkcs8(der.expose())?,
            "RSA PRIVATE KEY" => der.expose(),
            "ENCRYPTED PRIVATE KEY" => return Err(Error::Key("the private key is encrypted")),
            "PUBLIC KEY" | "RSA PUBLIC KEY" => {
                return Err(Error::Key("that is a public key, which does not sign"));
            }
            _ => return Err(Error::Key("the PEM block is not an RSA private key")),
        };
        let public = RsaPublicKey::from_numbers(Numbers::of_private_pkcs1(pkcs1)?)?;
        let signing = backend::Signing::new(pkcs1).ok_or(UNFIT)?;
        let key = Self(Arc::new(Private { public, signing }));
        let sample = key.sign(b"portcullis").map_err(|_| UNFIT)?;
        let agrees = key.0.public.0.verifying.check(b"portcullis", &sample);
        if agrees { Ok(key) } else { Err(UNFIT) }
    }

    /// The public half, for those who verify.
    #[must_use]
    pub fn public(&self) -> RsaPublicKey {
        self.0.public.clone()
    }

    /// Puts a dot and the signature of `token` behind it.
    pub(crate) fn append(&self, token: &mut String) -> Result<(), Error> {
        let signature = self.sign(token.as_bytes())?;
        token.push('.');
        BASE64URL_NOPAD.encode_append(&signature, token);
        Ok(())
    }

    pub(crate) fn signature_bytes(&self) -> usize {
        self.0.public.signature_bytes()
    }

    /// A signature as long as the modulus.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let length = self.signature_bytes();
        self.0
            .signing
            .sign(message, length)
            .filter(|signature| signature.len() == length)
            .ok_or(Error::Key("the key did not sign"))
    }
}

impl fmt::Debug for RsaPrivateKey {
    /// What the public half shows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RsaPrivateKey")
            .field("public", &self.0.public)
            .finish_non_exhaustive()
    }
}

/// The bits of an admissible key's modulus.
fn check_numbers(numbers: Numbers<'_>) -> Result<usize, Error> {
    let odd = |number: &[u8]| number.last().is_some_and(|byte| byte & 1 == 1);
    let bits = bits_of(numbers.modulus);
    if bits < MODULUS_BITS_MIN {
        return Err(Error::Key("the modulus has fewer than 2048 bits"));
    }
    if bits > MODULUS_BITS_MAX {
        return Err(Error::Key("the modulus has more than 4096 bits"));
    }
    if !odd(numbers.modulus) {
        return Err(Error::Key("the modulus is even"));
    }
    let bits_of_exponent = bits_of(numbers.exponent);
    if !(EXPONENT_BITS_MIN..=EXPONENT_BITS_MAX).contains(&bits_of_exponent)
        || !odd(numbers.exponent)
    {
        return Err(Error::Key("the exponent is not odd and 65537 to 2^33"));
    }
    Ok(bits)
}

fn bits_of(number: &[u8]) -> usize {
    let idle = number.first().map_or(0, |byte| byte.leading_zeros());
    let idle = usize::try_from(idle).unwrap_or(0);
    number.len().saturating_mul(8).saturating_sub(idle)
}

const UNFIT: Error = Error::Key("the key's numbers do not make an RSA key");

const MODULUS_BITS_MIN: usize = 2048;
const MODULUS_BITS_MAX: usize = 4096;
const SIGNATURE_BYTES_MAX: usize = MODULUS_BITS_MAX / 8;
/// An odd number of 17 bits is 65 537 or more.
const EXPONENT_BITS_MIN: usize = 17;
const EXPONENT_BITS_MAX: usize = 33;

#[cfg(test)]
mod tests;
