//! Pages of an axum app whose sessions are kept in a cookie: sign in, read, be refused, sign out.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect};
use axum::routing::{get, post};
use axum::{Extension, Router};
use portcullis_core::{AnyStore, Clock, Secret, SystemClock};
use portcullis_session::{Factor, Live, Method, SessionPolicy, Sessions};
use portcullis_store_sqlite::Sqlite;
use portcullis_tower::{
    Arrival, ArrivalLayer, CookieChange, CookieSessionLayer, CsrfToken, SecurityHeadersLayer, Site,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

type Shared = State<Arc<Sessions<AnyStore>>>;

/// The layer left the token for the form, and the session where there is one.
async fn page(
    Extension(token): Extension<CsrfToken>,
    live: Option<Extension<Live>>,
) -> Html<String> {
    let (who, act) = match &live {
        Some(live) => (live.user(), "sign-out"),
        None => ("nobody", "sign-in"),
    };
    let token = token.expose();
    Html(format!(
        "<p>You are {who}.</p><form method=post action=/{act}>\
         <input type=hidden name=csrf_token value={token}><button>{act}</button></form>"
    ))
}

/// Only a form of the page above comes this far. Here everybody is alice; a service asks for more.
async fn sign_in(
    State(sessions): Shared,
    Extension(Arrival(now)): Extension<Arrival>,
) -> Result<impl IntoResponse, StatusCode> {
    let shown = [Factor::new(Method::Password, now)];
    let started = sessions.start("alice", &shown, now).await;
    let session = started
        .map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?
        .session;
    let change = CookieChange::Begin(session);
    Ok((Extension(change), Redirect::to("/")))
}

/// The layer ends the session that the cookie holds.
async fn sign_out() -> impl IntoResponse {
    (Extension(CookieChange::End), Redirect::to("/"))
}

fn app(sessions: Sessions<AnyStore>, site: Site) -> Result<Router, Box<dyn Error>> {
    let sessions = Arc::new(sessions);
    let key = Secret::generate::<32>()?;
    let headers = SecurityHeadersLayer::new(&site);
    let cookies = CookieSessionLayer::new(Arc::clone(&sessions), &key, site)?;
    Ok(Router::new()
        .route("/", get(page))
        .route("/sign-in", post(sign_in))
        .route("/sign-out", post(sign_out))
        .with_state(sessions)
        .layer(cookies)
        .layer(headers)
        // Outermost: one id and one instant for each request.
        .layer(ArrivalLayer::new(SystemClock)))
}

/// What a browser does, for one site: keeps its cookie, and says which page a form is of.
struct Browser {
    site: String,
    cookie: String,
}

impl Browser {
    async fn send(&mut self, line: &str, more: &str, body: &str) -> Result<String, Box<dyn Error>> {
        let (host, cookie, len) = (&self.site, &self.cookie, body.len());
        let head = format!(
            "{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nCookie: {cookie}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len}\r\n{more}\r\n"
        );
        let mut connection = TcpStream::connect(host).await?;
        let request = format!("{head}{body}");
        connection.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await?;
        if let Some(set) = between(&answer, "set-cookie: ", ";") {
            self.cookie = set.to_owned();
        }
        Ok(answer)
    }

    async fn read(&mut self) -> Result<String, Box<dyn Error>> {
        self.send("GET /", "", "").await
    }

    async fn form(&mut self, act: &str, from: &str, page: &str) -> Result<String, Box<dyn Error>> {
        let token = between(page, "name=csrf_token value=", ">").unwrap_or_default();
        let (line, body) = (format!("POST /{act}"), format!("csrf_token={token}"));
        self.send(&line, &format!("Origin: http://{from}\r\n"), &body)
            .await
    }
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    rest.split_once(end).map(|(found, _)| found)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("sessions.db");
    let store = Sqlite::open(&file, SystemClock.now())?;
    let key = Secret::generate::<32>()?;
    let sessions = Sessions::new(AnyStore::new(store), key, SessionPolicy::default())?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let server = listener.local_addr()?;
    // On the network: Site::https("https://example.org"), behind TLS. Nothing else can be said.
    let app = app(sessions, Site::loopback(server)?)?;
    let serving = tokio::spawn(axum::serve(listener, app).into_future());

    let site = server.to_string();
    let mut browser = Browser {
        site: site.clone(),
        cookie: String::new(),
    };
    let page = browser.read().await?;
    println!("A page, a visitor's cookie:\n{page}\n");
    assert!(page.contains("You are nobody."));
    let evil = browser.form("sign-in", "evil.example", &page).await?;
    println!("The form from another site's page:\n{evil}\n");
    assert!(evil.starts_with("HTTP/1.1 403 "));
    let ours = browser.form("sign-in", &site, &page).await?;
    println!("From this one:\n{ours}\n");
    assert!(ours.starts_with("HTTP/1.1 303 "));
    let page = browser.read().await?;
    println!("The page of a session:\n{page}\n");
    assert!(page.contains("You are alice."));
    let signed_out = browser.form("sign-out", &site, &page).await?;
    println!("Signed out:\n{signed_out}\n");
    let page = browser.read().await?;
    println!("And a visitor's again:\n{page}");
    assert!(page.contains("You are nobody."));
    serving.abort();
    Ok(())
}
