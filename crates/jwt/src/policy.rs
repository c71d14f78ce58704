//! What a token must say to be accepted, and what a signed one says.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use crate::Error;
use crate::claims::{BorrowedRegistered, Payload};
use crate::dates::Life;
use crate::parse::is_kind;

/// What one kind of token must say: who issued it, for whom, and how long it may live.
///
/// One policy serves the signer and the verifier, so that what one writes the other accepts.
///
/// | Setting | Default | Why |
/// |---|---|---|
/// | `leeway_secs` | 60 | clocks kept by NTP differ by less; at most 300 |
/// | `max_life_secs` | 3600 | a token cannot be called back, so it is short; at most a day |
/// | `max_bytes` | 8192 | what servers admit as one header line; at most 65 536 |
/// | `require` | none | `iss`, `aud`, `sub`, `iat`, `exp` and `jti` always are; RFC 9068 §2.2 asks for `client_id` too |
///
/// ```
/// use portcullis_jwt::Policy;
///
/// let policy = Policy::access("https://login.example", "orders")?
///     .leeway_secs(30)?
///     .max_life_secs(900)?
///     .require("client_id")?;
/// assert!(Policy::access("https://login.example", "").is_err());
/// # Ok::<(), portcullis_jwt::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Policy {
    issuer: Arc<str>,
    audience: Arc<str>,
    kind: &'static str,
    leeway: Duration,
    max_life_secs: u64,
    max_bytes: usize,
    required: Vec<&'static str>,
}

impl Policy {
    /// Access tokens (`typ` `at+jwt`, RFC 9068 §2.1) from `issuer`, exactly, for `audience`.
    ///
    /// # Errors
    /// [`Error::Policy`] when either is empty or longer than 256 bytes.
    pub fn access(issuer: &str, audience: &str) -> Result<Self, Error> {
        for name in [issuer, audience] {
            if name.is_empty() || name.len() > TEXT_BYTES_MAX {
                return Err(Error::Policy("issuer and audience have 1 to 256 bytes"));
            }
        }
        Ok(Self {
            issuer: issuer.into(),
            audience: audience.into(),
            kind: "at+jwt",
            leeway: Duration::from_secs(60),
            max_life_secs: 3600,
            max_bytes: 8192,
            required: Vec::new(),
        })
    }

    /// By how many seconds clocks may disagree, in either direction.
    ///
    /// # Errors
    /// [`Error::Policy`] above 300: a longer leeway is a longer life by another name.
    pub fn leeway_secs(mut self, secs: u64) -> Result<Self, Error> {
        if secs > LEEWAY_SECS_MAX {
            return Err(Error::Policy("the leeway is at most 300 s"));
        }
        self.leeway = Duration::from_secs(secs);
        Ok(self)
    }

    /// The longest `exp - iat`, in seconds, that is signed or accepted.
    ///
    /// # Errors
    /// [`Error::Policy`] when zero or above 86 400.
    pub fn max_life_secs(mut self, secs: u64) -> Result<Self, Error> {
        if secs == 0 || secs > LIFE_SECS_MAX {
            return Err(Error::Policy("a life is 1 to 86400 s"));
        }
        self.max_life_secs = secs;
        Ok(self)
    }

    /// The longest token, in bytes, that is signed or read.
    ///
    /// # Errors
    /// [`Error::Policy`] below 256 or above 65 536.
    pub fn max_bytes(mut self, bytes: usize) -> Result<Self, Error> {
        if !TOKEN_BYTES.contains(&bytes) {
            return Err(Error::Policy("a token has 256 to 65536 bytes"));
        }
        self.max_bytes = bytes;
        Ok(self)
    }

    /// Requires the claim `name` to be present and not null; its type is the caller's to say.
    ///
    /// # Errors
    /// [`Error::Policy`] beyond 16 names.
    pub fn require(mut self, name: &'static str) -> Result<Self, Error> {
        if self.required.len() >= REQUIRED_MAX {
            return Err(Error::Policy("at most 16 more claims are required"));
        }
        self.required.push(name);
        Ok(self)
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    pub(crate) fn audience(&self) -> &str {
        &self.audience
    }

    /// The issuer and the audience, shared.
    pub(crate) fn shared_names(&self) -> (Arc<str>, Arc<str>) {
        (Arc::clone(&self.issuer), Arc::clone(&self.audience))
    }

    pub(crate) const fn kind(&self) -> &'static str {
        self.kind
    }

    pub(crate) const fn token_bytes_max(&self) -> usize {
        self.max_bytes
    }

    pub(crate) const fn life_secs_max(&self) -> u64 {
        self.max_life_secs
    }

    pub(crate) fn required(&self) -> &[&'static str] {
        &self.required
    }

    pub(crate) fn admits_kind(&self, typ: Option<&str>) -> bool {
        typ.is_some_and(|typ| is_kind(typ, self.kind))
    }

    /// Everything that a payload must say; the clock is asked last, of the life in the answer.
    pub(crate) fn judge<'a>(
        &'a self,
        payload: &Payload<'a>,
    ) -> Result<(BorrowedRegistered<'a>, Life), Error> {
        payload.check_required(&self.required)?;
        if payload.issuer()? != *self.issuer {
            return Err(Error::Issuer);
        }
        if !payload.is_for(&self.audience)? {
            return Err(Error::Audience);
        }
        let life = Life::read(payload, self.max_life_secs)?;
        let registered = BorrowedRegistered {
            iss: &self.issuer,
            aud: &self.audience,
            sub: payload.subject()?,
            iat: life.iat,
            exp: life.exp,
            jti: payload.id()?,
            sid: payload.session()?,
        };
        Ok((registered, life))
    }

    pub(crate) const fn leeway(&self) -> Duration {
        self.leeway
    }
}

/// Longest issuer, audience or subject.
pub(crate) const TEXT_BYTES_MAX: usize = 256;

/// Bytes of the longest token that is read, as a policy may set it.
pub(crate) const TOKEN_BYTES: RangeInclusive<usize> = 256..=65_536;
pub(crate) const LEEWAY_SECS_MAX: u64 = 300;
pub(crate) const REQUIRED_MAX: usize = 16;

const LIFE_SECS_MAX: u64 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        Policy::access("https://login.example", "orders").unwrap()
    }

    #[test]
    fn refuses_settings_that_cannot_be_meant() {
        for made in [
            Policy::access("", "orders"),
            Policy::access("https://login.example", ""),
            Policy::access(&"i".repeat(257), "orders"),
            policy().leeway_secs(301),
            policy().leeway_secs(u64::MAX),
            policy().max_life_secs(0),
            policy().max_life_secs(86_401),
            policy().max_bytes(255),
            policy().max_bytes(usize::MAX),
        ] {
            assert!(matches!(made, Err(Error::Policy(_))));
        }
        let mut full = policy();
        for _ in 0..16 {
            full = full.require("client_id").unwrap();
        }
        assert!(matches!(full.require("client_id"), Err(Error::Policy(_))));
    }

    #[test]
    fn admits_its_own_kind_alone_in_any_case_and_with_or_without_the_prefix() {
        for typ in [
            "at+jwt",
            "AT+JWT",
            "application/at+jwt",
            "Application/At+Jwt",
        ] {
            assert!(policy().admits_kind(Some(typ)), "{typ}");
        }
        for typ in [
            "JWT",
            "",
            "at+jwt ",
            "at",
            "logout+jwt",
            "dpop+jwt",
            "application/",
            "application/JWT",
            "application/application/at+jwt",
            "text/at+jwt",
            "applicationé/",
        ] {
            assert!(!policy().admits_kind(Some(typ)), "{typ}");
        }
        assert!(!policy().admits_kind(None));
    }
}
