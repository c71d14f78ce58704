//! What the workspace consists of: cargo's own view of its arrows, and its files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
        .to_path_buf()
}

pub(crate) fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<String, String>) {
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
pub(crate) fn arrows(root: &Path) -> BTreeMap<String, Vec<String>> {
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
            .filter(|dependency| dependency["kind"] != "dev");
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
