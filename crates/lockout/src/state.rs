//! The bytes at rest.
//!
//! | Byte | Open | Locked |
//! |---|---|---|
//! | 0 | version 1 | version 1 |
//! | 1 | 0 | 1 |
//! | 2 | failures settled | until, 8 bytes |
//! | 3 | failures lapsed | |
//! | 4–11 | when the failures are forgotten | |
//! | then each 12 | a reservation: when it lapses, 8 bytes; its nonce, 4 | |
//!
//! Instants are big-endian nanoseconds. Reservations stand in ascending order, each once. An open state
//! with nothing in it is not kept.

use portcullis_core::{Next, Timestamp, Value};

use crate::LockoutPolicy;

/// An account's count, or its lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Open(Open),
    Locked { until: Timestamp },
}

/// Failures so far and attempts under way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) settled: u8,
    pub(crate) lapsed: u8,
    /// The epoch when there are no failures.
    pub(crate) forget_at: Timestamp,
    /// Ascending.
    pub(crate) live: Vec<Ticket>,
}

/// What tells one reservation of an account from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket {
    pub(crate) lapses_at: Timestamp,
    pub(crate) nonce: u32,
}

impl State {
    /// The state in `bytes`, if they are exactly one.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.strip_prefix(&[VERSION])?.split_first()?;
        match kind {
            0 => Open::decode(rest).map(Self::Open),
            1 => {
                let until = Timestamp::from_unix_nanos(u64::from_be_bytes(rest.try_into().ok()?));
                Some(Self::Locked { until })
            }
            _ => None,
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Open(open) => open.encode(),
            Self::Locked { until } => {
                let mut bytes = vec![VERSION, 1];
                bytes.extend_from_slice(&until.as_unix_nanos().to_be_bytes());
                bytes
            }
        }
    }

    /// What to do with the key so that it holds this state; `held` says whether it holds one now.
    pub(crate) fn into_next(self, held: bool, policy: &LockoutPolicy) -> Next {
        let expires_at = match &self {
            Self::Locked { until } => *until,
            Self::Open(open) if open.is_empty() => {
                return if held { Next::Remove } else { Next::Keep };
            }
            Self::Open(open) => open.expires_at(policy),
        };
        Next::Put {
            value: Value::from(self.encode()),
            expires_at,
        }
    }
}

impl Open {
    pub(crate) fn failures(&self) -> u8 {
        self.settled.saturating_add(self.lapsed)
    }

    fn is_empty(&self) -> bool {
        self.failures() == 0 && self.live.is_empty()
    }

    /// From then on the state decides like none, whatever became of its reservations.
    fn expires_at(&self, policy: &LockoutPolicy) -> Timestamp {
        let last = self.live.last();
        let lapses = last.map(|ticket| ticket.lapses_at.saturating_add(policy.memory()));
        self.forget_at.max(lapses.unwrap_or_default())
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, mut rest) = bytes.split_at_checked(10)?;
        let (&[settled, lapsed], forget_at) = head.split_first_chunk()?;
        let forget_at = Timestamp::from_unix_nanos(u64::from_be_bytes(forget_at.try_into().ok()?));
        let mut live: Vec<Ticket> = Vec::new();
        while !rest.is_empty() {
            let (lapses_at, after) = rest.split_first_chunk()?;
            let (nonce, after) = after.split_first_chunk()?;
            let ticket = Ticket {
                lapses_at: Timestamp::from_unix_nanos(u64::from_be_bytes(*lapses_at)),
                nonce: u32::from_be_bytes(*nonce),
            };
            let full = live.len() >= usize::from(LockoutPolicy::MAX_FAILURES);
            if full || live.last().is_some_and(|last| *last >= ticket) {
                return None;
            }
            live.push(ticket);
            rest = after;
        }
        let open = Self {
            settled,
            lapsed,
            forget_at,
            live,
        };
        let dated = forget_at != Timestamp::UNIX_EPOCH;
        let counted = settled.checked_add(lapsed)? > 0;
        (dated == counted && !open.is_empty()).then_some(open)
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION, 0, self.settled, self.lapsed];
        bytes.extend_from_slice(&self.forget_at.as_unix_nanos().to_be_bytes());
        for ticket in &self.live {
            bytes.extend_from_slice(&ticket.lapses_at.as_unix_nanos().to_be_bytes());
            bytes.extend_from_slice(&ticket.nonce.to_be_bytes());
        }
        bytes
    }
}

const VERSION: u8 = 1;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "tests")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ticket(lapses_at: u64, nonce: u32) -> Ticket {
        Ticket {
            lapses_at: Timestamp::from_unix_nanos(lapses_at),
            nonce,
        }
    }

    #[test]
    fn refuses_bytes_that_no_state_encodes_to() {
        let open = |settled: u8, forget_at: u8, tickets: &[[u8; 12]]| {
            let mut bytes = vec![1, 0, settled, 0, 0, 0, 0, 0, 0, 0, 0, forget_at];
            bytes.extend(tickets.concat());
            bytes
        };
        let one = [0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1];
        let two = [0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 2];
        assert!(State::decode(&open(1, 7, &[one, two])).is_some());
        let cases: [(&str, Vec<u8>); 11] = [
            ("nothing", vec![]),
            ("a version alone", vec![1]),
            ("another version", vec![2, 1, 0, 0, 0, 0, 0, 0, 0, 9]),
            ("another kind", vec![1, 2, 0, 0, 0, 0, 0, 0, 0, 9]),
            ("a lock cut short", vec![1, 1, 0, 0, 0, 0, 0, 0, 9]),
            ("a lock and more", vec![1, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0]),
            ("an empty count", open(0, 0, &[])),
            ("failures without a date", open(1, 0, &[one])),
            ("a date without failures", open(0, 7, &[one])),
            ("tickets out of order", open(1, 7, &[two, one])),
            ("a ticket twice", open(1, 7, &[one, one])),
        ];
        for (what, bytes) in cases {
            assert_eq!(State::decode(&bytes), None, "{what}");
        }
        let mut cut = open(1, 7, &[one]);
        cut.pop();
        assert_eq!(State::decode(&cut), None);
        let mut over = open(200, 7, &[]);
        over[3] = 100;
        assert_eq!(State::decode(&over), None, "failures past 255");
    }

    proptest! {
        #[test]
        fn a_state_survives_its_bytes(settled in 0_u8..120, lapsed in 0_u8..100, at in 1_u64.., live in proptest::collection::btree_set((any::<u64>(), any::<u32>()), 0..100), until in any::<u64>()) {
            let live: Vec<Ticket> = live.into_iter().map(|(at, nonce)| ticket(at, nonce)).collect();
            let forget_at = Timestamp::from_unix_nanos(if settled + lapsed > 0 { at } else { 0 });
            let open = Open { settled, lapsed, forget_at, live };
            if !open.is_empty() {
                let open = State::Open(open);
                prop_assert_eq!(State::decode(&open.encode()), Some(open));
            }
            let locked = State::Locked { until: Timestamp::from_unix_nanos(until) };
            prop_assert_eq!(State::decode(&locked.encode()), Some(locked));
        }

        #[test]
        fn what_decodes_encodes_to_the_same_bytes(mut bytes in proptest::collection::vec(0_u8..4, 0..50)) {
            if let Some(first) = bytes.first_mut() {
                *first = 1;
            }
            if let Some(state) = State::decode(&bytes) {
                prop_assert_eq!(state.encode(), bytes);
            }
        }
    }
}
