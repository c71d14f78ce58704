//! The one safe order of a login.

use std::fmt;
use std::sync::Arc;

use portcullis_audit::{Action, Sink};
use portcullis_core::{AnyStore, Clock, Reason, Secret, Timestamp};
use portcullis_lockout::Lockout;
use portcullis_session::{Error, Factor, Method, RefreshToken, SessionId, Sessions, Started};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::attempt::Origin;
use crate::bounded::bounded;
use crate::handover::handover;
use crate::line::Lines;
use crate::policy;
use crate::prove::Proven;
use crate::{Attempt, ChangeError, Directory, HashError, Hasher, SignInError, SignInPolicy};

/// Signs users in and changes their passwords, in the one safe order.
///
/// Address and rate limit come before it, in the gates. Then: reserve one of the account's attempts,
/// look the user up, verify the password, settle the reservation, start the session, look again,
/// record, answer. An unknown user and a locked account take the very same way.
///
/// Each attempt is a task of its own: a caller that hangs up leaves neither a reservation unsettled
/// nor an event unrecorded, and a session whose caller has not taken it is ended again. Needs a tokio
/// runtime with time. When that runtime ends, reservations lapse, and a session that was being
/// started idles away, its token never shown.
pub struct SignIn<D, A>(Arc<Inner<D, A>>);

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
}

pub(crate) struct Inner<D, A> {
    pub(crate) parts: Parts<D, A>,
    pub(crate) hasher: Arc<dyn Hasher>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) policy: SignInPolicy,
    pub(crate) lines: Lines,
    attempts: Arc<Semaphore>,
    /// The hash that is verified where there is none: of a password nobody knows.
    pub(crate) dummy: String,
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
    /// Whether the password must be changed: nothing else is to be allowed until then.
    pub must_change: bool,
    /// Whether the stored hash was made at another cost than the hasher's present one: hash the
    /// password again and store that without raising the epoch, if the epoch is still the same.
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

    /// Signs a user in. An attempt that ends refused was counted and is recorded; one that ends
    /// overloaded or unavailable tells the caller nothing about the password, and may have left no
    /// event.
    ///
    /// # Errors
    /// [`SignInError::Refused`], one answer for every reason; [`SignInError::Overloaded`] and
    /// [`SignInError::Unavailable`], after which nobody is signed in. A session that could not be ended
    /// then, because the store was away again, has no holder and idles away.
    pub async fn sign_in(&self, attempt: Attempt, now: Timestamp) -> Result<SignedIn, SignInError> {
        let permit = self.permit()?;
        let (giver, taker) = handover();
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move {
            let origin = attempt.origin().clone();
            let answer = inner.sign_in(attempt, now).await;
            let held = answer.as_ref().ok();
            let held = held.map(|signed_in| (signed_in.session, signed_in.user_id.clone()));
            drop(permit);
            if !giver.give(answer).await
                && let Some((session, user)) = held
            {
                inner.abandon(session, &user, &origin, now).await;
            }
        });
        taker.take().await.unwrap_or(Err(AT_FAULT))
    }

    /// Replaces a user's password by `new`, if the attempt's is the present one, and ends all of the
    /// user's sessions. Counts and locks as a login does. Goes on to its end if the caller hangs up.
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
        let permit = self.permit()?;
        let (giver, taker) = handover();
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move {
            let answer = inner.change_password(attempt, new, now).await;
            drop(permit);
            // Nobody may be waiting any more; what was to be done is done.
            giver.give(answer).await;
        });
        Ok(taker.take().await.unwrap_or(Err(AT_FAULT))?)
    }

    fn permit(&self) -> Result<OwnedSemaphorePermit, SignInError> {
        let attempts = Arc::clone(&self.0.attempts);
        attempts
            .try_acquire_owned()
            .map_err(|_| SignInError::OVERLOADED)
    }
}

impl<D: Directory, A: Sink> Inner<D, A> {
    async fn sign_in(&self, attempt: Attempt, now: Timestamp) -> Result<SignedIn, SignInError> {
        let proven = self.prove(attempt, now).await?;
        let hash_is_outdated = self.hasher.is_outdated(&proven.credential.password_hash);
        let (credential, now) = (&proven.credential, proven.now);
        let factors = [Factor::new(Method::Password, now)];
        let started = self
            .parts
            .sessions
            .start_at_epoch(&credential.user_id, &factors, credential.epoch, now)
            .await
            .map_err(unstarted)?;
        // Looked at once the session stands: a credential that changes later meets the session when
        // all of the user's are ended.
        let admitted = match self.still_stands(&proven).await {
            Ok(()) => self.record_start(&proven, &started).await,
            refused => refused,
        };
        if let Err(error) = admitted {
            self.end(&started.session, now).await;
            return Err(error);
        }
        let Proven { credential, .. } = proven;
        Ok(SignedIn {
            user_id: credential.user_id,
            session: started.session,
            refresh_token: started.refresh_token,
            refresh_expires_at: started.refresh_expires_at,
            must_change: credential.must_change,
            hash_is_outdated,
        })
    }

    async fn record_start(&self, proven: &Proven, started: &Started) -> Result<(), SignInError> {
        let event = |action, session: &SessionId| {
            let event = proven.origin.event(action, proven.now);
            event
                .user(&proven.credential.user_id)
                .session(&session.to_string())
        };
        let mut recorded = self.record(event(Action::Login, &started.session)).await;
        for evicted in &started.evicted {
            let revoked = self.record(event(Action::SessionRevoked, evicted)).await;
            recorded = recorded.and(revoked);
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

    /// Ends a session whose caller went away before it was told of it.
    async fn abandon(&self, session: SessionId, user: &str, origin: &Origin, now: Timestamp) {
        let now = self.clock.now().max(now);
        self.end(&session, now).await;
        let event = origin.event(Action::SessionRevoked, now).user(user);
        // Recorded if it can be: nothing is left to refuse.
        let _ = self.record(event.session(&session.to_string())).await;
    }

    /// Ends a session that nobody was given. One that cannot be ended idles away.
    async fn end(&self, session: &SessionId, now: Timestamp) {
        for _ in 0..TRIES {
            if self.parts.sessions.revoke(session, now).await.is_ok() {
                return;
            }
        }
    }

    async fn end_all(&self, user: &str, now: Timestamp) -> Result<(), SignInError> {
        let mut ended = Ok(());
        for _ in 0..TRIES {
            ended = match self.parts.sessions.revoke_all(user, now).await {
                Ok(_) => return Ok(()),
                Err(error) => Err(unstarted(error)),
            };
        }
        ended
    }
}

/// A session that was not started, or not ended, is never the caller's fault.
#[expect(clippy::needless_pass_by_value, reason = "the form map_err wants")]
fn unstarted(error: Error) -> SignInError {
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

/// A task that ended without an answer has panicked, or its runtime has ended.
const AT_FAULT: SignInError = SignInError::Unavailable(Reason::Internal);
/// One account takes at most this part of all attempts.
const SHARES: usize = 8;
/// How often a store that fails is asked again to end a session.
const TRIES: usize = 3;
