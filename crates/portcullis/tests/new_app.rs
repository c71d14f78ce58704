//! The README's own program, in a package of its own, by the README's own commands.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod markdown;

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

use markdown::{blocks, commands};

/// Somebody new, with the README alone: its manifest and its program as a package, and its calls.
#[test]
#[ignore = "builds a package of its own: .ci/deep"]
fn a_new_app_made_by_the_readme_alone_refuses_as_it_says() {
    let readme = include_str!("../../../README.md");
    let block = |wanted: &str| {
        let mut blocks = blocks(readme).filter(|(language, _)| *language == wanted);
        blocks.next().unwrap().1.join("\n")
    };
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let here = |text: &str| text.replace("127.0.0.1:3000", &address);
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("shop");
    let cargo = || Command::new(env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    let made = cargo().args(["new", "shop"]).current_dir(&folder).status();
    assert!(made.unwrap().success());
    let here_is = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here_is.ancestors().nth(2).unwrap();
    let path = format!("path = \"{}/", root.display());
    let dependencies = block("toml").replace("path = \"../portcullis/", &path);
    let manifest = fs::read_to_string(package.join("Cargo.toml")).unwrap();
    let manifest = manifest.replace("[dependencies]", &dependencies);
    fs::write(package.join("Cargo.toml"), manifest).unwrap();
    fs::write(package.join("src/main.rs"), here(&block("rust,no_run"))).unwrap();
    fs::copy(root.join("Cargo.lock"), package.join("Cargo.lock")).unwrap();
    let built = cargo()
        .args(["build", "--offline"])
        .env("CARGO_TARGET_DIR", root.join("target"))
        .current_dir(&package)
        .status();
    assert!(built.unwrap().success());

    let mut command = Command::new(root.join("target/debug/shop"));
    let mut app = Running(command.stdout(Stdio::piped()).spawn().unwrap());
    let said = BufReader::new(app.0.stdout.take().unwrap()).lines();
    let table = block("text");
    let said: Vec<String> = said
        .take(table.lines().count())
        .map(Result::unwrap)
        .collect();
    assert_eq!(said.join("\n"), table);
    let begun = Instant::now();
    while TcpStream::connect(&address).is_err() {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "it does not listen"
        );
    }
    let mut calls = commands(readme);
    calls.retain(|command| command.contains("//127.0.0.1:3000/"));
    let [unproven, login, proven, guesses] = &calls[..] else {
        panic!("{calls:?}");
    };
    let run = |script: &str| {
        let mut shell = Command::new("sh");
        let output = shell.args(["-c", &here(script)]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(run(unproven).starts_with("HTTP/1.1 401 Unauthorized"));
    assert_eq!(run(&format!("{login}\n{proven}")), "the orders of alice\n");
    let answers = run(guesses);
    let count = |status: &str| answers.matches(&format!("HTTP/1.1 {status}")).count();
    assert_eq!((count("401"), count("429")), (9, 1), "{answers}");
    let (_, last) = answers.rsplit_once("HTTP/1.1 ").unwrap();
    let mut texts = blocks(readme).filter(|(language, _)| *language == "text");
    for line in texts.nth(1).unwrap().1 {
        // Numbers that another run has otherwise: the seconds, and the request's own.
        let same = match line.split_once(": ") {
            Some((name @ ("retry-after" | "ratelimit" | "x-request-id"), _)) => name,
            _ => line.trim_start_matches("HTTP/1.1 "),
        };
        assert!(last.contains(same), "{same}\n{answers}");
    }
}

/// A program that ends with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
