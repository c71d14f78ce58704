//! What a captcha's provider said, and what its silence means.

use portcullis_audit::{Action, Event, Sink};
use portcullis_core::{Reason, Timestamp};
use portcullis_lockout::AccountName;

use crate::guard::Inner;
use crate::prove::Proven;
use crate::{Attempt, Directory, SignInError, decide};

/// What came of the captcha that was sent with an attempt: the application asks its provider, and says
/// here what that answered.
///
/// # What a wrong answer costs
/// `Passed` for a token that was solved elsewhere or used before lets machines in as often as the limits
/// do. `Failed` for a good one refuses its user, who solves another. `Away` is for a provider that gave no
/// answer in time: hand it over for a token that does not decode, or that the provider refuses, and under
/// [`WhenAway::GoOn`] whoever sends rubbish needs no captcha.
///
/// ```
/// use portcullis_core::Secret;
/// use portcullis_sign_in::{Attempt, CaptchaOutcome, SignInPolicy, WhenAway};
///
/// let policy = SignInPolicy::default().captcha(WhenAway::GoOn);
/// let attempt = Attempt::new("alice", Secret::from(b"correct horse".as_slice()))
///     .captcha(CaptchaOutcome::Away);
/// # drop((policy, attempt));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaptchaOutcome {
    /// The provider says that it was passed, here and just now.
    Passed,
    /// The provider says that it was not, or what came is no token at all.
    Failed,
    /// The provider did not answer.
    Away,
}

/// What an attempt comes to while the captcha's provider is away.
///
/// The default refuses. A provider can be made to go away: a flood of tokens uses up its quota, and the
/// captcha would be gone just when it is wanted. The refusal is a 503 of that hour and no more: nothing is
/// counted, nobody is locked, and the next attempt after the outage signs in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenAway {
    /// Nobody is signed in meanwhile: [`SignInError::Unavailable`].
    #[default]
    Refuse,
    /// Attempts go on without: for services whose users must get in whatever a third party does. Rate
    /// limits and lockout hold as before, and the event of the login, or of the question for a second
    /// factor, has the reason `captcha_unavailable`. That of a failed login has its own reason.
    GoOn,
}

impl<D: Directory, A: Sink> Inner<D, A> {
    /// What the attempt is let go without; or its refusal, recorded, with nothing counted.
    pub(crate) async fn look_at_captcha(
        &self,
        attempt: &Attempt,
        now: Timestamp,
    ) -> Result<Option<Reason>, SignInError> {
        let reason = match decide::captcha(self.policy.captcha, attempt.captcha) {
            Ok(waived) => return Ok(waived),
            Err(reason) => reason,
        };
        let name = AccountName::parse(&attempt.name);
        let said = name
            .as_ref()
            .map_or(attempt.name.as_str(), |name| name.as_str());
        let event = attempt.came_from().event(Action::FailedLogin, now);
        self.record(event.user(said).reason(reason)).await?;
        Err(match reason {
            Reason::CaptchaUnavailable => SignInError::Unavailable(reason),
            _ => SignInError::CaptchaRefused(reason),
        })
    }
}

impl Proven {
    /// An event of what was proven, which says what it was let go without.
    pub(crate) fn told(&self, event: Event) -> Event {
        match self.waived {
            Some(reason) => event.reason(reason),
            None => event,
        }
    }
}
