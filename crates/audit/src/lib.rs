//! A closed vocabulary of events in a tamper-evident log: acknowledged means on disk, and a change shows.
//!
//! ```
//! use portcullis_audit::{Action, Event, Filter, Log, LogPolicy, Sink, query, verify_against};
//! use portcullis_core::{Clock, Reason, Secret, SystemClock};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! # let folder = tempfile::tempdir()?;
//! let key = Secret::generate::<32>()?;
//! let now = SystemClock.now();
//! let (log, _) = Log::open(folder.path(), &key, LogPolicy::default(), now)?;
//!
//! let event = Event::new(Action::FailedLogin, now).user("alice").reason(Reason::PasswordWrong);
//! log.record(event).await?;
//! let checkpoint = log.checkpoint(); // to be kept elsewhere
//!
//! let records = query(folder.path(), &key, &Filter::default().user("alice"))?;
//! assert!(records[0].to_json().contains(r#""action":"failed_login","user_id":"alice""#));
//! let report = verify_against(folder.path(), &key, &checkpoint)?;
//! assert_eq!((report.records, report.exposed()), (1, None));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | Item | What it is |
//! |---|---|
//! | [`Action`], [`Event`], [`Field`] | what can be recorded: data of bounded length, secrets taken out |
//! | [`Sink`], [`Recorded`] | where events go, and the answer that they are there |
//! | [`Log`], [`LogPolicy`], [`Recovery`] | the log in a folder, one writer, many callers, one sync for all that wait |
//! | [`BufferedLog`], [`HandedOver`] | the same log for callers that do not wait: what a crash may lose, and what is shed |
//! | [`verify`], [`verify_against`], [`Report`] | the whole log judged; the first bad record named |
//! | [`Checkpoint`] | how far the log had come, sealed; reveals a cut tail or an old copy |
//! | [`query`], [`Filter`], [`Record`] | reading beside the writer; JSON lines that nothing breaks out of |
//! | `testing` (feature) | a sink in memory |
//!
//! Each record is sealed with HMAC-SHA256 under a key of its own log, over the seal of the record before.
//! Segments are append-only; each one's header seals how the one before ended. A failed write or sync
//! is never tried again on the same descriptor: a new segment takes what was not acknowledged.
//!
//! # What it does not do
//! - Protect its own end. Records cut off after the last checkpoint are not missed, and what is changed in
//!   the last write looks like a torn one: [`Recovery::torn_bytes`] and [`Report`] say so. Take
//!   checkpoints often, and keep them where the log's owner cannot reach.
//! - Hold against a thief of the key, who can write all of it anew: the key does not ratchet, so past
//!   records are no safer than present ones. A checkpoint taken before shows a history that differs.
//! - Hide what it records: the files are not encrypted, only their owner's to read (mode 0600).
//! - Delete, archive, look up locations, raise alerts, or export anything but JSON lines.
//! - Run on network file systems: it trusts `flock`, `fdatasync` and atomic `rename`.
#![forbid(unsafe_code)]

mod action;
mod buffered;
mod checkpoint;
mod error;
mod event;
mod export;
mod folder;
mod guard;
mod header;
mod keys;
mod policy;
mod query;
mod read;
mod record;
mod sink;
mod state;
#[cfg(feature = "testing")]
pub mod testing;
mod text;
mod verify;
mod writer;

#[cfg(test)]
mod faults;

pub use action::{Action, UnknownAction};
pub use buffered::{BufferedLog, HandedOver};
pub use checkpoint::Checkpoint;
pub use error::{AuditError, CheckpointError, Damage, Finding};
pub use event::{Event, Field};
pub use export::{Record, steers};
pub use guard::{Log, Recovery};
pub use keys::LogId;
pub use policy::LogPolicy;
pub use query::{Filter, query};
pub use read::{Report, verify, verify_against};
pub use sink::{Recorded, Sink};
