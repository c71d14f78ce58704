//! What ends a session, and whose sessions make room.
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

use std::time::Duration;

use common::{at, faulty, key, password, policy};
use portcullis_core::{Key, Next, Scope, Store, Timestamp, Value};
use portcullis_session::{Error, Revocation, SessionId, Sessions};

const DAY: u64 = 24 * 3600;

#[tokio::test]
async fn a_revoked_session_refuses_its_tokens_and_ids_and_is_answered_once() {
    let (sessions, _) = faulty(policy());
    let started = sessions.start("alice", &password(0), at(0)).await.unwrap();
    let ended = sessions
        .revoke(&started.session, at(5))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((ended.user(), ended.session()), ("alice", started.session));
    assert_eq!(
        sessions.revoke(&started.session, at(6)).await.unwrap(),
        None
    );
    let refused = sessions
        .refresh(started.refresh_token.expose(), at(6))
        .await
        .unwrap_err();
    assert!(matches!(
        refused,
        Error::Revoked {
            why: Revocation::SignedOut,
            ..
        }
    ));
    assert!(sessions.live(&started.session, at(29 * DAY)).await.is_err());
    assert_eq!(sessions.list("alice", at(6)).await.unwrap(), []);
    let unknown: SessionId = "AAAAAAAAAAAAAAAAAAAAAA".parse().unwrap();
    assert_eq!(sessions.revoke(&unknown, at(6)).await.unwrap(), None);
    assert_eq!(
        sessions.live(&unknown, at(6)).await.unwrap_err(),
        Error::NoSuchSession
    );
}

#[tokio::test]
async fn signing_out_with_an_old_token_of_the_family_ends_it() {
    let (sessions, _) = faulty(policy());
    let started = sessions.start("alice", &password(0), at(0)).await.unwrap();
    let second = sessions
        .refresh(started.refresh_token.expose(), at(60))
        .await
        .unwrap();
    let ended = sessions
        .revoke_token(started.refresh_token.expose(), at(3600))
        .await
        .unwrap();
    assert_eq!(ended.unwrap().session(), started.session);
    assert!(
        sessions
            .refresh(second.refresh_token.expose(), at(3600))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn all_sessions_of_one_user_end_and_no_other_users() {
    let (sessions, _) = faulty(policy());
    let mut tokens = Vec::new();
    for secs in 0..3 {
        let started = sessions
            .start("alice", &password(0), at(secs))
            .await
            .unwrap();
        tokens.push(started.refresh_token);
    }
    let bobs = sessions.start("bob", &password(0), at(3)).await.unwrap();
    assert_eq!(sessions.list("alice", at(4)).await.unwrap().len(), 3);
    assert_eq!(sessions.revoke_all("alice", at(4)).await.unwrap(), 3);
    assert_eq!(sessions.revoke_all("alice", at(4)).await.unwrap(), 0);
    for token in tokens {
        let refused = sessions.refresh(token.expose(), at(5)).await.unwrap_err();
        assert!(matches!(
            refused,
            Error::Revoked {
                why: Revocation::AllSignedOut,
                ..
            }
        ));
    }
    assert!(sessions.live(&bobs.session, at(5)).await.is_ok());
}

#[tokio::test]
async fn the_others_end_and_the_one_that_asks_goes_on() {
    let (sessions, _) = faulty(policy());
    let mut alices = Vec::new();
    for secs in 0..3 {
        let started = sessions.start("alice", &password(0), at(secs)).await;
        alices.push(started.unwrap());
    }
    let bobs = sessions.start("bob", &password(0), at(3)).await.unwrap();
    let keep = alices[1].session;
    let ended = sessions.revoke_others("alice", &keep, at(4)).await;
    assert_eq!(ended, Ok(2));
    let ended = sessions.revoke_others("alice", &keep, at(4)).await;
    assert_eq!(ended, Ok(0));
    for (started, goes_on) in alices.iter().zip([false, true, false]) {
        let live = sessions.live(&started.session, at(5)).await;
        assert_eq!(live.is_ok(), goes_on);
        let token = started.refresh_token.expose();
        assert_eq!(sessions.refresh(token, at(5)).await.is_ok(), goes_on);
    }
    assert_eq!(sessions.list("alice", at(5)).await.unwrap().len(), 1);
    assert!(sessions.live(&bobs.session, at(5)).await.is_ok());
}

#[tokio::test]
async fn anothers_session_kept_keeps_none_and_ends_none_of_the_others() {
    let (sessions, _) = faulty(policy());
    let alices = sessions.start("alice", &password(0), at(0)).await.unwrap();
    let bobs = sessions.start("bob", &password(0), at(0)).await.unwrap();
    let ended = sessions.revoke_others("alice", &bobs.session, at(1)).await;
    assert_eq!(ended, Ok(1));
    assert!(sessions.live(&alices.session, at(2)).await.is_err());
    assert!(sessions.live(&bobs.session, at(2)).await.is_ok());
}

#[tokio::test]
async fn a_touched_session_outlives_its_idle_end_and_not_its_absolute_one() {
    let (sessions, store) = faulty(policy());
    let started = sessions.start("alice", &password(0), at(0)).await.unwrap();
    let session = started.session;
    for day in [6, 12, 18, 24] {
        let live = sessions.live(&session, at(day * DAY)).await.unwrap();
        assert!(sessions.touch_is_due(&live, at(day * DAY)));
        let live = sessions.touch(&session, at(day * DAY)).await.unwrap();
        assert_eq!(live.expires_at(), at((day + 7).min(30) * DAY));
        assert!(!sessions.touch_is_due(&live, at(day * DAY + 899)));
    }
    let last = at(30 * DAY - 1);
    let writes = store.writes();
    assert!(sessions.touch(&session, last).await.is_ok());
    assert_eq!(store.writes(), writes, "nothing was left to move");
    let over = sessions.touch(&session, at(30 * DAY)).await;
    assert_eq!(over, Err(Error::NoSuchSession));
}

#[tokio::test]
async fn a_session_in_use_by_its_cookie_is_not_the_one_that_makes_room() {
    let (sessions, _) = faulty(policy().sessions_per_user(2));
    let first = sessions.start("alice", &password(0), at(0)).await.unwrap();
    let second = sessions.start("alice", &password(0), at(1)).await.unwrap();
    sessions.touch(&first.session, at(DAY)).await.unwrap();
    let third = sessions.start("alice", &password(0), at(DAY + 1)).await;
    assert_eq!(third.unwrap().evicted, [second.session]);
}

#[tokio::test]
async fn a_shorter_idle_life_makes_no_session_from_before_it_seem_fresher() {
    let long = policy().sessions_per_user(2);
    let (before, store) = faulty(long);
    let stale = before.start("alice", &password(0), at(0)).await.unwrap();
    let short = long.idle(Duration::from_secs(DAY));
    let after = Sessions::new(store, key(), short).unwrap();
    let fresh = after.start("alice", &password(DAY), at(DAY)).await.unwrap();
    let third = after.start("alice", &password(DAY), at(DAY + 1)).await;
    assert_eq!(third.unwrap().evicted, [stale.session]);
    assert!(after.live(&fresh.session, at(DAY + 1)).await.is_ok());
}

#[tokio::test]
async fn one_session_too_many_ends_the_one_refreshed_longest_ago() {
    let (sessions, _) = faulty(policy().sessions_per_user(3));
    let mut started = Vec::new();
    for secs in 0..3 {
        started.push(
            sessions
                .start("alice", &password(0), at(secs))
                .await
                .unwrap(),
        );
    }
    // The oldest is in use; the second becomes the one refreshed longest ago.
    sessions
        .refresh(started[0].refresh_token.expose(), at(10))
        .await
        .unwrap();
    let fourth = sessions.start("alice", &password(0), at(11)).await.unwrap();
    assert_eq!(fourth.evicted, [started[1].session]);
    let refused = sessions
        .refresh(started[1].refresh_token.expose(), at(12))
        .await
        .unwrap_err();
    assert!(matches!(
        refused,
        Error::Revoked {
            why: Revocation::Evicted,
            ..
        }
    ));
    let listed = sessions.list("alice", at(12)).await.unwrap();
    let ids: Vec<_> = listed.iter().map(|live| live.session()).collect();
    assert_eq!(
        ids,
        [started[0].session, started[2].session, fourth.session]
    );
}

#[tokio::test]
async fn dead_sessions_make_room_before_living_ones_do() {
    let (sessions, _) = faulty(policy().sessions_per_user(3));
    let idle = sessions.start("alice", &password(0), at(0)).await.unwrap();
    let alive = sessions
        .start("alice", &password(0), at(6 * DAY))
        .await
        .unwrap();
    let reused = sessions
        .start("alice", &password(0), at(6 * DAY))
        .await
        .unwrap();
    let child = sessions
        .refresh(reused.refresh_token.expose(), at(6 * DAY))
        .await
        .unwrap();
    sessions
        .refresh(child.refresh_token.expose(), at(6 * DAY))
        .await
        .unwrap();
    let replayed = sessions
        .refresh(reused.refresh_token.expose(), at(6 * DAY))
        .await;
    assert!(matches!(replayed, Err(Error::Reused { .. })));
    for _ in 0..2 {
        let started = sessions
            .start("alice", &password(0), at(8 * DAY))
            .await
            .unwrap();
        assert_eq!(started.evicted, []);
    }
    assert!(sessions.live(&alive.session, at(8 * DAY)).await.is_ok());
    assert!(sessions.live(&idle.session, at(8 * DAY)).await.is_err());
    let fourth = sessions
        .start("alice", &password(0), at(8 * DAY))
        .await
        .unwrap();
    assert_eq!(fourth.evicted, [alive.session]);
}

#[tokio::test]
async fn a_session_that_does_not_decode_is_never_lost_sight_of_and_keeps_no_other_alive() {
    let (sessions, store) = faulty(policy().sessions_per_user(1));
    let broken = sessions.start("alice", &password(0), at(0)).await.unwrap();
    let key = Key::new(Scope::new("session"), broken.session.as_bytes());
    let spoil = |_: Option<&[u8]>| {
        let value = Value::new(b"\x09");
        let expires_at = Timestamp::MAX;
        ((), Next::Put { value, expires_at })
    };
    store.update(key, at(1), spoil).await.unwrap();
    let whole = sessions.start("alice", &password(0), at(2)).await.unwrap();
    assert_eq!(whole.evicted, []);
    assert_eq!(sessions.list("alice", at(3)).await, Err(Error::Corrupt));
    let ended = sessions.revoke_all("alice", at(4)).await;
    assert_eq!(ended, Err(Error::Corrupt));
    let refused = sessions.live(&whole.session, at(5)).await;
    assert!(matches!(refused, Err(Error::Revoked { .. })));
    assert_eq!(sessions.list("alice", at(6)).await, Err(Error::Corrupt));
}
