//! What every page tells the browser to refuse.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{
    CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::Site;

/// Adds to each response the headers that make a browser refuse what a page of this site never does.
/// One that the response has of its own stays.
///
/// | Header | Value | Why |
/// |---|---|---|
/// | `Content-Security-Policy` | nothing but the site's own styles, images and forms; no script, no frame around it | an injected script does not run |
/// | `X-Content-Type-Options` | `nosniff` | a picture is not run as a script |
/// | `X-Frame-Options` | `DENY` | for browsers that do not know `frame-ancestors` |
/// | `Referrer-Policy` | `same-origin` | addresses stay here; under `no-referrer` a form would be sent with `Origin: null` |
/// | `Cross-Origin-Opener-Policy` | `same-origin` | a window that opened this one cannot reach into it |
/// | `Cross-Origin-Resource-Policy` | `same-origin` | no other site embeds what is here |
/// | `Permissions-Policy` | no camera, no microphone, no place, no payment, no device | a page of forms needs none |
/// | `Strict-Transport-Security` | two years, on https alone and not for `localhost` | the next visit does not begin without TLS |
///
/// The host's other subdomains are not spoken for: that is for whoever runs all of them to say.
///
/// ```
/// use portcullis_tower::{SecurityHeadersLayer, Site};
/// use tower::{Layer, ServiceExt};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let layer = SecurityHeadersLayer::new(&Site::https("https://example.org")?);
/// let pages = layer.layer(tower::service_fn(|_: http::Request<()>| async {
///     Ok::<_, std::convert::Infallible>(http::Response::new("a page"))
/// }));
/// let page = pages.oneshot(http::Request::new(())).await?;
/// assert_eq!(page.headers()["x-frame-options"], "DENY");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SecurityHeadersLayer {
    headers: Arc<[(HeaderName, HeaderValue)]>,
}

impl SecurityHeadersLayer {
    /// The headers for the pages of `site`.
    #[must_use]
    pub fn new(site: &Site) -> Self {
        // The policy knows no port (RFC 6797 §8.3): on localhost it would bind every other program for years.
        let tls = (site.is_https() && !site.is_this_machine()).then_some(TLS);
        let all = EVERYWHERE.into_iter().chain(tls);
        let all = all.map(|(name, value)| (name, HeaderValue::from_static(value)));
        Self {
            headers: all.collect(),
        }
    }
}

impl fmt::Debug for SecurityHeadersLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecurityHeadersLayer")
    }
}

impl<S> Layer<S> for SecurityHeadersLayer {
    type Service = SecurityHeadersService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        SecurityHeadersService {
            inner,
            headers: Arc::clone(&self.headers),
        }
    }
}

/// A service whose responses carry the headers; made by [`SecurityHeadersLayer`].
#[derive(Clone)]
pub struct SecurityHeadersService<S> {
    inner: S,
    headers: Arc<[(HeaderName, HeaderValue)]>,
}

impl<S: fmt::Debug> fmt::Debug for SecurityHeadersService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SecurityHeadersService")
            .field(&self.inner)
            .finish()
    }
}

impl<S, In, Out> Service<Request<In>> for SecurityHeadersService<S>
where
    S: Service<Request<In>, Response = Response<Out>>,
    S::Future: Send + 'static,
    S::Error: 'static,
    Out: 'static,
{
    type Response = Response<Out>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<In>) -> Self::Future {
        let headers = Arc::clone(&self.headers);
        let answered = self.inner.call(request);
        Box::pin(async move {
            let mut response = answered.await?;
            add_missing(response.headers_mut(), &headers);
            Ok(response)
        })
    }
}

fn add_missing(to: &mut HeaderMap, headers: &[(HeaderName, HeaderValue)]) {
    for (name, value) in headers {
        if !to.contains_key(name) {
            to.insert(name.clone(), value.clone());
        }
    }
}

const EVERYWHERE: [(HeaderName, &str); 7] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'",
    ),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "same-origin"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
];
/// As long as the browsers' preload lists ask for.
const TLS: (HeaderName, &str) = (STRICT_TRANSPORT_SECURITY, "max-age=63072000");
