//! Quotas ready to use.

use std::time::Duration;

use crate::{PolicyError, Quota};

/// What an endpoint is for, and so how often one caller may use it.
///
/// ```
/// use portcullis_rate_limit::EndpointClass;
///
/// assert_eq!(EndpointClass::Authentication.quota().count(), 10);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndpointClass {
    /// 10 a minute, strict: each unit is a guess at a secret, and the eleventh login within any minute
    /// is refused. The state of ten units fits without an allocation.
    Authentication,
    /// 100 a minute, smooth: services validate tokens in bursts, the limit guards capacity and not a
    /// secret, and a hundred remembered units would cost more than the validation.
    Validation,
    /// 50 a minute, strict: calls are few and each changes something, so exactness costs next to
    /// nothing and the sentence "never more than 50 a minute" holds as it is read.
    UserManagement,
}

impl EndpointClass {
    /// The class's quota, for each caller.
    #[must_use]
    pub const fn quota(self) -> Quota {
        match self {
            Self::Authentication => STRICT_10_A_MINUTE,
            Self::Validation => SMOOTH_100_A_MINUTE,
            Self::UserManagement => STRICT_50_A_MINUTE,
        }
    }
}

/// What a caller has signed up for; a limit for each endpoint, so the endpoint belongs in the key.
///
/// All are smooth: a tier sells a steady pace, and being early by one call harms nobody. The burst is
/// one second's worth and at least one unit, so that a pause is not saved up.
///
/// ```
/// use portcullis_rate_limit::{Limiter, LimiterPolicy, Tier, tuple_key};
/// # let now = portcullis_core::Timestamp::from_unix_secs(1);
///
/// let standard = Limiter::new(Tier::Standard.quota(), LimiterPolicy::default());
/// assert!(standard.check(&tuple_key(&[b"/search", b"client-7"]), now).is_admitted());
/// assert!(!standard.check(&tuple_key(&[b"/search", b"client-7"]), now).is_admitted());
/// assert!(standard.check(&tuple_key(&[b"/export", b"client-7"]), now).is_admitted());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Tier {
    /// 0.1 a second: one call every ten seconds.
    Anonymous,
    /// 1 a second.
    Standard,
    /// 10 a second.
    Premium,
}

impl Tier {
    /// The tier's quota, for each caller and endpoint.
    #[must_use]
    pub const fn quota(self) -> Quota {
        match self {
            Self::Anonymous => ONE_IN_10_SECONDS,
            Self::Standard => ONE_A_SECOND,
            Self::Premium => TEN_A_SECOND,
        }
    }
}

const STRICT_10_A_MINUTE: Quota = strict(Quota::per_minute(10));
const SMOOTH_100_A_MINUTE: Quota = valid(Quota::per_minute(100));
const STRICT_50_A_MINUTE: Quota = strict(Quota::per_minute(50));
const ONE_IN_10_SECONDS: Quota = valid(Quota::per(1, Duration::from_secs(10)));
const ONE_A_SECOND: Quota = valid(Quota::per_second(1));
const TEN_A_SECOND: Quota = valid(Quota::per_second(10));

const fn strict(quota: Result<Quota, PolicyError>) -> Quota {
    valid(valid(quota).strict())
}

#[expect(clippy::panic, reason = "evaluated when a constant is built")]
const fn valid(quota: Result<Quota, PolicyError>) -> Quota {
    match quota {
        Ok(quota) => quota,
        Err(_) => panic!("a preset is a valid quota"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Pace;

    #[test]
    fn the_presets_are_the_documented_numbers() {
        let minute = Duration::from_secs(60);
        let cases = [
            (
                EndpointClass::Authentication.quota(),
                10,
                minute,
                Pace::Strict,
            ),
            (EndpointClass::Validation.quota(), 100, minute, Pace::Smooth),
            (
                EndpointClass::UserManagement.quota(),
                50,
                minute,
                Pace::Strict,
            ),
            (
                Tier::Anonymous.quota(),
                1,
                Duration::from_secs(10),
                Pace::Smooth,
            ),
            (
                Tier::Standard.quota(),
                1,
                Duration::from_secs(1),
                Pace::Smooth,
            ),
            (
                Tier::Premium.quota(),
                10,
                Duration::from_secs(1),
                Pace::Smooth,
            ),
        ];
        for (quota, count, period, pace) in cases {
            assert_eq!(
                (quota.count(), quota.period(), quota.pace()),
                (count, period, pace)
            );
        }
    }
}
