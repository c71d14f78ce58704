//! What an administrator does: users and lockouts.
//!
//! Each act is in the audit log before it is done: one that failed after is over-reported, none goes
//! unseen.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use portcullis::audit::Action;
use portcullis::core::Timestamp;
use portcullis::ip_list::ClientAddress;
use portcullis::lockout::{AccountName, Status};
use portcullis::tower::{Arrival, RequestId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::account::shown;
use crate::answer::{Content, No, private};
use crate::app::App;
use crate::caller::Caller;
use crate::users::Role;

/// Every user.
pub(crate) async fn users(
    State(app): State<Arc<App>>,
    Extension(Arrival(now)): Extension<Arrival>,
) -> Result<Response, No> {
    let users: Vec<Value> = app.users.list(now).await?.iter().map(shown).collect();
    Ok(private(Json(json!({ "users": users }))))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewUser {
    username: String,
    email: String,
    role: Role,
}

/// Makes a user with a one-time password, which is in this answer and nowhere else.
pub(crate) async fn create_user(
    State(app): State<Arc<App>>,
    Extension(Arrival(now)): Extension<Arrival>,
    Extension(client): Extension<ClientAddress>,
    Extension(request): Extension<RequestId>,
    Extension(caller): Extension<Caller>,
    Content(new): Content<NewUser>,
) -> Result<Response, No> {
    let name = account_name(&new.username)?;
    if new.email.len() > 254 || !new.email.contains('@') || new.email.chars().any(char::is_control)
    {
        return Err(No::content(
            "The e-mail address has an @ and 254 characters at most.",
        ));
    }
    if app.users.get(name.as_str(), now).await?.is_some() {
        return Err(No::TAKEN);
    }
    let (user, one_time_password) = app.new_user(&name, new.email, new.role, now).await?;
    let event = app.event(Action::UserCreated, now, &client, &request);
    app.record(event.user(&caller.user.name).target(&user.name))
        .await?;
    app.users.create(user.clone(), now).await?;
    let mut answer = shown(&user);
    if let (Some(members), Ok(password)) = (
        answer.as_object_mut(),
        std::str::from_utf8(one_time_password.expose()),
    ) {
        members.insert("one_time_password".into(), password.into());
    }
    Ok(private((StatusCode::CREATED, Json(answer)).into_response()))
}

/// Closes an account: its sessions end and nobody signs in to it.
pub(crate) async fn disable_user(
    State(app): State<Arc<App>>,
    Extension(Arrival(now)): Extension<Arrival>,
    Extension(client): Extension<ClientAddress>,
    Extension(request): Extension<RequestId>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Response, No> {
    let name = account_name(&name)?;
    if name.as_str() == caller.user.name {
        return Err(No::content(
            "An administrator does not close the account in use.",
        ));
    }
    existing(&app, &name, now).await?;
    let event = app.event(Action::UserDisabled, now, &client, &request);
    app.record(event.user(&caller.user.name).target(name.as_str()))
        .await?;
    let user = app.users.set_enabled(name.as_str(), false, now).await?;
    app.sessions
        .revoke_all(name.as_str(), now)
        .await
        .map_err(|error| error.reason())?;
    Ok(private(Json(shown(&user))))
}

/// Opens an account that was closed.
pub(crate) async fn enable_user(
    State(app): State<Arc<App>>,
    Extension(Arrival(now)): Extension<Arrival>,
    Extension(client): Extension<ClientAddress>,
    Extension(request): Extension<RequestId>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Response, No> {
    let name = account_name(&name)?;
    existing(&app, &name, now).await?;
    let event = app.event(Action::UserEnabled, now, &client, &request);
    app.record(event.user(&caller.user.name).target(name.as_str()))
        .await?;
    let user = app.users.set_enabled(name.as_str(), true, now).await?;
    Ok(private(Json(shown(&user))))
}

/// The accounts that are locked, and until when.
pub(crate) async fn lockouts(
    State(app): State<Arc<App>>,
    Extension(Arrival(now)): Extension<Arrival>,
) -> Result<Response, No> {
    let locked = app
        .lockout
        .locked(now)
        .await
        .map_err(|error| error.reason())?;
    let locked: Vec<Value> = locked
        .iter()
        .map(|locked| json!({"username": locked.account.as_str(), "until": locked.until.to_string()}))
        .collect();
    Ok(private(Json(json!({ "lockouts": locked }))))
}

/// Lifts a lock.
pub(crate) async fn unlock(
    State(app): State<Arc<App>>,
    Extension(Arrival(now)): Extension<Arrival>,
    Extension(client): Extension<ClientAddress>,
    Extension(request): Extension<RequestId>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<StatusCode, No> {
    let name = account_name(&name)?;
    let status = app
        .lockout
        .status(&name, now)
        .await
        .map_err(|error| error.reason())?;
    if !matches!(status, Status::Locked { .. }) {
        return Err(No::UNKNOWN);
    }
    let event = app.event(Action::Unlock, now, &client, &request);
    app.record(event.user(&caller.user.name).target(name.as_str()))
        .await?;
    app.lockout
        .unlock(&name, now)
        .await
        .map_err(|error| error.reason())?;
    Ok(StatusCode::NO_CONTENT)
}

async fn existing(app: &App, name: &AccountName, now: Timestamp) -> Result<(), No> {
    app.users
        .get(name.as_str(), now)
        .await?
        .map(drop)
        .ok_or(No::UNKNOWN)
}

fn account_name(text: &str) -> Result<AccountName, No> {
    AccountName::parse(text).map_err(|_| No::content("This cannot be a user name."))
}
