//! A sign-in that waits for its second factor: the bytes at rest.
//!
//! | Byte | What |
//! |---|---|
//! | 0 | version 1 |
//! | 1 | tries that are left, 0 to 20 |
//! | 2–9 | when it is over |
//! | 10–17 | when the password was proven |
//! | 18–25 | the credential's epoch |
//! | 26–33 | the generation of the second factor |
//! | 34 | length of the name, then the name |
//! | then | length of the user's id, then the id |
//!
//! Instants are big-endian nanoseconds. A row without tries waits for what the last one comes to.

use portcullis_core::{Next, Timestamp, Value};
use portcullis_totp_mfa::Generation;

/// What was proven so far, and how often the rest may be tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) tries: u8,
    pub(crate) expires_at: Timestamp,
    pub(crate) proven_at: Timestamp,
    pub(crate) epoch: u64,
    pub(crate) generation: Generation,
    /// The account's normalised name, 254 bytes at most.
    pub(crate) name: String,
    pub(crate) user_id: String,
}

impl Pending {
    /// What is kept while it waits.
    pub(crate) fn put(&self) -> Next {
        Next::Put {
            value: Value::from(self.encode()),
            expires_at: self.expires_at,
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION, self.tries];
        bytes.extend_from_slice(&self.expires_at.as_unix_nanos().to_be_bytes());
        bytes.extend_from_slice(&self.proven_at.as_unix_nanos().to_be_bytes());
        bytes.extend_from_slice(&self.epoch.to_be_bytes());
        bytes.extend_from_slice(&self.generation.to_bytes());
        for text in [&self.name, &self.user_id] {
            // Longer ones are refused before: see `fits`.
            bytes.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes
    }

    /// The state in `bytes`, if they are exactly one.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&[VERSION, tries], rest) = bytes.split_first_chunk()? else {
            return None;
        };
        let (expires_at, rest) = rest.split_first_chunk()?;
        let (proven_at, rest) = rest.split_first_chunk()?;
        let (epoch, rest) = rest.split_first_chunk()?;
        let (generation, rest) = rest.split_first_chunk()?;
        let (name, rest) = text(rest)?;
        let (user_id, rest) = text(rest)?;
        let pending = Self {
            tries,
            expires_at: Timestamp::from_unix_nanos(u64::from_be_bytes(*expires_at)),
            proven_at: Timestamp::from_unix_nanos(u64::from_be_bytes(*proven_at)),
            epoch: u64::from_be_bytes(*epoch),
            generation: Generation::from_bytes(*generation),
            name,
            user_id,
        };
        (rest.is_empty() && tries <= MAX_TRIES).then_some(pending)
    }

    /// Whether name and id can be kept: 1 to 255 bytes each.
    pub(crate) fn fits(&self) -> bool {
        [&self.name, &self.user_id]
            .iter()
            .all(|text| (1..=usize::from(u8::MAX)).contains(&text.len()))
    }
}

/// A length byte and as much text; never empty.
fn text(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (len, rest) = bytes.split_first()?;
    let (text, rest) = rest.split_at_checked(usize::from(*len))?;
    let text = std::str::from_utf8(text).ok()?;
    (!text.is_empty()).then(|| (text.to_owned(), rest))
}

/// The most tries a policy gives one sign-in.
pub(crate) const MAX_TRIES: u8 = 20;
const VERSION: u8 = 1;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "tests")]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn pending() -> Pending {
        Pending {
            tries: 5,
            expires_at: Timestamp::from_unix_secs(1300),
            proven_at: Timestamp::from_unix_secs(1000),
            epoch: 3,
            generation: Generation::from_bytes([9; 8]),
            name: "alice".into(),
            user_id: "42".into(),
        }
    }

    #[test]
    fn refuses_bytes_that_no_pending_sign_in_encodes_to() {
        let good = pending().encode();
        assert_eq!(Pending::decode(&good), Some(pending()));
        let changed = |at: usize, to: u8| {
            let mut bytes = good.clone();
            bytes[at] = to;
            bytes
        };
        let cases = [
            ("nothing", vec![]),
            ("another version", changed(0, 2)),
            ("too many tries", changed(1, MAX_TRIES + 1)),
            ("a name without an end", changed(34, 255)),
            ("an empty name", changed(34, 0)),
            ("a name that is not text", changed(35, 0xff)),
            ("bytes after the end", [good.as_slice(), &[0]].concat()),
        ];
        for (what, bytes) in cases {
            assert_eq!(Pending::decode(&bytes), None, "{what}");
        }
        for len in 0..good.len() {
            assert_eq!(Pending::decode(&good[..len]), None, "cut at {len}");
        }
    }

    #[test]
    fn names_and_ids_that_cannot_be_kept_do_not_fit() {
        for (len, fits) in [(0, false), (1, true), (255, true), (256, false)] {
            let (name, user_id) = ("n".repeat(len), "i".repeat(len));
            let named = Pending { name, ..pending() };
            let known = Pending {
                user_id,
                ..pending()
            };
            assert_eq!((named.fits(), known.fits()), (fits, fits), "{len}");
        }
    }

    proptest! {
        #[test]
        fn a_pending_sign_in_survives_its_bytes(tries in 0..=MAX_TRIES, times: [u64; 3], generation: [u8; 8], name in "[a-zé]{1,60}", user_id in "[a-z0-9]{1,60}") {
            let pending = Pending {
                tries,
                expires_at: Timestamp::from_unix_nanos(times[0]),
                proven_at: Timestamp::from_unix_nanos(times[1]),
                epoch: times[2],
                generation: Generation::from_bytes(generation),
                name,
                user_id,
            };
            prop_assert!(pending.fits());
            prop_assert_eq!(Pending::decode(&pending.encode()), Some(pending));
        }

        #[test]
        fn what_decodes_encodes_to_the_same_bytes(head in proptest::collection::vec(0_u8..3, 34), tail in proptest::collection::vec(0_u8..3, 0..9)) {
            let mut bytes = [head, tail].concat();
            bytes[0] = 1;
            if let Some(pending) = Pending::decode(&bytes) {
                prop_assert_eq!(pending.encode(), bytes);
            }
        }
    }
}
