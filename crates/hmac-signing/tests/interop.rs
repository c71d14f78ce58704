//! Requests signed in Python, PHP and JavaScript by the programs of `docs/signing.md`, verified here.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod common;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use common::*;
use data_encoding::{BASE64, HEXLOWER};
use portcullis_core::Secret;
use portcullis_hmac_signing::{Error, Secrets, SigningKey};
use serde_json::{Value, json};

const REQUESTS: usize = 300;

#[test]
#[ignore = "needs python3, php and node; .ci/deep runs it"]
fn what_python_php_and_javascript_sign_verifies_here_and_altered_does_not() {
    for (program, ending) in [("python3", "py"), ("php", "php"), ("node", "mjs")] {
        if !present(program) {
            continue;
        }
        for (scheme, script) in [(any_v1(), "sign_v1"), (any_body(), "sign_timestamp_body")] {
            let drawn = drawn();
            let asked: Vec<&Value> = drawn.iter().map(|(_, asked, _)| asked).collect();
            let answers = run(program, &format!("{script}.{ending}"), &json!(asked));
            let answers: Vec<Value> = serde_json::from_slice(&answers).unwrap();
            assert_eq!(answers.len(), REQUESTS);
            for ((sent, _, secrets), answer) in drawn.into_iter().zip(answers) {
                verify(&scheme, sent, &secrets, &answer);
            }
        }
        println!("{program}: {REQUESTS} requests of each scheme");
    }
}

fn verify(scheme: &Any, mut sent: Sent, secrets: &Secrets, answer: &Value) {
    for (name, value) in answer.as_object().unwrap() {
        let name = http::HeaderName::try_from(name).unwrap();
        let value = value.as_str().unwrap().parse().unwrap();
        sent.headers_mut().insert(name, value);
    }
    let check = |sent: &Sent| scheme.check_with(sent, Some(secrets), [NOW; 2]).err();
    assert_eq!(check(&sent), None, "{answer} of {sent:?}");
    sent.body_mut().push(b' ');
    assert_eq!(check(&sent), Some(Error::Signature));
}

/// Requests, what the other programs are told of them, and the secret they were given.
fn drawn() -> Vec<(Sent, Value, Secrets)> {
    let mut numbers = Numbers(1);
    let drawn = (0..REQUESTS).map(|_| {
        let secret: Vec<u8> = (0..32 + numbers.below(64))
            .map(|_| numbers.next().to_le_bytes()[0])
            .collect();
        let mut pick = |from: &[&'static str]| from[numbers.below(from.len())];
        let method = pick(&["GET", "POST", "PUT", "PATCH", "DELETE"]);
        let host = pick(&[
            "api.example.com",
            "API.Example.COM",
            "localhost:8080",
            "[::1]:443",
        ]);
        let path = pick(&[
            "/",
            "/v1/orders",
            "/a//b/../c",
            "/%2F%20;x=1",
            "/sm%C3%B8rrebr%C3%B8d",
        ]);
        let query = pick(&["", "?", "?a=1&a=2", "?q=%E2%82%AC&x", "??=&&"]);
        let content_type = pick(&["", "application/json", "text/plain; charset=utf-8"]);
        let body: Vec<u8> = (0..numbers.below(200))
            .map(|_| numbers.next().to_le_bytes()[0])
            .collect();
        let nonce = format!("{:016x}-_{}", numbers.next(), numbers.below(1000));

        let mut sent = request(method, &format!("{path}{query}"), &body);
        set(&mut sent, "host", host.as_bytes());
        if content_type.is_empty() {
            sent.headers_mut().remove("content-type");
        } else {
            set(&mut sent, "content-type", content_type.as_bytes());
        }
        let asked = json!({
            "secret": HEXLOWER.encode(&secret),
            "key_id": "partner-7",
            "audience": "orders",
            "method": method,
            "authority": host,
            "path": path,
            "query": query,
            "content_type": content_type,
            "body": BASE64.encode(&body),
            "timestamp": NOW.as_unix_secs(),
            "nonce": nonce,
        });
        let secrets = Secrets::new(SigningKey::new(Secret::from(secret)).unwrap());
        (sent, asked, secrets)
    });
    drawn.collect()
}

fn run(program: &str, script: &str, asked: &Value) -> Vec<u8> {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop");
    let mut running = Command::new(program)
        .arg(scripts.join(script))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = running.stdin.take().unwrap();
    // All is read before anything is answered: neither waits for the other.
    input.write_all(asked.to_string().as_bytes()).unwrap();
    drop(input);
    let output = running.wait_with_output().unwrap();
    assert!(output.status.success(), "{program} {script} failed");
    output.stdout
}

/// Whether the program is there; a visible skip for a user, a failure where everything is required.
fn present(program: &str) -> bool {
    let output = Command::new(program).arg("--version").output();
    let runs = output.is_ok_and(|output| output.status.success());
    let required = std::env::var_os("PORTCULLIS_REQUIRE").is_some();
    assert!(runs || !required, "{program} is required here");
    if !runs {
        // Not by a macro: the harness would swallow the line of a test that passes.
        let mut stderr = std::io::stderr();
        writeln!(stderr, "SKIPPED: there is no {program}").unwrap();
    }
    runs
}
