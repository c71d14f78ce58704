//! A fresh code, before what asks for one.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use portcullis::sign_in::{Shown, SignInError};
use serde::Deserialize;

use super::factor::NOT_BY_RECOVERY_CODE;
use super::form::{Fields, Typed};
use super::next::page_of_ours;
use super::page::{Around, page, page_at, refused};
use super::view::{Here, StepUpPage};
use crate::answer::No;
use crate::app::App;
use crate::caller::Caller;
use crate::origin::Origin;

/// Where to go afterwards.
#[derive(Default, Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    next: String,
}

/// The form.
pub(crate) async fn show(around: Around, asked: Result<Query<Asked>, QueryRejection>) -> Response {
    let Query(asked) = asked.unwrap_or_default();
    page(&form(around, &asked.next, None))
}

fn form(around: Around, next: &str, alert: Option<&'static str>) -> StepUpPage {
    StepUpPage {
        frame: around.frame(Here::Elsewhere),
        next: page_of_ours(next).to_owned(),
        alert,
    }
}

#[derive(Deserialize)]
pub(crate) struct Answer {
    code: Typed,
    #[serde(default)]
    next: String,
}

/// Notes the code in the session, and goes on.
pub(crate) async fn step_up(
    State(app): State<Arc<App>>,
    origin: Origin,
    around: Around,
    Extension(caller): Extension<Caller>,
    Fields(answer): Fields<Answer>,
) -> Result<Response, No> {
    let shown = Shown::new(answer.code.code()).origin(origin.of(None));
    if shown.is_recovery_code() {
        // It would be used up, and what asks for an authenticator would ask again.
        let again = form(around, &answer.next, Some(NOT_BY_RECOVERY_CODE));
        return Ok(page_at(StatusCode::FORBIDDEN, &again));
    }
    match app
        .sign_in
        .step_up(&caller.session, shown, origin.now)
        .await
    {
        Ok(_) => Ok(Redirect::to(page_of_ours(&answer.next)).into_response()),
        Err(error @ SignInError::SecondFactorRefused(_)) => {
            let again = form(around, &answer.next, Some(CODE_REFUSED));
            Ok(refused(error.wire_reason(), &again))
        }
        Err(error) => Err(app.refusal(&error)),
    }
}

const CODE_REFUSED: &str = "The code is not accepted. Wait for the next one.";
