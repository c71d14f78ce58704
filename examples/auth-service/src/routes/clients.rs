//! What administrators call for client applications and their keys.

use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use portcullis::core::Timestamp;
use portcullis::tower::Arrival;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{Content, No, private};
use crate::app::App;
use crate::caller::Caller;
use crate::clients::key::{ListedKey, State as KeyState};
use crate::clients::machines::{MadeKey, Wanted};
use crate::clients::secret::Form;
use crate::clients::{Client, Tier};
use crate::letters::Json;
use crate::origin::Origin;

/// Every client.
pub(crate) async fn clients(
    State(app): State<Arc<App>>,
    Extension(Arrival(now)): Extension<Arrival>,
) -> Result<Response, No> {
    let clients = app.machines.clients.list(now).await?;
    let clients: Vec<Value> = clients.iter().map(shown).collect();
    Ok(private(Json(json!({ "clients": clients }))))
}

/// One client with all its keys.
pub(crate) async fn client(
    State(app): State<Arc<App>>,
    Extension(Arrival(now)): Extension<Arrival>,
    Path(id): Path<String>,
) -> Result<Response, No> {
    let client = app.machines.client(&id, now).await?;
    let keys = app.machines.keys(&id, now).await?;
    let mut answer = shown(&client);
    if let Some(members) = answer.as_object_mut() {
        let counts =
            |key: &&ListedKey| matches!(key.state, KeyState::Active | KeyState::RotateSoon);
        let active = keys.iter().filter(counts).map(|key| Value::from(&*key.id));
        members.insert("active_keys".into(), active.collect());
        members.insert(
            "keys".into(),
            keys.iter().map(|key| key.to_json(now)).collect(),
        );
    }
    Ok(private(Json(answer)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewClient {
    client: String,
    tier: Tier,
    networks: Vec<String>,
}

/// Registers a client.
pub(crate) async fn register(
    State(app): State<Arc<App>>,
    origin: Origin,
    Extension(caller): Extension<Caller>,
    Content(new): Content<NewClient>,
) -> Result<Response, No> {
    let asked = (new.client.as_str(), new.tier, new.networks.as_slice());
    let client = app.register_client(&caller.user.name, asked, &origin);
    let client = client.await?;
    Ok(private((StatusCode::CREATED, Json(shown(&client)))))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Networks {
    networks: Vec<String>,
}

/// Says anew where a client may call from.
pub(crate) async fn set_networks(
    State(app): State<Arc<App>>,
    origin: Origin,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Content(new): Content<Networks>,
) -> Result<Response, No> {
    let asked = (id.as_str(), new.networks.as_slice());
    let client = app.set_networks(&caller.user.name, asked, &origin).await?;
    Ok(private(Json(shown(&client))))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tiered {
    tier: Tier,
}

/// Puts a client into another tier.
pub(crate) async fn set_tier(
    State(app): State<Arc<App>>,
    origin: Origin,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Content(new): Content<Tiered>,
) -> Result<Response, No> {
    let client = app.set_tier(&caller.user.name, (&id, new.tier), &origin);
    Ok(private(Json(shown(&client.await?))))
}

/// Keeps a client from calling.
pub(crate) async fn disable(
    State(app): State<Arc<App>>,
    origin: Origin,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, No> {
    let client = app.set_client_enabled(&caller.user.name, (&id, false), &origin);
    Ok(private(Json(shown(&client.await?))))
}

/// Lets a client call again.
pub(crate) async fn enable(
    State(app): State<Arc<App>>,
    origin: Origin,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, No> {
    let client = app.set_client_enabled(&caller.user.name, (&id, true), &origin);
    Ok(private(Json(shown(&client.await?))))
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum NewKey {
    ApiKey {
        label: String,
        #[serde(default)]
        scopes: Vec<String>,
    },
    SigningSecret {
        label: String,
        form: Form,
    },
    PublicKey {
        label: String,
        issuer: String,
        pem: String,
    },
}

impl NewKey {
    fn apart(self) -> (String, Wanted) {
        match self {
            Self::ApiKey { label, scopes } => (label, Wanted::ApiKey { scopes }),
            Self::SigningSecret { label, form } => (label, Wanted::SigningSecret { form }),
            Self::PublicKey { label, issuer, pem } => (label, Wanted::PublicKey { issuer, pem }),
        }
    }
}

/// Gives a client a key. What is secret of it is in this answer and nowhere else.
pub(crate) async fn create_key(
    State(app): State<Arc<App>>,
    origin: Origin,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Content(new): Content<NewKey>,
) -> Result<Response, No> {
    let (label, wanted) = new.apart();
    let made = app.create_key(&caller.user.name, (&id, &label), wanted, &origin);
    Ok(shown_once(&made.await?, StatusCode::CREATED, origin.now))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rotation {
    #[serde(default)]
    pem: Option<String>,
}

/// Puts a new key in the place of one that counts on through its grace.
pub(crate) async fn rotate_key(
    State(app): State<Arc<App>>,
    origin: Origin,
    Extension(caller): Extension<Caller>,
    Path((client, key)): Path<(String, String)>,
    Content(rotation): Content<Rotation>,
) -> Result<Response, No> {
    let (key, pem) = ((client.as_str(), key.as_str()), rotation.pem.as_deref());
    let made = app.rotate_key(&caller.user.name, key, pem, &origin);
    Ok(shown_once(&made.await?, StatusCode::OK, origin.now))
}

/// Ends the grace of the key before the present one.
pub(crate) async fn end_grace(
    State(app): State<Arc<App>>,
    origin: Origin,
    Extension(caller): Extension<Caller>,
    Path((client, key)): Path<(String, String)>,
) -> Result<StatusCode, No> {
    app.end_grace(&caller.user.name, (&client, &key), &origin)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Revokes a key.
pub(crate) async fn revoke_key(
    State(app): State<Arc<App>>,
    origin: Origin,
    Extension(caller): Extension<Caller>,
    Path((client, key)): Path<(String, String)>,
) -> Result<StatusCode, No> {
    app.revoke_key(&caller.user.name, (&client, &key), &origin)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a key that counts no more off the list.
pub(crate) async fn forget_key(
    State(app): State<Arc<App>>,
    origin: Origin,
    Extension(caller): Extension<Caller>,
    Path((client, key)): Path<(String, String)>,
) -> Result<StatusCode, No> {
    app.forget_key(&caller.user.name, (&client, &key), &origin)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Unused {
    days: u32,
}

/// Revokes the API keys that nobody used for that long.
pub(crate) async fn revoke_unused(
    State(app): State<Arc<App>>,
    origin: Origin,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Content(unused): Content<Unused>,
) -> Result<Response, No> {
    let revoked = app.revoke_unused(&caller.user.name, (&id, unused.days), &origin);
    Ok(private(Json(json!({ "revoked": revoked.await? }))))
}

fn shown(client: &Client) -> Value {
    json!({
        "client": client.id,
        "tier": client.tier.as_str(),
        "networks": client.networks,
        "enabled": client.enabled,
        "created_at": Timestamp::from_unix_nanos(client.created_at).to_string(),
    })
}

fn shown_once(made: &MadeKey, status: StatusCode, now: Timestamp) -> Response {
    let mut answer = listed(&made.listed, now);
    let text = made.secret.as_ref().map(|secret| secret.expose());
    if let (Some(members), Some(Ok(text))) = (answer.as_object_mut(), text.map(std::str::from_utf8))
    {
        members.insert("secret".into(), text.into());
    }
    private((status, Json(answer)).into_response())
}

fn listed(key: &ListedKey, now: Timestamp) -> Value {
    key.to_json(now)
}
