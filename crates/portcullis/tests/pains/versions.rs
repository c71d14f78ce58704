//! Traits of two versions are two traits: there is one of each crate whose traits are in our signatures.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::path::Path;
use std::process::Command;

/// Crates whose types or traits stand in public signatures of the facade, or whose runtime it runs on.
const ONE_OF_EACH: &[&str] = &[
    "axum",
    "axum-core",
    "bytes",
    "http",
    "http-body",
    "http-body-util",
    "serde",
    "serde_core",
    "tokio",
    "tower-layer",
    "tower-service",
];

/// The versions of each package that a program which takes all of the facade is built of.
fn versions() -> BTreeMap<String, BTreeSet<String>> {
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let features = ["--features", "full,rust-crypto", "-e", "normal"];
    let tree = Command::new(cargo)
        .args([
            "tree",
            "-p",
            "portcullis",
            "--prefix",
            "none",
            "--offline",
            "--locked",
        ])
        .args(features)
        .current_dir(root)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&tree.stderr);
    assert!(tree.status.success(), "{told}");
    let mut versions = BTreeMap::<String, BTreeSet<String>>::new();
    for line in String::from_utf8(tree.stdout).unwrap().lines() {
        let mut words = line.split_whitespace();
        if let (Some(name), Some(version)) = (words.next(), words.next()) {
            versions
                .entry(name.into())
                .or_default()
                .insert(version.into());
        }
    }
    versions
}

/// Those of the table that are not there exactly once.
fn not_one(versions: &BTreeMap<String, BTreeSet<String>>) -> Vec<(&str, usize)> {
    let counted = ONE_OF_EACH
        .iter()
        .map(|name| (*name, versions.get(*name).map_or(0, BTreeSet::len)));
    counted.filter(|(_, count)| *count != 1).collect()
}

#[test]
fn there_is_one_version_of_every_crate_whose_traits_are_in_a_signature() {
    let mut versions = versions();
    assert_eq!(not_one(&versions), []);
    // A second one would be seen.
    let http = versions.get_mut("http").unwrap();
    http.insert("v0.2.12".into());
    assert_eq!(not_one(&versions), [("http", 2)]);
}

/// Whatever a program has of its own is what the facade hands on, or this does not compile.
#[test]
fn what_the_facade_hands_on_is_what_a_program_has_itself() {
    fn layered<L: portcullis::tower::tower_layer::Layer<()>>(layer: &L) -> L::Service {
        layer.layer(())
    }
    fn is_body<B: portcullis::tower::http_body::Body<Data = bytes::Bytes>>(_: &B) {}
    fn is_service<S: portcullis::tower::tower_service::Service<()>>(_: &S) {}

    let body: portcullis::tower::http_body_util::Full<portcullis::tower::bytes::Bytes> =
        http_body_util::Full::new(bytes::Bytes::from_static(b"seven"));
    is_body(&body);
    is_service(&tower::service_fn(async |(): ()| Ok::<(), ()>(())));
    let layer = tower::layer::layer_fn(|(): ()| 7);
    assert_eq!(layered(&layer), 7);
    let status: portcullis::tower::http::StatusCode = http::StatusCode::OK;
    let signed: portcullis::hmac_signing::http::StatusCode = status;
    let bytes: portcullis::hmac_signing::bytes::Bytes = bytes::Bytes::new();
    assert!(signed.is_success() && bytes.is_empty());
    let router: portcullis::tower::axum::Router = axum::Router::new();
    assert!(!router.has_routes());
}
