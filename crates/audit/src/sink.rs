//! Where events go.

use std::future::Future;
use std::sync::Arc;

use crate::{AuditError, Event};

/// Where events go: a [`Log`](crate::Log), or a double of one in a test.
///
/// # What a wrong answer costs whoever implements it
/// An `Ok` for an event that a power cut then loses lets an attacker act unseen: answer once it is on
/// disk. An `Err` for one that was kept costs a login that is refused though nothing was wrong. A
/// future that never ends holds up the login behind it.
///
/// A future dropped before it ended leaves it open whether its own event is recorded; it takes
/// nobody else's with it.
pub trait Sink: Send + Sync {
    /// Records `event`, and answers when it will not be lost.
    ///
    /// # Errors
    /// As [`AuditError`] says; after one the event may still be recorded.
    fn record(&self, event: Event) -> impl Future<Output = Result<Recorded, AuditError>> + Send;
}

/// An event has its place in the log, on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Recorded {
    /// The record's number, from 1, without gaps.
    pub sequence: u64,
}

impl<S: Sink> Sink for Arc<S> {
    fn record(&self, event: Event) -> impl Future<Output = Result<Recorded, AuditError>> + Send {
        (**self).record(event)
    }
}
