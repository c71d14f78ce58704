//! Clients that show a token: one that the service gave them for an API key, or one that they signed
//! themselves.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, request};
use portcullis::api_key::ApiKey;
use portcullis::core::{Reason, Timestamp};
use portcullis::jwt::{self, Begun, NoClaims};
use portcullis::tower::{Admitted, Gate, NamedKey, Refusal, bearer_token};

use super::caller::{ClientCaller, ClientClaims, refusal};
use super::key::State;
use super::owned::OwnedKey;
use crate::app::App;

/// Admits a client's token and leaves a [`ClientCaller`] in the extensions.
///
/// Which of the two a token is, its header says; each is then checked in every respect as the one it says
/// it is, under keys that the other kind has no part in.
#[derive(Clone)]
pub(crate) struct ClientTokenGate(pub(crate) Arc<App>);

impl fmt::Debug for ClientTokenGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientTokenGate")
    }
}

impl Gate for ClientTokenGate {
    type Pass = Admitted;

    async fn admit(&self, head: &mut request::Parts, now: Timestamp) -> Result<Admitted, Refusal> {
        let token = bearer_token(&head.headers)?.to_owned();
        let caller = match self.0.machines.assertions.begin(&token) {
            Ok(begun) => self.assertion(begun, head, now).await?,
            Err(jwt::Error::Algorithm | jwt::Error::Kind) => {
                self.access_token(&token, head, now).await?
            }
            Err(error) => return Err(Refusal::new(error.reason())),
        };
        head.extensions.insert(caller);
        Ok(Admitted)
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("client's bearer token")
    }
}

impl ClientTokenGate {
    /// A token that the client signed under its registered key.
    async fn assertion(
        &self,
        begun: Begun<'_>,
        head: &mut request::Parts,
        now: Timestamp,
    ) -> Result<ClientCaller, Refusal> {
        let machines = &self.0.machines;
        let issuer = begun.issuer().to_owned();
        head.extensions.insert(NamedKey::new(&issuer));
        let found = machines.public_keys.keys.get(&issuer, now).await;
        let held = found.map_err(refusal)?.ok_or(Reason::ClientUnknown)?;
        let client = machines.named(&held.client, head, now).await?;
        let keys = machines.public_keys.open(&held, now).map_err(refusal)?;
        let verified = begun.verify::<NoClaims>(&keys, now);
        verified.map_err(|error| Refusal::new(error.reason()))?;
        // Told to whoever holds the key alone.
        counts(held.life(machines.settings.max_age()).state(now))?;
        enabled(client.enabled)?;
        Ok(ClientCaller {
            client,
            key: issuer,
            proof: "public_key",
            scopes: None,
        })
    }

    /// A token that the service gave for an API key, which must still count.
    async fn access_token(
        &self,
        token: &str,
        head: &mut request::Parts,
        now: Timestamp,
    ) -> Result<ClientCaller, Refusal> {
        let machines = &self.0.machines;
        let verified = machines.verifier.verify::<ClientClaims>(token, now);
        let verified = verified.map_err(|error| Refusal::new(error.reason()))?;
        let claims = verified.claims();
        head.extensions.insert(NamedKey::new(&claims.key_id));
        let client = machines.named(&claims.client_id, head, now).await?;
        let id = claims.key_id.parse().map_err(|_| Reason::TokenInvalid)?;
        let standing = machines.api_keys.standing(id, now).await;
        let info = standing.map_err(|error| Refusal::new(error.reason()))?;
        if info.owner != client.id {
            return Err(Refusal::new(Reason::TokenInvalid));
        }
        let secret = claims.secret.parse().map_err(|_| Reason::TokenInvalid)?;
        if !info.counts_for(secret) {
            return Err(Refusal::new(Reason::TokenRevoked));
        }
        enabled(client.enabled)?;
        Ok(ClientCaller {
            client,
            key: claims.key_id.clone(),
            proof: "api_key",
            scopes: Some(claims.scope.split_whitespace().map(str::to_owned).collect()),
        })
    }
}

/// A client and its API key, proved; in the extensions of a request that an [`ApiKeyGate`] admitted.
#[derive(Clone, Debug)]
pub(crate) struct KeyHolder {
    pub(crate) claims: ClientClaims,
    /// Until when the key must be rotated, if that is soon.
    pub(crate) rotate_by: Option<Timestamp>,
}

/// Admits a client that shows an API key in `X-API-Key`: its address first, then the key. Leaves a
/// [`KeyHolder`] and a [`ClientCaller`] in the extensions.
#[derive(Clone)]
pub(crate) struct ApiKeyGate(pub(crate) Arc<App>);

impl fmt::Debug for ApiKeyGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKeyGate")
    }
}

impl Gate for ApiKeyGate {
    type Pass = Admitted;

    async fn admit(&self, head: &mut request::Parts, now: Timestamp) -> Result<Admitted, Refusal> {
        let machines = &self.0.machines;
        let key = ApiKey::parse(sole(&head.headers, &API_KEY)?);
        let key = key.map_err(|error| Refusal::new(error.reason()))?;
        head.extensions.insert(NamedKey::new(&key.id().to_string()));
        let owner = machines.api_keys.owner(key.id(), now).await;
        let client = match owner.map_err(|error| Refusal::new(error.reason()))? {
            Some(owner) => Some(machines.named(&owner, head, now).await?),
            // Nobody's: what follows costs what it costs for a key that is there.
            None => None,
        };
        let proof = machines.api_keys.verify(&key, now).await;
        let proof = proof.map_err(|error| Refusal::new(error.reason()))?;
        let client = client.ok_or(Reason::KeyUnknown)?;
        enabled(client.enabled)?;
        head.extensions.insert(KeyHolder {
            claims: ClientClaims {
                client_id: client.id.clone(),
                key_id: proof.key_id().to_string(),
                secret: proof.secret_tag().to_string(),
                scope: proof.scopes().join(" "),
            },
            rotate_by: proof.rotate_by(),
        });
        head.extensions.insert(ClientCaller {
            client,
            key: proof.key_id().to_string(),
            proof: "api_key",
            scopes: Some(proof.scopes().to_vec()),
        });
        Ok(Admitted)
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("client's API key")
    }
}

/// The one value of a header.
fn sole<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a str, Refusal> {
    let mut given = headers.get_all(name).iter();
    let first = given.next().ok_or(Reason::CredentialsMissing)?;
    if given.next().is_some() {
        return Err(Refusal::new(Reason::BadRequest));
    }
    first
        .to_str()
        .map_err(|_| Refusal::new(Reason::KeyMalformed))
}

pub(crate) fn counts(state: State) -> Result<(), Refusal> {
    match state {
        State::Active | State::RotateSoon => Ok(()),
        State::Expired => Err(Refusal::new(Reason::KeyExpired)),
        State::Revoked => Err(Refusal::new(Reason::KeyRevoked)),
    }
}

pub(crate) fn enabled(enabled: bool) -> Result<(), Refusal> {
    if enabled {
        return Ok(());
    }
    Err(Refusal::new(Reason::ClientDisabled))
}

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
