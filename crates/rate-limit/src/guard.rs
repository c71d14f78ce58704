//! The rule across processes: load, decide, swap.

use portcullis_core::{Key, Next, Scope, Store, Timestamp};

use crate::decide::{Change, decide, refund};
use crate::state::State;
use crate::{Charge, Decision, Error, Joint, Quota};

/// One quota for each of many keys, kept in a [`Store`] that processes and machines share.
///
/// A refusal by the rule is `Ok(Decision::Limited)`; an error means that the store gave no decision, and
/// a caller that is unsure refuses. A future dropped midway leaves at most its own charge behind.
///
/// ```
/// use portcullis_core::{Memory, Scope, Timestamp};
/// use portcullis_rate_limit::{EndpointClass, StoreLimiter};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// const LOGIN: Scope = Scope::new("login");
/// let now = Timestamp::from_unix_secs(1_700_000_000);
/// let logins = StoreLimiter::new(Memory::new(now), LOGIN, EndpointClass::Authentication.quota());
/// assert!(logins.admit(b"192.0.2.7", 10, now).await?.is_admitted());
/// assert!(!logins.admit(b"192.0.2.7", 1, now).await?.is_admitted());
/// # Ok::<(), portcullis_rate_limit::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct StoreLimiter<S> {
    store: S,
    scope: Scope,
    quota: Quota,
}

impl<S: Store> StoreLimiter<S> {
    /// A limiter whose keys live in `scope`. Every process that shares the scope should have the same
    /// quota; after a change of it a key that was exhausted still waits, and never longer than the new
    /// quota and a minute.
    pub fn new(store: S, scope: Scope, quota: Quota) -> Self {
        Self {
            store,
            scope,
            quota,
        }
    }

    /// Charges `cost` units to `key`. A cost of zero charges nothing and is answered as one unit would be.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the stored state does not decode; [`Error::Store`] when the store failed.
    /// After [`portcullis_core::Failure::Unknown`] the charge may stand.
    pub async fn admit(&self, key: &[u8], cost: u32, now: Timestamp) -> Result<Decision, Error> {
        let (quota, scope) = (self.quota, self.scope);
        let step = move |current: Option<&[u8]>| {
            let Ok(state) = decoded(current, scope) else {
                return (Err(Error::Corrupt(scope)), Next::Keep);
            };
            let (decision, change) = decide(&quota, state, cost, now);
            let next = match (change, decision) {
                // Nobody relaxes a throttled key but its owner's refund, and time: the last value seen
                // refuses at worst too long.
                (Change::Nothing, Decision::Limited { .. }) => Next::Settled,
                (change, _) => stored(change, &quota),
            };
            (Ok(decision), next)
        };
        self.store
            .update(Key::new(scope, key), now, step)
            .await
            .map_err(Error::Store)?
    }

    /// Gives back `cost` units that were charged at `charged_at`, the `now` of that charge.
    ///
    /// Only an admitted charge may be given back, and once; one whose reply was lost may not. A smooth
    /// quota gives back only what cannot have come back by itself since the charge.
    ///
    /// # Errors
    /// As [`StoreLimiter::admit`]; the charge then stands.
    pub async fn refund(
        &self,
        key: &[u8],
        cost: u32,
        charged_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), Error> {
        let (quota, scope) = (self.quota, self.scope);
        let step = move |current: Option<&[u8]>| {
            let Ok(state) = decoded(current, scope) else {
                return (Err(Error::Corrupt(scope)), Next::Keep);
            };
            let change = refund(&quota, state, cost, charged_at, now);
            (Ok(()), stored(change, &quota))
        };
        self.store
            .update(Key::new(scope, key), now, step)
            .await
            .map_err(Error::Store)?
    }

    /// Charges several limiters for one request, in order. When one refuses or fails, those before it
    /// are given back what they were charged; a giving back that fails leaves the charge standing, which
    /// refuses too much and never too little. No charges at all limit nothing.
    ///
    /// # Errors
    /// The first charge's that failed, as [`StoreLimiter::admit`].
    pub async fn admit_all(charges: &[Charge<'_, Self>], now: Timestamp) -> Result<Joint, Error> {
        let mut joint = Joint::NONE;
        for (at, charge) in charges.iter().enumerate() {
            let answer = charge.limiter.admit(charge.key, charge.cost, now).await;
            match answer {
                Ok(decision) if decision.is_admitted() => joint = joint.tighter(decision, at),
                refused_or_failed => {
                    for earlier in charges.iter().take(at) {
                        let Charge { limiter, key, cost } = *earlier;
                        // The refusal is the answer whatever comes of this.
                        let _ = limiter.refund(key, cost, now, now).await;
                    }
                    return refused_or_failed.map(|decision| Joint { decision, at });
                }
            }
        }
        Ok(joint)
    }

    /// The quota in force.
    #[must_use]
    pub fn quota(&self) -> &Quota {
        &self.quota
    }
}

fn decoded(current: Option<&[u8]>, scope: Scope) -> Result<Option<State>, Error> {
    current
        .map(|bytes| State::decode(bytes).ok_or(Error::Corrupt(scope)))
        .transpose()
}

fn stored(change: Change, quota: &Quota) -> Next {
    match change {
        Change::Nothing => Next::Keep,
        Change::Forget => Next::Remove,
        Change::Put(state) => Next::Put {
            expires_at: state.expires_at(quota),
            value: state.encode(),
        },
    }
}
