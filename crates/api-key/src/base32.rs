//! The one spelling of a key's parts: lower-case base32 (RFC 4648 §6) without padding.

use data_encoding::BASE32_NOPAD;
use zeroize::{Zeroize, Zeroizing};

/// The bytes behind `text`, if it is their one spelling: lower case, of their length, and no bits set
/// where none belong.
pub(crate) fn decode<const N: usize>(text: &str) -> Option<Zeroizing<[u8; N]>> {
    if BASE32_NOPAD.decode_len(text.len()) != Ok(N) {
        return None;
    }
    let mut bytes = Zeroizing::new([0; N]);
    let (mut held, mut bits, mut wrong) = (0_u32, 0_u32, 0);
    let mut free = bytes.iter_mut();
    for character in text.bytes() {
        // Not by the library: its tables are in upper case, and a copy in that would have to be wiped.
        let value = value(character);
        wrong |= value;
        held = held << 5 | u32::from(value & 31);
        bits = bits.wrapping_add(5);
        if bits >= 8 {
            bits = bits.wrapping_sub(8);
            let [.., byte] = held.wrapping_shr(bits).to_be_bytes();
            // There are as many as the length said.
            *free.next()? = byte;
        }
    }
    // Bits that belong to no byte would make a second spelling.
    let rest = held & 1_u32.wrapping_shl(bits).wrapping_sub(1);
    (wrong < 32 && rest == 0).then_some(bytes)
}

/// The value of a character; 32 where it is none. No branch and no table for a secret to lead.
fn value(character: u8) -> u8 {
    let (letter, digit) = (character.wrapping_sub(b'a'), character.wrapping_sub(b'2'));
    let of_digit = if digit < 6 {
        digit.wrapping_add(26)
    } else {
        32
    };
    if letter < 26 { letter } else { of_digit }
}

/// Adds the spelling of `bytes` to `text`, which had room for it: growing would leave a copy behind.
pub(crate) fn append(text: &mut String, bytes: &[u8]) {
    let mut spelling = [0; LONGEST];
    let len = BASE32_NOPAD.encode_len(bytes.len());
    if let Some(part) = spelling.get_mut(..len) {
        BASE32_NOPAD.encode_mut(bytes, part);
        part.make_ascii_lowercase();
        text.push_str(std::str::from_utf8(part).unwrap_or_default());
    }
    spelling.zeroize();
}

/// A secret of 32 bytes, in characters.
const LONGEST: usize = 52;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As the library reads it, in upper case.
    fn by_library<const N: usize>(text: &str) -> Option<Vec<u8>> {
        let lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
        let bytes = BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes());
        bytes.ok().filter(|bytes| lower && bytes.len() == N)
    }

    fn agree<const N: usize>(text: &str) {
        let read = decode::<N>(text).map(|bytes| bytes.to_vec());
        assert_eq!(read, by_library::<N>(text), "{text:?} of {N}");
    }

    #[test]
    fn every_byte_in_every_place_is_read_or_refused_as_by_the_library() {
        type Agrees = fn(&str);
        let lengths = [
            (7, agree::<4> as Agrees),
            (16, agree::<10>),
            (52, agree::<32>),
        ];
        for (len, agrees) in lengths {
            for at in 0..len {
                for byte in 0..=0x7f_u8 {
                    let mut text = vec![b'a'; len];
                    text[at] = byte;
                    agrees(std::str::from_utf8(&text).unwrap());
                }
            }
            for other in 0..120 {
                agrees(&"a".repeat(other));
            }
            agrees(&"é".repeat(len / 2));
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_any_text_as_by_the_library(
            bytes: [u8; 32],
            text in "[a-z2-7]{52}",
        ) {
            let mut written = String::new();
            append(&mut written, &bytes);
            prop_assert_eq!(decode::<32>(&written).map(|read| *read), Some(bytes));
            agree::<32>(&text);
        }
    }
}
