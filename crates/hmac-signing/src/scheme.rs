//! What a scheme of signing is: what it covers, how it is carried, and one function that feeds the signed
//! bytes to a MAC.

use std::cell::OnceCell;

use data_encoding::HEXLOWER;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use crate::component::Components;
use crate::head::{Head, Headers, Sent};
use crate::text::{Decimal, Short};
use crate::{Error, KeyId};

/// A way to sign requests: [`crate::V1`], [`crate::TimestampBody`] or [`crate::CanonicalLines`].
///
/// The signer and the verifier get the signed bytes from the same function, so they cannot drift apart.
/// The trait is sealed: a scheme that leaves a boundary ambiguous lets one signature stand for two
/// requests, and each one here has a test that it does not.
pub trait Scheme: Definition + Clone + Send + Sync + 'static {}

/// What a scheme consists of; the half of [`Scheme`] that cannot be named from outside.
pub trait Definition {
    /// What the MAC covers beside the timestamp.
    fn covers(&self) -> Components;

    /// How signature, nonce and key id are carried.
    fn carriage(&self) -> Carriage;

    /// The parts that are signed of a head, or why it cannot be one of this scheme's.
    ///
    /// # Errors
    /// What [`crate::Verifier::begin`] says of the head.
    fn head(&self, sent: Sent<'_>, headers: &Headers<'_>) -> Result<Head, Error>;

    /// Feeds the signed bytes, in pieces.
    fn feed<S: Sink>(&self, said: &Said<'_>, sink: &mut S);
}

/// How a scheme carries what is not the request itself.
#[derive(Clone, Copy, Debug)]
pub struct Carriage {
    /// What stands before the hexadecimal digits of the signature.
    pub(crate) prefix: &'static str,
    pub(crate) key: KeyCarriage,
    pub(crate) nonce: bool,
}

/// How a verifier learns which key is meant.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KeyCarriage {
    /// It is agreed.
    Known(KeyId),
    /// A header says so.
    Header(&'static str),
}

/// Everything that may be signed.
#[expect(
    missing_debug_implementations,
    reason = "not to be named from outside, and what it holds is not for logs"
)]
pub struct Said<'a> {
    pub(crate) head: &'a Head,
    pub(crate) key_id: &'a str,
    pub(crate) nonce: &'a str,
    pub(crate) timestamp: Decimal,
    pub(crate) body: &'a [u8],
    digest: OnceCell<[u8; 64]>,
}

impl<'a> Said<'a> {
    pub(crate) fn new(
        head: &'a Head,
        key_id: &'a KeyId,
        nonce: Option<&'a Short>,
        timestamp: u64,
        body: &'a [u8],
    ) -> Self {
        Self {
            head,
            key_id: key_id.as_str(),
            nonce: nonce.map_or("", Short::as_str),
            timestamp: Decimal::of(timestamp),
            body,
            digest: OnceCell::new(),
        }
    }

    /// SHA-256 of the body, in hexadecimal; reckoned once for however many MACs.
    pub(crate) fn body_digest(&self) -> &[u8; 64] {
        self.digest
            .get_or_init(|| hex(&Sha256::digest(self.body).into()))
    }
}

/// Takes the signed bytes, piece by piece.
pub trait Sink {
    /// The next piece.
    fn put(&mut self, piece: &[u8]);
}

impl Sink for Hmac<Sha256> {
    fn put(&mut self, piece: &[u8]) {
        self.update(piece);
    }
}

impl Sink for Vec<u8> {
    fn put(&mut self, piece: &[u8]) {
        self.extend_from_slice(piece);
    }
}

/// Hands small pieces on together: a MAC takes a few long ones faster than many short ones.
pub(crate) struct Joined<'a, S: Sink> {
    sink: &'a mut S,
    held: [u8; 256],
    len: usize,
}

impl<'a, S: Sink> Joined<'a, S> {
    pub(crate) fn new(sink: &'a mut S) -> Self {
        Self {
            sink,
            held: [0; 256],
            len: 0,
        }
    }

    /// Hands on what is held still.
    pub(crate) fn finish(&mut self) {
        self.sink.put(self.held.get(..self.len).unwrap_or_default());
        self.len = 0;
    }
}

impl<S: Sink> Sink for Joined<'_, S> {
    fn put(&mut self, piece: &[u8]) {
        let end = self.len.saturating_add(piece.len());
        if let Some(room) = self.held.get_mut(self.len..end) {
            room.copy_from_slice(piece);
            self.len = end;
            return;
        }
        self.finish();
        match self.held.get_mut(..piece.len()) {
            Some(room) => {
                room.copy_from_slice(piece);
                self.len = piece.len();
            }
            None => self.sink.put(piece),
        }
    }
}

pub(crate) fn hex(bytes: &[u8; 32]) -> [u8; 64] {
    let mut text = [b'0'; 64];
    HEXLOWER.encode_mut(bytes, &mut text);
    text
}

/// The bytes of 64 lower-case hexadecimal digits and nothing else.
pub(crate) fn unhex(text: &[u8]) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let exact = HEXLOWER.decode_len(text.len()) == Ok(bytes.len());
    let decoded = exact.then(|| HEXLOWER.decode_mut(text, &mut bytes).ok());
    decoded.flatten().map(|_| bytes)
}
