//! Nothing: the tests beside it do one real thing with each feature of the facade that is on.
//!
//! `cargo hack test -p portcullis-smoke --feature-powerset --depth 2` runs them for each feature alone and
//! for each two together; `.ci/deep` does.
#![forbid(unsafe_code)]
