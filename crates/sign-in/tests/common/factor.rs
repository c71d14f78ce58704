//! Alice with an authenticator.

use std::time::Duration;

use portcullis_audit::Action;
use portcullis_core::Timestamp;
use portcullis_session::Live;
use portcullis_sign_in::{Challenge, Entered, Shown, SignInError, SignedIn};
use portcullis_totp_mfa::testing::codes;

use super::{Desk, NOW, RIGHT, attempt, signed_in};

/// What alice holds.
pub struct Owner {
    secret: String,
    pub recovery_codes: Vec<String>,
    /// The session in which she enrolled.
    pub session: Live,
}

/// That many seconds after everything began.
pub fn at(secs: u64) -> Timestamp {
    NOW.saturating_add(Duration::from_secs(secs))
}

impl Owner {
    /// What the authenticator shows at that second.
    pub fn code(&self, secs: u64) -> String {
        codes::at(&self.secret, at(secs))
    }

    /// A code that the authenticator does not show around that second.
    pub fn wrong(&self, secs: u64) -> String {
        let near: Vec<String> = (0..5).map(|step| self.code(secs + 30 * step)).collect();
        let mut guesses = (0..).map(|guess| format!("{guess:06}"));
        guesses.find(|guess| !near.contains(guess)).unwrap()
    }
}

impl Desk {
    /// Alice signs in and enrols, at the very beginning.
    pub async fn owner(&self) -> Owner {
        self.owner_of("alice").await
    }

    pub async fn owner_of(&self, user: &str) -> Owner {
        let session = self.session_of(user).await;
        let begun = self.sign_in.enrol(&session, user, NOW).await.unwrap();
        let mut owner = Owner {
            secret: begun.secret().to_owned(),
            recovery_codes: Vec::new(),
            session,
        };
        let first = Shown::new(&owner.code(0));
        let confirmed = self
            .sign_in
            .confirm(&owner.session, first, NOW)
            .await
            .unwrap();
        owner.recovery_codes = confirmed
            .recovery_codes()
            .iter()
            .map(str::to_owned)
            .collect();
        let this = owner.session.session();
        owner.session = self.sessions.live(&this, NOW).await.unwrap();
        self.trace.take();
        owner
    }

    /// A session of `user` who has no second factor.
    pub async fn session_of(&self, user: &str) -> Live {
        let entered = self.sign_in.sign_in(attempt(user, RIGHT), NOW).await;
        let session = signed_in(entered.unwrap()).session;
        self.sessions.live(&session, NOW).await.unwrap()
    }

    /// The password of `user` at that second, which is right and not enough.
    pub async fn challenge(&self, user: &str, secs: u64) -> Challenge {
        let entered = self.sign_in.sign_in(attempt(user, RIGHT), at(secs)).await;
        match entered.unwrap() {
            Entered::SecondFactor(challenge) => challenge,
            other => panic!("no second factor was asked for: {other:?}"),
        }
    }

    pub async fn answer(
        &self,
        challenge: &Challenge,
        code: &str,
        secs: u64,
    ) -> Result<SignedIn, SignInError> {
        let shown = Shown::new(code);
        self.sign_in
            .answer(challenge.expose(), shown, at(secs))
            .await
    }
}

impl Desk {
    /// What was recorded after the first `count` events: what and why.
    pub fn since(&self, count: usize) -> Vec<(Action, String)> {
        let events = self.sink.events();
        let told = events.iter().skip(count).map(|event| {
            let reason = event.reason_name().unwrap_or_default().to_owned();
            (event.action(), reason)
        });
        told.collect()
    }
}

/// The one refusal of a second factor.
#[track_caller]
pub fn not_shown(answer: Result<SignedIn, SignInError>) -> SignInError {
    match answer {
        Err(error @ SignInError::SecondFactorRefused(_)) => error,
        other => panic!("not refused: {other:?}"),
    }
}
