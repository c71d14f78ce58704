//! What a user needs to set up an authenticator.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use portcullis_core::Timestamp;
use zeroize::Zeroizing;

/// A secret on its way into an authenticator: to be shown once, to its owner alone.
///
/// It proves nothing: a factor is enrolled when its first code has come back
/// ([`crate::SecondFactors::confirm`]). Wiped when dropped.
#[must_use = "the secret is shown now or never"]
pub struct Enrolment {
    secret: Zeroizing<String>,
    uri: Zeroizing<String>,
    expires_at: Timestamp,
}

impl Enrolment {
    pub(crate) fn new(secret: &[u8], issuer: &str, account: &str, expires_at: Timestamp) -> Self {
        // Their whole length at once, so that growing leaves no copy behind.
        let mut base32 =
            Zeroizing::new(String::with_capacity(BASE32_NOPAD.encode_len(secret.len())));
        BASE32_NOPAD.encode_append(secret, &mut base32);
        let (issuer, account) = (encoded(issuer), encoded(account));
        let mut uri = Zeroizing::new(String::with_capacity(MAX_URI_LEN));
        for part in [
            "otpauth://totp/",
            &issuer,
            ":",
            &account,
            "?secret=",
            &base32,
            "&issuer=",
            &issuer,
            "&algorithm=SHA1&digits=6&period=30",
        ] {
            uri.push_str(part);
        }
        Self {
            secret: base32,
            uri,
            expires_at,
        }
    }

    /// The secret to type in, where there is no camera: 32 characters of base32 (RFC 4648 §6).
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// The `otpauth` address that the QR code holds, and that a tap on the same device opens.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Until when the first code must have come back.
    #[must_use]
    pub const fn expires_at(&self) -> Timestamp {
        self.expires_at
    }
}

impl fmt::Debug for Enrolment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enrolment")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Whether `text` can stand in an `otpauth` label and be read there: printable, without the colon that
/// ends the issuer, no space at its ends, and nothing that turns or hides its neighbours.
pub(crate) fn is_label(text: &str, max_chars: usize, max_bytes: usize) -> bool {
    let unfit = |char: char| {
        char == ':'
            || char.is_control()
            || (char.is_whitespace() && char != ' ')
            || matches!(char, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}')
            || matches!(char, '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    !text.is_empty()
        && text.len() <= max_bytes
        && text.chars().count() <= max_chars
        && text.trim() == text
        && !text.chars().any(unfit)
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// Everything but RFC 3986's unreserved characters: a space is `%20`, since authenticators show a plus.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// The longest account's name, in bytes and so in characters.
pub(crate) const MAX_ACCOUNT: usize = 128;
/// Three bytes for each of an issuer's 128, twice, and of an account's 128; the rest is 98 long.
const MAX_URI_LEN: usize = 1250;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_the_one_that_authenticators_read() {
        let secret = b"12345678901234567890";
        let made = Enrolment::new(secret, "Example Co", "alice@example.org", Timestamp::MAX);
        assert_eq!(made.secret(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(
            made.uri(),
            "otpauth://totp/Example%20Co:alice%40example.org?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
             &issuer=Example%20Co&algorithm=SHA1&digits=6&period=30"
        );
    }

    #[test]
    fn a_name_cannot_add_a_parameter_or_leave_its_place() {
        let names = [
            "a&secret=AAAA",
            "a?secret=AAAA",
            "a#b",
            "a/b",
            "a%3Ab",
            "é+ ü",
        ];
        for name in names {
            assert!(is_label(name, 64, 128));
            let uri = Enrolment::new(&[0; 20], name, name, Timestamp::MAX);
            let uri = uri.uri();
            for (mark, times) in [("&", 4), ("?", 1), ("#", 0), ("/", 3), (":", 2), ("+", 0)] {
                assert_eq!(uri.matches(mark).count(), times, "{mark} in {uri}");
            }
            assert_eq!(uri.matches("secret=").count(), 1);
        }
    }

    #[test]
    fn the_longest_address_is_no_longer_than_its_room() {
        let (issuer, account) = ("\u{7ff}".repeat(64), "&".repeat(MAX_ACCOUNT));
        assert!(is_label(&issuer, 64, 128) && is_label(&account, MAX_ACCOUNT, MAX_ACCOUNT));
        let longest = Enrolment::new(&[255; 20], &issuer, &account, Timestamp::MAX);
        assert_eq!(longest.uri().len(), MAX_URI_LEN);
    }

    #[test]
    fn an_enrolment_shows_neither_its_secret_nor_its_address() {
        let made = Enrolment::new(&[0; 20], "Example", "alice", Timestamp::UNIX_EPOCH);
        let text = format!("{made:?}");
        assert!(!text.contains("AAAA") && !text.contains("otpauth") && !text.contains("alice"));
    }
}
