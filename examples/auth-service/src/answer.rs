//! What handlers answer with when they do not answer well, and how they read a body.

use std::borrow::Cow;
use std::time::Duration;

use axum::body;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use portcullis::core::{Failure, IndexError, Reason};
use portcullis::tower::{Refusal, respond};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::letters::Json;
use crate::records::RecordError;

/// A handler's no.
#[derive(Debug)]
pub(crate) enum No {
    /// A reason, answered as the gates answer it.
    Refused(Refusal),
    /// What is wrong with the request's content: status, code, and what to do about it.
    Problem(StatusCode, &'static str, Cow<'static, str>),
}

impl No {
    /// There is no such thing.
    pub(crate) const fn unknown(detail: &'static str) -> Self {
        Self::Problem(
            StatusCode::NOT_FOUND,
            "404_NOT_FOUND",
            Cow::Borrowed(detail),
        )
    }

    /// It is not in a state to be changed so.
    pub(crate) fn conflict(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::Problem(StatusCode::CONFLICT, "409_CONFLICT", detail.into())
    }

    /// The name is taken.
    pub(crate) const TAKEN: Self = Self::Problem(
        StatusCode::CONFLICT,
        "409_CONFLICT",
        Cow::Borrowed("The name is taken."),
    );
    /// The path does not take that method.
    pub(crate) const METHOD: Self = Self::Problem(
        StatusCode::METHOD_NOT_ALLOWED,
        "405_METHOD_NOT_ALLOWED",
        Cow::Borrowed("This path takes other methods; GET / lists the calls."),
    );
    /// The list has no room.
    pub(crate) const FULL: Self = Self::Problem(
        StatusCode::INSUFFICIENT_STORAGE,
        "507_FULL",
        Cow::Borrowed("There is no room for more of these: forget what is not needed any more."),
    );

    /// The body is not waited for any longer.
    pub(crate) const fn slow_body() -> Self {
        Self::Problem(
            StatusCode::REQUEST_TIMEOUT,
            "408_REQUEST_TIMEOUT",
            Cow::Borrowed("The body did not come within ten seconds."),
        )
    }

    /// The content is not as it must be.
    pub(crate) fn content(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::Problem(StatusCode::BAD_REQUEST, "400_BAD_REQUEST", detail.into())
    }
}

impl From<Reason> for No {
    fn from(reason: Reason) -> Self {
        Self::Refused(Refusal::new(reason))
    }
}

impl From<Refusal> for No {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Failure> for No {
    fn from(failure: Failure) -> Self {
        Self::from(Reason::from(&failure))
    }
}

impl From<RecordError> for No {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Taken => Self::TAKEN,
            RecordError::Unknown(detail) => Self::unknown(detail),
            RecordError::Conflict(detail) => Self::conflict(detail),
            RecordError::Changed => Self::from(Reason::StoreContended),
            RecordError::Index(IndexError::Full(_)) => Self::FULL,
            RecordError::Index(IndexError::Store(failure)) | RecordError::Store(failure) => {
                Self::from(failure)
            }
            RecordError::Index(_) | RecordError::Corrupt | RecordError::Entropy(_) => {
                Self::from(Reason::Internal)
            }
        }
    }
}

impl IntoResponse for No {
    fn into_response(self) -> Response {
        match self {
            Self::Refused(refusal) => respond(&refusal, &HeaderMap::new()).map(body::Body::new),
            Self::Problem(status, code, detail) => {
                let title = status.canonical_reason().unwrap_or("Refused");
                let problem = Problem {
                    r#type: "about:blank",
                    title,
                    status: status.as_u16(),
                    detail,
                    code,
                };
                let mut response = (status, Json(problem)).into_response();
                let headers = response.headers_mut();
                headers.insert(
                    CONTENT_TYPE,
                    HeaderValue::from_static("application/problem+json"),
                );
                headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
                response
            }
        }
    }
}

/// RFC 9457, with its members in the order in which the gates write them.
#[derive(Serialize)]
struct Problem {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: Cow<'static, str>,
    code: &'static str,
}

/// A JSON body of type `T`, nothing else: unknown members, another content type and an over-long
/// body are refused as problems.
#[derive(Debug)]
pub(crate) struct Content<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Content<T> {
    type Rejection = No;

    async fn from_request(request: Request, state: &S) -> Result<Self, No> {
        // A body that does not come is not waited for: it would hold its connection, and a stop.
        let read = tokio::time::timeout(BODY_WAIT, axum::Json::from_request(request, state)).await;
        let read = read.map_err(|_| No::slow_body())?;
        let axum::Json(content) = read.map_err(|rejection| match rejection {
            JsonRejection::BytesRejection(bytes)
                if bytes.status() == StatusCode::PAYLOAD_TOO_LARGE =>
            {
                No::from(Reason::BodyTooLarge)
            }
            JsonRejection::MissingJsonContentType(_) => No::Problem(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "415_UNSUPPORTED_MEDIA_TYPE",
                "The body must be JSON, and its Content-Type application/json.".into(),
            ),
            JsonRejection::JsonDataError(_) => {
                No::content("The JSON lacks a member, or has one too many or of another type.")
            }
            _ => No::content("The body is not JSON."),
        })?;
        Ok(Self(content))
    }
}

/// A body as it came, whatever it holds; an over-long or a slow one is refused as [`Content`] refuses it.
#[derive(Debug)]
pub(crate) struct Raw(pub(crate) body::Bytes);

impl<S: Send + Sync> FromRequest<S> for Raw {
    type Rejection = No;

    async fn from_request(request: Request, state: &S) -> Result<Self, No> {
        let read = body::Bytes::from_request(request, state);
        let read = tokio::time::timeout(BODY_WAIT, read).await;
        let read = read.map_err(|_| No::slow_body())?;
        let bytes = read.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => No::from(Reason::BodyTooLarge),
            _ => No::content("The body breaks off."),
        })?;
        Ok(Self(bytes))
    }
}

/// An answer that no cache keeps: it holds tokens or people's data.
pub(crate) fn private(content: impl IntoResponse) -> Response {
    let mut response = content.into_response();
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

pub(crate) const BODY_WAIT: Duration = Duration::from_secs(10);
