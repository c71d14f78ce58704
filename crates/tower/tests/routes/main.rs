//! Routes that name their policies: what is refused at the start, and what each request meets.
#![cfg(feature = "axum")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod asked;
mod policies;
mod start;

use portcullis_core::Timestamp;
use portcullis_core::testing::FakeClock;
use portcullis_ip_list::{AddressList, TrustedProxies};
use portcullis_tower::{AddressFirst, AddressGate, Open, Routes, Stack};

const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);

fn routes() -> Routes {
    Routes::new(FakeClock::new(NOW))
}

/// Refuses everyone.
fn closed() -> Stack<AddressFirst, AddressGate> {
    let nobody = AddressList::only([""; 0]).unwrap();
    Stack::new(AddressGate::new(TrustedProxies::none(), nobody))
}

fn direct() -> Stack<AddressFirst, AddressGate> {
    Stack::new(AddressGate::direct())
}

fn open() -> Open {
    Open::because("a test")
}

async fn hello() -> &'static str {
    "hello"
}

/// A handler that must not be reached.
async fn secret() -> &'static str {
    "the secret"
}
