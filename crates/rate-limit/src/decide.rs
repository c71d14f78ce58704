//! The rule itself: no clock, no I/O.
//!
//! A state further ahead than its quota allows comes from a clock that ran ahead, or from a quota that
//! was changed. Up to a minute ahead it is taken as it is: clocks of several machines differ, and cutting
//! it would hand out what the faster clock has spent. Further ahead it is cut to "all spent", and kept
//! so: such a key would wait for a time that may never come.

use std::time::Duration;

use portcullis_core::Timestamp;

use crate::state::{Ring, State};
use crate::{Pace, Quota};

/// What became of a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a decision that nobody looks at limits nobody"]
pub enum Decision {
    /// The caller may go on; its cost is charged.
    Admitted {
        /// How many units are left.
        remaining: u32,
        /// After how long all units are back, if nothing more is spent.
        reset_after: Duration,
    },
    /// The caller must wait; nothing is charged.
    Limited {
        /// A caller that comes back after exactly this long, or later, is admitted, if nobody else has
        /// spent from the key meanwhile. Never zero.
        retry_after: Duration,
    },
    /// The cost is more than the quota ever holds: waiting does not help, and nothing is charged.
    Oversized,
}

impl Decision {
    /// Whether the caller may go on.
    #[must_use]
    pub const fn is_admitted(&self) -> bool {
        matches!(self, Self::Admitted { .. })
    }

    /// How long to wait; none if admitted, or if no wait helps.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Limited { retry_after } => Some(*retry_after),
            Self::Admitted { .. } | Self::Oversized => None,
        }
    }
}

/// What becomes of a key's state.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "lives on the stack for one decision; a box would allocate in each"
)]
pub(crate) enum Change {
    Nothing,
    Put(State),
    Forget,
}

/// Charges `cost`, or says how long to wait. A cost of zero charges nothing and is answered as one
/// unit would be.
pub(crate) fn decide(
    quota: &Quota,
    state: Option<State>,
    cost: u32,
    now: Timestamp,
) -> (Decision, Change) {
    match quota.pace() {
        Pace::Smooth => {
            let all_back = state.map_or(0, |state| state.into_smooth(quota));
            let (decision, next) = smooth(quota, all_back, cost, now);
            let put = |next| Change::Put(State::Smooth(next));
            (decision, next.map_or(Change::Nothing, put))
        }
        Pace::Strict => {
            let ring = state.map_or_else(|| Ring::new(quota), |state| state.into_strict(quota));
            let (decision, next) = strict(quota, ring, cost, now);
            let put = |next| Change::Put(State::Strict(next));
            (decision, next.map_or(Change::Nothing, put))
        }
    }
}

/// Gives back what was charged at `charged_at`, as far as it is still held.
pub(crate) fn refund(
    quota: &Quota,
    state: Option<State>,
    cost: u32,
    charged_at: Timestamp,
    now: Timestamp,
) -> Change {
    let Some(state) = state else {
        return Change::Nothing;
    };
    match quota.pace() {
        Pace::Smooth => {
            let all_back = state.into_smooth(quota);
            match smooth_refund(quota, all_back, cost, charged_at, now) {
                None => Change::Nothing,
                Some(next) if next <= now.as_unix_nanos() => Change::Forget,
                Some(next) => Change::Put(State::Smooth(next)),
            }
        }
        Pace::Strict => {
            let mut ring = state.into_strict(quota);
            let held = ring.stamps().len();
            ring.take_back(charged_at.as_unix_nanos(), cost);
            match ring.stamps().len() {
                0 => Change::Forget,
                left if left == held => Change::Nothing,
                _ => Change::Put(State::Strict(ring)),
            }
        }
    }
}

/// GCRA, with the state seen as a debt of time. `all_back` is zero for a key nothing is known of; what
/// is returned replaces it, if anything.
#[inline]
pub(crate) fn smooth(
    quota: &Quota,
    all_back: u64,
    cost: u32,
    now: Timestamp,
) -> (Decision, Option<u64>) {
    if cost > quota.burst_units() {
        return (Decision::Oversized, None);
    }
    let now = now.as_unix_nanos();
    let held = all_back.saturating_sub(now);
    let lost = held > quota.span_nanos().saturating_add(TOLERANCE_NANOS);
    let debt = if lost { quota.span_nanos() } else { held };
    // The cost is at most the burst, whose product was checked when the quota was made.
    let charge = quota
        .emission_nanos()
        .saturating_mul(u64::from(cost.max(1)));
    let total = debt.saturating_add(charge);
    let wait = total.saturating_sub(quota.span_nanos());
    if wait > 0 {
        let healed = lost.then(|| now.saturating_add(debt));
        return (limited(wait), healed);
    }
    if cost == 0 {
        return (smooth_admitted(quota, debt), None);
    }
    // At the end of time there is nothing to count with: refuse.
    match now.checked_add(total).filter(|next| *next < u64::MAX) {
        Some(next) => (smooth_admitted(quota, total), Some(next)),
        None => (limited(total), None),
    }
}

fn smooth_admitted(quota: &Quota, debt: u64) -> Decision {
    let remaining = if debt == 0 {
        quota.burst_units()
    } else if debt <= quota.emission_nanos() {
        // Most checks meet a key that was whole, and are spared the division.
        quota.burst_units().saturating_sub(1)
    } else {
        let free = quota.span_nanos().saturating_sub(debt);
        let units = free.checked_div(quota.emission_nanos()).unwrap_or(0);
        u32::try_from(units).unwrap_or(u32::MAX)
    };
    Decision::Admitted {
        remaining,
        reset_after: Duration::from_nanos(debt),
    }
}

/// The state with `cost` given back; none if there is nothing to give. What of the charge may have come
/// back by itself is not given back again: that would free what was spent since.
pub(crate) fn smooth_refund(
    quota: &Quota,
    all_back: u64,
    cost: u32,
    charged_at: Timestamp,
    now: Timestamp,
) -> Option<u64> {
    let charge = quota
        .emission_nanos()
        .saturating_mul(u64::from(cost.min(quota.burst_units())));
    let elapsed = now
        .as_unix_nanos()
        .saturating_sub(charged_at.as_unix_nanos());
    let owed = charge.saturating_sub(elapsed);
    (owed > 0 && all_back > 0).then(|| all_back.saturating_sub(owed))
}

/// A log of the units spent within the last period.
pub(crate) fn strict(
    quota: &Quota,
    mut ring: Ring,
    cost: u32,
    now: Timestamp,
) -> (Decision, Option<Ring>) {
    if cost > quota.count() {
        return (Decision::Oversized, None);
    }
    let now = now.as_unix_nanos();
    let period = quota.period_nanos();
    let lost = ring.pull_back(now, TOLERANCE_NANOS);
    ring.forget_old(now, period);
    let units = cost.max(1);
    let held = ring.stamps().len();
    let room = usize::try_from(quota.count()).unwrap_or(0);
    let wanted = held.saturating_add(usize::try_from(units).unwrap_or(usize::MAX));
    if let Some(last_to_leave) = wanted.saturating_sub(room).checked_sub(1) {
        // The cost is at most the count, so no more units must leave than are held.
        let back_at = ring
            .stamps()
            .get(last_to_leave)
            .map_or(now, |stamp| stamp.saturating_add(period));
        let decision = limited(back_at.saturating_sub(now).max(1));
        return (decision, lost.then_some(ring));
    }
    if cost == 0 {
        return (strict_admitted(quota, &ring, now), None);
    }
    if now.checked_add(period.saturating_mul(2)).is_none() {
        // At the end of time there is nothing to count with: refuse.
        return (limited(period), None);
    }
    ring.push(now, cost);
    (strict_admitted(quota, &ring, now), Some(ring))
}

fn strict_admitted(quota: &Quota, ring: &Ring, now: u64) -> Decision {
    let held = u32::try_from(ring.stamps().len()).unwrap_or(u32::MAX);
    let all_back = ring
        .newest()
        .map_or(now, |newest| newest.saturating_add(quota.period_nanos()));
    Decision::Admitted {
        remaining: quota.count().saturating_sub(held),
        reset_after: Duration::from_nanos(all_back.saturating_sub(now)),
    }
}

const fn limited(wait_nanos: u64) -> Decision {
    Decision::Limited {
        retry_after: Duration::from_nanos(wait_nanos),
    }
}

/// How far clocks that share a store may differ before a state counts as lost: a minute, more than
/// machines with any time service do.
const TOLERANCE_NANOS: u64 = 60 * 1_000_000_000;

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
