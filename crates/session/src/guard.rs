//! Sessions in a store: load, decide, swap, each as one act.

use std::fmt;
use std::sync::Arc;

use portcullis_core::{
    Durability, Index, IndexError, Key, Next, Scope, Secret, Store, Timestamp, entropy,
};

use crate::decide::{self, Place};
use crate::state::MAX_USER_LEN;
use crate::token::{Keyed, Presented};
use crate::{Error, Factor, Live, Refreshed, Revocation, SessionId, SessionPolicy, Started};

/// The sessions of a service and their refresh tokens.
///
/// Every call is complete in itself: a future dropped at any await leaves at worst a started session
/// without a holder, which idles away, or a rotation whose answer was lost, which the grace repeats.
///
/// # What is promised about a stolen refresh token
/// There is one live token per session. Whoever of thief and owner comes second with an old one, later
/// than the grace or more than twice, ends the session for both. A thief who stays within the grace of
/// every single refresh of the owner holds the same token as the owner, never one of their own, and each
/// of those rounds is answered `repeated`: visible in the audit log, and over at the absolute end.
///
/// # What failure means
/// Every failure refuses. See [`Error`] for what a client does after an unknown outcome.
pub struct Sessions<S> {
    store: S,
    pub(crate) keyed: Arc<Keyed>,
    policy: SessionPolicy,
}

impl<S: Store> Sessions<S> {
    /// Sessions kept in `store`; their tokens are made under `key`, of at least 32 bytes, used for
    /// nothing else. Another key makes every token given so far an unknown one.
    ///
    /// # Errors
    /// [`Error::KeyTooShort`], [`Error::Policy`], or [`Error::VolatileStore`] when the store does
    /// not outlive the process and [`SessionPolicy::dangerous_allow_volatile`] was not said.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the key is handed over and wiped here"
    )]
    pub fn new(store: S, key: Secret, policy: SessionPolicy) -> Result<Self, Error> {
        policy.check()?;
        let keyed = Keyed::new(&key).ok_or(Error::KeyTooShort)?;
        if store.durability() != Durability::Durable && !policy.volatile_allowed {
            return Err(Error::VolatileStore);
        }
        Ok(Self {
            store,
            keyed: Arc::new(keyed),
            policy,
        })
    }

    /// Starts a session of `user`, who has just shown `factors`, under credential epoch 0.
    ///
    /// # Errors
    /// As [`Sessions::start_at_epoch`].
    pub async fn start(
        &self,
        user: &str,
        factors: &[Factor],
        now: Timestamp,
    ) -> Result<Started, Error> {
        self.start_at_epoch(user, factors, 0, now).await
    }

    /// Starts a session of `user` and notes the epoch of the credential that was shown.
    ///
    /// When the user has as many sessions as the policy admits, those refreshed or touched longest ago
    /// are revoked. Starts at the same instant may overshoot the limit until the next one, by no more
    /// than the index has room for (200).
    ///
    /// # Errors
    /// [`Error::UserRefused`], [`Error::FactorMissing`]; [`Error::Revoked`] when all of the user's
    /// sessions were revoked meanwhile; [`Error::Crowded`], [`Error::Entropy`], [`Error::Store`].
    pub async fn start_at_epoch(
        &self,
        user: &str,
        factors: &[Factor],
        epoch: u64,
        now: Timestamp,
    ) -> Result<Started, Error> {
        if user.is_empty() || user.len() > MAX_USER_LEN {
            return Err(Error::UserRefused);
        }
        if factors.is_empty() {
            return Err(Error::FactorMissing);
        }
        let evicted = self.make_room(user, now).await?;
        for _ in 0..STARTS {
            let session = SessionId::generate()?;
            let row = decide::first(user, entropy()?, factors, epoch, &self.policy, now);
            let token = self.keyed.token(session, row.counter, &row.nonce);
            let refresh_expires_at = row.idle;
            // The member first: a member without a row is skipped, a row without one is lost.
            let member = Member {
                session,
                listed: now,
            };
            LISTED
                .insert(&self.store, user.as_bytes(), &member.to_bytes(), now)
                .await?;
            let begin = move |current: Option<&[u8]>| decide::begin(current, &row, now);
            match self.update(session, now, begin).await? {
                Ok(()) => {
                    return Ok(Started {
                        session,
                        refresh_token: token,
                        refresh_expires_at,
                        evicted,
                    });
                }
                Err(Revocation::Abandoned) => {}
                Err(why) => {
                    let user = user.to_owned();
                    return Err(Error::Revoked { session, user, why });
                }
            }
        }
        Err(Error::Crowded)
    }

    /// Replaces a refresh token by its child.
    ///
    /// The parent of the live token, shown again within the policy's grace, gets that same child, at
    /// most twice and only while the child is unused. Any older token ends the session.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::NoSuchSession`], [`Error::Reused`] (the session is revoked
    /// now), [`Error::Revoked`] (it was before), [`Error::Corrupt`], [`Error::Store`].
    pub async fn refresh(&self, token: &str, now: Timestamp) -> Result<Refreshed, Error> {
        let presented = Presented::parse(token).ok_or(Error::Malformed)?;
        let session = presented.session;
        let (keyed, policy) = (Arc::clone(&self.keyed), self.policy);
        let step = move |current: Option<&[u8]>| {
            decide::refresh(current, &presented, &keyed, &policy, now)
        };
        let granted = self.update(session, now, step).await??;
        let row = granted.row;
        Ok(Refreshed {
            session,
            refresh_token: self.keyed.token(session, row.counter, &row.nonce),
            refresh_expires_at: row.idle,
            user: row.user,
            factors: row.factors,
            epoch: row.epoch,
            repeated: granted.repeated,
        })
    }

    /// The session, if it is alive at `now`: neither revoked nor over. For each access token of it.
    ///
    /// # Errors
    /// [`Error::Revoked`], [`Error::NoSuchSession`], [`Error::Corrupt`], [`Error::Store`]; whatever
    /// the error, the access token is to be refused.
    pub async fn live(&self, session: &SessionId, now: Timestamp) -> Result<Live, Error> {
        let session = *session;
        let step = move |current: Option<&[u8]>| decide::live(current, session, now);
        let row = self.update(session, now, step).await??;
        Ok(Live::new(session, row))
    }

    /// Notes that the user has shown `factor` in a living session (step-up, RFC 9470). A factor that
    /// claims to be shown after `now` counts as shown now.
    ///
    /// # Errors
    /// As [`Sessions::live`].
    pub async fn add_factor(
        &self,
        session: &SessionId,
        factor: Factor,
        now: Timestamp,
    ) -> Result<Live, Error> {
        let session = *session;
        let step = move |current: Option<&[u8]>| decide::add_factor(current, session, factor, now);
        let row = self.update(session, now, step).await??;
        Ok(Live::new(session, row))
    }

    /// Moves the idle end of a living session to `now` plus the policy's idle life, never beyond its
    /// absolute end and never nearer. For a session that a cookie holds: no refresh token is replaced.
    ///
    /// # Errors
    /// As [`Sessions::live`].
    pub async fn touch(&self, session: &SessionId, now: Timestamp) -> Result<Live, Error> {
        let (session, policy) = (*session, self.policy);
        let step = move |current: Option<&[u8]>| decide::touch(current, session, &policy, now);
        let row = self.update(session, now, step).await??;
        Ok(Live::new(session, row))
    }

    /// Whether a [`Sessions::touch`] is worth its write: it would move the idle end by a quarter of an
    /// hour or more, or by a quarter of the idle life where that is shorter.
    #[must_use]
    pub fn touch_is_due(&self, live: &Live, now: Timestamp) -> bool {
        decide::touch_is_due(live.expires_at(), live.ends_at(), &self.policy, now)
    }

    /// `user`'s living sessions, oldest first.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Store`].
    pub async fn list(&self, user: &str, now: Timestamp) -> Result<Vec<Live>, Error> {
        let mut all = Vec::new();
        for member in self.members(user, now).await? {
            match self.live(&member.session, now).await {
                Ok(live) => all.push(live),
                Err(Error::NoSuchSession | Error::Revoked { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        all.sort_by_key(|live| (live.started_at(), live.session()));
        Ok(all)
    }

    /// Frees the places of dead sessions, and if that is not enough, those of the sessions that were
    /// refreshed or touched longest ago; answers the ones it ended.
    async fn make_room(&self, user: &str, now: Timestamp) -> Result<Vec<SessionId>, Error> {
        let members = self.members(user, now).await?;
        if members.len() < self.policy.sessions_per_user {
            return Ok(Vec::new());
        }
        let (mut alive, mut other) = (Vec::new(), 0_usize);
        for member in members {
            let policy = self.policy;
            let step =
                move |current: Option<&[u8]>| decide::inspect(current, member.listed, &policy, now);
            match self.update(member.session, now, step).await? {
                Place::Taken(used) => alive.push((used, member.session)),
                Place::Pending | Place::Unreadable => other = other.saturating_add(1),
                Place::Free => self.forget(user, member, now).await?,
            }
        }
        alive.sort_unstable();
        let taken = alive.len().saturating_add(other).saturating_add(1);
        let excess = taken.saturating_sub(self.policy.sessions_per_user);
        let mut evicted = Vec::new();
        for (_, session) in alive.into_iter().take(excess) {
            let ended = self.end(session, Revocation::Evicted, now).await?;
            evicted.extend(ended.map(|live| live.session()));
        }
        Ok(evicted)
    }

    pub(crate) async fn members(&self, user: &str, now: Timestamp) -> Result<Vec<Member>, Error> {
        let members = LISTED.members(&self.store, user.as_bytes(), now).await?;
        members
            .iter()
            .map(|bytes| Member::from_bytes(bytes).ok_or(Error::Corrupt))
            .collect()
    }

    pub(crate) async fn forget(
        &self,
        user: &str,
        member: Member,
        now: Timestamp,
    ) -> Result<(), IndexError> {
        LISTED
            .remove(&self.store, user.as_bytes(), &member.to_bytes(), now)
            .await
    }

    pub(crate) async fn update<T, F>(
        &self,
        session: SessionId,
        now: Timestamp,
        step: F,
    ) -> Result<T, Error>
    where
        F: Fn(Option<&[u8]>) -> (T, Next) + Send + 'static,
        T: Send + 'static,
    {
        let key = Key::new(SESSION, session.as_bytes());
        Ok(self.store.update(key, now, step).await?)
    }
}

impl<S> fmt::Debug for Sessions<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// One entry of a user's index: the session, and when it was listed.
#[derive(Clone, Copy)]
pub(crate) struct Member {
    pub(crate) session: SessionId,
    pub(crate) listed: Timestamp,
}

impl Member {
    fn to_bytes(self) -> Vec<u8> {
        let listed = self.listed.as_unix_nanos().to_be_bytes();
        [self.session.as_bytes().as_slice(), &listed].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (session, listed) = bytes.split_first_chunk()?;
        let listed = u64::from_be_bytes(listed.try_into().ok()?);
        Some(Self {
            session: SessionId::from_bytes(*session),
            listed: Timestamp::from_unix_nanos(listed),
        })
    }
}

/// One row per session, under its id.
const SESSION: Scope = Scope::new("session");
/// Twice the most that a policy admits: room for starts at the same instant.
const LISTED: Index = Index::new(Scope::new("session_index"), 1, 200);
/// How many ids a start tries before it says that it is crowded.
const STARTS: usize = 3;
