//! One answer, one way and one time for every refusal.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod common;

use std::time::Duration;

use common::{Desk, HASH, NOW, RIGHT, WRONG, attempt, desk, name, refused, signed_in};
use portcullis_audit::Action;
use portcullis_core::{Reason, Secret};
use portcullis_lockout::Status;
use portcullis_sign_in::Origin;
use portcullis_sign_in::testing::StubHasher;
use tokio::time::Instant;

/// How an attempt went: what was asked of whom, and for how long.
async fn walk(desk: &Desk, user: &str, password: &[u8]) -> (Vec<String>, Duration, String) {
    desk.trace.take();
    let begun = Instant::now();
    let error = refused(desk.try_as(user, password).await);
    let answer = format!("{error} {error:?}");
    (desk.trace.take(), begun.elapsed(), answer)
}

/// Puts and removals cost a store the same.
fn costs(steps: &[String]) -> Vec<String> {
    let steps = steps.iter();
    steps
        .map(|step| step.replace("puts", "writes").replace("removes", "writes"))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn unknown_known_closed_and_unreadable_accounts_take_the_same_way_and_time() {
    let kinds = [
        ("alice", WRONG, Reason::PasswordWrong),
        ("nobody", WRONG, Reason::UserUnknown),
        ("nobody", RIGHT, Reason::UserUnknown),
        ("carol", WRONG, Reason::PasswordWrong),
        ("carol", RIGHT, Reason::UserDisabled),
        ("bob", RIGHT, Reason::Internal),
    ];
    let way = [
        "lockout writes",
        "lockout reads",
        "find",
        "verify",
        "lockout writes",
        "record failed_login",
    ];
    let answer = "the credentials are not accepted Refused(Refused(..))";
    for (user, password, reason) in kinds {
        let desk = desk().await;
        let unreadable = |user: &mut portcullis_sign_in::Credential| {
            user.password_hash = "not a hash".into();
        };
        desk.users.map.change(&name("bob"), unreadable);
        let (steps, time, said) = walk(&desk, user, password).await;
        assert_eq!(costs(&steps), way, "{user} {reason}");
        assert_eq!((time, said.as_str()), (HASH, answer), "{user} {reason}");
        assert_eq!(desk.reasons(), [reason.as_str()]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_locked_account_takes_the_very_same_way_and_time() {
    for (user, password) in [("alice", RIGHT), ("alice", WRONG), ("nobody", WRONG)] {
        let desk = desk().await;
        let open = walk(&desk, user, WRONG).await;
        desk.lockout.unlock(&name(user), NOW).await.unwrap();
        desk.lock(user).await;
        let locked = walk(&desk, user, password).await;
        let (mut open_steps, locked_steps) = (costs(&open.0), costs(&locked.0));
        // One is written down and another asked about; which comes first depends on the answer.
        open_steps.swap(0, 1);
        assert_eq!(locked_steps, open_steps);
        assert_eq!((locked.1, locked.2), (open.1, open.2));
        assert_eq!(desk.reasons().last().unwrap(), "account_locked");
        assert_eq!(desk.sessions_of(user).await, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn standing_in_for_a_locked_account_leaves_nothing_behind() {
    let desk = desk().await;
    desk.lock("alice").await;
    desk.trace.take();
    refused(desk.try_as("alice", RIGHT).await);
    let steps = desk.trace.take();
    let lockout: Vec<_> = steps
        .iter()
        .filter(|step| step.starts_with("lockout"))
        .collect();
    assert_eq!(
        lockout,
        ["lockout reads", "lockout puts", "lockout removes"]
    );
    assert_eq!(desk.lockout.locked(NOW).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_success_alone_goes_on_to_a_session_and_looks_again_before_it_is_recorded() {
    let desk = desk().await;
    let signed_in = desk.try_as("alice", RIGHT).await.unwrap();
    let way = desk.trace.take();
    let proven = [
        "lockout puts",
        "lockout reads",
        "find",
        "verify",
        "lockout removes",
    ];
    assert_eq!(way[..5], proven);
    // Whether a second factor is enrolled is asked only once the password has proven right.
    assert_eq!(way[5], "second-factor reads");
    let again = ["find", "second-factor reads", "record login"];
    assert_eq!(way[way.len() - 3..], again);
    assert!(
        way[6..way.len() - 3]
            .iter()
            .all(|step| step.starts_with("session"))
    );
    assert_eq!(
        (signed_in.must_change, signed_in.hash_is_outdated),
        (false, false)
    );
    assert_eq!(
        desk.sessions.list("alice", NOW).await.unwrap()[0].session(),
        signed_in.session
    );
    assert!(!format!("{signed_in:?}").contains("alice"));
}

#[tokio::test(start_paused = true)]
async fn every_spelling_of_a_name_shares_one_count() {
    let spellings = [
        "René",
        "RENE\u{301}",
        "ｒｅｎé",
        "re\u{200b}n\u{e9}",
        " rene\u{301} ",
    ];
    let desk = desk().await;
    desk.users
        .map
        .insert(&name("rené"), StubHasher::phc(&RIGHT.into()));
    for spelling in spellings {
        refused(desk.try_as(spelling, WRONG).await);
    }
    assert!(matches!(desk.failures("rené").await, Status::Locked { .. }));
    for spelling in spellings {
        let error = refused(desk.try_as(spelling, RIGHT).await);
        assert_eq!(error.log_reason(), Reason::AccountLocked);
    }
    assert_eq!(desk.count(Action::Lockout), 1);
}

#[tokio::test(start_paused = true)]
async fn megabytes_are_refused_before_anything_is_counted_or_hashed() {
    let desk = desk().await;
    let megabyte = "a".repeat(1 << 20);
    let wide = "\u{ff41}".repeat(1 << 18);
    let calls = desk.hasher.calls();
    for user in [megabyte.as_str(), &wide, "", "\u{200b}", "a\nb"] {
        let error = refused(desk.try_as(user, RIGHT).await);
        assert_eq!(error.log_reason(), Reason::UserUnknown);
    }
    for length in [513, 1 << 20] {
        refused(desk.try_as("alice", &vec![b'x'; length]).await);
    }
    assert_eq!(desk.hasher.calls(), calls);
    assert_eq!(desk.store.store.writes(), 0);
    assert_eq!(desk.reasons(), ["bad_request"; 7]);
    refused(desk.try_as("alice", &[b'x'; 512]).await);
    assert_eq!(desk.hasher.calls(), calls + 1);
}

#[tokio::test(start_paused = true)]
async fn what_came_with_an_attempt_is_in_its_events_and_in_no_debug_form() {
    let desk = desk().await;
    let origin = Origin::new()
        .address("192.0.2.1".parse().unwrap(), "peer")
        .user_agent("agent")
        .client_system("client")
        .request_id("request");
    let attempt = attempt("alice", WRONG).origin(origin);
    assert_eq!(format!("{attempt:?}"), "Attempt(..)");
    let error = refused(desk.sign_in.sign_in(attempt, NOW).await.map(signed_in));
    let event = &desk.sink.events()[0];
    assert_eq!(event.ip(), Some("192.0.2.1".parse().unwrap()));
    for (field, text) in [
        (portcullis_audit::Field::User, "alice"),
        (portcullis_audit::Field::UserAgent, "agent"),
        (portcullis_audit::Field::ClientSystem, "client"),
        (portcullis_audit::Field::RequestId, "request"),
    ] {
        assert_eq!(event.text(field), Some(text));
    }
    assert!(!format!("{error:?} {:?}", desk.sign_in).contains("alice"));
}

#[tokio::test(start_paused = true)]
async fn an_old_hash_and_the_duty_to_change_are_told() {
    let desk = desk().await;
    desk.users.map.change(&name("alice"), |user| {
        user.password_hash = StubHasher::outdated(&Secret::from(RIGHT));
        user.must_change = true;
    });
    let signed_in = desk.try_as("alice", RIGHT).await.unwrap();
    assert!(signed_in.hash_is_outdated && signed_in.must_change);
}

#[tokio::test(start_paused = true)]
async fn the_fifth_failure_locks_and_its_event_comes_after_the_failure() {
    let desk = desk().await;
    desk.lock("nobody").await;
    let mut expected = vec![Action::FailedLogin; 5];
    expected.push(Action::Lockout);
    assert_eq!(desk.sink.actions(), expected);
    let locked = desk.lockout.locked(NOW).await.unwrap();
    assert_eq!(locked[0].account, name("nobody"));
    desk.lockout.unlock(&name("nobody"), NOW).await.unwrap();
    assert_eq!(desk.failures("nobody").await, Status::Open { failures: 0 });
}

#[tokio::test(start_paused = true)]
async fn a_closed_account_locks_as_others_do_whatever_the_password() {
    let desk = desk().await;
    for failures in 1..5 {
        refused(desk.try_as("carol", RIGHT).await);
        assert_eq!(desk.failures("carol").await, Status::Open { failures });
    }
    refused(desk.try_as("carol", RIGHT).await);
    assert!(matches!(
        desk.failures("carol").await,
        Status::Locked { .. }
    ));
    assert_eq!(
        (desk.sessions_of("carol").await, desk.count(Action::Login)),
        (0, 0)
    );
}
