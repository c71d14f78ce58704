//! The bytes by which a client is counted.

use std::net::{IpAddr, Ipv6Addr};
use std::ops::Deref;

use crate::address::behind_nat64;

/// The bytes of an address by which a limiter or a counter knows a client: 4 of an IPv4 address, 16 of an
/// IPv6 network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RateKey {
    len: usize,
    bytes: [u8; 16],
}

/// The key of `ip`, IPv6 by its /64: a host can take any address in its /64, and would otherwise have as
/// many quotas as there are addresses (RFC 4291 §2.5.1, RFC 7421).
///
/// IPv4 in IPv6 form, and behind a NAT64 translator with the well-known prefix, is the IPv4 address: else
/// everyone behind the translator would share one key.
///
/// ```
/// use portcullis_ip_list::rate_key;
///
/// let key = |ip: &str| ip.parse().map(rate_key);
/// assert_eq!(key("2001:db8::1")?, key("2001:db8::ffff:1")?);
/// assert_ne!(key("2001:db8::1")?, key("2001:db8:0:1::1")?);
/// assert_eq!(key("::ffff:192.0.2.1")?, key("192.0.2.1")?);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[must_use]
pub fn rate_key(ip: IpAddr) -> RateKey {
    RateKey::with_prefix(ip, 64)
}

impl RateKey {
    /// The key of `ip`, IPv6 cut to its first `ipv6_bits` bits (128 at most): 56 or 48 where providers
    /// hand out such networks.
    #[must_use]
    pub fn with_prefix(ip: IpAddr, ipv6_bits: u8) -> Self {
        let ip = ip.to_canonical();
        match (ip, behind_nat64(ip)) {
            (IpAddr::V4(v4), _) | (IpAddr::V6(_), Some(v4)) => Self::of(&v4.octets()),
            (IpAddr::V6(v6), None) => {
                let host_bits = 128_u32.saturating_sub(u32::from(ipv6_bits));
                let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
                Self::of(&Ipv6Addr::from_bits(v6.to_bits() & mask).octets())
            }
        }
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&self.bytes)
    }

    fn of(octets: &[u8]) -> Self {
        let mut bytes = [0; 16];
        for (to, from) in bytes.iter_mut().zip(octets) {
            *to = *from;
        }
        Self {
            len: octets.len(),
            bytes,
        }
    }
}

impl AsRef<[u8]> for RateKey {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl Deref for RateKey {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(ip: &str, bits: u8) -> Vec<u8> {
        RateKey::with_prefix(ip.parse().unwrap(), bits).to_vec()
    }

    #[test]
    fn every_form_of_an_ipv4_address_has_one_key() {
        for ip in ["192.0.2.1", "::ffff:192.0.2.1", "64:ff9b::192.0.2.1"] {
            assert_eq!(key(ip, 64), [192, 0, 2, 1], "{ip}");
        }
        // Neither the deprecated "compatible" form nor another translator's prefix is.
        assert_eq!(key("::192.0.2.1", 64).len(), 16);
        assert_eq!(key("64:ff9b:1::192.0.2.1", 64).len(), 16);
    }

    #[test]
    fn the_prefix_is_cut_where_it_is_set() {
        let ip = "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff";
        let octets = |text: &str| text.parse::<Ipv6Addr>().unwrap().octets().to_vec();
        let cases = [
            (0, "::"),
            (48, "2001:db8:ffff::"),
            (56, "2001:db8:ffff:ff00::"),
            (64, "2001:db8:ffff:ffff::"),
            (128, ip),
            (255, ip),
        ];
        for (bits, cut) in cases {
            assert_eq!(key(ip, bits), octets(cut), "{bits}");
        }
    }

    proptest! {
        #[test]
        fn rotating_inside_a_64_changes_nothing(net in any::<u64>(), one in any::<u64>(), other in any::<u64>()) {
            prop_assume!(net != 0 && net != 0x64_ff9b_0000_0000);
            let ip = |host: u64| IpAddr::V6(Ipv6Addr::from_bits(u128::from(net) << 64 | u128::from(host)));
            prop_assert_eq!(rate_key(ip(one)), rate_key(ip(other)));
        }
    }
}
