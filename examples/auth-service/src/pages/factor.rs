//! A second factor: set up, given new recovery codes, removed.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Redirect, Response};
use data_encoding::BASE64;
use http::header::CONTENT_SECURITY_POLICY;
use http::{HeaderValue, StatusCode};
use portcullis::core::Reason;
use portcullis::sign_in::{FactorError, Shown, SignInError};
use portcullis::totp_mfa::{Enrolment, RecoveryCodes};
use portcullis::tower::{Arrival, CookieChange};
use serde::Deserialize;

use super::account::{account, factor};
use super::form::{Fields, Typed};
use super::page::{Around, on_with, page, page_at, refused};
use super::view::{EnrolPage, EnrollingPage, Here, Picture, RecoveryCodesPage};
use super::words;
use crate::answer::No;
use crate::app::App;
use crate::caller::Caller;
use crate::origin::Origin;
use crate::users::Role;

/// What setting one up is, and the button that begins it.
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Extension(Arrival(now)): Extension<Arrival>,
    around: Around,
    Extension(caller): Extension<Caller>,
) -> Result<Response, No> {
    if factor(&app, &caller.user.name, now).await?.enrolled {
        // To show it is what can still be due: the account's page might lead back here.
        return Ok(Redirect::to("/step-up").into_response());
    }
    let due = caller.user.role == Role::Admin;
    Ok(page(&EnrolPage {
        frame: around.frame(Here::Elsewhere),
        notice: due.then_some(DUE),
        alert: None,
    }))
}

/// Begins an enrolment: the page with the secret, shown once.
pub(crate) async fn enrol(
    State(app): State<Arc<App>>,
    Extension(Arrival(now)): Extension<Arrival>,
    around: Around,
    Extension(caller): Extension<Caller>,
) -> Result<Response, No> {
    let enrolled = app.enrol(&caller, now);
    let enrolment = match enrolled.await {
        Ok(enrolment) => enrolment,
        Err(FactorError::AlreadyEnrolled) => return Ok(to_the_account()),
        Err(error) => return Err(app.factor_refusal(&error)),
    };
    let mut response = page(&EnrollingPage {
        frame: around.frame(Here::Elsewhere),
        picture: Some(picture(&enrolment)),
        alert: None,
    });
    let policy = HeaderValue::from_static(WITH_PICTURE);
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    Ok(response)
}

fn picture(enrolment: &Enrolment) -> Picture {
    let png = enrolment.png_data_uri();
    Picture {
        side: side(&png).unwrap_or(DEFAULT_SIDE),
        png,
        uri: enrolment.uri().to_owned(),
        secret: words::in_fours(enrolment.secret()),
    }
}

/// How large the picture is shown: whole pixels for each module, or a module would be wider than its
/// neighbour. The picture has eight for each.
fn side(png: &str) -> Option<u32> {
    let (_, base64) = png.split_once(',')?;
    // The width lies at the bytes 16 to 19 (PNG §11.2.1): whole groups of base64 that hold them.
    let head = BASE64.decode(base64.get(..28)?.as_bytes()).ok()?;
    let width = u32::from_be_bytes(head.get(16..20)?.try_into().ok()?);
    let modules = width / 8;
    let side = if modules <= 60 {
        modules.checked_mul(5)?
    } else {
        modules.checked_mul(4)?
    };
    (200..=600).contains(&side).then_some(side)
}

/// A code as it was typed.
#[derive(Deserialize)]
pub(crate) struct TypedCode {
    code: Typed,
}

impl TypedCode {
    fn shown(&self, origin: &Origin) -> Shown {
        Shown::new(self.code.code()).origin(origin.of(None))
    }
}

/// Completes an enrolment by its first code: the recovery codes, shown once.
pub(crate) async fn confirm(
    State(app): State<Arc<App>>,
    origin: Origin,
    around: Around,
    Extension(caller): Extension<Caller>,
    Fields(typed): Fields<TypedCode>,
) -> Result<Response, No> {
    let (shown, now) = (typed.shown(&origin), origin.now);
    match app.sign_in.confirm(&caller.session, shown, now).await {
        Ok(confirmed) => Ok(codes(around, SET_UP, confirmed.recovery_codes())),
        Err(FactorError::SignIn(error @ SignInError::SecondFactorRefused(_))) => {
            let again = EnrollingPage {
                frame: around.frame(Here::Elsewhere),
                picture: None,
                alert: Some(CODE_REFUSED),
            };
            Ok(refused(error.wire_reason(), &again))
        }
        Err(FactorError::NotPending) => {
            let anew = EnrolPage {
                frame: around.frame(Here::Elsewhere),
                notice: None,
                alert: Some("The time for the first code is over. Begin anew."),
            };
            Ok(page_at(StatusCode::CONFLICT, &anew))
        }
        Err(FactorError::AlreadyEnrolled) => Ok(to_the_account()),
        Err(error) => Err(app.factor_refusal(&error)),
    }
}

/// Ten new recovery codes in place of the old.
pub(crate) async fn regenerate(
    State(app): State<Arc<App>>,
    origin: Origin,
    around: Around,
    Extension(caller): Extension<Caller>,
    Fields(typed): Fields<TypedCode>,
) -> Result<Response, No> {
    let (shown, now) = (typed.shown(&origin), origin.now);
    match app.sign_in.regenerate(&caller.session, shown, now).await {
        Ok(made) => Ok(codes(around, MADE, &made)),
        Err(error) => not_changed(&app, around, &caller, &origin, error).await,
    }
}

/// Removes the second factor; every session of the account ends, this one too.
pub(crate) async fn remove(
    State(app): State<Arc<App>>,
    origin: Origin,
    around: Around,
    Extension(caller): Extension<Caller>,
    Fields(typed): Fields<TypedCode>,
) -> Result<Response, No> {
    let (shown, now) = (typed.shown(&origin), origin.now);
    match app.remove_second_factor(&caller, shown, now).await {
        Ok(()) => Ok(on_with(CookieChange::End, "/sign-in?removed")),
        Err(error) => not_changed(&app, around, &caller, &origin, error).await,
    }
}

/// The account's page again, with what was wrong.
async fn not_changed(
    app: &App,
    around: Around,
    caller: &Caller,
    origin: &Origin,
    error: FactorError,
) -> Result<Response, No> {
    let (reason, alert) = match error {
        FactorError::SignIn(error @ SignInError::SecondFactorRefused(_)) => {
            (error.wire_reason(), CODE_REFUSED)
        }
        FactorError::NotByRecoveryCode => (Reason::SecondFactorWrong, NOT_BY_RECOVERY_CODE),
        FactorError::NotEnrolled => return Ok(to_the_account()),
        error => return Err(app.factor_refusal(&error)),
    };
    let mut again = account(app, around, caller, origin.now).await?;
    again.alert = Some(alert);
    Ok(refused(reason, &again))
}

fn codes(around: Around, notice: &'static str, codes: &RecoveryCodes) -> Response {
    page(&RecoveryCodesPage {
        frame: around.frame(Here::Elsewhere),
        notice,
        codes: codes.iter().collect(),
    })
}

fn to_the_account() -> Response {
    Redirect::to("/account").into_response()
}

const DUE: &str = "Administrators need a second factor before anything else is open to them.";
const SET_UP: &str = "Your authenticator is set up.";
const MADE: &str = "These are your new recovery codes. The old ones no longer work.";
const CODE_REFUSED: &str = "The code is not accepted. Wait for the next one.";
pub(crate) const NOT_BY_RECOVERY_CODE: &str =
    "A recovery code does not do this; a code of the authenticator does.";
/// The pages' own policy, and pictures that stand in the page itself.
const WITH_PICTURE: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; \
                            form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
const DEFAULT_SIDE: u32 = 280;

#[cfg(test)]
mod tests {
    use super::*;

    fn png(width: u32) -> String {
        let mut head = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
        head.extend(width.to_be_bytes());
        head.extend([0; 9]);
        format!("data:image/png;base64,{}", BASE64.encode(&head))
    }

    #[test]
    fn every_module_is_as_wide_as_its_neighbour() {
        // 41 and 57 modules, and 77: the longest names. A quiet zone of eight beside.
        assert_eq!(side(&png(49 * 8)), Some(49 * 5));
        assert_eq!(side(&png(85 * 8)), Some(85 * 4));
    }

    #[test]
    fn what_is_no_picture_has_no_side() {
        for png in [
            String::new(),
            "data:image/png;base64,".into(),
            "data:image/png;base64,????????????????????????????".into(),
            png(0),
            png(u32::MAX),
        ] {
            assert_eq!(side(&png), None, "{png}");
        }
    }
}
