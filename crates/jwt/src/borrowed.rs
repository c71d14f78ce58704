//! A verified token that owns nothing, and the buffer it stands in.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use portcullis_core::Timestamp;

use crate::claims::BorrowedRegistered;
use crate::{AccessToken, Error, Policy};

/// A token that was verified in every respect, as an [`AccessToken`] is, whose texts are those of the
/// payload in a [`Scratch`]. Only [`Verifier::verify_borrowed`](crate::Verifier::verify_borrowed) makes
/// one.
#[derive(Clone, PartialEq, Eq)]
pub struct BorrowedToken<'a, C> {
    pub(crate) registered: BorrowedRegistered<'a>,
    pub(crate) claims: C,
    pub(crate) dead_at: Timestamp,
}

impl<'a, C> BorrowedToken<'a, C> {
    /// The claims that the standard defines.
    #[must_use]
    pub const fn registered(&self) -> &BorrowedRegistered<'a> {
        &self.registered
    }

    /// The caller's claims.
    #[must_use]
    pub const fn claims(&self) -> &C {
        &self.claims
    }

    /// Takes the token apart.
    #[must_use]
    pub fn into_parts(self) -> (BorrowedRegistered<'a>, C) {
        (self.registered, self.claims)
    }

    /// Looks at the time once more, after a wait long enough that `now` was read again.
    ///
    /// # Errors
    /// [`Error::Expired`] when the token's time, with the policy's leeway, is over.
    pub fn recheck(&self, now: Timestamp) -> Result<(), Error> {
        recheck(self.dead_at, now)
    }

    /// The same with texts of its own; `policy` is the one that it was judged by.
    pub(crate) fn into_access(self, policy: &Policy) -> AccessToken<C> {
        let (issuer, audience) = policy.shared_names();
        let registered = self.registered.into_owned(issuer, audience);
        AccessToken::new(registered, self.claims, self.dead_at)
    }
}

impl<C> fmt::Debug for BorrowedToken<'_, C> {
    /// What [`BorrowedRegistered`] shows; nothing of the user's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BorrowedToken")
            .field("registered", &self.registered)
            .finish_non_exhaustive()
    }
}

pub(crate) fn recheck(dead_at: Timestamp, now: Timestamp) -> Result<(), Error> {
    if now >= dead_at {
        return Err(Error::Expired);
    }
    Ok(())
}

/// Where the payload of a borrowed token stands: about a kibibyte in place, and a buffer for longer
/// payloads that is kept from one token to the next.
///
/// On the stack or in a worker's own state; never shared. It holds the last payload until the next one
/// or until it is dropped, shows nothing of it, and wipes nothing: claims are no secret of the service.
///
/// ```
/// use portcullis_jwt::Scratch;
///
/// assert_eq!(format!("{:?}", Scratch::new()), "Scratch(..)");
/// ```
pub struct Scratch {
    inline: [u8; INLINE_BYTES],
    longer: Vec<u8>,
}

impl Scratch {
    /// An empty one, which has allocated nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            inline: [0; INLINE_BYTES],
            longer: Vec::new(),
        }
    }

    /// Decodes a segment as [`parse::decode`](crate::parse::decode) does.
    pub(crate) fn decode(&mut self, segment: &str) -> Result<&[u8], Error> {
        let length = BASE64URL_NOPAD
            .decode_len(segment.len())
            .map_err(|_| Error::NotBase64url)?;
        let out = match self.inline.get_mut(..length) {
            Some(inline) => inline,
            None => {
                self.longer.resize(length, 0);
                self.longer.as_mut_slice()
            }
        };
        BASE64URL_NOPAD
            .decode_mut(segment.as_bytes(), out)
            .map_err(|_| Error::NotBase64url)?;
        Ok(out)
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Scratch {
    /// Nothing: it holds somebody's claims.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scratch(..)")
    }
}

/// Payloads of access tokens have a few hundred bytes.
const INLINE_BYTES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    #[test]
    fn decodes_and_refuses_what_the_other_decoder_does_at_every_length() {
        let mut scratch = Scratch::new();
        for length in (0..80).chain(1360..1372).chain([3000, 90, 1366, 5]) {
            let text = "QUJD".repeat(length / 4 + 1);
            let text = &text[..length];
            for text in [
                text.to_owned(),
                text.replacen("JD", "J=", 1),
                format!("{text}A"),
                format!("{text}="),
                format!("{text} "),
                format!("+{text}"),
            ] {
                let wanted = parse::decode(&text);
                assert_eq!(scratch.decode(&text).map(<[u8]>::to_vec), wanted, "{text}");
            }
        }
    }

    #[test]
    fn debug_shows_nothing_of_a_payload() {
        let mut scratch = Scratch::default();
        scratch.decode("QUJD").unwrap();
        assert_eq!(format!("{scratch:?}"), "Scratch(..)");
    }
}
