//! Whoever reads the store, whatever it ever held, can show no key.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    dead_code,
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    reason = "tests"
)]

mod common;

use std::io::Write;
use std::process::{Command, Stdio};

use common::{ROWS, Rig, START, at, new};
use data_encoding::BASE32_NOPAD;
use portcullis_api_key::{ApiKey, ApiKeys, Environment, Error, KeyId, Policy};
use portcullis_core::Key;
use portcullis_store_sqlite::Sqlite;

/// The key of that id and secret, made from the format's description alone.
fn forge(id: &[u8], secret: &[u8]) -> ApiKey {
    let spell = |bytes: &[u8]| BASE32_NOPAD.encode(bytes).to_ascii_lowercase();
    let body = format!("portcullis_live_{}_{}", spell(id), spell(secret));
    let checksum = spell(&crc32fast::hash(body.as_bytes()).to_be_bytes());
    ApiKey::parse(&format!("{body}{checksum}")).unwrap()
}

fn secret_of(key: &ApiKey) -> Vec<u8> {
    let spelled = key.expose()[33..85].to_ascii_uppercase();
    BASE32_NOPAD.decode(spelled.as_bytes()).unwrap()
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Everything that must not be found where `key` is kept.
fn forbidden(key: &ApiKey) -> Vec<Vec<u8>> {
    let text = key.expose();
    vec![
        text.into(),
        text[33..].into(),
        text[33..49].into(),
        text[33..].to_ascii_uppercase().into(),
        secret_of(key),
        secret_of(key)[..16].to_vec(),
        secret_of(key)[16..].to_vec(),
    ]
}

#[tokio::test]
async fn nothing_that_was_ever_stored_is_a_key_or_makes_one() {
    let acme = Rig::owned().await;
    let old = &acme.made.key;
    acme.verify(old, at(1)).await.unwrap();
    let rotated = acme.rotate(at(2)).await.unwrap();
    acme.verify(&rotated.key, at(100)).await.unwrap();
    let (keys, id) = (&acme.rig.keys, acme.made.info.id);

    let stored = acme.rig.store.ever_stored();
    assert!(stored.len() >= 5, "the list, the row, two uses, a rotation");
    for bytes in &stored {
        for key in [old, &rotated.key] {
            for part in forbidden(key) {
                assert!(!holds(bytes, &part));
            }
        }
    }
    // Every run of 32 bytes that was ever stored, the digests among them, shown as the secret.
    let mut shown = 0;
    for window in stored.iter().flat_map(|bytes| bytes.windows(32)) {
        let forged = forge(id.as_bytes(), window);
        let refused = keys.verify(&forged, at(101)).await;
        assert_eq!(refused.err(), Some(Error::SecretWrong));
        shown += 1;
    }
    assert!(shown > 300, "{shown}");
    let right = forge(id.as_bytes(), &secret_of(old));
    assert!(
        keys.verify(&right, at(101)).await.is_ok(),
        "the forger can spell"
    );
}

#[tokio::test]
async fn the_files_of_a_database_hold_neither_key_nor_secret() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(folder.path().join("keys.db"), START).unwrap();
    let policy = Policy::accepting(&[Environment::Live]).unwrap();
    let keys = ApiKeys::new(store.clone(), policy).unwrap();
    let made = keys.create("acme", new(), START).await.unwrap();
    let rotated = keys.rotate("acme", made.info.id, at(1)).await.unwrap();
    keys.verify(&made.key, at(2)).await.unwrap();
    keys.verify(&rotated.key, at(99)).await.unwrap();
    let dump = || {
        let mut dump = Vec::new();
        for file in std::fs::read_dir(folder.path()).unwrap() {
            dump.extend(std::fs::read(file.unwrap().path()).unwrap());
        }
        dump
    };
    let mut dumps = vec![dump()];
    store.close().await;
    dumps.push(dump());
    for dump in dumps {
        assert!(holds(&dump, b"orders:read"), "the rows are in the dump");
        for key in [&made.key, &rotated.key] {
            for part in forbidden(key) {
                assert!(!holds(&dump, &part));
            }
        }
    }
}

#[tokio::test]
async fn a_row_moved_under_another_id_does_not_count_there() {
    let acme = Rig::owned().await;
    let (keys, id) = (&acme.rig.keys, acme.made.info.id);
    let other = KeyId::from_bytes([7; 10]);
    let row = acme.rig.store.get(Key::new(ROWS, id.as_bytes())).await;
    let place = Key::new(ROWS, other.as_bytes());
    acme.rig.store.put(place, row).await;
    // Its holder knows the secret, and would be whoever the row is renamed to.
    let moved = forge(other.as_bytes(), &secret_of(&acme.made.key));
    let refused = keys.verify(&moved, at(1)).await;
    assert_eq!(refused.err(), Some(Error::SecretWrong));
    assert!(keys.verify(&acme.made.key, at(1)).await.is_ok());
}

/// The other half of the promise of the pattern: a scanner finds every key, whole, in the midst of a log.
#[tokio::test]
async fn a_scanner_that_looks_for_the_pattern_finds_every_key() {
    let rig = Rig::new();
    let (mut log, mut texts) = (String::new(), Vec::new());
    for at in 0..200 {
        let made = rig.create(&format!("owner {at}"), START).await.unwrap();
        texts.push(made.key.expose().to_owned());
        log.push_str(&format!("GET /?key={}&x=1 200\n", made.key.expose()));
    }
    let grep = Command::new("grep")
        .args(["-oE", ApiKey::PATTERN])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut grep) = grep else {
        let required = std::env::var_os("PORTCULLIS_REQUIRE").is_some();
        assert!(!required, "grep is required here");
        // Not by a macro: the harness would swallow the line of a test that passes.
        let mut stderr = std::io::stderr();
        writeln!(stderr, "SKIPPED: there is no grep to scan with").unwrap();
        return;
    };
    let mut input = grep.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(log.as_bytes()).unwrap());
    let found = grep.wait_with_output().unwrap();
    writer.join().unwrap();
    let found: Vec<_> = std::str::from_utf8(&found.stdout)
        .unwrap()
        .lines()
        .collect();
    assert_eq!(found, texts);
}
