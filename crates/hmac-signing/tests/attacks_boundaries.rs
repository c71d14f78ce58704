//! Bytes that were signed in one field and are sent in the one beside it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod common;

use common::*;
use http::Method;
use portcullis_core::Timestamp;
use portcullis_hmac_signing::{Error, V1};

/// So soon after the epoch a timestamp of one digit and one of two are both in time: a digit can move.
const EARLY: Timestamp = Timestamp::from_unix_secs(1);
const SOON: Timestamp = Timestamp::from_unix_secs(20);

/// One request that was signed, and another made of the same bytes in the same order.
struct Move {
    what: &'static str,
    signed: Sent,
    moved: Sent,
    now: Timestamp,
}

impl Move {
    fn of(
        what: &'static str,
        signed: Sent,
        now: Timestamp,
        change: impl FnOnce(&mut Sent),
    ) -> Self {
        let mut moved = signed.clone();
        change(&mut moved);
        Self {
            what,
            signed,
            moved,
            now,
        }
    }
}

/// Put together without anything between two fields, the one request would be the other: its signature
/// would be good. Which of them are taken for the other all the same?
fn taken(scheme: &Any, moves: &[Move]) -> Vec<&'static str> {
    let mut taken = Vec::new();
    for Move {
        what,
        signed,
        moved,
        now,
    } in moves
    {
        assert_eq!(scheme.check_at(signed, *now).err(), None, "{what}");
        match scheme.check_at(moved, *now) {
            Ok(_) => taken.push(*what),
            Err(refused) => assert_eq!(refused, Error::Signature, "{what}"),
        }
    }
    taken
}

fn to(target: &str) -> impl FnOnce(&mut Sent) {
    move |sent| *sent.uri_mut() = target.parse().unwrap()
}

fn method(name: &str) -> impl FnOnce(&mut Sent) {
    move |sent| *sent.method_mut() = Method::from_bytes(name.as_bytes()).unwrap()
}

/// The other boundaries are none: a host ends at the path's slash and a path at the question mark, which
/// is signed, and of a digest that ends elsewhere nobody knows a body.
#[test]
fn bytes_moved_across_a_fields_boundary_make_another_signature() {
    let v1 = any_v1();
    let signed = |target| v1.signed(request("POST", target, b"{}"));
    let digits_first = |sent| v1.signed_with(sent, &key(1), [0xe7; 16], EARLY);
    let early = digits_first(request("POST", "/a", b"{}"));
    let nonce = get(&early, "x-nonce");
    assert!(nonce.starts_with("5"));
    let moves = [
        Move::of("method | host", signed("/a"), NOW, |sent| {
            method("POSTa")(sent);
            set(sent, "host", b"pi.example.com");
        }),
        Move::of("query | content type", signed("/a?b"), NOW, |sent| {
            to("/a?bapplication/")(sent);
            set(sent, "content-type", b"json");
        }),
        Move::of("query | no content type", signed("/a?b"), NOW, |sent| {
            to("/a?bapplication/json")(sent);
            sent.headers_mut().remove("content-type");
        }),
        Move::of("path | no content type", signed("/a"), NOW, |sent| {
            to("/aapplication/json")(sent);
            sent.headers_mut().remove("content-type");
        }),
        Move::of("timestamp | nonce", early.clone(), SOON, |sent| {
            set(sent, "x-timestamp", b"15");
            set(sent, "x-nonce", &nonce.as_bytes()[1..]);
        }),
        Move::of("nonce | key id", signed("/a"), NOW, |sent| {
            let nonce = get(sent, "x-nonce");
            set(sent, "x-nonce", format!("{nonce}part").as_bytes());
            set(sent, "x-key-id", b"ner-7");
        }),
        Move::of("key id | nonce", signed("/a"), NOW, |sent| {
            let nonce = get(sent, "x-nonce");
            let (nonce, end) = nonce.split_at(nonce.len() - 2);
            set(sent, "x-nonce", nonce.as_bytes());
            set(sent, "x-key-id", format!("{end}partner-7").as_bytes());
        }),
    ];
    assert_eq!(taken(&v1, &moves), [""; 0]);
}

/// The audience is agreed and not sent: what is for `orders` comes to a service that calls itself `order`.
#[test]
fn bytes_moved_from_the_audience_to_the_method_make_another_signature() {
    let order = Any::new("v1", "x-key-id", V1::new("order").unwrap(), policy());
    let mut moved = any_v1().signed(request("POST", "/a", b"{}"));
    method("sPOST")(&mut moved);
    assert_eq!(order.refusal(&moved), Some(Error::Signature));
}

#[test]
fn bytes_moved_between_timestamp_and_body_make_another_signature() {
    let scheme = any_body();
    let signed = scheme.signed_at(request("POST", "/", b"5.x"), EARLY);
    let moves = [Move::of("timestamp | body", signed, SOON, |sent| {
        set(sent, "x-timestamp", b"15");
        *sent.body_mut() = b".x".to_vec();
    })];
    assert_eq!(taken(&scheme, &moves), [""; 0]);
}

#[test]
fn bytes_moved_from_line_to_line_make_another_signature() {
    let scheme = any_lines();
    let at = |target, body, now| scheme.signed_at(request("POST", target, body), now);
    let moves = [
        Move::of("path | query", at("/a?b=c", b"d", NOW), NOW, to("/ab=c")),
        Move::of(
            "part of the path | query",
            at("/a?b=c", b"d", NOW),
            NOW,
            to("/ab?=c"),
        ),
        Move::of("query | body", at("/a?b=c", b"d", NOW), NOW, |sent| {
            to("/a?b=cd")(sent);
            sent.body_mut().clear();
        }),
        Move::of("body | query", at("/a?b=c", b"d", NOW), NOW, |sent| {
            to("/a?b")(sent);
            *sent.body_mut() = b"=cd".to_vec();
        }),
        Move::of("body | timestamp", at("/a", b"d1", EARLY), SOON, |sent| {
            set(sent, "x-timestamp", b"11");
            *sent.body_mut() = b"d".to_vec();
        }),
        // A body may hold the line feed itself, and what stands beside it.
        Move::of(
            "an empty query left out",
            at("/a?b=c", b"d\n1", NOW),
            NOW,
            |sent| {
                to("/a")(sent);
                *sent.body_mut() = b"b=c\nd\n1".to_vec();
            },
        ),
        Move::of("a line fewer", at("/a?b=c", b"d\n1", NOW), NOW, |sent| {
            *sent.body_mut() = b"d".to_vec();
        }),
        Move::of(
            "a timestamp more",
            at("/a?b=c", b"d\n1", NOW),
            NOW,
            |sent| {
                *sent.body_mut() = b"d\n1\n1700000000".to_vec();
            },
        ),
    ];
    assert_eq!(taken(&scheme, &moves), [""; 0]);
}

/// Other splits of one target, and what a length and its colon would look like in a content.
#[test]
fn a_target_split_elsewhere_is_another_request() {
    let v1 = any_v1();
    for (one, other) in [
        ("/a?bc", "/ab?c"),
        ("/a?", "/a"),
        ("/1:a?b", "/1?:ab"),
        ("/a%0A1:?b", "/a?%0A1:b"),
    ] {
        let signed = v1.signed(request("GET", one, b""));
        assert_eq!(v1.refusal(&signed), None);
        let mut moved = signed.clone();
        to(other)(&mut moved);
        let refused = v1.refusal(&moved);
        assert_eq!(refused, Some(Error::Signature), "{one} as {other}");
    }
}
