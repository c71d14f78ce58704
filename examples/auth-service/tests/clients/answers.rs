//! What a refusal tells strangers, and what it leaves in the log.

use std::time::Duration;

use crate::support::raw;
use crate::{rig, support};

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
