//! Structured logs: one line a request, with its id.

use std::error::Error;
use std::io::IsTerminal;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use portcullis::audit::Log;
use portcullis::core::{Clock, SystemClock};
use portcullis::tower::{Arrival, RecordLayer, Refused, RequestId};
use tokio::time::sleep;
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

use crate::settings::{LogFormat, Settings};

/// Starts the log on standard error.
pub(crate) fn start(settings: &Settings) -> Result<(), Box<dyn Error + Send + Sync>> {
    let filter = EnvFilter::builder()
        .parse(&settings.log)
        .map_err(|error| format!("--log: {error}"))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match settings.log_format {
        LogFormat::Text => lines.with_target(false).try_init(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .try_init(),
    }
}

/// Says each second how many refusals the audit log was spared, or could not take, as long as the service
/// runs.
pub(crate) async fn unrecorded(record: RecordLayer<Log>) {
    let mut before = (0, 0);
    loop {
        sleep(Duration::from_secs(1)).await;
        let counted = (record.shed(), record.failed());
        let since = |now: u64, before: u64| now.saturating_sub(before);
        if counted != before {
            let (shed, failed) = (since(counted.0, before.0), since(counted.1, before.1));
            warn!(shed, failed, "refusals are not in the audit log");
        }
        before = counted;
    }
}

/// One line a request: id, method, route, status, reason of a refusal, microseconds. The route is
/// the pattern that matched, not the path: a path may hold a name.
pub(crate) async fn requests(
    State(clock): State<SystemClock>,
    request: Request,
    next: Next,
) -> Response {
    let id = request.extensions().get::<RequestId>().copied();
    let arrived = request
        .extensions()
        .get::<Arrival>()
        .map(|arrival| arrival.0);
    let method = request.method().clone();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map(|route| route.as_str().to_owned());
    let response = next.run(request).await;

    let took = arrived.map_or(Duration::ZERO, |arrived| {
        clock.now().saturating_since(arrived)
    });
    let status = response.status().as_u16();
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let id = id.map(|id| id.to_string()).unwrap_or_default();
    let route = route.as_deref().unwrap_or("none");
    match response.extensions().get::<Refused>() {
        Some(Refused(reason)) => warn!(%id, %method, route, status, %reason, micros, "refused"),
        None => info!(%id, %method, route, status, micros, "answered"),
    }
    response
}
