//! What answers to a path that is no route, and to a method that a route does not take.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::{MethodRouter, any};
use http::Version;
use portcullis_core::{Clock, Reason};

use super::policy::sealed::Cover;
use crate::{Refusal, respond};

/// The two answers, and what they stand behind.
pub(super) struct Elsewhere<S> {
    pub(super) not_found: MethodRouter<S>,
    pub(super) method_not_allowed: MethodRouter<S>,
    pub(super) policy: Option<Arc<dyn Cover>>,
}

impl<S: Clone + Send + Sync + 'static> Elsewhere<S> {
    /// Two problems, and nothing before them.
    pub(super) fn standard() -> Self {
        Self {
            not_found: any(async |request| refused(&request, Reason::RouteUnknown)),
            method_not_allowed: any(async |request| refused(&request, Reason::MethodNotAllowed)),
            policy: None,
        }
    }

    pub(super) fn with_state<S2>(self, state: &S) -> Elsewhere<S2> {
        Elsewhere {
            not_found: self.not_found.with_state(state.clone()),
            method_not_allowed: self.method_not_allowed.with_state(state.clone()),
            policy: self.policy,
        }
    }
}

impl Elsewhere<()> {
    pub(super) fn words(&self) -> Option<String> {
        match &self.policy {
            None => Some(STANDARD.to_owned()),
            Some(policy) => policy.words(),
        }
    }

    /// Both answers, behind the policy.
    pub(super) fn covered(self, clock: &Arc<dyn Clock>) -> (MethodRouter, MethodRouter) {
        match self.policy {
            None => (self.not_found, self.method_not_allowed),
            Some(policy) => (
                policy.over(self.not_found, clock),
                policy.over(self.method_not_allowed, clock),
            ),
        }
    }
}

fn refused(request: &Request, reason: Reason) -> Response {
    let refusal = Refusal::new(reason);
    // As for a gate's refusal: gRPC speaks HTTP/2 alone.
    let answer = match request.version() {
        Version::HTTP_2 => respond(&refusal, request.headers()),
        _ => respond(&refusal, &http::HeaderMap::new()),
    };
    answer.map(Body::new)
}

const STANDARD: &str = "404, or 405 with the methods of the path; no handler";
