//! How much one client address may do, by the numbers of the README.
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

use std::time::Instant;

use serde_json::json;
use support::{Answer, Client, Service, data, fresh};

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
fn the_hundred_and_first_validation_in_a_minute_is_refused_with_the_services_own_limits() {
    let (_folder, service, admin) = fresh(&[]);
    let client = Client(service.address);
    let asked = json!({"token": admin});
    let begun = Instant::now();
    // Enrolling was the first.
    let mut admitted = 1;
    let refused = loop {
        // Both count as one: the limit is the class's.
        let answer = match admitted % 2 {
            1 => client.post("/v1/validate", Some(&admin), &asked),
            _ => client.get("/v1/me", Some(&admin)),
        };
        if answer.status != 200 {
            break answer;
        }
        admitted += 1;
    };
    // One more comes back each 600 milliseconds that the calls took.
    let came_back = begun.elapsed().as_millis() / 600;
    assert!(
        (100..=100 + came_back).contains(&admitted),
        "{admitted} calls and {came_back} more"
    );
    is_limited(refused, 60);
}

#[test]
fn the_fifty_first_administrative_call_in_a_minute_is_refused_with_the_services_own_limits() {
    let (_folder, service, admin) = fresh(&[]);
    let client = Client(service.address);
    let begun = Instant::now();
    for place in 0..50 {
        let path = ["/v1/users", "/v1/lockouts"][place % 2];
        client.get(path, Some(&admin)).expect(200);
    }
    let refused = client.get("/v1/users", Some(&admin));
    let passed = begun.elapsed().as_secs();
    assert!(passed < 59, "too slow to tell");
    // The first of them counts for the whole minute: never more than fifty in any.
    let wait = is_limited(refused, 60);
    assert!(wait + passed >= 59, "{wait} seconds after {passed}");
}

/// Classes of one call an hour: whoever is refused afterwards stands behind that class's limit. A
/// wait is rounded up to a whole second.
#[test]
fn each_route_stands_behind_the_limit_of_its_class_and_before_any_look_at_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let flags = [
        "--authentication-limit=1",
        "--validation-limit=1",
        "--user-management-limit=1",
        "--limit-window-secs=3600",
    ];
    let service = Service::start(&data(&folder), &flags);
    let client = Client(service.address);
    let ask = |call: &str| {
        let (method, path) = call.split_once(' ').unwrap();
        let body = (method == "POST").then(|| json!({}));
        support::request(client.0, method, path, None, body.as_ref()).unwrap()
    };
    let authentication = ["POST /v1/login", "POST /v1/password"];
    let validation = [
        "POST /v1/refresh",
        "POST /v1/validate",
        "POST /v1/logout",
        "GET /v1/me",
    ];
    // Counted apart from the calls: a monitor must not use those up.
    let front = ["GET /healthz", "GET /"];
    let user_management = [
        "GET /v1/users",
        "POST /v1/users",
        "POST /v1/users/a/disable",
        "POST /v1/users/a/enable",
        "POST /v1/users/a/reset",
        "GET /v1/lockouts",
        "DELETE /v1/lockouts/a",
        "GET /v1/audit",
        "GET /v1/audit/verify",
    ];
    for (class, status) in [
        (&authentication[..], 400),
        (&validation[..], 400),
        (&front[..], 200),
        (&user_management[..], 401),
    ] {
        ask(class[0]).expect(status);
        for call in class {
            is_limited(ask(call), 3601);
        }
    }
}

/// The seconds to wait.
fn is_limited(answer: Answer, window_secs: u64) -> u64 {
    let answer = answer.expect(429);
    assert_eq!(answer.code(), "429_RATE_LIMITED");
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=window_secs).contains(&wait), "{wait}");
    wait
}
