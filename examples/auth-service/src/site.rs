//! Which site the service is, and who may speak to it: no token goes over plain HTTP.

use portcullis::ip_list::{Header, TrustedProxies};
use portcullis::tower::Site;

use crate::opening::{Fault, about};
use crate::settings::Settings;

/// Refuses settings under which a token would go over plain HTTP, or a page would not know its site.
///
/// # Errors
/// Which of the settings is wrong, and what to do about it.
pub(crate) fn refuse_exposed(settings: &Settings) -> Result<(), Fault> {
    let is_loopback = settings.address.ip().is_loopback();
    let is_proxied = !settings.behind_proxy.is_empty();
    let is_https = is_proxied || settings.tls_files().is_some();
    if !is_loopback && !is_https {
        return Err(
            "without TLS only a loopback address is served, for no token goes over plain HTTP: give \
             --tls-cert and --tls-key, or name the proxies that do TLS with --behind-proxy"
                .into(),
        );
    }
    trusted_proxies(settings)?;
    match settings.origin.as_deref() {
        Some(_) if !is_https => Err(
            "--origin needs TLS, by --tls-cert and --tls-key or by a proxy: without it the site is \
             this machine's"
                .into(),
        ),
        Some(origin) => named(origin).map(drop),
        None if is_proxied || !is_loopback => Err(
            "--origin is needed, such as https://login.example: pages, forms and cookies are bound \
             to the name that browsers know the service by"
                .into(),
        ),
        None => Ok(()),
    }
}

/// The site of the pages, of settings whose port is known and that [`refuse_exposed`] let pass.
///
/// # Errors
/// As [`refuse_exposed`].
pub(crate) fn site(settings: &Settings) -> Result<Site, Fault> {
    refuse_exposed(settings)?;
    match settings.origin.as_deref() {
        Some(origin) => named(origin),
        None if settings.tls_files().is_some() => named(&of_this_machine(settings.address.port())),
        None => Ok(Site::loopback(settings.address)?),
    }
}

/// The origin that clients put before a path when they sign lines of text.
pub(crate) fn origin(settings: &Settings) -> String {
    match (&settings.origin, settings.tls_files()) {
        (Some(origin), _) => origin.clone(),
        (None, Some(_)) => of_this_machine(settings.address.port()),
        (None, None) => format!("http://{}", settings.address),
    }
}

/// Who is believed about the client's address.
///
/// # Errors
/// What is wrong with `--behind-proxy`.
pub(crate) fn trusted_proxies(settings: &Settings) -> Result<TrustedProxies, Fault> {
    TrustedProxies::new(&settings.behind_proxy, Header::XForwardedFor)
        .map_err(about("--behind-proxy"))
}

fn named(origin: &str) -> Result<Site, Fault> {
    Site::https(origin).map_err(about(format!("--origin {origin}")))
}

/// A certificate for trials is made for this name.
fn of_this_machine(port: u16) -> String {
    match port {
        443 => String::from("https://localhost"),
        port => format!("https://localhost:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn settings(flags: &[&str]) -> Settings {
        Settings::try_parse_from(std::iter::once(&"auth-service").chain(flags)).unwrap()
    }

    const TLS: [&str; 2] = ["--tls-cert=cert.pem", "--tls-key=key.pem"];
    const PROXY: &str = "--behind-proxy=10.0.0.5";
    const OPEN: &str = "--address=0.0.0.0:8443";
    const ORIGIN: &str = "--origin=https://login.example";

    #[test]
    fn what_would_send_a_token_over_plain_http_is_refused_by_the_settings_name() {
        for (flags, said) in [
            (vec![OPEN], "only a loopback address"),
            (vec![OPEN, ORIGIN], "only a loopback address"),
            (vec!["--address=[::]:80"], "only a loopback address"),
            (
                vec!["--address=[::ffff:127.0.0.1]:80"],
                "only a loopback address",
            ),
            (vec![ORIGIN], "--origin needs TLS"),
            (vec![OPEN, PROXY], "--origin is needed"),
            (vec![PROXY], "--origin is needed"),
            (vec![OPEN, TLS[0], TLS[1]], "--origin is needed"),
            (
                vec![PROXY, "--origin=http://login.example"],
                "--origin http://login.example",
            ),
            (
                vec![TLS[0], TLS[1], "--origin=https://login.example/"],
                "--origin https://login.example/",
            ),
            (vec!["--behind-proxy=0.0.0.0/0", ORIGIN], "--behind-proxy"),
            (
                vec!["--behind-proxy=proxy.example", ORIGIN],
                "--behind-proxy",
            ),
            (vec!["--behind-proxy=", ORIGIN], "--behind-proxy"),
        ] {
            let refused = refuse_exposed(&settings(&flags)).unwrap_err().to_string();
            assert!(refused.contains(said), "{flags:?}: {refused}");
            assert!(site(&settings(&flags)).is_err(), "{flags:?}");
        }
    }

    #[test]
    fn the_site_is_the_origin_named_or_this_machine() {
        for (flags, origin) in [
            (vec![OPEN, PROXY, ORIGIN], "https://login.example"),
            (vec![OPEN, TLS[0], TLS[1], ORIGIN], "https://login.example"),
            (vec![TLS[0], TLS[1]], "https://localhost:8080"),
            (
                vec![TLS[0], TLS[1], "--address=[::1]:443"],
                "https://localhost",
            ),
        ] {
            let wanted = Site::https(origin).unwrap();
            assert_eq!(site(&settings(&flags)).unwrap(), wanted, "{flags:?}");
        }
        let plain = site(&settings(&[])).unwrap();
        assert!(!plain.is_https());
        assert_eq!(plain, Site::loopback(settings(&[]).address).unwrap());
    }
}
