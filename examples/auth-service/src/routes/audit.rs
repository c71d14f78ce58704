//! The audit log, for an administrator.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Query, State};
use axum::response::Response;
use portcullis::audit::{self, Action, Filter};
use portcullis::core::{Reason, Timestamp};
use portcullis::ip_list::ClientAddress;
use portcullis::tower::{Arrival, RequestId};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use crate::answer::{No, private};
use crate::app::App;
use crate::caller::Caller;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    action: Option<String>,
    /// Unix seconds.
    #[serde(default)]
    since: Option<u64>,
    /// Unix seconds.
    #[serde(default)]
    until: Option<u64>,
    /// Only records with a higher sequence, oldest first: the way to page through all of them.
    #[serde(default)]
    after: Option<u64>,
    #[serde(default)]
    limit: Option<usize>,
}

/// Records that fit: the newest first, or those after a sequence, oldest first.
pub(crate) async fn records(
    State(app): State<Arc<App>>,
    Extension(Arrival(now)): Extension<Arrival>,
    Extension(client): Extension<ClientAddress>,
    Extension(request): Extension<RequestId>,
    Extension(caller): Extension<Caller>,
    asked: Result<Query<Asked>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, No> {
    let Query(asked) = asked.map_err(|_| {
        No::content(
            "The query knows user, action, since, until, after and limit, the last four numbers.",
        )
    })?;
    let filter = filter(asked)?;
    let event = app.event(Action::AuditRead, now, &client, &request);
    app.record(event.user(&caller.user.name)).await?;
    let (folder, key) = app.audit_place();
    let found = spawn_blocking(move || audit::query(&folder, &key, &filter)).await;
    let records = found
        .map_err(|_| Reason::Internal)?
        .map_err(|error| app.audit_fault(&error))?;
    let records: Vec<Value> = records
        .iter()
        .filter_map(|record| serde_json::from_str(&record.to_json()).ok())
        .collect();
    Ok(private(Json(json!({ "records": records }))))
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
        filter = filter.user(&user);
    }
    if let Some(action) = asked.action {
        let action: Action = action
            .parse()
            .map_err(|_| No::content("There is no such action."))?;
        filter = filter.action(action);
    }
    if let Some(since) = asked.since {
        filter = filter.since(Timestamp::from_unix_secs(since));
    }
    if let Some(until) = asked.until {
        filter = filter.until(Timestamp::from_unix_secs(until));
    }
    Ok(filter)
}

/// Walks the whole log and says whether it is whole.
pub(crate) async fn verify(
    State(app): State<Arc<App>>,
    Extension(Arrival(now)): Extension<Arrival>,
    Extension(client): Extension<ClientAddress>,
    Extension(request): Extension<RequestId>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, No> {
    let event = app.event(Action::AuditVerified, now, &client, &request);
    app.record(event.user(&caller.user.name)).await?;
    let (folder, key) = app.audit_place();
    let verified = spawn_blocking(move || audit::verify(&folder, &key)).await;
    let answer = match verified.map_err(|_| Reason::Internal)? {
        Ok(report) => json!({"valid": true, "records": report.records}),
        // Damage is what was asked about: the answer, not a failure.
        Err(error) => json!({"valid": false, "finding": error.to_string()}),
    };
    Ok(private(Json(answer)))
}
