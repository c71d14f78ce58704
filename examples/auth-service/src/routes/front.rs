//! What a stranger sees first, and what a monitor asks.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use portcullis::tower::Arrival;
use serde_json::{Value, json};

use crate::answer::No;
use crate::app::App;
use crate::letters::Json;
use crate::pages::instead_of_text;

/// How to use the service, in the words of its own README; a browser is sent to the pages.
pub(crate) async fn front(headers: HeaderMap) -> Response {
    if let Some(pages) = instead_of_text(&headers) {
        return pages.into_response();
    }
    (
        [(CONTENT_TYPE, "text/markdown; charset=utf-8")],
        include_str!("../../README.md"),
    )
        .into_response()
}

/// Whether the store answers.
pub(crate) async fn health(
    State(app): State<Arc<App>>,
    Extension(Arrival(now)): Extension<Arrival>,
) -> Result<Json<Value>, No> {
    app.users.get("", now).await?;
    Ok(Json(json!({"status": "ok"})))
}
