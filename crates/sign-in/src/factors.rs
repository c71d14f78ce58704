//! Enrolling, renewing and removing a second factor, each in its safe order.

use portcullis_audit::{Action, Event, Sink};
use portcullis_core::{Failure, Reason, Timestamp};
use portcullis_session::{Factor, Live, Method};
use portcullis_totp_mfa::{self as totp_mfa, Confirmed, Enrolment, RecoveryCodes};

use crate::bounded::bounded;
use crate::guard::Inner;
use crate::second::{NotProven, ended, fault, of_session};
use crate::{Directory, FactorError, Shown, SignInError};

impl<D: Directory, A: Sink> Inner<D, A> {
    pub(crate) async fn enrol(
        &self,
        session: &Live,
        account: &str,
        now: Timestamp,
    ) -> Result<Enrolment, FactorError> {
        let (factors, store) = (&self.parts.second_factors, &self.parts.store);
        let enrol = factors.enrol(store, session.user(), account, now);
        match bounded(self.policy.step_wait, enrol).await {
            Some(enrolled) => enrolled.map_err(|error| refused(&error)),
            None => Err(AWAY.into()),
        }
    }

    /// The code decides; then it is recorded, the other sessions end and this one notes it. Where one of
    /// these fails the enrolment is undone: recovery codes that nobody saw must not be the only ones.
    pub(crate) async fn confirm(
        &self,
        session: &Live,
        mut shown: Shown,
        now: Timestamp,
    ) -> Result<Confirmed, FactorError> {
        self.alive(session, now).await?;
        let Some(code) = shown.code.take() else {
            let wrong = totp_mfa::Error::CodeMalformed;
            return Err(self.not_proven(session, &shown, &wrong, now).await);
        };
        let (factors, store) = (&self.parts.second_factors, &self.parts.store);
        let first = factors.first_code(session.user(), code);
        let first = first.map_err(|error| refused(&error))?;
        let generation = first.generation();
        let undo = async || {
            let undo = factors.undo(store, session.user(), generation, now);
            bounded(self.policy.step_wait, undo).await
        };
        let confirmed = match bounded(self.policy.step_wait, first.consume(store, now)).await {
            Some(Ok(confirmed)) => confirmed,
            // It may have been done, or be done yet. Whatever else the user has enrolled is not this one's
            // to take: nothing has been proven.
            Some(Err(totp_mfa::Error::Store(Failure::Unknown(_)))) | None => {
                let undone = undo().await;
                if !matches!(undone, Some(Ok(false))) {
                    // Recorded if it can be: that is too much said rather than a factor that nobody saw come.
                    let _ = self.record(enrolled(session, &shown, now)).await;
                }
                self.record_undone(session, &shown, undone, now).await;
                return Err(SignInError::Unavailable(Reason::StoreUnknown).into());
            }
            Some(Err(error)) => return Err(self.not_proven(session, &shown, &error, now).await),
        };
        if let Err(error) = self.enter(session, &shown, now).await {
            // If that fails too, the authenticator is enrolled: its codes are asked for, and give new
            // recovery codes.
            let undone = undo().await;
            self.record_undone(session, &shown, undone, now).await;
            // It may have noted a factor that there is not.
            self.end(&session.session(), now).await;
            return Err(error.into());
        }
        Ok(confirmed)
    }

    /// What follows a first code. The session notes it last: whatever failed before, it opens no more than
    /// it did.
    async fn enter(
        &self,
        session: &Live,
        shown: &Shown,
        now: Timestamp,
    ) -> Result<(), SignInError> {
        self.record(enrolled(session, shown, now)).await?;
        let (sessions, this) = (&self.parts.sessions, session.session());
        let others = sessions.revoke_others(session.user(), &this, now).await;
        others.map_err(ended)?;
        let factor = Factor::new(Method::Totp, now);
        let noted = sessions.add_factor(&this, factor, now).await;
        noted.map(drop).map_err(ended)
    }

    /// Records that an enrolment was taken back, if it was and if it can be: nothing is left to refuse.
    async fn record_undone(
        &self,
        session: &Live,
        shown: &Shown,
        undone: Option<Result<bool, totp_mfa::Error>>,
        now: Timestamp,
    ) {
        if matches!(undone, Some(Ok(true))) {
            let event = of_session(shown.origin.event(Action::FactorRemoved, now), session);
            let _ = self.record(event).await;
        }
    }

    pub(crate) async fn regenerate(
        &self,
        session: &Live,
        shown: Shown,
        now: Timestamp,
    ) -> Result<RecoveryCodes, FactorError> {
        if shown.is_recovery_code() {
            // Before it is used up for nothing.
            return Err(FactorError::NotByRecoveryCode);
        }
        let proof = self
            .prove_in(session, shown.code, &shown.origin, now)
            .await?;
        // Before it is done: one that failed after is over-reported, none goes unseen.
        let event = of_session(shown.origin.event(Action::RecoveryCodesMade, now), session);
        self.record(event).await?;
        let (factors, store) = (&self.parts.second_factors, &self.parts.store);
        let made = factors.regenerate(store, proof, now);
        match bounded(self.policy.step_wait, made).await {
            Some(made) => made.map_err(|error| refused(&error)),
            None => Err(AWAY.into()),
        }
    }

    /// The sessions first, and again once the factor is gone: one that it had opened must not outlive it,
    /// nor one that it opened meanwhile.
    pub(crate) async fn remove(
        &self,
        session: &Live,
        shown: Shown,
        now: Timestamp,
    ) -> Result<(), FactorError> {
        let proof = self
            .prove_in(session, shown.code, &shown.origin, now)
            .await?;
        let event = of_session(shown.origin.event(Action::FactorRemoved, now), session);
        self.record(event).await?;
        self.end_all(session.user(), now).await?;
        let (factors, store) = (&self.parts.second_factors, &self.parts.store);
        let removed = factors.remove(store, proof, now);
        let removed = bounded(self.policy.step_wait, removed).await;
        // Whatever is known of that: it may have been done.
        let ended = self.end_all(session.user(), now).await;
        removed.ok_or(AWAY)?.map_err(|error| refused(&error))?;
        Ok(ended?)
    }

    /// A first code that was refused, recorded; what is no guess is told as it is.
    async fn not_proven(
        &self,
        session: &Live,
        shown: &Shown,
        error: &totp_mfa::Error,
        now: Timestamp,
    ) -> FactorError {
        use totp_mfa::Error;
        if !matches!(
            error,
            Error::Wrong { .. } | Error::CodeMalformed | Error::Replayed | Error::Blocked
        ) {
            return refused(error);
        }
        let refused = match NotProven::by(error) {
            Ok(not) => self.refuse_in(session, &shown.origin, &not, now).await,
            Err(error) => error,
        };
        match refused {
            // No code completes this one any more.
            SignInError::SecondFactorRefused(_) if matches!(error, Error::Blocked) => {
                FactorError::NotPending
            }
            refused => refused.into(),
        }
    }
}

fn enrolled(session: &Live, shown: &Shown, now: Timestamp) -> Event {
    of_session(shown.origin.event(Action::FactorEnrolled, now), session)
}

fn refused(error: &totp_mfa::Error) -> FactorError {
    match error {
        totp_mfa::Error::AlreadyEnrolled => FactorError::AlreadyEnrolled,
        totp_mfa::Error::NotEnrolled => FactorError::NotEnrolled,
        totp_mfa::Error::NotPending => FactorError::NotPending,
        totp_mfa::Error::NotByRecoveryCode => FactorError::NotByRecoveryCode,
        totp_mfa::Error::AccountRefused => FactorError::AccountRefused,
        // The factor was changed between the proof and the act.
        totp_mfa::Error::ProofOutdated | totp_mfa::Error::ProofTooOld => {
            SignInError::refused(crate::error::Step::SecondFactor, Reason::ChallengeInvalid).into()
        }
        error => SignInError::Unavailable(fault(error)).into(),
    }
}

const AWAY: SignInError = SignInError::Unavailable(Reason::StoreUnavailable);
