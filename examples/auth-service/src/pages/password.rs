//! A new password for the old.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::Response;
use http::StatusCode;
use portcullis::sign_in::{Attempt, ChangeError, SignInError};
use portcullis::tower::CookieChange;
use serde::Deserialize;

use super::form::{Fields, Typed};
use super::page::{Around, on_with, page, page_at};
use super::view::{Here, PasswordPage};
use super::words;
use crate::answer::No;
use crate::app::App;
use crate::caller::Caller;
use crate::origin::Origin;

/// The form.
pub(crate) async fn show(around: Around, Extension(caller): Extension<Caller>) -> Response {
    page(&form(around, caller))
}

fn form(around: Around, caller: Caller) -> PasswordPage {
    PasswordPage {
        frame: around.frame(Here::Elsewhere),
        forced: caller.user.must_change_password,
        name: caller.user.name,
        current_fault: None,
        new_fault: None,
    }
}

#[derive(Deserialize)]
pub(crate) struct Change {
    current_password: Typed,
    new_password: Typed,
}

/// Replaces the password. Every session of the account ends, this one too.
pub(crate) async fn change(
    State(app): State<Arc<App>>,
    origin: Origin,
    around: Around,
    Extension(caller): Extension<Caller>,
    Fields(change): Fields<Change>,
) -> Result<Response, No> {
    let attempt = Attempt::new(&caller.user.name, change.current_password.0);
    let attempt = attempt.origin(origin.of(None));
    let changed = app
        .sign_in
        .change_password(attempt, change.new_password.0, origin.now)
        .await;
    let mut again = form(around, caller);
    match changed {
        Ok(()) => Ok(on_with(CookieChange::End, "/sign-in?changed")),
        Err(ChangeError::NewPassword(fault)) => {
            again.new_fault = Some(format!("{}.", words::sentence(&fault.to_string())));
            Ok(page_at(StatusCode::BAD_REQUEST, &again))
        }
        // The session is good: no 401, as for the call.
        Err(ChangeError::SignIn(SignInError::Refused(_))) => {
            again.current_fault = Some(REFUSED);
            Ok(page_at(StatusCode::FORBIDDEN, &again))
        }
        Err(error) => Err(app.change_refusal(&error)),
    }
}

const REFUSED: &str = "The current password is not accepted. After several failures, wait.";
