//! Every action of the audit log, done once and found again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "tests"
)]

#[path = "support/machine.rs"]
mod machine;
mod support;

use std::collections::BTreeSet;
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, SystemTime};

use portcullis::audit::Action;
use serde_json::{Value, json};
use support::{
    ADMIN_PASSWORD, Answer, Client, Factor, Service, UNLIMITED, data, fresh, send, until,
};

const PASSWORD: &str = "alice's own long phrase";
const WRONG: &str = "hunter2 hunter2 hunter2";
/// Right for one secret in a million at a time.
const WRONG_CODE: &str = "000000";

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

/// Requests, and the records that each of them must have left.
#[derive(Default)]
struct Acts(Vec<Act>);

struct Act {
    request_id: String,
    began: SystemTime,
    ended: SystemTime,
    records: Vec<Value>,
}

impl Acts {
    /// Does it, and notes what it must have left: whatever else its records say, they say this.
    fn act(&mut self, status: u16, act: impl FnOnce() -> Answer) -> (Answer, &mut Vec<Value>) {
        let began = SystemTime::now();
        let answer = act().expect(status);
        self.0.push(Act {
            request_id: answer.header("x-request-id").unwrap().to_owned(),
            began,
            ended: SystemTime::now(),
            records: Vec::new(),
        });
        (answer, &mut self.0.last_mut().unwrap().records)
    }

    /// Does it; it must have left these records.
    fn left(&mut self, status: u16, records: &[Value], act: impl FnOnce() -> Answer) -> Answer {
        let (answer, left) = self.act(status, act);
        left.extend_from_slice(records);
        answer
    }

    fn are_in(&self, log: &[Value]) {
        for act in &self.0 {
            let found: Vec<&Value> = log
                .iter()
                .filter(|record| record["request_id"] == act.request_id)
                .collect();
            assert_eq!(
                found.len(),
                act.records.len(),
                "{found:?} for {:?}",
                act.records
            );
            for (found, expected) in found.iter().zip(&act.records) {
                let everyone = json!({
                    "ip_address": "127.0.0.1", "address_source": "peer", "user_agent": "tests",
                });
                for (member, value) in members(expected).chain(members(&everyone)) {
                    assert_eq!(&found[member], value, "{member} of {found}");
                }
                for member in ["user_id", "target", "reason"] {
                    assert_eq!(found[member], expected[member], "{member} of {found}");
                }
                let at = found["timestamp"].as_str().unwrap();
                let at = humantime::parse_rfc3339(at).unwrap();
                // The records show milliseconds.
                let began = act.began - Duration::from_millis(1);
                assert!(began < at && at <= act.ended, "{found}");
            }
        }
    }
}

fn members(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    object.as_object().unwrap().iter()
}

/// Bob's: enrolled, asked for, shown, refused, blocked, renewed and removed.
fn acts_with_a_second_factor(client: Client, admin: &str, acts: &mut Acts) {
    let user = json!({"username": "bob", "email": "bob@example.org", "role": "user"});
    let made = client.post("/v1/users", Some(admin), &user).expect(201);
    let bob = client.take_over("bob", &made.text("one_time_password"), PASSWORD);
    let of_bob = |action: &str, session: &Answer| json!({"action": action, "user_id": "bob", "session": session.text("session")});
    let refused = |action: &str, session: &Answer| {
        let mut refused = of_bob(action, session);
        refused["reason"] = "second_factor_wrong".into();
        refused
    };

    let token = bob.text("access_token");
    let begun = client.post("/v1/second-factor/enrol", Some(&token), &json!({}));
    let secret = begun.expect(200).text("secret");
    let mut factor = Factor {
        secret,
        recovery_codes: Vec::new(),
    };
    let confirm = |code: &str| {
        let typed = json!({"code": code});
        client.post("/v1/second-factor/confirm", Some(&token), &typed)
    };
    acts.left(403, &[refused("step_up_failed", &bob)], || {
        confirm("no code")
    });
    let confirmed = acts.left(200, &[of_bob("factor_enrolled", &bob)], || {
        confirm(&factor.code(-1))
    });
    let codes = confirmed.json();
    let codes = codes["recovery_codes"].as_array().unwrap().iter();
    factor.recovery_codes = codes
        .map(|code| code.as_str().unwrap().to_owned())
        .collect();

    let asked = json!({"action": "second_factor_asked", "user_id": "bob"});
    let challenged = acts.left(401, &[asked], || client.login("bob", PASSWORD));
    let wrong =
        json!({"action": "failed_login", "user_id": "bob", "reason": "second_factor_wrong"});
    acts.left(401, &[wrong], || client.answer(&challenged, "no code"));
    let used = json!({"action": "recovery_code_used", "user_id": "bob"});
    let (bob, left) = acts.act(200, || {
        client.answer(&challenged, &factor.recovery_codes[0])
    });
    left.extend([used.clone(), of_bob("login", &bob)]);
    let over = json!({"action": "failed_login", "reason": "challenge_invalid"});
    acts.left(401, &[over], || {
        client.answer(&challenged, &factor.recovery_codes[1])
    });

    let token = bob.text("access_token");
    let typed = |path: &str, code: &str| client.post(path, Some(&token), &json!({"code": code}));
    acts.left(200, &[of_bob("step_up", &bob)], || {
        typed("/v1/step-up", &factor.code(0))
    });
    acts.left(200, &[of_bob("recovery_codes_made", &bob)], || {
        let renewed = typed("/v1/second-factor/recovery-codes", &factor.code(1));
        let codes = renewed.json();
        factor.recovery_codes = vec![codes["recovery_codes"][0].as_str().unwrap().to_owned()];
        renewed
    });
    for guess in 1..=100 {
        let blocked = of_bob("factor_blocked", &bob);
        let records = [refused("step_up_failed", &bob), blocked];
        let count = if guess == 100 { 2 } else { 1 };
        acts.left(403, &records[..count], || typed("/v1/step-up", WRONG_CODE));
    }
    acts.left(204, &[used, of_bob("factor_removed", &bob)], || {
        typed("/v1/second-factor/remove", &factor.recovery_codes[0])
    });
}

/// A client application's: registered, changed, given keys, let in, refused.
fn acts_of_a_client(client: Client, admin: &str, acts: &mut Acts) {
    let by_admin = |action: &str, target: Option<&str>| json!({"action": action, "user_id": "admin", "client_system": "billing", "target": target});
    let new = json!({"client": "billing", "tier": "standard", "networks": ["127.0.0.0/8"]});
    acts.left(201, &[by_admin("client_registered", None)], || {
        client.post("/v1/clients", Some(admin), &new)
    });
    let changed = by_admin("client_changed", Some("premium"));
    acts.left(200, &[changed], || {
        let tier = json!({"tier": "premium"});
        client.put("/v1/clients/billing/tier", admin, &tier)
    });
    let networks = by_admin("address_list_changed", Some("127.0.0.1"));
    acts.left(200, &[networks], || {
        let networks = json!({"networks": ["127.0.0.1"]});
        client.put("/v1/clients/billing/networks", admin, &networks)
    });
    let (made, left) = acts.act(201, || {
        let key = json!({"kind": "api_key", "label": "tests"});
        client.post("/v1/clients/billing/keys", Some(admin), &key)
    });
    let (key, secret) = (made.text("id"), made.text("secret"));
    left.push(by_admin("key_created", Some(&key)));
    let login = json!({"action": "client_login", "client_system": "billing", "target": key});
    let token = acts.left(200, &[login], || client.token_for(&secret));
    acts.left(200, &[by_admin("key_rotated", Some(&key))], || {
        client.rotate(admin, "billing", &key)
    });
    acts.left(204, &[by_admin("key_revoked", Some(&key))], || {
        client.delete(&format!("/v1/clients/billing/keys/{key}"), admin)
    });
    let token = token.text("access_token");
    let refused = json!({
        "action": "client_refused", "client_system": "billing", "target": key, "reason": "key_revoked",
    });
    let refused = std::slice::from_ref(&refused);
    acts.left(401, refused, || client.get("/v1/client/me", Some(&token)));
    acts.left(401, refused, || client.token_for(&secret));
    acts.left(204, &[by_admin("key_forgotten", Some(&key))], || {
        let path = format!("/v1/clients/billing/keys/{key}/forget");
        client.post(&path, Some(admin), &json!({}))
    });
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
fn each_act_leaves_its_own_record_and_none_of_another() {
    // One limit that can be reached, and whose calls do not come back meanwhile.
    let flags = [
        "--authentication-limit=1000000",
        "--validation-limit=24",
        "--user-management-limit=1000000",
        "--limit-window-secs=86400",
        "--refresh-grace-secs=0",
    ];
    let (folder, mut service, admin) = fresh(&flags);
    let client = Client(service.address);
    let mut acts = Acts::default();
    let acts_of_admin =
        |action: &str| json!({"action": action, "user_id": "admin", "target": "alice"});
    let failed = json!({"action": "failed_login", "user_id": "alice", "reason": "password_wrong"});

    let user = json!({"username": "alice", "email": "alice@example.org", "role": "user"});
    let made = acts.left(201, &[acts_of_admin("user_created")], || {
        client.post("/v1/users", Some(&admin), &user)
    });
    let one_time = made.text("one_time_password");
    let first = client.login("alice", &one_time).expect(200);
    let change = json!({"current_password": one_time, "new_password": PASSWORD});
    let changed = json!({"action": "password_changed", "user_id": "alice"});
    acts.left(204, &[changed], || {
        client.post("/v1/password", Some(&first.text("access_token")), &change)
    });
    for failure in 0..5 {
        let lockout = json!({"action": "lockout", "user_id": "alice"});
        let records = [failed.clone(), lockout];
        let count = if failure == 4 { 2 } else { 1 };
        acts.left(401, &records[..count], || client.login("alice", WRONG));
    }
    acts.left(204, &[acts_of_admin("unlock")], || {
        support::request(client.0, "DELETE", "/v1/lockouts/alice", Some(&admin), None).unwrap()
    });

    // A user has twenty sessions at most: the oldest ends.
    let mut oldest = None;
    for place in 0..21 {
        let (login, left) = acts.act(200, || {
            let body = json!({"username": "alice", "password": PASSWORD, "client_system": "shop"});
            client.post("/v1/login", None, &body)
        });
        let session = login.text("session");
        let record = |action: &str, session: &str| json!({"action": action, "user_id": "alice", "session": session, "client_system": "shop"});
        let oldest = oldest.get_or_insert_with(|| session.clone());
        if place == 20 {
            left.push(record("session_revoked", oldest));
        }
        left.push(record("login", &session));
    }

    let alice = client.login("alice", PASSWORD).expect(200);
    let (access, session) = (alice.text("access_token"), alice.text("session"));
    let of_session =
        |action: &str| json!({"action": action, "user_id": "alice", "session": session});
    let refresh = json!({"refresh_token": alice.text("refresh_token")});
    acts.left(200, &[of_session("refresh")], || {
        client.post("/v1/refresh", None, &refresh)
    });
    let mut reuse = of_session("refresh_reuse");
    reuse["reason"] = "token_replayed".into();
    acts.left(401, &[reuse], || client.post("/v1/refresh", None, &refresh));
    // Whose token it was is known only where its signature holds.
    let mut revoked = of_session("token_refused");
    revoked["reason"] = "token_revoked".into();
    acts.left(401, &[revoked], || client.get("/v1/me", Some(&access)));
    let malformed = json!({"action": "token_refused", "reason": "token_malformed"});
    acts.left(401, &[malformed], || client.get("/v1/me", Some("a.b.c")));
    acts.left(401, &[], || client.get("/v1/me", None));

    let alice = client.login("alice", PASSWORD).expect(200);
    let access = alice.text("access_token");
    let of_session = |action: &str| json!({"action": action, "user_id": "alice", "session": alice.text("session")});
    let mut denied = of_session("access_denied");
    denied["reason"] = "role_missing".into();
    acts.left(403, &[denied], || client.get("/v1/users", Some(&access)));
    acts.left(204, &[of_session("logout")], || {
        client.post("/v1/logout", Some(&access), &json!({}))
    });

    for (action, act) in [
        ("user_disabled", "disable"),
        ("user_enabled", "enable"),
        ("password_changed", "reset"),
    ] {
        let path = format!("/v1/users/alice/{act}");
        acts.left(200, &[acts_of_admin(action)], || {
            client.post(&path, Some(&admin), &json!({}))
        });
    }
    let by_admin = |action: &str| json!({"action": action, "user_id": "admin"});
    acts.left(200, &[by_admin("audit_read")], || {
        client.get("/v1/audit?limit=1", Some(&admin))
    });
    acts.left(200, &[by_admin("audit_verified")], || {
        client.get("/v1/audit/verify", Some(&admin))
    });

    acts_with_a_second_factor(client, &admin, &mut acts);
    acts_of_a_client(client, &admin, &mut acts);

    while client.get("/v1/me", Some(&admin)).status == 200 {}
    let limited = json!({"action": "rate_limited", "reason": "rate_limited"});
    acts.left(429, &[limited], || client.get("/v1/me", Some(&admin)));

    assert!(service.stop().success());
    let service = Service::start(&data(&folder), UNLIMITED);
    let log = all(Client(service.address), &admin);
    acts.are_in(&log);
    let of_the_service: Vec<Value> = log
        .iter()
        .filter(|record| record["action"].as_str().unwrap().starts_with("service_"))
        .map(|record| record["action"].clone())
        .collect();
    assert_eq!(
        of_the_service,
        ["service_started", "service_stopped", "service_started"]
    );

    let done: BTreeSet<&str> = log
        .iter()
        .map(|record| record["action"].as_str().unwrap())
        .collect();
    let actions: BTreeSet<&str> = Action::ALL.iter().map(|action| action.as_str()).collect();
    assert_eq!(done, actions);
    let readme = include_str!("../README.md");
    for action in actions {
        assert!(readme.contains(&format!("`{action}`")), "{action}");
    }
}

/// A session that ends says so in the log, whoever waits for the answer. How far the service came when
/// its caller was gone differs: none of the places may lose the record.
#[test]
fn a_logout_whose_sender_hangs_up_is_recorded_if_the_session_is_over() {
    let (_folder, service, admin) = fresh(UNLIMITED);
    let client = Client(service.address);
    client.make_user(&admin, "alice", PASSWORD);
    let mut ended = 0;
    for place in 0..24 {
        let login = client.login("alice", PASSWORD).expect(200);
        let (access, session) = (login.text("access_token"), login.text("session"));
        let logout = format!(
            "POST /v1/logout HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {access}\r\n\
             Content-Length: 0\r\n\r\n"
        );
        let connection = send(service.address, logout.as_bytes()).unwrap();
        // Not waited for as a proof of anything: it chooses the place.
        thread::sleep(Duration::from_micros(200 * place));
        connection.shutdown(Shutdown::Both).unwrap();
        drop(connection);

        // What the hang-up left is over once a later logout of another session is.
        let other = client
            .login("alice", PASSWORD)
            .expect(200)
            .text("access_token");
        client
            .post("/v1/logout", Some(&other), &json!({}))
            .expect(204);
        if client.get("/v1/me", Some(&access)).status == 200 {
            client.post("/v1/logout", Some(&access), &json!({}));
            continue;
        }
        ended += 1;
        until("the logout is recorded", || {
            let found = client.get("/v1/audit?action=logout&limit=9", Some(&admin));
            let found = found.expect(200).json();
            let records = found["records"].as_array().unwrap();
            records.iter().any(|record| record["session"] == session)
        });
    }
    assert!(ended > 0, "no logout was begun before its sender hung up");
}

/// The whole log, oldest first.
fn all(client: Client, admin: &str) -> Vec<Value> {
    let read = client.get("/v1/audit?after=0&limit=1000", Some(admin));
    read.expect(200).json()["records"]
        .as_array()
        .unwrap()
        .clone()
}
