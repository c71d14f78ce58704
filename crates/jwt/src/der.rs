//! RSA keys in DER, read strictly: what is read is what would be written (X.690 §10, §11).

use crate::Error;

/// The two numbers of a public key, most significant byte first and not zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbers<'a> {
    pub(crate) modulus: &'a [u8],
    pub(crate) exponent: &'a [u8],
}

impl<'a> Numbers<'a> {
    /// A `SubjectPublicKeyInfo` (RFC 5280 §4.1.2.7) of an RSA key (RFC 3279 §2.3.1).
    pub(crate) fn of_spki(der: &'a [u8]) -> Result<Self, Error> {
        let inner = whole(SEQUENCE, der).ok_or(NOT_DER)?;
        let (algorithm, rest) = element(SEQUENCE, inner).ok_or(NOT_DER)?;
        let bits = whole(BIT_STRING, rest).ok_or(NOT_DER)?;
        if algorithm != RSA_ENCRYPTION {
            return Err(NOT_RSA);
        }
        // The first byte counts the bits that are left over.
        let key = bits.strip_prefix(&[0]).ok_or(NOT_DER)?;
        Self::of_pkcs1(key)
    }

    /// An `RSAPublicKey` (RFC 8017 §A.1.1).
    pub(crate) fn of_pkcs1(der: &'a [u8]) -> Result<Self, Error> {
        let inner = whole(SEQUENCE, der).ok_or(NOT_DER)?;
        let (modulus, rest) = natural(inner).ok_or(NOT_DER)?;
        let (exponent, rest) = natural(rest).ok_or(NOT_DER)?;
        if !rest.is_empty() {
            return Err(NOT_DER);
        }
        Ok(Self { modulus, exponent })
    }

    /// An `RSAPrivateKey` of two primes (RFC 8017 §A.1.2); its other numbers are the backend's to check.
    pub(crate) fn of_private_pkcs1(der: &'a [u8]) -> Result<Self, Error> {
        let inner = whole(SEQUENCE, der).ok_or(NOT_DER)?;
        let rest = inner.strip_prefix(VERSION_ZERO).ok_or(NOT_DER)?;
        let (modulus, rest) = natural(rest).ok_or(NOT_DER)?;
        let (exponent, mut rest) = natural(rest).ok_or(NOT_DER)?;
        for _ in 0..PRIVATE_NUMBERS {
            (_, rest) = natural(rest).ok_or(NOT_DER)?;
        }
        if !rest.is_empty() {
            return Err(NOT_DER);
        }
        Ok(Self { modulus, exponent })
    }

    pub(crate) fn pkcs1(&self) -> Vec<u8> {
        let mut inner = written(INTEGER, &positive(self.modulus));
        inner.extend(written(INTEGER, &positive(self.exponent)));
        written(SEQUENCE, &inner)
    }

    pub(crate) fn spki(&self) -> Vec<u8> {
        let mut bits = vec![0];
        bits.extend(self.pkcs1());
        let mut inner = written(SEQUENCE, RSA_ENCRYPTION);
        inner.extend(written(BIT_STRING, &bits));
        written(SEQUENCE, &inner)
    }
}

/// The `RSAPrivateKey` within a `PrivateKeyInfo` without attributes (RFC 5208 §5).
pub(crate) fn private_pkcs1_of_pkcs8(der: &[u8]) -> Result<&[u8], Error> {
    let inner = whole(SEQUENCE, der).ok_or(NOT_DER)?;
    let rest = inner.strip_prefix(VERSION_ZERO).ok_or(NOT_DER)?;
    let (algorithm, rest) = element(SEQUENCE, rest).ok_or(NOT_DER)?;
    if algorithm != RSA_ENCRYPTION {
        return Err(NOT_RSA);
    }
    whole(OCTET_STRING, rest).ok_or(NOT_DER)
}

/// The content of an element that fills `input`.
fn whole(tag: u8, input: &[u8]) -> Option<&[u8]> {
    element(tag, input).and_then(|(content, rest)| rest.is_empty().then_some(content))
}

/// The content of the element at the front, and what follows it. A length has one spelling.
fn element(tag: u8, input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (first, rest) = input.strip_prefix(&[tag])?.split_first()?;
    let (length, rest) = match *first {
        short @ 0..=0x7f => (usize::from(short), rest),
        0x81 => {
            let (byte, rest) = rest.split_first()?;
            (usize::from(*byte), rest)
        }
        0x82 => {
            let (bytes, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(*bytes)), rest)
        }
        _ => return None,
    };
    let shortest = match *first {
        0x81 => 0x80,
        0x82 => 0x100,
        _ => 0,
    };
    if length < shortest {
        return None;
    }
    rest.split_at_checked(length)
}

/// A positive integer's magnitude, and what follows. A zero byte stands in front of it where the sign
/// bit would be set, and nowhere else.
fn natural(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (content, rest) = element(INTEGER, input)?;
    let magnitude = match content {
        [0, second, ..] if *second >= 0x80 => content.get(1..)?,
        [1..=0x7f, ..] => content,
        _ => return None,
    };
    Some((magnitude, rest))
}

pub(crate) fn positive(magnitude: &[u8]) -> Vec<u8> {
    let mut content = Vec::with_capacity(magnitude.len().saturating_add(1));
    if magnitude.first().is_some_and(|byte| *byte >= 0x80) {
        content.push(0);
    }
    content.extend_from_slice(magnitude);
    content
}

/// An element of fewer than 65 536 bytes, which a key within the bounds has.
pub(crate) fn written(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut element = vec![tag];
    match (u8::try_from(content.len()), u16::try_from(content.len())) {
        (Ok(short @ ..=0x7f), _) => element.push(short),
        (Ok(byte), _) => element.extend([0x81, byte]),
        (_, length) => {
            element.push(0x82);
            element.extend(length.unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    element.extend_from_slice(content);
    element
}

const NOT_DER: Error = Error::Key("the key is not in strict DER");
const NOT_RSA: Error = Error::Key("the key is not an RSA key");

pub(crate) const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const VERSION_ZERO: &[u8] = &[INTEGER, 1, 0];
/// `rsaEncryption` (1.2.840.113549.1.1.1) and the NULL that RFC 3279 §2.3.1 asks for beside it.
pub(crate) const RSA_ENCRYPTION: &[u8] = &[
    0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];
/// d, p, q, d mod p-1, d mod q-1, q⁻¹ mod p.
const PRIVATE_NUMBERS: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(modulus: &[u8]) -> Numbers<'_> {
        Numbers {
            modulus,
            exponent: &[1, 0, 1],
        }
    }

    #[test]
    fn reads_what_it_writes_at_every_length_of_a_length() {
        for bytes in [1, 100, 120, 122, 127, 128, 240, 250, 255, 256, 512] {
            for first in [0x01, 0x7f, 0x80, 0xff] {
                let mut modulus = vec![0; bytes];
                modulus[0] = first;
                let numbers = numbers(&modulus);
                assert_eq!(Numbers::of_pkcs1(&numbers.pkcs1()), Ok(numbers));
                assert_eq!(Numbers::of_spki(&numbers.spki()), Ok(numbers));
            }
        }
    }

    #[test]
    fn refuses_every_other_spelling_of_a_length_and_of_an_integer() {
        let good = [0x30, 0x08, 0x02, 0x01, 0x05, 0x02, 0x03, 0x01, 0x00, 0x01];
        assert!(Numbers::of_pkcs1(&good).is_ok());
        for bad in [
            // The long form of a short length, in one byte, two and three; the indefinite form.
            [
                0x30, 0x81, 0x08, 0x02, 0x01, 0x05, 0x02, 0x03, 0x01, 0x00, 0x01,
            ]
            .as_slice(),
            &[
                0x30, 0x82, 0x00, 0x08, 0x02, 0x01, 0x05, 0x02, 0x03, 0x01, 0x00, 0x01,
            ],
            &[
                0x30, 0x83, 0x00, 0x00, 0x08, 0x02, 0x01, 0x05, 0x02, 0x03, 0x01, 0x00, 0x01,
            ],
            &[
                0x30, 0x80, 0x02, 0x01, 0x05, 0x02, 0x03, 0x01, 0x00, 0x01, 0x00, 0x00,
            ],
            // A zero in front of what is positive already; zero; a negative; no bytes at all.
            &[
                0x30, 0x09, 0x02, 0x02, 0x00, 0x05, 0x02, 0x03, 0x01, 0x00, 0x01,
            ],
            &[0x30, 0x08, 0x02, 0x01, 0x00, 0x02, 0x03, 0x01, 0x00, 0x01],
            &[0x30, 0x08, 0x02, 0x01, 0x85, 0x02, 0x03, 0x01, 0x00, 0x01],
            &[0x30, 0x07, 0x02, 0x00, 0x02, 0x03, 0x01, 0x00, 0x01],
            // One byte more, without and within; one less; a third integer; another tag.
            &[
                0x30, 0x08, 0x02, 0x01, 0x05, 0x02, 0x03, 0x01, 0x00, 0x01, 0x00,
            ],
            &[
                0x30, 0x09, 0x02, 0x01, 0x05, 0x02, 0x03, 0x01, 0x00, 0x01, 0x00,
            ],
            &[0x30, 0x08, 0x02, 0x01, 0x05, 0x02, 0x03, 0x01, 0x00],
            &[
                0x30, 0x0b, 0x02, 0x01, 0x05, 0x02, 0x03, 0x01, 0x00, 0x01, 0x02, 0x01, 0x01,
            ],
            &[0x31, 0x08, 0x02, 0x01, 0x05, 0x02, 0x03, 0x01, 0x00, 0x01],
            &[],
        ] {
            assert_eq!(Numbers::of_pkcs1(bad), Err(NOT_DER), "{bad:02x?}");
        }
    }

    #[test]
    fn refuses_another_algorithm_left_over_bits_and_a_missing_null() {
        let spki = numbers(&[0x7f; 32]).spki();
        let at = spki
            .windows(2)
            .position(|pair| pair == [0x05, 0x00])
            .unwrap();
        let change = |at: usize, byte: u8| {
            let mut bad = spki.clone();
            bad[at] = byte;
            Numbers::of_spki(&bad).map(|_| ())
        };
        // RSASSA-PSS (…1.1.10), RSAES-OAEP (…1.1.7), a BOOLEAN in place of the NULL.
        for (at, byte) in [(at - 1, 0x0a), (at - 1, 0x07), (at, 0x01)] {
            assert_eq!(change(at, byte), Err(NOT_RSA));
        }
        assert_eq!(change(at + 4, 1), Err(NOT_DER));
        let mut short = spki.clone();
        short.drain(at..at + 2);
        short[1] -= 2;
        short[3] -= 2;
        assert_eq!(Numbers::of_spki(&short), Err(NOT_RSA));
    }
}
