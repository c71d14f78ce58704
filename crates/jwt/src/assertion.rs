//! Client assertions: short tokens that a client signs with its own key (RFC 7523 §2.2).

mod policy;
mod sign;
mod verify;

use std::fmt;

use portcullis_core::Timestamp;

use crate::{Error, RsaPublicKey};

pub use policy::AssertionPolicy;
pub use sign::AssertionSigner;
pub use verify::{Assertions, Begun};

/// A client's token that was verified in every respect: form, signature by a key of its issuer, life,
/// time, audience and the shape of the caller's claims. Only [`Begun::verify`] makes one.
///
/// It proves who sent it and nothing more: whatever else the claims say, `sub` included, is the
/// client's own statement. One assertion serves any number of requests until it ends.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientAssertion<C> {
    issuer: String,
    issued_at: Timestamp,
    expires_at: Timestamp,
    dead_at: Timestamp,
    key_index: usize,
    key: RsaPublicKey,
    claims: C,
}

impl<C> ClientAssertion<C> {
    /// The client: the name that its keys are registered under, 1 to 256 bytes without control
    /// characters.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// When the client says it was issued; a fraction of a second is cut off.
    #[must_use]
    pub const fn issued_at(&self) -> Timestamp {
        self.issued_at
    }

    /// When it ends; a fraction of a second is cut off.
    #[must_use]
    pub const fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// Which of the keys that were handed to [`Begun::verify`] signed it.
    #[must_use]
    pub const fn key_index(&self) -> usize {
        self.key_index
    }

    /// The key that signed it.
    #[must_use]
    pub const fn key(&self) -> &RsaPublicKey {
        &self.key
    }

    /// The caller's claims.
    #[must_use]
    pub const fn claims(&self) -> &C {
        &self.claims
    }

    /// Takes the issuer and the claims out.
    #[must_use]
    pub fn into_parts(self) -> (String, C) {
        (self.issuer, self.claims)
    }

    /// Looks at the time once more, after a wait long enough that `now` was read again.
    ///
    /// # Errors
    /// [`Error::Expired`] when the assertion's time, with the policy's leeway, is over.
    pub fn recheck(&self, now: Timestamp) -> Result<(), Error> {
        if now >= self.dead_at {
            return Err(Error::Expired);
        }
        Ok(())
    }
}

impl<C> fmt::Debug for ClientAssertion<C> {
    /// The times and the key's place; nothing of the client's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAssertion")
            .field("issued_at", &self.issued_at)
            .field("expires_at", &self.expires_at)
            .field("key_index", &self.key_index)
            .finish_non_exhaustive()
    }
}

/// What reading a claim gives when it may be absent.
fn optional<T>(read: Result<T, Error>) -> Result<Option<T>, Error> {
    match read {
        Err(Error::ClaimMissing(_)) => Ok(None),
        read => read.map(Some),
    }
}
