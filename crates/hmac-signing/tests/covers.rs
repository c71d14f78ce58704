//! What is handed on is what was covered, and nothing else; and each covered part is covered.
#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod common;

use std::thread;

use bytes::Bytes;
use common::*;
use http::Method;
use http::request::Parts as Head;
use portcullis_hmac_signing::{Error, Scheme, Signer, TimestampBody, Verifier};

#[tokio::test]
async fn v1_gives_every_part_and_the_others_none_that_they_leave_out() {
    let guard = guard();
    let signed = |scheme: Any| {
        let guard = &guard;
        async move {
            let sent = scheme.signed(order());
            scheme.claim(&sent, guard, NOW).await.unwrap()
        }
    };
    let v1 = signed(any_v1()).await;
    assert_eq!(v1.method(), Some(&Method::POST));
    assert_eq!(v1.authority(), Some("api.example.com"));
    assert_eq!(v1.path(), Some("/v1/orders"));
    assert_eq!(v1.query(), Some("?page=2&page=3"));
    assert_eq!(v1.content_type(), Some("application/json"));
    assert_eq!(v1.nonce(), Some("YSBub25jZSBvZiBvdXJzIQ"));
    let text = format!("{v1:?}");
    assert!(text.contains("partner-7") && !text.contains("item") && !text.contains("page"));

    let body = signed(any_body()).await;
    assert_eq!(
        (body.method(), body.authority(), body.path()),
        (None, None, None)
    );
    assert_eq!(
        (body.query(), body.content_type(), body.nonce()),
        (None, None, None)
    );
    assert_eq!(body.body(), &br#"{"item":7}"#[..]);

    let lines = signed(any_lines()).await;
    assert_eq!(lines.path(), Some("/v1/orders"));
    assert_eq!((lines.content_type(), lines.nonce()), (None, None));
}

#[tokio::test]
async fn an_empty_query_is_not_the_same_as_none() {
    let (v1, guard) = (any_v1(), guard());
    for (target, path, query) in [
        ("/", "/", ""),
        ("/?", "/", "?"),
        ("/??", "/", "??"),
        ("/a?b?c", "/a", "?b?c"),
    ] {
        let sent = v1.signed_with(
            request("GET", target, b""),
            &key(1),
            [target.len().try_into().unwrap(); 16],
            NOW,
        );
        let signed = v1.claim(&sent, &guard, NOW).await.unwrap();
        assert_eq!((signed.path(), signed.query()), (Some(path), Some(query)));
    }
}

/// A request's parts, before they are put together.
#[derive(Clone, PartialEq)]
struct Parts {
    method: &'static str,
    host: String,
    path: String,
    query: String,
    content_type: String,
    body: Vec<u8>,
}

impl Parts {
    fn drawn(numbers: &mut Numbers) -> Self {
        let mut text = |from: &[&str], most: usize| {
            let pieces = numbers.below(most + 1);
            let pieces = (0..pieces).map(|_| from[numbers.below(from.len())]);
            pieces.collect::<String>()
        };
        Self {
            method: ["GET", "POST", "PUT", "DELETE"][text(&["x"], 3).len()],
            host: format!("{}example.com", text(&["a.", "b.", "1."], 3)),
            path: format!("/{}", text(PIECES, 4)),
            query: text(&["a=1", "&", "b", "=", "%20", "a=2", "?"], 5),
            content_type: text(&["text/", "plain", "; ", "a=b"], 3),
            body: text(&["\n", ".", "1700000000", "{}", ":", "é", "\0"], 5).into_bytes(),
        }
    }

    fn request(&self) -> Sent {
        let target = if self.query.is_empty() {
            self.path.clone()
        } else {
            format!("{}?{}", self.path, self.query)
        };
        let mut request = request(self.method, &target, &self.body);
        set(&mut request, "host", self.host.as_bytes());
        set(&mut request, "content-type", self.content_type.as_bytes());
        request
    }
}

const PIECES: &[&str] = &["a", "/", "..", "%2F", "b:c", "1", ";"];

/// A signed request, its head and its body.
#[derive(Clone)]
struct Received {
    head: Head,
    body: Bytes,
}

impl Received {
    fn header(&mut self, name: &'static str, change: impl Fn(&str) -> String) {
        let value = self.head.headers.get_mut(name).unwrap();
        let changed = change(value.to_str().unwrap());
        *value = changed.parse().unwrap();
    }

    fn target(&mut self, change: impl Fn(&str, &str) -> String) {
        let target = self.head.uri.to_string();
        let (path, _) = target.split_once('?').unwrap_or((&target, ""));
        let changed = change(path, &target[path.len()..]);
        self.head.uri = changed.parse().unwrap();
    }
}

/// One change for each part of a request that some scheme covers, and the header it is in.
struct Change {
    part: &'static str,
    header: Option<&'static str>,
    make: fn(&mut Received),
}

const fn change(
    part: &'static str,
    header: Option<&'static str>,
    make: fn(&mut Received),
) -> Change {
    Change { part, header, make }
}

const CHANGES: &[Change] = &[
    change("method", None, |sent| sent.head.method = Method::PATCH),
    change("authority", Some("host"), |sent| {
        sent.header("host", |host| format!("x{host}"));
    }),
    change("path", None, |sent| {
        sent.target(|path, query| format!("{path}x{query}"));
    }),
    change("query", None, |sent| {
        sent.target(|path, query| {
            let mark = if query.is_empty() { "?" } else { "&" };
            format!("{path}{query}{mark}a=0")
        });
    }),
    change("content type", Some("content-type"), |sent| {
        sent.header("content-type", |value| format!("{value};"));
    }),
    change("body", None, |sent| {
        sent.body = [&sent.body, &b"\n"[..]].concat().into();
    }),
    change("timestamp", Some("x-timestamp"), |sent| {
        sent.header("x-timestamp", |_| "1700000001".into());
    }),
    change("nonce", Some("x-nonce"), |sent| {
        sent.header("x-nonce", |nonce| format!("{nonce}A"));
    }),
    change("key id", Some("x-key-id"), |sent| {
        sent.header("x-key-id", |_| "partner-8".into());
    }),
];

/// Signs that many drawn requests, and finds each change of a covered part refused.
fn changed<S: Scheme>(scheme: S, covered: &[&str], host: Option<&str>, seed: u64, requests: usize) {
    let (mut numbers, secrets) = (Numbers(seed), secrets());
    let signer = Signer::new(scheme.clone(), partner(), key(1));
    let verifier = Verifier::new(scheme, policy()).unwrap();
    let refusal = |sent: &Received| {
        let begun = verifier.begin(&sent.head, NOW);
        let verified = begun.and_then(|begun| begun.verify(Some(&secrets), sent.body.clone(), NOW));
        verified.err()
    };
    for number in 0..requests {
        let mut parts = Parts::drawn(&mut numbers);
        parts.host = host.map_or(parts.host, str::to_owned);
        let mut request = parts.request();
        let nonce = u128::try_from(number).unwrap().to_le_bytes();
        signer.sign_with(&mut request, nonce, NOW).unwrap();
        let (head, body) = request.into_parts();
        let signed = Received {
            head,
            body: body.into(),
        };
        assert_eq!(refusal(&signed), None, "{:?}", signed.head.uri);
        let mut sent = signed.clone();
        for change in CHANGES
            .iter()
            .filter(|change| covered.contains(&change.part))
        {
            (change.make)(&mut sent);
            let refused = refusal(&sent);
            let known = matches!(refused, Some(Error::Signature | Error::Authority));
            assert!(
                known,
                "{} of {:?}: {refused:?}",
                change.part, signed.head.uri
            );
            // All but the headers is cheap to put back.
            sent.head.method = signed.head.method.clone();
            sent.head.uri = signed.head.uri.clone();
            sent.body = signed.body.clone();
            if let Some(name) = change.header {
                *sent.head.headers.get_mut(name).unwrap() = signed.head.headers[name].clone();
            }
        }
        assert_eq!(refusal(&sent), None, "put back");
    }
}

const V1: &[&str] = &[
    "method",
    "authority",
    "path",
    "query",
    "content type",
    "body",
    "timestamp",
    "nonce",
    "key id",
];

#[test]
fn each_part_of_10_000_requests_changed_alone_is_refused_by_v1() {
    v1_changed(2_500);
    // The audience is not sent: another service is another verifier.
    let mut numbers = Numbers(9);
    let other = portcullis_hmac_signing::V1::new("orders2").unwrap();
    let other = Any::new("v1", "x-key-id", other, policy());
    for _ in 0..1_000 {
        let signed = any_v1().signed(Parts::drawn(&mut numbers).request());
        assert_eq!(other.refusal(&signed), Some(Error::Signature));
    }
}

#[test]
#[ignore = "takes a minute; .ci/deep runs it"]
fn each_part_of_100_000_requests_changed_alone_is_refused_by_v1() {
    v1_changed(25_000);
}

fn v1_changed(each: usize) {
    thread::scope(|scope| {
        for seed in 0..4 {
            scope.spawn(move || changed(v1(), V1, None, seed, each));
        }
    });
}

#[test]
fn each_covered_part_changed_alone_is_refused_by_the_other_schemes() {
    let body = TimestampBody::named_by_header();
    changed(body, &["body", "timestamp"], None, 5, 5_000);
    let covered = ["method", "authority", "path", "query", "body", "timestamp"];
    changed(lines(), &covered, Some("api.example.com"), 6, 5_000);
}
