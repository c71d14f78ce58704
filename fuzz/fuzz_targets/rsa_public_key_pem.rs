//! RSA public keys, as clients register them.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| portcullis_fuzz::run("rsa_public_key_pem", data));

/// Built without the fuzzer, there is nothing to run: `cargo test -p portcullis-fuzz` replays.
#[cfg(not(fuzzing))]
fn main() {}
