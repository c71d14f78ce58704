//! What an act asks of its session, and whether that has been shown.

use std::time::Duration;

use portcullis_core::{Reason, Timestamp};

use crate::{Factor, Live, Method};

/// Admits an act in a living session that has shown what `demand` asks for.
///
/// ```
/// # use portcullis_core::{Memory, Secret, Timestamp};
/// # use portcullis_session::{SessionPolicy, Sessions};
/// use portcullis_session::{Demand, Factor, Level, Method, require};
/// use std::time::Duration;
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// # let now = Timestamp::from_unix_secs(1_700_000_000);
/// # let policy = SessionPolicy::default().dangerous_allow_volatile();
/// # let sessions = Sessions::new(Memory::new(now), Secret::generate::<32>()?, policy)?;
/// let shown = [Factor::new(Method::Password, now), Factor::new(Method::RecoveryCode, now)];
/// let session = sessions.start("42", &shown, now).await?.session;
/// let live = sessions.live(&session, now).await?;
///
/// // Signed in by a recovery code: good for reading on, not for what is sensitive.
/// let any = Demand::require(Level::SecondFactor, Duration::MAX);
/// let strict = Demand::require(Level::Authenticator, Duration::from_secs(300));
/// assert!(require(&live, &any, now).is_ok());
/// assert!(require(&live, &strict, now).is_err());
///
/// let totp = Factor::new(Method::Totp, now);
/// let live = sessions.add_factor(&session, totp, now).await?;
/// assert!(require(&live, &strict, now).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`StepUpRequired`], which carries the demand for the challenge.
pub fn require(live: &Live, demand: &Demand, now: Timestamp) -> Result<(), StepUpRequired> {
    if live.meets(demand, now) {
        Ok(())
    } else {
        Err(StepUpRequired { demand: *demand })
    }
}

/// The session has not shown what the act asks for, or not recently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session has not shown the factor that this act asks for, or not recently")]
pub struct StepUpRequired {
    demand: Demand,
}

impl StepUpRequired {
    /// What was asked for.
    #[must_use]
    pub const fn demand(&self) -> &Demand {
        &self.demand
    }

    /// What was wrong, for log and audit.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        Reason::SecondFactorRequired
    }
}

/// How strong a factor is asked for. A stronger one meets the weaker levels too.
///
/// | Level | Met by |
/// |---|---|
/// | [`SecondFactor`](Self::SecondFactor) | any factor beyond the first, a recovery code included |
/// | [`Authenticator`](Self::Authenticator) | an enrolled authenticator in hand: code, push or passkey |
/// | [`PhishingResistant`](Self::PhishingResistant) | a passkey |
///
/// A password meets none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Level {
    /// Any factor beyond the first: enough to be signed in.
    SecondFactor,
    /// An enrolled authenticator in hand: for acts that a found recovery code must not open, such as
    /// making new codes. Whoever lets a recovery code replace the authenticator (it was lost) lets it
    /// open them the long way round: a service decides for whom.
    Authenticator,
    /// One that a page on another origin cannot pass on (NIST SP 800-63B §3.2.5).
    PhishingResistant,
}

impl Level {
    /// The authentication context class reference, for `acr_values` of RFC 9470 §3: `multi-factor`
    /// of OpenID PAPE 1.0 §4, or `phr` of OpenID Connect EAP ACR Values 1.0 §2.
    ///
    /// There is no registered name for the difference between the first two levels.
    #[must_use]
    pub const fn acr(self) -> &'static str {
        match self {
            Self::SecondFactor | Self::Authenticator => {
                "http://schemas.openid.net/pape/policies/2007/06/multi-factor"
            }
            Self::PhishingResistant => "phr",
        }
    }

    /// Whether that method is strong enough.
    #[must_use]
    pub const fn is_met_by(self, method: Method) -> bool {
        match self {
            Self::SecondFactor => method.is_second(),
            Self::Authenticator => method.is_authenticator(),
            Self::PhishingResistant => method.is_phishing_resistant(),
        }
    }
}

/// What an act asks of the session it happens in: a second factor, of which strength, how recent.
///
/// A session that falls short is answered with a step-up challenge (RFC 9470 §3), and told
/// [`crate::Sessions::add_factor`] once the user has shown more. A password never meets a demand,
/// and a recovery code never meets one for an authenticator.
///
/// ```
/// use portcullis_core::Timestamp;
/// use portcullis_session::{Demand, Factor, Method};
/// use std::time::Duration;
///
/// let now = Timestamp::from_unix_secs(1_700_000_000);
/// let shown = [Factor::new(Method::Password, now), Factor::new(Method::Totp, now)];
/// let demand = Demand::second_factor().within(Duration::from_secs(300));
/// assert!(demand.is_met_by(&shown, now));
/// assert!(!demand.is_met_by(&shown, now.saturating_add(Duration::from_secs(301))));
/// assert!(!demand.phishing_resistant().is_met_by(&shown, now));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    level: Level,
    max_age: Duration,
}

impl Demand {
    /// A factor of `level`, shown no longer than `max_age` ago; [`Duration::MAX`] for any age.
    #[must_use]
    pub const fn require(level: Level, max_age: Duration) -> Self {
        Self { level, max_age }
    }

    /// A second factor, shown at any time in this session.
    #[must_use]
    pub const fn second_factor() -> Self {
        Self::require(Level::SecondFactor, Duration::MAX)
    }

    /// Shown no longer than `max_age` ago (`max_age` of RFC 9470 §3).
    #[must_use]
    pub const fn within(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// One that withstands phishing.
    #[must_use]
    pub const fn phishing_resistant(mut self) -> Self {
        self.level = Level::PhishingResistant;
        self
    }

    /// The strength asked for.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.level
    }

    /// The longest age asked for, for the challenge; [`Duration::MAX`] when any will do.
    #[must_use]
    pub const fn max_age(&self) -> Duration {
        self.max_age
    }

    /// Whether one of `factors` is enough at `now`: strong and recent must be the same one. One shown more
    /// than a minute after `now`, which a clock that went back leaves, is not recent.
    #[must_use]
    pub fn is_met_by(&self, factors: &[Factor], now: Timestamp) -> bool {
        factors.iter().any(|factor| {
            self.level.is_met_by(factor.method())
                && now.saturating_since(factor.at()) <= self.max_age
                && factor.at().saturating_since(now) <= SKEW
        })
    }
}

/// How far the clocks of a service's machines may be apart.
const SKEW: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factor::tests::ALL;
    use crate::state::tests::row;
    use crate::{Live, SessionId};
    use proptest::prelude::*;

    const LEVELS: [Level; 3] = [
        Level::SecondFactor,
        Level::Authenticator,
        Level::PhishingResistant,
    ];

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_unix_secs(secs)
    }

    #[test]
    fn no_recovery_code_and_no_password_steps_a_session_up_to_phishing_resistance() {
        let demand = Demand::second_factor().phishing_resistant();
        for method in ALL {
            let met = demand.is_met_by(&[Factor::new(method, at(1))], at(1));
            assert_eq!(met, method == Method::Passkey, "{method:?}");
        }
        for method in [Method::Password, Method::Federated, Method::ApiKey] {
            assert!(!Demand::second_factor().is_met_by(&[Factor::new(method, at(1))], at(1)));
        }
    }

    #[test]
    fn a_step_up_downgraded_by_a_recovery_code_or_a_password_is_refused() {
        let minutes = Duration::from_secs(300);
        for level in [Level::Authenticator, Level::PhishingResistant] {
            let demand = Demand::require(level, minutes);
            for method in [
                Method::RecoveryCode,
                Method::Password,
                Method::Federated,
                Method::ApiKey,
            ] {
                let shown = [
                    Factor::new(Method::Passkey, at(100)),
                    Factor::new(Method::Totp, at(100)),
                    Factor::new(method, at(1000)),
                ];
                assert!(!demand.is_met_by(&shown, at(1000)), "{level:?} {method:?}");
                assert!(demand.is_met_by(&shown, at(400)), "{level:?} {method:?}");
            }
        }
        let recovered = [Factor::new(Method::RecoveryCode, at(1000))];
        let any = Demand::require(Level::SecondFactor, minutes);
        assert!(any.is_met_by(&recovered, at(1000)));
    }

    #[test]
    fn every_authenticator_meets_the_level_of_its_name_and_only_the_recovery_code_falls_out() {
        for method in ALL {
            let fallen = Level::SecondFactor.is_met_by(method) && !method.is_authenticator();
            assert_eq!(fallen, method == Method::RecoveryCode, "{method:?}");
        }
    }

    #[test]
    fn a_fresh_password_does_not_refresh_an_old_second_factor() {
        let shown = [
            Factor::new(Method::Totp, at(100)),
            Factor::new(Method::Password, at(1000)),
        ];
        let demand = Demand::second_factor().within(Duration::from_secs(300));
        assert!(!demand.is_met_by(&shown, at(1000)));
        assert!(!demand.is_met_by(&[], at(1000)));
    }

    #[test]
    fn a_clock_that_steps_back_makes_no_step_up_last_longer() {
        let shown = [Factor::new(Method::Totp, at(10_000))];
        let demand = Demand::require(Level::Authenticator, Duration::from_secs(300));
        for (now, met) in [
            (6_400, false),
            (9_939, false),
            (9_940, true),
            (10_300, true),
            (10_301, false),
        ] {
            assert_eq!(demand.is_met_by(&shown, at(now)), met, "{now}");
        }
    }

    #[test]
    fn strength_of_one_factor_and_age_of_another_do_not_add_up() {
        let shown = [
            Factor::new(Method::Passkey, at(100)),
            Factor::new(Method::Totp, at(1000)),
        ];
        let demand = Demand::second_factor()
            .phishing_resistant()
            .within(Duration::from_secs(300));
        assert!(!demand.is_met_by(&shown, at(1000)));
    }

    #[test]
    fn each_level_has_its_registered_name() {
        let multi = "http://schemas.openid.net/pape/policies/2007/06/multi-factor";
        assert_eq!(LEVELS.map(Level::acr), [multi, multi, "phr"]);
    }

    proptest! {
        #[test]
        fn what_meets_a_stronger_level_meets_every_weaker_one(
            row in row(), now in 0_u64..2000, age in 0_u64..2000,
        ) {
            let live = Live::new(SessionId::from_bytes([1; 16]), row);
            let age = Duration::from_secs(age);
            let met = LEVELS.map(|level| live.meets(&Demand::require(level, age), at(now)));
            prop_assert!(met.is_sorted_by(|weak, strong| weak >= strong), "{:?}", met);
        }

        #[test]
        fn a_plain_function_says_what_the_session_says(
            row in row(), now in 0_u64..2000, age in 0_u64..2000, level in 0_usize..3,
        ) {
            let live = Live::new(SessionId::from_bytes([1; 16]), row);
            let demand = Demand::require(LEVELS[level], Duration::from_secs(age));
            match require(&live, &demand, at(now)) {
                Ok(()) => prop_assert!(live.meets(&demand, at(now))),
                Err(required) => {
                    prop_assert!(!live.meets(&demand, at(now)));
                    prop_assert_eq!(required.demand(), &demand);
                    prop_assert_eq!(required.reason(), Reason::SecondFactorRequired);
                }
            }
        }
    }
}
