//! The second factor by call: what opens what, and for whom.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod support;

use std::thread;
use std::time::Duration;

use serde_json::json;
use support::{ADMIN_PASSWORD, Client, Service, UNLIMITED, data, fresh, request, unlimited};

const PASSWORD: &str = "the phrase of one with two factors";

#[test]
fn an_administrators_factor_is_not_removed_by_a_recovery_code_and_a_users_is() {
    let (folder, service, _) = fresh(UNLIMITED);
    let client = Client(service.address);
    let recovered = client.admin_again(&folder).expect(200);
    let token = recovered.text("access_token");
    let codes = std::fs::read_to_string(folder.path().join("recovery-codes")).unwrap();
    let typed = json!({"code": codes.lines().next().unwrap()});
    let refused = client.post("/v1/second-factor/remove", Some(&token), &typed);
    assert_eq!(refused.expect(403).code(), "403_FORBIDDEN");
    // Nor does one step anything up; neither was used up for nothing.
    client.post("/v1/step-up", Some(&token), &typed).expect(403);
    let standing = client.get("/v1/second-factor", Some(&token)).expect(200);
    assert_eq!(standing.json()["recovery_codes_left"], 9);
    assert_eq!(standing.json()["enrolled"], true);
}

#[test]
fn a_lost_authenticator_is_replaced_by_a_recovery_code_and_its_sessions_end() {
    let (_folder, service, admin) = fresh(UNLIMITED);
    let client = Client(service.address);
    let alice = client.make_user(&admin, "alice", PASSWORD);
    let token = alice.text("access_token");
    let factor = client.enrol(&token);
    let typed = json!({"code": factor.recovery_codes[0]});
    let removed = client.post("/v1/second-factor/remove", Some(&token), &typed);
    removed.expect(204);
    client.get("/v1/me", Some(&token)).expect(401);
    let again = client.login("alice", PASSWORD).expect(200);
    client.enrol(&again.text("access_token"));
}

/// The lost authenticator in other hands, at the moment at which an administrator takes it away. The answer
/// begins before the reset in some turns and after it in others, by a little more each time.
#[test]
fn a_login_answered_while_an_administrator_resets_the_factor_is_worth_nothing_after() {
    let (_folder, service, admin) = fresh(UNLIMITED);
    let client = Client(service.address);
    let mut held = client.make_user(&admin, "ann", PASSWORD);
    let (mut turn, mut answers) = (0, 0);
    while turn < 8 || (answers == 0 && turn < 60) {
        let factor = client.enrol(&held.text("access_token"));
        let challenged = client.login("ann", PASSWORD).expect(401);
        let wait = |steps: u64| thread::sleep(Duration::from_millis(2 * steps));
        let answered = thread::scope(|scope| {
            let answer = scope.spawn(|| {
                wait(4_u64.saturating_sub(turn));
                client.answer(&challenged, &factor.code(0))
            });
            wait(turn.saturating_sub(4));
            let path = "/v1/users/ann/second-factor/reset";
            client.post(path, Some(&admin), &json!({})).expect(204);
            answer.join().unwrap()
        });
        if answered.status == 200 {
            let token = answered.text("access_token");
            client.get("/v1/me", Some(&token)).expect(401);
            answers += 1;
        }
        held = client.login("ann", PASSWORD).expect(200);
        turn += 1;
    }
    assert!(
        answers > 0,
        "no login was answered before the factor was gone"
    );
}

#[test]
fn an_administrator_whose_name_no_authenticator_shows_can_enrol_all_the_same() {
    let long = "a".repeat(200);
    for name in ["ops:root", &long] {
        let folder = tempfile::tempdir().unwrap();
        let flag = format!("--admin={name}");
        let flags: Vec<&str> = UNLIMITED.iter().copied().chain([&*flag]).collect();
        let service = Service::start(&data(&folder), &flags);
        let client = Client(service.address);
        let admin = client.take_over(name, &service.one_time_password(), ADMIN_PASSWORD);
        let token = admin.text("access_token");
        client.enrol(&token);
        client.get("/v1/users", Some(&token)).expect(200);
    }
}

#[test]
fn what_changes_a_user_asks_for_the_authenticator_and_not_long_ago() {
    let (_folder, service, admin) = fresh(&unlimited(&["--step-up-secs=2"]));
    let client = Client(service.address);
    client.make_user(&admin, "alice", PASSWORD);
    let acts = [
        ("POST", "/v1/users"),
        ("POST", "/v1/users/alice/disable"),
        ("POST", "/v1/users/alice/enable"),
        ("POST", "/v1/users/alice/reset"),
        ("POST", "/v1/users/alice/second-factor/reset"),
        ("DELETE", "/v1/lockouts/alice"),
    ];
    support::until("the step-up is too old", || {
        client.get("/v1/users", Some(&admin)).expect(200);
        let first = client.post("/v1/users/alice/enable", Some(&admin), &json!({}));
        first.status != 200
    });
    for (method, path) in acts {
        let body = json!({"username": "bob", "email": "bob@example.org", "role": "user"});
        let asked = request(client.0, method, path, Some(&admin), Some(&body)).unwrap();
        let asked = asked.expect(401);
        assert_eq!(asked.code(), "403_FORBIDDEN", "{path}");
        let challenge = asked.header("www-authenticate").unwrap();
        assert!(
            challenge.contains("insufficient_user_authentication"),
            "{challenge}"
        );
        assert!(challenge.ends_with("max_age=\"2\""), "{challenge}");
    }
    // What only looks does not ask.
    for path in ["/v1/users", "/v1/lockouts", "/v1/audit?limit=1"] {
        client.get(path, Some(&admin)).expect(200);
    }
}
