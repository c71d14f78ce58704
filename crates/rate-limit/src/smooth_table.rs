//! The smooth limiter's memory: a fixed table of atomics, sixteen bytes a key.
//!
//! A key's tag picks two sets of eight slots, and the key sits in any one of them: nearly always in the
//! first set, so that a look costs one memory access, and in the second when the first is crowded, so that
//! a table two thirds full still has room for every key. Finding and charging a key that is there takes no
//! lock: the tag is read, the state compared and swapped, the tag read again. A newcomer takes the lock of
//! its stripe of sets for the few instructions that choose its slot, since two threads must not give one
//! key two slots, and so two quotas. Both of a key's sets belong to one stripe.
//!
//! Taking a slot over goes: state to `IN_TRANSIT` (which fails if its key is charged meanwhile), then the
//! tag, then the new state. Whoever meets `IN_TRANSIT`, or sees the tag change, comes back as a newcomer;
//! a charge that landed on the wrong key then stands, which costs that key a unit and gives nobody one. A
//! refund, which would give one, takes the stripe's lock.

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
            stripes: (0..stripes(sets)).map(|_| Mutex::new(())).collect(),
        }
    }

    pub(crate) fn charge(&self, quota: &Quota, tag: u64, cost: u32, now: Timestamp) -> Decision {
        match self.apply(tag, |all_back| smooth(quota, all_back, cost, now)) {
            Some(decision) => decision,
            None => self.charge_newcomer(quota, tag, cost, now),
        }
    }

    #[cold]
    #[inline(never)]
    fn charge_newcomer(&self, quota: &Quota, tag: u64, cost: u32, now: Timestamp) -> Decision {
        let _stripe = self.stripe(tag);
        // Another thread may have brought the key in before this one had the lock.
        match self.apply(tag, |all_back| smooth(quota, all_back, cost, now)) {
            Some(decision) => decision,
            None => self.admit_newcomer(quota, tag, cost, now),
        }
    }

    pub(crate) fn refund(
        &self,
        quota: &Quota,
        tag: u64,
        cost: u32,
        charged_at: Timestamp,
        now: Timestamp,
    ) {
        // No slot changes hands meanwhile: what landed on the wrong key would be a unit too many for it.
        let _stripe = self.stripe(tag);
        // A key that is gone has nothing to be given back.
        let _ = self.apply(tag, |all_back| {
            ((), smooth_refund(quota, all_back, cost, charged_at, now))
        });
    }

    /// Steps the state of the key with that tag; none if the table does not hold it.
    fn apply<T>(&self, tag: u64, step: impl Fn(u64) -> (T, Option<u64>)) -> Option<T> {
        let slot = find(self.first(tag), tag).or_else(|| find(self.second(tag), tag))?;
        let still_ours = || slot.is_of(tag);
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

    /// Called under the stripe's lock, for a key that its sets do not hold. It takes an unused or expired
    /// slot if there is one, or else the slot whose units are back first; an exhausted key is never
    /// forgotten, and two sets full of them refuse the newcomer until the first has a unit again.
    fn admit_newcomer(&self, quota: &Quota, tag: u64, cost: u32, now: Timestamp) -> Decision {
        let (decision, next) = smooth(quota, 0, cost, now);
        if !decision.is_admitted() {
            return decision;
        }
        loop {
            let Some(Candidate { slot, seen }) = self.candidate(tag, now) else {
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

    /// The slot that a newcomer takes if its key is not exhausted.
    fn candidate(&self, tag: u64, now: Timestamp) -> Option<Candidate<'_>> {
        let now = now.as_unix_nanos();
        let (first, first_live) = survey(self.first(tag), now)?;
        let Some((second, second_live)) = survey(self.second(tag), now) else {
            return Some(first);
        };
        let crowded = first_live >= CROWDED && second_live < first_live;
        match (first.seen <= now, second.seen <= now) {
            (true, true) if crowded => Some(second),
            (true, _) => Some(first),
            (false, true) => Some(second),
            (false, false) if second.seen < first.seen => Some(second),
            (false, false) => Some(first),
        }
    }

    fn first(&self, tag: u64) -> &[Slot] {
        self.set(masked(tag, self.sets.len()))
    }

    /// Another set of the same stripe, or none where there is only one set.
    fn second(&self, tag: u64) -> &[Slot] {
        // An odd multiple of the stripes, both being powers of two, is zero only if all sets are.
        let stripes = u64::try_from(self.stripes.len()).unwrap_or(1);
        let apart = ((tag >> 32) | 1).wrapping_mul(stripes);
        match masked(apart, self.sets.len()) {
            0 => &[],
            apart => self.set(masked(tag, self.sets.len()) ^ apart),
        }
    }

    fn set(&self, at: usize) -> &[Slot] {
        self.sets.get(at).map_or(&[], |set| &set.0)
    }

    fn stripe(&self, tag: u64) -> Option<MutexGuard<'_, ()>> {
        let stripe = self.stripes.get(masked(tag, self.stripes.len()))?;
        Some(stripe.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Slot {
    fn is_of(&self, tag: u64) -> bool {
        self.tag.load(Ordering::Acquire) == tag
    }
}

/// The slot of that tag. All are looked at: where it stands is nothing a processor can foresee, and to
/// guess wrong costs more than to look.
fn find(set: &[Slot], tag: u64) -> Option<&Slot> {
    // Of a length that is known, so that it is no loop.
    let slots = set.first_chunk::<WAYS>()?;
    let mut found = 0_u32;
    for (at, slot) in (0..).zip(slots) {
        found |= u32::from(slot.is_of(tag)) << at;
    }
    slots.get(usize::try_from(found.trailing_zeros()).ok()?)
}

/// A slot, and the state it was chosen for.
struct Candidate<'a> {
    slot: &'a Slot,
    seen: u64,
}

/// The slot of a set whose units are back first, and how many slots hold a key that has spent something.
fn survey(set: &[Slot], now: u64) -> Option<(Candidate<'_>, usize)> {
    let seen = || {
        set.iter().map(|slot| Candidate {
            slot,
            seen: slot.all_back.load(Ordering::Acquire),
        })
    };
    let first = seen().min_by_key(|candidate| candidate.seen)?;
    Some((first, seen().filter(|live| live.seen > now).count()))
}

/// The tag's low bits, below `len`, a power of two.
pub(crate) fn masked(tag: u64, len: usize) -> usize {
    let mask = u64::try_from(len.saturating_sub(1)).unwrap_or(0);
    usize::try_from(tag & mask).unwrap_or(0)
}

/// A power of two. Few enough that the second sets of a set's keys are spread over 32 others.
fn stripes(sets: usize) -> usize {
    (sets / 64).clamp(1, STRIPES)
}

/// No state: the rule refuses before it gets there.
const IN_TRANSIT: u64 = u64::MAX;
const STRIPES: usize = 256;
/// From so many live keys on, a newcomer goes to its second set if fewer are live there. Lower would send
/// more keys where a look costs a second memory access; higher would leave full pairs of sets: two thirds
/// full, one key in thirty thousand finds both full, and one in ten sits in its second set.
const CROWDED: usize = 6;

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
    fn a_refund_waits_while_a_slot_of_its_key_may_change_hands() {
        let quota = Quota::per_minute(10).unwrap();
        let table = SmoothTable::new(1);
        let _ = table.charge(&quota, 1, 1, NOW);
        let spent = || table.apply(1, |all_back| (all_back, None)).unwrap();
        let before = spent();
        std::thread::scope(|scope| {
            let stripe = table.stripe(1);
            let refund = scope.spawn(|| table.refund(&quota, 1, 1, NOW, NOW));
            std::thread::sleep(std::time::Duration::from_millis(50));
            assert_eq!(spent(), before);
            drop(stripe);
            refund.join().unwrap();
        });
        assert!(spent() < before);
    }

    #[test]
    fn a_slot_in_transit_answers_nobody() {
        let quota = Quota::per_minute(10).unwrap();
        let table = SmoothTable::new(1);
        let _ = table.charge(&quota, 1, 1, NOW);
        let slot = table
            .first(1)
            .iter()
            .find(|slot| slot.tag.load(Ordering::Relaxed) == 1);
        slot.unwrap().all_back.store(IN_TRANSIT, Ordering::Relaxed);
        assert_eq!(table.apply(1, |_| ((), None)), None);
    }

    #[test]
    fn a_key_of_a_full_set_is_held_in_its_second_and_gets_no_second_quota() {
        let quota = Quota::per_minute(1).unwrap();
        let table = SmoothTable::new(4);
        // Every tag has the same first set, and the same second one.
        let tags = (1..=16).map(|id: u64| (id << 40) | 1);
        for tag in tags.clone() {
            assert!(table.charge(&quota, tag, 1, NOW).is_admitted());
        }
        for tag in tags {
            assert!(!table.charge(&quota, tag, 1, NOW).is_admitted());
        }
        let newcomer = table.charge(&quota, (17 << 40) | 1, 1, NOW);
        assert!(newcomer.retry_after().is_some(), "{newcomer:?}");
    }

    #[test]
    fn both_sets_of_a_key_differ_and_belong_to_its_stripe() {
        for sets in [2_usize, 8, 16, 4_096] {
            let table = SmoothTable::new(sets);
            for tag in (0..2_000).map(|id: u64| id.wrapping_mul(0x9e37_79b9_7f4a_7c15)) {
                let places = [table.first(tag), table.second(tag)].map(|set| {
                    let starts = table.sets.iter().map(|set| set.0.as_ptr());
                    starts
                        .clone()
                        .position(|start| start == set.as_ptr())
                        .unwrap()
                });
                assert_ne!(places[0], places[1]);
                let stripes = places.map(|place| place % table.stripes.len());
                assert_eq!(stripes[0], stripes[1]);
            }
        }
        assert!(SmoothTable::new(1).second(7).is_empty());
    }
}
