//! Signed requests, and others that look like them, through the layer and one store.
#![cfg(feature = "signature")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "tests"
)]

mod signing;

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, Version};
use portcullis_core::testing::drop_at_each_await;
use portcullis_core::{Clock, Failure, Reason, Timestamp};
use portcullis_hmac_signing::ReplayPolicy;
use portcullis_tower::{Arrival, NamedClient};
use signing::{BODY, Body, LIMIT_BYTES, NOW, Rig, Step, layer_of, reason, whole, with};

#[tokio::test]
async fn the_handler_gets_exactly_the_bytes_that_were_signed_and_who_signed_them() {
    let rig = Rig::new();
    let cut = BODY
        .iter()
        .map(|byte| Step::Data(Bytes::copy_from_slice(&[*byte])));
    let mut trailers = HeaderMap::new();
    trailers.insert("x-amount", HeaderValue::from_static("8"));
    let steps = cut.chain([Step::Wait, Step::Trailers(trailers)]).collect();
    let clock = rig.clock.clone();
    let mut steps: VecDeque<Step> = steps;
    steps.push_front(Step::Run(Box::new(move || {
        clock.advance(Duration::from_secs(3));
    })));
    let answer = rig.send(rig.signed(1).map(|_| Body(steps))).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let handled = rig.handled.lock().unwrap();
    let [handled] = &handled[..] else { panic!() };
    assert_eq!(handled.body, BODY);
    assert!(!handled.had_trailers, "no scheme signs trailers");
    assert_eq!(handled.signed.body(), BODY);
    assert_eq!(handled.signed.key_id().as_str(), "partner-7");
    assert_eq!(handled.signed.query(), Some("?dry=no"));
    // The request's instant is still the one at which it came.
    assert_eq!(handled.arrival, Arrival(NOW));
}

#[tokio::test]
async fn a_body_that_ends_after_its_time_is_refused_and_its_nonce_is_not_claimed() {
    for late in [301, 302, 100_000] {
        let rig = Rig::new();
        let clock = rig.clock.clone();
        let slow = [
            Step::data(BODY),
            Step::Run(Box::new(move || clock.advance(Duration::from_secs(late)))),
        ];
        let request = rig.signed(1);
        let answer = rig.send(with(&request, slow)).await;
        assert_eq!(reason(&answer), Some(Reason::SignatureExpired), "{late}");
        assert_eq!((rig.handled(), rig.store.writes()), (0, 0));
        rig.clock.set(NOW);
        assert_eq!(rig.send_whole(&request).await.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_body_that_is_slow_and_still_in_its_time_is_taken() {
    let rig = Rig::new();
    let clock = rig.clock.clone();
    let slow = [
        Step::Run(Box::new(move || clock.advance(Duration::from_secs(300)))),
        Step::data(BODY),
    ];
    let request = rig.signed(1);
    let answer = rig.send(with(&request, slow)).await;
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_clock_that_steps_back_under_a_body_makes_nothing_early() {
    let rig = Rig::new();
    let request = rig.signed(1);
    rig.clock.advance(Duration::from_secs(300));
    let clock = rig.clock.clone();
    let slow = [
        Step::data(BODY),
        // Back beyond the signature's own instant, which would lie ahead.
        Step::Run(Box::new(move || {
            clock.set(Timestamp::from_unix_secs(1_699_000_000));
        })),
    ];
    let answer = rig.send(with(&request, slow)).await;
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_body_over_the_cap_is_refused_without_waiting_for_the_rest() {
    let rig = Rig::new();
    let over = Bytes::from(vec![b'a'; LIMIT_BYTES + 1]);
    let request = rig.signed(1);
    for (length, steps, asked) in [
        // The head says so: nobody is asked for the key.
        (Some("1001"), vec![Step::Hang], 0),
        (Some("999999999999"), vec![Step::Hang], 0),
        // What no header says is counted as it comes.
        (None, vec![Step::Data(over.clone()), Step::Hang], 1),
        (
            None,
            vec![
                Step::Data(over.slice(..LIMIT_BYTES)),
                Step::data(b"a"),
                Step::Hang,
            ],
            1,
        ),
    ] {
        rig.keys.asked.store(0, Ordering::Relaxed);
        let mut request = with(&request, steps);
        if let Some(length) = length {
            let length = HeaderValue::from_static(length);
            request.headers_mut().insert("content-length", length);
        }
        let answer = rig.send(request).await;
        assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(rig.keys.asked.load(Ordering::Relaxed), asked);
        assert_eq!((rig.handled(), rig.store.calls()), (0, 0));
    }
    let whole = vec![b'a'; LIMIT_BYTES];
    let request = rig.signed_with(2, Bytes::from(whole));
    assert_eq!(rig.send_whole(&request).await.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_or_never_ends_is_refused_and_its_nonce_is_not_claimed() {
    let rig = Rig::new();
    let request = rig.signed(1);
    for (within, steps) in [
        (10, vec![Step::data(&BODY[..5]), Step::Break]),
        (10, vec![Step::data(BODY), Step::Break]),
        (10, vec![Step::data(BODY), Step::Hang]),
        (2, vec![Step::Hang]),
    ] {
        let began = tokio::time::Instant::now();
        let layer = rig.layer.clone().body_within_secs(within);
        let answer = rig.send_to(&layer, with(&request, steps)).await;
        assert_eq!(reason(&answer), Some(Reason::BadRequest));
        assert!(began.elapsed() <= Duration::from_secs(within + 1));
        assert_eq!((rig.handled(), rig.store.calls()), (0, 0));
    }
    // One that was cut where it might have ended.
    let answer = rig
        .send(with(&request, [Step::data(&BODY[..BODY.len() - 1])]))
        .await;
    assert_eq!(reason(&answer), Some(Reason::SignatureInvalid));
    assert_eq!(rig.send_whole(&request).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_wrong_signature_claims_no_nonce() {
    let rig = Rig::new();
    let request = rig.signed(1);
    let mut longer = BODY.to_vec();
    longer.push(b' ');
    let answer = rig.send(with(&request, [Step::data(&longer)])).await;
    assert_eq!(reason(&answer), Some(Reason::SignatureInvalid));
    let mut elsewhere = whole(&request);
    *elsewhere.uri_mut() = "/orders?dry=yes".parse().unwrap();
    let answer = rig.send(elsewhere).await;
    assert_eq!(reason(&answer), Some(Reason::SignatureInvalid));
    let mut other = whole(&request);
    let mac = format!("v1={}", "0".repeat(64));
    other
        .headers_mut()
        .insert("x-signature", HeaderValue::try_from(mac).unwrap());
    let answer = rig.send(other).await;
    assert_eq!(reason(&answer), Some(Reason::SignatureInvalid));
    assert_eq!((rig.handled(), rig.store.calls()), (0, 0));
    assert_eq!(rig.send_whole(&request).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_request_that_came_before_is_refused_by_every_layer_of_the_store() {
    let rig = Rig::new();
    let other = rig.another_layer();
    let request = rig.signed(1);
    assert_eq!(rig.send_whole(&request).await.status(), StatusCode::OK);
    for layer in [&rig.layer, &other, &rig.layer.clone()] {
        let answer = rig.send_to(layer, whole(&request)).await;
        assert_eq!(reason(&answer), Some(Reason::SignatureReplayed));
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(rig.handled(), 1);
    let next = rig.signed(2);
    assert_eq!(rig.send_whole(&next).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn no_caller_turns_a_refusal_into_a_200_where_no_grpc_is_spoken() {
    let rig = Rig::new();
    let grpc = rig.another_layer().speaks_grpc();
    let mut request = rig
        .signed(1)
        .map(|_| Bytes::from_static(b"not what was signed"));
    let kind = HeaderValue::from_static("application/grpc");
    request.headers_mut().insert("content-type", kind);
    for (version, in_grpc) in [(Version::HTTP_11, 401), (Version::HTTP_2, 200)] {
        *request.version_mut() = version;
        let layers = [
            (&rig.layer, 401),
            (&grpc, in_grpc),
            (&grpc.clone(), in_grpc),
        ];
        for (layer, status) in layers {
            let answer = rig.send_to(layer, whole(&request)).await;
            assert_eq!(answer.status(), status, "{version:?}");
            assert_eq!(answer.headers().contains_key("grpc-status"), status == 200);
        }
    }
    assert_eq!(rig.handled(), 0);
}

#[tokio::test]
async fn a_key_that_there_is_not_opens_nothing_and_its_body_is_read_like_any() {
    let rig = Rig::new();
    *rig.keys.secrets.lock().unwrap() = None;
    let request = rig.signed(1);
    let answer = rig.send_whole(&request).await;
    assert_eq!(reason(&answer), Some(Reason::KeyUnknown));
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let over = Bytes::from(vec![b'a'; LIMIT_BYTES + 1]);
    let answer = rig.send(with(&request, [Step::Data(over)])).await;
    assert_eq!(reason(&answer), Some(Reason::BodyTooLarge));
    assert_eq!((rig.handled(), rig.store.calls()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn whom_the_directory_refuses_is_refused_before_the_body_and_named_to_the_log() {
    let rig = Rig::new();
    *rig.keys.refuses.lock().unwrap() = Some(Reason::ClientAddressRefused);
    let request = rig.signed(1);
    let began = tokio::time::Instant::now();
    let answer = rig.send(with(&request, [Step::Hang])).await;
    assert_eq!(reason(&answer), Some(Reason::ClientAddressRefused));
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert_eq!(began.elapsed(), Duration::ZERO);
    let named: Option<&NamedClient> = answer.extensions().get();
    assert_eq!(named.map(NamedClient::name), Some("partner"));
    *rig.keys.refuses.lock().unwrap() = Some(Reason::StoreUnavailable);
    let answer = rig.send_whole(&request).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!((rig.handled(), rig.store.calls()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_carries_no_signature_or_a_stale_one_is_refused_before_anybody_is_asked() {
    let rig = Rig::new();
    let request = rig.signed(1);
    let without = |name: &str| {
        let mut bare = with(&request, [Step::Hang]);
        bare.headers_mut().remove(name);
        bare
    };
    let mut stale = with(&request, [Step::Hang]);
    *stale.headers_mut().get_mut("x-timestamp").unwrap() = HeaderValue::from_static("1699999699");
    let mut ahead = with(&request, [Step::Hang]);
    *ahead.headers_mut().get_mut("x-timestamp").unwrap() = HeaderValue::from_static("1700000006");
    for (request, why) in [
        (without("x-signature"), Reason::CredentialsMissing),
        (without("x-nonce"), Reason::SignatureMalformed),
        (without("x-key-id"), Reason::SignatureMalformed),
        (without("x-timestamp"), Reason::SignatureMalformed),
        (without("host"), Reason::SignatureMalformed),
        (stale, Reason::SignatureExpired),
        (ahead, Reason::SignatureNotYetValid),
    ] {
        let answer = rig.send(request).await;
        assert_eq!(reason(&answer), Some(why));
    }
    assert_eq!(rig.keys.asked.load(Ordering::Relaxed), 0);
    assert_eq!((rig.handled(), rig.store.calls()), (0, 0));
}

#[tokio::test]
async fn a_key_revoked_while_the_body_was_under_way_does_not_count() {
    let rig = Rig::new();
    let request = rig.signed(1);
    let (clock, keys) = (rig.clock.clone(), rig.keys.clone());
    let slow = [
        Step::data(BODY),
        Step::Run(Box::new(move || {
            clock.advance(Duration::from_secs(1));
            *keys.secrets.lock().unwrap() = None;
        })),
    ];
    let answer = rig.send(with(&request, slow)).await;
    assert_eq!(reason(&answer), Some(Reason::KeyUnknown));
    assert_eq!((rig.handled(), rig.store.calls()), (0, 0));
    assert_eq!(
        *rig.keys.at.lock().unwrap(),
        [NOW, Timestamp::from_unix_secs(1_700_000_001)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_key_revoked_under_a_slow_body_does_not_count_though_the_clock_stepped_back() {
    for secs in [1, 9] {
        let rig = Rig::new();
        let request = rig.signed(1);
        let (clock, keys) = (rig.clock.clone(), rig.keys.clone());
        let slow = [
            Step::data(BODY),
            Step::sleep(secs),
            Step::Run(Box::new(move || {
                clock.set(Timestamp::from_unix_secs(1_699_999_999));
                *keys.secrets.lock().unwrap() = None;
            })),
        ];
        let answer = rig.send(with(&request, slow)).await;
        assert_eq!(reason(&answer), Some(Reason::KeyUnknown));
        assert_eq!((rig.handled(), rig.store.calls()), (0, 0));
        // The second look-up is for no earlier an instant than the first.
        assert_eq!(*rig.keys.at.lock().unwrap(), [NOW, NOW]);
    }
}

#[tokio::test]
async fn a_directory_that_takes_long_admits_no_request_past_its_time() {
    for (first, second) in [(301, 0), (1, 300), (1, 100_000)] {
        let rig = Rig::new();
        for secs in [first, second] {
            let clock = rig.clock.clone();
            let takes = Box::new(move || clock.advance(Duration::from_secs(secs)));
            rig.keys.meanwhile.lock().unwrap().push_back(takes);
        }
        let answer = rig.send_whole(&rig.signed(1)).await;
        assert_eq!(reason(&answer), Some(Reason::SignatureExpired));
        assert_eq!(rig.keys.asked.load(Ordering::Relaxed), 2);
        assert_eq!((rig.handled(), rig.store.calls()), (0, 0));
    }
}

/// A clock that shows each of these in turn, in seconds from [`NOW`] on; then the last one.
struct Shows(Mutex<VecDeque<i64>>);

impl Clock for Shows {
    fn now(&self) -> Timestamp {
        let mut left = self.0.lock().unwrap();
        let secs = if left.len() > 1 {
            left.pop_front()
        } else {
            left.front().copied()
        };
        let now = NOW.as_unix_secs().checked_add_signed(secs.unwrap());
        Timestamp::from_unix_secs(now.unwrap())
    }
}

#[tokio::test]
async fn a_request_is_in_time_at_every_reading_of_the_clock_and_none_counts_as_earlier() {
    let late = Some(Reason::SignatureExpired);
    for (shows, refused) in [
        (&[301][..], late),
        (&[0, 301], late),
        // After the signature, before the store.
        (&[0, 0, 301], late),
        (&[0, 0, 300], None),
        // Back beyond the signature's own instant, which would lie ahead.
        (&[300, -10], None),
        (&[300, 300, -10], None),
    ] {
        let rig = Rig::new();
        let clock = Shows(Mutex::new(shows.iter().copied().collect()));
        let layer = layer_of(&rig.store, &rig.keys, clock, ReplayPolicy::default());
        let answer = rig.send_to(&layer, whole(&rig.signed(1))).await;
        assert_eq!(reason(&answer), refused, "{shows:?}");
        assert_eq!(rig.store.calls() > 0, refused.is_none(), "{shows:?}");
    }
}

#[tokio::test]
async fn a_key_without_room_is_told_when_there_is_some() {
    let rig = Rig::new();
    let one = ReplayPolicy::default().live_per_key(1);
    let layer = layer_of(&rig.store, &rig.keys, rig.clock.clone(), one);
    let first = rig.send_to(&layer, whole(&rig.signed(1))).await;
    assert_eq!(first.status(), StatusCode::OK);
    let refused = rig.send_to(&layer, whole(&rig.signed(2))).await;
    assert_eq!(reason(&refused), Some(Reason::RateLimited));
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait = refused.headers()["retry-after"].to_str().unwrap();
    let wait: u64 = wait.parse().unwrap();
    for (after, status) in [
        (wait - 1, StatusCode::TOO_MANY_REQUESTS),
        (wait, StatusCode::OK),
    ] {
        let later = NOW.saturating_add(Duration::from_secs(after));
        rig.clock.set(later);
        let anew = rig.signed_at(3, Bytes::from_static(BODY), later);
        let answer = rig.send_to(&layer, whole(&anew)).await;
        assert_eq!(answer.status(), status, "after {after} s");
    }
}

#[tokio::test]
async fn a_client_refused_while_the_body_was_under_way_is_refused() {
    let rig = Rig::new();
    let request = rig.signed(1);
    let (clock, keys) = (rig.clock.clone(), rig.keys.clone());
    let slow = [
        Step::data(BODY),
        Step::Run(Box::new(move || {
            clock.advance(Duration::from_secs(2));
            *keys.refuses.lock().unwrap() = Some(Reason::ClientDisabled);
        })),
    ];
    let answer = rig.send(with(&request, slow)).await;
    assert_eq!(reason(&answer), Some(Reason::ClientDisabled));
    assert_eq!((rig.handled(), rig.store.calls()), (0, 0));
}

#[tokio::test]
async fn a_body_that_is_not_slow_costs_one_look_up() {
    let rig = Rig::new();
    rig.send_whole(&rig.signed(1)).await;
    assert_eq!(rig.keys.asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_store_that_fails_or_loses_its_reply_admits_nobody() {
    let rig = Rig::new();
    rig.store.fail_next(1, Failure::Contended);
    let answer = rig.send_whole(&rig.signed(1)).await;
    assert_eq!(reason(&answer), Some(Reason::StoreContended));
    rig.store.lose_reply(1);
    let answer = rig.send_whole(&rig.signed(2)).await;
    assert_eq!(reason(&answer), Some(Reason::StoreUnknown));
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(rig.handled(), 0);
    assert_eq!(
        rig.send_whole(&rig.signed(3)).await.status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn dropped_at_any_await_a_request_reaches_the_handler_once_at_most() {
    let rig = Rig::new();
    rig.store.pause(true);
    let request = rig.signed(1);
    let mut drops = Vec::new();
    let answer = drop_at_each_await(
        || {
            let clock = rig.clock.clone();
            let steps = [
                Step::data(&BODY[..3]),
                Step::Wait,
                // Slow enough that the directory is asked twice.
                Step::Run(Box::new(move || clock.advance(Duration::from_secs(1)))),
                Step::data(&BODY[3..]),
            ];
            rig.send(with(&request, steps))
        },
        async |_| drops.push((rig.store.writes() > 0, rig.handled())),
    )
    .await;
    assert!(drops.len() >= 6, "{drops:?}");
    assert!(drops.is_sorted() && rig.handled() <= 1, "{drops:?}");
    // Whoever was dropped while the store was asked, or later, signs anew.
    let noted = drops.last().is_some_and(|(noted, _)| *noted);
    let replayed = reason(&answer) == Some(Reason::SignatureReplayed);
    assert!(noted && replayed, "{drops:?}");
    let next = rig.send_whole(&rig.signed(2)).await;
    assert_eq!(next.status(), StatusCode::OK);
}

#[tokio::test]
async fn dropped_before_the_store_is_asked_a_request_may_come_again() {
    let rig = Rig::new();
    let request = rig.signed(1);
    let halves = || {
        let steps = [Step::data(&BODY[..3]), Step::Wait, Step::data(&BODY[3..])];
        rig.send(with(&request, steps))
    };
    let mut calls = Vec::new();
    let answer = drop_at_each_await(halves, async |_| calls.push(rig.store.calls())).await;
    // Dropped before anything is asked, at the directory, at the body, and in the handler.
    let unasked = calls.iter().filter(|calls| **calls == 0).count();
    assert_eq!(unasked, 3, "{calls:?}");
    assert_eq!(reason(&answer), Some(Reason::SignatureReplayed));
    assert_eq!(rig.handled(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_layers_on_one_store_accept_one_of_64_senders_at_once() {
    let rig = Arc::new(Rig::new());
    let other = rig.another_layer();
    for round in 0..20 {
        let request = rig.signed(100 + round);
        let start = Arc::new(tokio::sync::Barrier::new(64));
        let senders: Vec<_> = (0..64)
            .map(|sender| {
                let layer = [&rig.layer, &other][sender % 2].clone();
                let (rig, start) = (Arc::clone(&rig), Arc::clone(&start));
                let request = whole(&request);
                tokio::spawn(async move {
                    start.wait().await;
                    rig.send_to(&layer, request).await
                })
            })
            .collect();
        let mut accepted = 0;
        for sender in senders {
            let answer = sender.await.unwrap();
            match reason(&answer) {
                None => accepted += 1,
                Some(why) => assert_eq!(why, Reason::SignatureReplayed),
            }
        }
        assert_eq!(accepted, 1);
    }
    assert_eq!(rig.handled(), 20);
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn a_route_of_axum_stands_behind_it() {
    use http_body_util::BodyExt;
    use portcullis_hmac_signing::SignedRequest;
    use tower::ServiceExt;

    let rig = Rig::new();
    let orders = axum::Router::new()
        .route(
            "/orders",
            axum::routing::post(async |request: axum::extract::Request| {
                let (head, body) = request.into_parts();
                assert!(head.extensions.get::<SignedRequest>().is_some());
                body.collect().await.unwrap().to_bytes()
            }),
        )
        .route_layer(rig.layer.clone());
    let sent = || whole(&rig.signed(1)).map(axum::body::Body::new);
    let answer = orders.clone().oneshot(sent()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, BODY);
    let answer = orders.oneshot(sent()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
}
