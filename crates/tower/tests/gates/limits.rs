//! Limits: what is charged, given back, refused, and what a store that fails or a caller that goes away costs.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use portcullis_core::testing::{Faulty, drop_at_each_await};
use portcullis_core::{AnyStore, Cause, Failure, Memory, Scope};
use portcullis_rate_limit::{Limiter, LimiterPolicy, Quota, StoreLimiter};
use portcullis_tower::{LimitGate, Stack};
use tower::{Layer, ServiceExt};

use super::{NOW, clock, direct, from, handler, login_limit, text};

#[tokio::test]
async fn the_eleventh_login_in_a_minute_is_refused_and_obeying_retry_after_is_admitted() {
    let clock = clock();
    let service = Stack::new(direct())
        .limit(login_limit())
        .layer(clock.clone())
        .layer(handler());
    for left in (0..10).rev() {
        let admitted = service.clone().oneshot(from("192.0.2.1")).await.unwrap();
        assert_eq!(admitted.status(), StatusCode::OK);
        let limit = admitted.headers()["ratelimit"].to_str().unwrap();
        assert!(
            limit.starts_with(&format!("\"login\";r={left};t=")),
            "{limit}"
        );
        assert_eq!(
            admitted.headers()["ratelimit-policy"],
            "\"login\";q=10;w=60"
        );
    }
    let refused = service.clone().oneshot(from("192.0.2.1")).await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait = refused.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(
        text(refused)
            .await
            .contains("\"code\":\"429_RATE_LIMITED\"")
    );
    assert_eq!(
        service
            .clone()
            .oneshot(from("192.0.2.2"))
            .await
            .unwrap()
            .status(),
        StatusCode::OK
    );

    clock.advance(Duration::from_secs(wait));
    assert_eq!(
        service.oneshot(from("192.0.2.1")).await.unwrap().status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn what_an_earlier_limit_was_charged_is_given_back_when_a_later_one_refuses() {
    let clock = clock();
    let in_process = |name, count| {
        let quota = Quota::per_minute(count).unwrap().strict().unwrap();
        LimitGate::in_process(
            Scope::new(name),
            Arc::new(Limiter::new(quota, LimiterPolicy::default())),
        )
    };
    let store = AnyStore::new(Memory::new(NOW));
    let on_store = StoreLimiter::new(store, Scope::new("stored"), Quota::per_minute(20).unwrap());
    let wide = in_process("wide", 10).and(LimitGate::on_store(
        Scope::new("stored"),
        Arc::new(on_store),
    ));
    let service = Stack::new(direct())
        .limit(wide.and(in_process("narrow", 2)))
        .layer(clock.clone())
        .layer(handler());
    let mut left = Vec::new();
    for _ in 0..6 {
        let answer = service.clone().oneshot(from("192.0.2.1")).await.unwrap();
        let fields: Vec<String> = answer
            .headers()
            .get_all("ratelimit")
            .iter()
            .map(|field| {
                field
                    .to_str()
                    .unwrap()
                    .split(";t=")
                    .next()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        left.push((answer.status().as_u16(), fields.join(" ")));
    }
    let admitted = |wide, stored, narrow| {
        (
            200,
            format!("\"wide\";r={wide} \"stored\";r={stored} \"narrow\";r={narrow}"),
        )
    };
    let refused = (
        429,
        String::from("\"wide\";r=7 \"stored\";r=17 \"narrow\";r=0"),
    );
    assert_eq!(left[..2], [admitted(9, 19, 1), admitted(8, 18, 0)]);
    // Each refusal says what would be left, and takes nothing: the next one says the same.
    for refusal in &left[2..] {
        assert_eq!(*refusal, refused);
    }
}

#[tokio::test]
async fn rotating_addresses_within_a_prefix_share_one_limit() {
    let service = Stack::new(direct())
        .limit(login_limit())
        .layer(clock())
        .layer(handler());
    let mut refused = 0;
    for host in 0..20 {
        let answer = service
            .clone()
            .oneshot(from(&format!("2001:db8:1:2::{host:x}")))
            .await
            .unwrap();
        refused += usize::from(answer.status() == StatusCode::TOO_MANY_REQUESTS);
    }
    assert_eq!(refused, 10);
}

#[tokio::test]
async fn a_store_that_fails_refuses_and_admits_nobody() {
    let store = Faulty::new(Memory::new(NOW));
    let limiter = StoreLimiter::new(
        AnyStore::new(store.clone()),
        Scope::new("limit"),
        Quota::per_minute(10).unwrap(),
    );
    let gate = LimitGate::on_store(Scope::new("api"), Arc::new(limiter));
    let service = Stack::new(direct())
        .limit(gate)
        .layer(clock())
        .layer(handler());
    for failure in [
        Failure::Contended,
        Failure::Unavailable(Cause::Closed),
        Failure::Unknown(Cause::Closed),
    ] {
        store.fail_next(1, failure);
        let answer = service.clone().oneshot(from("192.0.2.1")).await.unwrap();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.headers()["retry-after"], "1");
    }
    assert_eq!(
        service.oneshot(from("192.0.2.1")).await.unwrap().status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_request_dropped_at_any_await_costs_its_caller_one_unit_at_most_and_others_nothing() {
    let store = Faulty::new(Memory::new(NOW));
    store.pause(true);
    let limiter = StoreLimiter::new(
        AnyStore::new(store.clone()),
        Scope::new("limit"),
        Quota::per_minute(50).unwrap(),
    );
    let gate = LimitGate::on_store(Scope::new("api"), Arc::new(limiter));
    let service = Stack::new(direct())
        .limit(gate)
        .layer(clock())
        .layer(handler());
    let mut drops = 0_usize;
    let make = || service.clone().oneshot(from("192.0.2.1"));
    let answer = drop_at_each_await(make, async |_| drops += 1)
        .await
        .unwrap();
    let limit = answer.headers()["ratelimit"].to_str().unwrap().to_owned();
    let left: usize = limit
        .split(&['=', ';'][..])
        .nth(2)
        .unwrap()
        .parse()
        .unwrap();
    assert!(drops >= 2, "the store pauses twice");
    assert!(
        left + 1 + drops >= 50,
        "{drops} drops and one call left {left} of 50"
    );
    let other = service.oneshot(from("192.0.2.2")).await.unwrap();
    assert!(
        other.headers()["ratelimit"]
            .to_str()
            .unwrap()
            .starts_with("\"api\";r=49;")
    );
}
