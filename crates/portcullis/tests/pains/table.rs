//! Every pain of `docs/pains.md` names tests that are there, and there are sixteen.

use std::fs;
use std::path::{Path, PathBuf};

/// A row: its number, our test, and the naive one, where there is one.
#[derive(Debug)]
struct Row<'a> {
    number: &'a str,
    ours: &'a str,
    naive: Result<&'a str, &'a str>,
}

fn rows(table: &str) -> Vec<Row<'_>> {
    let lines = table.lines().filter(|line| line.starts_with("| "));
    let rows = lines.filter_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, number, pain, happens, ours, naive, _] = cells[..] else {
            panic!("a row of another form: {line}");
        };
        let head = number == "No.";
        assert!(head || !(pain.is_empty() || happens.is_empty()), "{line}");
        (!head).then(|| Row {
            number,
            ours: quoted(ours).unwrap_or_default(),
            naive: quoted(naive).ok_or(naive),
        })
    });
    rows.collect()
}

fn quoted(cell: &str) -> Option<&str> {
    cell.strip_prefix('`')?.strip_suffix('`')
}

/// Whether the text has a test of that name: a function right under its attributes.
fn has_test(text: &str, name: &str) -> bool {
    let function = format!("fn {name}(");
    let (before, _) = text.split_once(&function).unwrap_or_default();
    let marks = before.lines().rev().map(str::trim);
    let mut marks = marks.take_while(|line| !line.is_empty() && *line != "}");
    !name.is_empty() && marks.any(|line| line == "#[test]" || line.starts_with("#[tokio::test"))
}

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap().to_path_buf()
}

fn all_in(folder: &str) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "rs") {
            text.push_str(&fs::read_to_string(path).unwrap());
        }
    }
    text
}

#[test]
fn all_sixteen_pains_name_tests_that_are_there() {
    let table = fs::read_to_string(root().join("docs/pains.md")).unwrap();
    let rows = rows(&table);
    let numbers: Vec<&str> = rows.iter().map(|row| row.number).collect();
    let sixteen: Vec<String> = (1..=16).map(|number: u8| number.to_string()).collect();
    assert_eq!(numbers, sixteen);
    let (ours, naive) = (
        all_in("crates/portcullis/tests/pains"),
        all_in("benches/tests"),
    );
    for row in &rows {
        assert!(has_test(&ours, row.ours), "{row:?}");
        match row.naive {
            Ok(name) => assert!(has_test(&naive, name), "{row:?}"),
            Err(why) => assert!(why.starts_with("none: ") && why.len() > 20, "{row:?}"),
        }
    }
}

#[test]
fn a_test_that_is_none_is_missed() {
    let text = "#[tokio::test(start_paused = true)]\nasync fn there() {}\n\nfn helper() {}\n";
    assert!(has_test(text, "there"));
    assert!(!has_test(text, "there_was") && !has_test(text, "helper") && !has_test(text, ""));
    let table = "| No. | a | b | c | d |\n|---|---|\n| 1 | a | b | `c` | none: since |\n";
    let rows = rows(table);
    assert_eq!((rows[0].ours, rows[0].naive), ("c", Err("none: since")));
    assert_eq!(rows.len(), 1);
}
