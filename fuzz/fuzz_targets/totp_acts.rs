//! A second factor in use, one code after another.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| portcullis_fuzz::run("totp_acts", data));

/// Built without the fuzzer, there is nothing to run: `cargo test -p portcullis-fuzz` replays.
#[cfg(not(fuzzing))]
fn main() {}
