//! What was seen, in a store: each request once.

use std::fmt;

use portcullis_core::{Key, Scope, Store, Timestamp};

use crate::decide::Claim;
use crate::policy::SPAN_SECS;
use crate::{Error, KeyId, ReplayPolicy, SignedRequest, Unclaimed};

/// Remembers every accepted request for as long as any verifier could accept it again: 901 seconds from
/// its timestamp on, so verifiers of different skews may share a store.
///
/// # What failure means
/// Every failure of the store refuses, a full one too, and nothing live is forgotten to make room. After
/// a reply that was lost the request may count as seen: the client signs it anew.
///
/// # Which stores will do
/// Any, a volatile one too: what could have been accepted before the store's birth is refused, unless
/// [`crate::Secrets::made_at`] says that the key which signed is no older. So after a restart of a service that
/// remembers in memory, requests signed before it are refused, and clients sign them anew. Services on
/// several machines share one store.
pub struct ReplayGuard<St> {
    store: St,
    policy: ReplayPolicy,
}

impl<St: Store> ReplayGuard<St> {
    /// A guard that keeps its notes in `store`.
    pub fn new(store: St, policy: ReplayPolicy) -> Self {
        Self { store, policy }
    }
}

impl Unclaimed {
    /// Takes the request as seen, and answers it if it was not.
    ///
    /// Dropped at any await, it has been seen or not; at worst its key has room for one request less
    /// until its note is over.
    ///
    /// # Errors
    /// [`Error::Replayed`], [`Error::TooOld`], [`Error::Ahead`], [`Error::BeforeBirth`],
    /// [`Error::TooMany`], [`Error::Corrupt`], [`Error::Store`].
    #[expect(
        clippy::manual_async_fn,
        reason = "an async fn holds its arguments twice, and this one is large"
    )]
    pub fn claim<St: Store>(
        self,
        guard: &ReplayGuard<St>,
        now: Timestamp,
    ) -> impl Future<Output = Result<SignedRequest, Error>> + Send {
        async move {
            self.note(guard, now).await?;
            Ok(self.request)
        }
    }

    async fn note<St: Store>(&self, guard: &ReplayGuard<St>, now: Timestamp) -> Result<(), Error> {
        let ReplayGuard { store, policy } = guard;
        let claim = Claim {
            timestamp: self.request.timestamp,
            window: self.window,
            made_at: self.made_at,
        };
        claim.admit(store.birth(), now)?;

        let (count, most) = (count_of(&self.request.key_id), policy.live_per_key);
        let step = move |current: Option<&[u8]>| claim.count(current, most, now);
        store.update(count, now, step).await??;

        let seen = seen_of(&self.request.key_id, self.once.as_bytes());
        let step = move |current: Option<&[u8]>| claim.note(current, now);
        let noted = store.update(seen, now, step).await?;
        if noted == Err(Error::Replayed) {
            let step = move |current: Option<&[u8]>| claim.uncount(current, now);
            // Counted once too often, the key has room for one less: it is refused sooner.
            let _ = store.update(count, now, step).await;
        }
        noted
    }
}

fn seen_of(key_id: &KeyId, once: &[u8]) -> Key {
    Key::of(SEEN, &[key_id.as_str().as_bytes(), once])
}

/// Spans of another length are other spans, and are never read as these.
fn count_of(key_id: &KeyId) -> Key {
    let length = SPAN_SECS.to_be_bytes();
    Key::of(COUNT, &[key_id.as_str().as_bytes(), &length])
}

impl<St> fmt::Debug for ReplayGuard<St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayGuard")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

const SEEN: Scope = Scope::new("signed-request");
const COUNT: Scope = Scope::new("signed-request-count");
