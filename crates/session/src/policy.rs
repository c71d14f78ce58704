//! How long sessions last and how many a user may have.

use std::time::Duration;

/// The lifetimes and limits of sessions; checked once, by [`crate::Sessions::new`].
///
/// | Setting | Default | Why |
/// |---|---|---|
/// | [`absolute`](Self::absolute) | 30 days | the longest that NIST SP 800-63B §2.1.3 (AAL1) lets a sign-in stand |
/// | [`idle`](Self::idle) | 7 days | whoever uses a service weekly stays signed in; a token left on a lost device or in a backup is dead within a week |
/// | [`grace`](Self::grace) | 10 seconds | longer than a client takes to retry a lost answer, too short for a thief who does not watch the owner |
/// | [`sessions_per_user`](Self::sessions_per_user) | 20 | several devices with several browsers each |
///
/// ```
/// use portcullis_session::SessionPolicy;
/// use std::time::Duration;
///
/// let strict = SessionPolicy::default()
///     .absolute(Duration::from_secs(12 * 3600))
///     .idle(Duration::from_secs(3600))
///     .sessions_per_user(3);
/// assert!(strict.check().is_ok());
/// assert!(strict.idle(Duration::from_secs(13 * 3600)).check().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionPolicy {
    pub(crate) absolute: Duration,
    pub(crate) idle: Duration,
    pub(crate) grace: Duration,
    pub(crate) sessions_per_user: usize,
    pub(crate) volatile_allowed: bool,
}

/// A policy that no service should run under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The absolute lifetime is not between one minute and 366 days.
    #[error("a session's absolute lifetime is between one minute and 366 days")]
    Absolute,
    /// The idle lifetime is not between one minute and the absolute lifetime.
    #[error("a session's idle lifetime is between one minute and its absolute lifetime")]
    Idle,
    /// The grace is longer than a minute.
    #[error("a replaced refresh token is answered again for one minute at most")]
    Grace,
    /// The number of sessions is not between 1 and 100.
    #[error("a user has between 1 and 100 sessions")]
    SessionsPerUser,
}

impl Default for SessionPolicy {
    fn default() -> Self {
        Self {
            absolute: Duration::from_secs(30 * DAY_SECS),
            idle: Duration::from_secs(7 * DAY_SECS),
            grace: Duration::from_secs(10),
            sessions_per_user: 20,
            volatile_allowed: false,
        }
    }
}

impl SessionPolicy {
    /// How long after its start a session ends, whatever happens in it: one minute to 366 days.
    #[must_use]
    pub fn absolute(mut self, life: Duration) -> Self {
        self.absolute = life;
        self
    }

    /// How long a session lives if its refresh token is not used and it is not touched: one minute to
    /// the absolute lifetime.
    #[must_use]
    pub fn idle(mut self, life: Duration) -> Self {
        self.idle = life;
        self
    }

    /// For how long after a refresh the token it replaced is answered again with the same child: at
    /// most a minute. Zero makes every replay, also of a lost answer, end the session.
    #[must_use]
    pub fn grace(mut self, span: Duration) -> Self {
        self.grace = span;
        self
    }

    /// How many sessions a user may have at a time, 1 to 100; one more revokes the one that was
    /// refreshed or touched longest ago.
    ///
    /// Refusing instead would let anyone who signs in often (a script, private browser windows)
    /// keep the user out of new sign-ins until old sessions idle away.
    #[must_use]
    pub fn sessions_per_user(mut self, sessions: usize) -> Self {
        self.sessions_per_user = sessions;
        self
    }

    /// Keeps sessions also in a store that forgets them when its process ends.
    ///
    /// Dangerous: everyone is signed out at a restart, and a store that loses only its last writes
    /// makes used refresh tokens good again. For tests and trials.
    #[must_use]
    pub fn dangerous_allow_volatile(mut self) -> Self {
        self.volatile_allowed = true;
        self
    }

    /// Whether a service may run under this policy.
    ///
    /// # Errors
    /// The first setting out of its bounds.
    pub fn check(&self) -> Result<(), PolicyError> {
        if self.absolute < MINUTE || self.absolute > Duration::from_secs(366 * DAY_SECS) {
            return Err(PolicyError::Absolute);
        }
        if self.idle < MINUTE || self.idle > self.absolute {
            return Err(PolicyError::Idle);
        }
        if self.grace > MINUTE {
            return Err(PolicyError::Grace);
        }
        if !(1..=100).contains(&self.sessions_per_user) {
            return Err(PolicyError::SessionsPerUser);
        }
        Ok(())
    }
}

/// How often the parent of the live refresh token is answered again within the grace: once for a
/// lost response, once for a second tab. A third is no accident.
pub(crate) const GRACE_REPEATS: u8 = 2;

const DAY_SECS: u64 = 24 * 3600;
const MINUTE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_out_of_its_bounds_is_refused_by_name() {
        let days = |days: u64| Duration::from_secs(days * DAY_SECS);
        let good = SessionPolicy::default();
        let cases = [
            (good.absolute(Duration::ZERO), PolicyError::Absolute),
            (good.absolute(days(367)), PolicyError::Absolute),
            (good.absolute(Duration::MAX), PolicyError::Absolute),
            (good.idle(Duration::from_secs(59)), PolicyError::Idle),
            (good.idle(days(31)), PolicyError::Idle),
            (good.grace(Duration::from_secs(61)), PolicyError::Grace),
            (good.sessions_per_user(0), PolicyError::SessionsPerUser),
            (good.sessions_per_user(101), PolicyError::SessionsPerUser),
        ];
        for (policy, error) in cases {
            assert_eq!(policy.check(), Err(error));
        }
        assert_eq!(good.check(), Ok(()));
        assert_eq!(good.grace(Duration::ZERO).check(), Ok(()));
    }
}
