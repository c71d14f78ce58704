//! A store whose backend is chosen when the program runs.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use crate::{Cause, Durability, Failure, Key, Memory, Next, Store, Timestamp};

type Job = Box<dyn Fn(Option<&[u8]>) -> Next + Send>;
type Submitted<'a> = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'a>>;

/// Any store behind one type, cheap to clone: a program picks Memory or SQLite by its settings.
///
/// Erasing costs four allocations a call, and nothing where the store is a [`Memory`]; the backend's own
/// `update` (its lock, its batching) is kept.
///
/// ```
/// use portcullis_core::{AnyStore, Durability, Memory, Store, Timestamp};
///
/// let store = AnyStore::new(Memory::new(Timestamp::UNIX_EPOCH));
/// assert_eq!(store.durability(), Durability::Volatile);
/// ```
#[derive(Clone)]
pub struct AnyStore(Backend);

#[derive(Clone)]
enum Backend {
    /// Its whole update costs less than a box for its step would.
    Memory(Arc<Memory>),
    Erased(Arc<dyn Submit>),
}

impl AnyStore {
    /// Takes `store` over.
    pub fn new<S: Store + 'static>(store: S) -> Self {
        let store = Arc::new(store);
        let any: Arc<dyn Any + Send + Sync> = Arc::<S>::clone(&store);
        Self(match any.downcast() {
            Ok(memory) => Backend::Memory(memory),
            Err(_) => Backend::Erased(store),
        })
    }
}

impl fmt::Debug for AnyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyStore")
            .field("durability", &self.durability())
            .finish_non_exhaustive()
    }
}

impl Store for AnyStore {
    async fn update<T, F>(&self, key: Key, now: Timestamp, step: F) -> Result<T, Failure>
    where
        F: Fn(Option<&[u8]>) -> (T, Next) + Send + 'static,
        T: Send + 'static,
    {
        match &self.0 {
            // Neither future is kept in this one: it is part of the future of every call.
            Backend::Memory(memory) => memory.apply(&key, now, &step),
            Backend::Erased(store) => Box::pin(erased(&**store, key, now, step)).await,
        }
    }

    fn durability(&self) -> Durability {
        match &self.0 {
            Backend::Memory(memory) => memory.durability(),
            Backend::Erased(store) => store.erased_durability(),
        }
    }

    fn birth(&self) -> Timestamp {
        match &self.0 {
            Backend::Memory(memory) => memory.birth(),
            Backend::Erased(store) => store.erased_birth(),
        }
    }
}

async fn erased<T, F>(store: &dyn Submit, key: Key, now: Timestamp, step: F) -> Result<T, Failure>
where
    F: Fn(Option<&[u8]>) -> (T, Next) + Send + 'static,
    T: Send + 'static,
{
    let answer = Arc::new(Mutex::new(None));
    let kept = Arc::clone(&answer);
    let job = Box::new(move |current: Option<&[u8]>| {
        let (given, next) = step(current);
        // A later run replaces an earlier one: the run that counted is the last.
        *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(given);
        next
    });
    store.submit(key, now, job).await?;
    let given = answer.lock().unwrap_or_else(PoisonError::into_inner).take();
    // A backend that claims success without having run the step has broken law 2.
    given.ok_or_else(|| Failure::Unknown(Cause::Backend("the step was never run".into())))
}

trait Submit: Send + Sync {
    fn submit(&self, key: Key, now: Timestamp, job: Job) -> Submitted<'_>;
    fn erased_durability(&self) -> Durability;
    fn erased_birth(&self) -> Timestamp;
}

impl<S: Store> Submit for S {
    fn submit(&self, key: Key, now: Timestamp, job: Job) -> Submitted<'_> {
        Box::pin(self.update(key, now, move |current| ((), job(current))))
    }

    fn erased_durability(&self) -> Durability {
        self.durability()
    }

    fn erased_birth(&self) -> Timestamp {
        self.birth()
    }
}
