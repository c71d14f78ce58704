//! What is done to the keys of a client application, each act after a question: a slip must cut no
//! machine off.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use portcullis::core::Timestamp;
use serde::Deserialize;

use super::client_view::{AskPage, Field, KeyRow};
use super::clients::{AGAIN, Of, client_page, in_path, to_client, told};
use super::form::{Fields, Typed};
use super::key_rows::{self, counting_before, row};
use super::new_key::{Made, SENT_BEFORE, public_pem, shown_once};
use super::once;
use super::page::{Around, page, page_at};
use super::view::Here;
use super::words;
use crate::answer::No;
use crate::app::App;
use crate::caller::Caller;
use crate::clients::key::{Kind, ListedKey, State as KeyState};
use crate::clients::settings::DAY_SECS;
use crate::origin::Origin;

/// What can be done to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Act {
    Rotate,
    EndGrace,
    Revoke,
    Forget,
}

/// Which key, and what.
type Path = (String, String, Act);

/// Asks whether that is meant.
pub(crate) async fn ask(
    State(app): State<Arc<App>>,
    origin: Origin,
    around: Around,
    Of(path): Of<Path>,
    RawQuery(query): RawQuery,
) -> Result<Response, No> {
    let mut question = question(&app, around, &path, &origin).await?;
    question.notice = (query.as_deref() == Some("again")).then_some(AGAIN);
    Ok(page(&question))
}

async fn question(
    app: &App,
    around: Around,
    (client, id, act): &Path,
    origin: &Origin,
) -> Result<AskPage, No> {
    app.machines.client(client, origin.now).await?;
    let keys = app.machines.keys(client, origin.now).await?;
    let key = keys.iter().find(|key| key.id == *id);
    let key = key.ok_or(No::unknown("There is no such key."))?;
    let public = key.kind == Kind::PublicKey;
    let (title, text, button, danger) = match act {
        Act::Rotate => {
            let text = rotation(public, app.machines.settings.grace());
            ("Rotate this key?", text, Some("Rotate"), false)
        }
        Act::EndGrace => {
            let before = counting_before(key, origin.now);
            let text = if before.is_some() { GRACE } else { NO_GRACE };
            let button = before.map(|_| "End grace");
            ("End the grace?", text.to_owned(), button, true)
        }
        Act::Revoke => ("Revoke this key?", REVOKED.to_owned(), Some("Revoke"), true),
        Act::Forget => {
            let over = matches!(key.state, KeyState::Revoked | KeyState::Expired);
            let text = if over { FORGOTTEN } else { NOT_OVER };
            let button = over.then_some("Forget");
            ("Forget this key?", text.to_owned(), button, false)
        }
    };
    let rotated = *act == Act::Rotate;
    Ok(AskPage {
        frame: around.frame(Here::Clients),
        notice: None,
        alert: None,
        client: client.clone(),
        title,
        text,
        keys: vec![row(key, origin.now)],
        action: format!("{}/{}", key_path(client, id), act.as_str()),
        button,
        danger,
        once: if rotated && !public {
            Some(once::number()?)
        } else {
            None
        },
        days: None,
        pem: (rotated && public).then(Field::default),
    })
}

impl Act {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Rotate => "rotate",
            Self::EndGrace => "end-grace",
            Self::Revoke => "revoke",
            Self::Forget => "forget",
        }
    }
}

fn key_path(client: &str, id: &str) -> String {
    format!("/admin/clients/{}/keys/{}", in_path(client), in_path(id))
}

fn rotation(public: bool, grace: Duration) -> String {
    let begins = if public {
        "The new one counts at once."
    } else {
        "A new secret is made, and shown once."
    };
    if grace.is_zero() {
        return format!("{begins} The present one is refused from then on.");
    }
    let grace = words::wait(grace.as_secs());
    format!(
        "{begins} The present one counts for another {grace}, but not past its own end: as long as that, \
         machines can be moved to the new one."
    )
}

#[derive(Deserialize)]
pub(crate) struct Answer {
    once: Option<String>,
    pem: Option<Typed>,
}

/// Does it.
pub(crate) async fn act(
    State(app): State<Arc<App>>,
    origin: Origin,
    around: Around,
    Extension(caller): Extension<Caller>,
    Of(path): Of<Path>,
    Fields(answer): Fields<Answer>,
) -> Result<Response, No> {
    let (client, id, act) = &path;
    let (by, key) = (caller.user.name.as_str(), (client.as_str(), id.as_str()));
    let done = match act {
        Act::Rotate => return rotate(&app, around, by, (&path, &answer), &origin).await,
        Act::EndGrace => app.end_grace(by, key, &origin).await.map(|()| "ended"),
        Act::Revoke => app.revoke_key(by, key, &origin).await.map(|()| "revoked"),
        Act::Forget => app.forget_key(by, key, &origin).await.map(|()| "forgotten"),
    };
    match done {
        Ok(done) => Ok(to_client(client, done)),
        Err(no) => {
            let refused = told(no)?;
            let again = question(&app, around, &path, &origin).await?;
            Ok(asked_again(again, refused))
        }
    }
}

/// A new secret, in this page and nowhere else; or a new public key in the place of the present one.
async fn rotate(
    app: &App,
    around: Around,
    by: &str,
    (path, answer): (&Path, &Answer),
    origin: &Origin,
) -> Result<Response, No> {
    let (client, id, _) = path;
    let public = Kind::of(id) == Kind::PublicKey;
    let pem = public.then(|| public_pem(answer.pem.as_ref()));
    let once = answer.once.as_deref().unwrap_or_default();
    let refused = if pem.as_ref().is_some_and(|pem| !pem.is_sound()) {
        (StatusCode::BAD_REQUEST, None)
    } else if !public && !once::first_sent(app, once, origin.now).await? {
        (StatusCode::CONFLICT, Some(SENT_BEFORE.to_owned()))
    } else {
        let new = pem.as_ref().map(|pem| pem.value.as_str());
        match app.rotate_key(by, (client, id), new, origin).await {
            Ok(made) => return Ok(shown_once(around, client, (&made, Made::Rotated), origin)),
            Err(no) => told(no)?,
        }
    };
    let mut again = question(app, around, path, origin).await?;
    again.pem = pem;
    Ok(asked_again(again, refused))
}

fn asked_again(mut question: AskPage, (status, alert): (StatusCode, Option<String>)) -> Response {
    question.alert = alert;
    page_at(status, &question)
}

#[derive(Deserialize)]
pub(crate) struct Unused {
    #[serde(default)]
    days: String,
}

/// Which API keys nobody used for so long, and whether they are to be revoked.
pub(crate) async fn ask_unused(
    State(app): State<Arc<App>>,
    origin: Origin,
    around: Around,
    Extension(caller): Extension<Caller>,
    Of(id): Of<String>,
    asked: Result<Query<Unused>, QueryRejection>,
) -> Result<Response, No> {
    let Query(asked) = asked.map_err(|_| No::content("The address cannot be read."))?;
    let days = match days(&asked.days) {
        Ok(days) => days,
        Err(fault) => {
            let mut again = client_page(&app, around, (&caller, &origin), &id).await?;
            again.unused = Field {
                value: asked.days,
                fault: Some(fault.to_owned()),
            };
            return Ok(page_at(StatusCode::BAD_REQUEST, &again));
        }
    };
    app.machines.client(&id, origin.now).await?;
    let keys = unused(&app, &id, days, origin.now).await?;
    let span = key_rows::days(days.into());
    let some = !keys.is_empty();
    Ok(page(&AskPage {
        frame: around.frame(Here::Clients),
        notice: None,
        alert: None,
        title: "Revoke unused API keys?",
        text: if some {
            format!("Nobody used these for {span}. {REVOKED_ALL}")
        } else {
            format!("No API key of this client went without use for {span}.")
        },
        keys,
        action: format!("/admin/clients/{}/revoke-unused", in_path(&id)),
        button: some.then_some("Revoke them"),
        danger: true,
        once: None,
        days: Some(days),
        pem: None,
        client: id,
    }))
}

async fn unused(app: &App, client: &str, days: u32, now: Timestamp) -> Result<Vec<KeyRow>, No> {
    let span = Duration::from_secs(u64::from(days).saturating_mul(DAY_SECS));
    let keys = app.machines.keys(client, now).await?;
    let idle = |key: &&ListedKey| {
        let used = key.last_used_at.unwrap_or(key.made_at).max(key.made_at);
        let kept = key.kind != Kind::ApiKey || key.state == KeyState::Revoked;
        !kept && now.saturating_since(used) >= span
    };
    Ok(keys.iter().filter(idle).map(|key| row(key, now)).collect())
}

/// Revokes them.
pub(crate) async fn revoke_unused(
    State(app): State<Arc<App>>,
    origin: Origin,
    Extension(caller): Extension<Caller>,
    Of(id): Of<String>,
    Fields(asked): Fields<Unused>,
) -> Result<Response, No> {
    let days = days(&asked.days).map_err(No::content)?;
    let revoked = app.revoke_unused(&caller.user.name, (&id, days), &origin);
    revoked.await?;
    Ok(to_client(&id, "unused"))
}

/// None at all would be every key.
fn days(text: &str) -> Result<u32, &'static str> {
    let days = text.trim().parse().ok();
    days.filter(|days| (1..=9999).contains(days))
        .ok_or("Say for how many days: 1 to 9999.")
}

const REVOKED: &str = "Whatever still uses it is refused from the next request on. That cannot be taken \
                       back: a machine needs a new key then.";
const REVOKED_ALL: &str = "What uses one after all is refused from the next request on. That cannot be \
                           taken back.";
const FORGOTTEN: &str = "It counts no more. It leaves this list, which has room for twenty of each kind; what it \
                         did stays in the audit log.";
const NOT_OVER: &str = "It still counts: revoke it first.";
const GRACE: &str = "The one before the present one is refused from the next request on; the present one \
                     counts on. Do so once every machine has the new one, or when the old one was seen by \
                     somebody else.";
const NO_GRACE: &str = "No earlier one counts any more: there is nothing to do.";
