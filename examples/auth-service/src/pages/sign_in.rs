//! In by password and code, and out again.

use std::sync::Arc;

use axum::extract::{Extension, RawQuery, State};
use axum::response::Response;
use portcullis::core::Reason;
use portcullis::session::Live;
use portcullis::sign_in::{Attempt, Entered, Shown, SignInError, SignedIn};
use portcullis::tower::CookieChange;
use serde::Deserialize;

use super::form::{Fields, Typed};
use super::page::{Around, on_with, page, refused};
use super::view::{CodePage, Here, RecoveryPage, SignInPage};
use crate::answer::No;
use crate::app::App;
use crate::caller::Caller;
use crate::origin::Origin;
use crate::users::Role;

/// The form, and what led to it.
pub(crate) async fn show(around: Around, RawQuery(query): RawQuery) -> Response {
    let notice = match query.as_deref() {
        Some("changed") => Some("Your password is changed. Sign in with the new one."),
        Some("removed") => Some("The second factor is removed, and every session is ended."),
        Some("out") => Some("You are signed out."),
        Some("everywhere") => Some("You are signed out everywhere."),
        _ => None,
    };
    let frame = around.frame(Here::Elsewhere);
    page(&SignInPage {
        frame,
        notice,
        alert: None,
    })
}

#[derive(Deserialize)]
pub(crate) struct Credentials {
    username: String,
    password: Typed,
}

/// Name and password into a session, or into the page that asks for the code.
pub(crate) async fn sign_in(
    State(app): State<Arc<App>>,
    origin: Origin,
    around: Around,
    before: Option<Extension<Live>>,
    Fields(form): Fields<Credentials>,
) -> Result<Response, No> {
    let attempt = Attempt::new(&form.username, form.password.0).origin(origin.of(None));
    match app.sign_in.sign_in(attempt, origin.now).await {
        Ok(Entered::SignedIn(signed_in)) => {
            let to = begun(&app, &signed_in, &origin).await?;
            over(&app, before, &origin).await?;
            Ok(to)
        }
        Ok(Entered::SecondFactor(challenge)) => Ok(page(&CodePage {
            frame: around.frame(Here::Elsewhere),
            challenge: challenge.expose().to_owned(),
            alert: None,
        })),
        // One page for every reason: nothing that was typed is in it.
        Err(error @ SignInError::Refused(_)) => {
            let again = SignInPage {
                frame: around.frame(Here::Elsewhere),
                notice: None,
                alert: Some(REFUSED),
            };
            Ok(refused(error.wire_reason(), &again))
        }
        Err(error) => Err(app.refusal(&error)),
    }
}

/// The session that the browser had ends with the new one; the cookie layer sees to that, and this to its
/// record.
async fn over(app: &App, before: Option<Extension<Live>>, origin: &Origin) -> Result<(), No> {
    match before {
        Some(Extension(session)) => app.signed_in_over(&session, origin).await,
        None => Ok(()),
    }
}

/// To what is due, so that no gate has to refuse what was not asked for.
async fn begun(app: &App, signed_in: &SignedIn, origin: &Origin) -> Result<Response, No> {
    let now = origin.now.max(app.now());
    let user = app.users.get(&signed_in.user_id, now).await?;
    let user = user.ok_or(Reason::TokenRevoked)?;
    let to = if signed_in.must_change {
        "/password"
    } else if user.role == Role::Admin {
        // Without a second factor: with one, the code was asked for first.
        "/account/enrol"
    } else {
        "/account"
    };
    Ok(on_with(CookieChange::Begin(signed_in.session), to))
}

#[derive(Deserialize)]
pub(crate) struct Answer {
    challenge: Typed,
    code: Typed,
    /// `recovery` from the form for recovery codes.
    #[serde(default)]
    by: String,
}

/// The code into a session.
pub(crate) async fn code(
    State(app): State<Arc<App>>,
    origin: Origin,
    around: Around,
    before: Option<Extension<Live>>,
    Fields(answer): Fields<Answer>,
) -> Result<Response, No> {
    let shown = Shown::new(answer.code.code()).origin(origin.of(None));
    let challenge = answer.challenge.text();
    match app.sign_in.answer(challenge, shown, origin.now).await {
        Ok(signed_in) => {
            over(&app, before, &origin).await?;
            let to = if signed_in.must_change {
                "/password"
            } else {
                "/account"
            };
            Ok(on_with(CookieChange::Begin(signed_in.session), to))
        }
        Err(error @ SignInError::SecondFactorRefused(_)) => {
            let (frame, challenge) = (around.frame(Here::Elsewhere), challenge.to_owned());
            let reason = error.wire_reason();
            Ok(if answer.by == RECOVERY {
                let again = RecoveryPage {
                    frame,
                    challenge,
                    alert: Some(RECOVERY_CODE_REFUSED),
                };
                refused(reason, &again)
            } else {
                let again = CodePage {
                    frame,
                    challenge,
                    alert: Some(CODE_REFUSED),
                };
                refused(reason, &again)
            })
        }
        Err(error) => Err(app.refusal(&error)),
    }
}

#[derive(Deserialize)]
pub(crate) struct Switch {
    challenge: Typed,
    /// Which form is wanted: the one for recovery codes unless it says `authenticator`.
    #[serde(default)]
    show: String,
}

/// The other form of the same sign-in. Nothing is tried by it.
pub(crate) async fn other_form(around: Around, Fields(switch): Fields<Switch>) -> Response {
    let frame = around.frame(Here::Elsewhere);
    let challenge = switch.challenge.text().to_owned();
    if switch.show == "authenticator" {
        page(&CodePage {
            frame,
            challenge,
            alert: None,
        })
    } else {
        page(&RecoveryPage {
            frame,
            challenge,
            alert: None,
        })
    }
}

/// Ends the session of this browser. Goes on to its end if the browser hangs up.
pub(crate) async fn sign_out(
    State(app): State<Arc<App>>,
    origin: Origin,
    Extension(caller): Extension<Caller>,
) -> Result<Response, No> {
    let tasks = Arc::clone(&app);
    let ended = async move {
        let session = caller.session.session();
        app.sign_out(&caller.user.name, &session, &origin).await
    };
    tasks.to_its_end(ended).await?;
    Ok(on_with(CookieChange::End, "/sign-in?out"))
}

/// Ends all of the user's sessions, this one too.
pub(crate) async fn sign_out_everywhere(
    State(app): State<Arc<App>>,
    origin: Origin,
    Extension(caller): Extension<Caller>,
) -> Result<Response, No> {
    let tasks = Arc::clone(&app);
    let ended = async move { app.sign_out_everywhere(&caller.user.name, &origin).await };
    tasks.to_its_end(ended).await?;
    Ok(on_with(CookieChange::End, "/sign-in?everywhere"))
}

const RECOVERY: &str = "recovery";
const REFUSED: &str = "The name or the password is not accepted. After several failures, wait.";
const RECOVERY_CODE_REFUSED: &str =
    "The recovery code is not accepted. Each opens once; after five tries, sign in again.";
const CODE_REFUSED: &str =
    "The code is not accepted. Wait for the next one; after five tries, sign in again.";
