//! What can be wrong with a cookie layer as it is put together.

/// Why a cookie layer was not made: each is the fault of whoever sets the service up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CookieError {
    /// The key is shorter than 32 bytes.
    #[error("the key of cookies has at least 32 bytes")]
    KeyTooShort,
    /// The text is not the one spelling of an https origin.
    #[error("an https origin is `https://`, a lower-case host and a port other than 443 if any")]
    OriginMalformed,
    /// The address is not this machine's own, or its port is 0: pages without TLS are served nowhere
    /// else.
    #[error("without https, pages are served on a loopback address and a known port alone")]
    NotLoopback,
}
