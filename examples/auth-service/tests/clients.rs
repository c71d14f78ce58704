//! Client applications: each way to call, each refusal by its code and its record.
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

use std::net::SocketAddr;
use std::time::Duration;

use http::Request;
use machine::{Held, bytes, here};
use portcullis::core::{Clock, Secret, SystemClock, Timestamp};
use portcullis::hmac_signing::{CanonicalLines, Scheme, TimestampBody, V1};
use portcullis::jwt::{AssertionSigner, RsaPrivateKey};
use serde_json::{Value, json};
use support::{Answer, Client, Service, fresh, raw, unlimited};

const FAST: &[&str] = &[
    "--client-limit=1000000",
    "--premium-per-second=100000",
    "--standard-per-second=100000",
];

struct Rig {
    _folder: tempfile::TempDir,
    service: Service,
    admin: String,
    client: Client,
}

/// A service with the client `billing`.
fn rig(flags: &[&'static str]) -> Rig {
    let flags: Vec<&'static str> = flags.iter().chain(FAST).copied().collect();
    let (folder, service, admin) = fresh(&unlimited(&flags));
    let client = Client(service.address);
    client.register(&admin, "billing", "premium");
    Rig {
        _folder: folder,
        service,
        admin,
        client,
    }
}

impl Rig {
    fn address(&self) -> SocketAddr {
        self.service.address
    }

    fn signing(&self, form: &str) -> Held {
        self.client
            .make_signing_secret(&self.admin, "billing", form)
    }

    fn public_key(&self, client: &str, issuer: &str, pem: &str) -> Answer {
        let key = json!({"kind": "public_key", "label": "tests", "issuer": issuer, "pem": pem});
        let path = format!("/v1/clients/{client}/keys");
        self.client.post(&path, Some(&self.admin), &key)
    }

    fn sent<S: Scheme>(&self, held: &Held, scheme: S, path: &str) -> Answer {
        let request = held.signed(scheme, self.address(), path, "{}", SystemClock.now());
        raw(self.address(), &request).unwrap()
    }

    /// The newest record of a refused client.
    fn last_refusal(&self) -> Value {
        let path = "/v1/audit?action=client_refused&limit=1";
        let found = self.client.get(path, Some(&self.admin)).expect(200).json();
        found["records"][0].clone()
    }

    /// It was refused with that code, and the log says why, of whom, and from where.
    fn refused(
        &self,
        answer: Answer,
        (status, code): (u16, &str),
        reason: &str,
        client: Option<&str>,
    ) {
        let answer = answer.expect(status);
        assert_eq!(answer.code(), code, "{reason}");
        let record = self.last_refusal();
        assert_eq!(
            record["request_id"],
            answer.header("x-request-id").unwrap(),
            "{reason}"
        );
        assert_eq!(record["reason"], reason);
        assert_eq!(record["client_system"].as_str(), client, "{reason}");
        assert_eq!(record["ip_address"], "127.0.0.1");
    }
}

const UNAUTHORIZED: (u16, &str) = (401, "401_UNAUTHORIZED");
const FORBIDDEN: (u16, &str) = (403, "403_FORBIDDEN");

fn v1() -> V1 {
    V1::new("auth-service").unwrap()
}

fn lines(address: SocketAddr) -> CanonicalLines {
    CanonicalLines::new(&format!("http://{address}")).unwrap()
}

/// A key that openssl made for tests, and nothing else.
fn private_key(name: &str) -> RsaPrivateKey {
    let place = format!(
        "{}/../../crates/jwt/tests/keys/{name}.pkcs8.pem",
        env!("CARGO_MANIFEST_DIR")
    );
    RsaPrivateKey::from_pem(Secret::from(std::fs::read(place).unwrap())).unwrap()
}

fn assertion(name: &str, issuer: &str, at: Timestamp) -> String {
    let life = Duration::from_secs(3600);
    let signer = AssertionSigner::new(private_key(name), issuer, life).unwrap();
    signer.sign(at).unwrap()
}

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
fn clients_are_managed_by_administrators_who_show_a_code_alone() {
    let (folder, service, _) = fresh(&unlimited(FAST));
    let client = Client(service.address);
    // By a recovery code: an administrator without a code of the authenticator in this session.
    let admin = client.admin_again(&folder).expect(200).text("access_token");
    client.get("/v1/clients", Some(&admin)).expect(200);
    let new = json!({"client": "billing", "tier": "standard", "networks": here()});
    for (method, path, body) in [
        ("POST", "/v1/clients", new.clone()),
        (
            "PUT",
            "/v1/clients/billing/networks",
            json!({"networks": []}),
        ),
        (
            "PUT",
            "/v1/clients/billing/tier",
            json!({"tier": "premium"}),
        ),
        ("POST", "/v1/clients/billing/disable", json!({})),
        ("POST", "/v1/clients/billing/enable", json!({})),
        (
            "POST",
            "/v1/clients/billing/keys",
            json!({"kind": "api_key", "label": "a"}),
        ),
        (
            "POST",
            "/v1/clients/billing/revoke-unused",
            json!({"days": 30}),
        ),
        ("POST", "/v1/clients/billing/keys/a/rotate", json!({})),
        ("POST", "/v1/clients/billing/keys/a/end-grace", json!({})),
        ("DELETE", "/v1/clients/billing/keys/a", json!({})),
    ] {
        let call = |token| support::request(client.0, method, path, token, Some(&body)).unwrap();
        let refused = call(Some(admin.as_str())).expect(401);
        let challenge = refused.header("www-authenticate").unwrap();
        assert!(
            challenge.contains("insufficient_user_authentication"),
            "{path}: {challenge}"
        );
        call(None).expect(401);
    }
    client.get("/v1/clients", None).expect(401);
}

#[test]
fn a_client_is_limited_by_its_tier_for_each_endpoint_and_no_other_pays_for_it() {
    let flags = ["--client-limit=1000000", "--premium-per-second=1000"];
    let (_folder, service, admin) = fresh(&unlimited(&flags));
    let client = Client(service.address);
    let mut tokens = Vec::new();
    for (name, tier) in [
        ("slow", "standard"),
        ("calm", "standard"),
        ("fast", "premium"),
    ] {
        client.register(&admin, name, tier);
        let held = client.make_api_key(&admin, name);
        tokens.push(
            client
                .token_for(&held.secret)
                .expect(200)
                .text("access_token"),
        );
    }
    let me = |token: &String| client.get("/v1/client/me", Some(token));
    me(&tokens[0]).expect(200);
    let limited = (0..20)
        .map(|_| me(&tokens[0]))
        .find(|answer| answer.status == 429);
    let limited = limited.expect("a standard client calls once a second");
    assert_eq!(limited.code(), "429_RATE_LIMITED");
    assert_eq!(limited.header("retry-after"), Some("1"));
    assert!(limited.header("ratelimit").unwrap().contains("standard"));
    // Not the other client of the tier, nor another endpoint, nor the other tier.
    me(&tokens[1]).expect(200);
    client
        .post("/v1/client/echo", Some(&tokens[0]), &json!({}))
        .expect(200);
    for _ in 0..20 {
        me(&tokens[2]).expect(200);
    }
    // Who is refused before the proof uses up nothing of the client's.
    let refused = client.get("/v1/client/me", Some(&format!("{}x", tokens[1])));
    refused.expect(401);
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

/// Whoever knows a key's id alone learns nothing of how it stands: not by bytes, and not by when the
/// answer comes.
#[test]
fn a_revoked_key_is_to_strangers_one_that_is_not_there() {
    let rig = rig(&[]);
    let held = rig.signing("v1");
    rig.client.revoke(&rig.admin, "billing", &held.id);
    let text = String::from_utf8(held.v1(rig.address(), "{}")).unwrap();
    let forged = text.replacen("x-signature: v1=", "x-signature: v1=0", 1);
    let (start, end) = forged.split_once("v1=0").unwrap();
    let forged = format!("{start}v1=0{}", end.replacen(&end[63..64], "", 1));
    let unknown = forged.replacen("x-key-id: sk-", "x-key-id: sk-a", 1);
    let send = |text: &str| raw(rig.address(), text.as_bytes()).unwrap().expect(401);
    assert_eq!(send(&forged).body, send(&unknown).body);
    // Neither is answered before the body is there.
    for text in [&forged, &unknown] {
        let head = text.split_once("\r\n\r\n").unwrap().0;
        let mut open =
            support::send(rig.address(), format!("{head}\r\n\r\n{{").as_bytes()).unwrap();
        open.set_read_timeout(Some(Duration::from_millis(500)))
            .unwrap();
        assert!(
            support::answer(&mut open).is_err(),
            "answered before the body came"
        );
    }
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

#[test]
fn every_refusal_of_a_request_that_names_a_key_is_recorded() {
    let rig = rig(&[]);
    let held = rig.signing("v1");
    // A body whose length is not said beforehand: it is refused as it is read.
    let large = "a".repeat(20_000);
    let request = String::from_utf8(held.v1(rig.address(), &large)).unwrap();
    let request = request.replacen("content-length: 20000", "transfer-encoding: chunked", 1);
    let chunked = request.replacen(&large, &format!("4e20\r\n{large}\r\n0\r\n\r\n"), 1);
    let answer = raw(rig.address(), chunked.as_bytes()).unwrap();
    let large = answer.header("x-request-id").unwrap().to_owned();
    assert_eq!(answer.status, 413, "{answer:?}");
    let api_key = rig.client.make_api_key(&rig.admin, "billing");
    let token = rig
        .client
        .token_for(&api_key.secret)
        .expect(200)
        .text("access_token");
    rig.client.revoke(&rig.admin, "billing", &api_key.id);
    rig.client.get("/v1/client/me", Some(&token)).expect(401);
    let found = rig
        .client
        .get("/v1/audit?action=client_refused", Some(&rig.admin));
    let found = found.expect(200).json();
    let records = found["records"].as_array().unwrap();
    let of = |reason: &str| {
        records
            .iter()
            .find(|record| record["reason"] == reason)
            .unwrap()
    };
    assert_eq!(of("key_revoked")["target"], api_key.id);
    assert_eq!(of("body_too_large")["request_id"], large);
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
