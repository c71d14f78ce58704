//! Acts of two steps that are cut off between them, and acts on one id at once.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use portcullis::core::testing::Faulty;
use portcullis::core::{IndexError, Memory};
use serde::Deserialize;

use super::*;

const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);
const AGE: Duration = Duration::from_secs(24 * 3600);
/// When whoever was cut off at `NOW` is no longer waited for.
const LATER: Timestamp = Timestamp::from_unix_secs(1_700_000_060);
const ROOM: u16 = 3;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Plain {
    client: String,
    revoked_at: Option<u64>,
}

impl OwnedKey for Plain {
    fn client(&self) -> &str {
        &self.client
    }

    fn life(&self, max_age: Duration) -> Life {
        Life {
            made_at: NOW,
            revoked_at: self.revoked_at.map(Timestamp::from_unix_nanos),
            max_age,
        }
    }

    fn previous_until(&self) -> Option<u64> {
        None
    }

    fn end_grace(&mut self) {}

    fn revoke(&mut self, at: u64) {
        self.revoked_at.get_or_insert(at);
    }
}

type Keys = OwnedKeys<Plain>;

fn key(client: &str) -> Plain {
    Plain {
        client: client.into(),
        revoked_at: None,
    }
}

/// Keys in a store that gives way before and after every step.
fn keys() -> Keys {
    let store = Faulty::new(Memory::new(NOW));
    store.pause(true);
    let lists = Index::new(Scope::new("plain-ids"), 1, ROOM);
    OwnedKeys::new(AnyStore::new(store), Scope::new("plain"), lists)
}

async fn ids(keys: &Keys, client: &str) -> Vec<String> {
    let ids = listed(&keys.lists, &keys.store, client.as_bytes(), NOW).await;
    ids.unwrap()
}

async fn revoked(keys: &Keys, client: &str, id: &str) {
    keys.create(id, &key(client), NOW).await.unwrap();
    keys.revoke((client, id), NOW).await.unwrap();
}

/// No key that counts is outside of its client's list.
async fn none_is_lost(keys: &Keys, id: &str, when: &str) {
    if let Some(held) = keys.get(id, NOW).await.unwrap() {
        let ids = ids(keys, &held.client).await;
        assert!(ids.iter().any(|listed| listed == id), "{when}: {held:?}");
    }
}

/// Polls it that many times; its output, if it came to its end.
async fn polled<F: Future>(future: &mut Pin<Box<F>>, times: usize) -> Option<F::Output> {
    for _ in 0..times {
        let once = poll_fn(|context| Poll::Ready(future.as_mut().poll(context)));
        if let Poll::Ready(output) = once.await {
            return Some(output);
        }
    }
    None
}

const FULL: RecordError = RecordError::Index(IndexError::Full(Scope::new("plain-ids")));

#[tokio::test]
async fn creations_that_were_cut_off_keep_nobodys_place() {
    for polls in 0..20 {
        let (keys, mut made) = (keys(), 0);
        for id in ["a", "b", "c"] {
            let new = key("billing");
            let mut cut = Box::pin(keys.create(id, &new, NOW));
            polled(&mut cut, polls).await;
            drop(cut);
            none_is_lost(&keys, id, &format!("{polls} polls")).await;
            made += usize::from(keys.get(id, NOW).await.unwrap().is_some());
        }
        assert!(made == 0 || made == 3, "{polls} polls");
        for id in ["d", "e", "f"].iter().skip(made) {
            keys.create(id, &key("billing"), LATER).await.unwrap();
        }
        let full = keys.create("more", &key("billing"), LATER).await;
        assert_eq!(full, Err(FULL), "{polls} polls");
        // Whoever was refused for want of room has not held the id for it.
        let elsewhere = keys.create("more", &key("orders"), LATER).await;
        assert_eq!(elsewhere, Ok(()), "{polls} polls");
        assert_eq!(keys.list("billing", LATER).await.unwrap().len(), 3);
    }
}

/// Where it hangs for longer than it holds its id, too.
#[tokio::test]
async fn a_creation_that_hangs_and_lost_its_place_makes_nothing() {
    let mut robbed = 0;
    for polls in 0..20 {
        let keys = keys();
        let new = key("billing");
        let mut slow = Box::pin(keys.create("slow", &new, NOW));
        if polled(&mut slow, polls).await.is_some() {
            continue;
        }
        let mut made = 0;
        for id in ["a", "b", "c"] {
            made += usize::from(keys.create(id, &key("billing"), LATER).await.is_ok());
        }
        let slow = slow.await;
        assert_eq!(
            made + usize::from(slow.is_ok()),
            3,
            "{polls} polls: {slow:?}"
        );
        robbed += usize::from(slow.is_err());
        none_is_lost(&keys, "slow", &format!("{polls} polls")).await;
    }
    assert!(robbed > 0);
}

/// The mirror of it: by the time the place is given back there is another key of that id.
#[tokio::test]
async fn a_forgetting_that_hangs_takes_no_other_key_off_its_list() {
    let mut made = 0;
    for polls in 0..20 {
        let keys = keys();
        revoked(&keys, "billing", "a").await;
        let mut slow = Box::pin(keys.forget(("billing", "a"), AGE, NOW));
        if polled(&mut slow, polls).await.is_some() {
            continue;
        }
        made += usize::from(keys.create("a", &key("billing"), LATER).await.is_ok());
        let _ = slow.await;
        none_is_lost(&keys, "a", &format!("{polls} polls")).await;
    }
    assert!(made > 0);
}

#[tokio::test]
async fn a_creation_under_way_is_not_robbed_of_its_place() {
    for polls in 0..20 {
        let keys = keys();
        keys.create("a", &key("billing"), NOW).await.unwrap();
        keys.create("b", &key("billing"), NOW).await.unwrap();
        let (first, other) = (key("billing"), key("billing"));
        let mut slow = Box::pin(keys.create("slow", &first, NOW));
        let done = polled(&mut slow, polls).await;
        let quick = keys.create("quick", &other, NOW).await;
        let slow = match done {
            Some(done) => done,
            None => slow.await,
        };
        // There is room for one of them.
        assert!(
            slow.is_ok() != quick.is_ok(),
            "{polls}: {slow:?}, {quick:?}"
        );
        for id in ["slow", "quick"] {
            none_is_lost(&keys, id, &format!("{polls} polls")).await;
        }
        assert_eq!(keys.list("billing", NOW).await.unwrap().len(), 3);
    }
}

#[tokio::test]
async fn a_forgetting_that_was_cut_off_is_done_again_and_makes_room() {
    for polls in 0..20 {
        let keys = keys();
        revoked(&keys, "billing", "a").await;
        let mut cut = Box::pin(keys.forget(("billing", "a"), AGE, NOW));
        polled(&mut cut, polls).await;
        drop(cut);
        none_is_lost(&keys, "a", &format!("{polls} polls")).await;
        keys.forget(("billing", "a"), AGE, LATER).await.unwrap();
        assert!(ids(&keys, "billing").await.is_empty(), "{polls} polls");
        keys.create("a", &key("billing"), LATER).await.unwrap();
    }
    // Nor is anybody's place kept where it is not done again.
    for polls in 0..20 {
        let keys = keys();
        for id in ["a", "b", "c"] {
            revoked(&keys, "billing", id).await;
        }
        let mut cut = Box::pin(keys.forget(("billing", "b"), AGE, NOW));
        polled(&mut cut, polls).await;
        drop(cut);
        let gone = keys.get("b", NOW).await.unwrap().is_none();
        let made = keys.create("d", &key("billing"), LATER).await;
        assert_eq!(made.is_ok(), gone, "{polls} polls: {made:?}");
    }
}

/// Whichever begins, and however far it came when the other one ran.
#[tokio::test]
async fn of_a_forgetting_and_a_creation_at_once_no_key_is_left_outside_of_its_list() {
    for (client, other) in [("billing", "billing"), ("billing", "orders")] {
        for polls in 0..20 {
            for forget_first in [true, false] {
                let keys = keys();
                revoked(&keys, client, "a").await;
                let new = key(other);
                let mut forget = Box::pin(keys.forget((client, "a"), AGE, NOW));
                let mut create = Box::pin(keys.create("a", &new, NOW));
                if forget_first {
                    if polled(&mut forget, polls).await.is_some() {
                        continue;
                    }
                    let _ = create.await;
                    let _ = forget.await;
                } else {
                    if polled(&mut create, polls).await.is_some() {
                        continue;
                    }
                    let _ = forget.await;
                    let _ = create.await;
                }
                let when = format!("{polls} polls, forget first: {forget_first}, to {other}");
                none_is_lost(&keys, "a", &when).await;
                let again = keys.create("a", &new, LATER).await;
                assert!(
                    matches!(again, Ok(()) | Err(RecordError::Taken)),
                    "{when}: {again:?}"
                );
                none_is_lost(&keys, "a", &when).await;
            }
        }
    }
}

#[tokio::test]
async fn anothers_key_on_a_list_is_neither_kept_there_nor_touched() {
    let keys = keys();
    keys.create("theirs", &key("orders"), NOW).await.unwrap();
    let owner = b"billing";
    let listed = keys.lists.insert(&keys.store, owner, b"theirs", NOW);
    listed.await.unwrap();
    let refused = keys.forget(("billing", "theirs"), AGE, NOW).await;
    assert_eq!(refused, Err(RecordError::Unknown(UNKNOWN)));
    for id in ["a", "b", "c"] {
        keys.create(id, &key("billing"), NOW).await.unwrap();
    }
    assert_eq!(ids(&keys, "billing").await, ["a", "b", "c"]);
    assert_eq!(keys.get("theirs", NOW).await, Ok(Some(key("orders"))));
    assert_eq!(ids(&keys, "orders").await, ["theirs"]);
}
