//! Whose forwarding header is believed.

use std::net::IpAddr;

use crate::forwarded::Node;
use crate::list::{Ranges, parsed};
use crate::{AddressError, AddressSource, ClientAddress, ListError, forwarded, forwarded_for};

/// The proxies that are trusted to name the client, and the one header they do it in.
///
/// The header is walked from the right, past trusted proxies only: each address was written by the hop
/// after it, so the first one that is not a trusted proxy's is the client's. What a peer that is not
/// trusted sends is not looked at. List the proxies themselves rather than the network that clients also
/// live in: **the address of a trusted proxy is never a client's**. A request whose header names nothing
/// else, or that came through a proxy without the header, is refused: a client can have some proxies drop
/// the header (`Connection: X-Forwarded-For`), and would borrow the proxy's address by it.
///
/// The proxies must append to the header, or set it; one that passes on what it got names whomever the
/// client likes.
#[derive(Clone, Debug)]
pub struct TrustedProxies {
    proxies: Ranges,
    header: Header,
}

/// The header that trusted proxies name the client in. The other one is never read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Header {
    /// `X-Forwarded-For`: what most proxies write.
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

impl Header {
    /// The field's name, in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
        }
    }
}

impl TrustedProxies {
    /// The most bytes that all field lines hold: enough for any real chain, and short to read.
    pub const MAX_BYTES: usize = 4096;
    /// The most elements, and field lines, that are read.
    pub const MAX_HOPS: usize = 64;

    /// Trusts nobody: the peer is the client.
    #[must_use]
    pub fn none() -> Self {
        Self {
            proxies: Ranges::default(),
            header: Header::XForwardedFor,
        }
    }

    /// Trusts the proxies in `networks` to name the client in `header`.
    ///
    /// # Errors
    /// [`ListError::Entry`] for the first network that is malformed; [`ListError::TrustsEveryone`] for
    /// one that covers a whole family; [`ListError::TooLong`].
    pub fn new<T: AsRef<str>>(
        networks: impl IntoIterator<Item = T>,
        header: Header,
    ) -> Result<Self, ListError> {
        let networks = parsed(networks)?;
        if let Some(at) = networks.iter().position(|net| net.prefix_len() == 0) {
            return Err(ListError::TrustsEveryone { at });
        }
        Ok(Self {
            proxies: Ranges::of(&networks),
            header,
        })
    }

    /// The header to hand to [`TrustedProxies::client_address`].
    #[must_use]
    pub const fn header(&self) -> Header {
        self.header
    }

    /// The client's address: `peer` is the other end of the connection, `field_lines` the values of all
    /// lines of [`TrustedProxies::header`] in the order in which they came.
    ///
    /// # Errors
    /// See [`AddressError`]; only requests from trusted proxies can fail.
    ///
    /// ```
    /// use portcullis_ip_list::{AddressError, Header, TrustedProxies};
    ///
    /// let proxies = TrustedProxies::new(["10.0.0.5", "10.0.0.6"], Header::Forwarded)?;
    /// let lines: [&[u8]; 2] = [b"for=\"[2001:db8::7]:4711\"", b"for=10.0.0.6"];
    /// let client = proxies.client_address("10.0.0.5".parse()?, lines)?;
    /// assert_eq!(client.ip().to_string(), "2001:db8::7");
    ///
    /// let hidden: [&[u8]; 1] = [b"for=unknown"];
    /// let refused = proxies.client_address("10.0.0.5".parse()?, hidden);
    /// assert_eq!(refused, Err(AddressError::Hidden));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn client_address<'a>(
        &self,
        peer: IpAddr,
        field_lines: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<ClientAddress, AddressError> {
        let peer = peer.to_canonical();
        if !self.proxies.contain(peer) {
            return Ok(ClientAddress::new(peer, AddressSource::Peer));
        }
        let lines = bounded(field_lines)?;
        match self.header {
            Header::XForwardedFor => self.first_untrusted(forwarded_for::from_the_right(&lines)),
            Header::Forwarded => {
                let nodes = forwarded::elements(&lines, Self::MAX_HOPS)?;
                self.first_untrusted(nodes.into_iter().rev().map(|node| match node {
                    Node::Address(ip) => Ok(ip),
                    Node::Hidden => Err(AddressError::Hidden),
                }))
            }
        }
    }

    fn first_untrusted(
        &self,
        hops: impl Iterator<Item = Result<IpAddr, AddressError>>,
    ) -> Result<ClientAddress, AddressError> {
        for (walked, hop) in hops.enumerate() {
            if walked >= Self::MAX_HOPS {
                return Err(AddressError::TooLong);
            }
            let ip = hop?.to_canonical();
            if !self.proxies.contain(ip) {
                return Ok(ClientAddress::new(ip, AddressSource::Forwarded));
            }
        }
        Err(AddressError::OnlyProxies)
    }
}

/// The lines, if there are any and not too many.
fn bounded<'a>(
    field_lines: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<&'a [u8]>, AddressError> {
    let mut lines = Vec::new();
    let mut room = TrustedProxies::MAX_BYTES;
    for line in field_lines {
        room = room.checked_sub(line.len()).ok_or(AddressError::TooLong)?;
        if lines.len() >= TrustedProxies::MAX_HOPS {
            return Err(AddressError::TooLong);
        }
        lines.push(line);
    }
    if lines.is_empty() {
        return Err(AddressError::HeaderMissing);
    }
    Ok(lines)
}
