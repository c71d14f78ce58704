//! What a stranger sees first, and what a monitor asks.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use http::header::CONTENT_TYPE;
use portcullis::tower::Arrival;
use serde_json::{Value, json};

use crate::answer::No;
use crate::app::App;

/// How to use the service, in the words of its own README.
pub(crate) async fn front() -> ([(http::HeaderName, &'static str); 1], &'static str) {
    (
        [(CONTENT_TYPE, "text/markdown; charset=utf-8")],
        include_str!("../../README.md"),
    )
}

/// Whether the store answers.
pub(crate) async fn health(
    State(app): State<Arc<App>>,
    Extension(Arrival(now)): Extension<Arrival>,
) -> Result<Json<Value>, No> {
    app.users.get("", now).await?;
    Ok(Json(json!({"status": "ok"})))
}
