//! Many tasks on one key, through replicas over one store.
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

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use common::{DAY, Owned, Rig, START, at, policy};
use portcullis_api_key::{ApiKey, ApiKeys, Error};
use tokio::sync::Barrier;

const TASKS: usize = 64;

/// Every task's answer; they start together.
async fn at_once<T, F>(tasks: usize, act: impl Fn(usize) -> F) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let barrier = Arc::new(Barrier::new(tasks));
    let tasks: Vec<_> = (0..tasks)
        .map(|task| {
            let (barrier, act) = (Arc::clone(&barrier), act(task));
            tokio::spawn(async move {
                barrier.wait().await;
                act.await
            })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_rotation_raced_by_many_is_won_by_one_with_a_grace_and_without() {
    let none = policy().grace(Duration::ZERO).unwrap();
    for policy in [policy(), none] {
        for _ in 0..8 {
            let acme = Arc::new(Rig::owned().await);
            acme.rig.store.store.pause(true);
            let answers = at_once(TASKS, |_| {
                let keys = ApiKeys::new(acme.rig.store.clone(), policy).unwrap();
                let id = acme.made.info.id;
                async move { keys.rotate("acme", id, at(1)).await }
            })
            .await;
            acme.rig.store.store.pause(false);
            let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
            assert_eq!((won.len(), lost.len()), (1, TASKS - 1));
            for answer in lost {
                assert!(matches!(answer, Err(Error::RotationUnderWay(_))));
            }
            let winner = won.into_iter().next().unwrap().unwrap();
            assert!(acme.verify(&winner.key, at(2)).await.is_ok());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_rotation_under_load_refuses_no_holder_of_the_old_secret_or_the_new() {
    let acme = Arc::new(Rig::owned().await);
    acme.rig.store.store.pause(true);
    let (tell, told) = tokio::sync::watch::channel(None::<String>);
    let old = acme.made.key.expose().to_owned();
    let verifiers: Vec<_> = (0..10)
        .map(|task: u64| {
            let (acme, old, told) = (Arc::clone(&acme), old.clone(), told.clone());
            tokio::spawn(async move {
                let (mut by_old, mut by_new) = (0, 0);
                for call in 0..100 {
                    // Half of the machines learn of the new secret at once, half never do.
                    let learnt = told.borrow().clone().filter(|_| task < 5);
                    let text = learnt.as_ref().unwrap_or(&old);
                    let key = ApiKey::parse(text).unwrap();
                    let proof = acme.verify(&key, at(task * 100 + call)).await.unwrap();
                    by_old += u64::from(learnt.is_none());
                    by_new += u64::from(learnt.is_some());
                    assert!(learnt.is_none() || !proof.by_previous_secret());
                }
                (by_old, by_new)
            })
        })
        .collect();
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    let rotated = acme.rotate(at(1)).await.unwrap();
    tell.send(Some(rotated.key.expose().to_owned())).unwrap();
    let (mut by_old, mut by_new) = (0, 0);
    for verifier in verifiers {
        let counts = verifier.await.unwrap();
        by_old += counts.0;
        by_new += counts.1;
    }
    assert_eq!(by_old + by_new, 1_000);
    assert!(by_new > 0 && by_old >= 500, "{by_old} old, {by_new} new");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn keys_made_at_once_are_no_more_than_the_owner_may_have() {
    for _ in 0..8 {
        let rig = Rig::new();
        rig.store.store.pause(true);
        let answers = at_once(TASKS, |_| {
            let keys = rig.replica();
            async move { keys.create("acme", common::new(), START).await }
        })
        .await;
        rig.store.store.pause(false);
        let full = |answer: &&Result<_, Error>| answer.as_ref().err() == Some(&Error::TooManyKeys);
        assert_eq!(answers.iter().filter(full).count(), TASKS - 20);
        assert_eq!(rig.keys.list("acme", START).await.unwrap().len(), 20);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_key_revoked_amid_a_rotation_and_verifications_counts_for_nobody_after() {
    for _ in 0..16 {
        let acme: Arc<Owned> = Arc::new(Rig::owned().await);
        acme.rig.store.store.pause(true);
        let answers = at_once(TASKS, |task| {
            let acme = Arc::clone(&acme);
            async move {
                match task {
                    0 => {
                        let revoked = acme.rig.keys.revoke("acme", acme.made.info.id, at(1)).await;
                        assert!(revoked.is_ok());
                        None
                    }
                    1 => acme.rotate(at(1)).await.ok(),
                    _ => {
                        let verified = acme.verify(&acme.made.key, at(1)).await;
                        assert!(matches!(verified, Ok(_) | Err(Error::Revoked)));
                        None
                    }
                }
            }
        })
        .await;
        acme.rig.store.store.pause(false);
        let rotated = answers.into_iter().flatten();
        for key in rotated
            .map(|made| made.key)
            .chain([ApiKey::parse(acme.made.key.expose()).unwrap()])
        {
            for now in [at(0), at(1), at(DAY)] {
                assert_eq!(acme.verify(&key, now).await.err(), Some(Error::Revoked));
            }
        }
    }
}
