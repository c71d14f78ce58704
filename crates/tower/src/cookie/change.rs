//! How a handler changes the cookie, and how that is said to the browser.

use std::time::Duration;

use http::HeaderValue;
use portcullis_session::SessionId;

use super::Site;

/// In a *response's* extensions: the cookie is to change. The layer takes it out and sets the cookie.
///
/// The cookie after a sign-in is never the one before it, so one that was planted before is worth
/// nothing after (session fixation). Answer with a redirect: the forms of a page rendered in the same
/// response would carry the token of the cookie that is going.
///
/// ```
/// use portcullis_session::SessionId;
/// use portcullis_tower::CookieChange;
///
/// # fn signed_in(session: SessionId) -> http::Response<()> {
/// let mut response = http::Response::new(());
/// *response.status_mut() = http::StatusCode::SEE_OTHER;
/// response.extensions_mut().insert(CookieChange::Begin(session));
/// # response
/// # }
/// ```
///
/// On axum, `(Extension(CookieChange::Begin(session)), Redirect::to("/account"))` says the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CookieChange {
    /// The user has signed in to this session, which is alive. The one that the request's cookie held,
    /// if that is another, ends; whoever wants that in a log records it, by the
    /// [`portcullis_session::Live`] in the request's extensions.
    Begin(SessionId),
    /// The user has signed out: the session that the request's cookie held ends, where it has not
    /// already, and the browser is a new visitor's.
    End,
}

/// The `Set-Cookie` of `value` (RFC 6265 §4.1), for `life` or, without one, until the browser closes.
///
/// Lax and not strict: the first page that a link from elsewhere leads to is to know its user; what
/// changes anything is refused by the token and the origin.
pub(crate) fn set_cookie(site: &Site, value: &str, life: Option<Duration>) -> Option<HeaderValue> {
    let mut text = format!(
        "{}={value}; Path=/; HttpOnly; SameSite=Lax",
        site.cookie_name()
    );
    if site.is_https() {
        text.push_str("; Secure");
    }
    if let Some(life) = life {
        // Whole seconds, rounded down: never longer than the session.
        text.push_str(&format!("; Max-Age={}", life.as_secs()));
    }
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_attributes_are_those_of_the_site_and_the_life_is_rounded_down() {
        let https = Site::https("https://example.org").unwrap();
        let loopback = Site::loopback("127.0.0.1:8080".parse().unwrap()).unwrap();
        let life = Some(Duration::from_millis(61_999));
        let cases = [
            (
                &https,
                None,
                "__Host-portcullis=v; Path=/; HttpOnly; SameSite=Lax; Secure",
            ),
            (
                &https,
                life,
                "__Host-portcullis=v; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=61",
            ),
            (
                &loopback,
                life,
                "portcullis=v; Path=/; HttpOnly; SameSite=Lax; Max-Age=61",
            ),
        ];
        for (site, life, text) in cases {
            let value = set_cookie(site, "v", life).unwrap();
            assert_eq!(value, text);
            assert!(value.is_sensitive());
        }
    }
}
