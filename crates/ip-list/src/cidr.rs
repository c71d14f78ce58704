//! A network, written in one way only.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};

use crate::CidrError;

/// A network of addresses: `192.0.2.0/24`, `2001:db8::/32`, or one address alone.
///
/// Text is read strictly: no bits after the prefix, no leading zeros, no sign, no zone, no white space.
/// A network within `::ffff:0:0/96` is the IPv4 network that it stands for. A wider IPv6 network, such as
/// `::/0`, holds no IPv4 address.
///
/// ```
/// use portcullis_ip_list::Cidr;
///
/// let net: Cidr = "::ffff:192.0.2.0/120".parse()?;
/// assert_eq!(net.to_string(), "192.0.2.0/24");
/// assert!(net.contains("192.0.2.7".parse().unwrap()));
/// assert!("192.0.2.7/24".parse::<Cidr>().is_err());
/// # Ok::<(), portcullis_ip_list::CidrError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr(IpNet);

impl Cidr {
    /// Whether the network holds `ip`; IPv4 in IPv6 form counts as IPv4.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.0.contains(&ip.to_canonical())
    }

    /// How many leading bits are fixed.
    #[must_use]
    pub fn prefix_len(&self) -> u8 {
        self.0.prefix_len()
    }

    pub(crate) fn net(&self) -> IpNet {
        self.0
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| CidrError::Address)?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(bits), decimal)?;
        let net = IpNet::new(address, prefix).map_err(|_| CidrError::Prefix)?;
        if net.network() != address {
            return Err(CidrError::HostBits);
        }
        Ok(Self(unmapped(net)))
    }
}

/// The IPv4 network that an IPv6 one within `::ffff:0:0/96` stands for.
fn unmapped(net: IpNet) -> IpNet {
    let v4_bits = net.prefix_len().checked_sub(MAPPED_BITS);
    match (net.network().to_canonical(), net, v4_bits) {
        (IpAddr::V4(v4), IpNet::V6(_), Some(bits)) => Ipv4Net::new(v4, bits).map_or(net, IpNet::V4),
        _ => net,
    }
}

fn decimal(text: &str) -> Result<u8, CidrError> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let padded = text.len() > 1 && text.starts_with('0');
    if !digits || padded {
        return Err(CidrError::Prefix);
    }
    text.parse().map_err(|_| CidrError::Prefix)
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The prefix of IPv4 addresses in IPv6 form, `::ffff:0:0/96` (RFC 4291 §2.5.5.2).
const MAPPED_BITS: u8 = 96;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quirks_of_cidr_text_are_refused() {
        let cases = [
            ("", CidrError::Address),
            ("/8", CidrError::Address),
            (" 10.0.0.0/8", CidrError::Address),
            ("10.0.0.0 /8", CidrError::Address),
            ("010.0.0.0/8", CidrError::Address),
            ("10.0.0/8", CidrError::Address),
            ("10/8", CidrError::Address),
            ("0x0a.0.0.0/8", CidrError::Address),
            ("10.0.0.256/32", CidrError::Address),
            ("fe80::1%eth0", CidrError::Address),
            ("fe80::%1/64", CidrError::Address),
            ("[2001:db8::]/32", CidrError::Address),
            ("2001:db8::/32/", CidrError::Prefix),
            ("10.0.0.0/", CidrError::Prefix),
            ("10.0.0.0/+8", CidrError::Prefix),
            ("10.0.0.0/-8", CidrError::Prefix),
            ("10.0.0.0/08", CidrError::Prefix),
            ("10.0.0.0/8 ", CidrError::Prefix),
            ("10.0.0.0/33", CidrError::Prefix),
            ("10.0.0.0/264", CidrError::Prefix),
            ("10.0.0.0/255.0.0.0", CidrError::Prefix),
            ("10.0.0.0/٨", CidrError::Prefix),
            ("2001:db8::/129", CidrError::Prefix),
            ("10.0.0.1/8", CidrError::HostBits),
            ("10.0.0.1/0", CidrError::HostBits),
            ("2001:db8::1/64", CidrError::HostBits),
            ("::ffff:10.0.0.1/104", CidrError::HostBits),
            ("::ffff:0:0/95", CidrError::HostBits),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<Cidr>(), Err(error), "{text:?}");
        }
    }

    #[test]
    fn what_is_read_is_written_in_one_way() {
        let cases = [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("192.0.2.1", "192.0.2.1/32"),
            ("2001:DB8:0::/32", "2001:db8::/32"),
            ("::1", "::1/128"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:192.0.2.1", "192.0.2.1/32"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
            ("::/0", "::/0"),
        ];
        for (text, written) in cases {
            assert_eq!(text.parse::<Cidr>().unwrap().to_string(), written);
        }
    }

    #[test]
    fn an_address_in_ipv6_form_is_matched_as_ipv4_and_only_so() {
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        assert!("192.0.2.0/24".parse::<Cidr>().unwrap().contains(mapped));
        assert!(!"::/0".parse::<Cidr>().unwrap().contains(mapped));
    }

    proptest! {
        #[test]
        fn text_survives_and_membership_is_the_prefix(ip in any::<IpAddr>(), other in any::<IpAddr>(), cut in 0_u8..=128) {
            let bits = if ip.is_ipv4() { 32 } else { 128 };
            let net = IpNet::new(ip, cut.min(bits)).unwrap().trunc();
            let read: Cidr = net.to_string().parse().unwrap();
            prop_assert_eq!(read.to_string().parse::<Cidr>(), Ok(read));
            prop_assert!(read.contains(ip) || read.net().network().is_ipv4() != ip.to_canonical().is_ipv4());
            if read.contains(other) {
                prop_assert_eq!(IpNet::new(other.to_canonical(), read.prefix_len()).unwrap().trunc(), read.net());
            }
        }
    }
}
