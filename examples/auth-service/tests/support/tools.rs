//! Programs that a test needs and a machine may lack, and what they are asked here.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests; each uses a part of this"
)]

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Whether all of these can be run; a visible skip for a user, a failure where everything is required.
pub fn tools(names: &[&str]) -> bool {
    let missing = names.iter().find(|name| found(&[**name]).is_none());
    missing.is_none_or(|name| skipped(name))
}

/// Where the first of these programs is that this machine has.
pub fn found(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let places = names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    places.into_iter().find(|place| place.is_file())
}

/// Says that a test is skipped for want of this program: always false.
pub fn skipped(name: &str) -> bool {
    assert!(
        std::env::var_os("PORTCULLIS_REQUIRE").is_none(),
        "{name} is required here"
    );
    // Not by a macro: the harness would swallow the line of a test that passes.
    let mut stderr = std::io::stderr();
    writeln!(stderr, "SKIPPED: no {name}").unwrap();
    false
}

/// What the one QR code in this picture says.
pub fn read_qr(png: &[u8]) -> String {
    let mut zbarimg = Command::new("zbarimg");
    let said = answer_to(zbarimg.args(["--quiet", "--raw", "png:-"]), png);
    let lines: Vec<&str> = said.lines().collect();
    let [uri] = lines[..] else {
        panic!("one QR code in the picture: {lines:?}");
    };
    uri.to_owned()
}

/// The code of this base32 secret at this second since 1970.
pub fn oath_code(secret: &str, at: u64) -> String {
    // By the standard input: a program's arguments are everybody's to read.
    let mut oathtool = Command::new("oathtool");
    oathtool.args(["--totp", "-b", &format!("--now=@{at}"), "-"]);
    let code = answer_to(&mut oathtool, secret.as_bytes());
    code.trim().to_owned()
}

/// What the program answers to this input.
fn answer_to(program: &mut Command, input: &[u8]) -> String {
    let mut running = program
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    running.stdin.take().unwrap().write_all(input).unwrap();
    let output = running.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}
