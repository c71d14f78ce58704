//! How many failures, how long a lock.

use std::time::Duration;

/// How many consecutive failures lock an account, and for how long.
///
/// The default is five failures and thirty minutes: enough for a person who has forgotten which of
/// three passwords it was, and 87 665 guesses a year for a machine ([`LockoutPolicy::guesses_per_year`]).
/// Reservations live 30 s, ten times a slow password hash. Failures are forgotten 24 h after the last
/// one: long enough that guessing below the limit is far slower than running into the lock, and short
/// enough that a flood of made-up names does not fill the store for good.
///
/// ```
/// use portcullis_lockout::LockoutPolicy;
/// use std::time::Duration;
///
/// let policy = LockoutPolicy::new(10, Duration::from_secs(3600))?;
/// assert_eq!(policy.guesses_per_year(), 87_670);
/// assert!(LockoutPolicy::new(0, Duration::from_secs(3600)).is_err());
/// # Ok::<(), portcullis_lockout::PolicyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockoutPolicy {
    failures: u8,
    lock: Duration,
    reservation_life: Duration,
    forget_after: Duration,
}

/// A setting outside its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The limit is not 1 to 100.
    #[error("an account locks after 1 to 100 failures")]
    Failures,
    /// The lock is not one second to one year.
    #[error("a lock lasts one second to one year")]
    Lock,
    /// A reservation's life is not one second to ten minutes.
    #[error("a reservation lives one second to ten minutes")]
    ReservationLife,
    /// Failures would be forgotten sooner than a lock ends, which would make guessing below the limit
    /// the faster way, or later than after a year.
    #[error("failures are remembered for at least as long as a lock lasts, and at most one year")]
    ForgetAfter,
}

impl LockoutPolicy {
    /// The most failures a policy can admit: SP 800-63B-4 §3.2.2 caps consecutive failures at 100.
    pub const MAX_FAILURES: u8 = 100;

    /// Locks for `lock` after `failures` consecutive failures; the rest as in the default, failures
    /// remembered no shorter than the lock.
    ///
    /// # Errors
    /// [`PolicyError`] for the setting that is outside its range.
    pub fn new(failures: u8, lock: Duration) -> Result<Self, PolicyError> {
        if failures == 0 || failures > Self::MAX_FAILURES {
            return Err(PolicyError::Failures);
        }
        if !(SECOND..=YEAR).contains(&lock) {
            return Err(PolicyError::Lock);
        }
        Ok(Self {
            failures,
            lock,
            reservation_life: Duration::from_secs(30),
            forget_after: DAY.max(lock),
        })
    }

    /// An attempt under way that is not settled for `life` counts as a failure from then on. Make it
    /// longer than the slowest verification.
    ///
    /// # Errors
    /// [`PolicyError::ReservationLife`] unless it is one second to ten minutes.
    pub fn reservation_life(mut self, life: Duration) -> Result<Self, PolicyError> {
        if !(SECOND..=TEN_MINUTES).contains(&life) {
            return Err(PolicyError::ReservationLife);
        }
        self.reservation_life = life;
        Ok(self)
    }

    /// Failures are forgotten `span` after the last of them.
    ///
    /// # Errors
    /// [`PolicyError::ForgetAfter`] unless it is at least the lock's length and at most one year.
    pub fn forget_after(mut self, span: Duration) -> Result<Self, PolicyError> {
        if span < self.lock || span > YEAR {
            return Err(PolicyError::ForgetAfter);
        }
        self.forget_after = span;
        Ok(self)
    }

    /// The guess budget: how many wrong passwords a guesser alone can have looked at in one account
    /// within a year, running into every lock. Divide by the number of passwords it must choose among
    /// for the chance that it succeeds. Each success of the owner meanwhile adds up to one limit less
    /// one, since only *consecutive* failures count.
    #[must_use]
    pub fn guesses_per_year(&self) -> u64 {
        let locks = YEAR
            .as_nanos()
            .checked_div(self.lock.as_nanos())
            .and_then(|locks| u64::try_from(locks).ok())
            .unwrap_or(u64::MAX);
        locks
            .saturating_add(1)
            .saturating_mul(u64::from(self.failures))
    }

    /// How many consecutive failures lock the account.
    #[must_use]
    pub const fn failures(&self) -> u8 {
        self.failures
    }

    /// How long a lock lasts.
    #[must_use]
    pub const fn lock(&self) -> Duration {
        self.lock
    }

    pub(crate) const fn life(&self) -> Duration {
        self.reservation_life
    }

    pub(crate) const fn memory(&self) -> Duration {
        self.forget_after
    }
}

impl Default for LockoutPolicy {
    fn default() -> Self {
        Self {
            failures: 5,
            lock: Duration::from_secs(30 * 60),
            reservation_life: Duration::from_secs(30),
            forget_after: DAY,
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);
const TEN_MINUTES: Duration = Duration::from_secs(600);
const DAY: Duration = Duration::from_secs(86_400);
/// 365.25 days.
const YEAR: Duration = Duration::from_secs(31_557_600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_a_policy_that_new_would_make_and_states_its_budget() {
        let made = LockoutPolicy::new(5, Duration::from_secs(1800)).unwrap();
        assert_eq!(LockoutPolicy::default(), made);
        assert_eq!(made.guesses_per_year(), 5 * (17_532 + 1));
    }

    #[test]
    fn refuses_settings_outside_their_range() {
        let secs = Duration::from_secs;
        let policy = LockoutPolicy::default();
        assert_eq!(LockoutPolicy::new(0, secs(60)), Err(PolicyError::Failures));
        assert_eq!(
            LockoutPolicy::new(101, secs(60)),
            Err(PolicyError::Failures)
        );
        for lock in [Duration::ZERO, secs(31_557_601), Duration::MAX] {
            assert_eq!(LockoutPolicy::new(5, lock), Err(PolicyError::Lock));
        }
        for life in [Duration::ZERO, secs(601), Duration::MAX] {
            let made = policy.clone().reservation_life(life);
            assert_eq!(made, Err(PolicyError::ReservationLife));
        }
        for span in [secs(1799), Duration::MAX] {
            let made = policy.clone().forget_after(span);
            assert_eq!(made, Err(PolicyError::ForgetAfter));
        }
    }
}
