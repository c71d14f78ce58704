//! Who a token spoke for, for those who stand outside.

use std::fmt;
use std::sync::Arc;

use http::Extensions;
use portcullis_ip_list::ClientAddress;

/// In a request's extensions behind a [`crate::BearerGate`], and in those of a refused response: whose
/// token was verified, also when a later check refused it.
#[derive(Clone, PartialEq, Eq)]
pub struct ProvenUser {
    user: Arc<str>,
    session: Option<Arc<str>>,
}

impl ProvenUser {
    pub(crate) fn new(user: &str, session: Option<&str>) -> Self {
        Self {
            user: user.into(),
            session: session.map(Into::into),
        }
    }

    /// The token's subject.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The session that the token belongs to.
    #[must_use]
    pub fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }
}

impl fmt::Debug for ProvenUser {
    /// Nothing of the user's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProvenUser(..)")
    }
}

/// In a request's extensions: the client application that it says it is of, for log and audit. A claim
/// until a proof stands beside it; nothing is decided by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedClient(Arc<str>);

impl NamedClient {
    /// The client of that name or id.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// What the client is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// In a request's extensions: the key that it names, by its id, for log and audit. A claim as
/// [`NamedClient`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedKey(Arc<str>);

impl NamedKey {
    /// The key of that id.
    #[must_use]
    pub fn new(id: &str) -> Self {
        Self(id.into())
    }

    /// The key's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0
    }
}

/// What the gates learned of a request, carried to its refusal: whoever records that stands outside
/// and sees the response alone.
#[derive(Clone)]
pub(crate) struct Known {
    client: Option<ClientAddress>,
    proven: Option<ProvenUser>,
    named: Option<NamedClient>,
    key: Option<NamedKey>,
}

impl Known {
    pub(crate) fn of(request: &Extensions) -> Self {
        Self {
            client: request.get().copied(),
            proven: request.get().cloned(),
            named: request.get().cloned(),
            key: request.get().cloned(),
        }
    }

    /// Tells it to a response, save what that says already.
    pub(crate) fn tell(self, response: &mut Extensions) {
        if let Some(client) = self.client {
            response.get_or_insert_with(|| client);
        }
        if let Some(proven) = self.proven {
            response.get_or_insert_with(|| proven);
        }
        if let Some(named) = self.named {
            response.get_or_insert_with(|| named);
        }
        if let Some(key) = self.key {
            response.get_or_insert_with(|| key);
        }
    }
}
