//! The strict limiter's memory: sets of eight keys, each set behind a lock of its own.
//!
//! A state is kept as the bytes it has in a store: 28 for ten units, held in place.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_core::{Timestamp, Value};

use crate::decide::{Change, decide, refund};
use crate::policy::WAYS;
use crate::smooth_table::masked;
use crate::state::State;
use crate::{Decision, Quota};

#[derive(Debug)]
pub(crate) struct StrictTable {
    sets: Box<[Mutex<[Slot; WAYS]>]>,
}

#[derive(Debug, Default)]
struct Slot {
    tag: u64,
    held: Option<Value>,
}

impl StrictTable {
    /// `sets` is a power of two.
    pub(crate) fn new(sets: usize) -> Self {
        Self {
            sets: (0..sets).map(|_| Mutex::default()).collect(),
        }
    }

    pub(crate) fn charge(&self, quota: &Quota, tag: u64, cost: u32, now: Timestamp) -> Decision {
        let Some(mut set) = self.set(tag) else {
            return Decision::Oversized;
        };
        if let Some(slot) = find(&mut set, tag) {
            let (decision, change) = decide(quota, slot.state(), cost, now);
            slot.apply(change);
            return decision;
        }
        let (decision, change) = decide(quota, None, cost, now);
        if !decision.is_admitted() {
            return decision;
        }
        match make_room(&mut set, quota, now) {
            Ok(slot) => {
                if change != Change::Nothing {
                    slot.tag = tag;
                    slot.apply(change);
                }
                decision
            }
            Err(retry_after) => Decision::Limited { retry_after },
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
        if let Some(mut set) = self.set(tag)
            && let Some(slot) = find(&mut set, tag)
        {
            slot.apply(refund(quota, slot.state(), cost, charged_at, now));
        }
    }

    fn set(&self, tag: u64) -> Option<MutexGuard<'_, [Slot; WAYS]>> {
        let set = self.sets.get(masked(tag, self.sets.len()))?;
        // Nothing between lock and unlock leaves a slot half changed.
        Some(set.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn find(set: &mut [Slot; WAYS], tag: u64) -> Option<&mut Slot> {
    set.iter_mut()
        .find(|slot| slot.tag == tag && slot.held.is_some())
}

/// The slot a newcomer takes: the one that has spent least, then the one whose units are back first.
/// An exhausted key is never forgotten; with nothing but those, how long until one has a unit again.
fn make_room<'a>(
    set: &'a mut [Slot; WAYS],
    quota: &Quota,
    now: Timestamp,
) -> Result<&'a mut Slot, Duration> {
    let mut shortest_wait = Duration::MAX;
    let mut best = None;
    for slot in set {
        let (would, change) = decide(quota, slot.state(), 0, now);
        // What a clock ahead left behind is cut here too, or it would hold the slot for ever.
        slot.apply(change);
        match would {
            Decision::Admitted {
                remaining,
                reset_after,
            } => {
                let spent = (quota.count().saturating_sub(remaining), reset_after);
                if best.as_ref().is_none_or(|(least, _)| spent < *least) {
                    best = Some((spent, slot));
                }
            }
            Decision::Limited { retry_after } => shortest_wait = shortest_wait.min(retry_after),
            Decision::Oversized => {}
        }
    }
    best.map(|(_, slot)| slot).ok_or(shortest_wait)
}

impl Slot {
    fn state(&self) -> Option<State> {
        // These bytes never left the process; they decode.
        State::decode(self.held.as_ref()?.as_bytes())
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Nothing => {}
            Change::Put(state) => self.held = Some(state.encode()),
            Change::Forget => self.held = None,
        }
    }
}
