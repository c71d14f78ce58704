//! Time, secrets, reasons and the [`Store`]: what every portcullis crate shares.
//!
//! ```
//! use portcullis_core::{Key, Memory, Next, Scope, Store, Timestamp, Value};
//!
//! const VISITS: Scope = Scope::new("visits");
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! let now = Timestamp::from_unix_secs(1_700_000_000);
//! let store = Memory::new(now);
//! let key = Key::new(VISITS, b"alice");
//! let count = || {
//!     store.update(key, now, |current| {
//!         let seen = current.and_then(|bytes| bytes.first().copied()).unwrap_or(0);
//!         let next = seen.saturating_add(1);
//!         (next, Next::Put { value: Value::new(&[next]), expires_at: Timestamp::MAX })
//!     })
//! };
//! assert_eq!(count().await?, 1);
//! assert_eq!(count().await?, 2);
//! # Ok::<(), portcullis_core::Failure>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | Type | What it is |
//! |---|---|
//! | [`Timestamp`], [`Clock`], [`SystemClock`] | one instant per request; the only reader of the system's time |
//! | [`Secret`], [`entropy`] | bytes that are wiped, redacted and compared in constant time; where they come from |
//! | [`Reason`] | what was wrong, for log and audit; never what the wire says |
//! | [`Store`], [`Memory`], [`AnyStore`] | one pure transition on a few bytes under a key, on any backend |
//! | `Sealer` (feature `sealer`) | encrypts what must be read back, for the one place it is kept at |
//! | [`Index`] | a bounded list of members kept in a store |
//! | `testing` (feature) | fake clock, failing store, conformance suite and race harness |
//!
//! It does no I/O, starts no task and knows no protocol. A store keeps what it is given: whoever gives it a
//! secret seals that first.
#![forbid(unsafe_code)]

mod any;
mod index;
mod key;
mod memory;
mod random;
mod reason;
#[cfg(feature = "sealer")]
mod sealer;
mod secret;
mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod time;
mod value;

pub use any::AnyStore;
pub use index::{Index, IndexError};
pub use key::{Key, Scope};
pub use memory::{Memory, MemoryPolicy};
pub use random::{EntropyUnavailable, entropy};
pub use reason::Reason;
#[cfg(feature = "sealer")]
pub use sealer::{Opened, SealError, Sealer};
pub use secret::Secret;
pub use store::{Cause, Durability, Failure, Next, Store};
pub use time::{Clock, SystemClock, Timestamp};
pub use value::Value;
