//! The bodies that the fuzz targets share with their replay.

mod acts;

use portcullis_core::{Next, Timestamp};

use crate::state::{State, Ticket};
use crate::{AccountName, LockoutPolicy, Outcome, decide, list};

pub use acts::fuzz_lockout_acts;

/// The body of the fuzz target `lockout_state`: the first eight bytes are the instant, the rest is what
/// the store holds, for an account or for a page of the list. What decodes encodes to the same bytes,
/// and whatever is decided on it decodes.
///
/// # Panics
/// When that does not hold.
pub fn fuzz_lockout_state(data: &[u8]) {
    let Some((nanos, bytes)) = data.split_first_chunk() else {
        return;
    };
    let now = Timestamp::from_unix_nanos(u64::from_be_bytes(*nanos));
    if let Some(state) = State::decode(bytes) {
        assert_eq!(state.encode(), bytes);
    }
    if let Some(rows) = list::decode(bytes) {
        assert_eq!(list::encode(&rows), bytes);
        let names: Vec<String> = rows.into_iter().map(|row| row.name).collect();
        let next = list::without(Some(bytes), &names, now).1;
        if let Next::Put { value, .. } = next {
            let left = list::decode(value.as_bytes());
            assert!(left.is_some_and(|rows| rows.iter().all(|row| now < row.until)));
        }
    }
    let policy = LockoutPolicy::default();
    let ticket = Ticket {
        lapses_at: now,
        nonce: 1,
    };
    let mut left = vec![
        decide::reserve(Some(bytes), &policy, 1, now).1,
        decide::status(Some(bytes), &policy, now).1,
        decide::unlock(Some(bytes), &policy, now).1,
    ];
    for outcome in [Outcome::Success, Outcome::Failure, Outcome::Unverified] {
        left.push(decide::settle(Some(bytes), &policy, ticket, outcome, true, now).1);
    }
    for next in left {
        if let Next::Put { value, .. } = next {
            assert!(State::decode(value.as_bytes()).is_some());
        }
    }
}

/// The body of the fuzz target `account_name`: a name is bounded, and parsing it changes nothing.
///
/// # Panics
/// When that does not hold.
pub fn fuzz_account_name(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(name) = AccountName::parse(text) {
        assert!(!name.as_str().is_empty() && name.as_str().len() <= AccountName::MAX_LEN);
        assert_eq!(AccountName::parse(name.as_str()), Ok(name));
    }
}
