//! The bodies of the fuzz targets, by name.
//!
//! Each target under `fuzz_targets/` hands the fuzzer's bytes to the body of its name; the test
//! `replay` hands the same bodies every file of `corpus/<name>/` and bytes made from them. A body
//! returns, or panics: what decodes encodes to the same bytes, and nothing panics.
#![forbid(unsafe_code)]

/// A fuzz target's name and body.
pub type Target = (&'static str, fn(&[u8]));

/// Every target there is.
pub const TARGETS: &[Target] = &[("index_page", portcullis_core::testing::fuzz_index_page)];

/// Runs the body called `name` on `data`.
///
/// # Panics
/// When there is no such target, or the body finds a defect.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    #[expect(
        clippy::panic,
        reason = "a target without a body must not look like a clean run"
    )]
    let (_, body) = target.unwrap_or_else(|| panic!("no fuzz target is called {name}"));
    body(data);
}
