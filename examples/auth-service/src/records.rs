//! Durable records in the store: one version byte, then JSON.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use portcullis::core::{
    AnyStore, EntropyUnavailable, Failure, IndexError, Key, Next, Scope, Store, Timestamp, Value,
    entropy,
};
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
    /// The system gave no randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyUnavailable),
}

/// Leave to make or to take away what is under an id, and to change where that id is listed: two writes, which
/// nobody else comes between. It lies in the record's own place, and ends by itself if whoever has it is gone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hold([u8; HOLD_LEN]);

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

    /// Holds the id, where there is no record or `may` lets it go; it is gone then.
    pub(crate) async fn hold(
        &self,
        id: &str,
        now: Timestamp,
        may: impl Fn(&T) -> Result<(), RecordError> + Send + 'static,
    ) -> Result<Hold, RecordError> {
        let hold = Hold::new(now)?;
        let step = move |current: Option<&[u8]>| {
            let judged = match Standing::of(current, now) {
                Standing::Nothing => Ok(()),
                Standing::Held => Err(RecordError::Conflict(UNDER_WAY)),
                Standing::Record(bytes) => decode(bytes).and_then(|record| may(&record)),
            };
            let next = judged.as_ref().map_or(Next::Keep, |()| hold.put());
            (judged.map(|()| hold), next)
        };
        self.store.update(self.key(id), now, step).await?
    }

    /// Keeps a new record under an id that is still held.
    pub(crate) async fn fill(
        &self,
        id: &str,
        hold: Hold,
        record: &T,
        now: Timestamp,
    ) -> Result<(), RecordError> {
        let record = encode(record)?;
        let step = move |current: Option<&[u8]>| match current {
            Some(held) if *held == hold.0 => (Ok(()), durable(record.clone())),
            _ => (Err(RecordError::Changed), Next::Keep),
        };
        self.store.update(self.key(id), now, step).await?
    }

    /// Lets the id go.
    pub(crate) async fn release(
        &self,
        id: &str,
        hold: Hold,
        now: Timestamp,
    ) -> Result<(), RecordError> {
        let step = move |current: Option<&[u8]>| match current {
            Some(held) if *held == hold.0 => ((), Next::Remove),
            _ => ((), Next::Keep),
        };
        Ok(self.store.update(self.key(id), now, step).await?)
    }

    /// The record of that id.
    pub(crate) async fn get(&self, id: &str, now: Timestamp) -> Result<Option<T>, RecordError> {
        let read = move |current: Option<&[u8]>| {
            let held = Standing::of(current, now).record();
            (held.map(decode).transpose(), Next::Keep)
        };
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
                let held = Standing::of(current, now).record();
                let mut record = decode(held.ok_or(RecordError::Unknown(unknown))?)?;
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

impl Hold {
    fn new(now: Timestamp) -> Result<Self, RecordError> {
        let until = now.saturating_add(HOLD_LIFE).as_unix_nanos().to_be_bytes();
        let mut bytes = [HOLD; HOLD_LEN];
        let random = entropy::<16>()?;
        let place = bytes.iter_mut().skip(1);
        for (place, byte) in place.zip(until.iter().chain(&random)) {
            *place = *byte;
        }
        Ok(Self(bytes))
    }

    fn put(&self) -> Next {
        Next::Put {
            value: Value::new(&self.0),
            expires_at: self.until(),
        }
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let bytes = <[u8; HOLD_LEN]>::try_from(bytes).ok()?;
        bytes.starts_with(&[HOLD]).then_some(Self(bytes))
    }

    /// Of two requests the later one may have taken it first: it may have a little more than its life before it.
    fn lasts(&self, now: Timestamp) -> bool {
        let until = self.until();
        until > now && until <= now.saturating_add(HOLD_LIFE).saturating_add(HOLD_LIFE)
    }

    fn until(&self) -> Timestamp {
        let until = self.0.get(1..9).and_then(|bytes| bytes.try_into().ok());
        Timestamp::from_unix_nanos(u64::from_be_bytes(until.unwrap_or_default()))
    }
}

/// What stands under an id at an instant.
enum Standing<'a> {
    Nothing,
    Held,
    Record(&'a [u8]),
}

impl<'a> Standing<'a> {
    /// A hold that is over is none, whether the store has cleaned it away or not; nor is one of a clock that ran
    /// ahead, which nobody would see the end of.
    fn of(current: Option<&'a [u8]>, now: Timestamp) -> Self {
        match current.map(|bytes| (bytes, Hold::read(bytes))) {
            None => Self::Nothing,
            Some((_, Some(hold))) if hold.lasts(now) => Self::Held,
            Some((_, Some(_))) => Self::Nothing,
            Some((bytes, None)) => Self::Record(bytes),
        }
    }

    const fn record(self) -> Option<&'a [u8]> {
        match self {
            Self::Record(bytes) => Some(bytes),
            Self::Nothing | Self::Held => None,
        }
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
/// Stands in a version's place; then until when, 8 bytes, and 16 that no other hold has.
const HOLD: u8 = 0;
const HOLD_LEN: usize = 25;
/// Longer than any request is under way.
const HOLD_LIFE: Duration = Duration::from_secs(60);
const UNDER_WAY: &str = "It is being made or forgotten just now: try again in a minute.";

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "tests")]
mod tests;
