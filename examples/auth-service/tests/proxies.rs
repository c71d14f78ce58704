//! Behind proxies that do TLS: nobody else is answered, and nothing that came over plain HTTP.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod support;

use std::net::SocketAddr;

use serde_json::{Value, json};
use support::{Answer, Client, Service, UNLIMITED, binary, data, fresh, raw, unlimited};

#[test]
fn an_address_of_the_network_is_not_served_without_tls_or_a_proxy_or_a_name() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |flags: &[&str]| {
        let output = binary()
            .args(["--address=0.0.0.0:0", "--data"])
            .arg(data(&folder))
            .args(flags)
            .output()
            .unwrap();
        assert!(!output.status.success(), "it started: {flags:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    for (flags, said) in [
        (&[][..], "no token goes over plain HTTP"),
        (
            &["--origin=https://login.example"],
            "no token goes over plain HTTP",
        ),
        (&["--behind-proxy=127.0.0.1"], "--origin is needed"),
        (
            &["--behind-proxy=::/0", "--origin=https://login.example"],
            "--behind-proxy",
        ),
        (
            &["--behind-proxy=127.0.0.1", "--origin=http://login.example"],
            "--origin http://login.example",
        ),
    ] {
        let error = refused(flags);
        assert!(error.contains(said), "{flags:?}: {error}");
    }
    assert!(!data(&folder).exists());
}

#[test]
fn a_peer_that_is_no_proxy_is_refused_whatever_it_says_of_itself() {
    let (folder, mut service, admin) = fresh(UNLIMITED);
    assert!(service.stop().success());
    let behind = ["--behind-proxy=192.0.2.1,192.0.2.16/28", ORIGIN];
    let mut service = Service::start(&data(&folder), &unlimited(&behind));
    for (method, path) in [
        ("GET", "/healthz"),
        ("GET", "/sign-in"),
        ("GET", "/style.css"),
        ("GET", "/nowhere"),
        ("POST", "/v1/login"),
        ("PUT", "/v1/login"),
    ] {
        for forwarded in ["192.0.2.1", "203.0.113.9", "127.0.0.1, 192.0.2.17"] {
            let said = format!("X-Forwarded-Proto: https\r\nX-Forwarded-For: {forwarded}\r\n");
            let refused = ask(service.address, method, path, &said, "").expect(403);
            assert_eq!(refused.code(), "403_FORBIDDEN");
            assert!(refused.header("x-request-id").is_some());
        }
    }
    assert!(service.stop().success());
    let (denied, _) = audited(&folder, &admin, "access_denied");
    assert_eq!(
        (&denied["ip_address"], &denied["address_source"]),
        (&json!("127.0.0.1"), &json!("peer")),
        "{denied}"
    );
}

#[test]
fn what_a_proxy_does_not_say_came_over_https_is_refused_before_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let behind = unlimited(&["--behind-proxy=127.0.0.1", ORIGIN]);
    let service = Service::start(&data(&folder), &behind);
    let one_time = service.one_time_password();
    let login = json!({"username": "admin", "password": one_time}).to_string();
    let client = "X-Forwarded-For: 203.0.113.9\r\n";
    for said in [
        "",
        "X-Forwarded-Proto: http\r\n",
        "X-Forwarded-Proto: https, http\r\n",
        "X-Forwarded-Proto: https\r\nX-Forwarded-Proto: http\r\n",
        "X-Forwarded-Proto: http\r\nX-Forwarded-Proto: https\r\n",
        "X-Forwarded-Proto: https\r\nX-Forwarded-Proto: HTTPS\r\n",
        "X-Forwarded-Ssl: on\r\nForwarded: proto=https\r\n",
    ] {
        let said = format!("{client}{said}");
        let refused = ask(service.address, "POST", "/v1/login", &said, &login).expect(403);
        assert!(refused.text("detail").contains("X-Forwarded-Proto"));
        ask(service.address, "GET", "/sign-in", &said, "").expect(403);
    }
    let said = format!("{client}X-Forwarded-Proto: https\r\n");
    let page = ask(service.address, "GET", "/sign-in", &said, "").expect(200);
    assert!(page.header("strict-transport-security").is_some());
    assert!(
        page.header("set-cookie")
            .unwrap()
            .starts_with("__Host-portcullis=")
    );
    ask(service.address, "POST", "/v1/login", &said, &login).expect(200);
    // The name of a scheme is the same in any case.
    let said = format!("{client}X-Forwarded-Proto: HTTPS\r\n");
    ask(service.address, "GET", "/sign-in", &said, "").expect(200);
}

#[test]
fn the_right_most_address_that_is_no_proxys_is_the_clients_and_the_audited_one() {
    let (folder, mut service, admin) = fresh(UNLIMITED);
    assert!(service.stop().success());
    let mut command = binary();
    command
        .args(["--address=0.0.0.0:0", "--log=warn", ORIGIN])
        .args(["--behind-proxy=127.0.0.1", "--behind-proxy=10.0.0.0/24"])
        .args(UNLIMITED)
        .arg("--data")
        .arg(data(&folder));
    let mut service = Service::run(command);
    let address = SocketAddr::from(([127, 0, 0, 1], service.address.port()));
    let said = "X-Forwarded-Proto: https\r\nX-Forwarded-For: 198.51.100.1, 203.0.113.9\r\n\
                X-Forwarded-For: 10.0.0.7\r\n";
    let wrong = json!({"username": "admin", "password": "not the password"}).to_string();
    ask(address, "POST", "/v1/login", said, &wrong).expect(401);
    // The proxy says nothing of its client, or nothing that can be read: nobody is counted for it.
    for said in [
        "X-Forwarded-Proto: https\r\n",
        "X-Forwarded-Proto: https\r\nX-Forwarded-For: 10.0.0.7\r\n",
        "X-Forwarded-Proto: https\r\nX-Forwarded-For: 198.51.100.1, somebody\r\n",
    ] {
        let refused = ask(address, "POST", "/v1/login", said, &wrong);
        assert!((400..=403).contains(&refused.status), "{refused:?}");
        assert_ne!(refused.status, 401, "{refused:?}");
    }
    assert!(service.stop().success());
    let (failed, how_many) = audited(&folder, &admin, "failed_login");
    assert_eq!(
        (&failed["ip_address"], &failed["address_source"], how_many),
        (&json!("203.0.113.9"), &json!("forwarded"), 1),
        "{failed}"
    );
}

/// The last record of that action on a stopped service's folder, and how many there are.
fn audited(folder: &tempfile::TempDir, admin: &str, action: &str) -> (Value, usize) {
    let service = Service::start(&data(folder), UNLIMITED);
    let path = format!("/v1/audit?action={action}");
    let records = Client(service.address)
        .get(&path, Some(admin))
        .expect(200)
        .json();
    let records = records["records"].as_array().unwrap().clone();
    (records[0].clone(), records.len())
}

/// A request of JSON with these header lines besides.
fn ask(address: SocketAddr, method: &str, path: &str, lines: &str, body: &str) -> Answer {
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: login.example\r\nConnection: close\r\n{lines}\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    );
    raw(address, format!("{head}{body}").as_bytes()).unwrap()
}

const ORIGIN: &str = "--origin=https://login.example";
