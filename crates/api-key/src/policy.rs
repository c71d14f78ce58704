//! Where a key counts, for how long, and how many an owner has.

use std::time::Duration;

use crate::Environment;

/// The settings of a service's keys; each is checked where it is given.
///
/// | Setting | Default | Why |
/// |---|---|---|
/// | [`accepting`](Self::accepting) | none | a key that was meant for a trial opens nothing unless somebody said so |
/// | [`max_age_days`](Self::max_age_days) | 90 | a secret that leaked unnoticed is dead within a quarter, and whoever rotates that often knows how |
/// | [`warn_days`](Self::warn_days) | 14 | two weeks hold a working day of whoever must rotate |
/// | [`grace`](Self::grace) | 24 hours | a new secret reaches every machine within a day |
/// | [`keys_per_owner`](Self::keys_per_owner) | 20 | a few services in two environments each; the list fits a page |
///
/// Lifetimes are judged by the policy of the moment: one that is shortened shortens those of the keys there
/// are, one that is lengthened counts from the next rotation.
///
/// ```
/// use portcullis_api_key::{Environment, Policy, PolicyError};
/// use std::time::Duration;
///
/// let policy = Policy::accepting(&[Environment::Live])?
///     .max_age_days(30)?
///     .grace(Duration::from_secs(3600))?;
/// assert_eq!(policy.max_age_days(366), Err(PolicyError::MaxAgeDays));
/// assert_eq!(Policy::accepting(&[]), Err(PolicyError::Environments));
/// # Ok::<(), PolicyError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    live: bool,
    test: bool,
    pub(crate) max_age: Duration,
    pub(crate) warn: Duration,
    pub(crate) grace: Duration,
    pub(crate) keys_per_owner: u16,
    pub(crate) volatile_allowed: bool,
}

/// A setting outside its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// No environment is accepted.
    #[error("a service accepts the keys of one environment at least")]
    Environments,
    /// A secret's life is not 1 to 365 days.
    #[error("a key's secret lives 1 to 365 days")]
    MaxAgeDays,
    /// The warning comes more than 365 days ahead.
    #[error("a key's holder is warned at most 365 days ahead")]
    WarnDays,
    /// The grace is longer than 7 days.
    #[error("a secret that was replaced counts for 7 days at most")]
    Grace,
    /// The number of keys is not 1 to 100.
    #[error("an owner has 1 to 100 keys")]
    KeysPerOwner,
}

impl Policy {
    /// The defaults, for a service that makes and accepts the keys of these environments and no other.
    ///
    /// # Errors
    /// [`PolicyError::Environments`] when there is none.
    pub fn accepting(environments: &[Environment]) -> Result<Self, PolicyError> {
        if environments.is_empty() {
            return Err(PolicyError::Environments);
        }
        Ok(Self {
            live: environments.contains(&Environment::Live),
            test: environments.contains(&Environment::Test),
            max_age: days(90),
            warn: days(14),
            grace: days(1),
            keys_per_owner: 20,
            volatile_allowed: false,
        })
    }

    /// A secret counts so many days from when it was made, 1 to 365; then it must have been rotated.
    ///
    /// # Errors
    /// [`PolicyError::MaxAgeDays`].
    pub fn max_age_days(mut self, count: u32) -> Result<Self, PolicyError> {
        if !(1..=365).contains(&count) {
            return Err(PolicyError::MaxAgeDays);
        }
        self.max_age = days(count);
        Ok(self)
    }

    /// So many days before its end a key says that it must be rotated, 0 to 365; 0 for never.
    ///
    /// # Errors
    /// [`PolicyError::WarnDays`].
    pub fn warn_days(mut self, count: u32) -> Result<Self, PolicyError> {
        if count > 365 {
            return Err(PolicyError::WarnDays);
        }
        self.warn = days(count);
        Ok(self)
    }

    /// For how long a secret counts beside the one that replaced it, at most 7 days; zero for not at all.
    ///
    /// # Errors
    /// [`PolicyError::Grace`].
    pub fn grace(mut self, span: Duration) -> Result<Self, PolicyError> {
        if span > days(7) {
            return Err(PolicyError::Grace);
        }
        self.grace = span;
        Ok(self)
    }

    /// How many keys an owner has, 1 to 100. Revoked and expired ones count until they are forgotten.
    ///
    /// # Errors
    /// [`PolicyError::KeysPerOwner`].
    pub fn keys_per_owner(mut self, keys: u16) -> Result<Self, PolicyError> {
        if !(1..=100).contains(&keys) {
            return Err(PolicyError::KeysPerOwner);
        }
        self.keys_per_owner = keys;
        Ok(self)
    }

    /// Keeps keys also in a store that forgets them when its process ends.
    ///
    /// Dangerous: after a restart every key is unknown, and a store that loses only its last writes makes
    /// revoked keys good again. For tests and trials.
    #[must_use]
    pub fn dangerous_allow_volatile(mut self) -> Self {
        self.volatile_allowed = true;
        self
    }

    /// Whether keys of that environment are made and accepted.
    #[must_use]
    pub const fn accepts(&self, environment: Environment) -> bool {
        match environment {
            Environment::Live => self.live,
            Environment::Test => self.test,
        }
    }
}

fn days(count: u32) -> Duration {
    Duration::from_secs(u64::from(count).saturating_mul(24 * 3600))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live() -> Policy {
        Policy::accepting(&[Environment::Live]).unwrap()
    }

    #[test]
    fn a_setting_out_of_its_bounds_is_refused_by_name() {
        let cases = [
            (Policy::accepting(&[]), PolicyError::Environments),
            (live().max_age_days(0), PolicyError::MaxAgeDays),
            (live().max_age_days(366), PolicyError::MaxAgeDays),
            (live().warn_days(366), PolicyError::WarnDays),
            (
                live().grace(days(7) + Duration::from_nanos(1)),
                PolicyError::Grace,
            ),
            (live().grace(Duration::MAX), PolicyError::Grace),
            (live().keys_per_owner(0), PolicyError::KeysPerOwner),
            (live().keys_per_owner(101), PolicyError::KeysPerOwner),
        ];
        for (policy, error) in cases {
            assert_eq!(policy, Err(error));
        }
    }

    #[test]
    fn settings_at_their_bounds_are_taken() {
        for policy in [
            live().max_age_days(1),
            live().max_age_days(365),
            live().warn_days(0),
            live().warn_days(365),
            live().grace(Duration::ZERO),
            live().grace(days(7)),
            live().keys_per_owner(1),
            live().keys_per_owner(100),
        ] {
            assert!(policy.is_ok(), "{policy:?}");
        }
    }

    #[test]
    fn an_environment_that_was_not_named_is_not_accepted() {
        let test = Policy::accepting(&[Environment::Test]).unwrap();
        assert!(live().accepts(Environment::Live) && !live().accepts(Environment::Test));
        assert!(!test.accepts(Environment::Live) && test.accepts(Environment::Test));
    }
}
