//! Forms of the site's own pages, and of others that look like them.
#![cfg(feature = "cookie")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "tests"
)]

mod browser;

use browser::{Pages, cross_site, get, load, post, refused_as, send, sign_in, with, without};
use http::header::{CONTENT_TYPE, COOKIE, ORIGIN};
use http::{HeaderName, HeaderValue, StatusCode};
use portcullis_core::Reason;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const X_CSRF_TOKEN: HeaderName = HeaderName::from_static("x-csrf-token");

#[tokio::test]
async fn reading_needs_no_token_and_says_nothing_of_where_it_comes_from() {
    let pages = Pages::new();
    let cookie = sign_in(&pages).await;
    for method in ["GET", "HEAD", "OPTIONS", "TRACE"] {
        let mut request = get("/", Some(&cookie));
        *request.method_mut() = method.parse().unwrap();
        let request = with(request, ORIGIN, "https://evil.example");
        let request = with(request, SEC_FETCH_SITE, "cross-site");
        assert_eq!(
            send(&pages, request).await.user(),
            Some("alice"),
            "{method}"
        );
    }
}

#[tokio::test]
async fn another_sites_page_changes_nothing_even_with_a_good_token() {
    let pages = Pages::new();
    let cookie = sign_in(&pages).await;
    let (_, token) = load(&pages, Some(&cookie)).await;
    let form = || post("/", &cookie, format!("csrf_token={token}"));
    let cases = [
        (
            with(form(), ORIGIN, "https://evil.example"),
            "an evil origin",
        ),
        (with(form(), ORIGIN, "null"), "a null origin"),
        (
            with(form(), ORIGIN, "https://sub.example.org"),
            "a sibling's origin",
        ),
        (
            with(form(), ORIGIN, "http://example.org"),
            "the page without TLS",
        ),
        (with(form(), SEC_FETCH_SITE, "same-site"), "a sibling"),
        (with(form(), SEC_FETCH_SITE, "cross-site"), "cross-site"),
        (with(form(), SEC_FETCH_SITE, "none"), "from nowhere"),
        (
            without(without(form(), &ORIGIN), &SEC_FETCH_SITE),
            "neither header",
        ),
    ];
    for (request, what) in cases {
        cross_site(&pages, request, what).await;
    }
    for method in ["PUT", "DELETE", "PATCH", "PURGE"] {
        let mut request = with(form(), ORIGIN, "https://evil.example");
        *request.method_mut() = method.parse().unwrap();
        cross_site(&pages, request, method).await;
    }
    for honest in [
        form(),
        without(form(), &ORIGIN),
        without(form(), &SEC_FETCH_SITE),
    ] {
        assert_eq!(send(&pages, honest).await.user(), Some("alice"));
    }
}

#[tokio::test]
async fn a_token_that_is_missing_double_in_the_query_or_anothers_opens_nothing() {
    let pages = Pages::new();
    let cookie = sign_in(&pages).await;
    let (_, token) = load(&pages, Some(&cookie)).await;
    let (visitor, visitors) = load(&pages, None).await;
    let other = sign_in(&pages).await;
    let (_, others) = load(&pages, Some(&other)).await;
    let mut flipped = token.clone();
    let last = if flipped.pop() == Some('A') { 'Q' } else { 'A' };
    flipped.push(last);
    let value = cookie.split_once('=').unwrap().1;
    for (body, what) in [
        (String::new(), "none"),
        ("csrf_token=".to_owned(), "empty"),
        (format!("csrf_token={visitors}"), "a visitor's"),
        (format!("csrf_token={others}"), "another session's"),
        (format!("csrf_token={flipped}"), "flipped"),
        (format!("csrf_token={value}"), "the cookie"),
        (format!("csrf_token={token}&csrf_token={token}"), "two"),
        (
            format!("csrf_token={token}&csrf%5Ftoken=x"),
            "two spelled apart",
        ),
        (format!("token={token}"), "another field"),
    ] {
        cross_site(&pages, post("/", &cookie, body), what).await;
    }
    let query = format!("/?csrf_token={token}");
    cross_site(&pages, post(&query, &cookie, ""), "in the query").await;
    let body = format!("csrf_token={token}");
    cross_site(
        &pages,
        post("/", &visitor, body.clone()),
        "a visitor's cookie",
    )
    .await;
    let no_cookie = without(post("/", &cookie, body.clone()), &COOKIE);
    cross_site(&pages, no_cookie, "no cookie").await;
    for kind in [
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/json",
    ] {
        let request = post("/", &cookie, body.clone());
        cross_site(&pages, with(request, CONTENT_TYPE, kind), kind).await;
    }
}

#[tokio::test]
async fn a_header_carries_the_token_of_any_body_and_a_wrong_one_is_not_made_good_by_the_field() {
    let pages = Pages::new();
    let cookie = sign_in(&pages).await;
    let (_, token) = load(&pages, Some(&cookie)).await;
    let script = with(
        post("/echo", &cookie, "{}"),
        CONTENT_TYPE,
        "application/json",
    );
    let script = with(script, X_CSRF_TOKEN, &token);
    let answer = send(&pages, script).await;
    assert_eq!((answer.user(), answer.text()), (Some("alice"), "{}"));

    let form = format!("csrf_token={token}");
    let wrong = with(post("/", &cookie, form.clone()), X_CSRF_TOKEN, "wrong");
    cross_site(&pages, wrong, "a wrong header").await;
    let mut twice = with(post("/", &cookie, form), X_CSRF_TOKEN, &token);
    let value = HeaderValue::try_from(&token).unwrap();
    twice.headers_mut().append(X_CSRF_TOKEN, value);
    cross_site(&pages, twice, "two headers").await;
}

#[tokio::test]
async fn a_form_reaches_its_handler_byte_for_byte() {
    let pages = Pages::new();
    let cookie = sign_in(&pages).await;
    let (_, token) = load(&pages, Some(&cookie)).await;
    let mut form = b"&&a=%zz+%00&=;\xff\0&csrf%5Ftoken=".to_vec();
    form.extend_from_slice(token.as_bytes());
    form.extend_from_slice(b"&b=\r\n\xc3&");
    let answer = send(&pages, post("/echo", &cookie, form.clone())).await;
    assert_eq!(answer.body, form);
}

#[tokio::test]
async fn a_form_longer_than_the_limit_is_refused_and_one_as_long_is_read() {
    let pages = Pages::new();
    let cookie = sign_in(&pages).await;
    let (_, token) = load(&pages, Some(&cookie)).await;
    let mut form = format!("csrf_token={token}&a=");
    form.push_str(&"a".repeat(64 * 1024 - form.len()));
    let answer = send(&pages, post("/echo", &cookie, form.clone())).await;
    assert_eq!(answer.body.len(), 64 * 1024);
    form.push('a');
    let long = post("/echo", &cookie, form.clone());
    refused_as(&pages, long, Reason::BodyTooLarge, "a byte more").await;

    let narrow = Pages {
        layer: pages.layer.clone().form_limit_bytes(100),
        ..Pages::new()
    };
    let (cookie, token) = load(&narrow, None).await;
    let form = format!("csrf_token={token}&abcd");
    let long = post("/echo", &cookie, form);
    refused_as(&narrow, long, Reason::BodyTooLarge, "a narrow limit").await;
}

#[tokio::test]
async fn every_page_has_a_token_of_another_text() {
    let pages = Pages::new();
    let cookie = sign_in(&pages).await;
    let (_, one) = load(&pages, Some(&cookie)).await;
    let (_, two) = load(&pages, Some(&cookie)).await;
    assert_ne!(one, two);
    for token in [one, two] {
        let form = format!("csrf_token={token}");
        let answer = send(&pages, post("/", &cookie, form)).await;
        assert_eq!(answer.user(), Some("alice"));
    }
}

#[tokio::test]
async fn a_refusal_names_whose_session_it_was() {
    let pages = Pages::new();
    let cookie = sign_in(&pages).await;
    let answer = send(&pages, post("/", &cookie, "")).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(answer.proven.unwrap().user(), "alice");
    // Refused by its head, nobody was asked for.
    let evil = with(post("/", &cookie, ""), ORIGIN, "https://evil.example");
    assert_eq!(send(&pages, evil).await.proven, None);
}
