//! The gate as it is put together today.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::post;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use http::StatusCode;
use http::header::{AUTHORIZATION, USER_AGENT};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde::Deserialize;
use sha2::Sha256;
use tower_governor::GovernorLayer;
use tower_governor::governor::GovernorConfigBuilder;
use tower_governor::key_extractor::PeerIpKeyExtractor;

use super::{AUDIENCE, ISSUER, KEY_IDS, PER_SECOND, Side, TOKEN_SECRET, WORD, key_id, key_secret};

/// The whole, and the same without signatures.
pub fn sides(log: &Path) -> (Side, Side) {
    jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER
        .install_default()
        .unwrap();
    let lines = Lines::default();
    let file = Counted(File::create(log).unwrap(), lines.written.clone());
    let (writer, guard) = tracing_appender::non_blocking(file);
    let dropped = writer.error_counter();
    // One logger for the process, as people have it.
    tracing_subscriber::fmt()
        .with_writer(writer)
        .with_ansi(false)
        .init();
    // Held until the process ends.
    std::mem::forget(guard);

    let keys: HashMap<_, _> = (0..KEY_IDS)
        .map(|number| {
            let keyed = Hmac::<Sha256>::new_from_slice(&key_secret(number)).unwrap();
            (key_id(number), keyed)
        })
        .collect();
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_audience(&[AUDIENCE]);
    validation.set_issuer(&[ISSUER]);
    let tokens = Arc::new((DecodingKey::from_secret(&TOKEN_SECRET), validation));
    let signature = from_fn_with_state(Arc::new(keys), signature);
    let token = from_fn_with_state(tokens, token);
    let side = |router| {
        let (lines, dropped) = (lines.clone(), dropped.clone());
        Side::new(router, move |_| {
            lines.wait();
            assert_eq!(dropped.dropped_lines(), 0);
        })
    };
    let router = || {
        let orders = post(handler).with_state(lines.handed.clone());
        Router::new().route("/v1/orders", orders)
    };
    (
        side(router().layer((limit(), token.clone(), signature))),
        side(router().layer((limit(), token))),
    )
}

type Limit =
    GovernorLayer<PeerIpKeyExtractor, ::governor::middleware::StateInformationMiddleware, Body>;

/// With the headers that say how much is left, as ours has them.
fn limit() -> Limit {
    let config = GovernorConfigBuilder::default()
        .period(Duration::from_secs(1) / PER_SECOND)
        .burst_size(PER_SECOND)
        .use_headers()
        .finish();
    GovernorLayer::new(Arc::new(config.unwrap()))
}

/// What a request says of its key, once the HMAC holds.
#[derive(Clone)]
struct SignedBy(String);

async fn signature(
    State(keys): State<Arc<HashMap<String, Hmac<Sha256>>>>,
    request: Request,
    next: Next,
) -> Result<Response, StatusCode> {
    let (mut head, body) = request.into_parts();
    let body = to_bytes(body, 1024 * 1024).await;
    let body = body.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?;
    let header = |name| {
        let value = head.headers.get(name).and_then(|value| value.to_str().ok());
        value.ok_or(StatusCode::UNAUTHORIZED)
    };
    let (key_id, timestamp) = (header("x-key-id")?, header("x-timestamp")?);
    let digits = header("x-signature")?.strip_prefix("sha256=");
    let digits = digits.ok_or(StatusCode::UNAUTHORIZED)?;
    let at: u64 = timestamp.parse().map_err(|_| StatusCode::UNAUTHORIZED)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    if now.as_secs().abs_diff(at) > 300 {
        return Err(StatusCode::UNAUTHORIZED);
    }
    let keyed = keys.get(key_id).ok_or(StatusCode::UNAUTHORIZED)?;
    let sent = HEXLOWER.decode(digits.as_bytes());
    let sent = sent.map_err(|_| StatusCode::UNAUTHORIZED)?;
    let mut mac = keyed.clone();
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(&body);
    mac.verify_slice(&sent)
        .map_err(|_| StatusCode::UNAUTHORIZED)?;
    let signed_by = SignedBy(key_id.to_owned());
    head.extensions.insert(signed_by);
    Ok(next.run(Request::from_parts(head, Body::from(body))).await)
}

#[derive(Clone, Deserialize)]
struct Claims {
    sub: String,
}

async fn token(
    State(tokens): State<Arc<(DecodingKey, Validation)>>,
    mut request: Request,
    next: Next,
) -> Result<Response, StatusCode> {
    let header = request.headers().get(AUTHORIZATION);
    let token = header
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "))
        .ok_or(StatusCode::UNAUTHORIZED)?;
    let read = decode::<Claims>(token, &tokens.0, &tokens.1);
    let claims = read.map_err(|_| StatusCode::UNAUTHORIZED)?.claims;
    request.extensions_mut().insert(claims);
    Ok(next.run(request).await)
}

async fn handler(State(handed): State<Arc<AtomicU64>>, request: Request) -> &'static str {
    let (head, body) = request.into_parts();
    to_bytes(body, 1024).await.unwrap();
    let ConnectInfo(peer) = head
        .extensions
        .get::<ConnectInfo<std::net::SocketAddr>>()
        .unwrap();
    let user: &Claims = head.extensions.get().unwrap();
    let key = head.extensions.get::<SignedBy>().map(|by| by.0.as_str());
    let agent = head.headers.get(USER_AGENT).unwrap().to_str().unwrap();
    tracing::info!(
        action = "client_login",
        user_id = user.sub,
        ip_address = %peer.ip(),
        user_agent = agent,
        target = key,
    );
    handed.fetch_add(1, Ordering::Relaxed);
    WORD
}

/// How many lines were handed over and how many are written.
#[derive(Clone, Default)]
struct Lines {
    handed: Arc<AtomicU64>,
    written: Arc<AtomicU64>,
}

impl Lines {
    fn wait(&self) {
        while self.written.load(Ordering::Acquire) < self.handed.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_micros(20));
        }
    }
}

/// A file that counts what is written to it, a line at a time.
struct Counted(File, Arc<AtomicU64>);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.0.write(bytes)?;
        self.1.fetch_add(1, Ordering::Release);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
