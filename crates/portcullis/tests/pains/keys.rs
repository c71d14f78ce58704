//! API keys: what a check costs the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use portcullis::api_key::{ApiKeys, Environment, NewKey, Policy};
use portcullis::core::{Durability, Failure, Key, Memory, Next, Store, Timestamp};

use crate::{NOW, after};

/// Counts what is asked of it, and what is written.
#[derive(Clone)]
struct Counting {
    store: Arc<Memory>,
    asked: Arc<AtomicUsize>,
    written: Arc<AtomicUsize>,
}

impl Store for Counting {
    async fn update<T, F>(&self, key: Key, now: Timestamp, step: F) -> Result<T, Failure>
    where
        F: Fn(Option<&[u8]>) -> (T, Next) + Send + 'static,
        T: Send + 'static,
    {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let written = Arc::clone(&self.written);
        let counted = move |current: Option<&[u8]>| {
            let (answer, next) = step(current);
            let writes = matches!(next, Next::Put { .. } | Next::Remove);
            written.fetch_add(usize::from(writes), Ordering::Relaxed);
            (answer, next)
        };
        self.store.update(key, now, counted).await
    }

    fn durability(&self) -> Durability {
        self.store.durability()
    }

    fn birth(&self) -> Timestamp {
        self.store.birth()
    }
}

#[tokio::test]
async fn a_key_that_is_checked_a_thousand_times_is_looked_up_as_often_and_written_once() {
    let store = Counting {
        store: Arc::new(Memory::new(NOW)),
        asked: Arc::default(),
        written: Arc::default(),
    };
    let policy = Policy::accepting(&[Environment::Live]).unwrap();
    let keys = ApiKeys::new(store.clone(), policy.dangerous_allow_volatile()).unwrap();
    let new = NewKey::new("import", Environment::Live).unwrap();
    let made = keys.create("acme", new, NOW).await.unwrap();
    let counts = || {
        let taken = |count: &AtomicUsize| count.swap(0, Ordering::Relaxed);
        (taken(&store.asked), taken(&store.written))
    };
    counts();
    for millis in 0..1000 {
        let now = after(Duration::from_millis(millis));
        keys.verify(&made.key, now).await.unwrap();
    }
    // One question a check, and one note of its use in all of them.
    assert_eq!(counts(), (1000, 1));
    // A wrong key writes nothing.
    let other = keys.rotate("acme", made.info.id, NOW).await.unwrap();
    keys.end_grace("acme", made.info.id, NOW).await.unwrap();
    counts();
    for _ in 0..1000 {
        assert!(keys.verify(&made.key, NOW).await.is_err());
    }
    assert_eq!(counts(), (1000, 0));
    assert!(keys.verify(&other.key, NOW).await.is_ok());
}
