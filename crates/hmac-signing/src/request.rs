//! A request whose signature holds, before and after it is known to come for the first time.

use std::fmt;

use bytes::Bytes;
use http::Method;
use portcullis_core::Timestamp;

use crate::KeyId;
use crate::head::Head;
use crate::key::SignedBy;
use crate::policy::Window;
use crate::text::Short;

/// A request whose signature holds and that may have come before. It gives nothing away until
/// [`Unclaimed::claim`].
#[must_use = "the signature holds, but the request may have come before: claim it"]
pub struct Unclaimed {
    pub(crate) request: SignedRequest,
    pub(crate) once: Once,
    pub(crate) window: Window,
    pub(crate) made_at: Option<Timestamp>,
}

/// What a request is remembered by.
#[derive(Clone, Copy)]
pub(crate) enum Once {
    Nonce(Short),
    Mac([u8; 32]),
}

impl Once {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Nonce(nonce) => nonce.as_str().as_bytes(),
            Self::Mac(mac) => mac,
        }
    }
}

/// A request that the holder of a key signed, in time, for the first time: what its signature covers,
/// and nothing else. It is owned, so it may travel in a request's extensions.
///
/// A part that the scheme leaves out is `None`, whatever the request had there.
#[derive(Clone)]
pub struct SignedRequest {
    pub(crate) head: Head,
    pub(crate) key_id: KeyId,
    pub(crate) nonce: Option<Short>,
    pub(crate) timestamp: Timestamp,
    pub(crate) body: Bytes,
    pub(crate) signed_by: SignedBy,
}

impl SignedRequest {
    /// Whose key signed.
    #[must_use]
    pub fn key_id(&self) -> &KeyId {
        &self.key_id
    }

    /// When the sender says it signed, to the second.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> Option<&Method> {
        self.head.method()
    }

    /// The host, and the port if one was named, in lower case.
    #[must_use]
    pub fn authority(&self) -> Option<&str> {
        self.head.authority()
    }

    /// The path, as sent.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        self.head.path()
    }

    /// The query from its question mark on, in the order that was signed; empty if there is none.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.head.query()
    }

    /// The content type, as sent; empty if there is none.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.head.content_type()
    }

    /// The sender's nonce.
    #[must_use]
    pub fn nonce(&self) -> Option<&str> {
        self.nonce.as_ref().map(Short::as_str)
    }

    /// The body, the very bytes that were signed.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Whether the secret before the current one signed: that client has not taken up the new one yet.
    #[must_use]
    pub fn by_previous_secret(&self) -> bool {
        self.signed_by == SignedBy::Previous
    }
}

impl fmt::Debug for SignedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedRequest")
            .field("key_id", &self.key_id)
            .field("timestamp", &self.timestamp)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Unclaimed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unclaimed(..)")
    }
}
