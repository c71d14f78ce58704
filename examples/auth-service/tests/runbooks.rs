//! What `docs/incidents.md` and `docs/key-rotation.md` tell people to do, done: the commands are theirs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

#[path = "support/machine.rs"]
mod machine;
#[path = "../../../crates/portcullis/tests/markdown/mod.rs"]
mod markdown;
mod support;
#[path = "support/tools.rs"]
mod tools;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use machine::Held;
use serde_json::json;
use support::{
    ADMIN_PASSWORD, Answer, Client, Factor, Service, UNLIMITED, data, fails_to_start, fresh, raw,
};
use tools::tools;

const PASSWORD: &str = "the phrase of one to whom it happened";
const INCIDENTS: &str = include_str!("../../../docs/incidents.md");
const ROTATION: &str = include_str!("../../../docs/key-rotation.md");

/// A service with a user who has a second factor and a client with two keys.
struct Scene {
    folder: tempfile::TempDir,
    service: Service,
    admin: String,
    alice: Answer,
    authenticator: Factor,
    api_key: Held,
    signing: Held,
}

impl Scene {
    fn set() -> Self {
        let (folder, service, admin) = fresh(UNLIMITED);
        let client = Client(service.address);
        let alice = client.make_user(&admin, "alice", PASSWORD);
        let authenticator = client.enrol(&alice.text("access_token"));
        client.register(&admin, "billing", "premium");
        Self {
            authenticator,
            api_key: client.make_api_key(&admin, "billing"),
            signing: client.make_signing_secret(&admin, "billing", "v1"),
            folder,
            service,
            admin,
            alice,
        }
    }

    fn client(&self) -> Client {
        Client(self.service.address)
    }

    /// Starts the service anew by that command of a runbook.
    fn start_as_told(&mut self, command: &str) {
        assert_eq!(told(INCIDENTS, command), command);
        let (_, flags) = command.split_once(" -- ").unwrap();
        let flags: Vec<&str> = UNLIMITED.iter().copied().chain(flags.split(' ')).collect();
        self.service = Service::start(&data(&self.folder), &flags);
    }

    fn signed(&self, secret: &Held) -> Answer {
        let address = self.service.address;
        raw(address, &secret.v1(address, "{}")).unwrap()
    }
}

/// The one command of a document that is, or has, these words.
fn told(document: &str, words: &str) -> String {
    let commands = markdown::commands(document);
    if commands.iter().any(|told| told == words) {
        return words.to_owned();
    }
    let mut found = commands.into_iter().filter(|told| told.contains(words));
    let first = found.next().expect(words);
    assert_eq!(found.next(), None, "{words}");
    first
}

/// Runs a command of a runbook where the service was started.
fn run(command: &str, folder: &Path) {
    let mut shell = Command::new("sh");
    let status = shell.args(["-c", command]).current_dir(folder).status();
    assert!(status.unwrap().success(), "{command}");
}

#[test]
fn every_call_of_the_runbooks_is_answered_and_does_what_is_said() {
    if !tools(&["curl"]) {
        return;
    }
    let scene = Scene::set();
    let documents = [ROTATION, INCIDENTS];
    let commands = documents.into_iter().flat_map(markdown::commands);
    let calls: Vec<String> = commands.filter(|told| told.starts_with("curl ")).collect();
    assert!(calls.len() >= 9, "{calls:?}");
    for call in calls {
        let call = format!("{call} --silent --output /dev/null --write-out '%{{http_code}}'");
        let mut shell = Command::new("sh");
        let shell = shell.args(["-c", &call]).envs([
            ("URL", &*format!("http://{}", scene.service.address)),
            ("TOKEN", &scene.admin),
            ("CLIENT", "billing"),
            ("KEY", &scene.signing.id),
            ("NAME", "alice"),
        ]);
        let status = String::from_utf8(shell.output().unwrap().stdout).unwrap();
        assert!(matches!(&*status, "200" | "204"), "{call}: {status}");
    }
    let client = scene.client();
    let billing = client.get("/v1/clients/billing", Some(&scene.admin));
    let billing = billing.expect(200).json();
    assert_eq!(billing["enabled"], false, "{billing}");
    let keys = billing["keys"].as_array().unwrap();
    let key = keys.iter().find(|key| key["id"] == scene.signing.id);
    assert_eq!(key.unwrap()["state"], "revoked", "{billing}");
    client.login("alice", PASSWORD).expect(401);
    let access = scene.alice.text("access_token");
    client.get("/v1/me", Some(&access)).expect(401);
}

#[test]
fn a_leaked_root_key_is_replaced_and_what_was_under_it_is_made_anew() {
    if !tools(&["openssl"]) {
        return;
    }
    let mut scene = Scene::set();
    assert!(scene.service.stop().success());
    let place = scene.folder.path().to_path_buf();
    run(&told(INCIDENTS, "> data.key"), &place);
    let wrong = fails_to_start(&scene.folder, &[]);
    assert!(wrong.contains("is not the key"), "{wrong}");
    run(&told(INCIDENTS, "audit.before"), &place);
    scene.start_as_told("cargo run -p auth-service -- --accept-audit-loss --reset-second-factor");

    let client = scene.client();
    let (old, refresh) = (
        scene.alice.text("access_token"),
        scene.alice.text("refresh_token"),
    );
    client.get("/v1/me", Some(&old)).expect(401);
    let again = client.post("/v1/refresh", None, &json!({"refresh_token": refresh}));
    again.expect(401);
    // The administrator enrols anew, and takes away what does not open any more.
    let admin = client.login("admin", ADMIN_PASSWORD).expect(200);
    let admin = admin.text("access_token");
    client.enrol(&admin);
    let challenged = client.login("alice", PASSWORD).expect(401);
    let code = scene.authenticator.code(0);
    client.answer(&challenged, &code).expect(500);
    scene.signed(&scene.signing).expect(500);
    client.token_for(&scene.api_key.secret).expect(200);
    let reset = "/v1/users/alice/second-factor/reset";
    client.post(reset, Some(&admin), &json!({})).expect(204);
    client.login("alice", PASSWORD).expect(200);
    client.revoke(&admin, "billing", &scene.signing.id);
    let new = client.make_signing_secret(&admin, "billing", "v1");
    scene.signed(&new).expect(200);
}

#[test]
fn a_damaged_log_is_named_put_aside_and_begun_anew() {
    let mut scene = Scene::set();
    assert!(scene.service.stop().success());
    let segment = data(&scene.folder).join("audit/audit-00000001.log");
    let mut bytes = fs::read(&segment).unwrap();
    let name = b"alice";
    let at = bytes.windows(name.len()).position(|word| word == name);
    bytes[at.unwrap()] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let named = fails_to_start(&scene.folder, &[]);
    assert!(named.contains("edited"), "{named}");
    run(&told(INCIDENTS, "audit.damaged"), scene.folder.path());
    let other = fails_to_start(&scene.folder, &[]);
    assert!(other.contains("of another log"), "{other}");
    scene.start_as_told("cargo run -p auth-service -- --accept-audit-loss");
    let me = scene.client();
    let access = scene.alice.text("access_token");
    me.get("/v1/me", Some(&access)).expect(200);
}

#[test]
fn a_lost_database_is_not_begun_anew_beside_the_log_of_the_old_one() {
    let mut scene = Scene::set();
    assert!(scene.service.stop().success());
    for file in ["portcullis.db", "portcullis.db-wal", "portcullis.db-shm"] {
        let _ = fs::remove_file(data(&scene.folder).join(file));
    }
    let database = data(&scene.folder).join("portcullis.db");
    for told in [
        "an audit log and no database",
        "the database remembers none of them",
        "the database remembers none of them",
    ] {
        let lost = fails_to_start(&scene.folder, &[]);
        assert!(
            lost.contains(told) && lost.contains("--accept-audit-loss"),
            "{lost}"
        );
        assert!(!lost.contains("one-time password"), "{lost}");
        // As whoever restores it wrongly would leave it.
        fs::File::options()
            .create(true)
            .append(true)
            .open(&database)
            .unwrap();
    }
    fs::remove_file(&database).unwrap();
    scene.start_as_told("cargo run -p auth-service -- --accept-audit-loss");
    let access = scene.alice.text("access_token");
    scene.client().get("/v1/me", Some(&access)).expect(401);
    assert!(scene.service.stop().success());
    // For one start: what is there now is remembered.
    scene.service = Service::start(&data(&scene.folder), UNLIMITED);
}

#[test]
fn a_database_that_is_put_back_after_a_refused_start_has_lost_nothing() {
    let mut scene = Scene::set();
    let client = scene.client();
    client.revoke(&scene.admin, "billing", &scene.api_key.id);
    client.token_for(&scene.api_key.secret).expect(401);
    scene.service.kill();
    let database = data(&scene.folder).join("portcullis.db");
    let away = scene.folder.path().join("portcullis.db.away");
    // What was done last is in the write-ahead log alone.
    let ahead = data(&scene.folder).join("portcullis.db-wal");
    assert!(fs::metadata(&ahead).unwrap().len() > 0);
    fs::rename(&database, &away).unwrap();
    let lost = fails_to_start(&scene.folder, &[]);
    assert!(lost.contains("put the database back"), "{lost}");
    fs::rename(&away, &database).unwrap();
    scene.service = Service::start(&data(&scene.folder), UNLIMITED);
    let client = scene.client();
    client.token_for(&scene.api_key.secret).expect(401);
    scene.signed(&scene.signing).expect(200);
}

#[test]
fn a_checkpoint_that_cannot_be_read_is_a_finding_and_is_left_as_it_is() {
    if !tools(&["sqlite3"]) {
        return;
    }
    let mut scene = Scene::set();
    let spoilt = "UPDATE cell SET value = x'6a756e6b' WHERE scope = (SELECT id FROM scope WHERE name = 'audit-checkpoint')";
    let database = data(&scene.folder).join("portcullis.db");
    let mut sqlite = Command::new("sqlite3");
    let done = sqlite
        .arg(database)
        .args([".timeout 5000", spoilt])
        .status();
    assert!(done.unwrap().success());
    // Each call is a record more, and a second later the service keeps how far the log has come.
    for _ in 0..2 {
        let verify = scene.client().get("/v1/audit/verify", Some(&scene.admin));
        let answer = verify.expect(200);
        assert_eq!(answer.json()["valid"], false, "{}", answer.body);
        assert!(answer.body.contains("cannot be read"), "{}", answer.body);
        thread::sleep(Duration::from_millis(1200));
    }
    assert!(!scene.service.stop().success(), "it tells");
    let refused = fails_to_start(&scene.folder, &[]);
    assert!(refused.contains("cannot be read"), "{refused}");
    scene.start_as_told("cargo run -p auth-service -- --accept-audit-loss");
}

/// The database as the last backup had it.
fn restore(scene: &mut Scene) {
    assert!(scene.service.stop().success());
    for beside in ["portcullis.db-wal", "portcullis.db-shm"] {
        let _ = fs::remove_file(data(&scene.folder).join(beside));
    }
    let backup = scene.folder.path().join("portcullis.backup.db");
    fs::copy(backup, data(&scene.folder).join("portcullis.db")).unwrap();
}

#[test]
fn what_was_taken_since_the_backup_is_not_taken_again_by_a_start_that_was_told_of_it() {
    if !tools(&["sqlite3"]) {
        return;
    }
    let mut scene = Scene::set();
    run(&told(INCIDENTS, "sqlite3 "), scene.folder.path());
    let captured = scene.signing.v1(scene.service.address, "{}");
    raw(scene.service.address, &captured).unwrap().expect(200);
    raw(scene.service.address, &captured).unwrap().expect(401);
    // This is why it has to be told, or twenty minutes to pass: the backup knows nothing of it.
    restore(&mut scene);
    scene.service = Service::start(&data(&scene.folder), UNLIMITED);
    raw(scene.service.address, &captured).unwrap().expect(200);
    restore(&mut scene);
    scene.start_as_told("cargo run -p auth-service -- --database-restored");
    raw(scene.service.address, &captured).unwrap().expect(401);
}

#[test]
fn a_database_made_under_a_clock_that_ran_ahead_is_refused_until_somebody_looked_at_the_clock() {
    if !tools(&["sqlite3"]) {
        return;
    }
    let mut scene = Scene::set();
    assert!(scene.service.stop().success());
    let mut sqlite = Command::new("sqlite3");
    let database = data(&scene.folder).join("portcullis.db");
    let ahead = "UPDATE meta SET value = value + 86400000000000 WHERE name = 'birth'";
    assert!(sqlite.arg(database).arg(ahead).status().unwrap().success());
    let refused = fails_to_start(&scene.folder, &[]);
    assert!(refused.contains("--clock-was-ahead"), "{refused}");
    scene.start_as_told("cargo run -p auth-service -- --clock-was-ahead");
    // What was known before the present beginning could have been used before it.
    scene.signed(&scene.signing).expect(401);
    let signing = scene
        .client()
        .make_signing_secret(&scene.admin, "billing", "v1");
    scene.signed(&signing).expect(200);
    assert!(scene.service.stop().success());
    // For one start: what was said is kept.
    scene.service = Service::start(&data(&scene.folder), UNLIMITED);
    scene.signed(&signing).expect(200);
}

#[test]
fn a_backup_brings_back_what_was_revoked_since_and_ends_the_sessions_that_went_on() {
    if !tools(&["sqlite3"]) {
        return;
    }
    let mut scene = Scene::set();
    run(&told(INCIDENTS, "sqlite3 "), scene.folder.path());
    let client = scene.client();
    let before = json!({"refresh_token": scene.alice.text("refresh_token")});
    let after = client.post("/v1/refresh", None, &before).expect(200);
    client.revoke(&scene.admin, "billing", &scene.api_key.id);
    client.token_for(&scene.api_key.secret).expect(401);
    restore(&mut scene);
    scene.start_as_told("cargo run -p auth-service -- --database-restored");
    let client = scene.client();
    // This is why the runbook says: revoke again.
    client.token_for(&scene.api_key.secret).expect(200);
    let newer = json!({"refresh_token": after.text("refresh_token")});
    client.post("/v1/refresh", None, &newer).expect(401);
    client.post("/v1/refresh", None, &before).expect(401);
}
