//! Durable records in the store: one version byte, then JSON.

use std::fmt;
use std::marker::PhantomData;

use portcullis::core::{AnyStore, Failure, IndexError, Key, Next, Scope, Store, Timestamp, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// All records of one kind, by their ids.
pub(crate) struct Records<T> {
    store: AnyStore,
    scope: Scope,
    /// What is said where there is none of that id.
    unknown: &'static str,
    kind: PhantomData<fn() -> T>,
}

/// Why a record could not be made, found or changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RecordError {
    /// The id is taken.
    #[error("the name is taken")]
    Taken,
    /// There is none; the text says so to a person.
    #[error("{0}")]
    Unknown(&'static str),
    /// It changed meanwhile.
    #[error("the record changed meanwhile")]
    Changed,
    /// It is not in a state to be changed so; the text says so to a person.
    #[error("{0}")]
    Conflict(&'static str),
    /// The list is full, or the store failed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Failure),
    /// A record does not decode.
    #[error("a record does not decode")]
    Corrupt,
}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Records<T> {
    /// The records of `scope` in `store`.
    pub(crate) const fn new(store: AnyStore, scope: Scope, unknown: &'static str) -> Self {
        Self {
            store,
            scope,
            unknown,
            kind: PhantomData,
        }
    }

    /// Keeps a new record.
    pub(crate) async fn create(
        &self,
        id: &str,
        record: &T,
        now: Timestamp,
    ) -> Result<(), RecordError> {
        let record = encode(record)?;
        let step = move |current: Option<&[u8]>| match current {
            Some(_) => (Err(RecordError::Taken), Next::Keep),
            None => (Ok(()), durable(record.clone())),
        };
        self.store.update(self.key(id), now, step).await?
    }

    /// The record of that id.
    pub(crate) async fn get(&self, id: &str, now: Timestamp) -> Result<Option<T>, RecordError> {
        let read = |current: Option<&[u8]>| (current.map(decode).transpose(), Next::Keep);
        self.store.update(self.key(id), now, read).await?
    }

    /// Changes the record of that id as one act, or refuses and leaves it; the record as it is then.
    pub(crate) async fn change(
        &self,
        id: &str,
        now: Timestamp,
        change: impl Fn(&mut T) -> Result<(), RecordError> + Send + 'static,
    ) -> Result<T, RecordError> {
        let unknown = self.unknown;
        let step = move |current: Option<&[u8]>| {
            let changed = || {
                let mut record = decode(current.ok_or(RecordError::Unknown(unknown))?)?;
                change(&mut record)?;
                let bytes = encode(&record)?;
                Ok((record, bytes))
            };
            match changed() {
                Ok((record, bytes)) => (Ok(record), durable(bytes)),
                Err(error) => (Err(error), Next::Keep),
            }
        };
        self.store.update(self.key(id), now, step).await?
    }

    /// Removes the record of that id if `may` says so; of one that is not there nothing is left to remove.
    pub(crate) async fn remove(
        &self,
        id: &str,
        now: Timestamp,
        may: impl Fn(&T) -> Result<(), RecordError> + Send + 'static,
    ) -> Result<(), RecordError> {
        let step = move |current: Option<&[u8]>| {
            let judged = current.map_or(Ok(()), |bytes| may(&decode(bytes)?));
            let next = judged.as_ref().map_or(Next::Keep, |()| Next::Remove);
            (judged, next)
        };
        self.store.update(self.key(id), now, step).await?
    }

    fn key(&self, id: &str) -> Key {
        Key::new(self.scope, id.as_bytes())
    }
}

impl<T> Clone for Records<T> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            ..*self
        }
    }
}

impl<T> fmt::Debug for Records<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Records({})", self.scope)
    }
}

fn durable(record: Vec<u8>) -> Next {
    Next::Put {
        value: Value::from(record),
        expires_at: Timestamp::MAX,
    }
}

pub(crate) fn encode<T: Serialize>(record: &T) -> Result<Vec<u8>, RecordError> {
    let mut bytes = vec![VERSION];
    serde_json::to_writer(&mut bytes, record).map_err(|_| RecordError::Corrupt)?;
    Ok(bytes)
}

pub(crate) fn decode<T: DeserializeOwned>(record: &[u8]) -> Result<T, RecordError> {
    let json = record
        .strip_prefix(&[VERSION])
        .ok_or(RecordError::Corrupt)?;
    serde_json::from_slice(json).map_err(|_| RecordError::Corrupt)
}

const VERSION: u8 = 1;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "tests")]
mod tests;
