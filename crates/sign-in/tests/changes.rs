//! Credentials that change, by their owner and behind a login's back.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod common;

use std::time::Duration;

use common::{
    Desk, NOW, RIGHT, WRONG, attempt, desk, desk_with, name, overloaded, poll_once, refused, steps,
};
use portcullis_audit::Action;
use portcullis_core::{Failure, Reason, Secret};
use portcullis_lockout::Status;
use portcullis_sign_in::testing::{MapDirectory, StubHasher};
use portcullis_sign_in::{ChangeError, Credential, PasswordFault, SignInError, SignInPolicy};
use tokio::time::sleep;

const NEW: &[u8] = b"a staple of another kind";

async fn change(desk: &Desk, user: &str, old: &[u8], new: &[u8]) -> Result<(), ChangeError> {
    let new = Secret::from(new);
    desk.sign_in
        .change_password(attempt(user, old), new, NOW)
        .await
}

fn hash(desk: &Desk) -> String {
    desk.users
        .map
        .credential(&name("alice"))
        .unwrap()
        .password_hash
}

fn changes() -> [fn(&MapDirectory); 4] {
    fn alice(users: &MapDirectory, change: impl FnOnce(&mut Credential)) {
        assert!(users.change(&name("alice"), change));
    }
    [
        |users| alice(users, |user| user.epoch += 1),
        |users| alice(users, |user| user.enabled = false),
        |users| alice(users, |user| user.user_id = "bob".into()),
        |users| {
            alice(users, |user| {
                user.password_hash = StubHasher::phc(&NEW.into());
                user.epoch += 1;
            });
        },
    ]
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_changes_between_the_two_looks_signs_nobody_in() {
    for behind in changes() {
        let desk = desk().await;
        desk.users.before(1, behind);
        let error = refused(desk.try_as("alice", RIGHT).await);
        assert_eq!(error.log_reason(), Reason::PasswordWrong);
        assert_eq!(
            desk.sessions_of("alice").await + desk.sessions_of("bob").await,
            0
        );
        assert_eq!(desk.sink.actions(), [Action::FailedLogin]);
        assert_eq!(desk.failures("alice").await, Status::Open { failures: 0 });
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_made_room_for_a_login_that_was_then_refused_is_recorded_as_ended() {
    let desk = desk().await;
    for _ in 0..20 {
        desk.try_as("alice", RIGHT).await.unwrap();
    }
    desk.users.before(1, changes()[0]);
    refused(desk.try_as("alice", RIGHT).await);
    assert_eq!(desk.sessions_of("alice").await, 19);
    let last = [Action::SessionRevoked, Action::FailedLogin];
    assert!(desk.sink.actions().ends_with(&last));
}

#[tokio::test(start_paused = true)]
async fn a_login_under_way_does_not_outlive_a_change_of_the_password_at_any_point() {
    let early = common::HASH - Duration::from_millis(1);
    let points = [early, common::HASH]
        .into_iter()
        .flat_map(|wait| (0..60).map(move |at| (wait, at)));
    for (wait, point) in points {
        let desk = desk().await;
        desk.store.store.pause(true);
        let signing_in = tokio::spawn({
            let (sign_in, attempt) = (desk.sign_in.clone(), attempt("alice", RIGHT));
            async move { sign_in.sign_in(attempt, NOW).await }
        });
        sleep(wait).await;
        steps(point / 4).await;
        // As change_password does: the credential first, then the sessions.
        desk.users
            .map
            .change(&name("alice"), |user| user.epoch += 1);
        steps(point % 4).await;
        desk.sessions.revoke_all("alice", NOW).await.unwrap();
        let answer = signing_in.await.unwrap();
        desk.drained().await;
        assert_eq!(
            desk.sessions_of("alice").await,
            0,
            "{wait:?} {point} {answer:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_password_replaces_the_old_one_and_ends_every_session() {
    let desk = desk().await;
    desk.users
        .map
        .change(&name("alice"), |user| user.must_change = true);
    desk.try_as("alice", RIGHT).await.unwrap();
    desk.try_as("alice", RIGHT).await.unwrap();
    desk.trace.take();
    change(&desk, "Alice ", RIGHT, NEW).await.unwrap();
    let way = desk.trace.take();
    let place = |what: &str| way.iter().position(|step| step == what).unwrap();
    assert!(place("hash") < place("record password_changed"));
    assert!(place("record password_changed") < place("replace"));
    assert!(place("replace") < place("session puts"));
    assert_eq!(desk.sessions_of("alice").await, 0);
    refused(desk.try_as("alice", RIGHT).await);
    let signed_in = desk.try_as("alice", NEW).await.unwrap();
    assert!(!signed_in.must_change);
    let live = desk.sessions.live(&signed_in.session, NOW).await.unwrap();
    assert_eq!(live.epoch(), 2);
}

#[tokio::test(start_paused = true)]
async fn wrong_old_passwords_count_and_lock_as_a_login_does() {
    let desk = desk().await;
    for _ in 0..5 {
        let error = change(&desk, "alice", WRONG, NEW).await.unwrap_err();
        assert_eq!(error.to_string(), "the credentials are not accepted");
    }
    assert!(matches!(
        desk.failures("alice").await,
        Status::Locked { .. }
    ));
    assert_eq!(desk.count(Action::Lockout), 1);
    let locked = change(&desk, "alice", RIGHT, NEW).await.unwrap_err();
    assert!(matches!(
        locked,
        ChangeError::SignIn(SignInError::Refused(_))
    ));
    assert_eq!(hash(&desk), StubHasher::phc(&RIGHT.into()));
    assert_eq!(desk.count(Action::PasswordChanged), 0);
    for user in ["nobody", "\u{200b}", "carol"] {
        let error = change(&desk, user, RIGHT, NEW).await.unwrap_err();
        assert!(
            matches!(error, ChangeError::SignIn(SignInError::Refused(_))),
            "{user}"
        );
    }
    assert_eq!(
        desk.count(Action::FailedLogin),
        9,
        "every refusal is recorded"
    );
}

#[tokio::test(start_paused = true)]
async fn a_poor_new_password_is_refused_before_anything_is_looked_at() {
    let desk = desk().await;
    let calls = desk.hasher.calls();
    let megabyte = vec![b'x'; 1 << 20];
    let cases: [(&str, &[u8], PasswordFault); 6] = [
        ("alice", b"short", PasswordFault::TooShort),
        ("alice", &megabyte, PasswordFault::TooLong),
        ("alice", RIGHT, PasswordFault::IsOld),
        (
            "alice",
            b"not text \xff\xff\xff\xff\xff",
            PasswordFault::NotText,
        ),
        (
            "alice.of.wonderland",
            "ALICE\u{200b}.of.wonderland".as_bytes(),
            PasswordFault::IsName,
        ),
        ("\u{200b}", b"short", PasswordFault::TooShort),
    ];
    for (user, new, fault) in cases {
        let error = change(&desk, user, RIGHT, new).await.unwrap_err();
        assert_eq!(error, ChangeError::NewPassword(fault));
    }
    assert_eq!((desk.hasher.calls(), desk.store.store.calls()), (calls, 0));
}

#[tokio::test(start_paused = true)]
async fn a_change_that_cannot_be_recorded_changes_nothing() {
    let desk = desk().await;
    desk.try_as("alice", RIGHT).await.unwrap();
    for stalled in [false, true] {
        desk.sink.fail(!stalled);
        desk.sink.stall(stalled);
        let error = change(&desk, "alice", RIGHT, NEW).await.unwrap_err();
        let away = SignInError::Unavailable(Reason::AuditUnavailable);
        assert_eq!(error, ChangeError::SignIn(away));
        assert_eq!(hash(&desk), StubHasher::phc(&RIGHT.into()));
        assert_eq!(desk.sessions_of("alice").await, 1);
    }
    let blind = desk_with(SignInPolicy::default().dangerous_sign_in_unrecorded()).await;
    blind.sink.fail(true);
    change(&blind, "alice", RIGHT, NEW).await.unwrap();
    assert_eq!(hash(&blind), StubHasher::phc(&NEW.into()));
}

#[tokio::test(start_paused = true)]
async fn a_change_that_others_made_first_is_refused() {
    for behind in changes() {
        let desk = desk().await;
        desk.users.before(1, behind);
        let before = desk.users.map.credential(&name("alice")).unwrap().epoch;
        let error = change(&desk, "alice", RIGHT, b"yet another password")
            .await
            .unwrap_err();
        assert!(matches!(
            error,
            ChangeError::SignIn(SignInError::Refused(_))
        ));
        assert_eq!(desk.sink.actions(), [Action::FailedLogin]);
        let after = desk.users.map.credential(&name("alice")).unwrap();
        assert!(after.epoch <= before + 1);
        assert_ne!(
            after.password_hash,
            StubHasher::phc(&b"yet another password"[..].into())
        );
    }
}

#[tokio::test(start_paused = true)]
async fn of_five_changes_at_once_one_is_made() {
    let desk = desk().await;
    let tasks: Vec<_> = (0..5)
        .map(|at| {
            let (sign_in, attempt) = (desk.sign_in.clone(), attempt("alice", RIGHT));
            let new = Secret::from(format!("new password number {at}"));
            tokio::spawn(async move { sign_in.change_password(attempt, new, NOW).await })
        })
        .collect();
    let mut made = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(()) => made += 1,
            Err(error) => assert!(matches!(
                error,
                ChangeError::SignIn(SignInError::Refused(_))
            )),
        }
    }
    assert_eq!(
        (
            made,
            desk.users.map.credential(&name("alice")).unwrap().epoch
        ),
        (1, 2)
    );
}

#[tokio::test(start_paused = true)]
async fn a_table_of_users_that_fails_at_the_change_ends_the_sessions_in_case_it_was_made() {
    for panics in [false, true] {
        let desk = desk().await;
        desk.try_as("alice", RIGHT).await.unwrap();
        let users = desk.users.map.clone();
        // After the second look, before the replacement.
        desk.users.before(1, move |_| {
            tokio::spawn(async move {
                users.fail(!panics);
                users.panic(panics);
            });
        });
        let error = change(&desk, "alice", RIGHT, NEW).await.unwrap_err();
        let away = SignInError::Unavailable(Reason::StoreUnavailable);
        assert_eq!(error, ChangeError::SignIn(away));
        assert_eq!(desk.sessions_of("alice").await, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn sessions_are_ended_though_the_store_fails_twice_and_it_is_said_when_they_are_not() {
    for (times, ended) in [(1, true), (2, true), (1000, false)] {
        let desk = desk().await;
        desk.try_as("alice", RIGHT).await.unwrap();
        // Reserve, ask and settle.
        desk.store.fail(3, times, Failure::Contended);
        let answer = change(&desk, "alice", RIGHT, NEW).await;
        desk.store.mend();
        assert_eq!(answer.is_ok(), ended, "{answer:?}");
        assert_eq!(desk.sessions_of("alice").await == 0, ended);
        assert_eq!(hash(&desk), StubHasher::phc(&NEW.into()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_whose_caller_hangs_up_is_made_whole_or_not_begun() {
    for point in 0..40 {
        let desk = desk().await;
        desk.store.store.pause(true);
        desk.try_as("alice", RIGHT).await.unwrap();
        let mut changing = Box::pin(change(&desk, "alice", RIGHT, NEW));
        poll_once(&mut changing);
        sleep(common::HASH * u32::try_from(point % 4).unwrap()).await;
        steps(point).await;
        drop(changing);
        desk.drained().await;
        assert_eq!(hash(&desk), StubHasher::phc(&NEW.into()), "{point}");
        assert_eq!(desk.sessions_of("alice").await, 0, "{point}");
        assert_eq!(desk.failures("alice").await, Status::Open { failures: 0 });
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_password_that_the_hasher_has_no_room_for_changes_nothing() {
    let desk = desk().await;
    let hasher = desk.hasher.clone();
    desk.users.before(0, move |_| {
        // Once the old one is being verified.
        tokio::spawn(async move {
            sleep(common::HASH / 2).await;
            hasher.answer(Some(overloaded()));
        });
    });
    let error = change(&desk, "alice", RIGHT, NEW).await.unwrap_err();
    assert!(matches!(
        error,
        ChangeError::SignIn(SignInError::Overloaded { .. })
    ));
    assert_eq!(hash(&desk), StubHasher::phc(&RIGHT.into()));
    assert_eq!(desk.count(Action::PasswordChanged), 0);
}
