//! Refusals of the gates and the handlers, as pages.

use axum::body::to_bytes;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use portcullis::core::Reason;
use portcullis::tower::{Problem, Refused};
use serde::Deserialize;

use super::assets;
use super::next::{page_of_form, page_of_ours};
use super::view::{Frame, RefusedPage};
use super::words;

/// Turns a problem on its way out into a page, or into the way to what is due. Status, headers and the
/// note of the reason stay: the log outside records it as it would have.
pub(crate) async fn as_pages(request: Request, next: Next) -> Response {
    let back = way_back(request.method(), request.uri());
    let response = next.run(request).await;
    if !is_problem(response.headers()) {
        return response;
    }
    let reason = response.extensions().get::<Refused>().map(|told| told.0);
    match reason.and_then(|reason| way_on(reason, &back)) {
        Some(way) => redirected(response, way),
        None => as_page(response, reason).await,
    }
}

/// Where the refused request can be made again: its own page, or the one its form stands on.
fn way_back(method: &Method, uri: &Uri) -> String {
    let form = page_of_form(uri.path());
    let page = if *method == Method::GET {
        uri.path_and_query().map_or("", |page| page.as_str())
    } else {
        &form
    };
    page_of_ours(page).to_owned()
}

/// Where what is asked for can be done, for the reasons that a person can do something about.
fn way_on(reason: Reason, back: &str) -> Option<String> {
    let way = match reason {
        Reason::CredentialsMissing
        | Reason::TokenMalformed
        | Reason::TokenInvalid
        | Reason::TokenExpired
        | Reason::TokenNotYetValid
        | Reason::TokenRevoked => "/sign-in".to_owned(),
        Reason::PasswordChangeRequired => "/password".to_owned(),
        Reason::SecondFactorMissing => "/account/enrol".to_owned(),
        Reason::SecondFactorRequired => {
            let next = utf8_percent_encode(back, NON_ALPHANUMERIC);
            format!("/step-up?next={next}")
        }
        _ => return None,
    };
    Some(way)
}

fn redirected(refusal: Response, way: String) -> Response {
    let (mut head, _) = refusal.into_parts();
    head.status = StatusCode::SEE_OTHER;
    for name in [CONTENT_TYPE, CONTENT_LENGTH, WWW_AUTHENTICATE] {
        head.headers.remove(name);
    }
    if let Ok(way) = HeaderValue::try_from(way) {
        head.headers.insert(LOCATION, way);
    }
    Response::from_parts(head, axum::body::Body::empty())
}

/// There is no such page, for a browser; the calls are told in their own form.
pub(crate) fn no_such_page() -> Response {
    let page = RefusedPage {
        frame: Frame {
            style: assets::style_address(),
            ..Frame::default()
        },
        status: StatusCode::NOT_FOUND.as_u16(),
        title: "There is no such page".to_owned(),
        detail: "The address may be mistyped, or the page was moved.".to_owned(),
        wait: None,
    };
    super::page::page_at(StatusCode::NOT_FOUND, &page)
}

async fn as_page(refusal: Response, reason: Option<Reason>) -> Response {
    let (head, body) = refusal.into_parts();
    // Written by this service, and short.
    let told = to_bytes(body, MAX_PROBLEM_BYTES).await.unwrap_or_default();
    let (title, detail) = match reason {
        Some(reason) => in_words(reason),
        None => told_in(&told),
    };
    let page = RefusedPage {
        frame: Frame {
            style: assets::style_address(),
            ..Frame::default()
        },
        status: head.status.as_u16(),
        title,
        detail,
        wait: wait(&head.headers),
    };
    super::page::dressed(Response::from_parts(head, told.into()), &page)
}

/// What a handler says of a request's content.
fn told_in(problem: &[u8]) -> (String, String) {
    #[derive(Default, Deserialize)]
    struct Told {
        title: String,
        detail: String,
    }
    let told: Told = serde_json::from_slice(problem).unwrap_or_default();
    (told.title, told.detail)
}

/// What a person can do about it; the problems' own words speak to programs.
fn in_words(reason: Reason) -> (String, String) {
    let (title, detail) = match Problem::of(reason).status() {
        _ if reason == Reason::CrossSite => (
            "This form is out of date",
            "Load the page again, and send the form from there. Nothing was done.",
        ),
        _ if reason == Reason::RoleMissing => {
            ("Not with this account", "This page is for administrators.")
        }
        StatusCode::TOO_MANY_REQUESTS => (
            "Too many requests",
            "More came from your address than is taken in so short a time.",
        ),
        StatusCode::SERVICE_UNAVAILABLE => (
            "Not possible at this moment",
            "The service is busy, or a part of it is away.",
        ),
        StatusCode::PAYLOAD_TOO_LARGE => ("That was too much", "Send less text."),
        StatusCode::FORBIDDEN => ("Not allowed", "This is not open to you."),
        StatusCode::UNAUTHORIZED => ("Not accepted", "Sign in again."),
        StatusCode::BAD_REQUEST => (
            "The request cannot be read",
            "Load the page again, and try from there.",
        ),
        _ => (
            "The service is at fault",
            "Tell whoever runs the service what you did.",
        ),
    };
    (title.to_owned(), detail.to_owned())
}

fn wait(headers: &HeaderMap) -> Option<String> {
    let secs = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(words::wait(secs))
}

fn is_problem(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    content_type.is_some_and(|name| name == b"application/problem+json")
}

const MAX_PROBLEM_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn way(reason: Reason, method: &Method, uri: &'static str) -> Option<String> {
        way_on(reason, &way_back(method, &Uri::from_static(uri)))
    }

    #[test]
    fn what_a_person_can_do_something_about_leads_there() {
        let (get, post) = (Method::GET, Method::POST);
        let cases = [
            (Reason::CredentialsMissing, &get, "/account", "/sign-in"),
            (Reason::TokenRevoked, &post, "/sign-out", "/sign-in"),
            (Reason::PasswordChangeRequired, &get, "/admin", "/password"),
            (
                Reason::SecondFactorMissing,
                &get,
                "/admin",
                "/account/enrol",
            ),
            (
                Reason::SecondFactorRequired,
                &get,
                "/admin/audit?user=a%26b&action=",
                "/step-up?next=%2Fadmin%2Faudit%3Fuser%3Da%2526b%26action%3D",
            ),
            (
                Reason::SecondFactorRequired,
                &post,
                "/admin/unlock",
                "/step-up?next=%2Fadmin",
            ),
            (
                Reason::SecondFactorRequired,
                &post,
                "/admin/clients/billing/keys",
                "/step-up?next=%2Fadmin%2Fclients%2Fbilling%3Fagain",
            ),
        ];
        for (reason, method, uri, to) in cases {
            assert_eq!(way(reason, method, uri).as_deref(), Some(to));
        }
    }

    #[test]
    fn no_other_refusal_leads_anywhere_and_each_has_words() {
        for reason in [
            Reason::RateLimited,
            Reason::CrossSite,
            Reason::RoleMissing,
            Reason::StoreUnavailable,
            Reason::Internal,
            Reason::BodyTooLarge,
            Reason::BadRequest,
            Reason::PasswordWrong,
            Reason::AddressRefused,
        ] {
            assert_eq!(way(reason, &Method::GET, "/account"), None, "{reason:?}");
            let (title, detail) = in_words(reason);
            assert!(!title.is_empty() && detail.ends_with('.'), "{reason:?}");
        }
    }
}
