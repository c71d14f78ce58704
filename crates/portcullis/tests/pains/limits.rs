//! Limits: by whose address, at what pace, in how much memory.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use portcullis::core::Scope;
use portcullis::core::testing::FakeClock;
use portcullis::ip_list::{AddressList, Header, TrustedProxies};
use portcullis::rate_limit::{Decision, EndpointClass, Limiter, LimiterPolicy, Quota};
use portcullis::tower::{AddressGate, LimitGate, PeerAddress, Stack};
use tower::{Layer, ServiceExt};

use crate::{NOW, after};

/// How many of twenty requests from `peer` are admitted, each with another address in front.
async fn admitted_of_twenty(peer: [u8; 4], behind: &str) -> usize {
    let proxies = TrustedProxies::new(["10.0.0.0/24"], Header::XForwardedFor).unwrap();
    let quota = EndpointClass::Authentication.quota();
    let limiter = Arc::new(Limiter::new(quota, LimiterPolicy::default()));
    let service = Stack::new(AddressGate::new(proxies, AddressList::everyone()))
        .limit(LimitGate::in_process(Scope::new("login"), limiter))
        .layer(FakeClock::new(NOW))
        .layer(tower::service_fn(|_: Request<String>| async {
            Ok::<_, Infallible>(Response::new(String::new()))
        }));
    let mut admitted = 0;
    for number in 0..20 {
        let said = format!("198.51.100.{number}{behind}");
        let mut request = Request::builder()
            .header("x-forwarded-for", said)
            .body(String::new())
            .unwrap();
        request.extensions_mut().insert(PeerAddress(peer.into()));
        let answer = service.clone().oneshot(request).await.unwrap();
        admitted += usize::from(answer.status() == StatusCode::OK);
    }
    admitted
}

#[tokio::test]
async fn an_address_that_the_client_wrote_in_front_is_not_believed() {
    // Our proxy appends the address that it saw; what stands left of it came with the request.
    assert_eq!(admitted_of_twenty([10, 0, 0, 5], ", 203.0.113.9").await, 10);
    // Nobody stands before a direct connection: all of the header came with the request.
    assert_eq!(admitted_of_twenty([192, 0, 2, 1], "").await, 10);
    // The same clients, each seen by the proxy.
    assert_eq!(admitted_of_twenty([10, 0, 0, 5], "").await, 20);
}

#[test]
fn ten_a_second_are_ten_in_a_second_and_not_one_in_ten() {
    let quota = Quota::per_second(10).unwrap();
    assert_eq!(
        (quota.count(), quota.period()),
        (10, Duration::from_secs(1))
    );
    let limiter = Limiter::new(quota, LimiterPolicy::default());
    let mut admitted = 0;
    for millis in 0..10_000 {
        let decision = limiter.check(b"alice", after(Duration::from_millis(millis)));
        admitted += u32::from(decision.is_admitted());
    }
    // The burst of ten, and ten more for each of ten seconds, the first of them at 100 ms.
    assert_eq!(admitted, 10 + 99);
    let strict = Limiter::new(quota.strict().unwrap(), LimiterPolicy::default());
    let admitted = (0..10_000)
        .map(|millis| strict.check(b"alice", after(Duration::from_millis(millis))))
        .filter(Decision::is_admitted);
    assert_eq!(admitted.count(), 100);
}

#[test]
fn a_flood_of_keys_takes_no_more_memory_and_no_exhausted_key_is_forgotten() {
    let per_minute = Quota::per_minute(10).unwrap();
    for quota in [per_minute, per_minute.strict().unwrap()] {
        let limiter = Limiter::new(quota, LimiterPolicy::keys(1024).unwrap());
        while limiter.check(b"the flooder's own", NOW).is_admitted() {}
        let taken = allocation_counter::measure(|| {
            for number in 0_u32..100_000 {
                let _ = limiter.check(&number.to_be_bytes(), NOW);
            }
        });
        assert_eq!((taken.count_total, taken.bytes_total), (0, 0), "{quota:?}");
        assert!(!limiter.check(b"the flooder's own", NOW).is_admitted());
    }
}
