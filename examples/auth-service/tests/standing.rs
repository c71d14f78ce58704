//! Accounts that were closed or changed without an end of their sessions: what a kill between the two
//! leaves behind.
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
use support::{Client, Service, UNLIMITED, data, fresh};

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

/// Changes a user's record while no service runs: a version byte, then JSON.
fn edit(folder: &tempfile::TempDir, name: &str, change: Change) {
    let changed = async {
        let now = SystemClock.now();
        let sqlite = Sqlite::open(data(folder).join("portcullis.db"), now).unwrap();
        let key = Key::new(Scope::new("user"), name.as_bytes());
        let step = move |record: Option<&[u8]>| {
            let (version, json) = record.unwrap().split_first().unwrap();
            let mut user: Value = serde_json::from_slice(json).unwrap();
            change(&mut user);
            let mut record = vec![*version];
            record.extend(user.to_string().bytes());
            let value = record.into();
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
