//! The client's address, against clients that lie about it.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::net::IpAddr;

use portcullis_ip_list::{
    AddressError, AddressSource, CidrError, Header, ListError, TrustedProxies,
};
use proptest::prelude::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn proxies(header: Header) -> TrustedProxies {
    TrustedProxies::new(["10.0.0.0/24", "2001:db8:ff::/64"], header).unwrap()
}

fn found(header: Header, lines: &[&str]) -> Result<IpAddr, AddressError> {
    let lines = lines.iter().map(|line| line.as_bytes());
    let client = proxies(header).client_address(ip("10.0.0.5"), lines)?;
    assert_eq!(client.source(), AddressSource::Forwarded);
    Ok(client.ip())
}

fn forwarded_for(lines: &[&str]) -> Result<IpAddr, AddressError> {
    found(Header::XForwardedFor, lines)
}

fn forwarded(lines: &[&str]) -> Result<IpAddr, AddressError> {
    found(Header::Forwarded, lines)
}

#[test]
fn a_direct_peer_is_its_own_client_whatever_it_sends() {
    let lies: [&[u8]; 3] = [b"10.0.0.5", b"for=198.51.100.1", b"\xff\xff"];
    for header in [Header::XForwardedFor, Header::Forwarded] {
        let client = proxies(header)
            .client_address(ip("203.0.113.9"), lies)
            .unwrap();
        assert_eq!(
            (client.ip(), client.source()),
            (ip("203.0.113.9"), AddressSource::Peer)
        );
    }
    let client = TrustedProxies::none()
        .client_address(ip("10.0.0.5"), lies)
        .unwrap();
    assert_eq!(
        (client.ip(), client.source().as_str()),
        (ip("10.0.0.5"), "peer")
    );
}

#[test]
fn the_left_most_address_is_the_clients_own_word_and_not_believed() {
    assert_eq!(
        forwarded_for(&["127.0.0.1, 203.0.113.9"]),
        Ok(ip("203.0.113.9"))
    );
    assert_eq!(
        forwarded_for(&["10.0.0.1, 203.0.113.9, 10.0.0.6"]),
        Ok(ip("203.0.113.9"))
    );
    assert_eq!(
        forwarded(&["for=127.0.0.1, for=203.0.113.9"]),
        Ok(ip("203.0.113.9"))
    );
    assert_eq!(
        forwarded(&["for=10.0.0.1, for=203.0.113.9, for=10.0.0.6"]),
        Ok(ip("203.0.113.9"))
    );
}

#[test]
fn what_a_client_wrote_before_its_address_does_not_matter_in_x_forwarded_for() {
    for junk in ["unknown", "", "<script>", "\"", "1.2.3.4:x", ",,,"] {
        let line = format!("{junk}, 203.0.113.9");
        assert_eq!(forwarded_for(&[&line]), Ok(ip("203.0.113.9")), "{junk:?}");
        assert_eq!(
            forwarded_for(&[junk, "203.0.113.9"]),
            Ok(ip("203.0.113.9")),
            "{junk:?}"
        );
    }
}

#[test]
fn repeated_lines_are_one_list_in_order() {
    assert_eq!(
        forwarded_for(&["127.0.0.1", "203.0.113.9", "10.0.0.6"]),
        Ok(ip("203.0.113.9"))
    );
    assert_eq!(
        forwarded(&["for=127.0.0.1", "for=203.0.113.9", "for=10.0.0.6"]),
        Ok(ip("203.0.113.9"))
    );
}

#[test]
fn an_unclosed_quote_does_not_swallow_what_a_proxy_wrote() {
    let lines = [r#"for="127.0.0.1"#, r#"for="[2001:db8::9]""#];
    assert_eq!(forwarded(&lines), Err(AddressError::Malformed));
    let one = r#"for="x, for=203.0.113.9"#;
    assert_eq!(forwarded(&[one]), Err(AddressError::Malformed));
    // Within its quotes a comma is the client's own affair.
    let closed = r#"host="a, for=127.0.0.1", for=203.0.113.9"#;
    assert_eq!(forwarded(&[closed]), Ok(ip("203.0.113.9")));
}

#[test]
fn ports_brackets_and_mapped_forms_are_one_address() {
    for text in [
        "203.0.113.9",
        "203.0.113.9:4711",
        "::ffff:203.0.113.9",
        "[::ffff:203.0.113.9]:1",
    ] {
        assert_eq!(forwarded_for(&[text]), Ok(ip("203.0.113.9")), "{text}");
    }
    assert_eq!(
        forwarded(&[r#"for="[::ffff:cb00:7109]:1""#]),
        Ok(ip("203.0.113.9"))
    );
    // A proxy in IPv6 form is the proxy.
    let mapped = proxies(Header::XForwardedFor).client_address(
        ip("::ffff:10.0.0.5"),
        [b"203.0.113.9, ::ffff:10.0.0.6".as_slice()],
    );
    assert_eq!(mapped.map(|client| client.ip()), Ok(ip("203.0.113.9")));
}

#[test]
fn what_does_not_parse_on_the_way_is_refused() {
    for text in [
        "unknown",
        "",
        "fe80::1%eth0",
        "203.0.113.9,",
        "203.0.113.9, x, 10.0.0.6",
        "localhost",
    ] {
        assert_eq!(
            forwarded_for(&[text]),
            Err(AddressError::Malformed),
            "{text:?}"
        );
    }
    for text in ["203.0.113.9", "for=203.0.113.9,", "", "for=203.0.113.9:80"] {
        assert_eq!(forwarded(&[text]), Err(AddressError::Malformed), "{text:?}");
    }
}

#[test]
fn an_address_that_is_hidden_is_refused() {
    for text in [
        "for=unknown",
        "for=_secret",
        "proto=https",
        r#"for="_a:_b""#,
    ] {
        assert_eq!(forwarded(&[text]), Err(AddressError::Hidden), "{text}");
        let further = format!("{text}, for=203.0.113.9");
        assert_eq!(forwarded(&[&further]), Ok(ip("203.0.113.9")), "{text}");
    }
}

#[test]
fn a_proxys_address_is_never_a_clients() {
    assert_eq!(
        forwarded_for(&["10.0.0.7, 10.0.0.6"]),
        Err(AddressError::OnlyProxies)
    );
    assert_eq!(forwarded(&["for=10.0.0.6"]), Err(AddressError::OnlyProxies));
    for header in [Header::XForwardedFor, Header::Forwarded] {
        let missing = proxies(header).client_address(ip("10.0.0.5"), []);
        assert_eq!(missing, Err(AddressError::HeaderMissing));
    }
}

#[test]
fn headers_and_chains_without_end_are_refused() {
    let long = format!("203.0.113.9{}", " ".repeat(TrustedProxies::MAX_BYTES));
    let chain = vec!["10.0.0.6"; TrustedProxies::MAX_HOPS + 1].join(",");
    let lines = vec!["10.0.0.6"; TrustedProxies::MAX_HOPS + 1];
    for too_long in [&[long.as_str()][..], &[&chain], &lines] {
        assert_eq!(forwarded_for(too_long), Err(AddressError::TooLong));
    }
    let elements = vec!["for=203.0.113.9"; TrustedProxies::MAX_HOPS + 1].join(",");
    assert_eq!(forwarded(&[&elements]), Err(AddressError::TooLong));
}

#[test]
fn a_network_that_trusts_everyone_or_does_not_parse_is_refused() {
    for net in ["0.0.0.0/0", "::/0", "::ffff:0:0/96"] {
        let refused = TrustedProxies::new(["10.0.0.1", net], Header::Forwarded).map(drop);
        assert_eq!(refused, Err(ListError::TrustsEveryone { at: 1 }), "{net}");
    }
    let malformed = TrustedProxies::new(["10.0.0.1/8"], Header::Forwarded).map(drop);
    assert_eq!(
        malformed,
        Err(ListError::Entry {
            at: 0,
            error: CidrError::HostBits
        })
    );
}

proptest! {
    #[test]
    fn whatever_a_client_sends_the_address_its_proxy_appends_wins(sent in proptest::collection::vec(any::<u8>(), 0..200)) {
        let line = [&sent[..], b", 203.0.113.9"].concat();
        let client = proxies(Header::XForwardedFor).client_address(ip("10.0.0.5"), [line.as_slice()]);
        prop_assert_eq!(client.map(|client| client.ip()), Ok(ip("203.0.113.9")));
        let line = [&sent[..], b", for=203.0.113.9"].concat();
        if let Ok(client) = proxies(Header::Forwarded).client_address(ip("10.0.0.5"), [line.as_slice()]) {
            prop_assert_eq!(client.ip(), ip("203.0.113.9"));
        }
    }
}
