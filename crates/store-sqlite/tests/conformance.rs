//! The laws of a store, and the races between processes.
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "tests")]

use std::path::Path;
use std::sync::Arc;

use portcullis_core::testing::{Part, Race, store_conformance};
use portcullis_core::{AnyStore, Failure, Key, Next, Scope, Store, Timestamp, Value};
use portcullis_store_sqlite::Sqlite;
use tokio::task::JoinSet;

const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);

fn fresh(folder: &Path, files: &mut u32) -> Sqlite {
    *files += 1;
    Sqlite::open(folder.join(format!("{files}.db")), NOW).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_the_laws_of_a_store() {
    let (folder, mut files) = (tempfile::tempdir().unwrap(), 0);
    let checked = store_conformance(async || fresh(folder.path(), &mut files)).await;
    assert_eq!(checked, Ok(()));
}

#[tokio::test]
async fn it_keeps_the_laws_of_a_store_when_erased_and_on_one_thread() {
    let (folder, mut files) = (tempfile::tempdir().unwrap(), 0);
    let checked = store_conformance(async || AnyStore::new(fresh(folder.path(), &mut files))).await;
    assert_eq!(checked, Ok(()));
}

#[test]
fn three_processes_consume_each_token_once() {
    let race = Race::new(1_000, 64, 3);
    if let Some(part) = Part::current() {
        let store = Arc::new(Sqlite::open(part.place(), NOW).unwrap());
        part.ready().unwrap();
        let wins = runtime().block_on(race.contest(&store, NOW, part.number()));
        part.report(&wins.unwrap()).unwrap();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("race.db");
    let name = "three_processes_consume_each_token_once";
    let wins = Part::run(name, &place, race.processes()).unwrap();
    assert_eq!(race.judge(&wins), Ok(()));
}

#[test]
fn three_processes_are_given_distinct_numbers() {
    if let Some(part) = Part::current() {
        let store = Sqlite::open(part.place(), NOW).unwrap();
        part.ready().unwrap();
        let numbers = runtime().block_on(count_much(&store));
        part.report(&numbers).unwrap();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("numbers.db");
    let mut numbers = Part::run("three_processes_are_given_distinct_numbers", &place, 3).unwrap();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(1..=3 * 16 * 100));
}

async fn count_much(store: &Sqlite) -> Vec<u32> {
    let mut tasks = JoinSet::new();
    for _ in 0..16 {
        let store = store.clone();
        tasks.spawn(async move {
            let mut numbers = Vec::new();
            for _ in 0..100 {
                numbers.push(count(&store).await.unwrap());
            }
            numbers
        });
    }
    tasks.join_all().await.concat()
}

async fn count(store: &Sqlite) -> Result<u32, Failure> {
    let step = |current: Option<&[u8]>| {
        let seen = current.map_or(0, |bytes| u32::from_be_bytes(bytes.try_into().unwrap()));
        let value = Value::new(&(seen + 1).to_be_bytes());
        let expires_at = Timestamp::MAX;
        (seen + 1, Next::Put { value, expires_at })
    };
    store
        .update(Key::new(Scope::new("number"), b""), NOW, step)
        .await
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
}
