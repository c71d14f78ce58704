//! The bytes at rest: one row per user, so that every act is one update.
//!
//! | Bytes | Enrolment under way | Enrolled |
//! |---|---|---|
//! | 1 | version 1 | version 1 |
//! | 1 | 0 | 1 |
//! | 2 | wrong codes so far, at most 100 | the same |
//! | 8 | when it began | when it was confirmed |
//! | 8 | when it is over | the newest step whose code was used |
//! | 8 | | generation |
//! | 1 | | how many recovery codes, at most 16 |
//! | each 33 | | 0, or 1 once used; the code's digest, 32 bytes |
//! | the rest | the sealed secret, 1 to 255 bytes | the same |
//!
//! Numbers are big-endian; instants are nanoseconds. An enrolment under way expires when it is over and
//! decides like none from then on; one that is confirmed never does.

use portcullis_core::{Next, Timestamp, Value};

use crate::{Generation, MfaPolicy};

/// A user's second factor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    Pending(Pending),
    Active(Active),
}

/// A secret that was handed out and not yet shown to have arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) failures: u16,
    pub(crate) created: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) sealed: Vec<u8>,
}

/// A factor in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Active {
    pub(crate) failures: u16,
    pub(crate) enrolled_at: Timestamp,
    pub(crate) last_step: u64,
    pub(crate) generation: Generation,
    pub(crate) recovery: Vec<Recovery>,
    pub(crate) sealed: Vec<u8>,
}

/// A recovery code as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Recovery {
    pub(crate) used: bool,
    pub(crate) digest: [u8; 32],
}

impl Row {
    /// The row in `bytes`, if they are exactly one.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&[version, kind], mut rest) = bytes.split_first_chunk()?;
        let failures = u16::from_be_bytes(take(&mut rest)?);
        if version != VERSION || failures > MfaPolicy::MAX_WRONG_CODES {
            return None;
        }
        let row = match kind {
            PENDING => Self::Pending(Pending {
                failures,
                created: instant(&mut rest)?,
                expires_at: instant(&mut rest)?,
                sealed: rest.to_vec(),
            }),
            ACTIVE => Self::Active(Active {
                failures,
                enrolled_at: instant(&mut rest)?,
                last_step: u64::from_be_bytes(take(&mut rest)?),
                generation: Generation::from_bytes(take(&mut rest)?),
                recovery: recovery(&mut rest)?,
                sealed: rest.to_vec(),
            }),
            _ => return None,
        };
        (1..=MAX_SEALED).contains(&rest_of(&row)).then_some(row)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Pending(pending) => pending.encode(),
            Self::Active(active) => active.encode(),
        }
    }

    /// Until when the row must be kept; from then on it decides like none.
    pub(crate) fn expires_at(&self) -> Timestamp {
        match self {
            Self::Pending(pending) => pending.expires_at,
            Self::Active(_) => Timestamp::MAX,
        }
    }

    pub(crate) fn into_next(self) -> Next {
        Next::Put {
            expires_at: self.expires_at(),
            value: Value::from(self.encode()),
        }
    }
}

impl Pending {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION, PENDING];
        bytes.extend_from_slice(&self.failures.to_be_bytes());
        bytes.extend_from_slice(&self.created.as_unix_nanos().to_be_bytes());
        bytes.extend_from_slice(&self.expires_at.as_unix_nanos().to_be_bytes());
        bytes.extend_from_slice(&self.sealed);
        bytes
    }
}

impl Active {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION, ACTIVE];
        bytes.extend_from_slice(&self.failures.to_be_bytes());
        bytes.extend_from_slice(&self.enrolled_at.as_unix_nanos().to_be_bytes());
        bytes.extend_from_slice(&self.last_step.to_be_bytes());
        bytes.extend_from_slice(&self.generation.to_bytes());
        // Ten are ever made. A number that is none decodes to nothing, and so is refused.
        bytes.push(u8::try_from(self.recovery.len()).unwrap_or(u8::MAX));
        for code in &self.recovery {
            bytes.push(u8::from(code.used));
            bytes.extend_from_slice(&code.digest);
        }
        bytes.extend_from_slice(&self.sealed);
        bytes
    }
}

fn rest_of(row: &Row) -> usize {
    match row {
        Row::Pending(pending) => pending.sealed.len(),
        Row::Active(active) => active.sealed.len(),
    }
}

fn recovery(rest: &mut &[u8]) -> Option<Vec<Recovery>> {
    let [count] = take(rest)?;
    if count > MAX_RECOVERY {
        return None;
    }
    let code = |_| {
        let used = match take(rest)? {
            [0] => false,
            [1] => true,
            _ => return None,
        };
        let digest = take(rest)?;
        Some(Recovery { used, digest })
    };
    (0..count).map(code).collect()
}

fn instant(rest: &mut &[u8]) -> Option<Timestamp> {
    take(rest).map(|nanos| Timestamp::from_unix_nanos(u64::from_be_bytes(nanos)))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*head)
}

const VERSION: u8 = 1;
const PENDING: u8 = 0;
const ACTIVE: u8 = 1;
const MAX_RECOVERY: u8 = 16;
const MAX_SEALED: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pending() -> Vec<u8> {
        let mut bytes = vec![1, 0, 0, 3];
        bytes.extend([7; 16]);
        bytes.extend([9; 53]);
        bytes
    }

    fn active(codes: &[u8]) -> Vec<u8> {
        let mut bytes = vec![1, 1, 0, 3];
        bytes.extend([7; 24]);
        bytes.push(u8::try_from(codes.len()).unwrap());
        for used in codes {
            bytes.push(*used);
            bytes.extend([5; 32]);
        }
        bytes.extend([9; 53]);
        bytes
    }

    fn with(mut bytes: Vec<u8>, at: usize, byte: u8) -> Vec<u8> {
        bytes[at] = byte;
        bytes
    }

    #[test]
    fn refuses_bytes_that_no_row_encodes_to() {
        for good in [pending(), active(&[]), active(&[0, 1]), active(&[0; 16])] {
            assert!(Row::decode(&good).is_some());
        }
        let cases: [(&str, Vec<u8>); 11] = [
            ("nothing", vec![]),
            ("a version alone", vec![1]),
            ("another version", with(pending(), 0, 2)),
            ("another kind", with(pending(), 1, 2)),
            ("more wrong codes than any cap", with(pending(), 3, 101)),
            ("an enrolment without a secret", pending()[..20].to_vec()),
            ("an enrolment cut short", pending()[..19].to_vec()),
            ("a factor without a secret", active(&[0])[..62].to_vec()),
            ("a code neither used nor not", active(&[0, 2])),
            ("seventeen codes", active(&[0; 17])),
            ("codes cut short", active(&[0])[..60].to_vec()),
        ];
        for (what, bytes) in cases {
            assert_eq!(Row::decode(&bytes), None, "{what}");
        }
        let long = [pending(), vec![9; 203]].concat();
        assert_eq!(Row::decode(&long), None, "a secret of 256 bytes");
    }

    #[test]
    fn a_confirmed_factor_is_kept_for_ever_and_an_enrolment_under_way_until_it_is_over() {
        let over = Timestamp::from_unix_nanos(u64::from_be_bytes([7; 8]));
        for (bytes, kept) in [(active(&[0]), Timestamp::MAX), (pending(), over)] {
            let next = Row::decode(&bytes).unwrap().into_next();
            let expected = Next::Put {
                value: Value::from(bytes),
                expires_at: kept,
            };
            assert_eq!(next, expected);
        }
    }

    fn rows() -> impl Strategy<Value = Row> {
        let sealed = || proptest::collection::vec(any::<u8>(), 1..=MAX_SEALED);
        let at = || any::<u64>().prop_map(Timestamp::from_unix_nanos);
        let code = (any::<bool>(), any::<[u8; 32]>());
        let code = code.prop_map(|(used, digest)| Recovery { used, digest });
        let codes = proptest::collection::vec(code, 0..=16);
        let pending = (0..=100_u16, at(), at(), sealed()).prop_map(
            |(failures, created, expires_at, sealed)| {
                Row::Pending(Pending {
                    failures,
                    created,
                    expires_at,
                    sealed,
                })
            },
        );
        let active = (
            0..=100_u16,
            at(),
            any::<u64>(),
            any::<[u8; 8]>(),
            codes,
            sealed(),
        )
            .prop_map(
                |(failures, enrolled_at, last_step, generation, recovery, sealed)| {
                    let generation = Generation::from_bytes(generation);
                    Row::Active(Active {
                        failures,
                        enrolled_at,
                        last_step,
                        generation,
                        recovery,
                        sealed,
                    })
                },
            );
        prop_oneof![pending, active]
    }

    proptest! {
        #[test]
        fn a_row_survives_its_bytes(row in rows()) {
            prop_assert_eq!(Row::decode(&row.encode()), Some(row));
        }

        #[test]
        fn what_decodes_encodes_to_the_same_bytes(row in rows(), at in any::<proptest::sample::Index>(), byte in any::<u8>(), cut in 0_usize..40) {
            let mut bytes = row.encode();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes.truncate(bytes.len().saturating_sub(cut));
            if let Some(row) = Row::decode(&bytes) {
                prop_assert_eq!(row.encode(), bytes);
            }
        }
    }
}
