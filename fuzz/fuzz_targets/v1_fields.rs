//! The signed bytes of portcullis v1, read back.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| portcullis_fuzz::run("v1_fields", data));

/// Built without the fuzzer, there is nothing to run: `cargo test -p portcullis-fuzz` replays.
#[cfg(not(fuzzing))]
fn main() {}
