//! Login, refresh, logout, validation.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use portcullis::audit::Action;
use portcullis::core::{Reason, Secret, Timestamp};
use portcullis::ip_list::ClientAddress;
use portcullis::jwt::UserClaims;
use portcullis::session;
use portcullis::sign_in::Attempt;
use portcullis::tower::{Arrival, RequestId};
use serde::Deserialize;
use serde_json::json;

use crate::answer::{Content, No, private};
use crate::app::{App, Pair};
use crate::caller::Caller;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    username: String,
    password: Password,
    #[serde(default)]
    client_system: Option<String>,
}

/// A password as it comes in: a secret from the first moment on.
#[derive(Deserialize)]
#[serde(from = "String")]
pub(crate) struct Password(pub(crate) Secret);

impl From<String> for Password {
    fn from(text: String) -> Self {
        Self(Secret::from(text))
    }
}

/// Name and password into a session: an access token and a refresh token.
pub(crate) async fn login(
    State(app): State<Arc<App>>,
    Extension(Arrival(now)): Extension<Arrival>,
    Extension(client): Extension<ClientAddress>,
    Extension(request): Extension<RequestId>,
    headers: HeaderMap,
    Content(login): Content<Login>,
) -> Result<Response, No> {
    let client_system = login.client_system.as_deref();
    // It goes into the token, which has a limit of its own: better no session than one without a token.
    if client_system.is_some_and(|name| name.is_empty() || name.len() > CLIENT_SYSTEM_BYTES) {
        return Err(No::content("A client_system has 1 to 64 bytes."));
    }
    let request_id = request.to_string();
    let attempt = Attempt::new(&login.username, login.password.0)
        .address(client.ip(), client.source().as_str())
        .user_agent(user_agent(&headers))
        .client_system(client_system.unwrap_or(""))
        .request_id(&request_id);
    let signed_in = app
        .sign_in
        .sign_in(attempt, now)
        .await
        .map_err(|error| app.refusal(&error))?;
    let pair = Pair {
        user: &signed_in.user_id,
        session: signed_in.session,
        refresh_token: signed_in.refresh_token,
        client_system,
    };
    app.pair(pair, &client, now.max(app.now())).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refresh {
    refresh_token: Password,
}

/// A refresh token into the next pair. A used one ends its session. Goes on to its end if the caller
/// hangs up: a thief's replay is recorded, whoever waits for the answer.
pub(crate) async fn refresh(
    State(app): State<Arc<App>>,
    Extension(Arrival(now)): Extension<Arrival>,
    Extension(client): Extension<ClientAddress>,
    Extension(request): Extension<RequestId>,
    headers: HeaderMap,
    Content(refresh): Content<Refresh>,
) -> Result<Response, No> {
    to_its_end(refreshed(app, now, client, request, headers, refresh)).await
}

async fn refreshed(
    app: Arc<App>,
    now: Timestamp,
    client: ClientAddress,
    request: RequestId,
    headers: HeaderMap,
    refresh: Refresh,
) -> Result<Response, No> {
    let event = |action| {
        app.event(action, now, &client, &request)
            .user_agent(user_agent(&headers))
    };
    let token = std::str::from_utf8(refresh.refresh_token.0.expose())
        .map_err(|_| Reason::TokenMalformed)?;
    let refreshed = match app.sessions.refresh(token, now).await {
        Ok(refreshed) => refreshed,
        Err(error) => {
            if let session::Error::Reused { session, user } = &error {
                let reuse = event(Action::RefreshReuse)
                    .user(user)
                    .session(&session.to_string());
                app.record(reuse.reason(Reason::TokenReplayed)).await?;
            }
            return Err(No::from(error.reason()));
        }
    };
    let mut event = event(Action::Refresh)
        .user(&refreshed.user)
        .session(&refreshed.session.to_string());
    if refreshed.repeated {
        event = event.target("repeated");
    }
    app.record(event).await?;
    app.still_valid(&refreshed, now).await?;
    let pair = Pair {
        user: &refreshed.user,
        session: refreshed.session,
        refresh_token: refreshed.refresh_token,
        client_system: None,
    };
    app.pair(pair, &client, now).await
}

/// Ends the caller's session: its access tokens are refused from the next request on. Goes on to its
/// end if the caller hangs up.
pub(crate) async fn logout(
    State(app): State<Arc<App>>,
    Extension(Arrival(now)): Extension<Arrival>,
    Extension(client): Extension<ClientAddress>,
    Extension(request): Extension<RequestId>,
    Extension(caller): Extension<Caller>,
) -> Result<StatusCode, No> {
    let ended = async move {
        app.sessions
            .revoke(&caller.session, now)
            .await
            .map_err(|error| error.reason())?;
        let event = app.event(Action::Logout, now, &client, &request);
        app.record(
            event
                .user(&caller.user.name)
                .session(&caller.session.to_string()),
        )
        .await?;
        Ok(StatusCode::NO_CONTENT)
    };
    to_its_end(ended).await
}

/// Runs `work` apart from its request, which is dropped when the caller hangs up: what was done by
/// then must still be recorded.
async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, No>> + Send + 'static,
) -> Result<T, No> {
    let ended = tokio::spawn(work).await;
    ended.unwrap_or_else(|_| Err(No::from(Reason::Internal)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Validate {
    token: Password,
}

/// Whether an access token holds now (RFC 7662 §2.2), for a service that cannot verify it itself.
pub(crate) async fn validate(
    State(app): State<Arc<App>>,
    Extension(Arrival(now)): Extension<Arrival>,
    Content(asked): Content<Validate>,
) -> Result<Response, No> {
    let active = active(&app, &asked.token.0, now).await?;
    Ok(private(Json(
        active.unwrap_or_else(|| json!({"active": false})),
    )))
}

async fn active(
    app: &App,
    token: &Secret,
    now: Timestamp,
) -> Result<Option<serde_json::Value>, No> {
    // Whatever is wrong with the token, the answer is the same: it is not active.
    let Ok(token) = std::str::from_utf8(token.expose()) else {
        return Ok(None);
    };
    let Ok(token) = app.verifier.verify::<UserClaims>(token, now) else {
        return Ok(None);
    };
    let live = match app.sessions.admit(&token, now).await {
        Ok(live) => live,
        Err(session::Error::Store(failure)) => return Err(No::from(failure)),
        Err(_) => return Ok(None),
    };
    let (registered, claims) = (token.registered(), token.claims());
    // As the account gate judges here: another service must not admit what this one refuses.
    let user =
        app.users.get(&registered.sub, now).await?.filter(|user| {
            user.enabled && !user.must_change_password && user.epoch == live.epoch()
        });
    Ok(user.map(|user| {
        json!({
            "active": true,
            "sub": registered.sub,
            "iss": &*registered.iss,
            "aud": &*registered.aud,
            "iat": registered.iat.as_unix_secs(),
            "exp": registered.exp.as_unix_secs(),
            "client_id": claims.client_id,
            "role": user.role,
            "token_type": "Bearer",
        })
    }))
}

/// The caller's own name for itself; the audit log bounds and escapes it.
pub(crate) fn user_agent(headers: &HeaderMap) -> &str {
    headers
        .get(http::header::USER_AGENT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("")
}

const CLIENT_SYSTEM_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::net::SocketAddr;
    use std::task::{Context, Waker};
    use std::time::Duration;

    use axum::body::Body;
    use axum::extract::ConnectInfo;
    use clap::Parser;
    use http::Request;
    use portcullis::audit::{self, Filter};
    use portcullis::core::{Clock, SystemClock};
    use portcullis::session::{Factor, Method};
    use tower::ServiceExt;

    use super::*;
    use crate::routes;
    use crate::settings::Settings;

    #[tokio::test]
    async fn a_replay_is_recorded_even_if_its_sender_hangs_up_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let flags = ["auth-service", "--refresh-grace-secs=0", "--data"].map(OsString::from);
        let flags = flags.into_iter().chain([data.into_os_string()]);
        let (settings, now) = (Settings::parse_from(flags), SystemClock.now());
        let app = App::open(settings, now, &mut |_| {}).await.unwrap();
        let shown = [Factor::new(Method::Password, now)];
        let started = app.sessions.start_at_epoch("admin", &shown, 1, now).await;
        let first = started.unwrap().refresh_token;
        app.sessions.refresh(first.expose(), now).await.unwrap();

        let peer: SocketAddr = "127.0.0.1:9".parse().unwrap();
        let replay = Request::post("/v1/refresh")
            .header("content-type", "application/json")
            .extension(ConnectInfo(peer))
            .body(Body::from(
                json!({"refresh_token": first.expose()}).to_string(),
            ))
            .unwrap();
        let mut answer = Box::pin(routes::router(Arc::clone(&app)).unwrap().oneshot(replay));
        let polled = answer
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending(), "the store was not asked yet");
        drop(answer);

        let (place, key) = app.audit_place();
        let filter = Filter::default().user("admin").action(Action::RefreshReuse);
        let recorded = async {
            while audit::query(&place, &key, &filter).unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        let recorded = tokio::time::timeout(Duration::from_secs(10), recorded).await;
        assert!(
            recorded.is_ok(),
            "the family is revoked and nobody knows why"
        );
    }
}
