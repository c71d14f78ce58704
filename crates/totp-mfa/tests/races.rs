//! Many tasks on one factor: over one store, through clones of the guard, as replicas would.
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

use std::future::Future;
use std::sync::Arc;

use common::{Rig, START, WRONG, at, policy};
use portcullis_totp_mfa::{Code, Error};
use tokio::sync::Barrier;

const TASKS: usize = 64;

/// Every task's answer; they start together, and every update gives way before and after its step.
async fn at_once<T, F>(rig: &Arc<Rig>, act: impl Fn(Arc<Rig>, usize) -> F) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    rig.store.pause(true);
    let barrier = Arc::new(Barrier::new(TASKS));
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (barrier, act) = (Arc::clone(&barrier), act(Arc::clone(rig), task));
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
    rig.store.pause(false);
    answers
}

fn count<T>(answers: &[Result<T, Error>], error: &Error) -> usize {
    let is = |answer: &&Result<T, Error>| answer.as_ref().err() == Some(error);
    answers.iter().filter(is).count()
}

fn granted<T>(answers: &[Result<T, Error>]) -> usize {
    answers.iter().filter(|answer| answer.is_ok()).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_code_at_many_replicas_at_once_is_good_at_one() {
    for _ in 0..16 {
        let rig = Arc::new(Rig::new().await);
        let answers = at_once(&rig, |rig, _| async move { rig.totp(at(60)).await }).await;
        assert_eq!(granted(&answers), 1);
        assert_eq!(count(&answers, &Error::Replayed), TASKS - 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_recovery_code_raced_by_many_is_good_for_one() {
    for _ in 0..16 {
        let rig = Arc::new(Rig::new().await);
        let answers = at_once(&rig, |rig, _| async move { rig.recover(0, at(60)).await }).await;
        assert_eq!(granted(&answers), 1);
        assert_eq!(count(&answers, &Error::Replayed), TASKS - 1);
        assert_eq!(rig.standing(at(60)).await.recovery_codes_left, 9);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_recovery_codes_at_once_are_each_good_once() {
    let rig = Arc::new(Rig::new().await);
    let act = |rig: Arc<Rig>, task| async move { rig.recover(task % 10, at(60)).await };
    let answers = at_once(&rig, act).await;
    assert_eq!(granted(&answers), 10);
    assert_eq!(rig.standing(at(60)).await.recovery_codes_left, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_wrong_code_of_many_at_once_is_lost_from_the_count() {
    let rig = Arc::new(Rig::new().await);
    let act = |rig: Arc<Rig>, _| async move { rig.show(rig.wrong(at(60)), at(60)).await };
    let answers = at_once(&rig, act).await;
    assert_eq!(count(&answers, &WRONG), TASKS);
    assert_eq!(usize::from(rig.standing(at(60)).await.failures), TASKS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn guesses_racing_past_the_cap_are_looked_at_no_more() {
    for cap in [1, 5, 63] {
        let rig = Arc::new(Rig::with(policy().wrong_codes(cap).unwrap()).await);
        let act = |rig: Arc<Rig>, _| async move { rig.show(rig.wrong(at(60)), at(60)).await };
        let answers = at_once(&rig, act).await;
        let newly_blocked = true;
        assert_eq!(count(&answers, &Error::Wrong { newly_blocked }), 1);
        assert_eq!(count(&answers, &WRONG), usize::from(cap) - 1);
        assert_eq!(count(&answers, &Error::Blocked), TASKS - usize::from(cap));
        assert_eq!(rig.totp(at(60)).await.err(), Some(Error::Blocked));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_enrolment_confirmed_by_many_at_once_draws_one_set_of_recovery_codes() {
    let rig = Arc::new(Rig::begun(policy()).await);
    let act = |rig: Arc<Rig>, _| async move {
        let code = rig.code(START);
        rig.factors.confirm(&rig.store, "alice", &code, START).await
    };
    let answers = at_once(&rig, act).await;
    assert_eq!(granted(&answers), 1);
    assert_eq!(count(&answers, &Error::AlreadyEnrolled), TASKS - 1);
    let confirmed = answers.into_iter().find_map(Result::ok).unwrap();
    let first = confirmed.recovery_codes().iter().next().unwrap();
    assert!(rig.show(Code::parse(first).unwrap(), at(1)).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn proofs_of_one_generation_used_at_once_change_it_once() {
    let rig = Arc::new(Rig::new().await);
    let mut proofs = Vec::new();
    for task in 0..TASKS {
        let now = at(60 + 30 * u64::try_from(task).unwrap());
        proofs.push(rig.totp(now).await.unwrap());
    }
    let proofs = std::sync::Mutex::new(proofs);
    let act = |rig: Arc<Rig>, _| {
        let proof = proofs.lock().unwrap().pop().unwrap();
        async move { rig.factors.regenerate(&rig.store, proof, at(60)).await }
    };
    let answers = at_once(&rig, act).await;
    assert_eq!(granted(&answers), 1);
    assert_eq!(count(&answers, &Error::ProofOutdated), TASKS - 1);
}
