//! Claims: the registered ones, read strictly, and the caller's own.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use portcullis_core::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::dates::NumericDate;
use crate::json::{self, Limits, Raw};
use crate::policy::TEXT_BYTES_MAX;

/// The registered claims of a token that was verified (RFC 7519 §4.1), by the standard's names.
///
/// Instants are whole seconds; a fraction in the token is cut off, and counts against the token
/// wherever it is judged.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Registered {
    /// The issuer, equal to the policy's.
    pub iss: Arc<str>,
    /// The audience that the policy named; the token may name more.
    pub aud: Arc<str>,
    /// The user or client the token speaks for, 1 to 256 bytes without control characters. A token's
    /// non-negative integer below 2⁶⁴ becomes its decimal text.
    pub sub: String,
    /// When the token was issued.
    pub iat: Timestamp,
    /// When the token ends.
    pub exp: Timestamp,
    /// The token's own id, 1 to 256 bytes without control characters.
    pub jti: String,
    /// The session the token belongs to, if it says (OpenID Connect Front-Channel Logout 1.0 §3).
    pub sid: Option<String>,
}

impl fmt::Debug for Registered {
    /// The issuer, the audience and the times; nothing of the user's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registered")
            .field("iss", &self.iss)
            .field("aud", &self.aud)
            .field("iat", &self.iat)
            .field("exp", &self.exp)
            .finish_non_exhaustive()
    }
}

/// The registered claims of a token that was verified, borrowed: what [`Registered`] is, without the
/// copies. `iss` and `aud` are the policy's own text; the others stand in the scratch that the token
/// was read into, unless the token spells them with escapes.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BorrowedRegistered<'a> {
    /// The issuer, equal to the policy's.
    pub iss: &'a str,
    /// The audience that the policy named; the token may name more.
    pub aud: &'a str,
    /// As [`Registered::sub`].
    pub sub: Cow<'a, str>,
    /// When the token was issued.
    pub iat: Timestamp,
    /// When the token ends.
    pub exp: Timestamp,
    /// As [`Registered::jti`].
    pub jti: Cow<'a, str>,
    /// As [`Registered::sid`].
    pub sid: Option<Cow<'a, str>>,
}

impl BorrowedRegistered<'_> {
    /// The same with texts of its own; `iss` and `aud` are those of the policy that was judged by.
    pub(crate) fn into_owned(self, iss: Arc<str>, aud: Arc<str>) -> Registered {
        Registered {
            iss,
            aud,
            sub: self.sub.into_owned(),
            iat: self.iat,
            exp: self.exp,
            jti: self.jti.into_owned(),
            sid: self.sid.map(Cow::into_owned),
        }
    }
}

impl fmt::Debug for BorrowedRegistered<'_> {
    /// The issuer, the audience and the times; nothing of the user's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BorrowedRegistered")
            .field("iss", &self.iss)
            .field("aud", &self.aud)
            .field("iat", &self.iat)
            .field("exp", &self.exp)
            .finish_non_exhaustive()
    }
}

/// The caller's claims when there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoClaims {}

/// A user's claims beside the registered ones.
///
/// With the signer's own claims around it the payload reads `{"sub": "42", "email": …, "role": …,
/// "client_id": …, "iat": …, "exp": …, "security": {"2fa_verified": …, "ip": …}}`; `sub`, `iat` and
/// `exp` stand in [`Registered`] alone, so that nothing can disagree with them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserClaims {
    /// The user's e-mail address.
    pub email: String,
    /// The user's role, in the application's words.
    pub role: String,
    /// The client application that the user signed in with (RFC 9068 §2.2).
    pub client_id: String,
    /// How the user signed in.
    pub security: Security,
}

impl UserClaims {
    /// The life that such a token is given unless something else is meant.
    pub const LIFE: Duration = Duration::from_secs(3600);
}

impl fmt::Debug for UserClaims {
    /// Nothing of the user's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserClaims(..)")
    }
}

/// How a user signed in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Security {
    /// Whether a second factor was shown. Written `2fa_verified`.
    #[serde(rename = "2fa_verified")]
    pub second_factor_verified: bool,
    /// The client's address.
    pub ip: String,
}

impl fmt::Debug for Security {
    /// Nothing of the user's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Security(..)")
    }
}

/// The registered claims as a payload holds them, and which of the required ones it has.
#[derive(Debug, Default)]
pub(crate) struct Payload<'a> {
    iss: Option<Raw<'a>>,
    sub: Option<Raw<'a>>,
    aud: Option<Raw<'a>>,
    exp: Option<Raw<'a>>,
    nbf: Option<Raw<'a>>,
    iat: Option<Raw<'a>>,
    jti: Option<Raw<'a>>,
    sid: Option<Raw<'a>>,
    /// One bit for each required claim that is there.
    required: u32,
}

impl<'a> Payload<'a> {
    /// Reads a payload once, as strict JSON; `required` are the names that a policy adds.
    pub(crate) fn read(text: &'a str, required: &[&str]) -> Result<Self, Error> {
        Self::read_within(text, CLAIMS_LIMITS, required)
    }

    /// Reads the caller's half of a payload, which leaves room for the signer's.
    pub(crate) fn read_own(text: &'a str, required: &[&str]) -> Result<Self, Error> {
        let mut limits = CLAIMS_LIMITS;
        limits.members = limits.members.saturating_sub(SIGNERS_MEMBERS);
        Self::read_within(text, limits, required)
    }

    fn read_within(text: &'a str, limits: Limits, required: &[&str]) -> Result<Self, Error> {
        let mut payload = Self::default();
        json::members(text, limits, &mut |name, value| {
            if let Some(slot) = payload.slot(name) {
                *slot = Some(value);
            }
            for (at, _) in required
                .iter()
                .enumerate()
                .filter(|(_, known)| **known == name)
            {
                if !value.is_null() {
                    payload.required |= bit(at);
                }
            }
        })
        .map_err(Error::PayloadJson)?;
        Ok(payload)
    }

    fn slot(&mut self, name: &str) -> Option<&mut Option<Raw<'a>>> {
        Some(match name {
            "iss" => &mut self.iss,
            "sub" => &mut self.sub,
            "aud" => &mut self.aud,
            "exp" => &mut self.exp,
            "nbf" => &mut self.nbf,
            "iat" => &mut self.iat,
            "jti" => &mut self.jti,
            "sid" => &mut self.sid,
            _ => return None,
        })
    }

    pub(crate) fn check_required(&self, required: &[&'static str]) -> Result<(), Error> {
        let missing = |at: usize| self.required & bit(at) == 0;
        match required.iter().enumerate().find(|(at, _)| missing(*at)) {
            Some((_, name)) => Err(Error::ClaimMissing(name)),
            None => Ok(()),
        }
    }

    /// The registered claims in the payload, by name.
    pub(crate) fn registered(&self) -> impl Iterator<Item = &'static str> {
        let held = [
            ("iss", self.iss),
            ("sub", self.sub),
            ("aud", self.aud),
            ("exp", self.exp),
            ("nbf", self.nbf),
            ("iat", self.iat),
            ("jti", self.jti),
            ("sid", self.sid),
        ];
        held.into_iter()
            .filter_map(|(name, value)| value.map(|_| name))
    }

    /// A string and nothing else: an array of issuers is refused, whatever it holds.
    pub(crate) fn issuer(&self) -> Result<Cow<'a, str>, Error> {
        present("iss", self.iss)?
            .string()
            .ok_or(Error::Claim("iss"))
    }

    /// A string, or an array of strings, one of which is `audience`.
    pub(crate) fn is_for(&self, audience: &str) -> Result<bool, Error> {
        let value = present("aud", self.aud)?;
        if let Some(one) = value.string() {
            return Ok(one == audience);
        }
        value.holds(audience).ok_or(Error::Claim("aud"))
    }

    /// A string, or a non-negative integer of at most 64 bits, whose one decimal text is the subject.
    pub(crate) fn subject(&self) -> Result<Cow<'a, str>, Error> {
        let value = present("sub", self.sub)?;
        match value.number() {
            // JSON has one spelling of such an integer, so the literal is its decimal text already.
            Some(number) => number
                .parse::<u64>()
                .map(|_| Cow::Borrowed(number))
                .map_err(|_| Error::Claim("sub")),
            None => name_of("sub", value),
        }
    }

    pub(crate) fn id(&self) -> Result<Cow<'a, str>, Error> {
        name_of("jti", present("jti", self.jti)?)
    }

    pub(crate) fn session(&self) -> Result<Option<Cow<'a, str>>, Error> {
        self.sid.map(|value| name_of("sid", value)).transpose()
    }

    pub(crate) fn issued(&self) -> Result<NumericDate, Error> {
        NumericDate::read("iat", present("iat", self.iat)?)
    }

    pub(crate) fn expires(&self) -> Result<NumericDate, Error> {
        NumericDate::read("exp", present("exp", self.exp)?)
    }

    pub(crate) fn not_before(&self) -> Result<Option<NumericDate>, Error> {
        self.nbf
            .map(|value| NumericDate::read("nbf", value))
            .transpose()
    }
}

fn present<'a>(name: &'static str, value: Option<Raw<'a>>) -> Result<Raw<'a>, Error> {
    value.ok_or(Error::ClaimMissing(name))
}

fn name_of<'a>(name: &'static str, value: Raw<'a>) -> Result<Cow<'a, str>, Error> {
    value
        .string()
        .filter(|text| is_name(text))
        .ok_or(Error::Claim(name))
}

/// Whether a text can stand for someone: neither empty nor endless, and nothing a log would act on.
pub(crate) fn is_name(text: &str) -> bool {
    if text.is_empty() || text.len() > TEXT_BYTES_MAX {
        return false;
    }
    // Looks at every byte, whatever the first ones say: without a way out it runs many at a time.
    let plain = |all, byte| all & matches!(byte, b' '..=b'~');
    text.bytes().fold(true, plain) || !text.chars().any(char::is_control)
}

fn bit(at: usize) -> u32 {
    u32::try_from(at)
        .ok()
        .and_then(|at| 1_u32.checked_shl(at))
        .unwrap_or(0)
}

/// Members that a signer writes at most: the registered claims but `nbf`.
const SIGNERS_MEMBERS: usize = 7;

/// How much of a payload is read.
const CLAIMS_LIMITS: Limits = Limits {
    depth: 16,
    members: 256,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_the_user() {
        let claims = UserClaims {
            email: "alice@example.com".into(),
            role: "admin".into(),
            client_id: "web".into(),
            security: Security {
                second_factor_verified: true,
                ip: "203.0.113.5".into(),
            },
        };
        let text = format!("{claims:?} {:?}", claims.security);
        assert_eq!(text, "UserClaims(..) Security(..)");
    }
}
