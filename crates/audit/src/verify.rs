//! The pure judge: bytes of segments in, what they prove or where they break out.
//!
//! # Torn or damaged?
//! A crash leaves a write half done: its last bytes missing or, after a power cut, any of its sectors.
//! Each record names the first record of its own write, and all before that were on disk by then. So
//! a broken record is *torn* only if nothing whole after it was written later than its own write;
//! anything else is damage, and a log with damage does not open.

use std::cmp::Ordering;

use crate::header::{HEADER_LEN, Header};
use crate::keys::Keys;
use crate::record::{Frame, Head, PREFIX_LEN, Parsed, landmark};
use crate::{Damage, Finding, Record, state};

/// A walk along a log's segments, in order.
#[derive(Debug)]
pub(crate) struct Walk {
    pub(crate) keys: Keys,
    pub(crate) head: Head,
    /// Where in the segment walked last the last write begins.
    pub(crate) last_write: usize,
    /// Where the records of the segment walked last end.
    pub(crate) end: usize,
    /// Bytes that later headers made void.
    pub(crate) void_bytes: u64,
}

/// What comes after a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) enum After<'a> {
    /// Nothing: it is the last.
    Nothing,
    /// Another segment, which begins with these bytes.
    Segment(&'a [u8]),
}

/// Where the records of the last segment stop before its bytes do, for a reason that a crash explains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tail {
    pub(crate) finding: Finding,
    /// The bytes end within a record: what a write under way looks like.
    pub(crate) short: bool,
    pub(crate) torn_bytes: u64,
}

impl Walk {
    /// A walk that begins at the segment with this header.
    pub(crate) fn at(keys: Keys, header: &Header) -> Self {
        Self {
            keys,
            head: header.before,
            last_write: HEADER_LEN,
            end: HEADER_LEN,
            void_bytes: 0,
        }
    }

    /// Checks that `header` begins a log: nothing was before it.
    pub(crate) fn begins(header: &Header) -> Result<(), Damage> {
        let before = &header.before;
        let nothing = (
            before.sequence,
            before.mac,
            header.previous_end,
            header.voids,
        );
        if nothing != (0, [0; 32], 0, false) {
            return Err(Damage::Malformed);
        }
        Ok(())
    }

    /// Walks segment `number` to its end, showing each record to `each`.
    ///
    /// Answers a tail only for the last segment. What is found at the segment after is said by the walk of
    /// that one, save what concerns the end of this one.
    pub(crate) fn segment(
        &mut self,
        number: u64,
        bytes: &[u8],
        after: After<'_>,
        each: &mut dyn FnMut(&Frame<'_>, Record),
    ) -> Result<Option<Tail>, Finding> {
        let sequence = self.head.next();
        let at = |offset: usize, sequence: u64, damage: Damage| Finding {
            segment: number,
            offset: u64::try_from(offset).unwrap_or(u64::MAX),
            sequence,
            damage,
        };
        let header = Header::of(&self.keys, number, bytes);
        let header = header.and_then(|header| self.follows(&header));
        header.map_err(|damage| at(0, sequence, damage))?;

        let sealed_end = match after {
            After::Nothing => None,
            // A broken header seals nothing; the walk of its own segment says so.
            After::Segment(next) => {
                let next = number
                    .checked_add(1)
                    .and_then(|number| Header::of(&self.keys, number, next).ok());
                next.map(|next| (end_of(&next), next.voids))
            }
        };
        let end = sealed_end.map_or(bytes.len(), |(end, _)| end);
        let counted = bytes.get(..end).unwrap_or(bytes);
        (self.last_write, self.end) = (HEADER_LEN, HEADER_LEN);
        let stopped = self.records(counted, each).err();
        let sequence = self.head.next();
        match (stopped, after) {
            (Some(stop), After::Nothing) if stop.crash => {
                return Ok(Some(Tail {
                    finding: at(self.end, sequence, stop.damage),
                    short: stop.short,
                    torn_bytes: span(self.end, bytes.len()),
                }));
            }
            (Some(stop), After::Segment(_)) if stop.damage == Damage::Torn => {
                let damage = if stop.short {
                    Damage::Deleted
                } else {
                    Damage::Edited
                };
                return Err(at(self.end, sequence, damage));
            }
            (Some(stop), _) => return Err(at(self.end, sequence, stop.damage)),
            (None, _) => {}
        }
        if counted.len() < end {
            return Err(at(self.end, sequence, Damage::Deleted));
        }
        if bytes.len() > end {
            if !sealed_end.is_some_and(|(_, voids)| voids) {
                return Err(at(end, sequence, Damage::Inserted));
            }
            self.void_bytes = self.void_bytes.saturating_add(span(end, bytes.len()));
        }
        Ok(None)
    }

    /// Whether a segment with this header goes on where the walk is.
    fn follows(&mut self, header: &Header) -> Result<(), Damage> {
        let before = &header.before;
        if before.sequence > self.head.sequence {
            return Err(Damage::Deleted);
        }
        if before.sequence < self.head.sequence || before.mac != self.head.mac {
            return Err(Damage::Forked);
        }
        if before.time < self.head.time {
            return Err(Damage::Malformed);
        }
        self.head.time = before.time;
        Ok(())
    }

    fn records(
        &mut self,
        bytes: &[u8],
        each: &mut dyn FnMut(&Frame<'_>, Record),
    ) -> Result<(), Stop> {
        let mut write = 0;
        loop {
            let rest = bytes.get(self.end..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(());
            }
            let (frame, len) = match Frame::parse(rest) {
                Parsed::Whole(frame, len) => (frame, len),
                Parsed::Short => return Err(self.broken(rest, true)),
                Parsed::Bad => return Err(self.broken(rest, false)),
            };
            let record = self
                .judge(&frame)
                .map_err(|fault| self.misplaced(rest, fault))?;
            if frame.write_first != write {
                (self.last_write, write) = (self.end, frame.write_first);
            }
            self.head = frame.head();
            self.end = self.end.saturating_add(len);
            each(&frame, record);
        }
    }

    /// The record, if it is the one that belongs here.
    fn judge(&self, frame: &Frame<'_>) -> Result<Record, Fault> {
        if frame.log != self.keys.log {
            return Err(Fault::OtherLog);
        }
        if !frame.sealed_by(&self.keys) {
            return Err(Fault::Unsealed);
        }
        let next = self.head.next();
        match frame.sequence.cmp(&next) {
            Ordering::Less => return Err(Fault::Past),
            Ordering::Greater => return Err(Fault::Future),
            Ordering::Equal => {}
        }
        if frame.previous != self.head.mac {
            return Err(Fault::OtherHistory);
        }
        let in_order = frame.time >= self.head.time && (1..=next).contains(&frame.write_first);
        let event = state::decode(frame.payload, frame.time).filter(|_| in_order);
        event.map_or(Err(Fault::Meaningless), |event| {
            Ok(Record {
                sequence: frame.sequence,
                at: frame.time,
                event,
            })
        })
    }

    /// What a whole record that does not belong here says of what was done.
    fn misplaced(&self, rest: &[u8], fault: Fault) -> Stop {
        let next = self.head.next();
        let damage = match fault {
            Fault::OtherLog => Damage::Spliced,
            Fault::Past => Damage::Duplicated,
            Fault::OtherHistory => Damage::Forked,
            Fault::Meaningless => Damage::Malformed,
            Fault::Future if Later::of(&self.keys, rest).any(|later| later.sequence == next) => {
                Damage::Reordered
            }
            Fault::Future => Damage::Deleted,
            Fault::Unsealed => match Later::of(&self.keys, rest).next() {
                Some(later) if later.sequence <= next => Damage::Inserted,
                _ => Damage::Edited,
            },
        };
        Stop {
            damage,
            crash: false,
            short: false,
        }
    }

    /// What bytes that are no record say of what was done.
    fn broken(&self, rest: &[u8], short: bool) -> Stop {
        let next = self.head.next();
        let mut later = Later::of(&self.keys, rest);
        let Some(first) = later.next() else {
            return Stop {
                damage: Damage::Torn,
                crash: true,
                short,
            };
        };
        let of_this_write = |frame: &Frame<'_>| frame.sequence > next && frame.write_first <= next;
        Stop {
            damage: if first.sequence <= next {
                Damage::Inserted
            } else {
                Damage::Edited
            },
            crash: of_this_write(&first) && later.all(|frame| of_this_write(&frame)),
            short: false,
        }
    }
}

/// Why the walk along a segment's records ended before its bytes.
#[derive(Clone, Copy, Debug)]
struct Stop {
    damage: Damage,
    /// A crash alone explains it, if this is the last segment.
    crash: bool,
    short: bool,
}

/// Why a whole record does not belong where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    OtherLog,
    Unsealed,
    Past,
    Future,
    OtherHistory,
    Meaningless,
}

/// The sealed records that can be found after the first byte of `rest`, whatever stands between them.
struct Later<'a> {
    keys: &'a Keys,
    rest: &'a [u8],
    mark: [u8; 17],
    from: usize,
}

impl<'a> Later<'a> {
    fn of(keys: &'a Keys, rest: &'a [u8]) -> Self {
        Self {
            keys,
            rest,
            mark: landmark(keys.log),
            from: 1,
        }
    }
}

impl<'a> Iterator for Later<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        loop {
            let marks = self.rest.get(self.from.saturating_add(PREFIX_LEN)..)?;
            let found = marks
                .windows(self.mark.len())
                .position(|window| window == self.mark)?;
            let start = self.from.saturating_add(found);
            match Frame::parse(self.rest.get(start..)?) {
                Parsed::Whole(frame, len) if frame.sealed_by(self.keys) => {
                    self.from = start.saturating_add(len);
                    return Some(frame);
                }
                _ => self.from = start.saturating_add(1),
            }
        }
    }
}

fn end_of(next: &Header) -> usize {
    usize::try_from(next.previous_end).unwrap_or(usize::MAX)
}

fn span(from: usize, to: usize) -> u64 {
    u64::try_from(to.saturating_sub(from)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
