//! RS256 by AWS-LC.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256};

pub(super) struct Verifying(ParsedPublicKey);

impl Verifying {
    pub(super) fn new(pkcs1: &[u8]) -> Option<Self> {
        ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pkcs1)
            .ok()
            .map(Self)
    }

    pub(super) fn check(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.verify_sig(message, signature).is_ok()
    }
}

pub(super) struct Signing(KeyPair);

impl Signing {
    pub(super) fn new(pkcs1: &[u8]) -> Option<Self> {
        KeyPair::from_der(pkcs1).ok().map(Self)
    }

    pub(super) fn sign(&self, message: &[u8], length: usize) -> Option<Vec<u8>> {
        // A buffer of another length than the signature's is a panic there.
        if self.0.public_modulus_len() != length {
            return None;
        }
        let mut signature = vec![0; length];
        self.0
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                message,
                &mut signature,
            )
            .ok()
            .map(|()| signature)
    }
}
