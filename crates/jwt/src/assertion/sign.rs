//! The client's side: from a private key to an assertion.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use portcullis_core::Timestamp;
use serde::Serialize;

use super::optional;
use super::policy::LIFE_SECS_MAX;
use crate::claims::{self, Payload};
use crate::dates::SECS_MAX;
use crate::sign::join;
use crate::{Algorithm, Error, NoClaims, RsaPrivateKey, key};

/// Signs a client's own assertions.
///
/// ```
/// # let key = portcullis_jwt::RsaPrivateKey::from_pem(portcullis_core::Secret::from(
/// #     include_str!("../../tests/keys/alice.pkcs8.pem").to_owned()))?;
/// use portcullis_core::Timestamp;
/// use portcullis_jwt::AssertionSigner;
/// use std::time::Duration;
///
/// /// What a service account adds to sign a user in, in the manner of Firebase.
/// #[derive(serde::Serialize)]
/// struct ServiceAccount {
///     sub: &'static str,
///     uid: &'static str,
/// }
///
/// let account = "robot@project.example";
/// let signer = AssertionSigner::new(key, account, Duration::from_secs(3600))?
///     .audience("https://api.example")?
///     .key_id("2026-11")?;
/// let claims = ServiceAccount { sub: account, uid: "42" };
/// let token = signer.sign_claims(&claims, Timestamp::from_unix_secs(1_700_000_000))?;
/// assert_eq!(token.matches('.').count(), 2);
/// # Ok::<(), portcullis_jwt::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct AssertionSigner {
    key: RsaPrivateKey,
    issuer: String,
    audience: Option<String>,
    kid: Option<String>,
    life_secs: u64,
}

impl AssertionSigner {
    /// A signer for the client `issuer`, as the server knows it, of assertions that live for `life`,
    /// counted in whole seconds.
    ///
    /// # Errors
    /// [`Error::Claim`] for an issuer that is empty, longer than 256 bytes or has control characters;
    /// [`Error::Life`] for less than a second or more than an hour.
    pub fn new(key: RsaPrivateKey, issuer: &str, life: Duration) -> Result<Self, Error> {
        if !claims::is_name(issuer) {
            return Err(Error::Claim("iss"));
        }
        if life < Duration::from_secs(1) || life > Duration::from_secs(LIFE_SECS_MAX) {
            return Err(Error::Life);
        }
        Ok(Self {
            key,
            issuer: issuer.to_owned(),
            audience: None,
            kid: None,
            life_secs: life.as_secs(),
        })
    }

    /// Writes `aud`, so that the assertion is of no use elsewhere.
    ///
    /// # Errors
    /// [`Error::Claim`] for an audience that is empty, longer than 256 bytes or has control characters.
    pub fn audience(mut self, audience: &str) -> Result<Self, Error> {
        if !claims::is_name(audience) {
            return Err(Error::Claim("aud"));
        }
        self.audience = Some(audience.to_owned());
        Ok(self)
    }

    /// Writes the header's `kid`, for servers that find a key by it.
    ///
    /// # Errors
    /// [`Error::Key`] when `kid` is not 1 to 64 characters of `A-Z a-z 0-9 - . _ ~`.
    pub fn key_id(mut self, kid: &str) -> Result<Self, Error> {
        key::check_kid(kid)?;
        self.kid = Some(kid.to_owned());
        Ok(self)
    }

    /// An assertion of `iss`, `iat` and `exp`, and `aud` if there is one, that lives from `now`.
    ///
    /// The same instant gives the same assertion: it carries no `jti`, since it serves until it ends.
    ///
    /// # Errors
    /// [`Error::Life`] at the end of time; [`Error::Key`] when the key fails to sign.
    pub fn sign(&self, now: Timestamp) -> Result<String, Error> {
        self.sign_claims(&NoClaims {}, now)
    }

    /// The same with the caller's claims behind the others.
    ///
    /// # Errors
    /// Beside those of [`AssertionSigner::sign`]:
    /// - [`Error::Collision`] when the claims contain `iss`, `iat`, `exp` or `nbf`, or `aud` though the
    ///   signer has one;
    /// - [`Error::Claim`] for a `sub`, `jti` or `aud` that no verifier here would read;
    /// - [`Error::ClaimsUnwritable`] when they are not a strict JSON object;
    /// - [`Error::TooLong`] for an assertion of more than 8192 bytes.
    pub fn sign_claims<C: Serialize + ?Sized>(
        &self,
        claims: &C,
        now: Timestamp,
    ) -> Result<String, Error> {
        let iat = now.as_unix_secs();
        let exp = iat.saturating_add(self.life_secs);
        if exp > SECS_MAX {
            return Err(Error::Life);
        }
        let written = Written {
            iss: &self.issuer,
            aud: self.audience.as_deref(),
            iat,
            exp,
        };
        let mut payload = serde_json::to_vec(&written).map_err(|_| Error::ClaimsUnwritable)?;
        let own = serde_json::to_string(claims).map_err(|_| Error::ClaimsUnwritable)?;
        self.check_own(&own)?;
        join(&mut payload, &own)?;
        let header = Header {
            alg: Algorithm::Rs256.as_str(),
            kid: self.kid.as_deref(),
            typ: "JWT",
        };
        let header = serde_json::to_vec(&header).map_err(|_| Error::ClaimsUnwritable)?;
        let mut token = BASE64URL_NOPAD.encode(&header);
        token.push('.');
        BASE64URL_NOPAD.encode_append(&payload, &mut token);
        self.key.append(&mut token)?;
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Error::TooLong);
        }
        Ok(token)
    }

    /// Whether the caller's claims leave the signer's alone and would be read.
    fn check_own(&self, own: &str) -> Result<(), Error> {
        let read = Payload::read_own(own, &[]).map_err(|_| Error::ClaimsUnwritable)?;
        let taken = |name: &&str| match *name {
            "iss" | "iat" | "exp" | "nbf" => true,
            "aud" => self.audience.is_some(),
            _ => false,
        };
        if let Some(name) = read.registered().find(taken) {
            return Err(Error::Collision(name));
        }
        optional(read.is_for(""))?;
        optional(read.subject())?;
        optional(read.id())?;
        Ok(())
    }
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
    typ: &'a str,
}

#[derive(Serialize)]
struct Written<'a> {
    iss: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
    iat: u64,
    exp: u64,
}

/// What a verifier reads unless it was told otherwise.
const TOKEN_BYTES_MAX: usize = 8192;
