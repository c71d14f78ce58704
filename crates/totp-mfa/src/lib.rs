//! Whether a user's second factor was shown: codes of an authenticator, each used once, and recovery codes.
//!
//! ```
//! use portcullis_core::{Memory, Sealer, Secret, Timestamp};
//! use portcullis_totp_mfa::{Code, Error, MfaPolicy, SecondFactors, testing::codes};
//! use std::time::Duration;
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! let now = Timestamp::from_unix_secs(1_700_000_000);
//! // Memory is for this example: a service keeps factors in a durable store.
//! let policy = MfaPolicy::new("Example Bank")?.dangerous_allow_volatile();
//! let store = Memory::new(now);
//! let sealer = Sealer::new(1, &Secret::generate::<32>()?)?;
//! let factors = SecondFactors::new(sealer, &Secret::generate::<32>()?, policy)?;
//!
//! let enrolment = factors.enrol(&store, "42", "alice@example.org", now).await?;
//! let secret = enrolment.secret(); // and uri(), png_data_uri(), svg() to scan
//! let first = Code::parse(&codes::at(secret, now))?;
//! let confirmed = factors.confirm(&store, "42", &first, now).await?;
//! assert_eq!(confirmed.recovery_codes().iter().count(), 10);
//!
//! let later = now.saturating_add(Duration::from_secs(3600));
//! let typed = codes::at(secret, later);
//! let proof = factors.present("42", Code::parse(&typed)?).consume(&store, later).await?;
//! assert_eq!(proof.user(), "42");
//! let again = factors.present("42", Code::parse(&typed)?).consume(&store, later).await;
//! assert_eq!(again.err(), Some(Error::Replayed));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | Verb | What it decides |
//! |---|---|
//! | [`SecondFactors::enrol`], [`SecondFactors::confirm`] | a secret is a factor once its first code has come back; that code is used up |
//! | [`Code::parse`], [`SecondFactors::present`], [`Presented::consume`] | a code → a [`FactorProof`], once; the only way to one |
//! | [`SecondFactors::regenerate`], [`SecondFactors::remove`] | what a recent proof of the present [`Generation`] may change |
//! | [`SecondFactors::first_code`], [`SecondFactors::undo`] | the same in two steps, and its way back where its outcome is not known |
//! | [`SecondFactors::standing`] | whether to ask for a code |
//! | [`SecondFactors::dangerous_reset`], [`SecondFactors::reseal`] | the administrator's way out; a new sealing key |
//!
//! # The rule
//! 1. A code is accepted in its own 30 seconds and the policy's steps around them, if its step is newer than every
//!    step used before. One that was used is [`Error::Replayed`], and no guess: it counts for nothing.
//! 2. A wrong code is counted in the act that finds it wrong. At the cap the factor is [`Error::Blocked`], also for right
//!    codes, until a recovery code is used or an administrator resets it. No time lifts it.
//! 3. A right code takes back one wrong one. [`MfaPolicy::guess_chance_per_year`] says what that leaves a guesser.
//! 4. After the store's birth moved (a restored backup), codes that could have been used before it are refused. Recovery
//!    codes used since the backup are good again: have them made anew.
//!
//! The feature `qr`, on by default, draws an enrolment to be scanned: `png_data_uri` and `svg`.
//!
//! It signs nobody in, keeps no session, sends nothing, and writes no audit record. It keeps one authenticator a
//! user, and is not phishing-resistant: a code typed into a false page is good there for its minute.
#![forbid(unsafe_code)]

mod code;
mod decide;
mod enrolment;
mod error;
mod guard;
mod policy;
mod proof;
#[cfg(feature = "qr")]
mod qr;
mod recovery;
mod state;
#[cfg(feature = "testing")]
pub mod testing;
mod verify;

pub use code::Code;
pub use enrolment::Enrolment;
pub use error::Error;
pub use guard::SecondFactors;
pub use policy::{MfaPolicy, PolicyError};
pub use proof::{Confirmed, FactorProof, FirstCode, Generation, Kind, Presented, Standing};
pub use recovery::RecoveryCodes;
