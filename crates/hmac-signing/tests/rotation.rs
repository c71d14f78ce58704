//! Two live secrets of one key id, and the end of the older one.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::*;
use portcullis_core::Memory;
use portcullis_hmac_signing::{Error, ReplayGuard, ReplayPolicy, Secrets};

#[tokio::test]
async fn a_new_and_an_old_secret_count_until_the_old_ones_end_and_the_answer_says_which() {
    for scheme in all() {
        let guard = guard();
        let rotated = Secrets::new(key(2)).and_previous(key(1), later(60));
        let by = |first, now| scheme.signed_with(order(), &key(first), [first; 16], now);
        for (first, previous) in [(1, true), (2, false)] {
            let sent = by(first, NOW);
            let unclaimed = scheme.check_with(&sent, Some(&rotated), [NOW; 2]).unwrap();
            let signed = unclaimed.claim(&guard, NOW).await.unwrap();
            assert_eq!(signed.by_previous_secret(), previous);
        }
        let check = |first, now| {
            let sent = by(first, now);
            scheme.check_with(&sent, Some(&rotated), [now; 2]).err()
        };
        assert_eq!(check(1, later(59)), None);
        assert_eq!(check(1, later(60)), Some(Error::Signature));
        assert_eq!(check(2, later(60)), None);
        assert_eq!(check(3, NOW), Some(Error::Signature));
    }
}

#[tokio::test]
async fn a_request_signed_by_both_secrets_under_one_nonce_is_good_once() {
    let (v1, guard) = (any_v1(), guard());
    let rotated = Secrets::new(key(2)).and_previous(key(1), later(60));
    let check = |first| {
        let sent = v1.signed_with(order(), &key(first), [7; 16], NOW);
        v1.check_with(&sent, Some(&rotated), [NOW; 2]).unwrap()
    };
    assert!(check(1).claim(&guard, NOW).await.is_ok());
    let again = check(2).claim(&guard, NOW).await.err();
    assert_eq!(again, Some(Error::Replayed));
}

#[test]
fn a_secret_whose_end_comes_while_the_body_does_counts_no_more() {
    for scheme in all() {
        let rotated = Secrets::new(key(2)).and_previous(key(1), later(60));
        let sent = scheme.signed(order());
        let slow = scheme.check_with(&sent, Some(&rotated), [NOW, later(61)]);
        assert_eq!(slow.err(), Some(Error::Signature));
    }
}

/// A memory that is lost with its process, and a new secret made in the very second of the restart.
#[tokio::test]
async fn a_request_captured_under_the_secret_before_is_refused_after_a_rotation_and_a_restart() {
    let until = later(86_400);
    let rotated = || Secrets::new(key(2)).and_previous(key(1), until);
    for scheme in all() {
        let captured = scheme.signed(order());
        let first = scheme.check_with(&captured, Some(&rotated()), [NOW; 2]);
        assert!(first.unwrap().claim(&guard(), NOW).await.is_ok());

        let restarted = ReplayGuard::new(Memory::new(NOW), ReplayPolicy::default());
        let under_old_key = [
            rotated().made_at(NOW),
            rotated().made_at(until),
            Secrets::new(key(2))
                .made_at(NOW)
                .and_previous(key(1), until),
            rotated().made_at(NOW).previous_made_at(earlier(1)),
            // Said of another previous key, and of none.
            rotated().previous_made_at(NOW).and_previous(key(1), until),
            Secrets::new(key(2))
                .previous_made_at(NOW)
                .and_previous(key(1), until),
        ];
        for secrets in under_old_key {
            let again = scheme.check_with(&captured, Some(&secrets), [NOW; 2]);
            let again = again.unwrap().claim(&restarted, NOW).await;
            assert_eq!(again.err(), Some(Error::BeforeBirth), "{secrets:?}");
        }
    }
}

/// What each instant is for: a key younger than the store's memory is good in its first seconds.
#[tokio::test]
async fn each_secrets_own_instant_counts_and_not_the_others() {
    let sent_by = |scheme: &Any, first| scheme.signed_with(order(), &key(first), [first; 16], NOW);
    for scheme in all() {
        for (current, previous) in [(NOW, earlier(1)), (earlier(1), NOW), (NOW, NOW)] {
            let guard = ReplayGuard::new(Memory::new(NOW), ReplayPolicy::default());
            let secrets = Secrets::new(key(2))
                .made_at(current)
                .and_previous(key(1), later(60))
                .previous_made_at(previous);
            for (first, made_at) in [(2, current), (1, previous)] {
                let sent = sent_by(&scheme, first);
                let unclaimed = scheme.check_with(&sent, Some(&secrets), [NOW; 2]).unwrap();
                let taken = unclaimed.claim(&guard, NOW).await.is_ok();
                assert_eq!(taken, made_at == NOW, "{} {first}", scheme.name);
            }
        }
    }
}
