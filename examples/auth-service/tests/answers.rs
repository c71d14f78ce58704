//! What is answered to what cannot be taken, and how answers are to be kept.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod support;

use serde_json::json;
use support::{ADMIN_PASSWORD, Client, Service, UNLIMITED, data, fails_to_start, fresh, raw};

const PASSWORD: &str = "alice's own long phrase";

#[test]
fn what_is_no_path_is_a_page_for_a_browser_and_a_problem_for_a_program() {
    let (_folder, service, _) = fresh(UNLIMITED);
    let ask = |accept: &str| {
        let head = format!(
            "GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept: {accept}\r\n\r\n"
        );
        support::raw(service.address, head.as_bytes())
            .unwrap()
            .expect(404)
    };
    let page = ask("text/html,*/*;q=0.8");
    assert!(page.body.contains("<h1>There is no such page</h1>"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    let problem = ask("*/*");
    assert_eq!(problem.code(), "404_NOT_FOUND");
    assert_eq!(problem.header("x-content-type-options"), Some("nosniff"));
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

#[test]
fn no_cache_keeps_what_holds_tokens_passwords_or_peoples_data() {
    let (_folder, service, admin) = fresh(UNLIMITED);
    let client = Client(service.address);
    let user = json!({"username": "alice", "email": "alice@example.org", "role": "user"});
    let made = client.post("/v1/users", Some(&admin), &user).expect(201);
    let alice = client.take_over("alice", &made.text("one_time_password"), PASSWORD);
    let access = alice.text("access_token");
    let refresh = json!({"refresh_token": alice.text("refresh_token")});
    let posted = |path: &str, body| client.post(path, Some(&admin), &body);
    let read = |path: &str| client.get(path, Some(&admin));
    let answers = [
        ("a new user", made),
        ("a login", alice),
        ("a refresh", client.post("/v1/refresh", None, &refresh)),
        (
            "a validation",
            posted("/v1/validate", json!({"token": access})),
        ),
        (
            "no validation",
            posted("/v1/validate", json!({"token": "a"})),
        ),
        ("one's account", client.get("/v1/me", Some(&access))),
        (
            "a disabled user",
            posted("/v1/users/alice/disable", json!({})),
        ),
        (
            "an enabled user",
            posted("/v1/users/alice/enable", json!({})),
        ),
        ("a reset user", posted("/v1/users/alice/reset", json!({}))),
        ("the users", read("/v1/users")),
        ("the lockouts", read("/v1/lockouts")),
        ("the audit log", read("/v1/audit")),
        ("the audit log's state", read("/v1/audit/verify")),
    ];
    for (what, answer) in &answers {
        assert!((200..300).contains(&answer.status), "{what}: {answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
    }
    let refusals = [
        client.login("alice", PASSWORD).expect(401),
        client.get("/v1/me", Some(&access)).expect(401),
        read("/v1/audit?limit=0").expect(400),
        posted("/v1/users", user).expect(409),
        read("/v1/nowhere").expect(404),
    ];
    for refusal in refusals {
        assert_eq!(refusal.header("cache-control"), Some("no-store"));
    }
}

#[test]
fn the_audit_log_is_read_up_to_a_thousand_records_at_once() {
    let (_folder, service, admin) = fresh(UNLIMITED);
    let ask = |limit: &str| {
        let path = format!("/v1/audit?limit={limit}");
        Client(service.address).get(&path, Some(&admin))
    };
    let records = |limit| {
        ask(limit).expect(200).json()["records"]
            .as_array()
            .unwrap()
            .len()
    };
    assert!(records("1000") > 2);
    assert_eq!(records("1"), 1);
    for limit in ["1001", "0", "-1", "18446744073709551616", "many", ""] {
        assert_eq!(ask(limit).expect(400).code(), "400_BAD_REQUEST", "{limit}");
    }
}

/// What a terminal or a reader's eye would obey: C1's CSI, a turn of the writing direction, a line's end, delete,
/// a mark that is not seen.
const STEERING: [char; 5] = ['\u{9b}', '\u{202e}', '\u{2028}', '\u{7f}', '\u{200b}'];

/// `curl $URL/v1/audit` in a terminal: what a stranger typed must not steer it.
#[test]
fn no_answer_hands_a_terminal_what_a_caller_typed_to_steer_it() {
    let (_folder, service, admin) = fresh(UNLIMITED);
    let client = Client(service.address);
    let typed: String = STEERING.iter().chain(&['\u{e9}', '!']).collect();
    client.login(&typed, "whatever it is").expect(401);
    let head = "GET /v1/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer a.b.c\r\nUser-Agent: ";
    let bytes = [head.as_bytes(), b"curl\xc2\x9b31m\r\n\r\n"].concat();
    raw(service.address, &bytes).unwrap().expect(401);
    let login = json!({"username": "alice", "password": PASSWORD, "client_system": typed});
    client.make_user(&admin, "alice", PASSWORD);
    let token = client
        .post("/v1/login", None, &login)
        .expect(200)
        .text("access_token");

    let audit = client.get("/v1/audit?limit=1000", Some(&admin)).expect(200);
    let validated = client.post("/v1/validate", Some(&admin), &json!({"token": token}));
    let mail = format!("{}@example.org", typed.replace(char::is_control, ""));
    let user = json!({"username": "bob", "email": mail, "role": "user"});
    let made = client.post("/v1/users", Some(&admin), &user).expect(201);
    let users = client.get("/v1/users", Some(&admin)).expect(200);
    let network = json!({"client": "billing", "tier": "standard", "networks": [typed]});
    let refused = client
        .post("/v1/clients", Some(&admin), &network)
        .expect(400);
    for answer in [&audit, &validated, &made, &users, &refused] {
        let steers = |held: char| STEERING.contains(&held) || held.is_control();
        assert_eq!(
            answer.body.find(steers),
            None,
            "{}",
            answer.body.escape_debug()
        );
        let kind = answer.header("content-type").unwrap();
        assert!(
            matches!(kind, "application/json" | "application/problem+json"),
            "{kind}"
        );
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }

    // A parser gets back what was sent; and what is only foreign is left to be read.
    let records = audit.json()["records"].clone();
    let records = records.as_array().unwrap();
    let with = |member: &str, value: &str| records.iter().any(|record| record[member] == value);
    assert!(with("user_id", &typed) && with("client_system", &typed));
    assert!(with("user_agent", "curl\u{9b}31m"), "{}", audit.body);
    assert_eq!(validated.expect(200).text("client_id"), typed);
    assert_eq!(made.text("email"), mail);
    assert!(audit.body.contains('\u{e9}') && users.body.contains('\u{e9}'));
}

#[test]
fn what_is_no_e_mail_address_is_nobodys() {
    let (_folder, service, admin) = fresh(UNLIMITED);
    let client = Client(service.address);
    let named = |name: &str, email: &str| {
        let user = json!({"username": name, "email": email, "role": "user"});
        client.post("/v1/users", Some(&admin), &user)
    };
    let of_length = |bytes: usize| format!("{}@example.org", "a".repeat(bytes - 12));
    let other = tempfile::tempdir().unwrap();
    for wrong in [
        "",
        "alice.example.org",
        "alice@example.org\r\nBcc: everyone@example.org",
        "alice\u{1b}[2J@example.org",
        "alice@example.org\u{7f}",
        &of_length(255),
    ] {
        let refused = named("alice", wrong).expect(400);
        assert!(refused.text("detail").contains("e-mail"), "{refused:?}");
        let said = fails_to_start(&other, &["--admin-email", wrong]);
        assert!(said.contains("--admin-email"), "{said}");
    }
    assert!(!data(&other).exists(), "nothing is made");
    let users = client.get("/v1/users", Some(&admin)).expect(200).json();
    assert_eq!(users["users"].as_array().unwrap().len(), 1);
    let longest = of_length(254);
    assert_eq!(named("alice", &longest).expect(201).text("email"), longest);
}
