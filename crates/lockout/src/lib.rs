//! Failures of an account: open, or locked until.
//!
//! ```
//! use portcullis_core::{Memory, Timestamp};
//! use portcullis_lockout::{AccountName, Lockout, LockoutPolicy, Outcome, Reserved, Settled};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! let now = Timestamp::from_unix_secs(1_700_000_000);
//! let lockout = Lockout::new(Memory::new(now), LockoutPolicy::default());
//! let alice = AccountName::parse("Alice@example.org")?;
//!
//! // Count first, verify the password second, settle third.
//! let Reserved::Granted(reservation) = lockout.reserve(&alice, now).await? else {
//!     return Err("locked or crowded: answer as if the password were wrong".into());
//! };
//! let password_is_right = true;
//! let outcome = if password_is_right { Outcome::Success } else { Outcome::Failure };
//! assert_eq!(lockout.settle(reservation, outcome, now).await?, Settled::Cleared);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | Step | What it does |
//! |---|---|
//! | [`AccountName::parse`] | one spelling for every spelling of a name, so that they share one count |
//! | [`Lockout::reserve`] | takes one of the attempts that are left, before the password is looked at |
//! | [`Lockout::settle`] | says how it went; the failure that uses up the last attempt starts the lock |
//! | [`Lockout::attempt`] | both, around a verification |
//! | [`Lockout::locked`], [`Lockout::unlock`] | the administrator's list, and the way out |
//!
//! # The rule
//! 1. An attempt is granted while *failures + reservations under way* stay below the limit. Over it the answer is
//!    [`Reserved::Crowded`], which counts nothing and starts no lock: the caller waits for a slot, or refuses.
//! 2. A reservation is not a failure. Settled as [`Outcome::Failure`] it becomes one; as [`Outcome::Success`] it sets
//!    the failures to none and leaves the other reservations be; as [`Outcome::Unverified`] it is given back.
//! 3. A reservation that nobody settles within its life lapses, and counts as one failure. Lapses never fill the last
//!    slot: with a limit of five, however many lapse, one attempt is left. So a crash locks nobody; **only a settled
//!    failure starts a lock**.
//! 4. Settling late is settling: a failure takes its lapse's place, so each attempt counts once.
//! 5. While the lock stands nothing is granted, a failure does not extend it, and even a success settled late is answered
//!    [`Settled::Locked`]: refuse it.
//! 6. A lock ends by itself, or by [`Lockout::unlock`]. Failures are forgotten `forget_after` the last of them.
//!
//! So however many guess at once, on however many machines, no more than `limit` of them settle as wrong before the lock.
//!
//! It verifies no password, writes no audit event, limits no address (a spray over many names is the rate limiter's
//! to stop), and has no bucket of its own for a known device: five strangers' failures lock the owner out, too.
#![forbid(unsafe_code)]

mod decide;
mod error;
mod guard;
mod list;
mod name;
mod policy;
mod state;
#[cfg(feature = "testing")]
pub mod testing;

pub use error::Error;
pub use guard::{LockedAccount, Lockout, Outcome, Reservation, Reserved, Settled, Status};
pub use name::{AccountName, NameError};
pub use policy::{LockoutPolicy, PolicyError};
