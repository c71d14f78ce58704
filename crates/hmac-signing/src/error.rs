//! What can go wrong with a signed request, and by whose fault.

use std::time::Duration;

use portcullis_core::{EntropyUnavailable, Failure, Reason};

/// Why a request was not accepted, or could not be signed; each of them means refuse.
///
/// The text and the `Debug` form name headers and rules. They hold no secret, no signature, expected or
/// received, and nothing of the request.
///
/// # After `Error::Store(Failure::Unknown(_))`
/// The request may have been noted as seen: the client signs it anew.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The request lacks that header.
    #[error("the header {0} is missing")]
    Missing(&'static str),
    /// That header or part does not have its one form.
    #[error("the {0} does not have its form")]
    Malformed(&'static str),
    /// That header came more than once.
    #[error("the header {0} came more than once")]
    Duplicate(&'static str),
    /// That header changes what a request means, and no scheme here signs it.
    #[error("the header {0} is not signed and is refused beside a signature")]
    HeaderRefused(&'static str),
    /// The request names no host, two that differ, or one that is not this service's.
    #[error("the request does not name one host, the right one")]
    Authority,
    /// The signed timestamp lies too far back, or the request took too long to arrive.
    #[error("the signed timestamp lies too far back")]
    TooOld,
    /// The signed timestamp lies ahead.
    #[error("the signed timestamp lies ahead")]
    Ahead,
    /// The body is longer than the policy admits.
    #[error("the body is longer than the policy admits")]
    BodyTooLarge,
    /// There is no key of that id.
    #[error("there is no key of that id")]
    KeyUnknown,
    /// The signature is not the key's for this request.
    #[error("the signature is not the key's for this request")]
    Signature,
    /// The request is good and came before.
    #[error("the signed request came before")]
    Replayed,
    /// The request could have been accepted before the store's memory begins.
    #[error("the request could have been accepted before the store's memory begins")]
    BeforeBirth,
    /// The key has as many remembered requests as the policy admits.
    #[error("the key has as many remembered requests as the policy admits")]
    TooMany {
        /// How long until there is room for one that is signed anew, if no others of the key come.
        retry_after: Duration,
    },
    /// What the store holds does not decode. Rows expire: it passes by itself.
    #[error("the stored note of a request does not decode")]
    Corrupt,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Failure),
    /// A policy or a scheme was made outside its bounds, or a scheme leaves out what the policy requires.
    #[error("the policy is not one: {0}")]
    Policy(&'static str),
    /// The secret is none to sign with.
    #[error("a signing secret has 32 to 1024 bytes, not all the same")]
    Key,
    /// The operating system gave no randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyUnavailable),
    /// The request to sign is one that no verifier accepts, for that reason.
    #[error("the request cannot be signed: {0}")]
    Request(&'static str),
}

impl Error {
    /// What was wrong, for log and audit.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Missing(SIGNATURE) => Reason::CredentialsMissing,
            Self::Missing(_)
            | Self::Malformed(_)
            | Self::Duplicate(_)
            | Self::HeaderRefused(_)
            | Self::Authority => Reason::SignatureMalformed,
            Self::TooOld | Self::BeforeBirth => Reason::SignatureExpired,
            Self::Ahead => Reason::SignatureNotYetValid,
            Self::BodyTooLarge => Reason::BodyTooLarge,
            Self::KeyUnknown => Reason::KeyUnknown,
            Self::Signature => Reason::SignatureInvalid,
            Self::Replayed => Reason::SignatureReplayed,
            Self::TooMany { .. } => Reason::RateLimited,
            Self::Store(failure) => Reason::from(failure),
            Self::Corrupt | Self::Policy(_) | Self::Key | Self::Entropy(_) | Self::Request(_) => {
                Reason::Internal
            }
        }
    }
}

/// The header whose absence means that nobody claims to have signed.
pub(crate) const SIGNATURE: &str = "x-signature";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_request_without_any_signature_lacks_credentials() {
        let too_many = Error::TooMany {
            retry_after: Duration::ZERO,
        };
        let cases = [
            (Error::Missing(SIGNATURE), Reason::CredentialsMissing),
            (Error::Missing("x-timestamp"), Reason::SignatureMalformed),
            (Error::Duplicate(SIGNATURE), Reason::SignatureMalformed),
            (Error::HeaderRefused("trailer"), Reason::SignatureMalformed),
            (Error::Authority, Reason::SignatureMalformed),
            (Error::TooOld, Reason::SignatureExpired),
            (Error::BeforeBirth, Reason::SignatureExpired),
            (Error::Ahead, Reason::SignatureNotYetValid),
            (Error::KeyUnknown, Reason::KeyUnknown),
            (Error::Signature, Reason::SignatureInvalid),
            (Error::Replayed, Reason::SignatureReplayed),
            (too_many, Reason::RateLimited),
            (Error::Corrupt, Reason::Internal),
            (Error::Store(Failure::Contended), Reason::StoreContended),
        ];
        for (error, reason) in cases {
            assert_eq!(error.reason(), reason, "{error}");
        }
    }
}
