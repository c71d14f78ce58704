//! `X-Forwarded-For`: a list of addresses, as proxies write it; no standard defines it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::AddressError;

/// The elements from the right, each read only when asked for: what stands left of the client's address
/// was written by the client, and is none of our business.
pub(crate) fn from_the_right<'a>(
    lines: &'a [&'a [u8]],
) -> impl Iterator<Item = Result<IpAddr, AddressError>> + 'a {
    lines
        .iter()
        .rev()
        .flat_map(|line| line.rsplit(|byte| *byte == b','))
        .map(|element| address(element.trim_ascii()).ok_or(AddressError::Malformed))
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn address(element: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(element).ok()?;
    if let Ok(ip) = text.parse() {
        return Some(ip);
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (ip, port) = rest.split_once(']')?;
        if !port.is_empty() {
            read_port(port.strip_prefix(':')?)?;
        }
        return ip.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    }
    let (ip, port) = text.split_once(':')?;
    read_port(port)?;
    ip.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
}

/// One to five digits, at most 65535.
pub(crate) fn read_port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    (digits && text.len() <= 5).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_with_ports_and_brackets_are_read() {
        let cases = [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1:80", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:65535", "2001:db8::1"),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
        ];
        for (text, ip) in cases {
            assert_eq!(
                address(text.as_bytes()),
                Some(ip.parse().unwrap()),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let refused = [
            "",
            "unknown",
            "localhost",
            "192.0.2.1:",
            "192.0.2.1:x",
            "192.0.2.1:+80",
            "192.0.2.1:65536",
            "192.0.2.1:000080",
            "192.0.2.01",
            "192.0.2",
            "[192.0.2.1]",
            "[192.0.2.1]:80",
            "[2001:db8::1",
            "2001:db8::1]",
            "[2001:db8::1]80",
            "[2001:db8::1]:",
            "[2001:db8::1]:80:80",
            "fe80::1%eth0",
            "[fe80::1%25eth0]",
            "\"192.0.2.1\"",
            "for=192.0.2.1",
            "192.0.2.1 192.0.2.2",
            "１９２.0.2.1",
            "192.0.2.1\0",
        ];
        for text in refused {
            assert_eq!(address(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(address(b"\xff"), None);
    }
}
