//! Several limits on one request.

use std::time::Duration;

use crate::Decision;

/// One limiter's share in a request: which key, and how many units.
#[derive(Debug)]
pub struct Charge<'a, L> {
    /// The limiter asked.
    pub limiter: &'a L,
    /// Whose quota.
    pub key: &'a [u8],
    /// How many units; zero asks without charging.
    pub cost: u32,
}

impl<L> Clone for Charge<'_, L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L> Copy for Charge<'_, L> {}

/// What became of several charges on one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a decision that nobody looks at limits nobody"]
pub struct Joint {
    /// The first refusal, after which nothing stays charged; else the admission with the least left.
    ///
    /// A wait is the refusing limiter's own: one later in the order was not asked, and may want more.
    pub decision: Decision,
    /// Which of the charges the decision is about, counted from zero.
    pub at: usize,
}

impl Joint {
    /// No limiter has spoken: nothing is limited.
    pub(crate) const NONE: Self = Self {
        decision: Decision::Admitted {
            remaining: u32::MAX,
            reset_after: Duration::ZERO,
        },
        at: 0,
    };

    /// This, or a further admission with less left.
    pub(crate) fn tighter(self, decision: Decision, at: usize) -> Self {
        match (self.decision, decision) {
            (
                Decision::Admitted { remaining, .. },
                Decision::Admitted {
                    remaining: further, ..
                },
            ) if further >= remaining => self,
            _ => Self { decision, at },
        }
    }
}

/// One key of several parts, each delimited by its length: no other parts make the same key, wherever
/// a caller puts a delimiter of its own.
///
/// ```
/// use portcullis_rate_limit::tuple_key;
///
/// assert_ne!(tuple_key(&[b"a:b", b"c"]), tuple_key(&[b"a", b"b:c"]));
/// assert_ne!(tuple_key(&[b"ab", b""]), tuple_key(&[b"a", b"b"]));
/// ```
#[must_use]
pub fn tuple_key(parts: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::new();
    for part in parts {
        let len = u64::try_from(part.len()).unwrap_or(u64::MAX);
        key.extend_from_slice(&len.to_be_bytes());
        key.extend_from_slice(part);
    }
    key
}
