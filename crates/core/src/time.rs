//! One instant per request, read in one place.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// An instant in nanoseconds since the Unix epoch (UTC, leap seconds not counted).
///
/// All arithmetic saturates: nothing before 1970, nothing after the year 2554. [`Timestamp::MAX`]
/// therefore stands for "never". Text is RFC 3339 with milliseconds.
///
/// ```
/// use portcullis_core::Timestamp;
/// use std::time::Duration;
///
/// let issued = Timestamp::from_unix_secs(1_700_000_000);
/// let expires = issued.saturating_add(Duration::from_secs(3600));
/// assert_eq!(expires.as_unix_secs(), 1_700_003_600);
/// assert_eq!(issued.saturating_since(expires), Duration::ZERO);
/// assert_eq!(issued.to_string(), "2023-11-14T22:13:20.000Z");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// 1970-01-01T00:00:00Z, the earliest instant.
    pub const UNIX_EPOCH: Self = Self(0);
    /// The latest instant, in the year 2554; stands for "never".
    pub const MAX: Self = Self(u64::MAX);

    /// The instant `nanos` nanoseconds after the Unix epoch.
    #[must_use]
    pub const fn from_unix_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The instant `millis` milliseconds after the Unix epoch, saturating.
    #[must_use]
    pub const fn from_unix_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// The instant `secs` seconds after the Unix epoch, saturating.
    #[must_use]
    pub const fn from_unix_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    /// Whole nanoseconds since the Unix epoch.
    #[must_use]
    pub const fn as_unix_nanos(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the Unix epoch, rounded down.
    #[must_use]
    pub const fn as_unix_millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Whole seconds since the Unix epoch, rounded down.
    #[must_use]
    pub const fn as_unix_secs(self) -> u64 {
        self.0 / 1_000_000_000
    }

    /// This instant, `span` later; never past [`Timestamp::MAX`].
    #[must_use]
    pub fn saturating_add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(nanos(span)))
    }

    /// This instant, `span` earlier; never before [`Timestamp::UNIX_EPOCH`].
    #[must_use]
    pub fn saturating_sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(span)))
    }

    /// How long after `earlier` this instant is; zero if it is not.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since_epoch = Duration::from_nanos(self.0);
        match UNIX_EPOCH.checked_add(since_epoch) {
            Some(instant) => humantime::format_rfc3339_millis(instant).fmt(f),
            None => write!(f, "{}ns", self.0),
        }
    }
}

/// Where an edge gets its one instant per request from.
///
/// A clock that runs ahead ends sessions and tokens early and forgets replay records early; a clock
/// that runs behind keeps expired ones alive. A step back must never grant more than a clock that
/// stood still: the decisions in these crates are written so, but a clock that does not step back
/// ([`SystemClock`]) is the better half of the defence.
pub trait Clock: Send + Sync + 'static {
    /// The present instant.
    fn now(&self) -> Timestamp;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }
}

/// The system's clock to the microsecond, held so that it never runs backwards within one process.
///
/// ```
/// use portcullis_core::{Clock, SystemClock};
///
/// let first = SystemClock.now();
/// assert!(SystemClock.now() >= first);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        static LATEST: AtomicU64 = AtomicU64::new(0);
        #[expect(
            clippy::disallowed_methods,
            reason = "the one reader of the system's time"
        )]
        let read = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, nanos);
        Timestamp(held(read, &LATEST))
    }
}

/// What was read, but never less than anyone had before.
#[inline]
fn held(read: u64, latest: &AtomicU64) -> u64 {
    let before = latest.load(Ordering::Relaxed);
    // Threads that all wrote here would wait for each other: one of them does, once a microsecond.
    if read < before.saturating_add(RESOLUTION_NANOS) {
        return before;
    }
    raised(read, latest)
}

/// Another thread may have written something later since `latest` was looked at.
#[inline]
fn raised(read: u64, latest: &AtomicU64) -> u64 {
    latest.fetch_max(read, Ordering::Relaxed).max(read)
}

const RESOLUTION_NANOS: u64 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_text_is_rfc_3339_in_milliseconds() {
        let cases = [
            (Timestamp::UNIX_EPOCH, "1970-01-01T00:00:00.000Z"),
            (
                Timestamp::from_unix_millis(951_782_400_123),
                "2000-02-29T00:00:00.123Z",
            ),
            (Timestamp::MAX, "2554-07-21T23:34:33.709Z"),
        ];
        for (instant, text) in cases {
            assert_eq!(instant.to_string(), text);
        }
    }

    #[test]
    fn a_reading_that_falls_or_rises_by_less_than_a_microsecond_is_the_one_before() {
        let latest = AtomicU64::new(0);
        for (read, held_at) in [
            (5_000, 5_000),
            (4_999, 5_000),
            (0, 5_000),
            (5_999, 5_000),
            (6_000, 6_000),
            (5_000, 6_000),
            (u64::MAX - 1_000, u64::MAX - 1_000),
            (u64::MAX - 1, u64::MAX - 1_000),
            (u64::MAX, u64::MAX),
            (u64::MAX - 2, u64::MAX),
            (7_000, u64::MAX),
        ] {
            assert_eq!(held(read, &latest), held_at, "{read}");
        }
    }

    #[test]
    fn what_another_thread_wrote_meanwhile_is_not_taken_back() {
        let latest = AtomicU64::new(9_000);
        assert_eq!(raised(5_000, &latest), 9_000);
        assert_eq!(raised(9_500, &latest), 9_500);
        assert_eq!(latest.into_inner(), 9_500);
    }

    /// The system's clock does not step back for a test: readings that do stand in for it. Whoever sees
    /// what another thread was given, in `told`, is given no less.
    #[test]
    fn the_system_clock_never_runs_backwards_across_threads() {
        const READINGS: u64 = 50_000;
        let (ticks, latest, told) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        let see = |read| {
            let floor = told.load(Ordering::SeqCst);
            let given = held(read, &latest);
            assert!(given >= floor, "{given} after {floor}");
            told.fetch_max(given, Ordering::SeqCst);
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..READINGS {
                        see(ticks.fetch_add(RESOLUTION_NANOS, Ordering::Relaxed));
                        see(0);
                    }
                });
            }
        });
        let last = ticks.into_inner().saturating_sub(RESOLUTION_NANOS);
        assert_eq!((told.into_inner(), latest.into_inner()), (last, last));
    }

    #[test]
    fn the_system_clock_is_behind_by_less_than_a_microsecond() {
        #[expect(clippy::disallowed_methods, reason = "what it is compared with")]
        let system = || {
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, nanos)
        };
        for _ in 0..10_000 {
            let before = system();
            assert!(SystemClock.now().0.saturating_add(1_000) > before);
        }
    }

    proptest! {
        #[test]
        fn arithmetic_saturates_and_never_panics(at in any::<u64>(), secs in any::<u64>(), sub in 0_u32..1_000_000_000) {
            let span = Duration::new(secs, sub);
            let at = Timestamp::from_unix_nanos(at);
            prop_assert!(at.saturating_add(span) >= at);
            prop_assert!(at.saturating_sub(span) <= at);
            prop_assert!(Timestamp::from_unix_secs(secs).as_unix_secs() <= secs);
        }

        #[test]
        fn a_span_added_is_the_span_between(at in 0_u64..1 << 62, span in 0_u64..1 << 62) {
            let early = Timestamp::from_unix_nanos(at);
            let late = early.saturating_add(Duration::from_nanos(span));
            prop_assert_eq!(late.saturating_since(early), Duration::from_nanos(span));
        }
    }
}
