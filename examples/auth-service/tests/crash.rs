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

/// Every client refreshes its own sessions, one after another, until the service is gone; the shared
/// ones twice at the same time, as two tabs would. Answers the ids of the requests that were
/// acknowledged.
fn load(
    address: SocketAddr,
    owned: &Sessions,
    shared: &Sessions,
    stopped: &AtomicBool,
) -> BTreeSet<String> {
    let acknowledged = Mutex::new(BTreeSet::new());
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let note = |answer: &Answer| {
                let id = answer.header("x-request-id").unwrap().to_owned();
                acknowledged.lock().unwrap().insert(id);
            };
            scope.spawn(move || {
                let own = owned.iter().skip(client).step_by(CLIENTS).cycle();
                let shared = shared.iter().skip(client).step_by(CLIENTS).cycle();
                for (turn, session) in own.enumerate() {
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
                    drop(session);
                    if turn % 4 == 0
                        && let Some(session) = shared.clone().nth(turn / 4)
                    {
                        at_once(address, &mut session.lock().unwrap(), &note);
                    }
                }
            });
        }
    });
    acknowledged.into_inner().unwrap()
}

/// Two refreshes of one session with one token at the same time: both are answered with one child.
fn at_once(address: SocketAddr, session: &mut Held, note: &(impl Fn(&Answer) + Sync)) {
    let token = session.token.clone();
    let one = || {
        refresh(address, &token)
            .ok()
            .map(|answer| answer.expect(200))
    };
    let answers = thread::scope(|scope| {
        let tabs = [scope.spawn(one), scope.spawn(one)];
        tabs.map(|tab| tab.join().unwrap())
    });
    let mut children = BTreeSet::new();
    for answer in answers.iter().flatten() {
        note(answer);
        children.insert(answer.text("refresh_token"));
    }
    assert!(children.len() <= 1, "two tabs were given two children");
    if let Some(child) = children.pop_first() {
        session.replace(child);
    }
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
    let (folder, mut service, admin) = fresh(UNLIMITED);
    let mut owned = sign_in(Client(service.address), &admin, sessions);
    assert_eq!(owned.len(), sessions);
    let shared = owned.split_off(sessions - sessions / 5);

    let mut acknowledged = BTreeSet::new();
    for round in 0..rounds {
        let stopped = AtomicBool::new(false);
        let address = service.address;
        let fresh = thread::scope(|scope| {
            let load = scope.spawn(|| load(address, &owned, &shared, &stopped));
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

        service = Service::start(&data(&folder), UNLIMITED);
        let client = Client(service.address);
        for session in &owned {
            let mut session = session.lock().unwrap();
            let parent = session.token.clone();
            lone_retry(service.address, &mut session);
            // Asked again, it is the same child: there is one live token.
            let again = refresh(service.address, &parent).unwrap().expect(200);
            assert_eq!(again.text("refresh_token"), session.token);
        }
        for session in &shared {
            // Two tabs have used up one of the two repeats that a parent has.
            lone_retry(service.address, &mut session.lock().unwrap());
        }
        let in_log = audited(client, &admin);
        let lost = acknowledged.difference(&in_log).count();
        let all = acknowledged.len();
        assert_eq!(lost, 0, "round {round}: of {all} acknowledged events");
        let verified = client.get("/v1/audit/verify", Some(&admin)).expect(200);
        assert_eq!(
            verified.json()["valid"],
            true,
            "round {round}: {verified:?}"
        );
        println!("round {round}: {all} refreshes acknowledged so far, none lost");
    }
    for session in owned.iter().chain(&shared).step_by(4) {
        an_older_token_ends_the_session(service.address, &session.lock().unwrap());
    }
    assert!(service.stop().success());
}

/// The answer to the last request may have been lost; the session is not.
fn lone_retry(address: SocketAddr, session: &mut Held) {
    let retried = refresh(address, &session.token).unwrap().expect(200);
    assert_eq!(retried.text("session"), session.session);
    let child = retried.text("refresh_token");
    assert_ne!(child, session.token);
    session.replace(child);
}

fn an_older_token_ends_the_session(address: SocketAddr, session: &Held) {
    let ancestor = session.past.iter().nth_back(1).unwrap();
    let refused = refresh(address, ancestor).unwrap().expect(401);
    assert_eq!(refused.code(), "401_UNAUTHORIZED");
    refresh(address, &session.token).unwrap().expect(401);
}
