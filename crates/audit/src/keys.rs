//! The keys of one log, and what they seal.

use std::fmt;

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac as _};
use portcullis_core::Secret;
use sha2::Sha256;

use crate::AuditError;

/// The seal of a record, a header or a checkpoint: HMAC-SHA256 (RFC 2104).
pub(crate) type Mac = [u8; 32];

/// A log's name: 128 random bits, drawn when it was begun.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId(pub(crate) [u8; 16]);

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogId({self})")
    }
}

/// What a key is for: no seal of one kind passes as one of another.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    Record,
    Header,
    Checkpoint,
}

/// One log's keys, derived from the given key and the log's id, so that two logs under one key do
/// not take each other's records for their own.
#[derive(Clone)]
pub(crate) struct Keys {
    pub(crate) log: LogId,
    record: Hmac<Sha256>,
    header: Hmac<Sha256>,
    checkpoint: Hmac<Sha256>,
}

impl Keys {
    /// Refuses a key that is too short to seal anything with.
    pub(crate) fn admit(key: &Secret) -> Result<(), AuditError> {
        if key.len() < MIN_KEY_BYTES {
            return Err(AuditError::KeyTooShort);
        }
        Ok(())
    }

    pub(crate) fn derive(key: &Secret, log: LogId) -> Self {
        let given = keyed(key.expose());
        let of = |purpose: &[u8]| {
            let derived = given
                .clone()
                .chain_update(b"portcullis-audit v1\0")
                .chain_update(log.0)
                .chain_update(purpose)
                .finalize();
            keyed(&derived.into_bytes())
        };
        Self {
            log,
            record: of(b"record"),
            header: of(b"header"),
            checkpoint: of(b"checkpoint"),
        }
    }

    pub(crate) fn seal(&self, purpose: Purpose, bytes: &[u8]) -> Mac {
        let sealed = self.of(purpose).clone().chain_update(bytes).finalize();
        sealed.into_bytes().into()
    }

    /// Whether `mac` seals `bytes`, in time that does not depend on how much of it is right.
    pub(crate) fn seals(&self, purpose: Purpose, bytes: &[u8], mac: &Mac) -> bool {
        let keyed = self.of(purpose).clone();
        keyed.chain_update(bytes).verify_slice(mac).is_ok()
    }

    fn of(&self, purpose: Purpose) -> &Hmac<Sha256> {
        match purpose {
            Purpose::Record => &self.record,
            Purpose::Header => &self.header,
            Purpose::Checkpoint => &self.checkpoint,
        }
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    #[expect(
        clippy::expect_used,
        reason = "RFC 2104 §3: keys of any length can be used"
    )]
    let keyed = Hmac::new_from_slice(key).expect("HMAC takes a key of any length");
    keyed
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({})", self.log)
    }
}

/// As long as the hash's output (RFC 2104 §3).
const MIN_KEY_BYTES: usize = 32;
