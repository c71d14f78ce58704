//! The fields of a form as it was sent.

use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{FromRequest, Request};
use portcullis::core::{Reason, Secret};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::answer::{BODY_WAIT, No};

/// The fields of a form. A field more is no fault: every form carries its token besides.
#[derive(Debug)]
pub(crate) struct Fields<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Fields<T> {
    type Rejection = No;

    async fn from_request(request: Request, state: &S) -> Result<Self, No> {
        // The cookie layer has read a body that carries the token, within its time; one whose token came
        // in a header it has not.
        let read = timeout(BODY_WAIT, Form::<T>::from_request(request, state)).await;
        let Form(fields) =
            read.map_err(|_| No::slow_body())?
                .map_err(|rejection| match rejection {
                    FormRejection::BytesRejection(_) => No::from(Reason::BodyTooLarge),
                    _ => No::content("The form lacks a field. Load the page again."),
                })?;
        Ok(Self(fields))
    }
}

/// A password, a code or a challenge as it comes in: a secret from the first moment on.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "String")]
pub(crate) struct Typed(pub(crate) Secret);

impl From<String> for Typed {
    fn from(text: String) -> Self {
        Self(Secret::from(text))
    }
}

impl Typed {
    /// As text, which it was.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(self.0.expose()).unwrap_or_default()
    }

    /// A code, without the spaces around it that pasting brings.
    pub(crate) fn code(&self) -> &str {
        self.text().trim()
    }
}
