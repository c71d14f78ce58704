//! The story of `walkthrough.sh`, told to a service of its own.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use crate::support::{Service, data};

/// Whether `tool` can be run; a visible skip for a user, a failure where everything is required.
fn present(tool: &str) -> bool {
    // openssl alone wants the word without dashes; to curl it would be a host.
    let version = if tool == "openssl" {
        "version"
    } else {
        "--version"
    };
    let found = Command::new(tool).arg(version).output().is_ok();
    if !found {
        assert!(
            std::env::var_os("PORTCULLIS_REQUIRE").is_none(),
            "{tool} is required here"
        );
        // Not by a macro: the harness would swallow the line of a test that passes.
        let mut stderr = std::io::stderr();
        writeln!(stderr, "SKIPPED: {tool} is not installed").unwrap();
    }
    found
}

#[test]
fn the_walkthrough_ends_in_success() {
    if !["bash", "curl", "openssl", "oathtool"]
        .into_iter()
        .all(present)
    {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // Ten logins in five seconds instead of a minute: the story waits for two such windows.
    let service = Service::start(&data(&folder), &["--limit-window-secs=5"]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("walkthrough.sh");
    let told = Command::new("bash")
        .arg(script)
        .arg(format!("http://{}", service.address))
        .arg(service.one_time_password())
        .arg(folder.path().join("data.key"))
        .output()
        .unwrap();
    let (story, trouble) = (
        String::from_utf8_lossy(&told.stdout),
        String::from_utf8_lossy(&told.stderr),
    );
    assert!(told.status.success(), "{story}\n{trouble}");
    assert!(story.trim_end().ends_with("The story held."), "{story}");
    // It ends up in logs and in questions: what can be scanned is as secret as what can be typed.
    for secret in [
        "<path",
        "otpauth",
        "iVBOR",
        "eyJ",
        "prt1_",
        "pch1_",
        "portcullis_live_",
    ] {
        assert!(!story.contains(secret), "the story shows {secret}");
    }
}
