//! Why a token was refused, or could not be made.

use portcullis_core::{EntropyUnavailable, Reason};

/// Why a token was refused, or could not be made.
///
/// No variant carries a byte of the token or of the caller's claims: the names in them are the
/// standard's, or the ones a policy was built with. [`Error::reason`] says what a log or an audit
/// record should learn; [`Error::Expired`] is told apart from everything else and is only ever the
/// answer for a token that was otherwise good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The token, or its header, is longer than the policy reads.
    #[error("the token is too long")]
    TooLong,
    /// The token is not three segments with two dots between them (RFC 7515 §7.1).
    #[error("the token is not in compact serialisation")]
    NotCompact,
    /// A segment is not base64url without padding, or not its one canonical spelling (RFC 7515 §2).
    #[error("a segment is not canonical base64url")]
    NotBase64url,
    /// The header is not strict JSON.
    #[error("the header is not acceptable JSON: {0}")]
    HeaderJson(JsonFault),
    /// The payload is not strict JSON.
    #[error("the payload is not acceptable JSON: {0}")]
    PayloadJson(JsonFault),
    /// A header member is missing, of the wrong JSON type, or one that is never accepted.
    #[error("the header member {0} is refused")]
    HeaderMember(&'static str),
    /// The header's `alg` is not the one algorithm of the key.
    #[error("the algorithm is not the key's")]
    Algorithm,
    /// The header's `typ` names another kind of token (RFC 8725 §3.11).
    #[error("the token is of another kind")]
    Kind,
    /// No key has the header's `kid`, or it has none and there is more than one key.
    #[error("no key answers to the token's key id")]
    KeyUnknown,
    /// The signature is not the key's.
    #[error("the signature is wrong")]
    Signature,
    /// A claim that the policy requires is absent or null.
    #[error("the claim {0} is missing")]
    ClaimMissing(&'static str),
    /// A claim has the wrong JSON type or an inadmissible value.
    #[error("the claim {0} is refused")]
    Claim(&'static str),
    /// The issuer is another (RFC 7519 §4.1.1).
    #[error("the token is from another issuer")]
    Issuer,
    /// The token is meant for others (RFC 7519 §4.1.3).
    #[error("the token is for another audience")]
    Audience,
    /// The token lives longer than the policy admits, or ends before it was issued.
    #[error("the token's life is not admissible")]
    Life,
    /// The claims do not fit the caller's type.
    #[error("the claims do not have the expected shape")]
    ClaimsShape,
    /// The token was good and its time is over.
    #[error("the token has expired")]
    Expired,
    /// The token's `nbf` or `iat` lies ahead by more than the leeway.
    #[error("the token is not valid yet")]
    NotYetValid,

    /// The caller's claims name one that the signer itself writes or keeps for the standard.
    #[error("the caller's claims contain the registered claim {0}")]
    Collision(&'static str),
    /// The caller's claims do not serialise to a JSON object without duplicates.
    #[error("the caller's claims are not a strict JSON object")]
    ClaimsUnwritable,
    /// A key that must not be used; the text says why.
    #[error("the key is refused: {0}")]
    Key(&'static str),
    /// A policy that cannot be meant; the text says why.
    #[error("the policy is refused: {0}")]
    Policy(&'static str),
    /// There is no randomness for the token's id.
    #[error(transparent)]
    Entropy(#[from] EntropyUnavailable),
}

impl Error {
    /// What a log or an audit record learns.
    ///
    /// ```
    /// use portcullis_core::Reason;
    /// use portcullis_jwt::Error;
    ///
    /// assert_eq!(Error::Expired.reason(), Reason::TokenExpired);
    /// assert_eq!(Error::Signature.reason(), Reason::TokenInvalid);
    /// assert_eq!(Error::NotCompact.reason(), Reason::TokenMalformed);
    /// ```
    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Self::TooLong
            | Self::NotCompact
            | Self::NotBase64url
            | Self::HeaderJson(_)
            | Self::PayloadJson(_) => Reason::TokenMalformed,
            Self::HeaderMember(_)
            | Self::Algorithm
            | Self::Kind
            | Self::KeyUnknown
            | Self::Signature
            | Self::ClaimMissing(_)
            | Self::Claim(_)
            | Self::Issuer
            | Self::Audience
            | Self::Life
            | Self::ClaimsShape => Reason::TokenInvalid,
            Self::Expired => Reason::TokenExpired,
            Self::NotYetValid => Reason::TokenNotYetValid,
            Self::Collision(_)
            | Self::ClaimsUnwritable
            | Self::Key(_)
            | Self::Policy(_)
            | Self::Entropy(_) => Reason::Internal,
        }
    }
}

/// What is wrong with a JSON text, beside what RFC 8259 already forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonFault {
    /// The bytes are not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// The text breaks the grammar, or holds a number that no reader can hold.
    #[error("not JSON")]
    NotJson,
    /// The text is JSON, and not an object.
    #[error("not an object")]
    NotObject,
    /// An object, at whatever depth, has two members of one name.
    #[error("a member appears twice")]
    DuplicateMember,
    /// Objects and arrays are nested deeper than is read.
    #[error("nested too deeply")]
    TooDeep,
    /// There are more members, at all depths together, than are read.
    #[error("too many members")]
    TooManyMembers,
}
