//! A store that fails on command.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use crate::{Cause, Durability, Failure, Key, Next, Store, Timestamp, Value};

/// A store that does as `S` does until told to fail, to lose a reply, to forget what it was last
/// given, to claim another durability, or to pause around every step. Clones share one plan.
///
/// It is meant for a store that runs each step once, such as [`crate::Memory`].
///
/// ```
/// use portcullis_core::testing::Faulty;
/// use portcullis_core::{Failure, Key, Memory, Next, Scope, Store, Timestamp};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// let now = Timestamp::from_unix_secs(1);
/// let store = Faulty::new(Memory::new(now));
/// store.fail_next(1, Failure::Contended);
/// let read = || store.update(Key::new(Scope::new("x"), b"k"), now, |_| ((), Next::Keep));
/// assert_eq!(read().await, Err(Failure::Contended));
/// assert_eq!(read().await, Ok(()));
/// # });
/// ```
#[derive(Debug)]
pub struct Faulty<S> {
    inner: Arc<S>,
    plan: Arc<Mutex<Plan>>,
}

#[derive(Debug, Default)]
struct Plan {
    failures: VecDeque<Failure>,
    replies_to_lose: usize,
    pauses: bool,
    durability: Option<Durability>,
    birth: Option<Timestamp>,
    calls: usize,
    /// What each write replaced, oldest first.
    journal: Vec<(Key, Option<Value>)>,
}

impl<S> Clone for Faulty<S> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            plan: Arc::clone(&self.plan),
        }
    }
}

impl<S: Store> Faulty<S> {
    /// Takes `store` over; nothing fails yet.
    pub fn new(store: S) -> Self {
        Self {
            inner: Arc::new(store),
            plan: Arc::default(),
        }
    }

    /// The next `calls` updates answer `failure` and do nothing.
    pub fn fail_next(&self, calls: usize, failure: Failure) {
        self.plan()
            .failures
            .extend(std::iter::repeat_n(failure, calls));
    }

    /// The next `calls` updates are applied and answer [`Failure::Unknown`].
    pub fn lose_reply(&self, calls: usize) {
        self.plan().replies_to_lose = calls;
    }

    /// From now on (or no longer) every update gives way once before and once after its step.
    pub fn pause(&self, pauses: bool) {
        self.plan().pauses = pauses;
    }

    /// Claims this durability from now on.
    pub fn claim(&self, durability: Durability) {
        self.plan().durability = Some(durability);
    }

    /// Claims to have been born at `birth`, as a store restored or restarted then would.
    pub fn claim_birth(&self, birth: Timestamp) {
        self.plan().birth = Some(birth);
    }

    /// How many updates were asked for, failed ones included.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.plan().calls
    }

    /// How many writes were done and not undone.
    #[must_use]
    pub fn writes(&self) -> usize {
        self.plan().journal.len()
    }

    /// Undoes the last `writes` writes, as a crash of a store that does not sync would.
    ///
    /// # Errors
    /// What the store itself answers.
    pub async fn lose_last(&self, writes: usize) -> Result<(), Failure> {
        for _ in 0..writes {
            let Some((key, before)) = self.plan().journal.pop() else {
                break;
            };
            let undo = move |_: Option<&[u8]>| {
                let next = match &before {
                    Some(value) => Next::Put {
                        value: value.clone(),
                        expires_at: Timestamp::MAX,
                    },
                    None => Next::Remove,
                };
                ((), next)
            };
            self.inner.update(key, Timestamp::UNIX_EPOCH, undo).await?;
        }
        Ok(())
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Store> Store for Faulty<S> {
    async fn update<T, F>(&self, key: Key, now: Timestamp, step: F) -> Result<T, Failure>
    where
        F: Fn(Option<&[u8]>) -> (T, Next) + Send + 'static,
        T: Send + 'static,
    {
        let (failure, pauses) = {
            let mut plan = self.plan();
            plan.calls = plan.calls.saturating_add(1);
            (plan.failures.pop_front(), plan.pauses)
        };
        if pauses {
            give_way().await;
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
        let plan = Arc::clone(&self.plan);
        let journalled = move |current: Option<&[u8]>| {
            let (answer, next) = step(current);
            if matches!(next, Next::Put { .. } | Next::Remove) {
                let mut plan = plan.lock().unwrap_or_else(PoisonError::into_inner);
                plan.journal.push((key, current.map(Value::new)));
            }
            (answer, next)
        };
        let answer = self.inner.update(key, now, journalled).await?;
        if pauses {
            give_way().await;
        }
        let mut plan = self.plan();
        if plan.replies_to_lose > 0 {
            plan.replies_to_lose = plan.replies_to_lose.saturating_sub(1);
            return Err(Failure::Unknown(Cause::Backend(
                "the reply was lost on command".into(),
            )));
        }
        Ok(answer)
    }

    fn durability(&self) -> Durability {
        self.plan()
            .durability
            .unwrap_or_else(|| self.inner.durability())
    }

    fn birth(&self) -> Timestamp {
        self.plan().birth.unwrap_or_else(|| self.inner.birth())
    }
}

/// Pending once, and woken at once.
async fn give_way() {
    let mut given = false;
    poll_fn(|context| {
        if given {
            return Poll::Ready(());
        }
        given = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
