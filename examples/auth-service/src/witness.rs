//! What the audit log has come to, kept apart from it: a log whose tail was cut still verifies by
//! itself, and only a checkpoint from elsewhere tells.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use portcullis::audit::{AuditError, Checkpoint, Log, verify_against};
use portcullis::core::{
    AnyStore, Clock, Failure, Key, Next, Scope, Secret, Store, SystemClock, Timestamp, Value,
};
use tokio::time::sleep;
use tracing::error;

/// The log's last checkpoint, in the database. Whoever cuts the log must change the database, too.
#[derive(Clone, Debug)]
pub(crate) struct Witness {
    store: AnyStore,
    /// Whose log: each process on one database has its own.
    instance: String,
}

/// Why a log cannot be gone on with unseen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unconfirmed {
    #[error("{0}; put the log back")]
    Another(#[from] AuditError),
    #[error("{0} records, and the database remembers none of them; put the database back")]
    Unknown(u64),
    #[error("what the database remembers of it cannot be read; put the database back")]
    Unreadable,
}

impl Witness {
    /// Keeps the checkpoint of that instance's log in `store`.
    pub(crate) fn new(store: AnyStore, instance: &str) -> Self {
        Self {
            store,
            instance: instance.to_owned(),
        }
    }

    /// The last checkpoint that was kept. What does not read as one is not taken for none.
    pub(crate) async fn last(
        &self,
        now: Timestamp,
    ) -> Result<Option<Result<Checkpoint, Unconfirmed>>, Failure> {
        let step = |current: Option<&[u8]>| (read(current), Next::Keep);
        self.store.update(self.key(), now, step).await
    }

    /// Keeps `checkpoint` in place of the last, unless that cannot be read: then it stays as it is, for
    /// whoever asks how it came to be so.
    pub(crate) async fn keep(
        &self,
        checkpoint: &Checkpoint,
        now: Timestamp,
    ) -> Result<Result<(), Unconfirmed>, Failure> {
        let next = put(checkpoint);
        let step = move |current: Option<&[u8]>| match read(current) {
            Some(Err(unreadable)) => (Err(unreadable), Next::Keep),
            _ => (Ok(()), next.clone()),
        };
        self.store.update(self.key(), now, step).await
    }

    /// Keeps `checkpoint` in place of whatever is there.
    pub(crate) async fn begin(
        &self,
        checkpoint: &Checkpoint,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let next = put(checkpoint);
        let step = move |_: Option<&[u8]>| ((), next.clone());
        self.store.update(self.key(), now, step).await
    }

    /// Whether the log in `folder`, of so many records, is the one of the last checkpoint, or that one
    /// gone on. A log that nothing is remembered of is confirmed if it was begun now: of any other, the
    /// database that knew it is gone.
    pub(crate) async fn confirm(
        &self,
        folder: &Path,
        key: &Secret,
        records: u64,
        now: Timestamp,
    ) -> Result<Result<(), Unconfirmed>, Failure> {
        Ok(match self.last(now).await? {
            Some(Ok(last)) => verify_against(folder, key, &last)
                .map(drop)
                .map_err(Unconfirmed::from),
            Some(Err(unreadable)) => Err(unreadable),
            None if records > 0 => Err(Unconfirmed::Unknown(records)),
            None => Ok(()),
        })
    }

    /// Keeps a checkpoint of `log` each second in which it grew, as long as the service runs: that
    /// second is what could be cut off unseen.
    pub(crate) async fn watch(self: Arc<Self>, log: Log) {
        let mut kept = None;
        loop {
            sleep(INTERVAL).await;
            let checkpoint = log.checkpoint();
            if kept == Some(checkpoint.records()) {
                continue;
            }
            match self.keep(&checkpoint, SystemClock.now()).await {
                Ok(outcome) => {
                    kept = Some(checkpoint.records());
                    if let Err(fault) = outcome {
                        error!(%fault, "no checkpoint of the audit log was kept");
                    }
                }
                Err(failure) => error!(%failure, "no checkpoint of the audit log could be kept"),
            }
        }
    }

    fn key(&self) -> Key {
        Key::new(SCOPE, self.instance.as_bytes())
    }
}

fn read(current: Option<&[u8]>) -> Option<Result<Checkpoint, Unconfirmed>> {
    let text = std::str::from_utf8(current?).unwrap_or_default();
    Some(text.parse().map_err(|_| Unconfirmed::Unreadable))
}

fn put(checkpoint: &Checkpoint) -> Next {
    Next::Put {
        value: Value::new(checkpoint.to_string().as_bytes()),
        expires_at: Timestamp::MAX,
    }
}

const INTERVAL: Duration = Duration::from_secs(1);
const SCOPE: Scope = Scope::new("audit-checkpoint");

#[cfg(test)]
mod tests {
    use portcullis::core::Memory;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);

    #[tokio::test]
    async fn a_log_is_confirmed_by_what_can_be_read_or_when_it_is_new() {
        let witness = Witness::new(AnyStore::new(Memory::new(NOW)), "");
        let key = Secret::from(vec![7; 32]);
        let confirm = async |records| {
            let confirmed = witness.confirm(Path::new("nowhere"), &key, records, NOW);
            confirmed.await.unwrap()
        };
        assert!(confirm(0).await.is_ok());
        assert!(matches!(confirm(1).await, Err(Unconfirmed::Unknown(1))));
        for kept in [&b"junk"[..], &[0xff]] {
            let put = move |_: Option<&[u8]>| {
                let value = Value::new(kept);
                let expires_at = Timestamp::MAX;
                ((), Next::Put { value, expires_at })
            };
            witness.store.update(witness.key(), NOW, put).await.unwrap();
            for records in [0, 1] {
                let confirmed = confirm(records).await;
                assert!(matches!(confirmed, Err(Unconfirmed::Unreadable)));
            }
        }
    }
}
