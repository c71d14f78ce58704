//! The header of a segment.
//!
//! `magic (8) · version (1) · log (16) · segment's number (8) · first sequence (8) · time (8) · seal of the
//! last record before (32) · bytes of the segment before that count (8) · whether it has more that do not (1)
//! · crc32 (4) · seal (32)`, integers big-endian.
//!
//! A header is on disk before its file has its name, so a broken one under that name is damage, never
//! a crash. What a failed write left at the end of a segment is made void by the next header: nothing
//! is ever cut from a file, and nobody without the key can make anything void.

use portcullis_core::{Secret, Timestamp};

use crate::Damage;
use crate::keys::{Keys, LogId, Mac, Purpose};
use crate::record::Head;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) log: LogId,
    pub(crate) number: u64,
    /// The chain's head before this segment; its time is at least the last record's.
    pub(crate) before: Head,
    /// How many bytes of the segment before count.
    pub(crate) previous_end: u64,
    /// Whether the segment before may have bytes after those.
    pub(crate) voids: bool,
}

impl Header {
    pub(crate) fn encode(&self, keys: &Keys) -> Vec<u8> {
        let mut out = self.signed();
        let crc = crc32fast::hash(&out).to_be_bytes();
        let mac = keys.seal(Purpose::Header, &out);
        out.extend_from_slice(&crc);
        out.extend_from_slice(&mac);
        out
    }

    fn signed(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_LEN);
        out.extend_from_slice(MAGIC);
        out.push(VERSION);
        out.extend_from_slice(&self.log.0);
        out.extend_from_slice(&self.number.to_be_bytes());
        out.extend_from_slice(&self.before.next().to_be_bytes());
        out.extend_from_slice(&self.before.time.as_unix_nanos().to_be_bytes());
        out.extend_from_slice(&self.before.mac);
        out.extend_from_slice(&self.previous_end.to_be_bytes());
        out.push(u8::from(self.voids));
        out
    }

    /// The header at the beginning of `segment` and its seal, which is not judged yet.
    pub(crate) fn parse(segment: &[u8]) -> Option<(Self, Mac)> {
        let (header, _) = segment.split_at_checked(HEADER_LEN)?;
        let (rest, mac) = header.split_last_chunk()?;
        let (signed, crc) = rest.split_last_chunk()?;
        if u32::from_be_bytes(*crc) != crc32fast::hash(signed) {
            return None;
        }
        let rest = signed.strip_prefix(MAGIC)?.strip_prefix(&[VERSION])?;
        let (log, rest) = rest.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (first, rest) = rest.split_first_chunk()?;
        let (time, rest) = rest.split_first_chunk()?;
        let (previous, rest) = rest.split_first_chunk()?;
        let (previous_end, voids) = rest.split_first_chunk()?;
        let header = Self {
            log: LogId(*log),
            number: u64::from_be_bytes(*number),
            before: Head {
                sequence: u64::from_be_bytes(*first).checked_sub(1)?,
                mac: *previous,
                time: Timestamp::from_unix_nanos(u64::from_be_bytes(*time)),
            },
            previous_end: u64::from_be_bytes(*previous_end),
            voids: match voids {
                [0] => false,
                [1] => true,
                _ => return None,
            },
        };
        Some((header, *mac))
    }

    /// The header of a log's first segment at hand, and the keys of the log that it names.
    pub(crate) fn open(key: &Secret, segment: &[u8]) -> Result<(Self, Keys), Damage> {
        let (header, mac) = Self::parse(segment).ok_or(Damage::Header)?;
        let keys = Keys::derive(key, header.log);
        if !keys.seals(Purpose::Header, &header.signed(), &mac) {
            return Err(Damage::WrongKey);
        }
        Ok((header, keys))
    }

    /// The header of segment `number` of the log that `keys` are of.
    pub(crate) fn of(keys: &Keys, number: u64, segment: &[u8]) -> Result<Self, Damage> {
        let (header, mac) = Self::parse(segment).ok_or(Damage::Header)?;
        if header.log != keys.log {
            return Err(Damage::Spliced);
        }
        if !keys.seals(Purpose::Header, &header.signed(), &mac) {
            return Err(Damage::Header);
        }
        if header.number != number {
            return Err(Damage::Reordered);
        }
        Ok(header)
    }
}

/// Bytes of a header.
pub(crate) const HEADER_LEN: usize = 8 + 1 + 16 + 8 + 8 + 8 + 32 + 8 + 1 + 4 + 32;
const MAGIC: &[u8; 8] = b"PRTAUDIT";
const VERSION: u8 = 1;
