//! Callers who go away at each await, before and after the writer has their call.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};

use portcullis_core::testing::drop_at_each_await;
use portcullis_core::{Cause, Failure, Key, Next, Scope, Store, Timestamp, Value};
use portcullis_store_sqlite::{Sqlite, SqlitePolicy};
use tokio::task::{JoinHandle, yield_now};

const COUNT: Scope = Scope::new("count");
const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);

type Answer = Result<u8, Failure>;

/// Adds one to what `name` counts; answers the sum.
async fn add(store: &Sqlite, name: &str) -> Answer {
    let step = |current: Option<&[u8]>| {
        let sum = current.map_or(0, |bytes| bytes[0]) + 1;
        let value = Value::new(&[sum]);
        let expires_at = Timestamp::MAX;
        (sum, Next::Put { value, expires_at })
    };
    store.update(key(name), NOW, step).await
}

async fn read(store: &Sqlite, name: &str) -> u8 {
    let step = |current: Option<&[u8]>| (current.map_or(0, |bytes| bytes[0]), Next::Keep);
    store.update(key(name), NOW, step).await.unwrap()
}

fn key(name: &str) -> Key {
    Key::new(COUNT, name.as_bytes())
}

/// A store whose writer stands still in bob's call, with carol's behind it.
struct Held {
    store: Sqlite,
    path: PathBuf,
    release: Sender<()>,
    others: [JoinHandle<Answer>; 2],
    _folder: tempfile::TempDir,
}

impl Held {
    async fn new(policy: SqlitePolicy) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gate.db");
        let store = Sqlite::open_with_policy(&path, NOW, policy).unwrap();
        let ((release, released), (entered, inside)) = (channel(), channel());
        let released = Mutex::new(released);
        let bobs = tokio::spawn({
            let store = store.clone();
            let wait = move |_: Option<&[u8]>| {
                entered.send(()).unwrap();
                // Left as well when the test has failed and is gone.
                let _ = released.lock().unwrap().recv();
                let value = Value::new(&[1]);
                let expires_at = Timestamp::MAX;
                (1, Next::Put { value, expires_at })
            };
            async move { store.update(key("bob"), NOW, wait).await }
        });
        yield_now().await;
        inside.recv().unwrap();
        let carols = tokio::spawn({
            let store = store.clone();
            async move { add(&store, "carol").await }
        });
        yield_now().await;
        Self {
            store,
            path,
            release,
            others: [bobs, carols],
            _folder: folder,
        }
    }

    /// Lets the writer go on, once this thread is waiting for something.
    fn release_later(&self) {
        let release = self.release.clone();
        tokio::spawn(async move { release.send(()) });
    }

    /// Lets the writer go on: nobody's answer was lost.
    async fn others_are_served(self) -> (Sqlite, PathBuf, tempfile::TempDir) {
        let _ = self.release.send(());
        for other in self.others {
            assert_eq!(other.await.unwrap(), Ok(1));
        }
        (self.store, self.path, self._folder)
    }
}

async fn drop_updates(policy: SqlitePolicy, at_most: impl Fn(usize) -> u8) -> usize {
    let held = RefCell::new(Some(Held::new(policy.clone()).await));
    let mut drops = 0;
    let update = || {
        let held = held.borrow();
        let held = held.as_ref().unwrap();
        held.release_later();
        let store = held.store.clone();
        async move { add(&store, "alice").await }
    };
    let added = drop_at_each_await(update, async |polls| {
        let before = held.replace(Some(Held::new(policy.clone()).await));
        let (store, ..) = before.unwrap().others_are_served().await;
        // Whatever was sent stands in line before this.
        let applied = read(&store, "alice").await;
        assert!(applied <= at_most(polls), "{applied} after {polls} polls");
        assert_eq!(add(&store, "alice").await, Ok(applied + 1));
        assert_eq!(
            (read(&store, "bob").await, read(&store, "carol").await),
            (1, 1)
        );
        store.close().await;
        drops += 1;
    })
    .await;
    assert_eq!(added, Ok(1));
    let last = held.take().unwrap();
    let (store, ..) = last.others_are_served().await;
    assert_eq!(read(&store, "alice").await, 1);
    drops
}

#[tokio::test]
async fn an_update_dropped_with_the_writer_applies_at_most_once_and_harms_nobody() {
    let drops = drop_updates(SqlitePolicy::default(), |polls| u8::from(polls > 0)).await;
    assert!(drops >= 2, "{drops}");
}

#[tokio::test]
async fn an_update_dropped_while_it_waits_to_be_let_in_never_applies() {
    // Carol's call fills the queue: the first poll does not get in.
    let full = SqlitePolicy::default().queue(1);
    let drops = drop_updates(full, |polls| u8::from(polls > 1)).await;
    assert!(drops >= 2, "{drops}");
}

#[tokio::test]
async fn a_close_dropped_at_any_await_closes_or_does_not_and_loses_no_call() {
    for policy in [SqlitePolicy::default(), SqlitePolicy::default().queue(1)] {
        let held = RefCell::new(Some(Held::new(policy.clone()).await));
        let mut drops = 0;
        let close = || {
            let held = held.borrow();
            let held = held.as_ref().unwrap();
            held.release_later();
            let store = held.store.clone();
            async move { store.close().await }
        };
        drop_at_each_await(close, async |polls| {
            let before = held.replace(Some(Held::new(policy.clone()).await));
            let (store, path, _folder) = before.unwrap().others_are_served().await;
            let added = match add(&store, "alice").await {
                Ok(sum) => sum,
                Err(Failure::Unavailable(Cause::Closed)) => 0,
                Err(other) => panic!("{other}"),
            };
            assert!(
                added == 1 || polls > 0,
                "closed by a call that was never polled"
            );
            // The next call brings it to its end, and what was acknowledged is there.
            store.close().await;
            let closed = Err(Failure::Unavailable(Cause::Closed));
            assert_eq!(add(&store, "alice").await, closed);
            let again = Sqlite::open(&path, NOW).unwrap();
            assert_eq!(read(&again, "alice").await, added);
            assert_eq!(
                (read(&again, "bob").await, read(&again, "carol").await),
                (1, 1)
            );
            again.close().await;
            drops += 1;
        })
        .await;
        assert!(drops >= 2, "{drops}");
        let (store, path, _folder) = held.take().unwrap().others_are_served().await;
        let closed = Err(Failure::Unavailable(Cause::Closed));
        assert_eq!(add(&store, "alice").await, closed);
        assert_eq!(read(&Sqlite::open(&path, NOW).unwrap(), "bob").await, 1);
    }
}
