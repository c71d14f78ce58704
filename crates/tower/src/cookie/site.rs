//! Where the pages live: which origins are their own, and what their cookie is called.

use std::net::{Ipv6Addr, SocketAddr};

use crate::CookieError;

/// The site that the pages belong to. It decides the cookie's name, and which `Origin` is its own.
///
/// | Site | Cookie | Attributes |
/// |---|---|---|
/// | [`Site::https`] | `__Host-portcullis`: no other host, and no page without TLS, can set it (RFC 6265bis §4.1.3.2) | `Secure` |
/// | [`Site::loopback`] | `portcullis` | |
///
/// Pages without TLS elsewhere than on this machine cannot be said.
///
/// ```
/// use portcullis_tower::{CookieError, Site};
///
/// let site = Site::https("https://example.org")?;
/// assert_eq!(site.cookie_name(), "__Host-portcullis");
/// assert!(Site::https("http://example.org").is_err());
///
/// let trial = Site::loopback(([127, 0, 0, 1], 8080).into())?;
/// assert_eq!(trial.cookie_name(), "portcullis");
/// assert!(Site::loopback(([192, 0, 2, 1], 8080).into()).is_err());
/// # Ok::<(), CookieError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    origins: Vec<String>,
    is_https: bool,
}

impl Site {
    /// The site of that origin, spelled as a browser sends it (RFC 6454 §6.1): lower case, no path, no
    /// default port, a host in punycode.
    ///
    /// # Errors
    /// [`CookieError::OriginMalformed`] for any other spelling: no request would ever fit it.
    pub fn https(origin: &str) -> Result<Self, CookieError> {
        let authority = origin.strip_prefix("https://");
        if !authority.is_some_and(is_authority) {
            return Err(CookieError::OriginMalformed);
        }
        Ok(Self {
            origins: vec![origin.to_owned()],
            is_https: true,
        })
    }

    /// The site of a server on this machine, under each of the names a browser may call it by. For
    /// trials and tests.
    ///
    /// Cookies know no port (RFC 6265 §8.5): another server on the same machine sees this one's.
    ///
    /// # Errors
    /// [`CookieError::NotLoopback`] for an address of the network, or the port 0.
    pub fn loopback(address: SocketAddr) -> Result<Self, CookieError> {
        if !address.ip().is_loopback() || address.port() == 0 {
            return Err(CookieError::NotLoopback);
        }
        let port = match address.port() {
            80 => String::new(),
            port => format!(":{port}"),
        };
        let hosts = ["127.0.0.1", "[::1]", "localhost"];
        Ok(Self {
            origins: hosts.map(|host| format!("http://{host}{port}")).to_vec(),
            is_https: false,
        })
    }

    /// What the cookie is called.
    #[must_use]
    pub const fn cookie_name(&self) -> &'static str {
        if self.is_https {
            "__Host-portcullis"
        } else {
            "portcullis"
        }
    }

    /// Whether the pages are served over TLS.
    #[must_use]
    pub const fn is_https(&self) -> bool {
        self.is_https
    }

    /// Whether it is this machine's by name: what a browser keeps of that name counts for every program here.
    pub(crate) fn is_this_machine(&self) -> bool {
        let here = |origin: &String| {
            let host = origin.split_once("://").map_or("", |(_, host)| host);
            let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
            name == "localhost" || name.ends_with(".localhost")
        };
        self.origins.iter().any(here)
    }

    /// Whether a request's `Origin` is this site's. `null`, which a browser sends for pages that must
    /// not be told apart, never is.
    pub(crate) fn is_own(&self, origin: &[u8]) -> bool {
        self.origins.iter().any(|own| own.as_bytes() == origin)
    }
}

/// A host and, unless it is 443, a port, in the one spelling that a browser gives them.
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        // The last colon of a bare IPv6 literal is no port's.
        Some((host, port)) if !text.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    is_host(host) && port.is_none_or(is_port)
}

fn is_host(host: &str) -> bool {
    if let Some(literal) = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        let parsed: Result<Ipv6Addr, _> = literal.parse();
        return parsed.is_ok_and(|address| address.to_string() == literal);
    }
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(is_letter);
    host.len() <= 253 && host.split('.').all(is_label)
}

fn is_port(text: &str) -> bool {
    let port: Result<u16, _> = text.parse();
    port.is_ok_and(|port| port != 0 && port != 443 && port.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_origin_as_a_browser_spells_it_is_an_https_site() {
        for origin in [
            "https://example.org",
            "https://example.org:8443",
            "https://xn--bcher-kva.example",
            "https://192.0.2.1",
            "https://[2001:db8::1]",
            "https://[2001:db8::1]:8443",
        ] {
            let site = Site::https(origin).unwrap();
            assert!(site.is_own(origin.as_bytes()) && site.is_https());
        }
        for origin in [
            "",
            "null",
            "https://",
            "http://example.org",
            "HTTPS://example.org",
            "https://Example.org",
            "https://example.org/",
            "https://example.org/login",
            "https://example.org:443",
            "https://example.org:0",
            "https://example.org:08443",
            "https://example.org:+8443",
            "https://example.org:65536",
            "https://example.org:",
            "https://example.org.",
            "https://.example.org",
            "https://user@example.org",
            "https://example.org?x",
            "https://example.org https://evil.example",
            "https://b\u{fc}cher.example",
            "https://[2001:DB8::1]",
            "https://[2001:db8:0::1]",
            "https://2001:db8::1",
            "https://*.example.org",
        ] {
            let refused = Site::https(origin);
            assert_eq!(refused, Err(CookieError::OriginMalformed), "{origin}");
        }
    }

    #[test]
    fn a_site_without_tls_off_this_machine_cannot_be_said() {
        for address in [
            "192.0.2.1:80",
            "0.0.0.0:8080",
            "[::]:8080",
            "[2001:db8::1]:8080",
            "[::ffff:127.0.0.1]:8080",
            "127.0.0.1:0",
        ] {
            let refused = Site::loopback(address.parse().unwrap());
            assert_eq!(refused, Err(CookieError::NotLoopback), "{address}");
        }
    }

    #[test]
    fn another_port_scheme_host_or_null_is_not_the_sites_own_origin() {
        let site = Site::loopback("127.0.0.1:8080".parse().unwrap()).unwrap();
        for own in [
            "http://127.0.0.1:8080",
            "http://[::1]:8080",
            "http://localhost:8080",
        ] {
            assert!(site.is_own(own.as_bytes()), "{own}");
        }
        for other in [
            "null",
            "",
            "http://127.0.0.1",
            "http://127.0.0.1:80801",
            "https://127.0.0.1:8080",
            "http://127.0.0.2:8080",
            "http://localhost.evil.example:8080",
            "http://LOCALHOST:8080",
        ] {
            assert!(!site.is_own(other.as_bytes()), "{other}");
        }
        let plain = Site::loopback("[::1]:80".parse().unwrap()).unwrap();
        assert!(plain.is_own(b"http://localhost"));
        assert!(!plain.is_own(b"http://localhost:80"));
    }
}
