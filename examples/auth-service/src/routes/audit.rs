//! The audit log, for an administrator.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use axum::extract::{Extension, Query, State};
use axum::response::Response;
use http::header::CONTENT_TYPE;
use portcullis::audit::{self, Action, Filter, Record};
use portcullis::core::{Reason, Timestamp};
use portcullis::lockout::AccountName;
use serde::Deserialize;
use serde_json::json;
use tokio::task::spawn_blocking;

use crate::answer::{No, private};
use crate::app::App;
use crate::caller::Caller;
use crate::letters::Json;
use crate::origin::Origin;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    action: Option<String>,
    #[serde(default)]
    target: Option<String>,
    /// RFC 3339, as the records have it.
    #[serde(default)]
    since: Option<String>,
    /// RFC 3339, as the records have it.
    #[serde(default)]
    until: Option<String>,
    /// Only records with a higher sequence, oldest first: the way to page through all of them.
    #[serde(default)]
    after: Option<u64>,
    #[serde(default)]
    limit: Option<usize>,
}

/// Records that fit: the newest first, or those after a sequence, oldest first.
pub(crate) async fn records(
    State(app): State<Arc<App>>,
    origin: Origin,
    Extension(caller): Extension<Caller>,
    asked: Result<Query<Asked>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, No> {
    let Query(asked) = asked.map_err(|_| {
        No::content(
            "The query knows user, target, action, since and until (RFC 3339), after and limit \
             (numbers).",
        )
    })?;
    let filter = filter(asked)?;
    let event = origin.event(Action::AuditRead);
    app.record(event.user(&caller.user.name)).await?;
    let records = app.read_audit(filter).await?;
    // The lines as the log writes them: nothing in a field breaks out of one, or steers a terminal.
    let lines: Vec<String> = records.iter().map(Record::to_json).collect();
    let body = format!("{{\"records\":[{}]}}", lines.join(","));
    Ok(private(([(CONTENT_TYPE, "application/json")], body)))
}

fn filter(asked: Asked) -> Result<Filter, No> {
    let limit = asked.limit.unwrap_or(100);
    if !(1..=1000).contains(&limit) {
        return Err(No::content("The limit is 1 to 1000."));
    }
    let mut filter = Filter::default().limit(limit);
    if let Some(after) = asked.after {
        filter = filter.after(after).oldest_first();
    }
    if let Some(user) = asked.user {
        filter = filter.user(&as_kept(user));
    }
    if let Some(target) = asked.target {
        filter = filter.target(&as_kept(target));
    }
    if let Some(action) = asked.action {
        let action: Action = action.parse().map_err(|_| {
            let all: Vec<&str> = Action::ALL.iter().map(|action| action.as_str()).collect();
            No::content(format!("The actions are {}.", all.join(", ")))
        })?;
        filter = filter.action(action);
    }
    if let Some(since) = asked.since {
        filter = filter.since(instant(&since)?);
    }
    if let Some(until) = asked.until {
        // To the end of the millisecond that the records show.
        filter = filter.until(instant(&until)?.saturating_add(Duration::from_nanos(999_999)));
    }
    Ok(filter)
}

/// The name as the records have it, whichever way it is spelled; what is no name stays as it is.
fn as_kept(name: String) -> String {
    AccountName::parse(&name).map_or(name, |name| name.as_str().to_owned())
}

fn instant(text: &str) -> Result<Timestamp, No> {
    let instant = humantime::parse_rfc3339(text).ok();
    let since_epoch = instant.and_then(|instant| instant.duration_since(UNIX_EPOCH).ok());
    let since_epoch = since_epoch
        .ok_or_else(|| No::content("A time is written as in the records: 2026-01-31T00:00:00Z."))?;
    Ok(Timestamp::UNIX_EPOCH.saturating_add(since_epoch))
}

/// Walks the whole log and says whether it is whole, and how much of it the last checkpoint, kept in
/// the database, confirms.
pub(crate) async fn verify(
    State(app): State<Arc<App>>,
    origin: Origin,
    Extension(caller): Extension<Caller>,
) -> Result<Response, No> {
    let now = origin.now;
    let event = origin.event(Action::AuditVerified);
    app.record(event.user(&caller.user.name)).await?;
    let (folder, key) = app.audit_place();
    let checkpoint = match app.checkpoint(now).await?.transpose() {
        Ok(checkpoint) => checkpoint,
        Err(error) => return Ok(damaged(&error)),
    };
    let reading = app.reading()?;
    let verified = spawn_blocking(move || {
        let verified = match checkpoint {
            Some(checkpoint) => audit::verify_against(&folder, &key, &checkpoint),
            None => audit::verify(&folder, &key),
        };
        drop(reading);
        verified
    });
    Ok(match verified.await.map_err(|_| Reason::Internal)? {
        // What came after the last checkpoint could be cut off unseen.
        Ok(report) => private(Json(json!({
            "valid": true,
            "records": report.records,
            "confirmed": report.confirmed,
        }))),
        Err(error) => damaged(&error),
    })
}

/// Damage is what was asked about: the answer, not a failure.
fn damaged(finding: &dyn Error) -> Response {
    private(Json(
        json!({"valid": false, "finding": finding.to_string()}),
    ))
}
