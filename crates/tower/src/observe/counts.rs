//! Counts and a histogram, through the `metrics` crate.

use metrics::{SharedString, Unit, counter, describe_counter, describe_histogram, histogram};

use super::Outcome;

/// How many requests there were.
pub const REQUESTS: &str = "portcullis_requests_total";
/// How many of them were refused, and why.
pub const REFUSALS: &str = "portcullis_refusals_total";
/// How long they took.
pub const REQUEST_SECONDS: &str = "portcullis_request_seconds";

/// Tells the recorder that is installed what the metrics mean, and their units. Once, at the start, after
/// it was installed; whoever does not gets them without.
pub fn describe_metrics() {
    describe_counter!(REQUESTS, Unit::Count, "Requests, by outcome and route.");
    describe_counter!(REFUSALS, Unit::Count, "Refused requests, by reason.");
    describe_histogram!(
        REQUEST_SECONDS,
        Unit::Seconds,
        "From a request's arrival to the head of its response, by outcome."
    );
}

pub(super) fn count(outcome: Outcome, route: SharedString, seconds: f64) {
    let name = outcome.as_str();
    counter!(REQUESTS, "outcome" => name, "route" => route).increment(1);
    histogram!(REQUEST_SECONDS, "outcome" => name).record(seconds);
    if let Outcome::Refused(reason) = outcome {
        counter!(REFUSALS, "reason" => reason.as_str()).increment(1);
    }
}
