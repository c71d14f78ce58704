//! What an administrator sees and does.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use portcullis::audit::Action;
use portcullis::core::Timestamp;
use portcullis::lockout::LockedAccount;
use serde::Deserialize;

use super::account::factor;
use super::events::{Sought, audit_part, no_events};
use super::form::Fields;
use super::page::{Around, page, page_at};
use super::view::{AdminPage, AuditPage, Here, LockRow, UserRow};
use super::words;
use crate::answer::No;
use crate::app::App;
use crate::caller::Caller;
use crate::origin::Origin;
use crate::routes::admin::account_name;
use crate::users::User;

/// Locked accounts, users, and what happened last.
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    origin: Origin,
    around: Around,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Result<Response, No> {
    let now = origin.now;
    let users = app.users.list(now).await?;
    let more_users = users.len().saturating_sub(MAX_USERS);
    let sought = Sought {
        limit: LAST_EVENTS,
        ..Sought::default()
    };
    let unlocked = query.as_deref() == Some("unlocked");
    let locked = locked(&app, now).await?;
    Ok(page(&AdminPage {
        notice: unlocked.then_some("The account is unlocked."),
        users: rows(&app, users, &locked, now).await?,
        locked,
        more_users,
        audit: audit_part(&app, &caller.user.name, &origin, &sought).await?,
        frame: around.frame(Here::Admin),
        alert: None,
    }))
}

async fn locked(app: &App, now: Timestamp) -> Result<Vec<LockRow>, No> {
    let locked = app.lockout.locked(now).await;
    let locked = locked.map_err(|error| error.reason())?;
    let row = |lock: &LockedAccount| LockRow {
        name: lock.account.as_str().to_owned(),
        shown: words::visible(lock.account.as_str()),
        until: words::minute(lock.until),
    };
    Ok(locked.iter().map(row).collect())
}

async fn rows(
    app: &App,
    users: Vec<User>,
    locked: &[LockRow],
    now: Timestamp,
) -> Result<Vec<UserRow>, No> {
    let mut rows = Vec::new();
    for user in users.into_iter().take(MAX_USERS) {
        let is_locked = locked.iter().any(|lock| lock.name == user.name);
        let (state, open) = match (user.enabled, user.must_change_password) {
            (false, _) => ("Closed", false),
            (true, _) if is_locked => ("Locked", false),
            (true, true) => ("New password due", false),
            (true, false) => ("Open", true),
        };
        rows.push(UserRow {
            second_factor: factor(app, &user.name, now).await?.enrolled,
            name: words::visible(&user.name),
            role: words::role(user.role),
            state,
            open,
        });
    }
    Ok(rows)
}

#[derive(Deserialize)]
pub(crate) struct Unlock {
    name: String,
}

/// Lifts the lock of an account.
pub(crate) async fn unlock(
    State(app): State<Arc<App>>,
    origin: Origin,
    Extension(caller): Extension<Caller>,
    Fields(form): Fields<Unlock>,
) -> Result<Response, No> {
    let name = account_name(&form.name)?;
    app.unlock(&caller.user.name, &name, &origin).await?;
    Ok(Redirect::to("/admin?unlocked").into_response())
}

/// The filter's form.
#[derive(Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    user: String,
    #[serde(default)]
    action: String,
}

/// The events that fit the filter.
pub(crate) async fn audit(
    State(app): State<Arc<App>>,
    origin: Origin,
    around: Around,
    Extension(caller): Extension<Caller>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, No> {
    let Query(asked) = asked.map_err(|_| No::content("The address cannot be read."))?;
    let action = match asked.action.as_str() {
        "" => None,
        name => match name.parse::<Action>() {
            Ok(action) => Some(action),
            Err(_) => return Ok(unknown_action(around, asked.user)),
        },
    };
    let sought = Sought {
        user: asked.user,
        action,
        limit: EVENTS,
    };
    Ok(page(&AuditPage {
        audit: audit_part(&app, &caller.user.name, &origin, &sought).await?,
        frame: around.frame(Here::Admin),
        alert: None,
    }))
}

fn unknown_action(around: Around, user: String) -> Response {
    let again = AuditPage {
        frame: around.frame(Here::Admin),
        audit: no_events(user),
        alert: Some("There is no action of that name."),
    };
    page_at(StatusCode::BAD_REQUEST, &again)
}

/// Each costs a look at the store.
const MAX_USERS: usize = 200;
const LAST_EVENTS: usize = 20;
const EVENTS: usize = 100;
