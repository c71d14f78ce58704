//! Settings, validated once.

use std::time::Duration;

use crate::PolicyError;

/// So many units a period. Never zero, never faster than asked.
///
/// A quota is *smooth* unless made [`Quota::strict`]:
///
/// - **Smooth** (GCRA): units come back one by one, every period ÷ count; up to `burst` of them may be
///   spent at once (the count, unless set). At a steady pace it is exact; the worst window of one
///   period holds a burst and what came back meanwhile: 19 at "10 a minute".
/// - **Strict**: never more than the count in any half-open window of one period. For counts up to 64.
///
/// ```
/// use portcullis_rate_limit::Quota;
/// use std::time::Duration;
///
/// let search = Quota::per_second(5)?.burst(20)?;
/// let reset_mail = Quota::per(3, Duration::from_secs(3600))?.strict()?;
/// assert_eq!((search.burst_units(), reset_mail.count()), (20, 3));
/// assert!(Quota::per_minute(0).is_err());
/// # Ok::<(), portcullis_rate_limit::PolicyError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    count: u32,
    burst: u32,
    period_nanos: u64,
    /// Nanoseconds until one unit comes back, rounded up.
    emission_nanos: u64,
    /// Nanoseconds until a whole burst has come back.
    span_nanos: u64,
    pace: Pace,
}

/// How a [`Quota`] spreads its units over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pace {
    /// Units come back one by one (GCRA).
    Smooth,
    /// Never more than the count in any window of one period.
    Strict,
}

impl Quota {
    /// `count` units a second, smooth.
    ///
    /// # Errors
    /// [`PolicyError::CountZero`].
    pub const fn per_second(count: u32) -> Result<Self, PolicyError> {
        Self::per(count, Duration::from_secs(1))
    }

    /// `count` units a minute, smooth.
    ///
    /// # Errors
    /// [`PolicyError::CountZero`].
    pub const fn per_minute(count: u32) -> Result<Self, PolicyError> {
        Self::per(count, Duration::from_secs(60))
    }

    /// `count` units every `period`, smooth. A unit comes back after period ÷ count rounded up to a
    /// whole nanosecond: at 10 million a second that is exact, above a thousand million a second the
    /// quota is one unit a nanosecond.
    ///
    /// # Errors
    /// [`PolicyError::CountZero`]; [`PolicyError::PeriodRefused`] unless `period` is above zero and at
    /// most 366 days.
    pub const fn per(count: u32, period: Duration) -> Result<Self, PolicyError> {
        if count == 0 {
            return Err(PolicyError::CountZero);
        }
        let nanos = period.as_nanos();
        if nanos == 0 || nanos > MAX_SPAN_NANOS as u128 {
            return Err(PolicyError::PeriodRefused);
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "at most MAX_SPAN_NANOS, which is below 2^55"
        )]
        let period_nanos = nanos as u64;
        let emission_nanos = period_nanos.div_ceil(count as u64);
        Ok(Self {
            count,
            burst: count,
            period_nanos,
            emission_nanos,
            // At most a period and `count` nanoseconds: far below overflow.
            span_nanos: emission_nanos.saturating_mul(count as u64),
            pace: Pace::Smooth,
        })
    }

    /// The same pace, with up to `burst` units at once.
    ///
    /// # Errors
    /// [`PolicyError::BurstZero`]; [`PolicyError::BurstTooLarge`] if it would take more than 366 days
    /// to refill; [`PolicyError::StrictBurst`] on a strict quota.
    pub const fn burst(mut self, burst: u32) -> Result<Self, PolicyError> {
        if burst == 0 {
            return Err(PolicyError::BurstZero);
        }
        if matches!(self.pace, Pace::Strict) {
            return Err(PolicyError::StrictBurst);
        }
        let Some(span_nanos) = self.emission_nanos.checked_mul(burst as u64) else {
            return Err(PolicyError::BurstTooLarge);
        };
        if span_nanos > MAX_SPAN_NANOS {
            return Err(PolicyError::BurstTooLarge);
        }
        self.burst = burst;
        self.span_nanos = span_nanos;
        Ok(self)
    }

    /// The same count and period, never exceeded in any window.
    ///
    /// # Errors
    /// [`PolicyError::StrictCountTooLarge`] above 64; [`PolicyError::StrictBurst`] if a burst was set.
    pub const fn strict(mut self) -> Result<Self, PolicyError> {
        if self.count > Self::MAX_STRICT {
            return Err(PolicyError::StrictCountTooLarge);
        }
        if self.burst != self.count {
            return Err(PolicyError::StrictBurst);
        }
        self.pace = Pace::Strict;
        Ok(self)
    }

    /// The highest count of a strict quota: its state is 8 bytes and 2 for each unit.
    pub const MAX_STRICT: u32 = 64;

    /// Units a period.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// How long the count is spread over.
    #[must_use]
    pub const fn period(&self) -> Duration {
        Duration::from_nanos(self.period_nanos)
    }

    /// The most units that can be spent at once; no higher cost is ever admitted.
    #[must_use]
    pub const fn burst_units(&self) -> u32 {
        self.burst
    }

    /// How the units are spread.
    #[must_use]
    pub const fn pace(&self) -> Pace {
        self.pace
    }

    pub(crate) const fn period_nanos(&self) -> u64 {
        self.period_nanos
    }

    pub(crate) const fn emission_nanos(&self) -> u64 {
        self.emission_nanos
    }

    pub(crate) const fn span_nanos(&self) -> u64 {
        self.span_nanos
    }
}

/// How many keys a [`crate::Limiter`] holds, in memory that is taken at once and never grows.
///
/// The default is 65 536 keys: 1 MiB for a smooth quota and 3 MiB for a strict one of up to ten, and
/// more clients than one process of most services sees within a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimiterPolicy {
    keys: usize,
}

impl LimiterPolicy {
    /// Room for at least `keys` keys, in sets of eight, a power of two of them. A key has its sets: ask for
    /// one and a half times the clients expected of a smooth quota, whose keys have two, and for four times
    /// those of a strict quota, whose keys have one, and hardly a key ever finds no room.
    ///
    /// # Errors
    /// [`PolicyError::KeysRefused`] unless 1 to 2^26.
    pub const fn keys(keys: usize) -> Result<Self, PolicyError> {
        if keys == 0 || keys > MAX_KEYS {
            return Err(PolicyError::KeysRefused);
        }
        Ok(Self { keys })
    }

    pub(crate) const fn sets(self) -> usize {
        self.keys.div_ceil(WAYS).next_power_of_two()
    }
}

impl Default for LimiterPolicy {
    fn default() -> Self {
        Self { keys: 65_536 }
    }
}

/// Slots in a set: one key can sit in any of them.
pub(crate) const WAYS: usize = 8;
const MAX_KEYS: usize = 1 << 26;
/// 366 days.
const MAX_SPAN_NANOS: u64 = 366 * 86_400 * 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_of_nothing_and_of_forever_are_refused() {
        let day = Duration::from_secs(86_400);
        assert_eq!(Quota::per_second(0), Err(PolicyError::CountZero));
        for period in [Duration::ZERO, day * 367, Duration::MAX] {
            assert_eq!(Quota::per(1, period), Err(PolicyError::PeriodRefused));
        }
        let daily = Quota::per(1, day).unwrap();
        assert_eq!(daily.burst(0), Err(PolicyError::BurstZero));
        assert_eq!(daily.burst(367), Err(PolicyError::BurstTooLarge));
        assert_eq!(daily.burst(u32::MAX), Err(PolicyError::BurstTooLarge));
        assert!(daily.burst(366).is_ok());
    }

    #[test]
    fn strict_quotas_above_64_or_with_a_burst_are_refused() {
        let refused = Quota::per_minute(65).unwrap().strict();
        assert_eq!(refused, Err(PolicyError::StrictCountTooLarge));
        let burst = Quota::per_minute(10).unwrap().burst(20).unwrap();
        assert_eq!(burst.strict(), Err(PolicyError::StrictBurst));
        let strict = Quota::per_minute(64).unwrap().strict().unwrap();
        assert_eq!(strict.burst(64), Err(PolicyError::StrictBurst));
    }

    #[test]
    fn the_extremes_of_a_count_are_never_faster_than_asked() {
        for count in [1, 3, 7, 1_000_003, 1_000_000_000, u32::MAX] {
            for secs in [1, 60, 366 * 86_400] {
                let quota = Quota::per(count, Duration::from_secs(secs)).unwrap();
                assert!(quota.emission_nanos() >= 1);
                assert!(
                    quota.span_nanos() >= quota.period_nanos(),
                    "{count} in {secs} s"
                );
            }
        }
    }

    #[test]
    fn limiters_without_keys_or_with_too_many_are_refused() {
        for keys in [0, MAX_KEYS + 1, usize::MAX] {
            assert_eq!(LimiterPolicy::keys(keys), Err(PolicyError::KeysRefused));
        }
        assert_eq!(LimiterPolicy::keys(1).unwrap().sets(), 1);
        assert_eq!(LimiterPolicy::keys(65).unwrap().sets(), 16);
    }
}
