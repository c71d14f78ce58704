//! What ends sessions, one or all of a user's.

use std::sync::Arc;

use portcullis_core::{Store, Timestamp};

use crate::decide::{self, Ended};
use crate::guard::Member;
use crate::token::Presented;
use crate::{Error, Live, Revocation, SessionId, Sessions};

impl<S: Store> Sessions<S> {
    /// Ends a session. Answers it if this call ended it, None if none was alive.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Store`]; when the outcome is unknown, call again.
    pub async fn revoke(&self, session: &SessionId, now: Timestamp) -> Result<Option<Live>, Error> {
        self.end(*session, Revocation::SignedOut, now).await
    }

    /// Ends the session of a refresh token, of whatever generation (RFC 7009). Answers as
    /// [`Sessions::revoke`].
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::NoSuchSession`]; else as [`Sessions::revoke`].
    pub async fn revoke_token(&self, token: &str, now: Timestamp) -> Result<Option<Live>, Error> {
        let presented = Presented::parse(token).ok_or(Error::Malformed)?;
        let (session, keyed) = (presented.session, Arc::clone(&self.keyed));
        let step = move |current: Option<&[u8]>| {
            decide::revoke_shown(current, &presented, &keyed, Revocation::SignedOut, now)
        };
        let ended = self.update(session, now, step).await??;
        self.unlist(session, ended, now).await
    }

    /// Ends all of `user`'s sessions, starts under way included, and answers how many were alive.
    ///
    /// A start whose password was checked before and which begins after is not met; whoever changes
    /// a credential compares [`Refreshed::epoch`](crate::Refreshed::epoch) too.
    ///
    /// # Errors
    /// The first failure, after all the others were tried; call again.
    pub async fn revoke_all(&self, user: &str, now: Timestamp) -> Result<usize, Error> {
        self.revoke_all_but(user, None, now).await
    }

    /// As [`Sessions::revoke_all`], save for the session `keep`: the one that asks. One that is not
    /// the user's, or over, keeps nothing.
    ///
    /// # Errors
    /// As [`Sessions::revoke_all`].
    pub async fn revoke_others(
        &self,
        user: &str,
        keep: &SessionId,
        now: Timestamp,
    ) -> Result<usize, Error> {
        self.revoke_all_but(user, Some(*keep), now).await
    }

    async fn revoke_all_but(
        &self,
        user: &str,
        keep: Option<SessionId>,
        now: Timestamp,
    ) -> Result<usize, Error> {
        let mut ended = 0_usize;
        let mut failed = None;
        for member in self.members(user, now).await? {
            if keep == Some(member.session) {
                continue;
            }
            match self.revoke_member(user, member, now).await {
                Ok(alive) => ended = ended.saturating_add(usize::from(alive)),
                Err(error) => {
                    failed.get_or_insert(error);
                }
            }
        }
        failed.map_or(Ok(ended), Err)
    }

    /// Ends one session of a user's index and takes it out; whether it was alive.
    async fn revoke_member(
        &self,
        user: &str,
        member: Member,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let step = move |current: Option<&[u8]>| {
            decide::revoke_listed(current, Revocation::AllSignedOut, now)
        };
        let outcome = self.update(member.session, now, step).await??;
        self.forget(user, member, now).await?;
        Ok(outcome.is_some_and(|ended| ended.now))
    }

    pub(crate) async fn end(
        &self,
        session: SessionId,
        why: Revocation,
        now: Timestamp,
    ) -> Result<Option<Live>, Error> {
        let step = move |current: Option<&[u8]>| decide::revoke(current, why, now);
        let ended = self.update(session, now, step).await??;
        self.unlist(session, ended, now).await
    }

    /// Takes an ended session out of its user's index, also one that an earlier call ended and then
    /// did not come this far.
    async fn unlist(
        &self,
        session: SessionId,
        ended: Option<Ended>,
        now: Timestamp,
    ) -> Result<Option<Live>, Error> {
        let Some(ended) = ended else {
            return Ok(None);
        };
        let member = Member {
            session,
            listed: ended.row.created,
        };
        self.forget(&ended.row.user, member, now).await?;
        Ok(ended.now.then(|| Live::new(session, ended.row)))
    }
}
