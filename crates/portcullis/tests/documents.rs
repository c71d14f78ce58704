//! What the documents say is so: their commands are run somewhere, their links lead somewhere, the tests
//! they name are there, their Rust is compiled, and their numbers are the ones that cargo counts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod markdown;
mod named;
mod shown;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use markdown::{anchors, blocks, commands, links, named_tests, said_commands};
use named::has_test;
use shown::{COMMANDS, NOT_RUN};

/// Every document, by its path from the root.
struct Documents(BTreeMap<String, String>);

impl Documents {
    fn read() -> Self {
        let root = root();
        let mut paths: Vec<String> = [
            "README.md",
            "CHANGELOG.md",
            "CONTRIBUTING.md",
            "SECURITY.md",
            "examples/auth-service/README.md",
        ]
        .map(str::to_owned)
        .to_vec();
        for entry in fs::read_dir(root.join("docs")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".md") {
                paths.push(format!("docs/{name}"));
            }
        }
        let read = |path: String| {
            let text = fs::read_to_string(root.join(&path)).unwrap_or_else(|_| panic_at(&path));
            (path, text)
        };
        Self(paths.into_iter().map(read).collect())
    }

    fn of(path: &str, text: &str) -> Self {
        Self(BTreeMap::from([(path.to_owned(), text.to_owned())]))
    }

    fn each(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(path, text)| (&**path, &**text))
    }

    fn text(&self, path: &str) -> &str {
        &self.0[path]
    }

    /// Commands that nobody runs, and rows of the table that no document needs any more.
    fn unrun(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (path, text) in self.each() {
            for command in [commands(text), said_commands(text)].concat() {
                let run = COMMANDS.iter().any(|(shown, ..)| *shown == command);
                if !run && !NOT_RUN.contains(&&*command) {
                    found.push(format!("{path}: nothing runs `{command}`"));
                }
            }
        }
        found
    }

    fn unshown(&self) -> Vec<String> {
        let texts = self.each().map(|(_, text)| text);
        let shown: BTreeSet<String> = texts
            .flat_map(|text| [commands(text), said_commands(text)].concat())
            .collect();
        let listed = COMMANDS.iter().map(|(command, ..)| *command);
        let listed = listed.chain(NOT_RUN.iter().copied());
        listed
            .filter(|command| !shown.contains(*command))
            .map(|command| format!("no document shows `{command}`"))
            .collect()
    }

    /// Links and pictures that lead nowhere in this repository.
    fn broken(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (path, text) in self.each() {
            for link in links(text) {
                if link.starts_with("http://") || link.starts_with("https://") {
                    continue;
                }
                let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
                let folder = Path::new(path).parent().unwrap();
                let target = root().join(folder).join(file);
                if file.is_empty() {
                    if !anchors(text).iter().any(|known| known == anchor) {
                        found.push(format!("{path}: {link} names no heading"));
                    }
                } else if !target.exists() {
                    found.push(format!("{path}: {link} is not there"));
                } else if !anchor.is_empty() {
                    let text = fs::read_to_string(target).unwrap_or_default();
                    if !anchors(&text).iter().any(|known| known == anchor) {
                        found.push(format!("{path}: {link} names no heading"));
                    }
                }
            }
        }
        found
    }

    /// Tests that are named and are not there. The table of pains names one file for all of its tests, and
    /// has a test of its own for that.
    fn untested(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (path, text) in self.each().filter(|(path, _)| *path != "docs/pains.md") {
            for (file, test) in named_tests(text) {
                let Some(file) = file else {
                    found.push(format!("{path}: no file stands before `{test}`"));
                    continue;
                };
                let text = fs::read_to_string(root().join(file)).unwrap_or_default();
                if !has_test(&text, test) {
                    found.push(format!("{path}: {file} has no test `{test}`"));
                }
            }
        }
        found
    }

    /// Rust that is not compiled: a document that the examples' library does not take in, or a block that
    /// says of itself that it is not to be.
    fn uncompiled(&self, harness: &str) -> Vec<String> {
        let mut found = Vec::new();
        for (path, text) in self.each() {
            let blocks: Vec<_> = blocks(text).collect();
            let rust = |language: &str| language.split(',').next() == Some("rust");
            if !blocks.iter().any(|(language, _)| rust(language)) {
                continue;
            }
            let line = format!("#[doc = include_str!(\"../../{path}\")]");
            if !harness.lines().any(|known| known == line) {
                found.push(format!("{path}: examples/src/lib.rs does not take it in"));
            }
            for (language, _) in blocks {
                if language.is_empty() {
                    found.push(format!("{path}: a block of no language is taken for Rust"));
                }
                if language.contains("ignore") || language.contains("should_panic") {
                    found.push(format!("{path}: a block is `{language}`"));
                }
            }
        }
        found
    }
}

/// What the last cell of each crate's row in the README says.
fn weights(readme: &str) -> BTreeMap<String, usize> {
    let rows = readme.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("| `")?.split_once("` |")?;
        let weight = rest.trim_end_matches('|').rsplit('|').next()?;
        Some((name.to_owned(), weight.trim().parse().ok()?))
    });
    rows.collect()
}

/// How many packages a crate is built of beside itself, by default, on Linux.
fn weigh(name: &str) -> usize {
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let package = format!("portcullis-{name}");
    let output = Command::new(cargo)
        .args(["tree", "-p", &package, "-e", "normal", "--prefix", "none"])
        .args(["--no-dedupe", "--offline"])
        .args(["--target", "x86_64-unknown-linux-gnu"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo tree -p {package}");
    let text = String::from_utf8(output.stdout).unwrap();
    let packages: BTreeSet<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    packages.len().saturating_sub(1)
}

/// Every `NNN_NAME` that a text has in quotation marks.
fn codes(text: &str) -> BTreeSet<&str> {
    let quoted = text.split(['"', '`']);
    quoted
        .filter(|word| {
            let (digits, name) = word.split_at_checked(3).unwrap_or_default();
            digits.bytes().all(|byte| byte.is_ascii_digit())
                && name.strip_prefix('_').is_some_and(|name| {
                    !name.is_empty()
                        && name
                            .bytes()
                            .all(|byte| byte.is_ascii_uppercase() || byte == b'_')
                })
        })
        .collect()
}

/// Whether a script or a file of tests does what those words say.
fn runs(file: &str, text: &str, words: &str) -> bool {
    if file.ends_with(".rs") {
        return has_test(text, words);
    }
    let mut lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    lines.any(|line| line.contains(words))
}

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap().to_path_buf()
}

#[expect(clippy::panic, reason = "a document that is gone is a failure")]
fn panic_at(path: &str) -> String {
    panic!("{path} cannot be read")
}

const NONE: [String; 0] = [];

#[test]
fn every_command_of_a_document_is_run_by_a_script_or_a_test() {
    let documents = Documents::read();
    assert_eq!(documents.unrun(), NONE);
    assert_eq!(documents.unshown(), NONE);
}

#[test]
fn what_is_said_to_run_a_command_is_there_and_does() {
    for (command, file, words) in COMMANDS {
        let text = fs::read_to_string(root().join(file)).unwrap_or_default();
        assert!(
            runs(file, &text, words),
            "{file} has no `{words}`, which would run `{command}`"
        );
    }
}

#[test]
fn every_link_and_picture_leads_somewhere() {
    assert_eq!(Documents::read().broken(), NONE);
}

#[test]
fn every_test_that_is_named_is_there() {
    assert_eq!(Documents::read().untested(), NONE);
}

#[test]
fn every_block_of_rust_is_compiled() {
    let harness = fs::read_to_string(root().join("examples/src/lib.rs")).unwrap();
    assert_eq!(Documents::read().uncompiled(&harness), NONE);
}

#[test]
fn the_weight_of_each_crate_is_what_cargo_counts() {
    let documents = Documents::read();
    let said = weights(documents.text("README.md"));
    let folders = fs::read_dir(root().join("crates")).unwrap();
    let names = folders.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let counted: BTreeMap<String, usize> = names
        .filter(|name| name != "portcullis")
        .map(|name| (name.clone(), weigh(&name)))
        .collect();
    assert_eq!(said, counted);
}

/// The codes that a refusal can carry are those of the crates' one table and the example service's own.
#[test]
fn every_code_on_the_wire_is_in_the_table_of_codes() {
    let mut source = fs::read_to_string(root().join("crates/tower/src/problem.rs")).unwrap();
    let mut folders = vec![root().join("examples/auth-service/src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                source.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }
    let documents = Documents::read();
    let table = documents.text("docs/codes.md");
    let rows: String = table.lines().filter(|line| line.starts_with('|')).collect();
    assert_eq!(codes(&rows), codes(&source));
}

/// The page's own text and command, and the MAC that the page says comes of it.
#[test]
fn openssl_makes_the_mac_that_the_page_on_signing_shows() {
    let documents = Documents::read();
    let page = documents.text("docs/signing.md");
    let mut command = commands(page);
    command.retain(|command| command.starts_with("openssl dgst "));
    let signed = blocks(page).filter(|(language, _)| *language == "text");
    let mut signed = signed.filter(|(_, lines)| lines.first() == Some(&"portcullis-hmac-v1"));
    let folder = tempfile::tempdir().unwrap();
    let (_, lines) = signed.next().unwrap();
    fs::write(folder.path().join("file"), lines.join("\n") + "\n").unwrap();
    let mut shell = Command::new("sh");
    let output = shell.args(["-c", &command[0]]).current_dir(folder.path());
    let output = output.output().unwrap();
    if !output.status.success() && env::var_os("PORTCULLIS_REQUIRE").is_none() {
        // Not by a macro: the harness would swallow the line of a test that passes.
        let mut stderr = std::io::stderr();
        writeln!(stderr, "SKIPPED: no openssl").unwrap();
        return;
    }
    let said = String::from_utf8(output.stdout).unwrap();
    let mac = said.trim().rsplit(' ').next().unwrap();
    assert!(
        mac.len() == 64 && page.contains(&format!("has the MAC `{mac}`")),
        "{said}"
    );
}

#[test]
fn a_command_that_nobody_runs_and_one_that_nobody_shows_are_found() {
    let documents = Documents::of("x.md", "```sh\ncargo run --bin nothing\n```\n");
    let found = documents.unrun();
    assert_eq!(found, ["x.md: nothing runs `cargo run --bin nothing`"]);
    let found = Documents::of("x.md", "Say `cargo run nothing`, not `cargo`.").unrun();
    assert_eq!(found, ["x.md: nothing runs `cargo run nothing`"]);
    assert_eq!(
        documents.unshown().len(),
        COMMANDS.len() + NOT_RUN.len(),
        "every row is one too many for a document that shows none of them"
    );
}

#[test]
fn a_line_that_is_commented_out_and_a_function_that_is_no_test_run_nothing() {
    let words = "cargo test -p x";
    assert!(runs(
        ".ci/run",
        "step test cargo test -p x --locked\n",
        words
    ));
    assert!(!runs(".ci/run", "  # step test cargo test -p x\n", words));
    assert!(runs("x.rs", "#[test]\nfn it_is_so() {}\n", "it_is_so"));
    assert!(!runs("x.rs", "fn it_is_so() {}\n", "it_is_so"));
}

#[test]
fn links_to_files_and_headings_that_are_not_there_are_found() {
    let text = "# A title, twice\n[good](../README.md) [here](#a-title-twice) [lost](#none) [out](https://example.org/x)\n\
                ![gone](gone.png) [away](../README.md#no-such-heading) <img src=\"lost.svg\">\n";
    let found = Documents::of("docs/x.md", text).broken();
    assert_eq!(
        found,
        [
            "docs/x.md: #none names no heading",
            "docs/x.md: gone.png is not there",
            "docs/x.md: ../README.md#no-such-heading names no heading",
            "docs/x.md: lost.svg is not there",
        ]
    );
}

#[test]
fn tests_that_are_not_there_or_of_no_file_are_found() {
    let text = "`crates/portcullis/tests/shape.rs` `the_workspace_keeps_its_shape`, `no_such_test_at_all`\n\n\
                and `a_test_of_no_file`\n";
    let found = Documents::of("x.md", text).untested();
    assert_eq!(
        found,
        [
            "x.md: crates/portcullis/tests/shape.rs has no test `no_such_test_at_all`",
            "x.md: no file stands before `a_test_of_no_file`",
        ]
    );
}

#[test]
fn rust_that_is_not_compiled_is_found() {
    let taken_in = "#[doc = include_str!(\"../../x.md\")]";
    let good = Documents::of("x.md", "```rust\nfn main() {}\n```\n```sh\nls\n```\n");
    assert_eq!(good.uncompiled(taken_in), NONE);
    assert_eq!(good.uncompiled("").len(), 1);
    let bad = "```rust,ignore\nfn\n```\n\n```\nplain\n```\n";
    assert_eq!(Documents::of("x.md", bad).uncompiled(taken_in).len(), 2);
    let none = Documents::of("x.md", "```\nplain\n```\n");
    assert_eq!(none.uncompiled(""), NONE);
}

#[test]
fn a_weight_is_read_from_the_last_cell_and_a_code_from_between_its_marks() {
    let rows = "| `core` | nothing | a | 21 |\n| Crate | b |\n| `x` | no number | none |\n";
    assert_eq!(weights(rows), BTreeMap::from([("core".to_owned(), 21)]));
    let text =
        "`403_FORBIDDEN` \"401_UNAUTHORIZED\" `403` `4O3_X` `403_forbidden` 429_RATE_LIMITED";
    assert_eq!(
        codes(text).into_iter().collect::<Vec<_>>(),
        ["401_UNAUTHORIZED", "403_FORBIDDEN"]
    );
}
