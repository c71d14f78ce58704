//! JSON Web Tokens, verified strictly into the caller's own type.
//!
//! ```
//! use portcullis_core::{Secret, Timestamp};
//! use portcullis_jwt::{HmacKey, KeySet, Policy, Signer, Verifier};
//! use std::time::Duration;
//!
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Claims {
//!     role: String,
//! }
//!
//! let keys = KeySet::new(HmacKey::new("2026-11", Secret::generate::<32>()?)?);
//! let policy = Policy::access("https://login.example", "orders")?;
//! let signer = Signer::new(&keys, policy.clone());
//! let verifier = Verifier::new(&keys, policy);
//!
//! let now = Timestamp::from_unix_secs(1_700_000_000);
//! let claims = Claims { role: "admin".into() };
//! let token = signer.sign(&claims, "42", now, Duration::from_secs(3600))?;
//!
//! let access = verifier.verify::<Claims>(&token, now)?;
//! assert_eq!(access.registered().sub, "42");
//! assert_eq!(access.claims().role, "admin");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | Type | What it is |
//! |---|---|
//! | [`HmacKey`], [`KeySet`] | a secret with its one [`Algorithm`] and id; the key that signs and those that verify |
//! | [`Policy`] | issuer, audience, leeway, longest life, required claims: one for signer and verifier |
//! | [`Signer`], [`Subject`] | claims into a token; whom it speaks for, and in which session |
//! | [`Verifier`], [`AccessToken`] | a token into a proof that is all checked, or an [`Error`] |
//! | [`Registered`], [`UserClaims`], [`NoClaims`] | the standard's claims, a user's, none |
//! | `testing` (feature) | forged tokens and the bodies of the fuzz targets |
//!
//! What is stricter than RFC 7515 and 7519 ask: one spelling of base64url; members unique at every
//! depth of header and payload; no `crit`, `b64`, `zip`, `cty`, nor any key in a header; `typ`, `iss`,
//! `aud`, `sub`, `iat`, `exp` and `jti` always there and of their type; dates in digits, no sign, no exponent.
//!
//! It does not fetch keys, keep a list of revoked tokens, decrypt, or refresh: an access token is
//! short-lived, and its session says whether it is still alive. It reads no clock: `now` is given.
#![forbid(unsafe_code)]

mod claims;
mod error;
mod json;
mod key;
mod parse;
mod policy;
mod sign;
#[cfg(feature = "testing")]
pub mod testing;
mod verify;

pub use claims::{NoClaims, Registered, Security, UserClaims};
pub use error::{Error, JsonFault};
pub use key::{Algorithm, HmacKey, KeySet};
pub use policy::Policy;
pub use sign::{Signer, Subject};
pub use verify::{AccessToken, Verifier};
