//! Requests that come again, at once or later, and stores that fail or forget.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::*;
use portcullis_core::testing::Faulty;
use portcullis_core::{
    Cause, Durability, Failure, Key, Memory, MemoryPolicy, Next, Reason, Scope, Store, Timestamp,
};
use portcullis_hmac_signing::{Error, KeyId, ReplayGuard, ReplayPolicy, Secrets, Signer};

const SEEN: Scope = Scope::new("signed-request");

fn faulty() -> (Faulty<Memory>, ReplayGuard<Faulty<Memory>>) {
    let store = Faulty::new(Memory::new(BIRTH));
    let guard = ReplayGuard::new(store.clone(), ReplayPolicy::default());
    (store, guard)
}

/// The same request, told apart by its body and its nonce.
fn numbered(scheme: &Any, number: u64, now: Timestamp) -> Sent {
    let mut nonce = [0; 16];
    nonce[..8].copy_from_slice(&number.to_le_bytes());
    let body = number.to_string();
    let request = request("POST", "/", body.as_bytes());
    scheme.signed_with(request, &key(1), nonce, now)
}

#[tokio::test]
async fn a_request_is_good_once() {
    for scheme in all() {
        let guard = guard();
        let sent = scheme.signed(order());
        let signed = scheme.claim(&sent, &guard, NOW).await.unwrap();
        assert_eq!((signed.key_id(), signed.timestamp()), (&partner(), NOW));
        assert!(!signed.by_previous_secret());
        let again = scheme.claim(&sent, &guard, NOW).await.err();
        assert_eq!(again, Some(Error::Replayed), "{}", scheme.name);
    }
}

#[tokio::test]
async fn a_wrong_signature_claims_no_nonce_and_asks_no_store() {
    for scheme in all() {
        let (store, guard) = faulty();
        let sent = scheme.signed(order());
        let mut forged = sent.clone();
        forged.body_mut().push(b' ');
        let refused = scheme.claim(&forged, &guard, NOW).await.err();
        assert_eq!(refused, Some(Error::Signature));
        let unknown = scheme.check_with(&sent, None, [NOW; 2]).err();
        assert_eq!(unknown, Some(Error::KeyUnknown));
        assert_eq!(store.calls(), 0);
        assert!(scheme.claim(&sent, &guard, NOW).await.is_ok());
    }
}

#[tokio::test]
async fn a_full_store_refuses_and_forgets_no_live_nonce() {
    for scheme in all() {
        let policy = MemoryPolicy::default().cap(SEEN, 3);
        let store = Memory::with_policy(BIRTH, policy);
        let guard = ReplayGuard::new(store, ReplayPolicy::default());
        for number in 0..3 {
            let sent = numbered(&scheme, number, NOW);
            assert!(scheme.claim(&sent, &guard, NOW).await.is_ok());
        }
        for number in 3..50 {
            let sent = numbered(&scheme, number, NOW);
            let refused = scheme.claim(&sent, &guard, later(299)).await.err();
            let full = Failure::Unavailable(Cause::Full { scope: SEEN });
            assert_eq!(refused, Some(Error::Store(full)));
        }
        for number in 0..3 {
            let again = numbered(&scheme, number, NOW);
            let refused = scheme.claim(&again, &guard, later(300)).await.err();
            assert_eq!(refused, Some(Error::Replayed));
        }
    }
}

#[tokio::test]
async fn a_nonce_is_remembered_as_long_as_its_timestamp_counts() {
    for scheme in all() {
        // A timestamp ahead counts for longer than the skew from now.
        for ahead in [0, 5] {
            let guard = guard();
            let sent = scheme.signed_at(order(), later(ahead));
            assert!(scheme.claim(&sent, &guard, NOW).await.is_ok());
            for after in 0..=300 + ahead {
                // Others come meanwhile, so that the store has reason to clean up.
                let other = numbered(&scheme, after, later(after));
                assert!(scheme.claim(&other, &guard, later(after)).await.is_ok());
                let again = scheme.claim(&sent, &guard, later(after)).await.err();
                assert_eq!(again, Some(Error::Replayed), "after {after} s");
            }
            let over = scheme.claim(&sent, &guard, later(301 + ahead)).await;
            assert_eq!(over.err(), Some(Error::TooOld));
        }
    }
}

#[tokio::test]
async fn a_verifier_of_another_skew_on_the_same_store_accepts_nothing_anew() {
    for (first, second) in [(5, 300), (300, 5), (1, 900), (900, 1)] {
        let under = |skew| all_under(policy().skew_secs(skew).unwrap());
        for (first_of, second_of) in under(first).iter().zip(&under(second)) {
            for ahead in [0, 5] {
                let guard = guard();
                let sent = first_of.signed_at(order(), later(ahead));
                assert!(first_of.claim(&sent, &guard, NOW).await.is_ok());
                for after in 0..=second + ahead {
                    // Others come meanwhile, so that the store has reason to clean up.
                    let other = numbered(second_of, after, later(after));
                    let accepted = second_of.claim(&other, &guard, later(after)).await;
                    assert!(accepted.is_ok());
                    let again = second_of.claim(&sent, &guard, later(after)).await.err();
                    let name = second_of.name;
                    assert_eq!(again, Some(Error::Replayed), "{name} after {after} s");
                }
                // Each still has its own window.
                for (scheme, skew) in [(first_of, first), (second_of, second)] {
                    let over = scheme.claim(&sent, &guard, later(skew + 1 + ahead)).await;
                    assert_eq!(over.err(), Some(Error::TooOld));
                }
            }
        }
    }
}

#[tokio::test]
async fn a_clock_that_steps_back_makes_no_seen_request_new() {
    for scheme in all() {
        let guard = guard();
        let sent = scheme.signed(order());
        assert!(scheme.claim(&sent, &guard, later(300)).await.is_ok());
        for now in [NOW, earlier(5), later(300)] {
            let again = scheme.claim(&sent, &guard, now).await.err();
            assert_eq!(again, Some(Error::Replayed));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_64_who_send_the_same_request_at_once_is_accepted() {
    for scheme in all() {
        let scheme = Arc::new(scheme);
        for round in 0..50 {
            let guard = Arc::new(guard());
            let sent = numbered(&scheme, round, NOW);
            let gate = Arc::new(tokio::sync::Barrier::new(64));
            let tasks = (0..64).map(|_| {
                let (scheme, guard) = (Arc::clone(&scheme), Arc::clone(&guard));
                let (sent, gate) = (sent.clone(), Arc::clone(&gate));
                tokio::spawn(async move {
                    let unclaimed = scheme.check(&sent).unwrap();
                    gate.wait().await;
                    unclaimed.claim(&guard, NOW).await.map(drop)
                })
            });
            let tasks: Vec<_> = tasks.collect();
            let mut accepted = 0;
            for task in tasks {
                match task.await.unwrap() {
                    Ok(()) => accepted += 1,
                    Err(refused) => assert_eq!(refused, Error::Replayed),
                }
            }
            assert_eq!(accepted, 1, "{}", scheme.name);
        }
    }
}

#[tokio::test]
async fn an_oversized_nonce_reaches_no_store() {
    let (store, guard) = faulty();
    let v1 = any_v1();
    let mut sent = v1.signed(order());
    for len in [65, 4096, 65_536] {
        set(&mut sent, "x-nonce", "n".repeat(len).as_bytes());
        let refused = v1.claim(&sent, &guard, NOW).await.err();
        assert_eq!(refused, Some(Error::Malformed("x-nonce")));
    }
    assert_eq!(store.calls(), 0);
}

#[tokio::test]
async fn one_key_fills_its_own_room_and_nobody_elses() {
    for scheme in all() {
        let policy = ReplayPolicy::default().live_per_key(100);
        let guard = ReplayGuard::new(Memory::new(BIRTH), policy);
        let mut accepted = Vec::new();
        // Over three times as long as a request is remembered, a flood that does not pause.
        for second in (0..2_900).step_by(3) {
            for number in 0..3 {
                let sent = numbered(&scheme, second * 3 + number, later(second));
                match scheme.claim(&sent, &guard, later(second)).await {
                    Ok(_) => accepted.push(second),
                    Err(refused) => {
                        assert!(matches!(refused, Error::TooMany { .. }));
                        assert_eq!(refused.reason(), Reason::RateLimited);
                    }
                }
            }
            let live = accepted.iter().filter(|made| **made + 900 >= second);
            assert!(live.count() <= 100);
        }
        assert!(accepted.len() >= 200, "{} accepted", accepted.len());
        // Another key has its own.
        let mut other = request("POST", "/", b"");
        let signer = Signer::new(v1(), KeyId::parse("partner-8").unwrap(), key(1));
        signer.sign(&mut other, later(2_899)).unwrap();
        assert!(any_v1().claim(&other, &guard, later(2_899)).await.is_ok());
    }
}

#[tokio::test]
async fn a_captured_request_sent_again_and_again_uses_up_no_room() {
    for scheme in all() {
        let policy = ReplayPolicy::default().live_per_key(3);
        let guard = ReplayGuard::new(Memory::new(BIRTH), policy);
        let captured = scheme.signed(order());
        assert!(scheme.claim(&captured, &guard, NOW).await.is_ok());
        for _ in 0..100 {
            let again = scheme.claim(&captured, &guard, NOW).await.err();
            assert_eq!(again, Some(Error::Replayed));
        }
        for number in 0..2 {
            let sent = numbered(&scheme, number, NOW);
            assert!(scheme.claim(&sent, &guard, NOW).await.is_ok());
        }
        let third = numbered(&scheme, 3, NOW);
        let refused = scheme.claim(&third, &guard, NOW).await.err();
        assert!(matches!(refused, Some(Error::TooMany { .. })));
    }
}

#[tokio::test]
async fn a_slow_body_whose_time_is_over_claims_nothing() {
    for scheme in all() {
        let (store, guard) = faulty();
        let sent = scheme.signed(order());
        let secrets = secrets();
        let slow = scheme.check_with(&sent, Some(&secrets), [NOW, later(301)]);
        assert_eq!(slow.err(), Some(Error::TooOld), "{}", scheme.name);
        // And so is one that was slow between the MAC and the store.
        let unclaimed = scheme.check_with(&sent, Some(&secrets), [NOW, later(300)]);
        let late = unclaimed.unwrap().claim(&guard, later(301)).await;
        assert_eq!(late.err(), Some(Error::TooOld));
        assert_eq!(store.calls(), 0);
    }
}

#[tokio::test]
async fn a_time_to_live_in_the_past_is_refused_and_not_written() {
    for scheme in all() {
        let (store, guard) = faulty();
        let sent = scheme.signed(order());
        for past in [301, 302, 100_000] {
            let late = scheme.check(&sent).unwrap().claim(&guard, later(past));
            assert_eq!(late.await.err(), Some(Error::TooOld));
        }
        assert_eq!(store.writes(), 0);
    }
}

#[tokio::test]
async fn what_could_have_been_accepted_before_the_stores_birth_is_refused() {
    for scheme in all() {
        let guard = ReplayGuard::new(Memory::new(NOW), ReplayPolicy::default());
        // Up to five seconds ahead of the birth: a clock at NOW would have taken it.
        for by in 0..=5 {
            let sent = numbered(&scheme, by, later(by));
            let refused = scheme.claim(&sent, &guard, later(by)).await.err();
            assert_eq!(refused, Some(Error::BeforeBirth), "{by}");
        }
        let sent = numbered(&scheme, 6, later(6));
        assert!(scheme.claim(&sent, &guard, later(6)).await.is_ok());
        // A key that is no older than the store cannot have signed for another.
        let sent = scheme.signed(order());
        for (made_at, accepted) in [(earlier(1), false), (NOW, true)] {
            let secrets = Secrets::new(key(1)).made_at(made_at);
            let unclaimed = scheme.check_with(&sent, Some(&secrets), [NOW; 2]).unwrap();
            assert_eq!(unclaimed.claim(&guard, NOW).await.is_ok(), accepted);
        }
    }
}

#[tokio::test]
async fn a_store_that_lost_its_last_second_accepts_nothing_that_was_accepted_in_it() {
    for scheme in all() {
        let (store, guard) = faulty();
        let sent = scheme.signed(order());
        assert!(scheme.claim(&sent, &guard, NOW).await.is_ok());
        store.lose_last(2).await.unwrap();
        store.claim_birth(later(1));
        let again = scheme.claim(&sent, &guard, later(1)).await.err();
        assert_eq!(again, Some(Error::BeforeBirth));
    }
}

#[tokio::test]
async fn a_store_that_fails_at_either_call_refuses() {
    let gone = || Cause::Backend("gone".into());
    let failures = [
        Failure::Contended,
        Failure::Unavailable(gone()),
        Failure::Unavailable(Cause::Full { scope: SEEN }),
        Failure::Unavailable(Cause::Closed),
        Failure::Unknown(gone()),
    ];
    for scheme in all() {
        for failure in &failures {
            for call in [1, 2] {
                let store = Nth::failing(call, failure, false);
                let guard = ReplayGuard::new(store, ReplayPolicy::default());
                let sent = scheme.signed(order());
                let refused = scheme.claim(&sent, &guard, NOW).await.err();
                assert_eq!(refused, Some(Error::Store(failure.clone())));
                // Nothing was noted, so the same request is good.
                assert!(scheme.claim(&sent, &guard, NOW).await.is_ok());
                let again = scheme.claim(&sent, &guard, NOW).await.err();
                assert_eq!(again, Some(Error::Replayed));
            }
        }
    }
}

#[tokio::test]
async fn a_lost_reply_refuses_and_the_request_counts_as_seen() {
    let lost = Failure::Unknown(Cause::Backend("lost".into()));
    for scheme in all() {
        let store = Nth::failing(2, &lost, true);
        let guard = ReplayGuard::new(store, ReplayPolicy::default());
        let sent = scheme.signed(order());
        let refused = scheme.claim(&sent, &guard, NOW).await.err();
        assert_eq!(refused, Some(Error::Store(lost.clone())));
        let again = scheme.claim(&sent, &guard, NOW).await.err();
        assert_eq!(again, Some(Error::Replayed));
    }
}

#[tokio::test]
async fn a_replay_is_told_as_one_though_the_count_cannot_be_taken_back() {
    for scheme in all() {
        let store = Nth::failing(5, &Failure::Contended, false);
        let guard = ReplayGuard::new(store, ReplayPolicy::default());
        let sent = scheme.signed(order());
        assert!(scheme.claim(&sent, &guard, NOW).await.is_ok());
        let again = scheme.claim(&sent, &guard, NOW).await.err();
        assert_eq!(again, Some(Error::Replayed));
    }
}

/// A store whose call of that number fails, applied or not.
struct Nth {
    inner: Memory,
    calls: AtomicUsize,
    number: usize,
    failure: Failure,
    applied: bool,
}

impl Nth {
    fn failing(number: usize, failure: &Failure, applied: bool) -> Self {
        Self {
            inner: Memory::new(BIRTH),
            calls: AtomicUsize::new(0),
            number,
            failure: failure.clone(),
            applied,
        }
    }
}

impl Store for Nth {
    async fn update<T, F>(&self, key: Key, now: Timestamp, step: F) -> Result<T, Failure>
    where
        F: Fn(Option<&[u8]>) -> (T, Next) + Send + 'static,
        T: Send + 'static,
    {
        let fails = self.calls.fetch_add(1, Ordering::SeqCst) + 1 == self.number;
        if fails && !self.applied {
            return Err(self.failure.clone());
        }
        let answer = self.inner.update(key, now, step).await?;
        if fails {
            return Err(self.failure.clone());
        }
        Ok(answer)
    }

    fn durability(&self) -> Durability {
        self.inner.durability()
    }

    fn birth(&self) -> Timestamp {
        self.inner.birth()
    }
}
