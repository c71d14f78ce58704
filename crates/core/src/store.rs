//! The only port that primitives see: one pure transition on a few bytes under a key.

use std::future::Future;
use std::sync::Arc;

use crate::{Key, Scope, Timestamp, Value};

/// State that must hold across requests and machines: a few bytes under a key, changed by a pure
/// function of those bytes.
///
/// # The laws
/// 1. **One indivisible act.** The bytes a step saw and the bytes it left are adjacent in the key's
///    history. A store that answers twice from the same bytes lets a token be spent twice.
/// 2. **The answer returned is the answer of the run that counted.** A step may run several times
///    (a lost race, a retried transaction); only its last run is kept and answered.
/// 3. **Nothing written on failure**, save under [`Failure::Unknown`], where the change was applied
///    once, will be, or never was. A store never retries after an unknown outcome.
/// 4. **Never early.** A value stands at least until its `expires_at`, judged by the callers' `now`.
///    Forgetting early grants again. Keeping longer is always allowed: every primitive here decides
///    on an expired value as on none.
/// 5. **Keys do not touch.** Two keys that differ in scope or bytes never share a value.
/// 6. **Dropped is not lost.** A caller that goes away before its step ran costs nothing; after
///    that its step applies at most once, and nobody else's answer is lost.
/// 7. **A panicking step reaches its own caller alone**, and writes nothing.
/// 8. **Acknowledged is kept**, as far as [`Store::durability`] says.
/// 9. **The step is obeyed.** Each [`Next`] does what it says, for every value that is admitted.
/// 10. **Never an empty slice.** A step is shown the bytes there are, or none.
///
/// A backend is one that passes `testing::store_conformance`.
///
/// # What a wrong answer costs a backend's author
/// A wrong "written" means two winners: a replayed token, a second use of a code. A wrong
/// [`Failure::Contended`] costs the caller a retry. A lost reply reported as
/// [`Failure::Unavailable`] makes a guard try again what may have been applied; a refusal reported
/// as [`Failure::Unknown`] makes a guard treat as used what was not.
pub trait Store: Send + Sync {
    /// Runs `step` on the key's present bytes and does what it says, as one act.
    ///
    /// `now` is the request's instant; a store uses it to tell which values may be cleaned away, and
    /// may show a step bytes that have expired, but never an empty slice. `step` must be pure: it
    /// can run more than once, on another thread.
    ///
    /// # Errors
    /// See [`Failure`]; each guard's policy says what each of them means to it.
    fn update<T, F>(
        &self,
        key: Key,
        now: Timestamp,
        step: F,
    ) -> impl Future<Output = Result<T, Failure>> + Send
    where
        F: Fn(Option<&[u8]>) -> (T, Next) + Send + 'static,
        T: Send + 'static;

    /// What becomes of acknowledged values when the process or the machine stops.
    fn durability(&self) -> Durability;

    /// When this store's memory begins. A guard of one-time things refuses whatever could have been
    /// used before: the record of that use may be gone.
    fn birth(&self) -> Timestamp;
}

impl<S: Store> Store for Arc<S> {
    fn update<T, F>(
        &self,
        key: Key,
        now: Timestamp,
        step: F,
    ) -> impl Future<Output = Result<T, Failure>> + Send
    where
        F: Fn(Option<&[u8]>) -> (T, Next) + Send + 'static,
        T: Send + 'static,
    {
        (**self).update(key, now, step)
    }

    fn durability(&self) -> Durability {
        (**self).durability()
    }

    fn birth(&self) -> Timestamp {
        (**self).birth()
    }
}

/// What a step wants done with the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Leave the value as it is; the decision needs the fresh one.
    Keep,
    /// Leave the value as it is; the decision also holds on the last value a store has seen. Only
    /// for state that nobody can relax, such as a throttled limiter; a lock that an administrator
    /// can lift is [`Next::Keep`].
    Settled,
    /// Replace the value.
    Put {
        /// The new bytes; never empty.
        value: Value,
        /// Until when it must be kept; [`Timestamp::MAX`] for durable records.
        expires_at: Timestamp,
    },
    /// Forget the key.
    Remove,
}

/// Whether acknowledged values outlive the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// They vanish with the process, or may after a crash. Records that must not vanish refuse such
    /// a store.
    Volatile,
    /// They survive kill -9 and power loss, as far as the disk keeps what it synced.
    Durable,
}

/// Why an update did not give an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The key was contended past the deadline; nothing was written.
    #[error("the key was contended past the deadline; nothing was written")]
    Contended,
    /// The store refused or could not be reached; nothing was written.
    #[error("the store could not serve the call and nothing was written: {0}")]
    Unavailable(Cause),
    /// The reply was lost: the change was applied once, will be, or never was.
    #[error("the store's reply was lost and the change may have been applied: {0}")]
    Unknown(Cause),
}

/// What stood behind a [`Failure`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The scope holds as many live keys as its cap admits.
    #[error("scope {scope} holds as many live keys as its cap admits")]
    Full {
        /// The scope that is full.
        scope: Scope,
    },
    /// A step asked to put an empty value, or one longer than [`Value::MAX_LEN`].
    #[error("a step asked to keep {len} bytes; 1 to {max} are kept", max = Value::MAX_LEN)]
    ValueRefused {
        /// How many bytes the step asked to keep.
        len: usize,
    },
    /// The store has been closed.
    #[error("the store is closed")]
    Closed,
    /// The backend's own words, which hold no caller's bytes.
    #[error("{0}")]
    Backend(Arc<str>),
}
