//! The one safe order of a login.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use portcullis_audit::Action;
//! use portcullis_audit::testing::MemorySink;
//! use portcullis_core::{AnyStore, Clock, Memory, Reason, Secret, SystemClock};
//! use portcullis_lockout::{AccountName, Lockout, LockoutPolicy};
//! use portcullis_session::{SessionPolicy, Sessions};
//! use portcullis_sign_in::testing::{MapDirectory, StubHasher, trial_factors};
//! use portcullis_sign_in::{Attempt, Entered, Hasher, Parts, SignIn, SignInPolicy};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
//! # runtime.block_on(async {
//! let now = SystemClock.now();
//! let (key, store) = (Secret::generate::<32>()?, AnyStore::new(Memory::new(now)));
//! let trial = SessionPolicy::default().dangerous_allow_volatile();
//! let hasher = Arc::new(StubHasher::new(Duration::ZERO)); // in a service: Argon2Pool
//! let password = || Secret::from(b"correct horse battery".as_slice());
//! let users = MapDirectory::new(); // in a service: its own table
//! users.insert(&AccountName::parse("alice")?, hasher.hash(password()).await?);
//! let parts = Parts {
//!     directory: users,
//!     sink: MemorySink::new(), // in a service: portcullis_audit::Log
//!     lockout: Arc::new(Lockout::new(store.clone(), LockoutPolicy::default())),
//!     sessions: Arc::new(Sessions::new(store.clone(), key, trial)?),
//!     second_factors: trial_factors()?, // in a service: SecondFactors::new
//!     store,
//! };
//! let events = parts.sink.clone();
//! let sign_in = SignIn::new(parts, hasher, SystemClock, SignInPolicy::default()).await?;
//!
//! let wrong = Attempt::new("alice", Secret::from(b"Tr0ub4dor&3".as_slice()));
//! let refused = sign_in.sign_in(wrong, now).await.unwrap_err();
//! assert_eq!(refused.log_reason(), Reason::PasswordWrong);
//! let entered = sign_in.sign_in(Attempt::new("Alice", password()), now).await?;
//! assert!(matches!(entered, Entered::SignedIn(_))); // else a challenge: SignIn::answer
//! assert_eq!(events.actions(), [Action::FailedLogin, Action::Login]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | Step | Who | Why there |
//! |---|---|---|
//! | captcha | the application, [`CaptchaOutcome`] | where asked for: before the account is touched |
//! | reserve | `portcullis-lockout` | an attempt is counted before it is judged: guesses cannot race |
//! | look up | [`Directory`] | unknown and locked users take the same way, with a dummy hash |
//! | verify | [`Hasher`], [`Argon2Pool`] | off the async threads, bounded, refused when full |
//! | settle | `portcullis-lockout` | in a task of its own: hanging up changes nothing |
//! | ask, use up | [`Challenge`], `portcullis-totp-mfa` | where a second factor is enrolled: bound to this login; one code, once, counted before it is judged |
//! | start | `portcullis-session` | only now is there anything to steal |
//! | look again | [`Directory`] | a credential, factor or lock that changed meanwhile signs nobody in |
//! | record | [`portcullis_audit::Sink`] | on disk before the answer; else the session is ended |
//! | answer | the caller | a session that its caller did not take is ended |
//!
//! Refusals of a password differ in nothing but this: the fifth failure also writes the lock down. Those of
//! a code are one answer, and a wrong one is also written down. It does not limit addresses, hold users, normalise
//! passwords (their bytes count), ask a captcha's provider, or say who must have a second factor.
#![forbid(unsafe_code)]

mod apart;
mod attempt;
mod bounded;
mod captcha;
mod challenge;
mod decide;
mod directory;
mod error;
mod factors;
mod guard;
mod handover;
mod hasher;
mod line;
mod policy;
mod prove;
mod second;
mod state;
#[cfg(feature = "testing")]
pub mod testing;

pub use attempt::{Attempt, Origin, Shown};
pub use captcha::{CaptchaOutcome, WhenAway};
pub use challenge::Challenge;
pub use directory::{Credential, Directory, DirectoryError};
pub use error::{ChangeError, FactorError, Refused, SignInError};
pub use guard::{Entered, Parts, SignIn, SignedIn};
pub use hasher::{Argon2Pool, HashError, Hasher, Hashing};
pub use policy::{PasswordFault, SignInPolicy};
pub use second::factor;
