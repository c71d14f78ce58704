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

    /// How far back a timestamp may lie: 1 to 900 seconds. Every request is remembered for the 900,
    /// whatever is set here: another verifier on the same store may admit it for so long.
    ///
    /// # Errors
    /// [`Error::Policy`].
    pub fn skew_secs(mut self, secs: u64) -> Result<Self, Error> {
        if !(1..=MOST_SKEW_SECS).contains(&secs) {
            return Err(Error::Policy("a timestamp lies 1 to 900 seconds back"));
        }
        self.window.skew = Duration::from_secs(secs);
        Ok(self)
    }

    /// How far ahead a timestamp may lie: 0 to 60 seconds. So long is refused what a store that forgot
    /// may have held; verifiers on one store that can forget are given the same.
    ///
    /// # Errors
    /// [`Error::Policy`].
    pub fn ahead_secs(mut self, secs: u64) -> Result<Self, Error> {
        if secs > MOST_AHEAD_SECS {
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
/// The default admits 30 000 remembered requests of one key at once, so one key cannot fill the store for
/// all others. They are counted by spans of 962 seconds, a little more than a request is remembered for,
/// of which two may count at a time: a key that never pauses gets 15 requests a second through, and one
/// that does up to 30 000 in a burst.
#[derive(Clone, Copy, Debug)]
pub struct ReplayPolicy {
    pub(crate) live_per_key: u32,
}

impl Default for ReplayPolicy {
    fn default() -> Self {
        Self {
            live_per_key: 30_000,
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
}

/// From when on no [`Window`] of any policy admits a request of that timestamp: what was seen is
/// remembered until then.
///
/// Not by the window of whoever notes it: of two verifiers on one store, the one of the longer skew would
/// admit anew what the other has let go.
pub(crate) fn over_at(timestamp: Timestamp) -> Timestamp {
    timestamp.saturating_add(REMEMBERED)
}

const REMEMBERED: Duration = Duration::from_secs(MOST_SKEW_SECS.saturating_add(1));

/// A span that no two remembered timestamps lie further apart than; requests are counted by it.
pub(crate) const SPAN_SECS: u64 = MOST_SKEW_SECS
    .saturating_add(MOST_AHEAD_SECS)
    .saturating_add(2);

const MOST_SKEW_SECS: u64 = 900;
const MOST_AHEAD_SECS: u64 = 60;

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
    }

    #[test]
    fn what_was_seen_is_remembered_for_longer_than_the_longest_policy_admits_it() {
        let at = Timestamp::from_unix_secs(1_700_000_000);
        let policy = Policy::requiring(&[]);
        let longest = (1..2_000).rev().find_map(|secs| {
            let policy = policy.skew_secs(secs);
            policy.ok()
        });
        let window = longest.unwrap().window;
        assert_eq!(window.admit(at, at.saturating_add(window.skew)), Ok(()));
        assert_eq!(window.admit(at, over_at(at)), Err(Error::TooOld));
        assert!(over_at(at) > at.saturating_add(window.skew));
    }
}
