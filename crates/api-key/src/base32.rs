//! The one spelling of a key's parts: lower-case base32 (RFC 4648 §6) without padding.

use data_encoding::BASE32_NOPAD;
use zeroize::{Zeroize, Zeroizing};

/// The bytes behind `text`, if it is their one spelling: lower case, of their length, and no bits set
/// where none belong.
pub(crate) fn decode<const N: usize>(text: &str) -> Option<Zeroizing<[u8; N]>> {
    if BASE32_NOPAD.decode_len(text.len()) != Ok(N) || text.len() > LONGEST {
        return None;
    }
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    // The library's tables are in upper case; a table of our own would have to be built at run time.
    let mut upper = Zeroizing::new([0; LONGEST]);
    let upper = upper.get_mut(..text.len())?;
    upper.copy_from_slice(text.as_bytes());
    upper.make_ascii_uppercase();
    let mut bytes = Zeroizing::new([0; N]);
    let read = BASE32_NOPAD.decode_mut(upper, bytes.as_mut_slice());
    read.is_ok().then_some(bytes)
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
