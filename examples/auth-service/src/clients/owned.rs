//! What the service keeps of a client's keys, whatever they are: listed, changed and forgotten by their own
//! client alone.

use std::fmt;
use std::time::Duration;

use portcullis::core::{AnyStore, Index, IndexError, Scope, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::key::{Life, State};
use super::listed;
use crate::records::{RecordError, Records};

/// A key that is rotated with a grace and revoked at once.
pub(crate) trait OwnedKey:
    Clone + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// Whose it is.
    fn client(&self) -> &str;
    /// When its present secret was made, and whether it was revoked.
    fn life(&self, max_age: Duration) -> Life;
    /// Until when what was in its place before counts, whether that is over or not.
    fn previous_until(&self) -> Option<u64>;
    /// What was in its place before counts no more.
    fn end_grace(&mut self);
    /// It counts no more, from that instant; the first one stays.
    fn revoke(&mut self, at: u64);
}

/// All keys of one kind, by their ids, with a list for each client.
#[derive(Clone)]
pub(crate) struct OwnedKeys<K> {
    store: AnyStore,
    records: Records<K>,
    lists: Index,
}

impl<K: OwnedKey> OwnedKeys<K> {
    /// The keys of `scope` in `store`.
    pub(crate) fn new(store: AnyStore, scope: Scope, lists: Index) -> Self {
        Self {
            records: Records::new(store.clone(), scope, UNKNOWN),
            store,
            lists,
        }
    }

    /// Keeps a new key. The list first: a key outside of it could not be revoked by whoever looks there. The
    /// id is held meanwhile, so that nobody takes it off the list before the key is there.
    pub(crate) async fn create(
        &self,
        id: &str,
        key: &K,
        now: Timestamp,
    ) -> Result<(), RecordError> {
        let hold = self
            .records
            .hold(id, now, |_| Err(RecordError::Taken))
            .await?;
        if let Err(error) = self.enlist(key.client(), id, now).await {
            self.records.release(id, hold, now).await?;
            return Err(error);
        }
        self.records.fill(id, hold, key, now).await
    }

    /// Lists an id, after places without a key were freed if there is no room otherwise.
    async fn enlist(&self, client: &str, id: &str, now: Timestamp) -> Result<(), RecordError> {
        let insert = || {
            self.lists
                .insert(&self.store, client.as_bytes(), id.as_bytes(), now)
        };
        match insert().await {
            Err(IndexError::Full(_)) => self.vacate(client, now).await?,
            done => return Ok(done?),
        }
        Ok(insert().await?)
    }

    /// Takes off a client's list what has no key: what an act that was cut off left there. An id that is held
    /// stays: its creation may be under way.
    async fn vacate(&self, client: &str, now: Timestamp) -> Result<(), RecordError> {
        for id in listed(&self.lists, &self.store, client.as_bytes(), now).await? {
            let owner = client.to_owned();
            let may = move |held: &K| {
                refuse_another(held, &owner)?;
                Err(RecordError::Taken)
            };
            match self.records.hold(&id, now, may).await {
                Ok(hold) => {
                    self.unlist(client, &id, now).await?;
                    self.records.release(&id, hold, now).await?;
                }
                Err(RecordError::Unknown(_)) => self.unlist(client, &id, now).await?,
                Err(RecordError::Taken | RecordError::Conflict(_) | RecordError::Corrupt) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The key of that id, whosever it is.
    pub(crate) async fn get(&self, id: &str, now: Timestamp) -> Result<Option<K>, RecordError> {
        self.records.get(id, now).await
    }

    /// A client's keys.
    pub(crate) async fn list(&self, client: &str, now: Timestamp) -> Result<Vec<K>, RecordError> {
        let mut keys = Vec::new();
        for id in listed(&self.lists, &self.store, client.as_bytes(), now).await? {
            let held = self.get(&id, now).await?;
            keys.extend(held.filter(|held| held.client() == client));
        }
        Ok(keys)
    }

    /// Ends the grace of what was in the key's place before.
    pub(crate) async fn end_grace(
        &self,
        key: (&str, &str),
        now: Timestamp,
    ) -> Result<(), RecordError> {
        let end = |held: &mut K| {
            held.end_grace();
            Ok(())
        };
        self.change(key, now, end).await.map(drop)
    }

    /// Revokes the key, and what was in its place before, at once.
    pub(crate) async fn revoke(&self, key: (&str, &str), now: Timestamp) -> Result<K, RecordError> {
        let revoke = move |held: &mut K| {
            held.revoke(now.as_unix_nanos());
            held.end_grace();
            Ok(())
        };
        self.change(key, now, revoke).await
    }

    /// Whether a client's list has an id under which there is no key.
    pub(crate) async fn is_left(
        &self,
        (client, id): (&str, &str),
        now: Timestamp,
    ) -> Result<bool, RecordError> {
        if self.get(id, now).await?.is_some() {
            return Ok(false);
        }
        let ids = listed(&self.lists, &self.store, client.as_bytes(), now).await?;
        Ok(ids.iter().any(|listed| listed == id))
    }

    /// Forgets a key that counts no more, so that the list has room. Where it was cut off it is done again;
    /// meanwhile the id is held, so that no other key of it comes to be before it is off the list.
    pub(crate) async fn forget(
        &self,
        (client, id): (&str, &str),
        max_age: Duration,
        now: Timestamp,
    ) -> Result<(), RecordError> {
        let owner = client.to_owned();
        let over = move |held: &K| {
            refuse_another(held, &owner)?;
            match held.life(max_age).state(now) {
                State::Revoked | State::Expired => Ok(()),
                State::Active | State::RotateSoon => Err(RecordError::Conflict(
                    "The key still counts: revoke it first.",
                )),
            }
        };
        let hold = self.records.hold(id, now, over).await?;
        self.unlist(client, id, now).await?;
        self.records.release(id, hold, now).await
    }

    /// Takes an id off a client's list, and puts it back if its key is there after all: who held it for longer
    /// than a hold lasts may have come too late.
    async fn unlist(&self, client: &str, id: &str, now: Timestamp) -> Result<(), RecordError> {
        let (owner, member) = (client.as_bytes(), id.as_bytes());
        self.lists.remove(&self.store, owner, member, now).await?;
        let held = self.get(id, now).await?;
        if held.is_some_and(|held| held.client() == client) {
            self.lists.insert(&self.store, owner, member, now).await?;
        }
        Ok(())
    }

    /// Rotates a client's key by `change`, which is told until when the present one still counts: for
    /// `grace`, and never past its own end. A second rotation waits for the first: it would cut off whoever
    /// still uses what was there before.
    pub(crate) async fn rotate(
        &self,
        key: (&str, &str),
        (grace, max_age): (Duration, Duration),
        now: Timestamp,
        change: impl Fn(&mut K, u64) -> Result<(), RecordError> + Send + 'static,
    ) -> Result<K, RecordError> {
        let rotate = move |held: &mut K| {
            let life = held.life(max_age);
            refuse_unless_rotatable(&life, held.previous_until(), now)?;
            let until = now.saturating_add(grace).min(life.expires_at());
            change(held, until.as_unix_nanos())
        };
        self.change(key, now, rotate).await
    }

    /// Changes a client's key as one act.
    pub(crate) async fn change(
        &self,
        (client, id): (&str, &str),
        now: Timestamp,
        change: impl Fn(&mut K) -> Result<(), RecordError> + Send + 'static,
    ) -> Result<K, RecordError> {
        let owner = client.to_owned();
        let change = move |held: &mut K| {
            refuse_another(held, &owner)?;
            change(held)
        };
        self.records.change(id, now, change).await
    }
}

impl<K> fmt::Debug for OwnedKeys<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.records.fmt(f)
    }
}

/// Another client's key is not there.
fn refuse_another(held: &impl OwnedKey, client: &str) -> Result<(), RecordError> {
    if held.client() == client {
        return Ok(());
    }
    Err(RecordError::Unknown(UNKNOWN))
}

fn refuse_unless_rotatable(
    life: &Life,
    previous_until: Option<u64>,
    now: Timestamp,
) -> Result<(), RecordError> {
    if life.state(now) == State::Revoked {
        return Err(RecordError::Conflict("The key is revoked: make a new one."));
    }
    let settled = life.made_at.saturating_add(SETTLING).as_unix_nanos();
    if previous_until.is_some_and(|until| until.max(settled) > now.as_unix_nanos()) {
        return Err(RecordError::Conflict(
            "The key before still counts, or was replaced just now: end its grace first, or wait for it.",
        ));
    }
    Ok(())
}

const UNKNOWN: &str = "There is no such key.";
/// Of two rotations at once the second must not end what the first has just shown.
pub(crate) const SETTLING: Duration = Duration::from_secs(10);

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "tests")]
mod tests;
