//! The changes to a segment, and what each is found as.

use std::ops::Range;
use std::time::Duration;

use super::{BEGUN, Written, judged, number};
use crate::header::HEADER_LEN;
use crate::record::{self, MAX_PAYLOAD, PREFIX_LEN};
use crate::verify::After;
use crate::{Damage, state};

impl Written {
    /// Puts any bytes in the place of some.
    pub(super) fn put(&self, at: usize, cut: u8, put: &[u8]) {
        let written = self.parts.concat();
        let from = at.min(written.len());
        let to = from.saturating_add(cut.into()).min(written.len());
        let (before, after) = (written.get(..from), written.get(to..));
        let changed = [before.unwrap_or_default(), put, after.unwrap_or_default()].concat();
        if changed != written {
            let _ = self.found(&changed);
        }
    }

    /// With the checksum left as it was, a change to the last write is a torn one.
    pub(super) fn flip(&self, at: usize, by: u8) {
        let mut changed = self.parts.concat();
        let at = at.checked_rem(changed.len()).unwrap_or_default();
        if let Some(byte) = changed.get_mut(at) {
            *byte ^= by.max(1);
        }
        let (which, _) = self.place(at);
        match number(which) {
            0 => self.finds(&changed, 1, Damage::Header),
            which if which < self.last_write => self.finds(&changed, which, Damage::Edited),
            which => {
                let last = which == self.head.sequence;
                let damage = if last { Damage::Torn } else { Damage::Edited };
                self.excuses(&changed, which, damage);
            }
        }
    }

    /// With the checksum made right again nothing but the seal tells, and no crash explains it.
    pub(super) fn forge(&self, which: u8, place: u8, by: u8) {
        let mut parts = self.parts.clone();
        let which = usize::from(which).checked_rem(parts.len());
        let Some((which, part)) = which.and_then(|which| Some((which, parts.get_mut(which)?)))
        else {
            return;
        };
        let sealed = part.len().saturating_sub(NAMED.start);
        let place = usize::from(place).checked_rem(sealed).unwrap_or_default();
        let place = place.saturating_add(NAMED.start);
        if let Some(byte) = part.get_mut(place) {
            *byte ^= by.max(1);
        }
        mend(part, which == 0);
        let changed = parts.concat();
        // It was the header's checksum.
        if changed == self.parts.concat() {
            return;
        }
        let damage = match which {
            _ if NAMED.contains(&place) => Damage::Spliced,
            0 => Damage::Header,
            _ => Damage::Edited,
        };
        self.finds(&changed, number(which).max(1), damage);
    }

    /// Cut within a record it is torn there; at the end of one, it is whole and shorter.
    pub(super) fn cut(&self, at: usize) {
        let written = self.parts.concat();
        let at = at.checked_rem(written.len()).unwrap_or_default();
        let changed = written.get(..at).unwrap_or_default();
        match self.place(at) {
            (0, _) => self.finds(changed, 1, Damage::Header),
            (_, 0) => assert_eq!(self.found(changed), Ok(None)),
            (which, within) => {
                let tail = self.excuses(changed, number(which), Damage::Torn);
                let tail = tail.map(|tail| (tail.short, tail.torn_bytes));
                assert_eq!(tail, Some((true, number(within))));
            }
        }
    }

    pub(super) fn swap(&self, one: u8, other: u8) {
        let (Some(one), Some(other)) = (self.record(one), self.record(other)) else {
            return;
        };
        let mut parts = self.parts.clone();
        parts.swap(one, other);
        if one != other {
            let first = number(one.min(other));
            self.finds(&parts.concat(), first, Damage::Reordered);
        }
    }

    /// Puts a record, once more, behind itself or another, or before all.
    pub(super) fn duplicate(&self, which: u8, behind: u8) {
        let Some(which) = self.record(which) else {
            return;
        };
        let behind = usize::from(behind).checked_rem(self.parts.len());
        let behind = behind.unwrap_or_default();
        let mut parts = self.parts.clone();
        let again = parts.get(which).cloned().unwrap_or_default();
        parts.insert(behind.saturating_add(1), again);
        let next = number(behind).saturating_add(1);
        let (sequence, damage) = match number(which) {
            which if which > next => (next, Damage::Reordered),
            // It stands where it belongs, and then once more.
            which if which == next => (next.saturating_add(1), Damage::Duplicated),
            _ => (next, Damage::Duplicated),
        };
        self.finds(&parts.concat(), sequence, damage);
    }

    pub(super) fn leave_out(&self, which: u8) {
        let Some(which) = self.record(which) else {
            return;
        };
        let mut parts = self.parts.clone();
        parts.remove(which);
        let changed = parts.concat();
        match number(which) {
            last if last == self.head.sequence => assert_eq!(self.found(&changed), Ok(None)),
            which => self.finds(&changed, which, Damage::Deleted),
        }
    }

    /// Puts the same record of another log under the same key in a record's place.
    pub(super) fn splice(&self, which: u8, other: &Self) {
        let Some(which) = self.record(which) else {
            return;
        };
        let mut parts = self.parts.clone();
        if let (Some(place), Some(strange)) = (parts.get_mut(which), other.parts.get(which)) {
            place.clone_from(strange);
        }
        self.finds(&parts.concat(), number(which), Damage::Spliced);
    }

    /// Puts the record of that number of another history of this log in the place of any but the first, which
    /// would begin that history.
    pub(super) fn fork(&self, which: u8, other: &Self) {
        let Some(which) = self.record(which).filter(|which| *which > 1) else {
            return;
        };
        let mut parts = self.parts.clone();
        if let (Some(place), Some(strange)) = (parts.get_mut(which), other.parts.get(which)) {
            place.clone_from(strange);
        }
        self.finds(&parts.concat(), number(which), Damage::Forked);
    }

    /// Seals one more record, of any content: the seal is right, so the content has to be.
    pub(super) fn go_on(&self, first: u8, secs: u8, told: &[u8]) {
        let first = u64::from(first % 16);
        let time = BEGUN.saturating_add(Duration::from_secs((secs % 16).into()));
        let payload = told.get(..MAX_PAYLOAD).unwrap_or(told);
        let put = |out: &mut Vec<u8>| out.extend_from_slice(payload);
        let mut bytes = self.parts.concat();
        let head = record::append(&mut bytes, &self.keys, &self.head, first, time, put);

        let (shown, read, walked) = self.walk(&bytes, After::Nothing);
        let in_order = time >= self.head.time && (1..=head.sequence).contains(&first);
        let event = state::decode(payload, time).filter(|_| in_order);
        let found = walked.map_err(|finding| (finding.sequence, finding.damage));
        let malformed = Err((head.sequence, Damage::Malformed));
        assert_eq!(found, event.as_ref().map_or(malformed, |_| Ok(None)));
        assert_eq!(read, if event.is_some() { head } else { self.head });
        let told = self.events.iter().chain(&event);
        assert!(shown.iter().eq(told), "shown and never told");
        assert_eq!(judged(&bytes), Some(event.is_some()));
    }

    /// The number of a record that there is, counted round and round from the first.
    fn record(&self, which: u8) -> Option<usize> {
        let place = usize::from(which).checked_rem(self.events.len())?;
        Some(place.saturating_add(1))
    }

    /// The record that a byte is in, 0 being the header, and where in it.
    fn place(&self, mut at: usize) -> (usize, usize) {
        for (which, part) in self.parts.iter().enumerate() {
            match at.checked_sub(part.len()) {
                Some(behind) => at = behind,
                None => return (which, at),
            }
        }
        (self.parts.len(), at)
    }
}

/// Makes the checksum of a header or a record right again.
fn mend(part: &mut [u8], is_header: bool) {
    let covered = match is_header {
        true => [part.get(..HEADER_CHECKSUM), None],
        false => [part.get(..4), part.get(PREFIX_LEN..)],
    };
    let mut crc = crc32fast::Hasher::new();
    for bytes in covered.into_iter().flatten() {
        crc.update(bytes);
    }
    let at = if is_header { HEADER_CHECKSUM } else { 4 };
    let place = part.get_mut(at..).and_then(<[u8]>::first_chunk_mut);
    if let Some(place) = place {
        *place = crc.finalize().to_be_bytes();
    }
}

/// Where a header and a record name their log; what is before is not the seal's alone.
const NAMED: Range<usize> = 9..25;
const HEADER_CHECKSUM: usize = HEADER_LEN - 36;

#[cfg(test)]
mod tests {
    use super::super::{LOG, STORY};
    use super::*;

    #[test]
    fn every_byte_cut_or_changed_is_found_as_what_it_is() {
        let written = Written::of(LOG, STORY);
        for at in 0..written.parts.concat().len() {
            written.cut(at);
            written.flip(at, 1);
        }
        for which in 0..=6 {
            for place in 0..=u8::MAX {
                written.forge(which, place, 0x80);
            }
        }
    }
}
