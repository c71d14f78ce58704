//! What a login may cost, and what a new password must be.

use std::time::Duration;

use portcullis_core::Secret;
use portcullis_lockout::AccountName;

use crate::WhenAway;
use crate::state::MAX_TRIES;

/// What a login may cost, and what happens when it cannot be recorded.
///
/// The default waits up to five seconds for a slot of a crowded account and up to ten for any one
/// step of the table of users, the hasher or the audit log (two of them are less than the 30 s that a
/// reservation lives), works on 512 attempts at once and refuses what the audit log cannot take. Between
/// password and second factor there are five minutes, time to find the telephone, and five tries. No
/// captcha is asked for: it needs a third party, whom an application must have chosen.
#[derive(Clone, Copy, Debug)]
pub struct SignInPolicy {
    pub(crate) crowd_wait: Duration,
    pub(crate) step_wait: Duration,
    pub(crate) attempts_under_way: usize,
    pub(crate) unrecorded: bool,
    pub(crate) second_factor_wait: Duration,
    pub(crate) second_factor_tries: u8,
    /// Whether a captcha is asked for, and what a provider that is away means.
    pub(crate) captcha: Option<WhenAway>,
}

impl Default for SignInPolicy {
    fn default() -> Self {
        Self {
            crowd_wait: Duration::from_secs(5),
            step_wait: Duration::from_secs(10),
            attempts_under_way: 512,
            unrecorded: false,
            second_factor_wait: Duration::from_secs(300),
            second_factor_tries: 5,
            captcha: None,
        }
    }
}

impl SignInPolicy {
    /// How long an attempt waits while as many attempts of the same account are under way as it has
    /// failures left. Then it is refused as a wrong password is, and not counted.
    #[must_use]
    pub const fn crowd_wait(mut self, wait: Duration) -> Self {
        self.crowd_wait = wait;
        self
    }

    /// How long a look-up, a hash or an audit record is waited for; then nobody is signed in. Keep two
    /// of them below the life of a reservation.
    #[must_use]
    pub const fn step_wait(mut self, wait: Duration) -> Self {
        self.step_wait = wait;
        self
    }

    /// How many attempts are worked on at once, waiting ones included, and at most an eighth of them on
    /// any one account; more are told to come back.
    #[must_use]
    pub const fn attempts_under_way(mut self, attempts: usize) -> Self {
        self.attempts_under_way = attempts;
        self
    }

    /// How long a sign-in waits for its second factor: an hour at most, whatever is said here.
    #[must_use]
    pub fn second_factor_wait(mut self, wait: Duration) -> Self {
        self.second_factor_wait = wait.min(MAX_SECOND_FACTOR_WAIT);
        self
    }

    /// How many codes one sign-in may try, 1 to 20; less is one and more is twenty. All tries of an
    /// account together are held down by `portcullis_totp_mfa::MfaPolicy`.
    #[must_use]
    pub fn second_factor_tries(mut self, tries: u8) -> Self {
        self.second_factor_tries = tries.clamp(1, MAX_TRIES);
        self
    }

    /// Asks for a captcha at each [`crate::SignIn::sign_in`]: an attempt without an outcome
    /// ([`crate::Attempt::captcha`]) is refused before its account is touched. `away` says what follows
    /// when the provider cannot be asked; see [`WhenAway`] for which to choose.
    #[must_use]
    pub const fn captcha(mut self, away: WhenAway) -> Self {
        self.captcha = Some(away);
        self
    }

    /// Signs in although the audit log took no record of it. For services that would rather be blind
    /// than closed.
    #[must_use]
    pub const fn dangerous_sign_in_unrecorded(mut self) -> Self {
        self.unrecorded = true;
        self
    }
}

/// What is wrong with a new password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordFault {
    /// It is not text.
    #[error("a password is text")]
    NotText,
    /// It is shorter than 12 characters: NIST SP 800-63B-4 asks for 15 where it is the only factor
    /// and 8 beside another; OWASP for 12 and more.
    #[error("a password has at least {MIN_CHARS} characters")]
    TooShort,
    /// It is longer than 128 characters, which helps nobody and costs hashing.
    #[error("a password has at most {MAX_CHARS} characters")]
    TooLong,
    /// It is the user's name.
    #[error("a password is not the user's name")]
    IsName,
    /// It is the password it is to replace.
    #[error("a new password is not the old one")]
    IsOld,
}

/// Whether `new` may become the password of `name` in place of `old`.
pub(crate) fn check_new(name: &str, old: &Secret, new: &Secret) -> Result<(), PasswordFault> {
    let text = std::str::from_utf8(new.expose()).map_err(|_| PasswordFault::NotText)?;
    let chars = text.chars().take(MAX_CHARS.saturating_add(1)).count();
    if chars > MAX_CHARS {
        return Err(PasswordFault::TooLong);
    }
    // A name that is none is refused as one later.
    if AccountName::parse(text).is_ok_and(|text| AccountName::parse(name) == Ok(text)) {
        return Err(PasswordFault::IsName);
    }
    if chars < MIN_CHARS {
        return Err(PasswordFault::TooShort);
    }
    if new == old {
        Err(PasswordFault::IsOld)
    } else {
        Ok(())
    }
}

const MAX_SECOND_FACTOR_WAIT: Duration = Duration::from_secs(3600);
pub(crate) const MIN_CHARS: usize = 12;
pub(crate) const MAX_CHARS: usize = 128;
/// No password that was ever accepted here is longer: four bytes a character.
pub(crate) const PASSWORD_BYTES: usize = 4 * MAX_CHARS;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_factor_is_never_waited_for_without_end_nor_tried_without_number() {
        let policy = SignInPolicy::default();
        let held = |policy: SignInPolicy| (policy.second_factor_wait, policy.second_factor_tries);
        assert_eq!(held(policy), (Duration::from_secs(300), 5));
        let loose = policy
            .second_factor_wait(Duration::MAX)
            .second_factor_tries(255);
        assert_eq!(held(loose), (Duration::from_secs(3600), 20));
        assert_eq!(policy.second_factor_tries(0).second_factor_tries, 1);
    }

    #[test]
    fn poor_passwords_are_refused_by_name() {
        let name = "alexandria.smith";
        let old = Secret::from(b"the old password".as_slice());
        let umlauts = "\u{e4}".repeat(12);
        let cases: [(&[u8], Result<(), PasswordFault>); 9] = [
            (b"", Err(PasswordFault::TooShort)),
            (b"eleven char", Err(PasswordFault::TooShort)),
            (b"twelve chars", Ok(())),
            (umlauts.as_bytes(), Ok(())),
            (&[b'x'; 128], Ok(())),
            (&[b'x'; 129], Err(PasswordFault::TooLong)),
            (b"ALEXANDRIA.Smith ", Err(PasswordFault::IsName)),
            (b"the old password", Err(PasswordFault::IsOld)),
            (b"not text at all \xff", Err(PasswordFault::NotText)),
        ];
        for (new, expected) in cases {
            assert_eq!(
                check_new(name, &old, &Secret::from(new)),
                expected,
                "{new:?}"
            );
        }
    }
}
