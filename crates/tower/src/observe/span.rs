//! A span for each request, through the `tracing` crate.

use http::Method;
use tracing::field::Empty;
use tracing::{Span, info_span};

use super::Outcome;

/// The name of the span.
pub const SPAN: &str = "request";
/// The target of the span, for filters: `portcullis=off`.
pub const SPAN_TARGET: &str = "portcullis";
/// Every field that the span can have.
pub const SPAN_FIELDS: [&str; 8] = [
    "request_id",
    "method",
    "route",
    "client_address",
    "status",
    "reason",
    "outcome",
    "seconds",
];

/// The macro takes no constants for names; a test holds these and those above together.
pub(super) fn of(method: &Method) -> Span {
    info_span!(
        target: "portcullis",
        "request",
        request_id = Empty,
        method = bounded(method),
        route = Empty,
        client_address = Empty,
        status = Empty,
        reason = Empty,
        outcome = Empty,
        seconds = Empty,
    )
}

pub(super) fn end(span: &Span, outcome: Outcome, seconds: f64) {
    span.record("outcome", outcome.as_str());
    span.record("seconds", seconds);
    if let Outcome::Refused(reason) = outcome {
        span.record("reason", reason.as_str());
    }
}

/// A caller may choose any word for a method.
fn bounded(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::CONNECT => "CONNECT",
        Method::OPTIONS => "OPTIONS",
        Method::TRACE => "TRACE",
        Method::PATCH => "PATCH",
        _ => "other",
    }
}
