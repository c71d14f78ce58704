//! The bodies that the fuzz targets share with their replay.

mod acts;

use std::time::Duration;

use portcullis_core::Timestamp;

use crate::decide::{Change, decide};
use crate::state::State;
use crate::{Decision, Pace, Quota};

pub use acts::fuzz_rate_limit_acts;

/// The body of the fuzz target `rate_limit_state`: a state that decodes encodes to the same bytes; any
/// quota decides on it; whoever waits as told is admitted; once expired it decides like none.
///
/// # Panics
/// When one of those does not hold.
pub fn fuzz_rate_limit_state(data: &[u8]) {
    let Some(state) = State::decode(data) else {
        return;
    };
    assert_eq!(state.encode().as_bytes(), data);
    for quota in quotas() {
        for nanos in [0, MIDDLE, u64::MAX] {
            let _ = decide(
                &quota,
                Some(state.clone()),
                1,
                Timestamp::from_unix_nanos(nanos),
            );
        }
        waiting_is_rewarded(&quota, &state);
        expired_is_none(&quota, state.clone());
    }
}

fn waiting_is_rewarded(quota: &Quota, state: &State) {
    let now = Timestamp::from_unix_nanos(MIDDLE);
    let (decision, change) = decide(quota, Some(state.clone()), 1, now);
    let Decision::Limited { retry_after } = decision else {
        return;
    };
    let held = match change {
        Change::Nothing => Some(state.clone()),
        Change::Put(state) => Some(state),
        Change::Forget => None,
    };
    let later = now.saturating_add(retry_after);
    assert!(decide(quota, held, 1, later).0.is_admitted());
}

fn expired_is_none(quota: &Quota, state: State) {
    let own = match quota.pace() {
        Pace::Smooth => State::Smooth(state.into_smooth(quota)),
        Pace::Strict => State::Strict(state.into_strict(quota)),
    };
    let expired = own.expires_at(quota);
    // The last second of time is never reached, and refuses everything.
    if expired < Timestamp::MAX {
        assert_eq!(
            decide(quota, Some(own), 1, expired),
            decide(quota, None, 1, expired)
        );
    }
}

fn quotas() -> impl Iterator<Item = Quota> {
    let smooth = [(1, 1), (100, 60_000), (u32::MAX, 1_000)];
    let strict = [(1, 1), (10, 60_000), (64, 86_400_000)];
    let quota = |(count, millis)| Quota::per(count, Duration::from_millis(millis));
    let smooth = smooth.into_iter().map(quota);
    let strict = strict.into_iter().map(move |of| quota(of)?.strict());
    smooth.chain(strict).flatten()
}

const MIDDLE: u64 = 1_700_000_000_000_000_000;
