//! What an account does for itself.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::Response;
use http::StatusCode;
use portcullis::core::Timestamp;
use portcullis::session::Live;
use portcullis::sign_in::Attempt;
use portcullis::tower::Arrival;
use serde::Deserialize;
use serde_json::{Value, json};

use super::sign_in::Password;
use crate::answer::{Content, No, private};
use crate::app::App;
use crate::caller::Caller;
use crate::letters::Json;
use crate::origin::Origin;
use crate::users::User;

/// The account as the service knows it.
pub(crate) async fn me(Extension(caller): Extension<Caller>) -> Response {
    private(Json(shown(&caller.user)))
}

/// The account's living sessions, oldest first.
pub(crate) async fn sessions(
    State(app): State<Arc<App>>,
    Extension(Arrival(now)): Extension<Arrival>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, No> {
    let sessions = app.sessions.list(&caller.user.name, now).await;
    let sessions = sessions.map_err(|error| error.reason())?;
    let this = caller.session.session();
    let shown = |live: &Live| {
        let factors = live.factors().iter().map(
            |factor| json!({"method": factor.method().as_str(), "at": factor.at().to_string()}),
        );
        json!({
            "session": live.session().to_string(),
            "this": live.session() == this,
            "started_at": live.started_at().to_string(),
            "refreshed_at": live.refreshed_at().to_string(),
            "expires_at": live.expires_at().to_string(),
            "factors": factors.collect::<Vec<_>>(),
        })
    };
    let sessions: Vec<Value> = sessions.iter().map(shown).collect();
    Ok(private(Json(json!({ "sessions": sessions }))))
}

/// What is shown of a user: all but the password's hash.
pub(crate) fn shown(user: &User) -> Value {
    json!({
        "username": user.name,
        "email": user.email,
        "role": user.role,
        "enabled": user.enabled,
        "must_change_password": user.must_change_password,
        "created_at": Timestamp::from_unix_nanos(user.created_at).to_string(),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangePassword {
    current_password: Password,
    new_password: Password,
}

/// Replaces the password. Every session of the account ends, the caller's too: whoever held the old
/// password is out.
pub(crate) async fn change_password(
    State(app): State<Arc<App>>,
    origin: Origin,
    Extension(caller): Extension<Caller>,
    Content(change): Content<ChangePassword>,
) -> Result<StatusCode, No> {
    let now = origin.now;
    let attempt = Attempt::new(&caller.user.name, change.current_password.0);
    let attempt = attempt.origin(origin.of(None));
    app.sign_in
        .change_password(attempt, change.new_password.0, now)
        .await
        .map_err(|error| app.change_refusal(&error))?;
    Ok(StatusCode::NO_CONTENT)
}
