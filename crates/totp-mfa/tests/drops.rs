//! Every verb's future dropped at each of its awaits: its act is done or not begun.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "tests"
)]

mod common;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use common::{Rig, START, at, policy};
use portcullis_core::testing::drop_at_each_await;
use portcullis_totp_mfa::{Error, FactorProof, Standing};

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

/// A rig whose updates give way, and the proofs it was left with.
async fn paused() -> Rig {
    let rig = Rig::new().await;
    rig.store.pause(true);
    rig
}

type Held<T> = RefCell<Rc<T>>;

fn hold<T>(held: T) -> Held<T> {
    RefCell::new(Rc::new(held))
}

#[tokio::test]
async fn a_code_whose_consumption_is_dropped_is_used_up_or_as_good_as_before() {
    let (held, mut seen) = (hold(paused().await), Seen::default());
    let consume = || {
        let rig = Rc::clone(&held.borrow());
        async move { rig.totp(at(60)).await }
    };
    let proof = drop_at_each_await(consume, async |_| {
        let rig = held.replace(Rc::new(paused().await));
        let again = rig.totp(at(60)).await;
        assert!(matches!(again, Ok(_) | Err(Error::Replayed)));
        seen.note(again.is_err());
        assert_eq!(rig.totp(at(60)).await.err(), Some(Error::Replayed));
        assert!(rig.totp(at(90)).await.is_ok());
    });
    assert!(proof.await.is_ok());
    seen.both();
}

#[tokio::test]
async fn a_wrong_code_whose_judgement_is_dropped_is_counted_once_or_was_not_looked_at() {
    let (held, mut seen) = (hold(paused().await), Seen::default());
    let consume = || {
        let rig = Rc::clone(&held.borrow());
        async move { rig.show(rig.wrong(at(60)), at(60)).await }
    };
    let answer = drop_at_each_await(consume, async |_| {
        let rig = held.replace(Rc::new(paused().await));
        let failures = rig.standing(at(60)).await.failures;
        assert!(failures <= 1);
        seen.note(failures == 1);
    });
    assert!(answer.await.is_err());
    seen.both();
}

#[tokio::test]
async fn a_recovery_code_whose_consumption_is_dropped_is_used_up_or_as_good_as_before() {
    let (held, mut seen) = (hold(paused().await), Seen::default());
    let consume = || {
        let rig = Rc::clone(&held.borrow());
        async move { rig.recover(0, at(60)).await }
    };
    let proof = drop_at_each_await(consume, async |_| {
        let rig = held.replace(Rc::new(paused().await));
        let left = rig.standing(at(60)).await.recovery_codes_left;
        assert_eq!(rig.recover(0, at(60)).await.is_ok(), left == 10);
        assert_eq!(rig.standing(at(60)).await.recovery_codes_left, 9);
        seen.note(left == 9);
    });
    assert!(proof.await.is_ok());
    seen.both();
}

#[tokio::test]
async fn an_enrolment_whose_beginning_is_dropped_is_under_way_or_not() {
    let fresh = async || {
        let rig = Rig::begun(policy()).await;
        rig.put("alice", None).await;
        rig.store.pause(true);
        Rc::new(rig)
    };
    let (held, mut seen) = (RefCell::new(fresh().await), Seen::default());
    let enrol = || {
        let rig = Rc::clone(&held.borrow());
        async move { rig.factors.enrol(&rig.store, "alice", "alice", START).await }
    };
    let enrolment = drop_at_each_await(enrol, async |_| {
        let rig = held.replace(fresh().await);
        let standing = rig.standing(START).await;
        assert!(!standing.enrolled);
        seen.note(standing.pending);
        // Begun again, it is the new one that counts.
        let again = rig.factors.enrol(&rig.store, "alice", "alice", START).await;
        assert!(again.is_ok());
    });
    assert!(enrolment.await.is_ok());
    seen.both();
}

#[tokio::test]
async fn an_enrolment_whose_confirmation_is_dropped_is_complete_or_still_waits() {
    let fresh = async || {
        let rig = Rig::begun(policy()).await;
        rig.store.pause(true);
        Rc::new(rig)
    };
    let (held, mut seen) = (RefCell::new(fresh().await), Seen::default());
    let confirm = || {
        let rig = Rc::clone(&held.borrow());
        async move {
            rig.factors
                .confirm(&rig.store, "alice", &rig.code(START), START)
                .await
        }
    };
    let confirmed = drop_at_each_await(confirm, async |_| {
        let rig = held.replace(fresh().await);
        let standing = rig.standing(START).await;
        assert_ne!(standing.enrolled, standing.pending);
        seen.note(standing.enrolled);
        if standing.enrolled {
            // Nobody saw the recovery codes; the code is used up, and the next one makes new ones.
            assert_eq!(rig.totp(START).await.err(), Some(Error::Replayed));
            let proof = rig.totp(at(30)).await.unwrap();
            let made = rig.factors.regenerate(&rig.store, proof, at(30)).await;
            assert_eq!(made.unwrap().iter().count(), 10);
        }
    });
    assert!(confirmed.await.is_ok());
    seen.both();
}

/// A rig and a fresh proof of it.
async fn proven() -> (Rc<Rig>, RefCell<Option<FactorProof>>) {
    let rig = paused().await;
    let proof = rig.totp(at(60)).await.unwrap();
    (Rc::new(rig), RefCell::new(Some(proof)))
}

#[tokio::test]
async fn recovery_codes_whose_making_is_dropped_are_all_new_or_all_old() {
    let (held, mut seen) = (hold(proven().await), Seen::default());
    let regenerate = || {
        let held = Rc::clone(&held.borrow());
        async move {
            let (rig, proof) = &*held;
            let proof = proof.take().unwrap();
            rig.factors.regenerate(&rig.store, proof, at(60)).await
        }
    };
    let made = drop_at_each_await(regenerate, async |_| {
        let dropped = held.replace(Rc::new(proven().await));
        let rig = &dropped.0;
        let mut good = 0;
        for place in 0..10 {
            good += usize::from(rig.recover(place, at(60)).await.is_ok());
        }
        assert!(good == 0 || good == 10, "{good}");
        seen.note(good == 0);
    });
    assert!(made.await.is_ok());
    seen.both();
}

#[tokio::test]
async fn a_factor_whose_removal_is_dropped_is_gone_or_whole() {
    let (held, mut seen) = (hold(proven().await), Seen::default());
    let remove = || {
        let held = Rc::clone(&held.borrow());
        async move {
            let (rig, proof) = &*held;
            let proof = proof.take().unwrap();
            rig.factors.remove(&rig.store, proof, at(60)).await
        }
    };
    let removed = drop_at_each_await(remove, async |_| {
        let dropped = held.replace(Rc::new(proven().await));
        let rig = &dropped.0;
        let gone = rig.standing(at(60)).await == Standing::default();
        assert_eq!(rig.totp(at(90)).await.is_ok(), !gone);
        seen.note(gone);
    });
    assert_eq!(removed.await, Ok(()));
    seen.both();
}

#[tokio::test]
async fn a_reset_that_is_dropped_is_done_or_not_begun() {
    let (held, mut seen) = (hold(paused().await), Seen::default());
    let reset = || {
        let rig = Rc::clone(&held.borrow());
        async move {
            rig.factors
                .dangerous_reset(&rig.store, "alice", at(60))
                .await
        }
    };
    let done = drop_at_each_await(reset, async |_| {
        let rig = held.replace(Rc::new(paused().await));
        let gone = rig.standing(at(60)).await == Standing::default();
        assert_eq!(rig.totp(at(60)).await.is_ok(), !gone);
        seen.note(gone);
    });
    assert_eq!(done.await, Ok(true));
    seen.both();
}

#[tokio::test]
async fn a_resealing_that_is_dropped_leaves_a_secret_that_opens() {
    use portcullis_core::{Sealer, Secret};
    use portcullis_totp_mfa::SecondFactors;

    let newer = || {
        let sealer = Sealer::new(2, &Secret::from(vec![8; 32])).unwrap();
        let sealer = sealer.and_opens(1, &Secret::from(vec![7; 32])).unwrap();
        SecondFactors::new(sealer, &Secret::from(vec![9; 32]), policy()).unwrap()
    };
    let (held, mut seen) = (hold(paused().await), Seen::default());
    let reseal = || {
        let rig = Rc::clone(&held.borrow());
        async move { newer().reseal(&rig.store, "alice", at(60)).await }
    };
    let done = drop_at_each_await(reseal, async |_| {
        let rig = held.replace(Rc::new(paused().await));
        let shown = newer().present("alice", rig.code(at(60)));
        assert!(shown.consume(&rig.store, at(60)).await.is_ok());
        let due = newer().reseal(&rig.store, "alice", at(60)).await.unwrap();
        seen.note(!due);
    });
    assert_eq!(done.await, Ok(true));
    seen.both();
}

#[tokio::test]
async fn a_look_at_the_standing_that_is_dropped_has_changed_nothing() {
    let rig = paused().await;
    let (writes, mut drops) = (rig.store.writes(), 0);
    let look = || rig.factors.standing(&rig.store, "alice", at(60));
    let standing = drop_at_each_await(look, async |_| {
        assert_eq!(rig.store.writes(), writes);
        drops += 1;
    });
    assert!(standing.await.unwrap().enrolled);
    assert!(drops >= 2, "{drops}");
    assert_eq!(rig.store.writes(), writes);
}
