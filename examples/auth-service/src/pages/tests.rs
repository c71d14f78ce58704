//! The pages' router, asked as a browser asks.

mod acts;
mod clients;
mod ends;
mod entry;
mod keys;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use clap::Parser;
use http::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, Request, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use portcullis::audit::{self, Action, Filter};
use portcullis::core::{Clock, Scope, Secret, SystemClock};
use portcullis::ip_list::{AddressList, TrustedProxies};
use portcullis::lockout::AccountName;
use portcullis::rate_limit::{Limiter, LimiterPolicy, Quota};
use portcullis::tower::{
    AddressGate, GuardedRoutes, LimitGate, RecordLayer, RecordPolicy, SecurityHeadersLayer, Site,
    Stack,
};
use portcullis_totp_mfa::testing::codes;
use tower::ServiceExt;

use super::{Doors, Limited, pages};
use crate::app::App;
use crate::settings::Settings;
use crate::users::Role;

/// A browser with one cookie, on a service with one administrator.
struct Browser {
    _folder: tempfile::TempDir,
    app: Arc<App>,
    router: GuardedRoutes,
    cookie: Option<String>,
}

/// What an enrolment left behind.
struct Enrolled {
    secret: String,
    recovery: Vec<String>,
    /// The code that completed it.
    used: String,
}

struct Page {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Browser {
    async fn open() -> Self {
        Self::with(&[], 1_000_000).await
    }

    async fn with(flags: &[&str], limit: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data").into_os_string();
        let flags = ["auth-service"].iter().chain(flags).chain(&["--data"]);
        let flags = flags.map(OsString::from).chain([data]);
        let (settings, now) = (Settings::parse_from(flags), SystemClock.now());
        let app = App::open(settings, now, &mut |_| {}).await.unwrap();
        let record = RecordLayer::new(app.log.clone(), RecordPolicy::default(), SystemClock);
        let site = Site::loopback(app.settings.address).unwrap();
        let router = pages(&app, &site, &doors(limit)).unwrap();
        let router = router.with_state(Arc::clone(&app)).finish().unwrap();
        let router = router
            .layer(SecurityHeadersLayer::new(&site))
            .layer(record.unwrap());
        Self {
            _folder: folder,
            app,
            router,
            cookie: None,
        }
    }

    /// A user with a password of the user's own.
    async fn user(&self, name: &str, role: Role) -> AccountName {
        let (account, now) = (AccountName::parse(name).unwrap(), SystemClock.now());
        let made = self.app.new_user(&account, "a@b".into(), role, now).await;
        let (mut user, _) = made.unwrap();
        user.password_hash = self
            .app
            .hasher
            .hash(Secret::from(PASSWORD.as_bytes()))
            .await
            .unwrap();
        user.must_change_password = false;
        self.app.users.create(user, now).await.unwrap();
        account
    }

    async fn get(&mut self, path: &str) -> Page {
        let request = Request::get(path).body(Body::empty()).unwrap();
        self.send(request).await
    }

    /// Fills the form of a page: its token, and these fields.
    async fn post(&mut self, from: &Page, path: &str, fields: &[(&str, &str)]) -> Page {
        let token = from.field("csrf_token");
        let fields = [("csrf_token", &*token)]
            .into_iter()
            .chain(fields.iter().copied());
        let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        let body: Vec<String> = fields
            .map(|(name, value)| format!("{name}={}", encoded(value)))
            .collect();
        let request = Request::post(path)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("origin", "http://127.0.0.1:8080")
            .header("sec-fetch-site", "same-origin");
        self.send(request.body(Body::from(body.join("&"))).unwrap())
            .await
    }

    async fn send(&mut self, mut request: Request<Body>) -> Page {
        let peer: SocketAddr = "127.0.0.1:9".parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(peer));
        if let Some(cookie) = &self.cookie {
            request
                .headers_mut()
                .insert(COOKIE, cookie.parse().unwrap());
        }
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        if let Some(set) = head.headers.get(SET_COOKIE) {
            let set = set.to_str().unwrap().split(';').next().unwrap();
            self.cookie = Some(set.to_owned());
        }
        let body = to_bytes(body, 1 << 20).await.unwrap();
        Page {
            status: head.status,
            headers: head.headers,
            text: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    async fn sign_in(&mut self, name: &str, password: &str) -> Page {
        let form = self.get("/sign-in").await;
        let fields = [("username", name), ("password", password)];
        self.post(&form, "/sign-in", &fields).await
    }

    /// Signed in, with an authenticator set up.
    async fn enrolled(&mut self, name: &str) -> Enrolled {
        self.sign_in(name, PASSWORD).await;
        let form = self.get("/account/enrol").await;
        let shown = self.post(&form, "/account/enrol", &[]).await;
        let secret = between(&shown.text, "<code aria-labelledby=\"secret-label\">", "<");
        let secret = secret.replace(' ', "");
        let code = codes::at(&secret, SystemClock.now());
        let kept = self
            .post(&shown, "/account/confirm", &[("code", &code)])
            .await;
        assert_eq!(kept.status, 200, "{}", kept.text);
        let list = kept.text.split("<code>").skip(1);
        let recovery = list.map(|code| code.split('<').next().unwrap().to_owned());
        Enrolled {
            recovery: recovery.collect(),
            secret,
            used: code,
        }
    }

    fn recorded(&self, action: Action) -> usize {
        let (place, key) = self.app.audit_place();
        let filter = Filter::default().action(action);
        audit::query(&place, &key, &filter).unwrap().len()
    }
}

impl Page {
    fn to(&self) -> Option<&str> {
        assert!(self.headers.get(LOCATION).is_none() || self.status == 303);
        self.headers.get(LOCATION)?.to_str().ok()
    }

    fn field(&self, name: &str) -> String {
        between(&self.text, &format!("name=\"{name}\" value=\""), "\"")
    }

    /// The page without what is different in every one.
    fn without_token(&self) -> String {
        self.text.replace(&self.field("csrf_token"), "")
    }
}

fn between(text: &str, before: &str, after: &str) -> String {
    let (_, rest) = text
        .split_once(before)
        .unwrap_or_else(|| panic!("{before} in {text}"));
    rest.split(after).next().unwrap().to_owned()
}

fn doors(limit: u32) -> Doors {
    let door = |name: &'static str| -> Limited {
        let address = AddressGate::new(TrustedProxies::none(), AddressList::everyone());
        let quota = Quota::per(limit, Duration::from_secs(60)).unwrap();
        let limiter = Arc::new(Limiter::new(quota, LimiterPolicy::default()));
        Stack::new(address).limit(LimitGate::in_process(Scope::new(name), limiter))
    };
    Doors {
        front: door("front"),
        authentication: door("authentication"),
        validation: door("validation"),
        user_management: door("user-management"),
    }
}

const PASSWORD: &str = "correct horse battery";
