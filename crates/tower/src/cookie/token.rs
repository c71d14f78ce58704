//! The cookie's value and the token of forms: what they are made of, and how they are known again.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use portcullis_core::Secret;
use portcullis_session::SessionId;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A form's proof that one of this site's own pages, shown to this very browser, has sent it. In the
/// extensions of every request behind a [`crate::CookieSessionLayer`].
///
/// It goes into the hidden field `csrf_token` of a form, or the header `X-CSRF-Token` of a script's
/// request; 86 characters of base64url. Each one is masked anew, so that a compressed page tells nothing
/// about it by its length (BREACH). It is good as long as the cookie is: no longer after a sign-in or a
/// sign-out, wherefore those are answered with a redirect.
#[derive(Clone)]
pub struct CsrfToken(Zeroizing<String>);

impl CsrfToken {
    /// The token itself, for the page. Each call is a place a reviewer looks at.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CsrfToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CsrfToken(..)")
    }
}

/// Whose browser holds the cookie.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) enum Holder {
    /// Nobody's yet: a random name, for the forms before sign-in.
    Visitor([u8; ID_LEN]),
    /// A session's.
    Session(SessionId),
}

impl Holder {
    const fn kind(self) -> u8 {
        match self {
            Self::Visitor(_) => VISITOR,
            Self::Session(_) => SESSION,
        }
    }

    fn id(self) -> [u8; ID_LEN] {
        match self {
            Self::Visitor(id) => id,
            Self::Session(session) => *session.as_bytes(),
        }
    }
}

/// A text that has the form of a cookie's value; whether it is one, the tag tells.
#[derive(Clone)]
pub(crate) struct Presented {
    pub(crate) holder: Holder,
    tag: [u8; TAG_LEN],
}

impl Presented {
    /// Reads `text` strictly: one prefix, one length, two kinds, one spelling.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        if text.len() != COOKIE_LEN {
            return None;
        }
        let body = text.strip_prefix(PREFIX.as_bytes())?;
        let bytes = Zeroizing::new(BASE64URL_NOPAD.decode(body).ok()?);
        let (kind, rest) = bytes.split_first()?;
        let (id, tag) = rest.split_first_chunk::<ID_LEN>()?;
        let holder = match *kind {
            VISITOR => Holder::Visitor(*id),
            SESSION => Holder::Session(SessionId::from_bytes(*id)),
            _ => return None,
        };
        Some(Self {
            holder,
            tag: tag.try_into().ok()?,
        })
    }

    pub(crate) fn text(&self) -> Zeroizing<String> {
        let (kind, id) = (self.holder.kind(), self.holder.id());
        let bytes = Zeroizing::new([&[kind], id.as_slice(), &self.tag].concat());
        // Its whole length at once, so that growing leaves no copy behind.
        let mut text = Zeroizing::new(String::with_capacity(COOKIE_LEN));
        text.push_str(PREFIX);
        BASE64URL_NOPAD.encode_append(&bytes, &mut text);
        text
    }
}

/// The service's key, keyed once and cloned per call.
pub(crate) struct Keyed(Hmac<Sha256>);

impl Keyed {
    /// The shortest key, in bytes: as long as the hash's output (RFC 2104 §3).
    const MIN_KEY_LEN: usize = 32;

    /// None when the key is shorter than [`Keyed::MIN_KEY_LEN`].
    pub(crate) fn new(key: &Secret) -> Option<Self> {
        if key.len() < Self::MIN_KEY_LEN {
            return None;
        }
        Hmac::new_from_slice(key.expose()).ok().map(Self)
    }

    /// The value of `holder`'s cookie: the same one whenever it is asked for.
    pub(crate) fn cookie(&self, holder: Holder) -> Zeroizing<String> {
        let tag = self.tag(COOKIE, holder);
        Presented { holder, tag }.text()
    }

    /// Whose cookie `text` is, if this service made it; constant time.
    pub(crate) fn holder(&self, text: &[u8]) -> Option<Holder> {
        let presented = Presented::parse(text)?;
        let made: bool = self
            .tag(COOKIE, presented.holder)
            .ct_eq(&presented.tag)
            .into();
        made.then_some(presented.holder)
    }

    /// A token of `holder`'s forms, under that mask.
    pub(crate) fn csrf(&self, holder: Holder, mask: [u8; TAG_LEN]) -> CsrfToken {
        let masked = masked(self.tag(CSRF, holder), &mask);
        let bytes = Zeroizing::new([mask, masked].concat());
        let mut text = Zeroizing::new(String::with_capacity(CSRF_LEN));
        BASE64URL_NOPAD.encode_append(&bytes, &mut text);
        CsrfToken(text)
    }

    /// Whether `text` is a token of `holder`'s forms; constant time.
    pub(crate) fn is_csrf(&self, holder: Holder, text: &[u8]) -> bool {
        let Some((mask, shown)) = parse_csrf(text) else {
            return false;
        };
        masked(self.tag(CSRF, holder), &mask).ct_eq(&shown).into()
    }

    /// Every part has one length, so no boundary can be moved.
    fn tag(&self, domain: &[u8; DOMAIN_LEN], holder: Holder) -> [u8; TAG_LEN] {
        let mut mac = self.0.clone();
        mac.update(domain);
        mac.update(&[holder.kind()]);
        mac.update(&holder.id());
        mac.finalize().into_bytes().into()
    }
}

/// The mask, and what it was laid over.
pub(crate) fn parse_csrf(text: &[u8]) -> Option<([u8; TAG_LEN], [u8; TAG_LEN])> {
    if text.len() != CSRF_LEN {
        return None;
    }
    let bytes = Zeroizing::new(BASE64URL_NOPAD.decode(text).ok()?);
    let (mask, shown) = bytes.split_first_chunk()?;
    Some((*mask, shown.try_into().ok()?))
}

fn masked(mut tag: [u8; TAG_LEN], mask: &[u8; TAG_LEN]) -> [u8; TAG_LEN] {
    for (byte, over) in tag.iter_mut().zip(mask) {
        *byte ^= over;
    }
    tag
}

pub(crate) const ID_LEN: usize = 16;
const TAG_LEN: usize = 32;
/// The prefix, then base64url of kind (1 byte), id (16) and tag (32).
const COOKIE_LEN: usize = 5 + 66;
/// Base64url of mask (32 bytes) and masked tag (32).
const CSRF_LEN: usize = 86;
const VISITOR: u8 = 1;
const SESSION: u8 = 2;
/// Readable, so that a cookie in the wrong place is recognised by people and by secret scanners.
const PREFIX: &str = "psc1_";
const DOMAIN_LEN: usize = 18;
/// Keep these tags apart from each other and from any other use of the same key.
const COOKIE: &[u8; DOMAIN_LEN] = b"portcullis cookie\0";
const CSRF: &[u8; DOMAIN_LEN] = b"portcullis csrf..\0";

#[cfg(test)]
mod tests;
