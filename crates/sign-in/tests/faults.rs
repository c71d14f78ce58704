//! Parts that fail, stall, panic, or step back in time.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod common;

use std::time::Duration;

use common::{Desk, NOW, RIGHT, WRONG, desk, desk_with, failures, name, overloaded, refused};
use portcullis_audit::Action;
use portcullis_core::{Failure, Reason};
use portcullis_lockout::{Reserved, Status};
use portcullis_sign_in::{Credential, HashError, SignInError, SignInPolicy};
use tokio::time::Instant;

const CLEAR: Status = Status::Open { failures: 0 };

#[track_caller]
fn unavailable(answer: common::Answer) -> Reason {
    match answer {
        Err(SignInError::Unavailable(reason)) => reason,
        other => panic!("not unavailable: {other:?}"),
    }
}

/// All five attempts are there again.
async fn nothing_is_held(desk: &Desk, user: &str) {
    let mut held = Vec::new();
    for _ in 0..5 {
        match desk.lockout.reserve(&name(user), NOW).await.unwrap() {
            Reserved::Granted(reservation) => held.push(reservation),
            other => panic!("not granted: {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_at_any_call_signs_nobody_in() {
    for failure in failures() {
        for password in [RIGHT, WRONG] {
            let mut refusals = 0;
            for skip in 0.. {
                let desk = desk().await;
                desk.store.fail(skip, 1, failure.clone());
                let answer = desk.try_as("alice", password).await;
                desk.store.mend();
                if skip >= 2 && (password == WRONG || answer.is_ok()) {
                    break;
                }
                let reason = unavailable(answer);
                assert_eq!(reason, Reason::from(&failure), "{skip}");
                assert_eq!(desk.count(Action::Login), 0);
                let lost = matches!(failure, Failure::Unknown(_));
                // A lost answer of the start leaves a session whose token nobody has seen.
                assert!(lost || desk.sessions_of("alice").await == 0, "{skip}");
                assert!(matches!(desk.failures("alice").await, Status::Open { .. }));
                refusals += 1;
                // One reservation at most was lost, and the owner gets in.
                desk.try_as("alice", RIGHT).await.unwrap();
            }
            assert!(refusals >= 2, "{refusals}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_from_any_call_on_signs_nobody_in() {
    for failure in failures() {
        for skip in 0..5 {
            let desk = desk().await;
            desk.store.fail(skip, 1000, failure.clone());
            assert!(desk.try_as("alice", RIGHT).await.is_err(), "{skip}");
            desk.store.mend();
            assert_eq!(desk.count(Action::Login), 0, "{skip}");
            assert!(matches!(desk.failures("alice").await, Status::Open { .. }));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_at_a_lock_still_locks_or_says_so() {
    for failure in failures() {
        for skip in 0..6 {
            let desk = desk().await;
            for _ in 0..4 {
                refused(desk.try_as("alice", WRONG).await);
            }
            desk.store.fail(skip, 1, failure.clone());
            let fifth = desk.try_as("alice", WRONG).await;
            desk.store.mend();
            assert!(fifth.is_err());
            if matches!(fifth, Err(SignInError::Refused(_))) {
                assert!(
                    matches!(desk.failures("alice").await, Status::Locked { .. }),
                    "{skip}"
                );
                assert_eq!(desk.count(Action::Lockout), 1);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_that_cannot_be_recorded_is_refused_and_its_session_ended() {
    let desk = desk().await;
    desk.sink.fail(true);
    for (user, password) in [
        ("alice", RIGHT),
        ("alice", WRONG),
        ("nobody", WRONG),
        ("a\nb", WRONG),
    ] {
        let reason = unavailable(desk.try_as(user, password).await);
        assert_eq!(reason, Reason::AuditUnavailable, "{user}");
        assert_eq!(desk.sessions_of("alice").await, 0);
    }
    assert_eq!(desk.failures("alice").await, Status::Open { failures: 1 });
    desk.sink.fail(false);
    desk.try_as("alice", RIGHT).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stalled_log_holds_a_login_up_for_a_while_and_then_refuses_it() {
    let desk = desk().await;
    desk.sink.stall(true);
    for password in [RIGHT, WRONG] {
        let begun = Instant::now();
        let reason = unavailable(desk.try_as("alice", password).await);
        assert_eq!(reason, Reason::AuditUnavailable);
        assert!(begun.elapsed() < Duration::from_secs(11));
        assert_eq!(desk.sessions_of("alice").await, 0);
    }
    desk.drained().await;
    desk.sink.stall(false);
    desk.try_as("alice", RIGHT).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_session_that_cannot_be_recorded_is_ended_though_the_store_fails_twice() {
    let desk = desk().await;
    desk.sink.fail(true);
    // Reserve, settle, then the three calls of the start.
    desk.store.fail(5, 2, Failure::Contended);
    unavailable(desk.try_as("alice", RIGHT).await);
    desk.store.mend();
    assert_eq!(desk.sessions_of("alice").await, 0);
}

#[tokio::test(start_paused = true)]
async fn who_would_rather_be_blind_is_signed_in_and_refused_unrecorded() {
    let desk = desk_with(SignInPolicy::default().dangerous_sign_in_unrecorded()).await;
    for stalled in [true, false] {
        desk.sink.stall(stalled);
        desk.sink.fail(!stalled);
        desk.try_as("alice", RIGHT).await.unwrap();
        refused(desk.try_as("alice", WRONG).await);
        refused(desk.try_as("\u{200b}", WRONG).await);
    }
    assert_eq!(desk.sessions_of("alice").await, 2);
    assert_eq!(desk.sink.events().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_hasher_that_is_full_fails_or_panics_gives_the_attempt_back() {
    let desk = desk().await;
    for _ in 0..20 {
        desk.hasher.answer(Some(overloaded()));
        let answer = desk.try_as("alice", WRONG).await;
        assert!(matches!(
            answer,
            Err(SignInError::Overloaded { retry_after }) if retry_after == Duration::from_secs(3)
        ));
        desk.hasher.answer(Some(HashError::Failed));
        assert_eq!(
            unavailable(desk.try_as("alice", WRONG).await),
            Reason::Internal
        );
        desk.hasher.answer(None);
        desk.hasher.panic(true);
        assert_eq!(
            unavailable(desk.try_as("alice", WRONG).await),
            Reason::Internal
        );
        desk.hasher.panic(false);
    }
    assert_eq!(
        (desk.failures("alice").await, desk.sink.events().len()),
        (CLEAR, 0)
    );
    desk.drained().await;
    nothing_is_held(&desk, "alice").await;
}

#[tokio::test(start_paused = true)]
async fn a_table_of_users_that_fails_panics_or_stalls_gives_the_attempt_back() {
    let desk = desk().await;
    for _ in 0..20 {
        desk.users.map.fail(true);
        assert_eq!(
            unavailable(desk.try_as("alice", RIGHT).await),
            Reason::StoreUnavailable
        );
        desk.users.map.fail(false);
        desk.users.map.panic(true);
        assert_eq!(
            unavailable(desk.try_as("nobody", RIGHT).await),
            Reason::StoreUnavailable
        );
        desk.users.map.panic(false);
        desk.users.stall(true);
        let begun = Instant::now();
        assert_eq!(
            unavailable(desk.try_as("alice", RIGHT).await),
            Reason::StoreUnavailable
        );
        assert!(begun.elapsed() < Duration::from_secs(11));
        desk.users.stall(false);
    }
    assert_eq!(
        (
            desk.failures("alice").await,
            desk.sessions_of("alice").await
        ),
        (CLEAR, 0)
    );
    desk.drained().await;
    nothing_is_held(&desk, "alice").await;
    nothing_is_held(&desk, "nobody").await;
}

#[tokio::test(start_paused = true)]
async fn a_table_of_users_that_fails_or_panics_at_the_second_look_signs_nobody_in() {
    for panics in [false, true] {
        let desk = desk().await;
        desk.users.before(1, move |users| {
            users.fail(!panics);
            users.panic(panics);
        });
        assert_eq!(
            unavailable(desk.try_as("alice", RIGHT).await),
            Reason::StoreUnavailable
        );
        assert_eq!(
            (desk.sessions_of("alice").await, desk.count(Action::Login)),
            (0, 0)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_user_whose_id_no_session_takes_is_the_services_fault() {
    for id in [String::new(), "x".repeat(256)] {
        let desk = desk().await;
        desk.users
            .map
            .change(&name("alice"), move |user: &mut Credential| {
                user.user_id = id;
            });
        assert_eq!(
            unavailable(desk.try_as("alice", RIGHT).await),
            Reason::Internal
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_steps_back_during_the_hash_grants_and_forgets_nothing() {
    let desk = desk().await;
    desk.clock
        .set(NOW.saturating_sub(Duration::from_secs(86_400 * 365)));
    for _ in 0..5 {
        refused(desk.try_as("alice", WRONG).await);
    }
    let until = NOW.saturating_add(Duration::from_secs(1800));
    assert_eq!(desk.failures("alice").await, Status::Locked { until });
    refused(desk.try_as("alice", RIGHT).await);
    let signed_in = desk.try_as("bob", RIGHT).await.unwrap();
    let live = desk.sessions.live(&signed_in.session, NOW).await.unwrap();
    assert_eq!(live.started_at(), NOW);
    assert!(desk.sink.events().iter().all(|event| event.at() == NOW));
}

#[tokio::test(start_paused = true)]
async fn a_reservation_that_lapsed_during_a_long_hash_is_settled_all_the_same() {
    let desk = desk().await;
    desk.clock.set(NOW.saturating_add(Duration::from_secs(60)));
    desk.try_as("alice", RIGHT).await.unwrap();
    assert_eq!(desk.failures("alice").await, CLEAR);
    let later = NOW.saturating_add(Duration::from_secs(60));
    for _ in 0..5 {
        refused(desk.try_as("bob", WRONG).await);
    }
    let status = desk.lockout.status(&name("bob"), later).await.unwrap();
    assert!(matches!(status, Status::Locked { .. }), "{status:?}");
}
