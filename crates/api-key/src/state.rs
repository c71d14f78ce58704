//! A key at rest.
//!
//! | Bytes | Key (kind 1) |
//! |---|---|
//! | 1, 1 | format version, kind |
//! | 1 + n | the owner, 1 to 255 bytes of UTF-8 after their length |
//! | 1 + n | the label, likewise |
//! | 1 | environment: 1 live, 2 test |
//! | 1, each 1 + n | how many scopes, at most 16; sorted and distinct |
//! | 8 × 2 | created, end for good (all ones for none) |
//! | 32, 8 × 2 | the secret's digest, when it was made, when it is too old |
//! | 1, 33 or 41 | 0; or 1, the previous secret's digest and its end; or 2 and the digest, once it is over |
//! | 1 or 9 | 0; or 1 and when it was last used |
//! | 1 or 9 | 0; or 1 and when it was revoked |
//!
//! A void (kind 2) closes an id that has no key: 8 bytes until when. Integers are big-endian, instants
//! nanoseconds since the epoch. What does not decode is never overwritten. A key stands until it is
//! forgotten: its ends are judged, not left to the store.

use portcullis_core::{Next, Timestamp, Value};

use crate::Environment;
use crate::key::Digest;
use crate::new_key::{MAX_SCOPES, is_label, is_scope};

/// What stands under a key's id.
#[expect(
    clippy::large_enum_variant,
    reason = "a void is rare; a box would cost every verification an allocation"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Key(Row),
    Void { until: Timestamp },
}

/// One key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) owner: String,
    pub(crate) label: String,
    pub(crate) environment: Environment,
    pub(crate) scopes: Vec<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) ends_at: Timestamp,
    pub(crate) digest: Digest,
    pub(crate) made_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) previous: Option<Previous>,
    pub(crate) last_used_at: Option<Timestamp>,
    pub(crate) revoked_at: Option<Timestamp>,
}

/// The secret before the present one: kept when its time is over, to be told from a wrong one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Previous {
    pub(crate) digest: Digest,
    /// None once it is over for good, whatever the clock says later.
    pub(crate) until: Option<Timestamp>,
}

impl Record {
    /// Strict: what decodes encodes to the same bytes. None when it does not decode.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader(bytes);
        if from.byte()? != VERSION {
            return None;
        }
        let record = match from.byte()? {
            KEY => Self::Key(Row::decode(&mut from)?),
            VOID => Self::Void {
                until: from.instant()?,
            },
            _ => return None,
        };
        from.0.is_empty().then_some(record)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Key(row) => row.encode(),
            Self::Void { until } => {
                let mut out = vec![VERSION, VOID];
                put_instant(&mut out, *until);
                out
            }
        }
    }

    pub(crate) fn put(&self) -> Next {
        Next::Put {
            value: Value::from(self.encode()),
            expires_at: match self {
                Self::Key(_) => Timestamp::MAX,
                Self::Void { until } => *until,
            },
        }
    }
}

impl Row {
    fn decode(from: &mut Reader<'_>) -> Option<Self> {
        let row = Self {
            owner: from.text()?,
            label: from.text()?,
            environment: Environment::from_code(from.byte()?)?,
            scopes: decode_scopes(from)?,
            created_at: from.instant()?,
            ends_at: from.instant()?,
            digest: from.digest()?,
            made_at: from.instant()?,
            expires_at: from.instant()?,
            previous: decode_previous(from)?,
            last_used_at: from.maybe_instant()?,
            revoked_at: from.maybe_instant()?,
        };
        row.is_sound().then_some(row)
    }

    /// What no guard here would have written is not read.
    fn is_sound(&self) -> bool {
        !self.owner.is_empty()
            && is_label(&self.label)
            && self.created_at <= self.made_at
            && self.made_at <= self.expires_at
            && self.expires_at <= self.ends_at
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(ROOM);
        out.extend([VERSION, KEY]);
        put_text(&mut out, &self.owner);
        put_text(&mut out, &self.label);
        out.push(self.environment.code());
        out.push(u8::try_from(self.scopes.len()).unwrap_or(u8::MAX));
        for scope in &self.scopes {
            put_text(&mut out, scope);
        }
        put_instant(&mut out, self.created_at);
        put_instant(&mut out, self.ends_at);
        out.extend_from_slice(&self.digest);
        put_instant(&mut out, self.made_at);
        put_instant(&mut out, self.expires_at);
        match &self.previous {
            None => out.push(NONE),
            Some(previous) => {
                out.push(if previous.until.is_some() { SOME } else { OVER });
                out.extend_from_slice(&previous.digest);
                if let Some(until) = previous.until {
                    put_instant(&mut out, until);
                }
            }
        }
        put_maybe(&mut out, self.last_used_at);
        put_maybe(&mut out, self.revoked_at);
        out
    }
}

/// The longest name of an owner, in bytes.
pub(crate) const MAX_OWNER_LEN: usize = 255;

fn decode_scopes(from: &mut Reader<'_>) -> Option<Vec<String>> {
    let count = usize::from(from.byte()?);
    if count > MAX_SCOPES {
        return None;
    }
    let mut scopes: Vec<String> = Vec::with_capacity(count);
    for _ in 0..count {
        let scope = from.text()?;
        if !is_scope(&scope) || scopes.last().is_some_and(|last| *last >= scope) {
            return None;
        }
        scopes.push(scope);
    }
    Some(scopes)
}

fn decode_previous(from: &mut Reader<'_>) -> Option<Option<Previous>> {
    let tag = from.byte()?;
    if tag == NONE {
        return Some(None);
    }
    let digest = from.digest()?;
    let until = match tag {
        SOME => Some(from.instant()?),
        OVER => None,
        _ => return None,
    };
    Some(Some(Previous { digest, until }))
}

/// The guard refuses longer texts; should one come, its row does not decode.
fn put_text(out: &mut Vec<u8>, text: &str) {
    out.push(u8::try_from(text.len()).unwrap_or(0));
    out.extend_from_slice(text.as_bytes());
}

fn put_instant(out: &mut Vec<u8>, instant: Timestamp) {
    out.extend_from_slice(&instant.as_unix_nanos().to_be_bytes());
}

fn put_maybe(out: &mut Vec<u8>, instant: Option<Timestamp>) {
    match instant {
        None => out.push(NONE),
        Some(instant) => {
            out.push(SOME);
            put_instant(out, instant);
        }
    }
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

    fn text(&mut self) -> Option<String> {
        let len = usize::from(self.byte()?);
        Some(std::str::from_utf8(self.take(len)?).ok()?.to_owned())
    }

    fn digest(&mut self) -> Option<Digest> {
        self.take(32)?.try_into().ok()
    }

    fn instant(&mut self) -> Option<Timestamp> {
        let nanos = u64::from_be_bytes(self.take(8)?.try_into().ok()?);
        Some(Timestamp::from_unix_nanos(nanos))
    }

    fn maybe_instant(&mut self) -> Option<Option<Timestamp>> {
        match self.byte()? {
            NONE => Some(None),
            SOME => self.instant().map(Some),
            _ => None,
        }
    }
}

const VERSION: u8 = 1;
const KEY: u8 = 1;
const VOID: u8 = 2;
const NONE: u8 = 0;
const SOME: u8 = 1;
const OVER: u8 = 2;
/// Enough for most rows, so that few grow while they are written.
const ROOM: usize = 256;

#[cfg(test)]
pub(crate) mod tests;
