//! What the wire learns of a reason.

use std::fmt;

use http::StatusCode;
use portcullis_core::Reason;

/// What the wire learns of a reason: an RFC 9457 problem with a `code`.
///
/// ```
/// use portcullis_core::Reason;
/// use portcullis_tower::Problem;
///
/// let expired = Problem::of(Reason::TokenExpired);
/// assert_eq!((expired.status(), expired.code()), (http::StatusCode::UNAUTHORIZED, "408_TOKEN_EXPIRED"));
/// // A locked account, a wrong password and an unknown user are one answer.
/// assert_eq!(Problem::of(Reason::AccountLocked), Problem::of(Reason::UserUnknown));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) title: &'static str,
    pub(crate) detail: &'static str,
    /// The `error` of an RFC 6750 challenge; empty for a challenge without one.
    pub(crate) challenge: Option<&'static str>,
    pub(crate) grpc_status: u16,
}

impl Problem {
    /// The answer to that reason.
    #[must_use]
    pub const fn of(reason: Reason) -> Self {
        match reason {
            Reason::BadRequest | Reason::AddressUnknown => BAD_REQUEST,
            Reason::RouteUnknown => ROUTE_UNKNOWN,
            Reason::MethodNotAllowed => METHOD_NOT_ALLOWED,
            Reason::BodyTooLarge => BODY_TOO_LARGE,
            Reason::AddressRefused => ADDRESS_REFUSED,
            Reason::RateLimited => RATE_LIMITED,
            Reason::CredentialsMissing => CREDENTIALS_MISSING,
            Reason::TokenMalformed
            | Reason::TokenInvalid
            | Reason::TokenNotYetValid
            | Reason::TokenRevoked
            | Reason::TokenReplayed => TOKEN_INVALID,
            Reason::TokenExpired => TOKEN_EXPIRED,
            // One answer on purpose: which of them it was would help a guesser.
            Reason::UserUnknown
            | Reason::UserDisabled
            | Reason::PasswordWrong
            | Reason::AccountLocked
            | Reason::AttemptsExceeded => CREDENTIALS_REFUSED,
            Reason::CaptchaMissing | Reason::CaptchaFailed => CAPTCHA_REFUSED,
            Reason::PasswordChangeRequired => PASSWORD_CHANGE_REQUIRED,
            Reason::RoleMissing => ROLE_MISSING,
            Reason::SecondFactorRequired => SECOND_FACTOR_REQUIRED,
            Reason::SecondFactorMissing => SECOND_FACTOR_MISSING,
            // One answer on purpose, as for a password.
            Reason::SecondFactorWrong
            | Reason::SecondFactorReplayed
            | Reason::SecondFactorBlocked
            | Reason::ChallengeInvalid => SECOND_FACTOR_REFUSED,
            // Told by the clock alone, before any key is looked at.
            Reason::SignatureExpired | Reason::SignatureNotYetValid => SIGNATURE_UNTIMELY,
            // Told to whoever holds the key, or a request that was made with it.
            Reason::SignatureReplayed => SIGNATURE_REPLAYED,
            // One answer on purpose, as for a user: whether a key is there is not told.
            Reason::SignatureMalformed
            | Reason::SignatureInvalid
            | Reason::KeyMalformed
            | Reason::KeyUnknown
            | Reason::KeyWrong
            | Reason::KeyExpired
            | Reason::KeyRevoked
            | Reason::KeyOfOtherEnvironment
            | Reason::ClientDisabled => KEY_REFUSED,
            // Whether a client is registered is not told to who calls from elsewhere.
            Reason::ClientUnknown | Reason::ClientAddressRefused => CLIENT_REFUSED,
            Reason::ScopeMissing => SCOPE_MISSING,
            Reason::CrossSite => CROSS_SITE,
            Reason::Overloaded
            | Reason::StoreContended
            | Reason::StoreUnavailable
            | Reason::StoreUnknown
            | Reason::CaptchaUnavailable
            | Reason::AuditUnavailable => UNAVAILABLE,
            // What this release does not know is the service's fault, and closed.
            _ => INTERNAL,
        }
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The code in the body, such as `429_RATE_LIMITED`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.code
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.status.as_u16(), self.code, self.title)
    }
}

const BAD_REQUEST: Problem = Problem {
    status: StatusCode::BAD_REQUEST,
    code: "400_BAD_REQUEST",
    title: "The request cannot be read",
    detail: "Correct the request before sending it again.",
    challenge: None,
    grpc_status: 3,
};
const ROUTE_UNKNOWN: Problem = Problem {
    status: StatusCode::NOT_FOUND,
    code: "404_NOT_FOUND",
    title: "There is no such path",
    detail: "Check the path.",
    challenge: None,
    grpc_status: 12,
};
const METHOD_NOT_ALLOWED: Problem = Problem {
    status: StatusCode::METHOD_NOT_ALLOWED,
    code: "405_METHOD_NOT_ALLOWED",
    title: "The path takes other methods",
    detail: "Use one of those that Allow lists.",
    challenge: None,
    grpc_status: 12,
};
const BODY_TOO_LARGE: Problem = Problem {
    status: StatusCode::PAYLOAD_TOO_LARGE,
    code: "413_BODY_TOO_LARGE",
    title: "The body is too large",
    detail: "Send a smaller body.",
    challenge: None,
    grpc_status: 8,
};
const ADDRESS_REFUSED: Problem = Problem {
    status: StatusCode::FORBIDDEN,
    code: "403_FORBIDDEN",
    title: "Not from this address",
    detail: "Ask an administrator to register the address you call from.",
    challenge: None,
    grpc_status: 7,
};
const RATE_LIMITED: Problem = Problem {
    status: StatusCode::TOO_MANY_REQUESTS,
    code: "429_RATE_LIMITED",
    title: "Too many requests",
    detail: "Wait as long as Retry-After says, then try again.",
    challenge: None,
    grpc_status: 8,
};
const CREDENTIALS_MISSING: Problem = Problem {
    status: StatusCode::UNAUTHORIZED,
    code: "401_UNAUTHORIZED",
    title: "Credentials are needed",
    detail: "Sign in and send the access token as a Bearer token, or send the key or signature that is asked for.",
    challenge: Some(""),
    grpc_status: 16,
};
const CREDENTIALS_REFUSED: Problem = Problem {
    status: StatusCode::UNAUTHORIZED,
    code: "401_UNAUTHORIZED",
    title: "The credentials are not accepted",
    detail: "Check the user name and the password; after several failures, wait.",
    challenge: Some(""),
    grpc_status: 16,
};
const CAPTCHA_REFUSED: Problem = Problem {
    status: StatusCode::FORBIDDEN,
    code: "403_FORBIDDEN",
    title: "A captcha is asked for and was not passed",
    detail: "Solve the captcha, then try again.",
    challenge: None,
    grpc_status: 7,
};
const TOKEN_INVALID: Problem = Problem {
    status: StatusCode::UNAUTHORIZED,
    code: "401_UNAUTHORIZED",
    title: "The token is not accepted",
    detail: "Sign in again; a client that signs its own tokens checks key, issuer, audience and life.",
    challenge: Some("error=\"invalid_token\", error_description=\"the token is not accepted\""),
    grpc_status: 16,
};
const TOKEN_EXPIRED: Problem = Problem {
    status: StatusCode::UNAUTHORIZED,
    code: "408_TOKEN_EXPIRED",
    title: "The token has expired",
    detail: "Use the refresh token for a new one, or sign in again.",
    challenge: Some("error=\"invalid_token\", error_description=\"the token has expired\""),
    grpc_status: 16,
};
const PASSWORD_CHANGE_REQUIRED: Problem = Problem {
    status: StatusCode::FORBIDDEN,
    code: "403_PASSWORD_CHANGE_REQUIRED",
    title: "The password must be changed first",
    detail: "Change the password; nothing else is open until then.",
    challenge: None,
    grpc_status: 9,
};
const ROLE_MISSING: Problem = Problem {
    status: StatusCode::FORBIDDEN,
    code: "403_FORBIDDEN",
    title: "Not with this account",
    detail: "The account lacks the role that this needs.",
    challenge: Some("error=\"insufficient_scope\""),
    grpc_status: 7,
};
const SECOND_FACTOR_REQUIRED: Problem = Problem {
    status: StatusCode::UNAUTHORIZED,
    code: "403_FORBIDDEN",
    title: "A second factor is needed",
    detail: "Show the second factor, then try again.",
    challenge: Some(
        "error=\"insufficient_user_authentication\", \
         error_description=\"a second factor is needed\"",
    ),
    grpc_status: 16,
};
const SECOND_FACTOR_MISSING: Problem = Problem {
    status: StatusCode::FORBIDDEN,
    code: "403_SECOND_FACTOR_ENROLMENT_REQUIRED",
    title: "A second factor must be enrolled first",
    detail: "Enrol an authenticator; nothing else is open until then.",
    challenge: None,
    grpc_status: 9,
};
const SECOND_FACTOR_REFUSED: Problem = Problem {
    status: StatusCode::UNAUTHORIZED,
    code: "403_FORBIDDEN",
    title: "The second factor is not accepted",
    detail: "Wait for the next code, or sign in again.",
    challenge: Some(""),
    grpc_status: 16,
};
const SIGNATURE_UNTIMELY: Problem = Problem {
    status: StatusCode::UNAUTHORIZED,
    code: "401_SIGNATURE_UNTIMELY",
    title: "The signature's time is not now",
    detail: "Set the clock, sign the request anew and send it at once.",
    challenge: Some(""),
    grpc_status: 16,
};
const SIGNATURE_REPLAYED: Problem = Problem {
    status: StatusCode::UNAUTHORIZED,
    code: "401_SIGNATURE_REPLAYED",
    title: "The signed request came before",
    detail: "Sign each request anew; this one was taken already.",
    challenge: Some(""),
    grpc_status: 16,
};
const KEY_REFUSED: Problem = Problem {
    status: StatusCode::UNAUTHORIZED,
    code: "401_UNAUTHORIZED",
    title: "The key or the signature is not accepted",
    detail: "Check that the key is right, neither expired nor revoked, and that what is sent is what was signed.",
    challenge: Some(""),
    grpc_status: 16,
};
const CLIENT_REFUSED: Problem = Problem {
    status: StatusCode::FORBIDDEN,
    code: "403_FORBIDDEN",
    title: "Not this client, or not from this address",
    detail: "Ask an administrator to register the client and the address it calls from.",
    challenge: None,
    grpc_status: 7,
};
const SCOPE_MISSING: Problem = Problem {
    status: StatusCode::FORBIDDEN,
    code: "403_FORBIDDEN",
    title: "Not with this key",
    detail: "The key lacks the scope that this needs.",
    challenge: Some("error=\"insufficient_scope\""),
    grpc_status: 7,
};
const CROSS_SITE: Problem = Problem {
    status: StatusCode::FORBIDDEN,
    code: "403_FORBIDDEN",
    title: "The form is not one of this site's",
    detail: "Load the page again, and send the form from there.",
    challenge: None,
    grpc_status: 7,
};
const UNAVAILABLE: Problem = Problem {
    status: StatusCode::SERVICE_UNAVAILABLE,
    code: "503_UNAVAILABLE",
    title: "Not possible at this moment",
    detail: "Wait as long as Retry-After says, then try again.",
    challenge: None,
    grpc_status: 14,
};
const INTERNAL: Problem = Problem {
    status: StatusCode::INTERNAL_SERVER_ERROR,
    code: "500_INTERNAL",
    title: "The service is at fault",
    detail: "Report the request to whoever runs the service.",
    challenge: None,
    grpc_status: 13,
};
