//! A verified access token, and whether its session lives.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, request};
use portcullis_core::{AnyStore, Reason, Timestamp};
use portcullis_jwt::{AccessToken, Verifier};
use portcullis_session::Sessions;
use serde::de::DeserializeOwned;

use crate::{Admitted, Gate, ProvenUser, Refusal};

/// Verifies the `Authorization: Bearer` token (RFC 6750 §2.1) and leaves an
/// [`AccessToken<C>`](AccessToken) in the extensions; with sessions also the
/// [`portcullis_session::Live`] session, for checks of its factors and its epoch.
///
/// A token in a query or a body is not looked at: those end in logs.
pub struct BearerGate<C> {
    verifier: Arc<Verifier>,
    sessions: Option<Arc<Sessions<AnyStore>>>,
    claims: PhantomData<fn() -> C>,
}

impl<C> BearerGate<C> {
    /// Admits a verified token only while its session lives: logged out means refused on the next
    /// request. Costs one look-up a request.
    #[must_use]
    pub fn of_sessions(
        verifier: impl Into<Arc<Verifier>>,
        sessions: Arc<Sessions<AnyStore>>,
    ) -> Self {
        Self {
            verifier: verifier.into(),
            sessions: Some(sessions),
            claims: PhantomData,
        }
    }

    /// Admits a verified token until it expires, revoked or not.
    #[must_use]
    pub fn stateless(verifier: impl Into<Arc<Verifier>>) -> Self {
        Self {
            verifier: verifier.into(),
            sessions: None,
            claims: PhantomData,
        }
    }
}

impl<C> Clone for BearerGate<C> {
    fn clone(&self) -> Self {
        Self {
            verifier: Arc::clone(&self.verifier),
            sessions: self.sessions.clone(),
            claims: PhantomData,
        }
    }
}

impl<C> fmt::Debug for BearerGate<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerGate")
            .field("of_sessions", &self.sessions.is_some())
            .finish()
    }
}

impl<C: DeserializeOwned + Clone + Send + Sync + 'static> Gate for BearerGate<C> {
    type Pass = Admitted;

    async fn admit(&self, head: &mut request::Parts, now: Timestamp) -> Result<Admitted, Refusal> {
        let token = bearer_token(&head.headers)?;
        let token: AccessToken<C> = self
            .verifier
            .verify(token, now)
            .map_err(|error| Refusal::new(error.reason()))?;
        let registered = token.registered();
        let proven = ProvenUser::new(&registered.sub, registered.sid.as_deref());
        head.extensions.insert(proven);
        if let Some(sessions) = &self.sessions {
            let live = sessions
                .admit(&token, now)
                .await
                .map_err(|error| Refusal::new(error.reason()))?;
            head.extensions.insert(live);
        }
        head.extensions.insert(token);
        Ok(Admitted)
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.sessions {
            Some(_) => "bearer token of a live session",
            None => "bearer token",
        })
    }
}

/// The one `Authorization: Bearer` token of a request (RFC 6750 §2.1), unverified; for gates of one's own.
///
/// # Errors
/// [`Reason::CredentialsMissing`] without one, [`Reason::BadRequest`] with two, and
/// [`Reason::TokenMalformed`] for bytes that are no text.
pub fn bearer_token(headers: &HeaderMap) -> Result<&str, Refusal> {
    bearer(headers).map_err(unread)
}

/// A request with two credentials is not a request without any: its challenge names the error (RFC
/// 6750 §3.1).
fn unread(reason: Reason) -> Refusal {
    let refusal = Refusal::new(reason);
    match reason {
        Reason::BadRequest => refusal.header(WWW_AUTHENTICATE, INVALID_REQUEST),
        _ => refusal,
    }
}

const INVALID_REQUEST: HeaderValue =
    HeaderValue::from_static("Bearer realm=\"portcullis\", error=\"invalid_request\"");

/// The one token of the one `Authorization` header. Two headers are refused: which of them counts
/// is what a proxy and a service would disagree about.
fn bearer(headers: &HeaderMap) -> Result<&str, Reason> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let Some(first) = given.next() else {
        return Err(Reason::CredentialsMissing);
    };
    if given.next().is_some() {
        return Err(Reason::BadRequest);
    }
    let text = first.to_str().map_err(|_| Reason::TokenMalformed)?;
    let (scheme, token) = text.split_once(' ').ok_or(Reason::CredentialsMissing)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Reason::CredentialsMissing);
    }
    if token.is_empty() {
        Err(Reason::CredentialsMissing)
    } else {
        Ok(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(values: &[&'static str]) -> Result<String, Reason> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_static(value));
        }
        bearer(&headers).map(str::to_owned)
    }

    #[test]
    fn only_one_header_with_one_bearer_token_is_read() {
        let cases: [(&[&'static str], Result<&str, Reason>); 7] = [
            (&[], Err(Reason::CredentialsMissing)),
            (&["Bearer"], Err(Reason::CredentialsMissing)),
            (&["Bearer "], Err(Reason::CredentialsMissing)),
            (&["Basic YTpi"], Err(Reason::CredentialsMissing)),
            (&["Bearer a.b.c", "Bearer d.e.f"], Err(Reason::BadRequest)),
            (&["bearer a.b.c"], Ok("a.b.c")),
            // A second space belongs to the token, which the verifier then refuses.
            (&["Bearer  a.b.c"], Ok(" a.b.c")),
        ];
        for (values, expected) in cases {
            assert_eq!(given(values), expected.map(str::to_owned), "{values:?}");
        }
    }
}
