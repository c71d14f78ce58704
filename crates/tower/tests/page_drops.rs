//! Browsers that hang up at each await, that send by the byte, and that break off.
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

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use browser::{FORM, OWN, Pages, get, load, post, send, sign_in};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, COOKIE};
use http::{Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use portcullis_core::Reason;
use portcullis_core::testing::drop_at_each_await;
use portcullis_tower::{ReadBody, Refused};
use tower::{Layer, ServiceExt};

#[tokio::test]
async fn a_form_dropped_at_any_await_leaves_its_session_alive_and_its_token_good() {
    let pages = Pages::new();
    let cookie = sign_in(&pages).await;
    let (_, token) = load(&pages, Some(&cookie)).await;
    pages.clock.advance(Duration::from_secs(901));
    pages.store.pause(true);
    let form = format!("csrf_token={token}");
    let request = || pages.service().oneshot(post("/", &cookie, form.clone()));
    let mut drops = 0;
    let answer = drop_at_each_await(request, async |_| {
        let listed = pages.sessions.list("alice", pages.now()).await.unwrap();
        assert_eq!(listed.len(), 1);
        drops += 1;
    });
    assert_eq!(answer.await.unwrap().status(), StatusCode::OK);
    assert!(drops >= 2, "{drops}");
    let page = send(&pages, get("/", Some(&cookie))).await;
    assert_eq!(page.user(), Some("alice"));
}

#[tokio::test]
async fn a_sign_out_dropped_at_any_await_has_ended_the_session_or_can_be_sent_again() {
    let mut drops = 0;
    let mut ended = Vec::new();
    let pages = Pages::new();
    let cookie = sign_in(&pages).await;
    let (_, token) = load(&pages, Some(&cookie)).await;
    let session = pages.sessions.list("alice", pages.now()).await.unwrap()[0].session();
    pages.store.pause(true);
    let form = format!("csrf_token={token}");
    let request = || {
        pages
            .service()
            .oneshot(post("/sign-out", &cookie, form.clone()))
    };
    let answer = drop_at_each_await(request, async |_| {
        ended.push(!pages.lives(&session).await);
        drops += 1;
    });
    // Once it has ended, the next one is of no session: its token fits nobody.
    let status = answer.await.unwrap().status();
    assert!(!pages.lives(&session).await);
    assert_eq!(ended.last() == Some(&true), status == StatusCode::FORBIDDEN);
    assert!(ended.is_sorted(), "no session came back: {ended:?}");
    assert!(ended.contains(&false) && drops >= 2);
}

/// Gives what it holds, then waits for ever or breaks off.
struct Broken {
    first: Option<Bytes>,
    waits: bool,
    /// How long it says it is, at least.
    says: u64,
}

impl http_body::Body for Broken {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.first.take() {
            Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            None if self.waits => Poll::Pending,
            None => Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into()))),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        hint.set_lower(self.says);
        hint
    }
}

async fn broken(pages: &Pages, cookie: &str, body: Broken) -> Option<Refused> {
    let request = Request::post("/")
        .header(COOKIE, cookie)
        .header("origin", OWN)
        .header(CONTENT_TYPE, FORM)
        .body(body)
        .unwrap();
    let handler = tower::service_fn(|_: Request<ReadBody<Broken>>| async {
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let answer = pages.layer.layer(handler).oneshot(request).await.unwrap();
    answer.extensions().get().copied()
}

#[tokio::test(start_paused = true)]
async fn a_form_that_breaks_off_grows_too_long_or_never_ends_is_refused() {
    let pages = Pages::new();
    let (cookie, token) = load(&pages, None).await;
    let form = Bytes::from(format!("csrf_token={token}"));
    let long = Bytes::from(vec![b'a'; 64 * 1024 + 1]);
    for (first, waits, says, reason) in [
        (Some(form.clone()), false, 0, Reason::BadRequest),
        (Some(form), true, 0, Reason::BadRequest),
        // Its length is told by no header: what has come is counted.
        (Some(long), true, 0, Reason::BodyTooLarge),
        // One that says it is too long is not waited for.
        (None, true, 64 * 1024 + 1, Reason::BodyTooLarge),
    ] {
        let began = tokio::time::Instant::now();
        let refused = broken(&pages, &cookie, Broken { first, waits, says }).await;
        assert_eq!(refused, Some(Refused(reason)));
        assert!(began.elapsed() <= Duration::from_secs(11));
    }
}
