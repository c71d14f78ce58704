//! The [`Store`](portcullis_core::Store) in one SQLite file: durable, shared by the processes of one machine.
//!
//! ```
//! use portcullis_core::{Key, Next, Scope, Store, Timestamp, Value};
//! use portcullis_store_sqlite::Sqlite;
//!
//! const VISITS: Scope = Scope::new("visits");
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("gate.db");
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! let now = Timestamp::from_unix_secs(1_700_000_000);
//! let key = Key::new(VISITS, b"alice");
//! let store = Sqlite::open(&path, now)?;
//! store
//!     .update(key, now, |_| {
//!         ((), Next::Put { value: Value::new(b"1"), expires_at: Timestamp::MAX })
//!     })
//!     .await?;
//! store.close().await;
//!
//! let store = Sqlite::open(&path, now)?;
//! let seen = store.update(key, now, |held| (held.map(<[u8]>::to_vec), Next::Keep)).await?;
//! assert_eq!(seen.as_deref(), Some(&b"1"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | Question | Answer |
//! |---|---|
//! | When is a call answered? | after the commit that holds it is synced: write-ahead log, `synchronous=FULL` |
//! | What does a sync cost? | one for all callers waiting (at most 512): one thread takes them into one transaction |
//! | Several processes? | yes, on one machine and a local disk; each transaction takes the file's write lock |
//! | What is at rest? | keys as HMAC-SHA256 under a secret of the file, values as they were put, mode 0600 |
//! | What is bounded? | live keys per scope, waiting callers, a transaction's bytes, the wait for the lock |
//! | When does a row go? | in small slices, once it has been expired for an hour |
//!
//! # Copies and backups
//! Copying the file of a running store loses what its `-wal` file holds; use SQLite's own backup (the
//! shell's `.backup`, or `VACUUM INTO`). A restored copy is an older memory: what was consumed since
//! is unknown to it. Open it once with [`SqlitePolicy::restored`], which moves the store's birth to
//! now, so that guards of one-time things refuse whatever could have been used before. One that was made
//! under a clock that ran ahead is refused, [`OpenError::BirthAhead`], until somebody says which was wrong.
//!
//! It does not encrypt values and hides nothing from whoever reads the file: its key secret is in it.
//! It does not work on network file systems, whose locks cannot be trusted.
#![forbid(unsafe_code)]

mod batch;
mod error;
mod file;
mod job;
mod place;
mod policy;
mod store;
mod writer;

pub use error::OpenError;
pub use policy::SqlitePolicy;
pub use store::Sqlite;
