//! The audit log as a page shows it.

use portcullis::audit::{Action, Field, Filter, Record};
use portcullis::lockout::AccountName;

use super::view::{ActionChoice, AuditPart, EventRow};
use super::words;
use crate::answer::No;
use crate::app::App;
use crate::origin::Origin;

/// Which events are asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sought {
    pub(crate) user: String,
    pub(crate) action: Option<Action>,
    pub(crate) limit: usize,
}

/// The filter and the events that fit it, newest first. That they were read is recorded first.
pub(crate) async fn audit_part(
    app: &App,
    by: &str,
    origin: &Origin,
    sought: &Sought,
) -> Result<AuditPart, No> {
    let mut filter = Filter::default().limit(sought.limit);
    if !sought.user.is_empty() {
        // As the records have it, whichever way it is spelled; what is no name stays as it is.
        let name = AccountName::parse(&sought.user);
        filter = filter.user(name.as_ref().map_or(&sought.user, AccountName::as_str));
    }
    if let Some(action) = sought.action {
        filter = filter.action(action);
    }
    let event = origin.event(Action::AuditRead);
    app.record(event.user(by)).await?;
    let records = app.read_audit(filter).await?;
    Ok(AuditPart {
        user: sought.user.clone(),
        actions: choices(sought.action),
        events: records.iter().map(row).collect(),
    })
}

/// The filter alone, for a page that shows no event.
pub(crate) fn no_events(user: String) -> AuditPart {
    AuditPart {
        user,
        actions: choices(None),
        events: Vec::new(),
    }
}

fn choices(chosen: Option<Action>) -> Vec<ActionChoice> {
    let choice = |action: &Action| ActionChoice {
        name: action.as_str(),
        words: words::sentence(action.as_str()),
        chosen: chosen == Some(*action),
    };
    Action::ALL.iter().map(choice).collect()
}

pub(crate) fn row(record: &Record) -> EventRow {
    let event = &record.event;
    let text = |field| event.text(field).map(words::visible);
    let reason = event.reason_name().map(words::sentence);
    let details = [reason, text(Field::Target), text(Field::ClientSystem)];
    let details: Vec<String> = details.into_iter().flatten().collect();
    EventRow {
        at: words::second(record.at),
        action: words::sentence(event.action().as_str()),
        user: text(Field::User).unwrap_or_default(),
        address: event.ip().map(|ip| ip.to_string()).unwrap_or_default(),
        details: details.join(" \u{b7} "),
        agent: text(Field::UserAgent).unwrap_or_default(),
    }
}
