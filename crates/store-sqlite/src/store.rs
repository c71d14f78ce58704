//! The handle that callers hold.

use std::fmt;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::Arc;

use portcullis_core::{Cause, Durability, Failure, Key, Next, Store, Timestamp};
use tokio::sync::{mpsc, watch};

use crate::job::{Address, Outcome, Task};
use crate::place::Places;
use crate::writer::{self, Message};
use crate::{OpenError, SqlitePolicy, file};

/// A [`Store`] in one SQLite file; clones share it.
///
/// A thread of its own does the writing. It ends once [`Sqlite::close`] was called or the last clone
/// is dropped, after it has served every call that was waiting.
#[derive(Clone)]
pub struct Sqlite {
    shared: Arc<Shared>,
}

struct Shared {
    queue: mpsc::Sender<Message>,
    stopped: watch::Receiver<()>,
    places: Places,
    birth: Timestamp,
}

impl Sqlite {
    /// Opens the store at `path` with the default policy; makes one, born at `now`, if there is none.
    ///
    /// Blocks for as long as it takes to read the file once. The folder must exist.
    ///
    /// # Errors
    /// See [`OpenError`]; a file that is something else is left as it is.
    pub fn open(path: impl AsRef<Path>, now: Timestamp) -> Result<Self, OpenError> {
        Self::open_with_policy(path, now, SqlitePolicy::default())
    }

    /// Opens the store at `path` with that policy.
    ///
    /// # Errors
    /// As [`Sqlite::open`].
    pub fn open_with_policy(
        path: impl AsRef<Path>,
        now: Timestamp,
        policy: SqlitePolicy,
    ) -> Result<Self, OpenError> {
        let opened = file::open(path.as_ref(), now, &policy)?;
        let places = Places::new(&opened.secret)
            .ok_or_else(|| OpenError::Damaged("its secret is no key".into()))?;
        let (queue, messages) = mpsc::channel(policy.queue);
        let stopped = writer::start(opened.connection, policy, messages)?;
        let birth = opened.birth;
        let shared = Arc::new(Shared {
            queue,
            stopped,
            places,
            birth,
        });
        Ok(Self { shared })
    }

    /// Closes the store for every clone and answers once all calls that were waiting are served and
    /// the file is closed. Later calls are answered [`Cause::Closed`].
    pub async fn close(&self) {
        // Refused only when the writer has already ended.
        let _ = self.shared.queue.send(Message::Close).await;
        let mut stopped = self.shared.stopped.clone();
        // The writer never sends: an error says that it has dropped its end.
        while stopped.changed().await.is_ok() {}
    }
}

impl Store for Sqlite {
    async fn update<T, F>(&self, key: Key, now: Timestamp, step: F) -> Result<T, Failure>
    where
        F: Fn(Option<&[u8]>) -> (T, Next) + Send + 'static,
        T: Send + 'static,
    {
        let place = self.shared.places.of(&key);
        let scope = key.scope();
        let (task, answer) = Task::new(Address { place, scope, now }, step);
        let sent = self.shared.queue.send(Message::Job(Box::new(task))).await;
        sent.map_err(|_| Failure::Unavailable(Cause::Closed))?;
        match answer.await {
            Ok(Outcome::Answered(answer)) => Ok(answer),
            Ok(Outcome::Failed(failure)) => Err(failure),
            Ok(Outcome::Panicked(payload)) => resume_unwind(payload),
            // The writer died with the call in its hands.
            Err(_) => Err(Failure::Unknown(Cause::Backend("the writer died".into()))),
        }
    }

    fn durability(&self) -> Durability {
        Durability::Durable
    }

    fn birth(&self) -> Timestamp {
        self.shared.birth
    }
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite")
            .field("birth", &self.shared.birth)
            .finish_non_exhaustive()
    }
}
