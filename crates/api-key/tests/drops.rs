//! Every verb's future dropped at each of its awaits: its act is done or not begun.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    dead_code,
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    reason = "tests"
)]

mod common;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use common::{DAY, Owned, Rig, START, at, new, policy};
use portcullis_api_key::Error;
use portcullis_core::testing::drop_at_each_await;

/// What was seen after the drops: both ends of one act, and at least the two awaits of one update.
#[derive(Default)]
struct Seen {
    drops: usize,
    done: BTreeSet<bool>,
}

impl Seen {
    fn note(&mut self, done: bool) {
        self.drops += 1;
        self.done.insert(done);
    }

    fn both(&self) {
        assert!(self.drops >= 2, "{}", self.drops);
        assert_eq!(self.done, BTreeSet::from([false, true]));
    }
}

/// Acme's key in a store whose updates give way.
async fn paused() -> Owned {
    let acme = Rig::owned().await;
    acme.rig.store.store.pause(true);
    acme
}

#[tokio::test]
async fn a_creation_that_is_dropped_leaves_a_listed_key_or_a_place_that_frees_itself() {
    let fresh = || {
        let rig = Rig::with(policy().keys_per_owner(1).unwrap());
        rig.store.store.pause(true);
        Rc::new(rig)
    };
    let (held, mut seen) = (RefCell::new(fresh()), Seen::default());
    let create = || {
        let rig = Rc::clone(&held.borrow());
        async move { rig.keys.create("acme", new(), START).await }
    };
    let made = drop_at_each_await(create, async |_| {
        let rig = held.replace(fresh());
        let listed = rig.keys.list("acme", at(60)).await.unwrap();
        let again = rig.keys.create("acme", new(), at(60)).await;
        if listed.is_empty() {
            assert!(again.is_ok());
        } else {
            assert_eq!(again.err(), Some(Error::TooManyKeys));
        }
        seen.note(!listed.is_empty());
    });
    assert!(made.await.is_ok());
    seen.both();
}

#[tokio::test]
async fn a_rotation_that_is_dropped_is_done_or_not_begun_and_the_old_secret_counts() {
    let (held, mut seen) = (RefCell::new(Rc::new(paused().await)), Seen::default());
    let rotate = || {
        let acme = Rc::clone(&held.borrow());
        async move { acme.rotate(at(1)).await }
    };
    let rotated = drop_at_each_await(rotate, async |_| {
        let acme = held.replace(Rc::new(paused().await));
        let proof = acme.verify(&acme.made.key, at(2)).await.unwrap();
        let again = acme.rotate(at(2)).await;
        assert_eq!(again.is_err(), proof.by_previous_secret());
        seen.note(proof.by_previous_secret());
    });
    assert!(rotated.await.is_ok());
    seen.both();
}

#[tokio::test]
async fn a_verification_that_is_dropped_notes_its_use_or_does_not() {
    let (held, mut seen) = (RefCell::new(Rc::new(paused().await)), Seen::default());
    let verify = || {
        let acme = Rc::clone(&held.borrow());
        async move { acme.verify(&acme.made.key, at(1)).await }
    };
    let proof = drop_at_each_await(verify, async |_| {
        let acme = held.replace(Rc::new(paused().await));
        let listed = acme.rig.keys.list("acme", at(2)).await.unwrap();
        assert!(acme.verify(&acme.made.key, at(2)).await.is_ok());
        seen.note(listed[0].last_used_at == Some(at(1)));
    });
    assert!(proof.await.is_ok());
    seen.both();
}

#[tokio::test]
async fn a_revocation_that_is_dropped_is_done_or_not_begun() {
    let (held, mut seen) = (RefCell::new(Rc::new(paused().await)), Seen::default());
    let revoke = || {
        let acme = Rc::clone(&held.borrow());
        async move { acme.rig.keys.revoke("acme", acme.made.info.id, at(1)).await }
    };
    let info = drop_at_each_await(revoke, async |_| {
        let acme = held.replace(Rc::new(paused().await));
        let verified = acme.verify(&acme.made.key, at(2)).await;
        assert!(matches!(verified, Ok(_) | Err(Error::Revoked)));
        seen.note(verified.is_err());
    });
    assert!(info.await.is_ok());
    seen.both();
}

#[tokio::test]
async fn a_key_whose_forgetting_is_dropped_never_counts_again_and_its_place_frees_itself() {
    let fresh = async || {
        let rig = Rig::with(policy().keys_per_owner(1).unwrap());
        let made = rig.create("acme", START).await.unwrap();
        rig.keys.revoke("acme", made.info.id, at(1)).await.unwrap();
        rig.store.store.pause(true);
        Rc::new(Owned { rig, made })
    };
    let (held, mut seen) = (RefCell::new(fresh().await), Seen::default());
    let forget = || {
        let acme = Rc::clone(&held.borrow());
        async move { acme.rig.keys.forget("acme", acme.made.info.id, at(1)).await }
    };
    let done = drop_at_each_await(forget, async |_| {
        let acme = held.replace(fresh().await);
        let refused = acme.verify(&acme.made.key, at(DAY)).await.err();
        let gone = refused == Some(Error::Unknown);
        assert!(gone || refused == Some(Error::Revoked));
        assert_eq!(acme.rig.create("acme", at(DAY)).await.is_ok(), gone);
        seen.note(gone);
    });
    assert!(done.await.is_ok());
    seen.both();
}
