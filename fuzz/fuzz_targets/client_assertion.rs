//! Tokens that clients sign themselves.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| portcullis_fuzz::run("client_assertion", data));

/// Built without the fuzzer, there is nothing to run: `cargo test -p portcullis-fuzz` replays.
#[cfg(not(fuzzing))]
fn main() {}
