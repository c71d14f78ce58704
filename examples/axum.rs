//! An axum app behind gates: an open route with a limit, and one that asks for a bearer token.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router, routing::get};
use portcullis::core::{Clock, Scope, Secret, SystemClock};
use portcullis::ip_list::{AddressList, TrustedProxies};
use portcullis::jwt::{AccessToken, HmacKey, KeySet, NoClaims, Policy, Signer, Verifier};
use portcullis::rate_limit::{Limiter, LimiterPolicy, Quota};
use portcullis::tower::{AddressGate, ArrivalLayer, BearerGate, LimitGate, Stack};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn prices() -> &'static str {
    "a loaf: 3"
}

/// The gate left the verified token; a handler behind no gate would not find one.
async fn orders(Extension(token): Extension<AccessToken<NoClaims>>) -> String {
    format!("the orders of {}", token.registered().sub)
}

fn app(verifier: Verifier) -> Result<Router, Box<dyn Error>> {
    let by_address = || AddressGate::new(TrustedProxies::none(), AddressList::everyone());
    let limit = |name, quota| {
        let limiter = Limiter::new(quota, LimiterPolicy::default());
        LimitGate::in_process(Scope::new(name), Arc::new(limiter))
    };
    let open = Stack::new(by_address()).limit(limit("prices", Quota::per_minute(2)?));
    let closed = Stack::new(by_address())
        .limit(limit("orders", Quota::per_minute(60)?))
        .token(BearerGate::<NoClaims>::stateless(Arc::new(verifier)));
    Ok(Router::new()
        .route("/prices", get(prices).layer(open.layer(SystemClock)))
        .route("/orders", get(orders).layer(closed.layer(SystemClock)))
        // Outermost, for every route: one id and one instant for each request.
        .layer(ArrivalLayer::new(SystemClock)))
}

async fn ask(server: SocketAddr, path: &str, more: &str) -> Result<String, Box<dyn Error>> {
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    let mut connection = TcpStream::connect(server).await?;
    connection
        .write_all(format!("{head}{more}\r\n").as_bytes())
        .await?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let keys = KeySet::new(HmacKey::new("2026-11", Secret::generate::<32>()?)?);
    let policy = Policy::access("https://login.example", "shop")?;
    let signer = Signer::new(&keys, policy.clone());
    let life = Duration::from_secs(900);
    let token = signer.sign(&NoClaims {}, "alice", SystemClock.now(), life)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let server = listener.local_addr()?;
    // With the peer's address: a gate that is not told it answers 500.
    let app = app(Verifier::new(&keys, policy))?;
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    let serving = tokio::spawn(axum::serve(listener, service).into_future());
    for path in ["/prices", "/prices", "/prices", "/orders"] {
        println!("GET {path}\n{}\n", ask(server, path, "").await?);
    }
    let bearer = format!("Authorization: Bearer {token}\r\n");
    let answer = ask(server, "/orders", &bearer).await?;
    println!("GET /orders with a token\n{answer}");
    serving.abort();
    Ok(())
}
