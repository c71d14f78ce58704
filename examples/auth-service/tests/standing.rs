//! What a kill in the midst of an act, a race or a damaged row leaves of an account: written into the store as
//! it would lie there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod support;

use portcullis::core::{AnyStore, Clock, Key, Next, Scope, Store, SystemClock, Timestamp};
use portcullis::store_sqlite::Sqlite;
use serde_json::{Value, json};
use support::{ADMIN_PASSWORD, Client, Service, UNLIMITED, data, fresh, unlimited};

const PASSWORD: &str = "alice's own long phrase";

type Change = fn(&mut Value);

#[test]
fn a_session_begun_before_the_account_changed_is_over_though_nobody_ended_it() {
    let (folder, service, admin) = fresh(UNLIMITED);
    Client(service.address).make_user(&admin, "alice", PASSWORD);
    let mut service = Some(service);
    let changes: [(&str, Change, Change); 2] = [
        (
            "closed",
            |user| user["enabled"] = false.into(),
            |user| user["enabled"] = true.into(),
        ),
        (
            "of another password",
            |user| user["epoch"] = (user["epoch"].as_u64().unwrap() + 1).into(),
            |user| user["epoch"] = (user["epoch"].as_u64().unwrap() - 1).into(),
        ),
    ];
    for (what, change, back) in changes {
        let client = Client(service.as_ref().unwrap().address);
        let alice = client.login("alice", PASSWORD).expect(200);
        let (access, refresh) = (alice.text("access_token"), alice.text("refresh_token"));
        let refresh = json!({"refresh_token": refresh});
        let active = |client: Client| {
            let asked = json!({"token": access});
            let answer = client
                .post("/v1/validate", Some(&admin), &asked)
                .expect(200);
            answer.json()["active"].clone()
        };
        assert_eq!(active(client), true);
        client.get("/v1/me", Some(&access)).expect(200);

        drop(service.take());
        edit(&folder, "alice", change);
        let between = Service::start(&data(&folder), UNLIMITED);
        let client = Client(between.address);
        assert_eq!(active(client), false, "{what}");
        client.get("/v1/me", Some(&access)).expect(401);
        let refused = client.post("/v1/refresh", None, &refresh).expect(401);
        assert_eq!(refused.code(), "401_UNAUTHORIZED");

        // The refresh that was refused ended the session: it does not come back with the account.
        drop(between);
        edit(&folder, "alice", back);
        let after = Service::start(&data(&folder), UNLIMITED);
        let client = Client(after.address);
        assert_eq!(active(client), false, "{what}");
        client.get("/v1/me", Some(&access)).expect(401);
        client.post("/v1/refresh", None, &refresh).expect(401);
        service = Some(after);
    }
}

/// A lock whose state is damaged keeps everybody out, its owner too: an administrator lifts it as any other.
#[test]
fn a_lockout_state_that_does_not_decode_is_listed_and_lifted_as_a_lock() {
    let (folder, service, admin) = fresh(UNLIMITED);
    let client = Client(service.address);
    client.make_user(&admin, "alice", PASSWORD);
    for _ in 0..5 {
        client.login("alice", "not her phrase at all").expect(401);
    }
    drop(service);
    let key = Key::new(Scope::new("lockout"), b"alice");
    replace(&folder, key, |state| {
        assert!(state.is_some(), "the lock lies elsewhere");
        b"\xffdamaged".to_vec()
    });
    let service = Service::start(&data(&folder), UNLIMITED);
    let client = Client(service.address);
    client.login("alice", PASSWORD).expect(500);
    let locked = || client.get("/v1/lockouts", Some(&admin)).expect(200).json();
    assert_eq!(locked()["lockouts"][0]["username"], "alice");
    let unlock = || {
        let path = "/v1/lockouts/alice";
        support::request(client.0, "DELETE", path, Some(&admin), None).unwrap()
    };
    unlock().expect(204);
    assert_eq!(locked()["lockouts"], json!([]));
    client.login("alice", PASSWORD).expect(200);
    unlock().expect(404);
    let records = client.get("/v1/audit?action=unlock&target=alice", Some(&admin));
    let records = records.expect(200).json();
    assert_eq!(records["records"].as_array().unwrap().len(), 1);
}

/// Two administrators close each other's accounts at the same moment: each is there when it acts.
#[test]
fn an_administrator_whose_account_was_closed_is_let_in_again_by_whoever_runs_the_service() {
    let (folder, service, admin) = fresh(UNLIMITED);
    drop(service);
    let opened = |client: Client, admin: &str| {
        let path = "/v1/audit?action=user_enabled&target=admin";
        let read = client.get(path, Some(admin)).expect(200).json();
        read["records"].as_array().unwrap().len()
    };
    let flags = unlimited(&["--reset-admin", "--reset-second-factor"]);
    for (closed, records) in [(true, 1), (false, 1)] {
        if closed {
            edit(&folder, "admin", |user| user["enabled"] = false.into());
        }
        let service = Service::start(&data(&folder), &flags);
        let client = Client(service.address);
        client.get("/v1/users", Some(&admin)).expect(401);
        client.login("admin", ADMIN_PASSWORD).expect(401);
        let password = format!("a long phrase for {closed}");
        let again = client.take_over("admin", &service.one_time_password(), &password);
        let token = again.text("access_token");
        client.enrol(&token);
        // An account that was open is not said to have been opened.
        assert_eq!(opened(client, &token), records, "closed: {closed}");
    }
}

/// Changes a user's record while no service runs: a version byte, then JSON.
fn edit(folder: &tempfile::TempDir, name: &str, change: Change) {
    let key = Key::new(Scope::new("user"), name.as_bytes());
    replace(folder, key, move |record| {
        let (version, json) = record.unwrap().split_first().unwrap();
        let mut user: Value = serde_json::from_slice(json).unwrap();
        change(&mut user);
        let mut record = vec![*version];
        record.extend(user.to_string().bytes());
        record
    });
}

/// Puts what is made of a row in its place while no service runs.
fn replace(
    folder: &tempfile::TempDir,
    key: Key,
    change: impl Fn(Option<&[u8]>) -> Vec<u8> + Send + 'static,
) {
    let changed = async {
        let now = SystemClock.now();
        let sqlite = Sqlite::open(data(folder).join("portcullis.db"), now).unwrap();
        let step = move |row: Option<&[u8]>| {
            let value = change(row).into();
            let expires_at = Timestamp::MAX;
            ((), Next::Put { value, expires_at })
        };
        let store = AnyStore::new(sqlite.clone());
        store.update(key, now, step).await.unwrap();
        sqlite.close().await;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(changed);
}
