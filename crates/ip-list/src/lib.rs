//! The client's address behind trusted proxies, and lists of addresses by CIDR.
//!
//! ```
//! use portcullis_ip_list::{AddressList, AddressSource, Header, TrustedProxies, Verdict};
//! use std::net::IpAddr;
//!
//! let proxies = TrustedProxies::new(["10.0.0.0/24"], Header::XForwardedFor)?;
//! let proxy: IpAddr = "10.0.0.5".parse()?;
//! // The client wrote the first address itself; our proxy wrote the second.
//! let lines: [&[u8]; 1] = [b"198.51.100.1, 203.0.113.9"];
//! let client = proxies.client_address(proxy, lines)?;
//! assert_eq!(client.ip().to_string(), "203.0.113.9");
//! assert_eq!(client.source(), AddressSource::Forwarded);
//!
//! let list = AddressList::only(["203.0.113.0/24"])?.deny(["203.0.113.9"])?;
//! assert_eq!(list.check(client.ip()), Verdict::Refused);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | Type | What it is |
//! |---|---|
//! | [`TrustedProxies`] | whose forwarding header is believed, and which header |
//! | [`ClientAddress`], [`AddressSource`] | one address for limiter, lockout, list and audit; where it came from |
//! | [`AddressList`], [`Verdict`] | who is admitted; an empty list admits nobody |
//! | [`Cidr`] | a network, written in one way only |
//! | [`RateKey`], [`rate_key`] | the bytes by which a client is counted |
//!
//! IPv4 addresses in IPv6 form (`::ffff:192.0.2.1`) are IPv4 addresses before anything else is done.
//!
//! It reads one header, never several: `Forwarded` and `X-Forwarded-For` may disagree, and a client
//! chooses which of them a proxy does not write. It looks nothing up, keeps no state and needs no HTTP
//! library.
#![forbid(unsafe_code)]

mod address;
mod cidr;
mod error;
mod forwarded;
mod forwarded_for;
mod list;
mod proxies;
mod rate_key;
#[cfg(feature = "testing")]
pub mod testing;

pub use address::{AddressSource, ClientAddress};
pub use cidr::Cidr;
pub use error::{AddressError, CidrError, ListError};
pub use list::{AddressList, Verdict};
pub use proxies::{Header, TrustedProxies};
pub use rate_key::{RateKey, rate_key};
