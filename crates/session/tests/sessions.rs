//! What each verb grants, and mostly what it refuses.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "tests"
)]

mod common;

use common::{at, faulty, key, password, policy};
use portcullis_core::testing::Faulty;
use portcullis_core::{Durability, Memory, Reason, Secret};
use portcullis_session::{Demand, Error, Factor, Method, Revocation, SessionPolicy, Sessions};
use std::time::Duration;

const DAY: u64 = 24 * 3600;

#[test]
fn refuses_a_store_that_forgets_unless_told_that_this_is_known() {
    let refused = Sessions::new(Memory::new(at(0)), key(), SessionPolicy::default());
    assert_eq!(refused.unwrap_err(), Error::VolatileStore);
    let durable = Faulty::new(Memory::new(at(0)));
    durable.claim(Durability::Durable);
    assert!(Sessions::new(durable, key(), SessionPolicy::default()).is_ok());
}

#[test]
fn refuses_a_short_key_and_a_policy_out_of_bounds() {
    for len in [0, 16, 31] {
        let short = Sessions::new(Memory::new(at(0)), Secret::from(vec![1; len]), policy());
        assert_eq!(short.unwrap_err(), Error::KeyTooShort);
    }
    let endless = policy().absolute(Duration::MAX);
    let refused = Sessions::new(Memory::new(at(0)), key(), endless);
    assert!(matches!(refused, Err(Error::Policy(_))));
}

#[tokio::test]
async fn refuses_to_start_for_nobody_for_a_name_too_long_and_on_no_proof() {
    let (sessions, store) = faulty(policy());
    let long = "x".repeat(256);
    for user in ["", long.as_str()] {
        let refused = sessions.start(user, &password(0), at(0)).await;
        assert_eq!(refused.unwrap_err(), Error::UserRefused);
    }
    let refused = sessions.start("alice", &[], at(0)).await;
    assert_eq!(refused.unwrap_err(), Error::FactorMissing);
    assert_eq!(store.calls(), 0);
    assert!(
        sessions
            .start(&"x".repeat(255), &password(0), at(0))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_chain_of_refreshes_keeps_user_factors_and_epoch_and_ends_at_the_absolute_end() {
    let (sessions, _) = faulty(policy());
    let started = sessions
        .start_at_epoch("alice", &password(0), 7, at(0))
        .await
        .unwrap();
    let mut token = started.refresh_token;
    for day in 1..=4 {
        let refreshed = sessions
            .refresh(token.expose(), at(day * 6 * DAY))
            .await
            .unwrap();
        assert_eq!((refreshed.user.as_str(), refreshed.epoch), ("alice", 7));
        assert_eq!(refreshed.factors, password(0));
        assert!(refreshed.refresh_expires_at <= at(30 * DAY));
        assert!(!refreshed.repeated);
        token = refreshed.refresh_token;
    }
    let over = sessions.refresh(token.expose(), at(30 * DAY)).await;
    assert_eq!(over.unwrap_err(), Error::NoSuchSession);
    let live = sessions.live(&started.session, at(30 * DAY)).await;
    assert_eq!(live.unwrap_err(), Error::NoSuchSession);
}

#[tokio::test]
async fn an_unused_token_dies_of_idleness_and_its_session_with_it() {
    let (sessions, _) = faulty(policy());
    let started = sessions.start("alice", &password(0), at(0)).await.unwrap();
    assert_eq!(started.refresh_expires_at, at(7 * DAY));
    assert!(
        sessions
            .live(&started.session, at(7 * DAY - 1))
            .await
            .is_ok()
    );
    assert!(sessions.live(&started.session, at(7 * DAY)).await.is_err());
    let over = sessions
        .refresh(started.refresh_token.expose(), at(7 * DAY))
        .await;
    assert_eq!(over.unwrap_err(), Error::NoSuchSession);
}

#[tokio::test]
async fn refuses_text_that_is_no_token_without_asking_the_store() {
    let (sessions, store) = faulty(policy());
    let megabyte = "prt1_".repeat(1 << 18);
    for text in ["", "prt1_", "Bearer x", megabyte.as_str()] {
        assert_eq!(
            sessions.refresh(text, at(0)).await.unwrap_err(),
            Error::Malformed
        );
        assert_eq!(
            sessions.revoke_token(text, at(0)).await.unwrap_err(),
            Error::Malformed
        );
    }
    assert_eq!(store.calls(), 0);
}

#[tokio::test]
async fn who_knows_a_session_id_can_neither_refresh_nor_kill_it() {
    let (sessions, _) = faulty(policy());
    let started = sessions.start("alice", &password(0), at(0)).await.unwrap();
    let second = sessions
        .refresh(started.refresh_token.expose(), at(60))
        .await
        .unwrap();
    // The right id and counter under another key: what a thief of access tokens could make.
    let other = Sessions::new(Memory::new(at(0)), Secret::from(vec![8; 32]), policy()).unwrap();
    let mut forged = other
        .start("alice", &password(0), at(0))
        .await
        .unwrap()
        .refresh_token
        .expose()
        .to_owned();
    let (own, forged_tail) = (
        started.refresh_token.expose().to_owned(),
        forged.split_off(38),
    );
    let forged = [&own[..38], &forged_tail].concat();
    for now in [at(60), at(61), at(3600)] {
        let refused = sessions.refresh(&forged, now).await;
        assert_eq!(refused.unwrap_err(), Error::NoSuchSession);
        let refused = sessions.revoke_token(&forged, now).await;
        assert_eq!(refused.unwrap_err(), Error::NoSuchSession);
    }
    assert!(
        sessions
            .refresh(second.refresh_token.expose(), at(3600))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_new_key_makes_every_token_an_unknown_one() {
    let store = Faulty::new(Memory::new(at(0)));
    let old = Sessions::new(store.clone(), key(), policy()).unwrap();
    let new = Sessions::new(store, Secret::from(vec![8; 32]), policy()).unwrap();
    let started = old.start("alice", &password(0), at(0)).await.unwrap();
    let refused = new.refresh(started.refresh_token.expose(), at(1)).await;
    assert_eq!(refused.unwrap_err(), Error::NoSuchSession);
}

#[tokio::test]
async fn an_ancestor_within_the_grace_ends_the_family() {
    let (sessions, _) = faulty(policy());
    let started = sessions.start("alice", &password(0), at(0)).await.unwrap();
    let second = sessions
        .refresh(started.refresh_token.expose(), at(1))
        .await
        .unwrap();
    let third = sessions
        .refresh(second.refresh_token.expose(), at(2))
        .await
        .unwrap();
    let replayed = sessions
        .refresh(started.refresh_token.expose(), at(2))
        .await
        .unwrap_err();
    let session = started.session;
    assert_eq!(
        replayed,
        Error::Reused {
            session,
            user: "alice".into()
        }
    );
    assert_eq!(replayed.reason(), Reason::TokenReplayed);
    for token in [
        &started.refresh_token,
        &second.refresh_token,
        &third.refresh_token,
    ] {
        let refused = sessions.refresh(token.expose(), at(2)).await.unwrap_err();
        assert!(matches!(
            refused,
            Error::Revoked {
                why: Revocation::Reused,
                ..
            }
        ));
    }
    assert_eq!(
        sessions.live(&session, at(2)).await.unwrap_err().reason(),
        Reason::TokenRevoked
    );
}

#[tokio::test]
async fn the_grace_ends_when_the_child_is_used() {
    let (sessions, _) = faulty(policy());
    let first = sessions
        .start("alice", &password(0), at(0))
        .await
        .unwrap()
        .refresh_token;
    let second = sessions
        .refresh(first.expose(), at(1))
        .await
        .unwrap()
        .refresh_token;
    assert!(
        sessions
            .refresh(first.expose(), at(1))
            .await
            .unwrap()
            .repeated
    );
    sessions.refresh(second.expose(), at(1)).await.unwrap();
    // The same second, within the grace of the first rotation: yet its child was used.
    let replayed = sessions.refresh(first.expose(), at(1)).await;
    assert!(matches!(replayed, Err(Error::Reused { .. })));
}

/// A thief who follows each of the owner's refreshes within the grace is given the owner's own token,
/// flagged each time; the first round in which either comes late ends the session for both.
#[tokio::test]
async fn a_thief_in_lock_step_is_flagged_each_round_never_owns_a_token_and_falls_with_the_first_late_one()
 {
    let (sessions, _) = faulty(policy());
    let started = sessions.start("alice", &password(0), at(0)).await.unwrap();
    let (mut owners, mut thiefs) = (started.refresh_token.clone(), started.refresh_token);
    for hour in 1..=24 {
        let now = at(hour * 3600);
        let owner = sessions.refresh(owners.expose(), now).await.unwrap();
        let thief = sessions.refresh(thiefs.expose(), now).await.unwrap();
        assert!(!owner.repeated && thief.repeated);
        assert_eq!(owner.refresh_token, thief.refresh_token);
        assert_eq!(owner.refresh_expires_at, thief.refresh_expires_at);
        (owners, thiefs) = (owner.refresh_token, thief.refresh_token);
    }
    sessions
        .refresh(owners.expose(), at(25 * 3600))
        .await
        .unwrap();
    let late = sessions.refresh(thiefs.expose(), at(25 * 3600 + 10)).await;
    assert!(matches!(late, Err(Error::Reused { .. })));
    assert!(
        sessions
            .live(&started.session, at(25 * 3600 + 10))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_step_up_is_noted_once_shown_and_survives_a_refresh() {
    let (sessions, _) = faulty(policy());
    let started = sessions.start("alice", &password(0), at(0)).await.unwrap();
    let demand = Demand::second_factor().within(Duration::from_secs(300));
    let before = sessions.live(&started.session, at(10)).await.unwrap();
    assert!(!before.meets(&demand, at(10)));
    let totp = Factor::new(Method::Totp, at(20));
    let after = sessions
        .add_factor(&started.session, totp, at(20))
        .await
        .unwrap();
    assert!(after.meets(&demand, at(320)));
    assert!(!after.meets(&demand, at(321)));
    assert!(!after.meets(&demand.phishing_resistant(), at(20)));
    let refreshed = sessions
        .refresh(started.refresh_token.expose(), at(30))
        .await
        .unwrap();
    assert_eq!(refreshed.factors, [password(0)[0], totp]);
}

#[tokio::test]
async fn an_outlived_step_up_is_not_met_again_by_a_clock_that_stepped_back() {
    let (sessions, _) = faulty(policy());
    let started = sessions.start("alice", &password(0), at(0)).await.unwrap();
    let totp = Factor::new(Method::Totp, at(20));
    sessions
        .add_factor(&started.session, totp, at(20))
        .await
        .unwrap();
    sessions
        .refresh(started.refresh_token.expose(), at(400))
        .await
        .unwrap();
    let demand = Demand::second_factor().within(Duration::from_secs(300));
    for secs in [400, 320, 20, 0] {
        let live = sessions.live(&started.session, at(secs)).await.unwrap();
        assert!(!live.meets(&demand, at(secs)), "at {secs}");
    }
}

#[tokio::test]
async fn a_factor_is_not_noted_in_a_session_that_is_over() {
    let (sessions, _) = faulty(policy());
    let started = sessions.start("alice", &password(0), at(0)).await.unwrap();
    let totp = Factor::new(Method::Totp, at(20));
    let late = sessions
        .add_factor(&started.session, totp, at(7 * DAY))
        .await;
    assert_eq!(late.unwrap_err(), Error::NoSuchSession);
    sessions.revoke(&started.session, at(5)).await.unwrap();
    let revoked = sessions.add_factor(&started.session, totp, at(20)).await;
    assert!(matches!(revoked, Err(Error::Revoked { .. })));
}

#[tokio::test]
async fn no_debug_form_shows_a_token_or_a_user() {
    let (sessions, _) = faulty(policy());
    let started = sessions
        .start("alice@example.com", &password(0), at(0))
        .await
        .unwrap();
    let refreshed = sessions
        .refresh(started.refresh_token.expose(), at(1))
        .await
        .unwrap();
    let live = sessions.live(&started.session, at(1)).await.unwrap();
    let text = format!("{sessions:?} {started:?} {refreshed:?} {live:?}");
    assert!(!text.contains("alice") && !text.contains("prt1_") && !text.contains("nonce"));
}
