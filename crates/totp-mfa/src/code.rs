//! The codes that people type.

use std::fmt;

use zeroize::Zeroizing;

use crate::{Error, Kind};

/// A code that has the form of one; whether it is right, the store tells.
///
/// ```
/// use portcullis_totp_mfa::{Code, Kind};
///
/// assert_eq!(Code::parse("042917")?.kind(), Kind::Totp);
/// let written_down = "7qd4-x0ma-9gk2-tz8w-hv3n-5rcp";
/// assert_eq!(Code::parse(written_down)?.kind(), Kind::RecoveryCode);
/// assert!(Code::parse("42917").is_err());
/// assert!(Code::parse("\u{ff10}42917").is_err(), "a full-width zero");
/// # Ok::<(), portcullis_totp_mfa::Error>(())
/// ```
pub struct Code(pub(crate) Held);

/// The code's own bytes, wiped when dropped.
#[derive(Clone)]
pub(crate) enum Held {
    Totp(Zeroizing<[u8; 6]>),
    Recovery(Zeroizing<[u8; RECOVERY_LEN]>),
}

impl Code {
    /// The longest text that is looked at, in bytes: a recovery code with spaces around its hyphens fits.
    pub const MAX_LEN: usize = 64;

    /// Reads six ASCII digits and nothing else, or a recovery code: 24 characters of Crockford's base32,
    /// in either case, with spaces and hyphens wherever they help, O for 0, and I or L for 1.
    ///
    /// # Errors
    /// [`Error::CodeMalformed`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > Self::MAX_LEN {
            return Err(Error::CodeMalformed);
        }
        let digits = <[u8; 6]>::try_from(text.as_bytes()).map(Zeroizing::new);
        if let Ok(digits) = digits
            && digits.iter().all(u8::is_ascii_digit)
        {
            return Ok(Self(Held::Totp(digits)));
        }
        let recovery = parse_recovery(text).ok_or(Error::CodeMalformed)?;
        Ok(Self(Held::Recovery(recovery)))
    }

    /// Which kind of code it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self.0 {
            Held::Totp(_) => Kind::Totp,
            Held::Recovery(_) => Kind::RecoveryCode,
        }
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(..)")
    }
}

/// `XXXX-XXXX-XXXX-XXXX-XXXX-XXXX`: 120 bits as 24 characters, most significant first.
pub(crate) fn recovery_text(bytes: &[u8; RECOVERY_LEN]) -> Zeroizing<String> {
    let mut bits = bytes
        .iter()
        .fold(0_u128, |bits, byte| (bits << 8) | u128::from(*byte));
    // Its whole length at once, so that growing leaves no copy behind.
    let mut text = Zeroizing::new(String::with_capacity(29));
    for place in 0..SYMBOLS_IN_CODE {
        if place > 0 && place % 4 == 0 {
            text.push('-');
        }
        // Of 24 symbols of five bits the first begins at bit 115.
        let value = usize::try_from((bits >> 115) & 0x1f);
        let symbol = value.ok().and_then(|value| ALPHABET.get(value));
        text.push(symbol.copied().map_or('0', char::from));
        bits <<= 5;
    }
    text
}

fn parse_recovery(text: &str) -> Option<Zeroizing<[u8; RECOVERY_LEN]>> {
    let (mut bits, mut symbols) = (0_u128, 0_usize);
    for typed in text.bytes().filter(|typed| !matches!(typed, b' ' | b'-')) {
        symbols = symbols.saturating_add(1);
        if symbols > SYMBOLS_IN_CODE {
            return None;
        }
        bits = (bits << 5) | u128::from(symbol_value(typed)?);
    }
    if symbols != SYMBOLS_IN_CODE {
        return None;
    }
    // 24 symbols fill 15 bytes of the 16, so the first is zero.
    bits.to_be_bytes().last_chunk().copied().map(Zeroizing::new)
}

fn symbol_value(typed: u8) -> Option<u8> {
    let symbol = match typed.to_ascii_uppercase() {
        b'O' => b'0',
        b'I' | b'L' => b'1',
        other => other,
    };
    let place = ALPHABET.iter().position(|known| *known == symbol)?;
    u8::try_from(place).ok()
}

/// 15 bytes, 120 bits: past the 112 under which ASVS 5 wants codes hashed as slowly as passwords.
pub(crate) const RECOVERY_LEN: usize = 15;
const SYMBOLS_IN_CODE: usize = 24;
/// Crockford's: no I, L, O or U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes_of(text: &str) -> Option<[u8; RECOVERY_LEN]> {
        match Code::parse(text).ok()?.0 {
            Held::Recovery(bytes) => Some(*bytes),
            Held::Totp(_) => None,
        }
    }

    #[test]
    fn the_text_of_a_recovery_code_is_crockfords_base32_in_groups_of_four() {
        let cases = [
            ([0; 15], "0000-0000-0000-0000-0000-0000"),
            ([255; 15], "ZZZZ-ZZZZ-ZZZZ-ZZZZ-ZZZZ-ZZZZ"),
            // 00000 00001 00010 ... 10111: each symbol once, from the start of the alphabet.
            (
                [
                    0x00, 0x44, 0x32, 0x14, 0xc7, 0x42, 0x54, 0xb6, 0x35, 0xcf, 0x84, 0x65, 0x3a,
                    0x56, 0xd7,
                ],
                "0123-4567-89AB-CDEF-GHJK-MNPQ",
            ),
        ];
        for (bytes, text) in cases {
            assert_eq!(recovery_text(&bytes).as_str(), text);
            assert_eq!(bytes_of(text), Some(bytes));
        }
    }

    #[test]
    fn a_recovery_code_is_read_in_any_case_with_spaces_hyphens_and_the_letters_taken_for_digits() {
        let code = bytes_of("0101-1ABC-DEFG-HJKM-NPQR-STVW");
        assert!(code.is_some());
        for text in [
            "01011ABCDEFGHJKMNPQRSTVW",
            "olo1iabcdefghjkmnpqrstvw",
            "OIOL1 ABC DEFG-HJKM  NPQR - STVW ",
        ] {
            assert_eq!(bytes_of(text), code, "{text}");
        }
    }

    #[test]
    fn a_text_that_is_nearly_a_recovery_code_is_none() {
        for text in [
            "",
            "----",
            "0101-1ABC-DEFG-HJKM-NPQR-STV",
            "0101-1ABC-DEFG-HJKM-NPQR-STVW0",
            "U101-1ABC-DEFG-HJKM-NPQR-STVW",
            "0101_1ABC_DEFG_HJKM_NPQR_STVW",
            "0101-1ABC-DEFG-HJKM-NPQR-STVW\n",
            "0101\u{2010}1ABC-DEFG-HJKM-NPQR-STVW",
            "0101\u{a0}1ABC-DEFG-HJKM-NPQR-STVW",
            "\u{ff10}101-1ABC-DEFG-HJKM-NPQR-STVW",
            // The Kelvin sign lower-cases to a k.
            "0101-1ABC-DEFG-HJ\u{212a}M-NPQR-STVW",
            "0101-1ABC-DEFG-HJKM-NPQR-STVW                                    ",
        ] {
            assert!(Code::parse(text).is_err(), "{text:?}");
        }
        assert!(Code::parse(&"0".repeat(1 << 20)).is_err(), "a megabyte");
    }

    #[test]
    fn a_code_shows_nothing_of_itself() {
        assert_eq!(format!("{:?}", Code::parse("123456").unwrap()), "Code(..)");
    }

    proptest! {
        #[test]
        fn a_recovery_code_survives_its_text(bytes in any::<[u8; RECOVERY_LEN]>()) {
            prop_assert_eq!(bytes_of(&recovery_text(&bytes)), Some(bytes));
        }

        #[test]
        fn every_text_is_read_or_refused_without_panic(text in "\\PC{0,80}") {
            let read = Code::parse(&text);
            let six = text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit());
            let is_totp = read.is_ok_and(|code| code.kind() == Kind::Totp);
            prop_assert_eq!(is_totp, six);
        }
    }
}
