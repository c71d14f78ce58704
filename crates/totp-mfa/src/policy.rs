//! Who issues, how far a clock may drift, how many wrong codes, and for how long things hold.

use std::time::Duration;

use crate::enrolment::is_label;

/// The settings of second factors; each is checked where it is given.
///
/// | Setting | Default | Why |
/// |---|---|---|
/// | [`window_steps`](Self::window_steps) | 1 | RFC 6238 §5.2 recommends one step of 30 s; it covers a code typed as it changes and a clock half a minute off |
/// | [`wrong_codes`](Self::wrong_codes) | 100 | the cap of NIST SP 800-63B-4 §3.2.2, and the guess budget: [`guess_chance_per_year`](Self::guess_chance_per_year) |
/// | [`pending_life`](Self::pending_life) | 10 minutes | installing an authenticator and scanning takes a few |
/// | [`proof_life`](Self::proof_life) | 5 minutes | the step-up and the act it is for belong to one visit |
///
/// ```
/// use portcullis_totp_mfa::{MfaPolicy, PolicyError};
/// use std::time::Duration;
///
/// let policy = MfaPolicy::new("Example Bank")?
///     .window_steps(0)?
///     .wrong_codes(20)?
///     .pending_life(Duration::from_secs(300))?;
/// assert_eq!(policy.window_steps(3), Err(PolicyError::WindowSteps));
/// assert_eq!(MfaPolicy::new("Example:Bank"), Err(PolicyError::Issuer));
/// # Ok::<(), PolicyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MfaPolicy {
    pub(crate) issuer: String,
    pub(crate) window: u8,
    pub(crate) cap: u16,
    pub(crate) pending_life: Duration,
    pub(crate) proof_life: Duration,
    pub(crate) volatile_allowed: bool,
}

/// A setting outside its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The issuer is not a short printable name without a colon.
    #[error("an issuer has 1 to 64 printable characters, at most 128 bytes and no colon")]
    Issuer,
    /// The window is wider than two steps.
    #[error("a code is accepted at most two steps early or late")]
    WindowSteps,
    /// The cap is not 1 to 100.
    #[error("a second factor is blocked after 1 to 100 wrong codes")]
    WrongCodes,
    /// An enrolment's life is not one minute to one hour.
    #[error("an enrolment waits one minute to one hour for its first code")]
    PendingLife,
    /// A proof's life is not one second to one hour.
    #[error("a proof is good for one second to one hour")]
    ProofLife,
}

impl MfaPolicy {
    /// The most wrong codes a policy can admit: NIST SP 800-63B-4 §3.2.2.
    pub const MAX_WRONG_CODES: u16 = 100;

    /// The defaults, under the name that authenticators show: 1 to 64 printable characters without a
    /// colon (which ends the issuer in an `otpauth` label), at most 128 bytes.
    ///
    /// # Errors
    /// [`PolicyError::Issuer`].
    pub fn new(issuer: impl Into<String>) -> Result<Self, PolicyError> {
        let issuer = issuer.into();
        if !is_label(&issuer, 64, 128) {
            return Err(PolicyError::Issuer);
        }
        Ok(Self {
            issuer,
            window: 1,
            cap: Self::MAX_WRONG_CODES,
            pending_life: Duration::from_secs(600),
            proof_life: Duration::from_secs(300),
            volatile_allowed: false,
        })
    }

    /// A code is accepted this many steps of 30 seconds before and after its own: 0 to 2.
    ///
    /// Each step on either side is one more code that a guess can hit.
    ///
    /// # Errors
    /// [`PolicyError::WindowSteps`].
    pub fn window_steps(mut self, steps: u8) -> Result<Self, PolicyError> {
        if steps > 2 {
            return Err(PolicyError::WindowSteps);
        }
        self.window = steps;
        Ok(self)
    }

    /// A second factor is blocked after this many wrong codes, 1 to 100, whatever time passes between
    /// them.
    ///
    /// # Errors
    /// [`PolicyError::WrongCodes`].
    pub fn wrong_codes(mut self, codes: u16) -> Result<Self, PolicyError> {
        if !(1..=Self::MAX_WRONG_CODES).contains(&codes) {
            return Err(PolicyError::WrongCodes);
        }
        self.cap = codes;
        Ok(self)
    }

    /// An enrolment waits so long for its first code: one minute to one hour.
    ///
    /// # Errors
    /// [`PolicyError::PendingLife`].
    pub fn pending_life(mut self, life: Duration) -> Result<Self, PolicyError> {
        if !(MINUTE..=HOUR).contains(&life) {
            return Err(PolicyError::PendingLife);
        }
        self.pending_life = life;
        Ok(self)
    }

    /// A [`crate::FactorProof`] that removes a factor or makes new recovery codes is no older than this:
    /// one second to one hour.
    ///
    /// # Errors
    /// [`PolicyError::ProofLife`].
    pub fn proof_life(mut self, life: Duration) -> Result<Self, PolicyError> {
        if !(SECOND..=HOUR).contains(&life) {
            return Err(PolicyError::ProofLife);
        }
        self.proof_life = life;
        Ok(self)
    }

    /// Keeps second factors also in a store that forgets them when its process ends.
    ///
    /// Dangerous: after a restart nobody has a second factor, so nobody is asked for one. For tests and
    /// trials.
    #[must_use]
    pub fn dangerous_allow_volatile(mut self) -> Self {
        self.volatile_allowed = true;
        self
    }

    /// The guess budget: the chance, at most, that someone who has the password and keeps guessing codes
    /// gets in within a year in which the owner signs in `sign_ins` times with a code.
    ///
    /// A guess hits one of the `2 × window_steps + 1` codes of the moment, of a million. Wrong guesses
    /// are never forgotten with time, so there are as many as the cap, and one more for each sign-in of
    /// the owner, which takes one back. The chance is at most the one times the other. A recovery code
    /// that is used is worth a whole new budget, and at most ten of those are there.
    ///
    /// ```
    /// use portcullis_totp_mfa::MfaPolicy;
    ///
    /// let policy = MfaPolicy::new("Example Bank")?;
    /// // 3 codes of 1 000 000, 100 guesses: 0.03 %.
    /// assert!((policy.guess_chance_per_year(0) - 0.000_3).abs() < 1e-12);
    /// // The owner signs in daily: 465 guesses, 0.14 %.
    /// assert!((policy.guess_chance_per_year(365) - 0.001_395).abs() < 1e-12);
    /// # Ok::<(), portcullis_totp_mfa::PolicyError>(())
    /// ```
    #[must_use]
    pub fn guess_chance_per_year(&self, sign_ins: u32) -> f64 {
        let codes = f64::from(self.window) * 2.0 + 1.0;
        let guesses = f64::from(self.cap) + f64::from(sign_ins);
        (codes * guesses / CODES_THERE_ARE).min(1.0)
    }
}

/// Six digits.
const CODES_THERE_ARE: f64 = 1_000_000.0;
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_outside_its_range_is_refused_by_name() {
        let policy = || MfaPolicy::new("Example").unwrap();
        let secs = Duration::from_secs;
        let long = "x".repeat(65);
        let wide = "\u{1f600}".repeat(33);
        for issuer in [
            "",
            " ",
            " a",
            "a ",
            "a:b",
            "a\nb",
            "a\u{202e}b",
            "a\u{200b}b",
            &long,
            &wide,
        ] {
            assert_eq!(
                MfaPolicy::new(issuer),
                Err(PolicyError::Issuer),
                "{issuer:?}"
            );
        }
        assert_eq!(policy().window_steps(3), Err(PolicyError::WindowSteps));
        for codes in [0, 101, u16::MAX] {
            assert_eq!(policy().wrong_codes(codes), Err(PolicyError::WrongCodes));
        }
        for life in [Duration::ZERO, secs(59), secs(3601), Duration::MAX] {
            assert_eq!(policy().pending_life(life), Err(PolicyError::PendingLife));
        }
        for life in [Duration::ZERO, secs(3601), Duration::MAX] {
            assert_eq!(policy().proof_life(life), Err(PolicyError::ProofLife));
        }
    }

    #[test]
    fn the_ends_of_every_range_are_admitted() {
        for issuer in ["x", "Société Générale", &"x".repeat(64)] {
            assert!(MfaPolicy::new(issuer).is_ok());
        }
        let policy = MfaPolicy::new("Example").unwrap();
        for (steps, codes) in [(0, 1), (2, 100)] {
            let made = policy.clone().window_steps(steps).unwrap();
            assert!(made.wrong_codes(codes).is_ok());
        }
        for life in [MINUTE, HOUR] {
            let made = policy.clone().pending_life(life).unwrap();
            assert!(made.proof_life(life).is_ok());
        }
    }

    #[test]
    fn the_guess_budget_grows_with_the_window_and_the_cap_and_is_never_more_than_certain() {
        let policy = MfaPolicy::new("Example").unwrap();
        let narrow = policy.clone().window_steps(0).unwrap();
        let few = policy.clone().wrong_codes(10).unwrap();
        let chance = policy.guess_chance_per_year(0);
        assert!(narrow.guess_chance_per_year(0) < chance && few.guess_chance_per_year(0) < chance);
        assert!(policy.guess_chance_per_year(u32::MAX) <= 1.0);
    }
}
