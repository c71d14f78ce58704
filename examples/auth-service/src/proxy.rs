//! Behind proxies: nobody else is listened to, and nothing that came to them over plain HTTP.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use portcullis::core::Reason;
use portcullis::ip_list::{AddressList, TrustedProxies, Verdict};
use portcullis::tower::PeerAddress;
use tracing::warn;

use crate::answer::No;
use crate::opening::{Fault, about};
use crate::settings::Settings;

/// The proxies that TLS is left to, if it is left to any.
#[derive(Clone, Debug)]
pub(crate) struct OnlyProxies(Option<Arc<AddressList>>);

impl OnlyProxies {
    /// Those of `--behind-proxy`.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn of(settings: &Settings) -> Result<Self, Fault> {
        if settings.behind_proxy.is_empty() {
            return Ok(Self(None));
        }
        let listed = AddressList::only(&settings.behind_proxy).map_err(about("--behind-proxy"))?;
        Ok(Self(Some(Arc::new(listed))))
    }
}

/// Refuses a peer that is no proxy, and what a proxy does not say it was sent over https. Before any
/// gate: what such a caller says of itself is not even looked at.
pub(crate) async fn only_proxies(
    State(OnlyProxies(proxies)): State<OnlyProxies>,
    request: Request,
    next: Next,
) -> Response {
    let Some(proxies) = proxies else {
        return next.run(request).await;
    };
    let Some(PeerAddress(peer)) = request.extensions().get().copied() else {
        // Put together wrongly: there is nothing to decide by.
        return No::from(Reason::Internal).into_response();
    };
    if proxies.check(peer) != Verdict::Admitted {
        return refused(peer);
    }
    if !is_https(request.headers()) {
        warn!(%peer, "a proxy does not say X-Forwarded-Proto: https");
        return PLAIN.into_response();
    }
    next.run(request).await
}

/// Said once, and only that: a second line may be the client's own. In any case (RFC 3986 §3.1).
fn is_https(headers: &HeaderMap) -> bool {
    let mut said = headers.get_all(X_FORWARDED_PROTO).iter();
    let is = |scheme: &HeaderValue| scheme.as_bytes().eq_ignore_ascii_case(b"https");
    said.next().is_some_and(is) && said.next().is_none()
}

fn refused(peer: IpAddr) -> Response {
    let mut response = No::from(Reason::AddressRefused).into_response();
    // For the audit log: the peer is all there is of this client.
    let none: [&[u8]; 0] = [];
    if let Ok(client) = TrustedProxies::none().client_address(peer, none) {
        response.extensions_mut().insert(client);
    }
    response
}

const PLAIN: No = No::Problem(
    StatusCode::FORBIDDEN,
    "403_FORBIDDEN",
    std::borrow::Cow::Borrowed(
        "Over https only: the proxy has to say X-Forwarded-Proto: https, once.",
    ),
);
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_plain_word_says_https() {
        let of = |lines: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(X_FORWARDED_PROTO, HeaderValue::from_static(line));
            }
            is_https(&headers)
        };
        for scheme in ["https", "HTTPS", "Https", "httpS"] {
            assert!(of(&[scheme]), "{scheme}");
        }
        for lines in [
            &[][..],
            &["http"],
            &["HTTP"],
            &[""],
            &["https, http"],
            &["http, https"],
            &["https,https"],
            &["HTTPS,HTTPS"],
            &["HTTPS:"],
            &["httpss"],
            &["wss"],
            &["https", "http"],
            &["http", "https"],
            &["https", "https"],
            &["https", "HTTPS"],
            &["HTTPS", ""],
        ] {
            assert!(!of(lines), "{lines:?}");
        }
    }
}
