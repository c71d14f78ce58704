//! The bytes at rest.
//!
//! | First byte | Pace | Then |
//! |---|---|---|
//! | 1 | smooth | 8 bytes: the instant at which every unit will be back, in nanoseconds |
//! | 2 | strict | the tick's exponent, 8 bytes of the newest unit's instant, 2 bytes for each older unit |
//!
//! Numbers are big-endian. An older unit is kept as its age in ticks before the newest; a tick is
//! 2^exponent nanoseconds and about a 30 000th of the period, and instants are rounded *up* to a tick, so
//! that no unit comes back early.

use portcullis_core::{Timestamp, Value};

use crate::Quota;

/// What is remembered of a key that has spent something.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "lives on the stack for one decision; a box would allocate in each"
)]
pub(crate) enum State {
    /// When every unit will be back, in nanoseconds since the epoch (GCRA's theoretical arrival time).
    Smooth(u64),
    /// When each unit was spent.
    Strict(Ring),
}

impl State {
    /// Strict: what decodes encodes to the same bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes.split_first()? {
            (&SMOOTH, rest) => Some(Self::Smooth(u64::from_be_bytes(rest.try_into().ok()?))),
            (&STRICT, rest) => Ring::decode(rest).map(Self::Strict),
            _ => None,
        }
    }

    pub(crate) fn encode(&self) -> Value {
        match self {
            Self::Smooth(all_back) => {
                let mut bytes = [SMOOTH; 9];
                bytes
                    .iter_mut()
                    .skip(1)
                    .zip(all_back.to_be_bytes())
                    .for_each(|(to, from)| *to = from);
                Value::new(&bytes)
            }
            Self::Strict(ring) => ring.encode(),
        }
    }

    /// From when on this state decides like none.
    pub(crate) fn expires_at(&self, quota: &Quota) -> Timestamp {
        match self {
            Self::Smooth(all_back) => Timestamp::from_unix_nanos(*all_back),
            Self::Strict(ring) => ring.newest().map_or(Timestamp::UNIX_EPOCH, |newest| {
                Timestamp::from_unix_nanos(newest.saturating_add(quota.period_nanos()))
            }),
        }
    }

    /// When every unit will be back, read as a smooth quota does. What a strict quota left behind
    /// counts as all spent, until its newest unit is a period old: a change of pace frees nobody.
    pub(crate) fn into_smooth(self, quota: &Quota) -> u64 {
        match self {
            Self::Smooth(all_back) => all_back,
            Self::Strict(ring) => ring
                .newest()
                .map_or(0, |newest| newest.saturating_add(quota.span_nanos())),
        }
    }

    /// When each unit was spent, read as a strict quota does. What a smooth quota left behind counts
    /// as all spent, coming back when the smooth one would have been whole.
    pub(crate) fn into_strict(self, quota: &Quota) -> Ring {
        match self {
            Self::Strict(ring) => ring.with_tick(exponent_of(quota)),
            Self::Smooth(all_back) => {
                let mut ring = Ring::new(quota);
                ring.push(all_back.saturating_sub(quota.period_nanos()), quota.count());
                ring
            }
        }
    }
}

/// The instants of the units spent, oldest first, each a whole number of ticks.
#[derive(Clone, Debug)]
pub(crate) struct Ring {
    exponent: u8,
    len: usize,
    stamps: [u64; MAX_UNITS],
}

impl Ring {
    pub(crate) fn new(quota: &Quota) -> Self {
        Self {
            exponent: exponent_of(quota),
            len: 0,
            stamps: [0; MAX_UNITS],
        }
    }

    /// The units, oldest first.
    pub(crate) fn stamps(&self) -> &[u64] {
        self.stamps.get(..self.len).unwrap_or(&self.stamps)
    }

    pub(crate) fn newest(&self) -> Option<u64> {
        self.stamps().last().copied()
    }

    /// Adds `units` spent at `nanos`. There is room: a caller asks for no more than the count.
    pub(crate) fn push(&mut self, nanos: u64, units: u32) {
        let stamp = round_up(nanos, self.exponent);
        let in_order = self.newest().is_none_or(|newest| newest <= stamp);
        for _ in 0..units {
            let Some(free) = self.stamps.get_mut(self.len) else {
                break;
            };
            *free = stamp;
            self.len = self.len.saturating_add(1);
        }
        // Only a clock that stepped back makes disorder.
        if !in_order && let Some(used) = self.stamps.get_mut(..self.len) {
            used.sort_unstable();
        }
    }

    /// Forgets the units that are a period old at `nanos`.
    pub(crate) fn forget_old(&mut self, nanos: u64, period_nanos: u64) {
        let old = |stamp: &&u64| stamp.saturating_add(period_nanos) <= nanos;
        let gone = self.stamps().iter().take_while(old).count();
        if gone == 0 {
            return;
        }
        if let Some(used) = self.stamps.get_mut(..self.len) {
            used.copy_within(gone.min(used.len()).., 0);
        }
        self.len = self.len.saturating_sub(gone);
    }

    /// Forgets up to `units` units spent at `nanos`.
    pub(crate) fn take_back(&mut self, nanos: u64, units: u32) {
        let stamp = round_up(nanos, self.exponent);
        let mut left = units;
        let keep = |held| {
            let gone = held == stamp && left > 0;
            left = left.saturating_sub(u32::from(gone));
            !gone
        };
        self.rebuild(self.exponent, keep, |held| held);
    }

    /// Moves units spent more than `tolerance_nanos` after `nanos` to `nanos`; whether there were any.
    pub(crate) fn pull_back(&mut self, nanos: u64, tolerance_nanos: u64) -> bool {
        let stamp = round_up(nanos, self.exponent);
        let latest = stamp.saturating_add(tolerance_nanos);
        let lost = self.newest().is_some_and(|newest| newest > latest);
        if lost {
            let pulled = |held| if held > latest { stamp } else { held };
            self.rebuild(self.exponent, |_| true, pulled);
        }
        lost
    }

    /// The same units on another tick, none of them earlier.
    fn with_tick(mut self, exponent: u8) -> Self {
        if self.exponent != exponent {
            self.rebuild(exponent, |_| true, |held| round_up(held, exponent));
        }
        self
    }

    fn rebuild(
        &mut self,
        exponent: u8,
        mut keep: impl FnMut(u64) -> bool,
        change: impl Fn(u64) -> u64,
    ) {
        let mut stamps = [0; MAX_UNITS];
        let kept = self.stamps().iter().copied().filter(|stamp| keep(*stamp));
        let mut len = 0_usize;
        for (to, stamp) in stamps.iter_mut().zip(kept) {
            *to = change(stamp);
            len = len.saturating_add(1);
        }
        if let Some(used) = stamps.get_mut(..len) {
            used.sort_unstable();
        }
        *self = Self {
            exponent,
            len,
            stamps,
        };
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (exponent, rest) = bytes.split_first()?;
        let (newest, ages) = rest.split_at_checked(8)?;
        let newest = u64::from_be_bytes(newest.try_into().ok()?);
        let (ages, odd) = ages.as_chunks::<2>();
        if *exponent > MAX_EXPONENT
            || newest != round_up(newest, *exponent)
            || ages.len() >= MAX_UNITS
            || !odd.is_empty()
        {
            return None;
        }
        let len = ages.len().checked_add(1)?;
        let mut stamps = [0; MAX_UNITS];
        let used = stamps.get_mut(..len)?;
        let mut youngest = 0;
        let (last, older) = used.split_last_mut()?;
        *last = newest;
        for (to, age) in older.iter_mut().rev().zip(ages) {
            let age = u16::from_be_bytes(*age);
            if age < youngest {
                return None;
            }
            youngest = age;
            *to = newest.checked_sub(u64::from(age) << exponent)?;
        }
        Some(Self {
            exponent: *exponent,
            len,
            stamps,
        })
    }

    fn encode(&self) -> Value {
        let newest = self.newest().unwrap_or(0);
        let ages = self.stamps().iter().rev().skip(1).flat_map(|stamp| {
            let age = newest.saturating_sub(*stamp) >> self.exponent;
            // An age past two periods is met only between clocks far apart; the youngest age that is
            // kept makes the unit come back later, never earlier.
            u16::try_from(age).unwrap_or(u16::MAX).to_be_bytes()
        });
        let head = [STRICT, self.exponent].into_iter();
        let all = head.chain(newest.to_be_bytes()).chain(ages);
        let mut bytes = [0; LONGEST];
        let mut len = 0_usize;
        for (to, from) in bytes.iter_mut().zip(all) {
            *to = from;
            len = len.saturating_add(1);
        }
        Value::new(bytes.get(..len).unwrap_or(&bytes))
    }
}

impl PartialEq for Ring {
    fn eq(&self, other: &Self) -> bool {
        self.exponent == other.exponent && self.stamps() == other.stamps()
    }
}

impl Eq for Ring {}

/// The smallest tick in which a period is at most 2^15 ticks, so that two periods fit an age.
fn exponent_of(quota: &Quota) -> u8 {
    let bits = u64::BITS.saturating_sub(quota.period_nanos().leading_zeros());
    u8::try_from(bits.saturating_sub(15)).unwrap_or(MAX_EXPONENT)
}

/// The first whole tick that is not before `nanos`; at the end of time the last.
fn round_up(nanos: u64, exponent: u8) -> u64 {
    let below = (1_u64 << exponent.min(MAX_EXPONENT)).saturating_sub(1);
    nanos.saturating_add(below) & !below
}

const SMOOTH: u8 = 1;
const STRICT: u8 = 2;
/// Version, exponent and the newest unit, and an age of two bytes for each other one.
const LONGEST: usize = 136;
pub(crate) const MAX_UNITS: usize = Quota::MAX_STRICT as usize;
/// That of a period of 366 days.
const MAX_EXPONENT: u8 = 40;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "tests")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    #[test]
    fn bytes_that_are_no_state_are_refused() {
        let ring = |tail: &[u8]| [&[STRICT, 4][..], &160_u64.to_be_bytes(), tail].concat();
        assert!(State::decode(&ring(&[0, 1, 0, 2])).is_some());
        let too_many = [0; 2 * MAX_UNITS];
        let refused: &[&[u8]] = &[
            &[],
            &[0],
            &[3, 0, 0, 0, 0, 0, 0, 0, 1],
            &[SMOOTH, 0, 0, 0, 0, 0, 0, 1],
            &[SMOOTH, 0, 0, 0, 0, 0, 0, 0, 1, 0],
            &[STRICT, 4, 0, 0, 0, 0, 0, 0, 0],
            &[STRICT, 41, 0, 0, 0, 0, 0, 0, 0, 0],
            &[STRICT, 4, 0, 0, 0, 0, 0, 0, 0, 161],
            &ring(&[0]),
            &ring(&[0, 2, 0, 1]),
            &ring(&[0, 11]),
            &ring(&too_many),
        ];
        for bytes in refused {
            assert_eq!(State::decode(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn a_smooth_state_survives_its_bytes() {
        for all_back in [0, 1, u64::MAX] {
            let state = State::Smooth(all_back);
            assert_eq!(State::decode(state.encode().as_bytes()), Some(state));
        }
    }

    #[test]
    fn ten_units_a_minute_need_no_allocation() {
        let quota = Quota::per_minute(10).unwrap().strict().unwrap();
        let mut ring = Ring::new(&quota);
        ring.push(1_700_000_000_000_000_000, 10);
        assert_eq!(ring.encode().as_bytes().len(), 28);
    }

    #[test]
    fn the_longest_state_fits_its_buffer_to_the_byte() {
        assert_eq!(LONGEST, 10 + 2 * (MAX_UNITS - 1));
    }

    /// Ten a minute, each unit spent in that tick.
    fn spent(ticks: &[u64]) -> (Ring, u64) {
        let mut ring = Ring::new(&Quota::per_minute(10).unwrap().strict().unwrap());
        let tick = 1 << ring.exponent;
        for at in ticks {
            ring.push(at * tick, 1);
        }
        (ring, tick)
    }

    #[test]
    fn only_units_past_the_tolerance_are_pulled_back() {
        let (mut ring, tick) = spent(&[100, 101]);
        assert!(!ring.pull_back(90 * tick, 11 * tick));
        assert_eq!(ring, spent(&[100, 101]).0);
        assert!(ring.pull_back(90 * tick, 10 * tick));
        assert_eq!(ring, spent(&[90, 100]).0);
    }

    #[test]
    fn rings_of_other_units_or_another_tick_differ() {
        let (ring, _) = spent(&[100]);
        assert_ne!(ring, spent(&[101]).0);
        assert_ne!(ring, spent(&[100, 100]).0);
        let mut coarser = ring.clone();
        coarser.exponent += 1;
        assert_ne!(ring, coarser);
    }

    #[test]
    fn the_longest_period_has_a_tick_that_decodes() {
        let year = Duration::from_secs(366 * 86_400);
        let quota = Quota::per(64, year).unwrap().strict().unwrap();
        let mut ring = Ring::new(&quota);
        ring.push(1_700_000_000_000_000_000, 64);
        let state = State::Strict(ring);
        assert_eq!(State::decode(state.encode().as_bytes()), Some(state));
    }

    proptest! {
        #[test]
        fn what_decodes_encodes_to_the_same_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..40), version in 0_u8..4, exponent in 0_u8..42) {
            let bytes = [&[version, exponent][..], &bytes].concat();
            if let Some(state) = State::decode(&bytes) {
                let encoded = state.encode();
                prop_assert_eq!(encoded.as_bytes(), bytes.as_slice());
            }
        }

        #[test]
        fn a_ring_survives_its_bytes(period in 1_u64..10_000_000_000_000, at in 0_u64..1 << 62, gaps in proptest::collection::vec(0_u64..1_000_000_000, 1..64)) {
            let quota = Quota::per(64, Duration::from_nanos(period)).unwrap().strict().unwrap();
            let mut ring = Ring::new(&quota);
            let mut now = at;
            for gap in gaps {
                now = now.saturating_add(gap.checked_rem(period).unwrap_or(0));
                ring.forget_old(now, period);
                ring.push(now, 1);
            }
            let state = State::Strict(ring);
            prop_assert_eq!(State::decode(state.encode().as_bytes()), Some(state));
        }
    }
}
