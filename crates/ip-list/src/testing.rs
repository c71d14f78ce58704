//! The bodies that the fuzz targets share with their replay.

use std::net::{IpAddr, Ipv4Addr};

use crate::{AddressSource, Cidr, Header, TrustedProxies};

/// The body of the fuzz target `cidr`: a network that is read is written in a way that reads as the same,
/// and has its first and its last address; save that an IPv6 network has none of IPv4.
///
/// # Panics
/// When that does not hold.
pub fn fuzz_cidr(data: &[u8]) {
    let Ok(cidr) = str::from_utf8(data).unwrap_or_default().parse::<Cidr>() else {
        return;
    };
    assert_eq!(cidr.to_string().parse(), Ok(cidr));
    assert!(cidr.contains(cidr.net().network()));
    let last = cidr.net().broadcast();
    // `::/80` ends where the addresses of IPv4 in IPv6 form do, and those are of IPv4.
    let is_another = last.to_canonical().is_ipv4() && last.is_ipv6();
    assert_eq!(cidr.contains(last), !is_another);
}

/// The body of the fuzz target `forwarded_header`: of both headers, one field line for each line of the
/// data. An address that is found is no proxy's and in one form; elements that come before those read
/// change nothing; an untrusted peer is its own client whatever it sends.
///
/// # Panics
/// When one of those does not hold.
pub fn fuzz_forwarded_header(data: &[u8]) {
    let lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    let proxy = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 5));
    let stranger = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1));
    let spoofs: [(Header, &[u8]); 2] = [
        (Header::XForwardedFor, b"spoofed, 198.51.100.1"),
        (Header::Forwarded, b"for=198.51.100.1;by=_x"),
    ];
    for (header, spoof) in spoofs {
        let Ok(proxies) = TrustedProxies::new(["10.0.0.0/24", "2001:db8::/64"], header) else {
            return;
        };
        let found = proxies.client_address(proxy, lines.iter().copied());
        if let Ok(client) = found {
            assert_eq!(client.source(), AddressSource::Forwarded);
            assert_eq!(client.ip(), client.ip().to_canonical());
            // It is no proxy's: as a peer it would be believed about itself alone.
            let direct = proxies.client_address(client.ip(), []).map(|own| own.ip());
            assert_eq!(direct, Ok(client.ip()));
            let longer: Vec<&[u8]> = [spoof].into_iter().chain(lines.iter().copied()).collect();
            let bytes: usize = longer.iter().map(|line| line.len()).sum();
            if bytes < TrustedProxies::MAX_BYTES && data.len() < TrustedProxies::MAX_HOPS {
                assert_eq!(proxies.client_address(proxy, longer), found);
            }
        }
        let own = proxies.client_address(stranger, lines.iter().copied());
        assert_eq!(own.map(|own| own.ip()), Ok(stranger));
    }
}
