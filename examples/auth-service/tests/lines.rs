//! The log of the service on standard error: a line for each request, and no secret.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod support;

use std::fs::File;

use serde_json::{Value, json};
use support::{ADMIN_PASSWORD, Answer, Client, Service, UNLIMITED, binary, data};

const PASSWORD: &str = "alice's own long phrase";
const WRONG: &str = "hunter2 hunter2 hunter2";

/// A request that was made, and what its line says.
struct Made {
    answer: Answer,
    method: &'static str,
    route: &'static str,
    status: u16,
    reason: Option<&'static str>,
}

/// Starts the service with a log of that format, makes requests of each kind, and stops it. What was
/// requested, what the log says, and the secrets that were about.
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
fn told(format: &str) -> (Vec<Made>, String, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut command = binary();
    command
        .args([
            "--address=127.0.0.1:0",
            "--log=info",
            "--log-format",
            format,
        ])
        .args(UNLIMITED)
        .arg("--data")
        .arg(data(&folder))
        .stderr(File::create(&log).unwrap());
    let mut service = Service::run(command);
    let client = Client(service.address);
    let one_time = service.one_time_password();
    let admin = client.take_over("admin", &one_time, ADMIN_PASSWORD);
    let token = admin.text("access_token");
    let factor = client.enrol(&token);
    let user = json!({"username": "alice", "email": "alice@example.org", "role": "user"});
    let new_user = client.post("/v1/users", Some(&token), &user).expect(201);
    let first = new_user.text("one_time_password");
    let alice = client.take_over("alice", &first, PASSWORD);
    let access = alice.text("access_token");
    let refresh_token = alice.text("refresh_token");
    let refresh = client.post(
        "/v1/refresh",
        None,
        &json!({"refresh_token": refresh_token}),
    );
    let garbage = json!({"refresh_token": "no-token-at-all"});
    let reset = client
        .post("/v1/users/alice/reset", Some(&token), &json!({}))
        .expect(200);
    let mut secrets: Vec<String> = [
        ADMIN_PASSWORD,
        PASSWORD,
        WRONG,
        "no-token-at-all",
        "e30.e30.e30",
    ]
    .map(str::to_owned)
    .into();
    secrets.extend([one_time, first, reset.text("one_time_password")]);
    secrets.push(factor.secret);
    secrets.extend(factor.recovery_codes);
    for answer in [&admin, &alice, &refresh] {
        secrets.extend([answer.text("access_token"), answer.text("refresh_token")]);
    }

    let made = |answer, call: &'static str, status, reason| {
        let (method, route) = call.split_once(' ').unwrap();
        Made {
            answer,
            method,
            route,
            status,
            reason,
        }
    };
    let requests = vec![
        made(alice, "POST /v1/login", 200, None),
        made(refresh, "POST /v1/refresh", 200, None),
        made(new_user, "POST /v1/users", 201, None),
        made(reset, "POST /v1/users/{name}/reset", 200, None),
        made(client.get("/healthz", None), "GET /healthz", 200, None),
        made(
            client.login("alice", WRONG),
            "POST /v1/login",
            401,
            Some("password_wrong"),
        ),
        made(
            client.login("nobody", WRONG),
            "POST /v1/login",
            401,
            Some("user_unknown"),
        ),
        made(
            client.get("/v1/me", None),
            "GET /v1/me",
            401,
            Some("credentials_missing"),
        ),
        made(
            client.get("/v1/me", Some("e30.e30.e30")),
            "GET /v1/me",
            401,
            Some("token_invalid"),
        ),
        made(
            client.get("/v1/me", Some(&access)),
            "GET /v1/me",
            401,
            Some("token_revoked"),
        ),
        made(
            client.post("/v1/refresh", None, &garbage),
            "POST /v1/refresh",
            401,
            Some("token_malformed"),
        ),
        made(
            client.get("/v1/audit?limit=0", Some(&token)),
            "GET /v1/audit",
            400,
            None,
        ),
        made(
            client.post("/v1/users/nemo/disable", Some(&token), &json!({})),
            "POST /v1/users/{name}/disable",
            404,
            None,
        ),
        made(client.get("/nowhere/of/nemo", None), "GET none", 404, None),
    ];
    assert!(service.stop().success());
    let log = std::fs::read_to_string(log).unwrap();
    (requests, log, secrets)
}

fn holds_no_secret(log: &str, secrets: &[String]) {
    for secret in secrets {
        assert!(!log.contains(secret.as_str()), "{secret} is in the log");
    }
    // Whoever a path names is not in the line of its request.
    assert!(!log.contains("nemo"), "{log}");
}

#[test]
fn each_request_is_one_json_line_with_the_id_of_its_answer_and_no_secret() {
    let (requests, log, secrets) = told("json");
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect();
    for made in &requests {
        let id = made.answer.header("x-request-id").unwrap();
        let of: Vec<&Value> = lines.iter().filter(|line| line["id"] == id).collect();
        let [line] = of[..] else { panic!("{of:?}") };
        let refused = made.reason.is_some();
        let said = json!({
            "level": if refused { "WARN" } else { "INFO" },
            "message": if refused { "refused" } else { "answered" },
            "method": made.method,
            "route": made.route,
            "status": made.status,
            "reason": made.reason,
        });
        for (member, value) in said.as_object().unwrap() {
            assert_eq!(&line[member], value, "{member} of {line}");
        }
        assert_eq!(made.answer.status, made.status);
        assert!(
            line["micros"].is_u64() && line["timestamp"].is_string(),
            "{line}"
        );
    }
    assert_eq!(lines.last().unwrap()["message"], "stopped");
    holds_no_secret(&log, &secrets);
}

#[test]
fn each_request_is_one_line_of_text_with_the_id_of_its_answer_and_no_secret() {
    let (requests, log, secrets) = told("text");
    for made in &requests {
        let id = format!(" id={} ", made.answer.header("x-request-id").unwrap());
        let of: Vec<&str> = log.lines().filter(|line| line.contains(&id)).collect();
        let [line] = of[..] else { panic!("{of:?}") };
        let (method, route, status) = (made.method, made.route, made.status);
        let said = format!("method={method} route=\"{route}\" status={status} ");
        assert!(line.contains(&said), "{said}: {line}");
        let reason = made.reason.map(|reason| format!(" reason={reason} "));
        assert_eq!(line.contains(" reason="), reason.is_some(), "{line}");
        assert!(line.contains(reason.as_deref().unwrap_or("")), "{line}");
    }
    holds_no_secret(&log, &secrets);
}
