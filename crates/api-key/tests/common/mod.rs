//! What the tests share.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis_api_key::{ApiKey, ApiKeys, Environment, Error, KeyProof, Made, NewKey, Policy};
use portcullis_core::testing::Faulty;
use portcullis_core::{Durability, Failure, Key, Memory, Next, Scope, Store, Timestamp, Value};

pub const START: Timestamp = Timestamp::from_unix_secs(1_700_000_000);
pub const DAY: u64 = 24 * 3600;
/// Where the crate keeps its rows and its lists.
pub const ROWS: Scope = Scope::new("api-key");
pub const LISTS: Scope = Scope::new("api-key-index");

/// `secs` after the start.
pub fn at(secs: u64) -> Timestamp {
    START.saturating_add(Duration::from_secs(secs))
}

pub fn policy() -> Policy {
    Policy::accepting(&[Environment::Live])
        .unwrap()
        .dangerous_allow_volatile()
}

pub fn new() -> NewKey {
    let new = NewKey::new("import", Environment::Live).unwrap();
    new.scope("orders:read").unwrap()
}

/// Keys in a store that fails, counts, pauses and is read on command.
pub struct Rig {
    pub keys: ApiKeys<Recorded>,
    pub store: Recorded,
}

/// Acme's key, made at the start.
pub struct Owned {
    pub rig: Rig,
    pub made: Made,
}

impl Rig {
    pub fn new() -> Self {
        Self::with(policy())
    }

    pub fn with(policy: Policy) -> Self {
        let store = Recorded {
            store: Faulty::new(Memory::new(START)),
            seen: Arc::default(),
        };
        Self {
            keys: ApiKeys::new(store.clone(), policy).unwrap(),
            store,
        }
    }

    /// Another replica over the same store.
    pub fn replica(&self) -> ApiKeys<Recorded> {
        ApiKeys::new(self.store.clone(), policy()).unwrap()
    }

    pub async fn create(&self, owner: &str, now: Timestamp) -> Result<Made, Error> {
        self.keys.create(owner, new(), now).await
    }

    pub async fn owned() -> Owned {
        let rig = Self::new();
        let made = rig.create("acme", START).await.unwrap();
        Owned { rig, made }
    }
}

impl Owned {
    pub async fn verify(&self, key: &ApiKey, now: Timestamp) -> Result<KeyProof, Error> {
        self.rig.keys.verify(key, now).await
    }

    pub async fn rotate(&self, now: Timestamp) -> Result<Made, Error> {
        self.rig.keys.rotate("acme", self.made.info.id, now).await
    }
}

/// A store that remembers every value that it was ever given.
#[derive(Clone)]
pub struct Recorded {
    pub store: Faulty<Memory>,
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Recorded {
    pub fn ever_stored(&self) -> Vec<Vec<u8>> {
        self.seen.lock().unwrap().clone()
    }

    /// Puts `value` under the key's own place.
    pub async fn put(&self, key: Key, value: Option<Vec<u8>>) {
        let write = move |_: Option<&[u8]>| {
            let next = value.as_ref().map_or(Next::Remove, |value| Next::Put {
                value: Value::new(value),
                expires_at: Timestamp::MAX,
            });
            ((), next)
        };
        self.store.update(key, START, write).await.unwrap();
    }

    pub async fn get(&self, key: Key) -> Option<Vec<u8>> {
        let read = |current: Option<&[u8]>| (current.map(<[u8]>::to_vec), Next::Keep);
        self.store.update(key, START, read).await.unwrap()
    }
}

impl Store for Recorded {
    async fn update<T, F>(&self, key: Key, now: Timestamp, step: F) -> Result<T, Failure>
    where
        F: Fn(Option<&[u8]>) -> (T, Next) + Send + 'static,
        T: Send + 'static,
    {
        let seen = Arc::clone(&self.seen);
        let recorded = move |current: Option<&[u8]>| {
            let (answer, next) = step(current);
            if let Next::Put { value, .. } = &next {
                seen.lock().unwrap().push(value.as_bytes().to_vec());
            }
            (answer, next)
        };
        self.store.update(key, now, recorded).await
    }

    fn durability(&self) -> Durability {
        self.store.durability()
    }

    fn birth(&self) -> Timestamp {
        self.store.birth()
    }
}
