//! Layers for axum and any tower service: gates that admit a request with a proof, or refuse it.
//!
//! ```
//! use std::num::NonZeroUsize;
//! use portcullis_core::{SystemClock, testing::FakeClock};
//! use portcullis_tower::{Admitted, Gate, GateLayer, Refusal};
//! use portcullis_core::{Reason, Timestamp};
//! use tower::{Layer, ServiceExt};
//!
//! /// Admits whoever says the word.
//! #[derive(Clone)]
//! struct Password(&'static str);
//!
//! impl Gate for Password {
//!     type Pass = Admitted;
//!     async fn admit(&self, head: &mut http::request::Parts, _now: Timestamp) -> Result<Admitted, Refusal> {
//!         match head.headers.get("x-word") {
//!             Some(word) if word.as_bytes() == self.0.as_bytes() => Ok(Admitted),
//!             _ => Err(Refusal::new(Reason::CredentialsMissing)),
//!         }
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let handler = tower::service_fn(|_: http::Request<String>| async {
//!     Ok::<_, std::convert::Infallible>(http::Response::new(String::from("hello")))
//! });
//! let guarded = GateLayer::new(Password("sesame"), SystemClock).layer(handler);
//! let refused = guarded.oneshot(http::Request::new(String::new())).await.unwrap();
//! assert_eq!(refused.status(), 401);
//! # });
//! ```
//!
//! | Gate | Admits | Leaves in the extensions |
//! |---|---|---|
//! | [`AddressGate`] | listed client addresses | [`portcullis_ip_list::ClientAddress`] |
//! | [`LimitGate`] | as many requests of a key as its quota | nothing; headers on the response |
//! | [`BearerGate`] | a verified access token; with `of_sessions` of a live session | [`portcullis_jwt::AccessToken`], [`portcullis_session::Live`] |
//! | [`StepUpGate`] | a session that has shown a factor, strong and recent enough | nothing |
//! | [`Check`] | what a plain function admits | what the function leaves |
//!
//! [`Stack`] puts them in the one safe order; [`respond`] alone turns a reason into a response;
//! [`RecordLayer`] writes refusals to the audit log; [`ArrivalLayer`] reads the clock once.
//! With the feature `cookie`, `CookieSessionLayer` keeps sessions in a cookie for pages, and other
//! sites' pages out; `SecurityHeadersLayer` says what a page never does. With the feature `signature`,
//! `SignatureLayer` admits requests that a key's holder signed, each once. It terminates no TLS, and reads
//! no body but a form's, for its token, and a signed request's.
//!
//! # Features
//!
//! - `axum`: `Routes`, a router that serves no route without a policy. The `ConnectInfo<SocketAddr>` of
//!   `into_make_service_with_connect_info` is understood as the peer's address; without it, or a
//!   [`PeerAddress`] of the server's, an [`AddressGate`] answers 500: there is nothing to decide by.
//! - `metrics`, `tracing`: `ObserveLayer` counts requests, and puts each into a span.
//! - `cookie`: the two layers for pages; `signature`: the one for signed requests. Both need tokio's timer,
//!   and no feature another.
//!
//! Put an [`ArrivalLayer`] outermost: each request gets an id, in `X-Request-Id` too, and one instant. `Routes`
//! has one.
#![forbid(unsafe_code)]

mod address;
mod arrival;
mod bearer;
#[cfg(any(feature = "cookie", feature = "signature"))]
mod body;
mod check;
#[cfg(feature = "cookie")]
mod cookie;
mod gate;
mod limit;
#[cfg(any(feature = "metrics", feature = "tracing"))]
mod observe;
mod problem;
mod proven;
mod record;
mod respond;
#[cfg(feature = "axum")]
mod routes;
mod service;
#[cfg(feature = "signature")]
mod signature;
mod stack;
mod step_up;
#[cfg(all(feature = "testing", feature = "cookie"))]
pub mod testing;

// What the signatures here are made of, of the versions they are made of.
#[cfg(feature = "axum")]
pub use axum;
pub use bytes;
pub use http;
pub use http_body;
pub use http_body_util;
pub use tower_layer;
pub use tower_service;

pub use address::{AddressGate, PeerAddress};
pub use arrival::{Arrival, ArrivalLayer, ArrivalService, RequestId};
pub use bearer::{BearerGate, bearer_token};
#[cfg(any(feature = "cookie", feature = "signature"))]
pub use body::ReadBody;
pub use check::Check;
#[cfg(feature = "cookie")]
pub use cookie::{
    CookieChange, CookieError, CookieSessionLayer, CookieSessionService, CsrfToken,
    SecurityHeadersLayer, SecurityHeadersService, Site,
};
pub use gate::{Admitted, Both, Gate, Pass};
pub use limit::{LimitGate, LimitKey, LimitPass};
#[cfg(any(feature = "metrics", feature = "tracing"))]
pub use observe::{ObserveLayer, ObserveService};
#[cfg(feature = "metrics")]
pub use observe::{REFUSALS, REQUEST_SECONDS, REQUESTS, describe_metrics};
#[cfg(feature = "tracing")]
pub use observe::{SPAN, SPAN_FIELDS, SPAN_TARGET};
pub use problem::Problem;
pub use proven::{NamedClient, NamedKey, ProvenUser};
pub use record::{RecordLayer, RecordPolicy, RecordService};
pub use respond::{Refusal, Refused, respond};
#[cfg(feature = "axum")]
pub use routes::{
    Gated, GuardedRoutes, Layered, Open, Policy, RouteFault, RouteTable, Routes, RoutesError, Row,
};
pub use service::{GateBody, GateLayer, GateService};
#[cfg(feature = "signature")]
pub use signature::{SecretDirectory, SignatureLayer, SignatureService};
pub use stack::{AddressFirst, Stack, ThenCheck, ThenLimit, ThenToken};
pub use step_up::StepUpGate;
