//! What an administrator calls: users and lockouts.

use std::sync::Arc;

use axum::extract::{Extension, FromRequestParts, Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use portcullis::core::Secret;
use portcullis::lockout::AccountName;
use portcullis::tower::Arrival;
use serde::Deserialize;
use serde_json::{Value, json};

use super::account::shown;
use crate::answer::{Content, No, private};
use crate::app::App;
use crate::caller::Caller;
use crate::letters::Json;
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
    let name = account_name(&new.username)?;
    let email = settings::email(&new.email)
        .map_err(|_| No::content("The e-mail address has an @ and 254 bytes at most."))?;
    let made = app.create_user(&caller.user.name, (&name, email, new.role), &origin);
    let (user, password) = made.await?;
    Ok(shown_once(&user, &password, StatusCode::CREATED))
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
    let user = app.disable_user(&caller.user.name, &name, &origin).await?;
    Ok(private(Json(shown(&user))))
}

/// Opens an account that was closed.
pub(crate) async fn enable_user(
    State(app): State<Arc<App>>,
    origin: Origin,
    Extension(caller): Extension<Caller>,
    Named(name): Named,
) -> Result<Response, No> {
    let user = app.enable_user(&caller.user.name, &name, &origin).await?;
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
    let (user, password) = app.reset_user(&caller.user.name, &name, &origin).await?;
    Ok(shown_once(&user, &password, StatusCode::OK))
}

/// Takes a user's second factor away and ends the user's sessions.
pub(crate) async fn reset_second_factor(
    State(app): State<Arc<App>>,
    origin: Origin,
    Extension(caller): Extension<Caller>,
    Named(name): Named,
) -> Result<StatusCode, No> {
    let by = &caller.user.name;
    if app.reset_second_factor(by, &name, &origin).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(No::unknown("The user has no second factor."))
    }
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
    app.unlock(&caller.user.name, &name, &origin).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) fn account_name(text: &str) -> Result<AccountName, No> {
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
