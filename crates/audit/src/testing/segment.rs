//! A segment of whatever events the input tells of, and one change to it.

mod changes;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use portcullis_core::{Reason, Timestamp};

use super::key;
use crate::header::Header;
use crate::keys::{Keys, LogId};
use crate::record::{self, Head};
use crate::verify::{After, Tail, Walk};
use crate::{Action, Checkpoint, CheckpointError, Damage, Event, Finding, state};

/// The body of the fuzz target `audit_segment`: the first byte says whether the rest is a segment as it
/// stands or what is done to one that is sealed here; three bytes say where, and the rest tells the events.
///
/// As it was written it verifies and shows what was told. Every change is found, and where a rule says as
/// what and at which record, so it is; what is shown before is what was told. Only a change that a crash
/// explains is no damage, and only a tail cut at the end of a record leaves a whole: a checkpoint reveals
/// either, and so does the header of a segment after.
///
/// # Panics
/// When that does not hold.
pub fn fuzz_audit_segment(data: &[u8]) {
    let Some((act, rest)) = data.split_first() else {
        return;
    };
    if act % 16 == 0 {
        judged(rest);
        return;
    }
    let Some(([high, low, more], told)) = rest.split_first_chunk() else {
        return;
    };
    let at = usize::from(u16::from_be_bytes([*high, *low]));
    let story = match act % 16 {
        1 | 9 | 13.. => STORY,
        _ => told,
    };
    let written = Written::of(LOG, story);
    written.stands();
    match act % 16 {
        1 => written.put(at, *more, told),
        2 => written.flip(at, *more),
        3 => written.cut(at),
        4 => written.swap(*high, *low),
        5 => written.duplicate(*high, *low),
        6 => written.leave_out(*high),
        7 => written.splice(*high, &Written::of(OTHER_LOG, story)),
        8 | 11 | 12 => written.forge(*high, *low, *more),
        10 => written.fork(*high, &Written::of(LOG, &otherwise(story))),
        _ => written.go_on(*high, *low, told),
    }
}

/// Walks a segment; says whether it is whole, if its header is.
fn judged(segment: &[u8]) -> Option<bool> {
    let (header, keys) = Header::open(&key(), segment).ok()?;
    let mut walk = Walk::at(keys.clone(), &header);
    let mut again = header.encode(&keys);
    let mut head = header.before;
    let walked = walk.segment(1, segment, After::Nothing, &mut |frame, record| {
        assert_eq!((record.sequence, record.at), (head.next(), frame.time));
        assert!(record.at >= head.time);
        let (first, time) = (frame.write_first, frame.time);
        let payload = |out: &mut Vec<u8>| state::encode(&record.event, time, out);
        head = record::append(&mut again, &keys, &head, first, time, payload);
    });
    assert_eq!(segment.get(..again.len()), Some(again.as_slice()));
    Some(matches!(walked, Ok(None)))
}

/// A segment that was written here.
struct Written {
    keys: Keys,
    header: Header,
    /// The header's bytes, then each record's: the place is the record's number.
    parts: Vec<Vec<u8>>,
    events: Vec<Event>,
    head: Head,
    /// The number of the first record of the last write.
    last_write: u64,
}

impl Written {
    /// For each record four bytes, the first of which is the length of the text that follows them.
    fn of(log: LogId, mut told: &[u8]) -> Self {
        let keys = Keys::derive(&key(), log);
        let header = Header {
            log,
            number: 1,
            before: Head {
                sequence: 0,
                mac: [0; 32],
                time: BEGUN,
            },
            previous_end: 0,
            voids: false,
        };
        let mut written = Self {
            parts: vec![header.encode(&keys)],
            head: header.before,
            keys,
            header,
            events: Vec::new(),
            last_write: 0,
        };
        while let Some(([len, action, shape, wait], rest)) = told.split_first_chunk()
            && written.events.len() < RECORDS_MAX
        {
            let text = rest.split_at_checked(usize::from(len % 32));
            let (text, rest) = text.unwrap_or((rest, &[]));
            let at = written.time(*wait);
            written.append(event(*action, *shape, text, at), wait % 2 == 0);
            told = rest;
        }
        written
    }

    /// An instant a little later than the last record, or one before it.
    fn time(&self, wait: u8) -> Timestamp {
        match wait % 8 {
            6.. => BEGUN,
            _ => {
                let wait = Duration::from_secs(wait.into());
                self.head.time.saturating_add(wait)
            }
        }
    }

    /// As the writer does.
    fn append(&mut self, event: Event, begins_a_write: bool) {
        if begins_a_write || self.events.is_empty() {
            self.last_write = self.head.next();
        }
        let time = event.at.max(self.head.time);
        let payload = |out: &mut Vec<u8>| state::encode(&event, time, out);
        let (first, mut bytes) = (self.last_write, Vec::new());
        self.head = record::append(&mut bytes, &self.keys, &self.head, first, time, payload);
        self.parts.push(bytes);
        self.events.push(event);
    }

    /// As it was written it verifies, with and without a segment after it.
    fn stands(&self) {
        let bytes = self.parts.concat();
        for after in [None, Some(self.next_header())] {
            let after = after.as_deref().map_or(After::Nothing, After::Segment);
            let (shown, head, walked) = self.walk(&bytes, after);
            assert_eq!(walked, Ok(None));
            assert_eq!((shown, head), (self.events.clone(), self.head));
        }
        assert_eq!(judged(&bytes), Some(true));
    }

    fn walk(
        &self,
        bytes: &[u8],
        after: After<'_>,
    ) -> (Vec<Event>, Head, Result<Option<Tail>, Finding>) {
        let mut walk = Walk::at(self.keys.clone(), &self.header);
        let mut shown = Vec::new();
        let walked = walk.segment(1, bytes, after, &mut |_, record| shown.push(record.event));
        (shown, walk.head, walked)
    }

    fn next_header(&self) -> Vec<u8> {
        let header = Header {
            number: 2,
            before: self.head,
            previous_end: number(self.parts.concat().len()),
            ..self.header
        };
        header.encode(&self.keys)
    }

    /// What is said of bytes that are not those that were written, which is never that they are.
    fn found(&self, changed: &[u8]) -> Result<Option<Tail>, Finding> {
        let written = self.parts.concat();
        assert_ne!(changed, written);
        let after = self.next_header();
        let (_, _, walked) = self.walk(changed, After::Segment(&after));
        assert!(walked.is_err(), "a change before a segment was missed");

        let (shown, head, walked) = self.walk(changed, After::Nothing);
        assert!(self.events.starts_with(&shown), "shown and never told");
        let whole = walked == Ok(None);
        assert_eq!(judged(changed).unwrap_or_default(), whole);
        assert!(!whole || written.starts_with(changed), "taken for whole");
        if walked.is_ok() {
            let (checkpoint, found) = (self.head.sequence, head.sequence);
            let confirmed = Checkpoint::of(&self.keys, &self.head);
            let confirmed = confirmed.confirms(self.keys.log, found, Some(head.mac));
            let cut = Err(CheckpointError::TailCut { checkpoint, found });
            let wanted = if found < checkpoint { cut } else { Ok(()) };
            assert_eq!(confirmed, wanted, "a checkpoint missed a cut");
        }
        walked
    }

    fn finds(&self, changed: &[u8], sequence: u64, damage: Damage) {
        let found = self.found(changed);
        let found = found.map_err(|finding| (finding.sequence, finding.damage));
        assert_eq!(found, Err((sequence, damage)));
    }

    /// What a crash explains: the records before are whole, and what it looks like is said.
    fn excuses(&self, changed: &[u8], sequence: u64, damage: Damage) -> Option<Tail> {
        let tail = self.found(changed).ok().flatten();
        let found = tail.map(|tail| (tail.finding.sequence, tail.finding.damage));
        assert_eq!(found, Some((sequence, damage)));
        tail
    }
}

fn event(action: u8, shape: u8, text: &[u8], at: Timestamp) -> Event {
    let action = Action::ALL.iter().cycle().nth(action.into());
    let event = Event::new(*action.unwrap_or(&Action::Login), at);
    let mut address = [0; 16];
    for (place, byte) in address.iter_mut().zip(text) {
        *place = *byte;
    }
    let [a, b, c, d, ..] = address;
    let text = String::from_utf8_lossy(text);
    match shape % 8 {
        0 => event,
        1 => event.user(&text),
        2 => event.user_agent(&text).reason(Reason::PasswordWrong),
        3 => event.client_system(&text).geo_location(&text),
        4 => event.user(&text).session(&text).request_id(&text),
        5 => event.target(&text),
        6 => event.address(Ipv4Addr::new(a, b, c, d).into(), "peer"),
        _ => event.address(Ipv6Addr::from(address).into(), "forwarded"),
    }
}

/// The same but for the first event's action, wherefore no seal is the same.
fn otherwise(story: &[u8]) -> Vec<u8> {
    let mut story = story.to_vec();
    if let Some(action) = story.get_mut(1) {
        *action ^= 1;
    }
    story
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

const LOG: LogId = LogId(*b"a log for fuzzer");
const OTHER_LOG: LogId = LogId(*b"a log of another");
const BEGUN: Timestamp = Timestamp::from_unix_secs(1_700_000_000);
const RECORDS_MAX: usize = 8;
/// Six records, the third to the fifth of one write, and the fifth of a clock that ran behind.
const STORY: &[u8] = b"\x05\x00\x01\x00alice\x03\x01\x06\x02\x7f\x00\x01\x05\x02\x02\x04alice\
    \x05\x03\x04\x01alice\x00\x04\x00\x07\x05\x05\x05\x02carol";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_segment_that_is_changed_is_good_before() {
        let written = Written::of(LOG, STORY);
        written.stands();
        let ats: Vec<_> = written.events.iter().map(|event| event.at()).collect();
        assert_eq!((ats.len(), ats[4], written.last_write), (6, BEGUN, 6));
        assert!(ats[3] > BEGUN);
    }
}
