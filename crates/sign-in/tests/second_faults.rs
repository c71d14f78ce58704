//! What a second factor comes to when stores and logs fail, callers go away, and answers come at once.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod common;

use common::factor::{at, not_shown};
use common::{NOW, RIGHT, attempt, desk, failures, poll_once, signed_in, steps};
use portcullis_audit::Action;
use portcullis_core::{Failure, Reason};
use portcullis_session::{Demand, Level, Method};
use portcullis_sign_in::{FactorError, Shown, SignInError};
use portcullis_totp_mfa::testing::codes;

/// Where a login ends: the same code at once in many sign-ins.
#[tokio::test(start_paused = true)]
async fn the_same_code_at_once_in_many_sign_ins_opens_one_session() {
    let desk = desk().await;
    let owner = desk.owner().await;
    let mut answers = Vec::new();
    for _ in 0..64 {
        let challenge = desk.challenge("alice", 30).await;
        let (sign_in, code) = (desk.sign_in.clone(), owner.code(30));
        answers.push(tokio::spawn(async move {
            let shown = Shown::new(&code);
            sign_in.answer(challenge.expose(), shown, at(30)).await
        }));
    }
    let mut opened = 0;
    for answer in answers {
        match answer.await.unwrap() {
            Ok(_) => opened += 1,
            refused => assert_eq!(
                not_shown(refused).log_reason(),
                Reason::SecondFactorReplayed
            ),
        }
    }
    assert_eq!((opened, desk.sessions_of("alice").await), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn two_right_answers_of_one_challenge_open_one_session() {
    for turn in 0..20 {
        let desk = desk().await;
        let owner = desk.owner().await;
        let challenge = desk.challenge("alice", 30).await;
        let one = desk.answer(&challenge, &owner.recovery_codes[0], 30);
        let two = async {
            steps(turn).await;
            desk.answer(&challenge, &owner.code(30), 30).await
        };
        let (one, two) = tokio::join!(one, two);
        assert_eq!(usize::from(one.is_ok()) + usize::from(two.is_ok()), 1);
        assert_eq!(desk.sessions_of("alice").await, 2);
    }
}

/// Whatever call of the store fails, nobody gets in, and nothing is left open.
#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_at_any_call_of_an_answer_signs_nobody_in() {
    for failure in failures() {
        let mut calls = 0;
        loop {
            let desk = desk().await;
            let owner = desk.owner().await;
            let challenge = desk.challenge("alice", 30).await;
            desk.store.fail(calls, 1, failure.clone());
            let answer = desk.answer(&challenge, &owner.code(30), 30).await;
            desk.store.mend();
            let logins = desk.count(Action::Login);
            match answer {
                Ok(_) => {
                    assert!(calls > 8, "only {calls} calls were failed");
                    assert_eq!(desk.sessions_of("alice").await, 2);
                    break;
                }
                Err(SignInError::Unavailable(_) | SignInError::SecondFactorRefused(_)) => {
                    // The one of the enrolment.
                    assert_eq!(logins, 1, "call {calls} {failure}");
                    // A start whose reply was lost may stand, without a holder.
                    let unknown = matches!(failure, Failure::Unknown(_));
                    let sessions = desk.sessions_of("alice").await;
                    assert!(sessions == 1 || unknown, "call {calls} {failure}");
                }
                Err(other) => panic!("{other}"),
            }
            calls += 1;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_down_signs_nobody_in_and_steps_nobody_up() {
    let desk = desk().await;
    let owner = desk.owner().await;
    let challenge = desk.challenge("alice", 30).await;
    desk.sink.fail(true);
    let unrecorded = SignInError::Unavailable(Reason::AuditUnavailable);
    let asked = desk.sign_in.sign_in(attempt("alice", RIGHT), at(30)).await;
    assert_eq!(asked.unwrap_err(), unrecorded);
    let answer = desk.answer(&challenge, &owner.code(30), 30).await;
    assert_eq!(answer.unwrap_err(), unrecorded);
    assert_eq!(desk.sessions_of("alice").await, 1);
    let before = owner.session.factors().to_vec();
    let shown = Shown::new(&owner.code(60));
    let stepped = desk.sign_in.step_up(&owner.session, shown, at(60)).await;
    assert_eq!(stepped.unwrap_err(), unrecorded);
    let live = desk.sessions.live(&owner.session.session(), at(60)).await;
    assert_eq!(live.unwrap().factors(), before);
}

/// A caller who goes away at any point leaves no session behind, and the next login of
/// the owner goes through.
#[tokio::test(start_paused = true)]
async fn an_answer_dropped_at_each_await_leaves_no_session_and_locks_nobody_out() {
    for point in 0..60 {
        let desk = desk().await;
        let owner = desk.owner().await;
        let challenge = desk.challenge("alice", 30).await;
        desk.store.store.pause(true);
        {
            let shown = Shown::new(&owner.code(30));
            let mut answer = Box::pin(desk.sign_in.answer(challenge.expose(), shown, at(30)));
            poll_once(&mut answer);
            steps(point).await;
        }
        desk.drained().await;
        desk.store.store.pause(false);
        assert_eq!(desk.sessions_of("alice").await, 1, "point {point}");
        let challenge = desk.challenge("alice", 60).await;
        let signed_in = desk.answer(&challenge, &owner.code(60), 60).await;
        assert!(signed_in.is_ok(), "point {point}: {signed_in:?}");
    }
}

/// The log, or any call of the store from the confirming one on, its lost reply included.
#[tokio::test(start_paused = true)]
async fn a_confirmation_that_cannot_be_recorded_or_noted_is_undone_and_steps_nothing_up() {
    for failure in failures() {
        let mut calls = 0;
        loop {
            let desk = desk().await;
            let session = desk.session_of("alice").await;
            let begun = desk.sign_in.enrol(&session, "alice", NOW).await.unwrap();
            // The first looks whether the session lives.
            desk.store.fail(calls, 1, failure.clone());
            desk.sink.fail(calls == 0);
            let shown = Shown::new(&codes::at(begun.secret(), NOW));
            let confirmed = desk.sign_in.confirm(&session, shown, NOW).await;
            desk.store.mend();
            let standing = desk.factors.standing(&desk.store, "alice", NOW).await;
            let enrolled = standing.unwrap().enrolled;
            match confirmed {
                Ok(_) => {
                    assert!(enrolled && calls > 3, "call {calls} {failure}");
                    break;
                }
                Err(FactorError::SignIn(SignInError::Unavailable(_))) => {
                    assert!(!enrolled, "call {calls} {failure}");
                }
                other => panic!("{other:?}"),
            }
            let this = session.session();
            if let Ok(live) = desk.sessions.live(&this, NOW).await {
                assert!(
                    !live.meets(&Demand::second_factor(), NOW),
                    "call {calls} {failure}"
                );
            }
            calls += 1;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_undone_enrolment_is_recorded_and_takes_no_other_one_away() {
    let desk = desk().await;
    let session = desk.session_of("alice").await;
    let begun = desk.sign_in.enrol(&session, "alice", NOW).await.unwrap();
    // Alive, confirmed, then the list of sessions.
    desk.store.fail(2, 1, failures()[0].clone());
    let shown = Shown::new(&codes::at(begun.secret(), NOW));
    let confirmed = desk.sign_in.confirm(&session, shown, NOW).await;
    assert!(confirmed.is_err());
    let left = [Action::FactorEnrolled, Action::FactorRemoved];
    assert!(desk.sink.actions().ends_with(&left));
    assert!(desk.sessions.live(&session.session(), NOW).await.is_err());
}

/// Whoever holds a session and no code cannot wait for a lost reply, or make one, to be rid of the factor.
#[tokio::test(start_paused = true)]
async fn a_confirmation_of_unknown_outcome_takes_no_factor_away_that_was_there_before() {
    let shown = |code: &str| Shown::new(code);
    for failure in failures() {
        let desk = desk().await;
        let owner = desk.owner().await;
        for code in [owner.wrong(60), owner.code(60), owner.code(0)] {
            // Alive, then the confirmation.
            desk.store.fail(1, 1, failure.clone());
            let confirmed = desk.sign_in.confirm(&owner.session, shown(&code), at(60));
            assert!(confirmed.await.is_err(), "{failure}");
            desk.store.mend();
        }
        let standing = desk.factors.standing(&desk.store, "alice", at(60)).await;
        let standing = standing.unwrap();
        assert!(
            standing.enrolled && standing.recovery_codes_left == 10,
            "{failure}"
        );
        assert_eq!(desk.count(Action::FactorRemoved), 0, "{failure}");
        let challenge = desk.challenge("alice", 90).await;
        let answer = desk.answer(&challenge, &owner.code(90), 90).await;
        assert!(answer.is_ok(), "{failure}");
    }
}

/// A factor that may have come to be is in the log, whatever became of taking it back.
#[tokio::test(start_paused = true)]
async fn a_confirmation_of_unknown_outcome_is_recorded_unless_nothing_came_of_it() {
    let lost = || failures()[2].clone();
    // How many calls fail from the confirmation on, and what is in the log then.
    for (failing, recorded) in [(1, [1, 1]), (2, [1, 0])] {
        let desk = desk().await;
        let session = desk.session_of("alice").await;
        let begun = desk.sign_in.enrol(&session, "alice", NOW).await.unwrap();
        desk.store.fail(1, failing, lost());
        let shown = Shown::new(&codes::at(begun.secret(), NOW));
        assert!(desk.sign_in.confirm(&session, shown, NOW).await.is_err());
        let of = |action| desk.count(action);
        let left = [Action::FactorEnrolled, Action::FactorRemoved].map(of);
        assert_eq!(left, recorded, "{failing}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_confirmation_that_stalls_takes_no_factor_away_that_was_there_before() {
    let desk = desk().await;
    let owner = desk.owner().await;
    let _never_released = desk.store.hold(1);
    let confirmed = desk
        .sign_in
        .confirm(&owner.session, Shown::new(&owner.wrong(60)), at(60))
        .await;
    let unknown = SignInError::Unavailable(Reason::StoreUnknown);
    assert_eq!(confirmed.unwrap_err(), FactorError::SignIn(unknown));
    desk.store.mend();
    let standing = desk.factors.standing(&desk.store, "alice", at(60)).await;
    assert!(standing.unwrap().enrolled);
}

/// What was begun is done and recorded, whoever waits for the answer.
#[tokio::test(start_paused = true)]
async fn acts_upon_a_factor_go_on_to_their_end_when_the_caller_goes_away() {
    let all = [
        Action::FactorEnrolled,
        Action::StepUp,
        Action::RecoveryCodesMade,
        Action::FactorRemoved,
    ];
    for action in all {
        let desk = desk().await;
        let session = desk.session_of("alice").await;
        let begun = desk.sign_in.enrol(&session, "alice", NOW).await.unwrap();
        let code = |secs| Shown::new(&codes::at(begun.secret(), at(secs)));
        let sign_in = &desk.sign_in;
        if action == Action::FactorEnrolled {
            poll_once(&mut Box::pin(sign_in.confirm(&session, code(0), NOW)));
        } else {
            let _ = sign_in.confirm(&session, code(0), NOW).await.unwrap();
        }
        match action {
            Action::StepUp => poll_once(&mut Box::pin(sign_in.step_up(&session, code(30), at(30)))),
            Action::RecoveryCodesMade => {
                poll_once(&mut Box::pin(sign_in.regenerate(
                    &session,
                    code(30),
                    at(30),
                )));
            }
            Action::FactorRemoved => {
                poll_once(&mut Box::pin(sign_in.remove(&session, code(30), at(30))));
            }
            _ => {}
        }
        desk.drained().await;
        assert_eq!(desk.count(action), 1, "{action}");
        let standing = desk.factors.standing(&desk.store, "alice", at(30)).await;
        let enrolled = standing.unwrap().enrolled;
        assert_eq!(enrolled, action != Action::FactorRemoved, "{action}");
        let live = desk.sessions.live(&session.session(), at(30)).await;
        let stepped_up = live.is_ok_and(|live| live.meets(&Demand::second_factor(), at(30)));
        assert_eq!(stepped_up, action != Action::FactorRemoved, "{action}");
    }
}

/// Within a session: one that has ended uses no code up.
#[tokio::test(start_paused = true)]
async fn an_ended_session_is_refused_before_its_code_is_looked_at() {
    let desk = desk().await;
    let owner = desk.owner().await;
    let (sign_in, session) = (&desk.sign_in, &owner.session);
    desk.sessions.revoke_all("alice", at(30)).await.unwrap();
    let code = || Shown::new(&owner.code(30));
    let refused = |error: SignInError| {
        let reason = error.log_reason();
        assert_eq!(
            (error.wire_reason(), reason),
            (Reason::SecondFactorWrong, Reason::ChallengeInvalid)
        );
    };
    refused(sign_in.step_up(session, code(), at(30)).await.unwrap_err());
    for error in [
        sign_in
            .regenerate(session, code(), at(30))
            .await
            .unwrap_err(),
        sign_in.remove(session, code(), at(30)).await.unwrap_err(),
    ] {
        let FactorError::SignIn(error) = error else {
            panic!("{error}")
        };
        refused(error);
    }
    let challenge = desk.challenge("alice", 30).await;
    assert!(desk.answer(&challenge, &owner.code(30), 30).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_factor_ground_down_within_a_session_is_blocked_and_recorded() {
    let desk = desk().await;
    let owner = desk.owner().await;
    let wrong = owner.wrong(30);
    for _ in 0..100 {
        let refused = desk
            .sign_in
            .step_up(&owner.session, Shown::new(&wrong), at(30))
            .await;
        assert_eq!(refused.unwrap_err().log_reason(), Reason::SecondFactorWrong);
    }
    assert_eq!(desk.count(Action::FactorBlocked), 1);
    let right = desk
        .sign_in
        .step_up(&owner.session, Shown::new(&owner.code(30)), at(30))
        .await;
    assert_eq!(right.unwrap_err().log_reason(), Reason::SecondFactorBlocked);
}

#[tokio::test(start_paused = true)]
async fn an_enrolment_ends_the_sessions_that_have_not_shown_it_and_no_other_users() {
    let desk = desk().await;
    let older = signed_in(
        desk.sign_in
            .sign_in(attempt("alice", RIGHT), NOW)
            .await
            .unwrap(),
    );
    let bobs = signed_in(
        desk.sign_in
            .sign_in(attempt("bob", RIGHT), NOW)
            .await
            .unwrap(),
    );
    let owner = desk.owner().await;
    assert!(desk.sessions.live(&older.session, NOW).await.is_err());
    assert!(desk.sessions.live(&bobs.session, NOW).await.is_ok());
    assert!(owner.session.meets(&Demand::second_factor(), NOW));
    let again = desk.sign_in.enrol(&owner.session, "alice", NOW).await;
    assert_eq!(again.unwrap_err(), FactorError::AlreadyEnrolled);
}

#[tokio::test(start_paused = true)]
async fn a_step_up_notes_the_code_and_a_recovery_code_steps_no_act_up() {
    let desk = desk().await;
    let owner = desk.owner().await;
    let strict = Demand::require(Level::Authenticator, std::time::Duration::from_secs(300));
    let step_up = async |code: &str, secs| {
        let shown = Shown::new(code);
        desk.sign_in.step_up(&owner.session, shown, at(secs)).await
    };
    let recovered = step_up(&owner.recovery_codes[0], 600).await.unwrap();
    assert!(!recovered.meets(&strict, at(600)));
    for wrong in [owner.wrong(600), "no code".into(), owner.code(0)] {
        let refused = step_up(&wrong, 600).await;
        assert!(matches!(refused, Err(SignInError::SecondFactorRefused(_))));
    }
    assert_eq!(desk.count(Action::StepUpFailed), 3);
    let stepped = step_up(&owner.code(600), 600).await.unwrap();
    assert!(stepped.meets(&strict, at(600)) && !stepped.meets(&strict, at(901)));
    assert_eq!(
        (
            desk.count(Action::StepUp),
            desk.count(Action::RecoveryCodeUsed)
        ),
        (2, 1)
    );
    let methods: Vec<Method> = stepped
        .factors()
        .iter()
        .map(|factor| factor.method())
        .collect();
    assert_eq!(
        methods,
        [Method::Password, Method::Totp, Method::RecoveryCode]
    );
}

/// A challenge answered while the factor is being removed: whoever holds the lost authenticator must not
/// keep a session that it opened in between.
#[tokio::test(start_paused = true)]
async fn a_session_opened_while_the_factor_is_removed_does_not_outlive_it() {
    let desk = desk().await;
    let owner = desk.owner().await;
    let challenge = desk.challenge("alice", 30).await;
    // Whether the session lives, the code, the list of sessions, the one session in two writes: then the
    // factor.
    let held = desk.store.hold(5);
    let (sign_in, session) = (desk.sign_in.clone(), owner.session.clone());
    let code = owner.recovery_codes[0].clone();
    let remove = tokio::spawn(async move {
        let shown = Shown::new(&code);
        sign_in.remove(&session, shown, at(30)).await
    });
    held.reached().await;
    assert_eq!(desk.sessions_of("alice").await, 0);
    let opened = desk.answer(&challenge, &owner.code(30), 30).await;
    let opened = opened.unwrap().session;
    held.release();
    remove.await.unwrap().unwrap();
    assert!(desk.sessions.live(&opened, at(30)).await.is_err());
    assert_eq!(desk.sessions_of("alice").await, 0);
}

#[tokio::test(start_paused = true)]
async fn an_enrolment_that_was_guessed_at_too_often_is_over_and_not_the_services_fault() {
    let desk = desk().await;
    let session = desk.session_of("alice").await;
    let begun = desk.sign_in.enrol(&session, "alice", NOW).await.unwrap();
    let right = codes::at(begun.secret(), NOW);
    let wrong = if right == "000000" {
        "000001"
    } else {
        "000000"
    };
    for _ in 0..100 {
        let refused = desk.sign_in.confirm(&session, Shown::new(wrong), NOW).await;
        assert!(matches!(
            refused,
            Err(FactorError::SignIn(SignInError::SecondFactorRefused(_)))
        ));
    }
    let before = desk.sink.events().len();
    let over = desk
        .sign_in
        .confirm(&session, Shown::new(&right), NOW)
        .await;
    assert_eq!(over.unwrap_err(), FactorError::NotPending);
    let blocked = (Action::StepUpFailed, String::from("second_factor_blocked"));
    assert_eq!(desk.since(before), [blocked]);
    let anew = desk.sign_in.enrol(&session, "alice", NOW).await;
    assert!(anew.is_ok());
}

/// Where an application meets it.
#[tokio::test(start_paused = true)]
async fn codes_are_not_regenerated_and_a_factor_is_not_removed_without_showing_it() {
    let desk = desk().await;
    let owner = desk.owner().await;
    let (sign_in, session) = (&desk.sign_in, &owner.session);
    let enrolled = async || {
        let standing = desk.factors.standing(&desk.store, "alice", at(30)).await;
        let standing = standing.unwrap();
        (standing.enrolled, standing.recovery_codes_left)
    };
    for code in [owner.wrong(30), owner.code(0), "no code".into()] {
        let renewed = sign_in.regenerate(session, Shown::new(&code), at(30)).await;
        assert!(matches!(
            renewed,
            Err(FactorError::SignIn(SignInError::SecondFactorRefused(_)))
        ));
        let removed = sign_in.remove(session, Shown::new(&code), at(30)).await;
        assert!(matches!(
            removed,
            Err(FactorError::SignIn(SignInError::SecondFactorRefused(_)))
        ));
    }
    let recovery = Shown::new(&owner.recovery_codes[0]);
    let renewed = sign_in.regenerate(session, recovery, at(30)).await;
    assert_eq!(renewed.unwrap_err(), FactorError::NotByRecoveryCode);
    assert_eq!(enrolled().await, (true, 10), "nothing was used up for it");

    let renewed = sign_in
        .regenerate(session, Shown::new(&owner.code(30)), at(30))
        .await;
    let renewed: Vec<String> = renewed.unwrap().iter().map(str::to_owned).collect();
    let old = sign_in
        .remove(session, Shown::new(&owner.recovery_codes[0]), at(30))
        .await;
    assert!(old.is_err());
    sign_in
        .remove(session, Shown::new(&renewed[0]), at(30))
        .await
        .unwrap();
    assert_eq!(enrolled().await, (false, 0));
    assert_eq!(
        desk.sessions_of("alice").await,
        0,
        "what it had opened is closed"
    );
    assert_eq!(desk.count(Action::RecoveryCodesMade), 1);
    let left = [Action::RecoveryCodeUsed, Action::FactorRemoved];
    let actions = desk.sink.actions();
    assert!(actions.ends_with(&left), "{actions:?}");
}
