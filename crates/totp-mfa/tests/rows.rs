//! What is tried around codes: enrolments, changes, the store and what it holds.
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

use common::{Rig, START, WRONG, at, factors, policy};
use portcullis_core::testing::Faulty;
use portcullis_core::{Cause, Durability, Failure, Memory, SealError, Sealer, Secret};
use portcullis_totp_mfa::{Code, Error, MfaPolicy, SecondFactors, Standing};

#[tokio::test]
async fn the_code_that_completed_an_enrolment_is_used_up() {
    let rig = Rig::new().await;
    assert_eq!(rig.totp(START).await.err(), Some(Error::Replayed));
    let again = rig
        .factors
        .confirm(&rig.store, "alice", &rig.code(START), START)
        .await;
    assert_eq!(again.err(), Some(Error::AlreadyEnrolled));
    assert!(rig.totp(at(30)).await.is_ok());
}

#[tokio::test]
async fn an_abandoned_enrolment_is_no_factor_and_is_over_by_itself() {
    let rig = Rig::begun(policy()).await;
    let standing = rig.standing(at(1)).await;
    assert_eq!((standing.enrolled, standing.pending), (false, true));
    assert_eq!(rig.totp(at(1)).await.err(), Some(Error::NotEnrolled));
    let code = Code::parse("0000-0000-0000-0000-0000-0000").unwrap();
    assert_eq!(rig.show(code, at(1)).await.err(), Some(Error::NotEnrolled));
    let late = rig
        .factors
        .confirm(&rig.store, "alice", &rig.code(at(600)), at(600))
        .await;
    assert_eq!(late.err(), Some(Error::NotPending));
    assert_eq!(rig.standing(at(600)).await, Standing::default());
}

#[tokio::test]
async fn an_enrolment_that_was_replaced_cannot_be_completed() {
    let rig = Rig::begun(policy()).await;
    let second = rig
        .factors
        .enrol(&rig.store, "alice", "alice", at(1))
        .await
        .unwrap();
    assert_ne!(second.secret(), rig.secret);
    let shown = rig
        .factors
        .confirm(&rig.store, "alice", &rig.code(at(2)), at(2))
        .await;
    assert_eq!(shown.err(), Some(WRONG));
}

#[tokio::test]
async fn an_enrolment_is_completed_by_its_own_user_alone() {
    let rig = Rig::begun(policy()).await;
    let shown = rig
        .factors
        .confirm(&rig.store, "bob", &rig.code(START), START)
        .await;
    assert_eq!(shown.err(), Some(Error::NotPending));
}

#[tokio::test]
async fn whoever_has_a_factor_enrols_no_second_one() {
    let rig = Rig::new().await;
    let row = rig.row("alice").await;
    let second = rig
        .factors
        .enrol(&rig.store, "alice", "alice", at(60))
        .await;
    assert_eq!(second.err(), Some(Error::AlreadyEnrolled));
    assert_eq!(rig.row("alice").await, row);
}

#[tokio::test]
async fn recovery_codes_are_not_made_anew_without_a_recent_proof_of_the_authenticator() {
    let rig = Rig::new().await;
    let old = rig.totp(at(60)).await.unwrap();
    let made = rig.factors.regenerate(&rig.store, old, at(361)).await;
    assert_eq!(made.err(), Some(Error::ProofTooOld));
    let found = rig.recover(0, at(361)).await.unwrap();
    let made = rig.factors.regenerate(&rig.store, found, at(361)).await;
    assert_eq!(made.err(), Some(Error::NotByRecoveryCode));
    // Two proofs of one generation are worth one set.
    let (one, two) = (
        rig.totp(at(390)).await.unwrap(),
        rig.totp(at(420)).await.unwrap(),
    );
    let made = rig
        .factors
        .regenerate(&rig.store, one, at(420))
        .await
        .unwrap();
    let again = rig.factors.regenerate(&rig.store, two, at(420)).await;
    assert_eq!(again.err(), Some(Error::ProofOutdated));
    assert_eq!(
        rig.recover(1, at(420)).await.err(),
        Some(WRONG),
        "of the old set"
    );
    let code = Code::parse(made.iter().next().unwrap()).unwrap();
    assert!(rig.show(code, at(420)).await.is_ok());
    assert_eq!(rig.standing(at(420)).await.recovery_codes_left, 9);
}

#[tokio::test]
async fn a_factor_is_not_removed_without_a_recent_proof_of_itself() {
    let rig = Rig::new().await;
    let old = rig.totp(at(60)).await.unwrap();
    let removed = rig.factors.remove(&rig.store, old, at(361)).await;
    assert_eq!(removed, Err(Error::ProofTooOld));
    // A proof from before the recovery codes were made anew, and one from before the removal.
    let outdated = rig.totp(at(390)).await.unwrap();
    let (one, two) = (
        rig.totp(at(420)).await.unwrap(),
        rig.recover(0, at(420)).await.unwrap(),
    );
    let made = rig.factors.regenerate(&rig.store, one, at(420)).await;
    for proof in [outdated, two] {
        let removed = rig.factors.remove(&rig.store, proof, at(421)).await;
        assert_eq!(removed, Err(Error::ProofOutdated));
    }
    assert!(rig.standing(at(421)).await.enrolled);
    // The lost phone: a recovery code removes.
    let code = Code::parse(made.unwrap().iter().next().unwrap()).unwrap();
    let proof = rig.show(code, at(450)).await.unwrap();
    let late = rig.totp(at(450)).await.unwrap();
    assert_eq!(rig.factors.remove(&rig.store, proof, at(450)).await, Ok(()));
    assert_eq!(rig.standing(at(450)).await, Standing::default());
    let removed = rig.factors.remove(&rig.store, late, at(450)).await;
    assert_eq!(removed, Err(Error::NotEnrolled));
}

#[tokio::test]
async fn a_proof_does_not_reach_a_factor_that_was_enrolled_after_it() {
    let rig = Rig::new().await;
    let (first, second) = (
        rig.totp(at(60)).await.unwrap(),
        rig.totp(at(90)).await.unwrap(),
    );
    rig.factors.remove(&rig.store, first, at(90)).await.unwrap();
    let enrolment = rig
        .factors
        .enrol(&rig.store, "alice", "alice", at(91))
        .await
        .unwrap();
    let shown = portcullis_totp_mfa::testing::codes::at(enrolment.secret(), at(91));
    let code = Code::parse(&shown).unwrap();
    let confirmed = rig
        .factors
        .confirm(&rig.store, "alice", &code, at(91))
        .await
        .unwrap();
    assert_ne!(confirmed.generation(), second.generation());
    let removed = rig.factors.remove(&rig.store, second, at(92)).await;
    assert_eq!(removed, Err(Error::ProofOutdated));
}

#[tokio::test]
async fn a_confirmation_is_taken_back_only_while_the_factor_is_the_one_it_made() {
    let rig = Rig::begun(policy()).await;
    let code = rig.code(at(30));
    let confirmed = rig
        .factors
        .confirm(&rig.store, "alice", &code, at(30))
        .await;
    let confirmed = confirmed.unwrap();
    let undo = async || {
        let generation = confirmed.generation();
        let undo = rig.factors.undo(&rig.store, "alice", generation, at(90));
        undo.await
    };
    // Renewed, it is another one: undoing would take away what somebody has seen.
    let proof = rig.totp(at(60)).await.unwrap();
    let before = rig.row("alice").await;
    let renewed = rig.factors.regenerate(&rig.store, proof, at(60)).await;
    assert!(renewed.is_ok());
    assert_eq!(undo().await, Ok(false));
    assert!(rig.standing(at(90)).await.enrolled);
    // As it was, it goes, and once.
    rig.put("alice", before).await;
    assert_eq!((undo().await, undo().await), (Ok(true), Ok(false)));
    assert_eq!(rig.row("alice").await, None);
    let begun = rig.factors.enrol(&rig.store, "alice", "alice", at(90));
    assert!(begun.await.is_ok());
    // One under way is forgotten: a confirmation that is yet to be done must find none.
    assert_eq!(undo().await, Ok(false));
    assert!(!rig.standing(at(90)).await.pending);
    rig.put("alice", Some(b"junk".to_vec())).await;
    assert_eq!(undo().await, Err(Error::Corrupt));
    assert!(rig.row("alice").await.is_some());
}

#[tokio::test]
async fn a_reset_takes_away_a_block_an_enrolment_and_what_does_not_decode() {
    let rig = Rig::with(policy().wrong_codes(1).unwrap()).await;
    assert!(rig.show(rig.wrong(at(60)), at(60)).await.is_err());
    let reset = async || {
        rig.factors
            .dangerous_reset(&rig.store, "alice", at(60))
            .await
    };
    assert_eq!((reset().await, reset().await), (Ok(true), Ok(false)));
    let begun = rig.factors.enrol(&rig.store, "alice", "alice", at(60));
    assert!(begun.await.is_ok());
    assert_eq!(reset().await, Ok(true));
    rig.put("alice", Some(b"junk".to_vec())).await;
    assert_eq!(rig.totp(at(60)).await.err(), Some(Error::Corrupt));
    let standing = rig.factors.standing(&rig.store, "alice", at(60)).await;
    assert_eq!(standing, Err(Error::Corrupt));
    assert_eq!((reset().await, rig.row("alice").await), (Ok(true), None));
}

#[tokio::test]
async fn a_store_that_is_down_refuses_and_a_lost_reply_grants_nothing() {
    let rig = Rig::new().await;
    let down = Failure::Unavailable(Cause::Closed);
    for failure in [Failure::Contended, down] {
        rig.store.fail_next(1, failure.clone());
        assert_eq!(
            rig.totp(at(60)).await.err(),
            Some(Error::Store(failure.clone()))
        );
        rig.store.fail_next(1, failure.clone());
        let standing = rig.factors.standing(&rig.store, "alice", at(60)).await;
        assert_eq!(standing, Err(Error::Store(failure)));
    }
    rig.store.lose_reply(1);
    let lost = rig.totp(at(60)).await;
    assert!(matches!(lost, Err(Error::Store(Failure::Unknown(_)))));
    assert_eq!(
        rig.totp(at(60)).await.err(),
        Some(Error::Replayed),
        "it was applied"
    );
    assert!(rig.totp(at(90)).await.is_ok());
}

#[tokio::test]
async fn a_sealed_secret_moved_to_another_row_does_not_open() {
    let rig = Rig::new().await;
    rig.put("bob", rig.row("alice").await).await;
    // Mallory knows alice's secret, as if it were her own that she moved to bob.
    let shown = rig.factors.present("bob", rig.code(at(60)));
    let shown = shown.consume(&rig.store, at(60)).await;
    assert_eq!(shown.err(), Some(Error::Seal(SealError::Forged)));
    let resealed = rig.factors.reseal(&rig.store, "bob", at(60)).await;
    assert_eq!(resealed, Err(Error::Seal(SealError::Forged)));
    // Nor do her recovery codes: what is kept of one holds its user's name.
    let code = Code::parse(&rig.recovery[0]).unwrap();
    let shown = rig
        .factors
        .present("bob", code)
        .consume(&rig.store, at(60))
        .await;
    assert_eq!(shown.err(), Some(WRONG));
    assert!(rig.totp(at(60)).await.is_ok());
}

#[tokio::test]
async fn a_store_that_lost_its_last_second_accepts_no_code_that_could_have_been_used_in_it() {
    let rig = Rig::new().await;
    assert!(rig.totp(at(3600)).await.is_ok());
    let (used, birth) = (rig.code(at(3600)), at(3601));
    rig.store.lose_last(1).await.unwrap();
    rig.store.claim_birth(birth);
    assert_eq!(rig.show(used, at(3602)).await.err(), Some(Error::Replayed));
    // Neither the next one, which a phone that is ahead could have shown before.
    assert_eq!(rig.totp(at(3630)).await.err(), Some(Error::Replayed));
    assert_eq!(rig.standing(at(3630)).await.failures, 0);
    assert!(rig.totp(at(3660)).await.is_ok());
}

#[tokio::test]
async fn a_code_could_have_been_used_from_when_its_window_begins() {
    for window in [0, 1, 2] {
        // The code of the step that begins 105 s after the start.
        let (step, first) = (at(105), at(105 - 30 * u64::from(window)));
        for (birth, good) in [(first, true), (at(106 - 30 * u64::from(window)), false)] {
            let rig = Rig::with(policy().window_steps(window).unwrap()).await;
            rig.store.claim_birth(birth);
            assert_eq!(rig.totp(step).await.is_ok(), good, "{window} {birth}");
        }
    }
}

#[tokio::test]
async fn a_factor_younger_than_the_store_is_not_held_to_its_birth() {
    let rig = Rig::new().await;
    rig.store.claim_birth(START);
    assert!(rig.show(rig.code(at(30)), at(5)).await.is_ok());
    // An enrolment under way across the loss waits for a code from after it.
    let rig = Rig::begun(policy()).await;
    rig.store.claim_birth(at(61));
    let early = rig
        .factors
        .confirm(&rig.store, "alice", &rig.code(at(62)), at(62))
        .await;
    assert_eq!(early.err(), Some(Error::Replayed));
    let confirmed = rig
        .factors
        .confirm(&rig.store, "alice", &rig.code(at(125)), at(125))
        .await;
    assert!(confirmed.is_ok());
}

#[tokio::test]
async fn a_volatile_store_is_refused_by_every_verb_and_a_durable_one_by_none() {
    let rig = Rig::new().await;
    let proofs = (
        rig.totp(at(60)).await.unwrap(),
        rig.totp(at(90)).await.unwrap(),
    );
    let strict = factors(MfaPolicy::new("Example").unwrap());
    let (store, volatile) = (&rig.store, Some(Error::VolatileStore));
    let writes = store.writes();
    let code = || rig.code(at(120));
    assert_eq!(
        strict.enrol(store, "bob", "bob", at(120)).await.err(),
        volatile
    );
    assert_eq!(
        strict.confirm(store, "alice", &code(), at(120)).await.err(),
        volatile
    );
    assert_eq!(
        strict
            .present("alice", code())
            .consume(store, at(120))
            .await
            .err(),
        volatile
    );
    assert_eq!(
        strict.standing(store, "alice", at(120)).await.err(),
        volatile
    );
    assert_eq!(
        strict.regenerate(store, proofs.0, at(120)).await.err(),
        volatile
    );
    assert_eq!(
        strict.remove(store, proofs.1, at(120)).await.err(),
        volatile
    );
    assert_eq!(
        strict.dangerous_reset(store, "alice", at(120)).await.err(),
        volatile
    );
    assert_eq!(strict.reseal(store, "alice", at(120)).await.err(), volatile);
    assert_eq!(store.writes(), writes);
    store.claim(Durability::Durable);
    assert!(
        strict
            .present("alice", code())
            .consume(store, at(120))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn users_accounts_and_peppers_outside_their_range_are_refused_and_written_nowhere() {
    let (factors, store) = (factors(policy()), Faulty::new(Memory::new(START)));
    for user in ["", &"x".repeat(256)] {
        let enrolled = factors.enrol(&store, user, "alice", START).await;
        assert_eq!(enrolled.err(), Some(Error::UserRefused));
        let shown = factors.present(user, Code::parse("123456").unwrap());
        assert_eq!(
            shown.consume(&store, START).await.err(),
            Some(Error::UserRefused)
        );
    }
    for account in ["", "a:b", " a", "a\u{202e}b", "a\nb", &"x".repeat(129)] {
        let enrolled = factors.enrol(&store, "alice", account, START).await;
        assert_eq!(enrolled.err(), Some(Error::AccountRefused), "{account:?}");
    }
    assert_eq!(store.calls(), 0);
    let sealer = Sealer::new(1, &Secret::from(vec![7; 32])).unwrap();
    let made = SecondFactors::new(sealer, &Secret::from(vec![7; 31]), policy());
    assert_eq!(made.err(), Some(Error::PepperTooShort));
}

#[tokio::test]
async fn nothing_of_a_secret_a_code_or_a_user_is_in_any_debug_form() {
    let rig = Rig::new().await;
    let proof = rig.totp(at(60)).await.unwrap();
    let presented = rig.factors.present("alice", rig.code(at(60)));
    let shown = format!("{proof:?} {presented:?} {:?}", rig.factors);
    let code = portcullis_totp_mfa::testing::codes::at(&rig.secret, at(60));
    for secret in ["alice", code.as_str(), rig.secret.as_str()] {
        assert!(!shown.contains(secret), "{shown}");
    }
    let row = rig.row("alice").await.unwrap();
    let raw = data_encoding::BASE32_NOPAD
        .decode(rig.secret.as_bytes())
        .unwrap();
    assert!(
        !row.windows(raw.len()).any(|part| part == raw),
        "sealed at rest"
    );
}
