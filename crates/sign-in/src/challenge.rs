//! What a caller holds between the password and the second factor.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use portcullis_core::{Key, Scope, Secret, Timestamp};
use zeroize::Zeroizing;

/// The password was right and a second factor is asked for: who shows one with this token, within its
/// time and its few tries, is signed in.
///
/// The token is bound to the one login it was made for, and proves nothing but that login's password.
pub struct Challenge {
    pub(crate) token: ChallengeToken,
    pub(crate) expires_at: Timestamp,
    pub(crate) user_id: String,
    pub(crate) hash_is_outdated: bool,
}

impl Challenge {
    /// The token, for the response body. Each call is a place a reviewer looks at.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.token.expose()
    }

    /// When it is over.
    #[must_use]
    pub const fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// Whose password was proven.
    #[must_use]
    pub fn user_id(&self) -> &str {
        &self.user_id
    }

    /// As [`crate::SignedIn::hash_is_outdated`]: the password is at hand now, and not later.
    #[must_use]
    pub const fn hash_is_outdated(&self) -> bool {
        self.hash_is_outdated
    }
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Challenge")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// 48 characters: `pch1_`, then 32 random bytes in base64url. Wiped when dropped, redacted in `Debug`.
#[derive(Clone)]
pub(crate) struct ChallengeToken(Zeroizing<String>);

impl ChallengeToken {
    pub(crate) const LEN: usize = 48;

    /// The token of these random bytes.
    pub(crate) fn new(random: &Secret) -> Self {
        // Its whole length at once, so that growing leaves no copy behind.
        let mut text = Zeroizing::new(String::with_capacity(Self::LEN));
        text.push_str(PREFIX);
        BASE64URL_NOPAD.encode_append(random.expose(), &mut text);
        Self(text)
    }

    /// Reads `text` strictly: one prefix, one length, one spelling.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() != Self::LEN {
            return None;
        }
        let body = text.strip_prefix(PREFIX)?;
        // Bits after the last byte that are not zero do not decode: no second spelling.
        let bytes = Zeroizing::new(BASE64URL_NOPAD.decode(body.as_bytes()).ok()?);
        Some(Self::new(&Secret::from(bytes.as_slice())))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// Where its sign-in is kept. The store hashes keys under a secret of its own, and the token is
    /// longer than a key holds as it is: what lies there does not tell it.
    pub(crate) fn key(&self) -> Key {
        Key::new(WAITING, self.0.as_bytes())
    }
}

impl fmt::Debug for ChallengeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChallengeToken(..)")
    }
}

const WAITING: Scope = Scope::new("sign-in-waiting");
/// Readable, so that a token in the wrong place is recognised by people and by secret scanners.
const PREFIX: &str = "pch1_";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token() -> ChallengeToken {
        ChallengeToken::new(&Secret::from(vec![0xa7; 32]))
    }

    #[test]
    fn a_token_reads_back_as_itself_and_shows_nothing() {
        let text = token().expose().to_owned();
        assert_eq!(text.len(), ChallengeToken::LEN);
        let read = ChallengeToken::parse(&text).unwrap();
        assert_eq!(read.expose(), text);
        assert_eq!(read.key(), token().key());
        assert_eq!(format!("{read:?}"), "ChallengeToken(..)");
    }

    #[test]
    fn what_is_not_spelled_exactly_so_is_no_token() {
        let good = token().expose().to_owned();
        // The last character holds four bits of the last byte; the loose two must be zero.
        let loose = format!("{}d", &good[..47]);
        for text in [
            "",
            "pch1_",
            &good[..47],
            &format!("{good}A"),
            &good.replacen("pch1_", "pch2_", 1),
            &good.to_uppercase(),
            &format!(" {}", &good[..47]),
            &format!("{}\u{20ac}", &good[..45]),
            &loose,
            &"A".repeat(1 << 20),
        ] {
            assert!(ChallengeToken::parse(text).is_none(), "{text:.60}");
        }
    }

    proptest! {
        #[test]
        fn what_parses_is_spelled_the_same(text in "pch1_[A-Za-z0-9_-]{43}") {
            if let Some(read) = ChallengeToken::parse(&text) {
                prop_assert_eq!(read.expose(), text);
            }
        }
    }
}
