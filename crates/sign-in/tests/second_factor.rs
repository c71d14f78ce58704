//! From a right password to a session, by way of a second factor, and what ends a sign-in between the two.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod common;

use std::time::Duration;

use common::factor::{at, not_shown};
use common::{HASH, NOW, RIGHT, WRONG, attempt, desk, desk_with, name, refused, signed_in};
use portcullis_audit::Action;
use portcullis_core::Reason;
use portcullis_lockout::{Outcome, Reserved, Status};
use portcullis_session::{Demand, Factor, Level, Method};
use portcullis_sign_in::{Entered, Shown, SignInError, SignInPolicy};
use portcullis_totp_mfa::Code;
use portcullis_totp_mfa::testing::codes;

#[tokio::test(start_paused = true)]
async fn a_right_password_and_a_code_open_a_session_that_has_shown_both() {
    let desk = desk().await;
    let owner = desk.owner().await;
    let (before, sessions) = (desk.sink.events().len(), desk.sessions_of("alice").await);
    let challenge = desk.challenge("alice", 30).await;
    assert_eq!(
        (challenge.user_id(), challenge.expires_at()),
        ("alice", at(330))
    );
    assert_eq!(
        desk.sessions_of("alice").await,
        sessions,
        "the password alone"
    );

    let signed_in = desk.answer(&challenge, &owner.code(60), 60).await.unwrap();
    let shown = [
        Factor::new(Method::Password, at(30)),
        Factor::new(Method::Totp, at(60)),
    ];
    assert_eq!(signed_in.factors, shown);
    let live = desk
        .sessions
        .live(&signed_in.session, at(60))
        .await
        .unwrap();
    assert_eq!(live.factors(), shown);
    let none = String::new();
    let left = [
        (Action::SecondFactorAsked, none.clone()),
        (Action::Login, none),
    ];
    assert_eq!(desk.since(before), left);
    let text = format!(
        "{challenge:?} {signed_in:?} {owner:?}",
        owner = desk.sign_in
    );
    assert!(!text.contains("alice") && !text.contains("pch1_"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_recovery_code_opens_once_and_is_recorded() {
    let desk = desk().await;
    let owner = desk.owner().await;
    let before = desk.sink.events().len();
    let code = &owner.recovery_codes[3];
    let challenge = desk.challenge("alice", 30).await;
    let signed_in = desk
        .answer(&challenge, &code.to_lowercase(), 30)
        .await
        .unwrap();
    let live = desk
        .sessions
        .live(&signed_in.session, at(30))
        .await
        .unwrap();
    assert!(live.meets(&Demand::second_factor(), at(30)));
    let strict = Demand::require(Level::Authenticator, Duration::MAX);
    assert!(
        !live.meets(&strict, at(30)),
        "a recovery code steps nothing up"
    );

    let challenge = desk.challenge("alice", 60).await;
    let error = not_shown(desk.answer(&challenge, code, 60).await);
    assert_eq!(error.log_reason(), Reason::SecondFactorReplayed);
    let actions: Vec<Action> = desk
        .since(before)
        .into_iter()
        .map(|(action, _)| action)
        .collect();
    let left = [
        Action::SecondFactorAsked,
        Action::RecoveryCodeUsed,
        Action::Login,
        Action::SecondFactorAsked,
        Action::FailedLogin,
    ];
    assert_eq!(actions, left);
}

#[tokio::test(start_paused = true)]
async fn wrong_used_malformed_and_blocked_codes_and_challenges_are_one_refusal() {
    let desk = desk().await;
    let owner = desk.owner().await;
    let challenge = desk.challenge("alice", 30).await;
    let expired = desk.challenge("alice", 30).await;
    let cases = [
        (
            challenge.expose(),
            owner.wrong(30),
            30,
            Reason::SecondFactorWrong,
        ),
        (
            challenge.expose(),
            owner.code(0),
            30,
            Reason::SecondFactorReplayed,
        ),
        (
            challenge.expose(),
            "no code".into(),
            30,
            Reason::SecondFactorWrong,
        ),
        ("pch1_", owner.code(30), 30, Reason::ChallengeInvalid),
        (
            expired.expose(),
            owner.code(330),
            330,
            Reason::ChallengeInvalid,
        ),
    ];
    let mut texts = Vec::new();
    for (token, code, secs, reason) in cases {
        let shown = Shown::new(&code);
        let answer = desk.sign_in.answer(token, shown, at(secs)).await;
        let error = not_shown(answer);
        assert_eq!(error.log_reason(), reason, "{code} at {secs}");
        assert_eq!(error.wire_reason(), Reason::SecondFactorWrong);
        texts.push(format!("{error} {error:?}"));
    }
    texts.dedup();
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert_eq!(desk.sessions_of("alice").await, 1, "nobody but the owner");
}

#[tokio::test(start_paused = true)]
async fn a_challenge_has_few_tries_and_a_right_code_after_them_is_none() {
    let desk = desk().await;
    let owner = desk.owner().await;
    let challenge = desk.challenge("alice", 30).await;
    for _ in 0..5 {
        not_shown(desk.answer(&challenge, &owner.wrong(30), 30).await);
    }
    let error = not_shown(desk.answer(&challenge, &owner.code(30), 30).await);
    assert_eq!(error.log_reason(), Reason::ChallengeInvalid);
    // The code was not looked at: it is still good for a new sign-in.
    let challenge = desk.challenge("alice", 30).await;
    assert!(desk.answer(&challenge, &owner.code(30), 30).await.is_ok());

    let policy = SignInPolicy::default().second_factor_tries(1);
    let desk = desk_with(policy).await;
    let owner = desk.owner().await;
    let challenge = desk.challenge("alice", 30).await;
    assert!(
        desk.answer(&challenge, &owner.code(30), 30).await.is_ok(),
        "the last try counts"
    );
}

/// Neither a new challenge nor a success between gives the guesser a fresh count.
#[tokio::test(start_paused = true)]
async fn a_counter_is_not_reset_by_a_restarted_challenge_nor_by_a_success_between() {
    let desk = desk().await;
    let owner = desk.owner().await;
    let mut wrong = 0;
    for turn in 0..21 {
        let secs = 30 + 30 * turn;
        let challenge = desk.challenge("alice", secs).await;
        for _ in 0..5 {
            let error = not_shown(desk.answer(&challenge, &owner.wrong(secs), secs).await);
            if error.log_reason() == Reason::SecondFactorBlocked {
                let blocked = desk.count(Action::FactorBlocked);
                assert_eq!(
                    (wrong, blocked),
                    (101, 1),
                    "one success takes back one failure"
                );
                let challenge = desk.challenge("alice", secs + 30).await;
                let error = not_shown(
                    desk.answer(&challenge, &owner.code(secs + 30), secs + 30)
                        .await,
                );
                assert_eq!(error.log_reason(), Reason::SecondFactorBlocked);
                let way_out = desk
                    .answer(&challenge, &owner.recovery_codes[0], secs + 30)
                    .await;
                assert!(way_out.is_ok(), "the owner has a way out");
                return;
            }
            wrong += 1;
        }
        if turn == 10 {
            let challenge = desk.challenge("alice", secs).await;
            assert!(
                desk.answer(&challenge, &owner.code(secs), secs)
                    .await
                    .is_ok()
            );
        }
    }
    panic!("{wrong} guesses were looked at");
}

#[tokio::test(start_paused = true)]
async fn a_half_signed_in_session_does_not_outlive_a_lock() {
    let desk = desk().await;
    let owner = desk.owner().await;
    let challenge = desk.challenge("alice", 30).await;
    for _ in 0..5 {
        let attempt = attempt("alice", WRONG);
        refused(desk.sign_in.sign_in(attempt, at(30)).await.map(signed_in));
    }
    let status = desk.lockout.status(&name("alice"), at(30)).await.unwrap();
    assert!(matches!(status, Status::Locked { .. }));
    let error = not_shown(desk.answer(&challenge, &owner.code(30), 30).await);
    assert_eq!(error.log_reason(), Reason::AccountLocked);
    // Lifted, the code that was not looked at is good again, and the challenge has a try less.
    desk.lockout.unlock(&name("alice"), at(30)).await.unwrap();
    assert!(desk.answer(&challenge, &owner.code(30), 30).await.is_ok());
}

/// At the last moment: the lock falls while the session is being started.
#[tokio::test(start_paused = true)]
async fn a_lock_that_falls_while_the_session_starts_ends_it() {
    let desk = desk().await;
    let owner = desk.owner().await;
    let challenge = desk.challenge("alice", 30).await;
    let (sign_in, lockout) = (desk.sign_in.clone(), desk.lockout.clone());
    let reservations = async || {
        for _ in 0..5 {
            let reserved = lockout.reserve(&name("alice"), at(30)).await.unwrap();
            let Reserved::Granted(reservation) = reserved else {
                panic!("no attempt is left")
            };
            let _ = lockout
                .settle(reservation, Outcome::Failure, at(30))
                .await
                .unwrap();
        }
    };
    desk.trace.take();
    let shown = Shown::new(&owner.code(30));
    let mut answering = Box::pin(sign_in.answer(challenge.expose(), shown, at(30)));
    let begun = tokio::time::timeout(Duration::ZERO, &mut answering).await;
    assert!(begun.is_err(), "it takes several turns");
    // Until the session's row is written, and no further.
    let mut way = Vec::new();
    while !way.iter().any(|step| step == "session puts") {
        tokio::task::yield_now().await;
        way.extend(desk.trace.take());
    }
    assert!(!way.iter().any(|step| step == "record login"), "{way:?}");
    reservations().await;
    let error = not_shown(answering.await);
    assert_eq!(error.log_reason(), Reason::AccountLocked);
    assert_eq!(
        desk.sessions_of("alice").await,
        1,
        "the owner's own from before"
    );
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_changed_ends_the_sign_ins_that_wait() {
    let desk = desk().await;
    let owner = desk.owner().await;
    let alice = name("alice");
    let waiting = desk.challenge("alice", 30).await;
    desk.users.map.change(&alice, |user| user.epoch += 1);
    let error = not_shown(desk.answer(&waiting, &owner.code(30), 30).await);
    assert_eq!(error.log_reason(), Reason::ChallengeInvalid);

    let waiting = desk.challenge("alice", 30).await;
    desk.users.map.change(&alice, |user| user.enabled = false);
    not_shown(desk.answer(&waiting, &owner.code(30), 30).await);
    desk.users.map.change(&alice, |user| user.enabled = true);

    // Changed while the session is being started: look-ups are one before the code, one after.
    let waiting = desk.challenge("alice", 30).await;
    desk.users.before(1, |users| {
        users.change(&name("alice"), |user| user.epoch += 1);
    });
    not_shown(desk.answer(&waiting, &owner.code(30), 30).await);
    assert_eq!(desk.sessions_of("alice").await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_second_factor_that_changed_ends_the_sign_ins_that_wait() {
    let desk = desk().await;
    let owner = desk.owner().await;
    let waiting = desk.challenge("alice", 60).await;
    let code = Shown::new(&owner.code(60));
    let renewed = desk.sign_in.regenerate(&owner.session, code, at(60)).await;
    let codes = renewed.unwrap();
    let new = codes.iter().next().unwrap();
    desk.trace.take();
    let error = not_shown(desk.answer(&waiting, new, 60).await);
    assert_eq!(error.log_reason(), Reason::ChallengeInvalid);
    let way = desk.trace.take();
    assert!(!way.iter().any(|step| step == "session puts"), "{way:?}");
    // And a factor that was taken away is not worth a password alone to those who wait.
    let waiting = desk.challenge("alice", 60).await;
    let reset = desk
        .factors
        .dangerous_reset(&desk.store, "alice", at(60))
        .await;
    assert!(reset.unwrap());
    not_shown(desk.answer(&waiting, &owner.code(90), 90).await);
}

#[tokio::test(start_paused = true)]
async fn a_login_without_a_code_does_not_slip_past_an_enrolment_under_way() {
    let desk = desk().await;
    let owner_first = desk.sign_in.sign_in(attempt("alice", RIGHT), NOW).await;
    let session = signed_in(owner_first.unwrap()).session;
    let session = desk.sessions.live(&session, NOW).await.unwrap();
    let begun = desk.sign_in.enrol(&session, "alice", NOW).await.unwrap();
    let code = codes::at(begun.secret(), NOW);
    desk.trace.take();
    let login = desk.sign_in.clone();
    let login = tokio::spawn(async move { login.sign_in(attempt("alice", RIGHT), NOW).await });
    tokio::time::sleep(HASH).await;
    // Asked whether there is a factor, and told that there is none; no further.
    let mut way = Vec::new();
    while !way.iter().any(|step| step == "second-factor reads") {
        tokio::task::yield_now().await;
        way.extend(desk.trace.take());
    }
    assert!(!way.iter().any(|step| step == "record login"), "{way:?}");
    let code = Code::parse(&code).unwrap();
    let confirmed = desk.factors.confirm(&desk.store, "alice", &code, NOW);
    let _ = confirmed.await.unwrap();
    match login.await.unwrap() {
        Err(SignInError::Refused(_)) => {}
        Ok(Entered::SecondFactor(_)) => panic!("it was asked too early to show anything"),
        other => panic!("a password alone got in: {other:?}"),
    }
    assert_eq!(desk.sessions_of("alice").await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_challenge_serves_the_login_it_was_made_for_and_no_other_user() {
    let desk = desk().await;
    let (alice, bob) = (desk.owner().await, desk.owner_of("bob").await);
    let challenge = desk.challenge("alice", 30).await;
    let error = not_shown(desk.answer(&challenge, &bob.code(30), 30).await);
    assert_eq!(error.log_reason(), Reason::SecondFactorWrong);
    not_shown(desk.answer(&challenge, &bob.recovery_codes[0], 30).await);
    let signed_in = desk.answer(&challenge, &alice.code(30), 30).await.unwrap();
    assert_eq!(signed_in.user_id, "alice");
    // It is used up with its login.
    not_shown(desk.answer(&challenge, &alice.code(60), 60).await);
}
