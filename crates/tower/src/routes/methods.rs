//! Which methods a `MethodRouter` takes.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::{MethodRouter, Route};
use http::Method;
use tower_layer::Layer;
use tower_service::Service;

/// What a `MethodRouter` takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Methods {
    named: Vec<&'static str>,
    /// A handler answers to methods that are not named, as that of `any` does.
    any_other: bool,
}

impl Methods {
    /// axum lists no methods, so a copy is asked, in which a layer answers in place of everything inside
    /// it: no handler and no gate runs.
    pub(super) fn of(methods: &MethodRouter) -> Self {
        let answered = methods.clone().layer(InPlaceOfAll);
        // What answers to other methods is replaced, here always and there unless it is a handler.
        let mut named_only = answered.clone().fallback(async || ());
        let mut handled = Router::new()
            .route("/", answered)
            .method_not_allowed_fallback(async || ());
        let named = NAMED.into_iter().filter(|method| {
            let asked = request(method.as_bytes());
            asked.is_none_or(|asked| is_handled(named_only.call(asked)))
        });
        Self {
            named: named.collect(),
            any_other: request(NOBODYS).is_none_or(|asked| is_handled(handled.call(asked))),
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.named.is_empty() && !self.any_other
    }

    /// What both take. A GET that answers HEAD, and a HEAD, are both.
    pub(super) fn common(&self, other: &Self) -> impl Iterator<Item = &'static str> {
        let both = self.any_other && other.any_other;
        let named = self.named.iter().copied();
        let common = named.filter(|method| other.named.contains(method));
        common.chain(both.then_some(ANY_OTHER))
    }
}

impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.named.is_empty() {
            return f.write_str(if self.any_other { "any" } else { "none" });
        }
        f.write_str(&self.named.join(", "))?;
        if self.any_other {
            write!(f, ", {ANY_OTHER}")?;
        }
        Ok(())
    }
}

/// In the answer of [`InPlaceOfAll`].
#[derive(Clone)]
struct Handled;

#[derive(Clone)]
struct InPlaceOfAll;

impl Layer<Route> for InPlaceOfAll {
    type Service = Self;

    fn layer(&self, _inner: Route) -> Self {
        Self
    }
}

impl Service<Request> for InPlaceOfAll {
    type Response = Response;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response, Infallible>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: Request) -> Self::Future {
        let mut answer = Response::new(Body::empty());
        answer.extensions_mut().insert(Handled);
        std::future::ready(Ok(answer))
    }
}

fn request(method: &[u8]) -> Option<Request> {
    let method = Method::from_bytes(method).ok()?;
    Request::builder().method(method).body(Body::empty()).ok()
}

/// Whether [`InPlaceOfAll`] gave the answer. It never waits; what did is taken for handled, so that a
/// path is rather refused than put together wrongly.
fn is_handled(answer: impl Future<Output = Result<Response, Infallible>>) -> bool {
    match pin!(answer).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(answer)) => answer.extensions().get::<Handled>().is_some(),
        Poll::Ready(Err(never)) => match never {},
        Poll::Pending => true,
    }
}

const ANY_OTHER: &str = "any other";
/// Those that axum routes by.
const NAMED: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT",
];
const NOBODYS: &[u8] = b"X-PORTCULLIS-WHICH";

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::{any, delete, get, on};

    #[test]
    fn the_methods_are_told_without_running_a_handler() {
        async fn never() {
            panic!("a handler ran");
        }
        let filter = axum::routing::MethodFilter::PUT.or(axum::routing::MethodFilter::PATCH);
        let cases: [(MethodRouter, &str); 8] = [
            (get(never), "GET, HEAD"),
            (get(never).post(never), "GET, HEAD, POST"),
            (delete(never), "DELETE"),
            (on(filter, never), "PUT, PATCH"),
            (any(never), "any"),
            (get(never).fallback(never), "GET, HEAD, any other"),
            (any(never).post(never), "POST, any other"),
            (MethodRouter::new(), "none"),
        ];
        for (methods, expected) in cases {
            assert_eq!(Methods::of(&methods).to_string(), expected);
        }
    }
}
