//! Clients that sign their requests.

use std::fmt;
use std::sync::Arc;

use http::request;
use portcullis::core::{Reason, Timestamp};
use portcullis::hmac_signing::{KeyId, Secrets, SignedRequest};
use portcullis::tower::{Admitted, Gate, NamedKey, Refusal, SecretDirectory};

use super::Client;
use super::bearer::{counts, enabled};
use super::caller::{ClientCaller, refusal};
use super::key::State;
use super::owned::OwnedKey;
use super::secret::Form;
use crate::app::App;

/// The secrets of clients that sign in one form. Asked before the signature is looked at, and so where the
/// client's address is checked.
#[derive(Clone)]
pub(crate) struct ClientSecrets {
    pub(crate) app: Arc<App>,
    pub(crate) form: Form,
}

impl fmt::Debug for ClientSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientSecrets({:?})", self.form)
    }
}

/// The client whose key a request names, and how that key stands; proved once the signature holds.
#[derive(Clone)]
struct Claimed(Client, State);

impl SecretDirectory for ClientSecrets {
    async fn find(
        &self,
        key_id: &KeyId,
        head: &mut request::Parts,
        now: Timestamp,
    ) -> Result<Option<Secrets>, Refusal> {
        let machines = &self.app.machines;
        head.extensions.insert(NamedKey::new(key_id.as_str()));
        let found = machines.secrets.keys.get(key_id.as_str(), now).await;
        let Some(held) = found
            .map_err(refusal)?
            .filter(|held| held.form == self.form)
        else {
            return Ok(None);
        };
        let client = machines.named(&held.client, head, now).await?;
        // Told after the signature, to whoever holds the secret: by bytes and by time a key that counts no
        // more is to everybody else one whose signature is wrong.
        let state = held.life(machines.settings.max_age()).state(now);
        head.extensions.insert(Claimed(client, state));
        let secrets = machines.secrets.open(&held);
        Ok(Some(secrets.map_err(|_| Reason::Internal)?))
    }
}

/// Admits what a signature layer before it verified, of a key and a client that count, and leaves a [`ClientCaller`] in the extensions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SignedClientGate;

impl Gate for SignedClientGate {
    type Pass = Admitted;

    async fn admit(&self, head: &mut request::Parts, _now: Timestamp) -> Result<Admitted, Refusal> {
        let signed = head.extensions.get::<SignedRequest>();
        let claimed = head.extensions.get::<Claimed>();
        // Without a signature layer before it this was put together wrongly.
        let (Some(signed), Some(Claimed(client, state))) = (signed, claimed) else {
            return Err(Refusal::new(Reason::Internal));
        };
        counts(*state)?;
        enabled(client.enabled)?;
        let caller = ClientCaller {
            client: client.clone(),
            key: signed.key_id().as_str().to_owned(),
            proof: "signature",
            scopes: None,
        };
        head.extensions.insert(caller);
        Ok(Admitted)
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("client in good standing")
    }
}
