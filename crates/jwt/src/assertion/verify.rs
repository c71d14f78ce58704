//! From a client's token to a [`ClientAssertion`], in two steps: the token names its issuer, and the
//! issuer's keys are looked up before anything is proved.

use std::fmt;
use std::sync::Arc;

use portcullis_core::Timestamp;
use serde::de::DeserializeOwned;

use super::{AssertionPolicy, ClientAssertion};
use crate::claims::{self, Payload};
use crate::error::JsonFault;
use crate::parse::{self, Compact, Header};
use crate::{Algorithm, Error, RsaPublicKey};

/// Verifies client assertions of one policy.
///
/// ```
/// # let alice = portcullis_jwt::RsaPrivateKey::from_pem(portcullis_core::Secret::from(
/// #     include_str!("../../tests/keys/alice.pkcs8.pem").to_owned()))?;
/// use portcullis_core::Timestamp;
/// use portcullis_jwt::{AssertionPolicy, AssertionSigner, Assertions, Error, NoClaims};
/// use std::time::Duration;
///
/// // The client, with its private key:
/// let now = Timestamp::from_unix_secs(1_700_000_000);
/// let registered = alice.public();
/// let signer = AssertionSigner::new(alice, "alice@example.com", Duration::from_secs(3600))?;
/// let token = signer.sign(now)?;
///
/// // The server, with the public key that alice@example.com registered:
/// let assertions = Assertions::new(AssertionPolicy::new("https://api.example")?);
/// let begun = assertions.begin(&token)?;
/// assert_eq!(begun.issuer(), "alice@example.com");
/// let client = begun.verify::<NoClaims>(&[registered], now)?;
/// assert_eq!(client.issuer(), "alice@example.com");
///
/// // An issuer that has no keys:
/// let begun = assertions.begin(&token)?;
/// assert_eq!(begun.verify::<NoClaims>(&[], now), Err(Error::KeyUnknown));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Assertions {
    policy: Arc<AssertionPolicy>,
}

impl Assertions {
    /// A verifier of assertions that `policy` describes.
    #[must_use]
    pub fn new(policy: AssertionPolicy) -> Self {
        Self {
            policy: Arc::new(policy),
        }
    }

    /// Reads as much of `token` as it takes to know whose keys could prove it: size, three segments,
    /// header, the payload as strict JSON, and `iss`.
    ///
    /// The header says RS256, for no key here has another algorithm; `typ` is absent, `JWT` or
    /// `client-authentication+jwt`, so that no access token passes for an assertion. A `kid` is the
    /// client's own affair: all keys of the issuer are tried.
    ///
    /// # Errors
    /// The first of these that failed.
    pub fn begin<'t>(&self, token: &'t str) -> Result<Begun<'t>, Error> {
        let compact = Compact::split(token, self.policy.token_bytes_max())?;
        check_header(compact.header)?;
        let payload = String::from_utf8(parse::decode(compact.payload)?)
            .map_err(|_| Error::PayloadJson(JsonFault::NotUtf8))?;
        let issuer = Payload::read(&payload, &[])?.issuer()?.into_owned();
        if !claims::is_name(&issuer) {
            return Err(Error::Claim("iss"));
        }
        Ok(Begun {
            policy: Arc::clone(&self.policy),
            signed: compact.signed,
            signature: compact.signature,
            payload,
            issuer,
        })
    }
}

/// An assertion that has the form of one, and of which nothing is proved.
#[must_use = "nothing is proved before `verify`"]
pub struct Begun<'t> {
    policy: Arc<AssertionPolicy>,
    signed: &'t str,
    signature: &'t str,
    payload: String,
    issuer: String,
}

impl Begun<'_> {
    /// Whose the token says it is, 1 to 256 bytes without control characters: to look that client's
    /// keys up by, and for nothing else. Anybody can write it.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Verifies the assertion at the instant `now` and reads its claims into `C`.
    ///
    /// `keys` are those registered for [`Begun::issuer`], the current and the previous ones, and no
    /// others: they are tried in turn, and which one signed is in the answer. None at all says that
    /// there is no such client. `C` sees the whole payload.
    ///
    /// # Errors
    /// - [`Error::KeyUnknown`] without keys, [`Error::Key`] with more than 8;
    /// - [`Error::Signature`] when none of them signed it;
    /// - [`Error::ClaimMissing`], [`Error::Claim`], [`Error::Audience`], [`Error::Life`] for what the
    ///   policy refuses; [`Error::ClaimsShape`] when the claims do not fit `C`;
    /// - [`Error::Expired`] and [`Error::NotYetValid`] only when it is good in every other way.
    pub fn verify<C: DeserializeOwned>(
        self,
        keys: &[RsaPublicKey],
        now: Timestamp,
    ) -> Result<ClientAssertion<C>, Error> {
        let (key_index, key) = self.signed_by(keys)?;
        let payload = Payload::read(&self.payload, self.policy.required())?;
        let life = self.policy.judge(&payload)?;
        let claims = serde_json::from_str(&self.payload).map_err(|_| Error::ClaimsShape)?;
        let leeway = self.policy.leeway();
        life.judge(leeway, now)?;
        Ok(ClientAssertion {
            issued_at: life.iat,
            expires_at: life.exp,
            dead_at: life.dead_at(leeway),
            key_index,
            key: key.clone(),
            claims,
            issuer: self.issuer,
        })
    }

    fn signed_by<'k>(&self, keys: &'k [RsaPublicKey]) -> Result<(usize, &'k RsaPublicKey), Error> {
        if keys.is_empty() {
            return Err(Error::KeyUnknown);
        }
        if keys.len() > KEYS_TRIED_MAX {
            return Err(Error::Key("at most 8 keys of one client are tried"));
        }
        for (at, key) in keys.iter().enumerate() {
            match key.check(self.signed.as_bytes(), self.signature) {
                Ok(()) => return Ok((at, key)),
                Err(Error::Signature) => {}
                Err(malformed) => return Err(malformed),
            }
        }
        Err(Error::Signature)
    }
}

impl fmt::Debug for Begun<'_> {
    /// Nothing: all of it is a stranger's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Begun(..)")
    }
}

fn check_header(segment: &str) -> Result<(), Error> {
    let bytes = parse::decode(segment)?;
    let header = Header::read(parse::utf8(&bytes).map_err(Error::HeaderJson)?)?;
    if !AssertionPolicy::admits_kind(header.typ.as_deref()) {
        return Err(Error::Kind);
    }
    if header.alg != Algorithm::Rs256.as_str() {
        return Err(Error::Algorithm);
    }
    Ok(())
}

/// Each costs a stranger nothing and the server a verification.
const KEYS_TRIED_MAX: usize = 8;
