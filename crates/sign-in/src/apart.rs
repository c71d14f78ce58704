//! Work that goes on when its caller goes away, and the end of what nobody holds.

use std::future::Future;
use std::sync::Arc;

use portcullis_audit::{Action, Sink};
use portcullis_core::{Reason, Timestamp};
use portcullis_session::SessionId;
use tokio::sync::OwnedSemaphorePermit;

use crate::guard::{Inner, unstarted};
use crate::handover::handover;
use crate::{Directory, Origin, SignIn, SignInError, SignedIn};

/// A session that was given to a caller who may have gone.
pub(crate) struct Held {
    session: SessionId,
    user: String,
    origin: Origin,
    now: Timestamp,
}

impl Held {
    pub(crate) fn of(signed_in: &SignedIn, origin: &Origin, now: Timestamp) -> Self {
        Self {
            session: signed_in.session,
            user: signed_in.user_id.clone(),
            origin: origin.clone(),
            now,
        }
    }
}

impl<D: Directory + 'static, A: Sink + 'static> SignIn<D, A> {
    /// Does `work` in a task of its own, which goes on if the caller hangs up; a session that `held` finds
    /// in an answer nobody took is ended again.
    pub(crate) async fn apart<T, E, W, F>(
        &self,
        work: W,
        held: impl FnOnce(&T) -> Option<Held> + Send + 'static,
    ) -> Result<T, E>
    where
        W: FnOnce(Arc<Inner<D, A>>) -> F,
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<SignInError> + Send + 'static,
    {
        let permit = self.permit()?;
        let (giver, taker) = handover();
        let inner = Arc::clone(&self.0);
        let work = work(Arc::clone(&self.0));
        tokio::spawn(async move {
            let answer = work.await;
            let held = answer.as_ref().ok().and_then(held);
            drop(permit);
            if !giver.give(answer).await
                && let Some(held) = held
            {
                inner.abandon(&held).await;
            }
        });
        taker.take().await.unwrap_or_else(|| Err(AT_FAULT.into()))
    }

    fn permit(&self) -> Result<OwnedSemaphorePermit, SignInError> {
        let attempts = Arc::clone(&self.0.attempts);
        attempts
            .try_acquire_owned()
            .map_err(|_| SignInError::OVERLOADED)
    }
}

impl<D: Directory, A: Sink> Inner<D, A> {
    /// Ends a session whose caller went away before it was told of it.
    async fn abandon(&self, held: &Held) {
        let now = self.clock.now().max(held.now);
        self.end(&held.session, now).await;
        let event = held.origin.event(Action::SessionRevoked, now);
        let event = event.user(&held.user).session(&held.session.to_string());
        // Recorded if it can be: nothing is left to refuse.
        let _ = self.record(event).await;
    }

    /// Ends a session that nobody was given. One that cannot be ended idles away.
    pub(crate) async fn end(&self, session: &SessionId, now: Timestamp) {
        for _ in 0..TRIES {
            if self.parts.sessions.revoke(session, now).await.is_ok() {
                return;
            }
        }
    }

    pub(crate) async fn end_all(&self, user: &str, now: Timestamp) -> Result<(), SignInError> {
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

/// A task that ended without an answer has panicked, or its runtime has ended.
const AT_FAULT: SignInError = SignInError::Unavailable(Reason::Internal);
/// How often a store that fails is asked again to end a session.
const TRIES: usize = 3;
