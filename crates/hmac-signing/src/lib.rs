//! Whether a request was signed by that key, in time, and comes for the first time.
//!
//! ```
//! use bytes::Bytes;
//! use portcullis_core::{Memory, Secret, Timestamp};
//! use portcullis_hmac_signing::{
//!     Component, Error, KeyId, Policy, ReplayGuard, ReplayPolicy, Secrets, Signer, SigningKey, V1,
//!     Verifier,
//! };
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! let [started, created, now] = [0, 1, 2].map(|after| Timestamp::from_unix_secs(1_700_000_000 + after));
//! let (key, scheme) = (SigningKey::new(Secret::generate::<32>()?)?, V1::new("orders")?);
//!
//! let mut request = http::Request::post("https://api.example.com/v1/orders").body("{}")?;
//! Signer::new(scheme.clone(), KeyId::parse("partner-7")?, key.clone()).sign(&mut request, now)?;
//!
//! let verifier = Verifier::new(scheme, Policy::requiring(Component::ALL))?;
//! let guard = ReplayGuard::new(Memory::new(started), ReplayPolicy::default());
//! let (head, body) = request.into_parts();
//! let begun = verifier.begin(&head, now)?; // before the body is read
//! // Looked up by begun.key_id(); `created` is kept beside the key, and never the request's instant.
//! let secrets = Secrets::new(key).made_at(created);
//! let again = begun.clone();
//! let unclaimed = begun.verify(Some(&secrets), Bytes::from(body), now)?;
//! let signed = unclaimed.claim(&guard, now).await?;
//! assert_eq!((signed.path(), &signed.body()[..]), (Some("/v1/orders"), &b"{}"[..]));
//!
//! let replay = again.verify(Some(&secrets), Bytes::from(body), now)?.claim(&guard, now).await;
//! assert_eq!(replay.err(), Some(Error::Replayed));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | Scheme | Signs | Remembers |
//! |---|---|---|
//! | [`V1`] | audience, method, host, path, query, content type, body, timestamp, nonce, key id | the nonce |
//! | [`TimestampBody`] | timestamp and body | the MAC |
//! | [`CanonicalLines`] | method, URL, query with its names sorted, body, timestamp | the MAC |
//!
//! # The order
//! 1. [`Verifier::begin`]: the head is read strictly, each header once; caps; the timestamp in its window.
//! 2. [`Begun::verify`]: every live secret's MAC in constant time, an unknown key's too; the time again.
//! 3. [`Unclaimed::claim`]: seen before? A failing or full store refuses. Then there is a [`SignedRequest`].
//!
//! [`Signer`] takes the signed bytes from the same function as [`Verifier`]. [`Secrets`] holds two secrets
//! while a key is changed. [`Policy`] says what a scheme must cover for this service.
//!
//! It keeps no keys and reads no body: the body is held whole under a cap, and streaming is not there. It
//! knows no public keys, so both ends could have signed. Headers other than the content type are covered
//! by no scheme here.
#![forbid(unsafe_code)]

mod canonical_lines;
mod component;
mod decide;
mod error;
mod guard;
mod head;
mod key;
mod policy;
mod request;
mod scheme;
mod sign;
mod state;
#[cfg(feature = "testing")]
pub mod testing;
mod text;
mod timestamp_body;
pub mod v1;
mod v1_scheme;
mod verify;

// What the signatures here are made of, of the versions they are made of.
pub use bytes;
pub use http;

pub use canonical_lines::CanonicalLines;
pub use component::Component;
pub use error::Error;
pub use guard::ReplayGuard;
pub use key::{KeyId, Secrets, SigningKey};
pub use policy::{Policy, ReplayPolicy};
pub use request::{SignedRequest, Unclaimed};
pub use scheme::Scheme;
pub use sign::Signer;
pub use timestamp_body::TimestampBody;
pub use v1_scheme::V1;
pub use verify::{Begun, Verifier};
