//! What is tried with codes: the old ones, the same ones, many of them, strange ones.
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

use common::{Rig, START, WRONG, at, policy};
use portcullis_core::Timestamp;
use portcullis_totp_mfa::{Code, Error, Kind};

#[tokio::test]
async fn the_same_code_twice_is_good_once_and_its_replay_counts_for_nothing() {
    let rig = Rig::with(policy().wrong_codes(1).unwrap()).await;
    let proof = rig.totp(at(60)).await.unwrap();
    assert_eq!(
        (proof.user(), proof.kind(), proof.at()),
        ("alice", Kind::Totp, at(60))
    );
    for secs in [60, 61, 89] {
        let again = rig.show(rig.code(at(60)), at(secs)).await;
        assert_eq!(again.err(), Some(Error::Replayed), "{secs}");
    }
    assert_eq!(rig.standing(at(90)).await.failures, 0);
    assert!(rig.totp(at(90)).await.is_ok());
}

#[tokio::test]
async fn a_recovery_code_twice_is_good_once_however_it_is_spelt() {
    let rig = Rig::new().await;
    let proof = rig.recover(3, at(60)).await.unwrap();
    assert_eq!(proof.kind(), Kind::RecoveryCode);
    let spelt = rig.recovery[3].to_lowercase().replace('-', " ");
    for text in [&rig.recovery[3], &spelt] {
        let again = rig.show(Code::parse(text).unwrap(), at(60)).await;
        assert_eq!(again.err(), Some(Error::Replayed));
    }
    assert_eq!(rig.standing(at(60)).await.recovery_codes_left, 9);
    assert!(rig.recover(4, at(60)).await.is_ok());
}

#[tokio::test]
async fn an_older_step_after_a_newer_one_is_refused() {
    let rig = Rig::new().await;
    // The phone is half a minute ahead, and then a slower one shows the present code.
    assert!(rig.show(rig.code(at(90)), at(60)).await.is_ok());
    for older in [60, 30] {
        let shown = rig.show(rig.code(at(older)), at(60)).await;
        assert_eq!(shown.err(), Some(Error::Replayed));
    }
}

#[tokio::test]
async fn a_second_factor_ground_down_slowly_is_blocked_after_as_many_guesses_as_at_once() {
    let rig = Rig::with(policy().wrong_codes(12).unwrap()).await;
    let month = 30 * 86_400;
    for guess in 1..=12 {
        let now = at(guess * month);
        let newly_blocked = guess == 12;
        let shown = rig.show(rig.wrong(now), now).await;
        assert_eq!(shown.err(), Some(Error::Wrong { newly_blocked }));
    }
    for years in [1, 10, 100] {
        let now = at(years * 12 * month);
        assert_eq!(rig.totp(now).await.err(), Some(Error::Blocked));
        assert!(rig.standing(now).await.blocked);
    }
}

#[tokio::test]
async fn a_blocked_factor_is_blocked_for_right_codes_until_a_recovery_code_lifts_it() {
    let rig = Rig::with(policy().wrong_codes(3).unwrap()).await;
    for newly_blocked in [false, false, true] {
        let shown = rig.show(rig.wrong(at(60)), at(60)).await;
        assert_eq!(shown.err(), Some(Error::Wrong { newly_blocked }));
    }
    assert_eq!(rig.totp(at(60)).await.err(), Some(Error::Blocked));
    assert_eq!(
        rig.show(rig.wrong(at(60)), at(60)).await.err(),
        Some(Error::Blocked)
    );
    assert_eq!(rig.standing(at(60)).await.failures, 3);
    assert!(rig.recover(0, at(60)).await.is_ok());
    let standing = rig.standing(at(60)).await;
    assert_eq!((standing.failures, standing.blocked), (0, false));
    assert!(rig.totp(at(60)).await.is_ok());
}

#[tokio::test]
async fn drift_has_a_bound_that_codes_at_its_edge_do_not_move() {
    for window in [0, 1, 2] {
        let rig = Rig::with(policy().window_steps(window).unwrap()).await;
        let edge = 30 * u64::from(window);
        for round in 1..50 {
            let now = at(round * 300);
            let beyond = rig.show(rig.code(at(round * 300 + edge + 30)), now).await;
            assert_eq!(beyond.err(), Some(WRONG));
            let behind = rig.show(rig.code(at(round * 300 - edge - 30)), now).await;
            assert_eq!(behind.err(), Some(WRONG));
            assert!(
                rig.show(rig.code(at(round * 300 - edge)), now)
                    .await
                    .is_ok()
            );
            let ahead = rig.show(rig.code(at(round * 300 + edge)), now).await;
            assert_eq!(ahead.is_ok(), window > 0);
        }
    }
}

#[tokio::test]
async fn a_success_between_guesses_takes_back_one_and_does_not_reset_the_count() {
    let rig = Rig::with(policy().wrong_codes(5).unwrap()).await;
    // Each day the owner signs in once and a guesser tries two: the guesser gains one a day, not five.
    let mut guesses = 0;
    for day in 1..10 {
        let now = at(day * 86_400);
        if rig.totp(now).await.is_err() {
            break;
        }
        for _ in 0..2 {
            guesses += 1;
            assert!(rig.show(rig.wrong(now), now).await.is_err());
        }
    }
    assert!(rig.standing(at(10 * 86_400)).await.blocked);
    assert_eq!(
        guesses,
        5 + 3,
        "the cap, and one for each sign-in that had one to take back"
    );
}

#[tokio::test]
async fn a_restarted_challenge_and_another_service_instance_share_one_count() {
    let rig = Rig::with(policy().wrong_codes(4).unwrap()).await;
    for _ in 0..2 {
        assert!(rig.show(rig.wrong(at(60)), at(60)).await.is_err());
    }
    // Whatever was begun anew around it, the count is the factor's own.
    let other = common::factors(policy().wrong_codes(4).unwrap());
    for newly_blocked in [false, true] {
        let shown = other.present("alice", rig.wrong(at(60)));
        let shown = shown.consume(&rig.store, at(60)).await;
        assert_eq!(shown.err(), Some(Error::Wrong { newly_blocked }));
    }
    assert_eq!(rig.totp(at(60)).await.err(), Some(Error::Blocked));
}

#[tokio::test]
async fn wrong_recovery_codes_are_refused_and_block_nobody() {
    let rig = Rig::with(policy().wrong_codes(1).unwrap()).await;
    for _ in 0..20 {
        let code = Code::parse("0000-0000-0000-0000-0000-0000").unwrap();
        assert_eq!(rig.show(code, at(60)).await.err(), Some(WRONG));
    }
    assert!(rig.totp(at(60)).await.is_ok());
}

#[tokio::test]
async fn a_clock_that_steps_back_makes_no_used_code_good_again() {
    let rig = Rig::new().await;
    let hour = 3600;
    assert!(rig.totp(at(hour)).await.is_ok());
    // Back at the start, every code up to the one that was used is refused.
    for secs in [60, 600, hour - 30, hour] {
        assert_eq!(
            rig.totp(at(secs)).await.err(),
            Some(Error::Replayed),
            "{secs}"
        );
    }
    assert!(rig.totp(at(hour + 30)).await.is_ok());
}

#[tokio::test]
async fn a_clock_that_leaps_ahead_refuses_the_codes_that_are_past_then() {
    let rig = Rig::new().await;
    let shown = rig.show(rig.code(at(60)), at(86_400)).await;
    assert_eq!(shown.err(), Some(WRONG));
    assert!(rig.totp(Timestamp::MAX).await.is_ok());
}

#[tokio::test]
async fn codes_in_unicode_digits_with_signs_or_with_spaces_are_no_codes() {
    let rig = Rig::new().await;
    let code = portcullis_totp_mfa::testing::codes::at(&rig.secret, START);
    let in_digits_from = |zero: u32| -> String {
        let digit = |digit: char| char::from_u32(zero + digit.to_digit(10).unwrap()).unwrap();
        code.chars().map(digit).collect()
    };
    let texts = [
        // Full-width, Arabic-Indic, extended Arabic-Indic, Devanagari, mathematical bold.
        in_digits_from(0xff10),
        in_digits_from(0x0660),
        in_digits_from(0x06f0),
        in_digits_from(0x0966),
        in_digits_from(0x1d7ce),
        format!("{}\u{0663}", &code[..5]),
        format!(" {code}"),
        format!("{code} "),
        format!("{code}\n"),
        format!("{code}\0"),
        format!("{} {}", &code[..3], &code[3..]),
        format!("{}-{}", &code[..3], &code[3..]),
        format!("+{}", &code[1..]),
        format!("-{}", &code[1..]),
        format!("+{code}"),
        format!("0{code}"),
        format!("0x{}", &code[2..]),
        code[1..].to_owned(),
        String::new(),
        code.repeat(200_000),
    ];
    for text in texts {
        let parsed = Code::parse(&text);
        assert_eq!(parsed.err(), Some(Error::CodeMalformed), "{text:.30}");
    }
    assert!(Code::parse(&code).is_ok());
}
