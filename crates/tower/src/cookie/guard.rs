//! Each request's cookie, token and session, in order; and the cookie of its response.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, SET_COOKIE};
use http::{HeaderName, HeaderValue, request, response};
use http_body::Body;
use portcullis_core::{AnyStore, Clock, EntropyUnavailable, Reason, Timestamp, entropy};
use portcullis_session::{Error as SessionError, Live, SessionId, Sessions};

use super::change::set_cookie;
use super::form;
use super::request::{cookie, is_safe, same_origin, sole};
use super::token::{Holder, Keyed};
use crate::body::{READ, ReadBody, read};
use crate::{CookieChange, ProvenUser, Refusal, Site};

/// What every clone of the layer and its services shares.
#[derive(Clone)]
pub(crate) struct Guard {
    pub(crate) sessions: Arc<Sessions<AnyStore>>,
    pub(crate) keyed: Arc<Keyed>,
    pub(crate) site: Site,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) form_limit_bytes: usize,
}

/// Whose browser a request came from, until its response has gone.
pub(crate) struct Visit {
    holder: Holder,
    /// Whether the browser has no cookie of that holder yet.
    is_new: bool,
}

impl Guard {
    /// Cheap refusals first: the head, then the store, then the body.
    pub(crate) async fn admit<B>(
        &self,
        head: &mut request::Parts,
        body: B,
        now: Timestamp,
    ) -> Result<(Visit, ReadBody<B>), Refusal>
    where
        B: Body<Data = Bytes>,
    {
        let changes = !is_safe(&head.method);
        if changes {
            same_origin(&head.headers, &self.site)?;
        }
        let standing = self.standing(head, now).await?;
        let (visit, body) = match standing {
            Some(holder) => {
                let body = if changes {
                    self.proven(head, body, holder).await?
                } else {
                    ReadBody::original(body)
                };
                let is_new = false;
                (Visit { holder, is_new }, body)
            }
            // No token fits a browser that was never shown one.
            None if changes => return Err(Refusal::new(Reason::CrossSite)),
            None => {
                let holder = Holder::Visitor(entropy().map_err(without_entropy)?);
                let is_new = true;
                (Visit { holder, is_new }, ReadBody::original(body))
            }
        };
        let mask = entropy().map_err(without_entropy)?;
        head.extensions.insert(self.keyed.csrf(visit.holder, mask));
        Ok((visit, body))
    }

    /// Whose the cookie is, if it is one, the only one, and of a session that lives or of a visitor.
    async fn standing(
        &self,
        head: &mut request::Parts,
        now: Timestamp,
    ) -> Result<Option<Holder>, Refusal> {
        let shown = cookie(&head.headers, self.site.cookie_name());
        let holder = shown.and_then(|text| self.keyed.holder(text));
        let Some(Holder::Session(session)) = holder else {
            return Ok(holder);
        };
        let Some(live) = self.live(&session, now).await? else {
            return Ok(None);
        };
        let name = session.to_string();
        let proven = ProvenUser::new(live.user(), Some(&name));
        head.extensions.insert(proven);
        head.extensions.insert(live);
        Ok(holder)
    }

    /// The session, if it lives; its idle end moved out when that is due.
    async fn live(&self, session: &SessionId, now: Timestamp) -> Result<Option<Live>, Refusal> {
        let live = match self.sessions.live(session, now).await {
            Ok(live) if self.sessions.touch_is_due(&live, now) => {
                self.sessions.touch(session, now).await
            }
            answer => answer,
        };
        match live {
            Ok(live) => Ok(Some(live)),
            Err(SessionError::NoSuchSession | SessionError::Revoked { .. }) => Ok(None),
            // A store that cannot be asked admits nobody, and signs nobody out.
            Err(error) => Err(Refusal::new(error.reason())),
        }
    }

    /// Condition (iv): the request carries a token of the cookie's holder.
    async fn proven<B>(
        &self,
        head: &request::Parts,
        body: B,
        holder: Holder,
    ) -> Result<ReadBody<B>, Refusal>
    where
        B: Body<Data = Bytes>,
    {
        let fits = |text: &[u8]| match self.keyed.is_csrf(holder, text) {
            true => Ok(()),
            false => Err(Refusal::new(Reason::CrossSite)),
        };
        if let Some(token) = sole(&head.headers, &X_CSRF_TOKEN)? {
            fits(token)?;
            return Ok(ReadBody::original(body));
        }
        if !form::is_form(&head.headers) {
            return Err(Refusal::new(Reason::CrossSite));
        }
        let bytes = read(body, self.form_limit_bytes, READ).await?;
        let token = form::csrf_field(&bytes).ok_or(Reason::CrossSite)?;
        fits(&token)?;
        Ok(ReadBody::read(bytes))
    }

    /// Sets the cookie that the response asks for; a browser without one is given a visitor's.
    pub(crate) async fn settle(
        &self,
        visit: &Visit,
        head: &mut response::Parts,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let value = match head.extensions.remove::<CookieChange>() {
            Some(CookieChange::Begin(session)) => Some(self.begin(visit, session, now).await?),
            Some(CookieChange::End) => Some(self.end(visit, now).await?),
            None if visit.is_new => Some(self.cookie(visit.holder, None)?),
            None => None,
        };
        // Kept by a cache, one browser's page, token or cookie would be handed to the next. Of a page the
        // handler knows better; of a cookie nobody does.
        if value.is_some() || !head.headers.contains_key(CACHE_CONTROL) {
            let no_store = HeaderValue::from_static("no-store");
            head.headers.insert(CACHE_CONTROL, no_store);
        }
        if let Some(value) = value {
            head.headers.append(SET_COOKIE, value);
        }
        Ok(())
    }

    /// A session that is not alive gets no cookie, and none outlives it.
    async fn begin(
        &self,
        visit: &Visit,
        session: SessionId,
        now: Timestamp,
    ) -> Result<HeaderValue, Refusal> {
        let refused = |error: SessionError| Refusal::new(error.reason());
        let live = self.sessions.live(&session, now).await.map_err(refused)?;
        if visit.holder != Holder::Session(session) {
            self.revoke(visit, now).await?;
        }
        let life = live.ends_at().saturating_since(now);
        self.cookie(Holder::Session(session), Some(life))
    }

    async fn end(&self, visit: &Visit, now: Timestamp) -> Result<HeaderValue, Refusal> {
        self.revoke(visit, now).await?;
        let visitor = Holder::Visitor(entropy().map_err(without_entropy)?);
        self.cookie(visitor, None)
    }

    /// Ends the session whose cookie is going: nobody could sign out of it any more.
    async fn revoke(&self, visit: &Visit, now: Timestamp) -> Result<(), Refusal> {
        let Holder::Session(session) = visit.holder else {
            return Ok(());
        };
        match self.sessions.revoke(&session, now).await {
            Ok(_) => Ok(()),
            Err(error) => Err(Refusal::new(error.reason())),
        }
    }

    fn cookie(&self, holder: Holder, life: Option<Duration>) -> Result<HeaderValue, Refusal> {
        let value = self.keyed.cookie(holder);
        set_cookie(&self.site, &value, life).ok_or(Refusal::new(Reason::Internal))
    }
}

fn without_entropy(_: EntropyUnavailable) -> Refusal {
    Refusal::new(Reason::Internal)
}

const X_CSRF_TOKEN: HeaderName = HeaderName::from_static("x-csrf-token");
