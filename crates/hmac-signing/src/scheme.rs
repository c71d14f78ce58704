//! What a scheme of signing is: what it covers, how it is carried, and one function that feeds the signed
//! bytes to a MAC.

use std::cell::OnceCell;

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
    pub(crate) key_id: &'a [u8],
    pub(crate) nonce: &'a [u8],
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
            key_id: key_id.as_bytes(),
            nonce: nonce.map_or(&[], Short::as_bytes),
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
    let (pairs, _) = text.as_chunks_mut::<2>();
    for (pair, byte) in pairs.iter_mut().zip(bytes) {
        *pair = [byte >> 4, byte & 0xf].map(digit);
    }
    text
}

/// The digit of a value below 16.
fn digit(value: u8) -> u8 {
    let from = if value < 10 {
        b'0'
    } else {
        b'a'.wrapping_sub(10)
    };
    from.wrapping_add(value)
}

/// The bytes of 64 lower-case hexadecimal digits and nothing else. Written out, without a branch for a
/// digit, so that many are read at once.
pub(crate) fn unhex(text: &[u8]) -> Option<[u8; 32]> {
    let text: &[u8; 64] = text.try_into().ok()?;
    let (pairs, _) = text.as_chunks::<2>();
    let (mut bytes, mut wrong) = ([0; 32], 0);
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        let [high, low] = pair.map(nibble);
        wrong |= high | low;
        *byte = high << 4 | low & 0xf;
    }
    (wrong <= 0xf).then_some(bytes)
}

/// The value of a digit; 0x10 where it is none.
fn nibble(digit: u8) -> u8 {
    let (number, letter) = (digit.wrapping_sub(b'0'), digit.wrapping_sub(b'a'));
    let of_letter = if letter < 6 {
        letter.wrapping_add(10)
    } else {
        0x10
    };
    if number < 10 { number } else { of_letter }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    #[test]
    fn a_digit_is_one_of_sixteen_and_no_other_byte_is_read_wherever_it_stands() {
        for byte in 0..=u8::MAX {
            let text = hex(&[byte; 32]);
            assert_eq!(text.as_slice(), HEXLOWER.encode(&[byte; 32]).as_bytes());
            assert_eq!(unhex(&text), Some([byte; 32]));
            for at in 0..64 {
                let mut text = [b'0'; 64];
                text[at] = byte;
                let wanted = HEXLOWER.decode(&text).ok();
                let read = unhex(&text).map(|bytes| bytes.to_vec());
                assert_eq!(read, wanted, "{byte} at {at}");
            }
        }
        for len in (0..200).filter(|len| *len != 64) {
            assert_eq!(unhex(&vec![b'0'; len]), None, "{len}");
        }
    }
}
