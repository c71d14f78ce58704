//! From claims to a token.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use portcullis_core::{Timestamp, entropy};
use serde::Serialize;

use crate::claims::{self, Payload};
use crate::dates::SECS_MAX;
use crate::{Error, KeySet, Policy, SigningKey, VerifyingKey};

/// Whom a token speaks for.
///
/// ```
/// use portcullis_jwt::Subject;
///
/// let user = Subject::new("42").session("u3yH0dVb");
/// let service = Subject::from("billing");
/// # let _ = (user, service);
/// ```
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    sub: &'a str,
    sid: Option<&'a str>,
}

impl<'a> Subject<'a> {
    /// The user or client called `sub`: 1 to 256 bytes without control characters.
    #[must_use]
    pub const fn new(sub: &'a str) -> Self {
        Self { sub, sid: None }
    }

    /// The same within the session `sid`: 1 to 256 bytes without control characters.
    #[must_use]
    pub const fn session(mut self, sid: &'a str) -> Self {
        self.sid = Some(sid);
        self
    }
}

impl<'a> From<&'a str> for Subject<'a> {
    fn from(sub: &'a str) -> Self {
        Self::new(sub)
    }
}

impl std::fmt::Debug for Subject<'_> {
    /// Nothing of the user's.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Subject(..)")
    }
}

/// Signs tokens of one policy with the signing key of a set.
#[derive(Debug)]
pub struct Signer {
    key: SigningKey,
    policy: Policy,
    header: String,
}

impl Signer {
    /// A signer that uses the set's signing key and writes what `policy` asks for.
    #[must_use]
    pub fn new(keys: &KeySet, policy: Policy) -> Self {
        let key = keys.signing().clone();
        let header = header_segment(&key.verifying(), &policy);
        Self {
            key,
            policy,
            header,
        }
    }

    /// A token for `subject` that carries `claims` and lives from `now` for `life`, with a fresh
    /// 128-bit `jti`.
    ///
    /// `life` counts in whole seconds, a rest is cut off. The payload is `iss`, `aud`, `sub` (a
    /// string always), `iat`, `exp`, `jti`, `sid` if the subject has one, then the caller's claims.
    ///
    /// # Errors
    /// - [`Error::Collision`] when the claims contain a registered one, `nbf` and `sid` included;
    /// - [`Error::ClaimsUnwritable`] when they are not a JSON object that the verifier would read;
    /// - [`Error::ClaimMissing`] when the policy requires one that they lack, or `sid` of a subject
    ///   without a session;
    /// - [`Error::Claim`] for a subject or session that is empty, too long or has control characters;
    /// - [`Error::Life`] for less than a second or more than the policy admits;
    /// - [`Error::TooLong`] for a token longer than the policy reads;
    /// - [`Error::Key`] when an RSA key fails to sign;
    /// - [`Error::Entropy`] when there is no randomness.
    pub fn sign<'a, C: Serialize + ?Sized>(
        &self,
        claims: &C,
        subject: impl Into<Subject<'a>>,
        now: Timestamp,
        life: Duration,
    ) -> Result<String, Error> {
        self.sign_with(entropy()?, claims, subject, now, life)
    }

    /// [`Signer::sign`] with the bytes of the `jti` given: the same arguments, the same token.
    ///
    /// # Errors
    /// Those of [`Signer::sign`].
    pub fn sign_with<'a, C: Serialize + ?Sized>(
        &self,
        jti: [u8; 16],
        claims: &C,
        subject: impl Into<Subject<'a>>,
        now: Timestamp,
        life: Duration,
    ) -> Result<String, Error> {
        let payload = self.payload(jti, claims, subject.into(), now, life)?;
        let encoded = BASE64URL_NOPAD.encode_len(payload.len());
        let room = self.header.len().saturating_add(encoded).saturating_add(1);
        let room = room.saturating_add(self.key.signature_chars());
        let mut token = String::with_capacity(room);
        token.push_str(&self.header);
        token.push('.');
        BASE64URL_NOPAD.encode_append(&payload, &mut token);
        self.key.sign(&mut token)?;
        if token.len() > self.policy.token_bytes_max() {
            return Err(Error::TooLong);
        }
        Ok(token)
    }

    fn payload<C: Serialize + ?Sized>(
        &self,
        jti: [u8; 16],
        claims: &C,
        subject: Subject<'_>,
        now: Timestamp,
        life: Duration,
    ) -> Result<Vec<u8>, Error> {
        let life_secs = life.as_secs();
        let iat = now.as_unix_secs();
        let exp = iat.saturating_add(life_secs);
        if life_secs == 0 || life_secs > self.policy.life_secs_max() || exp > SECS_MAX {
            return Err(Error::Life);
        }
        if !claims::is_name(subject.sub) {
            return Err(Error::Claim("sub"));
        }
        if !subject.sid.is_none_or(claims::is_name) {
            return Err(Error::Claim("sid"));
        }
        let mut id = [0; JTI_CHARS];
        let registered = Written {
            iss: self.policy.issuer(),
            aud: self.policy.audience(),
            sub: subject.sub,
            iat,
            exp,
            jti: BASE64URL_NOPAD.encode_mut_str(&jti, &mut id),
            sid: subject.sid,
        };
        let mut payload = Vec::with_capacity(512);
        serde_json::to_writer(&mut payload, &registered).map_err(|_| Error::ClaimsUnwritable)?;
        self.append(&mut payload, claims, &registered)?;
        Ok(payload)
    }

    /// Puts the caller's members, once they are known to be admissible, into `payload`.
    fn append<C: Serialize + ?Sized>(
        &self,
        payload: &mut Vec<u8>,
        claims: &C,
        registered: &Written<'_>,
    ) -> Result<(), Error> {
        let own = serde_json::to_string(claims).map_err(|_| Error::ClaimsUnwritable)?;
        // What the signer writes is not the caller's to bring.
        let required = self.policy.required().iter().copied();
        let required: Vec<_> = required.filter(|name| !registered.has(name)).collect();
        let read = Payload::read_own(&own, &required).map_err(|_| Error::ClaimsUnwritable)?;
        if let Some(name) = read.registered().next() {
            return Err(Error::Collision(name));
        }
        read.check_required(&required)?;
        join(payload, &own)
    }
}

/// Puts the members of `own`, an object, before the closing brace of `payload`, another that is not
/// empty.
pub(crate) fn join(payload: &mut Vec<u8>, own: &str) -> Result<(), Error> {
    let members = own
        .trim()
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .ok_or(Error::ClaimsUnwritable)?;
    if members.trim().is_empty() {
        return Ok(());
    }
    payload.pop();
    payload.push(b',');
    payload.extend_from_slice(members.as_bytes());
    payload.push(b'}');
    Ok(())
}

/// The header that `key` writes under `policy`, encoded. Neither text needs escaping.
pub(crate) fn header_segment(key: &VerifyingKey, policy: &Policy) -> String {
    let (alg, kid, typ) = (key.algorithm().as_str(), key.kid(), policy.kind());
    let header = format!(r#"{{"alg":"{alg}","kid":"{kid}","typ":"{typ}"}}"#);
    BASE64URL_NOPAD.encode(header.as_bytes())
}

#[derive(Serialize)]
struct Written<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    iat: u64,
    exp: u64,
    jti: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<&'a str>,
}

impl Written<'_> {
    fn has(&self, name: &str) -> bool {
        match name {
            "iss" | "aud" | "sub" | "iat" | "exp" | "jti" => true,
            "sid" => self.sid.is_some(),
            _ => false,
        }
    }
}

/// 16 bytes in base64url without padding.
const JTI_CHARS: usize = 22;
