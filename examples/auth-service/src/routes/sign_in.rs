//! Login, refresh, logout, validation.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use portcullis::audit::Action;
use portcullis::core::{Reason, Secret, Timestamp};
use portcullis::jwt::UserClaims;
use portcullis::session;
use portcullis::sign_in::{Attempt, Challenge, Entered, Shown, SignedIn};
use portcullis::tower::Arrival;
use serde::Deserialize;
use serde_json::json;

use crate::answer::{Content, No, private};
use crate::app::App;
use crate::caller::{Caller, standing};
use crate::letters::Json;
use crate::origin::Origin;
use crate::tokens::Pair;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    username: String,
    password: Password,
    #[serde(default)]
    client_system: Option<String>,
}

/// A password, a code or a token as it comes in: a secret from the first moment on.
#[derive(Deserialize)]
#[serde(from = "String")]
pub(crate) struct Password(pub(crate) Secret);

impl From<String> for Password {
    fn from(text: String) -> Self {
        Self(Secret::from(text))
    }
}

impl Password {
    /// As text, which it was.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(self.0.expose()).unwrap_or_default()
    }
}

/// Name and password into a session, an access token and a refresh token; or, where a second factor is
/// enrolled, into the challenge for it.
pub(crate) async fn login(
    State(app): State<Arc<App>>,
    origin: Origin,
    Content(login): Content<Login>,
) -> Result<Response, No> {
    let client_system = client_system(login.client_system.as_deref())?;
    let attempt = Attempt::new(&login.username, login.password.0).origin(origin.of(client_system));
    let entered = app.sign_in.sign_in(attempt, origin.now).await;
    match entered.map_err(|error| app.refusal(&error))? {
        Entered::SignedIn(signed_in) => tokens(&app, signed_in, client_system, &origin).await,
        Entered::SecondFactor(challenge) => Ok(asked(&challenge, origin.now)),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecondFactor {
    challenge: Password,
    code: Password,
    #[serde(default)]
    client_system: Option<String>,
}

/// A challenge and a code into a session.
pub(crate) async fn second_factor(
    State(app): State<Arc<App>>,
    origin: Origin,
    Content(answer): Content<SecondFactor>,
) -> Result<Response, No> {
    let client_system = client_system(answer.client_system.as_deref())?;
    let shown = Shown::new(answer.code.text()).origin(origin.of(client_system));
    let challenge = answer.challenge.text();
    let signed_in = app.sign_in.answer(challenge, shown, origin.now).await;
    let signed_in = signed_in.map_err(|error| app.refusal(&error))?;
    tokens(&app, signed_in, client_system, &origin).await
}

/// It goes into the token, which has a limit of its own: better no session than one without a token.
fn client_system(name: Option<&str>) -> Result<Option<&str>, No> {
    if name.is_some_and(|name| name.is_empty() || name.len() > CLIENT_SYSTEM_BYTES) {
        return Err(No::content("A client_system has 1 to 64 bytes."));
    }
    Ok(name)
}

async fn tokens(
    app: &App,
    signed_in: SignedIn,
    client_system: Option<&str>,
    origin: &Origin,
) -> Result<Response, No> {
    let now = origin.now.max(app.now());
    app.remember_client(&signed_in.session, client_system, now)
        .await?;
    let pair = Pair {
        user: &signed_in.user_id,
        session: signed_in.session,
        refresh_token: signed_in.refresh_token,
        factors: &signed_in.factors,
        client_system,
    };
    app.pair(pair, &origin.client, now).await
}

/// The password was right, and that is not enough (RFC 9457 with members of its own, RFC 9470 §3).
fn asked(challenge: &Challenge, now: Timestamp) -> Response {
    let left = challenge.expires_at().saturating_since(now);
    let problem = json!({
        "type": "about:blank",
        "title": "Unauthorized",
        "status": 401,
        "detail": "A second factor is needed. Send its code with the challenge to /v1/login/second-factor.",
        "code": "403_FORBIDDEN",
        "challenge": challenge.expose(),
        "expires_in": left.as_secs(),
        "methods": ["totp", "recovery_code"],
    });
    let headers = [
        (CONTENT_TYPE, "application/problem+json"),
        (CACHE_CONTROL, "no-store"),
        (
            WWW_AUTHENTICATE,
            "Bearer realm=\"portcullis\", error=\"insufficient_user_authentication\", \
             error_description=\"a second factor is needed\"",
        ),
    ];
    (StatusCode::UNAUTHORIZED, headers, problem.to_string()).into_response()
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
    origin: Origin,
    Content(refresh): Content<Refresh>,
) -> Result<Response, No> {
    let work = refreshed(Arc::clone(&app), origin, refresh);
    app.to_its_end(work).await
}

async fn refreshed(app: Arc<App>, origin: Origin, refresh: Refresh) -> Result<Response, No> {
    let now = origin.now;
    let token = refresh.refresh_token.text();
    let refreshed = match app.sessions.refresh(token, now).await {
        Ok(refreshed) => refreshed,
        Err(error) => {
            if let session::Error::Reused { session, user } = &error {
                let reuse = origin
                    .event(Action::RefreshReuse)
                    .user(user)
                    .session(&session.to_string());
                app.record(reuse.reason(Reason::TokenReplayed)).await?;
            }
            return Err(No::from(error.reason()));
        }
    };
    let mut event = origin
        .event(Action::Refresh)
        .user(&refreshed.user)
        .session(&refreshed.session.to_string());
    if refreshed.repeated {
        event = event.target("repeated");
    }
    app.record(event).await?;
    app.still_valid(&refreshed, now).await?;
    let client_system = app.client_of(&refreshed.session, now).await?;
    let pair = Pair {
        user: &refreshed.user,
        session: refreshed.session,
        refresh_token: refreshed.refresh_token,
        factors: &refreshed.factors,
        client_system: client_system.as_deref(),
    };
    app.pair(pair, &origin.client, now).await
}

/// Ends the caller's session: its access tokens are refused from the next request on. Goes on to its
/// end if the caller hangs up.
pub(crate) async fn logout(
    State(app): State<Arc<App>>,
    origin: Origin,
    Extension(caller): Extension<Caller>,
) -> Result<StatusCode, No> {
    let tasks = Arc::clone(&app);
    let ended = async move {
        let session = caller.session.session();
        app.sign_out(&caller.user.name, &session, &origin).await?;
        Ok(StatusCode::NO_CONTENT)
    };
    tasks.to_its_end(ended).await
}

/// Ends all of the caller's sessions, this one too.
pub(crate) async fn logout_everywhere(
    State(app): State<Arc<App>>,
    origin: Origin,
    Extension(caller): Extension<Caller>,
) -> Result<StatusCode, No> {
    let tasks = Arc::clone(&app);
    let ended = async move {
        app.sign_out_everywhere(&caller.user.name, &origin).await?;
        Ok(StatusCode::NO_CONTENT)
    };
    tasks.to_its_end(ended).await
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
    let active = active(&app, asked.token.text(), now).await?;
    Ok(private(Json(
        active.unwrap_or_else(|| json!({"active": false})),
    )))
}

async fn active(app: &App, token: &str, now: Timestamp) -> Result<Option<serde_json::Value>, No> {
    // Whatever is wrong with the token, the answer is the same: it is not active.
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
    let user = app.users.get(&registered.sub, now).await?;
    let user = user.filter(|user| standing(user, &live, now).is_ok());
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

    /// A service on a folder of its own, and a session of its administrator under this epoch.
    async fn with_session(flags: &[&str], epoch: u64) -> (tempfile::TempDir, Arc<App>, String) {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let flags = ["auth-service"].iter().chain(flags).chain(&["--data"]);
        let flags = flags.map(OsString::from).chain([data.into_os_string()]);
        let (settings, now) = (Settings::parse_from(flags), SystemClock.now());
        let app = App::open(settings, now, &mut |_| {}).await.unwrap();
        let shown = [Factor::new(Method::Password, now)];
        let started = app
            .sessions
            .start_at_epoch("admin", &shown, epoch, now)
            .await;
        let started = started.unwrap();
        app.remember_client(&started.session, Some("my-app"), now)
            .await
            .unwrap();
        (folder, app, started.refresh_token.expose().to_owned())
    }

    fn refresh_by(token: &str) -> Request<Body> {
        let peer: SocketAddr = "127.0.0.1:9".parse().unwrap();
        Request::post("/v1/refresh")
            .header("content-type", "application/json")
            .extension(ConnectInfo(peer))
            .body(Body::from(json!({"refresh_token": token}).to_string()))
            .unwrap()
    }

    async fn answer(app: &Arc<App>, token: &str) -> (StatusCode, serde_json::Value) {
        let router = routes::router(Arc::clone(app)).unwrap();
        let answer = router.oneshot(refresh_by(token)).await.unwrap();
        let status = answer.status();
        let body = axum::body::to_bytes(answer.into_body(), 1 << 16)
            .await
            .unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn a_replay_is_recorded_even_if_its_sender_hangs_up_at_once() {
        let (_folder, app, first) = with_session(&["--refresh-grace-secs=0"], 1).await;
        app.sessions
            .refresh(&first, SystemClock.now())
            .await
            .unwrap();

        let router = routes::router(Arc::clone(&app)).unwrap();
        let mut replayed = Box::pin(router.oneshot(refresh_by(&first)));
        let mut context = Context::from_waker(Waker::noop());
        let polled = replayed.as_mut().poll(&mut context);
        assert!(polled.is_pending(), "the store was not asked yet");
        drop(replayed);

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

    #[tokio::test]
    async fn a_refresh_that_cannot_be_recorded_is_not_answered_with_tokens() {
        let (_folder, app, first) = with_session(&[], 1).await;
        app.log.close().await;
        let (status, body) = answer(&app, &first).await;
        assert_eq!(
            (status.as_u16(), body["code"].as_str()),
            (503, Some("503_UNAVAILABLE"))
        );
        assert_eq!(body.get("refresh_token"), None);
    }

    #[tokio::test]
    async fn a_session_of_an_older_credential_is_not_refreshed_and_ends() {
        let (_folder, app, first) = with_session(&[], 0).await;
        let (status, _) = answer(&app, &first).await;
        assert_eq!(status.as_u16(), 401);
        let now = SystemClock.now();
        assert!(app.sessions.list("admin", now).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_refreshed_token_names_the_client_that_signed_in() {
        let (_folder, app, first) = with_session(&[], 1).await;
        let (status, body) = answer(&app, &first).await;
        assert_eq!(status.as_u16(), 200);
        let token = body["access_token"].as_str().unwrap();
        let token = app
            .verifier
            .verify::<UserClaims>(token, SystemClock.now())
            .unwrap();
        assert_eq!(token.claims().client_id, "my-app");
    }

    #[tokio::test]
    async fn a_third_reader_of_the_log_is_told_to_come_back() {
        let (_folder, app, _) = with_session(&[], 1).await;
        let two = (app.reading().unwrap(), app.reading().unwrap());
        assert!(app.reading().is_err());
        drop(two);
        assert!(app.reading().is_ok());
    }
}
