//! A store that fails, loses replies or forgets, and futures dropped at each await.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "tests"
)]

mod common;

use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use common::{at, faulty, password, policy};
use portcullis_core::testing::{Faulty, drop_at_each_await};
use portcullis_core::{Cause, Failure, Memory, Reason};
use portcullis_session::{Error, Factor, Method, Revocation, Sessions, Started};

fn failures() -> [Failure; 3] {
    [
        Failure::Contended,
        Failure::Unavailable(Cause::Closed),
        Failure::Unknown(Cause::Closed),
    ]
}

#[tokio::test]
async fn a_failing_store_refuses_every_verb_and_changes_nothing() {
    let (sessions, store) = faulty(policy());
    let started = sessions.start("alice", &password(0), at(0)).await.unwrap();
    let (session, token) = (started.session, started.refresh_token.expose());
    let writes = store.writes();
    for failure in failures() {
        let failed = Error::Store(failure.clone());
        assert_eq!(failed.reason(), Reason::from(&failure));
        let mut errors = Vec::new();
        store.fail_next(1, failure.clone());
        errors.push(sessions.refresh(token, at(1)).await.unwrap_err());
        store.fail_next(1, failure.clone());
        errors.push(sessions.live(&session, at(1)).await.unwrap_err());
        store.fail_next(1, failure.clone());
        errors.push(sessions.revoke(&session, at(1)).await.unwrap_err());
        store.fail_next(1, failure.clone());
        errors.push(sessions.revoke_token(token, at(1)).await.unwrap_err());
        store.fail_next(1, failure.clone());
        errors.push(sessions.touch(&session, at(1)).await.unwrap_err());
        store.fail_next(1, failure.clone());
        let others = sessions.revoke_others("alice", &session, at(1)).await;
        errors.push(others.unwrap_err());
        store.fail_next(1, failure.clone());
        errors.push(sessions.list("alice", at(1)).await.unwrap_err());
        store.fail_next(1, failure.clone());
        errors.push(
            sessions
                .start("alice", &password(0), at(1))
                .await
                .unwrap_err(),
        );
        store.fail_next(1, failure.clone());
        let totp = Factor::new(Method::Totp, at(1));
        errors.push(
            sessions
                .add_factor(&session, totp, at(1))
                .await
                .unwrap_err(),
        );
        assert!(errors.iter().all(|error| *error == failed));
    }
    assert_eq!(store.writes(), writes);
    assert!(!sessions.refresh(token, at(1)).await.unwrap().repeated);
}

#[tokio::test]
async fn a_lost_reply_costs_an_honest_client_nothing() {
    let (sessions, store) = faulty(policy());
    let token = sessions
        .start("alice", &password(0), at(0))
        .await
        .unwrap()
        .refresh_token;
    // Lost twice in a row: the third try is the second repeat, the last that is granted.
    store.lose_reply(2);
    for _ in 0..2 {
        let lost = sessions.refresh(token.expose(), at(1)).await;
        assert!(matches!(lost, Err(Error::Store(Failure::Unknown(_)))));
    }
    let retried = sessions.refresh(token.expose(), at(2)).await.unwrap();
    assert!(retried.repeated);
    let next = sessions
        .refresh(retried.refresh_token.expose(), at(3600))
        .await
        .unwrap();
    assert!(!next.repeated);
}

#[tokio::test]
async fn a_revocation_whose_reply_was_lost_can_be_repeated() {
    let (sessions, store) = faulty(policy());
    let started = sessions.start("alice", &password(0), at(0)).await.unwrap();
    store.lose_reply(1);
    assert!(sessions.revoke(&started.session, at(1)).await.is_err());
    assert_eq!(
        sessions.revoke(&started.session, at(2)).await.unwrap(),
        None
    );
    assert!(sessions.live(&started.session, at(2)).await.is_err());
    assert_eq!(sessions.revoke_all("alice", at(2)).await.unwrap(), 0);
}

#[tokio::test]
async fn the_end_of_all_sessions_tries_the_others_when_one_fails_and_says_so() {
    let (sessions, store) = faulty(policy());
    for _ in 0..4 {
        sessions.start("alice", &password(0), at(0)).await.unwrap();
    }
    let listed = sessions.list("alice", at(1)).await.unwrap();
    // The index is read, then the first of the four fails.
    store.pause(true);
    let mut revoking = Box::pin(sessions.revoke_all("alice", at(1)));
    let failing = async {
        tokio::task::yield_now().await;
        store.fail_next(1, Failure::Contended);
    };
    let (revoked, ()) = tokio::join!(&mut revoking, failing);
    store.pause(false);
    assert_eq!(revoked, Err(Error::Store(Failure::Contended)));
    let mut alive = 0_usize;
    for live in &listed {
        if sessions.live(&live.session(), at(2)).await.is_ok() {
            alive = alive.saturating_add(1);
        }
    }
    assert_eq!(alive, 1);
    assert_eq!(sessions.revoke_all("alice", at(2)).await.unwrap(), 1);
}

/// A durable store does not do this; should one, the token it no longer knows of ends the session, and
/// the one it gave before is not good again beside it.
#[tokio::test]
async fn a_store_that_lost_a_rotation_ends_the_session_that_shows_it() {
    let (sessions, store) = faulty(policy());
    let started = sessions.start("alice", &password(0), at(0)).await.unwrap();
    let second = sessions
        .refresh(started.refresh_token.expose(), at(60))
        .await
        .unwrap();
    let third = sessions
        .refresh(second.refresh_token.expose(), at(120))
        .await
        .unwrap();
    store.lose_last(1).await.unwrap();
    let newer = sessions
        .refresh(third.refresh_token.expose(), at(180))
        .await
        .unwrap_err();
    assert!(matches!(
        newer,
        Error::Revoked {
            why: Revocation::RolledBack,
            ..
        }
    ));
    for token in [
        started.refresh_token,
        second.refresh_token,
        third.refresh_token,
    ] {
        assert!(sessions.refresh(token.expose(), at(180)).await.is_err());
    }
}

#[tokio::test]
async fn a_refresh_dropped_at_any_await_is_found_again_by_the_same_token() {
    let (sessions, store) = faulty(policy());
    let first = sessions
        .start("alice", &password(0), at(0))
        .await
        .unwrap()
        .refresh_token;
    store.pause(true);
    let token = RefCell::new(first);
    let refreshed = drop_at_each_await(
        || {
            let shown = token.borrow().clone();
            let sessions = &sessions;
            async move { sessions.refresh(shown.expose(), at(60)).await }
        },
        async |_| {
            // The client heard nothing and asks again with what it has.
            let shown = token.borrow().clone();
            let retried = sessions.refresh(shown.expose(), at(61)).await.unwrap();
            *token.borrow_mut() = retried.refresh_token;
        },
    )
    .await;
    let last = refreshed.unwrap().refresh_token;
    assert!(sessions.refresh(last.expose(), at(62)).await.is_ok());
}

#[tokio::test]
async fn a_start_dropped_at_any_await_leaves_no_session_that_cannot_be_listed() {
    let (sessions, store) = faulty(policy().sessions_per_user(3));
    for _ in 0..3 {
        sessions.start("alice", &password(0), at(0)).await.unwrap();
    }
    store.pause(true);
    let started = drop_at_each_await(
        || sessions.start("alice", &PASSWORD, at(10)),
        async |_| {
            let listed = sessions.list("alice", at(10)).await.unwrap();
            assert!(listed.len() <= 4, "{} are listed", listed.len());
        },
    )
    .await
    .unwrap();
    assert!(sessions.live(&started.session, at(10)).await.is_ok());
    // The members that never got a row are gone once a start comes after their minute.
    store.pause(false);
    sessions
        .start("alice", &password(0), at(100))
        .await
        .unwrap();
    assert_eq!(sessions.list("alice", at(100)).await.unwrap().len(), 3);
    sessions.revoke_all("alice", at(101)).await.unwrap();
    assert_eq!(sessions.list("alice", at(101)).await.unwrap(), []);
}

#[tokio::test]
async fn a_revocation_dropped_at_any_await_has_ended_the_session_or_left_it_whole() {
    let (sessions, store) = faulty(policy());
    let started = sessions.start("alice", &password(0), at(0)).await.unwrap();
    store.pause(true);
    let ended = RefCell::new(false);
    drop_at_each_await(
        || sessions.revoke(&started.session, at(10)),
        async |_| {
            let alive = sessions.live(&started.session, at(10)).await.is_ok();
            let listed = sessions.list("alice", at(10)).await.unwrap().len();
            assert_eq!(listed, usize::from(alive));
            // What has ended once never lives again.
            assert!(!(alive && *ended.borrow()));
            *ended.borrow_mut() = !alive;
        },
    )
    .await
    .unwrap();
    assert!(*ended.borrow());
    assert_eq!(sessions.revoke_all("alice", at(11)).await.unwrap(), 0);
}

/// Starts a session, stops it after so many polls, lets `meanwhile` happen, and lets it finish.
async fn start_around<M: Future>(
    sessions: &Sessions<Faulty<Memory>>,
    polls: usize,
    meanwhile: M,
) -> (Result<Started, Error>, M::Output) {
    let mut starting = pin!(sessions.start("alice", &PASSWORD, at(10)));
    for _ in 0..polls {
        let polled = starting
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        if let Poll::Ready(started) = polled {
            return (started, meanwhile.await);
        }
    }
    let between = meanwhile.await;
    (starting.await, between)
}

#[tokio::test]
async fn the_end_of_all_sessions_at_any_await_of_a_start_leaves_none_that_lives_unlisted() {
    let mut closed = 0_usize;
    for polls in 0..8 {
        let (sessions, store) = faulty(policy());
        store.pause(true);
        let (started, ended) =
            start_around(&sessions, polls, sessions.revoke_all("alice", at(11))).await;
        match started {
            Ok(started) => {
                let alive = sessions.live(&started.session, at(12)).await.is_ok();
                assert_eq!(ended.unwrap(), usize::from(!alive));
                let listed = sessions.list("alice", at(12)).await.unwrap();
                assert_eq!(listed.len(), usize::from(alive), "after {polls} polls");
            }
            Err(error) => {
                let why = Revocation::AllSignedOut;
                assert!(matches!(error, Error::Revoked { why: by, .. } if by == why));
                closed = closed.saturating_add(1);
            }
        }
    }
    assert!(
        closed > 0,
        "no start was met between its member and its row"
    );
}

#[tokio::test]
async fn a_start_that_stalls_while_others_make_room_takes_another_id_and_is_listed() {
    for polls in 0..8 {
        let (sessions, store) = faulty(policy().sessions_per_user(1));
        store.pause(true);
        let others = async {
            for secs in [80, 81] {
                sessions.start("alice", &PASSWORD, at(secs)).await.unwrap();
            }
        };
        let (started, ()) = start_around(&sessions, polls, others).await;
        let session = started.unwrap().session;
        let alive = sessions.live(&session, at(90)).await.is_ok();
        let listed = sessions.list("alice", at(90)).await.unwrap();
        let is_listed = listed.iter().any(|live| live.session() == session);
        assert_eq!(alive, is_listed, "after {polls} polls");
    }
}

const PASSWORD: [Factor; 1] = [Factor::new(Method::Password, common::START)];
