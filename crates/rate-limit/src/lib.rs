//! How often a caller may ask: admitted, or wait for so long.
//!
//! ```
//! use portcullis_core::Timestamp;
//! use portcullis_rate_limit::{Decision, EndpointClass, Limiter, LimiterPolicy};
//! use std::time::Duration;
//!
//! let logins = Limiter::new(EndpointClass::Authentication.quota(), LimiterPolicy::default());
//! let now = Timestamp::from_unix_secs(1_700_000_000);
//! for _ in 0..10 {
//!     assert!(logins.check(b"192.0.2.7", now).is_admitted());
//! }
//! let Decision::Limited { retry_after } = logins.check(b"192.0.2.7", now) else {
//!     panic!("the eleventh login within a minute is refused");
//! };
//! // A client that waits exactly that long, alone, is admitted.
//! assert!(logins.check(b"192.0.2.7", now.saturating_add(retry_after)).is_admitted());
//! ```
//!
//! | Type | What it is |
//! |---|---|
//! | [`Quota`] | so many units a period, *smooth* or *strict* |
//! | [`EndpointClass`], [`Tier`] | quotas ready to use, each argued |
//! | [`Limiter`] | the rule in one process: synchronous, fixed memory |
//! | [`StoreLimiter`] | the same rule across processes, over any [`portcullis_core::Store`] |
//! | [`Decision`], [`Joint`] | what became of one charge; of several on one request |
//! | [`tuple_key`] | one key of several parts, which no other parts share |
//!
//! *Smooth* is GCRA: eight bytes a key, and up to twice the count in an unlucky window. *Strict* never
//! admits more than the count in any window, remembers each unit, and so is for counts up to 64.
//!
//! It does not choose keys (see `portcullis-ip-list` for addresses), reads no clock, sends no response
//! and does not queue: a refused caller is told when to come back.
#![forbid(unsafe_code)]

mod charge;
mod decide;
mod error;
mod field;
mod guard;
mod limiter;
mod policy;
mod preset;
mod smooth_table;
mod state;
mod strict_table;
#[cfg(feature = "testing")]
pub mod testing;

pub use charge::{Charge, Joint, tuple_key};
pub use decide::Decision;
pub use error::{Error, PolicyError};
pub use guard::StoreLimiter;
pub use limiter::Limiter;
pub use policy::{LimiterPolicy, Pace, Quota};
pub use preset::{EndpointClass, Tier};
