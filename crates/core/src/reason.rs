//! What was wrong, for log and audit.

use std::fmt;

use crate::Failure;

/// Why a request was refused, as the log and the audit trail learn it.
///
/// The wire learns less: one function in the tower crate turns a reason into a status and one of few
/// codes, and several reasons share an answer on purpose (an unknown user, a wrong password and a
/// locked account must not be told apart).
///
/// ```
/// use portcullis_core::Reason;
///
/// assert_eq!(Reason::TokenExpired.as_str(), "token_expired");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The request does not parse, or lacks something it must have.
    BadRequest,
    /// No route has that path.
    RouteUnknown,
    /// The path takes other methods.
    MethodNotAllowed,
    /// The body is longer than the policy admits.
    BodyTooLarge,
    /// The client's address could not be told from the forwarding headers.
    AddressUnknown,
    /// The client's address is not admitted.
    AddressRefused,
    /// The quota is used up.
    RateLimited,
    /// No credentials came with a request that needs them.
    CredentialsMissing,
    /// The token does not have the form of one.
    TokenMalformed,
    /// The token's signature, issuer, audience or kind is wrong.
    TokenInvalid,
    /// The token was good and its time is over.
    TokenExpired,
    /// The token's time has not come.
    TokenNotYetValid,
    /// The token, or the session it belongs to, was revoked.
    TokenRevoked,
    /// A refresh token that had been used was used again: its family is revoked.
    TokenReplayed,
    /// No such user.
    UserUnknown,
    /// The user may not sign in any more.
    UserDisabled,
    /// The password is wrong.
    PasswordWrong,
    /// The password is right and must be changed before anything else.
    PasswordChangeRequired,
    /// The account is locked after too many failures.
    AccountLocked,
    /// More attempts are under way at once than the failures that are left.
    AttemptsExceeded,
    /// A captcha is asked for, and nothing of one came with the attempt.
    CaptchaMissing,
    /// The captcha's provider says that it was not passed.
    CaptchaFailed,
    /// The captcha's provider could not be asked.
    CaptchaUnavailable,
    /// The caller is known and lacks the role.
    RoleMissing,
    /// A second factor is asked for and was not shown, or not recently.
    SecondFactorRequired,
    /// The account must have a second factor and has none; enrolling is all it may do.
    SecondFactorMissing,
    /// The code of the second factor is wrong.
    SecondFactorWrong,
    /// The code of the second factor is right and was used before.
    SecondFactorReplayed,
    /// Too many wrong codes: the second factor is blocked until an administrator resets it.
    SecondFactorBlocked,
    /// The sign-in that waits for a second factor is none, is over, or was overtaken by a change.
    ChallengeInvalid,
    /// A page of another site sent the request, or the form's token is not this browser's.
    CrossSite,
    /// The request's signature, its timestamp, nonce or key id does not have the form of one.
    SignatureMalformed,
    /// The signature is not the key's for this request.
    SignatureInvalid,
    /// The signed timestamp lies too far back, or the request took too long to arrive.
    SignatureExpired,
    /// The signed timestamp lies ahead.
    SignatureNotYetValid,
    /// The signed request is good and came before.
    SignatureReplayed,
    /// The API key does not have the form of one, or its checksum is wrong.
    KeyMalformed,
    /// No key has that id.
    KeyUnknown,
    /// The key's id is known and its secret is another.
    KeyWrong,
    /// The key was good and its time is over.
    KeyExpired,
    /// The key was revoked.
    KeyRevoked,
    /// The key is for another environment than this service's.
    KeyOfOtherEnvironment,
    /// No client application is registered under that name.
    ClientUnknown,
    /// The client application may not call any more.
    ClientDisabled,
    /// The client application is not registered for the address it calls from.
    ClientAddressRefused,
    /// The credential is good and lacks the scope.
    ScopeMissing,
    /// The service has as much work as it takes on.
    Overloaded,
    /// The store's key was contended past the deadline.
    StoreContended,
    /// The store refused or could not be reached.
    StoreUnavailable,
    /// The store's answer was lost; the change may have been applied.
    StoreUnknown,
    /// The audit log could not be written, and the policy says to refuse then.
    AuditUnavailable,
    /// The service itself is at fault.
    Internal,
}

impl Reason {
    /// The reason's stable name in logs and audit records: lower-case ASCII and underscores.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::RouteUnknown => "route_unknown",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::BodyTooLarge => "body_too_large",
            Self::AddressUnknown => "address_unknown",
            Self::AddressRefused => "address_refused",
            Self::RateLimited => "rate_limited",
            Self::CredentialsMissing => "credentials_missing",
            Self::TokenMalformed => "token_malformed",
            Self::TokenInvalid => "token_invalid",
            Self::TokenExpired => "token_expired",
            Self::TokenNotYetValid => "token_not_yet_valid",
            Self::TokenRevoked => "token_revoked",
            Self::TokenReplayed => "token_replayed",
            Self::UserUnknown => "user_unknown",
            Self::UserDisabled => "user_disabled",
            Self::PasswordWrong => "password_wrong",
            Self::PasswordChangeRequired => "password_change_required",
            Self::AccountLocked => "account_locked",
            Self::AttemptsExceeded => "attempts_exceeded",
            Self::CaptchaMissing => "captcha_missing",
            Self::CaptchaFailed => "captcha_failed",
            Self::CaptchaUnavailable => "captcha_unavailable",
            Self::RoleMissing => "role_missing",
            Self::SecondFactorRequired => "second_factor_required",
            Self::SecondFactorMissing => "second_factor_missing",
            Self::SecondFactorWrong => "second_factor_wrong",
            Self::SecondFactorReplayed => "second_factor_replayed",
            Self::SecondFactorBlocked => "second_factor_blocked",
            Self::ChallengeInvalid => "challenge_invalid",
            Self::CrossSite => "cross_site",
            Self::SignatureMalformed => "signature_malformed",
            Self::SignatureInvalid => "signature_invalid",
            Self::SignatureExpired => "signature_expired",
            Self::SignatureNotYetValid => "signature_not_yet_valid",
            Self::SignatureReplayed => "signature_replayed",
            Self::KeyMalformed => "key_malformed",
            Self::KeyUnknown => "key_unknown",
            Self::KeyWrong => "key_wrong",
            Self::KeyExpired => "key_expired",
            Self::KeyRevoked => "key_revoked",
            Self::KeyOfOtherEnvironment => "key_of_other_environment",
            Self::ClientUnknown => "client_unknown",
            Self::ClientDisabled => "client_disabled",
            Self::ClientAddressRefused => "client_address_refused",
            Self::ScopeMissing => "scope_missing",
            Self::Overloaded => "overloaded",
            Self::StoreContended => "store_contended",
            Self::StoreUnavailable => "store_unavailable",
            Self::StoreUnknown => "store_unknown",
            Self::AuditUnavailable => "audit_unavailable",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<&Failure> for Reason {
    fn from(failure: &Failure) -> Self {
        match failure {
            Failure::Contended => Self::StoreContended,
            Failure::Unavailable(_) => Self::StoreUnavailable,
            Failure::Unknown(_) => Self::StoreUnknown,
        }
    }
}
