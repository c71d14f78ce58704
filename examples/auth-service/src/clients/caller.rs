//! Which client calls, proved.

use std::net::IpAddr;

use http::{Extensions, request};
use portcullis::core::{Reason, Timestamp};
use portcullis::ip_list::ClientAddress;
use portcullis::tower::{NamedClient, Refusal};
use serde::{Deserialize, Serialize};

use super::Client;
use super::machines::Machines;
use crate::answer::No;
use crate::records::RecordError;

/// The client application behind a request whose gate admitted it, in its extensions.
#[derive(Clone, Debug)]
pub(crate) struct ClientCaller {
    pub(crate) client: Client,
    /// Which of its keys was used.
    pub(crate) key: String,
    /// What it was proved by.
    pub(crate) proof: &'static str,
    /// What an API key was given; a key that signs has no scopes and may do what its client may.
    pub(crate) scopes: Option<Vec<String>>,
}

impl ClientCaller {
    /// # Errors
    /// [`Reason::ScopeMissing`].
    pub(crate) fn require_scope(&self, scope: &str) -> Result<(), Reason> {
        let lacks = |scopes: &Vec<String>| !scopes.iter().any(|held| held == scope);
        if self.scopes.as_ref().is_some_and(lacks) {
            return Err(Reason::ScopeMissing);
        }
        Ok(())
    }
}

/// What an access token of a client says beyond the standard's claims (RFC 9068 §2.2).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ClientClaims {
    pub(crate) client_id: String,
    pub(crate) key_id: String,
    /// Which secret of the key was shown: a token ends with it.
    pub(crate) secret: String,
    pub(crate) scope: String,
}

impl Machines {
    /// The client that a request says it is of, if that one may call from where the request came: asked
    /// before anything is proved. Its name stands in the extensions for the log.
    pub(crate) async fn named(
        &self,
        id: &str,
        head: &mut request::Parts,
        now: Timestamp,
    ) -> Result<Client, Refusal> {
        head.extensions.insert(NamedClient::new(id));
        let address = address(&head.extensions)?;
        let found = self.clients.get(id, now).await.map_err(refusal)?;
        let client = found.ok_or(Reason::ClientUnknown)?;
        if !client.may_call_from(address) {
            return Err(Refusal::new(Reason::ClientAddressRefused));
        }
        Ok(client)
    }
}

/// The client's address, as the address gate told it.
pub(crate) fn address(extensions: &Extensions) -> Result<IpAddr, Refusal> {
    let client = extensions.get::<ClientAddress>();
    // Without an address gate before it this was put together wrongly.
    Ok(client.ok_or(Reason::Internal)?.ip())
}

/// What a gate answers where a record could not be read.
pub(crate) fn refusal(error: RecordError) -> Refusal {
    match No::from(error) {
        No::Refused(refusal) => refusal,
        No::Problem(..) => Refusal::new(Reason::Internal),
    }
}
