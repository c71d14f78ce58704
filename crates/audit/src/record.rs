//! A record as bytes in a segment.
//!
//! `length (4) · crc32 (4) · version (1) · log (16) · sequence (8) · first of its write (8) · time (8)
//! · payload · seal of the record before (32) · seal (32)`, integers big-endian. The length counts what
//! follows the checksum; the checksum covers the length too; the seal covers all from the version on.

use portcullis_core::Timestamp;

use crate::keys::{Keys, LogId, Mac, Purpose};

/// Where a chain of records has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The last record's number; 0 before the first.
    pub(crate) sequence: u64,
    /// The last record's seal.
    pub(crate) mac: Mac,
    /// The last record's time; no later record has an earlier one.
    pub(crate) time: Timestamp,
}

impl Head {
    pub(crate) fn next(&self) -> u64 {
        self.sequence.saturating_add(1)
    }
}

/// A whole record with a right checksum; its seal is not judged yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) log: LogId,
    pub(crate) sequence: u64,
    /// The number of the first record that was written together with this one. All before that
    /// were on disk, and known to be, before this one was written.
    pub(crate) write_first: u64,
    pub(crate) time: Timestamp,
    pub(crate) payload: &'a [u8],
    pub(crate) previous: Mac,
    pub(crate) mac: Mac,
    signed: &'a [u8],
}

/// What stands at a place in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parsed<'a> {
    /// A whole record, and its length in bytes.
    Whole(Frame<'a>, usize),
    /// The beginning of what may be a record; the bytes end before it does.
    Short,
    /// Not a record.
    Bad,
}

impl<'a> Frame<'a> {
    /// Reads the record at the beginning of `bytes`, which are not empty.
    pub(crate) fn parse(bytes: &'a [u8]) -> Parsed<'a> {
        let Some((len, rest)) = bytes.split_first_chunk() else {
            return Parsed::Short;
        };
        let body_len = usize::try_from(u32::from_be_bytes(*len)).unwrap_or(usize::MAX);
        if !(FIXED_LEN..=FIXED_LEN.saturating_add(MAX_PAYLOAD)).contains(&body_len) {
            return Parsed::Bad;
        }
        let Some((crc, rest)) = rest.split_first_chunk() else {
            return Parsed::Short;
        };
        let Some(body) = rest.get(..body_len) else {
            return Parsed::Short;
        };
        if u32::from_be_bytes(*crc) != checksum(len, body) {
            return Parsed::Bad;
        }
        match Self::body(body) {
            Some(frame) => Parsed::Whole(frame, body_len.saturating_add(PREFIX_LEN)),
            None => Parsed::Bad,
        }
    }

    fn body(body: &'a [u8]) -> Option<Self> {
        let (signed, mac) = body.split_last_chunk()?;
        let rest = signed.strip_prefix(&[VERSION])?;
        let (log, rest) = rest.split_first_chunk()?;
        let (sequence, rest) = rest.split_first_chunk()?;
        let (write_first, rest) = rest.split_first_chunk()?;
        let (time, rest) = rest.split_first_chunk()?;
        let (payload, previous) = rest.split_last_chunk()?;
        Some(Self {
            log: LogId(*log),
            sequence: u64::from_be_bytes(*sequence),
            write_first: u64::from_be_bytes(*write_first),
            time: Timestamp::from_unix_nanos(u64::from_be_bytes(*time)),
            payload,
            previous: *previous,
            mac: *mac,
            signed,
        })
    }

    pub(crate) fn sealed_by(&self, keys: &Keys) -> bool {
        self.log == keys.log && keys.seals(Purpose::Record, self.signed, &self.mac)
    }

    /// The head of the chain after this record.
    pub(crate) fn head(&self) -> Head {
        Head {
            sequence: self.sequence,
            mac: self.mac,
            time: self.time,
        }
    }
}

/// Appends the record that follows `head` and answers the head after it.
pub(crate) fn append(
    out: &mut Vec<u8>,
    keys: &Keys,
    head: &Head,
    write_first: u64,
    time: Timestamp,
    payload: impl FnOnce(&mut Vec<u8>),
) -> Head {
    let sequence = head.next();
    let start = out.len();
    out.extend_from_slice(&[0; PREFIX_LEN]);
    let body = start.saturating_add(PREFIX_LEN);
    out.push(VERSION);
    out.extend_from_slice(&keys.log.0);
    out.extend_from_slice(&sequence.to_be_bytes());
    out.extend_from_slice(&write_first.to_be_bytes());
    out.extend_from_slice(&time.as_unix_nanos().to_be_bytes());
    payload(out);
    out.extend_from_slice(&head.mac);
    let mac = keys.seal(Purpose::Record, out.get(body..).unwrap_or_default());
    out.extend_from_slice(&mac);
    let prefix = prefix(out.get(body..).unwrap_or_default());
    if let Some(place) = out.get_mut(start..body) {
        place.copy_from_slice(&prefix);
    }
    Head {
        sequence,
        mac,
        time,
    }
}

/// The length and the checksum of a body.
fn prefix(body: &[u8]) -> [u8; PREFIX_LEN] {
    // Fields are capped: a body is below MAX_PAYLOAD + FIXED_LEN.
    let len = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut prefix = [0; PREFIX_LEN];
    let (first, second) = prefix.split_at_mut(len.len());
    first.copy_from_slice(&len);
    second.copy_from_slice(&checksum(&len, body).to_be_bytes());
    prefix
}

/// The bytes at which a record of `log` can be found inside others: what stands after the checksum.
pub(crate) fn landmark(log: LogId) -> [u8; 17] {
    let mut mark = [VERSION; 17];
    let (_, name) = mark.split_at_mut(1);
    name.copy_from_slice(&log.0);
    mark
}

fn checksum(len: &[u8; 4], body: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(len);
    crc.update(body);
    crc.finalize()
}

/// Bytes before the body: length and checksum.
pub(crate) const PREFIX_LEN: usize = 8;
/// Bytes of a body beside the payload.
const FIXED_LEN: usize = 1 + 16 + 8 + 8 + 8 + 32 + 32;
/// Bytes of a record beside the payload.
pub(crate) const FRAME_LEN: usize = PREFIX_LEN + FIXED_LEN;
/// Bytes of the longest payload; every event is shorter.
pub(crate) const MAX_PAYLOAD: usize = 4096;
const VERSION: u8 = 1;

/// Asserts that a record which parses is written to the same bytes.
#[cfg(feature = "testing")]
pub(crate) fn fuzz_record(data: &[u8]) {
    let Parsed::Whole(frame, len) = Frame::parse(data) else {
        return;
    };
    let body = [frame.signed, frame.mac.as_slice()].concat();
    let again = [prefix(&body).as_slice(), &body].concat();
    assert_eq!(data.get(..len), Some(again.as_slice()));
    if let Some(event) = crate::state::decode(frame.payload, frame.time) {
        let mut payload = Vec::new();
        crate::state::encode(&event, frame.time, &mut payload);
        assert_eq!(payload, frame.payload);
    }
}
