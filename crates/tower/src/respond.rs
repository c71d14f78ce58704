//! The one function that turns a reason into a response.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version};
use http_body_util::Full;
use portcullis_core::Reason;
use serde::Serialize;

use crate::{Pass, Problem};

/// A gate's no: the reason, and what the response needs beyond it.
#[derive(Clone, Debug)]
pub struct Refusal {
    reason: Reason,
    retry_after: Option<Duration>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// What the gates that admitted before this one say; boxed, for most refusals have none.
    said_before: Option<Box<HeaderMap>>,
}

impl Refusal {
    /// A refusal for that reason.
    #[must_use]
    pub const fn new(reason: Reason) -> Self {
        Self {
            reason,
            retry_after: None,
            headers: Vec::new(),
            said_before: None,
        }
    }

    /// The caller is to wait that long; the header says whole seconds, rounded up.
    #[must_use]
    pub const fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The response carries this header too, in place of its own of that name. Several of one name
    /// all stand.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Lets a gate that admitted before this refusal say what it would have said to a response: the
    /// headers it sets on a head of the refusal's status, except those the refusal has of its own.
    pub(crate) fn after(mut self, pass: &mut impl Pass) -> Self {
        let (mut head, ()) = Response::new(()).into_parts();
        head.status = Problem::of(self.reason).status();
        if let Some(said) = self.said_before.take() {
            head.headers = *said;
        }
        pass.settle(&mut head);
        if !head.headers.is_empty() {
            self.said_before = Some(Box::new(head.headers));
        }
        self
    }

    /// Why, for log and audit.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.reason
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self::new(reason)
    }
}

/// In a response's extensions: it is a refusal, and why. For the layers that log and audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused(pub Reason);

/// Turns a refusal into the response: an RFC 9457 problem with `code`, `WWW-Authenticate` (RFC 6750
/// §3, RFC 9470 §3) where credentials would help, `Retry-After` in whole seconds rounded up.
///
/// Pass an empty map as `request`: the answer has the reason's HTTP status then, always. Pass the request's
/// own headers in the handler of a gRPC call alone, a `POST` over HTTP/2: where their content type is
/// `application/grpc`, or that with a `+` or a `;` behind it, the answer has a `grpc-status` and, as gRPC
/// has it, the HTTP status 200.
///
/// **Any caller can send that content type.** Whoever judges by the status alone takes the 200 for a yes: a
/// proxy that asks this service before it forwards (forward-auth) copies the caller's headers, and would
/// let through what is refused here. The layers answer in gRPC only where they were told to
/// ([`crate::GateLayer::speaks_grpc`]).
#[must_use]
pub fn respond(refusal: &Refusal, request: &HeaderMap) -> Response<Full<Bytes>> {
    let problem = Problem::of(refusal.reason);
    let mut response = if is_grpc(request) {
        grpc(&problem)
    } else {
        json(&problem)
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let unavailable = problem.status == StatusCode::SERVICE_UNAVAILABLE;
    if let Some(wait) = refusal
        .retry_after
        .or(unavailable.then_some(Duration::from_secs(1)))
    {
        headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds_up(wait)));
    }
    for (name, _) in &refusal.headers {
        headers.remove(name);
    }
    for (name, value) in &refusal.headers {
        headers.append(name, value.clone());
    }
    if let Some(said) = &refusal.said_before {
        add_missing(headers, said);
    }
    response.extensions_mut().insert(Refused(refusal.reason));
    response
}

/// In what a layer refuses.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Speaks {
    /// By the HTTP status, whatever the caller says of itself.
    #[default]
    Http,
    /// In gRPC where the call is one: an answer of the status 200, which a caller must not be able to choose
    /// where nobody serves gRPC.
    Grpc,
}

impl Speaks {
    /// The answer to a request of that method and version. A gRPC call is a `POST` over HTTP/2.
    pub(crate) fn answer(
        self,
        refusal: &Refusal,
        method: &Method,
        version: Version,
        headers: &HeaderMap,
    ) -> Response<Full<Bytes>> {
        match (self, version) {
            (Self::Grpc, Version::HTTP_2) if *method == Method::POST => respond(refusal, headers),
            _ => respond(refusal, &HeaderMap::new()),
        }
    }
}

/// Adds the fields whose name `headers` does not have yet.
fn add_missing(headers: &mut HeaderMap, said: &HeaderMap) {
    for name in said.keys() {
        if headers.contains_key(name) {
            continue;
        }
        for value in said.get_all(name) {
            headers.append(name, value.clone());
        }
    }
}

fn json(problem: &Problem) -> Response<Full<Bytes>> {
    #[derive(Serialize)]
    struct Body {
        r#type: &'static str,
        title: &'static str,
        status: u16,
        detail: String,
        code: &'static str,
    }
    let body = Body {
        r#type: "about:blank",
        // RFC 9457 §4.2.1: the title of a blank type is the status's own phrase.
        title: problem.status.canonical_reason().unwrap_or(problem.title),
        status: problem.status.as_u16(),
        detail: format!("{}. {}", problem.title, problem.detail),
        code: problem.code,
    };
    // A struct of strings and a number always serialises; an empty body would still be refused.
    let body = serde_json::to_vec(&body).unwrap_or_default();
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = problem.status;
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    if let Some(value) = problem.challenge.and_then(challenge) {
        headers.insert(WWW_AUTHENTICATE, value);
    }
    response
}

/// Trailers-only, as the gRPC protocol over HTTP/2 has it for a call that fails at once.
fn grpc(problem: &Problem) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", HeaderValue::from(problem.grpc_status));
    headers.insert("grpc-message", HeaderValue::from_static(problem.code));
    response
}

/// The content type of a gRPC call over HTTP/2, as the protocol spells it. `application/grpc-web` is another
/// protocol.
fn is_grpc(request: &HeaderMap) -> bool {
    let content_type = request.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let rest = content_type.and_then(|value| value.strip_prefix(b"application/grpc"));
    rest.is_some_and(|rest| matches!(rest, [] | [b'+' | b';', ..]))
}

fn challenge(error: &'static str) -> Option<HeaderValue> {
    let text = if error.is_empty() {
        String::from("Bearer realm=\"portcullis\"")
    } else {
        format!("Bearer realm=\"portcullis\", {error}")
    };
    HeaderValue::try_from(text).ok()
}

/// Rounded up: a client that waits as long as it is told is admitted.
fn whole_seconds_up(wait: Duration) -> u64 {
    wait.as_secs()
        .saturating_add(u64::from(wait.subsec_nanos() > 0))
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    fn answered(refusal: &Refusal) -> (http::response::Parts, serde_json::Value) {
        let (head, body) = respond(refusal, &HeaderMap::new()).into_parts();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let bytes = runtime.block_on(body.collect()).unwrap().to_bytes();
        (head, serde_json::from_slice(&bytes).unwrap())
    }

    #[test]
    fn each_reason_has_its_status_code_and_challenge() {
        let invalid = "Bearer realm=\"portcullis\", error=\"invalid_token\", error_description=\"the token is not accepted\"";
        let cases = [
            (Reason::BadRequest, 400, "400_BAD_REQUEST", None),
            (Reason::BodyTooLarge, 413, "413_BODY_TOO_LARGE", None),
            (Reason::AddressRefused, 403, "403_FORBIDDEN", None),
            (Reason::RateLimited, 429, "429_RATE_LIMITED", None),
            (
                Reason::CredentialsMissing,
                401,
                "401_UNAUTHORIZED",
                Some("Bearer realm=\"portcullis\""),
            ),
            (Reason::TokenInvalid, 401, "401_UNAUTHORIZED", Some(invalid)),
            (Reason::TokenRevoked, 401, "401_UNAUTHORIZED", Some(invalid)),
            (
                Reason::TokenExpired,
                401,
                "408_TOKEN_EXPIRED",
                Some(
                    "Bearer realm=\"portcullis\", error=\"invalid_token\", error_description=\"the token has expired\"",
                ),
            ),
            (
                Reason::SecondFactorRequired,
                401,
                "403_FORBIDDEN",
                Some(
                    "Bearer realm=\"portcullis\", error=\"insufficient_user_authentication\", error_description=\"a second factor is needed\"",
                ),
            ),
            (
                Reason::RoleMissing,
                403,
                "403_FORBIDDEN",
                Some("Bearer realm=\"portcullis\", error=\"insufficient_scope\""),
            ),
            (Reason::CaptchaFailed, 403, "403_FORBIDDEN", None),
            (Reason::CaptchaMissing, 403, "403_FORBIDDEN", None),
            (Reason::CaptchaUnavailable, 503, "503_UNAVAILABLE", None),
            (Reason::StoreUnknown, 503, "503_UNAVAILABLE", None),
            (Reason::Internal, 500, "500_INTERNAL", None),
        ];
        for (reason, status, code, challenge) in cases {
            let (head, body) = answered(&Refusal::new(reason));
            assert_eq!(head.status.as_u16(), status, "{reason}");
            assert_eq!(body["status"], status, "{reason}");
            assert_eq!(body["code"], code, "{reason}");
            let given = head
                .headers
                .get(WWW_AUTHENTICATE)
                .map(|value| value.to_str().unwrap());
            assert_eq!(given, challenge, "{reason}");
            assert_eq!(head.headers[CONTENT_TYPE], "application/problem+json");
            assert_eq!(head.headers[CACHE_CONTROL], "no-store");
            assert_eq!(head.extensions.get(), Some(&Refused(reason)));
        }
    }

    #[test]
    fn unknown_wrong_locked_crowded_and_disabled_are_the_very_same_answer() {
        let of = |reason| {
            let (head, body) = answered(&Refusal::new(reason));
            (head.status, head.headers, body)
        };
        let wrong = of(Reason::PasswordWrong);
        for reason in [
            Reason::UserUnknown,
            Reason::AccountLocked,
            Reason::AttemptsExceeded,
            Reason::UserDisabled,
        ] {
            assert_eq!(of(reason), wrong, "{reason}");
        }
    }

    #[test]
    fn retry_after_is_rounded_up_to_whole_seconds() {
        let cases = [
            (1, "1"),
            (999_999_999, "1"),
            (1_000_000_000, "1"),
            (1_000_000_001, "2"),
        ];
        for (nanos, header) in cases {
            let limited =
                Refusal::new(Reason::RateLimited).retry_after(Duration::from_nanos(nanos));
            assert_eq!(answered(&limited).0.headers[RETRY_AFTER], header);
        }
    }

    #[test]
    fn headers_of_one_name_all_stand_in_place_of_the_responses_own() {
        let value = HeaderValue::from_static;
        let refusal = Refusal::new(Reason::CredentialsMissing)
            .header(WWW_AUTHENTICATE, value("DPoP algs=\"ES256\""))
            .header(WWW_AUTHENTICATE, value("Basic realm=\"x\""));
        let head = answered(&refusal).0;
        let given: Vec<_> = head.headers.get_all(WWW_AUTHENTICATE).iter().collect();
        assert_eq!(given, ["DPoP algs=\"ES256\"", "Basic realm=\"x\""]);
    }

    #[test]
    fn a_store_that_is_away_tells_when_to_come_back() {
        assert_eq!(
            answered(&Refusal::new(Reason::StoreUnavailable)).0.headers[RETRY_AFTER],
            "1"
        );
    }

    #[test]
    fn only_the_content_type_of_grpc_is_grpc() {
        let cases = [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;x=y", true),
            ("application/grpc-web", false),
            ("application/grpc-web+proto", false),
            ("application/grpcx", false),
            ("application/grpc,application/json", false),
            ("application/grp", false),
            ("application/json", false),
            ("text/plain;application/grpc", false),
            ("", false),
        ];
        let refusal = Refusal::new(Reason::RoleMissing);
        for (kind, grpc) in cases {
            let mut request = HeaderMap::new();
            request.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            let answer = respond(&refusal, &request);
            assert_eq!(answer.status() == StatusCode::OK, grpc, "{kind}");
            assert_eq!(answer.headers().contains_key("grpc-status"), grpc, "{kind}");
        }
    }

    #[test]
    fn a_grpc_caller_gets_a_grpc_status() {
        let mut request = HeaderMap::new();
        request.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/grpc+proto"),
        );
        for (reason, status) in [
            (Reason::TokenExpired, "16"),
            (Reason::RateLimited, "8"),
            (Reason::RoleMissing, "7"),
        ] {
            let response = respond(&Refusal::new(reason), &request);
            assert_eq!(response.status(), 200);
            assert_eq!(response.headers()["grpc-status"], status);
        }
    }
}
