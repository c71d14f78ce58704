//! Starting, stopping, keys and the log of the service: what whoever runs it relies on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;
use support::{
    Client, Service, UNLIMITED, answer, binary, data, fails_to_start, fresh, send, unlimited, until,
};

#[test]
fn nothing_starts_without_its_key_or_on_an_open_address() {
    let (folder, service, _) = fresh(UNLIMITED);
    drop(service);
    let start = |arguments: &[&str]| {
        let output = binary()
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
    let failed = binary()
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

    let flags = unlimited(&["--accept-audit-loss"]);
    let service = Service::start(&data(&folder), &flags);
    assert!(
        service
            .announced
            .iter()
            .any(|line| line.starts_with("audit log: going on although"))
    );
    let client = Client(service.address);
    let admin = client.admin_again(&folder).expect(200).text("access_token");
    let verified = client
        .get("/v1/audit/verify", Some(&admin))
        .expect(200)
        .json();
    assert_eq!(verified["valid"], true, "{verified}");
}

#[test]
fn sessions_and_the_log_outlive_a_stop_and_a_start() {
    let (folder, mut service, admin) = fresh(UNLIMITED);
    let alice = Client(service.address).make_user(&admin, "alice", "alice's own long phrase");
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
fn a_login_under_way_is_answered_whole_when_the_service_is_told_to_stop() {
    let (folder, mut service, admin) = fresh(UNLIMITED);
    let alice = Client(service.address);
    alice.make_user(&admin, "alice", "the phrase of one who waits");
    let body = json!({"username": "alice", "password": "the phrase of one who waits"}).to_string();
    let length = body.len();
    let head = format!(
        "POST /v1/login HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    );
    let mut connection = send(service.address, head.as_bytes()).unwrap();
    // The handler asks for the body: it has begun.
    let mut go_on = *b"HTTP/1.1 100 Continue\r\n\r\n";
    connection.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");

    service.terminate();
    until("nobody new is let in", || {
        TcpStream::connect(service.address).is_err()
    });
    connection.write_all(body.as_bytes()).unwrap();
    let login = answer(&mut connection).unwrap().expect(200);
    assert_eq!(login.text("token_type"), "Bearer");
    assert!(service.exit().success());

    let service = Service::start(&data(&folder), UNLIMITED);
    let client = Client(service.address);
    client
        .get("/v1/me", Some(&login.text("access_token")))
        .expect(200);
    let read = client
        .get("/v1/audit?after=0&limit=1000", Some(&admin))
        .expect(200)
        .json();
    let records = read["records"].as_array().unwrap();
    let place =
        |wanted: &dyn Fn(&serde_json::Value) -> bool| records.iter().position(wanted).unwrap();
    let stopped = place(&|record| record["action"] == "service_stopped");
    let logged_in = place(&|record| record["request_id"] == login.header("x-request-id").unwrap());
    assert!(logged_in < stopped, "{records:?}");
    assert_eq!(
        records[stopped + 1]["action"],
        "service_started",
        "{records:?}"
    );
}

#[test]
fn the_environment_sets_what_the_flags_set() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let log = std::fs::File::create(place("log")).unwrap();
    let mut command = binary();
    command
        // Where the defaults would be made, and this test fail.
        .current_dir(folder.path())
        .env("PORTCULLIS_ADDRESS", "127.0.0.1:0")
        .env("PORTCULLIS_DATA", place("elsewhere"))
        .env("PORTCULLIS_ROOT_KEY_FILE", place("root"))
        .env("PORTCULLIS_ADMIN", "Wächterin")
        .env("PORTCULLIS_ADMIN_EMAIL", "gate@example.org")
        .env("PORTCULLIS_LOG", "warn")
        .env("PORTCULLIS_LOG_FORMAT", "json")
        .env("PORTCULLIS_ACCESS_TOKEN_SECS", "77")
        .env("PORTCULLIS_AUTHENTICATION_LIMIT", "2")
        .env("PORTCULLIS_VALIDATION_LIMIT", "1")
        .env("PORTCULLIS_USER_MANAGEMENT_LIMIT", "1")
        .env("PORTCULLIS_LIMIT_WINDOW_SECS", "86400")
        .stderr(log);
    let service = Service::run(command);
    let client = Client(service.address);
    assert_ne!(service.address.port(), 8080, "the default");
    assert!(
        service
            .announced
            .contains(&"administrator: wächterin".to_owned()),
        "{:?}",
        service.announced
    );
    assert!(place("elsewhere").join("portcullis.db").exists());
    assert!(place("root").exists());
    assert!(
        !place("data").exists() && !place("data.key").exists() && !place("elsewhere.key").exists()
    );

    let login = client
        .login("wächterin", &service.one_time_password())
        .expect(200);
    assert_eq!(login.json()["expires_in"], 77);
    let access = login.text("access_token");
    let me = client.get("/v1/me", Some(&access)).expect(200);
    assert_eq!(me.text("email"), "gate@example.org");
    client.get("/v1/users", Some(&access)).expect(403);
    client.login("nobody", "no password").expect(401);
    let refusals = [
        client.login("nobody", "no password").expect(429),
        client.get("/v1/me", Some(&access)).expect(429),
        client.get("/v1/users", Some(&access)).expect(429),
    ];
    for refused in &refusals {
        let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!(wait > 60, "{wait}: the window is a day");
    }
    let log = std::fs::read_to_string(place("log")).unwrap();
    let of = |answer: &support::Answer| {
        let id = answer.header("x-request-id").unwrap();
        log.lines().find(|line| line.contains(id))
    };
    assert_eq!(of(&me), None, "only warnings are logged");
    let line: serde_json::Value = serde_json::from_str(of(&refusals[0]).unwrap()).unwrap();
    assert_eq!(line["level"], "WARN");
}

#[test]
fn the_root_key_lies_apart_from_the_data_and_where_it_is_told_to() {
    let (folder, service, _) = fresh(UNLIMITED);
    drop(service);
    let made = folder.path().join("data.key");
    let key = std::fs::read_to_string(&made).unwrap();
    let mode = std::fs::metadata(&made).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut folders = vec![data(&folder)];
    while let Some(inner) = folders.pop() {
        for entry in std::fs::read_dir(inner).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            let holds = bytes
                .windows(64)
                .any(|window| window == key.trim().as_bytes());
            assert!(!holds, "{}", path.display());
        }
    }

    let moved = folder.path().join("safe");
    std::fs::rename(&made, &moved).unwrap();
    let flag = format!("--root-key={}", moved.display());
    let flags: Vec<&str> = UNLIMITED.iter().copied().chain([&*flag]).collect();
    let service = Service::start(&data(&folder), &flags);
    Client(service.address).admin_again(&folder).expect(200);
    assert!(
        !made.exists(),
        "the key that was named is the one that is used"
    );
    drop(service);

    // A first start makes it there, too.
    std::fs::remove_file(&moved).unwrap();
    std::fs::remove_dir_all(data(&folder)).unwrap();
    let service = Service::start(&data(&folder), &flags);
    let place = format!("root key made: {}", moved.display());
    assert!(
        service
            .announced
            .iter()
            .any(|line| line.starts_with(&place))
    );
    assert!(moved.exists() && !made.exists());
}
