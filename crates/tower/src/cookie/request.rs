//! What a request's head says: whose cookie came, and whether another site's page sent it.

use http::header::{COOKIE, ORIGIN};
use http::{HeaderMap, HeaderName, Method};
use portcullis_core::Reason;

use super::Site;

/// Whether the method changes nothing (RFC 9110 §9.2.1). One that is not known may.
pub(crate) fn is_safe(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE
    )
}

/// Refuses what a browser says, or may not say, of a page of another site. Conditions (i) to (iii) of
/// [`crate::CookieSessionLayer`].
pub(crate) fn same_origin(headers: &HeaderMap, site: &Site) -> Result<(), Reason> {
    let fetched = sole(headers, &SEC_FETCH_SITE)?;
    let origin = sole(headers, &ORIGIN)?;
    let says_so = fetched.is_none_or(|from| from == b"same-origin");
    let is_own = origin.is_none_or(|origin| site.is_own(origin));
    let says_anything = fetched.is_some() || origin.is_some();
    if says_so && is_own && says_anything {
        Ok(())
    } else {
        Err(Reason::CrossSite)
    }
}

/// The one value of a header that may come once. Of two, a proxy and a service would disagree about
/// which counts.
pub(crate) fn sole<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a [u8]>, Reason> {
    let mut given = headers.get_all(name).iter();
    let first = given.next();
    match given.next() {
        None => Ok(first.map(|value| value.as_bytes())),
        Some(_) => Err(Reason::CrossSite),
    }
}

/// The value of the cookie of that name. Several are as none: which of them is ours, and which a
/// neighbouring host has tossed in, a request does not tell (RFC 6265 §8.6).
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let lines = headers.get_all(COOKIE).iter();
    let pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    let mut values = pairs.filter_map(|pair| {
        let value = pair.trim_ascii_start().strip_prefix(name.as_bytes())?;
        value.strip_prefix(b"=").map(<[u8]>::trim_ascii_end)
    });
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(given: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_request_of_another_sites_page_is_refused_and_so_is_one_that_does_not_say() {
        let own = ("origin", "https://example.org");
        let same = ("sec-fetch-site", "same-origin");
        let refused: [&[(&str, &str)]; 14] = [
            &[],
            &[("origin", "null")],
            &[("origin", "null"), same],
            &[("origin", "https://evil.example"), same],
            &[("origin", "https://sub.example.org"), same],
            &[("origin", "http://example.org")],
            &[("origin", "https://example.org:8443")],
            &[("origin", "")],
            &[own, ("sec-fetch-site", "cross-site")],
            &[own, ("sec-fetch-site", "same-site")],
            &[own, ("sec-fetch-site", "none")],
            &[own, ("sec-fetch-site", "Same-Origin")],
            &[own, own],
            &[own, same, same],
        ];
        let site = Site::https("https://example.org").unwrap();
        for given in refused {
            let answer = same_origin(&headers(given), &site);
            assert_eq!(answer, Err(Reason::CrossSite), "{given:?}");
        }
        let admitted: [&[(&str, &str)]; 3] = [&[own], &[same], &[own, same]];
        for given in admitted {
            assert_eq!(same_origin(&headers(given), &site), Ok(()), "{given:?}");
        }
    }

    #[test]
    fn a_referer_stands_in_for_nothing() {
        let site = Site::https("https://example.org").unwrap();
        let given = headers(&[("referer", "https://example.org/sign-in")]);
        assert_eq!(same_origin(&given, &site), Err(Reason::CrossSite));
    }

    #[test]
    fn only_the_one_cookie_of_the_very_name_is_read() {
        let cases: [(&[&'static str], Option<&str>); 15] = [
            (&[], None),
            (&["portcullis=a"], Some("a")),
            (&["x=1; portcullis=a; y=2"], Some("a")),
            (&["x=1", "portcullis=a"], Some("a")),
            (&["x=1;portcullis=a\t"], Some("a")),
            (&["portcullis="], Some("")),
            (&["portcullis=a=b"], Some("a=b")),
            (&["portcullis=a; portcullis=b"], None),
            (&["portcullis=a; portcullis=a"], None),
            (&["portcullis=a", "portcullis=b"], None),
            (&["portcullis=; portcullis=a"], None),
            (&["portcullis"], None),
            (&["Portcullis=a"], None),
            (&["__Host-portcullis=a"], None),
            (&["xportcullis=a; portcullisx=b"], None),
        ];
        for (lines, value) in cases {
            let given: Vec<_> = lines.iter().map(|line| ("cookie", *line)).collect();
            let headers = headers(&given);
            let read = cookie(&headers, "portcullis");
            assert_eq!(read, value.map(str::as_bytes), "{lines:?}");
        }
    }

    #[test]
    fn every_method_that_is_not_known_to_be_safe_is_not() {
        for method in ["GET", "HEAD", "OPTIONS", "TRACE"] {
            assert!(is_safe(&method.parse().unwrap()), "{method}");
        }
        for method in ["POST", "PUT", "PATCH", "DELETE", "CONNECT", "get", "PURGE"] {
            assert!(!is_safe(&method.parse().unwrap()), "{method}");
        }
    }
}
