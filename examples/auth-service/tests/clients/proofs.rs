//! What proves a client: signatures, its own tokens, keys; each opens its own door.

use std::time::Duration;

use http::Request;
use portcullis::core::{Clock, SystemClock};
use portcullis::hmac_signing::{TimestampBody, V1};
use serde_json::json;

use crate::machine::{Held, bytes};
use crate::support::{Answer, raw};
use crate::{FORBIDDEN, UNAUTHORIZED, assertion, lines, private_key, rig, v1};

#[test]
fn each_way_to_prove_a_client_opens_its_own_door() {
    let rig = rig(&[]);
    let (address, client) = (rig.address(), rig.client);
    let api_key = client.make_api_key(&rig.admin, "billing");
    let token = client.token_for(&api_key.secret).expect(200);
    assert_eq!(token.json()["expires_in"], 3600);
    assert_eq!(token.json()["scope"], "echo");
    let token = token.text("access_token");
    let me = client.get("/v1/client/me", Some(&token)).expect(200).json();
    assert_eq!(
        (&me["client"], &me["proof"]),
        (&json!("billing"), &json!("api_key"))
    );

    let pem = private_key("alice").public().to_spki_pem();
    rig.public_key("billing", "billing@example.org", &pem)
        .expect(201);
    let signed = assertion("alice", "billing@example.org", SystemClock.now());
    for _ in 0..3 {
        let me = client
            .get("/v1/client/me", Some(&signed))
            .expect(200)
            .json();
        assert_eq!(
            (&me["client"], &me["proof"]),
            (&json!("billing"), &json!("public_key"))
        );
    }

    let (whole, webhook, listed) = (
        rig.signing("v1"),
        rig.signing("timestamp_body"),
        rig.signing("canonical_lines"),
    );
    let echoed = rig.sent(&whole, v1(), "/v1/signed/echo").expect(200).json();
    assert_eq!(
        (&echoed["client"], &echoed["bytes"]),
        (&json!("billing"), &json!(2))
    );
    rig.sent(&webhook, TimestampBody::named_by_header(), "/v1/webhook")
        .expect(200);
    rig.sent(&listed, lines(address), "/v1/lines/echo?b=2&a=1")
        .expect(200);
    // A person's doors stay closed to it, and a client's to a person.
    for token in [&token, &signed] {
        client.get("/v1/me", Some(token)).expect(401);
        client.get("/v1/clients", Some(token)).expect(401);
    }
    client.get("/v1/client/me", Some(&rig.admin)).expect(401);
}

#[test]
fn a_signed_request_is_refused_by_name() {
    let rig = rig(&[]);
    let held = rig.signing("v1");
    let billing = Some("billing");
    let good = held.v1(rig.address(), r#"{"amount":100}"#);
    let send = |bytes: &[u8]| raw(rig.address(), bytes).unwrap();
    let edited = |from: &str, to: &str| {
        let text = String::from_utf8(held.v1(rig.address(), r#"{"amount":100}"#)).unwrap();
        assert!(text.contains(from), "{from}");
        send(text.replacen(from, to, 1).as_bytes())
    };
    send(&good).expect(200);
    let replayed = (401, "401_SIGNATURE_REPLAYED");
    rig.refused(send(&good), replayed, "signature_replayed", billing);
    for (from, to) in [
        ("100", "999"),
        ("POST /v1/signed/echo", "POST /v1/signed/echo?a=1"),
        ("application/json", "text/json"),
        ("x-nonce: ", "x-nonce: 0"),
    ] {
        rig.refused(edited(from, to), UNAUTHORIZED, "signature_invalid", billing);
    }
    let malformed = edited("x-signature: v1=", "x-signature: v2=");
    rig.refused(malformed, UNAUTHORIZED, "signature_malformed", None);
    let unknown = edited("x-key-id: sk-", "x-key-id: sk-a");
    rig.refused(unknown, UNAUTHORIZED, "key_unknown", None);
    let untimely = (401, "401_SIGNATURE_UNTIMELY");
    let now = SystemClock.now();
    let at = |at| send(&held.signed(v1(), rig.address(), "/v1/signed/echo", "{}", at));
    let old = now.saturating_sub(Duration::from_secs(302));
    rig.refused(at(old), untimely, "signature_expired", None);
    let ahead = now.saturating_add(Duration::from_secs(30));
    rig.refused(at(ahead), untimely, "signature_not_yet_valid", None);
    // For another service, though under the same key.
    let elsewhere = V1::new("orders").unwrap();
    let other = rig.sent(&held, elsewhere, "/v1/signed/echo");
    rig.refused(other, UNAUTHORIZED, "signature_invalid", billing);
    // A key signs the form it was made for, and no weaker one.
    let webhook = rig.sent(&held, TimestampBody::named_by_header(), "/v1/webhook");
    rig.refused(webhook, UNAUTHORIZED, "key_unknown", None);
    let lines = rig.sent(&held, lines(rig.address()), "/v1/lines/echo");
    rig.refused(lines, UNAUTHORIZED, "key_unknown", None);

    rig.client.revoke(&rig.admin, "billing", &held.id);
    let revoked = rig.sent(&held, v1(), "/v1/signed/echo");
    rig.refused(revoked, UNAUTHORIZED, "key_revoked", billing);
}

#[test]
fn a_clients_own_token_is_refused_by_name() {
    let rig = rig(&[]);
    let client = rig.client;
    client.register(&rig.admin, "orders", "premium");
    let public = |name| private_key(name).public().to_spki_pem();
    rig.public_key("billing", "billing@example.org", &public("alice"))
        .expect(201);
    rig.public_key("orders", "orders@example.org", &public("mallory"))
        .expect(201);
    let call = |token: &str| client.get("/v1/client/me", Some(token));
    let now = SystemClock.now();
    let ago = |secs| now.saturating_sub(Duration::from_secs(secs));
    let token_refused = |answer: Answer, code: &str, reason: &str| {
        let answer = answer.expect(401);
        assert_eq!(answer.code(), code, "{reason}");
        let path = "/v1/audit?action=token_refused&limit=1";
        let found = client.get(path, Some(&rig.admin)).expect(200).json();
        assert_eq!(found["records"][0]["reason"], reason);
    };
    // The other client's key, under the other client's name and one's own.
    let theirs = call(&assertion("mallory", "billing@example.org", now));
    token_refused(theirs, "401_UNAUTHORIZED", "token_invalid");
    call(&assertion("mallory", "orders@example.org", now)).expect(200);
    let old = call(&assertion("alice", "billing@example.org", ago(3700)));
    token_refused(old, "408_TOKEN_EXPIRED", "token_expired");
    // An issuer is one client's, also of one that would like to have it.
    let taken = rig.public_key("orders", "billing@example.org", &public("mallory"));
    assert_eq!(taken.expect(409).code(), "409_CONFLICT");
    let keys = client
        .get("/v1/clients/orders", Some(&rig.admin))
        .expect(200)
        .json();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);

    // Rotation: both keys count, until the grace is ended.
    let path = "/v1/clients/billing/keys/billing@example.org";
    let rotation = json!({"pem": public("mallory")});
    client
        .post(&format!("{path}/rotate"), Some(&rig.admin), &rotation)
        .expect(200);
    for name in ["alice", "mallory"] {
        call(&assertion(name, "billing@example.org", now)).expect(200);
    }
    client
        .post(&format!("{path}/end-grace"), Some(&rig.admin), &json!({}))
        .expect(204);
    let before = call(&assertion("alice", "billing@example.org", now));
    token_refused(before, "401_UNAUTHORIZED", "token_invalid");
    // What was replaced does not come back: what was signed under it would count again.
    for name in ["alice", "mallory"] {
        let back = json!({"pem": public(name)});
        client
            .post(&format!("{path}/rotate"), Some(&rig.admin), &back)
            .expect(409);
    }
    client.revoke(&rig.admin, "billing", "billing@example.org");
    let revoked = call(&assertion("mallory", "billing@example.org", now));
    rig.refused(revoked, UNAUTHORIZED, "key_revoked", Some("billing"));
}

#[test]
fn a_key_gives_what_its_scopes_say_and_one_of_the_other_environment_nothing() {
    let rig = rig(&[]);
    let (client, admin) = (rig.client, rig.admin.as_str());
    let key = json!({"kind": "api_key", "label": "tests", "scopes": ["read"]});
    let held = Held::of(&client.make_key(admin, "billing", &key));
    let token = client
        .token_for(&held.secret)
        .expect(200)
        .text("access_token");
    client.get("/v1/client/me", Some(&token)).expect(200);
    let echo = client.post("/v1/client/echo", Some(&token), &json!({}));
    assert!(
        echo.header("www-authenticate")
            .unwrap()
            .contains("insufficient_scope")
    );
    rig.refused(echo, FORBIDDEN, "scope_missing", Some("billing"));

    let trial = self::rig(&["--api-key-environment=test"]);
    let held = trial.client.make_api_key(&trial.admin, "billing");
    assert!(
        held.secret.starts_with("portcullis_test_"),
        "{}",
        held.secret
    );
    trial.client.token_for(&held.secret).expect(200);
    rig.client.token_for(&held.secret).expect(401);
}

#[test]
fn a_request_that_a_browser_or_a_proxy_could_read_in_another_way_is_refused() {
    let rig = rig(&[]);
    let held = rig.signing("v1");
    let address = rig.address();
    let request = |name: &str, value: &str| {
        let mut request = Request::post("/v1/signed/echo")
            .header("host", address.to_string())
            .body("{}".to_owned())
            .unwrap();
        held.signer(v1())
            .sign(&mut request, SystemClock.now())
            .unwrap();
        let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        request.headers_mut().append(name, value.parse().unwrap());
        raw(address, &bytes(&request)).unwrap()
    };
    for (name, value) in [
        ("x-http-method-override", "DELETE"),
        ("content-encoding", "gzip"),
        ("x-timestamp", "1"),
        ("x-key-id", "other"),
        ("x-nonce", "0123456789abcdef"),
    ] {
        rig.refused(
            request(name, value),
            UNAUTHORIZED,
            "signature_malformed",
            None,
        );
    }
}
