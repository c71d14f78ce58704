//! What is written down of a request, and under which id.

use std::net::IpAddr;
use std::sync::Arc;

use http::StatusCode;
use portcullis_audit::testing::MemorySink;
use portcullis_audit::{Action, Field};
use portcullis_tower::{ArrivalLayer, RecordLayer, RecordPolicy, Stack};
use tower::{Layer, ServiceExt};

use super::{clock, direct, from, handler, login_limit, with};

#[tokio::test]
async fn refusals_are_recorded_with_the_address_and_what_is_above_its_share_is_shed_by_count() {
    let sink = Arc::new(MemorySink::default());
    let clock = clock();
    let layer = RecordLayer::new(
        Arc::clone(&sink),
        // Fifty a second are three thousand a minute, and three hundred of one client.
        RecordPolicy::per_second(50),
        clock.clone(),
    )
    .unwrap();
    let gates = Stack::new(direct())
        .limit(login_limit())
        .layer(clock.clone());
    let service = ArrivalLayer::new(clock).layer(layer.layer(gates.layer(handler())));
    let mut ids = Vec::new();
    for _ in 0..325 {
        let answer = service
            .clone()
            .oneshot(with(from("192.0.2.1"), "user-agent", "curl/8"))
            .await
            .unwrap();
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            ids.push(
                answer.headers()["x-request-id"]
                    .to_str()
                    .unwrap()
                    .to_owned(),
            );
        }
    }
    let events = sink.events();
    assert_eq!((ids.len(), events.len(), layer.shed()), (315, 300, 15));
    for (event, id) in events.iter().zip(&ids) {
        assert_eq!(event.action(), Action::RateLimited);
        assert_eq!(event.text(Field::RequestId), Some(id.as_str()));
        assert_eq!(event.text(Field::UserAgent), Some("curl/8"));
        assert_eq!(event.ip(), Some("192.0.2.1".parse::<IpAddr>().unwrap()));
    }
}

#[tokio::test]
async fn a_caller_cannot_choose_the_request_id() {
    let service = ArrivalLayer::new(clock()).layer(handler());
    let answer = service
        .oneshot(with(from("192.0.2.1"), "x-request-id", "mine"))
        .await
        .unwrap();
    let ids: Vec<_> = answer.headers().get_all("x-request-id").iter().collect();
    assert_eq!(ids.len(), 1);
    assert!(ids[0].len() == 32 && ids[0] != "mine", "{ids:?}");
}
