//! What pages tell the browser to refuse.
#![cfg(feature = "cookie")]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::convert::Infallible;

use http::{HeaderMap, HeaderValue, Request, Response};
use portcullis_tower::{SecurityHeadersLayer, Site};
use tower::{Layer, ServiceExt};

async fn headers(site: &Site, own: HeaderMap) -> HeaderMap {
    let page = tower::service_fn(move |_: Request<()>| {
        let mut response = Response::new(());
        *response.headers_mut() = own.clone();
        async { Ok::<_, Infallible>(response) }
    });
    let answer = SecurityHeadersLayer::new(site)
        .layer(page)
        .oneshot(Request::new(()))
        .await;
    answer.unwrap().headers().clone()
}

#[tokio::test]
async fn every_page_refuses_scripts_frames_and_guesses_and_keeps_its_own_word() {
    let https = Site::https("https://example.org").unwrap();
    let plain = headers(&https, HeaderMap::new()).await;
    let csp = plain["content-security-policy"].to_str().unwrap();
    assert_eq!(
        csp,
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'"
    );
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("strict-transport-security", "max-age=63072000"),
    ] {
        assert_eq!(plain[name], value, "{name}");
    }
    assert!(plain.contains_key("permissions-policy"));

    let mut own = HeaderMap::new();
    let value = HeaderValue::from_static("default-src 'self'");
    own.insert("content-security-policy", value.clone());
    let kept = headers(&https, own).await;
    assert_eq!(kept["content-security-policy"], value);
    assert_eq!(kept.len(), plain.len());
}

/// Two years of https for every program of this machine is nothing that a trial may ask for.
#[tokio::test]
async fn nothing_binds_localhost_to_tls() {
    for origin in [
        "https://localhost",
        "https://localhost:8443",
        "https://a.localhost",
    ] {
        let given = headers(&Site::https(origin).unwrap(), HeaderMap::new()).await;
        assert!(!given.contains_key("strict-transport-security"), "{origin}");
    }
    let given = headers(
        &Site::https("https://localhost.example").unwrap(),
        HeaderMap::new(),
    )
    .await;
    assert!(given.contains_key("strict-transport-security"));
}

#[tokio::test]
async fn without_tls_nothing_asks_for_tls() {
    let loopback = Site::loopback("127.0.0.1:8080".parse().unwrap()).unwrap();
    let given = headers(&loopback, HeaderMap::new()).await;
    assert!(!given.contains_key("strict-transport-security"));
    assert_eq!(given["x-frame-options"], "DENY");
}
