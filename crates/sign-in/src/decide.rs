//! What a verified attempt comes to: pure.

use portcullis_core::Reason;
use portcullis_lockout::Outcome;

use crate::Credential;

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
