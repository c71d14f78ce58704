//! What answers to a path that is no route, and to a method that a route does not take.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::{MethodRouter, any};
use portcullis_core::{Clock, Reason};

use super::policy::sealed::Cover;
use crate::Refusal;
use crate::respond::Speaks;

/// The two answers, and what they stand behind.
pub(super) struct Elsewhere<S> {
    pub(super) answers: Answers<S>,
    pub(super) policy: Option<Arc<dyn Cover>>,
}

/// To what is no route, and to another method.
pub(super) enum Answers<S> {
    /// Two problems.
    Standard,
    /// In that order.
    Own(Box<[MethodRouter<S>; 2]>),
}

impl<S: Clone + Send + Sync + 'static> Elsewhere<S> {
    /// Two problems, and nothing before them.
    pub(super) const fn standard() -> Self {
        Self {
            answers: Answers::Standard,
            policy: None,
        }
    }

    pub(super) fn with_state<S2>(self, state: &S) -> Elsewhere<S2> {
        let answers = match self.answers {
            Answers::Standard => Answers::Standard,
            Answers::Own(own) => {
                Answers::Own(Box::new(own.map(|one| one.with_state(state.clone()))))
            }
        };
        Elsewhere {
            answers,
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
    pub(super) fn covered(
        self,
        clock: &Arc<dyn Clock>,
        speaks: Speaks,
    ) -> (MethodRouter, MethodRouter) {
        let [not_found, method_not_allowed] = match self.answers {
            Answers::Standard => [Reason::RouteUnknown, Reason::MethodNotAllowed]
                .map(|reason| refusing(reason, speaks)),
            Answers::Own(own) => *own,
        };
        match self.policy {
            None => (not_found, method_not_allowed),
            Some(policy) => (
                policy.over(not_found, clock),
                policy.over(method_not_allowed, clock),
            ),
        }
    }
}

fn refusing(reason: Reason, speaks: Speaks) -> MethodRouter {
    any(async move |request: Request| -> Response {
        let refusal = Refusal::new(reason);
        let (method, version) = (request.method(), request.version());
        let answer = speaks.answer(&refusal, method, version, request.headers());
        answer.map(Body::new)
    })
}

const STANDARD: &str = "404, or 405 with the methods of the path; no handler";
