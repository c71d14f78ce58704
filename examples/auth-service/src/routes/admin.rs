//! What an administrator does: users and lockouts.
//!
//! Each act is in the audit log before it is done: one that failed after is over-reported, none goes
//! unseen.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, FromRequestParts, Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use portcullis::audit::Action;
use portcullis::core::{Secret, Timestamp};
use portcullis::lockout::{AccountName, Status};
use portcullis::tower::Arrival;
use serde::Deserialize;
use serde_json::{Value, json};

use super::account::shown;
use crate::answer::{Content, No, private};
use crate::app::App;
use crate::caller::Caller;
use crate::origin::Origin;
use crate::settings;
use crate::users::{Role, User};

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
    origin: Origin,
    Extension(caller): Extension<Caller>,
    Content(new): Content<NewUser>,
) -> Result<Response, No> {
    let now = origin.now;
    let name = account_name(&new.username)?;
    let email = settings::email(&new.email)
        .map_err(|_| No::content("The e-mail address has an @ and 254 bytes at most."))?;
    if app.users.get(name.as_str(), now).await?.is_some() {
        return Err(No::TAKEN);
    }
    let (user, one_time_password) = app.new_user(&name, email, new.role, now).await?;
    let event = origin.event(Action::UserCreated);
    app.record(event.user(&caller.user.name).target(&user.name))
        .await?;
    app.users.create(user.clone(), now).await?;
    Ok(shown_once(&user, &one_time_password, StatusCode::CREATED))
}

/// The user with the one-time password, which is in this answer and nowhere else.
fn shown_once(user: &User, one_time_password: &Secret, status: StatusCode) -> Response {
    let mut answer = shown(user);
    if let (Some(members), Ok(password)) = (
        answer.as_object_mut(),
        std::str::from_utf8(one_time_password.expose()),
    ) {
        members.insert("one_time_password".into(), password.into());
    }
    private((status, Json(answer)).into_response())
}

/// Closes an account: its sessions end and nobody signs in to it.
pub(crate) async fn disable_user(
    State(app): State<Arc<App>>,
    origin: Origin,
    Extension(caller): Extension<Caller>,
    Named(name): Named,
) -> Result<Response, No> {
    let now = origin.now;
    if name.as_str() == caller.user.name {
        return Err(No::content(
            "An administrator does not close the account in use.",
        ));
    }
    existing(&app, &name, now).await?;
    let event = origin.event(Action::UserDisabled);
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
    origin: Origin,
    Extension(caller): Extension<Caller>,
    Named(name): Named,
) -> Result<Response, No> {
    let now = origin.now;
    existing(&app, &name, now).await?;
    let event = origin.event(Action::UserEnabled);
    app.record(event.user(&caller.user.name).target(name.as_str()))
        .await?;
    let user = app.users.set_enabled(name.as_str(), true, now).await?;
    Ok(private(Json(shown(&user))))
}

/// Gives a user a new one-time password, shown once, in place of one that was lost. The user's
/// sessions end, and a lock of the account is lifted.
pub(crate) async fn reset_user(
    State(app): State<Arc<App>>,
    origin: Origin,
    Extension(caller): Extension<Caller>,
    Named(name): Named,
) -> Result<Response, No> {
    let now = origin.now;
    existing(&app, &name, now).await?;
    let event = origin.event(Action::PasswordChanged);
    app.record(event.user(&caller.user.name).target(name.as_str()))
        .await?;
    let (user, one_time_password) = app.reset(&name, now).await?;
    Ok(shown_once(&user, &one_time_password, StatusCode::OK))
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
    origin: Origin,
    Extension(caller): Extension<Caller>,
    Named(name): Named,
) -> Result<StatusCode, No> {
    let now = origin.now;
    let status = app
        .lockout
        .status(&name, now)
        .await
        .map_err(|error| error.reason())?;
    if !matches!(status, Status::Locked { .. }) {
        return Err(No::unknown("The account is not locked."));
    }
    let event = origin.event(Action::Unlock);
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
        .ok_or(No::unknown("There is no such user."))
}

fn account_name(text: &str) -> Result<AccountName, No> {
    let rule = "A user name has a visible character, no control character, and 254 bytes at most.";
    AccountName::parse(text).map_err(|_| No::content(rule))
}

/// The user name in a path.
pub(crate) struct Named(AccountName);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = No;

    async fn from_request_parts(head: &mut Parts, state: &S) -> Result<Self, No> {
        let name = Path::<String>::from_request_parts(head, state).await;
        let Path(name) = name.map_err(|_| No::content("The path is not UTF-8."))?;
        Ok(Self(account_name(&name)?))
    }
}
