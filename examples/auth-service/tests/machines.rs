//! Client applications and several processes: what one process took or revoked, every other one knows.
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

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use machine::Held;
use portcullis::core::{Clock, SystemClock};
use portcullis::hmac_signing::V1;
use serde_json::json;
use support::{Client, Service, data, fresh, raw, unlimited};

const FAST: &[&str] = &[
    "--client-limit=1000000",
    "--premium-per-second=100000",
    "--standard-per-second=100000",
];

/// A second process on the first one's data.
fn second(folder: &tempfile::TempDir) -> Service {
    let mut flags = unlimited(FAST);
    flags.push("--instance=second");
    Service::start(&data(folder), &flags)
}

#[test]
fn of_64_senders_of_one_signed_request_to_two_processes_one_is_answered() {
    let (folder, one, admin) = fresh(&unlimited(FAST));
    let two = second(&folder);
    let client = Client(one.address);
    client.register(&admin, "billing", "premium");
    let held = client.make_signing_secret(&admin, "billing", "v1");
    for round in 0..10 {
        let body = format!("{{\"round\":{round}}}");
        // Signed once, for one authority, and sent to both: as if behind one balancer.
        let request = held.v1(one.address, &body);
        let start = Barrier::new(64);
        let mut answers: BTreeMap<(u16, String), usize> = BTreeMap::new();
        thread::scope(|scope| {
            let senders: Vec<_> = (0..64)
                .map(|sender| {
                    let to = if sender % 2 == 0 {
                        one.address
                    } else {
                        two.address
                    };
                    let (request, start) = (&request, &start);
                    scope.spawn(move || {
                        start.wait();
                        raw(to, request).unwrap()
                    })
                })
                .collect();
            for sender in senders {
                let answer = sender.join().unwrap();
                let code = answer.json()["code"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned();
                *answers.entry((answer.status, code)).or_default() += 1;
            }
        });
        let expected = BTreeMap::from([
            ((200, String::new()), 1),
            ((401, "401_SIGNATURE_REPLAYED".to_owned()), 63),
        ]);
        assert_eq!(answers, expected, "round {round}");
    }
}

#[test]
fn what_one_process_revokes_the_other_refuses_on_the_next_request() {
    let (folder, one, admin) = fresh(&unlimited(FAST));
    let two = second(&folder);
    let (first, other) = (Client(one.address), Client(two.address));
    first.register(&admin, "billing", "premium");
    let api_key = first.make_api_key(&admin, "billing");
    let signing = first.make_signing_secret(&admin, "billing", "v1");
    let token = other
        .token_for(&api_key.secret)
        .expect(200)
        .text("access_token");
    other.get("/v1/client/me", Some(&token)).expect(200);
    let signed = || raw(two.address, &signing.v1(two.address, "{}")).unwrap();
    signed().expect(200);

    first.revoke(&admin, "billing", &api_key.id);
    first.revoke(&admin, "billing", &signing.id);
    other.get("/v1/client/me", Some(&token)).expect(401);
    other.token_for(&api_key.secret).expect(401);
    signed().expect(401);

    let again = first.make_signing_secret(&admin, "billing", "v1");
    let signed = || raw(two.address, &again.v1(two.address, "{}")).unwrap();
    signed().expect(200);
    first
        .post("/v1/clients/billing/disable", Some(&admin), &json!({}))
        .expect(200);
    signed().expect(401);
}

/// A thousand requests under the old and the new key while the key is rotated: none is refused.
#[test]
fn a_rotation_under_load_refuses_no_valid_request() {
    let (folder, one, admin) = fresh(&unlimited(FAST));
    let two = second(&folder);
    let client = Client(one.address);
    client.register(&admin, "billing", "premium");
    let signing = client.make_signing_secret(&admin, "billing", "v1");
    let api_key = client.make_api_key(&admin, "billing");
    let (sent, rotated) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (new_signing, new_api_key) = thread::scope(|scope| {
        for sender in 0..8 {
            let (signing, api_key, sent, rotated) = (&signing, &api_key, &sent, &rotated);
            let to = if sender % 2 == 0 {
                one.address
            } else {
                two.address
            };
            scope.spawn(move || {
                for at in 0..100 {
                    // Under the old key before, during and after.
                    raw(to, &signing.v1(to, &format!("[{sender},{at}]")))
                        .unwrap()
                        .expect(200);
                    if at % 4 == 0 {
                        Client(to).token_for(&api_key.secret).expect(200);
                        sent.fetch_add(1, Ordering::Relaxed);
                    }
                    sent.fetch_add(1, Ordering::Relaxed);
                }
                assert!(
                    rotated.load(Ordering::Relaxed),
                    "all was over before the rotation"
                );
            });
        }
        support::until("the load is on", || sent.load(Ordering::Relaxed) > 100);
        let signing = Held::of(&client.rotate(&admin, "billing", &signing.id).expect(200));
        let api_key = Held::of(&client.rotate(&admin, "billing", &api_key.id).expect(200));
        rotated.store(true, Ordering::Relaxed);
        for at in 0..50 {
            raw(
                two.address,
                &signing.v1(two.address, &format!("[\"new\",{at}]")),
            )
            .unwrap()
            .expect(200);
            Client(two.address).token_for(&api_key.secret).expect(200);
            sent.fetch_add(2, Ordering::Relaxed);
        }
        (signing, api_key)
    });
    assert!(sent.load(Ordering::Relaxed) >= 1000, "{sent:?}");
    // Where the grace is ended, the old ones are refused by both processes and the new ones are not.
    for key in [&new_signing.id, &new_api_key.id] {
        let path = format!("/v1/clients/billing/keys/{key}/end-grace");
        client.post(&path, Some(&admin), &json!({})).expect(204);
    }
    for to in [one.address, two.address] {
        raw(to, &signing.v1(to, "{}")).unwrap().expect(401);
        raw(to, &new_signing.v1(to, "{}")).unwrap().expect(200);
        Client(to).token_for(&api_key.secret).expect(401);
        Client(to).token_for(&new_api_key.secret).expect(200);
    }
}

/// Whoever copies the data folder has nothing to call with: no secret stands in it as text, as the bytes
/// that the text is of, or as what the service answers with.
#[test]
fn a_copy_of_the_data_holds_no_secret_of_a_client() {
    let (folder, mut service, admin) = fresh(&unlimited(FAST));
    let client = Client(service.address);
    client.register(&admin, "billing", "premium");
    let mut secrets = Vec::new();
    for form in ["v1", "timestamp_body", "canonical_lines"] {
        let made = client.make_signing_secret(&admin, "billing", form);
        let rotated = Held::of(&client.rotate(&admin, "billing", &made.id).expect(200));
        secrets.extend([made.secret, rotated.secret]);
    }
    let api_key = client.make_api_key(&admin, "billing");
    let rotated = Held::of(&client.rotate(&admin, "billing", &api_key.id).expect(200));
    let token = client
        .token_for(&rotated.secret)
        .expect(200)
        .text("access_token");
    secrets.extend([api_key.secret, rotated.secret, token]);
    service.stop();

    let mut copy = Vec::new();
    read_all(&data(&folder), &mut copy);
    assert!(holds(&copy, b"billing"), "the copy is not of these clients");
    for secret in &secrets {
        let mut forms = vec![secret.clone().into_bytes()];
        forms.extend(data_encoding::BASE64URL_NOPAD.decode(secret.as_bytes()));
        // An API key's secret part is the fourth: 52 characters of it without the checksum.
        if let Some(part) = secret.rsplit('_').next().filter(|part| part.len() == 59) {
            let (part, _) = part.split_at(52);
            forms.push(part.as_bytes().to_vec());
            let upper = part.to_ascii_uppercase();
            forms.push(
                data_encoding::BASE32_NOPAD
                    .decode(upper.as_bytes())
                    .unwrap(),
            );
        }
        for form in forms {
            assert!(!holds(&copy, &form), "{secret} can be read from the data");
        }
    }
}

#[test]
fn a_second_process_of_the_same_name_is_refused_and_each_keeps_its_own_whole_log() {
    let (folder, one, admin) = fresh(&unlimited(FAST));
    let two = second(&folder);
    let taken = support::fails_to_start(&folder, &["--instance=second"]);
    assert!(taken.contains("--instance"), "{taken}");
    for to in [one.address, two.address] {
        let verified = Client(to).get("/v1/audit/verify", Some(&admin)).expect(200);
        assert_eq!(verified.json()["valid"], true);
    }
    assert!(data(&folder).join("audit-second").is_dir());
    // A request that one process took long ago is still taken for used by a process that starts anew.
    let client = Client(one.address);
    client.register(&admin, "billing", "premium");
    let held = client.make_signing_secret(&admin, "billing", "v1");
    let scheme = V1::new("auth-service").unwrap();
    let request = held.signed(
        scheme,
        one.address,
        "/v1/signed/echo",
        "{}",
        SystemClock.now(),
    );
    raw(one.address, &request).unwrap().expect(200);
    drop(one);
    drop(two);
    let three = Service::start(&data(&folder), &unlimited(FAST));
    let answer = raw(three.address, &request).unwrap().expect(401);
    assert_eq!(answer.code(), "401_SIGNATURE_REPLAYED");
}

fn read_all(folder: &Path, into: &mut Vec<u8>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, into);
        } else {
            into.extend(fs::read(path).unwrap());
        }
    }
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
