//! The one safe order of a login.

use std::fmt;
use std::sync::Arc;

use portcullis_audit::{Action, Event, Sink};
use portcullis_core::{AnyStore, Clock, Reason, Secret, Timestamp};
use portcullis_lockout::Lockout;
use portcullis_session::{Error, Factor, Live, Method, RefreshToken, SessionId, Sessions, Started};
use portcullis_totp_mfa::{Confirmed, Enrolment, Generation, RecoveryCodes, SecondFactors};
use tokio::sync::Semaphore;

use crate::apart::Held;
use crate::bounded::bounded;
use crate::challenge::ChallengeToken;
use crate::error::Step;
use crate::line::Lines;
use crate::policy;
use crate::prove::Proven;
use crate::{
    Attempt, Challenge, ChangeError, Directory, FactorError, HashError, Hasher, Shown, SignInError,
    SignInPolicy,
};

/// Signs users in, asks for their second factors and changes what they sign in with, in the one safe
/// order.
///
/// Address and rate limit come before it, in the gates. Then: look at the captcha's outcome where the
/// policy asks for one; reserve one of the account's attempts,
/// look the user up, verify the password, settle the reservation; ask for the second factor where one is
/// enrolled, and use its code up; start the session, look again, record, answer. An unknown user and a
/// locked account take the very same way.
///
/// Each attempt is a task of its own: a caller that hangs up leaves neither a reservation unsettled
/// nor an event unrecorded, and a session whose caller has not taken it is ended again. Needs a tokio
/// runtime with time. When that runtime ends, reservations lapse, and a session that was being
/// started idles away, its token never shown.
pub struct SignIn<D, A>(pub(crate) Arc<Inner<D, A>>);

/// What a [`SignIn`] is put together from.
#[derive(Debug)]
pub struct Parts<D, A> {
    /// The application's users.
    pub directory: D,
    /// Where events go.
    pub sink: A,
    /// Failures by account.
    pub lockout: Arc<Lockout<AnyStore>>,
    /// The sessions that logins start.
    pub sessions: Arc<Sessions<AnyStore>>,
    /// Who has a second factor, and which codes fit.
    pub second_factors: SecondFactors,
    /// Where second factors and waiting sign-ins are kept; durable, as sessions are.
    pub store: AnyStore,
}

pub(crate) struct Inner<D, A> {
    pub(crate) parts: Parts<D, A>,
    pub(crate) hasher: Arc<dyn Hasher>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) policy: SignInPolicy,
    pub(crate) lines: Lines,
    pub(crate) attempts: Arc<Semaphore>,
    /// The hash that is verified where there is none: of a password nobody knows.
    pub(crate) dummy: String,
}

/// What a right password comes to.
#[derive(Debug)]
pub enum Entered {
    /// A session: no second factor is enrolled. Whether one must be is the application's rule.
    SignedIn(SignedIn),
    /// No session yet: [`SignIn::answer`] the challenge.
    SecondFactor(Challenge),
}

/// A user is signed in.
pub struct SignedIn {
    /// The user's id.
    pub user_id: String,
    /// The session that was started.
    pub session: SessionId,
    /// Its first refresh token.
    pub refresh_token: RefreshToken,
    /// Until when that token can be used.
    pub refresh_expires_at: Timestamp,
    /// What was shown, and when.
    pub factors: Vec<Factor>,
    /// Whether the password must be changed: nothing else is to be allowed until then.
    pub must_change: bool,
    /// Whether the stored hash was made at another cost than the hasher's present one: hash the
    /// password again and store that without raising the epoch, if the epoch is still the same. False
    /// after a second factor: the password is not at hand any more.
    pub hash_is_outdated: bool,
}

impl<D: Directory + 'static, A: Sink + 'static> SignIn<D, A> {
    /// Puts the parts together, with one hash of a password nobody knows. The clock is read after
    /// each wait for a hash, for `now` is old by then.
    ///
    /// # Errors
    /// [`HashError`] when the hasher cannot make that hash, or there is no randomness for it.
    pub async fn new(
        parts: Parts<D, A>,
        hasher: Arc<dyn Hasher>,
        clock: impl Clock,
        policy: SignInPolicy,
    ) -> Result<Self, HashError> {
        let nobody_knows = Secret::generate::<32>().map_err(|_| HashError::Failed)?;
        let dummy = hasher.hash(nobody_knows).await?;
        let under_way = policy.attempts_under_way.min(Semaphore::MAX_PERMITS);
        let clock: Arc<dyn Clock> = Arc::new(clock);
        Ok(Self(Arc::new(Inner {
            parts,
            hasher,
            clock,
            policy,
            lines: Lines::new(under_way / SHARES),
            attempts: Arc::new(Semaphore::new(under_way)),
            dummy,
        })))
    }

    /// Signs a user in, or asks for the second factor. An attempt that ends refused was counted and is
    /// recorded; one that ends overloaded or unavailable tells the caller nothing about the password, and
    /// may have left no event.
    ///
    /// # Errors
    /// [`SignInError::CaptchaRefused`] before the account is touched; [`SignInError::Refused`], one answer
    /// for every reason; [`SignInError::Overloaded`] and [`SignInError::Unavailable`], after which nobody is signed in. A session that could not be ended
    /// then, because the store was away again, has no holder and idles away.
    pub async fn sign_in(&self, attempt: Attempt, now: Timestamp) -> Result<Entered, SignInError> {
        let origin = attempt.came_from().clone();
        let work = |inner: Arc<Inner<D, A>>| async move { inner.sign_in(attempt, now).await };
        let held = move |entered: &Entered| match entered {
            Entered::SignedIn(signed_in) => Some(Held::of(signed_in, &origin, now)),
            Entered::SecondFactor(_) => None,
        };
        self.apart(work, held).await
    }

    /// Signs in whoever was asked for a second factor and shows one. Takes one of the sign-in's tries,
    /// uses the code up, and signs in only if nothing of what the password proved has changed since: the
    /// credential's epoch, the second factor itself, a lock of the account.
    ///
    /// # Errors
    /// [`SignInError::SecondFactorRefused`], one answer for every reason; the others as
    /// [`SignIn::sign_in`]. After [`SignInError::Unavailable`] the code may be used up.
    pub async fn answer(
        &self,
        challenge: &str,
        shown: Shown,
        now: Timestamp,
    ) -> Result<SignedIn, SignInError> {
        let (challenge, origin) = (ChallengeToken::parse(challenge), shown.origin.clone());
        let work =
            |inner: Arc<Inner<D, A>>| async move { inner.answer(challenge, shown, now).await };
        let held = move |signed_in: &SignedIn| Some(Held::of(signed_in, &origin, now));
        self.apart(work, held).await
    }

    /// Notes in a living session that its user has shown a second factor now: step-up (RFC 9470). The
    /// code is used up, also where the session ends meanwhile.
    ///
    /// As with all that takes a [`Live`]: whether its [`Live::epoch`] is still the credential's is asked by
    /// whoever let the request in.
    ///
    /// # Errors
    /// As [`SignIn::answer`].
    pub async fn step_up(
        &self,
        session: &Live,
        shown: Shown,
        now: Timestamp,
    ) -> Result<Live, SignInError> {
        let session = session.clone();
        let work =
            |inner: Arc<Inner<D, A>>| async move { inner.step_up(&session, shown, now).await };
        self.apart(work, |_| None).await
    }

    /// Begins the enrolment of an authenticator that shows `account` beside its codes. Until
    /// [`SignIn::confirm`] nothing has changed; a newer one takes the place of an older.
    ///
    /// # Errors
    /// [`FactorError`].
    pub async fn enrol(
        &self,
        session: &Live,
        account: &str,
        now: Timestamp,
    ) -> Result<Enrolment, FactorError> {
        self.0.enrol(session, account, now).await
    }

    /// Completes an enrolment by its first code, which is used up. The session has shown a second factor
    /// then, and the user's other sessions, which have not, are ended.
    ///
    /// # Errors
    /// [`FactorError`]. After [`SignInError::Unavailable`] the enrolment was undone and this session may
    /// be ended. Where the store stayed away from that too, the authenticator's codes are asked for, and
    /// [`SignIn::regenerate`] gives new recovery codes.
    pub async fn confirm(
        &self,
        session: &Live,
        shown: Shown,
        now: Timestamp,
    ) -> Result<Confirmed, FactorError> {
        let session = session.clone();
        let work =
            |inner: Arc<Inner<D, A>>| async move { inner.confirm(&session, shown, now).await };
        self.apart(work, |_| None).await
    }

    /// Replaces the recovery codes by ten new ones, for a code of the authenticator.
    ///
    /// # Errors
    /// [`FactorError`].
    pub async fn regenerate(
        &self,
        session: &Live,
        shown: Shown,
        now: Timestamp,
    ) -> Result<RecoveryCodes, FactorError> {
        let session = session.clone();
        let work =
            |inner: Arc<Inner<D, A>>| async move { inner.regenerate(&session, shown, now).await };
        self.apart(work, |_| None).await
    }

    /// Removes the second factor, for a code of the authenticator or a recovery code, and ends all of the
    /// user's sessions, this one too: nothing that the factor opened stays open.
    ///
    /// # Errors
    /// [`FactorError`]. After [`SignInError::Unavailable`] the sessions may be ended and the factor still
    /// be there.
    pub async fn remove(
        &self,
        session: &Live,
        shown: Shown,
        now: Timestamp,
    ) -> Result<(), FactorError> {
        let session = session.clone();
        let work =
            |inner: Arc<Inner<D, A>>| async move { inner.remove(&session, shown, now).await };
        self.apart(work, |_| None).await
    }

    /// Replaces a user's password by `new`, if the attempt's is the present one, and ends all of the
    /// user's sessions. Counts and locks as a login does. Goes on to its end if the caller hangs up.
    ///
    /// It asks for no second factor and no captcha: let it be called from a session alone, for the
    /// session's own user, who has shown a second factor there where the user has one.
    ///
    /// The event is recorded before anything is changed: a change that failed after is over-reported,
    /// none goes unseen.
    ///
    /// # Errors
    /// [`ChangeError::NewPassword`] before anything is looked at; else as [`SignIn::sign_in`]. After
    /// [`SignInError::Unavailable`] the password may have been replaced: sign in with either.
    pub async fn change_password(
        &self,
        attempt: Attempt,
        new: Secret,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        policy::check_new(&attempt.name, &attempt.password, &new)?;
        let work =
            |inner: Arc<Inner<D, A>>| async move { inner.change_password(attempt, new, now).await };
        Ok(self.apart(work, |()| None).await?)
    }
}

impl<D: Directory, A: Sink> Inner<D, A> {
    async fn sign_in(&self, attempt: Attempt, now: Timestamp) -> Result<Entered, SignInError> {
        let waived = self.look_at_captcha(&attempt, now).await?;
        let proven = self.prove(attempt, now).await?;
        let proven = Proven { waived, ..proven };
        let hash_is_outdated = self.hasher.is_outdated(&proven.credential.password_hash);
        if let Some(generation) = self
            .enrolled(&proven.credential.user_id, proven.now)
            .await?
        {
            let asked = self.ask(&proven, generation, hash_is_outdated).await?;
            return Ok(Entered::SecondFactor(asked));
        }
        let factors = vec![Factor::new(Method::Password, proven.now)];
        let signed_in = self.begin(proven, factors, None).await?;
        Ok(Entered::SignedIn(SignedIn {
            hash_is_outdated,
            ..signed_in
        }))
    }

    /// Starts the session of a user who has shown `factors`, if nothing changed while it was being
    /// started: neither the credential nor the second factor, which is at `generation` or not enrolled.
    pub(crate) async fn begin(
        &self,
        proven: Proven,
        factors: Vec<Factor>,
        generation: Option<Generation>,
    ) -> Result<SignedIn, SignInError> {
        let (credential, now) = (&proven.credential, proven.now);
        let started = self
            .parts
            .sessions
            .start_at_epoch(&credential.user_id, &factors, credential.epoch, now)
            .await
            .map_err(unstarted)?;
        if let Err(error) = self.admit(&proven, generation, &started).await {
            self.end(&started.session, now).await;
            return Err(error);
        }
        let Proven { credential, .. } = proven;
        Ok(SignedIn {
            user_id: credential.user_id,
            session: started.session,
            refresh_token: started.refresh_token,
            refresh_expires_at: started.refresh_expires_at,
            factors,
            must_change: credential.must_change,
            hash_is_outdated: false,
        })
    }

    /// Looked at once the session stands: a credential or a factor that changes later meets the session
    /// when the user's are ended.
    async fn admit(
        &self,
        proven: &Proven,
        generation: Option<Generation>,
        started: &Started,
    ) -> Result<(), SignInError> {
        self.record_evicted(proven, started).await?;
        self.still_stands(proven).await?;
        self.still_at(proven, generation).await?;
        if proven.step == Step::SecondFactor {
            // The first step has just been settled, which asked.
            self.unlocked(proven).await?;
        }
        let login = of_start(proven, Action::Login, &started.session);
        self.record(proven.told(login)).await
    }

    /// Those that made room are gone, whatever becomes of the one that they made room for.
    async fn record_evicted(&self, proven: &Proven, started: &Started) -> Result<(), SignInError> {
        let mut recorded = Ok(());
        for evicted in &started.evicted {
            let revoked = of_start(proven, Action::SessionRevoked, evicted);
            recorded = recorded.and(self.record(revoked).await);
        }
        recorded
    }

    async fn change_password(
        &self,
        attempt: Attempt,
        new: Secret,
        now: Timestamp,
    ) -> Result<(), SignInError> {
        let proven = self.prove(attempt, now).await?;
        let hashed = bounded(self.policy.step_wait, self.hasher.hash(new)).await;
        let hash = hashed.unwrap_or(Err(HashError::Failed)).map_err(unhashed)?;
        self.still_stands(&proven).await?;
        let now = self.clock.now().max(proven.now);
        let credential = &proven.credential;
        let event = proven.origin.event(Action::PasswordChanged, now);
        self.record(event.user(&credential.user_id)).await?;
        let directory = &self.parts.directory;
        let replace = async {
            directory
                .replace_password(&proven.name, credential.epoch, hash, now)
                .await
        };
        match bounded(self.policy.step_wait, replace).await {
            Some(Ok(Some(_))) => self.end_all(&credential.user_id, now).await,
            // Somebody else changed it first: what was proven is no longer so.
            Some(Ok(None)) => Err(self.refuse(&proven, Reason::PasswordWrong).await),
            // It may have been done, and then whoever is signed in by the old one must not stay.
            Some(Err(_)) | None => {
                self.end_all(&credential.user_id, now).await?;
                Err(SignInError::Unavailable(Reason::StoreUnavailable))
            }
        }
    }
}

/// A session of the user who has proven to be one, and what became of it.
fn of_start(proven: &Proven, action: Action, session: &SessionId) -> Event {
    let event = proven.origin.event(action, proven.now);
    event
        .user(&proven.credential.user_id)
        .session(&session.to_string())
}

/// A session that was not started, or not ended, is never the caller's fault.
#[expect(clippy::needless_pass_by_value, reason = "the form map_err wants")]
pub(crate) fn unstarted(error: Error) -> SignInError {
    SignInError::Unavailable(match error {
        // All of the user's sessions were ended while this one was being started.
        Error::Revoked { .. } => Reason::StoreContended,
        Error::Crowded | Error::Store(_) => error.reason(),
        _ => Reason::Internal,
    })
}

pub(crate) fn unhashed(error: HashError) -> SignInError {
    match error {
        HashError::Overloaded { retry_after } => SignInError::Overloaded { retry_after },
        HashError::Malformed | HashError::Failed => SignInError::Unavailable(Reason::Internal),
    }
}

impl<D, A> Clone for SignIn<D, A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<D, A> fmt::Debug for SignIn<D, A> {
    /// The policy, and how many more attempts can begin now.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignIn")
            .field("policy", &self.0.policy)
            .field("free", &self.0.attempts.available_permits())
            .field("lines", &self.0.lines)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SignedIn {
    /// The session, which proves nothing by its name; nothing of the user's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedIn")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

/// One account takes at most this part of all attempts.
const SHARES: usize = 8;
