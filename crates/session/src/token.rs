//! The refresh token: what it is made of, and how it is known again without being kept.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use portcullis_core::Secret;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::SessionId;

/// A refresh token on its way to the client: wiped when dropped, redacted in `Debug`, compared in
/// constant time.
///
/// 81 characters: `prt1_`, then base64url of version (1 byte), session (16), counter (8, big-endian)
/// and tag (32). The tag is HMAC-SHA-256 under the service's key over those and a nonce that only
/// the store holds; no token is ever stored.
#[derive(Clone)]
pub struct RefreshToken(Zeroizing<String>);

impl RefreshToken {
    /// How many characters a token has.
    pub const LEN: usize = 81;

    /// The token itself, for the response body. Each call is a place a reviewer looks at.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl PartialEq for RefreshToken {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for RefreshToken {}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken(..)")
    }
}

/// A text that has the form of a refresh token; whether it is one, the tag tells.
#[derive(Clone)]
pub(crate) struct Presented {
    pub(crate) session: SessionId,
    pub(crate) counter: u64,
    tag: [u8; TAG_LEN],
}

impl Presented {
    /// Reads `text` strictly: one prefix, one length, one version, one spelling.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() != RefreshToken::LEN {
            return None;
        }
        let body = text.strip_prefix(PREFIX)?;
        let bytes = Zeroizing::new(BASE64URL_NOPAD.decode(body.as_bytes()).ok()?);
        let (version, rest) = bytes.split_first()?;
        let (session, rest) = rest.split_first_chunk::<{ SessionId::LEN }>()?;
        let (counter, tag) = rest.split_first_chunk::<8>()?;
        if *version != VERSION {
            return None;
        }
        Some(Self {
            session: SessionId::from_bytes(*session),
            counter: u64::from_be_bytes(*counter),
            tag: tag.try_into().ok()?,
        })
    }

    pub(crate) fn text(&self) -> RefreshToken {
        let mut bytes = Zeroizing::new([0; BODY_LEN]);
        let parts = [VERSION]
            .into_iter()
            .chain(*self.session.as_bytes())
            .chain(self.counter.to_be_bytes())
            .chain(self.tag);
        for (to, from) in bytes.iter_mut().zip(parts) {
            *to = from;
        }
        // Its whole length at once, so that growing leaves no copy behind.
        let mut text = Zeroizing::new(String::with_capacity(RefreshToken::LEN));
        text.push_str(PREFIX);
        BASE64URL_NOPAD.encode_append(bytes.as_slice(), &mut text);
        RefreshToken(text)
    }
}

/// The service's key, keyed once and cloned per call.
pub(crate) struct Keyed(Hmac<Sha256>);

impl Keyed {
    /// The shortest key, in bytes: as long as the hash's output (RFC 2104 §3).
    pub(crate) const MIN_KEY_LEN: usize = 32;

    /// None when the key is shorter than [`Keyed::MIN_KEY_LEN`].
    pub(crate) fn new(key: &Secret) -> Option<Self> {
        if key.len() < Self::MIN_KEY_LEN {
            return None;
        }
        Hmac::new_from_slice(key.expose()).ok().map(Self)
    }

    /// The token of `session`'s generation `counter`: the same one whenever it is asked for.
    pub(crate) fn token(
        &self,
        session: SessionId,
        counter: u64,
        nonce: &[u8; NONCE_LEN],
    ) -> RefreshToken {
        let tag = self.tag(session, counter, nonce);
        Presented {
            session,
            counter,
            tag,
        }
        .text()
    }

    /// Whether this service made `presented` for the row that holds `nonce`; constant time.
    pub(crate) fn made(&self, presented: &Presented, nonce: &[u8; NONCE_LEN]) -> bool {
        let tag = self.tag(presented.session, presented.counter, nonce);
        tag.ct_eq(&presented.tag).into()
    }

    /// Every part has one length, so no boundary can be moved.
    fn tag(&self, session: SessionId, counter: u64, nonce: &[u8; NONCE_LEN]) -> [u8; TAG_LEN] {
        let mut mac = self.0.clone();
        mac.update(DOMAIN);
        mac.update(&[VERSION]);
        mac.update(session.as_bytes());
        mac.update(&counter.to_be_bytes());
        mac.update(nonce);
        mac.finalize().into_bytes().into()
    }
}

pub(crate) const NONCE_LEN: usize = 16;
const TAG_LEN: usize = 32;
const BODY_LEN: usize = 1 + SessionId::LEN + 8 + TAG_LEN;
const VERSION: u8 = 1;
/// Readable, so that a token in the wrong place is recognised by people and by secret scanners.
const PREFIX: &str = "prt1_";
/// Keeps these tags apart from any other use of the same key.
const DOMAIN: &[u8] = b"portcullis refresh token\0";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keyed() -> Keyed {
        Keyed::new(&Secret::from(vec![7; 32])).unwrap()
    }

    #[test]
    fn a_token_is_81_characters_and_reads_back_as_itself() {
        let session = SessionId::from_bytes([3; 16]);
        let token = keyed().token(session, 5, &[9; 16]);
        assert_eq!(token.expose().len(), RefreshToken::LEN);
        let read = Presented::parse(token.expose()).unwrap();
        assert_eq!((read.session, read.counter), (session, 5));
        assert!(keyed().made(&read, &[9; 16]));
        assert_eq!(read.text(), token);
    }

    #[test]
    fn a_tag_made_for_another_session_counter_nonce_or_key_is_refused() {
        let session = SessionId::from_bytes([3; 16]);
        let token = keyed().token(session, 5, &[9; 16]);
        let read = Presented::parse(token.expose()).unwrap();
        let other_key = Keyed::new(&Secret::from(vec![8; 32])).unwrap();
        let other_session = Presented {
            session: SessionId::from_bytes([4; 16]),
            ..read.clone()
        };
        let other_counter = Presented {
            counter: 6,
            ..read.clone()
        };
        assert!(!keyed().made(&other_session, &[9; 16]));
        assert!(!keyed().made(&other_counter, &[9; 16]));
        assert!(!keyed().made(&read, &[8; 16]));
        assert!(!other_key.made(&read, &[9; 16]));
    }

    #[test]
    fn a_key_shorter_than_the_hash_is_refused() {
        for len in [0, 1, 31] {
            assert!(Keyed::new(&Secret::from(vec![7; len])).is_none());
        }
    }

    #[test]
    fn what_is_not_spelled_exactly_so_is_no_token() {
        let token = keyed().token(SessionId::from_bytes([3; 16]), 5, &[9; 16]);
        let good = token.expose();
        let cases = [
            String::new(),
            good[..80].to_owned(),
            format!("{good}A"),
            format!("{good}="),
            good.replacen("prt1_", "prt2_", 1),
            good.replacen("prt1_A", "prt1_B", 1),
            good.replacen("prt1_AQ", "prt1_Ag", 1),
            good.to_uppercase(),
            format!(" {}", &good[..80]),
            format!("{}\u{20ac}", &good[..78]),
            "A".repeat(1 << 20),
        ];
        for text in cases {
            assert!(Presented::parse(&text).is_none());
        }
    }

    #[test]
    fn debug_shows_nothing_of_the_token() {
        let token = keyed().token(SessionId::from_bytes([3; 16]), 5, &[9; 16]);
        assert_eq!(format!("{token:?}"), "RefreshToken(..)");
    }

    proptest! {
        #[test]
        fn any_single_changed_character_is_refused(at in 0_usize..81, to in "[A-Za-z0-9_-]") {
            let token = keyed().token(SessionId::from_bytes([3; 16]), 5, &[9; 16]);
            let mut text = token.expose().to_owned();
            prop_assume!(text[at..=at] != to);
            text.replace_range(at..=at, &to);
            let made = Presented::parse(&text).is_some_and(|read| keyed().made(&read, &[9; 16]));
            prop_assert!(!made);
        }

        #[test]
        fn parsing_never_panics_and_what_parses_is_spelled_the_same(text in ".{0,90}") {
            if let Some(read) = Presented::parse(&text) {
                let again = read.text();
                prop_assert_eq!(again.expose(), text);
            }
        }
    }
}
