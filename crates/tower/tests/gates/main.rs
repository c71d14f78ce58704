//! Real requests through real layers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod addresses;
mod arrival;
mod limits;
mod order;
mod tokens;

use std::convert::Infallible;
use std::sync::Arc;

use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use portcullis_core::testing::FakeClock;
use portcullis_core::{Scope, Timestamp};
use portcullis_ip_list::{AddressList, ClientAddress, TrustedProxies};
use portcullis_rate_limit::{Limiter, LimiterPolicy, Quota};
use portcullis_tower::{AddressGate, LimitGate, PeerAddress};
use tower::Service;

type Body = Full<bytes::Bytes>;

const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);

fn clock() -> FakeClock {
    FakeClock::new(NOW)
}

/// Answers with the client's address as the gates left it.
async fn whoami(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let client = request
        .extensions()
        .get::<ClientAddress>()
        .map(|client| client.ip().to_string());
    Ok(Response::new(Full::from(client.unwrap_or_default())))
}

fn handler()
-> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ 'static {
    tower::service_fn(whoami)
}

fn from(peer: &str) -> Request<Body> {
    let mut request = Request::new(Body::default());
    request
        .extensions_mut()
        .insert(PeerAddress(peer.parse().unwrap()));
    request
}

fn with(mut request: Request<Body>, name: &'static str, value: &str) -> Request<Body> {
    request.headers_mut().append(name, value.parse().unwrap());
    request
}

fn direct() -> AddressGate {
    AddressGate::new(TrustedProxies::none(), AddressList::everyone())
}

fn login_limit() -> LimitGate {
    let quota = Quota::per_minute(10).unwrap().strict().unwrap();
    LimitGate::in_process(
        Scope::new("login"),
        Arc::new(Limiter::new(quota, LimiterPolicy::default())),
    )
}

async fn text<B>(response: Response<B>) -> String
where
    B: http_body::Body<Data = bytes::Bytes>,
    B::Error: std::fmt::Debug,
{
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}
