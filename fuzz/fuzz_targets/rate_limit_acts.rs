//! A key's charges and refunds, one after another.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| portcullis_fuzz::run("rate_limit_acts", data));

/// Built without the fuzzer, there is nothing to run: `cargo test -p portcullis-fuzz` replays.
#[cfg(not(fuzzing))]
fn main() {}
