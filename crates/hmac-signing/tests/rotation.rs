//! Two live secrets of one key id, and the end of the older one.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::*;
use portcullis_hmac_signing::{Error, Secrets};

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
