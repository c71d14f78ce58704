//! Whose API key that is, and whether it still counts: made, verified, rotated with a grace, revoked.
//!
//! ```
//! use portcullis_api_key::{ApiKey, ApiKeys, Environment, Error, NewKey, Policy};
//! use portcullis_core::{Memory, Timestamp};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! let now = Timestamp::from_unix_secs(1_700_000_000);
//! // Memory is for this example: a service keeps keys in a durable store.
//! let policy = Policy::accepting(&[Environment::Live])?.dangerous_allow_volatile();
//! let keys = ApiKeys::new(Memory::new(now), policy)?;
//!
//! let new = NewKey::new("order import", Environment::Live)?.scope("orders:read")?;
//! let made = keys.create("acme", new, now).await?;
//! let text = made.key.expose().to_owned(); // portcullis_live_…: shown once, kept by its holder
//!
//! let proof = keys.verify(&ApiKey::parse(&text)?, now).await?;
//! assert_eq!((proof.owner(), proof.has_scope("orders:read")), ("acme", true));
//!
//! let rotated = keys.rotate("acme", made.info.id, now).await?;
//! assert!(keys.verify(&rotated.key, now).await.is_ok());
//! assert!(keys.verify(&made.key, now).await?.by_previous_secret());
//!
//! keys.revoke("acme", made.info.id, now).await?;
//! assert_eq!(keys.verify(&rotated.key, now).await.err(), Some(Error::Revoked));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | Verb | What it decides |
//! |---|---|
//! | [`ApiKey::parse`] | whether a text is a key at all, by its checksum, before anything is looked up |
//! | [`ApiKeys::verify`] | a key → a [`KeyProof`]; the only way to one |
//! | [`ApiKeys::create`], [`ApiKeys::rotate`], [`ApiKeys::end_grace`] | which secrets count, and until when |
//! | [`ApiKeys::revoke`], [`ApiKeys::revoke_unused`], [`ApiKeys::forget`] | which keys never count again, and which have gone |
//! | [`ApiKeys::standing`], [`ApiKeys::owner`], [`ApiKeys::list`] | how a key stands; they prove nothing about a caller |
//!
//! # The rule
//! 1. A key is kept as a SHA-256 digest of its 256 random bits and its id. Who reads the store can show none.
//! 2. Its secret counts from when it was made for [`Policy::max_age_days`], and never past
//!    [`NewKey::expires_at`]; [`KeyProof::rotate_by`] warns before.
//! 3. A rotation is one swap. The secret before counts for [`Policy::grace`], and no other rotation begins
//!    meanwhile: at most two secrets count at a time.
//! 4. Revoked is at once, wherever the store is read, and for good.
//! 5. How a key stands is told to whoever has its secret. Another owner's key is unknown.
//!
//! It limits no attempts (256 bits need no help, a flood does: `rate-limit`), checks no address, and writes
//! no audit record. A key is a bearer's secret: whoever copies it has it, until it is rotated or revoked.
#![forbid(unsafe_code)]

mod base32;
mod decide;
mod error;
mod guard;
mod id;
mod info;
mod key;
mod new_key;
mod policy;
mod proof;
mod state;
#[cfg(feature = "testing")]
pub mod testing;

pub use error::Error;
pub use guard::ApiKeys;
pub use id::{Environment, KeyId};
pub use info::{KeyInfo, Made, SecretTag, Standing};
pub use key::ApiKey;
pub use new_key::NewKey;
pub use policy::{Policy, PolicyError};
pub use proof::KeyProof;
