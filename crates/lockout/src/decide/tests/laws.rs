use portcullis_core::Value;
use proptest::prelude::*;

use super::*;

/// One thing done to an account: which, to which of the tickets, and how many seconds later.
#[derive(Clone, Debug)]
enum Act {
    Reserve,
    Settle(prop::sample::Index, Outcome),
    Unlock,
}

fn acts() -> impl Strategy<Value = Vec<(Act, u64)>> {
    let outcome = prop_oneof![
        4 => Just(Outcome::Failure),
        1 => Just(Outcome::Success),
        1 => Just(Outcome::Unverified)
    ];
    let act = prop_oneof![
        8 => Just(Act::Reserve),
        8 => (any::<prop::sample::Index>(), outcome).prop_map(|(at, outcome)| Act::Settle(at, outcome)),
        1 => Just(Act::Unlock),
    ];
    let wait = prop_oneof![4 => 0_u64..3, 2 => 10_u64..40, 1 => 1700_u64..90_000];
    prop::collection::vec((act, wait), 0..60)
}

fn played(acts: Vec<(Act, u64)>) -> (Account, Vec<Ticket>, u64) {
    let (mut account, mut tickets, mut secs) = (Account::default(), Vec::new(), 0);
    for (act, wait) in acts {
        secs += wait;
        match act {
            Act::Reserve => {
                if let Reserve::Granted(ticket) = account.reserve(secs) {
                    tickets.push(ticket);
                }
            }
            Act::Settle(at, outcome) if !tickets.is_empty() => {
                let ticket = tickets.swap_remove(at.index(tickets.len()));
                account.settle(ticket, outcome, secs);
            }
            Act::Settle(..) => {}
            Act::Unlock => drop(account.unlock(secs)),
        }
    }
    (account, tickets, secs)
}

/// What the next step leaves behind; removing what is not there is leaving it.
fn left(next: Next) -> Option<(Value, Timestamp)> {
    match next {
        Next::Put { value, expires_at } => Some((value, expires_at)),
        Next::Keep | Next::Settled | Next::Remove => None,
    }
}

proptest! {
    #[test]
    fn an_expired_state_decides_like_none(acts in acts(), later in 0_u64..100_000, nonce in any::<u32>()) {
        let (account, tickets, _) = played(acts);
        let policy = LockoutPolicy::default();
        let now = account.expires_at.max(at(0)).saturating_add(Duration::from_secs(later));
        let held = account.bytes.as_deref();
        let (with, without) = (reserve(held, &policy, nonce, now), reserve(None, &policy, nonce, now));
        prop_assert_eq!(with.0, without.0);
        prop_assert_eq!(left(with.1), left(without.1));
        prop_assert_eq!(status(held, &policy, now), status(None, &policy, now));
        for ticket in tickets {
            for outcome in [Outcome::Success, Outcome::Failure, Outcome::Unverified] {
                let with = settle(held, &policy, ticket, outcome, true, now);
                let without = settle(None, &policy, ticket, outcome, true, now);
                prop_assert_eq!(with.0, without.0);
                prop_assert_eq!(left(with.1), left(without.1));
            }
        }
    }

    #[test]
    fn no_order_of_events_answers_more_wrong_guesses_than_the_limit_before_a_lock(acts in acts()) {
        let (mut account, mut tickets, mut secs, mut wrong) = (Account::default(), Vec::new(), 0, 0);
        for (act, wait) in acts {
            secs += wait;
            if wait > 60 {
                // Time for locks to end and failures to be forgotten.
                wrong = 0;
            }
            match act {
                Act::Reserve => if let Reserve::Granted(ticket) = account.reserve(secs) {
                    tickets.push(ticket);
                },
                Act::Settle(at, Outcome::Failure) if !tickets.is_empty() => {
                    match account.settle(tickets.swap_remove(at.index(tickets.len())), Outcome::Failure, secs) {
                        Settle::Counted { .. } => wrong += 1,
                        Settle::NewlyLocked { .. } | Settle::Locked { .. } => wrong = 0,
                        other => panic!("{other:?}"),
                    }
                    prop_assert!(wrong < u32::from(LIMIT), "{wrong} wrong answers and no lock");
                }
                Act::Settle(at, outcome) if !tickets.is_empty() => {
                    let settled = account.settle(tickets.swap_remove(at.index(tickets.len())), outcome, secs);
                    if settled == Settle::Cleared {
                        wrong = 0;
                    }
                }
                Act::Settle(..) => {}
                Act::Unlock => { account.unlock(secs); wrong = 0; }
            }
        }
    }

    #[test]
    fn ageing_twice_is_ageing_once(acts in acts(), first in 0_u64..100_000, second in 0_u64..100_000) {
        let (account, _, secs) = played(acts);
        if let Some(State::Open(open)) = account.bytes.as_deref().and_then(State::decode) {
            let policy = LockoutPolicy::default();
            let (middle, end) = (at(secs + first), at(secs + first + second));
            let once = open.clone().aged(&policy, end);
            prop_assert_eq!(open.aged(&policy, middle).aged(&policy, end), once);
        }
    }

    #[test]
    fn what_is_kept_decodes(acts in acts()) {
        let (account, _, _) = played(acts);
        if let Some(bytes) = account.bytes {
            prop_assert_eq!(State::decode(&bytes).map(|state| state.encode()), Some(bytes));
        }
    }
}
