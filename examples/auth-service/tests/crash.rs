//! Refreshes from many clients with kill -9 in their midst: what was acknowledged is there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod support;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;
use support::{Answer, Client, Service, UNLIMITED, data, fresh, request};

const CLIENTS: usize = 16;
const PASSWORD: &str = "the phrase of a user under load";

/// How much is run; less can be asked for on a slow machine.
fn setting(name: &str, default: usize) -> usize {
    std::env::var(name)
        .ok()
        .map_or(default, |value| value.parse().expect(name))
}

/// A session as its owner sees it.
struct Held {
    session: String,
    token: String,
    /// The tokens it had before, oldest first.
    past: Vec<String>,
}

impl Held {
    fn replace(&mut self, child: String) {
        let parent = std::mem::replace(&mut self.token, child);
        self.past.push(parent);
    }
}

type Sessions = [Mutex<Held>];

fn refresh(address: SocketAddr, token: &str) -> std::io::Result<Answer> {
    request(
        address,
        "POST",
        "/v1/refresh",
        None,
        Some(&json!({"refresh_token": token})),
    )
}

/// Signs `sessions` sessions in, ten to a user, two at a time: hashing takes a core each.
fn sign_in(client: Client, admin: &str, sessions: usize) -> Vec<Mutex<Held>> {
    let held = Mutex::new(Vec::new());
    let users: Vec<String> = (0..sessions.div_ceil(10))
        .map(|user| format!("user{user}"))
        .collect();
    thread::scope(|scope| {
        for half in users.chunks(users.len().div_ceil(2)) {
            let held = &held;
            scope.spawn(move || {
                for user in half {
                    let mut answer = client.make_user(admin, user, PASSWORD);
                    for place in 0..10 {
                        if place > 0 {
                            answer = client.login(user, PASSWORD).expect(200);
                        }
                        let session = Held {
                            session: answer.text("session"),
                            token: answer.text("refresh_token"),
                            past: Vec::new(),
                        };
                        held.lock().unwrap().push(Mutex::new(session));
                    }
                }
            });
        }
    });
    let mut held = held.into_inner().unwrap();
    held.truncate(sessions);
    held
}

/// Every client refreshes its own sessions, one after another, and after each of them a contested one
/// that others refresh at the same time, until the service is gone. Answers the ids of the requests
/// that were acknowledged.
fn load(
    address: SocketAddr,
    owned: &Sessions,
    contested: &Sessions,
    stopped: &AtomicBool,
) -> BTreeSet<String> {
    let acknowledged = Mutex::new(BTreeSet::new());
    let note = |answer: &Answer| {
        let id = answer.header("x-request-id").unwrap().to_owned();
        acknowledged.lock().unwrap().insert(id);
    };
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let note = &note;
            scope.spawn(move || {
                let own = owned.iter().skip(client).step_by(CLIENTS).cycle();
                for (session, shared) in own.zip(contested.iter().cycle()) {
                    if stopped.load(Ordering::Relaxed) {
                        break;
                    }
                    let mut session = session.lock().unwrap();
                    // Gone in mid-answer: the token is kept as it was, for the retry.
                    let Ok(answer) = refresh(address, &session.token) else {
                        break;
                    };
                    note(&answer);
                    session.replace(answer.expect(200).text("refresh_token"));

                    let token = shared.lock().unwrap().token.clone();
                    let Ok(answer) = refresh(address, &token) else {
                        break;
                    };
                    // A client that lost the race is refused, and its token ends the session.
                    if answer.status == 200 {
                        note(&answer);
                        shared.lock().unwrap().replace(answer.text("refresh_token"));
                    }
                }
            });
        }
    });
    acknowledged.into_inner().unwrap()
}

/// Every request id in the audit log, read page by page.
fn audited(client: Client, admin: &str) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    let mut after = 0;
    loop {
        let page = client
            .get(
                &format!("/v1/audit?action=refresh&after={after}&limit=1000"),
                Some(admin),
            )
            .expect(200)
            .json();
        let records = page["records"].as_array().unwrap().clone();
        let Some(last) = records.last() else {
            return ids;
        };
        after = last["sequence"].as_u64().unwrap();
        ids.extend(
            records
                .iter()
                .filter_map(|record| record["request_id"].as_str().map(str::to_owned)),
        );
    }
}

#[test]
fn what_was_acknowledged_survives_kill_9_under_load() {
    let rounds = setting("PORTCULLIS_CRASH_ROUNDS", 5);
    let sessions = setting("PORTCULLIS_CRASH_SESSIONS", 200);
    let flags: Vec<&str> = UNLIMITED
        .iter()
        .copied()
        .chain(["--refresh-grace-secs=60"])
        .collect();
    let (folder, mut service, admin) = fresh(&flags);
    let mut held = sign_in(Client(service.address), &admin, sessions);
    assert_eq!(held.len(), sessions);
    let contested = held.split_off(sessions - sessions / 20);

    let mut acknowledged = BTreeSet::new();
    for round in 0..rounds {
        let stopped = AtomicBool::new(false);
        let address = service.address;
        let fresh = thread::scope(|scope| {
            let load = scope.spawn(|| load(address, &held, &contested, &stopped));
            thread::sleep(Duration::from_millis(
                700 + 130 * u64::try_from(round).unwrap(),
            ));
            service.kill();
            stopped.store(true, Ordering::Relaxed);
            load.join().unwrap()
        });
        assert!(
            fresh.len() > CLIENTS,
            "round {round} acknowledged {} refreshes",
            fresh.len()
        );
        acknowledged.extend(fresh);

        service = Service::start(&data(&folder), &flags);
        let client = Client(service.address);
        let in_log = audited(client, &admin);
        let lost: Vec<_> = acknowledged.difference(&in_log).collect();
        assert!(
            lost.is_empty(),
            "round {round}: {} of {} acknowledged events are lost",
            lost.len(),
            acknowledged.len()
        );
        let verified = client
            .get("/v1/audit/verify", Some(&admin))
            .expect(200)
            .json();
        assert_eq!(verified["valid"], true, "round {round}: {verified}");
        for session in &held {
            // The lone retry: the answer to the last request may have been lost, the session is not.
            let mut session = session.lock().unwrap();
            let answer = refresh(service.address, &session.token)
                .unwrap()
                .expect(200);
            assert_eq!(answer.text("session"), session.session);
            session.replace(answer.text("refresh_token"));
        }
        println!(
            "round {round}: {} refreshes acknowledged so far, none lost",
            acknowledged.len()
        );
    }

    one_live_token_each(service.address, &held);
    one_live_token_or_none(service.address, &contested);
    assert!(service.stop().success());
}

/// A session of one client has one live token: it works, and an older one ends the session.
fn one_live_token_each(address: SocketAddr, held: &Sessions) {
    for (place, session) in held.iter().enumerate() {
        let session = session.lock().unwrap();
        let live = refresh(address, &session.token)
            .unwrap()
            .expect(200)
            .text("refresh_token");
        assert_ne!(live, session.token);
        if place % 4 == 0 {
            let ancestor = &session.past[session.past.len() - 2];
            assert_eq!(
                refresh(address, ancestor).unwrap().expect(401).code(),
                "401_UNAUTHORIZED"
            );
            refresh(address, &live).unwrap().expect(401);
        }
    }
}

/// A session that many clients fought for has one live token, or is revoked: of all tokens that were
/// ever given, one at the most is answered with a new one.
fn one_live_token_or_none(address: SocketAddr, contested: &Sessions) {
    for session in contested {
        let mut session = session.lock().unwrap();
        let last = session.token.clone();
        session.past.push(last);
        let mut tokens = BTreeSet::new();
        for token in session.past.iter().rev() {
            let answer = refresh(address, token).unwrap();
            if answer.status == 200 {
                tokens.insert(answer.text("refresh_token"));
            }
        }
        assert!(
            tokens.len() <= 1,
            "{} has {} live tokens",
            session.session,
            tokens.len()
        );
        refresh(address, &session.token).unwrap().expect(401);
    }
}
