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

use serde_json::json;
use support::{
    ADMIN_PASSWORD, Answer, Client, Service, UNLIMITED, data, fails_to_start, fresh, unlimited,
    until,
};

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
    // An administrator without a second factor does nothing but enrol one.
    let admin = client.login("admin", ADMIN_PASSWORD).expect(200);
    let token = admin.text("access_token");
    for path in ["/v1/users", "/v1/lockouts", "/v1/audit"] {
        assert_eq!(
            client.get(path, Some(&token)).expect(403).code(),
            "403_SECOND_FACTOR_ENROLMENT_REQUIRED"
        );
    }
    client.get("/v1/me", Some(&token)).expect(200);
    client.enrol(&token);
    client.get("/v1/users", Some(&token)).expect(200);
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
    let seen = |answer: &Answer| {
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
    let flags = unlimited(&["--access-token-secs=2"]);
    let (folder, service, _) = fresh(&flags);
    let client = Client(service.address);
    let admin = client.admin_again(&folder).expect(200);
    let token = admin.text("access_token");
    client.get("/v1/me", Some(&token)).expect(200);
    let mut expired = client.get("/v1/me", Some(&token));
    until("the token expires", || {
        expired = client.get("/v1/me", Some(&token));
        expired.status != 200
    });
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
fn a_lost_administrators_password_is_replaced_by_whoever_runs_the_service() {
    let (folder, service, admin) = fresh(UNLIMITED);
    drop(service);
    let flags = unlimited(&["--reset-admin"]);
    let service = Service::start(&data(&folder), &flags);
    let client = Client(service.address);
    client.get("/v1/users", Some(&admin)).expect(401);
    client.login("admin", ADMIN_PASSWORD).expect(401);
    // The password is a new one; the second factor is the old.
    let one_time = service.one_time_password();
    client
        .login("admin", &one_time)
        .expect(401)
        .text("challenge");
    drop(service);
    let flags = unlimited(&["--reset-admin", "--reset-second-factor"]);
    let service = Service::start(&data(&folder), &flags);
    let one_time = service.one_time_password();
    Client(service.address).take_over("admin", &one_time, "another long phrase of hers");
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
fn the_client_system_of_a_login_stays_that_of_its_refreshes() {
    let (_folder, service, admin) = fresh(UNLIMITED);
    let client = Client(service.address);
    client.make_user(&admin, "alice", PASSWORD);
    let login = |system: Option<&str>| {
        let body = json!({"username": "alice", "password": PASSWORD, "client_system": system});
        client.post("/v1/login", None, &body).expect(200)
    };
    for (system, client_id) in [(Some("shop"), "shop"), (None, "auth-service")] {
        let mut pair = login(system);
        for _ in 0..3 {
            let asked = json!({"token": pair.text("access_token")});
            let answer = client.post("/v1/validate", Some(&admin), &asked);
            assert_eq!(answer.expect(200).text("client_id"), client_id);
            let refresh = json!({"refresh_token": pair.text("refresh_token")});
            pair = client.post("/v1/refresh", None, &refresh).expect(200);
        }
    }
}
