//! The order of gates, the one instant they decide for, and how long a pass is held.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response, StatusCode, request, response};
use portcullis_core::testing::FakeClock;
use portcullis_core::{Reason, Timestamp};
use portcullis_tower::{ArrivalLayer, Check, Gate, GateLayer, Pass, Refusal, Stack};
use tower::{Layer, Service, ServiceExt};

use super::{Body, NOW, clock, direct, from, handler};

#[tokio::test]
async fn every_gate_of_a_request_decides_for_the_one_instant_at_which_it_arrived() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&seen);
    let check = Check::new(move |_: &mut request::Parts, now| {
        note.lock().unwrap().push(now);
        Ok(())
    });
    let later = FakeClock::new(NOW.saturating_add(Duration::from_secs(60)));
    let gate = || GateLayer::new(check.clone(), later.clone());
    let gates = gate().layer(gate().layer(handler()));
    let service = ArrivalLayer::new(clock()).layer(gates);
    service.oneshot(from("192.0.2.1")).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [NOW, NOW]);
}

/// A service that must be polled ready before each call, as tower allows it to demand.
#[derive(Default)]
struct Demanding {
    ready: bool,
}

impl Clone for Demanding {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<Request<Body>> for Demanding {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: Request<Body>) -> Self::Future {
        assert!(
            std::mem::take(&mut self.ready),
            "called without having been polled ready"
        );
        std::future::ready(Ok(Response::new(Body::default())))
    }
}

#[tokio::test]
async fn the_service_that_was_polled_ready_is_the_one_called() {
    let mut service = Stack::new(direct())
        .layer(clock())
        .layer(Demanding::default());
    for _ in 0..3 {
        let answer = service
            .ready()
            .await
            .unwrap()
            .call(from("192.0.2.1"))
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    }
}

/// Counts the passes that are held.
#[derive(Clone, Default)]
struct Permits(Arc<AtomicUsize>);

struct Permit(Arc<AtomicUsize>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Pass for Permit {
    fn settle(&mut self, head: &mut response::Parts) {
        head.headers
            .insert("x-permit", http::HeaderValue::from_static("held"));
    }
}

impl Gate for Permits {
    type Pass = Permit;

    async fn admit(&self, _head: &mut request::Parts, _now: Timestamp) -> Result<Permit, Refusal> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(Permit(Arc::clone(&self.0)))
    }
}

#[tokio::test]
async fn a_pass_is_held_until_the_body_is_gone() {
    let permits = Permits::default();
    let held = Arc::clone(&permits.0);
    let service = GateLayer::new(permits, clock()).layer(handler());
    let answer = service.oneshot(from("192.0.2.1")).await.unwrap();
    assert_eq!(answer.headers()["x-permit"], "held");
    assert_eq!(held.load(Ordering::SeqCst), 1);
    drop(answer);
    assert_eq!(held.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_earlier_refusal_lets_no_later_gate_act() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let later = Check::new(move |_: &mut request::Parts, _| {
        count.fetch_add(1, Ordering::SeqCst);
        Ok(())
    });
    let closed = Check::new(|_: &mut request::Parts, _| Err(Refusal::new(Reason::RoleMissing)));
    let service = Stack::new(direct())
        .check(closed)
        .check(later.clone())
        .layer(clock())
        .layer(handler());
    assert_eq!(
        service.oneshot(from("192.0.2.1")).await.unwrap().status(),
        StatusCode::FORBIDDEN
    );
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    let open = Check::new(|_: &mut request::Parts, _| Ok(()));
    let service = Stack::new(direct())
        .check(open)
        .check(later)
        .layer(clock())
        .layer(handler());
    assert_eq!(
        service.oneshot(from("192.0.2.1")).await.unwrap().status(),
        StatusCode::OK
    );
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}
