//! What the tests share.

use std::time::Duration;

use portcullis_core::testing::Faulty;
use portcullis_core::{Memory, Secret, Timestamp};
use portcullis_session::{Factor, Method, SessionPolicy, Sessions};

pub const START: Timestamp = Timestamp::from_unix_secs(1_700_000_000);

/// `secs` after the start.
pub fn at(secs: u64) -> Timestamp {
    START.saturating_add(Duration::from_secs(secs))
}

pub fn policy() -> SessionPolicy {
    SessionPolicy::default().dangerous_allow_volatile()
}

pub fn key() -> Secret {
    Secret::from(vec![7; 32])
}

pub fn password(secs: u64) -> [Factor; 1] {
    [Factor::new(Method::Password, at(secs))]
}

/// Sessions over a store that fails on command, and the handle to command it.
pub fn faulty(policy: SessionPolicy) -> (Sessions<Faulty<Memory>>, Faulty<Memory>) {
    let store = Faulty::new(Memory::new(START));
    let sessions = Sessions::new(store.clone(), key(), policy).unwrap();
    (sessions, store)
}
