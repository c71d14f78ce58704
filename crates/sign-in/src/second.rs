//! From a right password to a session, by way of a second factor.

use portcullis_audit::{Action, Event, Sink};
use portcullis_core::{Next, Reason, Secret, Store, Timestamp};
use portcullis_lockout::AccountName;
use portcullis_session::{Error, Factor, Live, Method};
use portcullis_totp_mfa::{self as totp_mfa, FactorProof, Generation, Kind};

use crate::bounded::bounded;
use crate::challenge::ChallengeToken;
use crate::decide;
use crate::error::Step;
use crate::guard::{Inner, unstarted};
use crate::prove::Proven;
use crate::state::Pending;
use crate::{Challenge, Directory, Origin, Shown, SignInError, SignedIn};

/// What a code came to when it did not prove anything.
pub(crate) struct NotProven {
    pub(crate) reason: Reason,
    /// Whether this was the wrong code that blocks the authenticator.
    newly_blocked: bool,
}

impl<D: Directory, A: Sink> Inner<D, A> {
    /// The generation of the user's second factor; none when there is none.
    pub(crate) async fn enrolled(
        &self,
        user: &str,
        now: Timestamp,
    ) -> Result<Option<Generation>, SignInError> {
        let (factors, store) = (&self.parts.second_factors, &self.parts.store);
        let standing = factors.standing(store, user, now).await;
        let standing = standing.map_err(|error| SignInError::Unavailable(fault(&error)))?;
        if standing.enrolled && standing.generation.is_none() {
            return Err(SignInError::Unavailable(Reason::Internal));
        }
        Ok(standing.generation.filter(|_| standing.enrolled))
    }

    /// Whether the second factor is still the one that was asked for, or that there was none.
    pub(crate) async fn still_at(
        &self,
        proven: &Proven,
        generation: Option<Generation>,
    ) -> Result<(), SignInError> {
        let found = self
            .enrolled(&proven.credential.user_id, proven.now)
            .await?;
        if found == generation {
            return Ok(());
        }
        Err(self.refuse(proven, Reason::ChallengeInvalid).await)
    }

    /// Notes that the password was right and gives out the token that goes on from there.
    pub(crate) async fn ask(
        &self,
        proven: &Proven,
        generation: Generation,
        hash_is_outdated: bool,
    ) -> Result<Challenge, SignInError> {
        let random = Secret::generate::<32>();
        let random = random.map_err(|_| SignInError::Unavailable(Reason::Internal))?;
        let token = ChallengeToken::new(&random);
        let credential = &proven.credential;
        let expires_at = proven.now.saturating_add(self.policy.second_factor_wait);
        let pending = Pending {
            tries: self.policy.second_factor_tries,
            expires_at,
            proven_at: proven.now,
            epoch: credential.epoch,
            generation,
            name: proven.name.as_str().to_owned(),
            user_id: credential.user_id.clone(),
        };
        if !pending.fits() {
            return Err(SignInError::Unavailable(Reason::Internal));
        }
        let event = proven.origin.event(Action::SecondFactorAsked, proven.now);
        let event = proven.told(event.user(&credential.user_id));
        self.record(event).await?;
        let put = move |_: Option<&[u8]>| ((), pending.put());
        self.waiting(&token, proven.now, put).await?;
        Ok(Challenge {
            token,
            expires_at,
            user_id: credential.user_id.clone(),
            hash_is_outdated,
        })
    }

    pub(crate) async fn answer(
        &self,
        token: Option<ChallengeToken>,
        shown: Shown,
        now: Timestamp,
    ) -> Result<SignedIn, SignInError> {
        let pending = match &token {
            Some(token) => {
                let take = move |current: Option<&[u8]>| decide::take_try(current, now);
                self.waiting(token, now, take).await?
            }
            None => None,
        };
        let (Some(token), Some(pending)) = (token, pending) else {
            return Err(self.unasked(&shown.origin, now).await);
        };
        let Shown { code, origin } = shown;
        let proven = self.proven_before(&pending, origin, now).await?;
        // Before the code is used up, and again once the session stands.
        self.unlocked(&proven).await?;
        let shown = self.prove_factor(&pending.user_id, code, now).await?;
        let proof = match shown {
            Ok(proof) if proof.generation() == pending.generation => proof,
            Ok(_) => return Err(self.refuse(&proven, Reason::ChallengeInvalid).await),
            Err(not) => return Err(self.refuse_factor(&proven, &not).await),
        };
        let close = move |current: Option<&[u8]>| decide::close(current, now);
        if !self.waiting(&token, now, close).await? {
            // Another answer of the same sign-in was first.
            return Err(self.refuse(&proven, Reason::ChallengeInvalid).await);
        }
        self.record_kind(&proof, &proven.origin).await?;
        let factors = vec![
            Factor::new(Method::Password, pending.proven_at),
            factor(&proof),
        ];
        self.begin(proven, factors, Some(pending.generation)).await
    }

    pub(crate) async fn step_up(
        &self,
        session: &Live,
        shown: Shown,
        now: Timestamp,
    ) -> Result<Live, SignInError> {
        let proof = self
            .prove_in(session, shown.code, &shown.origin, now)
            .await?;
        let event = of_session(shown.origin.event(Action::StepUp, now), session);
        self.record(event).await?;
        let (sessions, this) = (&self.parts.sessions, session.session());
        let noted = sessions.add_factor(&this, factor(&proof), now).await;
        noted.map_err(ended)
    }

    /// Whether the session is still alive, before anything is used up in it.
    pub(crate) async fn alive(&self, session: &Live, now: Timestamp) -> Result<(), SignInError> {
        let live = self.parts.sessions.live(&session.session(), now).await;
        live.map(drop).map_err(ended)
    }

    /// A code shown within a living session: the proof, or the refusal, recorded.
    pub(crate) async fn prove_in(
        &self,
        session: &Live,
        code: Option<totp_mfa::Code>,
        origin: &Origin,
        now: Timestamp,
    ) -> Result<FactorProof, SignInError> {
        self.alive(session, now).await?;
        match self.prove_factor(session.user(), code, now).await? {
            Ok(proof) => {
                self.record_kind(&proof, origin).await?;
                Ok(proof)
            }
            Err(not) => Err(self.refuse_in(session, origin, &not, now).await),
        }
    }

    /// Records that a code shown within a session was refused; the refusal.
    pub(crate) async fn refuse_in(
        &self,
        session: &Live,
        origin: &Origin,
        not: &NotProven,
        now: Timestamp,
    ) -> SignInError {
        let event = of_session(origin.event(Action::StepUpFailed, now), session);
        let mut recorded = self.record(event.reason(not.reason)).await;
        if not.newly_blocked {
            let event = of_session(origin.event(Action::FactorBlocked, now), session);
            recorded = recorded.and(self.record(event).await);
        }
        match recorded {
            Ok(()) => SignInError::refused(Step::SecondFactor, not.reason),
            Err(error) => error,
        }
    }

    /// Uses a code up.
    async fn prove_factor(
        &self,
        user: &str,
        code: Option<totp_mfa::Code>,
        now: Timestamp,
    ) -> Result<Result<FactorProof, NotProven>, SignInError> {
        let Some(code) = code else {
            // What is no code at all fits nothing, and is no guess.
            return Ok(Err(NotProven::of(Reason::SecondFactorWrong)));
        };
        let presented = self.parts.second_factors.present(user, code);
        let consumed = presented.consume(&self.parts.store, now);
        match bounded(self.policy.step_wait, consumed).await {
            Some(Ok(proof)) => Ok(Ok(proof)),
            Some(Err(error)) => NotProven::by(&error).map(Err),
            None => Err(SignInError::Unavailable(Reason::StoreUnavailable)),
        }
    }

    /// What the password proved then, as the user is now.
    async fn proven_before(
        &self,
        pending: &Pending,
        origin: Origin,
        now: Timestamp,
    ) -> Result<Proven, SignInError> {
        let fault = |_| SignInError::Unavailable(Reason::Internal);
        let name = AccountName::parse(&pending.name).map_err(fault)?;
        let credential = match self.find(&name, now).await? {
            Some(found) if found.epoch == pending.epoch && found.user_id == pending.user_id => {
                found
            }
            _ => {
                let event = origin.event(Action::FailedLogin, now).user(name.as_str());
                self.record(event.reason(Reason::ChallengeInvalid)).await?;
                let changed = Reason::ChallengeInvalid;
                return Err(SignInError::refused(Step::SecondFactor, changed));
            }
        };
        Ok(Proven {
            step: Step::SecondFactor,
            name,
            origin,
            credential,
            now,
            // The question for this factor said it.
            waived: None,
        })
    }

    /// Whether nobody has locked the account since its password was proven.
    pub(crate) async fn unlocked(&self, proven: &Proven) -> Result<(), SignInError> {
        if self.is_locked(&proven.name, proven.now).await? {
            return Err(self.refuse(proven, Reason::AccountLocked).await);
        }
        Ok(())
    }

    async fn refuse_factor(&self, proven: &Proven, not: &NotProven) -> SignInError {
        let refused = self.refuse(proven, not.reason).await;
        if !not.newly_blocked {
            return refused;
        }
        let event = proven.origin.event(Action::FactorBlocked, proven.now);
        match self.record(event.user(&proven.credential.user_id)).await {
            Ok(()) => refused,
            Err(error) => error,
        }
    }

    /// Nobody's sign-in, or one that is over.
    async fn unasked(&self, origin: &Origin, now: Timestamp) -> SignInError {
        let reason = Reason::ChallengeInvalid;
        let event = origin.event(Action::FailedLogin, now).reason(reason);
        match self.record(event).await {
            Ok(()) => SignInError::refused(Step::SecondFactor, reason),
            Err(error) => error,
        }
    }

    /// A recovery code is seldom used and by few others than its owner: an event of its own.
    async fn record_kind(&self, proof: &FactorProof, origin: &Origin) -> Result<(), SignInError> {
        if proof.kind() != Kind::RecoveryCode {
            return Ok(());
        }
        let event = origin.event(Action::RecoveryCodeUsed, proof.at());
        self.record(event.user(proof.user())).await
    }

    async fn waiting<T: Send + 'static>(
        &self,
        token: &ChallengeToken,
        now: Timestamp,
        step: impl Fn(Option<&[u8]>) -> (T, Next) + Send + 'static,
    ) -> Result<T, SignInError> {
        let asked = self.parts.store.update(token.key(), now, step).await;
        asked.map_err(|failure| SignInError::Unavailable(Reason::from(&failure)))
    }
}

impl NotProven {
    const fn of(reason: Reason) -> Self {
        Self {
            reason,
            newly_blocked: false,
        }
    }

    /// What a refused code came to; a fault of the service is none of the code's.
    pub(crate) fn by(error: &totp_mfa::Error) -> Result<Self, SignInError> {
        use totp_mfa::Error;
        Ok(match error {
            Error::Wrong { newly_blocked } => Self {
                reason: Reason::SecondFactorWrong,
                newly_blocked: *newly_blocked,
            },
            Error::CodeMalformed => Self::of(Reason::SecondFactorWrong),
            Error::Replayed => Self::of(Reason::SecondFactorReplayed),
            Error::Blocked => Self::of(Reason::SecondFactorBlocked),
            Error::NotEnrolled => Self::of(Reason::ChallengeInvalid),
            error => return Err(SignInError::Unavailable(fault(error))),
        })
    }
}

/// A session that has ended meanwhile refuses as a wrong code does; what else its store says is never
/// the caller's fault.
pub(crate) fn ended(error: Error) -> SignInError {
    match error {
        Error::Revoked { .. } | Error::NoSuchSession => {
            SignInError::refused(Step::SecondFactor, Reason::ChallengeInvalid)
        }
        error => unstarted(error),
    }
}

/// Why nothing could be said about a code. Whatever is left of the caller's faults is the service's here.
pub(crate) fn fault(error: &totp_mfa::Error) -> Reason {
    match error {
        totp_mfa::Error::Store(failure) => Reason::from(failure),
        _ => Reason::Internal,
    }
}

/// What a session notes of a proof: a recovery code never counts as the authenticator it stands in for.
#[must_use]
pub fn factor(proof: &FactorProof) -> Factor {
    let method = match proof.kind() {
        Kind::Totp => Method::Totp,
        // What this release does not know is no more than what stands in for an authenticator.
        _ => Method::RecoveryCode,
    };
    Factor::new(method, proof.at())
}

pub(crate) fn of_session(event: Event, session: &Live) -> Event {
    event
        .user(session.user())
        .session(&session.session().to_string())
}
