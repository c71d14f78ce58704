//! What a client's own token must say.

use std::sync::Arc;
use std::time::Duration;

use super::optional;
use crate::Error;
use crate::claims::Payload;
use crate::dates::Life;
use crate::parse::is_kind;
use crate::policy::{LEEWAY_SECS_MAX, REQUIRED_MAX, TEXT_BYTES_MAX, TOKEN_BYTES};

/// What a client assertion must say: `iss`, `iat` and `exp` always, and an `aud` that is there must be
/// this service.
///
/// | Setting | Default | Why |
/// |---|---|---|
/// | `leeway_secs` | 60 | clocks kept by NTP differ by less; at most 300 |
/// | `max_life_secs` | 3600 | the assertion is a password until it ends, so it may not be longer; it can be shorter |
/// | `max_bytes` | 8192 | what servers admit as one header line; at most 65 536 |
/// | `require_audience` | off | clients that write `iat`, `exp` and `iss` alone are admitted; where one client calls several services with one key, demand it, or each can play the client to the others |
/// | `require` | none | further claims that must be there |
///
/// ```
/// use portcullis_jwt::AssertionPolicy;
///
/// let policy = AssertionPolicy::new("https://api.example")?
///     .max_life_secs(600)?
///     .require_audience();
/// assert!(policy.max_life_secs(3601).is_err());
/// # Ok::<(), portcullis_jwt::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct AssertionPolicy {
    audience: Arc<str>,
    audience_required: bool,
    leeway: Duration,
    max_life_secs: u64,
    max_bytes: usize,
    required: Vec<&'static str>,
}

impl AssertionPolicy {
    /// Assertions for the service known to its clients as `audience`.
    ///
    /// # Errors
    /// [`Error::Policy`] when it is empty or longer than 256 bytes.
    pub fn new(audience: &str) -> Result<Self, Error> {
        if audience.is_empty() || audience.len() > TEXT_BYTES_MAX {
            return Err(Error::Policy("an audience has 1 to 256 bytes"));
        }
        Ok(Self {
            audience: audience.into(),
            audience_required: false,
            leeway: Duration::from_secs(60),
            max_life_secs: LIFE_SECS_MAX,
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

    /// The longest `exp - iat`, in seconds, that is accepted.
    ///
    /// # Errors
    /// [`Error::Policy`] when zero or above 3600.
    pub fn max_life_secs(mut self, secs: u64) -> Result<Self, Error> {
        if secs == 0 || secs > LIFE_SECS_MAX {
            return Err(Error::Policy("an assertion's life is 1 to 3600 s"));
        }
        self.max_life_secs = secs;
        Ok(self)
    }

    /// The longest assertion, in bytes, that is read.
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

    /// Demands an `aud` that names this service (RFC 7523 §3).
    #[must_use]
    pub const fn require_audience(mut self) -> Self {
        self.audience_required = true;
        self
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

    pub(super) const fn leeway(&self) -> Duration {
        self.leeway
    }

    pub(super) const fn token_bytes_max(&self) -> usize {
        self.max_bytes
    }

    pub(super) fn required(&self) -> &[&'static str] {
        &self.required
    }

    /// Whether a header's `typ` is one that clients write. A token made for another purpose says so
    /// in its `typ`, and is refused though the key be the client's (RFC 8725 §3.11).
    pub(super) fn admits_kind(typ: Option<&str>) -> bool {
        typ.is_none_or(|typ| KINDS.iter().any(|kind| is_kind(typ, kind)))
    }

    /// Everything that a payload must say but its issuer; the clock is asked last, of the answer.
    pub(super) fn judge(&self, payload: &Payload<'_>) -> Result<Life, Error> {
        payload.check_required(&self.required)?;
        match payload.is_for(&self.audience) {
            Err(Error::ClaimMissing(_)) if !self.audience_required => {}
            answer if answer? => {}
            _ => return Err(Error::Audience),
        }
        let life = Life::read(payload, self.max_life_secs)?;
        optional(payload.subject())?;
        optional(payload.id())?;
        Ok(life)
    }
}

/// Longest life of an assertion, in seconds, that is written or read.
pub(super) const LIFE_SECS_MAX: u64 = 3600;

const KINDS: [&str; 2] = ["JWT", "client-authentication+jwt"];

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> AssertionPolicy {
        AssertionPolicy::new("https://api.example").unwrap()
    }

    #[test]
    fn refuses_settings_that_cannot_be_meant() {
        for made in [
            AssertionPolicy::new(""),
            AssertionPolicy::new(&"a".repeat(257)),
            policy().leeway_secs(301),
            policy().leeway_secs(u64::MAX),
            policy().max_life_secs(0),
            policy().max_life_secs(3601),
            policy().max_bytes(255),
            policy().max_bytes(usize::MAX),
        ] {
            assert!(matches!(made, Err(Error::Policy(_))));
        }
        let mut full = policy();
        for _ in 0..16 {
            full = full.require("uid").unwrap();
        }
        assert!(matches!(full.require("uid"), Err(Error::Policy(_))));
    }

    #[test]
    fn admits_the_kinds_that_clients_write_and_no_other() {
        for typ in [
            "JWT",
            "jwt",
            "application/JWT",
            "client-authentication+jwt",
            "application/Client-Authentication+JWT",
        ] {
            assert!(AssertionPolicy::admits_kind(Some(typ)), "{typ}");
        }
        assert!(AssertionPolicy::admits_kind(None));
        for typ in [
            "",
            "at+jwt",
            "application/at+jwt",
            "id+jwt",
            "dpop+jwt",
            "logout+jwt",
            "JWT ",
            "JOSE",
            "text/JWT",
            "application/",
        ] {
            assert!(!AssertionPolicy::admits_kind(Some(typ)), "{typ}");
        }
    }
}
