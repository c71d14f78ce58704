//! Fake clock, a store that fails on command, the conformance suite and its race harness.

mod clock;
mod conformance;
mod dropping;
mod faulty;
mod race;

pub use clock::FakeClock;
pub use conformance::{Law, Violation, store_conformance};
pub use dropping::drop_at_each_await;
pub use faulty::Faulty;
pub use race::{Part, Race, Started};

/// The body of the fuzz target `index_page`: a stored page that decodes encodes to the same bytes.
///
/// # Panics
/// When it does not.
pub fn fuzz_index_page(data: &[u8]) {
    crate::index::fuzz_page(data);
}
