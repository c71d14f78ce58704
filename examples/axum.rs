//! An axum app whose every route names what it stands behind: logins by password, ten a minute and locked for
//! half an hour after five failures; orders for whoever brings a token.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Form};
use http::HeaderMap;
use portcullis::core::{Clock, Memory, Reason, Secret, SystemClock};
use portcullis::jwt::{AccessToken, HmacKey, KeySet, NoClaims, Policy, Signer, Verifier};
use portcullis::lockout::{AccountName, Lockout, LockoutPolicy};
use portcullis::rate_limit::EndpointClass::{Authentication, UserManagement, Validation};
use portcullis::tower::{
    AddressGate, Arrival, BearerGate, GuardedRoutes, LimitGate, Open, Refusal, Routes, RoutesError,
    Stack, respond,
};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn app(shop: Arc<Shop>, verifier: Verifier) -> Result<GuardedRoutes, RoutesError> {
    let gate = |class| Stack::new(AddressGate::direct()).limit(LimitGate::class(class));
    let token = BearerGate::<NoClaims>::stateless(verifier);
    let proven = |class| gate(class).token(token.clone());
    Routes::new(SystemClock)
        .route("/login", post(login), gate(Authentication))
        .route("/orders", get(orders), proven(Validation))
        .route("/users", get(users), proven(UserManagement))
        .route("/health", get(health), Open::because("tells nothing"))
        .with_state(shop)
        .finish()
}

async fn login(
    State(shop): State<Arc<Shop>>,
    Extension(Arrival(now)): Extension<Arrival>,
    Form(given): Form<Credentials>,
) -> Response {
    let Ok(name) = AccountName::parse(&given.name) else {
        return refused(Reason::BadRequest);
    };
    let verify = async { shop.is_password(&name, given.password) };
    match shop.lockout.attempt(&name, now, verify).await {
        Ok(true) => match shop.signer.sign(&NoClaims {}, name.as_str(), now, LIFE) {
            Ok(token) => token.into_response(),
            Err(error) => refused(error.reason()),
        },
        Ok(false) => refused(Reason::PasswordWrong),
        Err(error) => refused(error.reason()),
    }
}

/// The gate left the verified token; a handler behind no gate would not find one.
async fn orders(Extension(token): Extension<AccessToken<NoClaims>>) -> String {
    format!("the orders of {}", token.registered().sub)
}

async fn users() -> &'static str {
    "alice"
}

async fn health() -> &'static str {
    "well"
}

fn refused(reason: Reason) -> Response {
    respond(&Refusal::new(reason), &HeaderMap::new()).into_response()
}

#[derive(Deserialize)]
struct Credentials {
    name: String,
    password: String,
}

struct Shop {
    lockout: Lockout<Memory>,
    signer: Signer,
}

impl Shop {
    /// In place of your own check, which hashes the password and compares with what is kept. A hash takes
    /// long on purpose: let it run off the async threads, as `portcullis::sign_in::Argon2Pool` does.
    fn is_password(&self, name: &AccountName, password: String) -> bool {
        name.as_str() == "alice" && Secret::from(password) == Secret::from("wonderland".to_owned())
    }
}

const LIFE: Duration = Duration::from_secs(900);

async fn ask(
    server: SocketAddr,
    call: &str,
    more: &str,
    body: &str,
) -> Result<String, Box<dyn Error>> {
    let mut connection = TcpStream::connect(server).await?;
    let head = format!("{call} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}");
    let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    connection.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// The three digits behind `HTTP/1.1`.
fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let keys = KeySet::new(HmacKey::new("2026-11", Secret::generate::<32>()?)?);
    let tokens = Policy::access("https://login.example", "shop")?;
    let verifier = Verifier::new(&keys, tokens.clone());
    // In memory a restart forgets counts and locks: a store in a file or a database keeps them.
    let lockout = Lockout::new(Memory::new(SystemClock.now()), LockoutPolicy::default());
    let signer = Signer::new(&keys, tokens);
    let shop = Shop { lockout, signer };
    let app = app(Arc::new(shop), verifier)?;
    println!("{}\n", app.table());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let server = listener.local_addr()?;
    // With the peer's address: a gate that is not told it answers 500.
    let service = app.into_make_service_with_connect_info();
    let serving = tokio::spawn(axum::serve(listener, service).into_future());

    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let right = "name=alice&password=wonderland";
    let answer = ask(server, "POST /login", form, right).await?;
    let token = answer.lines().last().unwrap_or_default();
    println!("POST /login with the right password\n{answer}\n");
    assert_eq!(status(&answer), "200");
    let bearer = format!("Authorization: Bearer {token}\r\n");
    for (call, more, expected) in [
        ("GET /orders", "", "401"),
        ("GET /orders", &*bearer, "200"),
        ("GET /no", "", "404"),
    ] {
        let answer = ask(server, call, more, "").await?;
        println!("{call}\n{answer}\n");
        assert_eq!(status(&answer), expected);
    }
    for guess in 1..=5 {
        let wrong = format!("name=alice&password=guess-{guess}");
        let answer = ask(server, "POST /login", form, &wrong).await?;
        println!("guess {guess}: {}", status(&answer));
        assert_eq!(status(&answer), "401");
    }
    let locked = ask(server, "POST /login", form, right).await?;
    println!("the right password, locked:\n{locked}");
    assert_eq!(status(&locked), "401");
    serving.abort();
    Ok(())
}
