//! A captcha stands before the account, and its provider's outage locks nobody out.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod common;

use common::factor::at;
use common::{Desk, NOW, RIGHT, WRONG, attempt, desk_with, name, refused, signed_in};
use portcullis_audit::{Action, Event};
use portcullis_core::Reason;
use portcullis_lockout::Status;
use portcullis_sign_in::{CaptchaOutcome, Entered, SignInError, SignInPolicy, WhenAway};

const CLEAR: Status = Status::Open { failures: 0 };

async fn asking(away: WhenAway) -> Desk {
    desk_with(SignInPolicy::default().captcha(away)).await
}

async fn try_with(
    desk: &Desk,
    password: &[u8],
    outcome: Option<CaptchaOutcome>,
) -> Result<Entered, SignInError> {
    let attempt = attempt("alice", password);
    let attempt = match outcome {
        Some(outcome) => attempt.captcha(outcome),
        None => attempt,
    };
    desk.sign_in.sign_in(attempt, NOW).await
}

fn last(desk: &Desk) -> (Action, Option<String>) {
    let events = desk.sink.events();
    let last = events.last().unwrap();
    (last.action(), Event::reason_name(last).map(str::to_owned))
}

#[tokio::test(start_paused = true)]
async fn an_attempt_is_refused_for_its_captcha_before_the_account_is_touched() {
    use CaptchaOutcome::{Away, Failed};
    let cases = [
        (WhenAway::Refuse, None, Reason::CaptchaMissing),
        (WhenAway::Refuse, Some(Failed), Reason::CaptchaFailed),
        (WhenAway::Refuse, Some(Away), Reason::CaptchaUnavailable),
        (WhenAway::GoOn, None, Reason::CaptchaMissing),
        (WhenAway::GoOn, Some(Failed), Reason::CaptchaFailed),
    ];
    for (away, outcome, reason) in cases {
        let desk = asking(away).await;
        for password in [RIGHT, WRONG] {
            let error = try_with(&desk, password, outcome).await.unwrap_err();
            assert_eq!((error.log_reason(), error.wire_reason()), (reason, reason));
            assert_eq!(desk.trace.take(), ["record failed_login"], "{reason}");
            let told = Some(reason.as_str().to_owned());
            assert_eq!(last(&desk), (Action::FailedLogin, told));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_neither_a_wrong_password_nor_a_failure_and_is_over_with_itself() {
    let desk = asking(WhenAway::Refuse).await;
    for _ in 0..20 {
        let error = try_with(&desk, WRONG, Some(CaptchaOutcome::Away)).await;
        let away = SignInError::Unavailable(Reason::CaptchaUnavailable);
        assert_eq!(error.unwrap_err(), away);
    }
    assert_eq!(desk.failures("alice").await, CLEAR);
    let entered = try_with(&desk, RIGHT, Some(CaptchaOutcome::Passed)).await;
    signed_in(entered.unwrap());
    // One that was passed is nothing to tell.
    assert_eq!(last(&desk), (Action::Login, None));
}

#[tokio::test(start_paused = true)]
async fn going_on_without_a_captcha_still_counts_and_locks_and_says_so() {
    let desk = asking(WhenAway::GoOn).await;
    let away = Some(CaptchaOutcome::Away);
    signed_in(try_with(&desk, RIGHT, away).await.unwrap());
    let said = Some(String::from("captcha_unavailable"));
    assert_eq!(last(&desk), (Action::Login, said));
    for _ in 0..5 {
        refused(try_with(&desk, WRONG, away).await.map(signed_in));
    }
    assert!(matches!(
        desk.failures("alice").await,
        Status::Locked { .. }
    ));
    let locked = refused(try_with(&desk, RIGHT, away).await.map(signed_in));
    assert_eq!(locked.log_reason(), Reason::AccountLocked);
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_that_went_on_without_a_captcha_says_so_where_it_asks_for_the_code() {
    let desk = asking(WhenAway::GoOn).await;
    let signed = try_with(&desk, RIGHT, Some(CaptchaOutcome::Passed)).await;
    let session = signed_in(signed.unwrap()).session;
    let live = desk.sessions.live(&session, NOW).await.unwrap();
    let begun = desk.sign_in.enrol(&live, "alice", NOW).await.unwrap();
    let first = portcullis_totp_mfa::testing::codes::at(begun.secret(), NOW);
    let first = portcullis_sign_in::Shown::new(&first);
    let _ = desk.sign_in.confirm(&live, first, NOW).await.unwrap();

    let entered = try_with(&desk, RIGHT, Some(CaptchaOutcome::Away)).await;
    let Ok(Entered::SecondFactor(challenge)) = entered else {
        panic!("not asked for a code: {entered:?}");
    };
    let said = Some(String::from("captcha_unavailable"));
    assert_eq!(last(&desk), (Action::SecondFactorAsked, said));
    // The code is asked for all the same.
    let wrong = portcullis_sign_in::Shown::new("no code at all");
    let refused = desk.sign_in.answer(challenge.expose(), wrong, at(60)).await;
    assert!(matches!(refused, Err(SignInError::SecondFactorRefused(_))));
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_nobody_asked_for_changes_nothing() {
    use CaptchaOutcome::{Away, Failed, Passed};
    let desk = desk_with(SignInPolicy::default()).await;
    for outcome in [Passed, Failed, Away] {
        signed_in(try_with(&desk, RIGHT, Some(outcome)).await.unwrap());
        assert_eq!(last(&desk), (Action::Login, None), "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_captcha_is_not_asked_of_whoever_changes_a_password_within_a_session() {
    let desk = asking(WhenAway::Refuse).await;
    let new = b"another phrase of hers".as_slice().into();
    let changed = desk
        .sign_in
        .change_password(attempt("alice", RIGHT), new, NOW);
    changed.await.unwrap();
    assert!(desk.users.map.credential(&name("alice")).unwrap().epoch > 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_for_a_captcha_that_cannot_be_recorded_is_the_logs_fault() {
    let desk = asking(WhenAway::Refuse).await;
    desk.sink.fail(true);
    let error = try_with(&desk, RIGHT, Some(CaptchaOutcome::Failed)).await;
    let unrecorded = SignInError::Unavailable(Reason::AuditUnavailable);
    assert_eq!(error.unwrap_err(), unrecorded);
    assert_eq!(desk.sessions_of("alice").await, 0);
}
