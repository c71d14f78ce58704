//! RS256 in Rust alone, by the factories of `jsonwebtoken`; the process-wide provider is never asked.
//!
//! The `rsa` crate under it computes in time that depends on the key (RUSTSEC-2023-0071); signing is
//! blinded, and verifying has no secret.

use jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};

pub(super) struct Verifying(DecodingKey);

impl Verifying {
    #[expect(clippy::unnecessary_wraps, reason = "the other backend refuses here")]
    pub(super) fn new(pkcs1: &[u8]) -> Option<Self> {
        Some(Self(DecodingKey::from_rsa_der(pkcs1)))
    }

    pub(super) fn check(&self, message: &[u8], signature: &[u8]) -> bool {
        // Made for each call: it is not `Send`.
        (DEFAULT_PROVIDER.verifier_factory)(&Algorithm::RS256, &self.0)
            .is_ok_and(|verifier| verifier.verify(message, &signature.to_vec()).is_ok())
    }
}

pub(super) struct Signing(EncodingKey);

impl Signing {
    #[expect(clippy::unnecessary_wraps, reason = "the other backend refuses here")]
    pub(super) fn new(pkcs1: &[u8]) -> Option<Self> {
        Some(Self(EncodingKey::from_rsa_der(pkcs1)))
    }

    pub(super) fn sign(&self, message: &[u8], _length: usize) -> Option<Vec<u8>> {
        (DEFAULT_PROVIDER.signer_factory)(&Algorithm::RS256, &self.0)
            .ok()?
            .try_sign(message)
            .ok()
    }
}
