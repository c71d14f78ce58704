//! Callers who go away at each await of a claim.
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "tests")]

mod common;

use common::*;
use portcullis_core::Memory;
use portcullis_core::testing::{Faulty, drop_at_each_await};
use portcullis_hmac_signing::{Error, ReplayGuard, ReplayPolicy};

fn paused(policy: ReplayPolicy) -> ReplayGuard<Faulty<Memory>> {
    let store = Faulty::new(Memory::new(BIRTH));
    store.pause(true);
    ReplayGuard::new(store, policy)
}

#[tokio::test]
async fn a_claim_dropped_at_any_await_is_seen_or_not_and_never_accepted_twice() {
    for scheme in all() {
        let guard = paused(ReplayPolicy::default());
        let mut number = 0;
        let sent = |number: u64| {
            let body = number.to_string();
            let mut nonce = [0; 16];
            nonce[..8].copy_from_slice(&number.to_le_bytes());
            scheme.signed_with(request("POST", "/", body.as_bytes()), &key(1), nonce, NOW)
        };
        // Each round a request of its own, whose first sender goes away after so many polls.
        let mut seen = Vec::new();
        let counter = std::cell::Cell::new(0_u64);
        let claim = || {
            counter.set(counter.get() + 1);
            let sent = sent(counter.get());
            let (scheme, guard) = (&scheme, &guard);
            async move { scheme.claim(&sent, guard, NOW).await.map(drop) }
        };
        let finished = drop_at_each_await(claim, async |_| {
            number += 1;
            let again = scheme.claim(&sent(number), &guard, NOW).await;
            let accepted = again.is_ok();
            assert!(accepted || again.err() == Some(Error::Replayed));
            seen.push(accepted);
            let third = scheme.claim(&sent(number), &guard, NOW).await.err();
            assert_eq!(third, Some(Error::Replayed));
        });
        assert_eq!(finished.await, Ok(()));
        // Two updates of three polls each: first it was not seen, from the second step on it was.
        assert_eq!(seen, [true, true, true, true, false], "{}", scheme.name);
    }
}

#[tokio::test]
async fn claims_dropped_at_every_await_cost_their_own_key_one_place_each_at_most() {
    for scheme in all() {
        let guard = paused(ReplayPolicy::default().live_per_key(10));
        let sent = scheme.signed(order());
        let mut drops = 0;
        let claim = || async { scheme.claim(&sent, &guard, NOW).await.map(drop) };
        let finished = drop_at_each_await(claim, async |_| drops += 1);
        assert_eq!(finished.await, Err(Error::Replayed));
        let mut left = 0;
        loop {
            let other = request("POST", "/", &[b'x'; 1].repeat(left + 1));
            let nonce = [u8::try_from(left).unwrap(); 16];
            let other = scheme.signed_with(other, &key(1), nonce, NOW);
            match scheme.claim(&other, &guard, NOW).await {
                Ok(_) => left += 1,
                Err(refused) => {
                    assert!(matches!(refused, Error::TooMany { .. }));
                    break;
                }
            }
        }
        assert!(
            (3..=10 - 1).contains(&left),
            "{left} left after {drops} drops"
        );
    }
}
