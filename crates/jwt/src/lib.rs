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
//! | [`HmacKey`], `RsaPrivateKey`, `RsaPublicKey` | a key, parsed once; of RSA from PEM, by the features `aws-lc` (default) or `rust-crypto` |
//! | [`SigningKey`], [`VerifyingKey`] | a key under its id, with its one [`Algorithm`] |
//! | [`KeySet`], [`TrustedKeys`] | the key that signs and those that verify; those that verify alone |
//! | [`Policy`] | issuer, audience, leeway, longest life, required claims: one for signer and verifier |
//! | [`Signer`], [`Subject`] | claims into a token; whom it speaks for, and in which session |
//! | [`Verifier`], [`AccessToken`] | a token into a proof that is all checked, or an [`Error`] |
//! | [`BorrowedToken`], [`BorrowedRegistered`], [`Scratch`] | the same proof, not copied, in a buffer of the caller's: [`Verifier::verify_borrowed`], which says what allocates |
//! | [`Registered`], [`UserClaims`], [`NoClaims`] | the standard's claims, a user's, none |
//! | `AssertionSigner` | a client's own short token of `iss`, `iat` and `exp`, signed with its RSA key |
//! | `Assertions`, `ClientAssertion` | that token, proved by the keys registered for its issuer |
//! | `testing` (feature) | forged tokens and the bodies of the fuzz targets |
//!
//! What is stricter than RFC 7515 and 7519 ask: one spelling of base64url; members unique at every
//! depth of header and payload; no `crit`, `b64`, `zip`, `cty`, nor any key in a header; `typ`, `iss`,
//! `aud`, `sub`, `iat`, `exp` and `jti` always there and of their type; dates in digits, no sign, no
//! exponent. A client's own token may lack `typ`, `aud`, `sub` and `jti`, and lives for an hour at most.
//!
//! It does not fetch keys, keep a list of revoked tokens, decrypt, or refresh: an access token is
//! short-lived, and its session says whether it is still alive. It reads no clock: `now` is given.
#![forbid(unsafe_code)]

#[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
mod assertion;
mod borrowed;
mod claims;
mod dates;
#[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
mod der;
mod error;
mod json;
mod key;
mod key_set;
mod parse;
#[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
mod pem;
mod policy;
#[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
mod rsa;
mod sign;
#[cfg(feature = "testing")]
pub mod testing;
mod verify;

// The caller's claims are of its traits.
pub use serde;

#[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
pub use assertion::{AssertionPolicy, AssertionSigner, Assertions, Begun, ClientAssertion};
pub use borrowed::{BorrowedToken, Scratch};
pub use claims::{BorrowedRegistered, NoClaims, Registered, Security, UserClaims};
pub use error::{Error, JsonFault};
pub use key::{Algorithm, HmacKey};
pub use key_set::{KeySet, SigningKey, TrustedKeys, VerifyingKey};
pub use policy::Policy;
#[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
pub use rsa::{RsaPrivateKey, RsaPublicKey};
pub use sign::{Signer, Subject};
pub use verify::{AccessToken, Verifier};
