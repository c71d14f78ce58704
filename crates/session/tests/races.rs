//! Many tasks on one session.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "tests"
)]

mod common;

use std::sync::Arc;

use common::{at, faulty, password, policy};
use portcullis_core::Memory;
use portcullis_core::testing::Faulty;
use portcullis_session::{Error, Refreshed, Sessions};
use tokio::sync::Barrier;

type Shared = Arc<Sessions<Faulty<Memory>>>;

/// A store whose every update gives way before and after its step, so that tasks interleave.
fn shared() -> Shared {
    let (sessions, store) = faulty(policy());
    store.pause(true);
    Arc::new(sessions)
}

async fn at_once(sessions: &Shared, token: &str, tasks: usize) -> Vec<Result<Refreshed, Error>> {
    let barrier = Arc::new(Barrier::new(tasks));
    let racers: Vec<_> = (0..tasks)
        .map(|_| {
            let (sessions, token) = (Arc::clone(sessions), token.to_owned());
            let barrier = Arc::clone(&barrier);
            tokio::spawn(async move {
                barrier.wait().await;
                sessions.refresh(&token, at(60)).await
            })
        })
        .collect();
    let mut answers = Vec::new();
    for racer in racers {
        answers.push(racer.await.unwrap());
    }
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_token_refreshed_by_many_at_once_makes_one_new_generation() {
    for tasks in [16, 64] {
        let sessions = shared();
        let started = sessions.start("alice", &password(0), at(0)).await.unwrap();
        let answers = at_once(&sessions, started.refresh_token.expose(), tasks).await;
        let granted: Vec<_> = answers.iter().flatten().collect();
        assert_eq!(
            granted.iter().filter(|granted| !granted.repeated).count(),
            1
        );
        assert_eq!(granted.iter().filter(|granted| granted.repeated).count(), 2);
        assert!(
            granted
                .iter()
                .all(|one| one.refresh_token == granted[0].refresh_token)
        );
        let reused =
            |answer: &&Result<Refreshed, Error>| matches!(answer, Err(Error::Reused { .. }));
        assert_eq!(answers.iter().filter(reused).count(), 1);
        let revoked =
            |answer: &&Result<Refreshed, Error>| matches!(answer, Err(Error::Revoked { .. }));
        assert_eq!(
            answers.iter().filter(revoked).count(),
            tasks.saturating_sub(4)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn three_tabs_refreshing_at_once_stay_signed_in_with_one_token() {
    let sessions = shared();
    let started = sessions.start("alice", &password(0), at(0)).await.unwrap();
    let answers = at_once(&sessions, started.refresh_token.expose(), 3).await;
    let tokens: Vec<_> = answers
        .into_iter()
        .map(|one| one.unwrap().refresh_token)
        .collect();
    assert!(tokens.iter().all(|token| *token == tokens[0]));
    assert!(sessions.refresh(tokens[0].expose(), at(61)).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_refresh_racing_a_revocation_leaves_nothing_alive() {
    for round in 0..64 {
        let sessions = shared();
        let started = sessions.start("alice", &password(0), at(0)).await.unwrap();
        let session = started.session;
        let barrier = Arc::new(Barrier::new(2));
        let (ours, gate) = (Arc::clone(&sessions), Arc::clone(&barrier));
        let revoking = tokio::spawn(async move {
            gate.wait().await;
            if round % 2 == 0 {
                ours.revoke(&session, at(60))
                    .await
                    .map(|ended| usize::from(ended.is_some()))
            } else {
                ours.revoke_all("alice", at(60)).await
            }
        });
        barrier.wait().await;
        let refreshed = sessions
            .refresh(started.refresh_token.expose(), at(60))
            .await;
        assert_eq!(revoking.await.unwrap(), Ok(1));
        assert!(matches!(refreshed, Ok(_) | Err(Error::Revoked { .. })));
        for token in refreshed
            .ok()
            .map(|one| one.refresh_token)
            .iter()
            .chain([&started.refresh_token])
        {
            let after = sessions.refresh(token.expose(), at(61)).await;
            assert!(matches!(after, Err(Error::Revoked { .. })));
        }
        assert!(sessions.live(&session, at(61)).await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_start_racing_the_end_of_all_sessions_is_ended_listed_or_later() {
    for _ in 0..64 {
        let sessions = shared();
        let ours = Arc::clone(&sessions);
        let starting = tokio::spawn(async move { ours.start("alice", &password(0), at(60)).await });
        sessions.revoke_all("alice", at(60)).await.unwrap();
        let started = starting.await.unwrap();
        // What stands now is reached by the next call: nothing lives unlisted.
        sessions.revoke_all("alice", at(61)).await.unwrap();
        match started {
            Ok(started) => assert!(sessions.live(&started.session, at(61)).await.is_err()),
            Err(error) => assert!(matches!(error, Error::Revoked { .. })),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn starts_at_once_overshoot_the_limit_until_the_next_one_and_none_is_unlisted() {
    let sessions = shared();
    let barrier = Arc::new(Barrier::new(48));
    let starts: Vec<_> = (0..48)
        .map(|_| {
            let (sessions, barrier) = (Arc::clone(&sessions), Arc::clone(&barrier));
            tokio::spawn(async move {
                barrier.wait().await;
                sessions
                    .start("alice", &password(0), at(0))
                    .await
                    .unwrap()
                    .session
            })
        })
        .collect();
    let mut started = Vec::new();
    for start in starts {
        started.push(start.await.unwrap());
    }
    let listed = sessions.list("alice", at(1)).await.unwrap();
    for session in started {
        let is_listed = listed.iter().any(|live| live.session() == session);
        assert_eq!(sessions.live(&session, at(1)).await.is_ok(), is_listed);
    }
    sessions.start("alice", &password(0), at(2)).await.unwrap();
    assert_eq!(sessions.list("alice", at(3)).await.unwrap().len(), 20);
}
