//! What a service demands of a signed request, and how many it remembers.

use std::time::Duration;

use portcullis_core::Timestamp;

use crate::component::Components;
use crate::{Component, Error};

/// What a service demands of a signed request.
///
/// There is no default: what a scheme must cover depends on what the handler reads. A handler that
/// looks at the path must require the path.
///
/// ```
/// use portcullis_hmac_signing::{Component, Policy, TimestampBody, Verifier};
///
/// // The scheme leaves the path out, so this service cannot be built on it.
/// let policy = Policy::requiring(&[Component::Path, Component::Body]);
/// assert!(Verifier::new(TimestampBody::named_by_header(), policy).is_err());
/// let policy = Policy::requiring(&[Component::Body]).skew_secs(60)?;
/// assert!(Verifier::new(TimestampBody::named_by_header(), policy).is_ok());
/// # Ok::<(), portcullis_hmac_signing::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    pub(crate) required: Components,
    pub(crate) window: Window,
    pub(crate) body_limit_bytes: usize,
}

impl Policy {
    /// What a scheme must cover for this service: [`crate::Verifier::new`] refuses one that leaves any of
    /// these out.
    ///
    /// A timestamp may lie 300 seconds back, what vendors commonly allow for slow ways and clocks, and 5
    /// ahead, for a clock that is set by NTP is not off by more. A body has at most 1 MiB, since it is
    /// held whole before anything of it is believed.
    #[must_use]
    pub fn requiring(components: &[Component]) -> Self {
        Self {
            required: Components::of(components),
            window: Window {
                skew: Duration::from_secs(300),
                ahead: Duration::from_secs(5),
            },
            body_limit_bytes: 1024 * 1024,
        }
    }

    /// How far back a timestamp may lie: 1 to 900 seconds. Every request is remembered as long.
    ///
    /// # Errors
    /// [`Error::Policy`].
    pub fn skew_secs(mut self, secs: u64) -> Result<Self, Error> {
        if !(1..=900).contains(&secs) {
            return Err(Error::Policy("a timestamp lies 1 to 900 seconds back"));
        }
        self.window.skew = Duration::from_secs(secs);
        Ok(self)
    }

    /// How far ahead a timestamp may lie: 0 to 60 seconds.
    ///
    /// # Errors
    /// [`Error::Policy`].
    pub fn ahead_secs(mut self, secs: u64) -> Result<Self, Error> {
        if secs > 60 {
            return Err(Error::Policy("a timestamp lies 0 to 60 seconds ahead"));
        }
        self.window.ahead = Duration::from_secs(secs);
        Ok(self)
    }

    /// How long a body may be: 0 to 16 MiB.
    ///
    /// # Errors
    /// [`Error::Policy`].
    pub fn body_limit_bytes(mut self, bytes: usize) -> Result<Self, Error> {
        if bytes > 16 * 1024 * 1024 {
            return Err(Error::Policy("a body has at most 16 MiB"));
        }
        self.body_limit_bytes = bytes;
        Ok(self)
    }
}

/// How many requests a [`crate::ReplayGuard`] remembers.
///
/// The default admits 10 000 live requests of one key at once, so one key cannot fill the store for all
/// others. They are counted by spans of the window's length, of which two may count at a time: at a skew
/// of 300 seconds a key that never pauses gets 16 requests a second through, and one that does up to
/// 10 000 in a burst.
#[derive(Clone, Copy, Debug)]
pub struct ReplayPolicy {
    pub(crate) live_per_key: u32,
}

impl Default for ReplayPolicy {
    fn default() -> Self {
        Self {
            live_per_key: 10_000,
        }
    }
}

impl ReplayPolicy {
    /// At most so many requests of one key are remembered at once; further ones are refused. With none,
    /// every request is.
    #[must_use]
    pub fn live_per_key(mut self, requests: u32) -> Self {
        self.live_per_key = requests;
        self
    }
}

/// When a timestamp counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) skew: Duration,
    pub(crate) ahead: Duration,
}

impl Window {
    /// Whether a request of that timestamp may be accepted at `now`, both ends included.
    pub(crate) fn admit(&self, timestamp: Timestamp, now: Timestamp) -> Result<(), Error> {
        if now > timestamp.saturating_add(self.skew) {
            return Err(Error::TooOld);
        }
        if timestamp > now.saturating_add(self.ahead) {
            return Err(Error::Ahead);
        }
        Ok(())
    }

    /// From when on no clock that [`Window::admit`] asks accepts a request of that timestamp: what was
    /// seen is remembered until then.
    pub(crate) fn over_at(&self, timestamp: Timestamp) -> Timestamp {
        timestamp.saturating_add(self.skew).saturating_add(A_SECOND)
    }

    /// A span that no two live timestamps lie further apart than; requests are counted by it.
    pub(crate) fn span_secs(&self) -> u64 {
        let both = self.skew.saturating_add(self.ahead);
        both.saturating_add(A_SECOND)
            .saturating_add(A_SECOND)
            .as_secs()
    }
}

const A_SECOND: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_outside_its_range_is_refused() {
        let policy = || Policy::requiring(&[]);
        for secs in [0, 901, u64::MAX] {
            assert!(matches!(policy().skew_secs(secs), Err(Error::Policy(_))));
        }
        for secs in [61, u64::MAX] {
            assert!(matches!(policy().ahead_secs(secs), Err(Error::Policy(_))));
        }
        for bytes in [16 * 1024 * 1024 + 1, usize::MAX] {
            assert!(policy().body_limit_bytes(bytes).is_err());
        }
    }

    #[test]
    fn the_ends_of_every_range_are_admitted() {
        let policy = Policy::requiring(Component::ALL);
        for (skew, ahead, bytes) in [(1, 0, 0), (900, 60, 16 * 1024 * 1024)] {
            let made = policy
                .skew_secs(skew)
                .and_then(|made| made.ahead_secs(ahead));
            assert!(made.and_then(|made| made.body_limit_bytes(bytes)).is_ok());
        }
    }

    #[test]
    fn a_timestamp_is_refused_a_nanosecond_outside_its_window() {
        let window = Policy::requiring(&[]).window;
        let at = Timestamp::from_unix_secs(1_700_000_000);
        let (nano, secs) = (Duration::from_nanos(1), Duration::from_secs);
        let last = at.saturating_add(secs(300));
        assert_eq!(window.admit(at, last), Ok(()));
        assert_eq!(
            window.admit(at, last.saturating_add(nano)),
            Err(Error::TooOld)
        );
        let first = at.saturating_sub(secs(5));
        assert_eq!(window.admit(at, first), Ok(()));
        assert_eq!(
            window.admit(at, first.saturating_sub(nano)),
            Err(Error::Ahead)
        );
        assert!(window.over_at(at) > last);
    }
}
