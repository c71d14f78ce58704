//! Every attack that `docs/attacks.md` lists names a test that is there.
#![allow(clippy::unwrap_used, reason = "tests")]

mod named;

use std::fs;
use std::path::Path;

use named::has_test;

/// The rows' second and third cells: a file and a test, each in backticks.
fn named(table: &str) -> Vec<(&str, &str)> {
    let rows = table.lines().filter(|line| line.starts_with("| "));
    let cells = rows.filter_map(|row| {
        let mut cells = row.split('|').skip(2).map(str::trim);
        let mut quoted = || cells.next()?.strip_prefix('`')?.strip_suffix('`');
        Some((quoted()?, quoted()?))
    });
    cells.collect()
}

#[test]
fn every_attack_names_a_test_that_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap();
    let table = fs::read_to_string(root.join("docs/attacks.md")).unwrap();
    let named = named(&table);
    // Every row but those that head a table and rule it off.
    let rows = table
        .lines()
        .filter(|line| line.starts_with("| ") && !line.contains("| Attack |"));
    assert_eq!(named.len(), rows.count(), "a row names no test");
    let missing: Vec<_> = named
        .into_iter()
        .filter(|(file, test)| {
            let text = fs::read_to_string(root.join(file)).unwrap_or_default();
            !has_test(&text, test)
        })
        .collect();
    assert_eq!(missing, []);
}

#[test]
fn a_test_that_was_renamed_or_is_none_is_missed() {
    let text = "#[tokio::test(start_paused = true)]\nasync fn there() {}\n\nfn helper() {}\n";
    assert!(has_test(text, "there"));
    assert!(!has_test(text, "there_was") && !has_test(text, "helper"));
}
