//! What a signature covers.

/// A part of a request that a scheme may cover. The timestamp is covered by all of them.
///
/// ```
/// use portcullis_hmac_signing::Component;
///
/// assert_eq!(Component::ALL.len(), 8);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Component {
    /// The service's own name: a request signed for one service is none for another with the same key.
    Audience,
    /// The method.
    Method,
    /// The host, and the port if one was named.
    Authority,
    /// The path, as sent.
    Path,
    /// The query.
    Query,
    /// The content type: what the body's bytes are to be read as.
    ContentType,
    /// The body's bytes.
    Body,
    /// A nonce of the sender's: two requests that are otherwise equal are two.
    Nonce,
}

impl Component {
    /// Every one of them.
    pub const ALL: &[Self] = &[
        Self::Audience,
        Self::Method,
        Self::Authority,
        Self::Path,
        Self::Query,
        Self::ContentType,
        Self::Body,
        Self::Nonce,
    ];

    /// What a policy that requires it says of a scheme that leaves it out.
    pub(crate) const fn left_out(self) -> &'static str {
        match self {
            Self::Audience => "the scheme leaves the audience out",
            Self::Method => "the scheme leaves the method out",
            Self::Authority => "the scheme leaves the authority out",
            Self::Path => "the scheme leaves the path out",
            Self::Query => "the scheme leaves the query out",
            Self::ContentType => "the scheme leaves the content type out",
            Self::Body => "the scheme leaves the body out",
            Self::Nonce => "the scheme leaves the nonce out",
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Audience => 1,
            Self::Method => 1 << 1,
            Self::Authority => 1 << 2,
            Self::Path => 1 << 3,
            Self::Query => 1 << 4,
            Self::ContentType => 1 << 5,
            Self::Body => 1 << 6,
            Self::Nonce => 1 << 7,
        }
    }
}

/// A set of components.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Components(u8);

impl Components {
    pub(crate) fn of(components: &[Component]) -> Self {
        Self(components.iter().fold(0, |bits, one| bits | one.bit()))
    }

    pub(crate) const fn has(self, component: Component) -> bool {
        self.0 & component.bit() != 0
    }
}
