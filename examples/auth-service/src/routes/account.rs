//! What an account does for itself.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use portcullis::core::Timestamp;
use portcullis::ip_list::ClientAddress;
use portcullis::sign_in::Attempt;
use portcullis::tower::{Arrival, RequestId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::sign_in::{Password, user_agent};
use crate::answer::{Content, No, private};
use crate::app::App;
use crate::caller::Caller;
use crate::users::User;

/// The account as the service knows it.
pub(crate) async fn me(Extension(caller): Extension<Caller>) -> Response {
    private(Json(shown(&caller.user)))
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
    Extension(Arrival(now)): Extension<Arrival>,
    Extension(client): Extension<ClientAddress>,
    Extension(request): Extension<RequestId>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    Content(change): Content<ChangePassword>,
) -> Result<StatusCode, No> {
    let request_id = request.to_string();
    let attempt = Attempt::new(&caller.user.name, change.current_password.0)
        .address(client.ip(), client.source().as_str())
        .user_agent(user_agent(&headers))
        .request_id(&request_id);
    app.sign_in
        .change_password(attempt, change.new_password.0, now)
        .await
        .map_err(|error| app.change_refusal(&error))?;
    Ok(StatusCode::NO_CONTENT)
}
