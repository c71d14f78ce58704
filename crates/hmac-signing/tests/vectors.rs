//! Signatures that two other programs reckoned: Python's `hmac`, and
//! `openssl dgst -sha256 -mac HMAC -macopt hexkey:…` over the bytes that stand beside.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::*;
use portcullis_hmac_signing::v1;

/// The signed bytes up to the body's digest, that digest, the rest, and the MAC under the bytes 1 to 32.
const V1: &[(&str, &str)] = &[
    (
        "portcullis-hmac-v1\n6:orders\n4:POST\n15:api.example.com\n10:/v1/orders\n7:?page=2\n\
         16:application/json\n\
         64:14cf0557b7cbeb6c2d0cb30c6a20eb60ca1f6b0e6d08d58fe538589c5891137f\n10:1700000000\n\
         22:YSBub25jZSBvZiBvdXJzIQ\n9:partner-7\n",
        "0a889bfccf19439668d051672da3d86b653b26e65a4e7cf53faeafa8394844b2",
    ),
    (
        "portcullis-hmac-v1\n6:orders\n3:GET\n14:localhost:8080\n1:/\n0:\n0:\n\
         64:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n10:1700000000\n\
         16:0123456789abcdef\n1:a\n",
        "d3439946d3c35196814591961c9d5df8001c4daf36f1e95f1eba5f1c6b59751c",
    ),
];
/// Of `1700000000.{"item":7}`.
const TIMESTAMP_BODY: &str = "28cbcb2efc1023d11bd41d519d63cc712a553607e49761c795e38dbda88c0d1c";
/// Of `POST\nhttps://api.example.com/v1/orders\na=1&a=2&b=3\n{"item":7}\n1700000000`.
const CANONICAL_LINES: &str = "52bc7c6c8a57dac89ac1f68360eb9e0e2a6afe44bc81b42b99a5bca149382606";

fn bare() -> Sent {
    let mut get = request("GET", "/", b"");
    set(&mut get, "host", b"LOCALHOST:8080");
    get.headers_mut().remove("content-type");
    get
}

/// The request as v1 received it, from its signed bytes and its MAC.
fn received(mut sent: Sent, (bytes, mac): (&str, &str)) -> Sent {
    let fields = v1::decode(bytes.as_bytes()).unwrap();
    set(&mut sent, "x-signature", format!("v1={mac}").as_bytes());
    set(&mut sent, "x-timestamp", fields.timestamp);
    set(&mut sent, "x-nonce", fields.nonce);
    set(&mut sent, "x-key-id", fields.key_id);
    sent
}

#[test]
fn v1_verifies_what_python_and_openssl_signed() {
    let post = request("POST", "/v1/orders?page=2", br#"{"item":7}"#);
    for (sent, vector) in [(post, V1[0]), (bare(), V1[1])] {
        assert_eq!(any_v1().refusal(&received(sent, vector)), None);
    }
}

#[test]
fn every_scheme_signs_as_python_and_openssl_did() {
    let post = |query: &str| request("POST", &format!("/v1/orders{query}"), br#"{"item":7}"#);
    let signature = |scheme: &Any, sent| get(&scheme.signed(sent), "x-signature");
    assert_eq!(
        signature(&any_v1(), post("?page=2")),
        format!("v1={}", V1[0].1)
    );
    let body = signature(&any_body(), post(""));
    assert_eq!(body, format!("sha256={TIMESTAMP_BODY}"));
    let lines = any_lines();
    for query in ["?a=1&a=2&b=3", "?b=3&a=1&a=2"] {
        assert_eq!(signature(&lines, post(query)), CANONICAL_LINES);
    }
}

#[test]
fn the_page_on_signing_shows_these_very_vectors_and_programs() {
    let page = include_str!("../../../docs/signing.md");
    for part in [
        V1[0].0,
        V1[0].1,
        V1[1].0,
        V1[1].1,
        TIMESTAMP_BODY,
        CANONICAL_LINES,
    ] {
        assert!(page.contains(part), "docs/signing.md lacks {part}");
    }
    for program in [
        include_str!("interop/sign_v1.py"),
        include_str!("interop/sign_v1.php"),
        include_str!("interop/sign_v1.mjs"),
        include_str!("interop/sign_timestamp_body.py"),
        include_str!("interop/sign_timestamp_body.php"),
        include_str!("interop/sign_timestamp_body.mjs"),
    ] {
        assert!(page.contains(program), "docs/signing.md lacks {program}");
        assert!(program.lines().count() <= 25);
    }
}
