//! Client applications, as an administrator sees and changes them.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, FromRequestParts, Path, RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use portcullis::core::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::client_view::{Choice, ClientPage, ClientRow, ClientsPage, Field, NewKeyForms, Tag};
use super::form::Fields;
use super::key_rows::{forms, row, tag};
use super::once;
use super::page::{Around, page, page_at};
use super::view::Here;
use super::words;
use crate::answer::No;
use crate::app::App;
use crate::caller::Caller;
use crate::clients::key::State as KeyState;
use crate::clients::{Client, Tier, client_name, networks};
use crate::origin::Origin;

/// Every client, and the form that registers one.
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    origin: Origin,
    around: Around,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Result<Response, No> {
    let mut shown = clients_page(&app, around, &caller, &origin).await?;
    shown.notice = (query.as_deref() == Some("again")).then_some(AGAIN);
    Ok(page(&shown))
}

async fn clients_page(
    app: &App,
    around: Around,
    caller: &Caller,
    origin: &Origin,
) -> Result<ClientsPage, No> {
    let now = origin.now;
    let mut clients = app.machines.clients.list(now).await?;
    let more = clients.split_off(clients.len().min(MAX_CLIENTS));
    let mut rows = Vec::with_capacity(clients.len());
    for client in &clients {
        rows.push(client_row(app, client, now).await?);
    }
    Ok(ClientsPage {
        frame: around.frame(Here::Clients),
        notice: None,
        alert: None,
        code_due: code_due(app, caller, now),
        next: "/admin/clients".to_owned(),
        clients: rows,
        more: more.into_iter().map(|client| client.id).collect(),
        name: Field::default(),
        tiers: tiers(Tier::Standard),
        networks: Field::default(),
        example: origin.client.ip().to_string(),
    })
}

async fn client_row(app: &App, client: &Client, now: Timestamp) -> Result<ClientRow, No> {
    let keys = app.machines.keys(&client.id, now).await?;
    let in_state = |state| keys.iter().filter(|key| key.state == state).count();
    let soon = in_state(KeyState::RotateSoon);
    let warned = |state| (in_state(state) > 0).then(|| tag(state));
    let warnings = [KeyState::RotateSoon, KeyState::Expired].map(warned);
    Ok(ClientRow {
        id: client.id.clone(),
        tier: tier_words(client.tier),
        state: may_call(client.enabled),
        networks: if client.networks.is_empty() {
            "Nowhere".to_owned()
        } else {
            words::visible(&client.networks.join(", "))
        },
        counting: in_state(KeyState::Active).saturating_add(soon),
        warnings: warnings.into_iter().flatten().collect(),
    })
}

#[derive(Deserialize)]
pub(crate) struct NewClient {
    name: String,
    tier: Tier,
    #[serde(default)]
    networks: String,
}

/// Registers a client.
pub(crate) async fn register(
    State(app): State<Arc<App>>,
    origin: Origin,
    around: Around,
    Extension(caller): Extension<Caller>,
    Fields(new): Fields<NewClient>,
) -> Result<Response, No> {
    let name = Field::checked(new.name.trim(), client_name);
    let typed = Networks::read(&new.networks);
    let refused = if name.is_sound() && typed.field.is_sound() {
        let asked = (name.value.as_str(), new.tier, typed.lines.as_slice());
        match app.register_client(&caller.user.name, asked, &origin).await {
            Ok(client) => return Ok(to_client(&client.id, "registered")),
            Err(no) => told(no)?,
        }
    } else {
        (StatusCode::BAD_REQUEST, None)
    };
    let mut again = clients_page(&app, around, &caller, &origin).await?;
    (again.name, again.networks) = (name, typed.field);
    again.tiers = tiers(new.tier);
    again.alert = refused.1;
    Ok(page_at(refused.0, &again))
}

/// One client, its keys, and what can be done.
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    origin: Origin,
    around: Around,
    Extension(caller): Extension<Caller>,
    Of(id): Of<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, No> {
    let mut shown = client_page(&app, around, (&caller, &origin), &id).await?;
    shown.notice = query.as_deref().and_then(notice);
    Ok(page(&shown))
}

/// The page of a client as it is now.
pub(crate) async fn client_page(
    app: &App,
    around: Around,
    (caller, origin): (&Caller, &Origin),
    id: &str,
) -> Result<ClientPage, No> {
    let now = origin.now;
    let client = app.machines.client(id, now).await?;
    let keys = app.machines.keys(id, now).await?;
    Ok(ClientPage {
        frame: around.frame(Here::Clients),
        notice: None,
        alert: None,
        code_due: code_due(app, caller, now),
        next: in_path(&format!("/admin/clients/{id}")),
        enabled: client.enabled,
        state: may_call(client.enabled),
        registered: words::minute(Timestamp::from_unix_nanos(client.created_at)),
        keys: keys.iter().map(|key| row(key, now)).collect(),
        new: NewKeyForms {
            once: once::number()?,
            forms: forms(None),
            ..NewKeyForms::default()
        },
        networks: Field {
            value: client.networks.join("\n"),
            fault: None,
        },
        tiers: tiers(client.tier),
        unused: Field {
            value: UNUSED_DAYS.to_owned(),
            fault: None,
        },
        example: origin.client.ip().to_string(),
        id: client.id,
    })
}

#[derive(Deserialize)]
pub(crate) struct TypedNetworks {
    #[serde(default)]
    networks: String,
}

/// Says anew where a client may call from.
pub(crate) async fn set_networks(
    State(app): State<Arc<App>>,
    origin: Origin,
    around: Around,
    Extension(caller): Extension<Caller>,
    Of(id): Of<String>,
    Fields(typed): Fields<TypedNetworks>,
) -> Result<Response, No> {
    let typed = Networks::read(&typed.networks);
    if !typed.field.is_sound() {
        let mut again = client_page(&app, around, (&caller, &origin), &id).await?;
        again.networks = typed.field;
        return Ok(page_at(StatusCode::BAD_REQUEST, &again));
    }
    let asked = (id.as_str(), typed.lines.as_slice());
    app.set_networks(&caller.user.name, asked, &origin).await?;
    Ok(to_client(&id, "networks"))
}

#[derive(Deserialize)]
pub(crate) struct Tiered {
    tier: Tier,
}

/// Puts a client into another tier.
pub(crate) async fn set_tier(
    State(app): State<Arc<App>>,
    origin: Origin,
    Extension(caller): Extension<Caller>,
    Of(id): Of<String>,
    Fields(new): Fields<Tiered>,
) -> Result<Response, No> {
    let changed = app.set_tier(&caller.user.name, (&id, new.tier), &origin);
    changed.await?;
    Ok(to_client(&id, "tier"))
}

/// Keeps a client from calling.
pub(crate) async fn disable(
    State(app): State<Arc<App>>,
    origin: Origin,
    Extension(caller): Extension<Caller>,
    Of(id): Of<String>,
) -> Result<Response, No> {
    let changed = app.set_client_enabled(&caller.user.name, (&id, false), &origin);
    changed.await?;
    Ok(to_client(&id, "disabled"))
}

/// Lets a client call again.
pub(crate) async fn enable(
    State(app): State<Arc<App>>,
    origin: Origin,
    Extension(caller): Extension<Caller>,
    Of(id): Of<String>,
) -> Result<Response, No> {
    let changed = app.set_client_enabled(&caller.user.name, (&id, true), &origin);
    changed.await?;
    Ok(to_client(&id, "enabled"))
}

/// To the client's page, from the address of one of its forms.
pub(crate) async fn back(Of(id): Of<String>) -> Redirect {
    Redirect::to(&format!("/admin/clients/{}", in_path(&id)))
}

/// What the path is about; one that cannot be read is no page.
#[derive(Debug)]
pub(crate) struct Of<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Of<T> {
    type Rejection = No;

    async fn from_request_parts(head: &mut Parts, state: &S) -> Result<Self, No> {
        let path: Result<Path<T>, PathRejection> = Path::from_request_parts(head, state).await;
        let Path(named) = path.map_err(|_| No::unknown("There is no such page."))?;
        Ok(Self(named))
    }
}

/// What a page says of a refused form; what no form can mend is a page of its own.
pub(crate) fn told(no: No) -> Result<(StatusCode, Option<String>), No> {
    match no {
        No::Problem(status, _, detail) if status != StatusCode::NOT_FOUND => {
            Ok((status, Some(detail.into_owned())))
        }
        no => Err(no),
    }
}

/// On to a client's page, which says what was done.
pub(crate) fn to_client(id: &str, done: &str) -> Response {
    Redirect::to(&format!("/admin/clients/{}?{done}", in_path(id))).into_response()
}

/// As it stands in one segment of a path, or in a query.
pub(crate) fn in_path(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

struct Networks {
    lines: Vec<String>,
    field: Field,
}

impl Networks {
    /// One a line; an empty line is none.
    fn read(typed: &str) -> Self {
        let lines = typed.lines().map(str::trim).filter(|line| !line.is_empty());
        let lines: Vec<String> = lines.map(str::to_owned).collect();
        let field = Field::checked(typed, |_| networks(&lines));
        Self { lines, field }
    }
}

/// Whether a change would be answered by a question for a code.
fn code_due(app: &App, caller: &Caller, now: Timestamp) -> bool {
    let demand = app.step_up_demand();
    !demand.is_met_by(caller.session.factors(), now)
}

fn tiers(chosen: Tier) -> Vec<Choice> {
    let choice = |tier: Tier| Choice {
        name: tier.as_str(),
        words: tier_words(tier),
        chosen: tier == chosen,
    };
    Tier::ALL.into_iter().map(choice).collect()
}

const fn tier_words(tier: Tier) -> &'static str {
    match tier {
        Tier::Standard => "Standard",
        Tier::Premium => "Premium",
    }
}

const fn may_call(enabled: bool) -> Tag {
    let (class, words) = if enabled {
        ("good", "May call")
    } else {
        ("bad", "Disabled")
    };
    Tag { class, words }
}

fn notice(done: &str) -> Option<&'static str> {
    let said = match done {
        "registered" => "The client is registered. Give it a key.",
        "networks" => "The networks are saved, and count from the next call on.",
        "tier" => "The tier is saved.",
        "disabled" => "The client is disabled.",
        "enabled" => "The client may call again.",
        "made" => "The public key is registered.",
        "rotated" => "The new public key counts.",
        "ended" => "The one before is refused from now on.",
        "revoked" => "The key is revoked.",
        "forgotten" => "The key is off the list.",
        "unused" => "The API keys that nobody used are revoked.",
        "again" => AGAIN,
        _ => return None,
    };
    Some(said)
}

/// All but the unreserved characters of RFC 3986 §2.3, and the one in every e-mail address.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'@');
pub(crate) const AGAIN: &str =
    "Your code is taken. Nothing was changed before it: send the form once more.";
/// Each costs some looks at the store.
const MAX_CLIENTS: usize = 200;
const UNUSED_DAYS: &str = "90";
