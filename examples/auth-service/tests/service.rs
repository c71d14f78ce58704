//! The running service, asked as a client would and as one would not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod support;

use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::json;
use support::{ADMIN_PASSWORD, Client, Service, UNLIMITED, data, fresh, raw};

const PASSWORD: &str = "alice's own long phrase";

#[test]
fn a_one_time_password_opens_nothing_but_its_own_change() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(&data(&folder), UNLIMITED);
    let client = Client(service.address);
    assert!(
        service
            .announced
            .iter()
            .any(|line| line.starts_with("root key made: ")),
        "{:?}",
        service.announced
    );
    let one_time = service.one_time_password();
    let first = client.login("admin", &one_time).expect(200);
    assert_eq!(first.json()["must_change_password"], true);
    let token = first.text("access_token");
    for path in ["/v1/users", "/v1/lockouts", "/v1/audit"] {
        assert_eq!(
            client.get(path, Some(&token)).expect(403).code(),
            "403_PASSWORD_CHANGE_REQUIRED"
        );
    }
    let change = |new: &str| {
        client.post(
            "/v1/password",
            Some(&token),
            &json!({"current_password": one_time, "new_password": new}),
        )
    };
    for poor in ["short", "admin", &one_time] {
        assert_eq!(change(poor).expect(400).code(), "400_BAD_REQUEST", "{poor}");
    }
    change(ADMIN_PASSWORD).expect(204);
    // The change ended every session, and the one-time password is spent.
    client.get("/v1/me", Some(&token)).expect(401);
    client.login("admin", &one_time).expect(401);
    client.login("admin", ADMIN_PASSWORD).expect(200);
}

#[test]
fn a_token_is_not_active_while_the_password_must_be_changed_first() {
    let (_folder, service, admin) = fresh(UNLIMITED);
    let client = Client(service.address);
    let user = json!({"username": "alice", "email": "alice@example.org", "role": "user"});
    let made = client.post("/v1/users", Some(&admin), &user).expect(201);
    let first = client.login("alice", &made.text("one_time_password"));
    let validate = |token: &str| {
        let answer = client.post("/v1/validate", Some(&admin), &json!({"token": token}));
        answer.expect(200).json()
    };
    // What is refused here is not vouched for elsewhere.
    let token = first.expect(200).text("access_token");
    client.get("/v1/lockouts", Some(&token)).expect(403);
    assert_eq!(validate(&token), json!({"active": false}));
    let own = validate(&admin);
    assert_eq!(
        (&own["active"], &own["sub"]),
        (&true.into(), &"admin".into())
    );
}

#[test]
fn unknown_wrong_locked_and_disabled_answer_with_the_same_bytes() {
    let (_folder, service, admin) = fresh(UNLIMITED);
    let client = Client(service.address);
    client.make_user(&admin, "alice", PASSWORD);
    client.make_user(&admin, "bob", PASSWORD);
    client
        .post("/v1/users/bob/disable", Some(&admin), &json!({}))
        .expect(200);

    let mut answers = vec![
        client.login("nobody", PASSWORD),
        client.login("bob", PASSWORD),
    ];
    for _ in 0..5 {
        answers.push(client.login("alice", "not her phrase at all"));
    }
    answers.push(client.login("alice", PASSWORD));
    answers.push(client.login("alice", "not her phrase at all"));
    let seen = |answer: &support::Answer| {
        let kept = |(name, _): &&(String, String)| {
            !["date", "x-request-id", "ratelimit"].contains(&name.as_str())
        };
        let headers: Vec<_> = answer.headers.iter().filter(kept).cloned().collect();
        (answer.status, headers, answer.body.clone())
    };
    for answer in &answers {
        assert_eq!(answer.status, 401);
        assert_eq!(seen(answer), seen(&answers[0]));
    }
    let locked = client.get("/v1/lockouts", Some(&admin)).expect(200).json();
    assert_eq!(locked["lockouts"][0]["username"], "alice");
    assert_eq!(locked["lockouts"].as_array().unwrap().len(), 1);
}

#[test]
fn a_closed_account_is_out_on_its_next_request_and_refresh() {
    let (_folder, service, admin) = fresh(UNLIMITED);
    let client = Client(service.address);
    let alice = client.make_user(&admin, "alice", PASSWORD);
    let (access, refresh) = (alice.text("access_token"), alice.text("refresh_token"));
    client.get("/v1/me", Some(&access)).expect(200);
    client
        .post("/v1/users/Alice/disable", Some(&admin), &json!({}))
        .expect(200);
    client.get("/v1/me", Some(&access)).expect(401);
    client
        .post("/v1/refresh", None, &json!({"refresh_token": refresh}))
        .expect(401);
    client
        .post("/v1/users/alice/enable", Some(&admin), &json!({}))
        .expect(200);
    // Opening the account again brings no session back.
    client.get("/v1/me", Some(&access)).expect(401);
    client.login("alice", PASSWORD).expect(200);
    client
        .post("/v1/users/admin/disable", Some(&admin), &json!({}))
        .expect(400);
    client
        .post("/v1/users/nobody/disable", Some(&admin), &json!({}))
        .expect(404);
}

#[test]
fn an_access_token_expires_and_is_told_apart_from_an_invalid_one() {
    let flags: Vec<&str> = UNLIMITED
        .iter()
        .copied()
        .chain(["--access-token-secs=2"])
        .collect();
    let (_folder, service, _) = fresh(&flags);
    let client = Client(service.address);
    let admin = client.login("admin", ADMIN_PASSWORD).expect(200);
    let token = admin.text("access_token");
    client.get("/v1/me", Some(&token)).expect(200);
    let mut expired = client.get("/v1/me", Some(&token));
    // The leeway of clocks is added to the life: thirty seconds are the bound of the wait, not a guess.
    for _ in 0..400 {
        if expired.status != 200 {
            break;
        }
        thread::sleep(Duration::from_millis(100));
        expired = client.get("/v1/me", Some(&token));
    }
    assert_eq!(expired.expect(401).code(), "408_TOKEN_EXPIRED");
    let invalid = client.get("/v1/me", Some("a.b.c")).expect(401);
    assert_eq!(invalid.code(), "401_UNAUTHORIZED");
    assert!(
        invalid
            .header("www-authenticate")
            .unwrap()
            .contains("invalid_token")
    );
}

#[test]
fn the_eleventh_login_in_a_minute_is_refused_with_the_services_own_limits() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(&data(&folder), &[]);
    let client = Client(service.address);
    for _ in 0..10 {
        client.login("nobody", "not a password").expect(401);
    }
    let refused = client.login("nobody", "not a password").expect(429);
    assert_eq!(refused.code(), "429_RATE_LIMITED");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
}

#[test]
fn what_cannot_be_read_is_refused_as_a_problem() {
    let (_folder, service, admin) = fresh(UNLIMITED);
    let client = Client(service.address);
    let post = |head: &str, body: &str| {
        let length = body.len();
        let text = format!(
            "POST /v1/login HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{head}\r\n{body}"
        );
        raw(service.address, text.as_bytes()).unwrap()
    };
    let json_head = "Content-Type: application/json\r\n";
    let cases = [
        (post("", "{}"), 415),
        (client.post("/v1/users/%FF/enable", Some(&admin), &json!({})), 400),
        (client.get("/v1/audit?since=yesterday", Some(&admin)), 400),
        (post(json_head, "{"), 400),
        (post(json_head, "{}"), 400),
        (
            post(json_head, r#"{"username":"a","password":"b","more":1}"#),
            400,
        ),
        (post(json_head, r#"{"username":"a","password":7}"#), 400),
        (
            post(
                json_head,
                &format!(r#"{{"username":"a","password":"{}"}}"#, "x".repeat(20_000)),
            ),
            413,
        ),
        (
            client.post(
                "/v1/login",
                None,
                &json!({
                    "username": "admin", "password": ADMIN_PASSWORD, "client_system": "x".repeat(9000),
                }),
            ),
            400,
        ),
        (client.get("/v1/nowhere", None), 404),
        (client.get("/v1/login", None), 405),
        (client.get("/v1/audit?limit=0", Some(&admin)), 400),
        (client.get("/v1/audit?action=dance", Some(&admin)), 400),
        (
            client.post(
                "/v1/users",
                Some(&admin),
                &json!({"username": "\u{200b}", "email": "a@b", "role": "user"}),
            ),
            400,
        ),
        (
            client.post(
                "/v1/users",
                Some(&admin),
                &json!({"username": "ADMIN", "email": "a@b", "role": "user"}),
            ),
            409,
        ),
    ];
    for (answer, status) in cases {
        let answer = answer.expect(status);
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json"),
            "{answer:?}"
        );
        assert!(answer.code().starts_with(&status.to_string()), "{answer:?}");
        assert_eq!(answer.json()["status"], status);
    }
}

#[test]
fn names_and_passwords_that_nobody_has_are_refused_as_wrong_ones_are() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(&data(&folder), UNLIMITED);
    let client = Client(service.address);
    let wrong = client.login("nobody", "not a password").expect(401).body;
    for (name, password) in [
        ("", "x"),
        (&*"a".repeat(10_000), "x"),
        ("\u{200b}", "x"),
        ("admin", &*"x".repeat(10_000)),
        ("admin", ""),
    ] {
        assert_eq!(client.login(name, password).expect(401).body, wrong);
    }
}

#[test]
fn a_user_is_no_administrator() {
    let (_folder, service, admin) = fresh(UNLIMITED);
    let client = Client(service.address);
    let alice = client
        .make_user(&admin, "alice", PASSWORD)
        .text("access_token");
    for path in ["/v1/users", "/v1/lockouts", "/v1/audit", "/v1/audit/verify"] {
        assert_eq!(
            client.get(path, Some(&alice)).expect(403).code(),
            "403_FORBIDDEN"
        );
        assert_eq!(
            client.get(path, None).expect(401).code(),
            "401_UNAUTHORIZED"
        );
    }
    let denied = client
        .get("/v1/audit?action=access_denied", Some(&admin))
        .expect(200)
        .json();
    assert_eq!(denied["records"].as_array().unwrap().len(), 4);
}

#[test]
fn sessions_and_the_log_outlive_a_stop_and_a_start() {
    let (folder, mut service, admin) = fresh(UNLIMITED);
    let alice = Client(service.address).make_user(&admin, "alice", PASSWORD);
    assert!(service.stop().success());
    let service = Service::start(&data(&folder), UNLIMITED);
    assert_eq!(
        service.announced.len(),
        1,
        "{:?}: a second start has nothing to tell once",
        service.announced
    );
    let client = Client(service.address);
    client
        .get("/v1/me", Some(&alice.text("access_token")))
        .expect(200);
    let refresh = json!({"refresh_token": alice.text("refresh_token")});
    client.post("/v1/refresh", None, &refresh).expect(200);
    for action in [
        "service_started",
        "service_stopped",
        "user_created",
        "password_changed",
        "login",
    ] {
        let found = client
            .get(&format!("/v1/audit?action={action}"), Some(&admin))
            .expect(200)
            .json();
        assert!(!found["records"].as_array().unwrap().is_empty(), "{action}");
    }
    assert_eq!(
        client
            .get("/v1/audit/verify", Some(&admin))
            .expect(200)
            .json()["valid"],
        true
    );
}

#[test]
fn an_audit_record_says_who_did_what_from_where_and_no_secret() {
    let (_folder, service, admin) = fresh(UNLIMITED);
    let client = Client(service.address);
    client.make_user(&admin, "alice", PASSWORD);
    let failed = client.login("alice", "hunter2 hunter2 hunter2").expect(401);
    let found = client
        .get("/v1/audit?action=failed_login&user=alice", Some(&admin))
        .expect(200);
    let record = found.json()["records"][0].clone();
    let since = record["timestamp"].as_str().unwrap();
    let again = client.get(
        &format!("/v1/audit?action=failed_login&since={since}&until={since}"),
        Some(&admin),
    );
    assert_eq!(again.expect(200).json()["records"][0], record);
    assert_eq!(record["action"], "failed_login");
    assert_eq!(record["user_id"], "alice");
    assert_eq!(record["ip_address"], "127.0.0.1");
    assert_eq!(record["user_agent"], "tests");
    assert_eq!(record["reason"], "password_wrong");
    assert_eq!(record["request_id"], failed.header("x-request-id").unwrap());
    assert!(record["timestamp"].as_str().unwrap().ends_with('Z'));
    let all = client
        .get("/v1/audit?limit=1000", Some(&admin))
        .expect(200)
        .body;
    for secret in [
        "hunter2",
        PASSWORD,
        ADMIN_PASSWORD,
        &admin,
        &service.one_time_password(),
    ] {
        assert!(!all.contains(secret));
    }
}

#[test]
fn nothing_starts_without_its_key_or_on_an_open_address() {
    let (folder, service, _) = fresh(UNLIMITED);
    drop(service);
    let start = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_auth-service"))
            .arg("--data")
            .arg(data(&folder))
            .args(arguments)
            .output()
            .unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(start(&["--address", "0.0.0.0:0"]).contains("only a loopback address"));
    std::fs::rename(
        folder.path().join("data.key"),
        folder.path().join("elsewhere"),
    )
    .unwrap();
    assert!(start(&["--address", "127.0.0.1:0"]).contains("put the file back"));
    assert!(
        !folder.path().join("data.key").exists(),
        "no second key is made"
    );
}

#[test]
fn a_service_that_cannot_listen_makes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let failed = Command::new(env!("CARGO_BIN_EXE_auth-service"))
        .args([
            "--address",
            &taken.local_addr().unwrap().to_string(),
            "--data",
        ])
        .arg(data(&folder))
        .output()
        .unwrap();
    assert!(!failed.status.success());
    assert!(
        !data(&folder).exists(),
        "the one-time password of a first administrator would be lost"
    );
}

#[test]
fn a_lost_administrators_password_is_replaced_by_whoever_runs_the_service() {
    let (folder, service, admin) = fresh(UNLIMITED);
    drop(service);
    let flags: Vec<&str> = UNLIMITED.iter().copied().chain(["--reset-admin"]).collect();
    let service = Service::start(&data(&folder), &flags);
    let client = Client(service.address);
    client.get("/v1/users", Some(&admin)).expect(401);
    client.login("admin", ADMIN_PASSWORD).expect(401);
    client.take_over(
        "admin",
        &service.one_time_password(),
        "another long phrase of hers",
    );
}

#[test]
fn nobody_is_made_an_administrator_by_resetting_one() {
    let (folder, service, admin) = fresh(UNLIMITED);
    Client(service.address).make_user(&admin, "bob", PASSWORD);
    drop(service);
    let refused = fails_to_start(&folder, &["--reset-admin", "--admin", "bob"]);
    assert!(refused.contains("bob is no administrator"), "{refused}");
    let service = Service::start(&data(&folder), UNLIMITED);
    let users = Client(service.address)
        .get("/v1/users", Some(&admin))
        .expect(200)
        .json();
    assert_eq!(users["users"][1]["username"], "bob");
    assert_eq!(users["users"][1]["role"], "user");
}

#[test]
fn a_users_lost_password_is_replaced_by_an_administrator() {
    let (_folder, service, admin) = fresh(UNLIMITED);
    let client = Client(service.address);
    let bob = client
        .make_user(&admin, "bob", PASSWORD)
        .text("access_token");
    for _ in 0..5 {
        client.login("bob", "not his phrase at all").expect(401);
    }
    let reset = client
        .post("/v1/users/BOB/reset", Some(&admin), &json!({}))
        .expect(200);
    client.get("/v1/me", Some(&bob)).expect(401);
    client.login("bob", PASSWORD).expect(401);
    client.take_over(
        "bob",
        &reset.text("one_time_password"),
        "bob's other long phrase",
    );
    client
        .post("/v1/users/nobody/reset", Some(&admin), &json!({}))
        .expect(404);
    let records = client
        .get("/v1/audit?action=password_changed&target=Bob", Some(&admin))
        .expect(200)
        .json();
    assert_eq!(records["records"][0]["user_id"], "admin");
}

#[test]
fn a_log_that_lost_records_is_not_gone_on_with_unseen() {
    let (folder, mut service, _) = fresh(UNLIMITED);
    assert!(service.stop().success());
    let log = data(&folder).join("audit");
    let segment = log.join("audit-00000001.log");
    let whole = std::fs::read(&segment).unwrap();
    std::fs::write(&segment, &whole[..whole.len() / 2]).unwrap();
    let cut = fails_to_start(&folder, &[]);
    assert!(
        cut.contains("its tail was cut") && cut.contains("--accept-audit-loss"),
        "{cut}"
    );

    std::fs::remove_dir_all(&log).unwrap();
    let gone = fails_to_start(&folder, &[]);
    assert!(gone.contains("of another log"), "{gone}");

    let flags: Vec<&str> = UNLIMITED
        .iter()
        .copied()
        .chain(["--accept-audit-loss"])
        .collect();
    let service = Service::start(&data(&folder), &flags);
    assert!(
        service
            .announced
            .iter()
            .any(|line| line.starts_with("audit log: going on although"))
    );
    let client = Client(service.address);
    let admin = client
        .login("admin", ADMIN_PASSWORD)
        .expect(200)
        .text("access_token");
    let verified = client
        .get("/v1/audit/verify", Some(&admin))
        .expect(200)
        .json();
    assert_eq!(verified["valid"], true, "{verified}");
}

#[test]
fn a_start_that_fails_says_about_what() {
    let (folder, service, _) = fresh(UNLIMITED);
    let second = fails_to_start(&folder, &[]);
    assert!(
        second.contains("another auth-service is running on this data"),
        "{second}"
    );
    drop(service);
    let key = folder.path().join("data.key");
    std::fs::write(&key, format!("{}\n", "ab".repeat(32))).unwrap();
    let wrong = fails_to_start(&folder, &[]);
    assert!(
        wrong.contains("data.key is not the key that this log was made with"),
        "{wrong}"
    );
    let unnamed = fails_to_start(&folder, &["--admin", ""]);
    assert!(unnamed.contains("--admin: "), "{unnamed}");
    let filter = fails_to_start(&folder, &["--log", "nonsense==="]);
    assert!(filter.contains("--log: "), "{filter}");
}

#[test]
fn a_wrong_current_password_is_no_reason_to_sign_in_again() {
    let (_folder, service, admin) = fresh(UNLIMITED);
    let client = Client(service.address);
    let change = |current: &str, new: &str| {
        let body = json!({"current_password": current, "new_password": new});
        client.post("/v1/password", Some(&admin), &body)
    };
    let wrong = change("not the phrase at all", "another long phrase").expect(403);
    assert_eq!(wrong.header("www-authenticate"), None);
    let same = change(ADMIN_PASSWORD, ADMIN_PASSWORD)
        .expect(400)
        .text("detail");
    assert!(same.contains("not the old one"), "{same}");
    client.get("/v1/me", Some(&admin)).expect(200);
}

#[test]
fn the_front_page_tells_the_calls_and_health_asks_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(&data(&folder), UNLIMITED);
    let client = Client(service.address);
    assert!(
        client
            .get("/", None)
            .expect(200)
            .body
            .contains("POST /v1/login")
    );
    assert_eq!(
        client.get("/healthz", None).expect(200).json()["status"],
        "ok"
    );
}

/// Starts the service on the folder's data, which must fail; what it said.
fn fails_to_start(folder: &tempfile::TempDir, flags: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_auth-service"))
        .args(["--address", "127.0.0.1:0", "--data"])
        .arg(data(folder))
        .args(flags)
        .output()
        .unwrap();
    assert!(!output.status.success(), "it started");
    String::from_utf8(output.stderr).unwrap()
}
