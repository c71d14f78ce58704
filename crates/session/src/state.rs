//! A session at rest.
//!
//! | Bytes | Session (kind 1) |
//! |---|---|
//! | 1, 1 | format version, kind |
//! | 1 + n | the user's id, 1 to 255 bytes of UTF-8 after their length |
//! | 16 | nonce under the tags |
//! | 8 × 4 | created, absolute expiry, idle expiry, last rotation: nanoseconds since the epoch |
//! | 8, 1 | counter of the live refresh token, how often its parent was answered again |
//! | 8 | epoch of the credential |
//! | 1 + 9 n | factors, 1 to 8: method and instant |
//! | 1 or 9 | 0; or why it was revoked, and when |
//!
//! A void (kind 2) closes an id that has no session: 1 byte why, 8 bytes until when. Integers are
//! big-endian. What does not decode is never overwritten.

use portcullis_core::{Next, Timestamp, Value};

use crate::factor::MAX_FACTORS;
use crate::policy::GRACE_REPEATS;
use crate::token::NONCE_LEN;
use crate::{Factor, Method, Revocation};

/// What stands under a session's key.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(any(test, feature = "testing"), derive(Debug))]
pub(crate) enum Record {
    Session(Row),
    Void { why: Revocation, until: Timestamp },
}

/// One session; also, once revoked, its tombstone.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(any(test, feature = "testing"), derive(Debug))]
pub(crate) struct Row {
    pub(crate) user: String,
    pub(crate) nonce: [u8; NONCE_LEN],
    pub(crate) created: Timestamp,
    pub(crate) absolute: Timestamp,
    pub(crate) idle: Timestamp,
    pub(crate) rotated: Timestamp,
    pub(crate) counter: u64,
    pub(crate) repeats: u8,
    pub(crate) epoch: u64,
    pub(crate) factors: Vec<Factor>,
    pub(crate) revoked: Option<(Revocation, Timestamp)>,
}

impl Record {
    /// Strict: what decodes encodes to the same bytes. None when it does not decode.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader(bytes);
        if from.byte()? != VERSION {
            return None;
        }
        let record = match from.byte()? {
            SESSION => Self::Session(Row::decode(&mut from)?),
            VOID => Self::Void {
                why: Revocation::from_code(from.byte()?)?,
                until: from.instant()?,
            },
            _ => return None,
        };
        from.0.is_empty().then_some(record)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Session(row) => row.encode(),
            Self::Void { why, until } => {
                let mut out = vec![VERSION, VOID, why.code()];
                put_instant(&mut out, *until);
                out
            }
        }
    }

    /// From when on it decides like none.
    pub(crate) fn expires_at(&self) -> Timestamp {
        match self {
            Self::Session(row) => row.expires_at(),
            Self::Void { until, .. } => *until,
        }
    }

    pub(crate) fn put(&self) -> Next {
        Next::Put {
            value: Value::from(self.encode()),
            expires_at: self.expires_at(),
        }
    }
}

impl Row {
    /// A tombstone stands until the absolute expiry; a session until its idle one, which is never
    /// later.
    pub(crate) fn expires_at(&self) -> Timestamp {
        if self.revoked.is_some() {
            self.absolute
        } else {
            self.idle
        }
    }

    /// `now`, but never before the last rotation: a clock that stepped back grants what one that
    /// stood still would.
    pub(crate) fn present(&self, now: Timestamp) -> Timestamp {
        now.max(self.rotated)
    }

    fn decode(from: &mut Reader<'_>) -> Option<Self> {
        let len = usize::from(from.byte()?);
        let user = std::str::from_utf8(from.take(len)?).ok()?.to_owned();
        let row = Self {
            user,
            nonce: from.take(NONCE_LEN)?.try_into().ok()?,
            created: from.instant()?,
            absolute: from.instant()?,
            idle: from.instant()?,
            rotated: from.instant()?,
            counter: from.number()?,
            repeats: from.byte()?,
            epoch: from.number()?,
            factors: decode_factors(from)?,
            revoked: decode_revoked(from)?,
        };
        row.is_sound().then_some(row)
    }

    /// What no guard here would have written is not read.
    fn is_sound(&self) -> bool {
        !self.user.is_empty()
            && self.created <= self.rotated
            && self.idle <= self.absolute
            && self.repeats <= GRACE_REPEATS
            && (self.counter > 0 || self.repeats == 0)
    }

    pub(crate) fn put(&self) -> Next {
        Next::Put {
            value: Value::from(self.encode()),
            expires_at: self.expires_at(),
        }
    }

    fn encode(&self) -> Vec<u8> {
        let factors = self.factors.len().saturating_mul(9);
        let room = self.user.len().saturating_add(factors);
        let mut out = Vec::with_capacity(room.saturating_add(FIXED_LEN));
        out.extend([VERSION, SESSION]);
        // The guard refuses longer ids; should one come, its row does not decode.
        out.push(u8::try_from(self.user.len()).unwrap_or(0));
        out.extend_from_slice(self.user.as_bytes());
        out.extend_from_slice(&self.nonce);
        for instant in [self.created, self.absolute, self.idle, self.rotated] {
            put_instant(&mut out, instant);
        }
        out.extend_from_slice(&self.counter.to_be_bytes());
        out.push(self.repeats);
        out.extend_from_slice(&self.epoch.to_be_bytes());
        out.push(u8::try_from(self.factors.len()).unwrap_or(0));
        for factor in &self.factors {
            out.push(factor.method().code());
            put_instant(&mut out, factor.at());
        }
        match self.revoked {
            None => out.push(0),
            Some((why, at)) => {
                out.push(why.code());
                put_instant(&mut out, at);
            }
        }
        out
    }
}

/// The longest user id, in bytes.
pub(crate) const MAX_USER_LEN: usize = 255;

fn decode_factors(from: &mut Reader<'_>) -> Option<Vec<Factor>> {
    let count = usize::from(from.byte()?);
    if count == 0 || count > MAX_FACTORS {
        return None;
    }
    let mut factors: Vec<Factor> = Vec::with_capacity(count);
    for _ in 0..count {
        let factor = Factor::new(Method::from_code(from.byte()?)?, from.instant()?);
        if factors
            .iter()
            .any(|known| known.method() == factor.method())
        {
            return None;
        }
        factors.push(factor);
    }
    Some(factors)
}

fn decode_revoked(from: &mut Reader<'_>) -> Option<Option<(Revocation, Timestamp)>> {
    let code = from.byte()?;
    if code == 0 {
        return Some(None);
    }
    Some(Some((Revocation::from_code(code)?, from.instant()?)))
}

fn put_instant(out: &mut Vec<u8>, instant: Timestamp) {
    out.extend_from_slice(&instant.as_unix_nanos().to_be_bytes());
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(self.take(8)?.try_into().ok()?))
    }

    fn instant(&mut self) -> Option<Timestamp> {
        self.number().map(Timestamp::from_unix_nanos)
    }
}

const VERSION: u8 = 1;
const SESSION: u8 = 1;
const VOID: u8 = 2;
/// All but the user's id and the factors, of a row that is revoked.
const FIXED_LEN: usize = 78;

#[cfg(test)]
pub(crate) mod tests;
