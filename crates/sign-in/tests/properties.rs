//! What holds of a login while others act: the instant it counts from, who makes room, and locks.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod common;

use std::time::Duration;

use common::{Desk, HASH, NOW, RIGHT, WRONG, desk, name, refused};
use portcullis_audit::{Action, Event, Field};
use portcullis_core::testing::FakeClock;
use portcullis_core::{Reason, Secret, Timestamp};
use portcullis_lockout::{Outcome, Reserved, Settled, Status};
use portcullis_session::{Factor, Method};
use portcullis_sign_in::{ChangeError, SignInError};
use tokio::time::sleep;

const CLEAR: Status = Status::Open { failures: 0 };

/// Once the next attempt's password is being hashed, the clock shows `then`.
fn while_hashing(desk: &Desk, then: Timestamp) {
    let clock: FakeClock = desk.clock.clone();
    desk.users.before(0, move |_| {
        tokio::spawn(async move {
            sleep(HASH / 2).await;
            clock.set(then);
        });
    });
}

#[tokio::test(start_paused = true)]
async fn a_session_counts_from_the_instant_after_the_hash_and_never_from_before_the_attempt() {
    let (later, earlier) = (Duration::from_secs(7), Duration::from_secs(3600));
    let cases = [
        (NOW.saturating_add(later), NOW.saturating_add(later)),
        (NOW.saturating_sub(earlier), NOW),
        (NOW, NOW),
    ];
    for (then, begins) in cases {
        let desk = desk().await;
        while_hashing(&desk, then);
        let signed_in = desk.try_as("alice", RIGHT).await.unwrap();
        let live = desk
            .sessions
            .live(&signed_in.session, begins)
            .await
            .unwrap();
        assert_eq!(live.started_at(), begins);
        assert_eq!(live.factors(), [Factor::new(Method::Password, begins)]);
        assert_eq!(live.expires_at(), signed_in.refresh_expires_at);
        let week = Duration::from_secs(7 * 24 * 3600);
        assert_eq!(signed_in.refresh_expires_at, begins.saturating_add(week));
        let told: Vec<_> = desk.sink.events().iter().map(Event::at).collect();
        assert_eq!(told, [begins]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_recorded_at_the_instant_after_the_hash() {
    let desk = desk().await;
    let then = NOW.saturating_add(Duration::from_secs(7));
    while_hashing(&desk, then);
    refused(desk.try_as("alice", WRONG).await);
    let told: Vec<_> = desk.sink.events().iter().map(Event::at).collect();
    assert_eq!(told, [then]);
}

#[tokio::test(start_paused = true)]
async fn sessions_that_had_to_make_room_are_recorded_as_revoked() {
    let desk = desk().await;
    let mut sessions = Vec::new();
    // As many as a user may have, and then two more.
    for secs in 0..22 {
        let then = NOW.saturating_add(Duration::from_secs(secs));
        desk.clock.set(then);
        sessions.push(desk.try_as("alice", RIGHT).await.unwrap().session);
    }
    desk.try_as("bob", RIGHT).await.unwrap();
    let events = desk.sink.events();
    let of = |action: Action| {
        let events = events.iter().filter(move |event| event.action() == action);
        events.map(|event| {
            let text = |field| event.text(field).unwrap().to_owned();
            (text(Field::User), text(Field::Session))
        })
    };
    let revoked: Vec<_> = of(Action::SessionRevoked).collect();
    let oldest = |at: usize| (String::from("alice"), sessions[at].to_string());
    assert_eq!(revoked, [oldest(0), oldest(1)]);
    assert_eq!(of(Action::Login).count(), 23);
    // Each stands before the login that it made room for: it is gone, whether or not that one comes.
    let actions = desk.sink.actions();
    let (login, gone) = (Action::Login, Action::SessionRevoked);
    assert_eq!(actions[20..], [gone, login, gone, login, login]);
    let alive = desk.sessions.list("alice", desk_now(&desk)).await.unwrap();
    assert_eq!(alive.len(), 20);
}

fn desk_now(desk: &Desk) -> Timestamp {
    portcullis_core::Clock::now(&desk.clock)
}

/// While alice's next password is being hashed, another process whose clock is ahead locks the account.
fn lock_while_hashing(desk: &Desk) {
    let lockout = desk.lockout.clone();
    // The reservation of the attempt has lapsed by then.
    let ahead = NOW.saturating_add(Duration::from_secs(31));
    desk.users.before(0, move |_| {
        tokio::spawn(async move {
            let alice = name("alice");
            while let Reserved::Granted(one) = lockout.reserve(&alice, ahead).await.unwrap() {
                let settled = lockout.settle(one, Outcome::Failure, ahead).await;
                assert!(matches!(settled, Ok(Settled::Counted { .. })));
            }
        });
    });
}

#[tokio::test(start_paused = true)]
async fn a_right_password_does_not_open_an_account_that_was_locked_while_it_was_hashed() {
    for user in ["alice", "bob"] {
        let desk = desk().await;
        lock_while_hashing(&desk);
        let answer = desk.try_as(user, RIGHT).await;
        let locked = desk.failures("alice").await;
        assert!(matches!(locked, Status::Locked { .. }), "{locked:?}");
        if user == "bob" {
            // Another's lock is nothing to him.
            answer.unwrap();
            assert_eq!(desk.failures("bob").await, CLEAR);
            continue;
        }
        assert_eq!(refused(answer).log_reason(), Reason::AccountLocked);
        assert_eq!(desk.sessions_of("alice").await, 0);
        assert_eq!(desk.sink.actions(), [Action::FailedLogin]);
        assert_eq!(desk.reasons(), [Reason::AccountLocked.as_str()]);
        let again = refused(desk.try_as("alice", RIGHT).await);
        assert_eq!(again.log_reason(), Reason::AccountLocked);
    }
}

#[tokio::test(start_paused = true)]
async fn nor_does_it_change_the_password_of_such_an_account() {
    let desk = desk().await;
    let before = desk.users.map.credential(&name("alice")).unwrap();
    lock_while_hashing(&desk);
    let new = Secret::from(b"a staple of another kind".as_slice());
    let attempt = common::attempt("alice", RIGHT);
    let error = desk.sign_in.change_password(attempt, new, NOW).await;
    let Err(ChangeError::SignIn(error @ SignInError::Refused(_))) = error else {
        panic!("not refused: {error:?}");
    };
    assert_eq!(error.log_reason(), Reason::AccountLocked);
    assert_eq!(desk.users.map.credential(&name("alice")), Some(before));
    assert_eq!(desk.sink.actions(), [Action::FailedLogin]);
}
