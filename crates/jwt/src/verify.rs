//! From a token's bytes to an [`AccessToken`], or a reason.

use std::fmt;
use std::sync::OnceLock;

use portcullis_core::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::borrowed::{self, BorrowedToken, Scratch};
use crate::claims::{Payload, Registered};
use crate::key_set::{TrustedKeys, VerifyingKey};
use crate::parse::{self, Compact, Header};
use crate::sign::header_segment;
use crate::{Error, Policy};

/// A token that was verified in every respect: form, key, signature, kind, issuer, audience, life,
/// time and the shape of the caller's claims. Only [`Verifier::verify`] makes one.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken<C> {
    registered: Registered,
    claims: C,
    dead_at: Timestamp,
}

impl<C> AccessToken<C> {
    pub(crate) const fn new(registered: Registered, claims: C, dead_at: Timestamp) -> Self {
        Self {
            registered,
            claims,
            dead_at,
        }
    }

    /// The claims that the standard defines.
    #[must_use]
    pub const fn registered(&self) -> &Registered {
        &self.registered
    }

    /// The caller's claims.
    #[must_use]
    pub const fn claims(&self) -> &C {
        &self.claims
    }

    /// Takes the token apart.
    #[must_use]
    pub fn into_parts(self) -> (Registered, C) {
        (self.registered, self.claims)
    }

    /// Looks at the time once more, after a wait long enough that `now` was read again.
    ///
    /// # Errors
    /// [`Error::Expired`] when the token's time, with the policy's leeway, is over.
    pub fn recheck(&self, now: Timestamp) -> Result<(), Error> {
        borrowed::recheck(self.dead_at, now)
    }
}

impl<C> fmt::Debug for AccessToken<C> {
    /// What [`Registered`] shows; nothing of the user's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken")
            .field("registered", &self.registered)
            .finish_non_exhaustive()
    }
}

/// Verifies tokens of one policy with one set of keys.
///
/// The order is fixed: size, three segments, header, key by id with the *key's* one algorithm,
/// signature, one strict JSON pass, policy, the caller's type, time. Nothing of the payload is
/// decoded before the signature holds.
///
/// Keys change by a new verifier in its place; a verifier remembers headers, never tokens.
#[derive(Debug)]
pub struct Verifier {
    keys: Vec<Trusted>,
    policy: Policy,
}

impl Verifier {
    /// A verifier of tokens that a key of `keys` signed and `policy` describes: a `&KeySet`, or
    /// [`TrustedKeys`] where another service signs.
    #[must_use]
    pub fn new(keys: impl Into<TrustedKeys>, policy: Policy) -> Self {
        let trusted = |key: &VerifyingKey| Trusted {
            key: key.clone(),
            headers: [
                OnceLock::from(header_segment(key, &policy).into_boxed_str()),
                OnceLock::new(),
                OnceLock::new(),
            ],
        };
        Self {
            keys: keys.into().iter().map(trusted).collect(),
            policy,
        }
    }

    /// Verifies `token` at the instant `now` and reads its claims into `C`.
    ///
    /// `C` sees the whole payload, registered claims included; members that `C` does not name are
    /// ignored unless it says `deny_unknown_fields`.
    ///
    /// ```
    /// use portcullis_core::{Secret, Timestamp};
    /// use portcullis_jwt::{Error, HmacKey, KeySet, NoClaims, Policy, Signer, Verifier};
    /// use std::time::Duration;
    ///
    /// let keys = KeySet::new(HmacKey::new("k1", Secret::generate::<32>()?)?);
    /// let policy = Policy::access("https://login.example", "orders")?.leeway_secs(0)?;
    /// let now = Timestamp::from_unix_secs(1_700_000_000);
    /// let life = Duration::from_secs(60);
    /// let token = Signer::new(&keys, policy.clone()).sign(&NoClaims {}, "42", now, life)?;
    ///
    /// let verifier = Verifier::new(&keys, policy);
    /// assert_eq!(verifier.verify::<NoClaims>(&token, now)?.registered().sub, "42");
    /// let late = now.saturating_add(life);
    /// assert_eq!(verifier.verify::<NoClaims>(&token, late), Err(Error::Expired));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The first check that failed, in the order above; [`Error::Expired`] and
    /// [`Error::NotYetValid`] only for a token that is good in every other way.
    pub fn verify<C: DeserializeOwned>(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<AccessToken<C>, Error> {
        // The one code path: what is refused there is refused here.
        let mut scratch = Scratch::new();
        let read = self.verify_borrowed(token, &mut scratch, now)?;
        Ok(read.into_access(&self.policy))
    }

    /// [`Verifier::verify`] without the copies: the same checks in the same order, the same errors, and
    /// claims whose texts may borrow from the payload in `scratch`.
    ///
    /// Nothing is allocated with an HMAC key for a header in our signer's spelling, or in one of the first
    /// two others that were verified with that key, and a payload of up to 1024 bytes whose objects, while
    /// open, hold no more than 32 members, whose texts need no unescaping and whose `C` borrows. A longer
    /// payload allocates once for a scratch, which keeps its buffer; a member that `C` does not name, with an
    /// object or array inside another, once for a token; an RSA key as its library does.
    ///
    /// A `&str` in `C` refuses a text that is spelled with escapes, as [`Error::ClaimsShape`]; a `Cow<str>`
    /// with `#[serde(borrow)]` takes both.
    ///
    /// ```
    /// use portcullis_core::{Secret, Timestamp};
    /// use portcullis_jwt::{HmacKey, KeySet, Policy, Scratch, Signer, Verifier};
    /// use std::time::Duration;
    ///
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct Claims<'a> {
    ///     role: &'a str,
    /// }
    ///
    /// let keys = KeySet::new(HmacKey::new("k1", Secret::generate::<32>()?)?);
    /// let policy = Policy::access("https://login.example", "orders")?;
    /// let now = Timestamp::from_unix_secs(1_700_000_000);
    /// let signer = Signer::new(&keys, policy.clone());
    /// let token = signer.sign(&Claims { role: "admin" }, "42", now, Duration::from_secs(60))?;
    ///
    /// let verifier = Verifier::new(&keys, policy);
    /// let mut scratch = Scratch::new();
    /// let access = verifier.verify_borrowed::<Claims<'_>>(&token, &mut scratch, now)?;
    /// assert_eq!(access.registered().sub, "42");
    /// assert_eq!(access.claims().role, "admin");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Verifier::verify`].
    pub fn verify_borrowed<'a, C: Deserialize<'a>>(
        &'a self,
        token: &str,
        scratch: &'a mut Scratch,
        now: Timestamp,
    ) -> Result<BorrowedToken<'a, C>, Error> {
        let compact = Compact::split(token, self.policy.token_bytes_max())?;
        let recalled = self.recall(compact.header);
        let trusted = match recalled {
            Some(trusted) => trusted,
            None => self.read_header(compact.header)?,
        };
        let signed = compact.signed.as_bytes();
        trusted.key.check(signed, compact.signature)?;
        let bytes = scratch.decode(compact.payload)?;
        let text = parse::utf8(bytes).map_err(Error::PayloadJson)?;
        let payload = Payload::read(text, self.policy.required())?;
        let (registered, life) = self.policy.judge(&payload)?;
        let claims = serde_json::from_str(text).map_err(|_| Error::ClaimsShape)?;
        life.judge(self.policy.leeway(), now)?;
        if recalled.is_none() {
            // Only now: no stranger can fill the few places there are.
            trusted.remember(compact.header);
        }
        Ok(BorrowedToken {
            dead_at: life.dead_at(self.policy.leeway()),
            registered,
            claims,
        })
    }

    /// The key of a header that was read before, found by its exact bytes.
    fn recall(&self, header: &str) -> Option<&Trusted> {
        self.keys.iter().find(|trusted| trusted.knows(header))
    }

    /// The key that a header names, if that header says nothing that is refused.
    fn read_header(&self, header: &str) -> Result<&Trusted, Error> {
        let bytes = parse::decode(header)?;
        let text = parse::utf8(&bytes).map_err(Error::HeaderJson)?;
        let header = Header::read(text)?;
        if !self.policy.admits_kind(header.typ.as_deref()) {
            return Err(Error::Kind);
        }
        let trusted = self.key_of(header.kid.as_deref())?;
        if header.alg != trusted.key.algorithm().as_str() {
            return Err(Error::Algorithm);
        }
        Ok(trusted)
    }

    /// The key of that id; without an id, the only key there is.
    fn key_of(&self, kid: Option<&str>) -> Result<&Trusted, Error> {
        let found = match (kid, self.keys.as_slice()) {
            (None, [only]) => Some(only),
            (None, _) => None,
            (Some(kid), keys) => keys.iter().find(|trusted| trusted.key.kid() == kid),
        };
        found.ok_or(Error::KeyUnknown)
    }
}

/// A key and the headers, by their exact bytes, that were found to lead to it.
///
/// The first is the one that the signer writes; the others are learnt from verified tokens of other
/// writers and never replaced.
#[derive(Debug)]
struct Trusted {
    key: VerifyingKey,
    headers: [OnceLock<Box<str>>; HEADERS_KEPT],
}

impl Trusted {
    fn knows(&self, header: &str) -> bool {
        self.headers
            .iter()
            .filter_map(OnceLock::get)
            .any(|known| **known == *header)
    }

    fn remember(&self, header: &str) {
        if let Some(free) = self.headers.iter().find(|slot| slot.get().is_none()) {
            // Another thread may be first: then this header is read again next time.
            let _ = free.set(header.into());
        }
    }
}

const HEADERS_KEPT: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HmacKey, KeySet, NoClaims};
    use data_encoding::BASE64URL_NOPAD;
    use portcullis_core::Secret;

    const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);

    #[test]
    fn a_header_is_remembered_once_its_token_verified_and_not_before() {
        let key = HmacKey::new("k1", Secret::generate::<32>().unwrap()).unwrap();
        let policy = Policy::access("https://login.example", "orders").unwrap();
        let verifier = Verifier::new(&KeySet::new(key.clone()), policy);
        let kept = || {
            verifier.keys[0]
                .headers
                .iter()
                .filter_map(OnceLock::get)
                .count()
        };
        let send = |spaces: usize, exp: u64, forged: bool| {
            let header = format!(r#"{{{}"alg":"HS256","typ":"at+jwt"}}"#, " ".repeat(spaces));
            let payload = format!(
                r#"{{"iss":"https://login.example","aud":"orders","sub":"42","jti":"x","iat":{},"exp":{exp}}}"#,
                NOW.as_unix_secs() - 600,
            );
            let mut token = BASE64URL_NOPAD.encode(header.as_bytes());
            token.push('.');
            BASE64URL_NOPAD.encode_append(payload.as_bytes(), &mut token);
            let mut tag = key.sign(token.as_bytes());
            tag[0] ^= u8::from(forged);
            token.push('.');
            BASE64URL_NOPAD.encode_append(&tag, &mut token);
            verifier.verify::<NoClaims>(&token, NOW)
        };
        let (good, late) = (NOW.as_unix_secs() + 60, NOW.as_unix_secs() - 120);
        assert_eq!(kept(), 1);
        assert_eq!(send(0, good, true), Err(Error::Signature));
        assert_eq!(send(0, late, false), Err(Error::Expired));
        assert_eq!(kept(), 1);
        for spaces in 0..5 {
            for _ in 0..2 {
                assert!(send(spaces, good, false).is_ok());
                assert_eq!(send(spaces, good, true), Err(Error::Signature));
                assert_eq!(kept(), (spaces + 2).min(HEADERS_KEPT));
            }
        }
    }
}
