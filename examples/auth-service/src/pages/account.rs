//! What an account sees of itself.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::Response;
use portcullis::core::Timestamp;
use portcullis::tower::Arrival;

use super::page::{Around, page};
use super::view::{AccountPage, FactorState, Here, SessionRow};
use super::words;
use crate::answer::No;
use crate::app::App;
use crate::caller::Caller;

/// Name, second factor and sessions.
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Extension(Arrival(now)): Extension<Arrival>,
    around: Around,
    Extension(caller): Extension<Caller>,
) -> Result<Response, No> {
    Ok(page(&account(&app, around, &caller, now).await?))
}

/// The page as it is now.
pub(crate) async fn account(
    app: &App,
    around: Around,
    caller: &Caller,
    now: Timestamp,
) -> Result<AccountPage, No> {
    let name = &caller.user.name;
    let factor = factor(app, name, now).await?;
    let sessions = app.sessions.list(name, now).await;
    let mut sessions = sessions.map_err(|error| error.reason())?;
    let this = caller.session.session();
    // This one first, then the newest.
    sessions.sort_by_key(|live| (live.session() == this, live.started_at()));
    let row = |live| SessionRow {
        shown: words::shown(live),
        current: live.session() == this,
        started: words::minute(live.started_at()),
        used: words::minute(words::used_at(live)),
    };
    Ok(AccountPage {
        frame: around.frame(Here::Account),
        name: words::visible(name),
        role: words::role(caller.user.role),
        factor,
        sessions: sessions.iter().rev().map(row).collect(),
        alert: None,
    })
}

/// How the user's second factor stands.
pub(crate) async fn factor(app: &App, user: &str, now: Timestamp) -> Result<FactorState, No> {
    let standing = app.second_factors.standing(&app.store, user, now).await;
    let standing = standing.map_err(|error| error.reason())?;
    Ok(FactorState {
        enrolled: standing.enrolled,
        blocked: standing.blocked,
        recovery_codes_left: standing.recovery_codes_left,
    })
}
