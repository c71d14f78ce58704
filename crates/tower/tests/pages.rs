//! Browsers, honest and not, before pages whose sessions are kept in a cookie.
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

use std::sync::Arc;
use std::time::Duration;

use browser::{NOW, Pages, cross_site, get, load, post, refused_as, send, sign_in, site};
use data_encoding::BASE64URL_NOPAD;
use http::header::{CACHE_CONTROL, COOKIE};
use http::{HeaderValue, StatusCode};
use portcullis_core::{Cause, Failure, Reason, Secret};
use portcullis_session::SessionId;
use portcullis_tower::{CookieError, CookieSessionLayer, Refused, Site};

#[tokio::test]
async fn a_browser_signs_in_reads_sends_a_form_and_signs_out() {
    let pages = Pages::new();
    let (visitor, token) = load(&pages, None).await;
    let form = format!("user=alice&csrf_token={token}");
    let answer = send(&pages, post("/sign-in", &visitor, form)).await;
    assert_eq!((answer.status, answer.user()), (StatusCode::OK, None));
    assert_eq!(answer.change, None, "what is said to the layer stays here");
    let cookie = answer.cookie();

    let page = send(&pages, get("/", Some(&cookie))).await;
    assert_eq!(page.user(), Some("alice"));
    assert_eq!(page.set_cookies(), [""; 0]);
    let form = format!("csrf_token={}&x=1", page.text());
    let answer = send(&pages, post("/", &cookie, form)).await;
    assert_eq!(answer.user(), Some("alice"));
    let session = alices(&pages).await;

    let form = format!("csrf_token={}", page.text());
    let answer = send(&pages, post("/sign-out", &cookie, form)).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_ne!(answer.cookie(), cookie);
    assert_ne!(answer.cookie(), visitor);
    // The cookie is worth nothing any more, also where the browser kept it.
    assert!(!pages.lives(&session).await);
    for cookie in [cookie, answer.cookie()] {
        let page = send(&pages, get("/", Some(&cookie))).await;
        assert_eq!((page.status, page.user()), (StatusCode::OK, None));
    }
}

#[tokio::test]
async fn the_cookies_attributes_say_host_http_and_no_longer_than_the_session() {
    let pages = Pages::new();
    let page = send(&pages, get("/", None)).await;
    let set = page.set_cookies();
    assert!(set[0].starts_with("__Host-portcullis=psc1_"), "{set:?}");
    assert!(set[0].ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure"));
    assert_eq!(page.headers[CACHE_CONTROL], "no-store");

    let form = format!("csrf_token={}", page.text());
    let answer = send(&pages, post("/sign-in", &page.cookie(), form)).await;
    let end = format!("; Max-Age={}", 30 * 24 * 3600);
    assert!(answer.set_cookies()[0].ends_with(&end));

    let loopback = Site::loopback("127.0.0.1:8080".parse().unwrap()).unwrap();
    let pages = Pages::of(loopback, &Secret::from(vec![7; 32]));
    let set = send(&pages, get("/", None)).await;
    let set = set.set_cookies()[0];
    assert!(set.starts_with("portcullis=psc1_"), "{set}");
    assert!(set.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{set}");
}

#[tokio::test]
async fn no_cache_keeps_a_page_and_what_says_otherwise_is_believed_unless_it_sets_a_cookie() {
    let pages = Pages::new();
    let kept = async |path, cookie| {
        let page = send(&pages, get(path, cookie)).await;
        let said = page.headers.get(CACHE_CONTROL);
        said.map(|said| said.to_str().unwrap().to_owned())
    };
    let (visitor, _) = load(&pages, None).await;
    let cookie = sign_in(&pages).await;
    assert_eq!(kept("/", None).await.as_deref(), Some("no-store"));
    assert_eq!(kept("/", Some(&cookie)).await.as_deref(), Some("no-store"));
    // It holds the token of one browser's forms.
    let again = kept("/", Some(&visitor)).await;
    assert_eq!(again.as_deref(), Some("no-store"));
    let first = kept("/style.css", None).await;
    assert_eq!(first.as_deref(), Some("no-store"));
    for cookie in [&visitor, &cookie] {
        let said = kept("/style.css", Some(cookie)).await;
        assert_eq!(said.as_deref(), Some("max-age=60"));
    }
}

#[tokio::test]
async fn a_short_key_makes_no_layer() {
    let pages = Pages::new();
    let sessions = Arc::clone(&pages.sessions);
    let made = CookieSessionLayer::new(sessions, &Secret::from(vec![7; 31]), site());
    assert_eq!(made.unwrap_err(), CookieError::KeyTooShort);
}

#[tokio::test]
async fn a_cookie_planted_before_the_sign_in_is_not_the_one_after_and_worth_nothing() {
    let pages = Pages::new();
    // The thief loads the sign-in page, and plants the cookie in the victim's browser.
    let (planted, token) = load(&pages, None).await;
    let form = format!("csrf_token={token}");
    let answer = send(&pages, post("/sign-in", &planted, form.clone())).await;
    let victims = answer.cookie();
    assert_ne!(victims, planted);
    let page = send(&pages, get("/", Some(&planted))).await;
    assert_eq!(page.user(), None);
    // Nor does the token that the thief knows open the victim's forms.
    cross_site(&pages, post("/", &victims, form), "the thief's token").await;
}

#[tokio::test]
async fn a_session_whose_cookie_another_sign_in_replaces_ends() {
    let pages = Pages::new();
    let first = sign_in(&pages).await;
    let session = alices(&pages).await;
    let (_, token) = load(&pages, Some(&first)).await;
    let form = format!("csrf_token={token}");
    let second = send(&pages, post("/sign-in", &first, form)).await.cookie();
    assert_ne!(first, second);
    assert!(!pages.lives(&session).await);
    let page = send(&pages, get("/", Some(&second))).await;
    assert_eq!(page.user(), Some("alice"));
}

#[tokio::test]
async fn no_cookie_is_set_for_a_session_that_is_not_alive() {
    let pages = Pages::new();
    let (cookie, token) = load(&pages, None).await;
    let form = format!("csrf_token={token}");
    let answer = send(&pages, post("/sign-in-to-nothing", &cookie, form)).await;
    assert_eq!(answer.refused, Some(Refused(Reason::TokenInvalid)));
    assert_eq!(answer.set_cookies(), [""; 0]);
    assert_eq!(answer.change, None);
}

#[tokio::test]
async fn a_cookie_of_another_key_kind_session_or_spelling_is_nobodys() {
    let pages = Pages::new();
    let cookie = sign_in(&pages).await;
    let strange = Pages::of(site(), &Secret::from(vec![8; 32]));
    let other_key = send(&strange, get("/", None)).await.cookie();
    let value = cookie.split_once('=').unwrap().1;
    let cases = [
        ("of another key", other_key),
        ("a session's as a visitor's", with_kind(&cookie, 1)),
        ("a visitor's as a session's", {
            let (visitor, _) = load(&pages, None).await;
            with_kind(&visitor, 2)
        }),
        ("of no kind", with_kind(&cookie, 3)),
        ("cut", cookie[..cookie.len() - 1].to_owned()),
        ("quoted", format!("__Host-portcullis=\"{value}\"")),
        ("of the name without TLS", format!("portcullis={value}")),
        (
            "of another name's case",
            format!("__host-portcullis={value}"),
        ),
        ("empty", "__Host-portcullis=".to_owned()),
    ];
    for (what, cookie) in cases {
        let page = send(&pages, get("/", Some(&cookie))).await;
        assert_eq!((page.status, page.user()), (StatusCode::OK, None), "{what}");
        assert_ne!(page.cookie(), cookie, "{what}");
        let form = format!("csrf_token={}", page.text());
        cross_site(&pages, post("/", &cookie, form), what).await;
    }
}

#[tokio::test]
async fn of_two_cookies_none_counts_wherever_they_stand() {
    let pages = Pages::new();
    let cookie = sign_in(&pages).await;
    let (tossed, _) = load(&pages, None).await;
    let (_, token) = load(&pages, Some(&cookie)).await;
    for both in [
        format!("{cookie}; {tossed}"),
        format!("{tossed}; {cookie}"),
        format!("{cookie}; {cookie}"),
    ] {
        let page = send(&pages, get("/", Some(&both))).await;
        assert_eq!(page.user(), None);
        let form = format!("csrf_token={token}");
        cross_site(&pages, post("/", &both, form), &both).await;
    }
    let mut two_lines = get("/", Some(&cookie));
    let value = HeaderValue::try_from(&tossed).unwrap();
    two_lines.headers_mut().append(COOKIE, value);
    assert_eq!(send(&pages, two_lines).await.user(), None);
    let mut beside = get("/", Some("theme=dark"));
    let value = HeaderValue::try_from(&cookie).unwrap();
    beside.headers_mut().append(COOKIE, value);
    assert_eq!(send(&pages, beside).await.user(), Some("alice"));
}

#[tokio::test]
async fn a_session_that_was_revoked_elsewhere_is_a_visitors_on_the_next_request() {
    let pages = Pages::new();
    let cookie = sign_in(&pages).await;
    let (_, token) = load(&pages, Some(&cookie)).await;
    pages.sessions.revoke_all("alice", NOW).await.unwrap();
    let form = format!("csrf_token={token}");
    cross_site(&pages, post("/", &cookie, form), "revoked").await;
    let page = send(&pages, get("/", Some(&cookie))).await;
    assert_eq!((page.status, page.user()), (StatusCode::OK, None));
    assert_ne!(page.cookie(), cookie);
}

#[tokio::test]
async fn a_store_that_fails_refuses_everyone_and_signs_nobody_out() {
    let pages = Pages::new();
    let cookie = sign_in(&pages).await;
    let (_, token) = load(&pages, Some(&cookie)).await;
    let form = format!("csrf_token={token}");
    let failures = [
        (Failure::Contended, Reason::StoreContended),
        (
            Failure::Unavailable(Cause::Closed),
            Reason::StoreUnavailable,
        ),
        (Failure::Unknown(Cause::Closed), Reason::StoreUnknown),
    ];
    for (failure, reason) in failures {
        for request in [get("/", Some(&cookie)), post("/", &cookie, form.clone())] {
            pages.store.fail_next(1, failure.clone());
            refused_as(&pages, request, reason, "a failing store").await;
        }
        // A look that is good and a touch that fails is no yes either.
        let aged = Pages::new();
        let cookie = sign_in(&aged).await;
        aged.clock.advance(Duration::from_secs(901));
        aged.store.fail_next(1, failure.clone());
        refused_as(&aged, get("/", Some(&cookie)), reason, "a failing touch").await;
    }
    assert_eq!(
        send(&pages, get("/", Some(&cookie))).await.user(),
        Some("alice")
    );
    // A visitor's cookie asks no store.
    pages.store.fail_next(1, Failure::Contended);
    assert_eq!(send(&pages, get("/", None)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_sign_out_that_the_store_does_not_take_leaves_the_cookie_to_try_again() {
    let pages = Pages::new();
    let cookie = sign_in(&pages).await;
    let (_, token) = load(&pages, Some(&cookie)).await;
    let session = alices(&pages).await;
    let form = format!("csrf_token={token}");
    pages.store.pause(true);
    let request = post("/sign-out", &cookie, form.clone());
    let sending = send(&pages, request);
    // The look has passed by then; the revocation is what fails.
    let failing = async {
        while pages.handled() == 0 {
            tokio::task::yield_now().await;
        }
        pages.store.fail_next(1, Failure::Contended);
    };
    let (answer, ()) = tokio::join!(sending, failing);
    pages.store.pause(false);
    assert_eq!(answer.refused, Some(Refused(Reason::StoreContended)));
    assert_eq!(answer.set_cookies(), [""; 0]);
    assert!(pages.lives(&session).await);
    let answer = send(&pages, post("/sign-out", &cookie, form)).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(!pages.lives(&session).await);
}

#[tokio::test]
async fn a_page_that_is_open_all_week_keeps_its_session_by_one_write_in_a_quarter_of_an_hour() {
    let pages = Pages::new();
    let cookie = sign_in(&pages).await;
    let session = alices(&pages).await;
    let ends = async || {
        let live = pages.sessions.live(&session, pages.now()).await;
        live.unwrap().expires_at()
    };
    let writes = pages.store.writes();
    let first = ends().await;
    pages.clock.advance(Duration::from_secs(899));
    load(&pages, Some(&cookie)).await;
    assert_eq!((ends().await, pages.store.writes()), (first, writes));
    pages.clock.advance(Duration::from_secs(1));
    for _ in 0..3 {
        load(&pages, Some(&cookie)).await;
    }
    let later = first.saturating_add(Duration::from_secs(900));
    assert_eq!((ends().await, pages.store.writes()), (later, writes + 1));
    // A day a time it lives on, to its absolute end.
    for _ in 0..29 {
        pages.clock.advance(Duration::from_secs(24 * 3600));
        let page = send(&pages, get("/", Some(&cookie))).await;
        assert_eq!(page.user(), Some("alice"));
    }
    pages.clock.advance(Duration::from_secs(24 * 3600));
    let page = send(&pages, get("/", Some(&cookie))).await;
    assert_eq!(page.user(), None);
}

#[tokio::test]
async fn no_debug_form_shows_a_cookie_or_a_key() {
    let pages = Pages::new();
    let shown = format!("{:?}", pages.layer);
    assert!(shown.starts_with("CookieSessionLayer"));
    assert!(!shown.contains("psc1_") && !shown.contains("7, 7"));
}

/// The one session that alice has.
async fn alices(pages: &Pages) -> SessionId {
    let all = pages.sessions.list("alice", pages.now()).await.unwrap();
    assert_eq!(all.len(), 1);
    all[0].session()
}

/// The same cookie, said to be of another kind.
fn with_kind(cookie: &str, kind: u8) -> String {
    let (head, body) = cookie.split_once("psc1_").unwrap();
    let mut bytes = BASE64URL_NOPAD.decode(body.as_bytes()).unwrap();
    assert_ne!(bytes[0], kind);
    bytes[0] = kind;
    format!("{head}psc1_{}", BASE64URL_NOPAD.encode(&bytes))
}
