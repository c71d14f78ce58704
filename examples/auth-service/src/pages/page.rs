//! What every handler of a page needs: what stands around it, and how it becomes a response.

use askama::Template;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::{Extension, body};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use portcullis::core::Reason;
use portcullis::tower::{CookieChange, CsrfToken, Refusal, respond};

use super::assets;
use super::view::{Frame, Here, Person};
use crate::answer::{No, private};
use crate::caller::{Caller, standing};
use crate::origin::Origin;
use crate::users::Role;

/// What the layers before a page know that stands around it.
#[derive(Debug)]
pub(crate) struct Around {
    csrf: String,
    person: Option<Person>,
}

impl Around {
    /// The frame of a page of that part.
    pub(crate) fn frame(self, here: Here) -> Frame {
        Frame {
            csrf: self.csrf,
            style: assets::style_address(),
            person: self.person,
            wide: matches!(here, Here::Admin | Here::Clients),
            here,
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Around {
    type Rejection = No;

    async fn from_request_parts(head: &mut Parts, state: &S) -> Result<Self, No> {
        let token = head.extensions.get::<CsrfToken>();
        // A page outside the cookie layer: put together wrongly.
        let csrf = token.ok_or(Reason::Internal)?.expose().to_owned();
        let person = match head.extensions.get::<Caller>().cloned() {
            Some(caller) => Some(person(&caller, head, state).await?),
            None => None,
        };
        Ok(Self { csrf, person })
    }
}

async fn person<S: Send + Sync>(
    caller: &Caller,
    head: &mut Parts,
    state: &S,
) -> Result<Person, No> {
    let origin = Origin::from_request_parts(head, state).await?;
    // Before what is due is done the links would lead back to where it is done.
    let open = standing(&caller.user, &caller.session, origin.now).is_ok();
    Ok(Person {
        open,
        admin: open && caller.user.role == Role::Admin,
    })
}

/// The page, which no cache keeps.
pub(crate) fn page(template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => private(Html(html)),
        Err(_) => No::from(Reason::Internal).into_response(),
    }
}

/// The page under another status.
pub(crate) fn page_at(status: StatusCode, template: &impl Template) -> Response {
    let mut response = page(template);
    if response.status() == StatusCode::OK {
        *response.status_mut() = status;
    }
    response
}

/// A refusal as a page: status, headers and the note for the log are those that a gate's would have.
pub(crate) fn refused(reason: Reason, template: &impl Template) -> Response {
    let refusal = respond(&Refusal::new(reason), &HeaderMap::new()).map(body::Body::new);
    dressed(refusal, template)
}

/// A refusal with its body replaced by a page.
pub(crate) fn dressed(refusal: Response, template: &impl Template) -> Response {
    let Ok(html) = template.render() else {
        return refusal;
    };
    let (mut head, _) = refusal.into_parts();
    head.headers.remove(http::header::CONTENT_LENGTH);
    let html_type = HeaderValue::from_static("text/html; charset=utf-8");
    head.headers.insert(CONTENT_TYPE, html_type);
    Response::from_parts(head, Body::from(html))
}

/// On to another page, with another cookie.
pub(crate) fn on_with(change: CookieChange, to: &str) -> Response {
    (Extension(change), Redirect::to(to)).into_response()
}
