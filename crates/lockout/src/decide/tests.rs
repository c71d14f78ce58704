use std::time::Duration;

use super::*;

const LIMIT: u8 = 5;
const START: u64 = 1_700_000_000;

fn at(secs: u64) -> Timestamp {
    Timestamp::from_unix_secs(START + secs)
}

/// An account's bytes, changed as a store would.
#[derive(Clone, Default)]
struct Account {
    bytes: Option<Vec<u8>>,
    expires_at: Timestamp,
    nonce: u32,
}

impl Account {
    fn apply(&mut self, next: Next) {
        match next {
            Next::Keep | Next::Settled => {}
            Next::Remove => self.bytes = None,
            Next::Put { value, expires_at } => {
                assert_eq!(value.check(), Ok(()));
                self.bytes = Some(value.as_bytes().to_vec());
                self.expires_at = expires_at;
            }
        }
    }

    fn reserve(&mut self, secs: u64) -> Reserve {
        self.nonce += 1;
        let (answer, next) = reserve(
            self.bytes.as_deref(),
            &LockoutPolicy::default(),
            self.nonce,
            at(secs),
        );
        self.apply(next);
        answer.unwrap()
    }

    fn granted(&mut self, secs: u64) -> Ticket {
        match self.reserve(secs) {
            Reserve::Granted(ticket) => ticket,
            other => panic!("not granted but {other:?}"),
        }
    }

    /// Every attempt that is left at that second; a rule that leaves ever more of them ends here.
    fn all_granted(&mut self, secs: u64) -> Vec<Ticket> {
        let mut all = Vec::new();
        while let Reserve::Granted(ticket) = self.reserve(secs) {
            all.push(ticket);
            assert!(all.len() <= usize::from(LIMIT), "more than the limit");
        }
        all
    }

    fn settle(&mut self, ticket: Ticket, outcome: Outcome, secs: u64) -> Settle {
        let mut row = None;
        for listed in [false, true] {
            let (answer, next) = settle(
                self.bytes.as_deref(),
                &LockoutPolicy::default(),
                ticket,
                outcome,
                listed,
                at(secs),
            );
            if let Ok(Settle::ListFirst { until }) = answer {
                assert_eq!((listed, next), (false, Next::Keep));
                row = Some(until);
                continue;
            }
            if let Ok(Settle::NewlyLocked { until }) = answer {
                assert_eq!(row, Some(until), "the row lasts as long as its lock");
            }
            self.apply(next);
            return answer.unwrap();
        }
        panic!("asked to list twice");
    }

    fn fail(&mut self, secs: u64) -> Settle {
        let ticket = self.granted(secs);
        self.settle(ticket, Outcome::Failure, secs)
    }

    fn standing(&self, secs: u64) -> Standing {
        status(self.bytes.as_deref(), &LockoutPolicy::default(), at(secs))
            .0
            .unwrap()
    }

    fn unlock(&mut self, secs: u64) -> bool {
        let (lifted, next) = unlock(self.bytes.as_deref(), &LockoutPolicy::default(), at(secs));
        self.apply(next);
        lifted
    }
}

fn locked(secs: u64) -> Timestamp {
    at(secs).saturating_add(Duration::from_secs(1800))
}

#[test]
fn the_fifth_failure_in_a_row_locks_for_thirty_minutes() {
    let mut account = Account::default();
    for failures in 1..LIMIT {
        assert_eq!(account.fail(0), Settle::Counted { failures });
    }
    let until = locked(1);
    assert_eq!(account.fail(1), Settle::NewlyLocked { until });
    assert_eq!(account.reserve(2), Reserve::Locked { until });
    assert_eq!(account.reserve(1800), Reserve::Locked { until });
    assert_eq!(account.standing(1801), Standing::Open { failures: 0 });
    assert_eq!(account.fail(1801), Settle::Counted { failures: 1 });
}

#[test]
fn a_success_between_starts_the_count_anew() {
    let mut account = Account::default();
    for _ in 0..10 {
        for _ in 1..LIMIT {
            account.fail(0);
        }
        let ticket = account.granted(0);
        assert_eq!(account.settle(ticket, Outcome::Success, 0), Settle::Cleared);
    }
    assert_eq!(account.bytes, None, "nothing is kept of it");
}

#[test]
fn a_success_does_not_excuse_a_failure_settled_after_it() {
    let mut account = Account::default();
    let wrong: Vec<Ticket> = (1..LIMIT).map(|_| account.granted(0)).collect();
    let right = account.granted(0);
    assert_eq!(account.settle(right, Outcome::Success, 0), Settle::Cleared);
    for ticket in wrong {
        account.settle(ticket, Outcome::Failure, 0);
    }
    assert_eq!(account.standing(0), Standing::Open { failures: 4 });
}

#[test]
fn attempts_over_the_limit_are_crowded_and_lock_nothing() {
    let mut account = Account::default();
    let tickets: Vec<Ticket> = (0..LIMIT).map(|_| account.granted(0)).collect();
    for _ in 0..100 {
        assert_eq!(account.reserve(0), Reserve::Crowded);
    }
    assert_eq!(account.standing(0), Standing::Open { failures: 0 });
    for ticket in tickets {
        assert_eq!(account.settle(ticket, Outcome::Success, 0), Settle::Cleared);
    }
    account.fail(0);
    account.granted(0);
    for _ in 0..3 {
        account.granted(0);
    }
    assert_eq!(
        account.reserve(0),
        Reserve::Crowded,
        "1 failure, 4 under way"
    );
}

#[test]
fn lapsed_reservations_alone_never_lock() {
    let mut account = Account::default();
    for crash in 0..20 {
        let secs = crash * 31;
        account.all_granted(secs);
        assert_eq!(account.reserve(secs + 29), Reserve::Crowded);
        assert_eq!(account.standing(secs + 30), Standing::Open { failures: 4 });
    }
    let ticket = account.granted(700);
    assert_eq!(
        account.settle(ticket, Outcome::Success, 700),
        Settle::Cleared
    );
}

#[test]
fn a_settled_failure_after_four_lapses_locks() {
    let mut account = Account::default();
    for _ in 1..LIMIT {
        account.granted(0);
    }
    assert_eq!(account.standing(29), Standing::Open { failures: 0 });
    let until = locked(30);
    assert_eq!(account.fail(30), Settle::NewlyLocked { until });
}

#[test]
fn verifications_slower_than_a_reservation_still_count_once_each() {
    let mut account = Account::default();
    let mut slow = Vec::new();
    for round in 0..10 {
        slow.append(&mut account.all_granted(round * 30));
    }
    assert_eq!(
        slow.len(),
        14,
        "five, then one each time the last slot lapses"
    );
    let mut wrong = 0;
    for ticket in slow {
        match account.settle(ticket, Outcome::Failure, 300) {
            Settle::Counted { .. } | Settle::NewlyLocked { .. } => wrong += 1,
            Settle::Locked { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(wrong, LIMIT, "what settles after the lock is not answered");
}

#[test]
fn a_success_settled_while_locked_does_not_open() {
    let mut account = Account::default();
    let slow = account.granted(0);
    let rest: Vec<Ticket> = (1..LIMIT).map(|_| account.granted(20)).collect();
    let sixth = account.reserve(29);
    assert_eq!(sixth, Reserve::Crowded);
    for ticket in rest {
        account.settle(ticket, Outcome::Failure, 30);
    }
    // The slow one has lapsed: four failures and it make five.
    let until = locked(30);
    assert_eq!(account.reserve(31), Reserve::Locked { until });
    let late = account.settle(slow, Outcome::Success, 32);
    assert_eq!(late, Settle::Locked { until });
    assert_eq!(account.standing(32), Standing::Locked { until });
}

#[test]
fn a_failure_while_locked_does_not_extend_the_lock() {
    let mut account = Account::default();
    let slow = account.granted(0);
    for _ in 1..LIMIT {
        account.fail(31);
    }
    let until = match account.standing(31) {
        Standing::Locked { until } => until,
        open @ Standing::Open { .. } => panic!("{open:?}"),
    };
    let before = account.bytes.clone();
    assert_eq!(
        account.settle(slow, Outcome::Failure, 900),
        Settle::Locked { until }
    );
    assert_eq!(account.bytes, before);
}

#[test]
fn a_reservation_given_back_counts_nothing() {
    let mut account = Account::default();
    for secs in [0, 40] {
        let ticket = account.granted(0);
        let given = account.settle(ticket, Outcome::Unverified, secs);
        assert_eq!(given, Settle::Counted { failures: 0 });
        assert_eq!(account.bytes, None);
    }
}

#[test]
fn unlocking_an_open_account_still_counts_the_attempts_under_way() {
    let mut account = Account::default();
    for _ in 0..LIMIT {
        account.granted(0);
    }
    assert!(!account.unlock(0));
    assert_eq!(account.reserve(0), Reserve::Crowded);
}

#[test]
fn unlocking_lifts_the_lock_and_the_failures_and_says_whether_there_was_one() {
    let mut account = Account::default();
    assert!(!account.unlock(0));
    for _ in 1..LIMIT {
        account.fail(0);
    }
    let ticket = account.granted(0);
    assert!(!account.unlock(0), "four failures are no lock");
    assert_eq!(account.standing(0), Standing::Open { failures: 0 });
    assert_eq!(
        account.settle(ticket, Outcome::Failure, 0),
        Settle::Counted { failures: 1 }
    );
    for _ in 1..LIMIT {
        account.fail(0);
    }
    assert!(account.unlock(1));
    assert_eq!(account.bytes, None);
}

#[test]
fn an_account_with_more_failures_than_a_lowered_limit_has_one_attempt_left() {
    for limit in 1..LIMIT {
        let mut account = Account::default();
        for _ in 1..LIMIT {
            account.fail(0);
        }
        let lowered = LockoutPolicy::new(limit, Duration::from_secs(1800)).unwrap();
        let (answer, next) = reserve(account.bytes.as_deref(), &lowered, 9, at(1));
        let Ok(Reserve::Granted(ticket)) = answer else {
            panic!("crowded though nothing is under way: {answer:?}");
        };
        account.apply(next);
        let (second, _) = reserve(account.bytes.as_deref(), &lowered, 10, at(1));
        assert_eq!(second, Ok(Reserve::Crowded), "limit {limit}");
        let held = account.bytes.as_deref();
        let (settled, _) = settle(held, &lowered, ticket, Outcome::Failure, true, at(1));
        let until = locked(1);
        assert_eq!(settled, Ok(Settle::NewlyLocked { until }), "limit {limit}");
    }
}

#[test]
fn bytes_that_do_not_decode_grant_nothing_until_unlocked() {
    let policy = LockoutPolicy::default();
    let bad = Some(&[7_u8, 7][..]);
    let ticket = Ticket {
        lapses_at: at(30),
        nonce: 1,
    };
    assert_eq!(
        reserve(bad, &policy, 1, at(0)),
        (Err(Error::Corrupt), Next::Keep)
    );
    for outcome in [Outcome::Success, Outcome::Failure, Outcome::Unverified] {
        let settled = settle(bad, &policy, ticket, outcome, true, at(0));
        assert_eq!(settled, (Err(Error::Corrupt), Next::Keep));
    }
    assert_eq!(
        status(bad, &policy, at(0)),
        (Err(Error::Corrupt), Next::Keep)
    );
    assert_eq!(unlock(bad, &policy, at(0)), (true, Next::Remove));
}

#[test]
fn equal_nonces_at_one_instant_are_told_apart() {
    let policy = LockoutPolicy::default();
    let (first, next) = reserve(None, &policy, u32::MAX, at(0));
    let Next::Put { value, .. } = next else {
        panic!("nothing kept")
    };
    let (second, _) = reserve(Some(value.as_bytes()), &policy, u32::MAX, at(0));
    assert_ne!(first, second);
}

#[test]
fn a_clock_that_steps_back_grants_no_more() {
    let mut account = Account::default();
    for _ in 0..3 {
        account.fail(100);
    }
    account.granted(100);
    account.granted(100);
    assert_eq!(account.reserve(0), Reserve::Crowded);
    let mut account = Account::default();
    for _ in 0..LIMIT {
        account.fail(100);
    }
    assert!(matches!(account.reserve(0), Reserve::Locked { .. }));
}

mod laws;
