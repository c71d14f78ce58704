//! An index whose callers go away at each await.
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "tests")]

use std::collections::BTreeSet;

use portcullis_core::testing::{Faulty, drop_at_each_await};
use portcullis_core::{Index, Memory, Scope, Timestamp};

const USERS: Index = Index::new(Scope::new("users"), 4, 100);
const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);

type Paused = Faulty<Memory>;

/// An index in which alice has a and b, and bob has x; every update of it gives way twice.
async fn index() -> Paused {
    let store = Faulty::new(Memory::new(NOW));
    for (owner, member) in [(b"alice", b"a"), (b"alice", b"b"), (b"bob  ", b"x")] {
        USERS.insert(&store, owner, member, NOW).await.unwrap();
    }
    store.pause(true);
    store
}

async fn of(store: &Paused, owner: &[u8]) -> Vec<Vec<u8>> {
    USERS.members(store, owner, NOW).await.unwrap()
}

#[tokio::test]
async fn an_insertion_dropped_at_any_await_is_done_or_not_begun() {
    let store = index().await;
    let (mut drops, mut seen) = (0, BTreeSet::new());
    let insert = || USERS.insert(&store, b"alice", b"new", NOW);
    let done = drop_at_each_await(insert, async |polls| {
        let mut held = of(&store, b"alice").await;
        let is_in = held.len() == 3;
        held.retain(|member| member != b"new");
        assert_eq!(held, [b"a", b"b"], "{polls}");
        assert_eq!(of(&store, b"bob  ").await, [b"x"], "{polls}");
        if is_in {
            let taken = USERS.remove(&store, b"alice", b"new", NOW).await;
            taken.unwrap();
        }
        seen.insert(is_in);
        drops += 1;
    });
    assert_eq!(done.await, Ok(()));
    assert!(drops >= 2, "{drops}");
    assert_eq!(seen, BTreeSet::from([false, true]));
    assert_eq!(of(&store, b"alice").await, [&b"a"[..], b"b", b"new"]);
}

#[tokio::test]
async fn a_removal_dropped_at_any_await_is_done_or_not_begun() {
    let store = index().await;
    let (mut drops, mut seen) = (0, BTreeSet::new());
    let remove = || USERS.remove(&store, b"alice", b"b", NOW);
    let done = drop_at_each_await(remove, async |polls| {
        let held = of(&store, b"alice").await;
        assert_eq!(held.first().unwrap(), b"a", "{polls}");
        assert_eq!(of(&store, b"bob  ").await, [b"x"], "{polls}");
        seen.insert(held.len());
        // In again, so that the next one has something to take out.
        let again = USERS.insert(&store, b"alice", b"b", NOW).await;
        again.unwrap();
        drops += 1;
    });
    assert_eq!(done.await, Ok(()));
    assert!(drops >= 2, "{drops}");
    assert_eq!(seen, BTreeSet::from([1, 2]));
    assert_eq!(of(&store, b"alice").await, [b"a"]);
    assert_eq!(of(&store, b"bob  ").await, [b"x"]);
}

#[tokio::test]
async fn a_listing_dropped_at_any_await_has_changed_nothing() {
    let store = index().await;
    let (mut drops, writes) = (0, store.writes());
    let list = || USERS.members(&store, b"alice", NOW);
    let listed = drop_at_each_await(list, async |polls| {
        assert_eq!(of(&store, b"alice").await, [b"a", b"b"], "{polls}");
        assert_eq!(of(&store, b"bob  ").await, [b"x"], "{polls}");
        assert_eq!(store.writes(), writes, "{polls}");
        drops += 1;
    });
    assert_eq!(listed.await.unwrap(), [b"a", b"b"]);
    assert!(drops >= 8, "four pages pause twice each: {drops}");
}
