//! One address for limiter, lockout, list and audit.

use std::net::{IpAddr, Ipv4Addr};

/// A client's address, and how it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientAddress {
    ip: IpAddr,
    source: AddressSource,
}

/// How an address is known; audit records say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AddressSource {
    /// It is the other end of the connection.
    Peer,
    /// A trusted proxy named it.
    Forwarded,
    /// The application named it; nothing here vouches for it.
    Supplied,
}

impl ClientAddress {
    /// The address that the application has learnt by other means.
    ///
    /// ```
    /// use portcullis_ip_list::ClientAddress;
    ///
    /// let named = ClientAddress::supplied("::ffff:192.0.2.1".parse()?);
    /// assert_eq!((named.ip().to_string().as_str(), named.source().as_str()), ("192.0.2.1", "supplied"));
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    #[must_use]
    pub fn supplied(ip: IpAddr) -> Self {
        Self::new(ip, AddressSource::Supplied)
    }

    pub(crate) fn new(ip: IpAddr, source: AddressSource) -> Self {
        Self {
            ip: ip.to_canonical(),
            source,
        }
    }

    /// The address; never an IPv4 address in IPv6 form.
    #[must_use]
    pub const fn ip(&self) -> IpAddr {
        self.ip
    }

    /// How it is known.
    #[must_use]
    pub const fn source(&self) -> AddressSource {
        self.source
    }
}

impl AddressSource {
    /// The name in logs and audit records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Forwarded => "forwarded",
            Self::Supplied => "supplied",
        }
    }
}

/// The IPv4 address behind a NAT64 translator with the well-known prefix `64:ff9b::/96` (RFC 6052 §2.1).
pub(crate) fn behind_nat64(ip: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(ip) = ip else {
        return None;
    };
    match ip.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, _, _] => {
            let [.., a, b, c, d] = ip.octets();
            Some(Ipv4Addr::new(a, b, c, d))
        }
        _ => None,
    }
}
