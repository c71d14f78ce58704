//! The bytes at rest: a note for each request seen, and a count for each key.
//!
//! | Bytes | Seen | Count |
//! |---|---|---|
//! | 1 | version 1 | version 1 |
//! | 8 | when it is over | when it is over |
//! | 8 | | the newest span that was counted in |
//! | 4 | | requests of that span |
//! | 4 | | requests of the span before |
//!
//! Numbers are big-endian; instants are nanoseconds. From when it is over, a row decides like none: a note
//! 901 seconds after its request's timestamp, which is past the longest window of any policy; a count when
//! every note that is counted in it is.

use portcullis_core::{Next, Timestamp, Value};

/// A request that was claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) over_at: Timestamp,
}

impl Seen {
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(&[VERSION])?;
        let over_at = instant(&mut rest)?;
        rest.is_empty().then_some(Self { over_at })
    }

    pub(crate) fn into_next(self) -> Next {
        let bytes = concat::<9>(&[&[VERSION], &nanos(self.over_at)]);
        Next::Put {
            value: Value::new(&bytes),
            expires_at: self.over_at,
        }
    }
}

/// How many requests of a key were claimed, by spans of their timestamps. Two neighbouring spans hold
/// every one that is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) over_at: Timestamp,
    pub(crate) newest: u64,
    pub(crate) current: u32,
    pub(crate) previous: u32,
}

impl Count {
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(&[VERSION])?;
        let count = Self {
            over_at: instant(&mut rest)?,
            newest: u64::from_be_bytes(take(&mut rest)?),
            current: u32::from_be_bytes(take(&mut rest)?),
            previous: u32::from_be_bytes(take(&mut rest)?),
        };
        rest.is_empty().then_some(count)
    }

    pub(crate) fn into_next(self) -> Next {
        let bytes = concat::<25>(&[
            &[VERSION],
            &nanos(self.over_at),
            &self.newest.to_be_bytes(),
            &self.current.to_be_bytes(),
            &self.previous.to_be_bytes(),
        ]);
        Next::Put {
            value: Value::new(&bytes),
            expires_at: self.over_at,
        }
    }
}

fn instant(rest: &mut &[u8]) -> Option<Timestamp> {
    let nanos = u64::from_be_bytes(take(rest)?);
    Some(Timestamp::from_unix_nanos(nanos))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_first_chunk()?;
    *rest = left;
    Some(*taken)
}

/// The parts, which are `N` bytes together.
fn concat<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut bytes = [0; N];
    let mut rest = &mut bytes[..];
    for part in parts {
        if let Some((room, left)) = std::mem::take(&mut rest).split_at_mut_checked(part.len()) {
            room.copy_from_slice(part);
            rest = left;
        }
    }
    bytes
}

fn nanos(instant: Timestamp) -> [u8; 8] {
    instant.as_unix_nanos().to_be_bytes()
}

const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(next: Next) -> Vec<u8> {
        match next {
            Next::Put { value, .. } => value.as_bytes().to_vec(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_format_at_rest_is_this_one() {
        let over_at = Timestamp::from_unix_nanos(0x0102_0304_0506_0708);
        let seen = bytes(Seen { over_at }.into_next());
        assert_eq!(seen, [1, 1, 2, 3, 4, 5, 6, 7, 8]);
        let count = Count {
            over_at,
            newest: 9,
            current: 10,
            previous: 11,
        };
        let bytes = bytes(count.into_next());
        let mut expected = vec![1, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 9];
        expected.extend([0, 0, 0, 10, 0, 0, 0, 11]);
        assert_eq!(bytes, expected);
        assert_eq!(Count::decode(&bytes), Some(count));
    }

    #[test]
    fn rows_that_are_cut_longer_or_of_another_version_are_none() {
        let over_at = Timestamp::from_unix_secs(7);
        let seen = bytes(Seen { over_at }.into_next());
        let count = Count {
            over_at,
            newest: 1,
            current: 1,
            previous: 0,
        };
        let count = bytes(count.into_next());
        for whole in [seen, count] {
            let mut longer = whole.clone();
            longer.push(0);
            let mut other = whole.clone();
            other[0] = 2;
            for bytes in [&whole[..whole.len() - 1], &longer, &other, &[]] {
                assert_eq!((Seen::decode(bytes), Count::decode(bytes)), (None, None));
            }
        }
    }
}
