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
//! use portcullis_sign_in::testing::{MapDirectory, StubHasher};
//! use portcullis_sign_in::{Attempt, Hasher, Parts, SignIn, SignInPolicy};
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
//!     sessions: Arc::new(Sessions::new(store, key, trial)?),
//! };
//! let events = parts.sink.clone();
//! let sign_in = SignIn::new(parts, hasher, SystemClock, SignInPolicy::default()).await?;
//!
//! let wrong = Attempt::new("alice", Secret::from(b"Tr0ub4dor&3".as_slice()));
//! let refused = sign_in.sign_in(wrong, now).await.unwrap_err();
//! assert_eq!(refused.log_reason(), Reason::PasswordWrong);
//! let signed_in = sign_in.sign_in(Attempt::new("Alice", password()), now).await?;
//! assert_eq!(signed_in.user_id, "alice");
//! assert_eq!(events.actions(), [Action::FailedLogin, Action::Login]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | Step | Who | Why there |
//! |---|---|---|
//! | reserve | `portcullis-lockout` | an attempt is counted before it is judged: guesses cannot race |
//! | look up | [`Directory`] | unknown and locked users take the same way, with a dummy hash |
//! | verify | [`Hasher`], [`Argon2Pool`] | off the async threads, bounded, refused when full |
//! | settle | `portcullis-lockout` | in a task of its own: hanging up changes nothing |
//! | start | `portcullis-session` | only now is there anything to steal |
//! | look again | [`Directory`] | a credential that changed meanwhile signs nobody in |
//! | record | [`portcullis_audit::Sink`] | on disk before the answer; else the session is ended |
//! | answer | the caller | a session that its caller did not take is ended |
//!
//! Refusals differ in nothing but this: the fifth failure also writes the lock down, a locked account
//! is asked once more, and a success goes on. It does not limit addresses, hold users, normalise
//! passwords (their bytes count), or ask for a second factor.
#![forbid(unsafe_code)]

mod attempt;
mod bounded;
mod decide;
mod directory;
mod error;
mod guard;
mod handover;
mod hasher;
mod line;
mod policy;
mod prove;
#[cfg(feature = "testing")]
pub mod testing;

pub use attempt::Attempt;
pub use directory::{Credential, Directory, DirectoryError};
pub use error::{ChangeError, Refused, SignInError};
pub use guard::{Parts, SignIn, SignedIn};
pub use hasher::{Argon2Pool, HashError, Hasher, Hashing};
pub use policy::{PasswordFault, SignInPolicy};
