//! What a session becomes on the wire: an access token and a refresh token.

use std::time::Duration;

use axum::response::Response;
use portcullis::core::{Key, Next, Reason, Scope, Store, Timestamp, Value};
use portcullis::ip_list::ClientAddress;
use portcullis::jwt::{Security, Subject, UserClaims};
use portcullis::session::{Demand, Factor, RefreshToken, Refreshed, SessionId};
use serde_json::json;

use crate::answer::{No, private};
use crate::app::App;
use crate::letters::Json;

/// What becomes the tokens of an answer.
pub(crate) struct Pair<'a> {
    pub(crate) user: &'a str,
    pub(crate) session: SessionId,
    pub(crate) refresh_token: RefreshToken,
    /// What was shown in the session.
    pub(crate) factors: &'a [Factor],
    pub(crate) client_system: Option<&'a str>,
}

impl App {
    /// An access token and the refresh token as the answer of a login or a refresh.
    pub(crate) async fn pair(
        &self,
        pair: Pair<'_>,
        client: &ClientAddress,
        now: Timestamp,
    ) -> Result<Response, No> {
        let user = self
            .users
            .get(pair.user, now)
            .await?
            .ok_or(Reason::TokenRevoked)?;
        let claims = UserClaims {
            email: user.email,
            role: user.role.as_str().to_owned(),
            client_id: pair.client_system.unwrap_or("auth-service").to_owned(),
            security: Security {
                second_factor_verified: Demand::second_factor().is_met_by(pair.factors, now),
                ip: client.ip().to_string(),
            },
        };
        let session = pair.session.to_string();
        let subject = Subject::new(&user.name).session(&session);
        let life = self.settings.access_token_life();
        let signed = self.signer.sign(&claims, subject, now, life);
        let access_token = signed.map_err(|_| Reason::Internal)?;
        Ok(private(Json(json!({
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": life.as_secs(),
            "refresh_token": pair.refresh_token.expose(),
            "session": session,
            "must_change_password": user.must_change_password,
        }))))
    }

    /// Refuses, and ends the session, where the account was closed or its credential changed since
    /// the session began.
    pub(crate) async fn still_valid(
        &self,
        refreshed: &Refreshed,
        now: Timestamp,
    ) -> Result<(), No> {
        let user = self.users.get(&refreshed.user, now).await?;
        if user.is_some_and(|user| user.enabled && user.epoch == refreshed.epoch) {
            return Ok(());
        }
        self.sessions
            .revoke(&refreshed.session, now)
            .await
            .map_err(|error| error.reason())?;
        Err(No::from(Reason::TokenRevoked))
    }

    /// Notes which client application a session was started from, for the tokens of its refreshes.
    pub(crate) async fn remember_client(
        &self,
        session: &SessionId,
        client_system: Option<&str>,
        now: Timestamp,
    ) -> Result<(), No> {
        let Some(client_system) = client_system else {
            return Ok(());
        };
        let value = Value::new(client_system.as_bytes());
        // As long as the longest session: thirty days.
        let expires_at = now.saturating_add(Duration::from_secs(30 * 24 * 3600));
        let note = move |_: Option<&[u8]>| {
            let value = value.clone();
            ((), Next::Put { value, expires_at })
        };
        let key = Key::new(CLIENT, session.as_bytes());
        Ok(self.store.update(key, now, note).await?)
    }

    /// The client application that a session was started from, if it said.
    pub(crate) async fn client_of(
        &self,
        session: &SessionId,
        now: Timestamp,
    ) -> Result<Option<String>, No> {
        let read = |current: Option<&[u8]>| {
            let text = current.and_then(|bytes| std::str::from_utf8(bytes).ok());
            (text.map(str::to_owned), Next::Keep)
        };
        let key = Key::new(CLIENT, session.as_bytes());
        Ok(self.store.update(key, now, read).await?)
    }
}

const CLIENT: Scope = Scope::new("client-of-session");
