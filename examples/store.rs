//! A counter that many callers share: one pure step, run as one act by whatever backend is chosen.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use portcullis_core::{
    AnyStore, Clock, Key, Memory, Next, Scope, Store, SystemClock, Timestamp, Value,
};

const VISITS: Scope = Scope::new("visits");

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let now = SystemClock.now();
    // Any backend fits here: the calls below would be the same on SQLite.
    let store = AnyStore::new(Memory::new(now));

    let callers: Vec<_> = (0..64)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { visit(&store, "alice", now).await })
        })
        .collect();
    let mut numbers = Vec::new();
    for caller in callers {
        numbers.push(caller.await??);
    }

    numbers.sort_unstable();
    numbers.dedup();
    println!(
        "64 callers at once were given {} different numbers",
        numbers.len()
    );
    assert_eq!(numbers.len(), 64);
    Ok(())
}

/// Counts one visit and answers its number. The step sees the bytes and says what becomes of them.
async fn visit(
    store: &AnyStore,
    who: &str,
    now: Timestamp,
) -> Result<u64, portcullis_core::Failure> {
    let key = Key::new(VISITS, who.as_bytes());
    let step = |current: Option<&[u8]>| {
        let seen = current
            .and_then(|bytes| bytes.try_into().ok())
            .map_or(0, u64::from_be_bytes);
        let number = seen.saturating_add(1);
        let value = Value::new(&number.to_be_bytes());
        (
            number,
            Next::Put {
                value,
                expires_at: Timestamp::MAX,
            },
        )
    };
    store.update(key, now, step).await
}
