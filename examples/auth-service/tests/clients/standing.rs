//! Who manages clients, and how much a client may call.

use serde_json::json;

use crate::machine::here;
use crate::support::{Client, fresh, unlimited};
use crate::{FAST, support};

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
        ("POST", "/v1/clients/billing/keys/a/forget", json!({})),
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
    // Who is refused before the proof uses up nothing of the client's: as many as its limit took above.
    let echo = |token: &str| client.post("/v1/client/echo", Some(token), &json!({}));
    for _ in 0..20 {
        echo(&format!("{}x", tokens[1])).expect(401);
    }
    echo(&tokens[1]).expect(200);
}
