//! The limiter over a store, and callers who go away at each await.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

use std::collections::BTreeSet;

use portcullis_core::testing::{Faulty, drop_at_each_await};
use portcullis_core::{Memory, Scope, Timestamp};
use portcullis_rate_limit::{Charge, Decision, Quota, StoreLimiter};

const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);

type Limiter = StoreLimiter<Faulty<Memory>>;

fn paused() -> Faulty<Memory> {
    let store = Faulty::new(Memory::new(NOW));
    store.pause(true);
    store
}

fn quotas() -> [Quota; 2] {
    let smooth = Quota::per_minute(5).unwrap();
    [smooth, smooth.strict().unwrap()]
}

async fn left(limiter: &Limiter, key: &[u8]) -> u32 {
    match limiter.admit(key, 0, NOW).await.unwrap() {
        Decision::Admitted { remaining, .. } => remaining,
        _ => 0,
    }
}

async fn charge(limiter: &Limiter, key: &[u8], cost: u32) {
    assert!(limiter.admit(key, cost, NOW).await.unwrap().is_admitted());
}

#[tokio::test]
async fn a_refund_dropped_at_any_await_gives_back_once_or_not_at_all() {
    for quota in quotas() {
        let limiter = StoreLimiter::new(paused(), Scope::new("login"), quota);
        charge(&limiter, b"alice", 3).await;
        charge(&limiter, b"bob", 2).await;
        let (mut drops, mut seen) = (0, BTreeSet::new());
        let refund = || limiter.refund(b"alice", 1, NOW, NOW);
        let refunded = drop_at_each_await(refund, async |polls| {
            let now = left(&limiter, b"alice").await;
            assert!(now == 2 || now == 3, "{now} left after {polls} polls");
            charge(&limiter, b"alice", now - 2).await;
            assert_eq!(left(&limiter, b"bob").await, 3);
            seen.insert(now);
            drops += 1;
        });
        assert_eq!(refunded.await, Ok(()));
        assert!(drops >= 2, "{drops}");
        assert_eq!(seen, BTreeSet::from([2, 3]));
        assert_eq!(left(&limiter, b"alice").await, 3);
    }
}

/// Two limiters with room before one without: what the first two were charged is given back.
async fn three(quota: Quota) -> [Limiter; 3] {
    let store = paused();
    let narrow = Quota::per_minute(1).unwrap();
    let limiters = [("first", quota), ("second", quota), ("third", narrow)];
    limiters.map(|(name, quota)| StoreLimiter::new(store.clone(), Scope::new(name), quota))
}

fn charges(limiters: &[Limiter; 3]) -> [Charge<'_, Limiter>; 3] {
    limiters.each_ref().map(|limiter| Charge {
        limiter,
        key: b"alice",
        cost: 1,
    })
}

/// How much the first two limiters have left; gives back what was left charged of one request.
async fn given_back(limiters: &[Limiter; 3]) -> (u32, u32) {
    let mut both = [0, 0];
    for (limiter, held) in limiters.iter().zip(&mut both) {
        *held = left(limiter, b"alice").await;
        assert!(*held == 4 || *held == 5, "{held} left of 5");
        let owed = 5 - *held;
        limiter.refund(b"alice", owed, NOW, NOW).await.unwrap();
        assert_eq!(left(limiter, b"alice").await, 5);
        assert_eq!(left(limiter, b"bob").await, 4);
    }
    both.into()
}

#[tokio::test]
async fn several_charges_dropped_at_any_await_cost_one_request_at_most_and_no_one_else() {
    for quota in quotas() {
        let limiters = three(quota).await;
        for limiter in &limiters {
            charge(limiter, b"bob", 1).await;
        }
        charge(&limiters[2], b"alice", 1).await;
        let (mut drops, mut seen) = (0, Vec::new());
        let all = charges(&limiters);
        let refused = drop_at_each_await(
            || StoreLimiter::admit_all(&all, NOW),
            async |_| {
                seen.push(given_back(&limiters).await);
                drops += 1;
            },
        );
        let joint = refused.await.unwrap();
        assert_eq!((joint.decision.is_admitted(), joint.at), (false, 2));
        assert!(drops >= 2, "{drops}");
        // Charged one after the other, and given back in that order.
        seen.dedup();
        assert_eq!(seen, [(5, 5), (4, 5), (4, 4), (5, 4), (5, 5)]);
        assert_eq!(given_back(&limiters).await, (5, 5));
        assert_eq!(left(&limiters[2], b"alice").await, 0);
    }
}

#[tokio::test]
async fn several_charges_that_are_admitted_after_drops_stand_once_each() {
    for quota in quotas() {
        let limiters = three(quota).await;
        let two = charges(&limiters);
        let mut drops = 0;
        for limiter in &limiters {
            charge(limiter, b"bob", 1).await;
        }
        let admitted = drop_at_each_await(
            || StoreLimiter::admit_all(&two[..2], NOW),
            async |_| {
                given_back(&limiters).await;
                drops += 1;
            },
        );
        assert!(admitted.await.unwrap().decision.is_admitted());
        assert!(drops >= 2, "{drops}");
        assert_eq!(given_back(&limiters).await, (4, 4));
    }
}
