//! The other end: signing a request, by the same definition that verifies it.

use std::fmt;

use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use http::header::{HeaderName, HeaderValue};
use portcullis_core::{Timestamp, entropy};

use crate::error::SIGNATURE;
use crate::head::{Headers, NONCE, Sent, TIMESTAMP};
use crate::scheme::{KeyCarriage, Said, hex};
use crate::text::{Decimal, Short};
use crate::verify::{at, nonce};
use crate::{Error, KeyId, Scheme, SigningKey};

/// Signs requests of one scheme with one key.
#[derive(Clone)]
pub struct Signer<S> {
    scheme: S,
    key_id: KeyId,
    key: SigningKey,
}

impl<S: Scheme> Signer<S> {
    /// Signs as `key_id`, with that id's current secret.
    pub fn new(scheme: S, key_id: KeyId, key: SigningKey) -> Self {
        Self {
            scheme,
            key_id,
            key,
        }
    }

    /// Signs the request and sets its headers, with a fresh nonce where the scheme has one.
    ///
    /// Sign last, and send what was signed: a client that reorders the query or writes the body anew
    /// sends another request. The host is the target's, or the `Host` header's.
    ///
    /// # Errors
    /// [`Error::Request`] for a request that no verifier would accept; [`Error::Entropy`].
    pub fn sign<B: AsRef<[u8]>>(
        &self,
        request: &mut http::Request<B>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let nonce = if self.scheme.carriage().nonce {
            entropy()?
        } else {
            [0; 16]
        };
        self.sign_with(request, nonce, now)
    }

    /// The same with a nonce of the caller's, which no two requests of one key may share.
    ///
    /// # Errors
    /// [`Error::Request`].
    pub fn sign_with<B: AsRef<[u8]>>(
        &self,
        request: &mut http::Request<B>,
        nonce: [u8; 16],
        now: Timestamp,
    ) -> Result<(), Error> {
        let carriage = self.scheme.carriage();
        let key_header = match carriage.key {
            KeyCarriage::Header(name) => Some(name),
            KeyCarriage::Known(known) if known == self.key_id => None,
            KeyCarriage::Known(_) => return Err(Error::Request("the key is another sender's")),
        };
        let nonce = carriage.nonce.then(|| nonce_text(nonce)).flatten();
        let timestamp = now.as_unix_secs();
        let mac = self.mac(request, nonce.as_ref(), timestamp)?;

        let signature = [carriage.prefix.as_bytes(), &hex(&mac)].concat();
        let copy = Bytes::copy_from_slice;
        let mut set = |name: &'static str, value: Bytes| {
            let value = HeaderValue::from_maybe_shared(value);
            let value = value.map_err(|_| Error::Request("a header has no form"))?;
            request
                .headers_mut()
                .insert(HeaderName::from_static(name), value);
            Ok::<(), Error>(())
        };
        set(SIGNATURE, signature.into())?;
        set(TIMESTAMP, copy(Decimal::of(timestamp).as_bytes()))?;
        if let Some(nonce) = &nonce {
            set(NONCE, copy(nonce.as_bytes()))?;
        }
        if let Some(name) = key_header {
            set(name, copy(self.key_id.as_bytes()))?;
        }
        Ok(())
    }

    fn mac<B: AsRef<[u8]>>(
        &self,
        request: &http::Request<B>,
        nonce: Option<&Short>,
        timestamp: u64,
    ) -> Result<[u8; 32], Error> {
        at(timestamp)?;
        let sent = Sent::of_request(request);
        let headers = Headers::of_unsigned(sent.headers).map_err(unsignable)?;
        let head = self.scheme.head(sent, &headers).map_err(unsignable)?;
        let body = request.body().as_ref();
        let said = Said::new(&head, &self.key_id, nonce, timestamp, body);
        Ok(self.key.mac(|sink| self.scheme.feed(&said, sink)))
    }
}

/// Sixteen bytes as a nonce is sent.
fn nonce_text(bytes: [u8; 16]) -> Option<Short> {
    let mut text = [0; 22];
    BASE64URL_NOPAD.encode_mut(&bytes, &mut text);
    nonce(&text)
}

/// What a verifier would say of the head, to whoever is about to send it.
fn unsignable(refused: Error) -> Error {
    match refused {
        Error::HeaderRefused(what) | Error::Malformed(what) | Error::Duplicate(what) => {
            Error::Request(what)
        }
        Error::Authority => Error::Request("it does not name one host, the right one"),
        other => other,
    }
}

impl<S: fmt::Debug> fmt::Debug for Signer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("scheme", &self.scheme)
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}
