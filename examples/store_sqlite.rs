//! A counter in a file: many callers share one sync, and the next process goes on where this one ended.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use portcullis_core::{Clock, Failure, Key, Next, Scope, Store, SystemClock, Timestamp, Value};
use portcullis_store_sqlite::{Sqlite, SqlitePolicy};

const TICKET: Scope = Scope::new("ticket");

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("gate.db");
    let now = SystemClock.now();

    let store = Sqlite::open(&path, now)?;
    let callers: Vec<_> = (0..256)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { draw(&store, now).await })
        })
        .collect();
    let mut highest = 0;
    for caller in callers {
        highest = highest.max(caller.await??);
    }
    println!("256 callers drew tickets up to number {highest}, each synced before it was given");
    assert_eq!(highest, 256);
    // Closing waits for whoever is waiting; what was answered is safe without it.
    store.close().await;

    // Another process, later: the same file, and a cap for whatever strangers can make grow.
    let policy = SqlitePolicy::default().cap(TICKET, 1);
    let store = Sqlite::open_with_policy(&path, SystemClock.now(), policy)?;
    let next = draw(&store, now).await?;
    println!("after opening it again, the next is number {next}");
    assert_eq!(next, 257);
    println!("its memory still begins at {}", store.birth());

    let other = Key::new(TICKET, b"another machine");
    let Err(failure) = store.update(other, now, next_ticket).await else {
        return Err("the cap admits a second key".into());
    };
    println!("a second key: {failure}");

    // A file of something else is never touched.
    let notes = folder.path().join("notes.txt");
    std::fs::write(&notes, "milk, bread and butter, and so on ".repeat(40))?;
    let Err(error) = Sqlite::open(&notes, now) else {
        return Err("a file of something else was opened".into());
    };
    println!("opening notes.txt: {error}");
    Ok(())
}

async fn draw(store: &Sqlite, now: Timestamp) -> Result<u64, Failure> {
    store
        .update(Key::new(TICKET, b"the machine"), now, next_ticket)
        .await
}

fn next_ticket(current: Option<&[u8]>) -> (u64, Next) {
    let drawn = current
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u64::from_be_bytes);
    let number = drawn.saturating_add(1);
    let value = Value::new(&number.to_be_bytes());
    let expires_at = Timestamp::MAX;
    (number, Next::Put { value, expires_at })
}
