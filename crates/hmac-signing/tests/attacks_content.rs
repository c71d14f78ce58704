//! Requests that are not what was signed: refused before any store is asked.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod common;

use common::*;
use portcullis_core::Secret;
use portcullis_hmac_signing::{
    CanonicalLines, Component, Error, Policy, SigningKey, TimestampBody, V1, Verifier,
};

#[test]
fn a_body_without_bound_is_refused_by_its_length_and_by_its_bytes() {
    let small = policy().body_limit_bytes(16).unwrap();
    for scheme in [
        Any::new("v1", "x-key-id", v1(), small),
        Any::new(
            "timestamp and body",
            "x-key-id",
            TimestampBody::named_by_header(),
            small,
        ),
        Any::new("canonical lines", "x-api-key", lines(), small),
    ] {
        assert_eq!(
            scheme.refusal(&scheme.signed(request("POST", "/", &[b'x'; 16]))),
            None
        );
        let long = scheme.signed(request("POST", "/", &[b'x'; 17]));
        assert_eq!(scheme.refusal(&long), Some(Error::BodyTooLarge));
        // Told before the body, by what it is said to have.
        let mut said = scheme.signed(request("POST", "/", b""));
        for (length, refusal) in [
            ("17", Error::BodyTooLarge),
            ("9999999999999999999", Error::BodyTooLarge),
            ("+1", Error::Malformed("content-length")),
            ("01", Error::Malformed("content-length")),
            ("99999999999999999999", Error::Malformed("content-length")),
        ] {
            set(&mut said, "content-length", length.as_bytes());
            assert_eq!(scheme.refusal(&said), Some(refusal), "{length}");
        }
    }
}

#[test]
fn a_digest_in_a_header_counts_for_nothing_and_the_bodys_own_is_compared() {
    for scheme in all() {
        let mut signed = scheme.signed(order());
        signed.body_mut()[2] ^= 1;
        assert_eq!(
            scheme.refusal(&signed),
            Some(Error::Signature),
            "{}",
            scheme.name
        );
        for name in [
            "content-digest",
            "digest",
            "x-content-sha256",
            "x-amz-content-sha256",
        ] {
            set(&mut signed, name, b"UNSIGNED-PAYLOAD");
            assert_eq!(scheme.refusal(&signed), Some(Error::Signature), "{name}");
        }
        for body in [
            &b""[..],
            br#"{"item":7} "#,
            br#"{"item":7"#,
            br#"{"item": 7}"#,
        ] {
            *signed.body_mut() = body.to_vec();
            assert_eq!(scheme.refusal(&signed), Some(Error::Signature));
        }
    }
}

#[test]
fn a_path_is_signed_as_it_was_sent_and_no_other_spelling_of_it_passes() {
    let same = [
        "/a/b",
        "/a//b",
        "/a/./b",
        "/a/c/../b",
        "/a/%62",
        "/a/b/",
        "/A/b",
        "/a%2Fb",
        "/a%2fb",
        "//a/b",
        "/a/b;x",
    ];
    for scheme in [any_v1(), any_lines()] {
        for one in same {
            let signed = scheme.signed(request("GET", one, b""));
            assert_eq!(scheme.refusal(&signed), None, "{one}");
            for other in same.iter().filter(|other| **other != one) {
                let mut routed = request("GET", other, b"");
                routed.headers_mut().extend(signed.headers().clone());
                assert!(scheme.refusal(&routed).is_some(), "{one} as {other}");
            }
        }
    }
}

#[tokio::test]
async fn what_was_signed_in_the_query_is_not_taken_from_a_form() {
    for scheme in [any_v1(), any_lines()] {
        let guard = guard();
        let form = request("POST", "/pay?to=alice", b"to=mallory");
        let signed = scheme
            .claim(&scheme.signed(form.clone()), &guard, NOW)
            .await
            .unwrap();
        // Both are covered, and neither stands for the other.
        assert_eq!(signed.query(), Some("?to=alice"));
        assert_eq!(signed.body(), &b"to=mallory"[..]);
        let signed = scheme.signed(form);
        for (target, body) in [
            ("/pay", "to=alice"),
            ("/pay?to=mallory", "to=alice"),
            ("/pay?to=alice&to=mallory", ""),
        ] {
            let mut moved = request("POST", target, body.as_bytes());
            moved.headers_mut().extend(signed.headers().clone());
            assert_eq!(scheme.refusal(&moved), Some(Error::Signature));
        }
    }
}

#[test]
fn parameters_repeated_reordered_or_dropped_are_other_requests() {
    let (v1, lines) = (any_v1(), any_lines());
    let signed =
        |scheme: &Any, query: &str| scheme.signed(request("GET", &format!("/a{query}"), b""));
    let as_sent = |scheme: &Any, signed: &Sent, query: &str| {
        let mut other = request("GET", &format!("/a{query}"), b"");
        other.headers_mut().extend(signed.headers().clone());
        scheme.refusal(&other)
    };
    for scheme in [&v1, &lines] {
        let one = signed(scheme, "?a=1&a=2&b=3");
        for other in [
            "?a=2&a=1&b=3",
            "?a=1&b=3",
            "?a=2&b=3",
            "?a=1&a=2&a=2&b=3",
            "?a=1&a=2&b=3&",
            "?a=1&a=2&b=3&c",
            "?a=1&a=2&b",
            "?a=1,2&b=3",
            "",
        ] {
            assert_eq!(
                as_sent(scheme, &one, other),
                Some(Error::Signature),
                "{other}"
            );
        }
    }
    // In which order different names came, canonical lines leave out, and v1 does not.
    let other = "?b=3&a=1&a=2";
    assert_eq!(
        as_sent(&v1, &signed(&v1, "?a=1&a=2&b=3"), other),
        Some(Error::Signature)
    );
    assert_eq!(
        as_sent(&lines, &signed(&lines, "?a=1&a=2&b=3"), other),
        None
    );
    // A query of nothing would be signed as none.
    let none = signed(&lines, "");
    assert_eq!(as_sent(&lines, &none, "?"), Some(Error::Malformed("query")));
    assert_eq!(
        lines.unsigned(request("GET", "/a?", b"")),
        Some(Error::Request("query"))
    );
}

#[tokio::test]
async fn canonical_lines_give_the_query_in_the_order_that_was_signed() {
    let lines = any_lines();
    let sent = lines.signed(request("GET", "/a?z&b=2&a=9&b=1&a=10&=0", b""));
    let signed = lines.claim(&sent, &guard(), NOW).await.unwrap();
    assert_eq!(signed.query(), Some("?=0&a=9&a=10&b=2&b=1&z"));
}

#[test]
fn a_request_for_another_service_method_or_by_another_key_is_refused() {
    let signed = any_v1().signed(order());
    let refunds = Any::new("v1", "x-key-id", V1::new("refunds").unwrap(), policy());
    assert_eq!(refunds.refusal(&signed), Some(Error::Signature));
    for scheme in [any_v1(), any_lines()] {
        let mut other = scheme.signed(order());
        *other.method_mut() = "PUT".parse().unwrap();
        assert_eq!(scheme.refusal(&other), Some(Error::Signature));
    }
    for scheme in all() {
        let other = scheme.signed_with(order(), &key(2), [0; 16], NOW);
        assert_eq!(scheme.refusal(&other), Some(Error::Signature));
        assert_eq!(
            scheme.check_with(&other, None, [NOW; 2]).err(),
            Some(Error::KeyUnknown)
        );
    }
}

#[test]
fn a_tunnel_and_an_endless_target_are_not_signed_requests() {
    let v1 = any_v1();
    let mut signed = v1.signed(order());
    *signed.uri_mut() = format!("/{}", "a".repeat(16 * 1024)).parse().unwrap();
    assert_eq!(v1.refusal(&signed), Some(Error::Malformed("target")));
    let mut connect = request("CONNECT", "api.example.com:443", b"");
    set(&mut connect, "host", b"api.example.com:443");
    assert_eq!(v1.unsigned(connect), Some(Error::Request("target")));
    let mut odd = v1.signed(order());
    for content_type in [
        &b"text/plain\t"[..],
        "text/plain; x=\"ü\"".as_bytes(),
        &[b'a'; 257],
    ] {
        set(&mut odd, "content-type", content_type);
        assert_eq!(v1.refusal(&odd), Some(Error::Malformed("content-type")));
    }
}

#[test]
fn a_scheme_that_leaves_out_what_the_service_needs_makes_no_verifier() {
    let left_out = [
        Component::Audience,
        Component::Method,
        Component::Authority,
        Component::Path,
        Component::Query,
        Component::ContentType,
        Component::Nonce,
    ];
    for component in left_out {
        let policy = Policy::requiring(&[component]);
        let verifier = Verifier::new(TimestampBody::named_by_header(), policy);
        assert!(
            matches!(verifier.err(), Some(Error::Policy(_))),
            "{component:?}"
        );
    }
    for component in [
        Component::Audience,
        Component::ContentType,
        Component::Nonce,
    ] {
        assert!(Verifier::new(lines(), Policy::requiring(&[Component::Body, component])).is_err());
    }
    assert!(Verifier::new(v1(), Policy::requiring(Component::ALL)).is_ok());
}

#[test]
fn schemes_and_keys_outside_their_bounds_are_refused() {
    for audience in ["", "a\nb", "ä", &"x".repeat(256)] {
        assert!(
            matches!(V1::new(audience), Err(Error::Policy(_))),
            "{audience:?}"
        );
    }
    for origin in [
        "",
        "api.example.com",
        "ftp://api.example.com",
        "https://",
        "https://api.example.com/",
        "https://API.example.com",
        "https://a@b",
        "https://a?b",
        "HTTPS://a",
        "https://a\nb",
    ] {
        let refused = CanonicalLines::new(origin);
        assert!(matches!(refused, Err(Error::Policy(_))), "{origin:?}");
    }
    for secret in [
        vec![],
        vec![1; 32],
        vec![0; 64],
        (0..31).collect(),
        vec![7; 1025],
        [vec![0; 1024], vec![1]].concat(),
    ] {
        assert!(matches!(
            SigningKey::new(Secret::from(secret)),
            Err(Error::Key)
        ));
    }
}

#[test]
fn a_mac_extended_without_the_key_is_refused_where_a_hash_of_key_and_message_is_fooled() {
    let secret: Vec<u8> = (1..=32).collect();
    let (message, suffix) = (b"1700000000.{}".as_slice(), b"&admin=1".as_slice());
    let glue = padding(secret.len() + message.len());
    let extended = [message, &glue, suffix].concat();
    // What a scheme without HMAC would compare.
    let naive = |message: &[u8]| sha256(&[&secret[..], message].concat());
    let forged = extend(naive(message), secret.len() + message.len(), suffix);
    assert_eq!(forged, naive(&extended), "the attack works where it can");

    let body = any_body();
    let signed = body.signed(request("POST", "/", b"{}"));
    let tag = get(&signed, "x-signature")["sha256=".len()..].to_owned();
    let tag = data_encoding::HEXLOWER.decode(tag.as_bytes()).unwrap();
    // Under HMAC the hidden prefix is a block of key: try it as that, and as the key alone.
    for hidden in [64, secret.len()] {
        let glue = padding(hidden + message.len());
        let forged = extend(
            tag.clone().try_into().unwrap(),
            hidden + message.len(),
            suffix,
        );
        let mut sent = signed.clone();
        let digits = data_encoding::HEXLOWER.encode(&forged);
        set(
            &mut sent,
            "x-signature",
            format!("sha256={digits}").as_bytes(),
        );
        *sent.body_mut() = [b"{}", &glue[..], suffix].concat();
        assert_eq!(body.refusal(&sent), Some(Error::Signature));
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).into()
}

/// What SHA-256 puts behind a message of that length (FIPS 180-4 §5.1.1).
fn padding(len: usize) -> Vec<u8> {
    let mut padding = vec![0x80];
    while (len + padding.len()) % 64 != 56 {
        padding.push(0);
    }
    padding.extend((u64::try_from(len).unwrap() * 8).to_be_bytes());
    padding
}

/// Goes on from a digest as if it were the hash's state.
fn extend(digest: [u8; 32], len: usize, suffix: &[u8]) -> [u8; 32] {
    let mut state = [0_u32; 8];
    for (word, bytes) in state.iter_mut().zip(digest.chunks(4)) {
        *word = u32::from_be_bytes(bytes.try_into().unwrap());
    }
    let hashed = len + padding(len).len();
    let mut last = suffix.to_vec();
    last.extend(padding(hashed + suffix.len()));
    for block in last.chunks(64) {
        let block: [u8; 64] = block.try_into().unwrap();
        sha2::block_api::compress256(&mut state, &[block]);
    }
    let mut digest = [0; 32];
    for (bytes, word) in digest.chunks_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    digest
}
