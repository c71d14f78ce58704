//! The store of one process: sharded, bounded, gone when the process ends.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::time::Duration;

use hashbrown::HashTable;

use crate::{Cause, Durability, Failure, Key, Next, Scope, Store, Timestamp, Value};

/// How much a [`Memory`] store keeps.
///
/// The default admits 1 000 000 live keys in each scope (about 150 MB of small values), enough for
/// a busy service and small enough to survive a flood of unique keys.
#[derive(Clone, Debug)]
pub struct MemoryPolicy {
    keys_per_scope: usize,
    caps: HashMap<Scope, usize>,
}

impl Default for MemoryPolicy {
    fn default() -> Self {
        Self {
            keys_per_scope: 1_000_000,
            caps: HashMap::new(),
        }
    }
}

impl MemoryPolicy {
    /// Every scope without a cap of its own keeps at most `keys` live keys.
    #[must_use]
    pub fn keys_per_scope(mut self, keys: usize) -> Self {
        self.keys_per_scope = keys;
        self
    }

    /// `scope` keeps at most `keys` live keys, whatever the others may.
    #[must_use]
    pub fn cap(mut self, scope: Scope, keys: usize) -> Self {
        self.caps.insert(scope, keys);
        self
    }

    fn cap_of(&self, scope: Scope) -> usize {
        self.caps
            .get(&scope)
            .copied()
            .unwrap_or(self.keys_per_scope)
    }
}

/// A [`Store`] in the process's own memory: the step runs under its shard's lock, without allocating.
///
/// It is [`Durability::Volatile`]: for rate limits, lockout counters and tests. A scope that is full
/// of live keys refuses new ones ([`Cause::Full`]) and forgets none.
///
/// Expired values are cleaned away a minute late, so that a caller whose `now` lags a little still
/// finds what it put.
pub struct Memory {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    /// In the order in which scopes came.
    counts: [OnceLock<(Scope, Count)>; PLACES],
    others: Mutex<HashMap<Scope, Arc<Count>>>,
    policy: MemoryPolicy,
    birth: Timestamp,
}

struct Shard {
    table: HashTable<Entry>,
    /// The length at which the next insertion sweeps first: twice what the last sweep left.
    sweep_at: usize,
}

struct Entry {
    /// Of the key: a table that grows need not hash again what it holds.
    hash: u64,
    key: Key,
    value: Value,
    expires_at: Timestamp,
}

struct Count {
    keys: AtomicUsize,
    cap: usize,
    /// When a full scope may next be swept whole, so that a flood cannot buy a sweep per request.
    sweep_after: AtomicU64,
}

impl Count {
    fn new(policy: &MemoryPolicy, scope: Scope) -> Self {
        Self {
            keys: AtomicUsize::new(0),
            cap: policy.cap_of(scope),
            sweep_after: AtomicU64::new(0),
        }
    }
}

enum CountOf<'a> {
    Placed(&'a Count),
    Shared(Arc<Count>),
}

impl Deref for CountOf<'_> {
    type Target = Count;

    fn deref(&self) -> &Count {
        match self {
            Self::Placed(count) => count,
            Self::Shared(count) => count,
        }
    }
}

impl Memory {
    /// A store with the default policy whose memory begins at `birth`, the present instant.
    #[must_use]
    pub fn new(birth: Timestamp) -> Self {
        Self::with_policy(birth, MemoryPolicy::default())
    }

    /// A store with that policy whose memory begins at `birth`.
    #[must_use]
    pub fn with_policy(birth: Timestamp, policy: MemoryPolicy) -> Self {
        let shard = || {
            Mutex::new(Shard {
                table: HashTable::new(),
                sweep_at: FIRST_SWEEP,
            })
        };
        Self {
            shards: (0..SHARDS).map(|_| shard()).collect(),
            hasher: RandomState::new(),
            counts: [const { OnceLock::new() }; PLACES],
            others: Mutex::new(HashMap::new()),
            policy,
            birth,
        }
    }

    /// How many keys `scope` holds, expired ones that were not yet cleaned away included.
    #[must_use]
    pub fn len(&self, scope: Scope) -> usize {
        self.count(scope).keys.load(Ordering::Relaxed)
    }

    /// Whether `scope` holds no key.
    #[must_use]
    pub fn is_empty(&self, scope: Scope) -> bool {
        self.len(scope) == 0
    }

    pub(crate) fn apply<T>(
        &self,
        key: &Key,
        now: Timestamp,
        step: &impl Fn(Option<&[u8]>) -> (T, Next),
    ) -> Result<T, Failure> {
        let hash = self.hasher.hash_one(key);
        let mut shard = self.shard(hash);
        if let Some(entry) = shard.table.find_mut(hash, |entry| entry.key == *key) {
            let (answer, next) = step(Some(entry.value.as_bytes()));
            match next {
                Next::Keep | Next::Settled => {}
                Next::Put { value, expires_at } => {
                    value.check()?;
                    entry.value = value;
                    entry.expires_at = expires_at;
                }
                Next::Remove => {
                    if let Ok(found) = shard.table.find_entry(hash, |entry| entry.key == *key) {
                        found.remove();
                        self.count(key.scope()).keys.fetch_sub(1, Ordering::Relaxed);
                    }
                }
            }
            return Ok(answer);
        }
        let (answer, next) = step(None);
        if let Next::Put { value, expires_at } = next {
            value.check()?;
            self.reserve(key.scope(), now, &mut shard)?;
            // It was not there a moment ago, and the lock was held since.
            let entry = Entry {
                hash,
                key: *key,
                value,
                expires_at,
            };
            shard.table.insert_unique(hash, entry, |entry| entry.hash);
        }
        Ok(answer)
    }

    /// Counts one more key in `scope`, or refuses because its cap is reached.
    fn reserve(&self, scope: Scope, now: Timestamp, shard: &mut Shard) -> Result<(), Failure> {
        if shard.table.len() >= shard.sweep_at {
            self.sweep(shard, now);
        }
        let count = self.count(scope);
        let taken = |count: &Count| {
            count
                .keys
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |keys| {
                    (keys < count.cap).then(|| keys.saturating_add(1))
                })
        };
        if taken(&count).is_ok() {
            return Ok(());
        }
        self.sweep_full(&count, now, shard);
        taken(&count)
            .map(drop)
            .map_err(|_| Failure::Unavailable(Cause::Full { scope }))
    }

    /// Drops the expired from this shard and from those nobody holds, at most once a second.
    fn sweep_full(&self, count: &Count, now: Timestamp, held: &mut Shard) {
        let due = count.sweep_after.load(Ordering::Relaxed);
        let next = now.saturating_add(Duration::from_secs(1)).as_unix_nanos();
        if now.as_unix_nanos() < due
            || count
                .sweep_after
                .compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_err()
        {
            return;
        }
        self.sweep(held, now);
        for shard in &self.shards {
            // `try_lock`: the caller's own shard is held, and two sweepers must not wait on each other.
            let mut shard = match shard.try_lock() {
                Ok(shard) => shard,
                Err(TryLockError::Poisoned(whole)) => whole.into_inner(),
                Err(TryLockError::WouldBlock) => continue,
            };
            self.sweep(&mut shard, now);
        }
    }

    fn sweep(&self, shard: &mut Shard, now: Timestamp) {
        let mut gone: HashMap<Scope, usize> = HashMap::new();
        shard.table.retain(|entry| {
            let live = entry.expires_at.saturating_add(MARGIN) > now;
            if !live {
                let dropped = gone.entry(entry.key.scope()).or_default();
                *dropped = dropped.saturating_add(1);
            }
            live
        });
        for (scope, keys) in gone {
            self.count(scope).keys.fetch_sub(keys, Ordering::Relaxed);
        }
        shard.sweep_at = shard.table.len().saturating_mul(2).max(FIRST_SWEEP);
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, Shard> {
        // The table uses the low bits and the top seven; these come from between.
        let at = usize::try_from(hash >> 40).unwrap_or(0) & SHARDS.saturating_sub(1);
        #[expect(
            clippy::indexing_slicing,
            reason = "there are SHARDS shards, a power of two"
        )]
        let shard = &self.shards[at];
        // A step that panics does so before anything is changed: the shard is whole.
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The count of that scope. Every insertion asks for it, so it is found without a lock; scopes beyond
    /// the places kept for that share a map.
    fn count(&self, scope: Scope) -> CountOf<'_> {
        for place in &self.counts {
            let (kept, count) = place.get_or_init(|| (scope, Count::new(&self.policy, scope)));
            if *kept == scope {
                return CountOf::Placed(count);
            }
        }
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Arc::new(Count::new(&self.policy, scope));
        CountOf::Shared(Arc::clone(others.entry(scope).or_insert_with(fresh)))
    }
}

impl Store for Memory {
    async fn update<T, F>(&self, key: Key, now: Timestamp, step: F) -> Result<T, Failure>
    where
        F: Fn(Option<&[u8]>) -> (T, Next) + Send + 'static,
        T: Send + 'static,
    {
        self.apply(&key, now, &step)
    }

    fn durability(&self) -> Durability {
        Durability::Volatile
    }

    fn birth(&self) -> Timestamp {
        self.birth
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("birth", &self.birth)
            .finish_non_exhaustive()
    }
}

/// A power of two, several times the cores of a usual machine.
const SHARDS: usize = 64;
const FIRST_SWEEP: usize = 1024;
/// More scopes than these crates have together.
const PLACES: usize = 32;
/// How long past its expiry a value is kept: more than requests in flight lag behind each other.
const MARGIN: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Scope = Scope::new("small");
    const OTHER: Scope = Scope::new("other");

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_unix_secs(secs)
    }

    fn put(store: &Memory, key: Key, now: u64, expires: u64) -> Result<bool, Failure> {
        store.apply(&key, at(now), &|current| {
            (
                current.is_some(),
                Next::Put {
                    value: Value::new(b"x"),
                    expires_at: at(expires),
                },
            )
        })
    }

    fn small(keys: usize) -> Memory {
        Memory::with_policy(at(0), MemoryPolicy::default().cap(SMALL, keys))
    }

    #[test]
    fn every_scope_is_counted_apart_however_many_there_are() {
        let store = Memory::with_policy(at(0), MemoryPolicy::default().keys_per_scope(1));
        let scopes = (0..PLACES * 2).map(|id| Scope::new(format!("scope-{id}").leak()));
        let scopes: Vec<Scope> = scopes.collect();
        for scope in &scopes {
            assert_eq!(put(&store, Key::new(*scope, b"one"), 1, 1000), Ok(false));
        }
        for scope in scopes {
            let full = put(&store, Key::new(scope, b"two"), 1, 1000);
            assert_eq!(full, Err(Failure::Unavailable(Cause::Full { scope })));
            assert_eq!(store.len(scope), 1);
        }
    }

    #[test]
    fn a_full_scope_refuses_new_keys_and_forgets_none() {
        let store = small(100);
        for id in 0_u32..100 {
            assert_eq!(
                put(&store, Key::new(SMALL, &id.to_le_bytes()), 1, 1000),
                Ok(false)
            );
        }
        let full = Err(Failure::Unavailable(Cause::Full { scope: SMALL }));
        assert_eq!(put(&store, Key::new(SMALL, b"new"), 2, 1000), full);
        for id in 0_u32..100 {
            assert_eq!(
                put(&store, Key::new(SMALL, &id.to_le_bytes()), 3, 1000),
                Ok(true)
            );
        }
        assert_eq!(
            put(&store, Key::new(OTHER, b"new"), 3, 1000),
            Ok(false),
            "scopes do not share caps"
        );
    }

    #[test]
    fn a_full_scope_admits_again_once_its_keys_have_expired() {
        let store = small(10);
        for id in 0_u8..10 {
            put(&store, Key::new(SMALL, &[id]), 1, 100).unwrap();
        }
        assert!(
            put(&store, Key::new(SMALL, b"new"), 130, 200).is_err(),
            "within the margin"
        );
        assert_eq!(put(&store, Key::new(SMALL, b"new"), 161, 200), Ok(false));
        assert_eq!(store.len(SMALL), 1);
    }

    #[test]
    fn a_flood_against_a_full_scope_buys_one_sweep_a_second() {
        let store = small(10);
        for id in 0_u8..10 {
            put(&store, Key::new(SMALL, &[id]), 1, 100).unwrap();
        }
        let flood = |millis: u64| {
            store.apply(
                &Key::new(SMALL, b"new"),
                Timestamp::from_unix_millis(millis),
                &|_| {
                    let value = Value::new(b"x");
                    let expires_at = Timestamp::MAX;
                    ((), Next::Put { value, expires_at })
                },
            )
        };
        // Swept in vain half a second before the keys may go; due again half a second after.
        assert!(flood(159_500).is_err());
        assert!(flood(160_499).is_err());
        assert_eq!(flood(160_500), Ok(()));
    }

    #[test]
    fn a_step_that_panicked_does_not_keep_its_shards_expired_keys_for_ever() {
        let store = small(500);
        for id in 0_u32..500 {
            let key = Key::new(SMALL, &id.to_le_bytes());
            put(&store, key, 1, 100).unwrap();
            let step = |_: Option<&[u8]>| -> ((), Next) { std::panic::resume_unwind(Box::new(())) };
            let apply = || store.apply(&key, at(1), &step);
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(apply)).unwrap_err();
        }
        assert_eq!(put(&store, Key::new(SMALL, b"new"), 161, 200), Ok(false));
        assert_eq!(store.len(SMALL), 1);
    }

    #[test]
    fn expired_keys_are_swept_without_reaching_the_cap() {
        let store = Memory::new(at(0));
        for id in 0_u64..200_000 {
            put(&store, Key::new(SMALL, &id.to_le_bytes()), id, id + 1).unwrap();
        }
        assert!(
            store.len(SMALL) < 140_000,
            "{} keys are held",
            store.len(SMALL)
        );
    }

    #[test]
    fn removed_keys_make_room() {
        let store = small(1);
        let key = Key::new(SMALL, b"a");
        put(&store, key, 1, 100).unwrap();
        store.apply(&key, at(1), &|_| ((), Next::Remove)).unwrap();
        assert!(store.is_empty(SMALL));
        assert_eq!(put(&store, Key::new(SMALL, b"b"), 1, 100), Ok(false));
    }

    #[test]
    fn an_empty_value_is_refused_and_the_old_one_stays() {
        let store = Memory::new(at(0));
        let key = Key::new(SMALL, b"a");
        put(&store, key, 1, 100).unwrap();
        let empty = store.apply(&key, at(1), &|_| {
            (
                (),
                Next::Put {
                    value: Value::new(b""),
                    expires_at: at(9),
                },
            )
        });
        assert_eq!(
            empty,
            Err(Failure::Unavailable(Cause::ValueRefused { len: 0 }))
        );
        assert_eq!(put(&store, key, 1, 100), Ok(true));
    }
}
