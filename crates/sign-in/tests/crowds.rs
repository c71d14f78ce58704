//! Many at once, and callers who go away.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::{HASH, NOW, RIGHT, WRONG, attempt, desk, desk_with, poll_once, refused, steps};
use portcullis_audit::Action;
use portcullis_core::testing::drop_at_each_await;
use portcullis_core::{Clock, Reason};
use portcullis_lockout::{Reserved, Status};
use portcullis_sign_in::{Origin, SignInError, SignInPolicy};
use tokio::time::{Instant, sleep};

const CLEAR: Status = Status::Open { failures: 0 };

#[tokio::test(start_paused = true)]
async fn twenty_right_passwords_at_once_all_succeed() {
    let desk = desk().await;
    desk.store.store.pause(true);
    let answers = desk.all_at_once(vec![attempt("alice", RIGHT); 20]).await;
    for answer in answers {
        answer.unwrap();
    }
    assert_eq!(desk.sessions_of("alice").await, 20);
    assert_eq!(desk.failures("alice").await, CLEAR);
}

#[tokio::test(start_paused = true)]
async fn twenty_right_passwords_succeed_also_with_four_failures_on_record() {
    let desk = desk().await;
    for _ in 0..4 {
        refused(desk.try_as("alice", WRONG).await);
    }
    for answer in desk.all_at_once(vec![attempt("alice", RIGHT); 20]).await {
        answer.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn of_64_wrong_guesses_at_once_five_are_judged_and_the_right_one_after_gets_their_answer() {
    let desk = desk().await;
    desk.store.store.pause(true);
    let answers = desk.all_at_once(vec![attempt("alice", WRONG); 64]).await;
    let mut texts: Vec<String> = Vec::new();
    for answer in answers {
        let error = refused(answer);
        texts.push(format!("{error} {error:?}"));
    }
    let reasons = desk.reasons();
    let judged = reasons.iter().filter(|reason| *reason == "password_wrong");
    assert_eq!((judged.count(), reasons.len()), (5, 64));
    assert_eq!(desk.count(Action::Lockout), 1);
    let right = refused(desk.try_as("alice", RIGHT).await);
    texts.push(format!("{right} {right:?}"));
    texts.dedup();
    assert_eq!(texts.len(), 1);
    assert_eq!(desk.sessions_of("alice").await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_right_password_among_wrong_guesses_is_used_only_while_the_account_is_open() {
    for place in [0, 4, 5, 20, 63] {
        let desk = desk().await;
        let mut attempts = vec![attempt("alice", WRONG); 64];
        attempts[place] = attempt("alice", RIGHT);
        let answers = desk.all_at_once(attempts).await;
        let signed_in = answers.iter().filter(|answer| answer.is_ok()).count();
        // The first five are judged together: the fifth failure comes after a success that clears.
        assert_eq!(signed_in, usize::from(place < 5), "{place}");
        assert_eq!(desk.sessions_of("alice").await, signed_in);
        assert!(matches!(
            desk.failures("alice").await,
            Status::Locked { .. }
        ));
    }
}

#[tokio::test(start_paused = true)]
async fn right_logins_whose_callers_hang_up_at_any_point_lock_nobody_and_leave_no_session() {
    let after_hash = HASH + Duration::from_millis(1);
    let points = (0..12)
        .map(|count| (Duration::ZERO, count))
        .chain((0..60).map(|count| (HASH, count)))
        .chain([(after_hash, 0), (HASH * 3, 7), (HASH * 30, 0)]);
    for (wait, count) in points {
        for callers in [1, 5, 50] {
            let desk = desk().await;
            desk.store.store.pause(true);
            let logins = (0..callers).map(|_| Box::pin(desk.try_as("alice", RIGHT)));
            let mut logins: Vec<_> = logins.collect();
            logins.iter_mut().for_each(poll_once);
            sleep(wait).await;
            steps(count).await;
            drop(logins);
            desk.drained().await;
            assert_eq!(
                desk.failures("alice").await,
                CLEAR,
                "{wait:?} {count} {callers}"
            );
            assert_eq!(
                desk.sessions_of("alice").await,
                0,
                "{wait:?} {count} {callers}"
            );
            // What was recorded as a login was recorded as ended.
            let ended = desk.count(Action::SessionRevoked);
            assert!(ended >= desk.count(Action::Login));
            desk.try_as("alice", RIGHT).await.unwrap();
            assert_eq!(desk.sessions_of("alice").await, 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_dropped_at_each_await_leaves_neither_lock_nor_session() {
    let desk = desk().await;
    desk.store.store.pause(true);
    let login = || desk.try_as("alice", RIGHT);
    let signed_in = drop_at_each_await(login, async |polls| {
        desk.drained().await;
        assert_eq!(desk.failures("alice").await, CLEAR, "{polls}");
        assert_eq!(desk.sessions_of("alice").await, 0, "{polls}");
    });
    let session = signed_in.await.unwrap().session;
    desk.drained().await;
    desk.sessions.live(&session, NOW).await.unwrap();
    assert_eq!(desk.sessions_of("alice").await, 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_lies_ready_and_is_never_taken_is_no_session() {
    let desk = desk().await;
    let mut login = Box::pin(desk.try_as("alice", RIGHT));
    poll_once(&mut login);
    desk.drained().await;
    assert_eq!(desk.sink.actions(), [Action::Login]);
    assert_eq!(desk.sessions_of("alice").await, 1, "it may still be taken");
    drop(login);
    desk.drained().await;
    assert_eq!(desk.sink.actions(), [Action::Login, Action::SessionRevoked]);
    assert_eq!(desk.sessions_of("alice").await, 0);
}

#[tokio::test(start_paused = true)]
async fn wrong_guesses_whose_callers_hang_up_are_counted_and_lock() {
    let desk = desk().await;
    for failures in 1..=5_u32 {
        let mut guess = Box::pin(desk.try_as("alice", WRONG));
        poll_once(&mut guess);
        drop(guess);
        desk.drained().await;
        if failures < 5 {
            assert_eq!(desk.failures("alice").await, Status::Open { failures });
        }
    }
    assert!(matches!(
        desk.failures("alice").await,
        Status::Locked { .. }
    ));
    assert_eq!(desk.count(Action::FailedLogin), 5);
    assert_eq!(desk.count(Action::Lockout), 1);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_was_never_polled_is_none() {
    let desk = desk().await;
    for _ in 0..20 {
        drop(desk.try_as("alice", WRONG));
    }
    desk.drained().await;
    assert_eq!(
        (desk.failures("alice").await, desk.sink.events().len()),
        (CLEAR, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_crowd_of_another_process_is_waited_out_and_then_refused_uncounted() {
    let desk = desk().await;
    let mut held = Vec::new();
    for _ in 0..5 {
        let reserved = desk.lockout.reserve(&common::name("alice"), NOW).await;
        let Reserved::Granted(reservation) = reserved.unwrap() else {
            panic!("there are five");
        };
        held.push(reservation);
    }
    let begun = Instant::now();
    let error = refused(desk.try_as("alice", RIGHT).await);
    assert_eq!(error.log_reason(), Reason::AttemptsExceeded);
    let waited = begun.elapsed().as_millis();
    assert!((5050..5100).contains(&waited), "{waited} ms");
    assert_eq!(desk.reasons(), ["attempts_exceeded"]);
    assert_eq!(desk.failures("alice").await, CLEAR);
    // Whoever held them has died: they lapse, four of them into failures, and the owner gets in.
    desk.clock.set(NOW.saturating_add(Duration::from_secs(31)));
    let later = desk.clock.now();
    desk.sign_in
        .sign_in(attempt("alice", RIGHT), later)
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_crowd_asks_the_store_one_at_a_time_and_in_the_order_of_arrival() {
    let desk = desk().await;
    let numbered = |at| Origin::new().request_id(&format!("{at:02}"));
    let attempts = (0..64).map(|at| attempt("nobody", WRONG).origin(numbered(at)));
    let answers = desk.all_at_once(attempts.collect()).await;
    assert_eq!(answers.len(), 64);
    let asked = desk.trace.take();
    let asked = asked
        .iter()
        .filter(|step| step.starts_with("lockout "))
        .count();
    // Two writes and a question each, and a question every 10 ms while five are hashed.
    assert!(asked < 64 * 3 + 10, "{asked} calls");
    let events = desk.sink.events();
    let judged = events
        .iter()
        .filter(|event| event.reason_name() == Some("user_unknown"))
        .map(|event| event.text(portcullis_audit::Field::RequestId).unwrap());
    let judged: BTreeSet<&str> = judged.collect();
    assert_eq!(judged, BTreeSet::from(["00", "01", "02", "03", "04"]));
}

#[tokio::test(start_paused = true)]
async fn the_crowd_of_one_account_leaves_room_for_the_others() {
    let desk = desk().await;
    let mut crowd = vec![attempt("alice", WRONG); 512];
    crowd[511] = attempt("bob", RIGHT);
    let answers = desk.all_at_once(crowd).await;
    let overloaded =
        |answer: &&common::Answer| matches!(answer, Err(SignInError::Overloaded { .. }));
    assert_eq!(answers.iter().filter(overloaded).count(), 511 - 64);
    answers.into_iter().next_back().unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn more_attempts_than_are_worked_on_are_told_to_come_back_and_are_not_counted() {
    let desk = desk_with(SignInPolicy::default().attempts_under_way(2)).await;
    let users = ["alice", "bob", "nobody", "carol"];
    let answers = desk
        .all_at_once(users.map(|user| attempt(user, WRONG)).to_vec())
        .await;
    let overloaded = answers.iter().filter(|answer| {
        matches!(answer, Err(SignInError::Overloaded { retry_after }) if !retry_after.is_zero())
    });
    assert_eq!(overloaded.count(), 2);
    assert_eq!(desk.sink.events().len(), 2);
    desk.try_as("alice", RIGHT).await.unwrap();
    let none = desk_with(SignInPolicy::default().attempts_under_way(usize::MAX)).await;
    none.try_as("alice", RIGHT).await.unwrap();
}
