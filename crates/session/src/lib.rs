//! Whether a session goes on: rotating refresh tokens, their families, and what ends them.
//!
//! ```
//! use portcullis_core::{Memory, Secret, Timestamp};
//! use portcullis_session::{Error, Factor, Method, SessionPolicy, Sessions};
//! use std::time::Duration;
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! let now = Timestamp::from_unix_secs(1_700_000_000);
//! // Memory is for this example: a service keeps sessions in a durable store.
//! let policy = SessionPolicy::default().dangerous_allow_volatile();
//! let sessions = Sessions::new(Memory::new(now), Secret::generate::<32>()?, policy)?;
//!
//! let shown = [Factor::new(Method::Password, now)];
//! let started = sessions.start("42", &shown, now).await?;
//! let first = started.refresh_token;
//!
//! let later = now.saturating_add(Duration::from_secs(3600));
//! let second = sessions.refresh(first.expose(), later).await?.refresh_token;
//! assert_ne!(second, first);
//!
//! // The first was used: an hour later only a thief, or a victim of one, still shows it.
//! let much_later = later.saturating_add(Duration::from_secs(3600));
//! let replayed = sessions.refresh(first.expose(), much_later).await;
//! assert!(matches!(replayed, Err(Error::Reused { .. })));
//! assert!(sessions.refresh(second.expose(), much_later).await.is_err());
//! assert!(sessions.live(&started.session, much_later).await.is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | Verb | What it decides |
//! |---|---|
//! | [`Sessions::start`] | a session and its first refresh token; one too many ends the one used longest ago |
//! | [`Sessions::refresh`] | the live token → its child; its parent within the grace → the same child; older → the family is revoked |
//! | [`Sessions::live`], [`Sessions::admit`] | whether the session of an access token is still alive |
//! | [`Sessions::touch`] | a later idle end for a session that a cookie holds; no token is replaced |
//! | [`Sessions::add_factor`], [`require`] | step-up: what was shown, when, and whether it is enough |
//! | [`Sessions::revoke`], [`Sessions::revoke_token`], [`Sessions::revoke_all`], [`Sessions::revoke_others`] | the end, also of the access tokens checked by `live` |
//! | [`Sessions::list`] | a user's living sessions |
//!
//! A token is opaque and never stored: its tag is an HMAC over session, counter and a nonce that only the
//! store knows, so the child can be computed again (RFC 9700 §4.14.2 asks for rotation or binding; this is
//! rotation). A revoked session stays as a tombstone until its absolute end.
//!
//! It issues no access token, sets no cookie and checks no password. It does not bind a token to a client's
//! key (RFC 9449), nor hold several keys at once: a new key ends all sessions. It writes no audit record:
//! answers and errors carry what one needs.
#![forbid(unsafe_code)]

mod admit;
mod decide;
mod demand;
mod ending;
mod error;
mod factor;
mod guard;
mod id;
mod live;
mod policy;
mod revocation;
mod state;
#[cfg(feature = "testing")]
pub mod testing;
mod token;

pub use demand::{Demand, Level, StepUpRequired, require};
pub use error::Error;
pub use factor::{Factor, Method};
pub use guard::Sessions;
pub use id::{SessionId, SessionIdMalformed};
pub use live::{Live, Refreshed, Started};
pub use policy::{PolicyError, SessionPolicy};
pub use revocation::Revocation;
pub use token::RefreshToken;
