//! A browser, and the pages it loads.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, COOKIE, SET_COOKIE};
use http::{HeaderName, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use portcullis_core::testing::{FakeClock, Faulty};
use portcullis_core::{AnyStore, Memory, Reason, Secret, Timestamp};
use portcullis_session::{Factor, Live, Method, SessionId, SessionPolicy, Sessions};
use portcullis_tower::{
    CookieChange, CookieSessionLayer, CsrfToken, ProvenUser, ReadBody, Refused, Site,
};
use tower::{Layer, Service, ServiceExt};

pub type Body = Full<Bytes>;

pub const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);
pub const OWN: &str = "https://example.org";
pub const FORM: &str = "application/x-www-form-urlencoded";

/// Pages over a store that fails on command.
pub struct Pages {
    pub store: Faulty<Memory>,
    pub sessions: Arc<Sessions<AnyStore>>,
    pub clock: FakeClock,
    pub layer: CookieSessionLayer,
    /// How many requests came through to a handler.
    pub handled: Arc<AtomicUsize>,
}

pub fn site() -> Site {
    Site::https(OWN).unwrap()
}

impl Pages {
    pub fn new() -> Self {
        Self::of(site(), &Secret::from(vec![7; 32]))
    }

    pub fn of(site: Site, key: &Secret) -> Self {
        let store = Faulty::new(Memory::new(NOW));
        let policy = SessionPolicy::default().dangerous_allow_volatile();
        let anywhere = AnyStore::new(store.clone());
        let sessions = Sessions::new(anywhere, Secret::from(vec![9; 32]), policy).unwrap();
        let (sessions, clock) = (Arc::new(sessions), FakeClock::new(NOW));
        let layer = CookieSessionLayer::new(Arc::clone(&sessions), key, site)
            .unwrap()
            .clock(clock.clone());
        Self {
            store,
            sessions,
            clock,
            layer,
            handled: Arc::new(AtomicUsize::new(0)),
        }
    }

    /// How many requests came through since this was last asked.
    pub fn handled(&self) -> usize {
        self.handled.swap(0, Ordering::SeqCst)
    }

    pub fn service(
        &self,
    ) -> impl Service<
        Request<Body>,
        Response = Response<impl http_body::Body<Data = Bytes, Error = Infallible> + use<>>,
        Error = Infallible,
        Future: Send,
    > + Clone
    + Send
    + use<> {
        let (sessions, handled) = (Arc::clone(&self.sessions), Arc::clone(&self.handled));
        let clock = self.clock.clone();
        self.layer.layer(tower::service_fn(move |request| {
            handled.fetch_add(1, Ordering::SeqCst);
            let (sessions, clock) = (Arc::clone(&sessions), clock.clone());
            async move { Ok(answer(&sessions, &clock, request).await) }
        }))
    }

    pub async fn start(&self, user: &str) -> SessionId {
        let shown = [Factor::new(Method::Password, NOW)];
        let started = self.sessions.start(user, &shown, self.now()).await;
        started.unwrap().session
    }

    pub fn now(&self) -> Timestamp {
        use portcullis_core::Clock;
        self.clock.now()
    }

    pub async fn lives(&self, session: &SessionId) -> bool {
        self.sessions.live(session, self.now()).await.is_ok()
    }
}

/// Says what the layer left, then does what the path says.
async fn answer(
    sessions: &Sessions<AnyStore>,
    clock: &FakeClock,
    request: Request<ReadBody<Body>>,
) -> Response<Body> {
    use portcullis_core::Clock;

    let (head, body) = request.into_parts();
    let token = head.extensions.get::<CsrfToken>().unwrap();
    let mut response = Response::new(Body::from(token.expose().to_owned()));
    if let Some(live) = head.extensions.get::<Live>() {
        let proven = head.extensions.get::<ProvenUser>().unwrap();
        assert_eq!(proven.user(), live.user());
        assert_eq!(proven.session(), Some(&*live.session().to_string()));
        let user = live.user().parse().unwrap();
        response.headers_mut().insert("x-user", user);
    } else {
        assert!(head.extensions.get::<ProvenUser>().is_none());
    }
    let shown = [Factor::new(Method::Password, clock.now())];
    let change = match head.uri.path() {
        "/sign-in" => {
            let started = sessions.start("alice", &shown, clock.now()).await.unwrap();
            Some(CookieChange::Begin(started.session))
        }
        "/sign-in-to-nothing" => Some(CookieChange::Begin(SessionId::from_bytes([1; 16]))),
        "/sign-out" => Some(CookieChange::End),
        "/style.css" => {
            let value = http::HeaderValue::from_static("max-age=60");
            response.headers_mut().insert("cache-control", value);
            None
        }
        "/echo" => {
            let bytes = body.collect().await.unwrap().to_bytes();
            *response.body_mut() = Body::from(bytes);
            None
        }
        _ => None,
    };
    if let Some(change) = change {
        response.extensions_mut().insert(change);
    }
    response
}

/// What came back, the body read.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: http::HeaderMap,
    pub refused: Option<Refused>,
    pub change: Option<CookieChange>,
    pub proven: Option<ProvenUser>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn user(&self) -> Option<&str> {
        let user = self.headers.get("x-user")?;
        Some(user.to_str().unwrap())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn set_cookies(&self) -> Vec<&str> {
        let all = self.headers.get_all(SET_COOKIE).iter();
        all.map(|value| value.to_str().unwrap()).collect()
    }

    /// `name=value` of the one cookie that was set.
    pub fn cookie(&self) -> String {
        let set = self.set_cookies();
        assert_eq!(set.len(), 1, "{set:?}");
        set[0].split(';').next().unwrap().to_owned()
    }
}

pub async fn send(pages: &Pages, request: Request<Body>) -> Answer {
    let response = pages.service().oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    Answer {
        status: head.status,
        headers: head.headers,
        refused: head.extensions.get().copied(),
        change: head.extensions.get().copied(),
        proven: head.extensions.get().cloned(),
        body: body.collect().await.unwrap().to_bytes().to_vec(),
    }
}

pub fn get(path: &str, cookie: Option<&str>) -> Request<Body> {
    let mut request = Request::get(path).body(Body::default()).unwrap();
    if let Some(cookie) = cookie {
        request
            .headers_mut()
            .insert(COOKIE, cookie.parse().unwrap());
    }
    request
}

/// What a browser sends for a form of the site's own page.
pub fn post(path: &str, cookie: &str, body: impl Into<Bytes>) -> Request<Body> {
    Request::post(path)
        .header(COOKIE, cookie)
        .header("origin", OWN)
        .header("sec-fetch-site", "same-origin")
        .header(CONTENT_TYPE, FORM)
        .body(Body::new(body.into()))
        .unwrap()
}

/// A page loaded with that cookie, or the visitor's that it is given: the cookie and the form's token.
pub async fn load(pages: &Pages, cookie: Option<&str>) -> (String, String) {
    let page = send(pages, get("/", cookie)).await;
    assert_eq!(page.status, StatusCode::OK);
    let cookie = match cookie {
        Some(cookie) => cookie.to_owned(),
        None => page.cookie(),
    };
    (cookie, page.text().to_owned())
}

/// Signs in as a browser does that was never there: the cookie of the session.
pub async fn sign_in(pages: &Pages) -> String {
    let (cookie, token) = load(pages, None).await;
    let form = format!("user=alice&csrf_token={token}");
    let answer = send(pages, post("/sign-in", &cookie, form)).await;
    assert_eq!(answer.status, StatusCode::OK);
    answer.cookie()
}

pub fn with(mut request: Request<Body>, name: HeaderName, value: &str) -> Request<Body> {
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

pub fn without(mut request: Request<Body>, name: &HeaderName) -> Request<Body> {
    request.headers_mut().remove(name);
    request
}

/// Each is refused, and reaches no handler.
pub async fn refused_as(pages: &Pages, request: Request<Body>, reason: Reason, what: &str) {
    pages.handled();
    let answer = send(pages, request).await;
    assert_eq!(answer.refused, Some(Refused(reason)), "{what}");
    assert_eq!(answer.set_cookies(), [""; 0], "{what}");
    assert_eq!(pages.handled(), 0, "{what}");
}

pub async fn cross_site(pages: &Pages, request: Request<Body>, what: &str) {
    refused_as(pages, request, Reason::CrossSite, what).await;
}
