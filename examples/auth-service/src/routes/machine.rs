//! What client applications call.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::Response;
use axum::routing::{get, post};
use data_encoding::HEXLOWER;
use portcullis::audit::Action;
use portcullis::core::Reason;
use portcullis::hmac_signing::{CanonicalLines, Component, Policy, Scheme, TimestampBody, V1};
use portcullis::jwt::Subject;
use portcullis::tower::{Arrival, Gated, Routes, SignatureLayer};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{BODY_BYTES, CLOCK};
use crate::answer::{No, Raw, private};
use crate::app::App;
use crate::clients::bearer::{ApiKeyGate, ClientTokenGate, KeyHolder};
use crate::clients::caller::ClientCaller;
use crate::clients::limit::ClientLimitGate;
use crate::clients::secret::Form;
use crate::clients::signed::{ClientSecrets, SignedClientGate};
use crate::letters::Json;
use crate::opening::Fault;
use crate::origin::Origin;
use crate::pages::Limited;
use crate::site;

/// The routes, behind `door`: the address, then a limit of it.
///
/// Who calls is proved next, the client's registered addresses before any key; then each client has its own
/// limit.
///
/// # Errors
/// What is wrong with the limits, the audience or the origin.
pub(crate) fn routes(app: &Arc<App>, door: Limited) -> Result<Routes<Arc<App>>, Fault> {
    let limit = ClientLimitGate::new(&app.settings.clients)?;
    let keyed = door.clone().token(ApiKeyGate(Arc::clone(app)));
    let token = super::routes()
        .pending("/v1/token", post(token))
        .cover(keyed.check(limit.clone()));
    let bearer = door.clone().token(ClientTokenGate(Arc::clone(app)));
    let proven = super::routes()
        .pending("/v1/client/me", get(me))
        .pending("/v1/client/echo", post(echo))
        .cover(bearer.check(limit.clone()));
    let signed = Signed {
        app: Arc::clone(app),
        door,
        limit,
    };
    let audience = &app.settings.clients.audience;
    let whole = super::routes()
        .pending("/v1/signed/me", get(me))
        .pending("/v1/signed/echo", post(echo));
    let lines = super::routes().pending("/v1/lines/echo", post(echo));
    let lines_scheme = CanonicalLines::new(&site::origin(&app.settings))?;
    // The path of a webhook is not signed: there is one.
    let webhook = super::routes().pending("/v1/webhook", post(echo));
    Ok(token
        .merge(proven)
        .merge(signed.layered(whole, V1::new(audience)?, Form::V1, WHOLE)?)
        .merge(signed.layered(lines, lines_scheme, Form::CanonicalLines, LINES)?)
        .merge(signed.layered(
            webhook,
            TimestampBody::named_by_header(),
            Form::TimestampBody,
            BODY,
        )?))
}

/// What routes for signed requests stand behind.
struct Signed {
    app: Arc<App>,
    door: Limited,
    limit: ClientLimitGate,
}

impl Signed {
    fn layered<S: Scheme>(
        &self,
        routes: Routes<Arc<App>>,
        scheme: S,
        form: Form,
        covered: &[Component],
    ) -> Result<Routes<Arc<App>>, Fault> {
        let settings = &self.app.settings.clients;
        let policy = Policy::requiring(covered)
            .skew_secs(settings.signature_skew_secs)?
            .body_limit_bytes(BODY_BYTES)?;
        let verifier = portcullis::hmac_signing::Verifier::new(scheme, policy)?;
        let secrets = ClientSecrets {
            app: Arc::clone(&self.app),
            form,
        };
        let replays = Arc::clone(&self.app.machines.replays);
        let signature = SignatureLayer::new(verifier, secrets, replays, CLOCK);
        let client = (Gated::by(SignedClientGate), Gated::by(self.limit.clone()));
        Ok(routes.cover((self.door.clone(), signature, client)))
    }
}

const WHOLE: &[Component] = Component::ALL;
const LINES: &[Component] = &[
    Component::Method,
    Component::Authority,
    Component::Path,
    Component::Query,
    Component::Body,
];
const BODY: &[Component] = &[Component::Body];

/// An access token for an API key. There is no refresh token: the key is shown again for the next one.
pub(crate) async fn token(
    State(app): State<Arc<App>>,
    origin: Origin,
    Extension(holder): Extension<KeyHolder>,
) -> Result<Response, No> {
    let claims = &holder.claims;
    let event = origin.event(Action::ClientLogin);
    let event = event
        .client_system(&claims.client_id)
        .target(&claims.key_id);
    app.record(event).await?;
    let life = app.settings.access_token_life();
    let subject = Subject::new(&claims.client_id);
    let signed = app.machines.signer.sign(claims, subject, origin.now, life);
    let mut answer = json!({
        "access_token": signed.map_err(|_| Reason::Internal)?,
        "token_type": "Bearer",
        "expires_in": life.as_secs(),
        "scope": claims.scope,
    });
    if let (Some(by), Some(members)) = (holder.rotate_by, answer.as_object_mut()) {
        let warning = format!("The key ends at {by}: rotate it before.");
        members.insert("warning".into(), warning.into());
    }
    Ok(private(Json(answer)))
}

/// Who the service takes the caller for.
pub(crate) async fn me(
    Extension(Arrival(now)): Extension<Arrival>,
    Extension(caller): Extension<ClientCaller>,
) -> Response {
    private(Json(json!({
        "client": caller.client.id,
        "tier": caller.client.tier.as_str(),
        "key": caller.key,
        "proof": caller.proof,
        "scopes": caller.scopes,
        "now": now.to_string(),
    })))
}

/// What the service received, for whoever writes a client: the body's length and digest.
pub(crate) async fn echo(
    Extension(caller): Extension<ClientCaller>,
    Raw(body): Raw,
) -> Result<Response, No> {
    caller.require_scope("echo")?;
    Ok(private(Json(json!({
        "client": caller.client.id,
        "proof": caller.proof,
        "bytes": body.len(),
        "sha256": HEXLOWER.encode(&Sha256::digest(&body)),
    }))))
}
