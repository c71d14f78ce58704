//! What the session must have shown for the acts behind this gate.

use std::fmt;
use std::time::Duration;

use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, request};
use portcullis_core::{Reason, Timestamp};
use portcullis_session::{Demand, Level, Live, require};

use crate::{Admitted, Gate, Refusal};

/// Admits a session that has shown what a [`Demand`] asks for; any other is told what to show (RFC
/// 9470 §3).
///
/// Stands behind the gate or layer that leaves a [`Live`]: a [`crate::BearerGate`] of sessions, or the
/// cookie layer. Whoever has no session is asked for credentials ([`Reason::CredentialsMissing`]).
///
/// ```
/// use portcullis_session::{Demand, Level};
/// use portcullis_tower::StepUpGate;
/// use std::time::Duration;
///
/// // For acts that a found recovery code must not open.
/// let recent = Demand::require(Level::Authenticator, Duration::from_secs(300));
/// let gate = StepUpGate::require(recent);
/// # let _ = gate;
/// ```
#[derive(Clone, Copy, Debug)]
pub struct StepUpGate {
    demand: Demand,
}

impl StepUpGate {
    /// A gate that asks for `demand`.
    #[must_use]
    pub const fn require(demand: Demand) -> Self {
        Self { demand }
    }
}

impl Gate for StepUpGate {
    type Pass = Admitted;

    async fn admit(&self, head: &mut request::Parts, now: Timestamp) -> Result<Admitted, Refusal> {
        let live = head.extensions.get::<Live>();
        let live = live.ok_or(Reason::CredentialsMissing)?;
        match require(live, &self.demand, now) {
            Ok(()) => Ok(Admitted),
            Err(required) => Err(challenged(required.reason(), required.demand())),
        }
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.demand.level() {
            Level::PhishingResistant => "step-up: a phishing-resistant factor",
            Level::Authenticator => "step-up: an enrolled authenticator",
            _ => "step-up: a second factor",
        })?;
        match self.demand.max_age() {
            Duration::MAX => Ok(()),
            age => write!(f, " within {} s", age.as_secs()),
        }
    }
}

fn challenged(reason: Reason, demand: &Demand) -> Refusal {
    let refusal = Refusal::new(reason);
    match HeaderValue::try_from(challenge(demand)) {
        Ok(value) => refusal.header(WWW_AUTHENTICATE, value),
        // The response's own challenge stands then, and says less.
        Err(_) => refusal,
    }
}

fn challenge(demand: &Demand) -> String {
    let asked = match demand.level() {
        Level::PhishingResistant => "a phishing-resistant factor is needed",
        Level::Authenticator => "an enrolled authenticator is needed",
        _ => "a second factor is needed",
    };
    let acr = demand.level().acr();
    let mut text = format!(
        "Bearer realm=\"portcullis\", error=\"insufficient_user_authentication\", \
         error_description=\"{asked}\", acr_values=\"{acr}\""
    );
    if demand.max_age() != Duration::MAX {
        text.push_str(&format!(", max_age=\"{}\"", demand.max_age().as_secs()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_names_the_level_and_the_age_where_there_is_one() {
        let cases = [
            (
                Demand::require(Level::Authenticator, Duration::from_secs(300)),
                "error_description=\"an enrolled authenticator is needed\", \
                 acr_values=\"http://schemas.openid.net/pape/policies/2007/06/multi-factor\", \
                 max_age=\"300\"",
            ),
            (
                Demand::second_factor(),
                "error_description=\"a second factor is needed\", \
                 acr_values=\"http://schemas.openid.net/pape/policies/2007/06/multi-factor\"",
            ),
            (
                Demand::second_factor().phishing_resistant(),
                "error_description=\"a phishing-resistant factor is needed\", acr_values=\"phr\"",
            ),
        ];
        for (demand, rest) in cases {
            let start = "Bearer realm=\"portcullis\", error=\"insufficient_user_authentication\", ";
            assert_eq!(challenge(&demand), format!("{start}{rest}"));
        }
    }
}
