//! Files of vectors in a folder of the user's.
//!
//! `PORTCULLIS_VECTORS` names it. Without it the tests that ask say that they were skipped; with
//! `PORTCULLIS_REQUIRE=1` a skip is a failure.

use std::io::Write;
use std::path::Path;
use std::{env, fs};

use serde_json::Value;

pub fn vectors(file: &str) -> Option<Value> {
    let Some(folder) = env::var_os("PORTCULLIS_VECTORS") else {
        assert!(
            env::var_os("PORTCULLIS_REQUIRE").is_none_or(|value| value != "1"),
            "PORTCULLIS_VECTORS is not set, and PORTCULLIS_REQUIRE=1 asks for {file}"
        );
        // Not by a macro: the harness would swallow the line of a test that passes.
        let mut stderr = std::io::stderr();
        writeln!(
            stderr,
            "SKIPPED: PORTCULLIS_VECTORS is not set, {file} was not read"
        )
        .unwrap();
        return None;
    };
    let path = Path::new(&folder).join(file);
    Some(serde_json::from_slice(&fs::read(path).unwrap()).unwrap())
}
