//! The smooth limiter's memory: a fixed table of atomics, sixteen bytes a key.
//!
//! A key's tag picks a set of eight slots, and the key sits in any one of them. Finding and charging a
//! key that is there takes no lock: the tag is read, the state compared and swapped, the tag read again.
//! A newcomer takes the lock of its stripe of sets for the few instructions that choose its slot, since
//! two threads must not give one key two slots, and so two quotas.
//!
//! Taking a slot over goes: state to `IN_TRANSIT` (which fails if its key is charged meanwhile), then the
//! tag, then the new state. Whoever meets `IN_TRANSIT`, or sees the tag change, comes back as a newcomer;
//! a charge that landed on the wrong key then stands, which costs that key a unit and gives nobody one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use portcullis_core::Timestamp;

use crate::decide::{smooth, smooth_refund};
use crate::policy::WAYS;
use crate::{Decision, Quota};

#[derive(Debug)]
pub(crate) struct SmoothTable {
    sets: Box<[Set]>,
    stripes: Box<[Mutex<()>]>,
}

/// Two cache lines, and never three.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Set([Slot; WAYS]);

#[derive(Debug, Default)]
struct Slot {
    /// Zero for a slot never used.
    tag: AtomicU64,
    /// When every unit will be back; zero for a slot never used.
    all_back: AtomicU64,
}

impl SmoothTable {
    /// `sets` is a power of two.
    pub(crate) fn new(sets: usize) -> Self {
        Self {
            sets: (0..sets).map(|_| Set::default()).collect(),
            stripes: (0..STRIPES.min(sets)).map(|_| Mutex::new(())).collect(),
        }
    }

    pub(crate) fn charge(&self, quota: &Quota, tag: u64, cost: u32, now: Timestamp) -> Decision {
        let step = |all_back| smooth(quota, all_back, cost, now);
        if let Some(decision) = self.apply(tag, step) {
            return decision;
        }
        let _stripe = self.stripe(tag);
        // Another thread may have brought the key in before this one had the lock.
        if let Some(decision) = self.apply(tag, step) {
            return decision;
        }
        self.admit_newcomer(quota, tag, cost, now)
    }

    pub(crate) fn refund(
        &self,
        quota: &Quota,
        tag: u64,
        cost: u32,
        charged_at: Timestamp,
        now: Timestamp,
    ) {
        // A key that is gone has nothing to be given back.
        let _ = self.apply(tag, |all_back| {
            ((), smooth_refund(quota, all_back, cost, charged_at, now))
        });
    }

    /// Steps the state of the key with that tag; none if the table does not hold it.
    fn apply<T>(&self, tag: u64, step: impl Fn(u64) -> (T, Option<u64>)) -> Option<T> {
        let slot = self
            .set(tag)
            .iter()
            .find(|slot| slot.tag.load(Ordering::Acquire) == tag)?;
        let still_ours = || slot.tag.load(Ordering::Acquire) == tag;
        let mut seen = slot.all_back.load(Ordering::Acquire);
        loop {
            if seen == IN_TRANSIT {
                return None;
            }
            let (answer, next) = step(seen);
            let Some(next) = next else {
                return still_ours().then_some(answer);
            };
            let swapped = slot.all_back.compare_exchange_weak(
                seen,
                next,
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            match swapped {
                Ok(_) => return still_ours().then_some(answer),
                Err(current) => seen = current,
            }
        }
    }

    /// Called under the stripe's lock, for a key the set does not hold. It takes the slot whose units
    /// are back first, be it unused, expired or live; an exhausted key is never forgotten, and a set
    /// full of them refuses the newcomer until the first has a unit again.
    fn admit_newcomer(&self, quota: &Quota, tag: u64, cost: u32, now: Timestamp) -> Decision {
        let (decision, next) = smooth(quota, 0, cost, now);
        if !decision.is_admitted() {
            return decision;
        }
        loop {
            let candidates = self.set(tag).iter();
            let first = candidates
                .map(|slot| (slot, slot.all_back.load(Ordering::Acquire)))
                .min_by_key(|(_, all_back)| *all_back);
            let Some((slot, seen)) = first else {
                return Decision::Oversized;
            };
            let (would, healed) = smooth(quota, seen, 1, now);
            let becomes = if would.is_admitted() {
                let Some(_) = next else { return decision };
                IN_TRANSIT
            } else {
                healed.unwrap_or(seen)
            };
            let swapped =
                slot.all_back
                    .compare_exchange(seen, becomes, Ordering::AcqRel, Ordering::Acquire);
            match (swapped, next) {
                // Its key was charged meanwhile: choose again.
                (Err(_), _) => {}
                (Ok(_), Some(next)) if becomes == IN_TRANSIT => {
                    slot.tag.store(tag, Ordering::Release);
                    slot.all_back.store(next, Ordering::Release);
                    return decision;
                }
                (Ok(_), _) => return would,
            }
        }
    }

    fn set(&self, tag: u64) -> &[Slot] {
        match self.sets.get(masked(tag, self.sets.len())) {
            Some(set) => &set.0,
            None => &[],
        }
    }

    /// Every set belongs to one stripe: both are the tag's low bits.
    fn stripe(&self, tag: u64) -> Option<MutexGuard<'_, ()>> {
        let stripe = self.stripes.get(masked(tag, self.stripes.len()))?;
        Some(stripe.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The tag's low bits, below `len`, a power of two.
pub(crate) fn masked(tag: u64, len: usize) -> usize {
    let mask = u64::try_from(len.saturating_sub(1)).unwrap_or(0);
    usize::try_from(tag & mask).unwrap_or(0)
}

/// No state: the rule refuses before it gets there.
const IN_TRANSIT: u64 = u64::MAX;
const STRIPES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);

    #[test]
    fn a_charge_that_landed_on_the_slots_next_key_admits_nobody() {
        let quota = Quota::per_minute(10).unwrap();
        let table = SmoothTable::new(1);
        let (ours, next) = (1, 2);
        let _ = table.charge(&quota, ours, 1, NOW);
        for other in 10..17 {
            let _ = table.charge(&quota, other, 2, NOW);
        }
        // Between this thread's look and its swap another key takes the slot, with an equal state.
        let answer = table.apply(ours, |all_back| {
            let _ = table.charge(&quota, next, 1, NOW);
            smooth(&quota, all_back, 1, NOW)
        });
        assert_eq!(answer, None);
        let Decision::Admitted { remaining, .. } = table.charge(&quota, next, 0, NOW) else {
            panic!("one unit was spent, and one charged in error");
        };
        assert_eq!(remaining, 8);
    }

    #[test]
    fn a_slot_in_transit_answers_nobody() {
        let quota = Quota::per_minute(10).unwrap();
        let table = SmoothTable::new(1);
        let _ = table.charge(&quota, 1, 1, NOW);
        let slot = table
            .set(1)
            .iter()
            .find(|slot| slot.tag.load(Ordering::Relaxed) == 1);
        slot.unwrap().all_back.store(IN_TRANSIT, Ordering::Relaxed);
        assert_eq!(table.apply(1, |_| ((), None)), None);
    }
}
