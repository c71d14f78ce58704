//! Where a request came from and when, for its events.

use axum::extract::FromRequestParts;
use http::header::USER_AGENT;
use http::request::Parts;
use portcullis::audit::{Action, Event};
use portcullis::core::{Reason, Timestamp};
use portcullis::ip_list::ClientAddress;
use portcullis::sign_in;
use portcullis::tower::{Arrival, RequestId};

use crate::answer::No;

/// What the gates and the client said about a request.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// The request's one instant.
    pub(crate) now: Timestamp,
    pub(crate) client: ClientAddress,
    request_id: String,
    /// The client's own name for itself; the audit log bounds and escapes it.
    user_agent: String,
}

impl Origin {
    /// An event of this request.
    pub(crate) fn event(&self, action: Action) -> Event {
        let event = Event::new(action, self.now)
            .address(self.client.ip(), self.client.source().as_str())
            .request_id(&self.request_id);
        if self.user_agent.is_empty() {
            return event;
        }
        event.user_agent(&self.user_agent)
    }

    /// The same for what is said to sign in, from that client application.
    pub(crate) fn of(&self, client_system: Option<&str>) -> sign_in::Origin {
        sign_in::Origin::new()
            .address(self.client.ip(), self.client.source().as_str())
            .user_agent(&self.user_agent)
            .client_system(client_system.unwrap_or_default())
            .request_id(&self.request_id)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Origin {
    type Rejection = No;

    async fn from_request_parts(head: &mut Parts, _state: &S) -> Result<Self, No> {
        let known = &head.extensions;
        let (now, client, id) = (
            known.get::<Arrival>(),
            known.get::<ClientAddress>(),
            known.get::<RequestId>(),
        );
        let (Some(Arrival(now)), Some(client), Some(id)) = (now, client, id) else {
            // A route outside the gates: put together wrongly.
            return Err(No::from(Reason::Internal));
        };
        let agent = head.headers.get(USER_AGENT);
        // As the gates record it: what is no ASCII is evidence, too.
        let agent = agent.map(|agent| String::from_utf8_lossy(agent.as_bytes()).into_owned());
        Ok(Self {
            now: *now,
            client: *client,
            request_id: id.to_string(),
            user_agent: agent.unwrap_or_default(),
        })
    }
}

#[cfg(test)]
impl Origin {
    /// That of no request.
    #[allow(clippy::unwrap_used, reason = "tests")]
    pub(crate) fn of_nobody(now: Timestamp) -> Self {
        let proxies = portcullis::ip_list::TrustedProxies::none();
        let client = proxies.client_address([127, 0, 0, 1].into(), []);
        Self {
            now,
            client: client.unwrap(),
            request_id: "none".into(),
            user_agent: String::new(),
        }
    }
}
