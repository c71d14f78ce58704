//! What every check holds: a store behind handles, and small steps.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, yield_now};

use super::{Law, Violation};
use crate::{Failure, Key, Next, Scope, Store, Timestamp, Value};

/// A store behind handles, and the law under which its failures are reported.
pub(super) struct Bench<S> {
    pub(super) store: Arc<S>,
    law: Law,
}

impl<S> Clone for Bench<S> {
    fn clone(&self) -> Self {
        let (store, law) = (Arc::clone(&self.store), self.law);
        Self { store, law }
    }
}

impl<S: Store + 'static> Bench<S> {
    pub(super) fn new(law: Law, store: S) -> Self {
        let store = Arc::new(store);
        Self { store, law }
    }

    pub(super) fn broken(&self, what: impl Into<String>) -> Violation {
        Violation::new(self.law, what)
    }

    pub(super) fn died(&self, error: &JoinError) -> Violation {
        self.broken(format!("an innocent caller died: {error}"))
    }

    /// Tries again while contended: that wrote nothing.
    pub(super) async fn update<T, F>(
        &self,
        key: Key,
        now: Timestamp,
        step: F,
    ) -> Result<T, Violation>
    where
        F: Fn(Option<&[u8]>) -> (T, Next) + Clone + Send + 'static,
        T: Send + 'static,
    {
        for _ in 0..ATTEMPTS {
            match self.store.update(key, now, step.clone()).await {
                Err(Failure::Contended) => yield_now().await,
                answer => {
                    return answer.map_err(|failure| self.broken(format!("it failed: {failure}")));
                }
            }
        }
        Err(self.broken(format!("contended {ATTEMPTS} times in a row")))
    }

    pub(super) async fn act(&self, key: Key, next: Next) -> Result<(), Violation> {
        self.update(key, NOW, move |_| ((), next.clone())).await
    }

    pub(super) async fn read(
        &self,
        key: Key,
        now: Timestamp,
    ) -> Result<Option<Vec<u8>>, Violation> {
        let see = |current: Option<&[u8]>| (current.map(<[u8]>::to_vec), Next::Keep);
        let seen = self.update(key, now, see).await?;
        if seen.as_ref().is_some_and(Vec::is_empty) {
            let what = "a step was shown an empty slice";
            return Err(Violation::new(Law::NeverEmpty, what));
        }
        Ok(seen)
    }

    pub(super) async fn expect(
        &self,
        key: Key,
        now: Timestamp,
        held: Option<&[u8]>,
        when: &str,
    ) -> Result<(), Violation> {
        let seen = self.read(key, now).await?;
        if seen.as_deref() == held {
            return Ok(());
        }
        let word = |bytes: Option<&[u8]>| bytes.map_or("nothing", |_| "a value");
        let (seen, held) = (word(seen.as_deref()), word(held));
        Err(self.broken(format!("{seen} was seen where {held} belongs, {when}")))
    }

    pub(super) async fn count(&self, key: Key) -> Result<u64, Violation> {
        let number = self.update(key, NOW, count).await?;
        number.ok_or_else(|| self.broken("a count was shown bytes that no count had left"))
    }
}

/// Counts one more; no answer for bytes that are no count.
pub(super) fn count(current: Option<&[u8]>) -> (Option<u64>, Next) {
    let seen = current.map_or(Some(0), |bytes| {
        bytes.try_into().ok().map(u64::from_be_bytes)
    });
    match seen.and_then(|seen| seen.checked_add(1)) {
        Some(number) => (Some(number), put(&number.to_be_bytes(), LATER)),
        None => (None, Next::Keep),
    }
}

pub(super) fn put(bytes: &[u8], expires_at: Timestamp) -> Next {
    let value = Value::new(bytes);
    Next::Put { value, expires_at }
}

pub(super) fn key(bytes: &[u8]) -> Key {
    Key::new(SCOPE, bytes)
}

pub(super) const SCOPE: Scope = Scope::new("conformance");
pub(super) const OTHER: Scope = Scope::new("other");
pub(super) const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);
pub(super) const LATER: Timestamp = Timestamp::from_unix_secs(1_700_086_400);
/// Far beyond what any check takes on a slow disk: a store that does not answer is broken.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
const ATTEMPTS: u32 = 1_000;
