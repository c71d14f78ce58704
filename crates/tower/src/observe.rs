//! What is seen of each request from outside: a span, and counts.

#[cfg(feature = "metrics")]
mod counts;
#[cfg(feature = "tracing")]
mod span;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Extensions, Request, Response, StatusCode};
use portcullis_core::{Clock, Reason, Timestamp};
use tower_layer::Layer;
use tower_service::Service;

#[cfg(feature = "metrics")]
pub use self::counts::{REFUSALS, REQUEST_SECONDS, REQUESTS, describe_metrics};
#[cfg(feature = "tracing")]
pub use self::span::{SPAN, SPAN_FIELDS, SPAN_TARGET};

use crate::{Arrival, Refused, RequestId};

/// One span and one count for each request; stands outermost, or just inside the
/// [`crate::ArrivalLayer`].
///
/// With the feature `tracing` each request is a span of level INFO with the target `portcullis`
/// (`SPAN_TARGET`) and the name `request` (`SPAN`), and everything logged inside belongs to it. It logs no
/// line of its own: a subscriber that prints spans when they close (`FmtSpan::CLOSE`) has one a request.
///
/// | Field of the span | What stands there |
/// |---|---|
/// | `request_id` | the [`RequestId`], where an `ArrivalLayer` gives one |
/// | `method` | the method; `other` for one that is not of RFC 9110 or RFC 5789 |
/// | `route` | the pattern that matched, `/orders/{id}`; `none` where none did, or none is told |
/// | `client_address` | what an [`crate::AddressGate`] found, if one was reached in no span of its own |
/// | `status` | the status of the response |
/// | `reason` | of a refusal, its [`Reason`] |
/// | `outcome` | as in the metrics |
/// | `seconds` | from the arrival to the head of the response |
///
/// With the feature `metrics` it counts through the crate of that name:
///
/// | Metric | Labels | What it is |
/// |---|---|---|
/// | `portcullis_requests_total` (`REQUESTS`) | `outcome`, `route` | requests, counted when their response's head is there |
/// | `portcullis_refusals_total` (`REFUSALS`) | `reason` | those refused by a gate, or by a handler with [`crate::respond`] |
/// | `portcullis_request_seconds` (`REQUEST_SECONDS`) | `outcome` | a histogram of the field `seconds` |
///
/// `outcome` is one of four: `refused`, for a reason, also where that is the service's own fault and the
/// status 500 or 503; `failed`, any other status from 500 up, an error, or a panic; `abandoned`, when nobody
/// waited for the response any more: the caller was gone, or a layer outside gave up; `answered`,
/// everything else.
///
/// No value is of the caller's choice save the address: paths, queries, headers, tokens and user names are
/// nowhere, so neither a log nor a label set grows by what a stranger sends. `route` needs the feature
/// `axum`, and the layer within reach of its match (`axum::Router::layer`, `GuardedRoutes::layer`).
#[derive(Clone)]
pub struct ObserveLayer(Arc<dyn Clock>);

impl ObserveLayer {
    /// Measures by `clock`.
    pub fn new(clock: impl Clock) -> Self {
        Self(Arc::new(clock))
    }
}

impl fmt::Debug for ObserveLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ObserveLayer")
    }
}

impl<S> Layer<S> for ObserveLayer {
    type Service = ObserveService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ObserveService {
            inner,
            clock: Arc::clone(&self.0),
        }
    }
}

/// A service whose requests are seen; made by [`ObserveLayer`].
#[derive(Clone)]
pub struct ObserveService<S> {
    inner: S,
    clock: Arc<dyn Clock>,
}

impl<S: fmt::Debug> fmt::Debug for ObserveService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ObserveService").field(&self.inner).finish()
    }
}

impl<S, In, Out> Service<Request<In>> for ObserveService<S>
where
    S: Service<Request<In>, Response = Response<Out>>,
    S::Future: Send + 'static,
    S::Error: 'static,
    Out: 'static,
{
    type Response = Response<Out>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<In>) -> Self::Future {
        let mut seen = Seen::begin(&request, Arc::clone(&self.clock));
        #[cfg(feature = "tracing")]
        let (span, answered) = {
            let span = seen.span.clone();
            let answered = span.in_scope(|| self.inner.call(request));
            (span, answered)
        };
        #[cfg(not(feature = "tracing"))]
        let answered = self.inner.call(request);
        let observed = async move {
            let answer = answered.await;
            match &answer {
                Ok(response) => seen.answered(response.status(), response.extensions()),
                Err(_) => seen.end(Outcome::Failed),
            }
            answer
        };
        #[cfg(feature = "tracing")]
        let observed = tracing::Instrument::instrument(observed, span);
        Box::pin(observed)
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Answered,
    Refused(Reason),
    Failed,
    Abandoned,
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Refused(_) => "refused",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }
}

/// A request under way. One that is dropped before it ended was abandoned.
struct Seen {
    clock: Arc<dyn Clock>,
    since: Timestamp,
    route: Option<String>,
    id: Option<RequestId>,
    ended: bool,
    #[cfg(feature = "tracing")]
    span: tracing::Span,
}

impl Seen {
    fn begin<In>(request: &Request<In>, clock: Arc<dyn Clock>) -> Self {
        let arrived = request.extensions().get().map(|Arrival(now)| *now);
        let mut seen = Self {
            since: arrived.unwrap_or_else(|| clock.now()),
            clock,
            route: None,
            id: None,
            ended: false,
            #[cfg(feature = "tracing")]
            span: span::of(request.method()),
        };
        seen.learn(request.extensions());
        seen
    }

    fn answered(&mut self, status: StatusCode, extensions: &Extensions) {
        self.learn(extensions);
        #[cfg(feature = "tracing")]
        self.span.record("status", status.as_u16());
        self.end(match extensions.get() {
            Some(Refused(reason)) => Outcome::Refused(*reason),
            None if status.is_server_error() => Outcome::Failed,
            None => Outcome::Answered,
        });
    }

    /// What a layer inside gives first is in the response's extensions alone. Each is told once: a span
    /// keeps both of two values.
    fn learn(&mut self, extensions: &Extensions) {
        if self.id.is_none() {
            self.id = extensions.get().copied();
            #[cfg(feature = "tracing")]
            if let Some(id) = &self.id {
                self.span.record("request_id", tracing::field::display(id));
            }
        }
        if self.route.is_none() {
            self.route = route(extensions);
            #[cfg(feature = "tracing")]
            if let Some(route) = &self.route {
                self.span.record("route", route.as_str());
            }
        }
    }

    fn end(&mut self, outcome: Outcome) {
        self.ended = true;
        let seconds = self.clock.now().saturating_since(self.since).as_secs_f64();
        #[cfg(feature = "tracing")]
        {
            if self.route.is_none() {
                self.span.record("route", NO_ROUTE);
            }
            span::end(&self.span, outcome, seconds);
        }
        #[cfg(feature = "metrics")]
        {
            let route = self.route.take();
            let route = route.map_or(metrics::SharedString::const_str(NO_ROUTE), Into::into);
            counts::count(outcome, route, seconds);
        }
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        if !self.ended {
            // A handler that panics takes its request along.
            self.end(if std::thread::panicking() {
                Outcome::Failed
            } else {
                Outcome::Abandoned
            });
        }
    }
}

/// The pattern of the path: a path may hold a name, and there is no end of them.
fn route(extensions: &Extensions) -> Option<String> {
    #[cfg(feature = "axum")]
    let matched = extensions
        .get::<axum::extract::MatchedPath>()
        .map(|path| path.as_str().to_owned());
    #[cfg(not(feature = "axum"))]
    let matched = {
        let _ = extensions;
        None
    };
    matched
}

const NO_ROUTE: &str = "none";
