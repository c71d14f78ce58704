//! Keys: what is taken, how they are listed, when they end.

use serde_json::json;

use crate::machine::Held;
use crate::{private_key, rig};

#[test]
fn a_public_key_that_is_none_or_is_private_is_refused_and_not_kept() {
    let rig = rig(&[]);
    let place = format!(
        "{}/../../crates/jwt/tests/keys/alice.pkcs8.pem",
        env!("CARGO_MANIFEST_DIR")
    );
    let private = std::fs::read_to_string(place).unwrap();
    for pem in ["", "a key", &private] {
        let refused = rig
            .public_key("billing", "billing@example.org", pem)
            .expect(400);
        assert!(!refused.body.contains("MII"), "{refused:?}");
    }
    for issuer in ["", "billing", "a b@example.org", "a/../b@example.org"] {
        let pem = private_key("alice").public().to_spki_pem();
        rig.public_key("billing", issuer, &pem).expect(400);
    }
    let keys = rig
        .client
        .get("/v1/clients/billing", Some(&rig.admin))
        .expect(200);
    assert_eq!(keys.json()["keys"], json!([]));
}

#[test]
fn keys_are_listed_with_age_and_end_and_a_holder_is_warned() {
    let rig = rig(&["--key-max-age-days=10"]);
    let (client, admin) = (rig.client, rig.admin.as_str());
    let used = client.make_api_key(admin, "billing");
    let unused = client.make_api_key(admin, "billing");
    let warned = client.token_for(&used.secret).expect(200);
    assert!(warned.text("warning").contains("rotate"), "{warned:?}");
    let listed = client
        .get("/v1/clients/billing", Some(admin))
        .expect(200)
        .json();
    for key in listed["keys"].as_array().unwrap() {
        assert_eq!(
            key["state"], "rotate_soon",
            "ten days are fewer than the warning's fourteen"
        );
        assert_eq!(key["age_days"], 0);
        assert_eq!(
            key["last_used_at"].is_string(),
            key["id"] == used.id.as_str()
        );
        assert!(key.get("secret").is_none());
    }
    let path = "/v1/clients/billing/revoke-unused";
    let revoke = |days| client.post(path, Some(admin), &json!({"days": days}));
    // Both were made today; what is older is the crate's own tests' matter.
    assert_eq!(revoke(1).expect(200).json()["revoked"], json!([]));
    revoke(0).expect(400);
    client.token_for(&unused.secret).expect(200);
}

/// A key's list has room for twenty: what counts no more goes, what counts stays.
#[test]
fn a_full_list_has_room_again_once_a_revoked_key_is_forgotten() {
    let rig = rig(&[]);
    let (client, admin) = (rig.client, rig.admin.as_str());
    let api_key = json!({"kind": "api_key", "label": "tests"});
    let signing = json!({"kind": "signing_secret", "label": "tests", "form": "v1"});
    for key in [api_key, signing] {
        let mut last = String::new();
        for _ in 0..20 {
            last = client.make_key(admin, "billing", &key).text("id");
        }
        let more = || client.post("/v1/clients/billing/keys", Some(admin), &key);
        assert_eq!(more().expect(507).code(), "507_FULL");
        let forget = || {
            let path = format!("/v1/clients/billing/keys/{last}/forget");
            client.post(&path, Some(admin), &json!({}))
        };
        assert_eq!(forget().expect(409).code(), "409_CONFLICT");
        client.revoke(admin, "billing", &last);
        forget().expect(204);
        more().expect(201);
    }
    // An issuer may go to another client then, and to none before.
    client.register(admin, "orders", "premium");
    let pem = private_key("alice").public().to_spki_pem();
    let issuer = "moved@example.org";
    rig.public_key("billing", issuer, &pem).expect(201);
    client.revoke(admin, "billing", issuer);
    rig.public_key("billing", issuer, &pem).expect(409);
    rig.public_key("orders", issuer, &pem).expect(409);
    let path = format!("/v1/clients/billing/keys/{issuer}/forget");
    client.post(&path, Some(admin), &json!({})).expect(204);
    rig.public_key("orders", issuer, &pem).expect(201);
}

/// What kills in the midst of twenty acts leave: ids on a list, and nothing under them.
#[test]
fn ids_that_an_unfinished_act_left_on_a_list_are_forgotten_and_keep_nobodys_place() {
    let rig = rig(&[]);
    let (client, admin) = (rig.client, rig.admin.as_str());
    let left = |at: u32| format!("left-{at}@example.org");
    rig.list_issuers((0..20).map(left).collect());
    let forget = |issuer: &str| {
        let path = format!("/v1/clients/billing/keys/{issuer}/forget");
        client.post(&path, Some(admin), &json!({}))
    };
    forget(&left(0)).expect(204);
    forget(&left(0)).expect(404);
    let pem = private_key("alice").public().to_spki_pem();
    for at in 100..120 {
        rig.public_key("billing", &left(at), &pem).expect(201);
    }
    let more = rig.public_key("billing", &left(120), &pem).expect(507);
    assert_eq!(more.code(), "507_FULL");
    let billing = client.get("/v1/clients/billing", Some(admin)).expect(200);
    let keys = billing.json()["active_keys"].as_array().unwrap().len();
    assert_eq!(keys, 20);
    // What was refused for want of room is free for the next.
    client.revoke(admin, "billing", &left(100));
    forget(&left(100)).expect(204);
    rig.public_key("billing", &left(120), &pem).expect(201);
}

#[test]
fn a_token_ends_with_the_secret_that_it_was_given_for() {
    let rig = rig(&[]);
    let (client, admin) = (rig.client, rig.admin.as_str());
    let held = client.make_api_key(admin, "billing");
    let old = client
        .token_for(&held.secret)
        .expect(200)
        .text("access_token");
    let rotated = Held::of(&client.rotate(admin, "billing", &held.id).expect(200));
    let new = client
        .token_for(&rotated.secret)
        .expect(200)
        .text("access_token");
    let me = |token: &str| client.get("/v1/client/me", Some(token));
    me(&old).expect(200);
    me(&new).expect(200);
    let path = format!("/v1/clients/billing/keys/{}/end-grace", held.id);
    client.post(&path, Some(admin), &json!({})).expect(204);
    me(&old).expect(401);
    me(&new).expect(200);
    // There is no other grace to end.
    client.post(&path, Some(admin), &json!({})).expect(409);
}
