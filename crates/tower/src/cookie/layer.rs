//! The layer of sessions in cookies, and its service.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Body;
use portcullis_core::{AnyStore, Clock, Secret, SystemClock};
use portcullis_session::Sessions;
use tower_layer::Layer;
use tower_service::Service;

use super::form::DEFAULT_LIMIT_BYTES;
use super::guard::Guard;
use super::token::Keyed;
use crate::arrival::arrival;
use crate::body::ReadBody;
use crate::proven::Known;
use crate::{Admitted, CookieError, GateBody, Refusal, Refused, Site, respond};

/// Keeps sessions in a cookie, and other sites' pages from acting in them. For pages that a browser
/// loads; an API for programs takes bearer tokens.
///
/// In the extensions of each request it leaves a [`crate::CsrfToken`], and, where the cookie is of a
/// living session, the [`portcullis_session::Live`] and the [`crate::ProvenUser`]. A handler that needs
/// a user and finds no `Live` sends to the sign-in page. The response's [`crate::CookieChange`] changes
/// the cookie.
///
/// # Which requests pass
/// Those of the methods GET, HEAD, OPTIONS and TRACE: handlers of these change nothing. Any other passes
/// if all of these hold, and is refused with [`portcullis_core::Reason::CrossSite`] if not:
///
/// 1. (i) `Sec-Fetch-Site`, if present, is `same-origin`: the browser says that the site's own page
///    sent it. A sibling host (`same-site`) is refused: it may be another's.
/// 2. (ii) `Origin`, if present, is one of the site's; `null` is not.
/// 3. (iii) At least one of the two is present. Every browser of today sends one with an unsafe method.
/// 4. (iv) It carries a [`crate::CsrfToken`] made for its cookie, in the header `X-CSRF-Token` or else
///    in the only field `csrf_token` of an `application/x-www-form-urlencoded` body. A query is not
///    looked at: those end in logs.
///
/// So a script's JSON carries the header, and so does a form with files. A form is read before the
/// handler is called, up to [`CookieSessionLayer::form_limit_bytes`] and for ten seconds at most (by
/// tokio's timer), and handed on byte for byte.
///
/// # The cookie
/// `psc1_`, then base64url of kind (a visitor's or a session's), 16 bytes of id and an HMAC-SHA-256 tag.
/// Two cookies of the name in one request are as none. It is `HttpOnly`, `SameSite=Lax`, without a
/// `Domain`, on https `Secure`, and lasts no longer than its session. A browser without one is given a
/// visitor's with the response to a safe method, so that the sign-in form can be told from a forged one
/// too.
///
/// A response that sets a cookie, and every one in a session, is `Cache-Control: no-store` unless it says
/// otherwise itself.
///
/// # What failure means
/// Every failure refuses: a store that cannot be asked is answered with 503, and the cookie stays.
///
/// ```
/// use http::{Request, Response, StatusCode};
/// use http_body_util::Full;
/// use portcullis_core::{AnyStore, Memory, Secret, Timestamp, SystemClock, Clock};
/// use portcullis_session::{SessionPolicy, Sessions};
/// use portcullis_tower::{CookieSessionLayer, CsrfToken, Site};
/// use std::sync::Arc;
/// use tower::{Layer, ServiceExt};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
/// # runtime.block_on(async {
/// // Memory is for this example: a service keeps sessions in a durable store.
/// let store = AnyStore::new(Memory::new(SystemClock.now()));
/// let policy = SessionPolicy::default().dangerous_allow_volatile();
/// let sessions = Arc::new(Sessions::new(store, Secret::generate::<32>()?, policy)?);
/// let site = Site::https("https://example.org")?;
/// let layer = CookieSessionLayer::new(sessions, &Secret::generate::<32>()?, site)?;
///
/// // A page with a form, and what the form is sent to.
/// let pages = layer.layer(tower::service_fn(|request: Request<_>| async move {
///     let token = request.extensions().get::<CsrfToken>().map(|token| token.expose().to_owned());
///     Ok::<_, std::convert::Infallible>(Response::new(token.unwrap_or_default()))
/// }));
/// let page = pages.clone().oneshot(Request::new(Full::<bytes::Bytes>::default())).await?;
/// let cookie = page.headers()["set-cookie"].to_str()?.split(';').next().unwrap_or_default().to_owned();
/// # use http_body_util::BodyExt;
/// let token = page.into_body().collect().await?.to_bytes();
///
/// let send = |origin: &str, token: &[u8]| {
///     let request = Request::post("/")
///         .header("origin", origin)
///         .header("cookie", &cookie)
///         .header("x-csrf-token", token)
///         .body(Full::<bytes::Bytes>::default());
///     request.map(|request| pages.clone().oneshot(request))
/// };
/// assert_eq!(send("https://example.org", &token)?.await?.status(), StatusCode::OK);
/// assert_eq!(send("https://example.org", b"guessed")?.await?.status(), StatusCode::FORBIDDEN);
/// assert_eq!(send("https://evil.example", &token)?.await?.status(), StatusCode::FORBIDDEN);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct CookieSessionLayer {
    guard: Arc<Guard>,
}

impl CookieSessionLayer {
    /// A layer that keeps `sessions` of `site` in cookies made under `key`, of at least 32 bytes, used
    /// for nothing else. Another key signs everyone out of their browser.
    ///
    /// # Errors
    /// [`CookieError::KeyTooShort`].
    pub fn new(
        sessions: Arc<Sessions<AnyStore>>,
        key: &Secret,
        site: Site,
    ) -> Result<Self, CookieError> {
        let keyed = Keyed::new(key).ok_or(CookieError::KeyTooShort)?;
        let guard = Guard {
            sessions,
            keyed: Arc::new(keyed),
            site,
            clock: Arc::new(SystemClock),
            form_limit_bytes: DEFAULT_LIMIT_BYTES,
        };
        Ok(Self {
            guard: Arc::new(guard),
        })
    }

    /// Reads `clock`, and not the system's, for requests that carry no [`crate::Arrival`].
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        let guard = Guard {
            clock: Arc::new(clock),
            ..(*self.guard).clone()
        };
        Self {
            guard: Arc::new(guard),
        }
    }

    /// How long a form may be that is read for its token: 64 KiB unless set. A longer one is refused
    /// with [`portcullis_core::Reason::BodyTooLarge`]. What carries its token in the header is not read,
    /// and not bounded here.
    #[must_use]
    pub fn form_limit_bytes(self, limit: usize) -> Self {
        let guard = Guard {
            form_limit_bytes: limit,
            ..(*self.guard).clone()
        };
        Self {
            guard: Arc::new(guard),
        }
    }
}

impl fmt::Debug for CookieSessionLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CookieSessionLayer")
            .field("site", &self.guard.site)
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for CookieSessionLayer {
    type Service = CookieSessionService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CookieSessionService {
            inner,
            guard: Arc::clone(&self.guard),
        }
    }
}

/// A service whose sessions are kept in cookies; made by [`CookieSessionLayer`].
#[derive(Clone)]
pub struct CookieSessionService<S> {
    inner: S,
    guard: Arc<Guard>,
}

impl<S: fmt::Debug> fmt::Debug for CookieSessionService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CookieSessionService")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl<S, In, Out> Service<Request<In>> for CookieSessionService<S>
where
    S: Service<Request<ReadBody<In>>, Response = Response<Out>> + Clone + Send + 'static,
    S::Future: Send,
    In: Body<Data = Bytes> + Send + 'static,
    Out: Send,
{
    type Response = Response<GateBody<Out, Admitted>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<In>) -> Self::Future {
        // The service that was polled ready is the one to call; the fresh clone is not ready yet.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        let guard = Arc::clone(&self.guard);
        let (mut head, body) = request.into_parts();
        let now = arrival(&mut head.extensions, &*guard.clock);
        Box::pin(async move {
            let (visit, body) = match guard.admit(&mut head, body, now).await {
                Ok(admitted) => admitted,
                Err(refusal) => return Ok(refused(&refusal, Known::of(&head.extensions))),
            };
            let known = Known::of(&head.extensions);
            let response = inner.call(Request::from_parts(head, body)).await?;
            let (mut head, body) = response.into_parts();
            if let Err(refusal) = guard.settle(&visit, &mut head, now).await {
                return Ok(refused(&refusal, known));
            }
            // What the handler refuses is recorded outside as well, where only the response is seen.
            if head.extensions.get::<Refused>().is_some() {
                known.tell(&mut head.extensions);
            }
            Ok(Response::from_parts(
                head,
                GateBody::admitted(body, Admitted),
            ))
        })
    }
}

/// No browser speaks gRPC: a refusal here has its HTTP status, whatever the request says of itself.
fn refused<Out>(refusal: &Refusal, known: Known) -> Response<GateBody<Out, Admitted>> {
    let mut response = respond(refusal, &HeaderMap::new());
    known.tell(response.extensions_mut());
    response.map(GateBody::refused)
}
