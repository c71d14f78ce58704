//! The pains of `docs/pains.md` with the crates that people use: each test asserts the bad outcome, and so
//! goes red when the crate mends it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

use std::collections::HashSet;
use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use argon2::{Argon2, Params, PasswordHasher, PasswordVerifier};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::routing::get;
use governor::clock::{Clock, DefaultClock};
use hmac::{Hmac, KeyInit, Mac};
use http::StatusCode;
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, crypto, decode, encode,
};
use serde_json::{Value, json};
use sha2::Sha256;
use tower::limit::ConcurrencyLimitLayer;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_governor::governor::GovernorConfigBuilder;
use tower_governor::key_extractor::{KeyExtractor, SmartIpKeyExtractor};

const SECRET: [u8; 32] = [7; 32];

#[test]
fn jsonwebtoken_with_both_backends_panics_at_its_first_token() {
    // In a process of its own: what it panics about is the process's.
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "a_first_token", "--test-threads=1"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&child.stdout);
    assert!(!child.status.success(), "{told}");
    assert!(told.contains("Could not automatically determine"), "{told}");
}

#[test]
#[ignore = "run in a process of its own by the test above"]
fn a_first_token() {
    let key = EncodingKey::from_secret(&SECRET);
    let token = encode(&Header::default(), &json!({"sub": "42"}), &key);
    assert!(token.is_ok());
}

#[test]
fn jsonwebtoken_takes_an_audience_or_issuer_of_the_wrong_type() {
    // Whoever comes first has chosen.
    let _ = crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    let mut policy = Validation::new(Algorithm::HS256);
    policy.set_audience(&["orders"]);
    policy.set_issuer(&["https://login.example"]);
    let read = |claims: Value| {
        let token = encode(
            &Header::default(),
            &claims,
            &EncodingKey::from_secret(&SECRET),
        );
        decode::<Value>(token.unwrap(), &DecodingKey::from_secret(&SECRET), &policy)
    };
    let exp = 4_000_000_000_u64;
    let login = "https://login.example";
    assert!(read(json!({"exp": exp, "aud": "others", "iss": login})).is_err());
    assert!(read(json!({"exp": exp, "aud": 7, "iss": login})).is_ok());
    assert!(read(json!({"exp": exp, "aud": {"others": 1}, "iss": login})).is_ok());
    assert!(read(json!({"exp": exp, "aud": "orders", "iss": 7})).is_ok());
    // Nor is either of them missed.
    assert!(read(json!({"exp": exp})).is_ok());
}

#[test]
fn tower_governor_counts_by_the_address_that_the_client_wrote() {
    let counted = |number: u8| {
        // The proxy has appended the address that it saw.
        let said = format!("198.51.100.{number}, 203.0.113.9");
        let request = http::Request::builder().header("x-forwarded-for", said);
        SmartIpKeyExtractor
            .extract(&request.body(()).unwrap())
            .unwrap()
    };
    let keys: HashSet<IpAddr> = (0..20).map(counted).collect();
    assert_eq!(keys.len(), 20);
    assert!(!keys.contains(&IpAddr::from([203, 0, 113, 9])));
}

#[test]
fn ten_per_second_of_tower_governor_is_one_in_ten_seconds() {
    let mut builder = GovernorConfigBuilder::default();
    let config = builder.per_second(10).burst_size(1).finish().unwrap();
    let alice = IpAddr::from([192, 0, 2, 1]);
    assert!(config.limiter().check_key(&alice).is_ok());
    let refused = config.limiter().check_key(&alice).unwrap_err();
    let wait = refused.wait_time_from(DefaultClock::default().now());
    assert!(wait > Duration::from_secs(5), "{wait:?}");
}

#[test]
fn the_keys_of_tower_governor_stay_until_somebody_sweeps_them() {
    let mut builder = GovernorConfigBuilder::default();
    let config = builder.per_millisecond(1).burst_size(1).finish().unwrap();
    for number in 0..10_000_u32 {
        let address = IpAddr::from(number.to_be_bytes());
        assert!(config.limiter().check_key(&address).is_ok());
    }
    // Each of them has long been whole again.
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(config.limiter().len(), 10_000);
    config.limiter().retain_recent();
    assert_eq!(config.limiter().len(), 0);
}

#[test]
fn totp_rs_takes_the_same_code_twice() {
    let totp = totp_rs::Builder::new()
        .with_secret(b"twenty bytes of seed".to_vec())
        .build()
        .unwrap();
    let now = 1_700_000_000;
    let code = totp.generate(now).to_string();
    let steps: Vec<Option<u64>> = [0, 1, 29].map(|secs| totp.check(&code, now + secs)).into();
    assert!(steps.iter().all(Option::is_some), "{steps:?}");
}

/// As a handler does that takes `Json<Value>` and checks what it was given.
fn mac_of_value(value: &Value) -> Vec<u8> {
    mac(value.to_string().as_bytes())
}

fn mac(bytes: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&SECRET).unwrap();
    mac.update(bytes);
    mac.finalize().into_bytes().to_vec()
}

#[test]
fn an_hmac_over_json_written_again_refuses_the_genuine_and_takes_another() {
    let parse = |body: &str| serde_json::from_str::<Value>(body).unwrap();
    let genuine = r#"{ "amount": 1.50, "to": "alice" }"#;
    assert_ne!(mac(genuine.as_bytes()), mac_of_value(&parse(genuine)));

    // Signed by its sender as the handler would write it; a reader before it takes the first member.
    let signed = r#"{"amount":7,"to":"alice"}"#;
    let other = r#"{"to":"mallory","amount":7,"to":"alice"}"#;
    assert_eq!(mac(signed.as_bytes()), mac_of_value(&parse(other)));
}

#[tokio::test(flavor = "current_thread")]
async fn argon2_within_an_async_handler_stops_its_thread() {
    let argon2 = Argon2::from(Params::new(64 * 1024, 3, 1, None).unwrap());
    let hash = argon2.hash_password(b"alice's own long phrase").unwrap();
    let beats = Arc::new(AtomicUsize::new(0));
    let heart = tokio::spawn({
        let beats = Arc::clone(&beats);
        async move {
            loop {
                tokio::time::sleep(Duration::from_millis(1)).await;
                beats.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    tokio::task::yield_now().await;
    let verify = move || {
        argon2
            .verify_password(b"alice's own long phrase", &hash)
            .is_ok()
    };
    let login = async { verify() };
    assert!(login.await);
    assert_eq!(beats.load(Ordering::Relaxed), 0);
    // Time enough to beat: beside the same work on another thread it does.
    assert!(tokio::task::spawn_blocking(verify).await.unwrap());
    assert!(beats.load(Ordering::Relaxed) > 0);
    heart.abort();
}

async fn refuse(_: Request, _: Next) -> StatusCode {
    StatusCode::UNAUTHORIZED
}

#[tokio::test]
async fn an_axum_route_merged_after_the_layer_is_open() {
    let handler = || get(async || "told");
    let app = Router::new()
        .route("/orders", handler())
        .layer(from_fn(refuse))
        .route("/late", handler())
        .merge(Router::new().route("/merged", handler()));
    let mut statuses = Vec::new();
    for path in ["/orders", "/late", "/merged"] {
        let request = http::Request::get(path).body(Body::empty()).unwrap();
        statuses.push(
            app.clone()
                .oneshot(request)
                .await
                .unwrap()
                .status()
                .as_u16(),
        );
    }
    assert_eq!(statuses, [401, 200, 200]);
}

/// A middleware as they are often written: it clones the inner service into its future.
#[derive(Clone)]
struct Cloning<S>(S);

impl<S> Service<()> for Cloning<S>
where
    S: Service<(), Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = S::Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, (): ()) -> Self::Future {
        let mut inner = self.0.clone();
        Box::pin(async move { inner.call(()).await })
    }
}

#[tokio::test]
async fn a_layer_that_calls_a_fresh_clone_panics_under_tower_limit() {
    let handler = service_fn(async |()| Ok::<_, Infallible>("told"));
    let limited = ConcurrencyLimitLayer::new(8).layer(handler);
    assert_eq!(limited.clone().oneshot(()).await, Ok("told"));
    let mut call = Box::pin(Cloning(limited).oneshot(()));
    let mut context = Context::from_waker(std::task::Waker::noop());
    let polled = catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(&mut context)));
    assert!(polled.is_err(), "the clone was called and did not mind");
}
