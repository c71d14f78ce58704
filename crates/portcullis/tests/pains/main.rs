//! Sixteen ways in which authentication composed by hand goes wrong, and what happens here: see
//! `docs/pains.md`, which names each test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod accounts;
mod keys;
mod layers;
mod limits;
mod re_exports;
mod signatures;
mod table;
mod tokens;
mod versions;

use std::time::Duration;

use portcullis::core::Timestamp;

const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);

fn after(wait: Duration) -> Timestamp {
    NOW.saturating_add(wait)
}
