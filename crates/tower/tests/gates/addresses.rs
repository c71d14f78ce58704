//! Whose address counts, and who is let in by it.

use http::{Request, StatusCode};
use portcullis_ip_list::{AddressList, Header, TrustedProxies};
use portcullis_tower::{AddressGate, GateLayer};
use tower::{Layer, ServiceExt};

use super::{Body, clock, direct, from, handler, text, with};

#[tokio::test]
async fn a_forwarded_address_is_believed_from_a_trusted_proxy_alone() {
    let proxies = TrustedProxies::new(["10.0.0.0/8"], Header::XForwardedFor).unwrap();
    let gate = AddressGate::new(proxies, AddressList::everyone());
    let service = GateLayer::new(gate, clock()).layer(handler());
    let cases = [
        ("10.0.0.1", "198.51.100.7", Ok("198.51.100.7")),
        // The left-most is the client's own word: the nearest hop that is not ours counts.
        ("10.0.0.1", "127.0.0.1, 198.51.100.7", Ok("198.51.100.7")),
        ("203.0.113.5", "198.51.100.7", Ok("203.0.113.5")),
        (
            "10.0.0.1",
            "198.51.100.7, nonsense",
            Err(StatusCode::BAD_REQUEST),
        ),
    ];
    for (peer, header, expected) in cases {
        let answer = service
            .clone()
            .oneshot(with(from(peer), "x-forwarded-for", header))
            .await
            .unwrap();
        match expected {
            Ok(client) => assert_eq!(text(answer).await, client, "{peer} {header}"),
            Err(status) => assert_eq!(answer.status(), status, "{peer} {header}"),
        }
    }
}

#[tokio::test]
async fn a_server_that_names_no_peer_is_refused() {
    let service = GateLayer::new(direct(), clock()).layer(handler());
    let answer = service
        .oneshot(Request::new(Body::default()))
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn an_address_outside_the_list_is_refused() {
    let list = AddressList::only(["192.0.2.0/24"]).unwrap();
    let service =
        GateLayer::new(AddressGate::new(TrustedProxies::none(), list), clock()).layer(handler());
    assert_eq!(
        service
            .clone()
            .oneshot(from("192.0.2.9"))
            .await
            .unwrap()
            .status(),
        StatusCode::OK
    );
    let mapped = service
        .clone()
        .oneshot(from("::ffff:192.0.2.9"))
        .await
        .unwrap();
    assert_eq!(mapped.status(), StatusCode::OK);
    let refused = service.oneshot(from("192.0.3.9")).await.unwrap();
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
}
