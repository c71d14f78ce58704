//! The limiter in one process, under floods and threads.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use portcullis_core::Timestamp;
use portcullis_rate_limit::{
    Charge, Decision, EndpointClass, Limiter, LimiterPolicy, PolicyError, Quota, tuple_key,
};
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);

fn smooth(count: u32) -> Quota {
    Quota::per_minute(count).unwrap()
}

fn strict(count: u32) -> Quota {
    smooth(count).strict().unwrap()
}

fn both(count: u32, keys: usize) -> [Limiter; 2] {
    [smooth(count), strict(count)]
        .map(|quota| Limiter::new(quota, LimiterPolicy::keys(keys).unwrap()))
}

fn after(secs: u64) -> Timestamp {
    NOW.saturating_add(Duration::from_secs(secs))
}

fn spend_all(limiter: &Limiter, key: &[u8], now: Timestamp) -> usize {
    (0..1_000)
        .take_while(|_| limiter.check(key, now).is_admitted())
        .count()
}

#[test]
fn many_threads_on_one_key_never_admit_more_than_the_quota() {
    for round in 0..50_u32 {
        for limiter in both(40, 64) {
            let (admitted, start) = (AtomicUsize::new(0), Barrier::new(8));
            let key = round.to_be_bytes();
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        start.wait();
                        for _ in 0..100 {
                            if limiter.check(&key, NOW).is_admitted() {
                                admitted.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                    });
                }
            });
            assert_eq!(admitted.into_inner(), 40);
        }
    }
}

#[test]
fn many_threads_on_as_many_keys_as_fit_never_admit_more_than_the_quota_of_each() {
    // One set of eight slots and eight keys: every thread brings keys in while others charge them.
    for _ in 0..50 {
        for limiter in both(20, 8) {
            assert_eq!(admitted_on_four_threads::<8>(&limiter), [20; 8]);
        }
    }
}

#[test]
fn many_threads_on_the_keys_of_two_sets_never_admit_more_than_the_quota_of_each() {
    for _ in 0..50 {
        let limiter = Limiter::new(smooth(20), LimiterPolicy::keys(16).unwrap());
        assert_eq!(admitted_on_four_threads::<16>(&limiter), [20; 16]);
    }
}

fn admitted_on_four_threads<const KEYS: usize>(limiter: &Limiter) -> [usize; KEYS] {
    let admitted = [const { AtomicUsize::new(0) }; KEYS];
    let start = Barrier::new(4);
    std::thread::scope(|scope| {
        for thread in 0..4_usize {
            let (admitted, start) = (&admitted, &start);
            scope.spawn(move || {
                start.wait();
                for turn in 0..100 * KEYS {
                    let key = (turn + thread * 2) % KEYS;
                    if limiter.check(&key.to_be_bytes(), NOW).is_admitted() {
                        admitted[key].fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    admitted.map(AtomicUsize::into_inner)
}

#[test]
fn a_flood_of_newcomers_on_many_threads_never_frees_an_exhausted_key() {
    for limiter in both(5, 8).into_iter().chain(both(5, 16)) {
        assert_eq!(spend_all(&limiter, b"attacker", NOW), 5);
        std::thread::scope(|scope| {
            for thread in 0..4_u32 {
                let limiter = &limiter;
                scope.spawn(move || {
                    for id in 0..5_000_u32 {
                        let _ = limiter
                            .check(&tuple_key(&[&thread.to_be_bytes(), &id.to_be_bytes()]), NOW);
                        assert!(!limiter.check(b"attacker", NOW).is_admitted());
                    }
                });
            }
        });
    }
}

#[test]
fn a_flood_of_unique_keys_evicts_itself_before_the_key_that_spent_most() {
    for limiter in both(10, 8) {
        for _ in 0..9 {
            assert!(limiter.check(b"busy", NOW).is_admitted());
        }
        for id in 0..10_000_u32 {
            let _ = limiter.check(&id.to_be_bytes(), NOW);
        }
        assert_eq!(spend_all(&limiter, b"busy", NOW), 1, "nine were spent");
    }
}

#[test]
fn a_set_full_of_exhausted_keys_refuses_the_newcomer_until_it_said() {
    for limiter in both(1, 8) {
        for id in 0..8_u8 {
            assert!(limiter.check(&[id], after(u64::from(id))).is_admitted());
        }
        let now = after(8);
        let Decision::Limited { retry_after } = limiter.check(b"newcomer", now) else {
            panic!("a key that is exhausted was forgotten");
        };
        assert!(retry_after <= Duration::from_secs(53), "{retry_after:?}");
        assert!(!limiter.check_cost(b"newcomer", 0, now).is_admitted());
        assert!(
            limiter
                .check(b"newcomer", now.saturating_add(retry_after))
                .is_admitted()
        );
        assert!(
            !limiter
                .check(&[7], now.saturating_add(retry_after))
                .is_admitted()
        );
    }
}

#[test]
fn expired_keys_make_room_as_if_they_were_not_there() {
    for limiter in both(1, 8) {
        for id in 0..8_u8 {
            assert!(limiter.check(&[id], NOW).is_admitted());
        }
        for id in 8..16_u8 {
            assert!(limiter.check(&[id], after(61)).is_admitted());
        }
    }
}

#[test]
fn a_set_full_of_keys_from_a_clock_far_ahead_is_not_stranded() {
    for limiter in both(1, 8) {
        for id in 0..8_u8 {
            assert!(limiter.check(&[id], after(1_000_000)).is_admitted());
        }
        let Decision::Limited { retry_after } = limiter.check(b"newcomer", NOW) else {
            panic!("a key that is exhausted was forgotten");
        };
        assert!(retry_after <= Duration::from_secs(61), "{retry_after:?}");
        assert!(
            limiter
                .check(b"newcomer", NOW.saturating_add(retry_after))
                .is_admitted()
        );
    }
}

#[test]
fn with_four_times_the_room_hardly_a_key_is_forgiven_anything() {
    for limiter in both(2, 16_384) {
        let ids = || (0..4_096_u32).map(u32::to_be_bytes);
        for id in ids() {
            assert!(limiter.check(&id, NOW).is_admitted());
        }
        let forgiven = ids().filter(|id| spend_all(&limiter, id, NOW) > 1).count();
        // One in several thousand is to be expected, and a hundred times that never comes.
        assert!(forgiven < 40, "{forgiven}");
    }
}

#[test]
fn two_thirds_full_a_smooth_limiter_hardly_forgives_a_key_anything() {
    let limiter = Limiter::new(smooth(2), LimiterPolicy::keys(16_384).unwrap());
    let ids = || (0..10_922_u32).map(u32::to_be_bytes);
    for id in ids() {
        assert!(limiter.check(&id, NOW).is_admitted());
    }
    let forgiven = ids().filter(|id| spend_all(&limiter, id, NOW) > 1).count();
    // One in thirty thousand is to be expected, and a hundred times that never comes.
    assert!(forgiven < 40, "{forgiven}");
}

#[test]
fn as_many_clients_as_there_is_room_for_find_it_as_often_as_is_said() {
    let ids = || (0..16_384_u32).map(u32::to_be_bytes);
    for (limiter, one_in) in both(1, 16_384).into_iter().zip([18, 7]) {
        let refused = ids().filter(|id| !limiter.check(id, NOW).is_admitted());
        let (refused, said) = (refused.count(), 16_384 / one_in);
        // A fifth off is five times what chance does.
        assert!(refused.abs_diff(said) < said / 5, "{refused}, not {said}");
    }
}

#[test]
fn keys_that_differ_in_trailing_zeros_alone_do_not_share_a_quota() {
    let limiter = Limiter::new(smooth(1), LimiterPolicy::default());
    for len in 0..40 {
        assert!(limiter.check(&vec![0; len], NOW).is_admitted(), "{len}");
    }
}

#[test]
fn asking_at_no_cost_takes_no_slot() {
    for limiter in both(10, 8) {
        for _ in 0..9 {
            let _ = limiter.check(b"busy", NOW);
        }
        for id in 0..1_000_u32 {
            assert!(limiter.check_cost(&id.to_be_bytes(), 0, NOW).is_admitted());
        }
        assert_eq!(spend_all(&limiter, b"busy", NOW), 1);
    }
}

#[test]
fn several_limits_on_one_request_are_given_back_when_a_later_one_refuses() {
    let wide = Limiter::new(smooth(100), LimiterPolicy::default());
    let exact = Limiter::new(strict(50), LimiterPolicy::default());
    let narrow = Limiter::new(strict(1), LimiterPolicy::default());
    let charges = [(&wide, 3), (&exact, 2), (&narrow, 1)].map(|(limiter, cost)| Charge {
        limiter,
        key: b"alice",
        cost,
    });
    let joint = Limiter::check_all(&charges, NOW);
    assert!(joint.decision.is_admitted());
    assert_eq!(joint.at, 2, "the last has least left");
    for _ in 0..100 {
        let joint = Limiter::check_all(&charges, NOW);
        assert!(!joint.decision.is_admitted());
        assert_eq!(joint.at, 2);
    }
    assert_eq!(spend_all(&wide, b"alice", NOW), 97);
    assert_eq!(spend_all(&exact, b"alice", NOW), 48);
}

#[test]
fn a_key_with_a_delimiter_in_it_does_not_meet_another() {
    let limiter = Limiter::new(smooth(1), LimiterPolicy::default());
    assert!(
        limiter
            .check(&tuple_key(&[b"login", b"a:b"]), NOW)
            .is_admitted()
    );
    assert!(
        limiter
            .check(&tuple_key(&[b"login:a", b"b"]), NOW)
            .is_admitted()
    );
    assert!(
        !limiter
            .check(&tuple_key(&[b"login", b"a:b"]), NOW)
            .is_admitted()
    );
}

#[test]
fn two_limiters_do_not_place_keys_alike() {
    // Eight slots in a set: were places known, nine chosen keys would fill one and refuse a tenth.
    let full = |limiter: &Limiter| -> Vec<bool> {
        (0..512_u32)
            .map(|id| limiter.check(&id.to_be_bytes(), NOW).is_admitted())
            .collect()
    };
    let limiters = [0; 2].map(|_| Limiter::new(smooth(1), LimiterPolicy::keys(256).unwrap()));
    assert_ne!(full(&limiters[0]), full(&limiters[1]));
}

#[test]
fn a_limit_changed_live_keeps_what_was_spent_and_refuses_another_pace() {
    let mut limiter = Limiter::new(smooth(10), LimiterPolicy::default());
    assert_eq!(spend_all(&limiter, b"alice", NOW), 10);
    assert_eq!(limiter.set_quota(strict(10)), Err(PolicyError::PaceChanged));
    limiter.set_quota(smooth(20)).unwrap();
    assert_eq!(spend_all(&limiter, b"alice", NOW), 0);
    assert_eq!(spend_all(&limiter, b"alice", after(6)), 2);
    assert_eq!(spend_all(&limiter, b"bob", NOW), 20);
}

#[test]
fn the_eleventh_login_within_a_minute_is_refused() {
    let logins = Limiter::new(
        EndpointClass::Authentication.quota(),
        LimiterPolicy::default(),
    );
    let admitted = (0..120).filter(|half| {
        logins
            .check(
                b"192.0.2.7",
                NOW.saturating_add(Duration::from_millis(half * 500 - half % 7)),
            )
            .is_admitted()
    });
    assert_eq!(admitted.count(), 10);
}

proptest! {
    #[test]
    fn waiting_as_told_is_admitted_whatever_came_before(
        steps in proptest::collection::vec((0_u64..5_000, 0_u8..12, 0_u32..4), 1..80),
        cost in 1_u32..6,
    ) {
        for limiter in both(5, 8) {
            let mut now = NOW;
            for (millis, key, cost) in &steps {
                now = now.saturating_add(Duration::from_millis(*millis));
                let _ = limiter.check_cost(&[*key], *cost, now);
            }
            if let Decision::Limited { retry_after } = limiter.check_cost(&[3], cost, now) {
                let later = now.saturating_add(retry_after);
                prop_assert!(limiter.check_cost(&[3], 0, later).is_admitted());
                prop_assert!(limiter.check_cost(&[3], cost, later).is_admitted());
            }
        }
    }
}
