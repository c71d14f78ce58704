//! A clock that stands still until told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::{Clock, Timestamp};

/// A clock that a test sets; clones share the hands. Unlike the system's it can be turned back.
///
/// ```
/// use portcullis_core::testing::FakeClock;
/// use portcullis_core::{Clock, Timestamp};
/// use std::time::Duration;
///
/// let clock = FakeClock::new(Timestamp::from_unix_secs(100));
/// clock.advance(Duration::from_secs(5));
/// assert_eq!(clock.now().as_unix_secs(), 105);
/// ```
#[derive(Clone, Debug)]
pub struct FakeClock(Arc<AtomicU64>);

impl FakeClock {
    /// A clock that shows `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self(Arc::new(AtomicU64::new(now.as_unix_nanos())))
    }

    /// Turns the hands to `now`, forward or back.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.as_unix_nanos(), Ordering::SeqCst);
    }

    /// Moves the hands on by `span`.
    pub fn advance(&self, span: Duration) {
        self.set(self.now().saturating_add(span));
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_nanos(self.0.load(Ordering::SeqCst))
    }
}
