//! Keys in a store: load, decide, swap, each as one act.

use std::fmt;
use std::time::Duration;

use portcullis_core::{Durability, Index, Key, Next, Scope, Store, Timestamp, entropy};
use zeroize::Zeroizing;

use crate::decide::{self, Act, Shown};
use crate::key::{SECRET_LEN, digest};
use crate::state::MAX_OWNER_LEN;
use crate::{ApiKey, Error, KeyId, KeyInfo, KeyProof, Made, NewKey, Policy};

/// The API keys of a service.
///
/// A future dropped at any await has done its act or not begun it, save that a creation may leave a place
/// in the owner's list that frees itself, and that what it made nobody saw. A rotation is one swap of one
/// row: at no instant does neither secret count.
///
/// # What failure means
/// Every failure refuses. See [`Error`] for what follows an unknown outcome.
pub struct ApiKeys<S> {
    store: S,
    policy: Policy,
}

impl<S: Store> ApiKeys<S> {
    /// Keys kept in `store` under `policy`.
    ///
    /// # Errors
    /// [`Error::VolatileStore`] when the store does not outlive the process and
    /// [`Policy::dangerous_allow_volatile`] was not said.
    pub fn new(store: S, policy: Policy) -> Result<Self, Error> {
        if store.durability() != Durability::Durable && !policy.volatile_allowed {
            return Err(Error::VolatileStore);
        }
        Ok(Self { store, policy })
    }

    /// Makes a key of `owner`, who is 1 to 255 bytes of the caller's choice. It is shown in the answer and
    /// never again.
    ///
    /// # Errors
    /// [`Error::OwnerRefused`], [`Error::OtherEnvironment`], [`Error::EndPassed`], [`Error::TooManyKeys`],
    /// [`Error::Crowded`], [`Error::Corrupt`], [`Error::Entropy`], [`Error::Store`].
    pub async fn create(&self, owner: &str, new: NewKey, now: Timestamp) -> Result<Made, Error> {
        check_owner(owner)?;
        if !self.policy.accepts(new.environment) {
            return Err(Error::OtherEnvironment);
        }
        for _ in 0..ATTEMPTS {
            let id = KeyId::from_bytes(entropy()?);
            let key = ApiKey::assemble(new.environment, id, &fresh_secret()?);
            let row = decide::first(owner, new.clone(), key.digest(), &self.policy, now)?;
            let info = row.info(id, &self.policy, now);
            // The member first: a member without a row is skipped, a row without one is lost.
            self.enlist(owner, Member { id, listed: now }, now).await?;
            let begin = move |current: Option<&[u8]>| decide::begin(current, &row, now);
            if self.update(id, now, begin).await? {
                return Ok(Made { key, info });
            }
        }
        Err(Error::Crowded)
    }

    /// Whose key that is, if it counts at `now`. Its use is noted, at most once a minute; a refusal writes
    /// nothing.
    ///
    /// The secret is compared before anything is told: [`Error::Revoked`] and [`Error::Expired`] answer
    /// whoever had the right one, [`Error::SecretWrong`] whoever had the id.
    ///
    /// # Errors
    /// [`Error::OtherEnvironment`], [`Error::Unknown`], [`Error::SecretWrong`], [`Error::Revoked`],
    /// [`Error::Expired`], [`Error::Corrupt`], [`Error::Store`].
    pub async fn verify(&self, key: &ApiKey, now: Timestamp) -> Result<KeyProof, Error> {
        if !self.policy.accepts(key.environment()) {
            return Err(Error::OtherEnvironment);
        }
        let shown = Shown {
            id: key.id(),
            environment: key.environment(),
            digest: key.digest(),
        };
        let policy = self.policy;
        let step = move |current: Option<&[u8]>| decide::verify(current, &shown, &policy, now);
        self.update(shown.id, now, step).await?
    }

    /// Whose key that id is, whether or not it counts. It proves nothing about the caller: for what is
    /// checked before authentication, such as the owner's addresses.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Store`].
    pub async fn owner(&self, id: KeyId, now: Timestamp) -> Result<Option<String>, Error> {
        let step = move |current: Option<&[u8]>| decide::owner(current, now);
        self.update(id, now, step).await?
    }

    /// The key of that id, if it counts at `now`: for each use of a token that was made for it. It proves
    /// nothing about the caller, and notes no use.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::OtherEnvironment`], [`Error::Revoked`], [`Error::Expired`],
    /// [`Error::Corrupt`], [`Error::Store`]; whatever the error, the token is to be refused.
    pub async fn standing(&self, id: KeyId, now: Timestamp) -> Result<KeyInfo, Error> {
        let policy = self.policy;
        let step = move |current: Option<&[u8]>| decide::standing(current, id, &policy, now);
        self.update(id, now, step).await?
    }

    /// All of `owner`'s keys, revoked and expired ones too, oldest first.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Store`]: one key that cannot be read fails the list.
    pub async fn list(&self, owner: &str, now: Timestamp) -> Result<Vec<KeyInfo>, Error> {
        let mut all = Vec::new();
        for member in self.members(owner, now).await? {
            let (id, policy) = (member.id, self.policy);
            let step = move |current: Option<&[u8]>| decide::info(current, id, &policy, now);
            match self.update(id, now, step).await? {
                Ok(info) if info.owner == owner => all.push(info),
                Ok(_) | Err(Error::Unknown) => {}
                Err(error) => return Err(error),
            }
        }
        all.sort_by_key(|info| (info.created_at, info.id));
        Ok(all)
    }

    /// Gives `owner`'s key a new secret under the same id, with its whole life before it. The secret before
    /// counts through the policy's grace, and not past its own end.
    ///
    /// A key whose secret is too old may be rotated; one that was revoked, or whose own end has come, may
    /// not.
    ///
    /// # Errors
    /// [`Error::RotationUnderWay`] while the secret before the present one counts, or seconds after a
    /// rotation without a grace; [`Error::Unknown`], [`Error::Revoked`], [`Error::Expired`],
    /// [`Error::OtherEnvironment`], [`Error::Corrupt`], [`Error::Entropy`], [`Error::Store`].
    pub async fn rotate(&self, owner: &str, id: KeyId, now: Timestamp) -> Result<Made, Error> {
        let secret = fresh_secret()?;
        let digest = digest(id, &secret);
        let (act, policy) = (act(owner, id), self.policy);
        let step =
            move |current: Option<&[u8]>| decide::rotate(current, &act, digest, &policy, now);
        let info = self.update(id, now, step).await??;
        let key = ApiKey::assemble(info.environment, id, &secret);
        Ok(Made { key, info })
    }

    /// Ends the grace of the secret before the present one, for good. Where there is none, nothing changes.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Corrupt`], [`Error::Store`].
    pub async fn end_grace(&self, owner: &str, id: KeyId, now: Timestamp) -> Result<(), Error> {
        let act = act(owner, id);
        let step = move |current: Option<&[u8]>| decide::end_grace(current, &act, now);
        self.update(id, now, step).await?
    }

    /// Revokes `owner`'s key at once, with both its secrets. It stays in the list until it is forgotten;
    /// revoking it again keeps the first instant.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Corrupt`], [`Error::Store`].
    pub async fn revoke(&self, owner: &str, id: KeyId, now: Timestamp) -> Result<KeyInfo, Error> {
        let (act, policy) = (act(owner, id), self.policy);
        let step = move |current: Option<&[u8]>| decide::revoke(current, &act, &policy, now);
        self.update(id, now, step).await?
    }

    /// Revokes those of `owner`'s keys that were not used for so long and whose present secret is as old;
    /// answers which. Each is judged and revoked in one act.
    ///
    /// A use is noted once a minute, so a minute more must have passed since the last note: no key goes that
    /// was used within the span, and one that was not may stay for up to a minute longer.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Store`]: keys before the one that failed are revoked, as the list shows.
    pub async fn revoke_unused(
        &self,
        owner: &str,
        for_at_least: Duration,
        now: Timestamp,
    ) -> Result<Vec<KeyId>, Error> {
        let mut revoked = Vec::new();
        for member in self.members(owner, now).await? {
            let (id, act) = (member.id, act(owner, member.id));
            let step = move |current: Option<&[u8]>| {
                decide::revoke_unused(current, &act, for_at_least, now)
            };
            match self.update(id, now, step).await? {
                Ok(true) => revoked.push(id),
                Ok(false) | Err(Error::Unknown) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(revoked)
    }

    /// Takes a revoked or expired key out of `owner`'s list, which makes room for another.
    ///
    /// # Errors
    /// [`Error::StillCounts`], [`Error::Unknown`], [`Error::Corrupt`], [`Error::Store`].
    pub async fn forget(&self, owner: &str, id: KeyId, now: Timestamp) -> Result<(), Error> {
        let (act, policy) = (act(owner, id), self.policy);
        let step = move |current: Option<&[u8]>| decide::forget(current, &act, &policy, now);
        let listed = self.update(id, now, step).await??;
        self.delist(owner, Member { id, listed }, now).await
    }

    /// Lists an id, after places that have no key were freed if there is no room otherwise.
    async fn enlist(&self, owner: &str, member: Member, now: Timestamp) -> Result<(), Error> {
        let (index, bytes) = (self.index(), member.to_bytes());
        let insert = || index.insert(&self.store, owner.as_bytes(), &bytes, now);
        match insert().await.map_err(Error::from) {
            Err(Error::TooManyKeys) => {}
            done => return done,
        }
        for listed in self.members(owner, now).await? {
            // Its creation may be under way.
            if now.saturating_since(listed.listed) < PENDING {
                continue;
            }
            let step = move |current: Option<&[u8]>| decide::vacate(current, now);
            if self.update(listed.id, now, step).await? {
                self.delist(owner, listed, now).await?;
            }
        }
        Ok(insert().await?)
    }

    async fn delist(&self, owner: &str, member: Member, now: Timestamp) -> Result<(), Error> {
        let bytes = member.to_bytes();
        let owner = owner.as_bytes();
        Ok(self.index().remove(&self.store, owner, &bytes, now).await?)
    }

    async fn members(&self, owner: &str, now: Timestamp) -> Result<Vec<Member>, Error> {
        let owner = owner.as_bytes();
        let members = self.index().members(&self.store, owner, now).await?;
        members
            .iter()
            .map(|bytes| Member::from_bytes(bytes).ok_or(Error::Corrupt))
            .collect()
    }

    /// As large as the policy says, so that creations at the same instant cannot overshoot it.
    fn index(&self) -> Index {
        Index::new(LISTED, 1, self.policy.keys_per_owner)
    }

    async fn update<T, F>(&self, id: KeyId, now: Timestamp, step: F) -> Result<T, Error>
    where
        F: Fn(Option<&[u8]>) -> (T, Next) + Send + 'static,
        T: Send + 'static,
    {
        let key = Key::new(API_KEY, id.as_bytes());
        Ok(self.store.update(key, now, step).await?)
    }
}

impl<S> fmt::Debug for ApiKeys<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeys")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// One entry of an owner's index: the key, and when it was listed, which is when it was created.
#[derive(Clone, Copy)]
struct Member {
    id: KeyId,
    listed: Timestamp,
}

impl Member {
    fn to_bytes(self) -> Vec<u8> {
        let listed = self.listed.as_unix_nanos().to_be_bytes();
        [self.id.as_bytes().as_slice(), &listed].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (id, listed) = bytes.split_first_chunk()?;
        let listed = u64::from_be_bytes(listed.try_into().ok()?);
        Some(Self {
            id: KeyId::from_bytes(*id),
            listed: Timestamp::from_unix_nanos(listed),
        })
    }
}

fn check_owner(owner: &str) -> Result<(), Error> {
    if owner.is_empty() || owner.len() > MAX_OWNER_LEN {
        return Err(Error::OwnerRefused);
    }
    Ok(())
}

fn act(owner: &str, id: KeyId) -> Act {
    Act {
        id,
        owner: owner.to_owned(),
    }
}

fn fresh_secret() -> Result<Zeroizing<[u8; SECRET_LEN]>, Error> {
    Ok(Zeroizing::new(entropy()?))
}

/// One row per key, under its id.
const API_KEY: Scope = Scope::new("api-key");
/// The ids of an owner's keys.
const LISTED: Scope = Scope::new("api-key-index");
/// How many ids a creation tries.
const ATTEMPTS: usize = 3;
/// How long a listed id without a key may be a creation that is under way.
const PENDING: Duration = Duration::from_secs(60);
