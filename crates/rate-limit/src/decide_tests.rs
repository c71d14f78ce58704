#![allow(clippy::arithmetic_side_effects, reason = "tests")]

use super::*;
use proptest::prelude::*;

const NOW: u64 = 1_700_000_000_000_000_000;
const SECOND: u64 = 1_000_000_000;

fn at(nanos: u64) -> Timestamp {
    Timestamp::from_unix_nanos(nanos)
}

fn smooth_quota(count: u32, secs: u64) -> Quota {
    Quota::per(count, Duration::from_secs(secs)).unwrap()
}

fn strict_quota(count: u32, secs: u64) -> Quota {
    smooth_quota(count, secs).strict().unwrap()
}

/// A key, charged step by step.
struct Key {
    quota: Quota,
    state: Option<State>,
}

impl Key {
    fn new(quota: Quota) -> Self {
        Self { quota, state: None }
    }

    fn charge(&mut self, cost: u32, now: u64) -> Decision {
        let (decision, change) = decide(&self.quota, self.state.clone(), cost, at(now));
        match change {
            Change::Nothing => {}
            Change::Put(state) => self.state = Some(state),
            Change::Forget => self.state = None,
        }
        decision
    }

    fn spend_all(&mut self, now: u64) -> u32 {
        let mut spent = 0;
        while self.charge(1, now).is_admitted() {
            spent += 1;
            assert!(spent <= 1_000, "without end");
        }
        spent
    }

    fn refund(&mut self, cost: u32, charged_at: u64, now: u64) {
        match refund(
            &self.quota,
            self.state.clone(),
            cost,
            at(charged_at),
            at(now),
        ) {
            Change::Nothing => {}
            Change::Put(state) => self.state = Some(state),
            Change::Forget => self.state = None,
        }
    }
}

#[test]
fn refuses_the_eleventh_login_within_any_minute() {
    let mut key = Key::new(strict_quota(10, 60));
    // A burst at the end of one minute and the next at the start of another.
    for unit in 0..10 {
        assert!(key.charge(1, NOW + 55 * SECOND + unit).is_admitted());
    }
    for secs in [60, 61, 90, 114] {
        assert!(!key.charge(1, NOW + secs * SECOND).is_admitted(), "{secs}");
    }
    assert!(key.charge(1, NOW + 116 * SECOND).is_admitted());
}

#[test]
fn a_smooth_quota_admits_a_burst_and_then_one_each_interval() {
    let mut key = Key::new(smooth_quota(10, 60));
    assert_eq!(key.spend_all(NOW), 10);
    assert_eq!(
        key.charge(1, NOW).retry_after(),
        Some(Duration::from_secs(6))
    );
    assert!(!key.charge(1, NOW + 6 * SECOND - 1).is_admitted());
    assert!(key.charge(1, NOW + 6 * SECOND).is_admitted());
    assert!(!key.charge(1, NOW + 6 * SECOND).is_admitted());
}

#[test]
fn a_cost_above_the_burst_is_never_admitted_and_charges_nothing() {
    for quota in [smooth_quota(10, 60), strict_quota(10, 60)] {
        let mut key = Key::new(quota);
        for cost in [11, u32::MAX] {
            assert_eq!(key.charge(cost, NOW), Decision::Oversized);
        }
        assert_eq!(key.state, None);
        assert!(key.charge(10, NOW).is_admitted());
        assert!(!key.charge(1, NOW).is_admitted());
    }
}

#[test]
fn a_cost_of_zero_charges_nothing_and_is_refused_where_one_unit_would_be() {
    for quota in [smooth_quota(2, 60), strict_quota(2, 60)] {
        let mut key = Key::new(quota);
        for _ in 0..100 {
            assert!(key.charge(0, NOW).is_admitted());
        }
        assert_eq!(key.state, None);
        assert_eq!(key.spend_all(NOW), 2);
        assert!(!key.charge(0, NOW).is_admitted());
    }
}

#[test]
fn quotas_of_one_and_of_u32_max_neither_overflow_nor_run_free() {
    assert_eq!(Key::new(smooth_quota(1, 1)).spend_all(NOW), 1);
    let mut fast = Key::new(smooth_quota(u32::MAX, 1));
    assert!(fast.charge(u32::MAX, NOW).is_admitted());
    assert!(!fast.charge(1, NOW).is_admitted());
    // One unit a nanosecond is the fastest there is.
    assert!(fast.charge(1, NOW + 1).is_admitted());
    assert!(!fast.charge(1, NOW + 1).is_admitted());
}

#[test]
fn sub_microsecond_emission_keeps_its_pace() {
    let mut key = Key::new(smooth_quota(5_000_000, 1).burst(1).unwrap());
    let admitted = (0..1_000_000)
        .step_by(50)
        .filter(|nanos| key.charge(1, NOW + nanos).is_admitted())
        .count();
    assert_eq!(admitted, 5_000, "five million a second for a millisecond");
}

#[test]
fn at_the_end_of_time_everything_is_refused() {
    for quota in [smooth_quota(10, 60), strict_quota(10, 60)] {
        let mut key = Key::new(quota);
        for now in [u64::MAX - SECOND, u64::MAX] {
            assert!(!key.charge(1, now).is_admitted());
        }
    }
}

#[test]
fn a_clock_far_ahead_does_not_strand_a_key_for_ever() {
    for quota in [smooth_quota(10, 60), strict_quota(10, 60)] {
        let mut key = Key::new(quota);
        assert_eq!(key.spend_all(NOW + 1_000_000 * SECOND), 10);
        let wait = key.charge(1, NOW).retry_after().unwrap();
        assert!(wait <= Duration::from_secs(61), "{wait:?}");
        assert!(wait >= Duration::from_secs(6), "{wait:?}");
        let later = NOW + u64::try_from(wait.as_nanos()).unwrap();
        assert!(key.charge(1, later).is_admitted());
    }
}

#[test]
fn two_clocks_a_little_apart_do_not_hand_out_more() {
    // 1000 a second, burst 10: half a second of skew is many intervals.
    let mut key = Key::new(smooth_quota(1000, 1).burst(10).unwrap());
    assert_eq!(key.spend_all(NOW), 10);
    for _ in 0..100 {
        assert!(!key.charge(1, NOW - SECOND / 2).is_admitted());
        assert!(!key.charge(1, NOW).is_admitted());
    }
}

#[test]
fn a_limit_raised_or_lowered_live_neither_strands_nor_frees_a_key() {
    let quotas = [
        smooth_quota(10, 60),
        smooth_quota(1000, 60),
        smooth_quota(1000, 86_400),
        strict_quota(10, 60),
        strict_quota(5, 60),
        strict_quota(64, 3600),
    ];
    for before in quotas {
        for after in quotas {
            let mut key = Key::new(before);
            key.spend_all(NOW);
            key.quota = after;
            // More units at once, or longer to refill: what was spent is a smaller part of that.
            let grows = after.burst_units() > before.burst_units()
                || after.span_nanos() > before.span_nanos();
            assert!(
                !key.charge(1, NOW).is_admitted() || before.pace() == after.pace() && grows,
                "{before:?} to {after:?} frees"
            );
            let whole =
                u64::try_from(after.period().as_nanos()).unwrap() + TOLERANCE_NANOS + SECOND;
            assert!(
                key.charge(1, NOW + whole).is_admitted(),
                "{before:?} to {after:?} strands"
            );
        }
    }
}

#[test]
fn a_refund_gives_back_what_was_charged_and_no_more() {
    for quota in [smooth_quota(10, 60), strict_quota(10, 60)] {
        let mut key = Key::new(quota);
        assert_eq!(key.spend_all(NOW), 10);
        key.refund(3, NOW, NOW);
        assert_eq!(key.spend_all(NOW), 3);
        for _ in 0..5 {
            key.refund(u32::MAX, NOW, NOW);
        }
        assert_eq!(key.spend_all(NOW), 10);
        key.refund(0, NOW, NOW);
        assert_eq!(key.spend_all(NOW), 0);
    }
}

#[test]
fn a_late_refund_does_not_free_what_was_spent_since() {
    for quota in [smooth_quota(1, 10), strict_quota(1, 10)] {
        let mut key = Key::new(quota);
        assert!(key.charge(1, NOW).is_admitted());
        assert!(key.charge(1, NOW + 11 * SECOND).is_admitted());
        key.refund(1, NOW, NOW + 12 * SECOND);
        assert!(!key.charge(1, NOW + 12 * SECOND).is_admitted());
    }
}

#[test]
fn a_refund_gives_back_only_what_has_not_come_back_by_itself() {
    let mut key = Key::new(smooth_quota(10, 10));
    assert!(key.charge(10, NOW).is_admitted());
    let later = NOW + 9 * SECOND;
    assert!(key.charge(9, later).is_admitted());
    key.refund(10, NOW, later);
    assert_eq!(key.spend_all(later), 1, "ten at once are the most");
}

fn any_quota() -> impl Strategy<Value = Quota> {
    let smooth =
        (1_u32..2_000, 1_u64..200_000_000_000, 1_u32..200).prop_map(|(count, nanos, burst)| {
            Quota::per(count, Duration::from_nanos(nanos))
                .unwrap()
                .burst(burst)
                .unwrap()
        });
    let strict = (1_u32..=64, 1_u64..200_000_000_000).prop_map(|(count, nanos)| {
        Quota::per(count, Duration::from_nanos(nanos))
            .unwrap()
            .strict()
            .unwrap()
    });
    prop_oneof![smooth, strict]
}

fn any_state() -> impl Strategy<Value = State> {
    let smooth = (0_u64..400 * SECOND).prop_map(|ahead| State::Smooth(NOW - 200 * SECOND + ahead));
    let strict = (
        any_quota(),
        proptest::collection::vec(0_u64..400 * SECOND, 1..64),
    )
        .prop_map(|(quota, offsets)| {
            let mut ring = Ring::new(&quota);
            for offset in offsets {
                ring.push(NOW - 200 * SECOND + offset, 1);
            }
            State::Strict(ring)
        });
    prop_oneof![smooth, strict]
}

/// Steps forward, mostly, and sometimes back.
fn any_steps() -> impl Strategy<Value = Vec<(u64, u32)>> {
    proptest::collection::vec((0_u64..3 * SECOND, 0_u32..4), 1..120)
}

#[test]
fn a_state_that_is_given_back_whole_is_forgotten_and_one_that_lost_nothing_is_left() {
    for quota in [smooth_quota(4, 60), strict_quota(4, 60)] {
        let (_, charged) = decide(&quota, None, 2, at(NOW));
        let Change::Put(state) = charged else {
            panic!("{charged:?}");
        };
        let back = |cost, charged_at| {
            let held = Some(state.clone());
            refund(&quota, held, cost, at(charged_at), at(NOW))
        };
        assert_eq!(back(2, NOW), Change::Forget);
        assert!(matches!(back(1, NOW), Change::Put(_)));
        // A minute ago: whatever was charged then has come back by itself.
        assert_eq!(back(2, NOW - 60 * SECOND), Change::Nothing);
        assert_eq!(refund(&quota, None, 1, at(NOW), at(NOW)), Change::Nothing);
    }
}

#[test]
fn a_key_that_owes_nothing_is_given_nothing_back() {
    let quota = smooth_quota(4, 60);
    let back = |all_back, charged_at| smooth_refund(&quota, all_back, 1, at(charged_at), at(NOW));
    assert_eq!(back(0, NOW), None);
    assert_eq!(back(NOW + SECOND, NOW - 15 * SECOND), None);
    assert_eq!(back(NOW + SECOND, NOW - 14 * SECOND), Some(NOW));
}

#[test]
fn a_smooth_state_is_lost_a_minute_past_its_span_and_no_sooner() {
    let quota = smooth_quota(4, 60);
    let ahead = |nanos| smooth(&quota, NOW + 120 * SECOND + nanos, 1, at(NOW));
    let (decision, healed) = ahead(0);
    assert_eq!(
        (decision.retry_after(), healed),
        (Some(Duration::from_secs(75)), None)
    );
    let (decision, healed) = ahead(1);
    assert_eq!(decision.retry_after(), Some(Duration::from_secs(15)));
    assert_eq!(healed, Some(NOW + 60 * SECOND));
}

#[test]
fn the_end_of_time_admits_nobody() {
    let quota = smooth_quota(4, 60);
    let unit = 15 * SECOND;
    let charged = |now| smooth(&quota, 0, 1, at(now));
    assert!(charged(u64::MAX - unit - 1).0.is_admitted());
    assert!(!charged(u64::MAX - unit).0.is_admitted());
}

proptest! {
    #[test]
    fn waiting_exactly_as_long_as_told_is_always_admitted(quota in any_quota(), state in any_state(), cost in 0_u32..70, more in 0_u64..200 * SECOND) {
        let mut key = Key { quota, state: Some(state) };
        if let Some(wait) = key.charge(cost, NOW).retry_after() {
            prop_assert!(wait > Duration::ZERO);
            let later = NOW + u64::try_from(wait.as_nanos()).unwrap();
            for now in [later, later + more] {
                let mut waited = Key { quota, state: key.state.clone() };
                prop_assert!(waited.charge(cost, now).is_admitted());
            }
        }
    }

    #[test]
    fn a_strict_quota_is_never_exceeded_in_any_window(quota in any_quota(), steps in any_steps()) {
        prop_assume!(quota.pace() == Pace::Strict);
        let period = quota.period_nanos();
        let mut key = Key::new(quota);
        let (mut now, mut admitted) = (NOW, Vec::new());
        for (step, cost) in steps {
            now += step % period.saturating_mul(2).max(1);
            if key.charge(cost, now).is_admitted() {
                admitted.extend(std::iter::repeat_n(now, cost as usize));
            }
        }
        for (from, start) in admitted.iter().enumerate() {
            let within = admitted[from..].iter().take_while(|at| **at - start < period).count();
            prop_assert!(within <= quota.count() as usize, "{within} in a window");
        }
    }

    #[test]
    fn a_smooth_quota_admits_at_most_its_burst_and_its_pace(quota in any_quota(), steps in any_steps()) {
        prop_assume!(quota.pace() == Pace::Smooth);
        let mut key = Key::new(quota);
        let (mut now, mut admitted) = (NOW, Vec::new());
        for (step, cost) in steps {
            now += step % quota.period_nanos().max(1);
            if key.charge(cost, now).is_admitted() {
                admitted.extend(std::iter::repeat_n(now, cost as usize));
            }
        }
        for from in 0..admitted.len() {
            for to in from..admitted.len() {
                let came_back = (admitted[to] - admitted[from]) / quota.emission_nanos();
                let most = u64::from(quota.burst_units()) + came_back;
                prop_assert!((to - from + 1) as u64 <= most);
            }
        }
    }

    #[test]
    fn an_expired_state_decides_like_none(quota in any_quota(), state in any_state(), cost in 0_u32..70, more in 0_u64..SECOND) {
        // As this quota would have written it.
        let state = match quota.pace() {
            Pace::Smooth => State::Smooth(state.into_smooth(&quota)),
            Pace::Strict => State::Strict(state.into_strict(&quota)),
        };
        let expired = state.expires_at(&quota).as_unix_nanos() + more;
        prop_assert_eq!(
            decide(&quota, Some(state), cost, at(expired)),
            decide(&quota, None, cost, at(expired))
        );
    }

    #[test]
    fn a_clock_that_steps_back_never_grants_more(quota in any_quota(), steps in any_steps(), back in 1_u64..10_000 * SECOND) {
        let mut key = Key::new(quota);
        let mut now = NOW;
        for (step, cost) in steps {
            now += step;
            let _ = key.charge(cost, now);
        }
        let mut still = Key { quota, state: key.state.clone() };
        let mut stepped = key;
        let (granted, granted_back) = (still.spend_all(now), stepped.spend_all(now - back));
        prop_assert!(granted_back <= granted, "{granted_back} after the step, {granted} without");
        // And within the tolerance the excursion leaves nothing behind.
        if back < TOLERANCE_NANOS {
            prop_assert!(stepped.spend_all(now) <= granted);
        }
    }

    #[test]
    fn a_refund_at_any_time_frees_no_more_than_never_having_charged(quota in any_quota(), before in any_steps(), cost in 1_u32..9, after in any_steps()) {
        let mut key = Key::new(quota);
        let mut now = NOW;
        for (step, spent) in before {
            now += step;
            let _ = key.charge(spent, now);
        }
        let mut never = Key { quota, state: key.state.clone() };
        let charged_at = now;
        prop_assume!(key.charge(cost, charged_at).is_admitted());
        for (step, spent) in after {
            now += step % quota.emission_nanos().saturating_mul(2);
            if key.charge(spent, now).is_admitted() {
                prop_assert!(never.charge(spent, now).is_admitted());
            }
        }
        key.refund(cost, charged_at, now);
        prop_assert!(key.spend_all(now) <= never.spend_all(now));
    }

    #[test]
    fn charging_and_giving_back_at_once_changes_no_later_decision(quota in any_quota(), steps in any_steps(), cost in 1_u32..9) {
        let mut key = Key::new(quota);
        let mut now = NOW;
        for (step, spent) in steps {
            now += step;
            let _ = key.charge(spent, now);
        }
        let mut refunded = Key { quota, state: key.state.clone() };
        if refunded.charge(cost, now).is_admitted() {
            refunded.refund(cost, now, now);
        }
        prop_assert_eq!(refunded.spend_all(now), key.spend_all(now));
    }
}
