//! The workspace keeps its shape: its arrows, its pure files, and what every primitive comes with.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod head;
mod workspace;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use head::missing_in_head;
use workspace::{arrows, collect, root};

/// Who may depend on whom. Adding an arrow is a line here, argued for in a review.
const ARROWS: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("api-key", &["core"]),
    ("audit", &["core"]),
    ("hmac-signing", &["core"]),
    ("ip-list", &["core"]),
    ("jwt", &["core"]),
    ("lockout", &["core"]),
    ("rate-limit", &["core"]),
    ("store-sqlite", &["core"]),
    ("totp-mfa", &["core"]),
    ("session", &["core", "jwt"]),
    (
        "sign-in",
        &["core", "audit", "lockout", "session", "totp-mfa"],
    ),
    (
        "tower",
        &[
            "core",
            "audit",
            "hmac-signing",
            "ip-list",
            "jwt",
            "rate-limit",
            "session",
        ],
    ),
];

/// What a crate comes with, where its name does not say: its example and its bench.
const NAMED_OTHERWISE: &[(&str, &str, &str)] = &[
    ("core", "store", "stores"),
    ("store-sqlite", "store_sqlite", "stores"),
    ("tower", "gate", "gateway"),
];

/// Crates without a fuzz target of their own, and why.
const NOT_FUZZED: &[(&str, &str)] = &[(
    "store-sqlite",
    "its rows are the database's own format; the values are fuzzed where they are decoded",
)];

/// Modules that a crate shows as they are: v1's encoding is a format of its own, for whoever writes another end.
const OPEN: &[(&str, &str)] = &[("hmac-signing", "v1")];

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
        for text in ["README.md", "docs/crates.svg", "fuzz/Cargo.toml"] {
            files.insert(text.into(), fs::read_to_string(root.join(text)).unwrap());
        }
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
        all.extend(self.misdrawn());
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
        for (path, text) in self.files.iter().filter(|(path, _)| is_pure(path)) {
            // Tests stand at the bottom of a file and may do as they like.
            let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
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
            let bodies: Vec<&str> = self.fuzz_bodies(name).collect();
            if bodies.is_empty() && !NOT_FUZZED.iter().any(|(of, _)| *of == name) {
                found.push(format!("{name} has no fuzz target"));
            }
            for body in bodies {
                found.extend(self.unregistered(&own, body));
            }
            if !self.text("README.md").contains(&format!("| `{name}` |")) {
                found.push(format!("{name} has no row in README.md"));
            }
            let facade = self.arrows.get("portcullis").into_iter().flatten();
            if !facade.into_iter().any(|to| to == name) {
                found.push(format!("{name} is not in the facade"));
            }
        }
        found
    }

    /// The names of the fuzz bodies that a crate has.
    fn fuzz_bodies(&self, name: &str) -> impl Iterator<Item = &str> {
        let folder = format!("crates/{name}/src/");
        let files = self
            .files
            .iter()
            .filter(move |(path, _)| path.starts_with(&folder));
        files.flat_map(|(_, text)| text.lines()).filter_map(|line| {
            let (body, _) = line
                .trim_start()
                .strip_prefix("pub fn fuzz_")?
                .split_once('(')?;
            Some(body)
        })
    }

    /// Where a body is missing of the three places that make it a target.
    fn unregistered(&self, own: &str, body: &str) -> Vec<String> {
        let code = self.text("fuzz/src/lib.rs").lines();
        let code = code.filter(|line| !line.trim_start().starts_with("//"));
        let targets: String = code.flat_map(str::split_whitespace).collect();
        let row = format!("(\"{body}\",portcullis_{own}::testing::fuzz_{body}");
        let bin = format!("name = \"{body}\"");
        let places = [
            ("fuzz/src/lib.rs", targets.contains(&row)),
            (
                "fuzz/fuzz_targets",
                self.has(&format!("fuzz/fuzz_targets/{body}.rs")),
            ),
            (
                "fuzz/Cargo.toml",
                self.text("fuzz/Cargo.toml").lines().any(|line| line == bin),
            ),
        ];
        let missing = places.into_iter().filter(|(_, there)| !there);
        missing
            .map(|(place, _)| format!("fuzz target {body} is missing in {place}"))
            .collect()
    }

    fn headless(&self) -> Vec<String> {
        let mut found = Vec::new();
        for name in self.arrows.keys().map(String::as_str) {
            let lib = self.text(&format!("crates/{name}/src/lib.rs"));
            if !lib.lines().any(|line| line == "#![forbid(unsafe_code)]") {
                found.push(format!("{name} does not forbid unsafe code"));
            }
            for missing in missing_in_head(lib) {
                found.push(format!("{name}'s lib.rs {missing}"));
            }
            for line in lib.lines() {
                let module = line
                    .strip_prefix("pub mod ")
                    .and_then(|rest| rest.strip_suffix(';'));
                let open = |module| module == "testing" || OPEN.contains(&(name, module));
                if module.is_some_and(|module| !open(module)) {
                    found.push(format!("{name}'s lib.rs opens a module: {line}"));
                }
                if line.starts_with("pub use ") && line.contains('*') {
                    found.push(format!("{name}'s lib.rs says no names: {line}"));
                }
            }
        }
        found
    }

    /// Where the picture of the crates shows other arrows than the table, those to core left out of both.
    fn misdrawn(&self) -> Vec<String> {
        let drawn: BTreeSet<(&str, &str)> = self
            .text("docs/crates.svg")
            .split("data-from=\"")
            .skip(1)
            .filter_map(|rest| {
                let (from, rest) = rest.split_once('"')?;
                let (to, _) = rest.split_once("data-to=\"")?.1.split_once('"')?;
                Some((from, to))
            })
            .collect();
        let listed: BTreeSet<(&str, &str)> = ARROWS
            .iter()
            .flat_map(|(from, to)| to.iter().map(move |to| (*from, *to)))
            .filter(|(_, to)| *to != "core")
            .collect();
        let differing = drawn.symmetric_difference(&listed);
        differing
            .map(|(from, to)| format!("docs/crates.svg and the table differ in {from} -> {to}"))
            .collect()
    }
}

/// Whether a file is pure by its own name or by the name of the module it is a part of.
fn is_pure(path: &str) -> bool {
    let Some((_, path)) = path
        .split_once("/src/")
        .filter(|_| path.starts_with("crates/"))
    else {
        return false;
    };
    let mut parts = path.rsplit('/');
    let file = parts.next().unwrap_or_default();
    let part_of = parts.any(|folder| PURE.contains(&format!("{folder}.rs").as_str()));
    PURE.contains(&file) || (part_of && file != "tests.rs")
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
    let plain = "crates/lockout/src/decide.rs";
    let part = "crates/lockout/src/decide/part.rs";
    for (path, line) in [
        (plain, "pub async fn decide() {}"),
        (plain, "let now = SystemClock.now();"),
        (part, "let bytes = std::fs::read(path);"),
    ] {
        let mut tree = Tree::read();
        let text = format!(
            "#[cfg(test)]\nuse proptest::prelude::*;\n{line}\n// an async comment is none\n\
             #[cfg(test)]\nmod tests {{ async fn fine() {{}} }}\n"
        );
        tree.files.insert(path.to_owned(), text);
        let found = tree.complaints();
        let place = format!("{path}:3 is pure by name");
        assert!(
            found.len() == 1 && found.iter().all(|found| found.starts_with(&place)),
            "{found:?}"
        );
    }
    let tree = Tree::read();
    assert!(tree.has(plain), "lockout decides in a file of that name");
    assert!(
        !is_pure("crates/lockout/src/decide/tests.rs") && !is_pure("crates/lockout/src/guard.rs")
    );
}

#[test]
fn a_missing_fuzz_target_example_bench_row_or_place_in_the_facade_is_found() {
    let row = "portcullis_session::testing::fuzz_session_row";
    let mut tree = Tree::read();
    let targets = tree.text("fuzz/src/lib.rs");
    assert!(targets.contains(row));
    let targets = format!("// {row}\n{}", targets.replace(row, "drop"));
    tree.files.insert("fuzz/src/lib.rs".into(), targets);
    tree.files.remove("fuzz/fuzz_targets/jwt_token.rs");
    let bins = tree
        .text("fuzz/Cargo.toml")
        .replace("name = \"cidr\"", "name = \"cider\"");
    tree.files.insert("fuzz/Cargo.toml".into(), bins);
    assert_eq!(
        tree.complaints(),
        [
            "fuzz target cidr is missing in fuzz/Cargo.toml",
            "fuzz target jwt_token is missing in fuzz/fuzz_targets",
            "fuzz target session_row is missing in fuzz/src/lib.rs",
        ]
    );

    let mut tree = Tree::read();
    tree.files
        .retain(|path, _| !path.starts_with("crates/lockout/src/testing"));
    assert_eq!(tree.complaints(), ["lockout has no fuzz target"]);

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

    let mut tree = Tree::read();
    let facade = tree.arrows.get_mut("portcullis").unwrap();
    facade.retain(|to| to != "lockout");
    assert_eq!(tree.complaints(), ["lockout is not in the facade"]);
}

#[test]
fn a_head_that_lacks_a_part_of_its_form_is_found() {
    const LIB: &str = "crates/lockout/src/lib.rs";
    let whole = Tree::read().text(LIB).to_owned();
    let second = "//! Failures of an account. Or others.\n";
    let (first, _) = whole.split_once('\n').unwrap();
    let cases = [
        (
            whole.replace(&format!("{first}\n"), second),
            "lockout's lib.rs does not open with one sentence",
        ),
        (
            whole.replacen("//! ```\n", "//! ```no_run\n", 1),
            "lockout's lib.rs has no example first that runs as it stands",
        ),
        (
            whole.replace("//! It verifies no password", "//! A password is verified"),
            "lockout's lib.rs does not say what it does not do",
        ),
        (
            whole.replace("#![forbid(unsafe_code)]", ""),
            "lockout does not forbid unsafe code",
        ),
        (
            format!("{}{whole}", "//! More.\n//!\n".repeat(30)),
            "lockout's lib.rs has a head of more than 60 lines",
        ),
        (
            format!("{whole}pub mod decide;\n"),
            "lockout's lib.rs opens a module: pub mod decide;",
        ),
        (
            format!("{whole}pub use guard::*;\n"),
            "lockout's lib.rs says no names: pub use guard::*;",
        ),
    ];
    for (text, complaint) in cases {
        let mut tree = Tree::read();
        tree.files.insert(LIB.into(), text);
        assert_eq!(tree.complaints(), [complaint]);
    }
    let mut tree = Tree::read();
    let without = whole.lines().filter(|line| !line.starts_with("//! |"));
    let without: String = without.flat_map(|line| [line, "\n"]).collect();
    tree.files.insert(LIB.into(), without);
    assert!(
        tree.complaints()
            .contains(&"lockout's lib.rs has no table".to_owned())
    );
    let facade = "crates/portcullis/src/lib.rs";
    let mut tree = Tree::read();
    let text = tree
        .text(facade)
        .replace("//! It defines", "//! This defines");
    tree.files.insert(facade.into(), text);
    assert_eq!(
        tree.complaints(),
        ["portcullis's lib.rs does not say what it does not do"]
    );
}

#[test]
fn an_arrow_that_is_drawn_and_not_there_or_the_reverse_is_found() {
    let mut tree = Tree::read();
    let picture = tree.text("docs/crates.svg");
    let other = picture.replace(
        "data-from=\"session\" data-to=\"jwt\"",
        "data-from=\"session\" data-to=\"audit\"",
    );
    tree.files.insert("docs/crates.svg".into(), other);
    assert_eq!(
        tree.complaints(),
        [
            "docs/crates.svg and the table differ in session -> audit",
            "docs/crates.svg and the table differ in session -> jwt",
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
