//! Sessions whose callers go away at each await, and what stands in a user's index afterwards.
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
use std::time::Duration;

use common::{at, faulty, password, policy};
use portcullis_core::testing::{Faulty, drop_at_each_await};
use portcullis_core::{Index, Memory, Scope, Secret};
use portcullis_jwt::{AccessToken, HmacKey, KeySet, NoClaims, Policy, Signer, Subject, Verifier};
use portcullis_session::{Error, Factor, Method, Sessions, Started};

/// The index in which the guard lists a user's sessions, as the store holds it.
const LISTED: Index = Index::new(Scope::new("session_index"), 1, 200);

/// Alice has three sessions and bob has one, in a store that gives way around every update.
struct Rig {
    sessions: Sessions<Faulty<Memory>>,
    store: Faulty<Memory>,
    alices: Vec<Started>,
    bobs: Started,
}

impl Rig {
    async fn new() -> Self {
        let (sessions, store) = faulty(policy());
        let mut alices = Vec::new();
        for secs in 0..3 {
            let started = sessions.start("alice", &password(secs), at(secs)).await;
            alices.push(started.unwrap());
        }
        let bobs = sessions.start("bob", &password(0), at(3)).await.unwrap();
        store.pause(true);
        Self {
            sessions,
            store,
            alices,
            bobs,
        }
    }

    async fn lives(&self, started: &Started) -> bool {
        match self.sessions.live(&started.session, at(10)).await {
            Ok(_) => true,
            Err(Error::Revoked { .. }) => false,
            Err(error) => panic!("{error}"),
        }
    }

    async fn alices_alive(&self) -> usize {
        let mut alive = 0;
        for started in &self.alices {
            alive += usize::from(self.lives(started).await);
        }
        alive
    }

    /// How many entries `user`'s index has, dead sessions' included.
    async fn listed(&self, user: &str) -> usize {
        let members = LISTED.members(&self.store, user.as_bytes(), at(10)).await;
        members.unwrap().len()
    }

    /// Bob notices nothing: his session lives, is listed, and its token is still good.
    async fn bob_is_unharmed(&self) {
        let live = self.sessions.live(&self.bobs.session, at(10)).await;
        assert_eq!(live.unwrap().factors(), password(0));
        assert_eq!(self.listed("bob").await, 1);
        let token = self.bobs.refresh_token.expose();
        assert!(self.sessions.refresh(token, at(10)).await.is_ok());
    }
}

fn access(subject: &str, session: &str) -> AccessToken<NoClaims> {
    let keys = KeySet::new(HmacKey::new("k", Secret::generate::<32>().unwrap()).unwrap());
    let policy = Policy::access("https://login.example", "orders").unwrap();
    let subject = Subject::new(subject).session(session);
    let signer = Signer::new(&keys, policy.clone());
    let token = signer.sign(&NoClaims {}, subject, at(3), Duration::from_secs(60));
    let verifier = Verifier::new(&keys, policy);
    verifier.verify(&token.unwrap(), at(3)).unwrap()
}

#[tokio::test]
async fn a_look_dropped_at_any_await_has_changed_nothing() {
    let rig = Rig::new().await;
    let (writes, session) = (rig.store.writes(), rig.alices[1].session);
    let token = access("alice", &session.to_string());
    let mut drops = [0, 0, 0];
    let unchanged = async |drops: &mut usize| {
        assert_eq!(rig.store.writes(), writes);
        assert_eq!(
            (rig.alices_alive().await, rig.listed("alice").await),
            (3, 3)
        );
        *drops += 1;
    };
    let [of_live, of_admit, of_list] = &mut drops;
    let live = || rig.sessions.live(&session, at(10));
    let live = drop_at_each_await(live, async |_| unchanged(of_live).await).await;
    let admit = || rig.sessions.admit(&token, at(10));
    let admitted = drop_at_each_await(admit, async |_| unchanged(of_admit).await).await;
    let list = || rig.sessions.list("alice", at(10));
    let listed = drop_at_each_await(list, async |_| unchanged(of_list).await).await;
    let names: Vec<_> = listed.unwrap().iter().map(|live| live.session()).collect();
    let started: Vec<_> = rig.alices.iter().map(|started| started.session).collect();
    assert_eq!(names, started);
    assert_eq!(live.unwrap(), admitted.unwrap());
    assert!(drops.iter().all(|drops| *drops >= 2), "{drops:?}");
    assert_eq!(rig.store.writes(), writes);
    rig.bob_is_unharmed().await;
}

#[tokio::test]
async fn a_factor_whose_adding_is_dropped_at_any_await_is_noted_or_not_and_in_that_session_alone() {
    let rig = RefCell::new(Rc::new(Rig::new().await));
    let totp = Factor::new(Method::Totp, at(9));
    let (mut drops, mut seen) = (0, BTreeSet::new());
    let add = || {
        let rig = Rc::clone(&rig.borrow());
        async move {
            let session = rig.alices[0].session;
            rig.sessions.add_factor(&session, totp, at(10)).await
        }
    };
    let added = drop_at_each_await(add, async |polls| {
        let rig = rig.replace(Rc::new(Rig::new().await));
        let session = &rig.alices[0].session;
        let shown = rig.sessions.live(session, at(10)).await.unwrap();
        let first = password(0)[0];
        let is_noted = shown.factors() == [first, totp];
        assert!(is_noted || shown.factors() == [first], "{polls}");
        for (secs, other) in (1..).zip(&rig.alices[1..]) {
            let other = rig.sessions.live(&other.session, at(10)).await.unwrap();
            assert_eq!(other.factors(), password(secs));
        }
        // Noted again is noted once.
        let again = rig.sessions.add_factor(session, totp, at(10)).await;
        assert_eq!(again.unwrap().factors(), [first, totp]);
        rig.bob_is_unharmed().await;
        seen.insert(is_noted);
        drops += 1;
    });
    assert_eq!(added.await.unwrap().factors().len(), 2);
    assert!(drops >= 2, "{drops}");
    assert_eq!(seen, BTreeSet::from([false, true]));
}

#[tokio::test]
async fn a_token_whose_revocation_is_dropped_at_any_await_has_ended_its_session_or_none() {
    let rig = RefCell::new(Rc::new(Rig::new().await));
    let (mut drops, mut seen) = (0, BTreeSet::new());
    let revoke = || {
        let rig = Rc::clone(&rig.borrow());
        async move {
            let token = rig.alices[0].refresh_token.expose();
            rig.sessions.revoke_token(token, at(10)).await
        }
    };
    let ended = drop_at_each_await(revoke, async |polls| {
        let rig = rig.replace(Rc::new(Rig::new().await));
        let alive = rig.lives(&rig.alices[0]).await;
        let listed = rig.listed("alice").await;
        assert!(listed == 3 || !alive, "{polls}: alive and not listed");
        assert_eq!(rig.alices_alive().await, 2 + usize::from(alive));
        // Called again it does what was left to do, and says whether the session was alive.
        let token = rig.alices[0].refresh_token.expose();
        let again = rig.sessions.revoke_token(token, at(10)).await.unwrap();
        assert_eq!(again.is_some(), alive, "{polls}");
        assert_eq!(
            (rig.alices_alive().await, rig.listed("alice").await),
            (2, 2)
        );
        rig.bob_is_unharmed().await;
        seen.insert((alive, listed));
        drops += 1;
    });
    assert!(ended.await.unwrap().is_some());
    assert!(drops >= 2, "{drops}");
    assert_eq!(seen, BTreeSet::from([(true, 3), (false, 3), (false, 2)]));
}

#[tokio::test]
async fn the_end_of_all_sessions_dropped_at_any_await_is_finished_by_the_next_call() {
    let rig = RefCell::new(Rc::new(Rig::new().await));
    let (mut drops, mut seen) = (0, BTreeSet::new());
    let revoke = || {
        let rig = Rc::clone(&rig.borrow());
        async move { rig.sessions.revoke_all("alice", at(10)).await }
    };
    let ended = drop_at_each_await(revoke, async |polls| {
        let rig = rig.replace(Rc::new(Rig::new().await));
        let (alive, listed) = (rig.alices_alive().await, rig.listed("alice").await);
        assert!(
            alive <= listed,
            "{polls}: {alive} live, {listed} are listed"
        );
        let again = rig.sessions.revoke_all("alice", at(10)).await;
        assert_eq!(again, Ok(alive), "{polls}");
        assert_eq!(
            (rig.alices_alive().await, rig.listed("alice").await),
            (0, 0)
        );
        rig.bob_is_unharmed().await;
        seen.insert((alive, listed));
        drops += 1;
    });
    assert_eq!(ended.await, Ok(3));
    assert!(drops >= 2, "{drops}");
    let between = [(0, 0), (0, 1), (1, 1), (1, 2), (2, 2), (2, 3), (3, 3)];
    assert_eq!(seen, BTreeSet::from(between));
}

#[tokio::test]
async fn the_end_of_the_others_dropped_at_any_await_keeps_the_one_and_is_finished_by_the_next_call()
{
    let rig = RefCell::new(Rc::new(Rig::new().await));
    let (mut drops, mut seen) = (0, BTreeSet::new());
    let revoke = || {
        let rig = Rc::clone(&rig.borrow());
        async move {
            let keep = rig.alices[1].session;
            rig.sessions.revoke_others("alice", &keep, at(10)).await
        }
    };
    let ended = drop_at_each_await(revoke, async |polls| {
        let rig = rig.replace(Rc::new(Rig::new().await));
        let alive = rig.alices_alive().await;
        assert!(rig.lives(&rig.alices[1]).await, "{polls}");
        assert!(alive <= rig.listed("alice").await, "{polls}");
        let keep = rig.alices[1].session;
        let again = rig.sessions.revoke_others("alice", &keep, at(10)).await;
        assert_eq!(again, Ok(alive - 1), "{polls}");
        assert!(rig.lives(&rig.alices[1]).await, "{polls}");
        assert_eq!(
            (rig.alices_alive().await, rig.listed("alice").await),
            (1, 1)
        );
        rig.bob_is_unharmed().await;
        seen.insert(alive);
        drops += 1;
    });
    assert_eq!(ended.await, Ok(2));
    assert!(drops >= 2, "{drops}");
    assert_eq!(seen, BTreeSet::from([1, 2, 3]));
}

#[tokio::test]
async fn a_touch_dropped_at_any_await_has_moved_that_sessions_idle_end_or_nothing() {
    let rig = RefCell::new(Rc::new(Rig::new().await));
    let (mut drops, mut seen) = (0, BTreeSet::new());
    let touch = || {
        let rig = Rc::clone(&rig.borrow());
        async move { rig.sessions.touch(&rig.alices[0].session, at(10)).await }
    };
    let touched = drop_at_each_await(touch, async |polls| {
        let rig = rig.replace(Rc::new(Rig::new().await));
        let week = Duration::from_secs(7 * 24 * 3600);
        let listed = rig.sessions.list("alice", at(10)).await.unwrap();
        let ends: Vec<_> = listed.iter().map(|live| live.expires_at()).collect();
        let others = [at(1), at(2)].map(|start| start.saturating_add(week));
        assert_eq!(ends[1..], others, "{polls}");
        let moved = ends[0] == at(10).saturating_add(week);
        assert!(moved || ends[0] == at(0).saturating_add(week), "{polls}");
        // The token is as good as it was, and is no replay.
        let token = rig.alices[0].refresh_token.expose();
        let refreshed = rig.sessions.refresh(token, at(10)).await.unwrap();
        assert!(!refreshed.repeated);
        rig.bob_is_unharmed().await;
        seen.insert(moved);
        drops += 1;
    });
    assert!(touched.await.is_ok());
    assert!(drops >= 2, "{drops}");
    assert_eq!(seen, BTreeSet::from([false, true]));
}

#[tokio::test]
async fn a_session_that_has_ended_is_no_longer_in_its_users_index() {
    let rig = Rig::new().await;
    let ended = rig.sessions.revoke(&rig.alices[0].session, at(10)).await;
    assert!(ended.unwrap().is_some());
    assert_eq!(rig.listed("alice").await, 2);
    let token = rig.alices[1].refresh_token.expose();
    let ended = rig.sessions.revoke_token(token, at(10)).await;
    assert!(ended.unwrap().is_some());
    assert_eq!(rig.listed("alice").await, 1);
    // Another's, and one that has ended before, take nobody out.
    assert_eq!(rig.sessions.revoke_all("carol", at(10)).await, Ok(0));
    let again = rig.sessions.revoke(&rig.alices[0].session, at(10)).await;
    assert_eq!(again.unwrap(), None);
    assert_eq!(rig.listed("alice").await, 1);
    rig.bob_is_unharmed().await;
}
