//! What can go wrong, by whose fault. No error holds what a caller sent.

use portcullis_core::Reason;

/// Why a network was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CidrError {
    /// The address does not parse; zones (`%eth0`) and leading zeros do not either.
    #[error("the address is not an IPv4 or IPv6 address")]
    Address,
    /// The prefix is not a decimal number without sign or leading zeros, within the address's bits.
    #[error("the prefix is not a number of bits of the address")]
    Prefix,
    /// Bits after the prefix are set: one of the two is a mistake.
    #[error("the address has bits set after its prefix")]
    HostBits,
}

/// Why a list was not made. Nothing is left out of a list silently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// An entry is malformed.
    #[error("entry {at} of the list is malformed: {error}")]
    Entry {
        /// Which, counted from zero.
        at: usize,
        /// What is wrong with it.
        error: CidrError,
    },
    /// More than [`crate::AddressList::MAX_ENTRIES`] entries.
    #[error("the list has more entries than are kept")]
    TooLong,
    /// A trusted proxy's entry covers every address: everyone could name any address.
    #[error("entry {at} trusts every address")]
    TrustsEveryone {
        /// Which, counted from zero.
        at: usize,
    },
}

/// Why a client's address could not be told. The request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// A trusted proxy sent no forwarding header.
    #[error("a trusted proxy sent no forwarding header")]
    HeaderMissing,
    /// The field lines are longer, or more, than are read.
    #[error("the forwarding header is too long")]
    TooLong,
    /// The header does not parse.
    #[error("the forwarding header does not parse")]
    Malformed,
    /// A proxy hides the address (`unknown`, an obfuscated identifier, or no `for`).
    #[error("the forwarding header hides the client's address")]
    Hidden,
    /// Every address in the header belongs to a trusted proxy.
    #[error("the forwarding header names trusted proxies only")]
    OnlyProxies,
}

impl AddressError {
    /// What log and audit learn.
    #[must_use]
    pub const fn reason(self) -> Reason {
        Reason::AddressUnknown
    }
}
