//! The three forms that make a key of a client application, and the page that shows its secret once.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::Response;
use http::StatusCode;
use portcullis::api_key::{self, Environment};
use portcullis::jwt::RsaPublicKey;
use serde::Deserialize;

use super::client_view::{Field, NewKeyForms, SecretPage};
use super::clients::{Of, client_page, to_client, told};
use super::form::{Fields, Typed};
use super::key_rows::{counting_before, form_of, forms};
use super::once;
use super::page::{Around, page, page_at};
use super::view::Here;
use super::words;
use crate::answer::No;
use crate::app::App;
use crate::caller::Caller;
use crate::clients::key::{self, Kind};
use crate::clients::machines::{MadeKey, Wanted};
use crate::clients::public_key;
use crate::clients::secret::Form;
use crate::origin::Origin;

#[derive(Deserialize)]
pub(crate) struct NewKey {
    kind: NewKind,
    once: String,
    label: String,
    #[serde(default)]
    scopes: String,
    form: Option<Form>,
    #[serde(default)]
    issuer: String,
    pem: Option<Typed>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum NewKind {
    ApiKey,
    SigningSecret,
    PublicKey,
}

/// Gives a client a key. What is secret of it is in this page and nowhere else.
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    origin: Origin,
    around: Around,
    Extension(caller): Extension<Caller>,
    Of(id): Of<String>,
    Fields(new): Fields<NewKey>,
) -> Result<Response, No> {
    let (typed, wanted) = new.read(app.machines.settings.api_key_environment);
    let (status, alert) = match wanted {
        None => (StatusCode::BAD_REQUEST, None),
        Some(_) if !once::first_sent(&app, &new.once, origin.now).await? => {
            (StatusCode::CONFLICT, Some(SENT_BEFORE.to_owned()))
        }
        Some(wanted) => {
            let key = (id.as_str(), new.label.trim());
            match app
                .create_key(&caller.user.name, key, wanted, &origin)
                .await
            {
                Ok(made) => return Ok(shown_once(around, &id, (&made, Made::New), &origin)),
                Err(no) => told(no)?,
            }
        }
    };
    let mut again = client_page(&app, around, (&caller, &origin), &id).await?;
    // A number of its own: the one before may be used up.
    again.new = NewKeyForms {
        once: again.new.once,
        ..typed
    };
    again.alert = alert;
    Ok(page_at(status, &again))
}

impl NewKey {
    /// The forms as they were filled, and what is wanted by the one that was sent, if nothing is wrong
    /// with it.
    fn read(&self, environment: Environment) -> (NewKeyForms, Option<Wanted>) {
        let mut typed = NewKeyForms {
            forms: forms(self.form),
            ..NewKeyForms::default()
        };
        let label = self.label.trim();
        let wanted = match self.kind {
            NewKind::ApiKey => {
                typed.api_label = Field::checked(label, |label| api_label(label, environment));
                typed.scopes = Field::checked(self.scopes.trim(), |text| scopes(text, environment));
                let sound = typed.api_label.is_sound() && typed.scopes.is_sound();
                sound.then(|| Wanted::ApiKey {
                    scopes: self.scopes.split_whitespace().map(str::to_owned).collect(),
                })
            }
            NewKind::SigningSecret => {
                typed.signing_label = Field::checked(label, key::label);
                let form = self.form.filter(|_| typed.signing_label.is_sound());
                form.map(|form| Wanted::SigningSecret { form })
            }
            NewKind::PublicKey => {
                typed.public_label = Field::checked(label, key::label);
                typed.issuer = Field::checked(self.issuer.trim(), public_key::issuer);
                typed.pem = public_pem(self.pem.as_ref());
                let fields = [&typed.public_label, &typed.issuer, &typed.pem];
                let sound = fields.into_iter().all(Field::is_sound);
                sound.then(|| Wanted::PublicKey {
                    issuer: typed.issuer.value.clone(),
                    pem: typed.pem.value.clone(),
                })
            }
        };
        (typed, wanted)
    }
}

fn api_label(text: &str, environment: Environment) -> Result<(), String> {
    key::label(text)?;
    api_key::NewKey::new(text, environment)
        .map(drop)
        .map_err(|error| said(&error))
}

fn scopes(text: &str, environment: Environment) -> Result<(), String> {
    let mut key = api_key::NewKey::new("label", environment).map_err(|error| said(&error))?;
    for scope in text.split_whitespace() {
        key = key.scope(scope).map_err(|error| said(&error))?;
    }
    Ok(())
}

/// A public key as it was pasted. What is none is not kept in the field: it may be the private one.
pub(crate) fn public_pem(typed: Option<&Typed>) -> Field {
    let text = typed.map_or("", Typed::text).trim();
    match RsaPublicKey::from_pem(text) {
        Ok(_) => Field {
            value: text.to_owned(),
            fault: None,
        },
        Err(error) => Field {
            value: String::new(),
            fault: Some(said(&error)),
        },
    }
}

fn said(error: &impl ToString) -> String {
    format!("{}.", words::sentence(&error.to_string()))
}

/// How a key came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Made {
    New,
    Rotated,
}

/// The secret, in this page alone; where there is none to show, on to the client's.
pub(crate) fn shown_once(
    around: Around,
    client: &str,
    (made, how): (&MadeKey, Made),
    origin: &Origin,
) -> Response {
    let key = &made.listed;
    let Some(secret) = &made.secret else {
        let done = if how == Made::New { "made" } else { "rotated" };
        return to_client(client, done);
    };
    let signing = key.kind == Kind::SigningSecret;
    let before = counting_before(key, origin.now).map(words::minute);
    page(&SecretPage {
        frame: around.frame(Here::Clients),
        client: client.to_owned(),
        title: match (signing, how) {
            (false, Made::New) => "Your new API key",
            (false, Made::Rotated) => "The API key, rotated",
            (true, Made::New) => "Your new signing secret",
            (true, Made::Rotated) => "The signing secret, rotated",
        },
        notice: before.map(|until| format!("The one before counts until {} UTC.", until.words)),
        // Made as text.
        secret: std::str::from_utf8(secret.expose()).unwrap_or_default(),
        label: words::visible(&key.label),
        key_id: signing.then(|| key.id.clone()),
        variable: variable(client, signing),
        how: match form_of(key).filter(|_| signing) {
            None => BY_TOKEN,
            Some(Form::V1) => BY_V1,
            Some(Form::TimestampBody) => BY_BODY,
            Some(Form::CanonicalLines) => BY_LINES,
        },
    })
}

/// What a client reads it from: a prefix of its own, and what it is.
fn variable(client: &str, signing: bool) -> String {
    let prefix = client.to_ascii_uppercase().replace('-', "_");
    let what = if signing { "API_SECRET" } else { "API_KEY" };
    format!("{prefix}_{what}")
}

pub(crate) const SENT_BEFORE: &str = "This form was sent before, and what it asked for is not done twice. \
                                      If the key is in the list and its secret is lost, rotate it.";
const BY_TOKEN: &str = "The client sends it in X-API-Key to POST /v1/token, and calls with the token that \
                        it is given there.";
const BY_V1: &str = "Calls to /v1/signed are signed with it, over the whole request; its characters, as they \
                     stand, are the key's bytes. docs/signing.md has the format, and signers to copy.";
const BY_BODY: &str = "Calls to /v1/webhook are signed with it, over the timestamp and the body; its characters, \
                       as they stand, are the key's bytes. docs/signing.md has the format, and signers to copy.";
const BY_LINES: &str = "Calls to /v1/lines are signed with it, over method, address and body in lines; its \
                        characters, as they stand, are the key's bytes. docs/signing.md has the format.";
