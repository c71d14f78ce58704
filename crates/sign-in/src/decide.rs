//! What a captcha and a verified attempt come to, and how a sign-in waits for its second factor: pure.

use portcullis_core::{Next, Reason, Timestamp};
use portcullis_lockout::Outcome;

use crate::state::Pending;
use crate::{CaptchaOutcome, Credential, WhenAway};

/// Whether an attempt may go on to its password. `Ok` holds what it went without, for the record.
///
/// Nothing of the account is an argument: a captcha's refusal cannot tell one from another.
pub(crate) fn captcha(
    asked: Option<WhenAway>,
    outcome: Option<CaptchaOutcome>,
) -> Result<Option<Reason>, Reason> {
    match (asked, outcome) {
        (None, _) | (Some(_), Some(CaptchaOutcome::Passed)) => Ok(None),
        (Some(_), None) => Err(Reason::CaptchaMissing),
        (Some(_), Some(CaptchaOutcome::Failed)) => Err(Reason::CaptchaFailed),
        (Some(WhenAway::Refuse), Some(CaptchaOutcome::Away)) => Err(Reason::CaptchaUnavailable),
        (Some(WhenAway::GoOn), Some(CaptchaOutcome::Away)) => Ok(Some(Reason::CaptchaUnavailable)),
    }
}

/// Whether the account could be tried when the attempt began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// One of the attempts that were left was taken.
    Granted,
    /// The account was locked. The password is verified all the same, for the time it takes.
    Locked,
    /// Others were using all that was left, for as long as the policy waits.
    Crowded,
}

/// What the password came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verified {
    Right,
    Wrong,
    /// The stored hash does not decode: no password fits, and it is not the caller's failure.
    Unreadable,
}

/// What the attempt comes to, and what the lockout is told. `None` is a success.
///
/// The reason is for the log alone; every refusal is one answer.
pub(crate) fn judge(
    admission: Admission,
    credential: Option<&Credential>,
    verified: Verified,
) -> (Option<Reason>, Outcome) {
    match (admission, credential, verified) {
        (Admission::Locked, ..) => (Some(Reason::AccountLocked), Outcome::Unverified),
        (Admission::Crowded, ..) => (Some(Reason::AttemptsExceeded), Outcome::Unverified),
        (Admission::Granted, None, _) => (Some(Reason::UserUnknown), Outcome::Failure),
        (Admission::Granted, Some(_), Verified::Unreadable) => {
            (Some(Reason::Internal), Outcome::Unverified)
        }
        (Admission::Granted, Some(_), Verified::Wrong) => {
            (Some(Reason::PasswordWrong), Outcome::Failure)
        }
        // A closed account counts as a wrong password: one that never locked would be known by it.
        (Admission::Granted, Some(credential), Verified::Right) if !credential.enabled => {
            (Some(Reason::UserDisabled), Outcome::Failure)
        }
        (Admission::Granted, Some(_), Verified::Right) => (None, Outcome::Success),
    }
}

/// Whether what was found before the password was hashed still stands after it.
pub(crate) fn still_stands(before: &Credential, now: Option<&Credential>) -> bool {
    now.is_some_and(|now| now.enabled && now.epoch == before.epoch && now.user_id == before.user_id)
}

/// Takes one of the tries of a waiting sign-in, before the code is looked at: guesses cannot race.
pub(crate) fn take_try(current: Option<&[u8]>, now: Timestamp) -> (Option<Pending>, Next) {
    let Some(mut pending) = current.and_then(Pending::decode) else {
        // Undecodable bytes are nobody's sign-in, and end with their time.
        return (None, Next::Keep);
    };
    if pending.expires_at <= now {
        return (None, Next::Remove);
    }
    let Some(left) = pending.tries.checked_sub(1) else {
        return (None, Next::Keep);
    };
    pending.tries = left;
    let next = pending.put();
    (Some(pending), next)
}

/// Ends a waiting sign-in whose second factor was right; whether this call was the one that did.
pub(crate) fn close(current: Option<&[u8]>, now: Timestamp) -> (bool, Next) {
    match current.and_then(Pending::decode) {
        Some(pending) => (now < pending.expires_at, Next::Remove),
        None => (false, Next::Keep),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::tests::pending;
    use portcullis_core::Value;
    use proptest::prelude::*;
    use std::time::Duration;

    fn kept(next: Next) -> Option<Value> {
        match next {
            Next::Put { value, .. } => Some(value),
            _ => None,
        }
    }

    #[test]
    fn a_waiting_sign_in_is_tried_as_often_as_it_may_be_and_no_more() {
        let now = Timestamp::from_unix_secs(1100);
        let mut value = Value::from(pending().encode());
        for left in (0..pending().tries).rev() {
            let (taken, next) = take_try(Some(value.as_bytes()), now);
            assert_eq!(taken.map(|taken| taken.tries), Some(left));
            value = kept(next).unwrap();
        }
        assert_eq!(take_try(Some(value.as_bytes()), now), (None, Next::Keep));
        // What the last try came to still ends it.
        assert_eq!(close(Some(value.as_bytes()), now), (true, Next::Remove));
    }

    #[test]
    fn a_waiting_sign_in_that_is_over_or_none_is_neither_tried_nor_closed() {
        let bytes = pending().encode();
        let ends = pending().expires_at;
        let before = ends.saturating_sub(Duration::from_nanos(1));
        assert!(take_try(Some(&bytes), before).0.is_some());
        assert!(close(Some(&bytes), before).0);
        for now in [ends, Timestamp::MAX] {
            assert_eq!(take_try(Some(&bytes), now), (None, Next::Remove));
            assert!(!close(Some(&bytes), now).0);
        }
        for bytes in [None, Some(&b""[..]), Some(&[1, 2][..]), Some(&bytes[..9])] {
            assert_eq!(take_try(bytes, before), (None, Next::Keep));
            assert_eq!(close(bytes, before), (false, Next::Keep));
        }
    }

    fn credential(enabled: bool, epoch: u64) -> Credential {
        Credential {
            user_id: "42".into(),
            password_hash: String::new(),
            enabled,
            must_change: false,
            epoch,
        }
    }

    #[test]
    fn only_a_granted_attempt_of_an_open_account_with_the_right_password_succeeds() {
        let (open, closed) = (credential(true, 1), credential(false, 1));
        for admission in [Admission::Granted, Admission::Locked, Admission::Crowded] {
            for found in [None, Some(&open), Some(&closed)] {
                for verified in [Verified::Right, Verified::Wrong, Verified::Unreadable] {
                    let (refused, outcome) = judge(admission, found, verified);
                    let right = (admission, found, verified)
                        == (Admission::Granted, Some(&open), Verified::Right);
                    assert_eq!(refused.is_none(), right);
                    assert_eq!(outcome == Outcome::Success, right);
                }
            }
        }
    }

    #[test]
    fn a_captcha_that_is_asked_for_is_passed_or_waived_by_the_policy_and_by_nothing_else() {
        use CaptchaOutcome::{Away, Failed, Passed};
        let (missing, failed, away) = (
            Reason::CaptchaMissing,
            Reason::CaptchaFailed,
            Reason::CaptchaUnavailable,
        );
        let cases = [
            (None, None, Ok(None)),
            (None, Some(Failed), Ok(None)),
            (None, Some(Away), Ok(None)),
            (Some(WhenAway::Refuse), None, Err(missing)),
            (Some(WhenAway::Refuse), Some(Passed), Ok(None)),
            (Some(WhenAway::Refuse), Some(Failed), Err(failed)),
            (Some(WhenAway::Refuse), Some(Away), Err(away)),
            (Some(WhenAway::GoOn), None, Err(missing)),
            (Some(WhenAway::GoOn), Some(Passed), Ok(None)),
            (Some(WhenAway::GoOn), Some(Failed), Err(failed)),
            (Some(WhenAway::GoOn), Some(Away), Ok(Some(away))),
        ];
        for (asked, outcome, expected) in cases {
            assert_eq!(captcha(asked, outcome), expected, "{asked:?} {outcome:?}");
        }
        assert_eq!(WhenAway::default(), WhenAway::Refuse);
    }

    #[test]
    fn only_what_was_judged_counts_as_a_failure() {
        let open = credential(true, 1);
        let cases = [
            (
                Admission::Granted,
                Some(&open),
                Verified::Wrong,
                Reason::PasswordWrong,
                true,
            ),
            (
                Admission::Granted,
                None,
                Verified::Wrong,
                Reason::UserUnknown,
                true,
            ),
            (
                Admission::Granted,
                Some(&open),
                Verified::Unreadable,
                Reason::Internal,
                false,
            ),
            (
                Admission::Locked,
                Some(&open),
                Verified::Right,
                Reason::AccountLocked,
                false,
            ),
            (
                Admission::Crowded,
                Some(&open),
                Verified::Right,
                Reason::AttemptsExceeded,
                false,
            ),
        ];
        for (admission, found, verified, reason, counts) in cases {
            let (refused, outcome) = judge(admission, found, verified);
            assert_eq!(
                (refused, outcome == Outcome::Failure),
                (Some(reason), counts)
            );
        }
    }

    #[test]
    fn a_credential_that_changed_meanwhile_no_longer_stands() {
        let before = credential(true, 1);
        assert!(still_stands(&before, Some(&before)));
        let other = Credential {
            user_id: "43".into(),
            ..credential(true, 1)
        };
        for now in [
            None,
            Some(&credential(true, 2)),
            Some(&credential(false, 1)),
            Some(&other),
        ] {
            assert!(!still_stands(&before, now));
        }
    }

    fn credentials() -> impl Strategy<Value = Credential> {
        let ids = prop::sample::select(vec!["", "42", "43"]);
        let hashes = prop::sample::select(vec!["", "one", "another"]);
        let flags = (any::<bool>(), any::<bool>());
        let made = (ids, hashes, flags, prop_oneof![0..3_u64, any::<u64>()]);
        made.prop_map(|(id, hash, (enabled, must_change), epoch)| Credential {
            user_id: id.into(),
            password_hash: hash.into(),
            enabled,
            must_change,
            epoch,
        })
    }

    fn found() -> impl Strategy<Value = Option<Credential>> {
        prop::option::of(credentials())
    }

    fn verifications() -> impl Strategy<Value = Verified> {
        prop::sample::select(vec![Verified::Right, Verified::Wrong, Verified::Unreadable])
    }

    proptest! {
        /// Nobody gets in but by a granted attempt, and whoever does not is told to the lockout as one
        /// who failed, unless nothing was judged.
        #[test]
        fn a_success_clears_and_a_refusal_never_does(found in found(), verified in verifications()) {
            let (reason, outcome) = judge(Admission::Granted, found.as_ref(), verified);
            prop_assert_eq!(reason.is_none(), outcome == Outcome::Success);
            let unreadable = verified == Verified::Unreadable && found.is_some();
            prop_assert_eq!(outcome == Outcome::Unverified, unreadable);
            if reason.is_none() {
                prop_assert!(found.is_some_and(|found| found.enabled));
                prop_assert_eq!(verified, Verified::Right);
            }
        }

        /// A locked or crowded account is judged alike whoever is behind it and whatever was said.
        #[test]
        fn an_attempt_that_was_not_granted_says_nothing_of_user_or_password(
            one in (found(), verifications()),
            other in (found(), verifications()),
        ) {
            for admission in [Admission::Locked, Admission::Crowded] {
                let (reason, outcome) = judge(admission, one.0.as_ref(), one.1);
                let again = judge(admission, other.0.as_ref(), other.1);
                prop_assert_eq!((reason, outcome), again);
                prop_assert!(reason.is_some());
                prop_assert_eq!(outcome, Outcome::Unverified);
            }
        }

        /// Of what is known of a user only whether the account is open decides.
        #[test]
        fn ids_hashes_epochs_and_duties_do_not_change_a_judgement(
            one in credentials(),
            other in credentials(),
            verified in verifications(),
        ) {
            let enabled = one.enabled;
            let other = Credential { enabled, ..other };
            let judged = |found| judge(Admission::Granted, Some(found), verified);
            prop_assert_eq!(judged(&one), judged(&other));
        }

        /// A hash made anew and a duty that ended change nobody's right to what was begun; another
        /// user, a closed account and another epoch do.
        #[test]
        fn what_was_found_stands_as_long_as_it_is_the_same_open_user_at_the_same_epoch(
            before in credentials(),
            now in credentials(),
        ) {
            let same = (&now.user_id, now.epoch) == (&before.user_id, before.epoch);
            prop_assert_eq!(still_stands(&before, Some(&now)), same && now.enabled);
            prop_assert!(!still_stands(&before, None));
            prop_assert_eq!(still_stands(&before, Some(&before)), before.enabled);
            let rehashed = Credential {
                password_hash: now.password_hash,
                must_change: now.must_change,
                ..before.clone()
            };
            prop_assert_eq!(still_stands(&before, Some(&rehashed)), before.enabled);
            let moved_on = Credential { epoch: before.epoch.wrapping_add(1), ..before.clone() };
            prop_assert!(!still_stands(&before, Some(&moved_on)));
        }
    }
}
