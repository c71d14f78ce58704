//! Where a client may call from.

use portcullis::core::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::machine::here;
use crate::{FORBIDDEN, UNAUTHORIZED, assertion, private_key, rig, v1};

#[test]
fn an_address_that_is_not_registered_is_refused_before_any_key_is_looked_at() {
    let rig = rig(&[]);
    let (client, admin) = (rig.client, rig.admin.as_str());
    let held = rig.signing("v1");
    let api_key = client.make_api_key(admin, "billing");
    let token = client
        .token_for(&api_key.secret)
        .expect(200)
        .text("access_token");
    let pem = private_key("alice").public().to_spki_pem();
    rig.public_key("billing", "billing@example.org", &pem)
        .expect(201);
    let set = |networks: Value| {
        let set = json!({"networks": networks});
        client.put("/v1/clients/billing/networks", admin, &set)
    };
    let signed = |name| assertion(name, "billing@example.org", SystemClock.now());
    // None is nowhere, and never everywhere.
    for networks in [json!([]), json!(["192.0.2.0/24"]), json!(["::/0"])] {
        set(networks).expect(200);
        let (billing, refused) = (Some("billing"), "client_address_refused");
        let answer = rig.sent(&held, v1(), "/v1/signed/echo");
        rig.refused(answer, FORBIDDEN, refused, billing);
        rig.refused(
            client.token_for(&api_key.secret),
            FORBIDDEN,
            refused,
            billing,
        );
        let answer = client.get("/v1/client/me", Some(&token));
        rig.refused(answer, FORBIDDEN, refused, billing);
        // The right key and a stranger's are told apart by nothing.
        for name in ["alice", "mallory"] {
            let answer = client.get("/v1/client/me", Some(&signed(name)));
            rig.refused(answer, FORBIDDEN, refused, billing);
        }
        let mut wrong = api_key.secret.clone();
        wrong.replace_range(40..41, if &wrong[40..41] == "a" { "b" } else { "a" });
        // The checksum is off: told by the text alone.
        rig.refused(
            client.token_for(&wrong),
            UNAUTHORIZED,
            "key_malformed",
            None,
        );
        // Whom nobody registered gets the very same answer.
        let unknown = assertion("alice", "nobody@example.org", SystemClock.now());
        let unknown = client.get("/v1/client/me", Some(&unknown)).expect(403);
        let known = client
            .get("/v1/client/me", Some(&signed("alice")))
            .expect(403);
        assert_eq!(unknown.body, known.body);
    }
    for networks in [
        json!(["127.0.0.1/8"]),
        json!(["all"]),
        json!([""]),
        json!("127.0.0.1"),
    ] {
        set(networks).expect(400);
    }
    set(here()).expect(200);
    rig.sent(&held, v1(), "/v1/signed/echo").expect(200);
}

#[test]
fn an_address_list_is_in_the_log_to_its_last_network() {
    let rig = rig(&[]);
    let networks: Vec<String> = (0..64)
        .map(|net| format!("2001:db8:{net:x}::/48"))
        .collect();
    let set = json!({"networks": networks});
    rig.client
        .put("/v1/clients/billing/networks", &rig.admin, &set)
        .expect(200);
    let path = "/v1/audit?action=address_list_changed&limit=100";
    let log = rig.client.get(path, Some(&rig.admin)).expect(200).body;
    for network in networks {
        assert!(log.contains(&network), "{network}");
    }
}
