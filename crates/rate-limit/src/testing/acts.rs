//! A key's charges and refunds one after another, beside a plain list of them.

use std::time::Duration;

use portcullis_core::Timestamp;

use crate::decide::{Change, decide, refund};
use crate::state::State;
use crate::{Decision, Pace, Quota};

/// The body of the fuzz target `rate_limit_acts`: three bytes are the quota, then each three are an act, its
/// cost, and how long to wait before it.
///
/// Over no span is more let through than the quota's; a refund takes back what was charged and no more;
/// what is told of the units left and of the wait is so, and not a nanosecond longer; what was refused left
/// no trace.
///
/// # Panics
/// When one of those does not hold.
pub fn fuzz_rate_limit_acts(data: &[u8]) {
    let Some(([pace, count, burst], acts)) = data.split_first_chunk() else {
        return;
    };
    let (count, burst) = (u32::from(*count % 16), u32::from(*burst % 16));
    let quota = Quota::per(count.saturating_add(1), PERIOD).and_then(|quota| {
        if pace % 2 == 0 {
            quota.burst(burst.saturating_add(1))
        } else {
            quota.strict()
        }
    });
    let Ok(quota) = quota else { return };
    let mut key = Key {
        quota,
        now: Timestamp::from_unix_secs(1_700_000_000),
        held: None,
        charges: Vec::new(),
    };
    for [act, cost, wait] in acts.as_chunks().0 {
        let wait = WAITS.get(usize::from(wait % 16)).copied();
        key.now = key.now.saturating_add(wait.unwrap_or_default());
        match act % 4 {
            0..=2 => key.charge(u32::from(cost % 20)),
            _ => key.refund(usize::from(*cost)),
        }
    }
}

struct Key {
    quota: Quota,
    now: Timestamp,
    held: Option<State>,
    charges: Vec<Charge>,
}

/// What was let through, and how much of it a refund left: the units, or their time where they come back
/// bit by bit.
struct Charge {
    at: Timestamp,
    cost: u32,
    left: u64,
}

impl Key {
    fn charge(&mut self, cost: u32) {
        let (decision, change) = self.asked(cost, self.now);
        match decision {
            Decision::Admitted {
                remaining,
                reset_after,
            } => {
                self.take(change);
                self.charges.push(Charge {
                    at: self.now,
                    cost,
                    left: self.worth(cost),
                });
                self.admits_no_more_than_the_quota();
                if remaining > 0 {
                    assert!(self.asked(remaining, self.now).0.is_admitted());
                }
                let more = remaining.saturating_add(1);
                assert!(!self.asked(more, self.now).0.is_admitted());
                let whole = self.now.saturating_add(reset_after);
                let fresh = decide(&self.quota, None, 1, whole);
                assert_eq!(self.asked(1, whole), fresh);
            }
            Decision::Limited { retry_after } => {
                assert_eq!(change, Change::Nothing);
                let then = self.now.saturating_add(retry_after);
                assert!(self.asked(cost, then).0.is_admitted());
                let sooner = then.saturating_sub(Duration::from_nanos(1));
                assert!(self.now < then && !self.asked(cost, sooner).0.is_admitted());
            }
            Decision::Oversized => {
                assert_eq!(change, Change::Nothing);
                assert!(cost > self.most());
            }
        }
    }

    fn refund(&mut self, which: usize) {
        let Some(place) = which.checked_rem(self.charges.len()) else {
            return;
        };
        let charge = self.charges.swap_remove(place);
        let (at, cost) = (charge.at, charge.cost);
        self.take(refund(&self.quota, self.held.clone(), cost, at, self.now));
        if self.quota.pace() == Pace::Smooth {
            // What came back by itself was had, and is not given back again.
            let gone = self.now.saturating_since(at).as_nanos();
            let left = charge.left.min(u64::try_from(gone).unwrap_or(u64::MAX));
            self.charges.push(Charge {
                left,
                cost: 0,
                ..charge
            });
        }
        self.admits_no_more_than_the_quota();
    }

    fn admits_no_more_than_the_quota(&self) {
        for first in &self.charges {
            let since = self.charges.iter().filter(|charge| first.at <= charge.at);
            let (used, most) = match self.quota.pace() {
                Pace::Strict => {
                    let ends = first.at.saturating_add(self.quota.period());
                    let within = since.filter(|charge| charge.at < ends);
                    (total(within), u64::from(self.quota.count()))
                }
                Pace::Smooth => {
                    let back = self.now.saturating_since(first.at).as_nanos();
                    let back = u64::try_from(back).unwrap_or(u64::MAX);
                    (total(since), self.quota.span_nanos().saturating_add(back))
                }
            };
            assert!(used <= most, "{used} of {most}");
        }
    }

    /// What `cost` is counted in.
    fn worth(&self, cost: u32) -> u64 {
        match self.quota.pace() {
            Pace::Strict => u64::from(cost),
            Pace::Smooth => self.quota.emission_nanos().saturating_mul(u64::from(cost)),
        }
    }

    fn most(&self) -> u32 {
        match self.quota.pace() {
            Pace::Strict => self.quota.count(),
            Pace::Smooth => self.quota.burst_units(),
        }
    }

    fn asked(&self, cost: u32, now: Timestamp) -> (Decision, Change) {
        decide(&self.quota, self.held.clone(), cost, now)
    }

    fn take(&mut self, change: Change) {
        match change {
            Change::Nothing => {}
            Change::Forget => self.held = None,
            Change::Put(state) => {
                // As a store does.
                let held = State::decode(state.encode().as_bytes());
                assert_eq!(held.as_ref(), Some(&state));
                self.held = held;
            }
        }
    }
}

fn total<'a>(charges: impl Iterator<Item = &'a Charge>) -> u64 {
    charges.fold(0, |sum, charge| sum.saturating_add(charge.left))
}

const PERIOD: Duration = Duration::from_secs(60);
/// Short of each end, and at it.
const WAITS: [Duration; 16] = [
    Duration::ZERO,
    Duration::ZERO,
    Duration::ZERO,
    Duration::ZERO,
    Duration::from_nanos(1),
    Duration::from_millis(1),
    Duration::from_nanos(3_749_999_999),
    Duration::from_nanos(3_750_000_000),
    Duration::from_secs(5),
    Duration::from_nanos(19_999_999_999),
    Duration::from_secs(20),
    Duration::from_secs(30),
    Duration::from_nanos(59_999_999_999),
    Duration::from_secs(60),
    Duration::from_secs(61),
    Duration::from_secs(600),
];
