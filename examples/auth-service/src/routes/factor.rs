//! What a user calls about the second factor.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::Response;
use http::StatusCode;
use portcullis::sign_in::{FactorError, Shown, SignInError};
use portcullis::totp_mfa::RecoveryCodes;
use portcullis::tower::Arrival;
use serde::Deserialize;
use serde_json::json;

use super::sign_in::Password;
use crate::answer::{Content, No, private};
use crate::app::App;
use crate::caller::Caller;
use crate::letters::Json;
use crate::origin::Origin;

/// A code as it was typed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Typed {
    code: Password,
}

impl Typed {
    fn shown(&self, origin: &Origin) -> Shown {
        Shown::new(self.code.text()).origin(origin.of(None))
    }
}

/// How the caller's second factor stands.
pub(crate) async fn standing(
    State(app): State<Arc<App>>,
    Extension(Arrival(now)): Extension<Arrival>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, No> {
    let (factors, store) = (&app.second_factors, &app.store);
    let standing = factors.standing(store, &caller.user.name, now).await;
    let standing = standing.map_err(|error| error.reason())?;
    Ok(private(Json(json!({
        "enrolled": standing.enrolled,
        "pending": standing.pending,
        "blocked": standing.blocked,
        "recovery_codes_left": standing.recovery_codes_left,
    }))))
}

/// Begins an enrolment: the secret, in every form that an authenticator takes it in.
pub(crate) async fn enrol(
    State(app): State<Arc<App>>,
    Extension(Arrival(now)): Extension<Arrival>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, No> {
    let enrolment = app
        .enrol(&caller, now)
        .await
        .map_err(|error| app.factor_refusal(&error))?;
    Ok(private(Json(json!({
        "secret": enrolment.secret(),
        "uri": enrolment.uri(),
        "qr_png": enrolment.png_data_uri(),
        "qr_svg": enrolment.svg(),
        "expires_at": enrolment.expires_at().to_string(),
    }))))
}

/// Completes an enrolment by its first code; the recovery codes are in this answer and nowhere else.
pub(crate) async fn confirm(
    State(app): State<Arc<App>>,
    origin: Origin,
    Extension(caller): Extension<Caller>,
    Content(typed): Content<Typed>,
) -> Result<Response, No> {
    let (shown, now) = (typed.shown(&origin), origin.now);
    let confirmed = app.sign_in.confirm(&caller.session, shown, now).await;
    let confirmed = confirmed.map_err(|error| refused(&app, &error))?;
    Ok(codes(confirmed.recovery_codes()))
}

/// Ten new recovery codes in place of the old.
pub(crate) async fn regenerate(
    State(app): State<Arc<App>>,
    origin: Origin,
    Extension(caller): Extension<Caller>,
    Content(typed): Content<Typed>,
) -> Result<Response, No> {
    let (shown, now) = (typed.shown(&origin), origin.now);
    let made = app.sign_in.regenerate(&caller.session, shown, now).await;
    Ok(codes(&made.map_err(|error| refused(&app, &error))?))
}

/// Removes the second factor; every session of the account ends.
pub(crate) async fn remove(
    State(app): State<Arc<App>>,
    origin: Origin,
    Extension(caller): Extension<Caller>,
    Content(typed): Content<Typed>,
) -> Result<StatusCode, No> {
    let (shown, now) = (typed.shown(&origin), origin.now);
    let removed = app.remove_second_factor(&caller, shown, now).await;
    removed.map_err(|error| refused(&app, &error))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Shows a second factor in the session of the token (RFC 9470): what asked for one can be tried again.
pub(crate) async fn step_up(
    State(app): State<Arc<App>>,
    origin: Origin,
    Extension(caller): Extension<Caller>,
    Content(typed): Content<Typed>,
) -> Result<Response, No> {
    let (shown, now) = (typed.shown(&origin), origin.now);
    if shown.is_recovery_code() {
        // It would be used up, and what asks for an authenticator would ask again.
        return Err(app.factor_refusal(&FactorError::NotByRecoveryCode));
    }
    let stepped = app.sign_in.step_up(&caller.session, shown, now).await;
    let live = stepped.map_err(|error| refused(&app, &FactorError::from(error)))?;
    let factors: Vec<_> = live
        .factors()
        .iter()
        .map(|factor| json!({"method": factor.method().as_str(), "at": factor.at().to_string()}))
        .collect();
    Ok(private(Json(json!({ "factors": factors }))))
}

/// The token is good: a 401 would send the client for another one.
fn refused(app: &App, error: &FactorError) -> No {
    match error {
        FactorError::SignIn(SignInError::SecondFactorRefused(_)) => No::Problem(
            StatusCode::FORBIDDEN,
            "403_FORBIDDEN",
            "The code is not accepted. Wait for the next one.".into(),
        ),
        error => app.factor_refusal(error),
    }
}

fn codes(codes: &RecoveryCodes) -> Response {
    let codes: Vec<&str> = codes.iter().collect();
    private(Json(json!({ "recovery_codes": codes })))
}
