//! The workspace keeps its shape: its arrows, its pure files, and what every primitive comes with.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Who may depend on whom. Adding an arrow is a line here, argued for in a review.
const ARROWS: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("audit", &["core"]),
    ("ip-list", &["core"]),
    ("jwt", &["core"]),
    ("lockout", &["core"]),
    ("rate-limit", &["core"]),
    ("store-sqlite", &["core"]),
    ("session", &["core", "jwt"]),
    ("sign-in", &["core", "audit", "lockout", "session"]),
    (
        "tower",
        &["core", "audit", "ip-list", "jwt", "rate-limit", "session"],
    ),
];

/// What a crate comes with, where its name does not say: its example and its bench.
const NAMED_OTHERWISE: &[(&str, &str, &str)] = &[
    ("core", "store", "stores"),
    ("store-sqlite", "store_sqlite", "stores"),
    ("tower", "gate", "gateway"),
];

/// Crates without a fuzz target of their own, and why.
const NOT_FUZZED: &[(&str, &str)] = &[
    (
        "store-sqlite",
        "its rows are the database's own format; the values are fuzzed where they are decoded",
    ),
    (
        "tower",
        "it parses nothing itself: tokens, addresses and quotas are fuzzed in their crates",
    ),
    (
        "sign-in",
        "it keeps no bytes: names, counters and sessions are fuzzed in their crates",
    ),
];

/// Files that decide and do nothing else, wherever they stand.
const PURE: &[&str] = &["policy.rs", "state.rs", "decide.rs", "verify.rs"];

/// What a pure file does not say. Each is looked for as it stands, outside comments.
const IMPURE: &[&str] = &[
    "async ",
    ".await",
    "tokio::",
    "std::fs",
    "std::io",
    "std::net::Tcp",
    "std::thread",
    "SystemClock",
    "SystemTime",
    "Instant::",
    "entropy(",
    "getrandom",
    "println!",
];

struct Tree {
    /// Package folder name → the workspace's packages it depends on, dev-dependencies left out.
    arrows: BTreeMap<String, Vec<String>>,
    /// File path from the root → its text.
    files: BTreeMap<String, String>,
}

impl Tree {
    fn read() -> Self {
        let root = root();
        let mut files = BTreeMap::new();
        for folder in ["crates", "examples", "benches", "fuzz"] {
            collect(&root, &root.join(folder), &mut files);
        }
        files.insert(
            "README.md".into(),
            fs::read_to_string(root.join("README.md")).unwrap(),
        );
        Self {
            arrows: arrows(&root),
            files,
        }
    }

    fn has(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    fn text(&self, path: &str) -> &str {
        self.files.get(path).map_or("", String::as_str)
    }

    fn crates(&self) -> impl Iterator<Item = &str> {
        self.arrows
            .keys()
            .map(String::as_str)
            .filter(|name| *name != "portcullis")
    }

    fn complaints(&self) -> Vec<String> {
        let mut all = self.sideways();
        all.extend(self.impure());
        all.extend(self.incomplete());
        all.extend(self.headless());
        all
    }

    fn sideways(&self) -> Vec<String> {
        let mut found = Vec::new();
        for name in self.crates() {
            let Some((_, allowed)) = ARROWS.iter().find(|(from, _)| *from == name) else {
                found.push(format!("{name} has no row in the table of arrows"));
                continue;
            };
            let to = self.arrows.get(name).into_iter().flatten();
            found.extend(
                to.filter(|to| !allowed.contains(&to.as_str()))
                    .map(|to| format!("arrow {name} -> {to} is not in the table")),
            );
        }
        found
    }

    fn impure(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (path, text) in &self.files {
            let name = path.rsplit('/').next().unwrap_or_default();
            if !path.starts_with("crates/") || !path.contains("/src/") || !PURE.contains(&name) {
                continue;
            }
            // Tests stand at the bottom of a file and may do as they like.
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for (number, line) in (1..).zip(code.lines()) {
                let line = line.split("//").next().unwrap_or_default();
                for word in IMPURE.iter().filter(|word| line.contains(**word)) {
                    found.push(format!(
                        "{path}:{number} is pure by name and says `{}`",
                        word.trim()
                    ));
                }
            }
        }
        found
    }

    fn incomplete(&self) -> Vec<String> {
        let mut found = Vec::new();
        for name in self.crates() {
            let own = name.replace('-', "_");
            let (example, bench) = NAMED_OTHERWISE
                .iter()
                .find(|(of, ..)| *of == name)
                .map_or((own.as_str(), own.as_str()), |(_, example, bench)| {
                    (*example, *bench)
                });
            if !self.has(&format!("examples/{example}.rs")) {
                found.push(format!("{name} has no example: examples/{example}.rs"));
            }
            if !self.has(&format!("benches/{bench}.rs")) {
                found.push(format!("{name} has no bench: benches/{bench}.rs"));
            }
            let fuzzed = self
                .text("fuzz/src/lib.rs")
                .contains(&format!("portcullis_{own}::testing::"));
            if !fuzzed && !NOT_FUZZED.iter().any(|(of, _)| *of == name) {
                found.push(format!("{name} has no fuzz target in fuzz/src/lib.rs"));
            }
            if !self.text("README.md").contains(&format!("| `{name}` |")) {
                found.push(format!("{name} has no row in README.md"));
            }
        }
        found
    }

    fn headless(&self) -> Vec<String> {
        let mut found = Vec::new();
        for name in self.crates() {
            let lib = self.text(&format!("crates/{name}/src/lib.rs"));
            let head: Vec<&str> = lib
                .lines()
                .take_while(|line| line.starts_with("//!"))
                .collect();
            if !lib.lines().any(|line| line == "#![forbid(unsafe_code)]") {
                found.push(format!("{name} does not forbid unsafe code"));
            }
            let wanted = ["//! ```", "//! |"];
            if head.len() > 60
                || wanted
                    .iter()
                    .any(|start| !head.iter().any(|line| line.starts_with(start)))
            {
                found.push(format!(
                    "{name}'s lib.rs opens with a sentence, an example and a table, in 60 lines"
                ));
            }
        }
        found
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
        .to_path_buf()
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let name = path
                .strip_prefix(root)
                .unwrap()
                .to_str()
                .unwrap()
                .replace('\\', "/");
            files.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
}

/// Cargo's own view of who depends on whom.
fn arrows(root: &Path) -> BTreeMap<String, Vec<String>> {
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(root)
        .output()
        .unwrap();
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata answers in JSON");
    let mut arrows = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        let manifest = package["manifest_path"]
            .as_str()
            .unwrap()
            .replace('\\', "/");
        let Some((_, folder)) = manifest.rsplit_once("/crates/") else {
            continue;
        };
        let to = package["dependencies"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|dependency| dependency["kind"].is_null());
        let ours = to.filter_map(|dependency| {
            dependency["name"]
                .as_str()?
                .strip_prefix("portcullis-")
                .map(str::to_owned)
        });
        arrows.insert(
            folder.trim_end_matches("/Cargo.toml").to_owned(),
            ours.collect(),
        );
    }
    arrows
}

#[test]
fn the_workspace_keeps_its_shape() {
    let tree = Tree::read();
    assert!(
        tree.arrows.len() > ARROWS.len(),
        "cargo metadata names {} crates",
        tree.arrows.len()
    );
    assert_eq!(tree.complaints(), Vec::<String>::new());
}

#[test]
fn the_table_of_arrows_has_no_cycle_and_no_row_without_a_crate() {
    let tree = Tree::read();
    for (place, (from, to)) in ARROWS.iter().enumerate() {
        assert!(
            tree.arrows.contains_key(*from),
            "{from} is in the table and not in the tree"
        );
        for target in *to {
            let above = ARROWS.iter().position(|(name, _)| name == target);
            assert!(
                above.is_some_and(|above| above < place),
                "{from} -> {target} points down the table"
            );
        }
    }
}

#[test]
fn a_sideways_dependency_is_found() {
    let mut tree = Tree::read();
    tree.arrows
        .get_mut("lockout")
        .unwrap()
        .push("rate-limit".into());
    assert_eq!(
        tree.complaints(),
        ["arrow lockout -> rate-limit is not in the table"]
    );
}

#[test]
fn an_await_a_clock_or_a_file_in_a_pure_file_is_found() {
    for line in [
        "pub async fn decide() {}",
        "let now = SystemClock.now();",
        "let bytes = std::fs::read(path);",
    ] {
        let mut tree = Tree::read();
        let path = "crates/lockout/src/decide.rs".to_owned();
        let text = format!(
            "{line}\n// an async comment is none\n#[cfg(test)]\nmod tests {{ async fn fine() {{}} }}\n"
        );
        assert!(
            tree.files.insert(path, text).is_some(),
            "lockout has a decide.rs"
        );
        let found = tree.complaints();
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found
                .iter()
                .all(|found| found.starts_with("crates/lockout/src/decide.rs:1 is pure by name")),
            "{found:?}"
        );
    }
}

#[test]
fn a_missing_fuzz_target_example_bench_or_row_is_found() {
    let mut tree = Tree::read();
    let targets = tree
        .text("fuzz/src/lib.rs")
        .replace("portcullis_session::", "portcullis_other::");
    tree.files.insert("fuzz/src/lib.rs".into(), targets);
    assert_eq!(
        tree.complaints(),
        ["session has no fuzz target in fuzz/src/lib.rs"]
    );

    let mut tree = Tree::read();
    tree.files.remove("examples/jwt.rs");
    tree.files.remove("benches/jwt.rs");
    let readme = tree.text("README.md").replace("| `jwt` |", "| jot |");
    tree.files.insert("README.md".into(), readme);
    assert_eq!(
        tree.complaints(),
        [
            "jwt has no example: examples/jwt.rs",
            "jwt has no bench: benches/jwt.rs",
            "jwt has no row in README.md"
        ]
    );
}

#[test]
fn the_facade_defines_nothing() {
    let lib = fs::read_to_string(root().join("crates/portcullis/src/lib.rs")).unwrap();
    for line in lib.lines().filter(|line| !line.is_empty()) {
        let allowed = ["//!", "#![forbid", "#[cfg(feature", "pub use portcullis_"];
        assert!(
            allowed.iter().any(|start| line.starts_with(start)),
            "the facade says: {line}"
        );
    }
}
